//! Machine keys: an access key in the clear and a secret, sealed.

use heddle_core::id::OrganisationId;
use heddle_core::secret::Secret;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::StoreError;
use crate::records::MachineKey;
use crate::seal::{Place, Sealer};
use crate::{Store, columns};

impl Store {
    /// Makes a machine key.
    pub async fn create_machine_key(&self, key: MachineKey) -> Result<(), StoreError> {
        let sealer = self.sealer();
        self.write(256, move |connection, _| insert(connection, &sealer, &key))
            .await
    }

    /// The machine key of that access key. Kept in memory once it was found; one that another
    /// process makes is found as well.
    pub async fn machine_key(&self, access_key: &str) -> Result<Option<MachineKey>, StoreError> {
        let cache = &self.inner.shared.machine_keys;
        let generation = match cache.get(access_key) {
            Ok(key) => return Ok(Some(key)),
            Err(generation) => generation,
        };
        let (sealer, wanted) = (self.sealer(), access_key.to_owned());
        let key = self
            .read(move |connection| find(connection, &sealer, &wanted))
            .await?;
        if let Some(key) = &key {
            cache.insert(generation, key.access_key.clone(), key.clone());
        }
        Ok(key)
    }
}

fn place(access_key: &str) -> Place<'_> {
    Place {
        table: "machine_keys",
        row: access_key.as_bytes(),
    }
}

fn insert(connection: &Connection, sealer: &Sealer, key: &MachineKey) -> Result<(), StoreError> {
    let secret = sealer.seal(place(&key.access_key), key.secret.reveal().as_bytes())?;
    let sql = "INSERT INTO machine_keys (access_key, organisation, name, secret, created_at)
               VALUES (?1, ?2, ?3, ?4, ?5)";
    connection.prepare_cached(sql)?.execute(params![
        key.access_key,
        key.organisation.as_bytes(),
        key.name,
        secret,
        key.created_at.0
    ])?;
    Ok(())
}

fn find(
    connection: &Connection,
    sealer: &Sealer,
    access_key: &str,
) -> Result<Option<MachineKey>, StoreError> {
    let sql = "SELECT organisation, name, secret, created_at FROM machine_keys WHERE access_key = ?1";
    let read = |row: &Row<'_>| {
        let key = MachineKey {
            access_key: access_key.to_owned(),
            organisation: OrganisationId::from_bytes(row.get("organisation")?),
            name: row.get("name")?,
            secret: Secret::new(""),
            created_at: columns::time(row, "created_at")?,
        };
        Ok((key, row.get::<_, Vec<u8>>("secret")?))
    };
    let Some((key, sealed)) = connection
        .prepare_cached(sql)?
        .query_row([access_key], read)
        .optional()?
    else {
        return Ok(None);
    };
    let secret = Secret::new(sealer.open_text(place(access_key), &sealed)?);
    Ok(Some(MachineKey { secret, ..key }))
}
