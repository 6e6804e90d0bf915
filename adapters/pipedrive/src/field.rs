//! The fields of persons: what a company has, and values in the form that each type is taken in.

use heddle_sdk::prelude::*;
use heddle_sdk::serde_json;

use crate::Api;

/// The most pages of definitions that are read; a page has 500.
const MAX_PAGES: usize = 8;

/// In which form a field takes its value.
#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    Text,
    Number,
    Boolean,
    Option,
    Options,
    Date,
    /// `{"value": "…"}`, such as an address.
    Wrapped,
    /// An object that only the mapping can make, such as an amount with its currency.
    Object,
}

impl Kind {
    pub fn of(definition: &Value) -> Self {
        match definition["field_type"].as_str().unwrap_or_default() {
            "int" | "double" | "user" | "org" | "people" | "deal" | "lead" | "project" | "stage"
            | "activity" | "visible_to" => Self::Number,
            "boolean" => Self::Boolean,
            "enum" => Self::Option,
            "set" => Self::Options,
            "date" => Self::Date,
            "address" | "time" => Self::Wrapped,
            "monetary" | "daterange" | "timerange" => Self::Object,
            _ => Self::Text,
        }
    }

    fn in_catalog(self) -> FieldType {
        match self {
            Self::Text | Self::Wrapped => FieldType::String,
            Self::Number => FieldType::Number,
            Self::Boolean => FieldType::Boolean,
            Self::Option => FieldType::Enum,
            Self::Options => FieldType::MultiEnum,
            Self::Date => FieldType::Date,
            Self::Object => FieldType::Object,
        }
    }
}

/// `value` in the form that a field takes it in. `null` clears a field, and so does a list of nothing.
pub fn typed(key: &str, kind: Kind, options: &[Value], value: &Value) -> Result<Value, Failure> {
    let unfit = |what: &str| Failure::mapping(format!("the field {key:?} takes {what}, not {value}"));
    if value.is_null() {
        return Ok(Value::Null);
    }
    Ok(match kind {
        Kind::Text => text_of(value, ", ").into(),
        Kind::Number => number(value).ok_or_else(|| unfit("a number"))?,
        Kind::Boolean => match text_of(value, "").as_str() {
            "true" => true.into(),
            "false" => false.into(),
            _ => return Err(unfit("true or false")),
        },
        Kind::Option => option(key, options, value)?,
        Kind::Options => {
            let all = match value {
                Value::Array(all) => all.as_slice(),
                one => std::slice::from_ref(one),
            };
            let ids: Vec<Value> = all
                .iter()
                .map(|one| option(key, options, one))
                .collect::<Result<_, _>>()?;
            if ids.is_empty() { Value::Null } else { ids.into() }
        }
        // Of an instant only its day.
        Kind::Date => match value.as_str().and_then(|text| text.trim().get(..10)) {
            Some(day) if day.bytes().filter(|byte| *byte == b'-').count() == 2 => day.into(),
            _ => return Err(unfit("a date such as 2026-03-21")),
        },
        Kind::Wrapped | Kind::Object if value.is_object() => value.clone(),
        Kind::Wrapped => json!({"value": text_of(value, ", ")}),
        Kind::Object => return Err(unfit("an object")),
    })
}

fn number(value: &Value) -> Option<Value> {
    let read = match value {
        Value::String(text) => serde_json::from_str(text.trim()).ok()?,
        other => other.clone(),
    };
    read.is_number().then_some(read)
}

/// The id of an option, which is named by its id or its label.
fn option(key: &str, options: &[Value], value: &Value) -> Result<Value, Failure> {
    let text = text_of(value, ", ");
    let text = text.trim();
    let by_id = options.iter().find(|option| text_of(&option["id"], "") == text);
    let by_label = || {
        let is_meant = |label: &str| label.trim().to_lowercase() == text.to_lowercase();
        options
            .iter()
            .find(|option| option["label"].as_str().is_some_and(is_meant))
    };
    let found = by_id.or_else(by_label);
    found.map(|option| option["id"].clone()).ok_or_else(|| {
        Failure::mapping(format!(
            "the field {key:?} has no option {text:?}; was it deleted in Pipedrive?"
        ))
    })
}

/// Every definition of a person's field.
pub fn all(api: &mut Api) -> Result<Vec<Value>, Stop> {
    let mut definitions = Vec::new();
    let mut cursor = None;
    for _ in 0..MAX_PAGES {
        let (page, next) = page(cursor.as_deref(), api)?;
        definitions.extend(page);
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    Ok(definitions)
}

fn page(cursor: Option<&str>, api: &mut Api) -> Result<(Vec<Value>, Option<String>), Stop> {
    let mut request = Request::get("/api/v2/personFields").query("limit", "500");
    if let Some(cursor) = cursor {
        request = request.query("cursor", cursor);
    }
    let mut page = api.call(request)?;
    let next = text_at(&page, "/additional_data/next_cursor").ok();
    match page["data"].take() {
        Value::Array(definitions) => Ok((definitions, next)),
        _ => Err(Failure::retryable("the answer has no /data").into()),
    }
}

pub fn definition<'a>(definitions: &'a [Value], key: &str) -> Result<&'a Value, Failure> {
    let found = definitions
        .iter()
        .find(|definition| definition["field_code"] == key);
    found.ok_or_else(|| {
        Failure::mapping(format!(
            "Pipedrive has no person field {key:?}; was it deleted there?"
        ))
    })
}

pub fn is_label(definition: &Value) -> bool {
    // The second name is of the first version of the API, and mirrors the first label only.
    definition["field_code"] == "label_ids" || definition["field_code"] == "label"
}

/// The labels of persons.
pub fn labels(query: &Query, api: &mut Api) -> Result<Choices, Stop> {
    let definitions = all(api)?;
    let labels = definition(&definitions, "label_ids").or_else(|_| definition(&definitions, "label"));
    let choices = labels.map(options).unwrap_or_default();
    let named = |option: &(String, String)| query.matches(&option.1);
    Ok(Choices {
        choices: choices
            .into_iter()
            .filter(named)
            .map(|(id, label)| Choice::new(id, label))
            .collect(),
        next_cursor: None,
    })
}

/// The fields with options to pick from, each with them, page by page.
pub fn with_options(query: &Query, api: &mut Api) -> Result<Choices, Stop> {
    let (definitions, next_cursor) = page(query.cursor.as_deref(), api)?;
    let choice = |field: &Value| {
        let code = field["field_code"].as_str()?;
        let name = field["field_name"].as_str().unwrap_or(code);
        let kind = Kind::of(field);
        let offered = matches!(kind, Kind::Option | Kind::Options) && !is_label(field) && query.matches(name);
        let options = options(field)
            .into_iter()
            .map(|(id, label)| Choice::new(id, label))
            .collect();
        (offered && field["is_custom_field"] == true).then(|| Choice::new(code, name).options(options))
    };
    Ok(Choices {
        choices: definitions.iter().filter_map(choice).collect(),
        next_cursor,
    })
}

fn options(field: &Value) -> Vec<(String, String)> {
    let option = |option: &Value| Some((text_at(option, "/id").ok()?, option["label"].as_str()?.to_owned()));
    items(&field["options"]).iter().filter_map(option).collect()
}

/// What every company has, then the company's own fields.
pub fn catalog(api: &mut Api) -> Result<Vec<CatalogField>, Stop> {
    let definitions = all(api)?;
    let mut fields = vec![
        CatalogField::new("email", "Email", FieldType::String)
            .constraint("required", true)
            .constraint("format", "email"),
        CatalogField::new("name", "Name", FieldType::String)
            .description("Of a new person without one: what stands before the @ of the address."),
        CatalogField::new("phone", "Phone", FieldType::String)
            .description("Added to the numbers that the person has.")
            .constraint("format", "phone"),
        CatalogField::new("owner_id", "Owner", FieldType::Number).description("The id of a user."),
        CatalogField::new("org_id", "Organization", FieldType::Number)
            .description("The id of an organization."),
        CatalogField::new("visible_to", "Visible to", FieldType::Number).description(
            "1 owner, 3 company, 5 owner's group with those below, 7 all; by the company's plan.",
        ),
        CatalogField::new("marketing_status", "Marketing status", FieldType::Enum)
            .description("Needs the Campaigns add-on. Pipedrive ignores a change that it does not allow.")
            .constraint(
                "allowed_values",
                json!(["no_consent", "unsubscribed", "subscribed", "archived"]),
            ),
    ];
    fields.extend(definitions.iter().filter_map(catalog_field));
    Ok(fields)
}

fn catalog_field(definition: &Value) -> Option<CatalogField> {
    let code = definition["field_code"].as_str()?;
    let kind = Kind::of(definition);
    if definition["is_custom_field"] != true && code != "label_ids" {
        return None;
    }
    let mut field = CatalogField::new(
        code,
        definition["field_name"].as_str().unwrap_or(code),
        kind.in_catalog(),
    );
    if matches!(kind, Kind::Option | Kind::Options) {
        let labels: Vec<String> = options(definition).into_iter().map(|(_, label)| label).collect();
        field = field.constraint("allowed_values", labels);
    }
    Some(match definition["field_type"].as_str() {
        Some("varchar") => field.constraint("max_length", 255),
        Some("phone") => field.constraint("format", "phone"),
        _ => field,
    })
}
