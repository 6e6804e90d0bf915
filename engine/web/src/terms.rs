//! What a workspace calls its events and resources. It describes and does not restrict: an event of
//! another name is accepted.

use axum::Json;
use axum::extract::State;
use heddle_core::event::{is_event_name, is_label};
use heddle_core::id::{TermId, WorkspaceId};
use heddle_store::{StoreError, Term, TermKind};
use http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::App;
use crate::caller::Caller;
use crate::emit::EVENT_RULE;
use crate::error::ApiError;
use crate::extract::{Form, Ids, Members, boolean, text_where};
use crate::rules::LABEL_RULE;
use crate::workspaces;

/// An entry, as the contract has it.
#[derive(Debug, Serialize)]
pub struct EntryView {
    id: TermId,
    key: String,
    label: String,
    description: Option<String>,
    active: bool,
    created_by: Option<String>,
    created_at: String,
    updated_at: String,
}

impl From<Term> for EntryView {
    fn from(entry: Term) -> Self {
        Self {
            id: entry.id,
            key: entry.key,
            label: entry.label,
            description: entry.description,
            active: entry.active,
            created_by: entry.created_by,
            created_at: entry.created_at.to_string(),
            updated_at: entry.updated_at.to_string(),
        }
    }
}

/// The answer to the making of an event type.
#[derive(Debug, Serialize)]
pub struct EventTypeMade {
    event_type: EntryView,
}

/// The answer to the making of a resource.
#[derive(Debug, Serialize)]
pub struct ResourceMade {
    resource: EntryView,
}

/// What is left of an entry that was deleted.
#[derive(Debug, Serialize)]
pub struct EntryDeleted {
    id: TermId,
    key: String,
}

/// `GET /workspaces/{workspace}/event-types`
pub async fn event_types(
    State(app): State<App>,
    caller: Caller,
    Ids(id): Ids<WorkspaceId>,
) -> Result<Json<Vec<EntryView>>, ApiError> {
    list(&app, &caller, id, TermKind::EventType).await
}

/// `GET /workspaces/{workspace}/resources`
pub async fn resources(
    State(app): State<App>,
    caller: Caller,
    Ids(id): Ids<WorkspaceId>,
) -> Result<Json<Vec<EntryView>>, ApiError> {
    list(&app, &caller, id, TermKind::Resource).await
}

/// `POST /workspaces/{workspace}/event-types`
pub async fn create_event_type(
    State(app): State<App>,
    caller: Caller,
    Ids(id): Ids<WorkspaceId>,
    Members(members): Members,
) -> Result<(StatusCode, Json<EventTypeMade>), ApiError> {
    let event_type = create(&app, caller, id, TermKind::EventType, &members).await?;
    Ok((StatusCode::CREATED, Json(EventTypeMade { event_type })))
}

/// `POST /workspaces/{workspace}/resources`
pub async fn create_resource(
    State(app): State<App>,
    caller: Caller,
    Ids(id): Ids<WorkspaceId>,
    Members(members): Members,
) -> Result<(StatusCode, Json<ResourceMade>), ApiError> {
    let resource = create(&app, caller, id, TermKind::Resource, &members).await?;
    Ok((StatusCode::CREATED, Json(ResourceMade { resource })))
}

/// `PUT /workspaces/{workspace}/event-types/{event_type}`
pub async fn update_event_type(
    State(app): State<App>,
    caller: Caller,
    Ids(ids): Ids<(WorkspaceId, TermId)>,
    Members(members): Members,
) -> Result<Json<EntryView>, ApiError> {
    update(&app, &caller, ids, TermKind::EventType, &members).await
}

/// `PUT /workspaces/{workspace}/resources/{resource}`
pub async fn update_resource(
    State(app): State<App>,
    caller: Caller,
    Ids(ids): Ids<(WorkspaceId, TermId)>,
    Members(members): Members,
) -> Result<Json<EntryView>, ApiError> {
    update(&app, &caller, ids, TermKind::Resource, &members).await
}

/// `DELETE /workspaces/{workspace}/event-types/{event_type}`
pub async fn delete_event_type(
    State(app): State<App>,
    caller: Caller,
    Ids(ids): Ids<(WorkspaceId, TermId)>,
) -> Result<Json<EntryDeleted>, ApiError> {
    delete(&app, &caller, ids, TermKind::EventType).await
}

/// `DELETE /workspaces/{workspace}/resources/{resource}`
pub async fn delete_resource(
    State(app): State<App>,
    caller: Caller,
    Ids(ids): Ids<(WorkspaceId, TermId)>,
) -> Result<Json<EntryDeleted>, ApiError> {
    delete(&app, &caller, ids, TermKind::Resource).await
}

async fn list(
    app: &App,
    caller: &Caller,
    workspace: WorkspaceId,
    kind: TermKind,
) -> Result<Json<Vec<EntryView>>, ApiError> {
    workspaces::named(app, caller, workspace).await?;
    let entries = app.store.terms(workspace, kind).await?;
    Ok(Json(entries.into_iter().map(EntryView::from).collect()))
}

async fn create(
    app: &App,
    caller: Caller,
    workspace: WorkspaceId,
    kind: TermKind,
    members: &Map<String, Value>,
) -> Result<EntryView, ApiError> {
    let mut form = Form::new(members);
    let (is_key, rule) = match kind {
        TermKind::EventType => (is_event_name as fn(&str) -> bool, EVENT_RULE),
        TermKind::Resource => (is_label as fn(&str) -> bool, LABEL_RULE),
    };
    let key = form.need("key", text_where(is_key, rule));
    let said = Said::read(&mut form);
    form.check()?;
    let Some(key) = key else { return Err(form.refuse()) };
    workspaces::named(app, &caller, workspace).await?;
    let now = app.clock.now();
    let entry = Term {
        id: TermId::new(now, app.random()),
        workspace,
        kind,
        label: said.label.unwrap_or_else(|| key.clone()),
        key,
        description: said.description,
        active: said.active.unwrap_or(true),
        created_by: Some(caller.name),
        created_at: now,
        updated_at: now,
    };
    app.store
        .create_term(entry.clone())
        .await
        .map_err(|error| match error {
            StoreError::Full(why) => ApiError::Conflict {
                code: "catalog_full",
                message: format!("{why}."),
            },
            StoreError::Conflict(why) => ApiError::Conflict {
                code: "key_taken",
                message: format!("{why}."),
            },
            other => other.into(),
        })?;
    Ok(entry.into())
}

/// What is absent stays as it is; `null` removes a description.
async fn update(
    app: &App,
    caller: &Caller,
    (workspace, id): (WorkspaceId, TermId),
    kind: TermKind,
    members: &Map<String, Value>,
) -> Result<Json<EntryView>, ApiError> {
    let mut form = Form::new(members);
    let said = Said::read(&mut form);
    let known = find(app, caller, workspace, kind, id).await?;
    form.take("key", |key| {
        if key.as_str() == Some(&known.key) {
            Ok(())
        } else {
            Err("cannot be changed: rules and events refer to it".into())
        }
    });
    form.check()?;
    let entry = Term {
        label: said.label.unwrap_or(known.label),
        description: if form.has("description") {
            said.description
        } else {
            known.description
        },
        active: said.active.unwrap_or(known.active),
        updated_at: app.clock.now(),
        ..known
    };
    if app.store.update_term(caller.reach(), entry.clone()).await? {
        Ok(Json(entry.into()))
    } else {
        Err(not_there(kind))
    }
}

async fn delete(
    app: &App,
    caller: &Caller,
    (workspace, id): (WorkspaceId, TermId),
    kind: TermKind,
) -> Result<Json<EntryDeleted>, ApiError> {
    find(app, caller, workspace, kind, id).await?;
    let gone = app.store.delete_term(caller.reach(), kind, id).await?;
    let Term { id, key, .. } = gone.ok_or_else(|| not_there(kind))?;
    Ok(Json(EntryDeleted { id, key }))
}

async fn find(
    app: &App,
    caller: &Caller,
    workspace: WorkspaceId,
    kind: TermKind,
    id: TermId,
) -> Result<Term, ApiError> {
    workspaces::named(app, caller, workspace).await?;
    let found = app.store.term(caller.reach(), kind, id).await?;
    found
        .filter(|entry| entry.workspace == workspace)
        .ok_or_else(|| not_there(kind))
}

fn not_there(kind: TermKind) -> ApiError {
    ApiError::NotFound(match kind {
        TermKind::EventType => "event type",
        TermKind::Resource => "resource",
    })
}

/// What can be said of an entry beside its key.
struct Said {
    label: Option<String>,
    description: Option<String>,
    active: Option<bool>,
}

impl Said {
    fn read(form: &mut Form<'_>) -> Self {
        let is_line = |text: &str| {
            (1..=128).contains(&text.len()) && text.trim() == text && !text.chars().any(char::is_control)
        };
        let label = form.take(
            "label",
            text_where(
                is_line,
                "must have 1 to 128 bytes, no control characters and no spaces around it",
            ),
        );
        let description = form.take(
            "description",
            text_where(
                |text| text.chars().count() <= 1024,
                "must have at most 1024 characters",
            ),
        );
        let active = form.take("active", boolean);
        Self {
            label,
            description,
            active,
        }
    }
}
