//! Events, as they are sent and as the server answers for them.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::error::Error;

/// An event as it is sent. The payload is written once, here, and sent byte for byte.
#[derive(Clone, Debug, Serialize)]
pub struct EventInput {
    event: String,
    payload: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workspace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
}

impl EventInput {
    /// An event of this name, such as `lesson.completed`. The payload is whatever is written as a JSON object;
    /// destinations that work with people look for `email` in it.
    pub fn new(event: impl Into<String>, payload: &impl Serialize) -> Result<Self, Error> {
        let invalid = |message: &str| Error::new("invalid_event", message);
        let event = event.into();
        if event.trim().is_empty() {
            return Err(invalid("an event needs a name"));
        }
        let payload = serde_json::value::to_raw_value(payload)
            .map_err(|error| invalid(&format!("the payload cannot be written as JSON: {error}")))?;
        if !payload.get().starts_with('{') {
            return Err(invalid("the payload must be an object"));
        }
        Ok(Self {
            event,
            payload,
            resource: None,
            resource_id: None,
            workspace: None,
            id: None,
        })
    }

    /// What it is about: the kind of thing, and which one.
    pub fn about(mut self, resource: impl Into<String>, id: impl Into<String>) -> Self {
        (self.resource, self.resource_id) = (Some(resource.into()), Some(id.into()));
        self
    }

    /// Whose it is. Known with a publishable key, needed with a machine key.
    pub fn in_workspace(mut self, workspace: impl Into<String>) -> Self {
        self.workspace = Some(workspace.into());
        self
    }

    /// Its idempotency key: within 24 hours it is accepted once, however often it is sent.
    pub fn once_as(mut self, key: impl Into<String>) -> Self {
        self.id = Some(key.into());
        self
    }

    /// Its idempotency key, if it has one.
    pub fn key(&self) -> Option<&str> {
        self.id.as_deref()
    }

    pub(crate) fn text(&self) -> Result<String, Error> {
        serde_json::to_string(self).map_err(|error| Error::new("invalid_event", error.to_string()))
    }
}

/// An event that is on the server's disk, with its deliveries.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs)]
pub struct AcceptedEvent {
    pub id: String,
    pub event: String,
    pub resource: Option<String>,
    pub resource_id: Option<String>,
    pub workspace: String,
    pub created_by: String,
    pub created_at: String,
    /// In a batch: it was there already, under its key.
    #[serde(default)]
    pub idempotent_replay: bool,
}

/// An event of a batch that the server refused.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs)]
pub struct RefusedEvent {
    pub message: String,
    pub code: Option<String>,
    /// The rest of it, as in the answer.
    #[serde(default)]
    pub error: Value,
}

/// What became of one event of a batch.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
#[allow(missing_docs)]
pub enum Record {
    Accepted(AcceptedEvent),
    Refused(RefusedEvent),
}

/// What became of a batch; each record stands at the place of its event.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct BatchResult {
    /// One for each event.
    pub records: Vec<Record>,
}

impl BatchResult {
    /// The events that were accepted.
    pub fn accepted(&self) -> impl Iterator<Item = &AcceptedEvent> {
        self.records.iter().filter_map(|record| match record {
            Record::Accepted(event) => Some(event),
            Record::Refused(_) => None,
        })
    }

    /// The events that were refused, by their place in the batch.
    pub fn refused(&self) -> impl Iterator<Item = (usize, &RefusedEvent)> {
        self.records
            .iter()
            .enumerate()
            .filter_map(|(place, record)| match record {
                Record::Accepted(_) => None,
                Record::Refused(event) => Some((place, event)),
            })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_written_with_what_it_has() {
        let event = EventInput::new("a", &json!({"n": 1})).unwrap();
        assert_eq!(event.text().unwrap(), r#"{"event":"a","payload":{"n":1}}"#);
        let event = event.about("course", "c1").in_workspace("w").once_as("k");
        assert_eq!(event.key(), Some("k"));
        assert_eq!(
            event.text().unwrap(),
            r#"{"event":"a","payload":{"n":1},"resource":"course","resource_id":"c1","workspace":"w","id":"k"}"#
        );
    }

    #[test]
    fn what_the_server_would_refuse_for_certain_is_no_event() {
        let code = |name: &str, payload| EventInput::new(name, &payload).unwrap_err().code().to_owned();
        assert_eq!(code(" ", json!({})), "invalid_event");
        for payload in [json!([]), json!("text"), json!(null), json!(7)] {
            assert_eq!(code("a", payload), "invalid_event");
        }
    }
}
