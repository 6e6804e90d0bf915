//! Lists of events: which index serves a filter, and how far a page looks.
//!
//! No index serves every combination of filters, and one for each would be written again and again
//! for every event. So a page looks at a bounded number of events, and where few of them fit it has
//! fewer than it might, perhaps none, with a cursor that leads on. What it costs depends on neither the
//! filter nor the size of the history.

use heddle_core::delivery::Status;
use heddle_core::event::DEFAULT_RESOURCE;
use heddle_core::id::{OrganisationId, WorkspaceId};
use rusqlite::{Connection, ToSql, params, params_from_iter};

use crate::error::StoreError;
use crate::events::{COLUMNS, from_row};
use crate::page;
use crate::reach::Reach;
use crate::records::{EventFilter, EventRecord, Page, PageOf};

/// The most events that a page looks at when not all of them fit.
pub(crate) const LOOKED_AT: usize = 150;

/// With no more workspaces than this, an organization's list that has a filter is put together from
/// theirs, each of which an index serves.
const APART: usize = 100;

/// Before all ids, and behind them.
const FIRST: [u8; 16] = [0; 16];
const LAST: [u8; 16] = [0xff; 16];

/// The events that the filter lets through, the newest first. Looks at `most`, or at as many as fill
/// the page of each workspace if that is more.
pub(crate) fn list(
    connection: &Connection,
    reach: &Reach,
    filter: &EventFilter,
    page: &Page,
    most: usize,
) -> Result<PageOf<EventRecord>, StoreError> {
    let behind = page::parse::<[u8; 16]>(page.cursor.as_deref())?.unwrap_or(LAST);
    let parts = parts(connection, reach, filter)?;
    // The one too many shows that another page follows.
    let wanted = page.limit.saturating_add(1);
    let most = (most / parts.len().max(1)).max(wanted);
    let mut records = Vec::new();
    let (mut floor, mut complete_to) = (FIRST, None);
    for part in &parts {
        let query = query(&reach.organisation, part, &behind, &floor);
        let stopped_at = look(connection, query, wanted, most, &mut records)?;
        complete_to = complete_to.max(stopped_at);
        records.sort_by_key(|record: &EventRecord| std::cmp::Reverse(record.id));
        records.truncate(wanted);
        if records.len() == wanted {
            floor = records.last().map_or(FIRST, |record| *record.id.as_bytes());
        }
    }
    // What lies further back was not looked at in every part.
    records.retain(|record| complete_to.is_none_or(|to| *record.id.as_bytes() >= to));
    let mut found = page::page(records, page.limit, |record| *record.id.as_bytes());
    if found.next_cursor.is_none() {
        found.next_cursor = complete_to.map(page::cursor);
    }
    Ok(found)
}

/// Adds what fits; returns the event at which it stopped looking, `None` when it looked at all.
fn look(
    connection: &Connection,
    (sql, values): (String, Vec<&dyn ToSql>),
    wanted: usize,
    most: usize,
    records: &mut Vec<EventRecord>,
) -> Result<Option<[u8; 16]>, StoreError> {
    let mut statement = connection.prepare_cached(&sql)?;
    let fits = statement.column_count() - 1;
    let mut rows = statement.query(params_from_iter(values))?;
    let (mut found, mut looked) = (0, 0);
    while let Some(row) = rows.next()? {
        looked += 1;
        if row.get::<_, Option<bool>>(fits)? == Some(true) {
            found += 1;
            records.push(from_row(row)?);
        }
        if found == wanted || looked == most {
            return Ok(Some(row.get(0)?));
        }
    }
    Ok(None)
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

/// What an index serves narrows the query; the rest is told of each row, in the last column, so that
/// rows that do not fit are counted. The literals let the partial indexes serve it.
pub(crate) fn query<'a>(
    organisation: &'a OrganisationId,
    filter: &'a EventFilter,
    behind: &'a [u8; 16],
    floor: &'a [u8; 16],
) -> (String, Vec<&'a dyn ToSql>) {
    let index = index_for(filter);
    let (mut served, mut fits, mut keys, mut values) = (String::new(), String::new(), Vec::new(), Vec::new());
    let mut narrow = |serves: &str, condition: &str, value: Option<&'a dyn ToSql>| {
        let (text, list) = if index == serves {
            (&mut served, &mut keys)
        } else {
            (&mut fits, &mut values)
        };
        text.push_str(" AND ");
        text.push_str(condition);
        list.extend(value);
    };
    match &filter.workspace {
        Some(workspace) => narrow(index, "workspace = ?", Some(workspace.as_bytes())),
        None => {
            narrow(index, "organisation = ?", Some(organisation.as_bytes()));
            let live = "EXISTS (SELECT 1 FROM live_workspaces w WHERE w.id = events.workspace)";
            narrow("", live, None);
        }
    }
    if let Some(event) = &filter.event {
        narrow("events_by_name", "event = ?", Some(event));
    }
    match &filter.resource {
        Some(resource) if resource == DEFAULT_RESOURCE => narrow("", "resource = ?", Some(resource)),
        Some(resource) => narrow(
            "events_by_resource",
            "resource <> 'global' AND resource = ?",
            Some(resource),
        ),
        None => {}
    }
    if let Some(resource_id) = &filter.resource_id {
        narrow("events_by_resource_id", "resource_id = ?", Some(resource_id));
    }
    match &filter.status {
        Some(Status::Completed) => narrow("", "status = 'completed'", None),
        Some(status) => {
            let condition = format!("status <> 'completed' AND status = '{}'", status.as_str());
            narrow("events_by_status", &condition, None);
        }
        None => {}
    }
    let sql = format!(
        "SELECT {COLUMNS}, 1{fits} FROM events INDEXED BY {index} WHERE 1{served}
         AND id < ? AND id > ? ORDER BY id DESC"
    );
    values.extend(keys);
    values.push(behind);
    values.push(floor);
    (sql, values)
}
