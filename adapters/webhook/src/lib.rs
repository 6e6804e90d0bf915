//! Any HTTP endpoint, signed: <https://www.standardwebhooks.com>.
//!
//! One request an event: wrapped in an envelope, or the payload alone with the rest in `X-Meshes-*`
//! headers. The payload goes out byte for byte as it was emitted. Heddle applies authentication,
//! further headers and the signature over the exact bytes.
//!
//! A duplicate arrives with the same `webhook-id` (Standard Webhooks) and the same event id, by which
//! a receiver drops it.

use heddle_sdk::prelude::*;
use heddle_sdk::{Event, url::encode};

/// The destination.
pub struct Webhook;

impl Adapter for Webhook {
    const MANIFEST: &'static str = include_str!("../manifest.json");

    fn deliver(delivery: &Delivery, http: &mut Http) -> Result<Receipt, Stop> {
        if delivery.action != "send_webhook" {
            return Err(delivery.unknown_action());
        }
        let connection = &delivery.connection;
        let event = &delivery.event;
        let request = match connection.setting("payload_mode") {
            Some("raw") => raw(to(connection)?, event, delivery.sent_at),
            _ => wrapped(to(connection)?, event, delivery.sent_at),
        };
        let status = accepted(&http.send(request)?, connection)?;
        Ok(Receipt::new(format!("the endpoint answered {status}")))
    }

    /// Posts a test event, as the contract asks when a connection is saved, unless the connection says
    /// not to.
    fn check(connection: &Connection, http: &mut Http) -> Result<Account, Stop> {
        let request = to(connection)?;
        if connection.is_on("skip_url_test") {
            return Ok(Account::unnamed("no test event is sent, as skip_url_test says"));
        }
        let body = json!({
            "uuid": connection.id, "event": "heddle.test", "resource": "global", "resource_id": null,
            "payload": {"test": true}, "time_created": http.sent_at(), "time_sent": http.sent_at(),
        });
        let body = if connection.setting("payload_mode") == Some("raw") {
            &body["payload"]
        } else {
            &body
        };
        let request = request.header("X-Meshes-Event", "heddle.test").json(body);
        let status = accepted(&http.send(request)?, connection)?;
        Ok(Account::unnamed(format!(
            "the endpoint answered {status} to a test event"
        )))
    }
}

heddle_sdk::export!(Webhook);

/// The request without its body.
fn to(connection: &Connection) -> Result<Request, Failure> {
    let url = connection
        .setting("url")
        .ok_or_else(|| Failure::permanent("the connection has no URL"))?;
    let method = connection.setting("http_method").unwrap_or("POST");
    if !matches!(method, "POST" | "PUT" | "PATCH") {
        return Err(Failure::permanent(format!(
            "{method:?} is not one of POST, PUT and PATCH"
        )));
    }
    Ok(Request::new(method, url))
}

/// The contract's envelope. It is written by hand because the payload must keep its own bytes.
fn wrapped(request: Request, event: &Event, sent_at: i64) -> Request {
    let body = format!(
        r#"{{"uuid":{},"event":{},"resource":{},"resource_id":{},"payload":{},"time_created":{},"time_sent":{sent_at}}}"#,
        json!(event.id),
        json!(event.event),
        json!(event.resource),
        json!(event.resource_id),
        event.payload_text,
        event.created_at,
    );
    request.body("application/json", body)
}

/// The payload alone; what the envelope would say stands in headers.
fn raw(request: Request, event: &Event, sent_at: i64) -> Request {
    let request = request
        .body("application/json", event.payload_text.as_str())
        .header("X-Meshes-Event-Id", header_text(&event.id))
        .header("X-Meshes-Event", header_text(&event.event))
        .header("X-Meshes-Resource", header_text(&event.resource))
        .header("X-Meshes-Time-Created", event.created_at.to_string())
        .header("X-Meshes-Time-Sent", sent_at.to_string());
    match &event.resource_id {
        Some(id) => request.header("X-Meshes-Resource-Id", header_text(id)),
        None => request,
    }
}

/// Names are ASCII almost always; one that is not is percent-encoded, since a header carries no more.
fn header_text(text: &str) -> String {
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        text.to_owned()
    } else {
        encode(text)
    }
}

/// The status, if it counts as delivered. A webhook's refusals are often mended within minutes (a
/// deployment, a wrong route), so they are tried again, though not for long.
fn accepted(reply: &Reply, connection: &Connection) -> Result<u16, Failure> {
    let status = reply.status;
    let redirect = (300..400).contains(&status);
    if reply.is_success() || (redirect && connection.is_on("accept_redirect_status")) {
        return Ok(status);
    }
    let generic = reply.failure();
    let wait = reply.retry_after_ms();
    Err(match status {
        410 => Failure::gone(generic.message),
        409 => Failure::retryable(generic.message).after_ms(wait),
        408 | 425 | 429 | 500.. => generic,
        400.. => Failure::retryable(generic.message).after_ms(wait).at_most(3),
        _ if redirect => {
            Failure::permanent(format!("answered {status}; redirects are not followed")).after_ms(wait)
        }
        _ => generic,
    })
}

#[cfg(test)]
mod tests;
