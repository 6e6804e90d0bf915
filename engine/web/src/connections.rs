//! Connections: the destinations that a workspace has configured.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use heddle_core::connection::{Connection, Health, InactiveReason};
use heddle_core::exchange::Function;
use heddle_core::id::{ConnectionId, WorkspaceId};
use heddle_core::manifest::Manifest;
use heddle_delivery::conversation::at_leisure;
use heddle_egress::{Grant, GrantError};
use heddle_sandbox::Patience;
use heddle_store::{ConnectionDeletion, StoreError};
use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::App;
use crate::caller::Caller;
use crate::checks;
use crate::error::{ApiError, Problem};
use crate::extract::{Form, Ids, Members, MembersIfAny, boolean, id, object, text, text_where};
use crate::lists;
use crate::settings::{self, Parted, Surroundings};
use crate::views;
use crate::workspaces;

/// There is none, or none of the caller's.
pub const NO_CONNECTION: ApiError = ApiError::NotFound("connection");

/// How often a change is made anew that others came before.
const TRIES: usize = 3;

/// The shortest time between two changes.
const TICK: Duration = Duration::from_millis(1);

/// `GET /connections`
pub async fn list(State(app): State<App>, caller: Caller) -> Result<Response, ApiError> {
    listed(&app, &caller, None).await
}

/// The connections of the organization, or of one workspace of it.
pub async fn listed(
    app: &App,
    caller: &Caller,
    workspace: Option<WorkspaceId>,
) -> Result<Response, ApiError> {
    let (store, reach) = (app.store.clone(), caller.reach());
    let next = move |mark| {
        let (store, reach) = (store.clone(), reach.clone());
        async move { store.some_connections(reach, workspace, mark).await }
    };
    let with = Arc::clone(app);
    let show = move |connection: &Connection| shown(&with, connection, &[]);
    lists::whole(app, caller, next, show).await
}

/// `POST /connections`
pub async fn create(
    State(app): State<App>,
    caller: Caller,
    Members(members): Members,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let mut form = Form::new(&members);
    let workspace = form.need("workspace", id::<WorkspaceId>);
    let kind = form.need("type", text);
    let name = form.need("name", text_where(is_name, NAME_RULE));
    let metadata = form.take("metadata", object);
    let hidden = form.take("hidden", boolean).unwrap_or(false);
    let active = form.take("active", boolean);
    form.check()?;
    let (Some(workspace), Some(kind), Some(name)) = (workspace, kind, name) else {
        return Err(form.refuse());
    };
    workspaces::named(&app, &caller, workspace).await?;
    let manifest = manifest(&app, kind).ok_or_else(|| unknown_type(&app))?;
    let none = Map::new();
    let parted = part(&app, &manifest, metadata.unwrap_or(&none), None)?;
    let now = app.clock.now();
    let mut connection = Connection {
        id: ConnectionId::new(now, app.random()),
        workspace,
        kind: manifest.name.clone(),
        name,
        settings: parted.settings,
        secrets: parted.secrets,
        health: health(&Health::Active, active, false),
        check: None,
        hidden,
        created_by: caller.name.clone(),
        created_at: now,
        updated_at: now,
    };
    rehearse(&app, &connection).await?;
    // What is switched off is not tried: perhaps it is meant to be made ready later.
    if active != Some(false) {
        examine(&app, &caller, &mut connection).await;
    }
    app.store
        .create_connection(connection.clone())
        .await
        .map_err(name_taken)?;
    Ok((
        StatusCode::CREATED,
        Json(json!({"connection": shown(&app, &connection, &parted.made)})),
    ))
}

/// `GET /connections/{connection}`
pub async fn get(
    State(app): State<App>,
    caller: Caller,
    Ids(id): Ids<ConnectionId>,
) -> Result<Json<Value>, ApiError> {
    let connection = app
        .store
        .connection(caller.reach(), id)
        .await?
        .ok_or(NO_CONNECTION)?;
    Ok(Json(shown(&app, &connection, &[])))
}

/// `PUT /connections/{connection}`. `metadata` replaces all settings; of the secrets it replaces those
/// that it names. The additive `active` stops and starts the connection by hand; changed metadata
/// starts one that was stopped because its credential was refused.
pub async fn update(
    State(app): State<App>,
    caller: Caller,
    Ids(connection_id): Ids<ConnectionId>,
    Members(members): Members,
) -> Result<Json<Value>, ApiError> {
    let mut form = Form::new(&members);
    let name = form.need("name", text_where(is_name, NAME_RULE));
    let metadata = form.need("metadata", object);
    let hidden = form.take("hidden", boolean);
    let active = form.take("active", boolean);
    form.check()?;
    let (Some(name), Some(metadata)) = (name, metadata) else {
        return Err(form.refuse());
    };
    for _ in 0..TRIES {
        let known = app
            .store
            .connection(caller.reach(), connection_id)
            .await?
            .ok_or(NO_CONNECTION)?;
        let manifest = manifest(&app, &known.kind).ok_or_else(|| plugin_missing(&known.kind))?;
        let parted = part(&app, &manifest, metadata, Some(&known))?;
        let changed = parted.settings != known.settings || parted.secrets != known.secrets;
        let as_of = known.updated_at;
        let now = app.clock.now();
        let mut updated = Connection {
            name: name.clone(),
            settings: parted.settings,
            secrets: parted.secrets,
            health: health(&known.health, active, changed),
            hidden: hidden.unwrap_or(known.hidden),
            // Never that of before, by which others tell that it changed.
            updated_at: if now == as_of { now.plus(TICK) } else { now },
            ..known
        };
        rehearse(&app, &updated).await?;
        if active == Some(true) || (changed && active.is_none()) {
            examine(&app, &caller, &mut updated).await;
        }
        let written = app
            .store
            .update_connection(caller.reach(), updated.clone(), Some(as_of))
            .await
            .map_err(name_taken)?;
        if written {
            return Ok(Json(shown(&app, &updated, &parted.made)));
        }
        // What was kept of it may have been exchanged while the destination was asked.
    }
    Err(ApiError::Conflict {
        code: "changed_meanwhile",
        message: "The connection is being changed by others. Read it, and decide again.".into(),
    })
}

/// `DELETE /connections/{connection}`
pub async fn delete(
    State(app): State<App>,
    caller: Caller,
    Ids(id): Ids<ConnectionId>,
    MembersIfAny(members): MembersIfAny,
) -> Result<Json<Value>, ApiError> {
    let mut form = Form::new(&members);
    let force = form.take("force_delete", boolean).unwrap_or(false);
    form.check()?;
    let connection = app
        .store
        .connection(caller.reach(), id)
        .await?
        .ok_or(NO_CONNECTION)?;
    match app
        .store
        .delete_connection(caller.reach(), id, force, app.clock.now())
        .await?
    {
        ConnectionDeletion::Deleted => Ok(Json(json!({"id": id, "type": connection.kind}))),
        ConnectionDeletion::NotFound => Err(NO_CONNECTION),
        ConnectionDeletion::HasActiveRules => Err(ApiError::Conflict {
            code: "has_active_rules",
            message:
                "Active rules use this connection. Delete them first, or send {\"force_delete\": true} to \
                      delete them with it."
                    .into(),
        }),
    }
}

/// Has the plugin check a connection that is about to be saved. A credential that the destination
/// refuses is kept, with the connection inactive: what somebody typed is not lost, and can be mended.
async fn examine(app: &App, caller: &Caller, connection: &mut Connection) {
    connection.check = checks::before_saving(app, caller.organisation(), connection).await;
    if let Some(check) = &connection.check {
        connection.health = checks::health_after(&connection.health, check, false);
    }
}

/// What becomes of the connection's health: what a person says counts, then what changed.
fn health(known: &Health, active: Option<bool>, changed: bool) -> Health {
    let by_hand = || Health::Inactive {
        reason: InactiveReason::ManuallyInactivated,
        detail: "Deactivated through the API.".into(),
    };
    match (active, known) {
        (Some(true), _) => Health::Active,
        (Some(false), Health::Inactive { .. }) => known.clone(),
        (Some(false), Health::Active) => by_hand(),
        (None, Health::Inactive { reason, .. })
            if changed && *reason != InactiveReason::ManuallyInactivated =>
        {
            Health::Active
        }
        (None, _) => known.clone(),
    }
}

/// Metadata that passed the manifest's checks and from which requests can be made.
fn part(
    app: &App,
    manifest: &Manifest,
    metadata: &Map<String, Value>,
    stored: Option<&Connection>,
) -> Result<Parted, ApiError> {
    let surroundings = Surroundings {
        check_url: &|url| app.egress.check_url(url),
        random: &|| app.random(),
    };
    let parted = settings::check(manifest, metadata, stored, &surroundings).map_err(ApiError::Invalid)?;
    match Grant::new(manifest, &parted.settings, &parted.secrets) {
        Ok(_) => Ok(parted),
        Err(error) => Err(ApiError::Invalid(vec![told(manifest, error)])),
    }
}

/// Why requests cannot be made, at the field that the person can mend.
fn told(manifest: &Manifest, error: GrantError) -> Problem {
    match error {
        GrantError::Setting { key, problem } => Problem::new(format!("metadata.{key}"), problem),
        GrantError::Credential { name, problem } => {
            let declared = manifest.credentials.iter().find(|one| one.name == name);
            let field = declared.map_or(&name, |credential| &credential.field);
            Problem::new(format!("metadata.{field}"), problem)
        }
        error @ GrantError::Host(_) => Problem::new("metadata", error.to_string()),
    }
}

/// Asks the plugin what it makes of the settings, without a request to the destination: `check` is a
/// pure function, so that called without replies it either names its first request or says at once
/// what is missing, such as one of two credentials. A plugin that breaks here says nothing about the
/// settings; its deliveries will say so.
async fn rehearse(app: &App, connection: &Connection) -> Result<(), ApiError> {
    let Some(plugin) = app
        .plugins
        .get(&connection.kind)
        .filter(|plugin| plugin.has(Function::Check))
    else {
        return Ok(());
    };
    let input = json!({"connection": connection.told(), "sent_at": app.clock.now().0}).to_string();
    let check = move || plugin.call(Function::Check, &input, &[], Patience::Full);
    match at_leisure(connection.workspace, check).await {
        Ok(Err(failure)) => Err(ApiError::invalid("metadata", failure.message)),
        _ => Ok(()),
    }
}

/// What the plugin of this type says of itself.
pub fn manifest(app: &App, kind: &str) -> Option<Arc<Manifest>> {
    app.plugins.get(kind).map(|plugin| Arc::clone(plugin.manifest()))
}

/// The connection's plugin is not loaded.
pub fn plugin_missing(kind: &str) -> ApiError {
    ApiError::Conflict {
        code: "plugin_missing",
        message: format!("No plugin called {kind} is loaded, so this cannot be checked."),
    }
}

fn unknown_type(app: &App) -> ApiError {
    let mut known: Vec<String> = app
        .plugins
        .all()
        .iter()
        .map(|plugin| plugin.manifest().name.clone())
        .collect();
    known.sort();
    ApiError::invalid("type", format!("must be one of {}", known.join(", ")))
}

/// A connection as the API shows it.
pub fn shown(app: &App, connection: &Connection, in_the_clear: &[String]) -> Value {
    let manifest = manifest(app, &connection.kind);
    let mut shown = views::connection(connection, manifest.as_deref(), in_the_clear);
    views::add_circuit(&mut shown, app.pacer.circuit(connection));
    shown
}

const NAME_RULE: &str = "must have 1 to 128 letters, digits, spaces, _ or -";

fn is_name(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && !text.trim().is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b" _-".contains(&byte))
}

fn name_taken(error: StoreError) -> ApiError {
    match error {
        StoreError::Conflict(_) => ApiError::Conflict {
            code: "name_taken",
            message: "Another connection of this workspace has this name.".into(),
        },
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inactive(reason: InactiveReason) -> Health {
        Health::Inactive {
            reason,
            detail: String::new(),
        }
    }

    #[test]
    fn a_changed_credential_reactivates_what_a_refused_one_stopped_and_nothing_else() {
        let refused = inactive(InactiveReason::AuthenticationInvalid);
        let by_hand = inactive(InactiveReason::ManuallyInactivated);
        let cases = [
            (&refused, None, true, true),
            (&refused, None, false, false),
            (&refused, Some(true), false, true),
            (&refused, Some(false), true, false),
            (&by_hand, None, true, false),
            (&by_hand, Some(true), false, true),
            (&Health::Active, Some(false), true, false),
            (&Health::Active, None, true, true),
        ];
        for (known, active, changed, expected) in cases {
            assert_eq!(
                health(known, active, changed).is_active(),
                expected,
                "{known:?} {active:?} {changed}"
            );
        }
    }
}
