//! What Heddle tells an adapter. None of it holds a secret.

use std::cell::OnceCell;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::template::{Escape, render};
use crate::time::iso_8601_text;
use crate::{Failure, Stop};

/// One event to deliver by one action of one connection.
pub struct Delivery {
    /// The same across all attempts: the deduplication key, where the destination takes one.
    pub id: String,
    /// Counts from 1.
    pub attempt: u64,
    /// The start of this attempt, in milliseconds since the epoch.
    pub sent_at: i64,
    /// What happened.
    pub event: Event,
    /// The key of the action.
    pub action: String,
    /// The rule's metadata; see [`Self::input`].
    pub inputs: Map<String, Value>,
    /// The destination's fields as the connection's mapping filled them; empty without a mapping.
    pub fields: Map<String, Value>,
    /// Where to.
    pub connection: Connection,
}

/// What a product emitted.
pub struct Event {
    /// The event's id.
    pub id: String,
    /// Its name, such as `lesson.completed`.
    pub event: String,
    /// The kind of thing that it is about.
    pub resource: String,
    /// Which one, when the event names one.
    pub resource_id: Option<String>,
    /// When it was accepted, in milliseconds since the epoch.
    pub created_at: i64,
    /// The payload byte for byte as it was emitted: its order of keys and its spelling of numbers.
    pub payload_text: String,
    /// Its value, once somebody has asked for it.
    payload: OnceCell<Value>,
}

impl Event {
    /// What the emitter has to say: a JSON object.
    pub fn payload(&self) -> &Value {
        // Its syntax was checked with the rest of the input.
        self.payload
            .get_or_init(|| serde_json::from_str(&self.payload_text).unwrap_or_default())
    }

    /// When it was accepted, as `2026-03-21T23:59:59.500Z`.
    pub fn created_at_text(&self) -> String {
        iso_8601_text(self.created_at)
    }
}

impl Delivery {
    /// An input of the rule that the action cannot do without: a text that is not blank, or a number
    /// as text.
    pub fn input(&self, key: &str) -> Result<String, Failure> {
        self.optional_input(key)
            .ok_or_else(|| Failure::mapping(format!("the rule's {key:?} is missing or empty")))
    }

    /// An input of the rule, if it is there and not blank.
    pub fn optional_input(&self, key: &str) -> Option<String> {
        scalar_text(self.inputs.get(key)?).filter(|text| !text.trim().is_empty())
    }

    /// Whether an input of the rule is `true`, as a boolean or as text: for what must be asked for.
    pub fn is_on(&self, key: &str) -> bool {
        self.inputs
            .get(key)
            .is_some_and(|value| *value == true || *value == "true")
    }

    /// A template among the rule's inputs, rendered from the payload's root.
    pub fn template(&self, key: &str, escape: Escape) -> Result<String, Failure> {
        render(&self.input(key)?, self.event.payload(), escape)
    }

    /// The address of the person that the event is about: the mapped field `email`, or else the
    /// payload's `email`.
    pub fn email(&self) -> Result<String, Failure> {
        self.optional_email()?
            .ok_or_else(|| Failure::mapping("neither the mapping nor the payload has an email"))
    }

    /// The same, for destinations that know people by other things too: `None` without an address, and
    /// a failure for one that is none.
    pub fn optional_email(&self) -> Result<Option<String>, Failure> {
        let found = self.fields.get("email").filter(|value| !value.is_null());
        match found.or_else(|| self.event.payload().get("email")) {
            Some(Value::String(text)) if !text.trim().is_empty() => address(text).map(Some),
            _ => Ok(None),
        }
    }

    /// The failure for an action that the adapter does not have, for the last arm of a `match`.
    pub fn unknown_action(&self) -> Stop {
        Failure::permanent(format!("this destination has no action {:?}", self.action)).into()
    }
}

/// A configured destination: its settings, and which secrets are set.
pub struct Connection {
    /// The connection's id.
    pub id: String,
    /// The settings that are no secrets.
    pub settings: Map<String, Value>,
    /// The keys of the secrets that are set.
    pub credentials: Vec<String>,
}

impl Connection {
    /// A setting that is text and not blank.
    pub fn setting(&self, key: &str) -> Option<&str> {
        self.settings
            .get(key)?
            .as_str()
            .filter(|text| !text.trim().is_empty())
    }

    /// Whether a setting is `true`, as a boolean or as text.
    pub fn is_on(&self, key: &str) -> bool {
        self.settings
            .get(key)
            .is_some_and(|value| *value == true || *value == "true")
    }

    /// Whether the secret of that key is set.
    pub fn has_secret(&self, key: &str) -> bool {
        self.credentials.iter().any(|credential| credential == key)
    }
}

/// What `choices` and `fields` are asked.
pub struct Query {
    /// Of which connection.
    pub connection: Connection,
    /// For which action.
    pub action: String,
    /// For which of its inputs.
    pub input: String,
    /// Only what matches this text, as far as the destination can search.
    pub search: Option<String>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
}

impl Query {
    /// The search text, if it is there and not blank.
    pub fn search(&self) -> Option<&str> {
        self.search
            .as_deref()
            .map(str::trim)
            .filter(|text| !text.is_empty())
    }

    /// The cursor as a number of things to skip, for destinations that page by offset: 0 at first.
    pub fn offset(&self) -> u64 {
        self.cursor
            .as_deref()
            .and_then(|cursor| cursor.parse().ok())
            .unwrap_or(0)
    }

    /// Whether `label` holds the search text, without regard to case: for destinations that cannot
    /// search.
    pub fn matches(&self, label: &str) -> bool {
        self.search()
            .is_none_or(|search| label.to_lowercase().contains(&search.to_lowercase()))
    }
}

// Most of the inputs is taken apart by hand: derived readers would be a tenth of a small component.

impl Delivery {
    pub(crate) fn read(input: &str) -> Result<Self, Failure> {
        let mut input: Input<'_> = serde_json::from_str(input).map_err(unreadable)?;
        let (mut delivery, event) = (input.delivery, input.event);
        Ok(Self {
            id: take_text(&mut delivery, "id"),
            attempt: delivery["attempt"].as_u64().unwrap_or(1),
            sent_at: delivery["sent_at"].as_i64().unwrap_or(0),
            event: Event {
                id: event.id,
                event: event.event,
                resource: event.resource,
                resource_id: event.resource_id.filter(|id| !id.is_empty()),
                created_at: event.created_at,
                payload_text: event.payload.get().to_owned(),
                payload: OnceCell::new(),
            },
            action: input.action,
            inputs: input.inputs,
            fields: input.fields,
            connection: Connection::take(&mut input.connection),
        })
    }
}

/// The input of `deliver`. The payload, which may be long, is read when it is asked for.
#[derive(Deserialize)]
struct Input<'a> {
    delivery: Value,
    #[serde(borrow)]
    event: EventInput<'a>,
    action: String,
    inputs: Map<String, Value>,
    fields: Map<String, Value>,
    connection: Value,
}

#[derive(Deserialize)]
struct EventInput<'a> {
    id: String,
    event: String,
    resource: String,
    resource_id: Option<String>,
    created_at: i64,
    #[serde(borrow)]
    payload: &'a RawValue,
}

impl Connection {
    /// Takes the connection out of the input of a function other than `deliver`.
    pub(crate) fn read(input: &mut Value) -> Self {
        Self::take(&mut input["connection"])
    }

    fn take(connection: &mut Value) -> Self {
        let credentials = connection["credentials"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let credentials = credentials.iter().filter_map(scalar_text).collect();
        Self {
            id: take_text(connection, "id"),
            settings: take_map(connection, "settings"),
            credentials,
        }
    }
}

impl Query {
    pub(crate) fn read(input: &mut Value) -> Self {
        let given = |text: String| Some(text).filter(|text| !text.is_empty());
        Self {
            connection: Connection::read(input),
            action: take_text(input, "action"),
            input: take_text(input, "input"),
            search: given(take_text(input, "search")),
            cursor: given(take_text(input, "cursor")),
        }
    }
}

pub(crate) fn unreadable(error: serde_json::Error) -> Failure {
    Failure::permanent(format!("the input cannot be read: {error}"))
}

fn take_text(from: &mut Value, key: &str) -> String {
    match from.get_mut(key).map(Value::take) {
        Some(Value::String(text)) => text,
        _ => String::new(),
    }
}

fn take_map(from: &mut Value, key: &str) -> Map<String, Value> {
    match from.get_mut(key).map(Value::take) {
        Some(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

/// The text (or number, as text) at a JSON pointer of an answer, such as `/results/0/id`. An answer
/// without it is a retryable failure.
pub fn text_at(answer: &Value, pointer: &str) -> Result<String, Failure> {
    answer
        .pointer(pointer)
        .and_then(scalar_text)
        .filter(|text| !text.is_empty())
        .ok_or_else(|| Failure::retryable(format!("the answer has no {pointer}")))
}

fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// `text` without white space around it, if it can be an e-mail address at all; whether it is one, only
/// its server knows. Else a mapping failure.
pub fn address(text: &str) -> Result<String, Failure> {
    let text = text.trim();
    if is_email(text) {
        Ok(text.to_owned())
    } else {
        Err(Failure::mapping("the email is not a valid address"))
    }
}

fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let bad = |c: char| c.is_whitespace() || c.is_control() || "<>(),;:\"".contains(c);
    text.len() <= 254
        && (1..=64).contains(&local.len())
        && domain.split('.').count() > 1
        && domain.split('.').all(|label| !label.is_empty())
        && !local.contains('@')
        && !text.contains(bad)
}

#[cfg(test)]
mod tests {
    use crate::testing::Scene;
    use serde_json::json;

    #[test]
    fn the_payload_is_at_hand_as_value_and_byte_for_byte() {
        let delivery = Scene::action("x")
            .payload_text(r#"{"b": 1.10, "a":{"c":1e2}}"#)
            .delivery();
        assert_eq!(delivery.event.payload_text, r#"{"b": 1.10, "a":{"c":1e2}}"#);
        assert_eq!(delivery.event.payload()["a"]["c"], 100.0);
    }

    #[test]
    fn an_email_comes_from_the_mapping_before_the_payload_and_must_look_like_one() {
        let scene = || Scene::action("x").payload(json!({"email": " nina@academyflow.io "}));
        assert_eq!(scene().delivery().email().unwrap(), "nina@academyflow.io");
        assert_eq!(
            scene()
                .field("email", json!("a@b.co"))
                .delivery()
                .email()
                .unwrap(),
            "a@b.co"
        );
        assert_eq!(
            scene().field("email", json!(null)).delivery().email().unwrap(),
            "nina@academyflow.io"
        );
        for bad in [
            "",
            "nina",
            "@b.co",
            "a@b",
            "a@.co",
            "a@b.",
            "a@b@c.co",
            "a b@c.co",
            "a@b.co\r\n",
            "<a@b.co>",
        ] {
            let email = scene().field("email", json!(bad)).delivery().email();
            assert_eq!(email.is_ok(), bad == "a@b.co\r\n", "{bad:?}");
        }
        let email = |payload| Scene::action("x").payload(payload).delivery().optional_email();
        assert!(email(json!({"email": "nobody"})).is_err());
        for none in [json!({"email": 7}), json!({"email": " "}), json!({"x": 1})] {
            assert_eq!(email(none.clone()), Ok(None), "{none}");
            assert!(Scene::action("x").payload(none).delivery().email().is_err());
        }
    }

    #[test]
    fn inputs_and_settings_are_texts_or_missing() {
        let delivery = Scene::action("x")
            .input("id", json!(12))
            .input("blank", json!("  "))
            .input("yes", "true")
            .setting("on", json!(true))
            .setting("on_too", json!("true"))
            .setting("off", json!("false"))
            .secret("token")
            .delivery();
        assert_eq!(delivery.input("id").unwrap(), "12");
        assert!(delivery.input("blank").is_err() && delivery.input("none").is_err());
        assert!(delivery.is_on("yes") && !delivery.is_on("id") && !delivery.is_on("none"));
        assert_eq!(delivery.event.created_at_text(), "2026-03-22T00:00:00.000Z");
        let connection = &delivery.connection;
        assert!(connection.is_on("on") && connection.is_on("on_too"));
        assert!(!connection.is_on("off") && !connection.is_on("none"));
        assert!(connection.has_secret("token") && !connection.has_secret("other"));
    }
}
