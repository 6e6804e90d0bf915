//! Deliveries (the contract's rule events) and their attempts: read, tried now, called off.

use axum::Json;
use axum::extract::State;
use heddle_core::id::{AttemptId, EventId, RuleId};
use heddle_store::{CancelError, DeliveryRecord, EventRecord, RetryError};
use serde_json::Value;

use crate::App;
use crate::caller::Caller;
use crate::error::ApiError;
use crate::extract::{Ids, Parameters};
use crate::{events, views};

const NO_DELIVERY: ApiError = ApiError::NotFound("rule of this event");
const NO_ATTEMPT: ApiError = ApiError::NotFound("attempt");

/// `POST /events/{event}/rules/{rule}/retry`: what waits is tried now, what has ended is replayed.
pub async fn retry(
    State(app): State<App>,
    caller: Caller,
    Ids((event, rule)): Ids<(EventId, RuleId)>,
) -> Result<Json<Value>, ApiError> {
    let delivery = app
        .store
        .retry_delivery(caller.reach(), event, rule, app.clock.now())
        .await?;
    let event = event_of(&app, &caller, event).await?;
    Ok(Json(views::rule_event(&event, &delivery)))
}

/// `POST /events/{event}/rules/{rule}/cancel`: what is under way ends, nothing more is tried.
pub async fn cancel(
    State(app): State<App>,
    caller: Caller,
    Ids((event, rule)): Ids<(EventId, RuleId)>,
) -> Result<Json<Value>, ApiError> {
    let delivery = app
        .store
        .cancel_delivery(caller.reach(), event, rule, app.clock.now())
        .await?;
    let event = event_of(&app, &caller, event).await?;
    Ok(Json(views::rule_event(&event, &delivery)))
}

/// `GET /events/{event}/rules/{rule}/attempts`
pub async fn attempts(
    State(app): State<App>,
    caller: Caller,
    Ids((event, rule)): Ids<(EventId, RuleId)>,
    parameters: Parameters,
) -> Result<Json<Value>, ApiError> {
    let page = events::page(&parameters)?;
    let limit = page.limit;
    let delivery = delivery_of(&app, &caller, event, rule).await?;
    let found = app.store.list_attempts(delivery.id, page).await?;
    let records = found
        .records
        .iter()
        .map(|attempt| views::attempt(&delivery, attempt))
        .collect();
    Ok(Json(views::list(records, Some(limit), found.next_cursor)))
}

/// `GET /events/{event}/rules/{rule}/attempts/{attempt}`
pub async fn attempt(
    State(app): State<App>,
    caller: Caller,
    Ids((event, rule, attempt)): Ids<(EventId, RuleId, AttemptId)>,
) -> Result<Json<Value>, ApiError> {
    let delivery = delivery_of(&app, &caller, event, rule).await?;
    let attempt = app.store.attempt(delivery.id, attempt).await?.ok_or(NO_ATTEMPT)?;
    Ok(Json(views::attempt(&delivery, &attempt)))
}

/// `GET /events/{event}/rules/{rule}/attempts/{attempt}/response-details`
pub async fn response_details(
    State(app): State<App>,
    caller: Caller,
    Ids((event, rule, attempt)): Ids<(EventId, RuleId, AttemptId)>,
) -> Result<Json<Value>, ApiError> {
    let delivery = delivery_of(&app, &caller, event, rule).await?;
    let attempt = app.store.attempt(delivery.id, attempt).await?.ok_or(NO_ATTEMPT)?;
    let details = app.store.response_details(attempt.id).await?;
    let details = details.ok_or(ApiError::NotFound(
        "response of this attempt; only those of failed attempts are kept",
    ))?;
    Ok(Json(views::response_details(attempt.id, &details)))
}

async fn delivery_of(
    app: &App,
    caller: &Caller,
    event: EventId,
    rule: RuleId,
) -> Result<DeliveryRecord, ApiError> {
    app.store
        .delivery(caller.reach(), event, rule)
        .await?
        .ok_or(NO_DELIVERY)
}

async fn event_of(app: &App, caller: &Caller, event: EventId) -> Result<EventRecord, ApiError> {
    app.store
        .event(caller.reach(), event)
        .await?
        .ok_or(ApiError::NotFound("event"))
}

impl From<RetryError> for ApiError {
    fn from(error: RetryError) -> Self {
        match error {
            RetryError::NotFound => NO_DELIVERY,
            RetryError::RuleDeleted => Self::Conflict {
                code: "rule_deleted",
                message: "The rule was deleted; nothing says any more what to do with the event.".into(),
            },
            RetryError::PayloadGone => Self::Conflict {
                code: "payload_gone",
                message: "The payload of this event is no longer kept: there is nothing to deliver again."
                    .into(),
            },
            RetryError::InFlight => Self::TooEarly("An attempt is under way."),
            RetryError::NotItsTurn => Self::Conflict {
                code: "not_its_turn",
                message: "It waits for an earlier delivery with the same ordering key, that of the event \
                          which it names in waits_for. Retry or cancel that one."
                    .into(),
            },
            RetryError::Imminent => Self::TooEarly("The next attempt is due within two seconds."),
            RetryError::Store(error) => error.into(),
        }
    }
}

impl From<CancelError> for ApiError {
    fn from(error: CancelError) -> Self {
        match error {
            CancelError::NotFound => NO_DELIVERY,
            CancelError::AlreadyFinal => Self::Conflict {
                code: "already_final",
                message: "It has ended already.".into(),
            },
            CancelError::Store(error) => error.into(),
        }
    }
}
