//! One run of the load client with its books: what the callers saw, what the receiver saw, and the
//! processor time that it took on either side.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use crate::client::{self, Seen};
use crate::engine::Engine;
use crate::ledger::{Account, latency_raw, per_second};
use crate::receiver::Receiver;
use crate::report::Report;
use crate::template::Template;
use crate::{plain, process};

/// The callers of every run, as in the figures of peers.
pub const CALLERS: usize = 64;

/// What is delivered no later than this after the last emission counts as delivered.
const DRAIN: Duration = Duration::from_secs(120);

/// How the load comes.
#[derive(Clone, Copy, Debug)]
pub enum Load {
    /// Every caller emits as soon as its last answer came.
    Pressed,
    /// So many requests a second, whether or not answers come.
    Paced(u32),
}

/// Where the load goes.
#[derive(Clone, Copy)]
pub enum Target<'a> {
    /// Straight at the receiver: the ceiling.
    Receiver,
    /// Straight at the receiver too, by the HTTP client that applications use.
    Plain,
    /// Through the engine.
    Engine(&'a Engine<'a>),
}

/// A round to run.
#[derive(Clone, Copy)]
pub struct Plan<'a> {
    /// What it is called in the raw data and in problems.
    pub name: &'a str,
    /// Where the load goes.
    pub target: Target<'a>,
    /// What is posted.
    pub template: &'a Template,
    /// How many hooks of the receiver each event is to reach.
    pub hooks: u32,
    /// The most events that are emitted.
    pub capacity: usize,
    /// How the load comes.
    pub load: Load,
    /// For how long.
    pub lasting: Duration,
}

impl<'a> Plan<'a> {
    /// The reference of this plan: the same load for half the time, straight at the receiver.
    pub fn straight(&self, template: &'a Template) -> Self {
        let lasting = self.lasting / 2;
        Self {
            name: "straight",
            target: Target::Receiver,
            template,
            hooks: 1,
            lasting,
            ..*self
        }
    }
}

/// What a round came to.
pub struct Round {
    /// The callers' side.
    pub seen: Seen,
    /// The receiver's side.
    pub account: Account,
    /// Processor seconds of the engine.
    pub engine_cpu: f64,
    /// Processor seconds of load client and receiver.
    pub own_cpu: f64,
}

impl Round {
    /// Runs the round to its end, its deliveries included, and reports what went wrong in it.
    pub async fn run(plan: &Plan<'_>, receiver: &mut Receiver, report: &mut Report) -> Result<Self> {
        let engine_cpu = || match plan.target {
            Target::Engine(engine) => engine.cpu_seconds(),
            Target::Receiver | Target::Plain => Ok(0.0),
        };
        let address: SocketAddr = match plan.target {
            Target::Engine(engine) => engine.address,
            Target::Receiver | Target::Plain => receiver.address,
        };
        let ledger = receiver.open(plan.capacity, plan.hooks);
        let (engine_before, own_before, started) =
            (engine_cpu()?, process::cpu_seconds("self")?, ledger.micros());
        let seen = match plan.load {
            Load::Pressed if matches!(plan.target, Target::Plain) => {
                plain::press(address, CALLERS, plan.template, &ledger, plan.lasting).await?
            }
            Load::Pressed => client::press(address, CALLERS, plan.template, &ledger, plan.lasting).await?,
            Load::Paced(rate) => {
                client::pace(address, CALLERS, plan.template, &ledger, rate, plan.lasting).await?
            }
        };
        client::drain(&ledger, DRAIN).await;
        let round = Self {
            seen,
            engine_cpu: engine_cpu()? - engine_before,
            own_cpu: process::cpu_seconds("self")? - own_before,
            account: ledger.account(started),
        };
        round.check(plan, report);
        Ok(round)
    }

    /// Engine processor seconds for 10,000 deliveries.
    pub fn engine_cpu_for_10_000(&self) -> f64 {
        for_10_000(self.engine_cpu, self.account.delivered)
    }

    /// Load client's and receiver's processor seconds for 10,000 deliveries.
    pub fn own_cpu_for_10_000(&self) -> f64 {
        for_10_000(self.own_cpu, self.account.delivered)
    }

    /// Events accepted a second while they were emitted.
    pub fn accepted_per_second(&self) -> f64 {
        per_second(self.account.accepted, self.seen.took)
    }

    /// The raw figures.
    pub fn raw(&self) -> Value {
        json!({
            "receiver": self.account.raw(),
            "answers_us": latency_raw(&self.seen.answers),
            "refused": self.seen.refused.iter().map(|(status, count)| (status.to_string(), *count)).collect::<std::collections::BTreeMap<_, _>>(),
            "emitting_seconds": self.seen.took.as_secs_f64(),
            "accepted_per_second": self.accepted_per_second(),
            "pacer_late_us": self.seen.pacer_late_us,
            "engine_cpu_seconds": self.engine_cpu,
            "own_cpu_seconds": self.own_cpu,
        })
    }

    fn check(&self, plan: &Plan<'_>, report: &mut Report) {
        let name = plan.name;
        let account = &self.account;
        if account.accepted == 0 {
            report.problem(format!("{name}: no event was accepted"));
        }
        if account.missing > 0 {
            report.problem(format!(
                "{name}: {} of {} deliveries did not arrive within {} s after the last emission",
                account.missing,
                account.accepted * u64::from(plan.hooks),
                DRAIN.as_secs()
            ));
        }
        if account.repeated > 0 {
            report.problem(format!(
                "{name}: {} deliveries arrived again although nothing failed",
                account.repeated
            ));
        }
        if account.unaccepted > 0 {
            report.problem(format!(
                "{name}: {} events were delivered but not accepted",
                account.unaccepted
            ));
        }
        for (status, count) in &self.seen.refused {
            report.problem(format!("{name}: {count} requests were answered {status}"));
        }
        if matches!(plan.target, Target::Engine(_)) && account.unsigned > 0 {
            report.problem(format!("{name}: {} deliveries were not signed", account.unsigned));
        }
    }
}
fn for_10_000(seconds: f64, deliveries: u64) -> f64 {
    if deliveries == 0 {
        0.0
    } else {
        seconds * 10_000.0 / deliveries as f64
    }
}
