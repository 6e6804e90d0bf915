//! Connections that read, beside the one that writes. A read runs on a thread for blocking work.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use crate::error::StoreError;
use crate::open;
use crate::simulated::{Disk, pass};

/// A pool that opens its connections when they are first needed.
pub(crate) struct Readers {
    path: PathBuf,
    idle: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
    /// In a simulation: reads run on the caller's thread then.
    disk: Option<Arc<dyn Disk>>,
}

impl Readers {
    pub fn new(path: PathBuf, connections: usize, disk: Option<Arc<dyn Disk>>) -> Self {
        Self {
            path,
            idle: Arc::default(),
            permits: Arc::new(Semaphore::new(connections.max(1))),
            disk,
        }
    }

    /// Runs `work` on one of the connections. It sees everything that was acknowledged.
    pub async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .map_err(|_| StoreError::unavailable("it is closed"))?;
        let (idle, path) = (Arc::clone(&self.idle), self.path.clone());
        let reading = move || {
            // Moved in here, so that it is held until the work is done even when nobody waits for it.
            let _permit = permit;
            let known = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = match known {
                Some(connection) => connection,
                None => open::reader(&path)?,
            };
            let result = work(&connection);
            idle.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(connection);
            result
        };
        if let Some(disk) = &self.disk {
            let fate = disk.read();
            pass(fate.before).await;
            if fate.fault.is_some() {
                return Err(StoreError::unavailable("the simulated disk cannot be read"));
            }
            let result = reading();
            pass(fate.after).await;
            return result;
        }
        tokio::task::spawn_blocking(reading)
            .await
            .unwrap_or_else(|_| Err(StoreError::broken("a read panicked")))
    }

    /// Waits for the reads under way and closes the connections. What comes later is refused.
    pub async fn close(&self, connections: usize) {
        let all = u32::try_from(connections.max(1)).unwrap_or(u32::MAX);
        let held = self.permits.acquire_many(all).await;
        self.permits.close();
        drop(held);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
