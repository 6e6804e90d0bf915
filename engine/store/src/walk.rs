//! Lists that are never cut: read a batch at a time, so that whoever shows one holds a batch of it in memory,
//! however much there is, and no reader is kept for long. Batches are no snapshot: what is made or deleted
//! between two of them may be in the list or not; everything else is in it once.

use heddle_core::id::WorkspaceId;
use rusqlite::{Connection, Row, params};

use crate::error::StoreError;
use crate::reach::Reach;
use crate::workspaces;

/// The most rows that a batch looks at.
const ROWS: usize = 500;

/// A batch ends with the row that reaches this many bytes of text.
const BYTES: usize = 128 * 1024;

/// The most workspaces that a batch looks into.
const WORKSPACES: usize = 500;

/// What the columns of a row that cannot be long may come to, in bytes.
pub(crate) const SMALL: usize = 512;

/// The workspaces of an organization from one on.
pub(crate) const FROM: &str = "SELECT id FROM live_workspaces WHERE organisation = ?1 AND id >= ?2
     ORDER BY id LIMIT ?3";

/// Some of a list.
#[derive(Debug)]
pub struct Batch<T> {
    /// Perhaps none, and yet not the end.
    pub records: Vec<T>,
    /// Where the list goes on; `None` at its end.
    pub next: Option<Mark>,
}

/// How far a list was read: up to this row of this workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    workspace: [u8; 16],
    row: [u8; 16],
}

const START: Mark = Mark {
    workspace: [0; 16],
    row: [0; 16],
};

/// Before all ids, and behind them.
const FIRST: [u8; 16] = [0; 16];
const LAST: [u8; 16] = [0xff; 16];

/// A row that is within reach and that the filter lets through.
pub(crate) struct Found<T> {
    pub record: T,
    /// How much text it has.
    pub bytes: usize,
}

/// The next batch: workspace by workspace, in the order of their ids, and in each in the order of the rows'.
/// `sql` takes a workspace and the id behind which it is to begin.
pub(crate) fn batch<T>(
    connection: &Connection,
    reach: &Reach,
    only: Option<WorkspaceId>,
    mark: Option<Mark>,
    sql: &str,
    mut read: impl FnMut(&Row<'_>) -> Result<Option<Found<T>>, StoreError>,
) -> Result<Batch<T>, StoreError> {
    let mark = mark.unwrap_or(START);
    let into = within(connection, reach, only, mark.workspace)?;
    let mut records = Vec::new();
    let (mut looked_at, mut bytes) = (0, 0);
    let mut statement = connection.prepare_cached(sql)?;
    for workspace in &into {
        let workspace = *workspace.as_bytes();
        let behind = if workspace == mark.workspace {
            mark.row
        } else {
            FIRST
        };
        let mut rows = statement.query(params![workspace, behind])?;
        while let Some(row) = rows.next()? {
            looked_at += 1;
            if let Some(found) = read(row)? {
                bytes += found.bytes;
                records.push(found.record);
            }
            if looked_at == ROWS || bytes >= BYTES {
                let next = Some(Mark {
                    workspace,
                    row: row.get("id")?,
                });
                return Ok(Batch { records, next });
            }
        }
    }
    let next = into.last().filter(|_| into.len() == WORKSPACES).map(|last| Mark {
        workspace: *last.as_bytes(),
        row: LAST,
    });
    Ok(Batch { records, next })
}

/// The next workspaces within reach, or the only one that is asked for: this one and those behind it.
fn within(
    connection: &Connection,
    reach: &Reach,
    only: Option<WorkspaceId>,
    from: [u8; 16],
) -> Result<Vec<WorkspaceId>, StoreError> {
    let named = match (only, &reach.workspaces) {
        (Some(only), _) => Some(vec![only]),
        (None, Some(some)) => Some(some.to_vec()),
        (None, None) => None,
    };
    let Some(mut named) = named else {
        let most = i64::try_from(WORKSPACES).unwrap_or(i64::MAX);
        let mut statement = connection.prepare_cached(FROM)?;
        let rows = statement.query_map(params![reach.organisation.as_bytes(), from, most], |row| {
            Ok(WorkspaceId::from_bytes(row.get(0)?))
        })?;
        return Ok(rows.collect::<Result<_, _>>()?);
    };
    named.retain(|workspace| *workspace.as_bytes() >= from);
    named.sort();
    named.dedup();
    let mut live = Vec::with_capacity(named.len());
    for workspace in named {
        live.extend(workspaces::find(connection, reach, workspace)?.map(|found| found.id));
    }
    // A reach names far fewer than a batch looks into: all of them are in one.
    Ok(live)
}
