//! What an account has to offer: lists, tags, automations, and the fields of contacts.

use heddle_sdk::prelude::*;

use crate::{api, permitted};

const PAGE: u64 = 100;
/// Enough for a thousand fields.
const PAGES: u64 = 10;

/// The lists or automations, which are searched here.
pub fn named(kind: &str, query: &Query, http: &mut Http) -> Result<Choices, Stop> {
    let page = page(kind, query, query.offset(), None, http)?;
    let choice = |one: &Value| {
        let name = one["name"].as_str().filter(|name| query.matches(name))?;
        Some(Choice::new(text_at(one, "/id").ok()?, name))
    };
    Ok(Choices {
        choices: items(&page[kind]).iter().filter_map(choice).collect(),
        next_cursor: next(kind, query.offset(), &page),
    })
}

/// The tags of contacts, searched by ActiveCampaign.
pub fn tags(query: &Query, http: &mut Http) -> Result<Choices, Stop> {
    let page = page("tags", query, query.offset(), query.search(), http)?;
    let choice = |tag: &Value| {
        let of_contacts = !matches!(tag["tagType"].as_str(), Some(kind) if kind != "contact");
        let choice = Choice::new(text_at(tag, "/id").ok()?, tag["tag"].as_str()?);
        of_contacts.then_some(choice)
    };
    Ok(Choices {
        choices: items(&page["tags"]).iter().filter_map(choice).collect(),
        next_cursor: next("tags", query.offset(), &page),
    })
}

/// The fields that every contact has, and the account's own by their number.
pub fn fields(query: &Query, http: &mut Http) -> Result<Vec<CatalogField>, Stop> {
    let mut fields = vec![
        CatalogField::new("email", "Email", FieldType::String)
            .constraint("required", true)
            .constraint("format", "email"),
        CatalogField::new("firstName", "First name", FieldType::String),
        CatalogField::new("lastName", "Last name", FieldType::String),
        CatalogField::new("phone", "Phone", FieldType::String).constraint("format", "phone"),
    ];
    let mut offset = 0;
    for _ in 0..PAGES {
        let page = page("fields", query, offset, None, http)?;
        let own = items(&page["fields"]).iter();
        fields.extend(own.filter_map(|one| field(one, &page["fieldOptions"])));
        match next("fields", offset, &page).and_then(|next| next.parse().ok()) {
            Some(next) => offset = next,
            None => break,
        }
    }
    Ok(fields)
}

fn field(field: &Value, options: &Value) -> Option<CatalogField> {
    let id = text_at(field, "/id").ok()?;
    let kind = match field["type"].as_str().unwrap_or_default() {
        "text" | "textarea" | "hidden" | "NULL" => FieldType::String,
        "number" | "currency" => FieldType::Number,
        "date" => FieldType::Date,
        "datetime" => FieldType::Datetime,
        "dropdown" | "radio" => FieldType::Enum,
        "listbox" | "checkbox" => FieldType::MultiEnum,
        _ => FieldType::Unknown,
    };
    let mut known = CatalogField::new(&*id, field["title"].as_str().unwrap_or(&id), kind);
    known = known.description(field["descript"].as_str().unwrap_or_default());
    if matches!(kind, FieldType::Enum | FieldType::MultiEnum) {
        let own = |option: &&Value| text_of(&option["field"], "") == id;
        let values = items(options)
            .iter()
            .filter(own)
            .map(|option| option["value"].clone());
        known = known.constraint("allowed_values", values.collect::<Vec<_>>());
    }
    Some(known)
}

fn page(
    kind: &str,
    query: &Query,
    offset: u64,
    search: Option<&str>,
    http: &mut Http,
) -> Result<Value, Stop> {
    let mut request = Request::get(format!("{}/{kind}", api(&query.connection)?))
        .query("limit", &PAGE.to_string())
        .query("offset", &offset.to_string());
    if let Some(search) = search {
        request = request.query("search", search);
    }
    Ok(permitted(http.send(request)?)?)
}

/// The next page's offset; the total comes as text.
fn next(kind: &str, offset: u64, page: &Value) -> Option<String> {
    let got = u64::try_from(items(&page[kind]).len()).ok()?;
    let total: u64 = text_of(&page["meta"]["total"], "").parse().ok()?;
    let seen = offset.saturating_add(got);
    (got > 0 && total > seen).then(|| seen.to_string())
}
