//! One value on its way from an event to a destination.

use std::borrow::Cow;

use serde_json::Value;
use serde_json::value::RawValue;

/// A value. A number is its spelling, an object or array its text, so that what no transform touches
/// arrives as it was emitted.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Datum<'a> {
    Missing,
    Null,
    Boolean(bool),
    Number(Cow<'a, str>),
    Text(Cow<'a, str>),
    Object(Cow<'a, str>),
    Array(Cow<'a, str>),
}

impl<'a> Datum<'a> {
    /// A value of a payload.
    pub fn of(raw: &'a RawValue) -> Self {
        let text = raw.get();
        match text.as_bytes().first() {
            Some(b'n') => Self::Null,
            Some(b't') => Self::Boolean(true),
            Some(b'f') => Self::Boolean(false),
            Some(b'"') if !text.contains('\\') => {
                Self::Text(text.get(1..text.len() - 1).unwrap_or_default().into())
            }
            Some(b'"') => Self::Text(serde_json::from_str::<String>(text).unwrap_or_default().into()),
            Some(b'{') => Self::Object(text.into()),
            Some(b'[') => Self::Array(text.into()),
            _ => Self::Number(text.into()),
        }
    }

    /// A scalar of a schema.
    pub fn of_scalar(value: &Value) -> Option<Datum<'static>> {
        Some(match value {
            Value::Null => Datum::Null,
            Value::Bool(boolean) => Datum::Boolean(*boolean),
            Value::Number(number) => Datum::Number(number.to_string().into()),
            Value::String(text) => Datum::Text(text.clone().into()),
            Value::Array(_) | Value::Object(_) => return None,
        })
    }

    /// Whether there is nothing to it: missing, null or empty text.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Missing | Self::Null => true,
            Self::Text(text) => text.is_empty(),
            _ => false,
        }
    }

    /// How much text it has.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Number(text) | Self::Text(text) | Self::Object(text) | Self::Array(text) => text.len(),
            Self::Missing | Self::Null | Self::Boolean(_) => 0,
        }
    }

    /// Appends the JSON of it.
    pub fn push_json(&self, out: &mut String) {
        match self {
            Self::Missing | Self::Null => out.push_str("null"),
            Self::Boolean(boolean) => out.push_str(if *boolean { "true" } else { "false" }),
            Self::Number(text) | Self::Object(text) | Self::Array(text) => out.push_str(text),
            Self::Text(text) => push_text(out, text),
        }
    }
}

/// Appends a JSON string.
pub(super) fn push_text(out: &mut String, text: &str) {
    out.push_str(&Value::from(text).to_string());
}
