//! What a product sends: read, checked and matched. Pure but for the lookups that it is given, and the
//! same for one event and for a bulk. Heddle's own format is read here; `cloudevents` has the other one.

use std::sync::Arc;

use heddle_core::delivery::State;
use heddle_core::event::{DEFAULT_RESOURCE, Event, is_event_name, is_label};
use heddle_core::id::{DeliveryId, EventId, WorkspaceId};
use heddle_core::json::{PayloadError, check_payload};
use heddle_core::routing::Matched;
use heddle_core::rule::Rule;
use heddle_core::time::Timestamp;
use heddle_store::{Acceptance, Emission, NewDelivery};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::App;
use crate::caller::{Caller, Credential};
use crate::error::{ApiError, Problem};
use crate::idempotency::{self, HeaderKey, KEY_RULE, Name, is_key};
use crate::rules::LABEL_RULE;

/// An event as it was sent. Members that are not named here are ignored.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    event: Option<&'a RawValue>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    #[serde(borrow)]
    resource: Option<&'a RawValue>,
    #[serde(borrow)]
    resource_id: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    workspace: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
}

/// What an event's name must be.
pub const EVENT_RULE: &str =
    "must be a name of 1 to 128 bytes without control characters, * or spaces around it";

/// An event that passed every check that needs no lookup.
#[derive(Debug)]
#[allow(missing_docs)]
pub struct Checked {
    pub workspace: Option<WorkspaceId>,
    pub event: String,
    pub resource: String,
    pub resource_id: Option<String>,
    pub payload: Arc<str>,
    /// What its emitter calls it by.
    pub name: Option<Name>,
}

/// Reads one event's JSON text, whose payload has at most `limit` bytes.
pub fn check(text: &str, limit: usize) -> Result<Checked, ApiError> {
    // A sequence would be taken for the members in their order.
    if !text.trim_start().starts_with('{') {
        let readable = serde_json::from_str::<&RawValue>(text);
        return Err(match readable {
            Ok(_) => ApiError::invalid("body", "must be a JSON object"),
            Err(error) => ApiError::MalformedJson(error.to_string()),
        });
    }
    let envelope: Envelope =
        serde_json::from_str(text).map_err(|error| ApiError::MalformedJson(error.to_string()))?;
    let mut problems = Vec::new();
    let payload = payload(
        "payload",
        envelope.payload.map(RawValue::get),
        limit,
        &mut problems,
    )?;
    let mut text_of = |param: &str, raw: Option<&RawValue>, check: fn(&str) -> bool, rule: &str| {
        let text = serde_json::from_str::<Option<String>>(raw?.get());
        match text {
            Ok(None) => None,
            Ok(Some(text)) if check(&text) => Some(text),
            _ => {
                problems.push(Problem::new(param, rule));
                None
            }
        }
    };
    let event = text_of("event", envelope.event, is_event_name, EVENT_RULE);
    // An empty text is what some emitters send for nothing.
    let none_or_label = |text: &str| text.is_empty() || is_label(text);
    let resource = text_of("resource", envelope.resource, none_or_label, LABEL_RULE);
    let resource_id = text_of("resource_id", envelope.resource_id, none_or_label, LABEL_RULE);
    let (resource, resource_id) = (
        resource.filter(|text| !text.is_empty()),
        resource_id.filter(|text| !text.is_empty()),
    );
    text_of("type", envelope.kind, |kind| kind == "event", "must be event");
    let is_uuid = |text: &str| text.parse::<WorkspaceId>().is_ok();
    let workspace = text_of("workspace", envelope.workspace, is_uuid, "must be a UUID");
    let name = text_of("id", envelope.id, is_key, KEY_RULE).map(Name::Own);
    if event.is_none() && !problems.iter().any(|problem| problem.param == "event") {
        problems.insert(0, Problem::new("event", "is required"));
    }
    match (event, payload) {
        (Some(event), Some(payload)) if problems.is_empty() => Ok(Checked {
            workspace: workspace.and_then(|id| id.parse().ok()),
            event,
            resource: resource.unwrap_or_else(|| DEFAULT_RESOURCE.into()),
            resource_id,
            payload,
            name,
        }),
        _ => Err(ApiError::Invalid(problems)),
    }
}

/// The payload, byte for byte. `param` is where it stands.
pub fn payload(
    param: &str,
    text: Option<&str>,
    limit: usize,
    problems: &mut Vec<Problem>,
) -> Result<Option<Arc<str>>, ApiError> {
    let Some(text) = text.filter(|text| *text != "null") else {
        problems.push(Problem::new(param, "is required"));
        return Ok(None);
    };
    match check_payload(text, limit) {
        Ok(payload) => {
            if let Some(email) = email_of(&payload)
                && !is_email(&email)
            {
                problems.push(Problem::new(
                    format!("{param}.email"),
                    "must be an e-mail address",
                ));
            }
            Ok(Some(payload))
        }
        Err(error @ (PayloadError::TooLong { .. } | PayloadError::TooDeep)) => {
            Err(ApiError::TooLarge(format!("The {error}.")))
        }
        Err(error) => {
            problems.push(Problem::new(param, error.to_string()));
            Ok(None)
        }
    }
}

/// The payload's `email`, when it is a string.
fn email_of(payload: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Known<'a> {
        #[serde(borrow)]
        email: Option<&'a RawValue>,
    }
    let known: Known = serde_json::from_str(payload).ok()?;
    serde_json::from_str(known.email?.get()).ok()
}

/// Whether the text has the form of an e-mail address. Whether it can be written to is for the
/// destination to find out, so this is lenient.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let clean = |part: &str| {
        !part
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || c == '@')
    };
    let label = |label: &str| {
        !label.is_empty() && !label.starts_with('-') && label.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    (1..=64).contains(&local.len()) && clean(local) && domain.len() <= 253 && domain.split('.').all(label)
}

/// Where an event goes.
pub fn workspace_of(checked: &Checked, caller: &Caller) -> Result<WorkspaceId, ApiError> {
    caller.keeps_to_resource(Some(&checked.resource), checked.resource_id.as_deref())?;
    let own = caller.reach().only_workspace();
    match checked.workspace.or(own) {
        Some(named) if caller.credential() == Credential::Publishable && own != Some(named) => Err(
            ApiError::Forbidden("The publishable key belongs to another workspace than the event names."),
        ),
        Some(named) => Ok(named),
        None => Err(ApiError::invalid("workspace", "is required with a machine token")),
    }
}

/// The event with a delivery for each rule that it matches, and what keeps it from being accepted
/// twice.
pub async fn matched(
    app: &App,
    checked: Checked,
    workspace: WorkspaceId,
    caller: &Caller,
    key: Option<HeaderKey<'_>>,
    now: Timestamp,
) -> Result<Emission, ApiError> {
    let once = idempotency::once(caller.credential(), &checked, key);
    let event = Event {
        id: EventId::new(now, app.random()),
        workspace,
        event: checked.event,
        resource: checked.resource,
        resource_id: checked.resource_id,
        payload: checked.payload,
        created_by: caller.name.clone(),
        created_at: now,
    };
    let rules = app.store.rules_of(workspace).await?;
    let mut deliveries = Vec::new();
    let matching = app.matching.of(&rules, &event).await;
    for Matched { rule, ordering_key } in matching {
        deliveries.push(NewDelivery {
            id: DeliveryId::new(now, app.random()),
            rule: rule.id,
            connection: rule.connection,
            leased_until: None,
            state: first_state(app, rule, now).await?,
            ordering_key,
        });
    }
    let acceptance = Acceptance { event, deliveries };
    Ok(Emission { acceptance, once })
}

/// Due by the connection's own schedule, if it has one.
async fn first_state(app: &App, rule: &Rule, now: Timestamp) -> Result<State, ApiError> {
    let connection = app.store.connection_for_delivery(rule.connection).await?;
    let own = connection.and_then(|connection| connection.retry_schedule());
    let seed = u64::from_le_bytes(app.random());
    Ok(State::new(now, own.as_ref().unwrap_or(&app.schedule), seed))
}

#[cfg(test)]
mod tests {
    use heddle_core::json::MAX_PAYLOAD_BYTES;

    use super::*;

    fn check(text: &str) -> Result<Checked, ApiError> {
        super::check(text, MAX_PAYLOAD_BYTES)
    }

    #[test]
    fn an_event_is_read_with_its_payload_byte_for_byte() {
        let text = r#" {"x": [1], "event": "lesson.completed", "payload":  {"b": 1.10, "a":"é"} ,
            "type": "event", "resource_id": "c:1", "workspace": null}"#;
        let checked = check(text).unwrap();
        assert_eq!(&*checked.payload, r#"{"b": 1.10, "a":"é"}"#);
        assert_eq!(
            (checked.event.as_str(), checked.resource.as_str()),
            ("lesson.completed", "global")
        );
        assert_eq!(
            (checked.resource_id.as_deref(), checked.workspace),
            (Some("c:1"), None)
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            (r#"{"payload":{}}"#, "event"),
            (r#"{"event":null,"payload":{}}"#, "event"),
            (r#"{"event":"","payload":{}}"#, "event"),
            (r#"{"event":" a","payload":{}}"#, "event"),
            (r#"{"event":"a.*","payload":{}}"#, "event"),
            (r#"{"event":5,"payload":{}}"#, "event"),
            (r#"{"event":"a"}"#, "payload"),
            (r#"{"event":"a","payload":null}"#, "payload"),
            (r#"{"event":"a","payload":[1]}"#, "payload"),
            (r#"{"event":"a","payload":"{}"}"#, "payload"),
            (r#"{"event":"a","payload":{"k":1,"k":2}}"#, "payload"),
            (r#"{"event":"a","payload":{"email":"nobody"}}"#, "payload.email"),
            (r#"{"event":"a","payload":{},"type":"rule"}"#, "type"),
            (r#"{"event":"a","payload":{},"resource":" a"}"#, "resource"),
            (r#"{"event":"a","payload":{},"resource_id":7}"#, "resource_id"),
            (r#"{"event":"a","payload":{},"workspace":"mine"}"#, "workspace"),
            (r#"{"event":"a","payload":{},"id":7}"#, "id"),
            (r#"{"event":"a","payload":{},"id":""}"#, "id"),
            (r#"{"event":"a","payload":{},"id":"é"}"#, "id"),
            ("[]", "body"),
            ("7", "body"),
        ];
        for (text, param) in cases {
            let ApiError::Invalid(problems) = check(text).unwrap_err() else {
                panic!("{text}")
            };
            assert_eq!(problems[0].param, param, "{text}: {problems:?}");
        }
        for text in [
            "",
            "{",
            r#"{"event":"a","event":"b","payload":{}}"#,
            r#"{"event":"a","payload":{}} x"#,
        ] {
            assert_eq!(check(text).unwrap_err().code(), "malformed_json", "{text}");
        }
    }

    #[test]
    fn a_payload_over_a_limit_is_413_with_the_limit_named() {
        let long = format!(r#"{{"event":"a","payload":{{"x":"{}"}}}}"#, "x".repeat(262_144));
        let deep = format!(
            r#"{{"event":"a","payload":{}1{}}}"#,
            r#"{"x":"#.repeat(65),
            "}".repeat(65)
        );
        for (text, limit) in [(long, "262144"), (deep, "64")] {
            let error = check(&text).unwrap_err();
            assert_eq!(error.code(), "payload_too_large");
            assert!(error.body().to_string().contains(limit), "{}", error.body());
        }
    }

    #[test]
    fn an_address_is_told_from_what_is_none() {
        for good in [
            "nina@academyflow.io",
            "a.b+c@x-y.example",
            "用户@例子.公司",
            "root@localhost",
        ] {
            assert!(is_email(good), "{good}");
        }
        for bad in [
            "", "nina", "@a.b", "nina@", "a b@c.d", "a@b..c", "a@b c", "a@@b", "a@b\n", "a@-b.c",
        ] {
            assert!(!is_email(bad), "{bad:?}");
        }
        let checked = check(r#"{"event":"a","payload":{"email":null,"user":{"email":"x"}}}"#);
        assert!(
            checked.is_ok(),
            "only a string at the top is held against the form"
        );
    }
}
