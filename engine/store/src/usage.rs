//! Usage: counted by what does it, in its own transaction, and written once for all commands of a
//! commit. What a command counted that is undone is forgotten with it.

use std::collections::{BTreeMap, HashMap};

use heddle_core::calendar::Day;
use heddle_core::id::{OrganisationId, WorkspaceId};
use heddle_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::Store;
use crate::error::StoreError;
use crate::reach::Reach;
use crate::records::{Usage, UsageFilter, UsageReport};

impl Store {
    /// What was done from one day to another, both included, within reach: by day, and by workspace.
    pub async fn usage(
        &self,
        reach: impl Into<Reach>,
        filter: UsageFilter,
    ) -> Result<UsageReport, StoreError> {
        let reach = reach.into();
        self.read(move |connection| report(connection, &reach, &filter))
            .await
    }

    /// How many events a workspace had accepted in the month of `day`, up to now.
    pub async fn events_of_month(&self, workspace: WorkspaceId, day: Day) -> Result<u64, StoreError> {
        self.read(move |connection| Ok(events_of_month(connection, workspace, day)?))
            .await
    }

    /// The same of all workspaces of an organization together, deleted ones included.
    pub async fn events_of_all(&self, organisation: OrganisationId, day: Day) -> Result<u64, StoreError> {
        self.read(move |connection| Ok(events_of_all(connection, organisation, day)?))
            .await
    }
}

/// What the commands of a group have counted so far.
#[derive(Default)]
pub(crate) struct Counted {
    notes: Vec<Note>,
    /// Events of the month, notes included, of workspaces that were asked for.
    months: HashMap<(WorkspaceId, Day), u64>,
    /// The same of organizations.
    months_of_all: HashMap<(OrganisationId, Day), u64>,
}

struct Note {
    workspace: WorkspaceId,
    day: Day,
    usage: Usage,
    /// Of what is counted for it, too: events.
    organisation: Option<OrganisationId>,
}

impl Counted {
    /// Counts for the day of `at`.
    pub fn add(&mut self, workspace: WorkspaceId, at: Timestamp, usage: Usage) {
        self.note(workspace, at, usage, None);
    }

    /// Counts an event that was accepted, for its organization as well.
    pub fn accepted(
        &mut self,
        organisation: OrganisationId,
        workspace: WorkspaceId,
        at: Timestamp,
        usage: Usage,
    ) {
        self.note(workspace, at, usage, Some(organisation));
    }

    fn note(
        &mut self,
        workspace: WorkspaceId,
        at: Timestamp,
        usage: Usage,
        organisation: Option<OrganisationId>,
    ) {
        let day = Day::of(at);
        if !self.months.is_empty()
            && let Some(events) = self.months.get_mut(&(workspace, day.month()))
        {
            *events += usage.events;
        }
        if !self.months_of_all.is_empty()
            && let Some(organisation) = organisation
            && let Some(events) = self.months_of_all.get_mut(&(organisation, day.month()))
        {
            *events += usage.events;
        }
        self.notes.push(Note {
            workspace,
            day,
            usage,
            organisation,
        });
    }

    /// How many events the workspace has accepted in the month of `at`, with those of this group.
    pub fn events_of_month(
        &mut self,
        connection: &Connection,
        workspace: WorkspaceId,
        at: Timestamp,
    ) -> Result<u64, StoreError> {
        let month = Day::of(at).month();
        if let Some(events) = self.months.get(&(workspace, month)) {
            return Ok(*events);
        }
        let noted: u64 = self
            .notes
            .iter()
            .filter(|note| note.workspace == workspace && note.day.month() == month)
            .map(|note| note.usage.events)
            .sum();
        let events = events_of_month(connection, workspace, month)? + noted;
        self.months.insert((workspace, month), events);
        Ok(events)
    }

    /// How many events the organization has accepted in the month of `at`, with those of this group.
    pub fn events_of_all(
        &mut self,
        connection: &Connection,
        organisation: OrganisationId,
        at: Timestamp,
    ) -> Result<u64, StoreError> {
        let month = Day::of(at).month();
        if let Some(events) = self.months_of_all.get(&(organisation, month)) {
            return Ok(*events);
        }
        let noted: u64 = self
            .notes
            .iter()
            .filter(|note| note.organisation == Some(organisation) && note.day.month() == month)
            .map(|note| note.usage.events)
            .sum();
        let events = events_of_all(connection, organisation, month)? + noted;
        self.months_of_all.insert((organisation, month), events);
        Ok(events)
    }

    pub fn mark(&self) -> usize {
        self.notes.len()
    }

    pub fn back_to(&mut self, mark: usize) {
        if self.notes.len() > mark {
            self.notes.truncate(mark);
            self.months.clear();
            self.months_of_all.clear();
        }
    }

    /// Writes what was counted: a row for each workspace and day.
    pub fn write(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.months.clear();
        self.months_of_all.clear();
        let mut sums: BTreeMap<(WorkspaceId, Day), Usage> = BTreeMap::new();
        let mut accepted: BTreeMap<(OrganisationId, Day), u64> = BTreeMap::new();
        for note in self.notes.drain(..) {
            sums.entry((note.workspace, note.day))
                .or_default()
                .add(note.usage);
            if let Some(organisation) = note.organisation {
                *accepted.entry((organisation, note.day)).or_default() += note.usage.events;
            }
        }
        for ((workspace, day), usage) in sums {
            upsert(connection, workspace, day, usage)?;
        }
        let sql = "INSERT INTO usage_of_organisations (organisation, month, events) VALUES (?1, ?2, ?3)
                   ON CONFLICT (organisation, month) DO UPDATE SET events = events + excluded.events";
        for ((organisation, day), events) in accepted {
            let events = i64::try_from(events).unwrap_or(i64::MAX);
            connection.prepare_cached(sql)?.execute(params![
                organisation.as_bytes(),
                day.month().0,
                events
            ])?;
        }
        Ok(())
    }
}

fn upsert(connection: &Connection, workspace: WorkspaceId, day: Day, usage: Usage) -> rusqlite::Result<()> {
    let sql = "INSERT INTO usage (workspace, day, organisation, events, bytes, deliveries, attempts,
                   delivered, failed)
               SELECT id, ?2, organisation, ?3, ?4, ?5, ?6, ?7, ?8 FROM workspaces WHERE id = ?1
               ON CONFLICT (workspace, day) DO UPDATE SET
                   events = events + excluded.events, bytes = bytes + excluded.bytes,
                   deliveries = deliveries + excluded.deliveries, attempts = attempts + excluded.attempts,
                   delivered = delivered + excluded.delivered, failed = failed + excluded.failed";
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    connection.prepare_cached(sql)?.execute(params![
        workspace.as_bytes(),
        day.0,
        number(usage.events),
        number(usage.bytes),
        number(usage.deliveries),
        number(usage.attempts),
        number(usage.delivered),
        number(usage.failed)
    ])?;
    Ok(())
}

fn events_of_month(connection: &Connection, workspace: WorkspaceId, day: Day) -> rusqlite::Result<u64> {
    let sql = "SELECT coalesce(sum(events), 0) FROM usage WHERE workspace = ?1 AND day >= ?2 AND day < ?3";
    let values = params![workspace.as_bytes(), day.month().0, day.next_month().0];
    connection
        .prepare_cached(sql)?
        .query_row(values, |row| count(row, 0))
}

fn events_of_all(connection: &Connection, organisation: OrganisationId, day: Day) -> rusqlite::Result<u64> {
    let sql = "SELECT events FROM usage_of_organisations WHERE organisation = ?1 AND month = ?2";
    let written = connection
        .prepare_cached(sql)?
        .query_row(params![organisation.as_bytes(), day.month().0], |row| {
            count(row, 0)
        })
        .optional()?;
    Ok(written.unwrap_or(0))
}

fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
}

fn report(connection: &Connection, reach: &Reach, filter: &UsageFilter) -> Result<UsageReport, StoreError> {
    let sums = "sum(events), sum(bytes), sum(deliveries), sum(attempts), sum(delivered), sum(failed)";
    let sql = format!(
        "SELECT workspace, day, {sums} FROM usage INDEXED BY usage_of_organisation
         WHERE organisation = ?1 AND day BETWEEN ?2 AND ?3 GROUP BY day, workspace"
    );
    let organisation: &OrganisationId = &reach.organisation;
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![organisation.as_bytes(), filter.from.0, filter.to.0])?;
    let mut report = UsageReport::default();
    while let Some(row) = rows.next()? {
        let workspace = WorkspaceId::from_bytes(row.get(0)?);
        if !reach.covers(workspace) || filter.workspace.is_some_and(|only| only != workspace) {
            continue;
        }
        let usage = Usage {
            events: count(row, 2)?,
            bytes: count(row, 3)?,
            deliveries: count(row, 4)?,
            attempts: count(row, 5)?,
            delivered: count(row, 6)?,
            failed: count(row, 7)?,
        };
        report.total.add(usage);
        report.days.entry(Day(row.get(1)?)).or_default().add(usage);
        report.workspaces.entry(workspace).or_default().add(usage);
    }
    Ok(report)
}
