//! Events: emitted once, or a hundred at a time; read with their history.

use std::collections::HashSet;
use std::fmt;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use heddle_core::delivery::Status;
use heddle_core::id::{EventId, WorkspaceId};
use heddle_core::time::Timestamp;
use heddle_store::{Acceptance, CancelError, EventFilter, Page};
use http::StatusCode;
use serde::de::{Deserializer as _, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::App;
use crate::caller::{Caller, Credential};
use crate::emit::{self, Checked};
use crate::error::ApiError;
use crate::extract::{Ids, ManyEvents, OneEvent, Parameters, Text};
use crate::views;
use crate::workspaces;

const NO_EVENT: ApiError = ApiError::NotFound("event");

/// The most events of a bulk.
const MAX_BULK: usize = 100;

/// `POST /events`: answered once the event and its deliveries are on the disk.
pub async fn create(
    State(app): State<App>,
    caller: Caller,
    Text(text, _): Text<OneEvent>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let checked = emit::check(&text)?;
    let workspace = emit::workspace_of(&checked, &caller)?;
    if caller.credential() != Credential::Publishable {
        workspaces::own(&app, &caller, workspace).await?;
    }
    let acceptance = emit::matched(&app, checked, workspace, &caller.name, app.clock.now()).await?;
    let accepted = app.store.accept_events(vec![acceptance]).await?;
    let event = accepted
        .first()
        .ok_or_else(|| ApiError::Internal("no record of an accepted event".into()))?;
    Ok((
        StatusCode::CREATED,
        Json(json!({"event": views::accepted_event(event)})),
    ))
}

/// `POST /events/bulk`: each item is accepted or refused by itself, those that are accepted in one
/// commit. 201 when all are, 207 when at least one is not; each record stands at its item's place.
pub async fn create_many(
    State(app): State<App>,
    caller: Caller,
    Text(text, _): Text<ManyEvents>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let items = bulk_items(&text)?;
    let mut known = HashSet::new();
    let (mut acceptances, mut refusals) = (Vec::new(), Vec::with_capacity(items.len()));
    let now = app.clock.now();
    for item in items {
        let checked = emit::check(item.get());
        match one_of_many(&app, &caller, checked, &mut known, now).await {
            Ok(acceptance) => {
                acceptances.push(acceptance);
                refusals.push(None);
            }
            // A fault of ours is not this item's.
            Err(error) if error.status().is_server_error() => return Err(error),
            Err(error) => refusals.push(Some(error)),
        }
    }
    let accepted = if acceptances.is_empty() {
        Vec::new()
    } else {
        app.store.accept_events(acceptances).await?
    };
    let mut accepted = accepted.iter();
    let mut records = Vec::with_capacity(refusals.len());
    for refusal in &refusals {
        records.push(match (refusal, accepted.as_slice()) {
            (Some(error), _) => error.body(),
            (None, [_, ..]) => accepted.next().map(views::accepted_event).unwrap_or_default(),
            (None, []) => return Err(ApiError::Internal("no record of an accepted event".into())),
        });
    }
    let error_count = refusals.iter().flatten().count();
    let mut answer = json!({"count": records.len()});
    if error_count > 0 {
        answer["error_count"] = error_count.into();
    }
    answer["records"] = records.into();
    let status = if error_count > 0 {
        StatusCode::MULTI_STATUS
    } else {
        StatusCode::CREATED
    };
    Ok((status, Json(answer)))
}

async fn one_of_many(
    app: &App,
    caller: &Caller,
    checked: Result<Checked, ApiError>,
    known: &mut HashSet<WorkspaceId>,
    now: Timestamp,
) -> Result<Acceptance, ApiError> {
    let checked = checked?;
    let workspace = emit::workspace_of(&checked, caller)?;
    if caller.credential() != Credential::Publishable && !known.contains(&workspace) {
        workspaces::own(app, caller, workspace).await?;
        known.insert(workspace);
    }
    emit::matched(app, checked, workspace, &caller.name, now).await
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

/// `GET /events`
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    parameters: Parameters,
) -> Result<Json<Value>, ApiError> {
    listed(&app, &caller, filter(&parameters)?, &parameters).await
}

/// A page of events, the newest first.
pub async fn listed(
    app: &App,
    caller: &Caller,
    filter: EventFilter,
    parameters: &Parameters,
) -> Result<Json<Value>, ApiError> {
    let page = page(parameters)?;
    let limit = page.limit;
    let found = app.store.list_events(caller.reach(), filter, page).await?;
    Ok(Json(views::list(
        found.records.iter().map(views::event).collect(),
        Some(limit),
        found.next_cursor,
    )))
}

/// The part of a list that was asked for.
pub fn page(parameters: &Parameters) -> Result<Page, ApiError> {
    Ok(Page {
        limit: parameters.limit()?,
        cursor: parameters.owned("cursor"),
    })
}

/// The events that were asked for.
pub fn filter(parameters: &Parameters) -> Result<EventFilter, ApiError> {
    let status = match parameters.get("status") {
        None => None,
        Some(word) => Some(Status::parse(word).ok_or_else(|| {
            let words = Status::ALL.map(Status::as_str).join(", ");
            ApiError::invalid("status", format!("must be one of {words}"))
        })?),
    };
    Ok(EventFilter {
        workspace: None,
        event: parameters.owned("event"),
        resource: parameters.owned("resource"),
        resource_id: parameters.owned("resource_id"),
        status,
    })
}

/// `GET /events/{event}`
pub async fn get(
    State(app): State<App>,
    caller: Caller,
    Ids(id): Ids<EventId>,
) -> Result<Json<Value>, ApiError> {
    let event = app.store.event(caller.reach(), id).await?.ok_or(NO_EVENT)?;
    let deliveries = app.store.deliveries_of(id).await?;
    Ok(Json(views::event_with_rule_events(&event, &deliveries)))
}

/// `GET /events/{event}/payload`
pub async fn payload(
    State(app): State<App>,
    caller: Caller,
    Ids(id): Ids<EventId>,
) -> Result<Response, ApiError> {
    let event = app.store.event(caller.reach(), id).await?.ok_or(NO_EVENT)?;
    let payload = app
        .store
        .event_payload(caller.reach(), id)
        .await?
        .ok_or(NO_EVENT)?;
    views::event_with_payload(&event, &payload)
        .map_err(|error| ApiError::Internal(format!("a stored payload is no JSON: {error}")))
}

/// `POST /events/{event}/cancel`: no delivery of it is tried again. 409 when all of them have ended.
pub async fn cancel(
    State(app): State<App>,
    caller: Caller,
    Ids(id): Ids<EventId>,
) -> Result<Json<Value>, ApiError> {
    let known = app.store.event(caller.reach(), id).await?.ok_or(NO_EVENT)?;
    if known.status.is_final() {
        return Err(CancelError::AlreadyFinal.into());
    }
    let event = app
        .store
        .cancel_event(caller.reach(), id, app.clock.now())
        .await?
        .ok_or(NO_EVENT)?;
    let deliveries = app.store.deliveries_of(id).await?;
    Ok(Json(views::event_with_rule_events(&event, &deliveries)))
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
