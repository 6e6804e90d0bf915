//! What an account has to offer: its static lists, and its contact properties.

use heddle_sdk::prelude::*;

use crate::{API, EVENT_PROPERTIES, answer};

const PAGE: u64 = 100;

/// The lists that contacts can be added to by hand, searched by HubSpot, paged by offset.
pub fn lists(query: &Query, http: &mut Http) -> Result<Choices, Stop> {
    let offset = query.offset();
    let search = json!({
        "processingTypes": ["MANUAL", "SNAPSHOT"], "objectTypeId": "0-1", "query": query.search().unwrap_or_default(),
        "offset": offset, "count": PAGE, "additionalProperties": [],
    });
    let page = answer(http.send(Request::post(format!("{API}/crm/v3/lists/search")).json(&search))?)?;
    let choice = |list: &Value| {
        Some(Choice::new(
            text_at(list, "/listId").ok()?,
            list["name"].as_str()?,
        ))
    };
    let more = page["hasMore"] == true;
    Ok(Choices {
        choices: items(&page["lists"]).iter().filter_map(choice).collect(),
        next_cursor: more.then(|| page["offset"].as_u64().unwrap_or(offset + PAGE).to_string()),
    })
}

/// The properties that take one of a set of values, each with its values.
pub fn properties(query: &Query, http: &mut Http) -> Result<Choices, Stop> {
    let option = |option: &Value| {
        let value = option["value"].as_str()?;
        let label = option["label"].as_str().unwrap_or(value);
        (option["hidden"] != true).then(|| Choice::new(value, label))
    };
    let choice = |property: &Value| {
        let (name, label) = named(property)?;
        let options: Vec<_> = items(&property["options"]).iter().filter_map(option).collect();
        let offered = !is_read_only(property) && !options.is_empty() && query.matches(label);
        offered.then(|| Choice::new(name, label).options(options))
    };
    let all = all_properties(http)?;
    Ok(Choices {
        choices: items(&all["results"]).iter().filter_map(choice).collect(),
        next_cursor: None,
    })
}

/// The custom events that the account has defined, searched by HubSpot.
pub fn events(query: &Query, http: &mut Http) -> Result<Choices, Stop> {
    let mut list = Request::get(format!("{API}/events/v3/event-definitions")).query("limit", "100");
    if let Some(search) = query.search() {
        list = list.query("searchString", search);
    }
    if let Some(cursor) = &query.cursor {
        list = list.query("after", cursor);
    }
    let page = answer(http.send(list)?)?;
    let choice = |event: &Value| {
        let name = event["fullyQualifiedName"].as_str()?;
        let label = event["labels"]["singular"]
            .as_str()
            .or_else(|| event["name"].as_str());
        Some(Choice::new(name, label.unwrap_or(name)))
    };
    Ok(Choices {
        choices: items(&page["results"]).iter().filter_map(choice).collect(),
        next_cursor: text_at(&page, "/paging/next/after").ok(),
    })
}

/// Every property that is not hidden, as the contract's field catalog.
pub fn fields(http: &mut Http) -> Result<Vec<CatalogField>, Stop> {
    let all = all_properties(http)?;
    let mut fields: Vec<_> = items(&all["results"]).iter().filter_map(field).collect();
    fields.push(
        CatalogField::new(EVENT_PROPERTIES, "Event properties", FieldType::Object).description(
            "Of a custom event, with their values; or map event_properties.NAME one by one. Not the contact's.",
        ),
    );
    Ok(fields)
}

fn field(property: &Value) -> Option<CatalogField> {
    let (name, label) = named(property)?;
    let kind = match (property["type"].as_str()?, property["fieldType"].as_str()) {
        ("enumeration", Some("checkbox")) => FieldType::MultiEnum,
        ("enumeration", _) => FieldType::Enum,
        ("string" | "phone_number", _) => FieldType::String,
        ("number", _) => FieldType::Number,
        ("bool", _) => FieldType::Boolean,
        ("date", _) => FieldType::Date,
        ("datetime", _) => FieldType::Datetime,
        ("json", _) => FieldType::Json,
        _ => FieldType::Unknown,
    };
    let mut field = CatalogField::new(name, label, kind);
    field = field.description(property["description"].as_str().unwrap_or_default());
    if name == "email" {
        field = field.constraint("required", true).constraint("format", "email");
    }
    if property["type"] == "phone_number" {
        field = field.constraint("format", "phone");
    }
    if is_read_only(property) {
        field = field.constraint("read_only", true);
    }
    if matches!(kind, FieldType::Enum | FieldType::MultiEnum) {
        let values: Vec<Value> = items(&property["options"])
            .iter()
            .map(|option| option["value"].clone())
            .collect();
        field = field.constraint("allowed_values", values);
    }
    Some(field)
}

fn all_properties(http: &mut Http) -> Result<Value, Stop> {
    Ok(answer(http.send(Request::get(format!(
        "{API}/crm/v3/properties/contacts"
    )))?)?)
}

/// Name and label of a property that people may see.
fn named(property: &Value) -> Option<(&str, &str)> {
    let name = property["name"].as_str()?;
    (property["hidden"] != true).then(|| (name, property["label"].as_str().unwrap_or(name)))
}

fn is_read_only(property: &Value) -> bool {
    property["calculated"] == true || property["modificationMetadata"]["readOnlyValue"] == true
}
