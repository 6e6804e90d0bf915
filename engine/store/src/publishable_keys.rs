//! Publishable keys: one of each workspace, in the clear, since browsers show them to everybody.

use heddle_core::id::{OrganisationId, PublishableKeyId, WorkspaceId};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::StoreError;
use crate::reach::Reach;
use crate::records::PublishableKey;
use crate::{Store, columns};

impl Store {
    /// The publishable key with this text, and where it belongs. Kept in memory once it was found.
    pub async fn publishable_key_by_text(
        &self,
        text: &str,
    ) -> Result<Option<(PublishableKey, WorkspaceId, OrganisationId)>, StoreError> {
        let cache = &self.inner.shared.publishable_keys;
        let generation = match cache.get(text) {
            Ok(found) => return Ok(Some(found)),
            Err(generation) => generation,
        };
        let wanted = text.to_owned();
        let found = self.read(move |connection| find(connection, &wanted)).await?;
        if let Some(found) = &found {
            cache.insert(generation, found.0.key.clone(), found.clone());
        }
        Ok(found)
    }

    /// The publishable key of a workspace.
    pub async fn publishable_key_of(
        &self,
        reach: impl Into<Reach>,
        workspace: WorkspaceId,
    ) -> Result<Option<PublishableKey>, StoreError> {
        let reach = reach.into();
        self.read(move |connection| find_of(connection, &reach, workspace))
            .await
    }
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<PublishableKey> {
    Ok(PublishableKey {
        id: PublishableKeyId::from_bytes(row.get("id")?),
        workspace: WorkspaceId::from_bytes(row.get("workspace")?),
        name: row.get("name")?,
        key: row.get("key")?,
        created_at: columns::time(row, "created_at")?,
    })
}

pub(crate) fn insert(connection: &Connection, key: &PublishableKey) -> Result<(), StoreError> {
    let sql = "INSERT INTO publishable_keys (id, workspace, name, key, created_at)
               VALUES (?1, ?2, ?3, ?4, ?5)";
    connection.prepare_cached(sql)?.execute(params![
        key.id.as_bytes(),
        key.workspace.as_bytes(),
        key.name,
        key.key,
        key.created_at.0
    ])?;
    Ok(())
}

fn find(
    connection: &Connection,
    text: &str,
) -> Result<Option<(PublishableKey, WorkspaceId, OrganisationId)>, StoreError> {
    let sql = "SELECT k.*, w.organisation FROM publishable_keys k JOIN workspaces w ON w.id = k.workspace
               WHERE k.key = ?1";
    let read = |row: &Row<'_>| {
        let key = from_row(row)?;
        let workspace = key.workspace;
        Ok((
            key,
            workspace,
            OrganisationId::from_bytes(row.get("organisation")?),
        ))
    };
    Ok(connection
        .prepare_cached(sql)?
        .query_row([text], read)
        .optional()?)
}

fn find_of(
    connection: &Connection,
    reach: &Reach,
    workspace: WorkspaceId,
) -> Result<Option<PublishableKey>, StoreError> {
    let sql = "SELECT k.* FROM publishable_keys k JOIN workspaces w ON w.id = k.workspace
               WHERE k.workspace = ?1 AND w.organisation = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement
        .query_row([workspace.as_bytes(), reach.organisation.as_bytes()], from_row)
        .optional()?
        .filter(|key| reach.covers(key.workspace)))
}
