//! What a receiver counts: how many requests were with it at once, and when each came.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// Counts the requests of one hook.
#[derive(Debug, Default)]
pub struct Gauge {
    now: AtomicU32,
    most: AtomicU32,
    times: Mutex<Vec<u64>>,
}

impl Gauge {
    /// A request came, at this instant in microseconds.
    pub fn enter(&self, at: u64) {
        let now = self.now.fetch_add(1, Relaxed) + 1;
        self.most.fetch_max(now, Relaxed);
        self.times.lock().unwrap_or_else(PoisonError::into_inner).push(at);
    }

    /// A request is answered, or its caller has gone.
    pub fn leave(&self) {
        self.now.fetch_sub(1, Relaxed);
    }

    /// How many have come since it was last read.
    pub fn count(&self) -> usize {
        self.times.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The most requests that were there at once, and the instants at which all of them came, since
    /// this was last asked.
    pub fn read(&self) -> (u32, Vec<u64>) {
        let most = self.most.swap(self.now.load(Relaxed), Relaxed);
        let times = std::mem::take(&mut *self.times.lock().unwrap_or_else(PoisonError::into_inner));
        (most, times)
    }
}

/// The most of the instants that lie within any `window`: from one instant on, less than `window`
/// later. The instants are in order.
pub fn most_within(times: &[u64], window: u64) -> usize {
    let mut first = 0;
    let mut most = 0;
    for (last, time) in times.iter().enumerate() {
        while time - times[first] >= window {
            first += 1;
        }
        most = most.max(last + 1 - first);
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_at_once_is_counted_and_not_the_sum() {
        let gauge = Gauge::default();
        for at in [1, 2] {
            gauge.enter(at);
        }
        gauge.leave();
        gauge.enter(3);
        assert_eq!(gauge.read(), (2, vec![1, 2, 3]));
        gauge.leave();
        gauge.leave();
        gauge.enter(4);
        assert_eq!(
            gauge.read(),
            (2, vec![4]),
            "two were still there when it was last read"
        );
        assert_eq!(gauge.read(), (1, vec![]));
    }

    #[test]
    fn a_window_holds_what_comes_in_less_than_its_length() {
        assert_eq!(most_within(&[], 10), 0);
        assert_eq!(most_within(&[0, 10, 20], 10), 1);
        assert_eq!(most_within(&[0, 9, 10, 18, 19], 10), 3);
        assert_eq!(most_within(&[5, 5, 5], 1), 3);
    }
}
