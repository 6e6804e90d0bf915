//! The timekeeper: sees that the clock was set back, and has what waits for a time wait no longer for it. A
//! clock that is set forward needs nobody: what is due by it goes out.
//!
//! What the clock shows is held against the latest that it showed to anybody, and the time that has gone by
//! since, which nobody can set. How late it was is noted, so that a start by an earlier clock knows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use heddle_core::time::{Clock, Timestamp};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Parts;

/// Between two looks; what is planned between the setting and the look counts as planned before.
const INTERVAL: Duration = Duration::from_secs(1);

/// Less is nothing that anybody notices.
const SLACK: Duration = Duration::from_secs(2);

/// The clock is noted as often, while anything is written at all.
const NOTED_EVERY: Duration = Duration::from_secs(10);

/// Between two steps: others wait for the writer.
const BREATH: Duration = Duration::from_millis(5);

/// Runs until `stop`. The first look is at once: the clock may have been set back while nothing ran. The
/// last thing is a note, unless the one that is there has to tell the next start what is left to do.
pub async fn run(parts: Parts, stop: CancellationToken) {
    let is_settled = AtomicBool::new(false);
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = watch(&parts, &is_settled) => {}
    }
    if is_settled.into_inner() && parts.clock.is_behind_by() <= SLACK {
        note(&parts, parts.clock.now()).await;
    }
}

async fn watch(parts: &Parts, is_settled: &AtomicBool) {
    let mut noted = loop {
        match parts.store.clock_shown().await {
            Ok(shown) => break shown.unwrap_or_default(),
            Err(error) => {
                tracing::warn!(%error, "what the clock showed before could not be read; trying again");
                tokio::time::sleep(INTERVAL).await;
            }
        }
    };
    parts.clock.has_shown(noted);
    let mut commits = 0;
    loop {
        let by = parts.clock.is_behind_by();
        if by > SLACK {
            is_settled.store(false, Ordering::Relaxed);
            let now = parts.clock.go_on_from_now();
            // A start before all is done must know of it too.
            note(parts, now.plus(by)).await;
            bring_forward(parts, by, now).await;
            note(parts, now).await;
            noted = now;
        }
        is_settled.store(true, Ordering::Relaxed);
        let now = parts.clock.now();
        if now.since(noted) >= NOTED_EVERY && parts.store.commits() != commits {
            if note(parts, now).await {
                noted = now;
            }
            commits = parts.store.commits();
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn note(parts: &Parts, shown: Timestamp) -> bool {
    let noted = parts.store.note_clock(shown).await;
    if let Err(error) = &noted {
        tracing::warn!(%error, "what the clock shows could not be noted");
    }
    noted.is_ok()
}

/// A clock that knows whether it was set back: who asks it may have written down what it showed.
pub struct WatchedClock {
    clock: Arc<dyn Clock>,
    began: Instant,
    /// The latest that it showed, less the time that had gone by then.
    ahead: AtomicI64,
}

impl WatchedClock {
    /// Watches a clock from now on.
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            clock,
            began: Instant::now(),
            ahead: AtomicI64::new(i64::MIN),
        })
    }

    /// The present instant, as the clock shows it.
    pub fn now(&self) -> Timestamp {
        let now = self.clock.now();
        self.has_shown(now);
        now
    }

    /// What it showed at the beginning, by what it shows now.
    fn offset(&self, shown: Timestamp) -> i64 {
        shown.minus(self.began.elapsed()).0
    }

    /// It showed this before.
    fn has_shown(&self, before: Timestamp) {
        self.ahead.fetch_max(self.offset(before), Ordering::Relaxed);
    }

    /// By how much it is behind the latest that it showed and the time since.
    fn is_behind_by(&self) -> Duration {
        let offset = self.offset(self.clock.now());
        Timestamp(self.ahead.load(Ordering::Relaxed)).since(Timestamp(offset))
    }

    /// Forgets what it showed before, and gives what it shows.
    fn go_on_from_now(&self) -> Timestamp {
        let now = self.clock.now();
        self.ahead.store(self.offset(now), Ordering::Relaxed);
        now
    }
}

impl Clock for WatchedClock {
    fn now(&self) -> Timestamp {
        Self::now(self)
    }
}

/// Goes on until all is done; a step that fails is tried again.
async fn bring_forward(parts: &Parts, by: Duration, now: Timestamp) {
    tracing::warn!(
        seconds = by.as_secs(),
        "the clock was set back; what waits for a time is brought forward"
    );
    let (mut passed, mut deliveries) = (None, 0);
    loop {
        match parts.store.bring_forward(by, now, passed.clone()).await {
            Ok(step) => {
                deliveries += step.deliveries;
                passed = step.passed;
                if passed.is_none() {
                    break;
                }
                tokio::time::sleep(BREATH).await;
            }
            Err(error) => {
                tracing::warn!(%error, "what waits could not be brought forward; trying again");
                tokio::time::sleep(INTERVAL).await;
            }
        }
    }
    // Lanes that are remembered with a time of the old clock.
    match wake(parts).await {
        Ok(()) => tracing::info!(
            deliveries,
            "what waits for a time waits by the clock as it is now"
        ),
        Err(error) => tracing::warn!(%error, "looking for waiting lanes failed; the next look finds them"),
    }
}

async fn wake(parts: &Parts) -> Result<(), heddle_store::StoreError> {
    let lanes = parts.store.lanes().await?;
    parts.store.due().add(lanes);
    Ok(())
}
