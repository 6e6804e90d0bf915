//! Memory that is set aside for what is long. What is short goes without: the first bytes of each
//! holder are free, and what they can come to is bounded by the number of holders. Beyond them everybody
//! takes from one room, and waits when it is full.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What is counted: everything else is rounded up to it.
const UNIT_BYTES: usize = 16 * 1024;

/// The memory. Clones are the same.
#[derive(Clone, Debug)]
pub struct Room {
    units: Arc<Semaphore>,
    capacity: usize,
    free: usize,
}

/// What one of those who share a room holds of it. It is given back when the last clone is dropped.
#[derive(Clone, Debug, Default)]
pub struct Held(Arc<Mutex<Holding>>);

#[derive(Debug, Default)]
struct Holding {
    bytes: usize,
    units: Option<OwnedSemaphorePermit>,
}

impl Room {
    /// Room for `bytes`, beyond the first `free` of each.
    pub fn new(bytes: usize, free: usize) -> Self {
        let capacity = (bytes / UNIT_BYTES).clamp(1, Semaphore::MAX_PERMITS);
        Self {
            units: Arc::new(Semaphore::new(capacity)),
            capacity,
            free,
        }
    }

    /// Takes room for `more` bytes in addition to what is held; waits until there is some. Nobody is
    /// given more than all of it: who would need that goes on when the room is theirs alone.
    pub async fn take(&self, held: &Held, more: usize) {
        let missing = {
            let mut holding = held.holding();
            holding.bytes = holding.bytes.saturating_add(more);
            let has = holding
                .units
                .as_ref()
                .map_or(0, OwnedSemaphorePermit::num_permits);
            self.needed(holding.bytes).saturating_sub(has)
        };
        let Some(missing) = u32::try_from(missing).ok().filter(|missing| *missing > 0) else {
            return;
        };
        let Ok(units) = Arc::clone(&self.units).acquire_many_owned(missing).await else {
            unreachable!("the semaphore is never closed");
        };
        let mut holding = held.holding();
        match &mut holding.units {
            Some(own) => own.merge(units),
            none => *none = Some(units),
        }
    }

    /// Gives back `less` bytes of what is held.
    pub fn give_back(&self, held: &Held, less: usize) {
        let mut holding = held.holding();
        holding.bytes = holding.bytes.saturating_sub(less);
        let needed = self.needed(holding.bytes);
        if let Some(own) = &mut holding.units {
            drop(own.split(own.num_permits().saturating_sub(needed)));
        }
    }

    fn needed(&self, bytes: usize) -> usize {
        let counted = bytes.saturating_sub(self.free);
        counted.div_ceil(UNIT_BYTES).min(self.capacity)
    }

    /// The bytes that nobody holds.
    #[cfg(test)]
    fn left(&self) -> usize {
        self.units.available_permits() * UNIT_BYTES
    }
}

impl Held {
    fn holding(&self) -> std::sync::MutexGuard<'_, Holding> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Two that hold something are not told apart by how much it is.
impl PartialEq for Held {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Held {}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    const FREE: usize = 1024;

    #[test]
    fn what_is_short_goes_without_and_what_is_long_waits_for_its_room() {
        let room = Room::new(4 * UNIT_BYTES, FREE);
        let (first, second, short) = (Held::default(), Held::default(), Held::default());
        assert!(room.take(&first, FREE).now_or_never().is_some());
        assert_eq!(room.left(), 4 * UNIT_BYTES);
        assert!(room.take(&first, 3 * UNIT_BYTES).now_or_never().is_some());
        assert_eq!(room.left(), UNIT_BYTES);
        let long = FREE + 2 * UNIT_BYTES;
        let mut waits = Box::pin(room.take(&second, long));
        assert!(
            waits.as_mut().now_or_never().is_none(),
            "one unit is left, two are needed"
        );
        assert!(
            room.take(&short, FREE).now_or_never().is_some(),
            "the short are let by"
        );
        drop(first);
        assert!(waits.as_mut().now_or_never().is_some());
        drop(waits);
        assert_eq!(room.left(), 2 * UNIT_BYTES);
        drop(second);
        assert_eq!(room.left(), 4 * UNIT_BYTES);
    }

    #[test]
    fn one_that_is_longer_than_the_whole_room_takes_all_of_it_and_goes_on() {
        let (room, giant) = (Room::new(2 * UNIT_BYTES, FREE), Held::default());
        assert!(room.take(&giant, 100 * UNIT_BYTES).now_or_never().is_some());
        assert_eq!(room.left(), 0);
        assert!(room.take(&giant, UNIT_BYTES).now_or_never().is_some());
        drop(giant);
        assert_eq!(room.left(), 2 * UNIT_BYTES);
    }

    #[test]
    fn what_was_taken_too_much_is_given_back() {
        let (room, held) = (Room::new(4 * UNIT_BYTES, FREE), Held::default());
        assert!(room.take(&held, 4 * UNIT_BYTES).now_or_never().is_some());
        room.give_back(&held, 3 * UNIT_BYTES);
        assert_eq!(room.left(), 3 * UNIT_BYTES);
        room.give_back(&held, UNIT_BYTES);
        assert_eq!(room.left(), 4 * UNIT_BYTES);
    }
}
