//! Lines: the deliveries of one rule and ordering key, in the order in which they were accepted. One of a
//! line has its turn, the others wait and are in no lane; whoever gives up his turn passes it on in the
//! same transaction. Which one comes next is found by the index `lines`, whatever the length of the line.

use heddle_core::delivery::State;
use heddle_core::id::{DeliveryId, EventId, RuleId};
use heddle_core::ordering::{OrderingKey, Turn};
use heddle_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::StoreError;
use crate::records::{DeliveryRecord, Place};
use crate::writer::Effects;
use crate::{deliveries, rules};

/// The last place of those who stand so in a line.
const LAST: &str = "SELECT max(place) FROM deliveries INDEXED BY lines
     WHERE rule = ?1 AND turn = ?2 AND turn IS NOT NULL AND ordering_key = ?3";

/// The first of those who stand so in a line.
const FIRST: &str = "SELECT id, place FROM deliveries INDEXED BY lines
     WHERE rule = ?1 AND turn = ?2 AND turn IS NOT NULL AND ordering_key = ?3 ORDER BY place LIMIT 1";

/// What is asked of a line whenever one enters or leaves it.
#[cfg(test)]
pub(crate) const STATEMENTS: [&str; 2] = [LAST, FIRST];

/// Places are microseconds of acceptance, so that one is free behind whatever has left its line.
const PER_MILLISECOND: i64 = 1_000;

/// The place and the turn of a delivery that is accepted now: behind everybody who is in its line.
pub(crate) fn join(
    connection: &Connection,
    rule: RuleId,
    key: OrderingKey,
    accepted_at: Timestamp,
    state: State,
) -> Result<(Place, State), StoreError> {
    let mut statement = connection.prepare_cached(LAST)?;
    let mut last: Option<i64> = None;
    for turn in [Turn::Taken, Turn::Waits, Turn::Holds] {
        let values = params![rule.as_bytes(), turn.as_str(), key.as_bytes()];
        last = last.max(statement.query_row(values, |row| row.get(0))?);
    }
    let now = accepted_at.0.saturating_mul(PER_MILLISECOND);
    let number = last.map_or(now, |last| now.max(last.saturating_add(1)));
    Ok((Place { key, number }, state.in_line(last.is_some())))
}

/// What becomes of the turn when a delivery that has a place changes to `next`.
pub(crate) fn turn(
    connection: &Connection,
    before: &DeliveryRecord,
    place: Place,
    next: State,
) -> Result<State, StoreError> {
    let (was_final, is_final) = (before.state.status.is_final(), next.status.is_final());
    if was_final && !is_final {
        // Tried anew: it has its old place, and nobody who is under way is interrupted for it.
        let others_first = of_turn(connection, before.rule, place.key, Turn::Taken)?.is_some()
            || of_turn(connection, before.rule, place.key, Turn::Holds)?
                .is_some_and(|(_, first)| first < place.number);
        return Ok(next.in_line(others_first));
    }
    if !was_final && is_final && before.state.turn == Turn::Taken {
        let policy = rules::on_failure(connection, before.rule)?;
        return Ok(next.ended_in_line(policy));
    }
    Ok(next)
}

/// Gives the turn of a line to whoever comes first, if nobody has it and nobody holds it.
pub(crate) fn pass_on(
    connection: &Connection,
    effects: &mut Effects,
    rule: RuleId,
    key: OrderingKey,
    now: Timestamp,
) -> Result<(), StoreError> {
    if of_turn(connection, rule, key, Turn::Taken)?.is_some() {
        return Ok(());
    }
    let Some((first, number)) = of_turn(connection, rule, key, Turn::Waits)? else {
        return Ok(());
    };
    if of_turn(connection, rule, key, Turn::Holds)?.is_some_and(|(_, held)| held < number) {
        return Ok(());
    }
    let next = deliveries::find(connection, first)?
        .ok_or_else(|| StoreError::broken("a line leads to a delivery that is not there"))?;
    let state = next.state.released()?;
    let after = deliveries::put(connection, effects, next, state, None, now)?;
    if let Some(due_at) = state.due_at {
        effects.due(after.connection, due_at);
    }
    Ok(())
}

/// The first of a line that stands so, and its place.
fn of_turn(
    connection: &Connection,
    rule: RuleId,
    key: OrderingKey,
    turn: Turn,
) -> Result<Option<(DeliveryId, i64)>, StoreError> {
    let values = params![rule.as_bytes(), turn.as_str(), key.as_bytes()];
    let found = connection
        .prepare_cached(FIRST)?
        .query_row(values, |row| {
            Ok((DeliveryId::from_bytes(row.get(0)?), row.get(1)?))
        })
        .optional()?;
    Ok(found)
}

/// Whether a delivery of this event has failed and holds its line.
pub(crate) fn is_held_by(connection: &Connection, event: &[u8; 16]) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM deliveries WHERE event = ?1 AND turn = 'holds'";
    Ok(connection.prepare_cached(sql)?.exists([event])?)
}

/// Adds to deliveries that wait for their turn, which event they wait for, and where they go when it is
/// their turn: where the rule leads by then.
pub(crate) fn say_who_is_first(
    connection: &Connection,
    mut records: Vec<DeliveryRecord>,
) -> Result<Vec<DeliveryRecord>, StoreError> {
    for record in &mut records {
        let Some(place) = record.place.filter(|_| record.state.turn == Turn::Waits) else {
            continue;
        };
        if let Some(destination) = rules::destination(connection, record.rule)? {
            (record.connection, record.kind) = destination;
        }
        let in_the_way = match of_turn(connection, record.rule, place.key, Turn::Taken)? {
            None => of_turn(connection, record.rule, place.key, Turn::Holds)?,
            taken => taken,
        };
        if let Some((id, _)) = in_the_way {
            let sql = "SELECT event FROM deliveries WHERE id = ?1";
            let event = connection
                .prepare_cached(sql)?
                .query_row([id.as_bytes()], |row| row.get(0))
                .optional()?;
            record.waits_for = event.map(EventId::from_bytes);
        }
    }
    Ok(records)
}

/// Some deliveries of a rule that stand so in their lines, the first of each line first.
pub(crate) fn some_of_rule(
    connection: &Connection,
    rule: RuleId,
    turn: Turn,
    most: usize,
) -> Result<Vec<DeliveryRecord>, StoreError> {
    let clauses = "INDEXED BY lines WHERE rule = ?1 AND turn = ?2 AND turn IS NOT NULL
                   ORDER BY ordering_key, place, id LIMIT ?3";
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    deliveries::select(connection, clauses, params![rule.as_bytes(), turn.as_str(), most])
}
