//! Bulk replay: many deliveries tried anew after somebody mended the cause. Which ones, how fast, and
//! the states of the job. The work itself is the store's and the replayer's.

use serde::{Deserialize, Serialize};

use crate::delivery::Status;
use crate::id::{ConnectionId, RuleId};
use crate::time::Timestamp;

/// Deliveries a second, when nobody says.
pub const DEFAULT_RATE: u32 = 100;

/// The most deliveries a second that can be asked for.
pub const MAX_RATE: u32 = 10_000;

/// The most rows of one step: a step is one transaction, and others write between two.
pub const MAX_STEP: u32 = 500;

/// What a job can be doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// It goes on.
    Running,
    /// It waits until somebody resumes it.
    Paused,
    /// It has passed over everything that it was to look at.
    Completed,
    /// Somebody called it off; what it had done stays done.
    Canceled,
}

/// What a person can ask of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Wish {
    Pause,
    Resume,
    Cancel,
}

impl Progress {
    /// The word in SQL and in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Canceled => "canceled",
        }
    }

    /// Back from [`Self::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Running, Self::Paused, Self::Completed, Self::Canceled]
            .into_iter()
            .find(|progress| progress.as_str() == word)
    }

    /// Whether it has ended for good.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Canceled)
    }

    /// What becomes of it; `None` when it has ended. Asking twice is as good as asking once.
    pub fn after(self, wish: Wish) -> Option<Self> {
        match (self, wish) {
            (Self::Completed, _) => None,
            (Self::Canceled, Wish::Cancel) => Some(Self::Canceled),
            (Self::Canceled, _) => None,
            (_, Wish::Pause) => Some(Self::Paused),
            (_, Wish::Resume) => Some(Self::Running),
            (_, Wish::Cancel) => Some(Self::Canceled),
        }
    }
}

/// By which rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rules {
    /// The deliveries that were made when their events were accepted, by the same rules.
    Original,
    /// Every event in the range is held against the rules as they are now: a rule that has no delivery
    /// of it gets one, a delivery whose status is asked for is tried anew.
    Current,
}

impl Rules {
    /// The word in SQL and in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Original => "original",
            Self::Current => "current",
        }
    }

    /// Back from [`Self::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Original, Self::Current]
            .into_iter()
            .find(|rules| rules.as_str() == word)
    }
}

/// Which deliveries; `None` does not narrow. Only what ended before the job was made is replayed, so
/// that a job never meets its own work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Of this rule.
    pub rule: Option<RuleId>,
    /// To this connection.
    pub connection: Option<ConnectionId>,
    /// Of events of this name.
    pub event: Option<String>,
    /// How they ended; at least one, each of them final.
    pub statuses: Vec<Status>,
    /// Accepted at this time or later.
    pub from: Option<Timestamp>,
    /// Accepted before this time.
    pub to: Option<Timestamp>,
}

/// How far a job may go at once, so that it keeps its rate: `rate` a second, in steps, never more than
/// one second's worth at a time. What was not used in a second is not made up for.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    /// What was allowed up to here is used.
    used_up_to: Timestamp,
}

impl Allowance {
    /// Nothing is allowed yet.
    pub fn starting(now: Timestamp) -> Self {
        Self { used_up_to: now }
    }

    /// How many rows may be taken now; 0 until a tenth of a second's worth (or one row) has gathered.
    pub fn take(&mut self, rate: u32, now: Timestamp) -> u32 {
        let rate = i64::from(rate.clamp(1, MAX_RATE));
        // The clock was set back: start anew rather than wait until it has caught up.
        if self.used_up_to > now {
            self.used_up_to = now;
        }
        let passed = (now.0.saturating_sub(self.used_up_to.0)).min(1_000);
        let rows = (passed * rate / 1_000).min(i64::from(MAX_STEP));
        if rows < (rate / 10).clamp(1, i64::from(MAX_STEP)) {
            return 0;
        }
        // Only what the rows took, rounded up, so that fractions add up and never to too much.
        let oldest = now.0 - (passed - (rows * 1_000 + rate - 1) / rate).max(0);
        self.used_up_to = Timestamp(oldest);
        u32::try_from(rows).unwrap_or(MAX_STEP)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_has_ended_stays_ended() {
        for (before, wish, after) in [
            (Progress::Running, Wish::Pause, Some(Progress::Paused)),
            (Progress::Paused, Wish::Pause, Some(Progress::Paused)),
            (Progress::Paused, Wish::Resume, Some(Progress::Running)),
            (Progress::Paused, Wish::Cancel, Some(Progress::Canceled)),
            (Progress::Canceled, Wish::Cancel, Some(Progress::Canceled)),
            (Progress::Canceled, Wish::Resume, None),
            (Progress::Completed, Wish::Cancel, None),
        ] {
            assert_eq!(before.after(wish), after, "{before:?} {wish:?}");
        }
    }

    #[test]
    fn a_rate_below_one_row_a_tick_adds_up() {
        let mut allowance = Allowance::starting(Timestamp(0));
        let taken: u32 = (1..=100)
            .map(|tick| allowance.take(3, Timestamp(tick * 100)))
            .sum();
        assert!(
            (29..=30).contains(&taken),
            "three a second for ten seconds: {taken}"
        );
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_stop_it() {
        let mut allowance = Allowance::starting(Timestamp(10_000_000));
        assert_eq!(allowance.take(100, Timestamp(5_000)), 0);
        assert_eq!(allowance.take(100, Timestamp(6_000)), 100);
    }

    proptest! {
        #[test]
        fn it_never_exceeds_its_rate(
            rate in 1u32..=MAX_RATE,
            steps in prop::collection::vec(0i64..2_000, 1..200),
        ) {
            let mut allowance = Allowance::starting(Timestamp(0));
            let (mut now, mut total) = (0_i64, 0_i64);
            for step in steps {
                now += step;
                let taken = allowance.take(rate, Timestamp(now));
                prop_assert!(taken <= rate.min(MAX_STEP));
                total += i64::from(taken);
                // One row is the grain.
                prop_assert!(total <= now * i64::from(rate) / 1_000 + 1, "{} in {} ms", total, now);
            }
        }
    }
}
