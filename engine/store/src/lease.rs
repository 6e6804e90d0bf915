//! The leases whose holders live in this process. A lease lapses by the clock, which somebody may set; a
//! holder that is there knows better that its attempt is still under way.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use heddle_core::id::DeliveryId;

/// Which deliveries are held, and how often: a claim that is run again holds them anew before it lets go.
#[derive(Clone, Default)]
pub(crate) struct Held(Arc<Mutex<HashMap<DeliveryId, u32>>>);

impl Held {
    /// Holds a delivery. The writer does so while it claims it, so that nobody can take it back before
    /// its holder has it.
    pub fn hold(&self, delivery: DeliveryId) -> Lease {
        *self.count().entry(delivery).or_default() += 1;
        Lease(Some(Arc::new(Holder {
            held: self.clone(),
            delivery,
        })))
    }

    pub fn holds(&self, delivery: DeliveryId) -> bool {
        self.count().contains_key(&delivery)
    }

    /// How many deliveries are held.
    pub fn len(&self) -> usize {
        self.count().len()
    }

    fn count(&self) -> MutexGuard<'_, HashMap<DeliveryId, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a delivery from being taken back until the last clone is dropped, after a panic too. By default
/// it is that of nothing.
#[derive(Clone, Default)]
pub struct Lease(Option<Arc<Holder>>);

struct Holder {
    held: Held,
    delivery: DeliveryId,
}

impl Drop for Holder {
    fn drop(&mut self) {
        let mut count = self.held.count();
        if let Some(holders) = count.get_mut(&self.delivery) {
            *holders -= 1;
            if *holders == 0 {
                count.remove(&self.delivery);
            }
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lease")
            .field(&self.0.as_ref().map(|holder| holder.delivery))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_held_until_the_last_of_its_leases_is_dropped() {
        let (held, id) = (Held::default(), DeliveryId::from_bytes([7; 16]));
        let (first, again) = (held.hold(id), held.hold(id));
        drop(first);
        let clone = again.clone();
        drop(again);
        assert!(held.holds(id));
        drop(clone);
        assert_eq!((held.holds(id), held.len()), (false, 0));
    }
}
