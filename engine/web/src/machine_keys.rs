//! Machine keys, made and ended through the API by a caller that may: never one that may more than it,
//! elsewhere than it, or for longer than it.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use heddle_core::id::{OrganisationId, WorkspaceId};
use heddle_core::secret::Secret;
use heddle_core::time::Timestamp;
use heddle_store::{MachineKey, Reach, StoreError};
use http::StatusCode;
use serde::Serialize;
use serde_json::Value;

use crate::App;
use crate::caller::Caller;
use crate::error::ApiError;
use crate::extract::{Form, Ids, Members, text, text_where};
use crate::permission::{Permission, Permissions};
use crate::views::List;
use crate::workspaces;

const NO_KEY: ApiError = ApiError::NotFound("machine key");

/// The most workspaces that a key can be limited to: each of its lists looks at each of them.
pub const MAX_WORKSPACES: usize = 100;

/// The longest time until a key expires, in seconds: ten years.
const MAX_LIFE_SECONDS: u64 = 10 * 366 * 24 * 3600;

/// A machine key as it is shown; its secret is not.
#[derive(Debug, Serialize)]
pub struct KeyView {
    access_key: String,
    organization_id: OrganisationId,
    name: String,
    /// All of them when the key is not limited.
    permissions: Vec<&'static str>,
    /// `null` when the key is not limited.
    workspaces: Option<Arc<[WorkspaceId]>>,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by: Option<String>,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<String>,
}

impl KeyView {
    fn new(key: MachineKey, now: Timestamp) -> Self {
        let permissions = permissions_of(&key).iter().map(Permission::as_str).collect();
        let status = match (key.revoked_at, key.expires_at) {
            (Some(_), _) => "revoked",
            (None, Some(at)) if at <= now => "expired",
            _ => "active",
        };
        Self {
            access_key: key.access_key,
            organization_id: key.organisation,
            name: key.name,
            permissions,
            workspaces: key.workspaces,
            status,
            created_by: key.created_by,
            created_at: key.created_at.to_string(),
            expires_at: key.expires_at.map(|at| at.to_string()),
            revoked_at: key.revoked_at.map(|at| at.to_string()),
        }
    }
}

/// The answer to the making of a key: the only time that its secret is shown.
#[derive(Serialize)]
pub struct Made {
    key: KeyView,
    secret_key: String,
}

/// The answer to the ending of a key.
#[derive(Serialize)]
pub struct Revoked {
    revoked: bool,
}

/// What a stored key may do. A word that this version does not know grants nothing.
pub fn permissions_of(key: &MachineKey) -> Permissions {
    match &key.permissions {
        None => Permissions::ALL,
        Some(words) => {
            let known: Vec<Permission> = words.iter().filter_map(|word| Permission::parse(word)).collect();
            Permissions::of(&known)
        }
    }
}

/// The key as the API shows it.
pub fn shown(key: MachineKey, now: Timestamp) -> Value {
    serde_json::to_value(KeyView::new(key, now)).unwrap_or_default()
}

/// Whether the key opens no workspace that the caller does not reach.
fn is_within(reach: &Reach, key: &MachineKey) -> bool {
    match (&reach.workspaces, &key.workspaces) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(_), Some(ids)) => ids.iter().all(|id| reach.covers(*id)),
    }
}

/// `GET /keys`: those whose workspaces the caller reaches.
pub async fn list(State(app): State<App>, caller: Caller) -> Result<Json<List<KeyView>>, ApiError> {
    let (reach, now) = (caller.reach(), app.clock.now());
    let mut keys = app.store.list_machine_keys(caller.organisation()).await?;
    keys.retain(|key| is_within(&reach, key));
    let shown: Vec<KeyView> = keys.into_iter().map(|key| KeyView::new(key, now)).collect();
    Ok(Json(List::whole(shown)))
}

/// `POST /keys`. What is not said is as the caller's own.
pub async fn create(
    State(app): State<App>,
    caller: Caller,
    Members(members): Members,
) -> Result<(StatusCode, Json<Made>), ApiError> {
    let mut form = Form::new(&members);
    let name = form.need(
        "name",
        text_where(
            |text| !text.trim().is_empty() && text.len() <= 128,
            "must have 1 to 128 bytes",
        ),
    );
    let permissions = form.take("permissions", read_permissions);
    let workspaces = form.take("workspaces", read_workspaces);
    let life = form.take("expires_in_seconds", |value| match value.as_u64() {
        Some(seconds @ 1..=MAX_LIFE_SECONDS) => Ok(Duration::from_secs(seconds)),
        _ => Err(format!("must be a whole number from 1 to {MAX_LIFE_SECONDS}")),
    });
    form.check()?;
    let Some(name) = name else {
        return Err(form.refuse());
    };
    for workspace in workspaces.iter().flat_map(|ids| ids.iter()) {
        workspaces::own(&app, &caller, *workspace).await?;
    }
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
    let all = |permissions: Permissions| permissions == Permissions::ALL;
    let key = MachineKey {
        access_key: format!("mk_{}", URL_SAFE_NO_PAD.encode(app.random::<18>())),
        organisation: caller.organisation(),
        name,
        secret: Secret::new(URL_SAFE_NO_PAD.encode(app.random::<32>())),
        permissions: Some(permissions.unwrap_or(caller.permissions()))
            .filter(|permissions| !all(*permissions))
            .map(|permissions| permissions.iter().map(|one| one.as_str().to_owned()).collect()),
        workspaces: workspaces.or(caller.reach().workspaces),
        created_by: Some(caller.name.clone()),
        created_at: now,
        expires_at: expires_at.or(caller.expires_at()),
        revoked_at: None,
    };
    if !caller.permissions().has_all(permissions_of(&key)) {
        return Err(BEYOND);
    }
    app.store.create_machine_key(key.clone()).await.map_err(no_room)?;
    let secret_key = key.secret.reveal().to_owned();
    let key = KeyView::new(key, now);
    Ok((StatusCode::CREATED, Json(Made { key, secret_key })))
}

/// `DELETE /keys/{access_key}`
pub async fn revoke(
    State(app): State<App>,
    caller: Caller,
    Ids(access_key): Ids<String>,
) -> Result<Json<Revoked>, ApiError> {
    let now = app.clock.now();
    let reach = caller.reach();
    let known = app.store.machine_key(&access_key, now).await?.ok_or(NO_KEY)?;
    if known.organisation != reach.organisation || !is_within(&reach, &known) {
        return Err(NO_KEY);
    }
    if !caller.permissions().has_all(permissions_of(&known)) {
        return Err(BEYOND);
    }
    let revoked = app
        .store
        .revoke_machine_key(caller.organisation(), access_key, now)
        .await?;
    let revoked = revoked.ok_or(NO_KEY)?;
    Ok(Json(Revoked { revoked }))
}

fn no_room(error: StoreError) -> ApiError {
    match error {
        StoreError::Full(_) => ApiError::Conflict {
            code: "too_many_machine_keys",
            message: format!(
                "An organization has at most {} machine keys; revoke one.",
                heddle_store::MAX_MACHINE_KEYS
            ),
        },
        other => other.into(),
    }
}

const BEYOND: ApiError =
    ApiError::Forbidden("A key can neither grant nor take away what it does not have itself.");

fn read_permissions(value: &Value) -> Result<Permissions, String> {
    let words = value.as_array().ok_or("must be an array of permissions")?;
    if words.is_empty() {
        return Err("must name a permission; leave it out for those of the key that asks".into());
    }
    let mut permissions = Vec::new();
    for word in words {
        let permission = word.as_str().and_then(Permission::parse).ok_or_else(|| {
            let known: Vec<&str> = Permissions::ALL.iter().map(Permission::as_str).collect();
            format!("must be some of {}", known.join(", "))
        })?;
        permissions.push(permission);
    }
    Ok(Permissions::of(&permissions))
}

fn read_workspaces(value: &Value) -> Result<Arc<[WorkspaceId]>, String> {
    let wrong = || format!("must be an array of 1 to {MAX_WORKSPACES} ids of workspaces");
    let ids = value.as_array().ok_or_else(wrong)?;
    let mut workspaces = Vec::new();
    for id in ids {
        workspaces.push(text(id)?.parse().map_err(|_| wrong())?);
    }
    workspaces.sort();
    workspaces.dedup();
    if (1..=MAX_WORKSPACES).contains(&workspaces.len()) {
        Ok(workspaces.into())
    } else {
        Err(wrong())
    }
}
