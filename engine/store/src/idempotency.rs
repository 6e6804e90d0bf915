//! What emitters call their events by: an event that is sent again under its key within a day is the
//! one that was accepted. A key is written in its event's transaction; there is no moment at which one
//! is there without the other, and with one thread that writes, of two events that come at once with
//! one key the second finds the first.

use std::time::Duration;

use heddle_core::id::{EventId, WorkspaceId};
use heddle_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::Store;
use crate::error::StoreError;
use crate::records::Once;
use crate::stop::{self, Work};

/// How long a key is kept.
pub const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// Keys that one command deletes: others get their turn in between.
const STEP: usize = 500;

impl Store {
    /// Deletes keys that are older than [`KEPT`], in small steps; returns how many there were.
    pub async fn forget_idempotency_keys(&self, now: Timestamp) -> Result<usize, StoreError> {
        let (before, mut forgotten) = (now.minus(KEPT), 0);
        loop {
            let step = self
                .write(STEP * 128, move |connection, _| forget(connection, before))
                .await?;
            forgotten += step;
            if step < STEP {
                return Ok(forgotten);
            }
        }
    }
}

/// The event that has this key at `now`, and whether it is the same event.
pub(crate) fn find(
    connection: &Connection,
    workspace: WorkspaceId,
    once: &Once,
    now: Timestamp,
) -> Result<Option<(EventId, bool)>, StoreError> {
    let sql = "SELECT event, fingerprint FROM idempotency_keys
               WHERE workspace = ?1 AND key = ?2 AND accepted_at > ?3";
    let values = params![workspace.as_bytes(), once.key, now.minus(KEPT).0];
    let found = connection
        .prepare_cached(sql)?
        .query_row(values, |row| {
            Ok((
                EventId::from_bytes(row.get(0)?),
                row.get::<_, [u8; 32]>(1)? == once.fingerprint,
            ))
        })
        .optional()?;
    Ok(found)
}

/// Gives a key to an event. One that is past its time is taken over.
pub(crate) fn put(
    connection: &Connection,
    workspace: WorkspaceId,
    once: &Once,
    event: EventId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = "INSERT OR REPLACE INTO idempotency_keys (workspace, key, fingerprint, event, accepted_at)
               VALUES (?1, ?2, ?3, ?4, ?5)";
    connection.prepare_cached(sql)?.execute(params![
        workspace.as_bytes(),
        once.key,
        once.fingerprint,
        event.as_bytes(),
        now.0
    ])?;
    Ok(())
}

fn forget(connection: &Connection, before: Timestamp) -> Result<usize, StoreError> {
    let sql = "DELETE FROM idempotency_keys WHERE (workspace, key) IN (
                   SELECT workspace, key FROM idempotency_keys INDEXED BY idempotency_keys_by_age
                   WHERE accepted_at <= ?1 ORDER BY accepted_at LIMIT ?2)";
    let step = i64::try_from(STEP).unwrap_or(i64::MAX);
    let forgotten = connection.prepare_cached(sql)?.execute(params![before.0, step])?;
    if forgotten > 0 {
        stop::commits(Work::Forget);
    }
    Ok(forgotten)
}
