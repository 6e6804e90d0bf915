//! The delivery's state machine. A delivery is one event × one rule; these functions are the only
//! place where its state is decided.
//!
//! ```text
//!                 claim                    delivered
//!   pending ────────────────▶ processing ────────────▶ completed
//!      │                       ▲      │  permanent, or attempts used up
//!      │                 claim │      ├──────────────────────────────▶ failed
//!      │                       │      │ worth another try
//!      │                    retrying ◀┘
//!      │ cancel                │ cancel
//!      └───────────▶ canceled ◀┘          (cancel while processing: the request finishes; a
//!                                          failure then ends in canceled)
//!   replay: completed, failed, canceled ──▶ pending, a fresh run of attempts
//! ```
//!
//! A delivery with an ordering key stands in a line besides: [`Turn`]. One that waits for its turn is
//! `pending` (or, after an end and a replay, is so again) and is not claimed; one that failed may hold its
//! line, and only then is a failed one still to be canceled.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ordering::{OnFailure, Turn};
use crate::outcome::{Outcome, OutcomeCode, Verdict};
use crate::retry::{MAX_DELAY, MAX_THROTTLED, Schedule, with_jitter};
use crate::time::Timestamp;

/// The contract's status words, for deliveries and for events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Not tried yet in this run.
    Pending,
    /// Claimed: an attempt is under way.
    Processing,
    /// An attempt failed; another one is due.
    Retrying,
    /// Delivered.
    Completed,
    /// Given up.
    Failed,
    /// Called off.
    Canceled,
}

impl Status {
    /// All of them, in the contract's order.
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::Processing,
        Self::Retrying,
        Self::Completed,
        Self::Failed,
        Self::Canceled,
    ];

    /// The word in SQL and in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Retrying => "retrying",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    /// Back from [`Self::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Whether nothing more happens unless somebody replays it.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Canceled)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the machine knows of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// Where it stands.
    pub status: Status,
    /// When the next attempt is due; only `pending` and `retrying` have one.
    pub due_at: Option<Timestamp>,
    /// When the claim lapses; only `processing` has one.
    pub leased_until: Option<Timestamp>,
    /// Attempts over the delivery's whole life, replays included.
    pub attempt_count: u32,
    /// Attempts of this run that used up the schedule.
    pub run_attempts: u32,
    /// Attempts of this run that the destination throttled.
    pub run_throttled: u32,
    /// A cancel came while the attempt was under way.
    pub cancel_requested: bool,
    /// The next attempt goes out even though its connection is inactive: a person asked for it.
    pub forced: bool,
    /// Where it stands in the line of its ordering key.
    pub turn: Turn,
}

/// A step that the machine does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a delivery that is {from} cannot be {to}")]
pub struct Illegal {
    /// Where it stands.
    pub from: Status,
    /// What was asked.
    pub to: &'static str,
}

/// Why an asked-for attempt was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RetryRefused {
    /// The contract's 425.
    #[error("an attempt is under way")]
    InFlight,
    /// The contract's 425.
    #[error("the next attempt is due within two seconds")]
    Imminent,
    /// Another delivery of its ordering key comes first.
    #[error("it waits for an earlier delivery of its ordering key")]
    NotItsTurn,
}

/// An asked-for attempt is refused when one is due within this time anyway, in milliseconds.
pub const IMMINENT_MS: i64 = 2_000;

impl State {
    /// A delivery as it is when its event is accepted.
    pub fn new(accepted_at: Timestamp, schedule: &Schedule, seed: u64) -> Self {
        let wait = schedule.wait_after(0).unwrap_or_default();
        Self {
            status: Status::Pending,
            due_at: Some(accepted_at.plus(with_jitter(wait, seed))),
            leased_until: None,
            attempt_count: 0,
            run_attempts: 0,
            run_throttled: 0,
            cancel_requested: false,
            forced: false,
            turn: Turn::Free,
        }
    }

    /// Stands it into the line of its key, where others may come first. For one that waits to be tried.
    pub fn in_line(self, others_first: bool) -> Self {
        let turn = if others_first { Turn::Waits } else { Turn::Taken };
        Self { turn, ..self }
    }

    /// Gives it its turn: nobody else of its line comes first any more.
    pub fn released(self) -> Result<Self, Illegal> {
        match self.turn {
            Turn::Waits => Ok(Self {
                turn: Turn::Taken,
                ..self
            }),
            _ => Err(Illegal {
                from: self.status,
                to: "released from its line",
            }),
        }
    }

    /// What its end means to those behind it in its line: one that has failed holds them, if its rule
    /// says so.
    pub fn ended_in_line(self, on_failure: OnFailure) -> Self {
        match (self.status, on_failure) {
            (Status::Failed, OnFailure::Hold) => Self {
                turn: Turn::Holds,
                ..self
            },
            _ => self,
        }
    }

    /// Lets those behind it go on, though it has failed.
    pub fn let_go(self) -> Self {
        match self.turn {
            Turn::Holds => Self {
                turn: Turn::Free,
                ..self
            },
            _ => self,
        }
    }

    /// Takes it for an attempt, until `leased_until`.
    pub fn claim(self, leased_until: Timestamp) -> Result<Self, Illegal> {
        if self.turn == Turn::Waits {
            return Err(Illegal {
                from: self.status,
                to: "claimed before its turn",
            });
        }
        match self.status {
            Status::Pending | Status::Retrying => Ok(Self {
                status: Status::Processing,
                due_at: None,
                leased_until: Some(leased_until),
                attempt_count: self.attempt_count.saturating_add(1),
                ..self
            }),
            from => Err(Illegal { from, to: "claimed" }),
        }
    }

    /// Ends the attempt under way. `seed` draws the jitter.
    pub fn settle(
        self,
        outcome: &Outcome,
        now: Timestamp,
        schedule: &Schedule,
        seed: u64,
    ) -> Result<Self, Illegal> {
        if self.status != Status::Processing {
            return Err(Illegal {
                from: self.status,
                to: "settled",
            });
        }
        let mut next = Self {
            leased_until: None,
            due_at: None,
            forced: false,
            ..self
        };
        let retry_at = match outcome.verdict {
            Verdict::Delivered => {
                next.status = Status::Completed;
                next.cancel_requested = false;
                next.turn = Turn::Free;
                return Ok(next);
            }
            Verdict::Permanent => {
                next.run_attempts = next.run_attempts.saturating_add(1);
                None
            }
            Verdict::Throttled { retry_after } if next.run_throttled < MAX_THROTTLED => {
                next.run_throttled += 1;
                let scheduled = || schedule.wait_after(1).unwrap_or_default();
                let wait = retry_after.map_or_else(scheduled, obeyed);
                Some(now.plus(with_jitter(wait, seed)))
            }
            // No jitter: everybody who waits was told a time of his own.
            Verdict::Paced { wait } => Some(now.plus(obeyed(wait))),
            Verdict::Throttled { retry_after } => {
                next.next_on_schedule(retry_after, None, now, schedule, seed)
            }
            Verdict::Retry {
                retry_after,
                max_attempts,
            } => next.next_on_schedule(retry_after, max_attempts, now, schedule, seed),
        };
        (next.status, next.due_at) = match retry_at {
            None => (Status::Failed, None),
            Some(_) if self.cancel_requested => (Status::Canceled, None),
            Some(due_at) => (Status::Retrying, Some(due_at)),
        };
        if next.status.is_final() {
            next.turn = Turn::Free;
        }
        // Somebody asked for an attempt, and there was none yet.
        next.forced = self.forced
            && next.status == Status::Retrying
            && matches!(outcome.verdict, Verdict::Paced { .. });
        next.cancel_requested = false;
        Ok(next)
    }

    /// Counts a failed attempt and says when the next one is due, if one is left.
    fn next_on_schedule(
        &mut self,
        retry_after: Option<Duration>,
        max_attempts: Option<u32>,
        now: Timestamp,
        schedule: &Schedule,
        seed: u64,
    ) -> Option<Timestamp> {
        self.run_attempts = self.run_attempts.saturating_add(1);
        if max_attempts.is_some_and(|most| self.run_attempts >= most) {
            return None;
        }
        let scheduled = schedule.wait_after(self.run_attempts)?;
        Some(now.plus(with_jitter(retry_after.map_or(scheduled, obeyed), seed)))
    }

    /// Gives back a claim whose holder is gone, to be tried at once. The attempt that was under way
    /// does not use up the schedule, since the destination may never have seen it; but it counts like
    /// a throttled one, so that a delivery that kills its process every time comes to an end. Returns
    /// what to record of it.
    pub fn expire(self, now: Timestamp, schedule: &Schedule, seed: u64) -> Result<(Self, Outcome), Illegal> {
        let outcome = Outcome {
            verdict: Verdict::Throttled {
                retry_after: Some(Duration::ZERO),
            },
            ..Outcome::retry(
                OutcomeCode::InternalError,
                "Heddle stopped during this attempt; whether the destination received it is unknown.",
            )
        };
        Ok((self.settle(&outcome, now, schedule, seed)?, outcome))
    }

    /// The same after the clock was set back by so much, to `now`: what lies ahead comes as much earlier,
    /// so that nobody waits until the old time comes again.
    pub fn set_back(self, by: Duration, now: Timestamp) -> Self {
        let moved = |at: Timestamp| if at > now { at.minus(by).max(now) } else { at };
        Self {
            due_at: self.due_at.map(moved),
            leased_until: self.leased_until.map(moved),
            ..self
        }
    }

    /// Calls it off. What is under way finishes; nothing more is scheduled. One that has failed and holds
    /// its line is given up by this.
    pub fn cancel(self) -> Result<Self, Illegal> {
        match self.status {
            Status::Pending | Status::Retrying => Ok(Self {
                status: Status::Canceled,
                due_at: None,
                forced: false,
                turn: Turn::Free,
                ..self
            }),
            Status::Failed if self.turn == Turn::Holds => Ok(Self {
                status: Status::Canceled,
                turn: Turn::Free,
                ..self
            }),
            Status::Processing => Ok(Self {
                cancel_requested: true,
                ..self
            }),
            from => Err(Illegal { from, to: "canceled" }),
        }
    }

    /// Somebody asks for an attempt: a waiting delivery is due now, a final one starts a fresh run.
    pub fn retry_now(self, now: Timestamp) -> Result<Self, RetryRefused> {
        match self.status {
            _ if self.turn == Turn::Waits => Err(RetryRefused::NotItsTurn),
            Status::Processing => Err(RetryRefused::InFlight),
            Status::Pending | Status::Retrying => match self.due_at {
                // One that waits for its inactive connection is due but will not go out by itself.
                Some(due_at) if due_at > now && due_at.0.saturating_sub(now.0) <= IMMINENT_MS => {
                    Err(RetryRefused::Imminent)
                }
                _ => Ok(Self {
                    due_at: Some(now),
                    forced: true,
                    ..self
                }),
            },
            Status::Completed | Status::Failed | Status::Canceled => Ok(Self {
                forced: true,
                ..self.fresh_run(now)
            }),
        }
    }

    /// One of many that are replayed: what has ended starts a fresh run. Unlike one that a person asks
    /// for, it waits for a connection that is inactive.
    pub fn replay(self, now: Timestamp) -> Result<Self, Illegal> {
        if self.status.is_final() {
            Ok(self.fresh_run(now))
        } else {
            Err(Illegal {
                from: self.status,
                to: "replayed",
            })
        }
    }

    fn fresh_run(self, now: Timestamp) -> Self {
        Self {
            status: Status::Pending,
            due_at: Some(now),
            run_attempts: 0,
            run_throttled: 0,
            cancel_requested: false,
            forced: false,
            // Whether others of its line come first now, is not known here: see `in_line`.
            turn: Turn::Free,
            ..self
        }
    }
}

/// A destination is obeyed up to a day: it must not be able to park its deliveries for years.
fn obeyed(retry_after: Duration) -> Duration {
    retry_after.min(MAX_DELAY)
}

/// An event's status from the counts of its deliveries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Tally {
    pub pending: u32,
    pub processing: u32,
    pub retrying: u32,
    pub completed: u32,
    pub failed: u32,
    pub canceled: u32,
}

impl Tally {
    /// The contract's `status` of the event. One that matched no rule is completed.
    pub fn status(&self) -> Status {
        let open = self.pending + self.processing + self.retrying;
        if open > 0 {
            return match self {
                Self { processing: 1.., .. } => Status::Processing,
                Self { retrying: 1.., .. } => Status::Retrying,
                Self {
                    completed: 0,
                    failed: 0,
                    canceled: 0,
                    ..
                } => Status::Pending,
                _ => Status::Processing,
            };
        }
        match self {
            Self { failed: 1.., .. } => Status::Failed,
            Self {
                completed: 0,
                canceled: 1..,
                ..
            } => Status::Canceled,
            _ => Status::Completed,
        }
    }

    /// The counter of one status.
    pub fn count_mut(&mut self, status: Status) -> &mut u32 {
        match status {
            Status::Pending => &mut self.pending,
            Status::Processing => &mut self.processing,
            Status::Retrying => &mut self.retrying,
            Status::Completed => &mut self.completed,
            Status::Failed => &mut self.failed,
            Status::Canceled => &mut self.canceled,
        }
    }
}

#[cfg(test)]
#[path = "delivery_tests.rs"]
mod tests;
