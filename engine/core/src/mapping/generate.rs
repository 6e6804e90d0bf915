//! The mapping that is suggested when nobody wrote one: the payload's recognized members go where the
//! destination's catalog has a place for them, and every other member to the field of its name.

use serde_json::{Value, json};

use super::schema::{MAX_FIELDS, is_path};
use crate::catalog::{Catalog, CatalogField, FieldType, Format};

/// The contract's recognized members, and what destinations call them; compared without regard to case
/// and punctuation.
const RECOGNIZED: [(&str, &[&str]); 7] = [
    ("email", &["email", "emailaddress", "mail"]),
    ("first_name", &["firstname", "fname", "givenname"]),
    ("last_name", &["lastname", "lname", "surname", "familyname"]),
    ("name", &["name", "fullname", "displayname"]),
    ("phone", &["phone", "phonenumber", "telephone"]),
    ("id", &["externalid", "userid"]),
    ("ip_address", &["ipaddress", "ipsignup"]),
];

/// The schema of the suggested mapping. Fields that are read only are never in it; what the destination
/// requires stands first, then the recognized members, and no more than a mapping may have.
pub fn generated(catalog: &Catalog) -> Value {
    let mut fields: Vec<(bool, bool, Value)> = Vec::new();
    for field in &catalog.fields {
        if field.constraints.read_only == Some(true) {
            continue;
        }
        let recognized = recognized(&field.key);
        let path = recognized
            .or_else(|| (is_path(&field.key) && !field.key.contains('.')).then_some(field.key.as_str()));
        if let Some(path) = path {
            let is_optional = field.constraints.required != Some(true);
            fields.push((is_optional, recognized.is_none(), suggestion(field, path)));
        }
    }
    // A stable sort: otherwise they stay in the catalog's order.
    fields.sort_by_key(|(is_optional, is_custom, _)| (*is_optional, *is_custom));
    let left_out = fields.len().saturating_sub(MAX_FIELDS);
    let mut meta = json!({"name": "Generated from the field catalog"});
    if left_out > 0 {
        meta["notes"] =
            format!("{left_out} further fields have no place: a mapping holds {MAX_FIELDS}.").into();
    }
    let fields: Vec<Value> = fields
        .into_iter()
        .take(MAX_FIELDS)
        .map(|(_, _, field)| field)
        .collect();
    json!({"schema_version": 1, "fields": fields, "meta": meta})
}

fn recognized(key: &str) -> Option<&'static str> {
    let plain: String = key
        .chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect();
    let known = RECOGNIZED
        .iter()
        .find(|(_, names)| names.contains(&plain.as_str()));
    known.map(|(member, _)| *member)
}

fn suggestion(field: &CatalogField, path: &str) -> Value {
    let transforms: &[&str] = match field.kind {
        FieldType::String if field.constraints.format == Some(Format::Email) => &["to_string", "trim"],
        FieldType::String | FieldType::Enum => &["to_string"],
        FieldType::Number => &["to_number"],
        FieldType::Boolean => &["to_boolean"],
        FieldType::Date => &["to_date"],
        FieldType::Datetime => &["to_datetime"],
        _ => &[],
    };
    let mut suggested = json!({"dest": field.key, "source": {"type": "path", "value": path}});
    if !transforms.is_empty() {
        suggested["transforms"] = transforms.iter().map(|name| json!({"type": name})).collect();
    }
    suggested
}
