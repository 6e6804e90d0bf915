//! The queue that the deliveries are: which lanes have work, who holds what of it, and what comes
//! back when its holder is gone.

use std::collections::HashMap;
use std::sync::Arc;

use heddle_core::event::Event;
use heddle_core::id::{AttemptId, ConnectionId, DeliveryId, EventId};
use heddle_core::retry::Schedule;
use heddle_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::StoreError;
use crate::lease::Held;
use crate::records::{Attempt, ClaimRequest, Claimed, DeliveryRecord, LaneClaim};
use crate::stop::{self, Work};
use crate::writer::Effects;
use crate::{Store, attempts, deliveries, events};

/// Leases that one command takes back.
const BATCH: usize = 500;

impl Store {
    /// The connections for which deliveries wait, and when the earliest of each is due. Costs by
    /// connections, not by deliveries.
    pub async fn lanes(&self) -> Result<Vec<(ConnectionId, Timestamp)>, StoreError> {
        self.read(lanes).await
    }

    /// Takes what is due at `now`, in due order, until `leased_until`. The answers are in the order
    /// of the requests.
    pub async fn claim(
        &self,
        requests: Vec<ClaimRequest>,
        now: Timestamp,
        leased_until: Timestamp,
    ) -> Result<Vec<LaneClaim>, StoreError> {
        let bytes = 256 * requests.iter().map(|request| request.limit).sum::<usize>();
        let held = self.inner.shared.held.clone();
        self.write_again(bytes, move |connection, effects| {
            stop::commits(Work::Claim);
            let mut round = Round::new(connection, effects, &held, now, leased_until);
            requests.iter().map(|request| round.lane(request)).collect()
        })
        .await
    }

    /// Takes back what was claimed and whose lease has lapsed: an attempt that failed is recorded of
    /// each, and it waits again. One whose [`Lease`](crate::Lease) is still there is left alone. Returns how
    /// many there were.
    pub async fn expire_leases(
        &self,
        now: Timestamp,
        schedule: Schedule,
        seed: u64,
    ) -> Result<usize, StoreError> {
        let held = self.inner.shared.held.clone();
        self.take_back(now, now, schedule, seed, held).await
    }

    /// [`Store::expire_leases`] for every lease, lapsed or not. For the start: nobody else is there
    /// who could hold one.
    pub async fn release_all_leases(
        &self,
        now: Timestamp,
        schedule: Schedule,
        seed: u64,
    ) -> Result<usize, StoreError> {
        self.take_back(Timestamp(i64::MAX), now, schedule, seed, Held::default())
            .await
    }

    async fn take_back(
        &self,
        lapsed: Timestamp,
        now: Timestamp,
        schedule: Schedule,
        seed: u64,
        held: Held,
    ) -> Result<usize, StoreError> {
        let mut taken = 0;
        loop {
            let (schedule, held) = (schedule.clone(), held.clone());
            let work = move |connection: &Connection, effects: &mut Effects| {
                expire(connection, effects, lapsed, now, &schedule, seed, &held)
            };
            let batch = self.write(BATCH * 512, work).await?;
            taken += batch;
            // Not when it is a short one: there may be more behind what cannot be read.
            if batch == 0 {
                return Ok(taken);
            }
        }
    }
}

/// Leaps from connection to connection through the index, touching one entry of each.
pub(crate) const LANES: &str = "
    WITH RECURSIVE lane (connection) AS (
        SELECT (SELECT connection FROM deliveries INDEXED BY lanes
                WHERE due_at IS NOT NULL AND turn IS NOT 'waits' ORDER BY connection LIMIT 1)
        UNION ALL
        SELECT (SELECT d.connection FROM deliveries d INDEXED BY lanes
                WHERE d.due_at IS NOT NULL AND d.turn IS NOT 'waits' AND d.connection > lane.connection
                ORDER BY d.connection LIMIT 1)
        FROM lane WHERE lane.connection IS NOT NULL
    )
    SELECT connection, (SELECT d.due_at FROM deliveries d INDEXED BY lanes
                        WHERE d.due_at IS NOT NULL AND d.turn IS NOT 'waits' AND d.connection = lane.connection
                        ORDER BY d.due_at LIMIT 1)
    FROM lane WHERE connection IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM connections c JOIN workspaces w ON w.id = c.workspace
        WHERE c.id = lane.connection AND w.deleted_at IS NOT NULL
    )";

fn lanes(connection: &Connection) -> Result<Vec<(ConnectionId, Timestamp)>, StoreError> {
    let mut statement = connection.prepare_cached(LANES)?;
    let read = |row: &Row<'_>| Ok((ConnectionId::from_bytes(row.get(0)?), Timestamp(row.get(1)?)));
    let rows = statement.query_map([], read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// When the earliest delivery of a lane is due, or of what was forced in it.
fn next_due(
    connection: &Connection,
    lane: ConnectionId,
    forced_only: bool,
) -> Result<Option<Timestamp>, StoreError> {
    let sql = if forced_only {
        "SELECT due_at FROM deliveries INDEXED BY forced_lanes
         WHERE connection = ?1 AND forced = 1 AND due_at IS NOT NULL AND turn IS NOT 'waits'
         ORDER BY due_at LIMIT 1"
    } else {
        "SELECT due_at FROM deliveries INDEXED BY lanes
         WHERE connection = ?1 AND due_at IS NOT NULL AND turn IS NOT 'waits' ORDER BY due_at LIMIT 1"
    };
    let due = connection
        .prepare_cached(sql)?
        .query_row([lane.as_bytes()], |row| row.get(0))
        .optional()?;
    Ok(due.map(Timestamp))
}

/// Tells the dispatcher of a lane, if it has work.
pub(crate) fn wake(
    connection: &Connection,
    effects: &mut Effects,
    lane: ConnectionId,
) -> Result<(), StoreError> {
    if let Some(due_at) = next_due(connection, lane, false)? {
        effects.due(lane, due_at);
    }
    Ok(())
}

/// One claim over several lanes. An event that several deliveries share is read once.
struct Round<'a> {
    connection: &'a Connection,
    held: &'a Held,
    now: Timestamp,
    leased_until: Timestamp,
    events: HashMap<EventId, Arc<Event>>,
    effects: &'a mut Effects,
}

impl<'a> Round<'a> {
    fn new(
        connection: &'a Connection,
        effects: &'a mut Effects,
        held: &'a Held,
        now: Timestamp,
        leased_until: Timestamp,
    ) -> Self {
        Self {
            connection,
            held,
            now,
            leased_until,
            events: HashMap::new(),
            effects,
        }
    }

    fn lane(&mut self, request: &ClaimRequest) -> Result<LaneClaim, StoreError> {
        if self.effects.memo.is_dead(self.connection, request.connection)? {
            return Ok(LaneClaim {
                connection: request.connection,
                claimed: Vec::new(),
                next_due: None,
            });
        }
        let clauses = if request.forced_only {
            "INDEXED BY forced_lanes WHERE connection = ?1 AND forced = 1 AND due_at <= ?2 AND turn IS NOT 'waits'
             ORDER BY due_at, id LIMIT ?3"
        } else {
            "INDEXED BY lanes WHERE connection = ?1 AND due_at <= ?2 AND turn IS NOT 'waits'
             ORDER BY due_at, id LIMIT ?3"
        };
        let limit = i64::try_from(request.limit).unwrap_or(i64::MAX);
        let values = params![request.connection.as_bytes(), self.now.0, limit];
        let mut claimed = Vec::new();
        for delivery in deliveries::select(self.connection, clauses, values)? {
            claimed.extend(self.take(delivery)?);
        }
        let next_due = next_due(self.connection, request.connection, request.forced_only)?;
        Ok(LaneClaim {
            connection: request.connection,
            claimed,
            next_due,
        })
    }

    fn take(&mut self, delivery: DeliveryRecord) -> Result<Option<Claimed>, StoreError> {
        let Some(rule) = self.effects.memo.rule(self.connection, delivery.rule)? else {
            // Deleted, and this one was not called off yet.
            deliveries::follow(self.connection, self.effects, delivery, false, self.now)?;
            return Ok(None);
        };
        if rule.connection != delivery.connection {
            // Its rule leads elsewhere by now, and it was not moved yet.
            deliveries::follow(self.connection, self.effects, delivery, true, self.now)?;
            return Ok(None);
        }
        let state = delivery.state.claim(self.leased_until)?;
        let event = self.event(delivery.event)?;
        let taken = deliveries::put(self.connection, self.effects, delivery, state, None, self.now)?;
        Ok(Some(Claimed {
            lease: self.held.hold(taken.id),
            delivery: taken.id,
            workspace: taken.workspace,
            connection: taken.connection,
            rule,
            event,
            state,
        }))
    }

    fn event(&mut self, id: EventId) -> Result<Arc<Event>, StoreError> {
        if let Some(known) = self.events.get(&id) {
            return Ok(known.clone());
        }
        let found = Arc::new(events::with_payload(self.connection, id)?);
        self.events.insert(id, found.clone());
        Ok(found)
    }
}

/// Takes back a batch of the leases that ended by `lapsed`.
fn expire(
    connection: &Connection,
    effects: &mut Effects,
    lapsed: Timestamp,
    now: Timestamp,
    schedule: &Schedule,
    seed: u64,
    held: &Held,
) -> Result<usize, StoreError> {
    let clauses = "INDEXED BY leases WHERE leased_until <= ?1 ORDER BY leased_until, id LIMIT ?2";
    let limit = i64::try_from(BATCH + held.len()).unwrap_or(i64::MAX);
    let mut batch = deliveries::select_readable(connection, clauses, params![lapsed.0, limit])?;
    batch.retain(|delivery| !held.holds(delivery.id));
    batch.truncate(BATCH);
    let taken = batch.len();
    if taken > 0 {
        stop::commits(Work::Release);
    }
    for before in batch {
        let random = mixed(before.id, seed);
        let (state, outcome) = before.state.expire(now, schedule, random)?;
        let attempt = Attempt {
            id: attempt_id(before.id, now, random),
            number: before.state.attempt_count,
            started_at: before.claimed_at.unwrap_or(now),
            finished_at: now,
            outcome_code: outcome.code,
            message: outcome.message,
            request: None,
            status: None,
            steps: 0,
            response: None,
        };
        attempts::insert(connection, before.id, &attempt)?;
        attempts::count(effects, before.workspace, &attempt, state, now);
        let after = deliveries::put(connection, effects, before, state, Some(&attempt.message), now)?;
        if let Some(due_at) = state.due_at {
            effects.due(after.connection, due_at);
        }
    }
    Ok(taken)
}

/// A seed of its own for each delivery: the end of a UUIDv7 is random.
fn mixed(delivery: DeliveryId, seed: u64) -> u64 {
    let [.., a, b, c, d, e, f, g, h] = *delivery.as_bytes();
    seed ^ u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// There is no caller to make the id of an attempt whose maker is gone.
fn attempt_id(delivery: DeliveryId, now: Timestamp, random: u64) -> AttemptId {
    let mut bytes = [0; 10];
    bytes[..8].copy_from_slice(&random.to_be_bytes());
    bytes[8..].copy_from_slice(&delivery.as_bytes()[6..8]);
    AttemptId::new(now, bytes)
}
