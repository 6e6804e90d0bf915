//! Workspaces: the tenant boundary.

use heddle_core::id::{OrganisationId, WorkspaceId};
use heddle_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::{StoreError, is_unique};
use crate::reach::Reach;
use crate::records::{PublishableKey, Workspace};
use crate::walk::{Batch, Found, Mark, SMALL};
use crate::{Store, columns, limits, publishable_keys, terms, walk};

impl Store {
    /// Makes a workspace with its publishable key; a conflict when its organization has another one
    /// of that name.
    pub async fn create_workspace(
        &self,
        workspace: Workspace,
        key: PublishableKey,
    ) -> Result<(), StoreError> {
        let most = self.default_limits().workspaces;
        self.write(1024, move |connection, _| {
            limits::room_for_workspace(connection, workspace.organisation, most)?;
            insert(connection, &workspace)?;
            terms::begin(connection, &workspace)?;
            publishable_keys::insert(connection, &key)
        })
        .await
    }

    /// Some of the workspaces of an organization, the oldest first.
    pub async fn some_workspaces(
        &self,
        reach: impl Into<Reach>,
        mark: Option<Mark>,
    ) -> Result<Batch<Workspace>, StoreError> {
        let reach = reach.into();
        self.read(move |connection| some(connection, &reach, mark)).await
    }

    /// One workspace.
    pub async fn workspace(
        &self,
        reach: impl Into<Reach>,
        id: WorkspaceId,
    ) -> Result<Option<Workspace>, StoreError> {
        let reach = reach.into();
        self.read(move |connection| find(connection, &reach, id)).await
    }

    /// Changes name and description; returns the workspace as it is then, `None` when there is none.
    /// A conflict when another one has that name.
    pub async fn update_workspace(
        &self,
        reach: impl Into<Reach>,
        id: WorkspaceId,
        name: String,
        description: Option<String>,
        now: Timestamp,
    ) -> Result<Option<Workspace>, StoreError> {
        let reach = reach.into();
        self.write(1024, move |connection, _| {
            if reach.covers(id) {
                update(
                    connection,
                    reach.organisation,
                    id,
                    &name,
                    description.as_deref(),
                    now,
                )?;
            }
            find(connection, &reach, id)
        })
        .await
    }
}

const TAKEN: StoreError = StoreError::Conflict("a workspace of this name exists already");

fn taken(error: rusqlite::Error) -> StoreError {
    if is_unique(&error) { TAKEN } else { error.into() }
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Workspace> {
    Ok(Workspace {
        id: WorkspaceId::from_bytes(row.get("id")?),
        organisation: OrganisationId::from_bytes(row.get("organisation")?),
        name: row.get("name")?,
        description: row.get("description")?,
        created_at: columns::time(row, "created_at")?,
        updated_at: columns::time(row, "updated_at")?,
    })
}

fn insert(connection: &Connection, workspace: &Workspace) -> Result<(), StoreError> {
    let sql = "INSERT INTO workspaces (id, organisation, name, description, created_at, updated_at)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let values = params![
        workspace.id.as_bytes(),
        workspace.organisation.as_bytes(),
        workspace.name,
        workspace.description,
        workspace.created_at.0,
        workspace.updated_at.0
    ];
    connection.prepare_cached(sql)?.execute(values).map_err(taken)?;
    Ok(())
}

fn some(connection: &Connection, reach: &Reach, mark: Option<Mark>) -> Result<Batch<Workspace>, StoreError> {
    let sql = "SELECT * FROM live_workspaces WHERE id = ?1 AND id > ?2";
    walk::batch(connection, reach, None, mark, sql, |row| {
        let bytes = columns::bytes(row, "description")? + SMALL;
        let record = from_row(row)?;
        Ok(Some(Found { record, bytes }))
    })
}

pub(crate) fn find(
    connection: &Connection,
    reach: &Reach,
    id: WorkspaceId,
) -> Result<Option<Workspace>, StoreError> {
    let sql = "SELECT * FROM live_workspaces WHERE id = ?1 AND organisation = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement
        .query_row([id.as_bytes(), reach.organisation.as_bytes()], from_row)
        .optional()?
        .filter(|workspace| reach.covers(workspace.id)))
}

/// Refuses to add something to a workspace that was deleted since the caller found it.
pub(crate) fn must_live(connection: &Connection, id: WorkspaceId) -> Result<(), StoreError> {
    let sql = "SELECT 1 FROM live_workspaces WHERE id = ?1";
    if connection.prepare_cached(sql)?.exists([id.as_bytes()])? {
        Ok(())
    } else {
        Err(StoreError::NotFound("workspace"))
    }
}

fn update(
    connection: &Connection,
    organisation: OrganisationId,
    id: WorkspaceId,
    name: &str,
    description: Option<&str>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = "UPDATE workspaces SET name = ?3, description = ?4, updated_at = ?5
               WHERE id = ?1 AND organisation = ?2 AND deleted_at IS NULL";
    connection
        .prepare_cached(sql)?
        .execute(params![
            id.as_bytes(),
            organisation.as_bytes(),
            name,
            description,
            now.0
        ])
        .map_err(taken)?;
    Ok(())
}
