//! What a large history costs: pages of it with any filter, the deliveries that are made while it is
//! there, and the start, at sizes up to five million stored deliveries.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::Bench;
use crate::client::Line;
use crate::engine::{Engine, Home, Workspace, text};
use crate::figures::{number, spread};
use crate::pages::{self, Pages, Places};
use crate::plot::{Curve, svg};
use crate::round::{Load, Plan, Target};
use crate::stored::{Pattern, census};
use crate::template::{EVENT_NAME, Template};

/// Stored deliveries at which everything is measured.
const SIZES: [u64; 4] = [2_000, 100_000, 1_000_000, 5_000_000];
const QUICK: [u64; 2] = [2_000, 20_000];

/// The time over which the history is spread.
const SPAN: Duration = Duration::from_secs(14 * 24 * 3_600);

/// Requests of 100 events of which the pattern is made.
const BULKS: usize = 20;
const EVENTS: usize = 100;

/// Events that are called off before they are delivered.
const CANCELED: usize = 30;

/// One event in so many is refused each time, and fails.
const REFUSED_EVERY: u32 = 50;

/// Events of one measured round.
const ROUND: usize = 5_000;

/// Rounds at each size.
const LAPS: usize = 3;

/// Reads of each query: half of them one page after the other, half from anywhere.
const READS: usize = 200;
const FEW_READS: usize = 10;

/// The name of events that match no rule.
pub const UNMATCHED: &str = "page.viewed";

/// A name that is rare.
pub const RARE: &str = "course.refunded";

/// Until the pattern is delivered.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was measured at one size.
struct Point {
    stored: u64,
    bytes: u64,
    ready_ms: f64,
    /// Engine processor seconds for 10,000 deliveries.
    cpu: Vec<f64>,
    /// Deliveries a second.
    rate: Vec<f64>,
    pages: Pages,
}

/// Runs the group.
pub async fn run(bench: &mut Bench) -> Result<()> {
    let outcome = stored(bench).await;
    bench.receiver.manners().refuse(0, false);
    outcome
}

async fn stored(bench: &mut Bench) -> Result<()> {
    let sizes: &[u64] = if bench.quick { &QUICK } else { &SIZES };
    // One attempt each: failures that come again together, when all else is delivered, open the circuit.
    let home = Home::new(&bench.program, &bench.folder)?.with("HEDDLE_RETRY_SCHEDULE", "0s");
    let mut engine = Engine::start(&home).await?;
    let header = engine.workspace("Measured", &bench.receiver, 1).await?;
    let places = furnish(bench, &mut engine).await?;
    let before = census(&home.database())?;
    emit(bench, &mut engine, &places).await?;
    engine.stop()?;
    let pattern = Pattern::keep(&home.database(), &before)?;
    bench.say(&format!(
        "a pattern of {} deliveries, made by the engine",
        number(pattern.deliveries() as f64)
    ));

    let template = Template::event("/api/v1/events", &header);
    let mut points = Vec::new();
    for size in sizes {
        let started = Instant::now();
        let stored = pattern.fill(*size, SPAN, Duration::ZERO, |done| {
            eprint!(
                "\r  writing {} deliveries: {:.0} %",
                number(*size as f64),
                done * 100.0
            );
        })?;
        let bytes = home.size();
        eprint!("\r");
        bench.say(&format!(
            "{} deliveries stored: {} MiB, written in {} s",
            number(stored as f64),
            number(bytes as f64 / 1024.0 / 1024.0),
            number(started.elapsed().as_secs_f64())
        ));
        // The figures are those of the largest; the others are there to compare.
        let reads = if size == sizes.last().unwrap_or(size) && !bench.quick {
            READS
        } else {
            FEW_READS
        };
        points.push(measure(bench, &home, &places, &template, (stored, bytes, reads)).await?);
    }
    report(bench, &points)
}

async fn measure(
    bench: &mut Bench,
    home: &Home,
    places: &Places,
    template: &Template,
    (stored, bytes, reads): (u64, u64, usize),
) -> Result<Point> {
    let mut engine = Engine::start(home).await?;
    let ready_ms = engine.ready_after.as_secs_f64() * 1000.0;
    let pages = pages::read(bench, &mut engine, places, reads).await?;
    let (mut cpu, mut rate) = (Vec::new(), Vec::new());
    for lap in 0..=LAPS {
        let name = format!("{stored} stored");
        let round = bench
            .round(&Plan {
                name: &name,
                target: Target::Engine(&engine),
                template,
                hooks: 1,
                // The first opens connections and is not counted.
                capacity: if lap == 0 { ROUND / 5 } else { ROUND },
                load: Load::Pressed,
                lasting: Duration::from_secs(60),
            })
            .await?;
        if lap > 0 {
            cpu.push(round.engine_cpu_for_10_000());
            rate.push(round.account.deliveries_per_second());
        }
    }
    bench.say(&format!(
        "{} stored: ready in {} ms, {} deliveries/s, {} s of processor for 10,000",
        number(stored as f64),
        number(ready_ms),
        spread(&rate),
        spread(&cpu)
    ));
    engine.stop()?;
    Ok(Point {
        stored,
        bytes,
        ready_ms,
        cpu,
        rate,
        pages,
    })
}

/// A large workspace and three small ones, each with a connection and rules for most names, and one
/// whose connection is switched off.
async fn furnish(bench: &Bench, engine: &mut Engine<'_>) -> Result<Places> {
    let mut workspaces = Vec::new();
    for name in ["Large", "Small 1", "Small 2", "Small 3"] {
        let workspace = engine.tenant(name).await?;
        let connection = engine.webhook(&workspace, "Hook", &bench.receiver.url(1)).await?;
        for event in [EVENT_NAME, "lesson.started", "quiz.passed", RARE] {
            engine
                .rule(&workspace, &connection, "send_webhook", event)
                .await?;
        }
        workspaces.push(workspace);
    }
    let parked = json!({"workspace": workspaces[0].id, "type": "webhook", "name": "Parked", "active": false,
        "metadata": {"url": bench.receiver.url(1), "signing_scheme": "none", "skip_url_test": true}});
    let parked = text(&engine.create("/connections", &parked).await?, "/connection/id")?;
    engine
        .rule(&workspaces[0], &parked, "send_webhook", "lesson.parked")
        .await?;
    Ok(Places { workspaces })
}

/// Has the engine make the pattern: events that are delivered, that match nothing, that are refused
/// for good, and that are called off.
async fn emit(bench: &mut Bench, engine: &mut Engine<'_>, places: &Places) -> Result<()> {
    let ledger = bench.receiver.open(BULKS * EVENTS, 2);
    bench.receiver.manners().refuse(REFUSED_EVERY, true);
    let mut line = Line::open(engine.address).await?;
    for bulk in 0..BULKS {
        let workspace = if bulk % 10 < 7 { 0 } else { bulk % 10 - 6 };
        let events: Vec<Value> = (0..EVENTS).map(|event| sample(bulk * EVENTS + event)).collect();
        post(&mut line, &places.workspaces[workspace], &events, |template| {
            let first = ledger.take(EVENTS).context("the ledger is full")?;
            Ok(template.fill(first, ledger.micros()).to_vec())
        })
        .await?;
    }
    let parked: Vec<Value> = (0..CANCELED)
        .map(|_| json!({"event": "lesson.parked", "payload": {"lesson": 1}}))
        .collect();
    let answer = post(&mut line, &places.workspaces[0], &parked, |template| {
        Ok(template.fill(0, 0).to_vec())
    })
    .await?;
    ensure!(
        answer.to_string().contains("lesson.parked"),
        "no events in {answer}"
    );
    let path = format!(
        "/workspaces/{}/events?event=lesson.parked&limit=200",
        places.workspaces[0].id
    );
    let listed = engine.api("GET", &path, b"").await?;
    for event in listed["records"].as_array().context("no records")? {
        engine
            .create(&format!("/events/{}/cancel", text(event, "/id")?), &json!({}))
            .await?;
    }
    settled(engine).await?;
    bench.receiver.manners().refuse(0, false);
    Ok(())
}

/// Waits until every event has come to an end.
async fn settled(engine: &mut Engine<'_>) -> Result<()> {
    let started = Instant::now();
    loop {
        let mut open = 0;
        for status in ["pending", "processing", "retrying"] {
            let listed = engine
                .api("GET", &format!("/events?status={status}"), b"")
                .await?;
            open += listed["records"].as_array().map_or(0, Vec::len);
        }
        if open == 0 {
            return Ok(());
        }
        ensure!(
            started.elapsed() < PATIENCE,
            "{open} events of the pattern do not end"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn post(
    line: &mut Line,
    workspace: &Workspace,
    events: &[Value],
    fill: impl Fn(&mut Template) -> Result<Vec<u8>>,
) -> Result<Value> {
    let body = serde_json::to_string(events)?;
    let mut template = Template::new("/api/v1/events/bulk", &workspace.header, &body);
    let request = fill(&mut template)?;
    let (status, answer) = line.exchange(&request).await?;
    ensure!(status == 201 || status == 200, "a bulk was answered {status}");
    Ok(serde_json::from_slice(answer)?)
}

/// An event of the pattern: names, resources and ids in uneven shares.
fn sample(number: usize) -> Value {
    let name = match number % 1_000 {
        0 => RARE,
        place if place % 10 < 6 => EVENT_NAME,
        place if place % 10 < 8 => "lesson.started",
        place if place % 10 < 9 => "quiz.passed",
        _ => UNMATCHED,
    };
    let mut event = json!({"event": name, "payload": {"bench": "MARK", "student_id": format!("stu_{number}"),
        "email": "nina@academyflow.io", "lesson_title": "Customer Research Fundamentals",
        "course_id": "course_creator-accelerator", "completion_percentage": number % 100,
        "time_spent_seconds": 1840, "completed_at": "2026-03-21T14:18:00Z"}});
    // Every fifth has the global resource.
    if !number.is_multiple_of(5) {
        let (resource, kinds) = if number % 40 == 1 {
            ("quiz", 3)
        } else {
            ("course", 60)
        };
        event["resource"] = resource.into();
        event["resource_id"] = format!("{resource}-{}", number % kinds).into();
    }
    event
}

fn report(bench: &mut Bench, points: &[Point]) -> Result<()> {
    let (first, last) = (
        points.first().context("no size")?,
        points.last().context("no size")?,
    );
    let stored = number(last.stored as f64);
    let (slowest, before) = (last.pages.slowest()?, first.pages.slowest()?);
    bench.report.row(
        &format!(
            "a page of history, {stored} deliveries stored: slowest of {} queries, p99",
            last.pages.len()
        ),
        format!("{} ms ({})", number(slowest.p99()), slowest.name),
        format!(
            "{} ms with {} stored ({})",
            number(before.p99()),
            number(first.stored as f64),
            before.name
        ),
        Some(slowest.p99() / before.p99()),
        "< 10 ms",
    );
    bench.report.row(
        &format!("a page of history, {stored} deliveries stored: queries over 10 ms, p99"),
        last.pages.over(10.0),
        first.pages.over(10.0),
        None,
        "none",
    );
    let (cpu, rate) = (spread(&last.cpu), spread(&last.rate));
    let (first_cpu, first_rate) = (spread(&first.cpu), spread(&first.rate));
    bench.report.row(
        &format!("{stored} deliveries stored: engine processor time for 10,000 more"),
        format!("{cpu} s"),
        format!("{first_cpu} s with {} stored", number(first.stored as f64)),
        Some(cpu.median / first_cpu.median),
        "flat",
    );
    bench.report.row(
        &format!("{stored} deliveries stored: delivered, fan-out 1, 64 callers"),
        format!("{rate}/s"),
        format!("{first_rate}/s with {} stored", number(first.stored as f64)),
        Some(rate.median / first_rate.median),
        "flat",
    );
    bench.report.row(
        &format!("{stored} deliveries stored: start to ready"),
        format!("{} ms", number(last.ready_ms)),
        format!(
            "{} ms with {} stored",
            number(first.ready_ms),
            number(first.stored as f64)
        ),
        Some(last.ready_ms / first.ready_ms),
        "–",
    );
    bench.report.row(
        &format!("{stored} deliveries stored: the database"),
        format!(
            "{} MiB, {} bytes a delivery with its event, payload and attempt",
            number(last.bytes as f64 / 1024.0 / 1024.0),
            number(last.bytes as f64 / last.stored as f64)
        ),
        "–".into(),
        None,
        "–",
    );
    let curve = |title: &str, of: &dyn Fn(&Point) -> f64| Curve {
        title: title.to_owned(),
        points: points
            .iter()
            .map(|point| (point.stored as f64, of(point)))
            .collect(),
    };
    let slowest_ms = |point: &Point| point.pages.slowest().map_or(0.0, pages::Case::p99);
    let drawn = svg(
        &[
            curve("engine processor seconds for 10,000 deliveries", &|point| {
                spread(&point.cpu).median
            }),
            curve("deliveries a second", &|point| spread(&point.rate).median),
            curve("the slowest page of history, p99 in ms", &slowest_ms),
            curve("start to ready, ms", &|point| point.ready_ms),
        ],
        "deliveries stored",
        true,
    );
    bench.report.drawing("history", drawn);
    let raw: Vec<Value> = points
        .iter()
        .map(|point| {
            json!({"stored": point.stored, "database_bytes": point.bytes, "ready_ms": point.ready_ms,
                "cpu_for_10_000": point.cpu, "deliveries_per_second": point.rate, "pages": point.pages.raw()})
        })
        .collect();
    bench.report.raw("history", raw.into());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pattern_has_every_name_and_resource_in_uneven_shares() {
        let events: Vec<Value> = (0..BULKS * EVENTS).map(sample).collect();
        let named = |name: &str| events.iter().filter(|event| event["event"] == name).count();
        assert_eq!((named(RARE), named(UNMATCHED)), (2, 200));
        assert!(named(EVENT_NAME) > 1_000);
        let of = |resource: &str| {
            events
                .iter()
                .filter(|event| event["resource"] == resource)
                .count()
        };
        assert!(of("course") > 1_000 && of("quiz") > 0 && of("quiz") < 100);
        assert!(events.iter().any(|event| event.get("resource").is_none()));
    }
}
