//! Events accepted and delivered at fan-out 1 and 10, interleaved with the ceiling (the same client
//! posting straight at the receiver), so that a machine that gets slower is slower in both.

use anyhow::Result;
use serde_json::{Value, json};

use crate::Bench;
use crate::engine::{Engine, Home};
use crate::figures::{mib, number, spread};
use crate::round::{CALLERS, Load, Plan, Round, Target};
use crate::template::Template;

/// More events than any round emits.
const CAPACITY: usize = 400_000;

/// The fan-outs, with the deliveries a second to be reached and the share of what a plain client
/// posts.
const FAN_OUTS: [(u32, &str, &str); 2] = [(1, "10,000/s", "0.22"), (10, "20,000/s", "0.43")];

/// What to reach in processor seconds for 10,000 deliveries.
const CPU_GOAL: &str = "< 1.0 s";

/// A fan-out's rounds, each with the ceilings before and behind it.
struct Series {
    hooks: u32,
    goal: &'static str,
    share: &'static str,
    through: Template,
    straight: Template,
    laps: Vec<Lap>,
}

/// A round, the ceilings before and behind it, and the plain client's.
struct Lap {
    before: Round,
    round: Round,
    after: Round,
    plain: Round,
}

impl Lap {
    fn rate(round: &Round) -> f64 {
        round.account.deliveries_per_second()
    }

    fn of_ceiling(&self) -> f64 {
        Self::rate(&self.round) / f64::midpoint(Self::rate(&self.before), Self::rate(&self.after))
    }

    fn of_plain(&self) -> f64 {
        Self::rate(&self.round) / Self::rate(&self.plain)
    }
}

/// Runs the group.
pub async fn run(bench: &mut Bench) -> Result<()> {
    let home = Home::new(&bench.program, &bench.folder)?;
    let mut engine = Engine::start(&home).await?;
    let mut all = Vec::new();
    for (hooks, goal, share) in FAN_OUTS {
        let header = engine
            .workspace(&format!("Fan-out {hooks}"), &bench.receiver, hooks)
            .await?;
        let through = Template::event("/api/v1/events", &header);
        let straight = Template::event("/hook/0", &header);
        all.push(Series {
            hooks,
            goal,
            share,
            through,
            straight,
            laps: Vec::new(),
        });
    }
    let fresh = engine.memory()?;
    // The first lap opens connections and warms caches; it is not counted.
    for lap in 0..=bench.laps() {
        for series in &mut all {
            let name = format!("fan-out {}", series.hooks);
            let plan = Plan {
                name: &name,
                target: Target::Engine(&engine),
                template: &series.through,
                hooks: series.hooks,
                capacity: CAPACITY,
                load: Load::Pressed,
                lasting: if lap == 0 {
                    bench.lasting() / 5
                } else {
                    bench.lasting()
                },
            };
            let ceiling = Plan {
                lasting: plan.lasting / 4,
                ..plan.straight(&series.straight)
            };
            let before = bench.round(&ceiling).await?;
            let round = bench.round(&plan).await?;
            let after = bench.round(&ceiling).await?;
            let plain = Plan {
                name: "straight, plain client",
                target: Target::Plain,
                ..ceiling
            };
            let plain = bench.round(&plain).await?;
            if lap > 0 {
                let [rate, before_rate, after_rate, plain_rate] =
                    [&round, &before, &after, &plain].map(|round| number(Lap::rate(round)));
                bench.say(&format!(
                    "{name}: {rate} deliveries/s between {before_rate} and {after_rate} posts/s; a plain client {plain_rate}/s"
                ));
                series.laps.push(Lap {
                    before,
                    round,
                    after,
                    plain,
                });
            }
        }
    }
    let loaded = engine.memory()?;
    let bytes = home.size();
    let stopped = engine.stop()?;
    let mut raw = serde_json::Map::new();
    for series in &all {
        report(bench, series);
        let laps = series.laps.iter().map(|lap| {
            json!({"before": lap.before.raw(), "round": lap.round.raw(), "after": lap.after.raw(), "plain": lap.plain.raw()})
        });
        raw.insert(
            format!("fan_out_{}", series.hooks),
            laps.collect::<Vec<Value>>().into(),
        );
    }
    bench.report.row(
        "engine memory over all that load",
        format!(
            "{} MiB at most, {} MiB at its end",
            mib(loaded.peak),
            mib(loaded.resident)
        ),
        format!("{} MiB before it", mib(fresh.resident)),
        None,
        "–",
    );
    raw.insert(
        "memory_kib".into(),
        json!({"fresh": fresh.resident, "end": loaded.resident, "peak": loaded.peak}),
    );
    raw.insert("database_bytes".into(), bytes.into());
    raw.insert("stop_seconds".into(), stopped.as_secs_f64().into());
    bench.report.raw("throughput", raw.into());
    Ok(())
}

fn report(bench: &mut Bench, series: &Series) {
    let hooks = series.hooks;
    let each = |figure: &dyn Fn(&Lap) -> f64| spread(&series.laps.iter().map(figure).collect::<Vec<_>>());
    let rounds = |figure: &dyn Fn(&Round) -> f64| each(&|lap| figure(&lap.round));
    let ceilings = |figure: &dyn Fn(&Round) -> f64| {
        spread(
            &series
                .laps
                .iter()
                .flat_map(|lap| [figure(&lap.before), figure(&lap.after)])
                .collect::<Vec<_>>(),
        )
    };
    let what = if hooks == 1 {
        "events accepted and delivered".to_owned()
    } else {
        let events = rounds(&|round| round.account.events_per_second());
        format!("deliveries ({} events/s)", number(events.median))
    };
    bench.report.row(
        &format!("fan-out {hooks}, {CALLERS} callers: {what}"),
        format!("{}/s", rounds(&Lap::rate)),
        format!("{}/s straight: the ceiling", ceilings(&Lap::rate)),
        Some(each(&Lap::of_ceiling).median),
        series.goal,
    );
    bench.report.row(
        &format!("fan-out {hooks}: the same beside a plain HTTP client"),
        format!("{}/s", rounds(&Lap::rate)),
        format!(
            "{}/s straight by hyper, {CALLERS} callers",
            each(&|lap| Lap::rate(&lap.plain))
        ),
        Some(each(&Lap::of_plain).median),
        series.share,
    );
    let latency = |percent: f64| move |round: &Round| round.account.latencies.thousandths(percent);
    let (p50, p99) = (rounds(&latency(50.0)).median, rounds(&latency(99.0)).median);
    let (straight_p50, straight_p99) = (ceilings(&latency(50.0)).median, ceilings(&latency(99.0)).median);
    bench.report.row(
        &format!("fan-out {hooks}, {CALLERS} callers: emit to delivery under that load"),
        format!("p50 {} ms, p99 {} ms", number(p50), number(p99)),
        format!(
            "p50 {} ms, p99 {} ms straight",
            number(straight_p50),
            number(straight_p99)
        ),
        Some(p50 / straight_p50),
        "–",
    );
    let (cpu, own) = (
        rounds(&Round::engine_cpu_for_10_000),
        ceilings(&Round::own_cpu_for_10_000),
    );
    bench.report.row(
        &format!("fan-out {hooks}: engine processor time for 10,000 deliveries"),
        format!("{cpu} s"),
        format!("{own} s for 10,000 straight posts (client and receiver)"),
        Some(cpu.median / own.median),
        CPU_GOAL,
    );
}
