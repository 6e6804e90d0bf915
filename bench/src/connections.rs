//! What a delivery costs when the workspace has many connections: each event goes to the next one. First
//! those of different accounts, as those of different customers are, then as many of one account.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};

use crate::Bench;
use crate::engine::{Engine, Home};
use crate::figures::{Spread, mib, number, spread};
use crate::plot::{Curve, svg};
use crate::process::Memory;
use crate::round::{Load, Plan, Target};
use crate::template::{Template, kind};

/// Connections of the workspace, each with a rule.
const SIZES: [u32; 5] = [1, 10, 100, 1_000, 10_000];
const QUICK: [u32; 3] = [1, 10, 100];

/// Events of one measured round.
const ROUND: usize = 10_000;
const QUICK_ROUND: usize = 1_000;

/// Rounds at each size.
const LAPS: usize = 3;

struct Point {
    connections: u32,
    cpu: Vec<f64>,
    rate: Vec<f64>,
    memory: Memory,
}

impl Point {
    fn cpu(&self) -> Spread {
        spread(&self.cpu)
    }

    fn rate(&self) -> Spread {
        spread(&self.rate)
    }
}

/// Runs the group.
pub async fn run(bench: &mut Bench) -> Result<()> {
    let sizes: &[u32] = if bench.quick { &QUICK } else { &SIZES };
    let home = Home::new(&bench.program, &bench.folder)?;
    let mut engine = Engine::start(&home).await?;
    let own = points(bench, &mut engine, "Accounts", sizes, |hook, made| {
        // The receiver tells hooks apart by the last digit.
        format!("{hook}?tenant={made}&hook=0")
    })
    .await?;
    let most = &sizes[sizes.len() - 1..];
    let shared = points(bench, &mut engine, "One account", most, |hook, _| hook.to_owned()).await?;
    engine.stop()?;
    report(bench, &own, &shared);
    Ok(())
}

/// Measures at each size, in a workspace of its own. `url` makes a connection's from that of the hook:
/// connections with the same settings share an account.
async fn points(
    bench: &mut Bench,
    engine: &mut Engine<'_>,
    name: &str,
    sizes: &[u32],
    url: impl Fn(&str, u32) -> String,
) -> Result<Vec<Point>> {
    let events = if bench.quick { QUICK_ROUND } else { ROUND };
    let workspace = engine.tenant(name).await?;
    let hook = bench.receiver.url(0);
    let mut points = Vec::new();
    let mut made = 0;
    for size in sizes {
        let started = Instant::now();
        while made < *size {
            let connection = engine
                .webhook(&workspace, &format!("Hook {made}"), &url(&hook, made))
                .await?;
            engine
                .rule(&workspace, &connection, "send_webhook", &kind(made))
                .await?;
            made += 1;
            if made.is_multiple_of(500) {
                eprint!("\r  {} connections", number(made.into()));
            }
        }
        let took = started.elapsed();
        let template = Template::of_kinds("/api/v1/events", &workspace.header, *size);
        let (mut cpu, mut rate) = (Vec::new(), Vec::new());
        for lap in 0..=LAPS {
            let plan = Plan {
                name: &format!("{name}, {size} connections"),
                target: Target::Engine(engine),
                template: &template,
                hooks: 1,
                capacity: events,
                load: Load::Pressed,
                lasting: Duration::from_secs(60),
            };
            // The first reads each connection into memory; it is not counted.
            let round = bench.round(&plan).await?;
            if lap > 0 {
                cpu.push(round.engine_cpu_for_10_000());
                rate.push(round.account.deliveries_per_second());
            }
        }
        let memory = engine.memory()?;
        let point = Point {
            connections: *size,
            cpu,
            rate,
            memory,
        };
        eprint!("\r");
        bench.say(&format!(
            "{name}, {size} connections (the last made in {} s): {} deliveries/s, {} s of processor for 10,000",
            number(took.as_secs_f64()),
            point.rate(),
            point.cpu()
        ));
        points.push(point);
    }
    Ok(points)
}

fn report(bench: &mut Bench, points: &[Point], shared: &[Point]) {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return;
    };
    let many = number(last.connections.into());
    bench.report.row(
        &format!("{many} connections: engine processor time for 10,000 deliveries"),
        format!("{} s", last.cpu()),
        format!("{} s with {} connection", first.cpu(), first.connections),
        Some(last.cpu().median / first.cpu().median),
        "flat",
    );
    bench.report.row(
        &format!("{many} connections: delivered, fan-out 1, 64 callers"),
        format!("{}/s", last.rate()),
        format!("{}/s with {} connection", first.rate(), first.connections),
        Some(last.rate().median / first.rate().median),
        "flat",
    );
    for point in shared {
        bench.report.row(
            &format!("{many} connections of one account: engine processor time for 10,000 deliveries"),
            format!("{} s, {}/s", point.cpu(), point.rate()),
            format!("{} s with as many accounts", last.cpu()),
            Some(point.cpu().median / last.cpu().median),
            "–",
        );
    }
    bench.report.row(
        &format!("{many} connections: memory"),
        format!(
            "{} MiB, {} MiB at most",
            mib(last.memory.resident),
            mib(last.memory.peak)
        ),
        format!(
            "{} MiB with {} connection",
            mib(first.memory.resident),
            first.connections
        ),
        None,
        "–",
    );
    let curve = |title: &str, of: &dyn Fn(&Point) -> f64| Curve {
        title: title.to_owned(),
        points: points
            .iter()
            .map(|point| (point.connections.into(), of(point)))
            .collect(),
    };
    let drawn = svg(
        &[
            curve("engine processor seconds for 10,000 deliveries", &|point| {
                point.cpu().median
            }),
            curve("deliveries a second", &|point| point.rate().median),
            curve("resident memory, MiB", &|point| {
                point.memory.resident as f64 / 1024.0
            }),
        ],
        "connections",
        true,
    );
    bench.report.drawing("connections", drawn);
    let raw = |points: &[Point]| -> Vec<Value> {
        let raw = |point: &Point| {
            json!({"connections": point.connections, "cpu_for_10_000": point.cpu, "deliveries_per_second": point.rate,
                "resident_kib": point.memory.resident, "peak_kib": point.memory.peak})
        };
        points.iter().map(raw).collect()
    };
    let raw = json!({"of different accounts": raw(points), "of one account": raw(shared)});
    bench.report.raw("connections", raw);
}
