//! Events as they are read, with their history. `ingest` has how they come in.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use heddle_core::delivery::Status;
use heddle_core::id::EventId;
use heddle_store::{CancelError, EventFilter, Page};
use serde_json::Value;

use crate::App;
use crate::caller::Caller;
use crate::error::ApiError;
use crate::extract::{Ids, Parameters};
use crate::views;

pub const NO_EVENT: ApiError = ApiError::NotFound("event");

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
    let Some(payload) = app.store.event_payload(caller.reach(), id).await? else {
        return Ok(Json(views::event_without_payload(&event)).into_response());
    };
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
