//! `make bench`: the engine's figures, each beside a reference that is taken in the same run, since
//! a figure alone says more about the machine than about the engine. Load client, receiver and
//! engine share the machine, on loopback. Every run is bounded in time and in events and stops by
//! itself. The table goes to the terminal; it and the raw data go to the results folder.

mod backlog;
mod bulk;
mod client;
mod connections;
mod engine;
mod fair;
mod figures;
mod gauge;
mod history;
mod http;
mod latency;
mod ledger;
mod matching;
mod pages;
mod plain;
mod plot;
mod process;
mod receiver;
mod report;
mod round;
mod sandbox_step;
mod soak;
mod start;
mod stored;
mod template;
mod throughput;
mod trend;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};

use receiver::Receiver;
use report::Report;
use round::{Plan, Round};

/// Measures Heddle against references taken in the same run.
#[derive(Debug, Parser)]
struct Options {
    /// A second or so for each run: to see that it works, not to quote
    #[arg(long)]
    quick: bool,
    /// Only this group; may be given several times
    #[arg(long, value_enum, value_name = "NAME")]
    only: Vec<Group>,
    /// How long `--only soak` lasts; at most a day, since history of a day ends during it
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1440))]
    soak_minutes: u32,
    /// The program to measure [default: heddle beside this program]
    #[arg(long, value_name = "FILE")]
    heddle: Option<PathBuf>,
    /// Where results and data go; on a real disk, or syncs cost nothing
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    folder: PathBuf,
}

/// What can be run alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Group {
    /// One call of an adapter in its sandbox
    Sandbox,
    /// Matching an event in a workspace of many rules
    Match,
    /// Start to ready, and idling
    Start,
    /// Emit to delivery at a steady pace
    Latency,
    /// Fan-out 1 and 10 beside the ceiling, processor time, memory
    Throughput,
    /// Bulk requests of 100 events
    Bulk,
    /// A million deliveries waiting: memory, and starts after kill -9
    Backlog,
    /// Five million deliveries stored: pages of history, cost of a delivery
    History,
    /// From 1 to 10,000 connections: cost of a delivery
    Connections,
    /// One tenant beside others, a dead destination, and limits as a receiver counts them
    Fair,
    /// Moderate load for a long time; only when it is asked for
    Soak,
}

/// What the groups share.
pub struct Bench {
    /// The engine's program.
    program: PathBuf,
    /// Where data and results go.
    folder: PathBuf,
    quick: bool,
    receiver: Receiver,
    report: Report,
}

impl Bench {
    /// How long a run lasts.
    fn lasting(&self) -> Duration {
        Duration::from_secs(if self.quick { 1 } else { 5 })
    }

    /// How often a run is repeated.
    fn laps(&self) -> usize {
        if self.quick { 1 } else { 3 }
    }

    /// Runs a round; what goes wrong in it stands in the report.
    async fn round(&mut self, plan: &Plan<'_>) -> Result<Round> {
        Round::run(plan, &mut self.receiver, &mut self.report).await
    }

    /// Shows that something goes on.
    fn say(&self, text: &str) {
        eprintln!("  {text}");
    }
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("heddle-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the groups; whether nothing was lost, repeated or refused.
fn run(options: &Options) -> Result<bool> {
    std::fs::create_dir_all(&options.folder)
        .with_context(|| format!("making {}", options.folder.display()))?;
    let mut bench = Bench {
        program: program(options.heddle.as_deref())?,
        folder: options.folder.canonicalize()?,
        quick: options.quick,
        receiver: Receiver::start()?,
        report: Report::default(),
    };
    if cfg!(debug_assertions) {
        eprintln!("This is an unoptimised build: its figures mean nothing. Use `make bench`.");
    }
    let machine = report::machine();
    // One thread for the callers and one for the receiver: lean, and the same in every run.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    for group in Group::value_variants() {
        let asked_for = options.only.contains(group);
        if !asked_for && (!options.only.is_empty() || *group == Group::Soak) {
            continue;
        }
        bench.say(&format!("{group:?} …"));
        match group {
            Group::Sandbox => sandbox_step::run(&mut bench),
            Group::Match => matching::run(&mut bench),
            Group::Start => runtime.block_on(start::run(&mut bench)),
            Group::Latency => runtime.block_on(latency::run(&mut bench)),
            Group::Throughput => runtime.block_on(throughput::run(&mut bench)),
            Group::Bulk => runtime.block_on(bulk::run(&mut bench)),
            Group::Backlog => runtime.block_on(backlog::run(&mut bench)),
            Group::History => runtime.block_on(history::run(&mut bench)),
            Group::Connections => runtime.block_on(connections::run(&mut bench)),
            Group::Fair => runtime.block_on(fair::run(&mut bench)),
            Group::Soak => runtime.block_on(soak::run(&mut bench, options.soak_minutes)),
        }
        // One group that cannot run does not take the others' figures with it.
        .unwrap_or_else(|error| bench.report.problem(format!("{group:?}: {error:#}")));
    }
    let clean = bench.report.is_clean();
    println!("{}", bench.report.table());
    let written = bench.report.write(&bench.folder, machine)?;
    println!("Raw data: {}", written.display());
    Ok(clean)
}

/// The program that is measured, as an absolute path: it runs in a folder of its own.
fn program(given: Option<&Path>) -> Result<PathBuf> {
    let path = match given {
        Some(path) => path.to_owned(),
        None => std::env::current_exe()?.with_file_name("heddle"),
    };
    ensure!(
        path.is_file(),
        "there is no {}; `make bench` builds it",
        path.display()
    );
    Ok(path.canonicalize()?)
}
