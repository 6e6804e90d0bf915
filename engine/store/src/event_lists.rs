//! Lists of events: which index serves a filter, and how far a page looks.
//!
//! No index serves every combination of filters, and one for each would be written again and again
//! for every event. So a page looks at a bounded number of events, and where few of them fit it has
//! fewer than it might, perhaps none, with a cursor that leads on. What it costs depends on neither the
//! filter nor the size of the history, nor on the number of workspaces that it is put together from: their
//! ids are merged, the newest first, before any event is looked at.

use std::collections::BinaryHeap;
use std::vec::IntoIter;

use heddle_core::delivery::Status;
use heddle_core::event::DEFAULT_RESOURCE;
use heddle_core::id::{OrganisationId, WorkspaceId};
use rusqlite::{CachedStatement, Connection, OptionalExtension, ToSql, params, params_from_iter};

use crate::error::StoreError;
use crate::events::{COLUMNS, from_row};
use crate::page;
use crate::reach::Reach;
use crate::records::{EventFilter, EventRecord, Page, PageOf};

/// The most events that a page looks at when not all of them fit.
pub(crate) const LOOKED_AT: usize = 120;

/// With no more workspaces than this, an organization's list that has a filter is put together from
/// theirs, each of which an index serves.
pub(crate) const APART: usize = 100;

/// Behind all ids.
const LAST: [u8; 16] = [0xff; 16];

/// What a page has cost.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    /// Events that were read.
    pub events: usize,
    /// Ids that were read from an index.
    pub ids: usize,
}

/// The events that the filter lets through, the newest first. Looks at `most`, or at as many as fill
/// the page if that is more.
pub(crate) fn list(
    connection: &Connection,
    reach: &Reach,
    filter: &EventFilter,
    page: &Page,
    most: usize,
) -> Result<PageOf<EventRecord>, StoreError> {
    Ok(look(connection, reach, filter, page, most)?.0)
}

pub(crate) fn look(
    connection: &Connection,
    reach: &Reach,
    filter: &EventFilter,
    page: &Page,
    most: usize,
) -> Result<(PageOf<EventRecord>, Looked), StoreError> {
    let behind = page::parse::<[u8; 16]>(page.cursor.as_deref())?.unwrap_or(LAST);
    // One for all that is asked: beginning to read takes longer than finding an event.
    let _snapshot = connection.unchecked_transaction()?;
    let parts = parts(connection, reach, filter)?;
    let mut looked = Looked::default();
    let (mut records, mut stopped_at) = (Vec::new(), None);
    // The one too many shows that another page follows.
    let wanted = page.limit.saturating_add(1);
    let most = most.max(wanted);
    if let Some(any) = parts.first() {
        // They differ in their workspace alone.
        let mut index = Index::of(connection, any, wanted.div_ceil(parts.len()))?;
        let mut rows = Rows::of(connection, any)?;
        let mut ahead: Vec<Ahead<'_>> = parts
            .iter()
            .map(|part| {
                Ahead::new(
                    part.workspace
                        .as_ref()
                        .map_or(reach.organisation.as_bytes(), WorkspaceId::as_bytes),
                    behind,
                )
            })
            .collect();
        let mut heads = BinaryHeap::with_capacity(ahead.len());
        for (n, part) in ahead.iter_mut().enumerate() {
            heads.extend(part.next(&mut index)?.map(|id| (id, n)));
        }
        let mut last = None;
        while let Some((id, n)) = heads.pop() {
            if looked.events == most {
                stopped_at = last;
                break;
            }
            looked.events += 1;
            last = Some(id);
            records.extend(rows.fitting(id)?);
            if records.len() == wanted {
                break;
            }
            heads.extend(ahead[n].next(&mut index)?.map(|id| (id, n)));
        }
        looked.ids = index.read;
    }
    let mut found = page::page(records, page.limit, |record| *record.id.as_bytes());
    if found.next_cursor.is_none() {
        found.next_cursor = stopped_at.map(page::cursor);
    }
    Ok((found, looked))
}

/// The ids of a part of the list, the newest first: some at a time, as they are needed.
struct Ahead<'a> {
    /// The workspace or the organization.
    scope: &'a [u8; 16],
    known: IntoIter<[u8; 16]>,
    behind: [u8; 16],
    ends: bool,
}

impl<'a> Ahead<'a> {
    fn new(scope: &'a [u8; 16], behind: [u8; 16]) -> Self {
        Self {
            scope,
            known: Vec::new().into_iter(),
            behind,
            ends: false,
        }
    }

    fn next(&mut self, index: &mut Index<'_>) -> rusqlite::Result<Option<[u8; 16]>> {
        if self.known.as_slice().is_empty() && !self.ends {
            let found = index.some(self.scope, &self.behind)?;
            self.ends = found.len() < index.many;
            self.known = found.into_iter();
        }
        let next = self.known.next();
        self.behind = next.unwrap_or(self.behind);
        Ok(next)
    }
}

/// The index that serves a filter. No event is read for what it tells.
struct Index<'a> {
    statement: CachedStatement<'a>,
    served: Vec<&'a dyn ToSql>,
    /// How many ids are read at a time.
    many: usize,
    read: usize,
}

impl<'a> Index<'a> {
    fn of(connection: &'a Connection, part: &'a EventFilter, many: usize) -> rusqlite::Result<Self> {
        let (sql, served) = ids(part);
        Ok(Self {
            statement: connection.prepare_cached(&sql)?,
            served,
            many,
            read: 0,
        })
    }

    fn some(&mut self, scope: &[u8; 16], behind: &[u8; 16]) -> rusqlite::Result<Vec<[u8; 16]>> {
        let most = i64::try_from(self.many).unwrap_or(i64::MAX);
        let mut values: Vec<&dyn ToSql> = vec![scope];
        values.extend(self.served.iter().copied());
        values.extend([behind as &dyn ToSql, &most]);
        let rows = self
            .statement
            .query_map(params_from_iter(values), |row| row.get(0))?;
        let found = rows.collect::<Result<Vec<_>, _>>()?;
        self.read += found.len();
        Ok(found)
    }
}

/// The events themselves, each held against the whole filter.
struct Rows<'a> {
    statement: CachedStatement<'a>,
    values: Vec<&'a dyn ToSql>,
}

impl<'a> Rows<'a> {
    fn of(connection: &'a Connection, part: &'a EventFilter) -> rusqlite::Result<Self> {
        let (sql, values) = row(part);
        Ok(Self {
            statement: connection.prepare_cached(&sql)?,
            values,
        })
    }

    fn fitting(&mut self, id: [u8; 16]) -> rusqlite::Result<Option<EventRecord>> {
        let mut values: Vec<&dyn ToSql> = self.values.clone();
        values.push(&id);
        self.statement
            .query_row(params_from_iter(values), from_row)
            .optional()
    }
}

/// The filter, narrowed to what is within reach: one for each workspace where that lets an index
/// serve. None when nothing of what was asked for is within.
fn parts(
    connection: &Connection,
    reach: &Reach,
    filter: &EventFilter,
) -> Result<Vec<EventFilter>, StoreError> {
    let mut filter = filter.clone();
    if let Some(only) = reach.resource.as_deref() {
        let same = |asked: &Option<String>, only: &str| asked.as_deref().is_none_or(|asked| asked == only);
        if !same(&filter.resource, &only.resource) || !same(&filter.resource_id, &only.resource_id) {
            return Ok(Vec::new());
        }
        filter.resource = Some(only.resource.clone());
        filter.resource_id = Some(only.resource_id.clone());
    }
    let workspaces = match (filter.workspace, reach.workspaces.as_deref()) {
        (Some(workspace), _) if !reach.covers(workspace) => Vec::new(),
        (Some(workspace), _) => vec![workspace],
        (None, Some(workspaces)) => workspaces.to_vec(),
        (None, None) => match few_workspaces(connection, &reach.organisation)? {
            Some(few) if has_condition(&filter) => few,
            _ => return Ok(vec![filter]),
        },
    };
    let mut parts = Vec::with_capacity(workspaces.len());
    for workspace in workspaces {
        let sql = "SELECT 1 FROM live_workspaces WHERE id = ?1 AND organisation = ?2";
        let known = params![workspace.as_bytes(), reach.organisation.as_bytes()];
        if connection.prepare_cached(sql)?.exists(known)? {
            parts.push(EventFilter {
                workspace: Some(workspace),
                ..filter.clone()
            });
        }
    }
    Ok(parts)
}

fn has_condition(filter: &EventFilter) -> bool {
    filter.event.is_some()
        || filter.resource.is_some()
        || filter.resource_id.is_some()
        || filter.status.is_some()
}

/// The workspaces of an organization; `None` when they are many.
fn few_workspaces(
    connection: &Connection,
    organisation: &OrganisationId,
) -> Result<Option<Vec<WorkspaceId>>, StoreError> {
    let sql = "SELECT id FROM live_workspaces WHERE organisation = ?1 LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params![organisation.as_bytes(), APART as i64 + 1], |row| {
        row.get(0).map(WorkspaceId::from_bytes)
    })?;
    let found = rows.collect::<Result<Vec<_>, _>>()?;
    Ok(Some(found).filter(|found| found.len() <= APART))
}

/// The index that narrows most. SQLite, which knows no frequencies, would often take another one.
fn index_for(filter: &EventFilter) -> &'static str {
    match filter {
        EventFilter { workspace: None, .. } => "events_of_organisation",
        EventFilter {
            resource_id: Some(_), ..
        } => "events_by_resource_id",
        EventFilter {
            status: Some(status), ..
        } if *status != Status::Completed => "events_by_status",
        EventFilter { event: Some(_), .. } => "events_by_name",
        EventFilter {
            resource: Some(resource),
            ..
        } if resource != DEFAULT_RESOURCE => "events_by_resource",
        _ => "events_of_workspace",
    }
}

/// A condition of a filter, and the index that serves it, if one does.
struct Condition<'a> {
    served_by: &'static str,
    sql: String,
    value: Option<&'a dyn ToSql>,
}

/// The literals let the partial indexes serve it.
fn conditions(filter: &EventFilter) -> Vec<Condition<'_>> {
    let mut all = Vec::new();
    let mut add = |served_by, sql: &str, value| {
        all.push(Condition {
            served_by,
            sql: sql.to_owned(),
            value,
        });
    };
    if let Some(event) = &filter.event {
        add("events_by_name", "event = ?", Some(event as &dyn ToSql));
    }
    match &filter.resource {
        Some(resource) if resource == DEFAULT_RESOURCE => add("", "resource = ?", Some(resource)),
        Some(resource) => add(
            "events_by_resource",
            "resource <> 'global' AND resource = ?",
            Some(resource),
        ),
        None => {}
    }
    if let Some(resource_id) = &filter.resource_id {
        add("events_by_resource_id", "resource_id = ?", Some(resource_id));
    }
    match &filter.status {
        Some(Status::Completed) => add("", "status = 'completed'", None),
        Some(status) => {
            let sql = format!("status <> 'completed' AND status = '{}'", status.as_str());
            add("events_by_status", &sql, None);
        }
        None => {}
    }
    all
}

/// The next ids of a part, from the index alone: takes its scope, the values, behind which id, and how many.
pub(crate) fn ids(part: &EventFilter) -> (String, Vec<&dyn ToSql>) {
    let index = index_for(part);
    let scope = if part.workspace.is_some() {
        "workspace"
    } else {
        "organisation"
    };
    let (mut served, mut values) = (String::new(), Vec::new());
    for condition in conditions(part) {
        if condition.served_by == index {
            served.push_str(" AND ");
            served.push_str(&condition.sql);
            values.extend(condition.value);
        }
    }
    let sql = format!(
        "SELECT id FROM events INDEXED BY {index} WHERE {scope} = ?{served} AND id < ? ORDER BY id DESC LIMIT ?"
    );
    (sql, values)
}

/// An event, if it fits: takes the values and its id.
pub(crate) fn row(part: &EventFilter) -> (String, Vec<&dyn ToSql>) {
    let (mut fits, mut values) = (String::new(), Vec::new());
    for condition in conditions(part) {
        fits.push_str(&condition.sql);
        fits.push_str(" AND ");
        values.extend(condition.value);
    }
    if part.workspace.is_none() {
        fits.push_str("EXISTS (SELECT 1 FROM live_workspaces w WHERE w.id = events.workspace) AND ");
    }
    let sql = format!("SELECT {COLUMNS} FROM events WHERE {fits}id = ?");
    (sql, values)
}
