//! Organisations: each a SaaS product that runs workspaces for its customers.

use heddle_core::id::OrganisationId;
use heddle_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::Store;
use crate::error::StoreError;

impl Store {
    /// Makes an organization.
    pub async fn create_organisation(
        &self,
        id: OrganisationId,
        name: String,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(name.len(), move |connection, _| {
            insert(connection, id, &name, now)
        })
        .await
    }

    /// The organization that was made first.
    pub async fn default_organisation(&self) -> Result<Option<OrganisationId>, StoreError> {
        self.read(first).await
    }

    /// Whether there is such an organization.
    pub async fn organisation_exists(&self, id: OrganisationId) -> Result<bool, StoreError> {
        self.read(move |connection| exists(connection, id)).await
    }
}

fn insert(connection: &Connection, id: OrganisationId, name: &str, now: Timestamp) -> Result<(), StoreError> {
    let sql = "INSERT INTO organisations (id, name, created_at) VALUES (?1, ?2, ?3)";
    connection
        .prepare_cached(sql)?
        .execute(params![id.as_bytes(), name, now.0])?;
    Ok(())
}

fn first(connection: &Connection) -> Result<Option<OrganisationId>, StoreError> {
    let sql = "SELECT id FROM organisations ORDER BY created_at, id LIMIT 1";
    let id = connection
        .prepare_cached(sql)?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(id.map(OrganisationId::from_bytes))
}

fn exists(connection: &Connection, id: OrganisationId) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM organisations WHERE id = ?1";
    Ok(connection.prepare_cached(sql)?.exists([id.as_bytes()])?)
}
