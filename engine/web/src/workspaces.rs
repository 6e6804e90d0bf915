//! Workspaces: the tenant boundary, one for each of a product's customers.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use heddle_core::id::{PublishableKeyId, WorkspaceId};
use heddle_store::{EventFilter, PublishableKey, Workspace, WorkspaceDeletion};
use http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::App;
use crate::caller::Caller;
use crate::error::ApiError;
use crate::extract::{Form, Ids, Members, Parameters, text, text_where};
use crate::permission::Permission;
use crate::{connections, events, keys, lists, rules, views};

const NO_WORKSPACE: ApiError = ApiError::NotFound("workspace");

/// `GET /workspaces`
pub async fn list(State(app): State<App>, caller: Caller) -> Result<Response, ApiError> {
    let (store, reach) = (app.store.clone(), caller.reach());
    let next = move |mark| {
        let (store, reach) = (store.clone(), reach.clone());
        async move { store.some_workspaces(reach, mark).await }
    };
    lists::whole(&app, &caller, next, views::workspace).await
}

/// `POST /workspaces`: with its publishable key.
pub async fn create(
    State(app): State<App>,
    caller: Caller,
    Members(members): Members,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    if caller.reach().workspaces.is_some() {
        return Err(ApiError::Forbidden(
            "This credential is limited to workspaces that exist; making one needs a key of the organization.",
        ));
    }
    let (name, description) = read(&members)?;
    let now = app.clock.now();
    let id = WorkspaceId::new(now, app.random());
    let workspace = Workspace {
        id,
        organisation: caller.organisation(),
        name,
        description: description.flatten(),
        created_at: now,
        updated_at: now,
    };
    let key_id = PublishableKeyId::new(now, app.random());
    let key = PublishableKey {
        id: key_id,
        workspace: id,
        name: "Default".into(),
        key: keys::publishable_key(&app.environment, key_id, app.random()),
        allowed_origins: Vec::new(),
        created_by: None,
        created_at: now,
        expires_at: None,
    };
    app.store
        .create_workspace(workspace.clone(), key.clone())
        .await
        .map_err(name_taken)?;
    Ok((
        StatusCode::CREATED,
        Json(json!({"workspace": views::workspace_with_key(&workspace, Some(&key))})),
    ))
}

/// `GET /workspaces/{workspace}`
pub async fn get(
    State(app): State<App>,
    caller: Caller,
    Ids(id): Ids<WorkspaceId>,
) -> Result<Json<Value>, ApiError> {
    let workspace = own(&app, &caller, id).await?;
    // Whoever has it can emit events, so it is not for those who may only look.
    if !caller.may(Permission::KeysRead) {
        return Ok(Json(views::workspace(&workspace)));
    }
    let key = app
        .store
        .publishable_key_of(caller.reach(), id, app.clock.now())
        .await?;
    Ok(Json(views::workspace_with_key(&workspace, key.as_ref())))
}

/// `PUT /workspaces/{workspace}`: an absent description is kept, `null` removes it.
pub async fn update(
    State(app): State<App>,
    caller: Caller,
    Ids(id): Ids<WorkspaceId>,
    Members(members): Members,
) -> Result<Json<Value>, ApiError> {
    let (name, description) = read(&members)?;
    let known = own(&app, &caller, id).await?;
    let description = description.unwrap_or(known.description);
    let updated = app
        .store
        .update_workspace(caller.reach(), id, name, description, app.clock.now())
        .await
        .map_err(name_taken)?
        .ok_or(NO_WORKSPACE)?;
    Ok(Json(views::workspace(&updated)))
}

/// What is left of a workspace that was deleted.
#[derive(Debug, Serialize)]
pub struct DeletedWorkspace {
    id: WorkspaceId,
    name: String,
}

/// `DELETE /workspaces/{workspace}`: with all that it has, for good. From the answer on nothing of it is
/// there; its rows are removed after that.
pub async fn delete(
    State(app): State<App>,
    caller: Caller,
    Ids(id): Ids<WorkspaceId>,
    Members(members): Members,
) -> Result<Json<DeletedWorkspace>, ApiError> {
    own(&app, &caller, id).await?;
    let mut form = Form::new(&members);
    let confirmed = form.need("confirm", |value| text(value).map(str::to_owned));
    form.check()?;
    let confirmed = confirmed.ok_or_else(|| form.refuse())?;
    let deletion = app
        .store
        .delete_workspace(caller.reach(), id, confirmed, app.clock.now())
        .await?;
    match deletion {
        WorkspaceDeletion::Deleted(Workspace { id, name, .. }) => Ok(Json(DeletedWorkspace { id, name })),
        WorkspaceDeletion::OtherName => Err(ApiError::invalid("confirm", "must be the workspace's name")),
        WorkspaceDeletion::NotFound => Err(NO_WORKSPACE),
    }
}

/// `GET /workspaces/{workspace}/connections`
pub async fn connections(
    State(app): State<App>,
    caller: Caller,
    Ids(id): Ids<WorkspaceId>,
) -> Result<Response, ApiError> {
    own(&app, &caller, id).await?;
    connections::listed(&app, &caller, Some(id)).await
}

/// `GET /workspaces/{workspace}/rules`
pub async fn rules(
    State(app): State<App>,
    caller: Caller,
    Ids(id): Ids<WorkspaceId>,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    own(&app, &caller, id).await?;
    rules::listed(&app, &caller, Some(id), &parameters).await
}

/// `GET /workspaces/{workspace}/events`
pub async fn events(
    State(app): State<App>,
    caller: Caller,
    Ids(id): Ids<WorkspaceId>,
    parameters: Parameters,
) -> Result<Json<Value>, ApiError> {
    own(&app, &caller, id).await?;
    let filter = EventFilter {
        workspace: Some(id),
        ..events::filter(&parameters)?
    };
    events::listed(&app, &caller, filter, &parameters).await
}

/// The workspace, if it is one of the caller's organisation: the one place where a caller's word for a
/// workspace is held against whose it is.
pub async fn own(app: &App, caller: &Caller, id: WorkspaceId) -> Result<Workspace, ApiError> {
    app.store.workspace(caller.reach(), id).await?.ok_or(NO_WORKSPACE)
}

/// [`own`] for the operations at which the contract has a 403 and no 404: it says the same of a workspace
/// that is not there and of another organization's.
pub async fn named(app: &App, caller: &Caller, id: WorkspaceId) -> Result<Workspace, ApiError> {
    own(app, caller, id).await.map_err(|error| match error {
        ApiError::NotFound(_) => ApiError::Forbidden("This credential has no workspace of this id."),
        other => other,
    })
}

/// The name, and the description if one was sent: `Some(None)` is an explicit `null`.
fn read(members: &Map<String, Value>) -> Result<(String, Option<Option<String>>), ApiError> {
    let mut form = Form::new(members);
    let name = form.need(
        "name",
        text_where(is_name, "must have 3 to 50 letters, digits, spaces, _ or -"),
    );
    let description = form.take(
        "description",
        text_where(
            |text| text.chars().count() <= 1024,
            "must have at most 1024 characters",
        ),
    );
    form.check()?;
    let sent = form.has("description");
    Ok((name.ok_or_else(|| form.refuse())?, sent.then_some(description)))
}

/// The contract's `^[a-zA-Z0-9 _-]+$`, 3 to 50, and more than spaces.
fn is_name(text: &str) -> bool {
    (3..=50).contains(&text.len())
        && !text.trim().is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b" _-".contains(&byte))
}

fn name_taken(error: heddle_store::StoreError) -> ApiError {
    match error {
        heddle_store::StoreError::Conflict(_) => ApiError::Conflict {
            code: "name_taken",
            message: "Another workspace of this organization has this name.".into(),
        },
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_the_published_form() {
        for good in ["abc", "My_Work-Space 7"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["ab", "   ", "a/b", "naïve", "", &"x".repeat(51)] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
