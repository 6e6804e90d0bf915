//! Circuits: a destination that does not work is left alone, and asked now and then whether it works
//! again. Pure: told the time, and what attempts say.
//!
//! ```text
//!             ten failures, nothing else between          the pause is over
//!   closed ────────────────────────────────────▶ open ◀─────────────────────▶ probing
//!      ▲                                          │        the probe fails,      │
//!      │                                          │        the pause doubles     │
//!      └──────────────────────────────────────────┴──────────────────────────────┘
//!                     the connection is changed, or the probe is answered
//! ```
//!
//! What an attempt says that was claimed before the last change of state is no news: many are under
//! way at once, and all of them fail together.

use std::collections::HashMap;
use std::time::Duration;

use heddle_core::id::ConnectionId;
use heddle_core::time::Timestamp;

use crate::sign::Sign;

/// So many failures in a row open the circuit. A destination that fails half of all requests for
/// reasons of their own does so by chance once in a thousand times; one that is down has it behind it
/// after the first batch, since a lane has more than that under way at once.
pub const FAILURES: u32 = 10;

/// The pause before the first probe: the schedule's own first wait.
pub const FIRST_PAUSE: Duration = Duration::from_secs(5);

/// The longest pause. It bounds how long a destination that works again goes without its deliveries.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(120);

/// More entries than this, and those that say nothing are thrown away.
const SWEEP_AT: usize = 1024;

/// How a circuit is, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Circuit {
    /// Deliveries go out.
    Closed,
    /// None does before this time; then one, to see.
    Open {
        /// When the next may go.
        next_probe_at: Timestamp,
    },
    /// One is under way, to see.
    Probing,
}

/// What a lane may claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// As much as it bears.
    All,
    /// One delivery.
    Probe,
    /// Only what a person asked for. `until`: when there may be a probe, if none is under way.
    Held {
        /// No longer than until then.
        until: Option<Timestamp>,
    },
}

/// Goes with a claimed delivery, and comes back with its [`Sign`].
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    connection: ConnectionId,
    /// The connection's `updated_at`.
    as_of: Timestamp,
    number: u64,
    probe: bool,
    forced: bool,
}

/// What a sign changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The circuit opened, after so many failures.
    Opened {
        /// In a row.
        failures: u32,
        /// Until the first probe.
        pause: Duration,
    },
    /// A probe failed: it stays open.
    StillOpen {
        /// Until the next probe.
        pause: Duration,
    },
    /// The destination works again.
    Closed,
    /// A probe ended without a word about the destination: there may be another.
    Unclear,
}

/// All circuits that have anything to say. One that is not here is closed.
#[derive(Debug, Default)]
pub struct Circuits {
    entries: HashMap<ConnectionId, Entry>,
    /// Counts claims and changes, so that each knows what was before it.
    number: u64,
    sweep_at: usize,
}

#[derive(Debug)]
struct Entry {
    as_of: Timestamp,
    /// In a row, while closed.
    failures: u32,
    /// The number of its last change of state.
    changed: u64,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    since: Timestamp,
    pause: Duration,
    probes: usize,
}

impl Open {
    /// While its pause lasts. A clock that was set back ends it.
    fn until(&self, now: Timestamp) -> Option<Timestamp> {
        let until = self.since.plus(self.pause);
        (self.since <= now && now < until).then_some(until)
    }
}

impl Circuits {
    /// What may be claimed for a connection that was last changed at `as_of`. A change closes its
    /// circuit: what was wrong may be mended.
    pub fn leave(&mut self, connection: ConnectionId, as_of: Timestamp, now: Timestamp) -> Leave {
        let Some(entry) = self.entries.get(&connection) else {
            return Leave::All;
        };
        if entry.as_of != as_of {
            self.entries.remove(&connection);
            return Leave::All;
        }
        match &entry.open {
            None => Leave::All,
            Some(open) if open.probes > 0 => Leave::Held { until: None },
            Some(open) => match open.until(now) {
                Some(until) => Leave::Held { until: Some(until) },
                None => Leave::Probe,
            },
        }
    }

    /// A delivery was claimed; `forced` if a person asked for it. Through an open circuit it goes as a
    /// probe.
    pub fn claimed(&mut self, connection: ConnectionId, as_of: Timestamp, forced: bool) -> Pass {
        self.number += 1;
        let entry = self.entries.get_mut(&connection);
        let open = entry.and_then(|entry| entry.open.as_mut());
        let probe = open.is_some();
        if let Some(open) = open {
            open.probes += 1;
        }
        Pass {
            connection,
            as_of,
            number: self.number,
            probe,
            forced,
        }
    }

    /// What a claimed delivery says, once.
    pub fn ended(&mut self, pass: &Pass, sign: Sign, now: Timestamp) -> Option<Change> {
        if sign.is_failure() && !self.entries.contains_key(&pass.connection) {
            self.sweep();
            let entry = Entry {
                as_of: pass.as_of,
                failures: 0,
                changed: 0,
                open: None,
            };
            self.entries.insert(pass.connection, entry);
        }
        let entry = self.entries.get_mut(&pass.connection)?;
        if entry.as_of != pass.as_of || pass.number <= entry.changed {
            return None;
        }
        self.number += 1;
        let Some(open) = &mut entry.open else {
            return match sign {
                Sign::None => None,
                Sign::Up | Sign::Throttled { .. } => {
                    entry.failures = 0;
                    if entry.changed == 0 {
                        self.entries.remove(&pass.connection);
                    }
                    None
                }
                Sign::Strained { .. } | Sign::Down => {
                    entry.failures += 1;
                    (entry.failures >= FAILURES).then(|| entry.open(FIRST_PAUSE, now, self.number))
                }
            };
        };
        if !pass.probe {
            return None;
        }
        open.probes = open.probes.saturating_sub(1);
        match sign {
            Sign::None => Some(Change::Unclear),
            Sign::Up | Sign::Throttled { .. } => {
                entry.open = None;
                entry.failures = 0;
                entry.changed = self.number;
                Some(Change::Closed)
            }
            // Somebody who tries again and again does not put off the next probe.
            Sign::Strained { .. } | Sign::Down if pass.forced => Some(Change::Unclear),
            Sign::Strained { .. } | Sign::Down => {
                let pause = (open.pause * 2).min(LONGEST_PAUSE);
                entry.open(pause, now, self.number);
                Some(Change::StillOpen { pause })
            }
        }
    }

    /// How the circuit of a connection is.
    pub fn circuit(&self, connection: ConnectionId, as_of: Timestamp) -> Circuit {
        let entry = self.entries.get(&connection);
        let open = entry
            .filter(|entry| entry.as_of == as_of)
            .and_then(|entry| entry.open.as_ref());
        match open {
            None => Circuit::Closed,
            Some(open) if open.probes > 0 => Circuit::Probing,
            Some(open) => Circuit::Open {
                next_probe_at: open.since.plus(open.pause),
            },
        }
    }

    /// Drops those that are well, whenever their number has doubled.
    fn sweep(&mut self) {
        if self.entries.len() >= self.sweep_at.max(SWEEP_AT) {
            self.entries
                .retain(|_, entry| entry.open.is_some() || entry.failures > 0);
            self.sweep_at = self.entries.len() * 2;
        }
    }
}

impl Entry {
    fn open(&mut self, pause: Duration, now: Timestamp, number: u64) -> Change {
        self.changed = number;
        self.open = Some(Open {
            since: now,
            pause,
            probes: 0,
        });
        Change::Opened {
            failures: self.failures,
            pause,
        }
    }
}

#[cfg(test)]
#[path = "circuit_tests.rs"]
mod tests;
