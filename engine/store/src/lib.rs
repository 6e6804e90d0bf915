//! Heddle's embedded store: the only crate that knows that SQL exists.
//!
//! [`Store`] speaks in verbs of the domain (accept events, claim what is due, record an attempt).
//! Each verb is asynchronous and stands in the file of its table, beside the synchronous functions
//! over a [`rusqlite::Connection`] that it is made of and the queries that these run.
//!
//! - One thread writes (`writer.rs`): commands are committed in groups, and answered when the disk
//!   has them. What fails is answered with [`StoreError::Unavailable`] and was not kept.
//! - Several connections read (`readers.rs`); they see everything that was acknowledged.
//! - Ids, times and seeds come from the caller; the state of a delivery changes only through
//!   `heddle_core::delivery::State`, and the schema's CHECKs hold it to that.
//! - Verbs that take a [`Reach`] (an organization is one) find nothing outside it.
//! - Secrets are sealed (`seal.rs`).

use std::sync::{Arc, RwLock};

use heddle_core::connection::Connection as Destination;
use heddle_core::id::{ConnectionId, OrganisationId, SessionId, WorkspaceId};
use heddle_core::quota::Limits;
use heddle_core::time::Timestamp;
use rusqlite::Connection;
use tokio::sync::Notify;

mod attempts;
mod backup;
mod cache;
mod claims;
mod columns;
mod connections;
mod deliveries;
mod due;
mod error;
mod event_lists;
mod events;
mod idempotency;
mod learned;
mod lease;
mod left_behind;
mod limits;
mod lines;
mod machine_keys;
mod mappings;
mod memo;
mod migrate;
mod open;
mod organisations;
mod page;
mod page_cache;
mod publishable_keys;
mod reach;
mod readers;
mod records;
mod removals;
mod replay_rows;
mod replays;
mod retention;
mod routings;
mod rules;
mod seal;
mod sessions;
mod set_back;
mod simulated;
mod space;
pub mod stop;
mod terms;
mod usage;
mod walk;
mod workspaces;
mod writer;

#[cfg(test)]
mod tests;

pub use backup::{
    BackupError, CopyProgress, Inspection, copy_database, inspect_database, restore_database, vacuum_database,
};
pub use due::DueBoard;
pub use error::{CancelError, OpenError, OverQuota, ReplayError, RetryError, StoreError};
pub use lease::Lease;
pub use left_behind::LeftBehind;
pub use machine_keys::MAX_MACHINE_KEYS;
pub use publishable_keys::MAX_PUBLISHABLE_KEYS;
pub use reach::{Reach, ResourceKey};
pub use records::*;
pub use replay_rows::Counted;
pub use retention::{Overdue, OverduePage};
pub use sessions::{Launch, Session, SessionFilter};
pub use set_back::{BroughtForward, Passed};
pub use simulated::{Disk, Fate, Fault};
pub use space::Space;
pub use walk::{Batch, Mark};

use cache::Cache;
use readers::Readers;
use routings::Routings;
use seal::Sealer;
use writer::{Effects, Writer};

/// The handle to a database; clones are the same store. It is closed by [`Store::close`], or when
/// the last clone is dropped.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    writer: Writer,
    readers: Readers,
    reader_count: usize,
    sealer: Sealer,
    shared: Arc<Shared>,
}

/// What the writer tells everybody after a commit.
#[derive(Default)]
struct Shared {
    due: DueBoard,
    held: lease::Held,
    /// A bulk replay was made or goes on.
    replays: Notify,
    /// A workspace was deleted, or a rule left deliveries behind.
    removals: Notify,
    /// Held by whoever counts what there is to replay.
    counting: tokio::sync::Mutex<()>,
    connections: Cache<ConnectionId, Arc<Destination>>,
    routings: Routings,
    limits: Cache<WorkspaceId, Limits>,
    default_limits: RwLock<DefaultLimits>,
    /// With when each was read: another process may revoke one.
    machine_keys: Cache<String, (MachineKey, Timestamp)>,
    sessions: Cache<SessionId, Session>,
    publishable_keys: Cache<String, (PublishableKey, WorkspaceId, OrganisationId)>,
}

impl Shared {
    /// Forgets what is in memory of a workspace that was deleted, and has the rest of it removed.
    fn forget_workspace(&self, id: WorkspaceId) {
        self.connections
            .forget_where(|destination| destination.workspace == id);
        self.sessions.forget_where(|session| session.workspace == id);
        self.publishable_keys
            .forget_where(|(_, workspace, _)| *workspace == id);
        self.routings.forget(id);
        self.limits.forget(&id);
        self.removals.notify_one();
    }
}

impl Store {
    /// Opens a database, makes it if it is not there, and brings it to the latest version. Blocks
    /// for as long as that takes.
    pub fn open(config: StoreConfig) -> Result<Self, OpenError> {
        Self::open_on(config, None)
    }

    /// [`Store::open`] for a simulation: whatever the store does, it does on the thread of the runtime
    /// that this is called in, in the order in which it was asked, and `disk` says how that goes.
    pub fn open_simulated(config: StoreConfig, disk: Arc<dyn Disk>) -> Result<Self, OpenError> {
        Self::open_on(config, Some(disk))
    }

    fn open_on(config: StoreConfig, disk: Option<Arc<dyn Disk>>) -> Result<Self, OpenError> {
        let sealer = Sealer::new(config.master_key);
        let connection = open::writer(&config, &sealer)?;
        let shared = Arc::new(Shared::default());
        let writer = match &disk {
            None => Writer::start(connection, Arc::clone(&shared))
                .map_err(|error| OpenError::Machine(error.to_string()))?,
            Some(disk) => Writer::simulated(connection, Arc::clone(&shared), Arc::clone(disk))
                .map_err(|error| OpenError::Machine(error.to_string()))?,
        };
        let readers = Readers::new(config.path, config.readers, disk);
        Ok(Self {
            inner: Arc::new(Inner {
                writer,
                readers,
                reader_count: config.readers,
                sealer,
                shared,
            }),
        })
    }

    /// Which connections got work, and from when it is due. The store writes on it after every
    /// commit; after a start, [`Store::lanes`] says what was there before.
    pub fn due(&self) -> &DueBoard {
        &self.inner.shared.due
    }

    /// Finishes what was asked so far and closes the database. Every later call is answered
    /// with [`StoreError::Unavailable`].
    pub async fn close(&self) {
        self.inner.readers.close(self.inner.reader_count).await;
        self.inner.writer.close().await;
    }

    /// Whether it can commit right now, found out by doing it.
    pub async fn ready(&self) -> Result<(), StoreError> {
        self.write(0, |connection, _| {
            let sql = "INSERT OR REPLACE INTO meta (name, value) VALUES ('ready', x'')";
            connection.prepare_cached(sql)?.execute([])?;
            Ok(())
        })
        .await
    }

    /// How many group commits there were since the start; many verbs share one.
    pub fn commits(&self) -> u64 {
        self.inner.writer.commits()
    }

    async fn write<T, F>(&self, bytes: usize, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, &mut Effects) -> Result<T, StoreError> + Send + 'static,
    {
        self.inner.writer.write(bytes, work).await
    }

    /// [`Self::write`] for work that may be run several times, each but the last undone.
    async fn write_again<T, F>(&self, bytes: usize, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&Connection, &mut Effects) -> Result<T, StoreError> + Send + 'static,
    {
        self.inner.writer.write_again(bytes, work).await
    }

    async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.inner.readers.read(work).await
    }

    fn sealer(&self) -> Sealer {
        self.inner.sealer.clone()
    }
}
