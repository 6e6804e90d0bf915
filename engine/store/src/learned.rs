//! What was learned from destinations and is kept: field catalogs, and pages of things to pick from.
//! All of it can be asked for again, and is thrown away when a connection's settings or secrets change,
//! since it may be another account's then.

use heddle_core::id::{CatalogId, ConnectionId};
use heddle_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::StoreError;
use crate::reach::Reach;
use crate::records::{CatalogRecord, ChoicesKey, ChoicesRecord};
use crate::{Store, columns, connections};

/// The pages of choices that are kept of one connection; the oldest make room.
const MAX_PAGES: u32 = 200;

impl Store {
    /// The field catalog of a connection as it was last read.
    pub async fn catalog(
        &self,
        reach: impl Into<Reach>,
        id: ConnectionId,
    ) -> Result<Option<CatalogRecord>, StoreError> {
        let reach = reach.into();
        self.read(move |connection| {
            if connections::is_within(connection, &reach, id)? {
                find_catalog(connection, id)
            } else {
                Ok(None)
            }
        })
        .await
    }

    /// Keeps a field catalog that was just read, of which `id`, `created_by` and `created_at` stay those
    /// of the one before it, and `updated_at` too when it says the same. Unless the connection was changed
    /// after `as_of`, its `updated_at` when the destination was asked: it may be another account's.
    pub async fn put_catalog(
        &self,
        record: CatalogRecord,
        as_of: Timestamp,
    ) -> Result<CatalogRecord, StoreError> {
        self.write(8192, move |connection, effects| {
            let known = find_catalog(connection, record.connection)?;
            let record = match known {
                Some(known) => CatalogRecord {
                    id: known.id,
                    created_by: known.created_by,
                    created_at: known.created_at,
                    updated_at: if known.catalog == record.catalog {
                        known.updated_at
                    } else {
                        record.updated_at
                    },
                    ..record
                },
                None => record,
            };
            let sql = "INSERT OR REPLACE INTO catalogs
                           (connection, id, version, catalog, created_by, created_at, updated_at, refreshed_at)
                       SELECT id, ?2, ?3, ?4, ?5, ?6, ?7, ?8 FROM connections WHERE id = ?1 AND updated_at = ?9";
            connection.prepare_cached(sql)?.execute(params![
                record.connection.as_bytes(),
                record.id.as_bytes(),
                record.version,
                columns::to_json(&record.catalog)?,
                record.created_by,
                record.created_at.0,
                record.updated_at.0,
                record.refreshed_at.0,
                as_of.0
            ])?;
            effects.connection(record.connection);
            Ok(record)
        })
        .await
    }

    /// A page of choices as it was last read.
    pub async fn choices(
        &self,
        reach: impl Into<Reach>,
        id: ConnectionId,
        key: ChoicesKey,
    ) -> Result<Option<ChoicesRecord>, StoreError> {
        let reach = reach.into();
        self.read(move |connection| {
            if !connections::is_within(connection, &reach, id)? {
                return Ok(None);
            }
            let sql = "SELECT page, refreshed_at FROM choices
                       WHERE connection = ?1 AND action = ?2 AND input = ?3 AND search = ?4 AND cursor = ?5";
            let values = params![id.as_bytes(), key.action, key.input, key.search, key.cursor];
            let read = |row: &Row<'_>| {
                Ok(ChoicesRecord {
                    page: row.get(0)?,
                    refreshed_at: columns::time(row, 1)?,
                })
            };
            let mut statement = connection.prepare_cached(sql)?;
            Ok(statement.query_row(values, read).optional()?)
        })
        .await
    }

    /// Keeps a page of choices that was just read, under the same condition as
    /// [`Store::put_catalog`].
    pub async fn put_choices(
        &self,
        id: ConnectionId,
        key: ChoicesKey,
        record: ChoicesRecord,
        as_of: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(record.page.len(), move |connection, _| {
            let sql = "INSERT OR REPLACE INTO choices (connection, action, input, search, cursor, page, refreshed_at)
                       SELECT id, ?2, ?3, ?4, ?5, ?6, ?7 FROM connections WHERE id = ?1 AND updated_at = ?8";
            connection.prepare_cached(sql)?.execute(params![
                id.as_bytes(),
                key.action,
                key.input,
                key.search,
                key.cursor,
                record.page,
                record.refreshed_at.0,
                as_of.0
            ])?;
            let sql = "DELETE FROM choices WHERE rowid IN (
                           SELECT rowid FROM choices WHERE connection = ?1
                           ORDER BY refreshed_at DESC, rowid DESC LIMIT -1 OFFSET ?2)";
            connection.prepare_cached(sql)?.execute(params![id.as_bytes(), MAX_PAGES])?;
            Ok(())
        })
        .await
    }
}

pub(crate) fn find_catalog(
    connection: &Connection,
    id: ConnectionId,
) -> Result<Option<CatalogRecord>, StoreError> {
    let read = |row: &Row<'_>| {
        Ok(CatalogRecord {
            id: CatalogId::from_bytes(row.get("id")?),
            connection: ConnectionId::from_bytes(row.get("connection")?),
            version: row.get("version")?,
            catalog: columns::json(row, "catalog")?,
            created_by: row.get("created_by")?,
            created_at: columns::time(row, "created_at")?,
            updated_at: columns::time(row, "updated_at")?,
            refreshed_at: columns::time(row, "refreshed_at")?,
        })
    };
    let sql = "SELECT * FROM catalogs WHERE connection = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement.query_row([id.as_bytes()], read).optional()?)
}

/// Throws away what was learned of a connection.
pub(crate) fn forget(connection: &Connection, id: ConnectionId) -> Result<(), StoreError> {
    for sql in [
        "DELETE FROM catalogs WHERE connection = ?1",
        "DELETE FROM choices WHERE connection = ?1",
    ] {
        connection.prepare_cached(sql)?.execute([id.as_bytes()])?;
    }
    Ok(())
}
