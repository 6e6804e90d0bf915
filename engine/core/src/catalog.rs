//! A destination's field catalog: what an adapter's `fields` answers, brought into the contract's form.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::json::check_text;

/// The most fields of a catalog.
pub const MAX_CATALOG_FIELDS: usize = 5_000;

/// The most values of `allowed_values` that are kept.
const MAX_ALLOWED_VALUES: usize = 1_000;

/// The fields of a destination.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Catalog {
    /// In the destination's order, each key once.
    pub fields: Vec<CatalogField>,
}

/// One field that a mapping can fill.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct CatalogField {
    pub key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    #[serde(rename = "type")]
    pub kind: FieldType,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "Constraints::is_empty")]
    pub constraints: Constraints,
    /// Whatever else the adapter knows; passed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_meta: Option<Map<String, Value>>,
}

/// The contract's field types.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum FieldType {
    String,
    Number,
    Boolean,
    Date,
    Datetime,
    Enum,
    MultiEnum,
    Json,
    Object,
    Array,
    #[default]
    #[serde(other)]
    Unknown,
}

/// The contract's constraints.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Constraints {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_length: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<serde_json::Number>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<serde_json::Number>,
    /// As text: published clients read nothing else here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_values: Option<Vec<String>>,
}

/// The contract's formats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Format {
    Email,
    Phone,
    Url,
    Uuid,
    Date,
    Datetime,
    #[default]
    #[serde(other)]
    Unknown,
}

impl Constraints {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What is wrong with a plugin's answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// Not of the shape that `wit/adapter.wit` shows.
    #[error("the plugin's field catalog is not of the form {{\"fields\": […]}}")]
    Shape,
    /// More than [`MAX_CATALOG_FIELDS`].
    #[error("the plugin's field catalog has {0} fields; at most {MAX_CATALOG_FIELDS} are read")]
    TooMany(usize),
}

impl Catalog {
    /// Reads a plugin's answer. A field without a usable key is left out, a key that comes again too;
    /// a constraint of a wrong type is left out, texts are cut.
    pub fn read(answer: &str) -> Result<Self, CatalogError> {
        // What is kept of it must be readable again, whatever the destination wrote into it.
        check_text(answer).map_err(|_| CatalogError::Shape)?;
        let answer: Value = serde_json::from_str(answer).map_err(|_| CatalogError::Shape)?;
        let listed = answer["fields"].as_array().ok_or(CatalogError::Shape)?;
        if listed.len() > MAX_CATALOG_FIELDS {
            return Err(CatalogError::TooMany(listed.len()));
        }
        let mut seen = std::collections::HashSet::new();
        let fields = listed.iter().filter_map(CatalogField::read);
        Ok(Self {
            fields: fields.filter(|field| seen.insert(field.key.clone())).collect(),
        })
    }

    /// The contract's `catalog_version`: the same as long as keys, types and constraints are, in
    /// whatever order the destination lists them and whatever it calls them.
    pub fn version(&self) -> String {
        let mut lines: Vec<String> = self
            .fields
            .iter()
            .map(|field| serde_json::json!([field.key, field.kind, field.constraints]).to_string())
            .collect();
        lines.sort_unstable();
        let mut digest = Sha256::new();
        for line in lines {
            digest.update(line);
            digest.update("\n");
        }
        hex::encode(&digest.finalize()[..16])
    }

    /// Whether the destination says that it needs this field.
    pub fn requires(&self, key: &str) -> bool {
        let required = |field: &CatalogField| field.constraints.required == Some(true);
        self.fields
            .iter()
            .any(|field| field.key == key && required(field))
    }
}

impl CatalogField {
    fn read(field: &Value) -> Option<Self> {
        let text = |name: &str, longest: usize| {
            let text = field[name]
                .as_str()
                .map(str::trim)
                .filter(|text| !text.is_empty())?;
            Some(text.chars().take(longest).collect::<String>())
        };
        let key = field["key"].as_str()?;
        if key.is_empty() || key.chars().count() > 128 {
            return None;
        }
        Some(Self {
            key: key.to_owned(),
            label: text("label", 256),
            kind: word(&field["type"]).unwrap_or_default(),
            description: text("description", 1024),
            constraints: Constraints::read(&field["constraints"]),
            provider_meta: field["provider_meta"].as_object().cloned(),
        })
    }
}

impl Constraints {
    fn read(constraints: &Value) -> Self {
        let said = |name: &str| constraints[name].as_bool();
        let length = |name: &str| {
            constraints[name]
                .as_u64()
                .and_then(|length| u32::try_from(length).ok())
        };
        let number = |name: &str| constraints[name].as_number().cloned();
        let allowed = constraints["allowed_values"].as_array().map(|values| {
            let values = values.iter().filter_map(|value| match value {
                Value::String(text) => Some(text.clone()),
                Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
                _ => None,
            });
            values.take(MAX_ALLOWED_VALUES).collect()
        });
        Self {
            format: word(&constraints["format"]),
            required: said("required"),
            read_only: said("read_only"),
            max_length: length("max_length"),
            min_length: length("min_length"),
            pattern: constraints["pattern"].as_str().map(str::to_owned),
            min: number("min"),
            max: number("max"),
            allowed_values: allowed,
        }
    }
}

/// One of a fixed set of words; those that the contract does not have are `unknown`.
fn word<T: serde::de::DeserializeOwned>(value: &Value) -> Option<T> {
    T::deserialize(value.as_str().map(|_| value)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_catalog_is_brought_into_the_contracts_form() {
        let answer = json!({"fields": [
            {"key": "email", "label": "Email", "type": "string", "constraints": {"required": true, "format": "email"}},
            {"key": "plan", "type": "enum", "constraints": {"allowed_values": ["free", 2, true, null], "max_length": -1}},
            {"key": "geo", "type": "point", "label": " ", "constraints": {"format": "geo"}, "provider_meta": {"id": 7}},
            {"key": "plan", "type": "string"}, {"key": ""}, {"label": "no key"}, 5
        ]});
        let catalog = Catalog::read(&answer.to_string()).unwrap();
        assert_eq!(
            serde_json::to_value(&catalog).unwrap(),
            json!({"fields": [
                {"key": "email", "label": "Email", "type": "string", "constraints": {"format": "email", "required": true}},
                {"key": "plan", "type": "enum", "constraints": {"allowed_values": ["free", "2", "true"]}},
                {"key": "geo", "type": "unknown", "constraints": {"format": "unknown"}, "provider_meta": {"id": 7}}
            ]})
        );
        assert!(catalog.requires("email") && !catalog.requires("plan"));
        let stored = serde_json::to_string(&catalog).unwrap();
        assert_eq!(serde_json::from_str::<Catalog>(&stored).unwrap(), catalog);
    }

    #[test]
    fn the_version_follows_what_a_mapping_can_depend_on_and_nothing_else() {
        let version = |fields: Value| {
            Catalog::read(&json!({"fields": fields}).to_string())
                .unwrap()
                .version()
        };
        let first = version(json!([{"key": "a", "type": "string"}, {"key": "b", "type": "number"}]));
        let told_otherwise =
            version(json!([{"key": "b", "type": "number", "label": "B"}, {"key": "a", "type": "string"}]));
        assert_eq!(first, told_otherwise);
        for other in [
            json!([{"key": "a", "type": "string"}]),
            json!([{"key": "a", "type": "number"}, {"key": "b", "type": "number"}]),
            json!([{"key": "a", "type": "string", "constraints": {"required": true}}, {"key": "b", "type": "number"}]),
        ] {
            assert_ne!(first, version(other));
        }
    }

    #[test]
    fn what_is_no_catalog_is_refused() {
        let deep = json!({"$serde_json::private::RawValue": "[".repeat(120) + &"]".repeat(120)});
        let hidden = json!({"fields": [{"key": "a", "type": "string", "provider_meta": {"x": deep}}]});
        for bad in ["", "[]", "{}", r#"{"fields": {}}"#, &hidden.to_string()] {
            assert_eq!(Catalog::read(bad), Err(CatalogError::Shape), "{bad}");
        }
        let many = vec![json!({"key": "a", "type": "string"}); MAX_CATALOG_FIELDS + 1];
        let error = Catalog::read(&json!({"fields": many}).to_string()).unwrap_err();
        assert_eq!(error, CatalogError::TooMany(MAX_CATALOG_FIELDS + 1));
    }
}
