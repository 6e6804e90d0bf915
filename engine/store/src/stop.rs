//! Named places between two durable points at which a test lets the process die, as `kill -9` would:
//! `HEDDLE_STOP=after_request:3` dies at the third time that it comes by there. Builds for production
//! have none of it: [`at`] is empty there and nothing reads the variable.
//!
//! `tests/suite/crash_matrix.rs` has a row for every place, and fails when one is missing.

use std::fmt;

/// A place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Events are matched; the store has not seen them.
    AfterMatch,
    /// Between two commands of one group: the first has run, nothing is committed.
    InGroup,
    /// A command of this kind has run, and its group is about to be committed.
    BeforeCommit(Work),
    /// The commit with a command of this kind is on the disk, and nobody was told.
    AfterCommit(Work),
    /// The caller is about to hear that its events were accepted.
    BeforeAnswer,
    /// A delivery was claimed; its destination has not been asked.
    BeforeRequest,
    /// The destination has answered; nothing of it is recorded.
    AfterRequest,
    /// A migration has run, and is not committed.
    InMigration,
    /// A migration is committed, and the next one is about to begin.
    BetweenMigrations,
}

/// What a command of the store does; those whose commit a delivery's fate hangs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Takes events in, with deliveries that are claimed at once.
    Accept,
    /// Claims deliveries that have waited.
    Claim,
    /// Records an attempt.
    Record,
    /// Takes back what a former process held.
    Release,
    /// A step of a bulk replay.
    Replay,
    /// Deletes some of what a deleted workspace had.
    Remove,
    /// Deletes idempotency keys past their day.
    Forget,
    /// Deletes some of the history that is past its time.
    Prune,
    /// Gives some free pages back to the disk.
    Reclaim,
    /// Calls off, or moves, some of what a rule has left behind.
    FollowUp,
    /// Brings some of what waits forward, after the clock was set back.
    SetBack,
}

impl Work {
    /// Every kind.
    pub const ALL: [Self; 11] = [
        Self::Accept,
        Self::Claim,
        Self::Record,
        Self::Release,
        Self::Replay,
        Self::Remove,
        Self::Forget,
        Self::Prune,
        Self::Reclaim,
        Self::FollowUp,
        Self::SetBack,
    ];
}

impl Stop {
    /// Every place.
    pub fn all() -> Vec<Self> {
        let single = [
            Self::AfterMatch,
            Self::InGroup,
            Self::BeforeAnswer,
            Self::BeforeRequest,
            Self::AfterRequest,
            Self::InMigration,
            Self::BetweenMigrations,
        ];
        let around = |work| [Self::BeforeCommit(work), Self::AfterCommit(work)];
        single
            .into_iter()
            .chain(Work::ALL.into_iter().flat_map(around))
            .collect()
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AfterMatch => f.write_str("after_match"),
            Self::InGroup => f.write_str("in_group"),
            Self::BeforeCommit(work) => write!(f, "before_commit_of_{work}"),
            Self::AfterCommit(work) => write!(f, "after_commit_of_{work}"),
            Self::BeforeAnswer => f.write_str("before_answer"),
            Self::BeforeRequest => f.write_str("before_request"),
            Self::AfterRequest => f.write_str("after_request"),
            Self::InMigration => f.write_str("in_migration"),
            Self::BetweenMigrations => f.write_str("between_migrations"),
        }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accept => "accept",
            Self::Claim => "claim",
            Self::Record => "record",
            Self::Release => "release",
            Self::Replay => "replay",
            Self::Remove => "remove",
            Self::Forget => "forget",
            Self::Prune => "prune",
            Self::Reclaim => "reclaim",
            Self::FollowUp => "follow_up",
            Self::SetBack => "set_back",
        })
    }
}

#[cfg(debug_assertions)]
pub use told::at;
#[cfg(debug_assertions)]
pub(crate) use told::{after_commit, before_commit, commits};

#[cfg(not(debug_assertions))]
pub use untold::at;
#[cfg(not(debug_assertions))]
pub(crate) use untold::{after_commit, before_commit, commits};

#[cfg(debug_assertions)]
mod told {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::{Stop, Work};

    /// What the environment asks for.
    struct Wish {
        stop: Stop,
        /// How often it is still to be passed.
        left: AtomicUsize,
        /// Whether the transaction under way has a command of the wish's kind. Of the one thread that
        /// writes.
        noted: AtomicBool,
    }

    static WISH: OnceLock<Option<Wish>> = OnceLock::new();

    fn wish() -> Option<&'static Wish> {
        let read = || {
            let text = std::env::var("HEDDLE_STOP").ok()?;
            let (name, times) = text.split_once(':').unwrap_or((&text, "1"));
            let stop = Stop::all().into_iter().find(|stop| stop.to_string() == name);
            match (stop, times.parse()) {
                (Some(stop), Ok(left)) => Some(Wish {
                    stop,
                    left: AtomicUsize::new(left),
                    noted: AtomicBool::new(false),
                }),
                _ => panic!("HEDDLE_STOP={text}: no such place"),
            }
        };
        WISH.get_or_init(read).as_ref()
    }

    /// Dies here, if this is where it was told to.
    pub fn at(stop: Stop) {
        if let Some(wish) = wish()
            && wish.stop == stop
            && wish.left.fetch_sub(1, Ordering::Relaxed) == 1
        {
            eprintln!("stopped at {stop}");
            std::process::abort();
        }
    }

    /// Called by a command, which is of this kind: its commit has a stop before it and one behind it.
    pub(crate) fn commits(work: Work) {
        if let Some(wish) = wish()
            && [Stop::BeforeCommit(work), Stop::AfterCommit(work)].contains(&wish.stop)
        {
            wish.noted.store(true, Ordering::Relaxed);
        }
    }

    /// The transaction is about to be committed.
    pub(crate) fn before_commit() {
        if let Some(wish) = wish()
            && matches!(wish.stop, Stop::BeforeCommit(_))
            && wish.noted.swap(false, Ordering::Relaxed)
        {
            at(wish.stop);
        }
    }

    /// It is committed.
    pub(crate) fn after_commit() {
        if let Some(wish) = wish()
            && wish.noted.swap(false, Ordering::Relaxed)
        {
            at(wish.stop);
        }
    }
}

#[cfg(not(debug_assertions))]
mod untold {
    use super::{Stop, Work};

    /// Nothing.
    #[inline(always)]
    pub fn at(_: Stop) {}

    #[inline(always)]
    pub(crate) fn commits(_: Work) {}

    #[inline(always)]
    pub(crate) fn before_commit() {}

    #[inline(always)]
    pub(crate) fn after_commit() {}
}
