//! What an account has to offer: its audiences, their tags, and their merge fields.

use heddle_sdk::prelude::*;

use crate::{answer, api};

const PAGE: u64 = 100;
/// Each audience costs a request of its own, and one question may make sixteen.
const AUDIENCES_IN_DEPTH: u64 = 10;

/// The audiences; Mailchimp cannot search them by name.
pub fn audiences(query: &Query, http: &mut Http) -> Result<Choices, Stop> {
    let page = page(query, query.offset(), PAGE, http)?;
    let named = audiences_of(&page).filter(|(_, name)| query.matches(name));
    Ok(Choices {
        choices: named.map(|(id, name)| Choice::new(id, name)).collect(),
        next_cursor: next(query, &page),
    })
}

/// The audiences, each with its tags by name. A search is for the tag's beginning or the audience.
pub fn tags(query: &Query, http: &mut Http) -> Result<Choices, Stop> {
    let page = page(query, query.offset(), AUDIENCES_IN_DEPTH, http)?;
    let api = api(&query.connection)?;
    let mut choices = Vec::new();
    for (id, name) in audiences_of(&page) {
        let mut request = Request::get(format!("{api}{}", url!("/lists/{}/tag-search", id)?));
        let by_name = query.matches(name);
        if let Some(search) = query.search().filter(|_| !by_name) {
            request = request.query("name", search);
        }
        let found = answer(http.send(request)?)?;
        let tag = |tag: &Value| Some(Choice::new(tag["name"].as_str()?, tag["name"].as_str()?));
        let options: Vec<_> = items(&found["tags"]).iter().filter_map(tag).collect();
        if by_name || !options.is_empty() {
            choices.push(Choice::new(id, name).options(options));
        }
    }
    Ok(Choices {
        choices,
        next_cursor: next(query, &page),
    })
}

/// The address, where it signed up, and the merge fields of all audiences: a field that several have
/// is listed once, as the first of them describes it.
pub fn fields(query: &Query, http: &mut Http) -> Result<Vec<CatalogField>, Stop> {
    let page = page(query, 0, AUDIENCES_IN_DEPTH, http)?;
    let api = api(&query.connection)?;
    let mut fields = vec![
        CatalogField::new("email", "Email", FieldType::String)
            .constraint("required", true)
            .constraint("format", "email"),
        CatalogField::new("ip_signup", "IP address at signup", FieldType::String),
    ];
    let mut seen: Vec<String> = Vec::new();
    for (id, _) in audiences_of(&page) {
        let url = format!("{api}{}", url!("/lists/{}/merge-fields", id)?);
        let found = answer(http.send(Request::get(url).query("count", "1000"))?)?;
        for merge_field in items(&found["merge_fields"]) {
            if let Some(tag) = merge_field["tag"].as_str()
                && !seen.iter().any(|known| known == tag)
            {
                seen.push(tag.to_owned());
                fields.push(field(tag, merge_field));
            }
        }
    }
    Ok(fields)
}

fn field(tag: &str, merge_field: &Value) -> CatalogField {
    let (kind, format) = match merge_field["type"].as_str().unwrap_or_default() {
        "text" | "zip" | "birthday" => (FieldType::String, None),
        "url" | "imageurl" => (FieldType::String, Some("url")),
        "phone" => (FieldType::String, Some("phone")),
        "number" => (FieldType::Number, None),
        "date" => (FieldType::Date, None),
        "dropdown" | "radio" => (FieldType::Enum, None),
        "address" => (FieldType::Object, None),
        _ => (FieldType::Unknown, None),
    };
    let name = merge_field["name"].as_str().unwrap_or(tag);
    let mut field = CatalogField::new(tag, name, kind);
    field = field.description(match merge_field["type"].as_str() {
        Some("address") => "An object of addr1, addr2, city, state, zip and country.",
        Some("birthday") => "Month and day, as MM/DD.",
        _ => merge_field["help_text"].as_str().unwrap_or_default(),
    });
    if let Some(format) = format {
        field = field.constraint("format", format);
    }
    let options = &merge_field["options"];
    if kind == FieldType::Enum {
        field = field.constraint("allowed_values", items(&options["choices"]).to_vec());
    }
    match options["size"].as_u64() {
        Some(size) if kind == FieldType::String => field.constraint("max_length", size),
        _ => field,
    }
}

fn page(query: &Query, offset: u64, count: u64, http: &mut Http) -> Result<Value, Stop> {
    let request = Request::get(format!("{}/lists", api(&query.connection)?))
        .query("count", &count.to_string())
        .query("offset", &offset.to_string())
        .query("fields", "lists.id,lists.name,total_items");
    Ok(answer(http.send(request)?)?)
}

fn audiences_of(page: &Value) -> impl Iterator<Item = (&str, &str)> {
    items(&page["lists"])
        .iter()
        .filter_map(|list| Some((list["id"].as_str()?, list["name"].as_str()?)))
}

fn next(query: &Query, page: &Value) -> Option<String> {
    let got = u64::try_from(items(&page["lists"]).len()).ok()?;
    let seen = query.offset().saturating_add(got);
    (got > 0 && page["total_items"].as_u64()? > seen).then(|| seen.to_string())
}
