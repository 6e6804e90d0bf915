//! The file's space: what was deleted leaves free pages, which are used again, and beyond a share of the
//! file given back to the disk, some at a time.

use rusqlite::Connection;

use crate::Store;
use crate::error::StoreError;
use crate::records::RemovalStep;
use crate::stop::{self, Work};

/// Pages that one step gives back.
const STEP: u64 = 256;

/// Up to this share of the file, free pages stay for what is written next.
const KEPT: u64 = 8;

/// Fewer pages than these are not worth the writing.
const LEAST: u64 = 256;

/// How large the database is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Pages of the file.
    pub pages: u64,
    /// Those of them that hold nothing.
    pub free: u64,
    /// Bytes of a page.
    pub page_bytes: u64,
    /// Whether free pages can be given back while others write.
    pub incremental: bool,
}

impl Store {
    /// How large the database is, and how much of it is free.
    pub async fn space(&self) -> Result<Space, StoreError> {
        self.read(|connection| Ok(measured(connection)?)).await
    }

    /// Gives some free pages back to the disk, in one transaction, unless there are few. The file gets
    /// shorter with the next checkpoint.
    pub async fn reclaim_some(&self) -> Result<RemovalStep, StoreError> {
        self.write(1 << 20, |connection, _| {
            stop::commits(Work::Reclaim);
            reclaim(connection)
        })
        .await
    }

    /// Moves what is in the log into the database as far as nobody is held up by it.
    pub async fn checkpoint(&self) -> Result<(), StoreError> {
        self.read(|connection| {
            connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
            Ok(())
        })
        .await
    }
}

impl Space {
    /// Whether so much is free that some of it is to be given back.
    pub fn is_slack(&self) -> bool {
        self.incremental && self.free > (self.pages / KEPT).max(LEAST)
    }
}

pub(crate) fn measured(connection: &Connection) -> rusqlite::Result<Space> {
    let ask = |name| {
        let value: i64 = connection.pragma_query_value(None, name, |row| row.get(0))?;
        Ok::<_, rusqlite::Error>(u64::try_from(value).unwrap_or(0))
    };
    Ok(Space {
        pages: ask("page_count")?,
        free: ask("freelist_count")?,
        page_bytes: ask("page_size")?,
        incremental: ask("auto_vacuum")? == 2,
    })
}

fn reclaim(connection: &Connection) -> Result<RemovalStep, StoreError> {
    let before = measured(connection)?;
    if !before.is_slack() {
        return Ok(RemovalStep { rows: 0, done: true });
    }
    let mut statement = connection.prepare_cached(&format!("PRAGMA incremental_vacuum({STEP})"))?;
    // A page goes with each step of the statement, so it must be stepped to its end.
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    drop(rows);
    let after = measured(connection)?;
    Ok(RemovalStep {
        rows: usize::try_from(before.pages.saturating_sub(after.pages)).unwrap_or(0),
        // What cannot be given back now is no reason to try for ever.
        done: after.pages == before.pages || !after.is_slack(),
    })
}
