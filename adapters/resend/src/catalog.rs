//! What an account has to offer: its segments, its published templates, its contacts' properties.

use heddle_sdk::prelude::*;

use crate::{API, answer, call, may_only_send};

/// The account's segments.
pub fn segments(query: &Query, http: &mut Http) -> Result<Choices, Stop> {
    pick(query, http, "segments", |_| true)
}

/// The templates that can be sent.
pub fn templates(query: &Query, http: &mut Http) -> Result<Choices, Stop> {
    pick(query, http, "templates", |template| template["status"] != "draft")
}

fn pick(
    query: &Query,
    http: &mut Http,
    what: &str,
    usable: impl Fn(&Value) -> bool,
) -> Result<Choices, Stop> {
    let mut list = Request::get(format!("{API}/{what}")).query("limit", "100");
    if let Some(cursor) = &query.cursor {
        list = list.query("after", cursor);
    }
    let page = answer(&call(http, list)?)?;
    let all = items(&page["data"]);
    let choice = |one: &Value| {
        let (id, name) = (one["id"].as_str()?, one["name"].as_str()?);
        (usable(one) && query.matches(name)).then(|| Choice::new(id, name))
    };
    let last = all.last().filter(|_| page["has_more"] == true);
    Ok(Choices {
        choices: all.iter().filter_map(choice).collect(),
        next_cursor: last.and_then(|one| text_at(one, "/id").ok()),
    })
}

/// The standard fields of a contact, the variables of a template, and the account's own properties,
/// which a key that may only send cannot read.
pub fn fields(http: &mut Http) -> Result<Vec<CatalogField>, Stop> {
    let mut fields = vec![
        CatalogField::new("email", "Email", FieldType::String)
            .constraint("required", true)
            .constraint("format", "email"),
        CatalogField::new("first_name", "First name", FieldType::String),
        CatalogField::new("last_name", "Last name", FieldType::String),
        CatalogField::new("unsubscribed", "Unsubscribed", FieldType::Boolean)
            .description("From all broadcasts. False subscribes again only where the rule allows it."),
        CatalogField::new("template_variables", "Template variables", FieldType::Object)
            .description("Names and values for a template; or map template_variables.NAME one by one."),
    ];
    let list = Request::get(format!("{API}/contact-properties")).query("limit", "100");
    let reply = call(http, list)?;
    if may_only_send(&reply) {
        return Ok(fields);
    }
    let own = |property: &Value| {
        let key = property["key"].as_str()?;
        let kind = match property["type"].as_str() {
            Some("number") => FieldType::Number,
            Some("string") => FieldType::String,
            _ => FieldType::Unknown,
        };
        Some(CatalogField::new(key, key, kind))
    };
    fields.extend(items(&answer(&reply)?["data"]).iter().filter_map(own));
    Ok(fields)
}
