//! Matching an event in a workspace of many rules, as the engine does it between reading an event and
//! writing it. This group links the core in; the engine does not run.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use heddle_core::condition::Facts;
use heddle_core::event::Event;
use heddle_core::id::{ConnectionId, EventId, RuleId, WorkspaceId};
use heddle_core::routing::Routing;
use heddle_core::rule::{Match, Rule};
use heddle_core::time::Timestamp;
use serde_json::{Map, json};

use crate::Bench;
use crate::figures::{Samples, number};

const RULES: u32 = 10_000;
const NAMES: u32 = 1_000;

/// More events than this tell nothing new.
const MOST_EVENTS: usize = 200_000;

/// The payload of every event, but for its number.
const PAYLOAD: &str = concat!(
    r#"{"student_id":"stu_2048","email":"nina@academyflow.io","lesson_id":"lesson_customer-research","#,
    r#""lesson_title":"Customer Research Fundamentals","module_id":"module_growth-foundations","#,
    r#""module_title":"Growth Foundations","course_id":"course_creator-accelerator","#,
    r#""completion_percentage":62,"time_spent_seconds":1840,"completed_at":"2026-03-21T14:18:00Z"}"#
);

/// What an honest condition looks like.
const CONDITION: &str = "payload.completion_percentage >= 50 && payload.email.endsWith('@academyflow.io') && has(payload.course_id)";

/// What a hostile one does: it goes on for as long as it is let.
const HOSTILE: &str = "payload.n.all(a, payload.n.all(b, payload.n.all(c, a + b + c >= 0)))";

/// Runs the group.
pub fn run(bench: &mut Bench) -> Result<()> {
    let lasting = bench.lasting();
    let rules: Vec<Rule> = (0..RULES).map(rule).collect();
    let started = Instant::now();
    let routing = Routing::new(rules);
    let arranged = started.elapsed();
    let changed = rule(7);
    let started = Instant::now();
    let patched = routing.with(&[changed.id], vec![changed]);
    let patch = started.elapsed();
    ensure!(
        patched.routes().len() == routing.routes().len(),
        "a rule got lost"
    );

    let events: Vec<Event> = (0..NAMES).map(|n| event(n, PAYLOAD)).collect();
    let matched = routing.matching(&Facts::of(&events[0])).len();
    ensure!(matched == (RULES / NAMES) as usize, "{matched} rules matched");
    let one_by_one = |event: &Event| {
        let facts = Facts::of(event);
        let routes = routing.routes().iter();
        black_box(
            routes
                .filter(|route| route.matches(&facts) == Match::Matched)
                .count(),
        );
    };
    let by_name = |event: &Event| {
        black_box(routing.matching(&Facts::of(event)).len());
    };
    let naive = sample(lasting / 4, &events, one_by_one);
    let arranged_samples = sample(lasting, &events, by_name);

    let numbers: Vec<u32> = (0..1_000).collect();
    let victim = vec![event(0, &json!({"n": numbers}).to_string())];
    let hostile = Routing::new(vec![Rule {
        condition: Some(HOSTILE.into()),
        ..rule(0)
    }]);
    let stopped = sample(lasting / 4, &victim, |event| {
        black_box(hostile.matching(&Facts::of(event)).len());
    });

    let us = |samples: &Samples, at: f64| number(samples.thousandths(at));
    bench.report.row(
        "matching an event: 10,000 rules over 1,000 names, 10 % with conditions, 10 match",
        format!(
            "{} µs (p99 {})",
            us(&arranged_samples, 50.0),
            us(&arranged_samples, 99.0)
        ),
        format!("{} µs one rule after the other", us(&naive, 50.0)),
        Some(arranged_samples.thousandths(50.0) / naive.thousandths(50.0)),
        "< 10 µs",
    );
    bench.report.row(
        "a hostile condition, until its steps are used up",
        format!("{} µs (p99 {})", us(&stopped, 50.0), us(&stopped, 99.0)),
        "–".into(),
        None,
        "–",
    );
    bench.report.row(
        "10,000 rules after one of them changed: arranged again",
        format!("{} ms", number(patch.as_secs_f64() * 1000.0)),
        format!("{} ms from nothing", number(arranged.as_secs_f64() * 1000.0)),
        Some(patch.as_secs_f64() / arranged.as_secs_f64()),
        "–",
    );
    bench.report.raw(
        "matching",
        json!({"events": arranged_samples.len(), "p50_ns": arranged_samples.percentile(50.0),
            "p99_ns": arranged_samples.percentile(99.0), "naive_p50_ns": naive.percentile(50.0),
            "hostile_p50_ns": stopped.percentile(50.0), "patch_us": patch.as_micros(), "arrange_us": arranged.as_micros()}),
    );
    Ok(())
}

/// Ten rules a name, one of them with a condition.
fn rule(n: u32) -> Rule {
    let id = n.to_be_bytes();
    Rule {
        id: RuleId::new(
            Timestamp(i64::from(n)),
            [id[0], id[1], id[2], id[3], 0, 0, 0, 0, 0, 0],
        ),
        workspace: WorkspaceId::new(Timestamp(0), [0; 10]),
        connection: ConnectionId::new(Timestamp(0), [0; 10]),
        kind: "webhook".into(),
        event: name(n % NAMES),
        resource: None,
        resource_id: None,
        condition: (n < RULES / 10).then(|| CONDITION.into()),
        order: None,
        metadata: Map::new(),
        mapping: None,
        active: true,
        hidden: false,
        created_by: "bench".into(),
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
    }
}

fn name(n: u32) -> String {
    format!("lesson.number-{n}.completed")
}

fn event(n: u32, payload: &str) -> Event {
    Event {
        id: EventId::new(Timestamp(0), [0; 10]),
        workspace: WorkspaceId::new(Timestamp(0), [0; 10]),
        event: name(n),
        resource: "course".into(),
        resource_id: Some("creator-accelerator".into()),
        payload: payload.into(),
        created_by: "bench".into(),
        created_at: Timestamp(0),
    }
}

/// One event after the other for the time `lasting`, a tenth of it uncounted; nanoseconds an event.
fn sample(lasting: Duration, events: &[Event], run: impl Fn(&Event)) -> Samples {
    let started = Instant::now();
    let mut samples = Vec::with_capacity(MOST_EVENTS);
    for event in events.iter().cycle() {
        let before = Instant::now();
        run(event);
        let took = before.elapsed();
        let passed = started.elapsed();
        if passed > lasting || samples.len() == MOST_EVENTS {
            break;
        }
        if passed > lasting / 10 {
            samples.push(u32::try_from(took.as_nanos()).unwrap_or(u32::MAX));
        }
    }
    Samples::new(samples)
}
