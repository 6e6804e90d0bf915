//! The board on which the store writes which lanes have work, and from when: the commit's signal to
//! the dispatcher. Signals coalesce, so that its size is bounded by the number of connections.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, PoisonError};

use heddle_core::id::ConnectionId;
use heddle_core::time::Timestamp;
use tokio::sync::Notify;

/// The earliest due time of each connection since the board was last taken. One reader.
#[derive(Debug, Default)]
pub struct DueBoard {
    earliest: Mutex<HashMap<ConnectionId, Timestamp>>,
    written: Notify,
}

impl DueBoard {
    /// Writes lanes on the board. The store does so after every commit.
    pub fn add(&self, lanes: impl IntoIterator<Item = (ConnectionId, Timestamp)>) {
        let mut added = false;
        let mut earliest = self.earliest.lock().unwrap_or_else(PoisonError::into_inner);
        for (connection, due_at) in lanes {
            added = true;
            match earliest.entry(connection) {
                Entry::Occupied(mut known) => *known.get_mut() = due_at.min(*known.get()),
                Entry::Vacant(free) => _ = free.insert(due_at),
            }
        }
        drop(earliest);
        if added {
            self.written.notify_one();
        }
    }

    /// Takes everything off the board.
    pub fn take(&self) -> HashMap<ConnectionId, Timestamp> {
        std::mem::take(&mut *self.earliest.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns when something was written since the last return, at once if that was before.
    pub async fn notified(&self) {
        self.written.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_earliest_time_of_a_lane_is_kept_until_it_is_taken() {
        let board = DueBoard::default();
        let (a, b) = (
            ConnectionId::from_bytes([1; 16]),
            ConnectionId::from_bytes([2; 16]),
        );
        board.add([(a, Timestamp(20)), (b, Timestamp(5))]);
        board.add([(a, Timestamp(10))]);
        board.add([(a, Timestamp(30))]);
        board.notified().await;
        assert_eq!(
            board.take(),
            HashMap::from([(a, Timestamp(10)), (b, Timestamp(5))])
        );
        assert!(board.take().is_empty());
    }
}
