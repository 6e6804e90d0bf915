//! What a workspace may do and for how long its history is kept, read and written. There is no limit but the ones that the operator sets, for
//! all workspaces in the configuration and for one of them here.

use axum::Json;
use axum::extract::State;
use heddle_core::id::WorkspaceId;
use heddle_core::quota::{Limits, MAX_DAYS};
use serde::Serialize;
use serde_json::Value;

use crate::App;
use crate::caller::Caller;
use crate::error::ApiError;
use crate::extract::{Form, Ids, Members, text};
use crate::workspaces;

/// The highest quota.
const MAX_QUOTA: u64 = 1_000_000_000_000;

const MEMBERS: [&str; 7] = [
    "rate",
    "events_per_month",
    "connections",
    "rules",
    "payload_days",
    "attempt_days",
    "event_days",
];

/// The limits of a workspace.
#[derive(Debug, Serialize)]
pub struct LimitsAnswer {
    workspace: WorkspaceId,
    /// What holds; `null` is without limit.
    limits: Limits,
    /// What was set for this workspace; `null` is as for all.
    own: Limits,
}

/// `GET /workspaces/{workspace}/limits`
pub async fn get(
    State(app): State<App>,
    caller: Caller,
    Ids(workspace): Ids<WorkspaceId>,
) -> Result<Json<LimitsAnswer>, ApiError> {
    workspaces::own(&app, &caller, workspace).await?;
    answer(&app, workspace).await
}

/// `PUT /workspaces/{workspace}/limits`: takes the place of what was set before; what is absent or `null`
/// is as for all.
pub async fn update(
    State(app): State<App>,
    caller: Caller,
    Ids(workspace): Ids<WorkspaceId>,
    Members(members): Members,
) -> Result<Json<LimitsAnswer>, ApiError> {
    // A limit that is misspelt must not be taken for one that holds.
    if let Some(unknown) = members.keys().find(|key| !MEMBERS.contains(&key.as_str())) {
        let shown: String = unknown.chars().take(64).collect();
        let rule = format!("is no limit; the limits are {}", MEMBERS.join(", "));
        return Err(ApiError::invalid(shown, rule));
    }
    let mut form = Form::new(&members);
    let limits = Limits {
        rate: form.take("rate", |value| {
            text(value)?
                .parse()
                .map_err(|error: heddle_core::quota::NoRate| error.to_string())
        }),
        events_per_month: form.take("events_per_month", quota),
        connections: form.take("connections", quota),
        rules: form.take("rules", quota),
        payload_days: form.take("payload_days", |value| days(value, 0)),
        attempt_days: form.take("attempt_days", |value| days(value, 0)),
        event_days: form.take("event_days", |value| days(value, 1)),
    };
    form.check()?;
    if !limits.is_nested() {
        return Err(ApiError::invalid(
            "payload_days",
            "must not be more than attempt_days, nor those more than event_days: an event takes along what belongs to it",
        ));
    }
    workspaces::own(&app, &caller, workspace).await?;
    // Whoever holds a key of one workspace must not be able to lift what it is held to.
    if caller.reach().workspaces.is_some() {
        return Err(ApiError::Forbidden(
            "Limits are set with a key of the whole organization, not of some workspaces.",
        ));
    }
    app.store
        .set_limits_of(workspace, limits, caller.name, app.clock.now())
        .await?;
    answer(&app, workspace).await
}

fn quota(value: &Value) -> Result<u64, String> {
    value
        .as_u64()
        .filter(|quota| *quota <= MAX_QUOTA)
        .ok_or_else(|| format!("must be a whole number from 0 to {MAX_QUOTA}, or null"))
}

/// An event is kept for as long as the key that it may be sent again under, which is a day.
fn days(value: &Value, least: u32) -> Result<u32, String> {
    value
        .as_u64()
        .and_then(|days| u32::try_from(days).ok())
        .filter(|days| (least..=MAX_DAYS).contains(days))
        .ok_or_else(|| format!("must be a whole number from {least} to {MAX_DAYS}, or null"))
}

async fn answer(app: &App, workspace: WorkspaceId) -> Result<Json<LimitsAnswer>, ApiError> {
    Ok(Json(LimitsAnswer {
        workspace,
        limits: app.store.limits_of(workspace).await?,
        own: app.store.own_limits_of(workspace).await?,
    }))
}
