//! A backlog: a destination takes requests and never answers, while events keep coming, until a
//! million deliveries wait. Then the engine is killed, the destination answers again, and after
//! three such starts everything is delivered, which the ledger has to confirm.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::Bench;
use crate::client;
use crate::engine::{Engine, Home};
use crate::figures::{mib, number, spread};
use crate::ledger::{Ledger, per_second};
use crate::plot::{Curve, svg};
use crate::template::Template;

/// Deliveries that wait when memory is read.
const SIZES: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];
const QUICK: [u64; 3] = [1_000, 5_000, 20_000];

/// Connections, each of which gets every event.
const HOOKS: u32 = 10;

/// Events in a request.
const EVENTS: usize = 100;

/// Few: the requests under way must not be what takes the memory.
const CALLERS: usize = 4;

/// A quick schedule: what a dead destination used up is delivered within the run.
const WAITS: usize = 50;

/// Between the last event and reading the memory.
const SETTLE: Duration = Duration::from_secs(2);

/// Killed so many times.
const KILLS: usize = 3;

/// Between a first delivery and the next kill.
const UNDISTURBED: Duration = Duration::from_secs(1);

/// A first delivery that takes longer has failed.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// Deliveries under way at once (`in_flight`), which a kill may repeat.
const IN_FLIGHT: u64 = 1024;

/// Runs the group.
pub async fn run(bench: &mut Bench) -> Result<()> {
    let outcome = waiting(bench).await;
    bench.receiver.manners().silence(0);
    outcome
}

async fn waiting(bench: &mut Bench) -> Result<()> {
    let sizes: &[u64] = if bench.quick { &QUICK } else { &SIZES };
    let most = *sizes.last().context("there are sizes")?;
    let schedule = format!("0s{}", ",2s".repeat(WAITS - 1));
    let home = Home::new(&bench.program, &bench.folder)?.with("HEDDLE_RETRY_SCHEDULE", schedule);
    // The first start compiles plugins; the second is what the later ones are compared with.
    Engine::start(&home).await?.stop()?;
    let mut engine = Engine::start(&home).await?;
    let idle_start = engine.ready_after.as_secs_f64() * 1000.0;
    let header = engine.workspace("Backlog", &bench.receiver, HOOKS).await?;
    let template = Template::bulk("/api/v1/events/bulk", &header, EVENTS);
    bench.receiver.manners().silence((1 << HOOKS) - 1);
    let events = usize::try_from(most / u64::from(HOOKS))?;
    let ledger = bench.receiver.open(events, HOOKS);
    let began = ledger.micros();

    let mut curve = Vec::new();
    for size in sizes {
        ledger.allow(size / u64::from(HOOKS));
        let started = Instant::now();
        let seen = client::press(engine.address, CALLERS, &template, &ledger, LONGEST_FILL).await?;
        ensure!(seen.refused.is_empty(), "events were refused: {:?}", seen.refused);
        let took = started.elapsed();
        tokio::time::sleep(SETTLE).await;
        let memory = engine.memory()?;
        bench.say(&format!(
            "{} waiting: {} MiB resident, {} MiB at most, {} MiB on disk, filled in {} s",
            number(*size as f64),
            mib(memory.resident),
            mib(memory.peak),
            number(home.size() as f64 / 1024.0 / 1024.0),
            number(took.as_secs_f64())
        ));
        curve.push((*size, memory, home.size()));
    }
    let (starts, firsts, mut engine) = kills(bench, &home, engine, &ledger).await?;
    let drained = drain(bench, &mut engine, &ledger).await?;
    let memory = engine.memory()?;
    engine.stop()?;

    let account = ledger.account(began);
    let may_repeat = IN_FLIGHT * KILLS as u64;
    if account.missing + account.unaccepted > 0 {
        bench.report.problem(format!(
            "backlog: {} deliveries did not arrive, and {} events were not accepted that did",
            account.missing, account.unaccepted
        ));
    }
    if account.repeated > may_repeat {
        bench.report.problem(format!(
            "backlog: {} deliveries arrived again, where {KILLS} kills explain {may_repeat}",
            account.repeated
        ));
    }

    let (smallest, largest) = (curve[0].1, curve[curve.len() - 1].1);
    bench.report.row(
        &format!(
            "{} deliveries waiting: memory of the process",
            number(most as f64)
        ),
        format!("{} MiB, {} MiB at most", mib(largest.resident), mib(largest.peak)),
        format!(
            "{} MiB with {} waiting",
            mib(smallest.resident),
            number(sizes[0] as f64)
        ),
        Some(largest.resident as f64 / smallest.resident as f64),
        "< 256 MiB, flat",
    );
    let (ready, first) = (spread(&starts), spread(&firsts));
    bench.report.row(
        "start after kill -9 with that backlog: ready",
        format!("{ready} ms"),
        format!("{} ms with nothing waiting", number(idle_start)),
        Some(ready.median / idle_start),
        "–",
    );
    bench.report.row(
        "start after kill -9 with that backlog: first delivery",
        format!("{first} ms"),
        format!("{} ms with nothing waiting, to ready", number(idle_start)),
        Some(first.median / idle_start),
        "< 2 s",
    );
    bench.report.row(
        &format!("that backlog delivered, after {KILLS} kills"),
        format!(
            "{}/s, {} s of processor for 10,000, {} MiB at most",
            number(drained.rate),
            number(drained.cpu_for_10_000),
            mib(memory.peak)
        ),
        format!(
            "{} arrived again; kills explain {}",
            number(account.repeated as f64),
            number(may_repeat as f64)
        ),
        None,
        "all of it",
    );
    let points = |of: fn(&(u64, crate::process::Memory, u64)) -> f64| {
        curve.iter().map(|point| (point.0 as f64, of(point))).collect()
    };
    let drawn = svg(
        &[
            Curve {
                title: "resident memory, MiB".into(),
                points: points(|point| point.1.resident as f64 / 1024.0),
            },
            Curve {
                title: "database, MiB".into(),
                points: points(|point| point.2 as f64 / 1024.0 / 1024.0),
            },
        ],
        "deliveries waiting",
        true,
    );
    bench.report.drawing("backlog", drawn);
    let curve: Vec<Value> = curve
        .iter()
        .map(|(size, memory, bytes)| {
            json!({"waiting": size, "resident_kib": memory.resident, "peak_kib": memory.peak, "database_bytes": bytes})
        })
        .collect();
    bench.report.raw(
        "backlog",
        json!({"curve": curve, "idle_start_ms": idle_start, "ready_ms": starts, "first_delivery_ms": firsts,
            "drain": {"per_second": drained.rate, "cpu_for_10_000": drained.cpu_for_10_000, "seconds": drained.seconds},
            "peak_kib_after": memory.peak, "receiver": account.raw()}),
    );
    Ok(())
}

/// Filling that takes longer is given up.
const LONGEST_FILL: Duration = Duration::from_secs(1_200);

/// Kills the engine and starts it again, some times. In milliseconds from the program's start: until
/// it was ready, and until the receiver saw a delivery.
async fn kills<'a>(
    bench: &Bench,
    home: &'a Home,
    engine: Engine<'a>,
    ledger: &Ledger,
) -> Result<(Vec<f64>, Vec<f64>, Engine<'a>)> {
    let (mut starts, mut firsts, mut engine) = (Vec::new(), Vec::new(), engine);
    for _ in 0..KILLS {
        engine.kill()?;
        bench.receiver.manners().silence(0);
        ledger.watch();
        let (started, waited) = (ledger.micros(), Instant::now());
        engine = Engine::start(home).await?;
        let seen = loop {
            if let Some(seen) = ledger.seen() {
                break seen;
            }
            ensure!(
                waited.elapsed() < LONGEST_WAIT,
                "nothing was delivered after a start"
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        starts.push(engine.ready_after.as_secs_f64() * 1000.0);
        firsts.push((seen - started) as f64 / 1000.0);
        bench.say(&format!(
            "after kill -9: ready in {} ms, first delivery in {} ms",
            number(starts[starts.len() - 1]),
            number(firsts[firsts.len() - 1])
        ));
        tokio::time::sleep(UNDISTURBED).await;
    }
    Ok((starts, firsts, engine))
}

struct Drained {
    rate: f64,
    cpu_for_10_000: f64,
    seconds: f64,
}

/// Waits until everything is delivered, for as long as it goes on.
async fn drain(bench: &Bench, engine: &mut Engine<'_>, ledger: &Ledger) -> Result<Drained> {
    let (started, cpu, before) = (Instant::now(), engine.cpu_seconds()?, ledger.delivered());
    let mut last = before;
    while !ledger.is_complete() {
        client::drain(ledger, Duration::from_secs(30)).await;
        let now = ledger.delivered();
        // What stands still for so long does not come any more; the account says what is missing.
        if now == last {
            break;
        }
        last = now;
        bench.say(&format!("{} delivered", number(now as f64)));
    }
    let took = started.elapsed();
    let count = ledger.delivered() - before;
    Ok(Drained {
        rate: per_second(count, took),
        cpu_for_10_000: (engine.cpu_seconds()? - cpu) * 10_000.0 / (count.max(1)) as f64,
        seconds: took.as_secs_f64(),
    })
}
