//! Bulk requests of 100 events: into a workspace with one rule, and into one where no rule matches.

use anyhow::Result;
use serde_json::json;

use crate::Bench;
use crate::engine::{Engine, Home};
use crate::figures::{mib, number, spread};
use crate::round::{CALLERS, Load, Plan, Target};
use crate::template::Template;

/// Events in a request: as many as the contract allows.
const EVENTS: usize = 100;

/// The most events of a round; with a rule, all of them have to be delivered before it ends.
const CAPACITY: usize = 300_000;

/// Runs the group.
pub async fn run(bench: &mut Bench) -> Result<()> {
    let home = Home::new(&bench.program, &bench.folder)?;
    let mut engine = Engine::start(&home).await?;
    let mut raw = Vec::new();
    for (hooks, what, goal) in [(1, "one rule matches", "60,000/s"), (0, "no rule matches", "–")] {
        let header = engine
            .workspace(&format!("Bulk {hooks}"), &bench.receiver, hooks)
            .await?;
        let template = Template::bulk("/api/v1/events/bulk", &header, EVENTS);
        let straight = Template::event("/hook/0", &header);
        let name = format!("bulk of {EVENTS}, {what}");
        let plan = Plan {
            name: &name,
            target: Target::Engine(&engine),
            template: &template,
            hooks,
            capacity: CAPACITY,
            load: Load::Pressed,
            lasting: bench.lasting() / 2,
        };
        let ceiling = plan.straight(&straight);
        let (mut accepted, mut delivered, mut ceilings) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..bench.laps() {
            let before = bench.round(&ceiling).await?;
            let round = bench.round(&plan).await?;
            bench.say(&format!(
                "{name}: {} events/s accepted",
                number(round.accepted_per_second())
            ));
            accepted.push(round.accepted_per_second());
            delivered.push(round.account.deliveries_per_second());
            ceilings.push(before.account.deliveries_per_second());
            raw.push(json!({"hooks": hooks, "before": before.raw(), "round": round.raw()}));
        }
        let (accepted, ceilings) = (spread(&accepted), spread(&ceilings));
        let then = match hooks {
            0 => String::new(),
            _ => format!("; delivered at {}/s", number(spread(&delivered).median)),
        };
        bench.report.row(
            &format!("{name}, {CALLERS} callers: events accepted"),
            format!("{accepted}/s{then}"),
            format!("{ceilings}/s straight, one event a request"),
            Some(accepted.median / ceilings.median),
            goal,
        );
    }
    let memory = engine.memory()?;
    engine.stop()?;
    bench.report.row(
        "engine memory over the bulk requests",
        format!(
            "{} MiB at most, {} MiB at their end",
            mib(memory.peak),
            mib(memory.resident)
        ),
        "–".into(),
        None,
        "–",
    );
    bench.report.raw(
        "bulk",
        json!({"rounds": raw, "memory_kib": {"end": memory.resident, "peak": memory.peak}}),
    );
    Ok(())
}
