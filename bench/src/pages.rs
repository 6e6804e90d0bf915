//! Pages of history: every list of it with every filter, one after the other from the newest on and
//! from anywhere in between, timed by their caller.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::Bench;
use crate::client::Line;
use crate::engine::{Engine, Workspace, text};
use crate::figures::{Samples, number};
use crate::history::{RARE, UNMATCHED};
use crate::http;
use crate::ledger::latency_raw;
use crate::process;
use crate::template::EVENT_NAME;

/// A query that is so slow is not read as often: its figure is clear.
const LONGEST_CASE: Duration = Duration::from_secs(20);

/// What the queries are about.
pub struct Places {
    /// The first is large.
    pub workspaces: Vec<Workspace>,
}

/// A query and how long its pages took.
pub struct Case {
    /// What was asked, without ids.
    pub name: String,
    samples: Samples,
    records: usize,
    /// Processor milliseconds of the engine for one, which other programs on the machine disturb less.
    cpu_ms: f64,
}

impl Case {
    /// In milliseconds.
    pub fn p99(&self) -> f64 {
        self.samples.thousandths(99.0)
    }
}

/// All queries at one size.
pub struct Pages(Vec<Case>);

impl Pages {
    /// How many queries there were.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The one with the largest p99.
    pub fn slowest(&self) -> Result<&Case> {
        let slower = |a: &&Case, b: &&Case| a.p99().total_cmp(&b.p99());
        self.0.iter().max_by(slower).context("no page was read")
    }

    /// How many have a p99 over a limit in milliseconds, and the worst of them, as text.
    pub fn over(&self, limit: f64) -> String {
        let mut over: Vec<&Case> = self.0.iter().filter(|case| case.p99() > limit).collect();
        over.sort_by(|a, b| b.p99().total_cmp(&a.p99()));
        let worst: Vec<String> = over
            .iter()
            .take(3)
            .map(|case| format!("{} {} ms", case.name, number(case.p99())))
            .collect();
        let these = if worst.is_empty() { "" } else { ": " };
        format!("{} of {}{these}{}", over.len(), self.0.len(), worst.join(", "))
    }

    /// The raw figures.
    pub fn raw(&self) -> Value {
        let case = |case: &Case| {
            json!({"query": case.name, "records_of_first_page": case.records, "us": latency_raw(&case.samples),
                "engine_cpu_ms": case.cpu_ms})
        };
        self.0.iter().map(case).collect()
    }
}

/// The filters of the lists.
fn filters() -> Vec<String> {
    let mut filters: Vec<String> = [
        "",
        "resource=course",
        "resource=quiz",
        "resource=global",
        "resource=absent",
    ]
    .map(str::to_owned)
    .into();
    filters.extend(["course-7", "quiz-1", "absent"].map(|id| format!("resource_id={id}")));
    let names = [EVENT_NAME, UNMATCHED, RARE, "absent"];
    filters.extend(names.map(|name| format!("event={name}")));
    let statuses = [
        "pending",
        "processing",
        "retrying",
        "completed",
        "failed",
        "canceled",
    ];
    filters.extend(statuses.map(|status| format!("status={status}")));
    // Two filters that are common alone and have nothing in common are the hardest.
    for name in names {
        filters.extend(
            ["completed", "failed", "canceled"].map(|status| format!("event={name}&status={status}")),
        );
        filters
            .extend(["course", "quiz", "absent"].map(|resource| format!("event={name}&resource={resource}")));
        filters.push(format!("event={name}&resource_id=quiz-1"));
    }
    filters.extend(["failed", "canceled"].map(|status| format!("resource=quiz&status={status}")));
    filters.push(format!(
        "event={EVENT_NAME}&resource=course&resource_id=course-7&status=failed"
    ));
    filters
}

/// Reads them all, each so many times.
pub async fn read(bench: &Bench, engine: &mut Engine<'_>, places: &Places, reads: usize) -> Result<Pages> {
    let mut line = Line::open(engine.address).await?;
    let mut cases = Vec::new();
    let lists = [
        ("organization".to_owned(), "/events".to_owned()),
        (
            "workspace".to_owned(),
            format!("/workspaces/{}/events", places.workspaces[0].id),
        ),
        (
            "small workspace".to_owned(),
            format!("/workspaces/{}/events", places.workspaces[1].id),
        ),
    ];
    for (whose, path) in &lists {
        for filter in filters() {
            let name = format!("{whose}: {}", if filter.is_empty() { "all" } else { &filter });
            cases.push(
                list(
                    engine,
                    &mut line,
                    reads,
                    name,
                    &format!("{path}?{filter}&limit=100"),
                )
                .await?,
            );
        }
    }
    for status in ["completed", "failed"] {
        cases.extend(single(engine, &mut line, reads, status).await?);
    }
    let pages = Pages(cases);
    let slowest = pages.slowest()?;
    bench.say(&format!(
        "{} queries of history; the slowest p99 is {} ms: {}",
        pages.len(),
        number(slowest.p99()),
        slowest.name
    ));
    Ok(pages)
}

async fn get(engine: &mut Engine<'_>, line: &mut Line, path: &str) -> Result<(u32, Value)> {
    let request = http::request("GET", &format!("/api/v1{path}"), &engine.authorization()?, b"");
    let started = Instant::now();
    let (status, answer) = line.exchange(&request).await?;
    let took = u32::try_from(started.elapsed().as_micros()).unwrap_or(u32::MAX);
    ensure!(
        status == 200,
        "GET {path} answered {status}: {}",
        String::from_utf8_lossy(answer)
    );
    Ok((took, serde_json::from_slice(answer)?))
}

/// A list: page after page, and from anywhere.
async fn list(
    engine: &mut Engine<'_>,
    line: &mut Line,
    reads: usize,
    name: String,
    path: &str,
) -> Result<Case> {
    let (_, first) = get(engine, line, path).await?;
    let records = first["records"].as_array().map_or(0, Vec::len);
    let deep = first["next_cursor"].as_str().map(str::to_owned);
    let (mut samples, mut cursor) = (Vec::new(), None::<String>);
    let (started, cpu) = (Instant::now(), process::running_seconds(&engine.pid())?);
    for read in 0..reads {
        let from = match &deep {
            Some(known) if read % 2 == 1 => Some(elsewhere(known, read)?),
            _ => cursor.clone(),
        };
        let asked = from.map_or_else(|| path.to_owned(), |from| format!("{path}&cursor={from}"));
        let (took, answer) = get(engine, line, &asked).await?;
        samples.push(took);
        if deep.is_none() || read % 2 == 0 {
            cursor = answer["next_cursor"].as_str().map(str::to_owned);
        }
        if started.elapsed() > LONGEST_CASE {
            break;
        }
    }
    Ok(Case {
        name,
        cpu_ms: (process::running_seconds(&engine.pid())? - cpu) * 1000.0 / samples.len() as f64,
        samples: Samples::new(samples),
        records,
    })
}

/// A cursor into the two weeks before the one that is known: its id, made as much earlier.
fn elsewhere(cursor: &str, read: usize) -> Result<String> {
    /// A prime, so that the reads come to lie all over.
    const STEP: u64 = 7_919;
    const DAYS_MS: u64 = 14 * 24 * 3_600_000;
    let mut bytes = URL_SAFE_NO_PAD.decode(cursor)?;
    let at = bytes.len().checked_sub(16).context("a cursor without an id")?;
    let mut made = [0; 8];
    made[2..].copy_from_slice(&bytes[at..at + 6]);
    let back = (read as u64 * STEP * 60_000) % DAYS_MS;
    let made = u64::from_be_bytes(made).saturating_sub(back).to_be_bytes();
    bytes[at..at + 6].copy_from_slice(&made[2..]);
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// An event with its deliveries, its payload, the attempts of one and what was answered to it.
async fn single(engine: &mut Engine<'_>, line: &mut Line, reads: usize, status: &str) -> Result<Vec<Case>> {
    let (_, listed) = get(
        engine,
        line,
        &format!("/events?status={status}&event={EVENT_NAME}&limit=1"),
    )
    .await?;
    let id = text(&listed, "/records/0/id")?;
    let (_, event) = get(engine, line, &format!("/events/{id}")).await?;
    let rule = text(&event, "/rule_events/0/rule_id").or_else(|_| text(&event, "/rule_events/0/rule"))?;
    let attempts = format!("/events/{id}/rules/{rule}/attempts");
    let (_, listed) = get(engine, line, &format!("{attempts}?")).await?;
    let attempt = text(&listed, "/records/0/id")?;
    let mut cases = Vec::new();
    let mut queries = vec![
        ("event", format!("/events/{id}")),
        ("payload", format!("/events/{id}/payload")),
        ("explanation", format!("/events/{id}/explain")),
        ("attempts", attempts.clone()),
        ("attempt", format!("{attempts}/{attempt}")),
    ];
    if status == "failed" {
        queries.push(("response", format!("{attempts}/{attempt}/response-details")));
    }
    for (what, path) in queries {
        let mut samples = Vec::new();
        let cpu = process::running_seconds(&engine.pid())?;
        for _ in 0..reads {
            samples.push(get(engine, line, &path).await?.0);
        }
        cases.push(Case {
            name: format!("{what} of one {status}"),
            samples: Samples::new(samples),
            records: 1,
            cpu_ms: (process::running_seconds(&engine.pid())? - cpu) * 1000.0 / reads as f64,
        });
    }
    Ok(cases)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_elsewhere_has_an_earlier_id_and_is_otherwise_the_same() {
        let mut bytes = vec![1];
        bytes.extend([0x01, 0x9a, 0, 0, 0, 0, 0x70, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let moved = elsewhere(&URL_SAFE_NO_PAD.encode(&bytes), 3).unwrap();
        let moved = URL_SAFE_NO_PAD.decode(moved).unwrap();
        assert_eq!((moved[0], &moved[7..]), (1, &bytes[7..]));
        assert!(moved[1..7] < bytes[1..7]);
        assert!(elsewhere("AQ", 1).is_err());
    }

    #[test]
    fn the_queries_over_a_limit_are_named() {
        let case = |name: &str, us| Case {
            name: name.into(),
            samples: Samples::new(vec![us]),
            records: 0,
            cpu_ms: 0.0,
        };
        let pages = Pages(vec![case("a", 900), case("b", 12_000), case("c", 10_500)]);
        assert_eq!(pages.slowest().unwrap().name, "b");
        assert_eq!(pages.over(10.0), "2 of 3: b 12.0 ms, c 10.5 ms");
        assert_eq!(pages.over(20.0), "0 of 3");
    }
}
