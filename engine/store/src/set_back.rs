//! A clock that was set back: whatever waits for a time has one of the old clock, and would wait until that
//! comes again. So all of it is brought forward, step by step, by as much as the clock was set back.

use std::time::Duration;

use heddle_core::id::{ConnectionId, RuleId};
use heddle_core::ordering::Turn;
use heddle_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::StoreError;
use crate::records::DeliveryRecord;
use crate::stop::{self, Work};
use crate::writer::Effects;
use crate::{Store, deliveries};

/// Deliveries and lanes that one step looks at.
pub(crate) const STEP: usize = 500;

/// How far everything was gone through: first what is under way, then the connections, the lanes, and who waits
/// in a line.
#[derive(Clone, Debug)]
pub struct Passed(Place);

#[derive(Clone, Debug)]
enum Place {
    /// Every connection up to this one.
    Connection([u8; 16]),
    /// Everything of this lane up to this due time and id.
    Lane(ConnectionId, i64, [u8; 16]),
    /// Everything of this rule up to this one, or nothing of it yet.
    Line(RuleId, Option<Box<DeliveryRecord>>),
}

/// What a step did.
#[derive(Clone, Debug)]
pub struct BroughtForward {
    /// Deliveries that wait for less long.
    pub deliveries: usize,
    /// Where the next step goes on; `None` when all is done.
    pub passed: Option<Passed>,
}

impl Store {
    /// About the latest that the clock has shown, in this process or a former one.
    pub async fn clock_shown(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read(|connection| {
            let sql = "SELECT value FROM meta WHERE name = 'clock'";
            let shown = connection
                .prepare_cached(sql)?
                .query_row([], |row| row.get(0))
                .optional()?;
            Ok(shown.map(|shown| Timestamp(i64::from_be_bytes(shown))))
        })
        .await
    }

    /// Notes what the clock shows.
    pub async fn note_clock(&self, now: Timestamp) -> Result<(), StoreError> {
        self.write(64, move |connection, _| {
            let sql = "INSERT OR REPLACE INTO meta (name, value) VALUES ('clock', ?1)";
            connection.prepare_cached(sql)?.execute([now.0.to_be_bytes()])?;
            Ok(())
        })
        .await
    }

    /// Brings some of what lies ahead of `now` forward by as much as the clock was set back, in one
    /// transaction; goes on behind what was passed.
    pub async fn bring_forward(
        &self,
        by: Duration,
        now: Timestamp,
        passed: Option<Passed>,
    ) -> Result<BroughtForward, StoreError> {
        self.write(STEP * 512, move |connection, effects| {
            stop::commits(Work::SetBack);
            let mut step = Step {
                connection,
                effects,
                by,
                now,
                room: STEP,
                deliveries: 0,
            };
            let passed = step.go_on(passed)?;
            Ok(BroughtForward {
                deliveries: step.deliveries,
                passed,
            })
        })
        .await
    }
}

/// One transaction's work.
struct Step<'a> {
    connection: &'a Connection,
    effects: &'a mut Effects,
    by: Duration,
    now: Timestamp,
    room: usize,
    deliveries: usize,
}

impl Step<'_> {
    fn go_on(&mut self, passed: Option<Passed>) -> Result<Option<Passed>, StoreError> {
        let mut next = match passed {
            Some(Passed(place)) => Some(place),
            None => {
                // At most what one process may have under way.
                let clauses = "INDEXED BY leases WHERE leased_until > ?1";
                self.all(deliveries::select(self.connection, clauses, [self.now.0])?)?;
                Some(Place::Connection([0; 16]))
            }
        };
        while let Some(place) = next {
            if self.room == 0 {
                return Ok(Some(Passed(place)));
            }
            next = match place {
                Place::Connection(behind) => self.connections(behind)?,
                Place::Lane(lane, due_at, id) => self.lane(lane, due_at, id)?,
                Place::Line(rule, behind) => self.line(rule, behind.as_deref())?,
            };
        }
        Ok(None)
    }

    /// Connections that were changed at a time that is still to come: an attempt that begins now would say
    /// nothing of one of them until then.
    fn connections(&mut self, behind: [u8; 16]) -> Result<Option<Place>, StoreError> {
        let sql = "SELECT id, updated_at FROM connections WHERE id > ?1 ORDER BY id LIMIT ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let read = |row: &Row<'_>| Ok((row.get::<_, [u8; 16]>(0)?, row.get::<_, i64>(1)?));
        let found: Vec<_> = statement
            .query_map(params![behind, self.most()], read)?
            .collect::<Result<_, _>>()?;
        let Some((last, _)) = found.last().copied() else {
            return self.lane_behind([0; 16]);
        };
        self.room = self.room.saturating_sub(found.len());
        for (id, _) in found.into_iter().filter(|(_, at)| *at > self.now.0) {
            let sql = "UPDATE connections SET updated_at = ?2 WHERE id = ?1";
            self.connection
                .prepare_cached(sql)?
                .execute(params![id, self.now.0])?;
            self.effects.connection(ConnectionId::from_bytes(id));
        }
        Ok(Some(Place::Connection(last)))
    }

    /// What comes earlier by this is behind its old place, so that it is not met again.
    fn lane(&mut self, lane: ConnectionId, due_at: i64, id: [u8; 16]) -> Result<Option<Place>, StoreError> {
        let clauses = "INDEXED BY lanes WHERE connection = ?1 AND due_at IS NOT NULL AND turn IS NOT 'waits'
                       AND (due_at, id) > (?2, ?3) ORDER BY due_at, id LIMIT ?4";
        let values = params![lane.as_bytes(), due_at, id, self.most()];
        let found = deliveries::select(self.connection, clauses, values)?;
        match found.last() {
            None => {
                self.room = self.room.saturating_sub(1);
                self.lane_behind(*lane.as_bytes())
            }
            Some(last) => {
                let place = Place::Lane(lane, last.state.due_at.unwrap_or_default().0, *last.id.as_bytes());
                self.all(found)?;
                Ok(Some(place))
            }
        }
    }

    fn line(&mut self, rule: RuleId, behind: Option<&DeliveryRecord>) -> Result<Option<Place>, StoreError> {
        let clauses = "INDEXED BY lines WHERE rule = ?1 AND turn = 'waits' AND turn IS NOT NULL
                       AND (ordering_key, place, id) > (?2, ?3, ?4) ORDER BY ordering_key, place, id LIMIT ?5";
        let start = behind.and_then(|record| Some((record.place?, *record.id.as_bytes())));
        let (key, number, id) = start.map_or(([0; 16], i64::MIN, [0; 16]), |(place, id)| {
            (*place.key.as_bytes(), place.number, id)
        });
        let values = params![rule.as_bytes(), key, number, id, self.most()];
        let found = deliveries::select(self.connection, clauses, values)?;
        match found.last().cloned() {
            None => {
                self.room = self.room.saturating_sub(1);
                self.line_behind(*rule.as_bytes())
            }
            Some(last) => {
                self.all(found)?;
                Ok(Some(Place::Line(rule, Some(Box::new(last)))))
            }
        }
    }

    /// The next lane; behind the last one, the first line.
    fn lane_behind(&self, behind: [u8; 16]) -> Result<Option<Place>, StoreError> {
        let sql = "SELECT connection FROM deliveries INDEXED BY lanes
                   WHERE due_at IS NOT NULL AND turn IS NOT 'waits' AND connection > ?1
                   ORDER BY connection LIMIT 1";
        let found = self
            .connection
            .prepare_cached(sql)?
            .query_row([behind], |row| row.get(0))
            .optional()?;
        match found {
            Some(lane) => Ok(Some(Place::Lane(
                ConnectionId::from_bytes(lane),
                self.now.0,
                [0xff; 16],
            ))),
            None => self.line_behind([0; 16]),
        }
    }

    fn line_behind(&self, behind: [u8; 16]) -> Result<Option<Place>, StoreError> {
        let sql = "SELECT rule FROM deliveries INDEXED BY lines WHERE turn IS NOT NULL AND rule > ?1
                   ORDER BY rule LIMIT 1";
        let found = self
            .connection
            .prepare_cached(sql)?
            .query_row([behind], |row| row.get(0))
            .optional()?;
        Ok(found.map(|rule| Place::Line(RuleId::from_bytes(rule), None)))
    }

    fn all(&mut self, found: Vec<DeliveryRecord>) -> Result<(), StoreError> {
        self.room = self.room.saturating_sub(found.len());
        for before in found {
            let state = before.state.set_back(self.by, self.now);
            if state == before.state {
                continue;
            }
            self.deliveries += 1;
            let after = deliveries::put(self.connection, self.effects, before, state, None, self.now)?;
            if let Some(due_at) = state.due_at.filter(|_| state.turn != Turn::Waits) {
                self.effects.due(after.connection, due_at);
            }
        }
        Ok(())
    }

    fn most(&self) -> i64 {
        i64::try_from(self.room).unwrap_or(i64::MAX)
    }
}
