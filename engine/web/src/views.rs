//! The shapes of the answers, as the contract has them. A member that the contract calls optional is
//! left out when there is nothing to say; one that may be `null` is `null`.

use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use heddle_core::connection::{Connection, Health};
use heddle_core::id::{AttemptId, EventId, WorkspaceId};
use heddle_core::manifest::{Field, Manifest};
use heddle_core::ordering::Turn;
use heddle_core::outcome::OutcomeCode;
use heddle_core::rule::Rule;
use heddle_core::secret::MASK;
use heddle_delivery::Circuit;
use heddle_store::{Attempt, DeliveryRecord, EventRecord, PublishableKey, ResponseDetails, Workspace};
use http::header::CONTENT_TYPE;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::error::ApiError;

/// A whole list, or a page of one.
pub fn list(records: Vec<Value>, limit: Option<usize>, next_cursor: Option<String>) -> Value {
    let count = records.len();
    // The contract has `limit` above zero, also where a list is never cut.
    json!({"count": count, "limit": limit.unwrap_or(count.max(1)), "next_cursor": next_cursor, "records": records})
}

/// An answer with a type of its own.
pub fn shown(answer: &impl Serialize) -> Result<Value, ApiError> {
    serde_json::to_value(answer).map_err(|error| ApiError::Internal(error.to_string()))
}

/// A whole list, or a page of one, of records that have a type of their own.
#[derive(Debug, Serialize)]
pub struct List<T> {
    count: usize,
    limit: usize,
    next_cursor: Option<String>,
    records: Vec<T>,
}

impl<T> List<T> {
    /// A list that is never cut.
    pub fn whole(records: Vec<T>) -> Self {
        let count = records.len();
        // The contract has `limit` above zero, also where a list is never cut.
        Self {
            count,
            limit: count.max(1),
            next_cursor: None,
            records,
        }
    }

    /// A page of at most `limit`.
    pub fn page(records: Vec<T>, limit: usize, next_cursor: Option<String>) -> Self {
        Self {
            count: records.len(),
            limit,
            next_cursor,
            records,
        }
    }
}

/// A workspace.
pub fn workspace(workspace: &Workspace) -> Value {
    json!({
        "id": workspace.id,
        "name": workspace.name,
        "description": workspace.description,
        "created_at": workspace.created_at.to_string(),
        "updated_at": workspace.updated_at.to_string(),
    })
}

/// A workspace with its newest publishable key that is good, if there is one.
pub fn workspace_with_key(of: &Workspace, key: Option<&PublishableKey>) -> Value {
    let mut shown = workspace(of);
    shown["publishable_key"] = key.map_or(
        Value::Null,
        |key| json!({"public_key": key.key, "name": key.name}),
    );
    shown
}

/// A connection. Its secrets are masked, but for those called `in_the_clear`.
pub fn connection(connection: &Connection, manifest: Option<&Manifest>, in_the_clear: &[String]) -> Value {
    let mut shown = json!({
        "id": connection.id,
        "workspace": connection.workspace,
        "type": connection.kind,
        "name": connection.name,
        "metadata": metadata(connection, manifest, in_the_clear),
        "active": connection.health.is_active(),
        "hidden": connection.hidden,
        "created_by": connection.created_by,
        "created_at": connection.created_at.to_string(),
        "updated_at": connection.updated_at.to_string(),
    });
    if let Health::Inactive { reason, detail } = &connection.health {
        shown["inactive_reason"] = reason.as_str().into();
        shown["inactive_detail"] = detail.as_str().into();
    }
    if let Some(check) = &connection.check {
        shown["check"] = json!(CheckView {
            status: check.status.as_str(),
            message: &check.message,
            account: check.account.as_deref(),
            checked_at: check.checked_at.to_string(),
        });
    }
    shown
}

/// How a connection's destination does; additive to the contract.
pub fn add_circuit(shown: &mut Value, circuit: Circuit) {
    let (word, next_probe_at) = match circuit {
        Circuit::Closed => ("closed", None),
        Circuit::Open { next_probe_at } => ("open", Some(next_probe_at)),
        Circuit::Probing => ("probing", None),
    };
    shown["circuit"] = word.into();
    if let Some(at) = next_probe_at {
        shown["next_probe_at"] = at.to_string().into();
    }
}

/// How a connection's check went; additive to the contract.
#[derive(Serialize)]
struct CheckView<'a> {
    status: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'a str>,
    checked_at: String,
}

/// Settings and masked secrets in the order of the plugin's form; what that does not know comes last.
fn metadata(
    connection: &Connection,
    manifest: Option<&Manifest>,
    in_the_clear: &[String],
) -> Map<String, Value> {
    let mut shown = Map::new();
    let fields = manifest
        .map(|manifest| manifest.authentication.fields.as_slice())
        .unwrap_or_default();
    let in_order = fields
        .iter()
        .map(|field| &field.key)
        .chain(connection.settings.keys())
        .chain(connection.secrets.keys());
    for key in in_order {
        // A secret is a secret even if a later version of the plugin called it a setting.
        let value = match connection.secrets.get(key) {
            Some(secret) if in_the_clear.contains(key) => Some(secret.reveal().into()),
            Some(_) => Some(MASK.into()),
            None => connection.settings.get(key).cloned(),
        };
        shown.extend(value.map(|value| (key.clone(), value)));
    }
    shown
}

/// A rule.
pub fn rule(rule: &Rule) -> Value {
    let mut shown = json!({
        "id": rule.id,
        "connection": rule.connection,
        "workspace": rule.workspace,
        "type": rule.kind,
        "event": rule.event,
        "metadata": rule.metadata,
        "active": rule.active,
        "hidden": rule.hidden,
        "created_by": rule.created_by,
        "created_at": rule.created_at.to_string(),
        "updated_at": rule.updated_at.to_string(),
    });
    put(&mut shown, "resource", rule.resource.as_deref());
    put(&mut shown, "resource_id", rule.resource_id.as_deref());
    put(&mut shown, "condition", rule.condition.as_deref());
    if let Some(order) = &rule.order {
        shown["ordering_key"] = order.key.as_str().into();
        shown["ordering_on_failure"] = order.on_failure.as_str().into();
    }
    if let Some(mapping) = &rule.mapping {
        shown["mapping"] = serde_json::from_str(mapping).unwrap_or_default();
    }
    shown
}

/// What is left of a rule that was deleted.
pub fn deleted_rule(rule: &Rule) -> Value {
    let mut shown =
        json!({"id": rule.id, "connection": rule.connection, "type": rule.kind, "event": rule.event});
    put(&mut shown, "resource", rule.resource.as_deref());
    put(&mut shown, "resource_id", rule.resource_id.as_deref());
    shown
}

/// The answer to an emitted event. Written without a [`Value`] in between: a bulk answers with a hundred.
#[derive(Serialize)]
pub struct AcceptedEvent {
    id: EventId,
    event: String,
    resource: String,
    #[serde(rename = "type")]
    kind: &'static str,
    workspace: WorkspaceId,
    created_by: String,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_id: Option<String>,
}

impl From<EventRecord> for AcceptedEvent {
    fn from(event: EventRecord) -> Self {
        Self {
            id: event.id,
            event: event.event,
            resource: event.resource,
            kind: "event",
            workspace: event.workspace,
            created_by: event.created_by,
            created_at: event.created_at.to_string(),
            resource_id: event.resource_id,
        }
    }
}

/// An event as it is read.
pub fn event(event: &EventRecord) -> Value {
    let mut shown = json!(AcceptedEvent::from(event.clone()));
    shown["status"] = event.status.as_str().into();
    shown["total_rules"] = event.total_rules().into();
    shown["completed_count"] = event.tally.completed.into();
    shown["failed_count"] = event.tally.failed.into();
    put(&mut shown, "started_at", event.started_at);
    put(&mut shown, "completed_at", event.completed_at);
    shown
}

/// An event with its deliveries.
pub fn event_with_rule_events(of: &EventRecord, deliveries: &[DeliveryRecord]) -> Value {
    let mut shown = event(of);
    shown["rule_events"] = deliveries
        .iter()
        .map(|delivery| rule_event(of, delivery))
        .collect();
    shown
}

/// An event whose payload is past its time.
pub fn event_without_payload(of: &EventRecord) -> Value {
    let mut shown = event(of);
    shown["payload"] = Value::Null;
    shown["payload_gone"] = Value::Bool(true);
    shown
}

/// An event with its payload, byte for byte as it was sent.
pub fn event_with_payload(of: &EventRecord, payload: &str) -> serde_json::Result<Response> {
    #[derive(Serialize)]
    struct EventWithPayload<'a> {
        #[serde(flatten)]
        event: Value,
        payload: &'a RawValue,
    }
    let shown = EventWithPayload {
        event: event(of),
        payload: serde_json::from_str(payload)?,
    };
    let text = serde_json::to_string(&shown)?;
    Ok(([(CONTENT_TYPE, "application/json")], text).into_response())
}

/// A delivery, which the contract calls a rule event.
pub fn rule_event(event: &EventRecord, delivery: &DeliveryRecord) -> Value {
    let mut shown = json!({
        "id": delivery.id,
        "type": "rule",
        "workspace": delivery.workspace,
        "event": event.event,
        "event_id": delivery.event,
        "resource": event.resource,
        "connection": delivery.connection,
        "rule": delivery.rule,
        "integration_type": delivery.kind,
        "status": delivery.state.status.as_str(),
        "attempt_count": delivery.state.attempt_count,
        "created_by": event.created_by,
        "created_at": delivery.created_at.to_string(),
    });
    put(&mut shown, "resource_id", event.resource_id.as_deref());
    put(&mut shown, "started_at", delivery.started_at);
    put(&mut shown, "completed_at", delivery.completed_at);
    match delivery.state.turn {
        Turn::Waits => put(&mut shown, "waits_for", delivery.waits_for),
        _ => put(&mut shown, "next_attempt_at", delivery.state.due_at),
    }
    if delivery.state.turn == Turn::Holds {
        shown["holds_others"] = true.into();
    }
    put(&mut shown, "last_error", delivery.last_error.as_deref());
    shown
}

/// An attempt. The shape is ours, in the contract's words.
pub fn attempt(delivery: &DeliveryRecord, attempt: &Attempt) -> Value {
    // The engine keeps the answers of failed attempts.
    let has_response_details = attempt.outcome_code != OutcomeCode::Delivered && attempt.status.is_some();
    let mut shown = json!({
        "id": attempt.id,
        "event_id": delivery.event,
        "rule": delivery.rule,
        "rule_event_id": delivery.id,
        "number": attempt.number,
        "outcome_code": attempt.outcome_code.as_str(),
        "message": attempt.message,
        "started_at": attempt.started_at.to_string(),
        "completed_at": attempt.finished_at.to_string(),
        "duration_ms": u64::try_from(attempt.finished_at.since(attempt.started_at).as_millis()).unwrap_or(u64::MAX),
        "steps": attempt.steps,
        "has_response_details": has_response_details,
    });
    if let Some(status) = attempt.status {
        shown["status_code"] = status.into();
    }
    if let Some(request) = &attempt.request {
        shown["request"] = json!({"method": request.method, "url": request.url});
    }
    shown
}

/// What a destination answered. A header that came several times is one value, joined as HTTP does.
pub fn response_details(attempt: AttemptId, details: &ResponseDetails) -> Value {
    let mut headers = Map::new();
    for header in &details.headers {
        match headers.get_mut(&header.name) {
            Some(Value::String(known)) => {
                known.push_str(", ");
                known.push_str(&header.value);
            }
            _ => {
                headers.insert(header.name.clone(), header.value.as_str().into());
            }
        }
    }
    let (body, encoding) = match std::str::from_utf8(&details.body) {
        Ok(text) => (text.to_owned(), "utf8"),
        Err(_) => (STANDARD.encode(&details.body), "base64"),
    };
    json!({
        "attempt_id": attempt,
        "status_code": details.status,
        "headers": headers,
        "body": body,
        "body_encoding": encoding,
        "truncated": details.truncated,
    })
}

/// A destination that can be connected. Only the published members: strict clients read this.
pub fn integration(manifest: &Manifest) -> Value {
    let authentication = &manifest.authentication;
    let mut shown = json!({"type": authentication.kind});
    if !authentication.fields.is_empty() {
        shown["fields"] = authentication.fields.iter().map(published_field).collect();
    }
    if let Some(oauth) = &authentication.oauth {
        shown["oauth"] = oauth.clone();
    }
    json!({"name": manifest.title, "type": manifest.name, "authentication": shown, "actions": manifest.actions})
}

fn published_field(field: &Field) -> Value {
    let mut shown =
        json!({"label": field.label, "key": field.key, "type": field.kind, "required": field.required});
    put(&mut shown, "helpText", field.help_text.as_deref());
    // The contract knows one value.
    put(
        &mut shown,
        "validate",
        field.validate.as_deref().filter(|validate| *validate == "url"),
    );
    put(&mut shown, "defaultValue", field.default_value.as_deref());
    if !field.options.is_empty() {
        shown["options"] = json!(field.options);
    }
    if let Some(condition) = &field.depends_on {
        shown["dependsOn"] = json!(condition);
    }
    shown
}

fn put(shown: &mut Value, key: &str, value: Option<impl ToString>) {
    if let Some(value) = value {
        shown[key] = value.to_string().into();
    }
}
