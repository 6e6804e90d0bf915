//! What a dry run would send: the first request for the newest event that its rule matched.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use heddle_core::connection::Connection;
use heddle_core::exchange::Request;
use heddle_core::id::{DeliveryId, EventId};
use heddle_core::rule::Rule;
use heddle_delivery::Rehearsal;
use heddle_delivery::conversation::at_leisure;
use serde::Serialize;

use crate::App;
use crate::caller::Caller;
use crate::connections::plugin_missing;
use crate::error::ApiError;
use crate::events::NO_EVENT;
use crate::explain;

/// What is shown of a body, in bytes.
const MAX_SHOWN_BYTES: usize = 64 * 1024;

/// What would be sent for one event; no credential is in it.
#[derive(Debug, Serialize)]
pub struct Preview {
    event_id: EventId,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Shown>,
    /// Why nothing would be sent, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

#[derive(Debug, Serialize)]
struct Shown {
    method: String,
    url: String,
    headers: Vec<Header>,
    body: String,
    body_encoding: &'static str,
    truncated: bool,
}

#[derive(Debug, Serialize)]
struct Header {
    name: String,
    value: String,
}

/// Has the plugin of `connection` name its first request for an event.
pub async fn of(
    app: &App,
    caller: &Caller,
    rule: Rule,
    connection: Connection,
    id: EventId,
) -> Result<Preview, ApiError> {
    let plugin = app.plugins.get(&connection.kind);
    let plugin = plugin.ok_or_else(|| plugin_missing(&connection.kind))?;
    let record = app.store.event(caller.reach(), id).await?.ok_or(NO_EVENT)?;
    let Some(payload) = app.store.event_payload(caller.reach(), id).await? else {
        return Ok(Preview {
            event_id: id,
            request: None,
            message: Some("The payload is no longer kept.".into()),
        });
    };
    let now = app.clock.now();
    let schedule = connection.retry_schedule();
    let rehearsal = Rehearsal {
        delivery: DeliveryId::new(now, app.random()),
        rule,
        event: explain::seen(&record, payload),
        material: app.store.mapping_material(connection.id).await?,
        connection,
        now,
    };
    let usual = std::sync::Arc::clone(&app.schedule);
    let call = move || rehearsal.first_request(&plugin, schedule.as_ref().unwrap_or(&usual));
    let (request, message) = match at_leisure(record.workspace, call).await {
        Ok(Some(request)) => (Some(Shown::from(request)), None),
        Ok(None) => (None, Some("The destination would be sent nothing.".to_owned())),
        Err(message) => (None, Some(message)),
    };
    Ok(Preview {
        event_id: id,
        request,
        message,
    })
}

impl From<Request> for Shown {
    fn from(request: Request) -> Self {
        let Request {
            method,
            url,
            headers,
            body,
        } = request;
        let (body, body_encoding, truncated) = match String::from_utf8(body) {
            Ok(mut text) => {
                let end = text.floor_char_boundary(MAX_SHOWN_BYTES);
                let truncated = end < text.len();
                text.truncate(end);
                (text, "utf8", truncated)
            }
            Err(error) => {
                let bytes = error.as_bytes();
                let shown = &bytes[..bytes.len().min(MAX_SHOWN_BYTES)];
                (STANDARD.encode(shown), "base64", shown.len() < bytes.len())
            }
        };
        let headers = headers.into_iter().map(|header| Header {
            name: header.name,
            value: header.value,
        });
        Self {
            method,
            url,
            headers: headers.collect(),
            body,
            body_encoding,
            truncated,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(body: Vec<u8>) -> Shown {
        Shown::from(Request {
            method: "POST".into(),
            url: "https://a.example".into(),
            headers: Vec::new(),
            body,
        })
    }

    #[test]
    fn a_body_is_shown_as_text_where_it_is_one_and_cut_where_it_is_long() {
        let text = shown("é".into());
        assert_eq!(
            (text.body.as_str(), text.body_encoding, text.truncated),
            ("é", "utf8", false)
        );
        let long = shown("é".repeat(MAX_SHOWN_BYTES).into());
        assert_eq!((long.body.len(), long.truncated), (MAX_SHOWN_BYTES, true));
        let binary = shown(vec![0xff; MAX_SHOWN_BYTES + 1]);
        assert_eq!((binary.body_encoding, binary.truncated), ("base64", true));
    }
}
