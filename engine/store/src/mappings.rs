//! Default mappings: at most one per connection, replaced as a whole, each version counted.

use std::sync::Arc;

use heddle_core::id::{ConnectionId, MappingId};
use heddle_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::StoreError;
use crate::reach::Reach;
use crate::records::{DefaultMapping, MappingMaterial, MappingWritten};
use crate::writer::Effects;
use crate::{Store, columns, connections, learned};

impl Store {
    /// The stored default mapping of a connection.
    pub async fn default_mapping(
        &self,
        reach: impl Into<Reach>,
        id: ConnectionId,
    ) -> Result<Option<DefaultMapping>, StoreError> {
        let reach = reach.into();
        self.read(move |connection| {
            if connections::is_within(connection, &reach, id)? {
                find(connection, id)
            } else {
                Ok(None)
            }
        })
        .await
    }

    /// Writes the next version of a default mapping, of which `version` and `created_at` are found
    /// here. With `expected`, only if the mapping has that version; where none is stored, it has 1.
    pub async fn put_default_mapping(
        &self,
        reach: impl Into<Reach>,
        mapping: DefaultMapping,
        expected: Option<u32>,
    ) -> Result<MappingWritten, StoreError> {
        let reach = reach.into();
        self.write(mapping.schema.len(), move |connection, effects| {
            put(connection, effects, &reach, mapping, expected)
        })
        .await
    }

    /// What fills a destination's fields where a rule has no mapping of its own, whatever the
    /// connection's organization. It changes only with the `Arc` that
    /// [`Store::connection_for_delivery`] gives.
    pub async fn mapping_material(&self, id: ConnectionId) -> Result<MappingMaterial, StoreError> {
        self.read(move |connection| {
            Ok(MappingMaterial {
                schema: find(connection, id)?.map(|mapping| mapping.schema),
                catalog: learned::find_catalog(connection, id)?.map(|record| record.catalog),
            })
        })
        .await
    }
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<DefaultMapping> {
    Ok(DefaultMapping {
        connection: ConnectionId::from_bytes(row.get("connection")?),
        id: MappingId::from_bytes(row.get("id")?),
        version: row.get("version")?,
        name: row.get("name")?,
        schema: row.get::<_, Arc<str>>("schema")?,
        catalog_version: row.get("catalog_version")?,
        created_by: row.get("created_by")?,
        created_at: columns::time(row, "created_at")?,
        updated_at: columns::time(row, "updated_at")?,
    })
}

fn find(connection: &Connection, id: ConnectionId) -> Result<Option<DefaultMapping>, StoreError> {
    let sql = "SELECT * FROM mappings WHERE connection = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement.query_row([id.as_bytes()], from_row).optional()?)
}

fn put(
    connection: &Connection,
    effects: &mut Effects,
    reach: &Reach,
    mapping: DefaultMapping,
    expected: Option<u32>,
) -> Result<MappingWritten, StoreError> {
    if !connections::is_within(connection, reach, mapping.connection)? {
        return Ok(MappingWritten::NotFound);
    }
    let known = find(connection, mapping.connection)?;
    let version = known.as_ref().map_or(1, |known| known.version);
    if expected.is_some_and(|expected| expected != version) {
        return Ok(MappingWritten::OtherVersion(version));
    }
    let created_at: Timestamp = known.map_or(mapping.updated_at, |known| known.created_at);
    let mapping = DefaultMapping {
        version: version.saturating_add(1),
        created_at,
        ..mapping
    };
    let sql = "INSERT OR REPLACE INTO mappings
                   (connection, id, version, name, schema, catalog_version, created_by, created_at, updated_at)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    connection.prepare_cached(sql)?.execute(params![
        mapping.connection.as_bytes(),
        mapping.id.as_bytes(),
        mapping.version,
        mapping.name,
        mapping.schema,
        mapping.catalog_version,
        mapping.created_by,
        mapping.created_at.0,
        mapping.updated_at.0
    ])?;
    effects.connection(mapping.connection);
    Ok(MappingWritten::Written(mapping))
}
