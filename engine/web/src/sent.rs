//! What was sent to one of the two ingestion operations, in whichever of the formats: Heddle's own, or
//! CloudEvents 1.0 in structured, batched or binary mode.

use std::fmt;

use axum::extract::{FromRequest, Request};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::de::{Deserializer as _, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::App;
use crate::emit::{self, Checked};
use crate::error::ApiError;
use crate::extract::{ManyEvents, OneEvent, Text};
use crate::{cloudevents, idempotency};

/// The most events of a bulk.
const MAX_BULK: usize = 100;

/// What came to `POST /events`.
#[derive(Debug)]
pub struct Sent {
    /// The idempotency key of the header.
    pub key: Option<String>,
    /// What came under it.
    pub events: Events,
}

/// One event, or those of a batch, each checked by itself.
#[derive(Debug)]
#[allow(missing_docs)]
pub enum Events {
    One(Checked),
    Many(Vec<Result<Checked, ApiError>>),
}

/// What came to `POST /events/bulk`.
#[derive(Debug)]
pub struct SentBulk {
    /// The idempotency key of the header.
    pub key: Option<String>,
    /// The items in their order, each checked by itself.
    pub items: Vec<Result<Checked, ApiError>>,
}

impl FromRequest<App> for Sent {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let format = Format::of(request.headers())?;
        let limit = app.payload_bytes;
        let key = idempotency::header(request.headers())?;
        let events = match format {
            Format::CloudBatch => {
                let Text::<ManyEvents>(text, _) = Text::from_request(request, app).await?;
                Events::Many(items(&text, limit, cloudevents::check)?)
            }
            Format::CloudBinary => {
                let attributes = cloudevents::attributes(request.headers())?;
                let Text::<OneEvent>(text, _) = Text::from_request(request, app).await?;
                Events::One(attributes.with_body(&text, limit)?)
            }
            Format::Own | Format::Cloud => {
                let Text::<OneEvent>(text, _) = Text::from_request(request, app).await?;
                Events::One(match format {
                    Format::Cloud => cloudevents::check(&text, limit)?,
                    _ => emit::check(&text, limit)?,
                })
            }
        };
        Ok(Self { key, events })
    }
}

impl FromRequest<App> for SentBulk {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let check = match Format::of(request.headers())? {
            Format::Own => emit::check,
            Format::CloudBatch => cloudevents::check,
            Format::Cloud | Format::CloudBinary => {
                return Err(ApiError::invalid(
                    "Content-Type",
                    "a single CloudEvent goes to POST /api/v1/events; a batch has application/cloudevents-batch+json",
                ));
            }
        };
        let key = idempotency::header(request.headers())?;
        let Text::<ManyEvents>(text, _) = Text::from_request(request, app).await?;
        let items = items(&text, app.payload_bytes, check)?;
        Ok(Self { key, items })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Own,
    Cloud,
    CloudBatch,
    CloudBinary,
}

impl Format {
    /// Heddle's own format is taken whatever its media type says.
    fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let media_type = headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .map(cloudevents::essence)
            .unwrap_or_default();
        match media_type.as_str() {
            "application/cloudevents+json" => Ok(Self::Cloud),
            "application/cloudevents-batch+json" => Ok(Self::CloudBatch),
            other if other.starts_with("application/cloudevents") => Err(ApiError::invalid(
                "Content-Type",
                "of the formats of CloudEvents, only JSON is taken: application/cloudevents+json or application/cloudevents-batch+json",
            )),
            _ if headers.keys().any(|name| name.as_str().starts_with("ce-")) => Ok(Self::CloudBinary),
            _ => Ok(Self::Own),
        }
    }
}

fn items(
    text: &str,
    limit: usize,
    check: fn(&str, usize) -> Result<Checked, ApiError>,
) -> Result<Vec<Result<Checked, ApiError>>, ApiError> {
    let items = bulk_items(text)?;
    Ok(items.into_iter().map(|item| check(item.get(), limit)).collect())
}

/// The texts of a bulk's items.
fn bulk_items(text: &str) -> Result<Vec<&RawValue>, ApiError> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let items = reader
        .deserialize_any(Items)
        .and_then(|items| reader.end().map(|()| items))
        .map_err(|error| ApiError::MalformedJson(error.to_string()))?;
    match items {
        Some(items) if (1..=MAX_BULK).contains(&items.len()) => Ok(items),
        _ => Err(ApiError::invalid(
            "body",
            format!("must be a JSON array of 1 to {MAX_BULK} events"),
        )),
    }
}

/// Keeps at most one item more than a bulk may have; `None` is no array.
struct Items;

impl<'de> Visitor<'de> for Items {
    type Value = Option<Vec<&'de RawValue>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut kept = Vec::new();
        while kept.len() <= MAX_BULK {
            match items.next_element()? {
                Some(item) => kept.push(item),
                None => return Ok(Some(kept)),
            }
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Some(kept))
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bulk_is_an_array_of_one_to_a_hundred() {
        let many = |count: usize| format!("[{}]", vec!["{}"; count].join(","));
        assert_eq!(bulk_items(&many(1)).unwrap().len(), 1);
        assert_eq!(bulk_items(&many(100)).unwrap().len(), 100);
        for (text, code) in [
            (many(0), "invalid_request"),
            (many(101), "invalid_request"),
            (many(100_000), "invalid_request"),
            ("{}".into(), "invalid_request"),
            ("{\"a\":[1]}".into(), "invalid_request"),
            ("null".into(), "invalid_request"),
            ("\"x\"".into(), "invalid_request"),
            ("1.5".into(), "invalid_request"),
            ("[{}".into(), "malformed_json"),
            ("[{}] x".into(), "malformed_json"),
            ("".into(), "malformed_json"),
        ] {
            assert_eq!(
                bulk_items(&text).unwrap_err().code(),
                code,
                "{}",
                &text[..text.len().min(20)]
            );
        }
    }
}
