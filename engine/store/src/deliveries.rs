//! Deliveries: one event × one rule. Every change of state is decided by `heddle_core` and written
//! by [`put`]. A delivery that waits, waits in the lane of its rule's connection.

use std::collections::HashSet;
use std::sync::Arc;

use heddle_core::delivery::{State, Status};
use heddle_core::event::Event;
use heddle_core::id::{ConnectionId, DeliveryId, EventId, RuleId, WorkspaceId};
use heddle_core::ordering::{OrderingKey, Turn};
use heddle_core::rule::Rule;
use heddle_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use crate::error::{CancelError, RetryError, StoreError};
use crate::memo::Memo;
use crate::reach::Reach;
use crate::records::{DeliveryRecord, EventRecord, NewDelivery, Place};
use crate::writer::Effects;
use crate::{Store, columns, events, lines, rules};

impl Store {
    /// The deliveries of an event that the caller has found in its organization, in the order of
    /// their making.
    pub async fn deliveries_of(&self, event: EventId) -> Result<Vec<DeliveryRecord>, StoreError> {
        self.read(move |connection| lines::say_who_is_first(connection, of_event(connection, event)?))
            .await
    }

    /// The delivery of an event by a rule, which may be deleted since.
    pub async fn delivery(
        &self,
        reach: impl Into<Reach>,
        event: EventId,
        rule: RuleId,
    ) -> Result<Option<DeliveryRecord>, StoreError> {
        let reach = reach.into();
        self.read(move |connection| {
            let found = find_in(connection, &reach, event, rule)?;
            Ok(lines::say_who_is_first(connection, found.into_iter().collect())?.pop())
        })
        .await
    }

    /// Has a delivery tried now: one that waits, or, as a fresh run, one that has ended.
    pub async fn retry_delivery(
        &self,
        reach: impl Into<Reach>,
        event: EventId,
        rule: RuleId,
        now: Timestamp,
    ) -> Result<DeliveryRecord, RetryError> {
        let reach = reach.into();
        let work = move |connection: &Connection, effects: &mut Effects| {
            retry(connection, effects, &reach, event, rule, now)
        };
        self.write(512, work).await?
    }

    /// Calls a delivery off. An attempt under way finishes; if it fails, no other one follows.
    pub async fn cancel_delivery(
        &self,
        reach: impl Into<Reach>,
        event: EventId,
        rule: RuleId,
        now: Timestamp,
    ) -> Result<DeliveryRecord, CancelError> {
        let reach = reach.into();
        self.write(512, move |connection, effects| {
            cancel(connection, effects, &reach, event, rule, now)
        })
        .await?
    }

    /// Calls off whatever has not ended of an event; returns the event then, `None` if there is none.
    pub async fn cancel_event(
        &self,
        reach: impl Into<Reach>,
        event: EventId,
        now: Timestamp,
    ) -> Result<Option<EventRecord>, StoreError> {
        let reach = reach.into();
        self.write(512, move |connection, effects| {
            cancel_all(connection, effects, &reach, event, now)
        })
        .await
    }
}

/// In the order that [`from_row`] reads.
pub(crate) const COLUMNS: &str = "id, event, workspace, rule, connection, kind, status, due_at, leased_until,
     attempt_count, run_attempts, run_throttled, cancel_requested, forced, last_error, created_at, started_at,
     claimed_at, completed_at, turn, ordering_key, place";

pub(crate) fn from_row(row: &Row<'_>) -> rusqlite::Result<DeliveryRecord> {
    Ok(DeliveryRecord {
        id: DeliveryId::from_bytes(row.get(0)?),
        event: EventId::from_bytes(row.get(1)?),
        workspace: WorkspaceId::from_bytes(row.get(2)?),
        rule: RuleId::from_bytes(row.get(3)?),
        connection: ConnectionId::from_bytes(row.get(4)?),
        kind: row.get(5)?,
        state: State {
            status: columns::word(row, 6, Status::parse)?,
            due_at: columns::time_if_any(row, 7)?,
            leased_until: columns::time_if_any(row, 8)?,
            attempt_count: row.get(9)?,
            run_attempts: row.get(10)?,
            run_throttled: row.get(11)?,
            cancel_requested: row.get(12)?,
            forced: row.get(13)?,
            turn: columns::word_if_any(row, 19, Turn::parse)?.unwrap_or_default(),
        },
        last_error: row.get(14)?,
        created_at: columns::time(row, 15)?,
        started_at: columns::time_if_any(row, 16)?,
        claimed_at: columns::time_if_any(row, 17)?,
        completed_at: columns::time_if_any(row, 18)?,
        place: match row.get(20)? {
            None => None,
            Some(key) => Some(Place {
                key: OrderingKey::from_bytes(key),
                number: row.get(21)?,
            }),
        },
        waits_for: None,
    })
}

/// The deliveries that `clauses` (index, condition, order, limit) choose.
pub(crate) fn select(
    connection: &Connection,
    clauses: &str,
    values: impl Params,
) -> Result<Vec<DeliveryRecord>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM deliveries {clauses}"))?;
    let rows = statement.query_map(values, from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// [`select`] for what must go on whatever else there is: one that cannot be read is left as it is.
pub(crate) fn select_readable(
    connection: &Connection,
    clauses: &str,
    values: impl Params,
) -> Result<Vec<DeliveryRecord>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM deliveries {clauses}"))?;
    let mut rows = statement.query(values)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        match from_row(row) {
            Ok(delivery) => found.push(delivery),
            Err(error) => {
                let delivery = row.get(0).map(DeliveryId::from_bytes).ok();
                tracing::error!(?delivery, %error, "a delivery that is under way cannot be read; it stays so");
            }
        }
    }
    Ok(found)
}

/// A delivery that was made.
pub(crate) struct Inserted {
    /// Its lane is where this one leads.
    pub rule: Arc<Rule>,
    pub state: State,
}

impl Inserted {
    /// Its lane, and when it is due there; `None` when it waits for its turn, or is claimed.
    pub fn due(&self) -> Option<(ConnectionId, Timestamp)> {
        let due_at = self.state.due_at.filter(|_| self.state.turn != Turn::Waits)?;
        Some((self.rule.connection, due_at))
    }
}

/// Makes a delivery that was not tried yet; `None` when the rule is gone.
pub(crate) fn insert(
    connection: &Connection,
    memo: &mut Memo,
    event: &Event,
    delivery: &NewDelivery,
) -> Result<Option<Inserted>, StoreError> {
    let rule = memo.rule(connection, delivery.rule)?;
    let Some(rule) = rule.filter(|rule| rule.workspace == event.workspace) else {
        return Ok(None);
    };
    if let Some(key) = delivery.ordering_key {
        return insert_in_line(connection, rule, event, delivery, key).map(Some);
    }
    let is_due = delivery.state.due_at.is_some_and(|due| due <= event.created_at);
    let state = match delivery.leased_until {
        Some(until) if is_due && rule.connection == delivery.connection => delivery.state.claim(until)?,
        _ => delivery.state,
    };
    let claimed_at = state.leased_until.map(|_| event.created_at.0);
    let sql = "INSERT INTO deliveries (id, event, rule, workspace, connection, kind, status, due_at,
                   attempt_count, run_attempts, run_throttled, cancel_requested, forced, created_at,
                   leased_until, started_at, claimed_at)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0, 0, 0, ?10, ?11, ?12, ?13, ?13)";
    connection.prepare_cached(sql)?.execute(params![
        delivery.id.as_bytes(),
        event.id.as_bytes(),
        delivery.rule.as_bytes(),
        event.workspace.as_bytes(),
        rule.connection.as_bytes(),
        rule.kind,
        state.status.as_str(),
        state.due_at.map(|at| at.0),
        state.attempt_count,
        state.forced,
        event.created_at.0,
        state.leased_until.map(|at| at.0),
        claimed_at
    ])?;
    Ok(Some(Inserted { rule, state }))
}

/// [`insert`] for one that stands in a line.
fn insert_in_line(
    connection: &Connection,
    rule: Arc<Rule>,
    event: &Event,
    delivery: &NewDelivery,
    key: OrderingKey,
) -> Result<Inserted, StoreError> {
    let (place, state) = lines::join(connection, delivery.rule, key, event.created_at, delivery.state)?;
    let sql = "INSERT INTO deliveries (id, event, rule, workspace, connection, kind, status, due_at,
                   attempt_count, run_attempts, run_throttled, cancel_requested, forced, created_at,
                   ordering_key, place, turn)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, 0, 0, 0, ?9, ?10, ?11, ?12, ?13)";
    connection.prepare_cached(sql)?.execute(params![
        delivery.id.as_bytes(),
        event.id.as_bytes(),
        delivery.rule.as_bytes(),
        event.workspace.as_bytes(),
        rule.connection.as_bytes(),
        rule.kind,
        state.status.as_str(),
        state.due_at.map(|at| at.0),
        state.forced,
        event.created_at.0,
        key.as_bytes(),
        place.number,
        state.turn.as_str()
    ])?;
    Ok(Inserted { rule, state })
}

/// Writes what became of a delivery, and notes it for its event. `last_error` replaces the known one.
pub(crate) fn put(
    connection: &Connection,
    effects: &mut Effects,
    before: DeliveryRecord,
    state: State,
    last_error: Option<&str>,
    now: Timestamp,
) -> Result<DeliveryRecord, StoreError> {
    let had = before.state;
    let state = match before.place {
        None => state,
        Some(place) => lines::turn(connection, &before, place, state)?,
    };
    let mut after = DeliveryRecord { state, ..before };
    effects.moves.add(after.event, had.status, state.status, now);
    if let Some(error) = last_error {
        after.last_error = Some(error.to_owned());
    }
    // The rule may lead elsewhere by now.
    if state.due_at.is_some()
        && let Some(destination) = rules::destination(connection, after.rule)?
    {
        (after.connection, after.kind) = destination;
    }
    after.claimed_at = match (had.status, state.status) {
        (Status::Processing, Status::Processing) => after.claimed_at,
        (_, Status::Processing) => Some(now),
        _ => None,
    };
    after.started_at = after.started_at.or(after.claimed_at);
    after.completed_at = state.status.is_final().then(|| after.completed_at.unwrap_or(now));
    update(connection, &after)?;
    if let Some(place) = after
        .place
        .filter(|_| had.turn != state.turn && had.turn != Turn::Waits)
    {
        lines::pass_on(connection, effects, after.rule, place.key, now)?;
    }
    Ok(after)
}

/// Of deliveries that stand in no line, and have no turn: it leaves the indexes of lines alone.
const FREE: &str =
    "UPDATE deliveries SET connection = ?2, kind = ?3, status = ?4, due_at = ?5, leased_until = ?6,
    attempt_count = ?7, run_attempts = ?8, run_throttled = ?9, cancel_requested = ?10, forced = ?11,
    last_error = ?12, started_at = ?13, claimed_at = ?14, completed_at = ?15
    WHERE id = ?1 AND ?16 IS NULL";

/// [`FREE`], and the turn.
const IN_LINE: &str = "UPDATE deliveries SET connection = ?2, kind = ?3, status = ?4, due_at = ?5,
    leased_until = ?6, attempt_count = ?7, run_attempts = ?8, run_throttled = ?9, cancel_requested = ?10,
    forced = ?11, last_error = ?12, started_at = ?13, claimed_at = ?14, completed_at = ?15, turn = ?16
    WHERE id = ?1";

fn update(connection: &Connection, after: &DeliveryRecord) -> Result<(), StoreError> {
    let sql = if after.place.is_some() { IN_LINE } else { FREE };
    let state = &after.state;
    connection.prepare_cached(sql)?.execute(params![
        after.id.as_bytes(),
        after.connection.as_bytes(),
        after.kind,
        state.status.as_str(),
        state.due_at.map(|at| at.0),
        state.leased_until.map(|at| at.0),
        state.attempt_count,
        state.run_attempts,
        state.run_throttled,
        state.cancel_requested,
        state.forced,
        after.last_error,
        after.started_at.map(|at| at.0),
        after.claimed_at.map(|at| at.0),
        after.completed_at.map(|at| at.0),
        state.turn.as_str()
    ])?;
    Ok(())
}

/// A delivery by its id, whatever its organization.
pub(crate) fn find(connection: &Connection, id: DeliveryId) -> Result<Option<DeliveryRecord>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM deliveries WHERE id = ?1");
    Ok(connection
        .prepare_cached(&sql)?
        .query_row([id.as_bytes()], from_row)
        .optional()?)
}

fn of_event(connection: &Connection, event: EventId) -> Result<Vec<DeliveryRecord>, StoreError> {
    select(connection, "WHERE event = ?1 ORDER BY id", [event.as_bytes()])
}

fn find_in(
    connection: &Connection,
    reach: &Reach,
    event: EventId,
    rule: RuleId,
) -> Result<Option<DeliveryRecord>, StoreError> {
    if events::find(connection, reach, event)?.is_none() {
        return Ok(None);
    }
    let sql = format!("SELECT {COLUMNS} FROM deliveries WHERE event = ?1 AND rule = ?2");
    let values = [event.as_bytes(), rule.as_bytes()];
    Ok(connection
        .prepare_cached(&sql)?
        .query_row(values, from_row)
        .optional()?)
}

/// The outer result undoes the command; the inner one is the answer to a wish that changed nothing.
fn retry(
    connection: &Connection,
    effects: &mut Effects,
    reach: &Reach,
    event: EventId,
    rule: RuleId,
    now: Timestamp,
) -> Result<Result<DeliveryRecord, RetryError>, StoreError> {
    let Some(before) = find_in(connection, reach, event, rule)? else {
        return Ok(Err(RetryError::NotFound));
    };
    if rules::destination(connection, rule)?.is_none() {
        return Ok(Err(RetryError::RuleDeleted));
    }
    let state = match before.state.retry_now(now) {
        Ok(state) => state,
        Err(refused) => return Ok(Err(refused.into())),
    };
    if !events::has_payload(connection, event)? {
        return Ok(Err(RetryError::PayloadGone));
    }
    let after = put(connection, effects, before, state, None, now)?;
    effects.due(after.connection, now);
    let told = lines::say_who_is_first(connection, vec![after])?.pop();
    Ok(told.ok_or(RetryError::NotFound))
}

fn cancel(
    connection: &Connection,
    effects: &mut Effects,
    reach: &Reach,
    event: EventId,
    rule: RuleId,
    now: Timestamp,
) -> Result<Result<DeliveryRecord, CancelError>, StoreError> {
    let Some(before) = find_in(connection, reach, event, rule)? else {
        return Ok(Err(CancelError::NotFound));
    };
    let Ok(state) = before.state.cancel() else {
        return Ok(Err(CancelError::AlreadyFinal));
    };
    let after = put(connection, effects, before, state, None, now)?;
    Ok(Ok(after))
}

fn cancel_all(
    connection: &Connection,
    effects: &mut Effects,
    reach: &Reach,
    event: EventId,
    now: Timestamp,
) -> Result<Option<EventRecord>, StoreError> {
    if events::find(connection, reach, event)?.is_none() {
        return Ok(None);
    }
    for before in of_event(connection, event)? {
        if let Ok(state) = before.state.cancel() {
            put(connection, effects, before, state, None, now)?;
        }
    }
    // For the answer.
    effects.moves.write(connection)?;
    events::find(connection, reach, event)
}

/// Calls off what rules have under way, should that fail.
pub(crate) fn cancel_under_way(
    connection: &Connection,
    effects: &mut Effects,
    rules: &[RuleId],
    now: Timestamp,
) -> Result<(), StoreError> {
    let rules: HashSet<RuleId> = rules.iter().copied().collect();
    // At most what one process may have under way.
    let mut under_way = select(connection, "INDEXED BY leases WHERE leased_until IS NOT NULL", [])?;
    under_way.retain(|delivery| rules.contains(&delivery.rule));
    for before in under_way {
        let state = before.state.cancel()?;
        put(connection, effects, before, state, None, now)?;
    }
    Ok(())
}

/// Does to a delivery that waits in a lane what its rule's change did: it moves to the lane where the
/// rule leads now, or is called off if there is no rule any more.
pub(crate) fn follow(
    connection: &Connection,
    effects: &mut Effects,
    before: DeliveryRecord,
    rule_is_there: bool,
    now: Timestamp,
) -> Result<(), StoreError> {
    let state = if rule_is_there {
        before.state
    } else {
        before.state.cancel()?
    };
    let after = put(connection, effects, before, state, None, now)?;
    if let Some(due_at) = state.due_at {
        effects.due(after.connection, due_at);
    }
    Ok(())
}
