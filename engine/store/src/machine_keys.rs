//! Machine keys: an access key in the clear, a secret, sealed, and what it may.

use std::sync::Arc;
use std::time::Duration;

use heddle_core::id::{OrganisationId, WorkspaceId};
use heddle_core::secret::Secret;
use heddle_core::time::Timestamp;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::StoreError;
use crate::records::MachineKey;
use crate::seal::{Place, Sealer};
use crate::writer::Effects;
use crate::{Store, columns};

/// The most machine keys of an organization, those that are revoked or expired among them: lists of them
/// are never cut.
pub const MAX_MACHINE_KEYS: usize = 1_000;

const FULL: StoreError = StoreError::Full("the organization has 1000 machine keys that are good; revoke one");

/// `heddle keys revoke` is another process, which cannot tell this one: what is known of a key is read
/// again after this long.
const FRESH: Duration = Duration::from_secs(1);

impl Store {
    /// Makes a machine key. Where there are [`MAX_MACHINE_KEYS`], the one that came to its end first
    /// makes room.
    pub async fn create_machine_key(&self, key: MachineKey) -> Result<(), StoreError> {
        let sealer = self.sealer();
        self.write(1024, move |connection, effects| {
            make_room(connection, effects, &key)?;
            insert(connection, &sealer, &key)
        })
        .await
    }

    /// The machine key of that access key, be it expired or revoked. What this process changes is
    /// seen at once, what another one does within a second.
    pub async fn machine_key(
        &self,
        access_key: &str,
        now: Timestamp,
    ) -> Result<Option<MachineKey>, StoreError> {
        let cache = &self.inner.shared.machine_keys;
        let generation = match cache.get(access_key) {
            // A clock that was set back must not keep it for longer.
            Ok((key, read_at)) if now >= read_at && now.since(read_at) < FRESH => return Ok(Some(key)),
            Ok(_) => cache.generation(),
            Err(generation) => generation,
        };
        let (sealer, wanted) = (self.sealer(), access_key.to_owned());
        let key = self
            .read(move |connection| find(connection, &sealer, &wanted))
            .await?;
        if let Some(key) = &key {
            cache.insert(generation, key.access_key.clone(), (key.clone(), now));
        }
        Ok(key)
    }

    /// The machine keys of an organization, the oldest first, those that are expired or revoked too.
    pub async fn list_machine_keys(
        &self,
        organisation: OrganisationId,
    ) -> Result<Vec<MachineKey>, StoreError> {
        let sealer = self.sealer();
        self.read(move |connection| list(connection, &sealer, organisation))
            .await
    }

    /// Ends a machine key for good; returns whether it had not been ended before, `None` when the
    /// organization has no such key.
    pub async fn revoke_machine_key(
        &self,
        organisation: OrganisationId,
        access_key: String,
        now: Timestamp,
    ) -> Result<Option<bool>, StoreError> {
        self.write(256, move |connection, effects| {
            revoke(connection, effects, organisation, access_key, now)
        })
        .await
    }
}

fn place(access_key: &str) -> Place<'_> {
    Place {
        table: "machine_keys",
        row: access_key.as_bytes(),
    }
}

/// Makes room for a new key if there is none.
fn make_room(connection: &Connection, effects: &mut Effects, key: &MachineKey) -> Result<(), StoreError> {
    let sql = "SELECT count(*) FROM machine_keys WHERE organisation = ?1";
    let there: i64 = connection
        .prepare_cached(sql)?
        .query_row([key.organisation.as_bytes()], |row| row.get(0))?;
    if usize::try_from(there).is_ok_and(|there| there < MAX_MACHINE_KEYS) {
        return Ok(());
    }
    let sql = "DELETE FROM machine_keys WHERE access_key = (
                   SELECT access_key FROM machine_keys
                   WHERE organisation = ?1 AND (revoked_at IS NOT NULL OR expires_at <= ?2)
                   ORDER BY min(coalesce(revoked_at, expires_at), coalesce(expires_at, revoked_at)) LIMIT 1)
               RETURNING access_key";
    let gone: Option<String> = connection
        .prepare_cached(sql)?
        .query_row(params![key.organisation.as_bytes(), key.created_at.0], |row| {
            row.get(0)
        })
        .optional()?;
    effects.machine_key(gone.ok_or(FULL)?);
    Ok(())
}

fn insert(connection: &Connection, sealer: &Sealer, key: &MachineKey) -> Result<(), StoreError> {
    let secret = sealer.seal(place(&key.access_key), key.secret.reveal().as_bytes())?;
    let permissions = key.permissions.as_ref().map(columns::to_json).transpose()?;
    let workspaces: Option<Vec<u8>> = key
        .workspaces
        .as_ref()
        .map(|ids| ids.iter().flat_map(|id| *id.as_bytes()).collect());
    let sql = "INSERT INTO machine_keys (access_key, organisation, name, secret, permissions, workspaces,
                   created_by, created_at, expires_at, revoked_at)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    connection.prepare_cached(sql)?.execute(params![
        key.access_key,
        key.organisation.as_bytes(),
        key.name,
        secret,
        permissions,
        workspaces,
        key.created_by,
        key.created_at.0,
        key.expires_at.map(|at| at.0),
        key.revoked_at.map(|at| at.0)
    ])?;
    Ok(())
}

/// The key without its secret, and that as it is stored.
fn from_row(row: &Row<'_>) -> rusqlite::Result<(MachineKey, Vec<u8>)> {
    let permissions = match row.get_ref("permissions")? {
        ValueRef::Null => None,
        _ => Some(columns::json(row, "permissions")?),
    };
    let key = MachineKey {
        access_key: row.get("access_key")?,
        organisation: OrganisationId::from_bytes(row.get("organisation")?),
        name: row.get("name")?,
        secret: Secret::new(""),
        permissions,
        workspaces: row
            .get::<_, Option<Vec<u8>>>("workspaces")?
            .map(|bytes| workspaces(&bytes)),
        created_by: row.get("created_by")?,
        created_at: columns::time(row, "created_at")?,
        expires_at: columns::time_if_any(row, "expires_at")?,
        revoked_at: columns::time_if_any(row, "revoked_at")?,
    };
    Ok((key, row.get("secret")?))
}

/// The schema holds the length to a multiple of sixteen.
fn workspaces(bytes: &[u8]) -> Arc<[WorkspaceId]> {
    let ids = bytes.as_chunks::<16>().0;
    ids.iter().map(|id| WorkspaceId::from_bytes(*id)).collect()
}

fn opened((key, sealed): (MachineKey, Vec<u8>), sealer: &Sealer) -> Result<MachineKey, StoreError> {
    let secret = Secret::new(sealer.open_text(place(&key.access_key), &sealed)?);
    Ok(MachineKey { secret, ..key })
}

fn find(
    connection: &Connection,
    sealer: &Sealer,
    access_key: &str,
) -> Result<Option<MachineKey>, StoreError> {
    let sql = "SELECT * FROM machine_keys WHERE access_key = ?1";
    let found = connection
        .prepare_cached(sql)?
        .query_row([access_key], from_row)
        .optional()?;
    found.map(|row| opened(row, sealer)).transpose()
}

fn list(
    connection: &Connection,
    sealer: &Sealer,
    organisation: OrganisationId,
) -> Result<Vec<MachineKey>, StoreError> {
    let sql = "SELECT * FROM machine_keys WHERE organisation = ?1 ORDER BY created_at, access_key";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([organisation.as_bytes()], from_row)?;
    rows.map(|row| opened(row?, sealer)).collect()
}

fn revoke(
    connection: &Connection,
    effects: &mut Effects,
    organisation: OrganisationId,
    access_key: String,
    now: Timestamp,
) -> Result<Option<bool>, StoreError> {
    let sql = "SELECT revoked_at IS NULL FROM machine_keys WHERE access_key = ?1 AND organisation = ?2";
    let valid = connection
        .prepare_cached(sql)?
        .query_row(params![access_key, organisation.as_bytes()], |row| row.get(0))
        .optional()?;
    if valid == Some(true) {
        let sql = "UPDATE machine_keys SET revoked_at = ?2 WHERE access_key = ?1";
        connection
            .prepare_cached(sql)?
            .execute(params![access_key, now.0])?;
        effects.machine_key(access_key);
    }
    Ok(valid)
}
