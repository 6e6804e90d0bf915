//! Keys of rules that order their deliveries: expressions in the same language as conditions, whose
//! value is a text, a number, or true or false.

use std::fmt;
use std::sync::Arc;

use super::eval::Failure;
use super::tree::Type;
use super::value::Value;
use super::{Facts, MAX_CONDITION_BYTES, Mistake, Program, Unmet, parse, unmet};

/// A compiled key. Clones are the same one.
#[derive(Clone)]
pub struct Key(Arc<Program>);

impl Key {
    /// Reads and checks a text.
    pub fn compile(source: &str) -> Result<Self, Mistake> {
        if source.len() > MAX_CONDITION_BYTES {
            let length = source.len();
            let message = format!("the key has {length} bytes; it may have {MAX_CONDITION_BYTES}");
            return Err(Mistake::at(source, 0, message));
        }
        let tree = parse::parse(source).map_err(|(at, message)| Mistake::at(source, at, message))?;
        match tree.kind_of {
            Type::Text | Type::Int | Type::Uint | Type::Double | Type::Bool | Type::Dyn => {}
            other => {
                let message = format!("the key is {}, which is no string, number or bool", other.a());
                return Err(Mistake::at(source, tree.start, message));
            }
        }
        let source = source.into();
        Ok(Self(Arc::new(Program { source, tree })))
    }

    /// What it comes to for an event, as text. Numbers that are equal are the same key, and so is a text
    /// with that number in it. `None`: there is no key, since a member is missing, `null` or empty.
    pub fn value(&self, facts: &Facts<'_>) -> Result<Option<String>, Unmet> {
        let found = facts.evaluate(|evaluation| {
            let value = evaluation.value(&self.0.tree)?;
            text_of(&value).ok_or_else(|| super::eval::wrong(&self.0.tree, not_a_key(&value)))
        });
        match found {
            Ok(text) => Ok(Some(text).filter(|text| !text.is_empty())),
            Err(Failure {
                why: super::eval::Why::Missing(_),
                ..
            }) => Ok(None),
            Err(failure) => Err(unmet(&self.0.source, &failure)),
        }
    }
}

fn not_a_key(value: &Value<'_>) -> String {
    format!("{} cannot be a key", value.type_of().a())
}

/// `None` for what cannot be a key; `null` is an empty one.
fn text_of(value: &Value<'_>) -> Option<String> {
    /// Above this, doubles are no longer all of the whole numbers.
    const WHOLE: f64 = 9_007_199_254_740_992.0;
    Some(match value {
        Value::Null => String::new(),
        Value::Bool(truth) => truth.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Uint(number) => number.to_string(),
        // 1.0 is 1, as it is in JSON.
        Value::Double(number) if number.fract() == 0.0 && number.abs() <= WHOLE => {
            (*number as i64).to_string()
        }
        Value::Double(number) => number.to_string(),
        other => other.text()?.to_owned(),
    })
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?})", self.0.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::id::{EventId, WorkspaceId};
    use crate::time::Timestamp;

    fn value(key: &str, payload: &str) -> Result<Option<String>, String> {
        let event = Event {
            id: EventId::new(Timestamp(0), [0; 10]),
            workspace: WorkspaceId::new(Timestamp(0), [0; 10]),
            event: "lesson.completed".into(),
            resource: "course".into(),
            resource_id: None,
            payload: payload.into(),
            created_by: "test".into(),
            created_at: Timestamp(0),
        };
        let key = Key::compile(key).map_err(|mistake| mistake.to_string())?;
        key.value(&Facts::of(&event)).map_err(|unmet| unmet.to_string())
    }

    #[test]
    fn a_key_is_a_text_a_number_or_a_truth() {
        let payload = r#"{"contact": {"email": "Nina@academyflow.io", "id": 42, "score": 1.5, "vip": true}}"#;
        for (key, expected) in [
            ("payload.contact.email", "Nina@academyflow.io"),
            ("payload.contact.email.lowerAscii()", "nina@academyflow.io"),
            ("payload.contact.id", "42"),
            ("payload.contact.score", "1.5"),
            ("payload.contact.vip", "true"),
            (
                "event.event + '/' + string(payload.contact.id)",
                "lesson.completed/42",
            ),
            ("has(payload.user) ? payload.user.id : payload.contact.id", "42"),
        ] {
            assert_eq!(value(key, payload), Ok(Some(expected.into())), "{key}");
        }
    }

    #[test]
    fn one_number_is_one_key_however_it_is_written() {
        for payload in [
            r#"{"id": 42}"#,
            r#"{"id": 42.0}"#,
            r#"{"id": 4.2e1}"#,
            r#"{"id": "42"}"#,
        ] {
            assert_eq!(value("payload.id", payload), Ok(Some("42".into())), "{payload}");
        }
        let large = value("payload.id", r#"{"id": 18446744073709551615}"#);
        assert_eq!(large, Ok(Some("18446744073709551615".into())));
        assert_ne!(
            value("payload.id", r#"{"id": 9007199254740993}"#),
            value("payload.id", r#"{"id": 9007199254740992}"#)
        );
    }

    #[test]
    fn what_is_missing_null_or_empty_is_no_key() {
        for payload in [
            "{}",
            r#"{"user": {}}"#,
            r#"{"user": {"id": null}}"#,
            r#"{"user": {"id": ""}}"#,
        ] {
            assert_eq!(value("payload.user.id", payload), Ok(None), "{payload}");
        }
        assert_eq!(value("event.resource_id", "{}"), Ok(None));
    }

    #[test]
    fn what_cannot_be_a_key_is_named_with_its_place() {
        for (key, part) in [
            ("payload.", "line 1, column"),
            ("[payload.id]", "the key is a list"),
            ("event.created_at", "the key is a timestamp"),
            ("payload", "the key is a map"),
            ("paylod.id", "line 1, column 1"),
            (&"x".repeat(5000), "it may have 4096"),
        ] {
            let why = value(key, "{}").unwrap_err();
            assert!(why.contains(part), "{key}: {why}");
        }
        let why = value("payload.user", r#"{"user": {"id": "hunter2"}}"#).unwrap_err();
        assert!(
            why.contains("a map cannot be a key") && !why.contains("hunter2"),
            "{why}"
        );
        assert!(value("payload.user.id", r#"{"user": 7}"#).is_err());
    }
}
