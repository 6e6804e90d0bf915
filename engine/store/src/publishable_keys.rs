//! Publishable keys: a few of each workspace, in the clear, since browsers show them to everybody.

use std::time::Duration;

use heddle_core::id::{OrganisationId, PublishableKeyId, WorkspaceId};
use heddle_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::StoreError;
use crate::reach::Reach;
use crate::records::PublishableKey;
use crate::writer::Effects;
use crate::{Store, columns};

/// The most publishable keys of a workspace.
pub const MAX_PUBLISHABLE_KEYS: usize = 10;

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

    /// The newest publishable key of a workspace that is good at `now`.
    pub async fn publishable_key_of(
        &self,
        reach: impl Into<Reach>,
        workspace: WorkspaceId,
        now: Timestamp,
    ) -> Result<Option<PublishableKey>, StoreError> {
        let mut keys = self.list_publishable_keys(reach, workspace).await?;
        keys.retain(|key| !key.has_expired(now));
        Ok(keys.pop())
    }

    /// The publishable keys of a workspace, the oldest first.
    pub async fn list_publishable_keys(
        &self,
        reach: impl Into<Reach>,
        workspace: WorkspaceId,
    ) -> Result<Vec<PublishableKey>, StoreError> {
        let reach = reach.into();
        self.read(move |connection| list(connection, &reach, workspace))
            .await
    }

    /// Adds a key to a workspace of the reach. With an `overlap`, those that it has expire that long
    /// after the new one's making at the latest. Expired ones make room; a conflict when there is none.
    pub async fn add_publishable_key(
        &self,
        reach: impl Into<Reach>,
        key: PublishableKey,
        overlap: Option<Duration>,
    ) -> Result<(), StoreError> {
        let reach = reach.into();
        self.write(512, move |connection, effects| {
            add(connection, effects, &reach, &key, overlap)
        })
        .await
    }

    /// Deletes a key; `None` when the workspace of the reach has no such key.
    pub async fn delete_publishable_key(
        &self,
        reach: impl Into<Reach>,
        workspace: WorkspaceId,
        id: PublishableKeyId,
    ) -> Result<Option<PublishableKey>, StoreError> {
        let reach = reach.into();
        self.write(256, move |connection, effects| {
            let mut keys = list(connection, &reach, workspace)?;
            let found = keys.iter().position(|key| key.id == id);
            let found = found.map(|index| keys.swap_remove(index));
            if let Some(key) = &found {
                delete(connection, effects, key)?;
            }
            Ok(found)
        })
        .await
    }
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<PublishableKey> {
    Ok(PublishableKey {
        id: PublishableKeyId::from_bytes(row.get("id")?),
        workspace: WorkspaceId::from_bytes(row.get("workspace")?),
        name: row.get("name")?,
        key: row.get("key")?,
        allowed_origins: columns::json(row, "allowed_origins")?,
        created_by: row.get("created_by")?,
        created_at: columns::time(row, "created_at")?,
        expires_at: columns::time_if_any(row, "expires_at")?,
    })
}

pub(crate) fn insert(connection: &Connection, key: &PublishableKey) -> Result<(), StoreError> {
    let sql =
        "INSERT INTO publishable_keys (id, workspace, name, key, allowed_origins, created_by, created_at,
                   expires_at)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    connection.prepare_cached(sql)?.execute(params![
        key.id.as_bytes(),
        key.workspace.as_bytes(),
        key.name,
        key.key,
        columns::to_json(&key.allowed_origins)?,
        key.created_by,
        key.created_at.0,
        key.expires_at.map(|at| at.0)
    ])?;
    Ok(())
}

fn find(
    connection: &Connection,
    text: &str,
) -> Result<Option<(PublishableKey, WorkspaceId, OrganisationId)>, StoreError> {
    let sql =
        "SELECT k.*, w.organisation FROM publishable_keys k JOIN live_workspaces w ON w.id = k.workspace
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

fn list(
    connection: &Connection,
    reach: &Reach,
    workspace: WorkspaceId,
) -> Result<Vec<PublishableKey>, StoreError> {
    if !reach.covers(workspace) {
        return Ok(Vec::new());
    }
    let sql = "SELECT k.* FROM publishable_keys k JOIN live_workspaces w ON w.id = k.workspace
               WHERE k.workspace = ?1 AND w.organisation = ?2 ORDER BY k.created_at, k.id";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([workspace.as_bytes(), reach.organisation.as_bytes()], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn add(
    connection: &Connection,
    effects: &mut Effects,
    reach: &Reach,
    key: &PublishableKey,
    overlap: Option<Duration>,
) -> Result<(), StoreError> {
    let now = key.created_at;
    let mut keys = list(connection, reach, key.workspace)?;
    // A workspace out of reach has none either; one within may have lost its last.
    if keys.is_empty() && crate::workspaces::find(connection, reach, key.workspace)?.is_none() {
        return Err(StoreError::NotFound("workspace"));
    }
    if let Some(overlap) = overlap {
        let end = now.plus(overlap);
        for former in &mut keys {
            if former.expires_at.is_none_or(|at| at > end) {
                former.expires_at = Some(end);
                let sql = "UPDATE publishable_keys SET expires_at = ?2 WHERE id = ?1";
                connection
                    .prepare_cached(sql)?
                    .execute(params![former.id.as_bytes(), end.0])?;
                effects.publishable_key(former.key.clone());
            }
        }
    }
    if keys.len() >= MAX_PUBLISHABLE_KEYS {
        let first = keys.iter().filter(|key| key.has_expired(now));
        let first = first.min_by_key(|key| key.expires_at);
        let full = StoreError::Full("the workspace has as many publishable keys as it can; delete one");
        delete(connection, effects, first.ok_or(full)?)?;
    }
    insert(connection, key)
}

fn delete(connection: &Connection, effects: &mut Effects, key: &PublishableKey) -> Result<(), StoreError> {
    let sql = "DELETE FROM publishable_keys WHERE id = ?1";
    connection.prepare_cached(sql)?.execute([key.id.as_bytes()])?;
    effects.publishable_key(key.key.clone());
    Ok(())
}
