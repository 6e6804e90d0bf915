//! What a plugin is told of a delivery: the JSON that `wit/adapter.wit` documents. No secret is in
//! it, only the keys of the secrets that are set.

use heddle_core::connection::{Connection, Told};
use heddle_core::time::Timestamp;
use heddle_store::Claimed;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

#[derive(Serialize)]
struct DeliverInput<'a> {
    delivery: DeliveryInput,
    event: EventInput<'a>,
    action: &'a str,
    inputs: &'a Map<String, Value>,
    fields: &'a RawValue,
    connection: Told<'a>,
}

#[derive(Serialize)]
struct DeliveryInput {
    id: String,
    attempt: u32,
    sent_at: i64,
}

#[derive(Serialize)]
struct EventInput<'a> {
    id: String,
    event: &'a str,
    resource: &'a str,
    resource_id: Option<&'a str>,
    created_at: i64,
    payload: &'a RawValue,
}

/// The input of `deliver`, with the destination's fields as the text of a JSON object. The payload goes in byte for byte; an error means that the stored text
/// is no JSON, which the door does not let in.
pub fn deliver(
    claimed: &Claimed,
    connection: &Connection,
    fields: &str,
    sent_at: Timestamp,
) -> serde_json::Result<String> {
    let event = &claimed.event;
    serde_json::to_string(&DeliverInput {
        delivery: DeliveryInput {
            id: claimed.delivery.to_string(),
            attempt: claimed.state.attempt_count,
            sent_at: sent_at.0,
        },
        event: EventInput {
            id: event.id.to_string(),
            event: &event.event,
            resource: &event.resource,
            resource_id: event.resource_id.as_deref(),
            created_at: event.created_at.0,
            payload: serde_json::from_str(&event.payload)?,
        },
        action: claimed.rule.action(),
        inputs: &claimed.rule.metadata,
        fields: serde_json::from_str(fields)?,
        connection: connection.told(),
    })
}
