//! Publishable keys, made and deleted so that one can take another's place without a moment at which
//! pages have none that is good. As with machine keys, nobody grants what it does not have.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use heddle_core::id::{PublishableKeyId, WorkspaceId};
use heddle_core::time::Timestamp;
use heddle_store::{PublishableKey, StoreError};
use http::StatusCode;
use serde::Serialize;
use serde_json::Value;

use crate::App;
use crate::caller::Caller;
use crate::error::ApiError;
use crate::extract::{Form, Ids, MembersIfAny, text_where};
use crate::permission::Permission;
use crate::views::List;
use crate::{keys, origins, workspaces};

/// The longest time until a key expires, in seconds: ten years.
const MAX_LIFE_SECONDS: u64 = 10 * 366 * 24 * 3600;

/// The longest time that former keys stay good beside the new one, in seconds: a year.
const MAX_OVERLAP_SECONDS: u64 = 366 * 24 * 3600;

/// A publishable key.
#[derive(Debug, Serialize)]
pub struct PublishableKeyView {
    id: PublishableKeyId,
    name: String,
    /// Only for callers that may see keys: whoever has it can emit events.
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<String>,
    status: &'static str,
    /// Empty: any.
    allowed_origins: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by: Option<String>,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
}

impl PublishableKeyView {
    fn new(key: PublishableKey, in_full: bool, now: Timestamp) -> Self {
        Self {
            status: if key.has_expired(now) { "expired" } else { "active" },
            id: key.id,
            name: key.name,
            public_key: in_full.then_some(key.key),
            allowed_origins: key.allowed_origins,
            created_by: key.created_by,
            created_at: key.created_at.to_string(),
            expires_at: key.expires_at.map(|at| at.to_string()),
        }
    }
}

/// The answer to the making of a key.
#[derive(Debug, Serialize)]
pub struct MadePublishableKey {
    publishable_key: PublishableKeyView,
}

/// What is left of a key that was deleted.
#[derive(Debug, Serialize)]
pub struct DeletedPublishableKey {
    id: PublishableKeyId,
    name: String,
}

/// `GET /workspaces/{workspace}/publishable-keys`, the oldest first.
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    Ids(workspace): Ids<WorkspaceId>,
) -> Result<Json<List<PublishableKeyView>>, ApiError> {
    workspaces::own(&app, &caller, workspace).await?;
    let keys = app.store.list_publishable_keys(caller.reach(), workspace).await?;
    let (in_full, now) = (caller.may(Permission::KeysRead), app.clock.now());
    let shown = keys
        .into_iter()
        .map(|key| PublishableKeyView::new(key, in_full, now));
    Ok(Json(List::whole(shown.collect())))
}

/// `POST /workspaces/{workspace}/publishable-keys`
pub async fn create(
    State(app): State<App>,
    caller: Caller,
    Ids(workspace): Ids<WorkspaceId>,
    MembersIfAny(members): MembersIfAny,
) -> Result<(StatusCode, Json<MadePublishableKey>), ApiError> {
    may_emit(&caller)?;
    workspaces::own(&app, &caller, workspace).await?;
    let mut form = Form::new(&members);
    let name = form.take(
        "name",
        text_where(
            |text| !text.trim().is_empty() && text.len() <= 128,
            "must have 1 to 128 bytes",
        ),
    );
    let overlap = form.take("overlap_seconds", |value| seconds(value, 0, MAX_OVERLAP_SECONDS));
    let allowed_origins = form.take("allowed_origins", origins::read);
    let life = form.take("expires_in_seconds", |value| seconds(value, 1, MAX_LIFE_SECONDS));
    form.check()?;
    let now = app.clock.now();
    let expires_at = life.map(|life| now.plus(life));
    if let (Some(latest), Some(wanted)) = (caller.expires_at(), expires_at)
        && wanted > latest
    {
        return Err(ApiError::invalid(
            "expires_in_seconds",
            "cannot outlast the key that asks",
        ));
    }
    let id = PublishableKeyId::new(now, app.random());
    let key = PublishableKey {
        id,
        workspace,
        name: name.unwrap_or_else(|| "Default".into()),
        key: keys::publishable_key(&app.environment, id, app.random()),
        allowed_origins: allowed_origins.unwrap_or_default(),
        created_by: Some(caller.name.clone()),
        created_at: now,
        expires_at: expires_at.or(caller.expires_at()),
    };
    app.store
        .add_publishable_key(caller.reach(), key.clone(), overlap)
        .await
        .map_err(no_room)?;
    let publishable_key = PublishableKeyView::new(key, true, now);
    Ok((StatusCode::CREATED, Json(MadePublishableKey { publishable_key })))
}

/// `DELETE /workspaces/{workspace}/publishable-keys/{publishable_key}`: refused from the answer on.
pub async fn delete(
    State(app): State<App>,
    caller: Caller,
    Ids((workspace, id)): Ids<(WorkspaceId, PublishableKeyId)>,
) -> Result<Json<DeletedPublishableKey>, ApiError> {
    may_emit(&caller)?;
    let deleted = app
        .store
        .delete_publishable_key(caller.reach(), workspace, id)
        .await?
        .ok_or(ApiError::NotFound("publishable key"))?;
    Ok(Json(DeletedPublishableKey {
        id: deleted.id,
        name: deleted.name,
    }))
}

fn may_emit(caller: &Caller) -> Result<(), ApiError> {
    if caller.may(Permission::EventsEmit) {
        Ok(())
    } else {
        Err(ApiError::Forbidden(
            "A publishable key may emit events; neither make nor delete one without events:emit.",
        ))
    }
}

fn seconds(value: &Value, least: u64, most: u64) -> Result<Duration, String> {
    match value.as_u64() {
        Some(seconds) if (least..=most).contains(&seconds) => Ok(Duration::from_secs(seconds)),
        _ => Err(format!("must be a whole number from {least} to {most}")),
    }
}

fn no_room(error: StoreError) -> ApiError {
    match error {
        StoreError::Full(_) => ApiError::Conflict {
            code: "too_many_publishable_keys",
            message: format!(
                "A workspace has at most {} publishable keys; delete one.",
                heddle_store::MAX_PUBLISHABLE_KEYS
            ),
        },
        other => other.into(),
    }
}
