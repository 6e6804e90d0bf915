//! Limits: what all workspaces may do, which the operator sets at the start, and what a single one may.
//! Quotas are held against what is there within the transaction that would add to it, so that calls
//! that come at once cannot exceed them together.

use std::sync::PoisonError;

use heddle_core::id::{OrganisationId, WorkspaceId};
use heddle_core::quota::Limits;
use heddle_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::{OverQuota, StoreError};
use crate::records::DefaultLimits;
use crate::{Store, columns, workspaces};

impl Store {
    /// Sets what holds where a workspace has no limit of its own. To be called at the start.
    pub fn set_default_limits(&self, defaults: DefaultLimits) {
        let mut known = self
            .inner
            .shared
            .default_limits
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *known = defaults;
    }

    /// What holds where a workspace has no limit of its own.
    pub fn default_limits(&self) -> DefaultLimits {
        *self
            .inner
            .shared
            .default_limits
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// What a workspace may do. From memory: what was written is seen before its writer is answered.
    pub async fn limits_of(&self, workspace: WorkspaceId) -> Result<Limits, StoreError> {
        Ok(self
            .own_limits_of(workspace)
            .await?
            .or(self.default_limits().workspace))
    }

    /// The limits of its own that a workspace has.
    pub async fn own_limits_of(&self, workspace: WorkspaceId) -> Result<Limits, StoreError> {
        let cache = &self.inner.shared.limits;
        let generation = match cache.get(&workspace) {
            Ok(known) => return Ok(known),
            Err(generation) => generation,
        };
        let found = self.read(move |connection| find(connection, workspace)).await?;
        cache.insert(generation, workspace, found);
        Ok(found)
    }

    /// Gives a workspace that the caller has found limits of its own, in place of those it had.
    pub async fn set_limits_of(
        &self,
        workspace: WorkspaceId,
        limits: Limits,
        by: String,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(256, move |connection, effects| {
            workspaces::must_live(connection, workspace)?;
            let sql = "INSERT OR REPLACE INTO workspace_limits (workspace, limits, updated_by, updated_at)
                       VALUES (?1, ?2, ?3, ?4)";
            let limits = columns::to_json(&limits)?;
            connection
                .prepare_cached(sql)?
                .execute(params![workspace.as_bytes(), limits, by, now.0])?;
            effects.limits(workspace);
            Ok(())
        })
        .await
    }
}

fn find(connection: &Connection, workspace: WorkspaceId) -> Result<Limits, StoreError> {
    let sql = "SELECT limits FROM workspace_limits WHERE workspace = ?1";
    let found = connection
        .prepare_cached(sql)?
        .query_row([workspace.as_bytes()], |row| columns::json(row, 0))
        .optional()?;
    Ok(found.unwrap_or_default())
}

/// Refuses another connection of a workspace that has as many as it may.
pub(crate) fn room_for_connection(
    connection: &Connection,
    workspace: WorkspaceId,
    most: Option<u64>,
) -> Result<(), StoreError> {
    let sql = "SELECT count(*) FROM connections WHERE workspace = ?1";
    room(connection, "connections", sql, workspace.as_bytes(), most)
}

/// Refuses another rule of a workspace that has as many as it may.
pub(crate) fn room_for_rule(
    connection: &Connection,
    workspace: WorkspaceId,
    most: Option<u64>,
) -> Result<(), StoreError> {
    let sql = "SELECT count(*) FROM rules WHERE workspace = ?1";
    room(connection, "rules", sql, workspace.as_bytes(), most)
}

/// Refuses another workspace of an organization that has as many as it may.
pub(crate) fn room_for_workspace(
    connection: &Connection,
    organisation: OrganisationId,
    most: Option<u64>,
) -> Result<(), StoreError> {
    let sql = "SELECT count(*) FROM live_workspaces WHERE organisation = ?1";
    room(connection, "workspaces", sql, organisation.as_bytes(), most)
}

fn room(
    connection: &Connection,
    counter: &'static str,
    sql: &str,
    of: &[u8; 16],
    most: Option<u64>,
) -> Result<(), StoreError> {
    let Some(limit) = most else { return Ok(()) };
    let there: i64 = connection
        .prepare_cached(sql)?
        .query_row([of], |row| row.get(0))?;
    let used = u64::try_from(there).unwrap_or(0);
    if used < limit {
        Ok(())
    } else {
        Err(StoreError::OverQuota(OverQuota {
            counter,
            limit,
            used,
            resets_at: None,
        }))
    }
}
