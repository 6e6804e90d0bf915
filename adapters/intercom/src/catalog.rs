//! What a workspace has to offer: its tags, and the attributes of its contacts.

use heddle_sdk::prelude::*;

use crate::{Api, answer};

/// All tags: Intercom answers with every one of them at once.
pub fn tags(query: &Query, api: &mut Api) -> Result<Choices, Stop> {
    let all = answer(api.get("/tags")?)?;
    let tag = |tag: &Value| {
        let name = tag["name"].as_str()?;
        let choice = Choice::new(text_at(tag, "/id").ok()?, name);
        query.matches(name).then_some(choice)
    };
    Ok(Choices {
        choices: items(&all["data"]).iter().filter_map(tag).collect(),
        next_cursor: None,
    })
}

/// The four attributes that every contact has, then whatever else can be written.
pub fn fields(api: &mut Api) -> Result<Vec<CatalogField>, Stop> {
    let all = answer(api.call(Request::get("/data_attributes").query("model", "contact"))?)?;
    let mut fields = vec![
        CatalogField::new("email", "Email", FieldType::String).constraint("format", "email"),
        CatalogField::new("external_id", "External id", FieldType::String).description(
            "Your own id of the person. Known, it identifies the contact before the email does.",
        ),
        CatalogField::new("name", "Name", FieldType::String),
        CatalogField::new("phone", "Phone", FieldType::String).constraint("format", "phone"),
    ];
    fields.extend(items(&all["data"]).iter().filter_map(field));
    Ok(fields)
}

fn field(attribute: &Value) -> Option<CatalogField> {
    let key = attribute["full_name"].as_str().or(attribute["name"].as_str())?;
    let known = ["email", "external_id", "user_id", "name", "phone"].contains(&key);
    if known || attribute["archived"] == true || attribute["api_writable"] != true {
        return None;
    }
    let options = items(&attribute["options"]);
    let kind = match attribute["data_type"].as_str()? {
        "string" if !options.is_empty() => FieldType::Enum,
        "string" => FieldType::String,
        "integer" | "float" => FieldType::Number,
        "boolean" => FieldType::Boolean,
        "date" => FieldType::Datetime,
        _ => FieldType::Unknown,
    };
    let label = attribute["label"].as_str().unwrap_or(key);
    let field = CatalogField::new(key, label, kind)
        .description(attribute["description"].as_str().unwrap_or_default());
    Some(match kind {
        FieldType::Enum => field.constraint("allowed_values", options.to_vec()),
        _ => field,
    })
}
