//! Retention: what a workspace's history has left behind its time is deleted, step by step, so that
//! others write in between. Time counts from the end of an event: from its last delivery's, or from its
//! acceptance when nothing matched. What has not ended is kept with all that it needs.
//!
//! Events are passed over in the order of their ids, which is that of their making, up to a mark that is
//! moved in the transaction of what was deleted: after a crash the next step goes on behind it. An event
//! that is passed over before its time, because it ended later than others of its age, is noted apart and
//! looked at again when its time can have come.

use std::time::Duration;

use heddle_core::id::WorkspaceId;
use heddle_core::quota::{Limits, Part};
use heddle_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::StoreError;
use crate::records::RemovalStep;
use crate::removals::{ids, remove_attempts, remove_event};
use crate::stop::{self, Work};
use crate::{Store, columns, lines, replay_rows};

/// About as many rows are deleted in one step, and at most as many events looked at.
pub(crate) const STEP: usize = 200;

/// Workspaces that one read looks at.
const PAGE: usize = 500;

/// What has not ended, and need not be kept for any time after, is looked at again after this.
const LOOK_AGAIN: Duration = Duration::from_secs(5 * 60);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Something of a workspace's history whose time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overdue {
    /// Whose.
    pub workspace: WorkspaceId,
    /// What of its events.
    pub part: Part,
    /// For how long it is kept after an event's end.
    pub keep: Duration,
}

/// What is overdue in some workspaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OverduePage {
    /// By workspace.
    pub overdue: Vec<Overdue>,
    /// The last workspace that was looked at; `None` when there are no more.
    pub behind: Option<WorkspaceId>,
}

impl Store {
    /// What is past its time at `now`, of the next workspaces behind this one.
    pub async fn overdue(
        &self,
        behind: Option<WorkspaceId>,
        now: Timestamp,
    ) -> Result<OverduePage, StoreError> {
        let defaults = self.default_limits().workspace;
        self.read(move |connection| overdue(connection, &defaults, behind, now))
            .await
    }

    /// Deletes some of what is overdue, in one transaction.
    pub async fn prune_some(&self, overdue: Overdue, now: Timestamp) -> Result<RemovalStep, StoreError> {
        self.write(STEP * 512, move |connection, _| {
            stop::commits(Work::Prune);
            step(connection, overdue, now)
        })
        .await
    }
}

fn overdue(
    connection: &Connection,
    defaults: &Limits,
    behind: Option<WorkspaceId>,
    now: Timestamp,
) -> Result<OverduePage, StoreError> {
    // Where nothing ends by default, only those with limits of their own need a look.
    let sql = if defaults.ends().is_empty() {
        "SELECT w.id, l.limits FROM workspace_limits l JOIN live_workspaces w ON w.id = l.workspace
         WHERE l.workspace > ?1 ORDER BY l.workspace LIMIT ?2"
    } else {
        "SELECT w.id, l.limits FROM live_workspaces w LEFT JOIN workspace_limits l ON l.workspace = w.id
         WHERE w.id > ?1 ORDER BY w.id LIMIT ?2"
    };
    let behind = behind.map_or([0; 16], |id| *id.as_bytes());
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![behind, PAGE as i64])?;
    let (mut page, mut seen) = (OverduePage::default(), 0);
    while let Some(row) = rows.next()? {
        let workspace = WorkspaceId::from_bytes(row.get(0)?);
        let own = match row.get_ref(1)? {
            rusqlite::types::ValueRef::Null => Limits::default(),
            _ => columns::json(row, 1)?,
        };
        for (part, days) in own.or(*defaults).ends() {
            let overdue = Overdue {
                workspace,
                part,
                keep: DAY * days,
            };
            if is_any(connection, overdue, now)? {
                page.overdue.push(overdue);
            }
        }
        seen += 1;
        page.behind = Some(workspace);
    }
    if seen < PAGE {
        page.behind = None;
    }
    Ok(page)
}

/// Whether a mark can move.
pub(crate) const BEHIND_THE_MARK: &str = "
    SELECT 1 FROM events INDEXED BY events_of_workspace WHERE workspace = ?1 AND id > ?2 AND id < ?3 LIMIT 1";

/// Whether something that was passed over can have ended by now.
pub(crate) const LATE: &str = "
    SELECT 1 FROM retention_late INDEXED BY retention_late_by_time
    WHERE workspace = ?1 AND part = ?2 AND since <= ?3 LIMIT 1";

/// A few looks into indexes, however much there is.
fn is_any(connection: &Connection, overdue: Overdue, now: Timestamp) -> Result<bool, StoreError> {
    let before = now.minus(overdue.keep);
    let (workspace, part) = (overdue.workspace.as_bytes(), overdue.part.as_str());
    let behind = mark(connection, overdue)?;
    let values = params![workspace, behind, replay_rows::first_id(before)];
    if connection.prepare_cached(BEHIND_THE_MARK)?.exists(values)? {
        return Ok(true);
    }
    let values = params![workspace, part, before.0];
    Ok(connection.prepare_cached(LATE)?.exists(values)?)
}

fn mark(connection: &Connection, of: Overdue) -> Result<[u8; 16], StoreError> {
    let sql = "SELECT behind FROM retention_marks WHERE workspace = ?1 AND part = ?2";
    let values = params![of.workspace.as_bytes(), of.part.as_str()];
    let behind = connection
        .prepare_cached(sql)?
        .query_row(values, |row| row.get(0))
        .optional()?;
    Ok(behind.unwrap_or_default())
}

fn step(connection: &Connection, overdue: Overdue, now: Timestamp) -> Result<RemovalStep, StoreError> {
    let sql = "SELECT 1 FROM live_workspaces WHERE id = ?1";
    if !connection
        .prepare_cached(sql)?
        .exists([overdue.workspace.as_bytes()])?
    {
        return Ok(RemovalStep { rows: 0, done: true });
    }
    let mut step = Step {
        connection,
        overdue,
        before: now.minus(overdue.keep),
        now,
        rows: 0,
    };
    let done = step.late()? && step.next()?;
    Ok(RemovalStep {
        rows: step.rows,
        done,
    })
}

/// One transaction's work.
struct Step<'a> {
    connection: &'a Connection,
    overdue: Overdue,
    /// What ended by then is past its time.
    before: Timestamp,
    now: Timestamp,
    rows: usize,
}

/// When an event ended.
enum End {
    /// It is not there any more.
    Gone,
    NotYet,
    At(Timestamp),
}

impl Step<'_> {
    /// Looks again at what was passed over, and returns whether all of it is done.
    fn late(&mut self) -> Result<bool, StoreError> {
        let sql = "SELECT event FROM retention_late INDEXED BY retention_late_by_time
                   WHERE workspace = ?1 AND part = ?2 AND since <= ?3 ORDER BY since LIMIT ?4";
        let values = params![
            self.overdue.workspace.as_bytes(),
            self.overdue.part.as_str(),
            self.before.0,
            STEP as i64
        ];
        let found = read_ids(self.connection, sql, values)?;
        for event in &found {
            if self.rows >= STEP {
                return Ok(false);
            }
            match self.end_of(event)? {
                End::Gone => self.forget(event)?,
                End::At(at) if at <= self.before => {
                    if !self.remove(event)? {
                        return Ok(false);
                    }
                    self.forget(event)?;
                }
                end => self.note(event, &end)?,
            }
        }
        Ok(found.len() < STEP)
    }

    /// Goes on behind the mark, and returns whether there is nothing more.
    fn next(&mut self) -> Result<bool, StoreError> {
        let behind = mark(self.connection, self.overdue)?;
        let sql = "SELECT id FROM events INDEXED BY events_of_workspace
                   WHERE workspace = ?1 AND id > ?2 AND id < ?3 ORDER BY id LIMIT ?4";
        let values = params![
            self.overdue.workspace.as_bytes(),
            behind,
            replay_rows::first_id(self.before),
            STEP as i64
        ];
        let found = read_ids(self.connection, sql, values)?;
        let (mut passed, mut done) = (None, found.len() < STEP);
        for event in &found {
            if self.rows >= STEP {
                done = false;
                break;
            }
            match self.end_of(event)? {
                End::Gone => {}
                End::At(at) if at <= self.before => {
                    if !self.remove(event)? {
                        done = false;
                        break;
                    }
                }
                end => self.note(event, &end)?,
            }
            passed = Some(event);
        }
        if let Some(passed) = passed {
            let sql = "INSERT OR REPLACE INTO retention_marks (workspace, part, behind) VALUES (?1, ?2, ?3)";
            self.connection.prepare_cached(sql)?.execute(params![
                self.overdue.workspace.as_bytes(),
                self.overdue.part.as_str(),
                passed
            ])?;
        }
        Ok(done)
    }

    fn end_of(&self, event: &[u8; 16]) -> Result<End, StoreError> {
        let sql = "SELECT completed_at FROM events WHERE id = ?1";
        let found = self
            .connection
            .prepare_cached(sql)?
            .query_row([event], |row| row.get::<_, Option<i64>>(0))
            .optional()?;
        Ok(match found {
            None => End::Gone,
            Some(None) => End::NotYet,
            // Others wait until somebody tries it again, or gives it up.
            Some(Some(_)) if lines::is_held_by(self.connection, event)? => End::NotYet,
            Some(Some(at)) => End::At(Timestamp(at)),
        })
    }

    /// Deletes this part of an event, and returns whether all of it is gone.
    fn remove(&mut self, event: &[u8; 16]) -> Result<bool, StoreError> {
        let left = STEP.saturating_sub(self.rows);
        if self.overdue.part == Part::Event {
            let removed = remove_event(self.connection, event, left)?;
            self.rows += removed.rows;
            if removed.done {
                let sql = "DELETE FROM retention_late WHERE workspace = ?1 AND event = ?2
                           AND part IN ('payload', 'attempts', 'event')";
                self.connection
                    .prepare_cached(sql)?
                    .execute(params![self.overdue.workspace.as_bytes(), event])?;
            }
            return Ok(removed.done);
        }
        let sql = "DELETE FROM event_payloads WHERE event = ?1";
        self.rows += self.connection.prepare_cached(sql)?.execute([event])?;
        if self.overdue.part == Part::Attempts {
            let tried = "SELECT id FROM deliveries d WHERE event = ?1
                         AND EXISTS (SELECT 1 FROM attempts a WHERE a.delivery = d.id) LIMIT ?2";
            for delivery in ids(self.connection, tried, event, left)? {
                self.rows += remove_attempts(self.connection, &delivery)?;
                if self.rows >= STEP {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Has an event looked at again when its time can have come.
    fn note(&self, event: &[u8; 16], end: &End) -> Result<(), StoreError> {
        let since = match end {
            End::At(at) => *at,
            // It ends now at the earliest. Never at once again: a step must come to an end.
            _ => self.now.max(self.before.plus(LOOK_AGAIN)),
        };
        let sql = "INSERT OR REPLACE INTO retention_late (workspace, part, event, since)
                   VALUES (?1, ?2, ?3, ?4)";
        self.connection.prepare_cached(sql)?.execute(params![
            self.overdue.workspace.as_bytes(),
            self.overdue.part.as_str(),
            event,
            since.0
        ])?;
        Ok(())
    }

    fn forget(&self, event: &[u8; 16]) -> Result<(), StoreError> {
        let sql = "DELETE FROM retention_late WHERE workspace = ?1 AND part = ?2 AND event = ?3";
        self.connection.prepare_cached(sql)?.execute(params![
            self.overdue.workspace.as_bytes(),
            self.overdue.part.as_str(),
            event
        ])?;
        Ok(())
    }
}

fn read_ids(
    connection: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
) -> Result<Vec<[u8; 16]>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(values, |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
