//! Delivers what the store holds: claims due deliveries lane by lane, runs each adapter step by
//! step against its destination, and records every attempt.
//!
//! One duty, one file:
//!
//! - [`intake`]: events come in, and set out at once where nothing stands in their way
//! - [`dispatcher`]: which connection may send now, and how much
//! - [`desk`]: the places that both give out
//! - [`lane`]: the turns of workspaces and of their connections, as a pure structure
//! - [`destinations`]: how each destination does, from what attempts say of it ([`sign`]): [`circuit`]
//!   leaves alone what does not work, [`throttle`] sends less to what is not up to it
//! - [`deliverer`]: one claimed delivery, from its row to its recorded attempt
//! - [`conversation`]: the step loop between a plugin and its destination; [`tempo`]: on which thread
//! - [`apart`]: what takes long, a few at a time and some of each workspace
//! - [`matching`]: which rules an event matches, where that may take long
//! - [`mapping`]: what fills the destination's fields
//! - [`input`]: what a plugin is told
//! - [`replayer`]: bulk replays, each at its own rate
//! - [`pruner`]: what is past its time
//! - [`pacer`]: who may send a request now, and [`pace`], the rates as a pure structure
//! - [`rehearsal`]: what would be sent, without sending it
//! - [`remover`]: what deleted workspaces had
//! - [`rescuer`]: leases that lapsed and lanes whose signal was lost
//!
//! The queue is the database. Memory holds one small lane per connection with work, and the
//! deliveries under way, whose number is capped.

use std::sync::Arc;
use std::time::Duration;

use heddle_core::retry::Schedule;
use heddle_egress::Egress;
use heddle_sandbox::Registry;
use heddle_store::{Store, StoreError};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

mod apart;
mod circuit;
pub mod conversation;
mod deliverer;
mod desk;
mod destinations;
mod dispatcher;
mod input;
mod intake;
mod lane;
mod mapping;
mod matching;
mod pace;
mod pacer;
mod pruner;
mod rehearsal;
mod remover;
mod replayer;
mod rescuer;
#[cfg(test)]
mod seat_tests;
mod sign;
#[cfg(test)]
mod simulation;
mod tempo;
mod throttle;
mod timekeeper;

pub use circuit::Circuit;
pub use deliverer::Attempted;
pub use intake::Intake;
pub use matching::Matching;
pub use pacer::{Pace, Pacer, Turn};
pub use rehearsal::Rehearsal;
pub use tempo::Tempo;
pub use timekeeper::WatchedClock;

/// What the engine is built from.
#[derive(Clone)]
#[allow(missing_docs)]
pub struct Parts {
    pub store: Store,
    pub plugins: Arc<Registry>,
    pub egress: Egress,
    pub pacer: Pacer,
    pub matching: Arc<Matching>,
    pub clock: Arc<WatchedClock>,
    /// Fills a buffer with randomness: ids and jitter.
    pub entropy: fn(&mut [u8]),
    /// For connections that set none of their own.
    pub schedule: Arc<Schedule>,
    pub limits: Limits,
}

/// What the engine may use at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Deliveries under way over all connections.
    pub in_flight: usize,
    /// The whole of one attempt, all its requests included.
    pub attempt: Duration,
    /// Requests that one attempt may make.
    pub steps: u32,
    /// Bytes of a failed answer's body that the history keeps.
    pub kept_response_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            in_flight: 1024,
            attempt: Duration::from_secs(60),
            steps: 16,
            kept_response_bytes: 64 * 1024,
        }
    }
}

impl Limits {
    /// A claim outlives the longest attempt and the recording of it.
    fn lease(&self) -> Duration {
        self.attempt * 2 + Duration::from_secs(60)
    }
}

/// The running engine.
pub struct Delivery {
    stop: CancellationToken,
    tasks: TaskTracker,
    feed: broadcast::Sender<Arc<Attempted>>,
    intake: Intake,
}

impl Delivery {
    /// Takes back what a former process held and starts delivering.
    pub async fn start(parts: Parts) -> Result<Self, StoreError> {
        let mut seed = [0; 8];
        (parts.entropy)(&mut seed);
        let now = parts.clock.now();
        let seed = u64::from_le_bytes(seed);
        let released = parts
            .store
            .release_all_leases(now, (*parts.schedule).clone(), seed)
            .await?;
        if released > 0 {
            tracing::info!(
                released,
                "deliveries that were under way when Heddle stopped are tried again"
            );
        }
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let (feed, _) = broadcast::channel(256);
        let deliverer = deliverer::Deliverer::new(parts.clone(), feed.clone());
        let desk = desk::Desk::new(parts.clone(), deliverer, tasks.clone(), stop.clone());
        let desk = Arc::new(desk);
        let intake = Intake::new(Arc::clone(&desk));
        tasks.spawn(dispatcher::run(parts.clone(), desk, stop.clone()));
        tasks.spawn(replayer::run(parts.clone(), stop.clone()));
        tasks.spawn(remover::run(parts.clone(), stop.clone()));
        tasks.spawn(pruner::run(parts.clone(), stop.clone()));
        tasks.spawn(timekeeper::run(parts.clone(), stop.clone()));
        tasks.spawn(rescuer::run(parts, stop.clone()));
        Ok(Self {
            stop,
            tasks,
            feed,
            intake,
        })
    }

    /// Every attempt from now on, as it is recorded. A slow reader misses some.
    pub fn attempts(&self) -> broadcast::Receiver<Arc<Attempted>> {
        self.feed.subscribe()
    }

    /// Where events come in.
    pub fn intake(&self) -> Intake {
        self.intake.clone()
    }

    /// Claims nothing more and lets the attempts under way end, for at most `grace`. What is then
    /// still under way is tried again after the next start. Returns whether all of it ended.
    pub async fn stop(&self, grace: Duration) -> bool {
        self.stop.cancel();
        self.tasks.close();
        tokio::time::timeout(grace, self.tasks.wait()).await.is_ok()
    }
}
