//! Whether a plugin's calls are quick enough for a thread that has other things to do.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A call that takes no longer is quick.
const QUICK: Duration = Duration::from_millis(2);

/// After a call that was not, so many have to be quick one after the other.
const PROBATION: u32 = 64;

/// What is known of a plugin's calls for one connection. That a brief call was stopped says little by
/// itself: where many threads share few processors, any of them may stand still for milliseconds. So
/// the call that is made again in its place, with time, is the one that is judged by.
#[derive(Debug, Default)]
pub struct Tempo {
    /// Calls that have to be quick until brief ones are tried again.
    probation: AtomicU32,
}

impl Tempo {
    /// Whether a brief call is worth a try.
    pub(crate) fn is_quick(&self) -> bool {
        self.probation.load(Ordering::Relaxed) == 0
    }

    /// A call that had its time took so long.
    pub(crate) fn took(&self, time: Duration) {
        if time > QUICK {
            self.probation.store(PROBATION, Ordering::Relaxed);
        } else {
            // Of two that end at once one may go uncounted.
            let left = self.probation.load(Ordering::Relaxed);
            self.probation.store(left.saturating_sub(1), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_is_taken_for_slow_by_the_time_that_it_took_and_not_for_ever() {
        let tempo = Tempo::default();
        assert!(tempo.is_quick());
        tempo.took(Duration::from_micros(50));
        assert!(tempo.is_quick(), "a thread that stood still proves nothing");
        tempo.took(Duration::from_millis(3));
        for _ in 0..PROBATION {
            assert!(!tempo.is_quick());
            tempo.took(QUICK);
        }
        assert!(tempo.is_quick());
    }
}
