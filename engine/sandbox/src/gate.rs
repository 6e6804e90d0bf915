//! How many calls run at once, and the ticking that ends those that run too long.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmtime::Engine;

/// One tick of the epoch, the unit in which a guest's time is counted.
const TICK: Duration = Duration::from_millis(1);

/// After so many ticks without a call the clock rests. Waking it for the next call costs more than a few
/// ticks that nobody needs.
const REST: u32 = 20;

/// Stands in front of the pool, whose exhaustion would be an error.
pub(crate) struct Gate {
    state: Mutex<State>,
    freed: Condvar,
    stirred: Condvar,
}

struct State {
    free: u32,
    total: u32,
    waiting: u32,
    /// Ticks since the last call.
    quiet_ticks: u32,
    ticker_parked: bool,
    closed: bool,
}

/// A place in the pool; free again when dropped. Drop the store first.
pub(crate) struct Permit<'a>(&'a Gate);

impl Gate {
    pub(crate) fn new(places: u32) -> Self {
        let total = places.max(1);
        Self {
            state: Mutex::new(State {
                free: total,
                total,
                waiting: 0,
                quiet_ticks: REST,
                ticker_parked: false,
                closed: false,
            }),
            freed: Condvar::new(),
            stirred: Condvar::new(),
        }
    }

    /// Takes a place, waiting at most `patience` for one.
    pub(crate) fn enter(&self, patience: Duration) -> Option<Permit<'_>> {
        let mut state = self.lock();
        if state.free == 0 {
            if patience.is_zero() {
                return None;
            }
            state.waiting += 1;
            let waited = self
                .freed
                .wait_timeout_while(state, patience, |state| state.free == 0);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            state.waiting -= 1;
            if state.free == 0 {
                return None;
            }
        }
        state.free -= 1;
        state.quiet_ticks = 0;
        if state.ticker_parked {
            self.stirred.notify_one();
        }
        Some(Permit(self))
    }

    /// Waits until it is time to tick; false when there is nothing more to tick for. When there was no
    /// call for a while it sleeps: an idle server does not wake a thousand times a second.
    fn next_tick(&self) -> bool {
        let mut state = self.lock();
        if state.free == state.total {
            state.quiet_ticks = state.quiet_ticks.saturating_add(1);
        }
        while state.quiet_ticks >= REST && !state.closed {
            state.ticker_parked = true;
            state = self.stirred.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.ticker_parked = false;
        }
        let waited = self
            .stirred
            .wait_timeout_while(state, TICK, |state| !state.closed);
        !waited.unwrap_or_else(PoisonError::into_inner).0.closed
    }

    fn close(&self) {
        self.lock().closed = true;
        self.stirred.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.free += 1;
        if state.waiting > 0 {
            self.0.freed.notify_one();
        }
    }
}

/// The thread that ticks, one for a sandbox. It has ended when this is dropped.
pub(crate) struct Ticker {
    gate: Arc<Gate>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    pub(crate) fn start(gate: Arc<Gate>, engine: Engine) -> std::io::Result<Self> {
        let ticked = Arc::clone(&gate);
        let thread = std::thread::Builder::new()
            .name("sandbox-clock".into())
            .spawn(move || {
                while ticked.next_tick() {
                    engine.increment_epoch();
                }
            })?;
        Ok(Self {
            gate,
            thread: Some(thread),
        })
    }

    /// The ticks that give a guest at least `time`. The first one may come at once.
    pub(crate) fn ticks(time: Duration) -> u64 {
        u64::try_from(time.as_nanos().div_ceil(TICK.as_nanos()))
            .unwrap_or(u64::MAX / 2)
            .saturating_add(1)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.gate.close();
        if let Some(thread) = self.thread.take() {
            // It cannot have panicked, and if it had there would be nothing to do about it here.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn whoever_will_not_wait_is_turned_away_while_every_place_is_taken() {
        let gate = Gate::new(2);
        let first = gate.enter(Duration::ZERO).unwrap();
        let _second = gate.enter(Duration::ZERO).unwrap();
        assert!(gate.enter(Duration::ZERO).is_none());
        assert!(gate.enter(Duration::from_millis(1)).is_none());
        drop(first);
        assert!(gate.enter(Duration::ZERO).is_some());
    }

    #[test]
    fn whoever_waits_gets_the_place_that_becomes_free() {
        let gate = Gate::new(1);
        let taken = gate.enter(Duration::ZERO).unwrap();
        std::thread::scope(|scope| {
            let waiters: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| gate.enter(LONG).is_some()))
                .collect();
            while gate.lock().waiting < 8 {
                std::thread::yield_now();
            }
            drop(taken);
            assert!(waiters.into_iter().all(|waiter| waiter.join().unwrap()));
        });
        assert_eq!(gate.lock().free, 1);
    }

    #[test]
    fn the_clock_ticks_during_a_call_rests_between_calls_and_ends_with_the_sandbox() {
        let gate = Arc::new(Gate::new(1));
        let ticker = Ticker::start(Arc::clone(&gate), Engine::default()).unwrap();
        for _ in 0..2 {
            while !gate.lock().ticker_parked {
                std::thread::yield_now();
            }
            let _call = gate.enter(Duration::ZERO).unwrap();
            while gate.lock().ticker_parked {
                std::thread::yield_now();
            }
        }
        drop(ticker);
        assert_eq!(Arc::strong_count(&gate), 1);
    }

    #[test]
    fn a_guest_gets_at_least_its_time() {
        assert_eq!(Ticker::ticks(Duration::from_millis(5)), 6);
        assert_eq!(Ticker::ticks(Duration::from_micros(1)), 2);
        assert!(Ticker::ticks(Duration::MAX) > 1 << 40);
    }
}
