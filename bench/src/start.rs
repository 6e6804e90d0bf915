//! Starting and doing nothing.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;

use crate::Bench;
use crate::engine::{Engine, Home};
use crate::figures::{mib, number, spread};
use crate::process;

/// Starts with the compiled plugins already there.
const WARM_STARTS: usize = 5;

/// Before idling is measured, so that the start's own work is over.
const SETTLE: Duration = Duration::from_secs(1);

/// Runs the group.
pub async fn run(bench: &mut Bench) -> Result<()> {
    let home = Home::new(&bench.program, &bench.folder)?;
    let engine = Engine::start(&home).await?;
    let cold = ms(engine.ready_after);
    engine.stop()?;
    let (mut warm, mut nothing, mut stops) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..WARM_STARTS {
        let started = Instant::now();
        home.run(&["--version"])?;
        nothing.push(ms(started.elapsed()));
        let engine = Engine::start(&home).await?;
        warm.push(ms(engine.ready_after));
        stops.push(ms(engine.stop()?));
    }
    let (ready, program) = (spread(&warm), spread(&nothing));
    bench.report.row(
        "start to ready, compiled plugins cached",
        format!("{ready} ms"),
        format!("{} ms for heddle --version", number(program.median)),
        Some(ready.median / program.median),
        "< 300 ms",
    );
    bench.report.row(
        "first start: plugins compiled, database made",
        format!("{} ms", number(cold)),
        format!("{} ms with both there", number(ready.median)),
        Some(cold / ready.median),
        "–",
    );
    let engine = Engine::start(&home).await?;
    tokio::time::sleep(SETTLE).await;
    let watched = Duration::from_secs(if bench.quick { 2 } else { 5 });
    let before = process::running_seconds(&engine.pid())?;
    tokio::time::sleep(watched).await;
    let share = (process::running_seconds(&engine.pid())? - before) / watched.as_secs_f64();
    let memory = engine.memory()?;
    engine.stop()?;
    bench.report.row(
        &format!("idle for {} s: processor", watched.as_secs()),
        format!("{} % of a core", number(share * 100.0)),
        "one core".into(),
        Some(share),
        "< 0.5 %",
    );
    bench.report.row(
        "idle: resident memory",
        format!("{} MiB", mib(memory.resident)),
        "–".into(),
        None,
        "< 64 MiB",
    );
    bench.report.raw(
        "start",
        json!({"cold_ms": cold, "warm_ms": warm, "version_ms": nothing, "stop_ms": stops, "idle_share_of_a_core": share,
            "idle_memory_kib": {"resident": memory.resident, "peak": memory.peak}}),
    );
    Ok(())
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
