//! The default mapping of a connection: the one that was stored, else the one that the destination's
//! field catalog suggests.

use axum::Json;
use axum::extract::State;
use heddle_core::catalog::Catalog;
use heddle_core::connection::Connection;
use heddle_core::id::{ConnectionId, MappingId, WorkspaceId};
use heddle_core::mapping::{Mapping, generated};
use heddle_core::time::Timestamp;
use heddle_store::{DefaultMapping, MappingWritten};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::App;
use crate::caller::Caller;
use crate::catalogs;
use crate::connections::NO_CONNECTION;
use crate::error::{ApiError, Problem};
use crate::extract::{Form, Ids, Members, id, object, text_where};
use crate::live::TroubleKind;

const DEFAULT_NAME: &str = "Default mapping";

/// The version of a mapping that was never stored.
const GENERATED: u32 = 1;

/// The contract's answer.
#[derive(Debug, Serialize)]
pub struct MappingAnswer {
    /// `stored` or `generated`.
    status: &'static str,
    mapping: MappingView,
}

/// The contract's mapping record.
#[derive(Debug, Serialize)]
struct MappingView {
    id: Uuid,
    /// The connection's own id: it has one default mapping.
    mapping_id: Uuid,
    version: u32,
    workspace_id: WorkspaceId,
    connection_id: ConnectionId,
    integration_type: String,
    name: String,
    schema: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    catalog_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by: Option<String>,
    created_at: String,
    updated_at: String,
}

/// `GET /connections/{connection}/mappings/default`
pub async fn get(
    State(app): State<App>,
    caller: Caller,
    Ids(id): Ids<ConnectionId>,
) -> Result<Json<MappingAnswer>, ApiError> {
    let connection = found(&app, &caller, id).await?;
    if let Some(mapping) = app.store.default_mapping(caller.reach(), id).await? {
        return stored(&connection, mapping);
    }
    let (catalog, version, at) = match catalogs::current(&app, &caller, &connection, false).await {
        Ok((record, _)) => (record.catalog, Some(record.version), record.updated_at),
        // It takes no fields: that there is nothing to map is the truth.
        Err(ApiError::Destination(trouble)) if trouble.kind == TroubleKind::NotOffered => {
            (Catalog { fields: Vec::new() }, None, connection.created_at)
        }
        Err(error) => return Err(error),
    };
    Ok(Json(suggested(&connection, &catalog, version, at)))
}

/// `PUT /connections/{connection}/mappings/default`. Whatever is wrong with the body is a 422: the
/// contract has no 400 here.
pub async fn put(
    State(app): State<App>,
    caller: Caller,
    Ids(connection_id): Ids<ConnectionId>,
    Members(members): Members,
) -> Result<Json<MappingAnswer>, ApiError> {
    let mut form = Form::new(&members);
    let schema = form.need("schema", |value| object(value).map(|_| value));
    let name = form.take("name", text_where(is_name, "must have 1 to 64 characters"));
    let mapping_id = form.take("mapping_id", id::<Uuid>);
    let workspace = form.take("workspace_id", id::<WorkspaceId>);
    let expected = form.take("expected_version", version);
    form.check().map_err(unprocessable)?;
    let schema = schema.ok_or_else(|| unprocessable(form.refuse()))?;
    Mapping::parse(schema, "schema")
        .map_err(|problems| ApiError::InvalidMapping(problems.into_iter().map(Problem::from).collect()))?;

    let connection = found(&app, &caller, connection_id).await?;
    if workspace.is_some_and(|workspace| workspace != connection.workspace) {
        return Err(conflict(
            "other_workspace",
            "workspace_id: the connection belongs to another workspace.",
        ));
    }
    if mapping_id.is_some_and(|id| id != connection.id.0) {
        return Err(conflict(
            "other_mapping",
            "mapping_id: this connection has another mapping.",
        ));
    }
    let known = app.store.default_mapping(caller.reach(), connection_id).await?;
    let catalog = app.store.catalog(caller.reach(), connection_id).await?;
    let now = app.clock.now();
    let mapping = DefaultMapping {
        connection: connection_id,
        id: MappingId::new(now, app.random()),
        version: 0,
        name: name
            .or(known.map(|known| known.name))
            .unwrap_or_else(|| DEFAULT_NAME.into()),
        schema: schema.to_string().into(),
        catalog_version: catalog.map(|catalog| catalog.version),
        created_by: caller.name.clone(),
        created_at: now,
        updated_at: now,
    };
    match app
        .store
        .put_default_mapping(caller.reach(), mapping, expected)
        .await?
    {
        MappingWritten::Written(mapping) => stored(&connection, mapping),
        MappingWritten::OtherVersion(version) => Err(ApiError::Conflict {
            code: "version_conflict",
            message: format!("The mapping has version {version} by now. Read it, and decide again."),
        }),
        MappingWritten::NotFound => Err(NO_CONNECTION),
    }
}

async fn found(app: &App, caller: &Caller, id: ConnectionId) -> Result<Connection, ApiError> {
    app.store
        .connection(caller.reach(), id)
        .await?
        .ok_or(NO_CONNECTION)
}

fn stored(connection: &Connection, mapping: DefaultMapping) -> Result<Json<MappingAnswer>, ApiError> {
    let schema =
        serde_json::from_str(&mapping.schema).map_err(|error| ApiError::Internal(error.to_string()))?;
    Ok(Json(MappingAnswer {
        status: "stored",
        mapping: MappingView {
            id: mapping.id.0,
            mapping_id: connection.id.0,
            version: mapping.version,
            workspace_id: connection.workspace,
            connection_id: connection.id,
            integration_type: connection.kind.clone(),
            name: mapping.name,
            schema,
            catalog_version: mapping.catalog_version,
            created_by: Some(mapping.created_by),
            created_at: mapping.created_at.to_string(),
            updated_at: mapping.updated_at.to_string(),
        },
    }))
}

fn suggested(
    connection: &Connection,
    catalog: &Catalog,
    catalog_version: Option<String>,
    at: Timestamp,
) -> MappingAnswer {
    MappingAnswer {
        status: "generated",
        mapping: MappingView {
            id: connection.id.0,
            mapping_id: connection.id.0,
            version: GENERATED,
            workspace_id: connection.workspace,
            connection_id: connection.id,
            integration_type: connection.kind.clone(),
            name: DEFAULT_NAME.into(),
            schema: generated(catalog),
            catalog_version,
            created_by: None,
            created_at: at.to_string(),
            updated_at: at.to_string(),
        },
    }
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.chars().count())
}

fn version(value: &Value) -> Result<u32, String> {
    let version = value.as_u64().filter(|version| *version > 0);
    // A version that no mapping reaches is one that it does not have.
    version
        .map(|version| u32::try_from(version).unwrap_or(u32::MAX))
        .ok_or_else(|| "must be a whole number from 1".into())
}

fn conflict(code: &'static str, message: &str) -> ApiError {
    ApiError::Conflict {
        code,
        message: message.into(),
    }
}

fn unprocessable(error: ApiError) -> ApiError {
    match error {
        ApiError::Invalid(problems) => ApiError::InvalidMapping(problems),
        other => other,
    }
}
