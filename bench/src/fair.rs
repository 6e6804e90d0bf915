//! Whether one tenant can hurt another: three workspaces emit a little, alone and then beside a
//! fourth that emits a hundred times as much, half of it to a destination that never answers. And
//! whether stated limits hold under load, as a receiver counts it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::Bench;
use crate::client::{self, Seen};
use crate::engine::{Engine, Home, Workspace};
use crate::figures::{Samples, number};
use crate::gauge::most_within;
use crate::ledger::{Account, Ledger, latency_raw};
use crate::receiver::ELSEWHERE;
use crate::template::{EVENT_NAME, Template};

/// Events a second of each quiet workspace, and of the loud one.
const QUIET: u32 = 10;
const LOUD: u32 = 100 * QUIET;

const QUIET_WORKSPACES: usize = 3;

/// Callers of a quiet workspace, and of the loud one.
const FEW: usize = 4;
const MANY: usize = 64;

/// The hook that never answers.
const DEAD: u32 = 1;

/// From the loud workspace's first event to the first one beside it: the dead destination has all
/// that it gets by then.
const AHEAD: Duration = Duration::from_secs(3);

/// Until everything is delivered after the dead destination answers again: a circuit that is open
/// then may be asked only after two minutes.
const REVIVAL: Duration = Duration::from_secs(300);

/// What `adapters/webhook/manifest.json` states.
const CONCURRENCY: u32 = 64;

/// For how long a counted destination thinks, so that requests meet there.
const THINKING: Duration = Duration::from_millis(25);

/// What `adapters/customer_io/manifest.json` states: so many in so many microseconds.
const RATE: (usize, u64) = (3_000, 3_000_000);

/// Events of the counted load: the rate's window is filled several times.
const COUNTED: usize = 12_000;
const QUICK_COUNTED: usize = 4_000;

/// Until the counted load is delivered.
const LONGEST_COUNT: Duration = Duration::from_secs(180);

/// Runs the group.
pub async fn run(bench: &mut Bench) -> Result<()> {
    let route = format!("cdp.customer.io=http://{}", bench.receiver.address);
    let home = Home::new(&bench.program, &bench.folder)?
        .with("HEDDLE_RETRY_SCHEDULE", format!("0s{}", ",5s".repeat(49)))
        .with("HEDDLE_EGRESS_ROUTES", route);
    let mut engine = Engine::start(&home).await?;
    limits(bench, &mut engine).await?;
    bench.receiver.manners().pause(0, Duration::ZERO);
    let outcome = tenants(bench, &mut engine).await;
    bench.receiver.manners().silence(0);
    outcome?;
    engine.stop()?;
    Ok(())
}

/// The quiet workspaces for a while; their latencies and books.
async fn quiet(
    engine: &Engine<'_>,
    ledger: &Arc<Ledger>,
    templates: &[Template],
    lasting: Duration,
) -> Result<()> {
    let emit = |template| client::pace(engine.address, FEW, template, ledger, QUIET, lasting);
    let [a, b, c] = templates else {
        anyhow::bail!("there are {QUIET_WORKSPACES} quiet workspaces");
    };
    let (a, b, c) = tokio::try_join!(emit(a), emit(b), emit(c))?;
    for seen in [a, b, c] {
        accepted(&seen)?;
    }
    client::drain(ledger, Duration::from_secs(60)).await;
    Ok(())
}

fn accepted(seen: &Seen) -> Result<()> {
    ensure!(seen.refused.is_empty(), "events were refused: {:?}", seen.refused);
    Ok(())
}

async fn tenants(bench: &mut Bench, engine: &mut Engine<'_>) -> Result<()> {
    let lasting = if bench.quick {
        Duration::from_secs(3)
    } else {
        Duration::from_secs(20)
    };
    let mut templates = Vec::new();
    for number in 0..QUIET_WORKSPACES {
        let header = engine
            .workspace(&format!("Quiet {number}"), &bench.receiver, 1)
            .await?;
        templates.push(Template::event("/api/v1/events", &header));
    }
    let header = engine.workspace("Loud", &bench.receiver, DEAD + 1).await?;
    let loud = Template::event("/api/v1/events", &header);
    let per_phase = QUIET as usize * QUIET_WORKSPACES * (lasting.as_secs() as usize + 1);

    // Opens connections and warms caches; not counted.
    let ledger = bench.receiver.open(per_phase, 1);
    quiet(engine, &ledger, &templates, lasting / 4).await?;
    let mut alone = Vec::new();
    let mut books = Vec::new();
    let ledger = bench.receiver.open(per_phase, 1);
    quiet(engine, &ledger, &templates, lasting).await?;
    alone.extend(ledger.take_latencies());
    books.push(("quiet, alone before", ledger.account(0)));

    bench.receiver.manners().silence(1 << DEAD);
    let emitting = lasting + 2 * AHEAD;
    let flood = bench
        .receiver
        .open(LOUD as usize * (emitting.as_secs() as usize + 1), DEAD + 1);
    let ledger = bench.receiver.open_beside(per_phase, 1);
    let (seen, ()) = tokio::try_join!(
        client::pace(engine.address, MANY, &loud, &flood, LOUD, emitting),
        async {
            tokio::time::sleep(AHEAD).await;
            quiet(engine, &ledger, &templates, lasting).await
        }
    )?;
    accepted(&seen)?;
    let beside = Samples::new(ledger.take_latencies());
    books.push(("quiet, beside", ledger.account(0)));
    let flooded = flood.delivered();
    bench.receiver.manners().silence(0);
    let revived = Instant::now();
    client::drain(&flood, REVIVAL).await;
    let revival = revived.elapsed();
    let of_loud = Samples::new(flood.take_latencies());
    books.push(("loud", flood.account(0)));

    let ledger = bench.receiver.open(per_phase, 1);
    quiet(engine, &ledger, &templates, lasting).await?;
    alone.extend(ledger.take_latencies());
    books.push(("quiet, alone after", ledger.account(0)));
    let alone = Samples::new(alone);
    for (whose, account) in &books {
        check(bench, whose, account);
    }
    let [p50, p99] = [50.0, 99.0].map(|percent| (beside.thousandths(percent), alone.thousandths(percent)));
    bench.report.row(
        &format!(
            "{QUIET_WORKSPACES} workspaces at {QUIET} events/s beside one at {} and a dead destination: their p99",
            number(LOUD.into())
        ),
        format!("p50 {} ms, p99 {} ms", number(p50.0), number(p99.0)),
        format!("p50 {} ms, p99 {} ms alone", number(p50.1), number(p99.1)),
        Some(p99.0 / p99.1),
        "≤ 2",
    );
    bench.report.row(
        "the dead destination answers again: until everything is delivered",
        format!("{} s", number(revival.as_secs_f64())),
        format!(
            "{} of {} deliveries were waiting",
            number((flood.accepted() * u64::from(DEAD + 1) - flooded) as f64),
            number((flood.accepted() * u64::from(DEAD + 1)) as f64)
        ),
        None,
        "all of it",
    );
    let books: serde_json::Map<String, serde_json::Value> = books
        .iter()
        .map(|(whose, account)| ((*whose).to_owned(), account.raw()))
        .collect();
    bench.report.raw(
        "fair",
        json!({"alone_us": latency_raw(&alone), "beside_us": latency_raw(&beside), "loud_us": latency_raw(&of_loud),
            "revival_seconds": revival.as_secs_f64(), "books": books}),
    );
    Ok(())
}

fn check(bench: &mut Bench, whose: &str, account: &Account) {
    let Account {
        missing,
        repeated,
        unaccepted,
        ..
    } = account;
    if missing + repeated + unaccepted > 0 {
        bench.report.problem(format!(
            "fair, {whose}: {missing} deliveries did not arrive, {repeated} arrived again, {unaccepted} events were not accepted"
        ));
    }
}

/// A webhook that thinks for a while, and a destination with a rate, under more load than they may get.
async fn limits(bench: &mut Bench, engine: &mut Engine<'_>) -> Result<()> {
    let events = if bench.quick { QUICK_COUNTED } else { COUNTED };
    let workspace = engine.tenant("Counted").await?;
    let webhook = engine.webhook(&workspace, "Slow", &bench.receiver.url(0)).await?;
    engine
        .rule(&workspace, &webhook, "send_webhook", EVENT_NAME)
        .await?;
    rated(engine, &workspace).await?;
    let manners = bench.receiver.manners();
    manners.pause(0, THINKING);
    manners.count();
    for hook in [0, ELSEWHERE] {
        manners.gauge(hook).read();
    }
    let ledger = bench.receiver.open(events, 1);
    let template = Template::bulk("/api/v1/events/bulk", &workspace.header, 100);
    accepted(&client::press(engine.address, FEW, &template, &ledger, LONGEST_COUNT).await?)?;
    client::drain(&ledger, LONGEST_COUNT).await;
    let manners = bench.receiver.manners();
    let started = Instant::now();
    while manners.gauge(ELSEWHERE).count() < events && started.elapsed() < LONGEST_COUNT {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (at_once, _) = manners.gauge(0).read();
    let (_, times) = manners.gauge(ELSEWHERE).read();
    check(bench, "counted", &ledger.account(0));
    if times.len() != events {
        bench
            .report
            .problem(format!("fair: {} requests of {events} deliveries", times.len()));
    }
    let (stated, window) = RATE;
    let most = most_within(&times, window);
    if at_once > CONCURRENCY || most > stated {
        bench.report.problem(format!(
            "fair: {at_once} requests at once of {CONCURRENCY}, {most} in a window of {stated}"
        ));
    }
    bench.report.row(
        &format!(
            "{} deliveries at once to a slow connection: requests together",
            number(events as f64)
        ),
        format!("{at_once} at most"),
        format!("{CONCURRENCY} stated"),
        Some(f64::from(at_once) / f64::from(CONCURRENCY)),
        "≤ 1",
    );
    let (first, last) = (
        times.first().context("no request")?,
        times.last().context("no request")?,
    );
    bench.report.row(
        &format!(
            "{} deliveries at once to a connection with a rate: requests in any 3 s",
            number(events as f64)
        ),
        format!(
            "{} at most, {} s for all",
            number(most as f64),
            number((last - first) as f64 / 1e6)
        ),
        format!("{} stated", number(stated as f64)),
        Some(most as f64 / stated as f64),
        "≤ 1",
    );
    bench.report.raw(
        "limits",
        json!({"deliveries": events, "most_at_once": at_once, "stated_at_once": CONCURRENCY, "most_in_window": most,
            "stated_in_window": stated, "window_us": window, "requests": times.len(), "took_us": last - first}),
    );
    Ok(())
}

/// A connection whose manifest states a rate; the receiver takes the place of the provider.
async fn rated(engine: &mut Engine<'_>, workspace: &Workspace) -> Result<()> {
    let metadata = json!({"region": "US", "cdpApiKey": "bench"});
    let connection = engine
        .connection(workspace, "customer_io", "Rated", metadata)
        .await?;
    engine
        .rule(workspace, &connection, "identify", EVENT_NAME)
        .await?;
    Ok(())
}
