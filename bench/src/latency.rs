//! From emission to delivery at a steady pace, beside the same pace straight at the receiver.

use anyhow::Result;
use serde_json::json;

use crate::Bench;
use crate::engine::{Engine, Home};
use crate::figures::number;
use crate::round::{CALLERS, Load, Plan, Round, Target};
use crate::template::Template;

/// Events a second, with what is to be reached.
const RATES: [(u32, &str); 2] = [(200, "p50 < 1.5 ms, p99 < 5 ms"), (2_000, "p99 < 20 ms")];

/// No run lasts longer than this, in seconds.
const LONGEST: usize = 60;

/// Runs the group.
pub async fn run(bench: &mut Bench) -> Result<()> {
    let home = Home::new(&bench.program, &bench.folder)?;
    let mut engine = Engine::start(&home).await?;
    let header = engine.workspace("Paced", &bench.receiver, 1).await?;
    let (through, straight) = (
        Template::event("/api/v1/events", &header),
        Template::event("/hook/0", &header),
    );
    let mut raw = serde_json::Map::new();
    for (rate, goal) in RATES {
        let name = format!("{} events/s", number(rate.into()));
        let plan = Plan {
            name: &name,
            target: Target::Engine(&engine),
            template: &through,
            hooks: 1,
            capacity: rate as usize * LONGEST,
            load: Load::Paced(rate),
            lasting: bench.lasting() * 2,
        };
        let reference = plan.straight(&straight);
        // Opens connections and warms caches; not counted.
        bench
            .round(&Plan {
                lasting: bench.lasting() / 5,
                ..plan
            })
            .await?;
        let before = bench.round(&reference).await?;
        let round = bench.round(&plan).await?;
        let after = bench.round(&reference).await?;
        report(bench, &name, goal, &round, [&before, &after]);
        raw.insert(
            format!("paced_{rate}"),
            json!({"before": before.raw(), "round": round.raw(), "after": after.raw()}),
        );
    }
    engine.stop()?;
    bench.report.raw("latency", raw.into());
    Ok(())
}

fn report(bench: &mut Bench, name: &str, goal: &'static str, round: &Round, straight: [&Round; 2]) {
    let latency = |percent| round.account.latencies.thousandths(percent);
    let reference = |figure: &dyn Fn(&Round) -> f64| f64::midpoint(figure(straight[0]), figure(straight[1]));
    let straight_latency = |percent| reference(&|round| round.account.latencies.thousandths(percent));
    let measured = format!(
        "p50 {} ms, p99 {} ms",
        number(latency(50.0)),
        number(latency(99.0))
    );
    bench.say(&format!("{name}: {measured}"));
    bench.report.row(
        &format!("paced at {name} over {CALLERS} callers: emit to delivery"),
        measured,
        format!(
            "p50 {} ms, p99 {} ms straight",
            number(straight_latency(50.0)),
            number(straight_latency(99.0))
        ),
        Some(latency(50.0) / straight_latency(50.0)),
        goal,
    );
    let answer = |percent| round.seen.answers.thousandths(percent);
    bench.report.row(
        &format!("paced at {name}: emit to the 201"),
        format!("p50 {} ms, p99 {} ms", number(answer(50.0)), number(answer(99.0))),
        "–".into(),
        None,
        "–",
    );
    let (cpu, own) = (
        round.engine_cpu_for_10_000(),
        reference(&Round::own_cpu_for_10_000),
    );
    bench.report.row(
        &format!("paced at {name}: engine processor time for 10,000 deliveries"),
        format!("{} s", number(cpu)),
        format!(
            "{} s for 10,000 straight posts (client and receiver)",
            number(own)
        ),
        Some(cpu / own),
        "–",
    );
}
