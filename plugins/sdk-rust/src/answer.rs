//! What an adapter answers when it is done.

use serde::Serialize;
use serde_json::{Map, Value};

/// The delivery arrived.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Receipt {
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<String>,
}

impl Receipt {
    /// With one sentence for the person who reads the history.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            external_id: None,
        }
    }

    /// With the destination's own id of what was made.
    pub fn external_id(mut self, id: impl Into<String>) -> Self {
        self.external_id = Some(id.into());
        self
    }
}

/// The connection works.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Account {
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

impl Account {
    /// It works, and this is whose account it is.
    pub fn named(account: impl Into<String>) -> Self {
        Self {
            account: Some(account.into()),
            message: None,
        }
    }

    /// It works, as far as this sentence says.
    pub fn unnamed(message: impl Into<String>) -> Self {
        Self {
            account: None,
            message: Some(message.into()),
        }
    }
}

/// A page of things to pick from.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Choices {
    /// What there is on this page.
    pub choices: Vec<Choice>,
    /// Asks for the next page; `None` on the last one.
    pub next_cursor: Option<String>,
}

/// One thing to pick.
#[derive(Clone, Debug, Serialize)]
pub struct Choice {
    id: String,
    label: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    options: Vec<Choice>,
}

impl Choice {
    /// What the rule keeps, and what people read.
    pub fn new(id: impl Into<String>, label: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            label: label.into(),
            options: Vec::new(),
        }
    }

    /// The values to pick from once this is picked, such as a property's.
    pub fn options(mut self, options: Vec<Choice>) -> Self {
        self.options = options;
        self
    }
}

/// The type of a field at the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
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
    Unknown,
}

/// One field of the destination's catalog, for mappings.
#[derive(Clone, Debug, Serialize)]
pub struct CatalogField {
    key: String,
    label: String,
    #[serde(rename = "type")]
    kind: FieldType,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    constraints: Map<String, Value>,
}

impl CatalogField {
    /// A field without description and constraints.
    pub fn new(key: impl Into<String>, label: impl Into<String>, kind: FieldType) -> Self {
        Self {
            key: key.into(),
            label: label.into(),
            kind,
            description: None,
            constraints: Map::new(),
        }
    }

    /// With a sentence about it; nothing when the text is blank.
    pub fn description(mut self, text: &str) -> Self {
        self.description = Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        self
    }

    /// With one of the contract's constraints: `format`, `required`, `read_only`, `max_length`,
    /// `min_length`, `pattern`, `min`, `max`, `allowed_values`.
    pub fn constraint(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.constraints.insert(name.to_owned(), value.into());
        self
    }
}
