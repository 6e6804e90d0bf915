//! The end of a workspace. Deleting one writes a tombstone, from whose commit on nothing of it is seen,
//! taken in or delivered; what it had is deleted after that, step by step, so that others write in
//! between. Where it stands needs no note: a step deletes what is still there.

use heddle_core::id::WorkspaceId;
use heddle_core::time::Timestamp;
use rusqlite::{Connection, params};

use crate::error::StoreError;
use crate::reach::Reach;
use crate::records::{RemovalStep, WorkspaceDeletion};
use crate::stop::{self, Work};
use crate::writer::Effects;
use crate::{Store, workspaces};

/// Rows that one step deletes. The attempts of a delivery go with it, so it may be a few more.
const STEP: usize = 500;

impl Store {
    /// Deletes a workspace of the reach, provided that this is its name. There is no way back.
    pub async fn delete_workspace(
        &self,
        reach: impl Into<Reach>,
        id: WorkspaceId,
        name: String,
        now: Timestamp,
    ) -> Result<WorkspaceDeletion, StoreError> {
        let reach = reach.into();
        self.write(1024, move |connection, effects| {
            delete(connection, effects, &reach, id, &name, now)
        })
        .await
    }

    /// The deleted workspaces of which something is left, in the order of their deletion.
    pub async fn deleted_workspaces(&self) -> Result<Vec<WorkspaceId>, StoreError> {
        self.read(deleted).await
    }

    /// Deletes some of what a deleted workspace had, in one transaction; at last its tombstone.
    pub async fn remove_some(&self, id: WorkspaceId) -> Result<RemovalStep, StoreError> {
        self.write(STEP * 512, move |connection, _| {
            stop::commits(Work::Remove);
            step(connection, id)
        })
        .await
    }

    /// Returns when a workspace was deleted, or a rule left deliveries behind, since the last return.
    pub async fn workspaces_deleted(&self) {
        self.inner.shared.removals.notified().await;
    }
}

fn delete(
    connection: &Connection,
    effects: &mut Effects,
    reach: &Reach,
    id: WorkspaceId,
    name: &str,
    now: Timestamp,
) -> Result<WorkspaceDeletion, StoreError> {
    let Some(workspace) = workspaces::find(connection, reach, id)? else {
        return Ok(WorkspaceDeletion::NotFound);
    };
    if workspace.name != name {
        return Ok(WorkspaceDeletion::OtherName);
    }
    // Its name is free again: no name that can be asked for has a colon.
    let sql = "UPDATE workspaces SET deleted_at = ?2, name = ':' || lower(hex(id)), description = NULL WHERE id = ?1";
    connection
        .prepare_cached(sql)?
        .execute(params![id.as_bytes(), now.0])?;
    // Few, and looked up in many ways.
    for table in [
        "publishable_keys",
        "workspace_limits",
        "replays",
        "retention_marks",
    ] {
        let sql = format!("DELETE FROM {table} WHERE workspace = ?1");
        connection.prepare_cached(&sql)?.execute([id.as_bytes()])?;
    }
    effects.workspace(id);
    Ok(WorkspaceDeletion::Deleted(workspace))
}

fn deleted(connection: &Connection) -> Result<Vec<WorkspaceId>, StoreError> {
    let sql = "SELECT id FROM workspaces WHERE deleted_at IS NOT NULL ORDER BY deleted_at, id";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([], |row| row.get(0).map(WorkspaceId::from_bytes))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What is deleted after the events, in an order that the references between them allow: each by its
/// workspace, as many at once as are given.
pub(crate) const TABLES: &[(&str, &str)] = &[
    (
        "idempotency_keys",
        "DELETE FROM idempotency_keys WHERE workspace = ?1
             AND key IN (SELECT key FROM idempotency_keys WHERE workspace = ?1 LIMIT ?2)",
    ),
    (
        "retention_late",
        "DELETE FROM retention_late WHERE workspace = ?1 AND (part, event) IN (
             SELECT part, event FROM retention_late WHERE workspace = ?1 LIMIT ?2)",
    ),
    (
        "sessions",
        "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE workspace = ?1 LIMIT ?2)",
    ),
    (
        "left_behind",
        "DELETE FROM left_behind WHERE (rule, connection) IN (
             SELECT rule, connection FROM left_behind WHERE workspace = ?1 LIMIT ?2)",
    ),
    (
        "rules",
        "DELETE FROM rules WHERE id IN (SELECT id FROM rules WHERE workspace = ?1 LIMIT ?2)",
    ),
    (
        "choices",
        "DELETE FROM choices WHERE (connection, action, input, search, cursor) IN (
             SELECT h.connection, h.action, h.input, h.search, h.cursor
             FROM connections c JOIN choices h ON h.connection = c.id WHERE c.workspace = ?1 LIMIT ?2)",
    ),
    (
        "catalogs",
        "DELETE FROM catalogs WHERE connection IN (
             SELECT h.connection FROM connections c JOIN catalogs h ON h.connection = c.id
             WHERE c.workspace = ?1 LIMIT ?2)",
    ),
    (
        "mappings",
        "DELETE FROM mappings WHERE connection IN (
             SELECT h.connection FROM connections c JOIN mappings h ON h.connection = c.id
             WHERE c.workspace = ?1 LIMIT ?2)",
    ),
    (
        "connections",
        "DELETE FROM connections WHERE id IN (SELECT id FROM connections WHERE workspace = ?1 LIMIT ?2)",
    ),
    (
        "terms",
        "DELETE FROM terms WHERE id IN (SELECT id FROM terms WHERE workspace = ?1 LIMIT ?2)",
    ),
    (
        "workspaces",
        "DELETE FROM workspaces WHERE id = ?1 AND deleted_at IS NOT NULL AND ?2 > 0",
    ),
];

fn step(connection: &Connection, id: WorkspaceId) -> Result<RemovalStep, StoreError> {
    // What is not deleted, or is gone, has nothing to remove.
    let sql = "SELECT 1 FROM workspaces WHERE id = ?1 AND deleted_at IS NOT NULL";
    if !connection.prepare_cached(sql)?.exists([id.as_bytes()])? {
        return Ok(RemovalStep { rows: 0, done: true });
    }
    let mut rows = remove_events(connection, id)?;
    for (_, sql) in TABLES {
        if rows >= STEP {
            return Ok(RemovalStep { rows, done: false });
        }
        let left = i64::try_from(STEP - rows).unwrap_or(i64::MAX);
        rows += connection
            .prepare_cached(sql)?
            .execute(params![id.as_bytes(), left])?;
    }
    // The last of the tables is the workspace itself.
    let gone = !connection
        .prepare_cached("SELECT 1 FROM workspaces WHERE id = ?1")?
        .exists([id.as_bytes()])?;
    Ok(RemovalStep { rows, done: gone })
}

fn remove_events(connection: &Connection, workspace: WorkspaceId) -> Result<usize, StoreError> {
    let oldest =
        "SELECT id FROM events INDEXED BY events_of_workspace WHERE workspace = ?1 ORDER BY id LIMIT ?2";
    let mut rows = 0;
    for event in ids(connection, oldest, workspace.as_bytes(), STEP)? {
        rows += remove_event(connection, &event, STEP - rows)?.rows;
        if rows >= STEP {
            break;
        }
    }
    Ok(rows)
}

/// Deletes an event with all that came of it, as far as about `most` rows go. The payload is first:
/// without it nothing can be tried again; the event last: whatever moves a delivery finds its event.
pub(crate) fn remove_event(
    connection: &Connection,
    event: &[u8; 16],
    most: usize,
) -> Result<RemovalStep, StoreError> {
    let delete = |sql: &str, id: &[u8; 16]| connection.prepare_cached(sql)?.execute([id]);
    let mut rows = delete("DELETE FROM event_payloads WHERE event = ?1", event)?;
    let deliveries = "SELECT id FROM deliveries WHERE event = ?1 LIMIT ?2";
    for delivery in ids(connection, deliveries, event, most)? {
        rows += remove_attempts(connection, &delivery)?;
        rows += delete("DELETE FROM deliveries WHERE id = ?1", &delivery)?;
        if rows >= most {
            return Ok(RemovalStep { rows, done: false });
        }
    }
    rows += delete("DELETE FROM events WHERE id = ?1", event)?;
    Ok(RemovalStep { rows, done: true })
}

/// Deletes the attempts of a delivery, with the answers to them.
pub(crate) fn remove_attempts(connection: &Connection, delivery: &[u8; 16]) -> Result<usize, StoreError> {
    let mut rows = 0;
    for sql in [
        "DELETE FROM attempt_responses WHERE attempt IN (SELECT id FROM attempts WHERE delivery = ?1)",
        "DELETE FROM attempts WHERE delivery = ?1",
    ] {
        rows += connection.prepare_cached(sql)?.execute([delivery])?;
    }
    Ok(rows)
}

/// At most `most` of the ids that a query gives of something.
pub(crate) fn ids(
    connection: &Connection,
    sql: &str,
    of: &[u8; 16],
    most: usize,
) -> Result<Vec<[u8; 16]>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![of, most], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
