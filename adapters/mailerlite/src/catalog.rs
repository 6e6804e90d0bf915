//! What an account has to offer: its groups, and the fields of subscribers.

use heddle_sdk::prelude::*;

use crate::{API, answer, asked};

const PAGE: &str = "100";
/// Enough for a thousand fields.
const PAGES: u64 = 10;

/// The groups, searched by MailerLite, page by page.
pub fn groups(query: &Query, http: &mut Http) -> Result<Choices, Stop> {
    let number = query.offset().max(1);
    let mut request = page("groups", number).query("sort", "name");
    if let Some(search) = query.search() {
        request = request.query("filter[name]", search);
    }
    let page = answer(http.send(asked(request))?)?;
    let choice = |group: &Value| Some(Choice::new(text_at(group, "/id").ok()?, group["name"].as_str()?));
    Ok(Choices {
        choices: items(&page["data"]).iter().filter_map(choice).collect(),
        next_cursor: is_more(&page, number).then(|| (number + 1).to_string()),
    })
}

/// The address, and the account's fields by their key.
pub fn fields(http: &mut Http) -> Result<Vec<CatalogField>, Stop> {
    let mut fields = vec![
        CatalogField::new("email", "Email", FieldType::String)
            .constraint("required", true)
            .constraint("format", "email"),
    ];
    for number in 1..=PAGES {
        let page = answer(http.send(asked(page("fields", number)))?)?;
        fields.extend(items(&page["data"]).iter().filter_map(field));
        if !is_more(&page, number) {
            break;
        }
    }
    Ok(fields)
}

fn field(field: &Value) -> Option<CatalogField> {
    let key = field["key"].as_str().filter(|key| *key != "email")?;
    let kind = match field["type"].as_str() {
        Some("text") => FieldType::String,
        Some("number") => FieldType::Number,
        Some("date") => FieldType::Date,
        _ => FieldType::Unknown,
    };
    let field = CatalogField::new(key, field["name"].as_str().unwrap_or(key), kind);
    Some(match key {
        "phone" => field.constraint("format", "phone"),
        _ => field,
    })
}

fn page(kind: &str, number: u64) -> Request {
    let request = Request::get(format!("{API}/{kind}")).query("limit", PAGE);
    request.query("page", &number.to_string())
}

fn is_more(page: &Value, number: u64) -> bool {
    let last = page["meta"]["last_page"].as_u64();
    !items(&page["data"]).is_empty() && last.is_some_and(|last| last > number)
}
