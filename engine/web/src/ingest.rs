//! Events as they come in: one, or up to a hundred, each accepted once or refused by itself.

use std::collections::HashSet;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use heddle_core::id::WorkspaceId;
use heddle_core::time::Timestamp;
use heddle_store::stop::{self, Stop};
use heddle_store::{Accepted, Emission, StoreError};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::Value;

use crate::App;
use crate::caller::{Caller, Credential};
use crate::emit::{self, Checked};
use crate::error::ApiError;
use crate::idempotency::{HeaderKey, KEY_TAKEN};
use crate::rate;
use crate::sent::{Events, Sent, SentBulk};
use crate::views::AcceptedEvent;
use crate::workspaces;

/// Says that what is answered was accepted before.
const REPLAY: (HeaderName, HeaderValue) = (
    HeaderName::from_static("idempotent-replay"),
    HeaderValue::from_static("true"),
);

/// A bulk that makes more deliveries than these is accepted in several commits: everybody else waits for
/// each of them.
const AT_ONCE: usize = 5_000;

/// The answer to one event.
#[derive(Serialize)]
struct Emitted {
    event: AcceptedEvent,
}

/// The answer to a bulk.
#[derive(Serialize)]
struct BulkEmitted {
    count: usize,
    #[serde(skip_serializing_if = "is_zero")]
    error_count: usize,
    /// Each stands at its item's place.
    records: Vec<Record>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Record {
    Accepted {
        #[serde(flatten)]
        event: AcceptedEvent,
        #[serde(skip_serializing_if = "Option::is_none")]
        idempotent_replay: Option<bool>,
    },
    Refused(Value),
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// `POST /events`: answered once the event and its deliveries are on the disk. A batch of CloudEvents is
/// answered as a bulk.
pub async fn create(State(app): State<App>, caller: Caller, sent: Sent) -> Result<Response, ApiError> {
    match sent.events {
        Events::One(checked) => one(&app, &caller, checked, sent.key.as_deref()).await,
        Events::Many(items) => many(&app, &caller, items, sent.key.as_deref()).await,
    }
}

/// `POST /events/bulk`: each item is accepted or refused by itself, those that are accepted in one
/// commit unless they match very many rules. 201 when all are, 207 when at least one is not.
pub async fn create_many(
    State(app): State<App>,
    caller: Caller,
    sent: SentBulk,
) -> Result<Response, ApiError> {
    many(&app, &caller, sent.items, sent.key.as_deref()).await
}

async fn one(app: &App, caller: &Caller, checked: Checked, key: Option<&str>) -> Result<Response, ApiError> {
    let key = key.map(|key| HeaderKey { key, place: None });
    let mut known = HashSet::new();
    let emission = emission(app, caller, checked, key, &mut known, app.clock.now()).await?;
    let mut accepted = Vec::new();
    accept(app, vec![emission], &mut accepted).await?;
    let answer = |event| {
        let event = AcceptedEvent::from(event);
        (StatusCode::CREATED, Json(Emitted { event }))
    };
    match accepted.pop().transpose()? {
        Some(Accepted::New(event)) => Ok(answer(event).into_response()),
        Some(Accepted::Replayed(event)) => Ok(([REPLAY], answer(event)).into_response()),
        Some(Accepted::KeyTaken) => Err(KEY_TAKEN),
        Some(Accepted::OverQuota(over)) => Err(ApiError::OverQuota(over)),
        None => Err(ApiError::Internal("no record of an accepted event".into())),
    }
}

async fn many(
    app: &App,
    caller: &Caller,
    items: Vec<Result<Checked, ApiError>>,
    key: Option<&str>,
) -> Result<Response, ApiError> {
    let now = app.clock.now();
    let mut known = HashSet::new();
    let (mut emissions, mut refusals) = (Vec::new(), Vec::with_capacity(items.len()));
    let (mut deliveries, mut accepted) = (0, Vec::new());
    for (place, checked) in items.into_iter().enumerate() {
        let key = key.map(|key| HeaderKey {
            key,
            place: Some(place),
        });
        let emission = match checked {
            Ok(checked) => emission(app, caller, checked, key, &mut known, now).await,
            Err(error) => Err(error),
        };
        match emission {
            Ok(emission) => {
                deliveries += emission.acceptance.deliveries.len();
                emissions.push(emission);
                refusals.push(None);
                if deliveries >= AT_ONCE {
                    accept(app, std::mem::take(&mut emissions), &mut accepted).await?;
                    deliveries = 0;
                }
            }
            // A fault of ours is not this item's, unless it is too late to say so.
            Err(error) if error.status().is_server_error() && accepted.is_empty() => return Err(error),
            Err(error) => refusals.push(Some(error)),
        }
    }
    if !emissions.is_empty() {
        accept(app, emissions, &mut accepted).await?;
    }
    answer_to_many(refusals, accepted)
}

/// Accepts these, in one commit. A fault is that of the whole call, unless some events of it are accepted
/// already: then it is that of each of these.
async fn accept(
    app: &App,
    emissions: Vec<Emission>,
    accepted: &mut Vec<Result<Accepted, ApiError>>,
) -> Result<(), ApiError> {
    let count = emissions.len();
    stop::at(Stop::AfterMatch);
    match app.intake.accept(emissions).await {
        Ok(all) => accepted.extend(all.into_iter().map(Ok)),
        Err(error) if accepted.is_empty() => return Err(gone(error)),
        Err(error) => accepted.extend((0..count).map(|_| Err(gone(error.clone())))),
    }
    stop::at(Stop::BeforeAnswer);
    Ok(())
}

/// A workspace that was deleted since it was found. The contract has no 404 for ingestion.
fn gone(error: StoreError) -> ApiError {
    match error {
        StoreError::NotFound(_) => ApiError::UnknownWorkspace,
        other => other.into(),
    }
}

/// `refusals` has an item of each place, `accepted` one of each `None` among them.
fn answer_to_many(
    refusals: Vec<Option<ApiError>>,
    accepted: Vec<Result<Accepted, ApiError>>,
) -> Result<Response, ApiError> {
    let (mut error_count, mut replays) = (0, 0);
    let mut accepted = accepted.into_iter();
    let mut records = Vec::with_capacity(refusals.len());
    for refusal in refusals {
        let outcome = match refusal {
            Some(error) => Err(error),
            None => match accepted.next() {
                Some(Ok(Accepted::New(event))) => Ok((event, None)),
                Some(Ok(Accepted::Replayed(event))) => Ok((event, Some(true))),
                Some(Ok(Accepted::KeyTaken)) => Err(KEY_TAKEN),
                Some(Ok(Accepted::OverQuota(over))) => Err(ApiError::OverQuota(over)),
                Some(Err(error)) => Err(error),
                None => return Err(ApiError::Internal("no record of an accepted event".into())),
            },
        };
        records.push(match outcome {
            Ok((event, idempotent_replay)) => {
                replays += usize::from(idempotent_replay.is_some());
                Record::Accepted {
                    event: event.into(),
                    idempotent_replay,
                }
            }
            Err(error) => {
                error_count += 1;
                Record::Refused(error.body())
            }
        });
    }
    let status = if error_count > 0 {
        StatusCode::MULTI_STATUS
    } else {
        StatusCode::CREATED
    };
    let answer = BulkEmitted {
        count: records.len(),
        error_count,
        records,
    };
    let all_replayed = replays == answer.count;
    let mut response = (status, Json(answer)).into_response();
    if all_replayed {
        response.headers_mut().extend([REPLAY]);
    }
    Ok(response)
}

/// The event as it goes to the store. `known` are workspaces that were found to be the caller's.
async fn emission(
    app: &App,
    caller: &Caller,
    checked: Checked,
    key: Option<HeaderKey<'_>>,
    known: &mut HashSet<WorkspaceId>,
    now: Timestamp,
) -> Result<Emission, ApiError> {
    let workspace = emit::workspace_of(&checked, caller)?;
    if caller.credential() != Credential::Publishable && !known.contains(&workspace) {
        workspaces::own(app, caller, workspace)
            .await
            .map_err(|error| match error {
                ApiError::NotFound(_) => ApiError::UnknownWorkspace,
                other => other,
            })?;
        // With one workspace only, it was counted at the door.
        if caller.reach().only_workspace().is_none() {
            rate::emit_into(app, workspace).await?;
        }
        known.insert(workspace);
    }
    emit::matched(app, checked, workspace, caller, key, now).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_after_some_of_a_bulk_is_accepted_is_that_of_the_others_and_no_5xx() {
        let refusals = vec![None, Some(ApiError::invalid("event", "is required")), None];
        let accepted = vec![
            Ok(Accepted::KeyTaken),
            Err(ApiError::Unavailable("the disk is full".into())),
        ];
        let answer = answer_to_many(refusals, accepted).unwrap();
        assert_eq!(answer.status(), StatusCode::MULTI_STATUS);
        let missing = answer_to_many(vec![None], Vec::new());
        assert_eq!(missing.unwrap_err().code(), "internal_error");
    }
}
