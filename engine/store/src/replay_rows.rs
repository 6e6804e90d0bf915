//! The rows of a bulk replay, found in steps that look at a bounded number of rows, whatever the filter lets
//! through and however long the history: an index gives the rows of a workspace in order, and the filter is held
//! against each of them here. A step that finds few, or none, moves the job all the same.
//!
//! | | goes through |
//! |---|---|
//! | failed and canceled deliveries | deliveries, by `ended_badly` |
//! | completed ones among them | events, and the deliveries of each: there is no index of completed deliveries, which would be written for every delivery there is |
//! | the rules of now | events |
//!
//! Events are found by their name where the filter has one. Ids begin with the time of their making, so that a
//! range of time is one of ids.

use heddle_core::delivery::Status;
use heddle_core::id::{ConnectionId, DeliveryId, EventId, RuleId, WorkspaceId};
use heddle_core::replay::{Filter, Rules};
use heddle_core::time::Timestamp;
use rusqlite::{Connection, Row, Rows, Statement, params};

use crate::error::StoreError;
use crate::records::{Behind, Replay, ReplayRows, ReplayStep};
use crate::{Store, columns, events};

/// The most rows that are looked at in one read.
pub(crate) const LOOKED_AT: usize = 2_000;

/// A count looks at this many rows.
const COUNTED_AT: usize = 200_000;

/// The events of a step have payloads of so many bytes, and those of the one that reaches it.
const PAYLOADS: usize = 4 << 20;

/// How many rows a replay would take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Those that were found.
    pub rows: u32,
    /// Whether these are all; else counting stopped.
    pub exact: bool,
}

impl Store {
    /// How many rows a replay of this filter would take, as far as it is quick to count them.
    pub async fn count_replay(
        &self,
        workspace: WorkspaceId,
        rules: Rules,
        filter: Filter,
        now: Timestamp,
    ) -> Result<Counted, StoreError> {
        // Whoever asks often keeps one reader from the others for a while, and not all of them.
        let _turn = self.inner.shared.counting.lock().await;
        let (mut rows, mut behind) = (0, None);
        for _ in 0..COUNTED_AT / LOOKED_AT {
            let wanted = Wanted::new(workspace, rules, filter.clone(), now);
            let look = self
                .read(move |connection| look(connection, &wanted, behind, LOOKED_AT))
                .await?;
            rows += u32::try_from(look.found.len()).unwrap_or(u32::MAX);
            behind = look.behind;
            if look.ends {
                return Ok(Counted { rows, exact: true });
            }
        }
        Ok(Counted { rows, exact: false })
    }

    /// The next rows of a job, at most `most`, as far as one look finds them.
    pub async fn replay_rows(
        &self,
        replay: &Replay,
        most: u32,
    ) -> Result<ReplayStep<ReplayRows>, StoreError> {
        let replay = replay.clone();
        self.read(move |connection| rows(connection, &replay, most)).await
    }
}

/// What is looked for.
pub(crate) struct Wanted {
    workspace: WorkspaceId,
    filter: Filter,
    /// Only deliveries that had ended by then, or events that were there.
    made_at: Timestamp,
    walk: Walk,
    /// Ids between which it lies, both outside.
    low: [u8; 16],
    high: [u8; 16],
}

/// What is gone through.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Walk {
    EndedBadly,
    DeliveriesOfEvents,
    Events,
}

impl Wanted {
    fn new(workspace: WorkspaceId, rules: Rules, filter: Filter, made_at: Timestamp) -> Self {
        let walk = match rules {
            Rules::Current => Walk::Events,
            Rules::Original if filter.statuses.contains(&Status::Completed) => Walk::DeliveriesOfEvents,
            Rules::Original => Walk::EndedBadly,
        };
        let high = filter.to.map_or([0xff; 16], first_id);
        let later = first_id(Timestamp(made_at.0.saturating_add(1)));
        Self {
            workspace,
            made_at,
            walk,
            low: filter.from.map_or([0; 16], first_id),
            high: if walk == Walk::Events {
                high.min(later)
            } else {
                high
            },
            filter,
        }
    }

    fn takes(&self, delivery: &Seen) -> bool {
        let filter = &self.filter;
        filter.statuses.contains(&delivery.status)
            && delivery.ended_at.is_some_and(|at| at <= self.made_at)
            && filter.rule.is_none_or(|rule| rule == delivery.rule)
            && filter
                .connection
                .is_none_or(|connection| connection == delivery.connection)
    }
}

/// An id below all that are made at this time, and above all that were made before.
pub(crate) fn first_id(at: Timestamp) -> [u8; 16] {
    let mut id = [0; 16];
    let milliseconds = u64::try_from(at.0).unwrap_or(0).to_be_bytes();
    id[..6].copy_from_slice(&milliseconds[2..]);
    id
}

/// What one look has found.
struct Look {
    found: Vec<[u8; 16]>,
    behind: Option<Behind>,
    ends: bool,
}

/// A delivery, as a filter needs it.
struct Seen {
    id: [u8; 16],
    event: EventId,
    rule: RuleId,
    connection: ConnectionId,
    status: Status,
    ended_at: Option<Timestamp>,
}

const SEEN: &str = "SELECT id, event, rule, connection, status, completed_at FROM deliveries";

fn seen(row: &Row<'_>) -> rusqlite::Result<Seen> {
    Ok(Seen {
        id: row.get(0)?,
        event: EventId::from_bytes(row.get(1)?),
        rule: RuleId::from_bytes(row.get(2)?),
        connection: ConnectionId::from_bytes(row.get(3)?),
        status: columns::word(row, 4, Status::parse)?,
        ended_at: columns::time_if_any(row, 5)?,
    })
}

/// Looks behind `behind` until `most` rows are found, or [`LOOKED_AT`] were looked at.
fn look(
    connection: &Connection,
    wanted: &Wanted,
    behind: Option<Behind>,
    most: usize,
) -> Result<Look, StoreError> {
    let mut look = Look {
        found: Vec::new(),
        behind,
        ends: false,
    };
    match wanted.walk {
        Walk::EndedBadly => among_ended_badly(connection, wanted, most, &mut look)?,
        Walk::DeliveriesOfEvents => among_events(connection, wanted, most, &mut look)?,
        Walk::Events => {
            let limit = most.min(LOOKED_AT);
            let mut statement = connection.prepare_cached(wanted.events())?;
            let mut rows = wanted.query_events(&mut statement, behind, limit)?;
            while let Some(row) = rows.next()? {
                look.found.push(row.get(0)?);
            }
            look.ends = look.found.len() < limit;
            if let Some(last) = look.found.last() {
                look.behind = Some(Behind {
                    row: *last,
                    rule: None,
                });
            }
        }
    }
    Ok(look)
}

/// The deliveries of a workspace that ended badly, behind one.
pub(crate) fn ended_badly() -> String {
    // The literals let the partial index serve it.
    format!(
        "{SEEN} INDEXED BY ended_badly WHERE workspace = ?1 AND id > ?2 AND id < ?3
         AND status IN ('failed', 'canceled') ORDER BY id"
    )
}

fn among_ended_badly(
    connection: &Connection,
    wanted: &Wanted,
    most: usize,
    look: &mut Look,
) -> Result<(), StoreError> {
    let behind = look
        .behind
        .map_or(wanted.low, |behind| behind.row.max(wanted.low));
    let mut statement = connection.prepare_cached(&ended_badly())?;
    let mut rows = statement.query(params![wanted.workspace.as_bytes(), behind, wanted.high])?;
    let mut looked_at = 0;
    while let Some(row) = rows.next()? {
        let delivery = seen(row)?;
        looked_at += 1;
        look.behind = Some(Behind {
            row: delivery.id,
            rule: None,
        });
        if wanted.takes(&delivery) && is_named(connection, delivery.event, wanted.filter.event.as_deref())? {
            look.found.push(delivery.id);
        }
        if looked_at == LOOKED_AT || look.found.len() == most {
            return Ok(());
        }
    }
    look.ends = true;
    Ok(())
}

fn is_named(connection: &Connection, event: EventId, name: Option<&str>) -> Result<bool, StoreError> {
    let Some(name) = name else { return Ok(true) };
    let sql = "SELECT 1 FROM events WHERE id = ?1 AND event = ?2";
    Ok(connection
        .prepare_cached(sql)?
        .exists(params![event.as_bytes(), name])?)
}

/// The deliveries of an event by the rules behind one.
pub(crate) fn of_event() -> String {
    format!("{SEEN} WHERE event = ?1 AND rule > ?2 ORDER BY rule")
}

fn among_events(
    connection: &Connection,
    wanted: &Wanted,
    most: usize,
    look: &mut Look,
) -> Result<(), StoreError> {
    // First the rest of the event in the midst of which the last step ended.
    let mut rest = look.behind.filter(|behind| behind.rule.is_some());
    let mut statement = connection.prepare_cached(wanted.events())?;
    let mut next = wanted.query_events(&mut statement, look.behind, LOOKED_AT)?;
    let mut deliveries = connection.prepare_cached(&of_event())?;
    let mut looked_at = 0;
    loop {
        let (event, done): ([u8; 16], _) = match rest.take() {
            Some(behind) => (behind.row, behind.rule),
            None => match next.next()? {
                Some(row) => (row.get(0)?, None),
                None => break,
            },
        };
        looked_at += 1;
        let mut rows = deliveries.query(params![event, done.unwrap_or([0; 16])])?;
        while let Some(row) = rows.next()? {
            let delivery = seen(row)?;
            looked_at += 1;
            look.behind = Some(Behind {
                row: event,
                rule: Some(*delivery.rule.as_bytes()),
            });
            if wanted.takes(&delivery) {
                look.found.push(delivery.id);
            }
            if looked_at >= LOOKED_AT || look.found.len() == most {
                return Ok(());
            }
        }
        look.behind = Some(Behind {
            row: event,
            rule: None,
        });
        if looked_at >= LOOKED_AT {
            return Ok(());
        }
    }
    look.ends = true;
    Ok(())
}

/// The events of a workspace behind one, all of them or those of a name.
pub(crate) const EVENTS: &str = "SELECT id FROM events INDEXED BY events_of_workspace
     WHERE workspace = ?1 AND id > ?2 AND id < ?3 ORDER BY id LIMIT ?4";
pub(crate) const EVENTS_BY_NAME: &str = "SELECT id FROM events INDEXED BY events_by_name
     WHERE workspace = ?1 AND id > ?2 AND id < ?3 AND event = ?5 ORDER BY id LIMIT ?4";

impl Wanted {
    fn events(&self) -> &'static str {
        match self.filter.event {
            None => EVENTS,
            Some(_) => EVENTS_BY_NAME,
        }
    }

    fn query_events<'s>(
        &self,
        statement: &'s mut Statement<'_>,
        behind: Option<Behind>,
        limit: usize,
    ) -> rusqlite::Result<Rows<'s>> {
        let behind = behind.map_or(self.low, |behind| behind.row.max(self.low));
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let workspace = self.workspace.as_bytes();
        match &self.filter.event {
            None => statement.query(params![workspace, behind, self.high, limit]),
            Some(name) => statement.query(params![workspace, behind, self.high, limit, name]),
        }
    }
}

fn rows(connection: &Connection, replay: &Replay, most: u32) -> Result<ReplayStep<ReplayRows>, StoreError> {
    // One state of the database: an event that is listed is there when it is read.
    let _snapshot = connection.unchecked_transaction()?;
    let wanted = Wanted::new(
        replay.workspace,
        replay.rules,
        replay.filter.clone(),
        replay.created_at,
    );
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let Look { found, behind, ends } = look(connection, &wanted, replay.behind, most)?;
    if replay.rules == Rules::Original {
        let rows = ReplayRows::Deliveries(found.into_iter().map(DeliveryId::from_bytes).collect());
        return Ok(ReplayStep { rows, behind, ends });
    }
    let count = found.len();
    let (mut taken, mut bytes) = (Vec::with_capacity(count), 0);
    for id in found {
        let event = events::with_what_is_left(connection, EventId::from_bytes(id))?;
        bytes += event.payload.len();
        taken.push(event);
        if bytes >= PAYLOADS {
            break;
        }
    }
    let last = taken.last().map(|event| Behind {
        row: *event.id.as_bytes(),
        rule: None,
    });
    Ok(ReplayStep {
        ends: ends && taken.len() == count,
        behind: last.or(behind),
        rows: ReplayRows::Events(taken),
    })
}
