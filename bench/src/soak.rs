//! Moderate load for a long time, with failures, retries, retention and the return of space to the
//! disk: whether memory, descriptors, database and latency stay where they are. The database begins
//! with history that is a day old and comes to its end during the run as fast as new history is
//! made, so that its size is to stay, too.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::Bench;
use crate::client;
use crate::engine::{Engine, Home};
use crate::figures::{Samples, mib, number};
use crate::ledger::{Ledger, latency_raw};
use crate::plot::{Curve, svg};
use crate::round::{Load, Plan, Target};
use crate::stored::{Pattern, census};
use crate::template::Template;
use crate::trend::growth;

/// Events a second, each to so many hooks.
const RATE: u32 = 300;
const HOOKS: u32 = 2;
const CALLERS: usize = 16;

/// One event in so many is refused when it comes first.
const REFUSED_EVERY: u32 = 40;

/// Events of the pattern from which the old history is made.
const PATTERN: usize = 1_000;

/// Kept for so long (`retention_event_days`).
const KEPT: Duration = Duration::from_secs(24 * 3_600);

/// Until the last retries are through.
const DRAIN: Duration = Duration::from_secs(60);

/// What is still flat: a share of the mean, over the second half.
const FLAT: f64 = 0.05;

/// Latencies of single intervals are told by chance.
const FLAT_LATENCY: f64 = 0.25;

/// What was seen at one time.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: f64,
    resident_mib: f64,
    descriptors: f64,
    database_mib: f64,
    wal_mib: f64,
    p50_ms: f64,
    p99_ms: f64,
    /// Processor seconds of the engine a second.
    cores: f64,
    delivered: u64,
}

/// A measure that is to stay flat: its title, where it is in a sample, and how flat.
type Measure = (&'static str, fn(&Sample) -> f64, Option<f64>);

const MEASURES: [Measure; 7] = [
    ("memory, MiB", |sample| sample.resident_mib, Some(FLAT)),
    ("descriptors", |sample| sample.descriptors, Some(FLAT)),
    ("database, MiB", |sample| sample.database_mib, Some(FLAT)),
    ("write-ahead log, MiB", |sample| sample.wal_mib, None),
    ("p50, ms", |sample| sample.p50_ms, Some(FLAT_LATENCY)),
    ("p99, ms", |sample| sample.p99_ms, Some(FLAT_LATENCY)),
    ("processor, cores", |sample| sample.cores, Some(FLAT_LATENCY)),
];

/// Runs the group for so many minutes.
pub async fn run(bench: &mut Bench, minutes: u32) -> Result<()> {
    let (lasting, every) = if bench.quick {
        (Duration::from_secs(10), Duration::from_secs(1))
    } else {
        (
            Duration::from_secs(60 * u64::from(minutes)),
            Duration::from_secs(10),
        )
    };
    let outcome = soaked(bench, lasting, every).await;
    bench.receiver.manners().refuse(0, false);
    outcome
}

async fn soaked(bench: &mut Bench, lasting: Duration, every: Duration) -> Result<()> {
    let home = Home::new(&bench.program, &bench.folder)?
        .with("HEDDLE_RETRY_SCHEDULE", "0s,1s,5s,30s")
        .with("HEDDLE_RETENTION_EVENT_DAYS", "1");
    let mut engine = Engine::start(&home).await?;
    let header = engine.workspace("Soak", &bench.receiver, HOOKS).await?;
    let template = Template::event("/api/v1/events", &header);
    bench.receiver.manners().refuse(REFUSED_EVERY, false);
    let before = census(&home.database())?;
    bench
        .round(&Plan {
            name: "soak: the pattern",
            target: Target::Engine(&engine),
            template: &template,
            hooks: HOOKS,
            capacity: PATTERN,
            load: Load::Pressed,
            lasting: Duration::from_secs(60),
        })
        .await?;
    engine.stop()?;
    let pattern = Pattern::keep(&home.database(), &before)?;
    let old = u64::from(RATE * HOOKS) * lasting.as_secs();
    let old = pattern.fill(old, lasting, KEPT - lasting, |_| ())?;
    bench.say(&format!("{} deliveries of yesterday stored", number(old as f64)));

    let engine = Engine::start(&home).await?;
    let events = usize::try_from(u64::from(RATE) * (lasting.as_secs() + 1))?;
    let ledger = bench.receiver.open(events, HOOKS);
    let began = ledger.micros();
    let (seen, samples) = tokio::try_join!(
        client::pace(engine.address, CALLERS, &template, &ledger, RATE, lasting),
        sample(bench, &home, &engine, &ledger, lasting, every)
    )?;
    client::drain(&ledger, DRAIN).await;
    let memory = engine.memory()?;
    engine.stop()?;
    let (samples, latencies) = samples;
    let account = ledger.account(began);
    if account.missing + account.repeated + account.unaccepted > 0 || !seen.refused.is_empty() {
        bench.report.problem(format!(
            "soak: {} deliveries did not arrive, {} arrived again, {} events were not accepted; refused {:?}",
            account.missing, account.repeated, account.unaccepted, seen.refused
        ));
    }
    for (title, of, flat) in MEASURES {
        row(bench, lasting, &samples, (title, of, flat));
    }
    let latencies = Samples::new(latencies);
    bench.report.row(
        &format!("soak of {} s: every event delivered", lasting.as_secs()),
        format!(
            "{} events, {} deliveries, p50 {} ms, p99 {} ms",
            number(account.accepted as f64),
            number(account.delivered as f64),
            number(latencies.thousandths(50.0)),
            number(latencies.thousandths(99.0))
        ),
        format!(
            "{} refused at first, {} arrived again, {} MiB at most",
            number(ledger.refused() as f64),
            account.repeated,
            mib(memory.peak)
        ),
        None,
        "all of it",
    );
    let curves: Vec<Curve> = MEASURES
        .iter()
        .map(|(title, of, _)| Curve {
            title: (*title).to_owned(),
            points: curve(&samples, *of),
        })
        .collect();
    bench.report.drawing("soak", svg(&curves, "seconds", false));
    let raw: Vec<Value> = samples
        .iter()
        .map(|sample| {
            json!({"at": sample.at, "resident_mib": sample.resident_mib, "descriptors": sample.descriptors,
                "database_mib": sample.database_mib, "wal_mib": sample.wal_mib, "p50_ms": sample.p50_ms,
                "p99_ms": sample.p99_ms, "cores": sample.cores, "delivered": sample.delivered})
        })
        .collect();
    bench.report.raw(
        "soak",
        json!({"samples": raw, "latency_us": latency_raw(&latencies), "receiver": account.raw(), "yesterday": old}),
    );
    Ok(())
}

fn row(bench: &mut Bench, lasting: Duration, samples: &[Sample], (title, of, flat): Measure) {
    let points = curve(samples, of);
    let half = &points[points.len() / 2..];
    let Some(last) = half.last() else { return };
    let mean = half.iter().map(|point| point.1).sum::<f64>() / half.len() as f64;
    let grown = growth(&points);
    let verdict = match flat {
        None => "",
        Some(limit) if grown.abs() <= limit => ": flat",
        Some(_) if grown < 0.0 => ": shrinks",
        Some(_) => ": NOT flat",
    };
    let goal = match flat {
        None => "–",
        Some(limit) if limit > FLAT => "flat within 25 %",
        Some(_) => "flat within 5 %",
    };
    bench.report.row(
        &format!(
            "soak of {} s, {RATE} events/s to {HOOKS} connections: {title}",
            lasting.as_secs()
        ),
        format!(
            "{} at the end; {:+.1} % over the second half{verdict}",
            number(last.1),
            grown * 100.0
        ),
        format!("{} on average over it", number(mean)),
        Some(last.1 / mean),
        goal,
    );
}

fn curve(samples: &[Sample], of: fn(&Sample) -> f64) -> Vec<(f64, f64)> {
    samples.iter().map(|sample| (sample.at, of(sample))).collect()
}

/// Looks at the engine every so often, and gathers all latencies.
async fn sample(
    bench: &Bench,
    home: &Home,
    engine: &Engine<'_>,
    ledger: &Ledger,
    lasting: Duration,
    every: Duration,
) -> Result<(Vec<Sample>, Vec<u32>)> {
    let (started, mut cpu) = (Instant::now(), engine.cpu_seconds()?);
    let (mut samples, mut all, mut last) = (Vec::new(), Vec::new(), 0.0);
    let bytes = |name: &str| home.file(name) as f64 / 1024.0 / 1024.0;
    let rounds = lasting.as_secs() / every.as_secs().max(1);
    for round in 1..=u32::try_from(rounds).context("too long")? {
        let next = started + every * round;
        tokio::time::sleep(next.saturating_duration_since(Instant::now())).await;
        let latencies = ledger.take_latencies();
        all.extend_from_slice(&latencies);
        let latencies = Samples::new(latencies);
        let (now, used) = (started.elapsed().as_secs_f64(), engine.cpu_seconds()?);
        let seen = Sample {
            at: now,
            resident_mib: engine.memory()?.resident as f64 / 1024.0,
            descriptors: engine.descriptors()? as f64,
            database_mib: bytes("heddle.db"),
            wal_mib: bytes("heddle.db-wal"),
            p50_ms: latencies.thousandths(50.0),
            p99_ms: latencies.thousandths(99.0),
            cores: (used - cpu) / (now - last),
            delivered: ledger.delivered(),
        };
        (cpu, last) = (used, now);
        if round % 6 == 0 {
            bench.say(&format!(
                "{:.0} s: {} MiB, {} descriptors, database {} MiB, p50 {} ms, p99 {} ms",
                seen.at,
                number(seen.resident_mib),
                number(seen.descriptors),
                number(seen.database_mib),
                number(seen.p50_ms),
                number(seen.p99_ms)
            ));
        }
        samples.push(seen);
    }
    Ok((samples, all))
}
