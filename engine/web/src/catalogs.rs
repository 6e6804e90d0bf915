//! A connection's field catalog: kept, refreshed from the destination when it is old or asked for, and
//! honest about its age when the destination does not answer.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use heddle_core::catalog::{Catalog, CatalogField};
use heddle_core::connection::Connection;
use heddle_core::exchange::Function;
use heddle_core::id::{CatalogId, ConnectionId, WorkspaceId};
use heddle_store::CatalogRecord;
use serde::Serialize;
use serde_json::json;

use crate::App;
use crate::caller::Caller;
use crate::connections::NO_CONNECTION;
use crate::error::ApiError;
use crate::extract::{Ids, Parameters};
use crate::live::{self, Told, Trouble};

/// How old a catalog may be before the destination is asked again.
const FRESH: Duration = Duration::from_secs(24 * 60 * 60);

/// The contract's field catalog; `age_seconds`, `stale` and `error` are additive.
#[derive(Debug, Serialize)]
pub struct CatalogView {
    id: CatalogId,
    workspace_id: WorkspaceId,
    connection_id: ConnectionId,
    integration_type: String,
    catalog_version: String,
    refreshed_at: String,
    created_by: String,
    created_at: String,
    updated_at: String,
    fields: Vec<CatalogField>,
    age_seconds: u64,
    stale: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Told>,
}

/// `GET /connections/{connection}/fields`
pub async fn fields(
    State(app): State<App>,
    caller: Caller,
    Ids(id): Ids<ConnectionId>,
    parameters: Parameters,
) -> Result<Json<CatalogView>, ApiError> {
    let refresh = parameters.flag("refresh")?;
    let connection = app
        .store
        .connection(caller.reach(), id)
        .await?
        .ok_or(NO_CONNECTION)?;
    let (record, trouble) = current(&app, &caller, &connection, refresh).await?;
    Ok(Json(CatalogView {
        id: record.id,
        workspace_id: connection.workspace,
        connection_id: record.connection,
        integration_type: connection.kind,
        catalog_version: record.version,
        refreshed_at: record.refreshed_at.to_string(),
        created_by: record.created_by,
        created_at: record.created_at.to_string(),
        updated_at: record.updated_at.to_string(),
        fields: record.catalog.fields,
        age_seconds: app.clock.now().since(record.refreshed_at).as_secs(),
        stale: trouble.is_some(),
        error: trouble.map(|trouble| trouble.told()),
    }))
}

/// The catalog that is kept if it is fresh, else the destination's, else what is kept with the reason
/// why it is not fresh.
pub async fn current(
    app: &App,
    caller: &Caller,
    connection: &Connection,
    refresh: bool,
) -> Result<(CatalogRecord, Option<Trouble>), ApiError> {
    let kept = app.store.catalog(caller.reach(), connection.id).await?;
    if let Some(kept) = &kept
        && !refresh
        && app.clock.now().since(kept.refreshed_at) < FRESH
    {
        return Ok((kept.clone(), None));
    }
    match (asked(app, caller, connection).await, kept) {
        (Ok(record), _) => {
            let record = app.store.put_catalog(record, connection.updated_at).await?;
            Ok((record, None))
        }
        (Err(trouble), Some(kept)) if trouble.is_passing() => Ok((kept, Some(trouble))),
        (Err(trouble), _) => Err(trouble.into()),
    }
}

async fn asked(app: &App, caller: &Caller, connection: &Connection) -> Result<CatalogRecord, Trouble> {
    let input =
        json!({"connection": connection.told(), "action": "", "sent_at": app.clock.now().0}).to_string();
    let answer = live::ask(app, caller.organisation(), connection, Function::Fields, input).await?;
    let catalog = Catalog::read(&answer).map_err(|error| Trouble::unreadable(error.to_string()))?;
    let now = app.clock.now();
    Ok(CatalogRecord {
        id: CatalogId::new(now, app.random()),
        connection: connection.id,
        version: catalog.version(),
        catalog,
        created_by: caller.name.clone(),
        created_at: now,
        updated_at: now,
        refreshed_at: now,
    })
}
