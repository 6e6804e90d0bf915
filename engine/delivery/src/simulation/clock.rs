//! Two times: the true one, which is that of the paused runtime, and what the machine's clock shows,
//! which can be set forward and back.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use heddle_core::time::{Clock, Timestamp};
use tokio::time::Instant;

/// When a run begins.
const BEGINNING: i64 = 1_774_000_000_000;

/// The machine's clock.
#[derive(Default)]
pub struct SimulatedClock(Mutex<Reading>);

#[derive(Default)]
struct Reading {
    /// True milliseconds before this life of the process, and its beginning.
    past: i64,
    started: Option<Instant>,
    skew: i64,
}

impl Reading {
    fn elapsed(&self) -> i64 {
        let life = self.started.map(|started| started.elapsed()).unwrap_or_default();
        self.past + i64::try_from(life.as_millis()).unwrap_or(i64::MAX)
    }
}

impl SimulatedClock {
    fn reading(&self) -> MutexGuard<'_, Reading> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A process begins; called on its runtime.
    pub fn process_starts(&self) {
        self.reading().started = Some(Instant::now());
    }

    /// The process is gone, and nothing runs for so long; called on its runtime.
    pub fn process_ends(&self, down: Duration) {
        let mut reading = self.reading();
        reading.past = reading.elapsed() + i64::try_from(down.as_millis()).unwrap_or_default();
        reading.started = None;
    }

    /// Somebody sets the clock.
    pub fn jump(&self, milliseconds: i64) {
        self.reading().skew += milliseconds;
    }

    /// True milliseconds since the run began.
    pub fn elapsed(&self) -> i64 {
        self.reading().elapsed()
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        let reading = self.reading();
        Timestamp(BEGINNING + reading.elapsed() + reading.skew)
    }
}
