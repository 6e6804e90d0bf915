//! What a delivery costs when the workspace has many connections: each event goes to the next one.

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
    let events = if bench.quick { QUICK_ROUND } else { ROUND };
    let home = Home::new(&bench.program, &bench.folder)?;
    let mut engine = Engine::start(&home).await?;
    let workspace = engine.tenant("Connections").await?;
    let mut points = Vec::new();
    let mut made = 0;
    for size in sizes {
        let started = Instant::now();
        while made < *size {
            let name = format!("Hook {made}");
            let connection = engine.webhook(&workspace, &name, &bench.receiver.url(0)).await?;
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
                name: &format!("{size} connections"),
                target: Target::Engine(&engine),
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
            "{size} connections (the last made in {} s): {} deliveries/s, {} s of processor for 10,000",
            number(took.as_secs_f64()),
            point.rate(),
            point.cpu()
        ));
        points.push(point);
    }
    engine.stop()?;
    report(bench, &points);
    Ok(())
}

fn report(bench: &mut Bench, points: &[Point]) {
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
    let raw: Vec<Value> = points
        .iter()
        .map(|point| {
            json!({"connections": point.connections, "cpu_for_10_000": point.cpu, "deliveries_per_second": point.rate,
                "resident_kib": point.memory.resident, "peak_kib": point.memory.peak})
        })
        .collect();
    bench.report.raw("connections", raw.into());
}
