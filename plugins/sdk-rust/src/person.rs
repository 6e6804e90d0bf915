//! What most destinations ask of an event: who it is about, and what the mapping says of them.

use serde_json::{Map, Value};

use crate::Delivery;

/// The person that a payload speaks of, by the names that products commonly give to these members:
/// `first_name`, `last_name`, `name` and `phone`. A part that is missing is made from the others where
/// that is possible. For fields that no mapping fills; see [`Delivery::email`] for the address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// `first_name`, or all of `name` but its last word.
    pub first_name: Option<String>,
    /// `last_name`, or the last of several words of `name`.
    pub last_name: Option<String>,
    /// `name`, or the first and the last name.
    pub name: Option<String>,
    /// `phone`, as it was written.
    pub phone: Option<String>,
}

impl Delivery {
    /// The person that the payload speaks of.
    pub fn person(&self) -> Person {
        let member = |key: &str| {
            let text = text_of(self.event.payload().get(key)?, " ");
            Some(text.trim().to_owned()).filter(|text| !text.is_empty())
        };
        let (mut first, mut last, name) = (member("first_name"), member("last_name"), member("name"));
        let name = match (name, &first, &last) {
            (Some(name), None, None) => {
                match name.rsplit_once(char::is_whitespace) {
                    Some((given, family)) => {
                        first = Some(given.trim_end().to_owned());
                        last = Some(family.to_owned());
                    }
                    None => first = Some(name.clone()),
                }
                Some(name)
            }
            (None, Some(first), Some(last)) => Some(format!("{first} {last}")),
            (name, first, last) => name.or_else(|| first.clone()).or_else(|| last.clone()),
        };
        Person {
            first_name: first,
            last_name: last,
            name,
            phone: member("phone"),
        }
    }

    /// The mapped fields, and for those of `fallbacks` that the mapping leaves out or empty what is
    /// given here, where it is given.
    pub fn fields_or<const N: usize>(&self, fallbacks: [(&str, Option<String>); N]) -> Map<String, Value> {
        let mut fields = self.fields.clone();
        for (key, fallback) in fallbacks {
            if fields.get(key).is_none_or(Value::is_null)
                && let Some(text) = fallback
            {
                fields.insert(key.to_owned(), text.into());
            }
        }
        fields
    }
}

/// A value as the text that destinations without types take: nothing for `null`, several values
/// joined by `joint`, objects as JSON.
pub fn text_of(value: &Value, joint: &str) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(values) => {
            let texts: Vec<_> = values.iter().map(|value| text_of(value, joint)).collect();
            texts.join(joint)
        }
        other => other.to_string(),
    }
}

/// The values of a list; none where there is no list.
pub fn items(list: &Value) -> &[Value] {
    list.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scene;
    use serde_json::json;

    #[test]
    fn a_person_is_read_from_whatever_the_payload_has_of_them() {
        let cases = [
            (
                json!({"first_name": " Nina ", "last_name": "Ray"}),
                ["Nina", "Ray", "Nina Ray"],
            ),
            (
                json!({"name": "Nina van Dyk"}),
                ["Nina van", "Dyk", "Nina van Dyk"],
            ),
            (json!({"name": "Nina"}), ["Nina", "", "Nina"]),
            (json!({"first_name": "Nina"}), ["Nina", "", "Nina"]),
            (json!({"last_name": "Ray"}), ["", "Ray", "Ray"]),
            (
                json!({"name": "N. Ray", "first_name": "Nina"}),
                ["Nina", "", "N. Ray"],
            ),
            (json!({"name": "  ", "first_name": null}), ["", "", ""]),
        ];
        for (payload, [first, last, name]) in cases {
            let person = Scene::action("x").payload(payload.clone()).delivery().person();
            let text = |part: Option<String>| part.unwrap_or_default();
            let read = [text(person.first_name), text(person.last_name), text(person.name)];
            assert_eq!(read, [first, last, name], "{payload}");
        }
        let person = Scene::action("x")
            .payload(json!({"phone": 4930123}))
            .delivery()
            .person();
        assert_eq!(person.phone.as_deref(), Some("4930123"));
    }

    #[test]
    fn a_fallback_never_takes_the_place_of_a_mapped_value() {
        let delivery = Scene::action("x")
            .field("a", "mapped")
            .field("b", json!(null))
            .field("c", false)
            .delivery();
        let text = |text: &str| Some(text.to_owned());
        let fields = delivery.fields_or([("a", text("x")), ("b", text("y")), ("c", text("z")), ("d", None)]);
        assert_eq!(
            Value::Object(fields),
            json!({"a": "mapped", "b": "y", "c": false})
        );
    }

    #[test]
    fn every_value_has_a_text() {
        let cases = [
            (json!(null), ""),
            (json!("a"), "a"),
            (json!(1.5), "1.5"),
            (json!(true), "true"),
            (json!(["a", 1, null]), "a;1;"),
            (json!({"a": 1}), r#"{"a":1}"#),
        ];
        for (value, text) in cases {
            assert_eq!(text_of(&value, ";"), text, "{value}");
        }
        assert_eq!(items(&json!([1])), [json!(1)]);
        assert!(items(&json!({"a": 1})).is_empty());
    }
}
