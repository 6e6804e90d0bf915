//! What is read for every event or delivery is kept in memory, and thrown away when it is written.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{PoisonError, RwLock};

/// Entries beyond which a cache starts anew: simple, and far above what one node works on at once.
const CAPACITY: usize = 50_000;

/// A map with a generation, so that a reader that read before a write cannot put what it read back
/// after it.
pub(crate) struct Cache<K, V>(RwLock<Entries<K, V>>);

struct Entries<K, V> {
    map: HashMap<K, V>,
    generation: u64,
}

/// The cache's state before a row was read.
#[derive(Clone, Copy)]
pub(crate) struct Generation(u64);

impl<K, V> Default for Cache<K, V> {
    fn default() -> Self {
        Self(RwLock::new(Entries {
            map: HashMap::new(),
            generation: 0,
        }))
    }
}

impl<K: Eq + Hash, V: Clone> Cache<K, V> {
    /// The entry, or what to give to [`Self::insert`] with it once it is read.
    pub fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Result<V, Generation>
    where
        K: Borrow<Q>,
    {
        let entries = self.0.read().unwrap_or_else(PoisonError::into_inner);
        entries
            .map
            .get(key)
            .cloned()
            .ok_or(Generation(entries.generation))
    }

    /// What to give to [`Self::insert`] with an entry that is read although one is there.
    pub fn generation(&self) -> Generation {
        Generation(self.0.read().unwrap_or_else(PoisonError::into_inner).generation)
    }

    /// Keeps an entry, unless something was written since it was read.
    pub fn insert(&self, read: Generation, key: K, value: V) {
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if entries.generation != read.0 {
            return;
        }
        if entries.map.len() >= CAPACITY {
            entries.map.clear();
        }
        entries.map.insert(key, value);
    }

    /// Forgets what `gone` says, after the commit that changed it. Looks at every entry.
    pub fn forget_where(&self, gone: impl Fn(&V) -> bool) {
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        entries.generation += 1;
        entries.map.retain(|_, value| !gone(value));
    }

    /// Forgets an entry, after the commit that changed it.
    pub fn forget<Q: Hash + Eq + ?Sized>(&self, key: &Q)
    where
        K: Borrow<Q>,
    {
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        entries.generation += 1;
        entries.map.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_before_a_write_is_not_kept_after_it() {
        let cache = Cache::<u8, u8>::default();
        let Err(before) = cache.get(&1) else {
            panic!("an empty cache has nothing")
        };
        cache.forget(&1);
        cache.insert(before, 1, 10);
        let Err(after) = cache.get(&1) else {
            panic!("a stale entry was kept")
        };
        cache.insert(after, 1, 11);
        assert_eq!(cache.get(&1).ok(), Some(11));
        cache.insert(cache.generation(), 2, 22);
        cache.forget_where(|value| *value == 11);
        assert_eq!((cache.get(&1).ok(), cache.get(&2).ok()), (None, Some(22)));
    }
}
