//! Events: accepted together with their deliveries, then listed, and counted up as these end.

use std::sync::Arc;

use heddle_core::calendar::Day;
use heddle_core::delivery::{Status, Tally};
use heddle_core::event::Event;
use heddle_core::id::{DeliveryId, EventId, OrganisationId, WorkspaceId};
use heddle_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::deliveries::Inserted;
use crate::error::{OverQuota, StoreError};
use crate::event_lists::LOOKED_AT;
use crate::lease::Held;
use crate::reach::Reach;
use crate::records::{
    Acceptance, Accepted, Claimed, Emission, EventFilter, EventRecord, Intake, Page, PageOf, Usage,
};
use crate::stop::{self, Work};
use crate::writer::Effects;
use crate::{Store, columns, deliveries, event_lists, idempotency};

impl Store {
    /// Writes events and their deliveries in one transaction. Returns when the disk has them, with what
    /// became of each; an error is that of all. The events' organization is that of their workspace.
    ///
    /// Deliveries that are claimed with it ([`NewDelivery::leased_until`](crate::NewDelivery)) are the
    /// caller's: one that goes away before the answer leaves them to their leases.
    pub async fn accept(&self, emissions: Vec<Emission>) -> Result<Intake, StoreError> {
        let bytes = emissions
            .iter()
            .map(|Emission { acceptance, .. }| {
                acceptance.event.payload.len() + 256 * (acceptance.deliveries.len() + 2)
            })
            .sum();
        let mut quotas = Vec::with_capacity(emissions.len());
        for emission in &emissions {
            let limits = self.limits_of(emission.acceptance.event.workspace).await?;
            quotas.push(limits.events_per_month);
        }
        let of_all = self.default_limits().organisation_events_per_month;
        let held = self.inner.shared.held.clone();
        self.write_again(bytes, move |connection, effects| {
            stop::commits(Work::Accept);
            let mut desk = Desk {
                connection,
                effects,
                held: &held,
                of_all,
                claimed: Vec::new(),
            };
            let each = emissions.iter().zip(&quotas);
            let accepted = each
                .map(|(emission, quota)| desk.accept_once(emission, *quota))
                .collect::<Result<_, _>>()?;
            let claimed = desk.claimed;
            Ok(Intake { accepted, claimed })
        })
        .await
    }

    /// The events that the filter lets through, the newest first. A page may have fewer than its limit,
    /// or none, although another one follows: it looks at a bounded number of events.
    pub async fn list_events(
        &self,
        reach: impl Into<Reach>,
        filter: EventFilter,
        page: Page,
    ) -> Result<PageOf<EventRecord>, StoreError> {
        let reach = reach.into();
        self.read(move |connection| event_lists::list(connection, &reach, &filter, &page, LOOKED_AT))
            .await
    }

    /// One event.
    pub async fn event(
        &self,
        reach: impl Into<Reach>,
        id: EventId,
    ) -> Result<Option<EventRecord>, StoreError> {
        let reach = reach.into();
        self.read(move |connection| find(connection, &reach, id)).await
    }

    /// The payload of an event, byte for byte as it was sent.
    pub async fn event_payload(
        &self,
        reach: impl Into<Reach>,
        id: EventId,
    ) -> Result<Option<Arc<str>>, StoreError> {
        let reach = reach.into();
        self.read(move |connection| payload(connection, &reach, id)).await
    }
}

pub(crate) const COLUMNS: &str =
    "id, workspace, event, resource, resource_id, created_by, created_at, status, pending,
     processing, retrying, completed, failed, canceled, started_at, completed_at";

pub(crate) fn from_row(row: &Row<'_>) -> rusqlite::Result<EventRecord> {
    Ok(EventRecord {
        id: EventId::from_bytes(row.get(0)?),
        workspace: WorkspaceId::from_bytes(row.get(1)?),
        event: row.get(2)?,
        resource: row.get(3)?,
        resource_id: row.get(4)?,
        created_by: row.get(5)?,
        created_at: columns::time(row, 6)?,
        status: columns::word(row, 7, Status::parse)?,
        tally: tally(row, 8)?,
        started_at: columns::time_if_any(row, 14)?,
        completed_at: columns::time_if_any(row, 15)?,
    })
}

/// The six counters, from the column `first` on.
fn tally(row: &Row<'_>, first: usize) -> rusqlite::Result<Tally> {
    Ok(Tally {
        pending: row.get(first)?,
        processing: row.get(first + 1)?,
        retrying: row.get(first + 2)?,
        completed: row.get(first + 3)?,
        failed: row.get(first + 4)?,
        canceled: row.get(first + 5)?,
    })
}

/// One intake: events and their deliveries, in one transaction.
struct Desk<'a> {
    connection: &'a Connection,
    effects: &'a mut Effects,
    held: &'a Held,
    /// Events a month of the whole organization.
    of_all: Option<u64>,
    claimed: Vec<Claimed>,
}

impl Desk<'_> {
    fn accept_once(&mut self, emission: &Emission, quota: Option<u64>) -> Result<Accepted, StoreError> {
        let connection = self.connection;
        let (event, once) = (&emission.acceptance.event, emission.once.as_ref());
        if let Some(once) = once
            && let Some((known, same)) =
                idempotency::find(connection, event.workspace, once, event.created_at)?
            && let Some(known) = find_any(connection, known)?
        {
            return Ok(if same {
                Accepted::Replayed(known)
            } else {
                Accepted::KeyTaken
            });
        }
        let counted = &mut self.effects.counted;
        if let Some(limit) = quota {
            let used = counted.events_of_month(connection, event.workspace, event.created_at)?;
            if used >= limit {
                return Ok(over("events_per_month", limit, used, event));
            }
        }
        let organisation = self
            .effects
            .memo
            .organisation(connection, event.workspace)?
            .ok_or(StoreError::NotFound("workspace"))?;
        let counted = &mut self.effects.counted;
        if let Some(limit) = self.of_all {
            let used = counted.events_of_all(connection, organisation, event.created_at)?;
            if used >= limit {
                return Ok(over("organization_events_per_month", limit, used, event));
            }
        }
        let record = self.accept(&emission.acceptance, organisation)?;
        if let Some(once) = once {
            idempotency::put(connection, event.workspace, once, event.id, event.created_at)?;
        }
        Ok(Accepted::New(record))
    }

    fn accept(
        &mut self,
        acceptance: &Acceptance,
        organisation: OrganisationId,
    ) -> Result<EventRecord, StoreError> {
        let (event, connection) = (&acceptance.event, self.connection);
        let (mut tally, mut claimed) = (Tally::default(), Vec::new());
        for delivery in &acceptance.deliveries {
            let inserted = deliveries::insert(connection, &mut self.effects.memo, event, delivery)?;
            let Some(inserted) = inserted else { continue };
            *tally.count_mut(inserted.state.status) += 1;
            if let Some((lane, due_at)) = inserted.due() {
                self.effects.due(lane, due_at);
            }
            if inserted.state.leased_until.is_some() {
                claimed.push((delivery.id, inserted));
            }
        }
        let record = EventRecord {
            id: event.id,
            workspace: event.workspace,
            event: event.event.clone(),
            resource: event.resource.clone(),
            resource_id: event.resource_id.clone(),
            created_by: event.created_by.clone(),
            created_at: event.created_at,
            status: tally.status(),
            tally,
            started_at: (!claimed.is_empty()).then_some(event.created_at),
            completed_at: tally.status().is_final().then_some(event.created_at),
        };
        insert(connection, organisation, &record)?;
        let sql = "INSERT INTO event_payloads (event, payload) VALUES (?1, ?2)";
        connection
            .prepare_cached(sql)?
            .execute(params![event.id.as_bytes(), event.payload])?;
        let usage = Usage {
            events: 1,
            bytes: event.payload.len() as u64,
            deliveries: u64::from(record.total_rules()),
            ..Usage::default()
        };
        let counted = &mut self.effects.counted;
        counted.accepted(organisation, event.workspace, event.created_at, usage);
        self.hold(event, claimed);
        Ok(record)
    }

    /// Keeps what is claimed from being taken back before its holder has it.
    fn hold(&mut self, event: &Event, claimed: Vec<(DeliveryId, Inserted)>) {
        if claimed.is_empty() {
            return;
        }
        let event = Arc::new(event.clone());
        let held = claimed.into_iter().map(|(id, Inserted { rule, state })| Claimed {
            lease: self.held.hold(id),
            delivery: id,
            workspace: event.workspace,
            connection: rule.connection,
            rule,
            event: Arc::clone(&event),
            state,
        });
        self.claimed.extend(held);
    }
}

/// The quota that keeps an event out.
fn over(counter: &'static str, limit: u64, used: u64, event: &Event) -> Accepted {
    Accepted::OverQuota(OverQuota {
        counter,
        limit,
        used,
        resets_at: Some(Day::of(event.created_at).next_month().start()),
    })
}

fn insert(
    connection: &Connection,
    organisation: OrganisationId,
    record: &EventRecord,
) -> Result<(), StoreError> {
    let sql =
        "INSERT INTO events (id, workspace, event, resource, resource_id, created_by, created_at, status,
                   pending, processing, retrying, completed, failed, canceled, completed_at, organisation,
                   started_at)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)";
    connection.prepare_cached(sql)?.execute(params![
        record.id.as_bytes(),
        record.workspace.as_bytes(),
        record.event,
        record.resource,
        record.resource_id,
        record.created_by,
        record.created_at.0,
        record.status.as_str(),
        record.tally.pending,
        record.tally.processing,
        record.tally.retrying,
        record.tally.completed,
        record.tally.failed,
        record.tally.canceled,
        record.completed_at.map(|at| at.0),
        organisation.as_bytes(),
        record.started_at.map(|at| at.0)
    ])?;
    Ok(())
}

/// Leaves out events of workspaces that were deleted.
const LIVE: &str = " AND EXISTS (SELECT 1 FROM live_workspaces w WHERE w.id = events.workspace)";

fn is_within(reach: &Reach, event: &EventRecord) -> bool {
    reach.covers_resource(
        event.workspace,
        Some(&event.resource),
        event.resource_id.as_deref(),
    )
}

pub(crate) fn find(
    connection: &Connection,
    reach: &Reach,
    id: EventId,
) -> Result<Option<EventRecord>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM events WHERE id = ?1 AND organisation = ?2{LIVE}");
    let mut statement = connection.prepare_cached(&sql)?;
    Ok(statement
        .query_row([id.as_bytes(), reach.organisation.as_bytes()], from_row)
        .optional()?
        .filter(|event| is_within(reach, event)))
}

/// An event by its id, whatever its organization.
fn find_any(connection: &Connection, id: EventId) -> Result<Option<EventRecord>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM events WHERE id = ?1{LIVE}");
    let mut statement = connection.prepare_cached(&sql)?;
    Ok(statement.query_row([id.as_bytes()], from_row).optional()?)
}

fn payload(connection: &Connection, reach: &Reach, id: EventId) -> Result<Option<Arc<str>>, StoreError> {
    if find(connection, reach, id)?.is_none() {
        return Ok(None);
    }
    let sql = "SELECT payload FROM event_payloads WHERE event = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement
        .query_row([id.as_bytes()], |row| row.get(0))
        .optional()?)
}

/// An event with its payload, as it is delivered.
pub(crate) fn with_payload(connection: &Connection, id: EventId) -> Result<Event, StoreError> {
    let sql = "SELECT e.workspace, e.event, e.resource, e.resource_id, e.created_by, e.created_at, p.payload
               FROM events e JOIN event_payloads p ON p.event = e.id WHERE e.id = ?1";
    let read = |row: &Row<'_>| {
        Ok(Event {
            id,
            workspace: WorkspaceId::from_bytes(row.get(0)?),
            event: row.get(1)?,
            resource: row.get(2)?,
            resource_id: row.get(3)?,
            created_by: row.get(4)?,
            created_at: columns::time(row, 5)?,
            payload: row.get(6)?,
        })
    };
    Ok(connection.prepare_cached(sql)?.query_row([id.as_bytes()], read)?)
}

/// An event for matching, with an empty payload where its own is not kept any more: such a one is
/// passed over when the replay looks again, in the transaction of what it does.
pub(crate) fn with_what_is_left(connection: &Connection, id: EventId) -> Result<Event, StoreError> {
    if has_payload(connection, id)? {
        return with_payload(connection, id);
    }
    let sql = format!("SELECT {COLUMNS} FROM events WHERE id = ?1");
    let record = connection
        .prepare_cached(&sql)?
        .query_row([id.as_bytes()], from_row)?;
    Ok(Event {
        id,
        workspace: record.workspace,
        event: record.event,
        resource: record.resource,
        resource_id: record.resource_id,
        payload: "{}".into(),
        created_by: record.created_by,
        created_at: record.created_at,
    })
}

/// Whether there is something to deliver of an event.
pub(crate) fn has_payload(connection: &Connection, id: EventId) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM event_payloads WHERE event = ?1";
    Ok(connection.prepare_cached(sql)?.exists([id.as_bytes()])?)
}

/// What deliveries have become, until their events are told: see [`Effects::moves`].
#[derive(Default)]
pub(crate) struct Moves(Vec<Move>);

struct Move {
    event: EventId,
    /// `None`: the delivery is new.
    from: Option<Status>,
    to: Status,
    at: Timestamp,
}

impl Moves {
    /// A delivery of this event changed its status.
    pub fn add(&mut self, event: EventId, from: Status, to: Status, at: Timestamp) {
        if from != to {
            let from = Some(from);
            self.0.push(Move { event, from, to, at });
        }
    }

    /// This event got another delivery.
    pub fn made(&mut self, event: EventId, to: Status, at: Timestamp) {
        let from = None;
        self.0.push(Move { event, from, to, at });
    }

    /// Writes the counters of the events and what follows from them.
    pub fn write(&mut self, connection: &Connection) -> Result<(), StoreError> {
        // Stable: the moves of one event stay in their order.
        self.0.sort_by_key(|moved| moved.event);
        for moves in self.0.chunk_by(|a, b| a.event == b.event) {
            count(connection, moves)?;
        }
        self.0.clear();
        Ok(())
    }
}

/// Counts the moves of one event.
fn count(connection: &Connection, moves: &[Move]) -> Result<(), StoreError> {
    let Some(Move {
        event: id, at: now, ..
    }) = moves.last()
    else {
        return Ok(());
    };
    let sql = "SELECT pending, processing, retrying, completed, failed, canceled FROM events WHERE id = ?1";
    let mut tally = connection
        .prepare_cached(sql)?
        .query_row([id.as_bytes()], |row| tally(row, 0))?;
    for Move { from, to, .. } in moves {
        if let Some(from) = from {
            let left = tally.count_mut(*from);
            *left = left
                .checked_sub(1)
                .ok_or_else(|| StoreError::broken(format!("event {id} lost count")))?;
        }
        *tally.count_mut(*to) += 1;
    }
    let status = tally.status();
    let claimed = moves.iter().find(|moved| moved.to == Status::Processing);
    let sql = "UPDATE events SET status = ?2, pending = ?3, processing = ?4, retrying = ?5, completed = ?6,
                   failed = ?7, canceled = ?8, started_at = coalesce(started_at, ?9), completed_at = ?10
               WHERE id = ?1";
    connection.prepare_cached(sql)?.execute(params![
        id.as_bytes(),
        status.as_str(),
        tally.pending,
        tally.processing,
        tally.retrying,
        tally.completed,
        tally.failed,
        tally.canceled,
        claimed.map(|moved| moved.at.0),
        status.is_final().then_some(now.0)
    ])?;
    Ok(())
}
