//! What a rule leaves behind when it is deleted, or leads elsewhere, or holds its lines no more: deliveries
//! that wait in the lane of its former connection, failed ones that others wait for. There may be any number of
//! them, and there is one thread that writes. So a few are called off, moved, or let go with the change itself,
//! and the others after it, step by step. Nothing wrong can happen to them meanwhile: a claim that comes upon
//! one does the same to it, and who is held only waits a little longer.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use heddle_core::id::{ConnectionId, RuleId, WorkspaceId};
use heddle_core::ordering::{OnFailure, Turn};
use heddle_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::StoreError;
use crate::records::RemovalStep;
use crate::stop::{self, Work};
use crate::writer::Effects;
use crate::{Store, deliveries, lines, rules};

/// Deliveries that one step looks at.
pub(crate) const STEP: usize = 500;

/// As many are read at once; the rest comes at the next reading.
const PAGE: i64 = 1_000;

/// A rule, and the connection in whose lane it has left something behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub struct LeftBehind {
    pub rule: RuleId,
    pub connection: ConnectionId,
}

/// How far a lane was gone through: everything up to this due time and id.
type Mark = (i64, [u8; 16]);

const START: Mark = (i64::MIN, [0; 16]);

impl Store {
    /// What rules have left behind: some of it, as long as there is any.
    pub async fn left_behind(&self) -> Result<Vec<LeftBehind>, StoreError> {
        self.read(list).await
    }

    /// Calls off, or moves, some of what a rule has left behind, in one transaction.
    pub async fn follow_up(&self, left: LeftBehind, now: Timestamp) -> Result<RemovalStep, StoreError> {
        self.write(STEP * 512, move |connection, effects| {
            stop::commits(Work::FollowUp);
            follow_up(connection, effects, left, now)
        })
        .await
    }
}

/// Notes that a rule was deleted, leads elsewhere, or holds its lines no more, after its row says so;
/// `left` is what it was.
/// Looks at up to `room` deliveries at once, and takes off it what it looked at.
pub(crate) fn leave(
    connection: &Connection,
    effects: &mut Effects,
    left: LeftBehind,
    workspace: WorkspaceId,
    room: &mut usize,
    now: Timestamp,
) -> Result<(), StoreError> {
    let step = step(connection, effects, left, START, *room, now)?;
    *room -= step.seen.min(*room);
    match step.next {
        None => forget(connection, left),
        Some(mark) => {
            effects.left_behind();
            note(connection, left, workspace, mark)
        }
    }
}

fn list(connection: &Connection) -> Result<Vec<LeftBehind>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT rule, connection FROM left_behind LIMIT ?1")?;
    let rows = statement.query_map([PAGE], |row| {
        Ok(LeftBehind {
            rule: RuleId::from_bytes(row.get(0)?),
            connection: ConnectionId::from_bytes(row.get(1)?),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn note(
    connection: &Connection,
    left: LeftBehind,
    workspace: WorkspaceId,
    mark: Mark,
) -> Result<(), StoreError> {
    let sql = "INSERT OR REPLACE INTO left_behind (rule, connection, workspace, due_at, delivery)
               VALUES (?1, ?2, ?3, ?4, ?5)";
    connection.prepare_cached(sql)?.execute(params![
        left.rule.as_bytes(),
        left.connection.as_bytes(),
        workspace.as_bytes(),
        mark.0,
        mark.1
    ])?;
    Ok(())
}

fn forget(connection: &Connection, left: LeftBehind) -> Result<(), StoreError> {
    let sql = "DELETE FROM left_behind WHERE rule = ?1 AND connection = ?2";
    connection
        .prepare_cached(sql)?
        .execute([left.rule.as_bytes(), left.connection.as_bytes()])?;
    Ok(())
}

fn follow_up(
    connection: &Connection,
    effects: &mut Effects,
    left: LeftBehind,
    now: Timestamp,
) -> Result<RemovalStep, StoreError> {
    let sql = "SELECT workspace, due_at, delivery FROM left_behind WHERE rule = ?1 AND connection = ?2";
    let found = connection
        .prepare_cached(sql)?
        .query_row([left.rule.as_bytes(), left.connection.as_bytes()], |row| {
            let mark: Mark = (row.get(1)?, row.get(2)?);
            Ok((WorkspaceId::from_bytes(row.get(0)?), mark))
        })
        .optional()?;
    let Some((workspace, mark)) = found else {
        return Ok(RemovalStep { rows: 0, done: true });
    };
    let step = step(connection, effects, left, mark, STEP, now)?;
    match step.next {
        None => forget(connection, left)?,
        Some(mark) => note(connection, left, workspace, mark)?,
    }
    Ok(RemovalStep {
        rows: step.changed,
        done: step.next.is_none(),
    })
}

/// What a step did.
#[derive(Default)]
struct Step {
    seen: usize,
    changed: usize,
    /// Where the next one goes on; `None` when all is done.
    next: Option<Mark>,
}

fn step(
    connection: &Connection,
    effects: &mut Effects,
    left: LeftBehind,
    mark: Mark,
    room: usize,
    now: Timestamp,
) -> Result<Step, StoreError> {
    let destination = rules::destination(connection, left.rule)?.map(|(id, _)| id);
    let mut step = Step {
        next: Some(mark),
        ..Step::default()
    };
    // Whoever waits for others comes first, so that nobody gets his turn in the lane from one that is called
    // off there. Who moves, is moved when it is his turn.
    let turns: &[Turn] = match destination {
        None => &[Turn::Waits, Turn::Holds],
        Some(_) if rules::on_failure(connection, left.rule)? == OnFailure::Continue => &[Turn::Holds],
        Some(_) => &[],
    };
    for turn in turns {
        for before in lines::some_of_rule(connection, left.rule, *turn, room - step.seen)? {
            let state = match turn {
                Turn::Waits => before.state.cancel()?,
                _ => before.state.let_go(),
            };
            deliveries::put(connection, effects, before, state, None, now)?;
            step.seen += 1;
        }
    }
    step.changed = step.seen;
    if destination == Some(left.connection) {
        // It leads here, or here again.
        step.next = (step.seen == room).then_some(mark);
        return Ok(step);
    }
    if step.seen < room {
        let lane = "INDEXED BY lanes WHERE connection = ?1 AND due_at IS NOT NULL AND turn IS NOT 'waits'
                    AND (due_at, id) > (?2, ?3) ORDER BY due_at, id LIMIT ?4";
        let most = room - step.seen;
        let values = params![
            left.connection.as_bytes(),
            mark.0,
            mark.1,
            i64::try_from(most).unwrap_or(i64::MAX)
        ];
        let found = deliveries::select(connection, lane, values)?;
        step.seen += found.len();
        step.next = match found.last() {
            Some(last) if found.len() == most => {
                Some((last.state.due_at.unwrap_or_default().0, *last.id.as_bytes()))
            }
            _ => None,
        };
        // What rules have left behind that were deleted with it is not gone through again for each of them.
        let mut leads = HashMap::from([(left.rule, destination)]);
        for before in found {
            let destination = match leads.entry(before.rule) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(new) => {
                    *new.insert(rules::destination(connection, before.rule)?.map(|(id, _)| id))
                }
            };
            if before.rule == left.rule || destination.is_none() {
                step.changed += 1;
                deliveries::follow(connection, effects, before, destination.is_some(), now)?;
            }
        }
    }
    Ok(step)
}
