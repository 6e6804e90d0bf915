//! Retention: what is past its time goes, in small steps, and nothing that is still needed.

use std::collections::BTreeSet;

use heddle_core::delivery::Status;
use heddle_core::id::ReplayId;
use heddle_core::ordering::OnFailure;
use heddle_core::quota::Limits;
use heddle_core::replay::{Filter, Progress, Rules};

use super::*;
use crate::retention::{BEHIND_THE_MARK, LATE, STEP};

const DAY: u64 = 24 * 60 * 60 * 1000;

/// Tables of which retention deletes something.
const PRUNED: &[&str] = &[
    "events",
    "event_payloads",
    "deliveries",
    "attempts",
    "attempt_responses",
];

/// Tables that history does not grow, or that have an end of their own.
const KEPT: &[&str] = &[
    "catalogs",
    "choices",
    "connections",
    "idempotency_keys",
    "left_behind",
    "machine_keys",
    "mappings",
    "meta",
    "organisations",
    "publishable_keys",
    "replays",
    "retention_late",
    "retention_marks",
    "rules",
    "sessions",
    "terms",
    "usage",
    "usage_of_organisations",
    "workspace_limits",
    "workspaces",
];

fn days(payload: Option<u32>, attempt: Option<u32>, event: Option<u32>) -> Limits {
    Limits {
        payload_days: payload,
        attempt_days: attempt,
        event_days: event,
        ..Limits::default()
    }
}

impl World {
    async fn keep(&self, workspace: WorkspaceId, limits: Limits) {
        self.store
            .set_limits_of(workspace, limits, "mk".into(), NOW)
            .await
            .unwrap();
    }

    /// All rounds of a pruner at `now`; returns the rows that went.
    async fn prune(&self, now: Timestamp) -> usize {
        let mut rows = 0;
        let mut behind = None;
        loop {
            let page = self.store.overdue(behind, now).await.unwrap();
            for overdue in page.overdue {
                for steps in 0.. {
                    assert!(steps < 10_000, "it comes to an end");
                    let step = self.store.prune_some(overdue, now).await.unwrap();
                    rows += step.rows;
                    if step.done {
                        break;
                    }
                }
            }
            behind = page.behind;
            if behind.is_none() {
                let again = self.store.overdue(None, now).await.unwrap();
                assert_eq!(again.overdue, [], "what is pruned is not overdue");
                return rows;
            }
        }
    }

    async fn count_of(&self, table: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM {table}");
        self.query(move |db| db.query_row(&sql, [], |row| row.get(0)))
            .await
    }

    async fn history(&self) -> [i64; 5] {
        let mut counts = [0; 5];
        for (count, table) in counts.iter_mut().zip(PRUNED) {
            *count = self.count_of(table).await;
        }
        counts
    }

    /// An event at `at` whose one delivery failed for good at once, with the answer kept.
    async fn given_up(&self, destination: &Destination, rule: &Rule, at: Timestamp) -> EventRecord {
        let event = self.accept(at, [rule]).await;
        let claim = self.claim(destination.id, 1, at).await;
        let failure = Outcome::permanent(OutcomeCode::RejectedClientError, "The destination answered 400.");
        let mut record = self.attempt(&claim.claimed[0], failure, at);
        record.attempt.response = Some(ResponseDetails {
            status: 400,
            headers: Vec::new(),
            body: b"no".to_vec(),
            truncated: false,
        });
        self.store.record_attempt(record).await.unwrap();
        event
    }

    async fn unmatched(&self, workspace: WorkspaceId, from: Timestamp, count: u64) {
        for chunk in (0..count).collect::<Vec<_>>().chunks(500) {
            let acceptances = chunk
                .iter()
                .map(|n| {
                    let at = from.plus(Duration::from_millis(*n));
                    self.acceptance(self.event(workspace, at), [])
                })
                .collect();
            self.store.accept_events(acceptances).await.unwrap();
        }
    }
}

fn again(tenant: Tenant, id: ReplayId, rules: Rules, now: Timestamp) -> Replay {
    Replay {
        id,
        organisation: tenant.organisation,
        workspace: tenant.workspace,
        rules,
        filter: Filter {
            rule: None,
            connection: None,
            event: None,
            statuses: vec![Status::Failed],
            from: None,
            to: None,
        },
        rate: 100,
        progress: Progress::Running,
        total: 2,
        behind: None,
        processed: 0,
        replayed: 0,
        created: 0,
        skipped: 0,
        created_by: "mk_test".into(),
        created_at: now,
        updated_at: now,
        completed_at: None,
    }
}

#[tokio::test]
async fn no_table_is_forgotten() {
    let world = World::new();
    let tables: BTreeSet<String> = world
        .query(|db| {
            let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
            db.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
        })
        .await;
    let known = PRUNED.iter().chain(KEPT).map(|name| (*name).to_owned()).collect();
    assert_eq!(tables, known, "say here what becomes of a table's rows with time");
}

#[tokio::test]
async fn each_part_goes_at_its_own_time_and_nothing_by_default() {
    let world = World::new();
    let (tenant, destination, rule) = one_rule(&world).await;
    let event = world.given_up(&destination, &rule, NOW).await;
    let usage = world.count_of("usage").await;
    assert_eq!(world.prune(later(1_000 * DAY)).await, 0);
    assert_eq!(world.history().await, [1; 5]);

    world
        .keep(tenant.workspace, days(Some(1), Some(2), Some(3)))
        .await;
    assert_eq!(world.prune(later(DAY - 1)).await, 0);
    assert_eq!(world.prune(later(DAY + 1)).await, 1);
    assert_eq!(world.history().await, [1, 0, 1, 1, 1]);
    assert_eq!(world.prune(later(2 * DAY + 1)).await, 2);
    assert_eq!(world.history().await, [1, 0, 1, 0, 0]);
    let seen = world
        .store
        .event(tenant.organisation, event.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (seen.status, seen.tally.failed),
        (Status::Failed, 1),
        "it still lists"
    );
    let kept = delivery(&world, tenant, event.id, &rule).await;
    assert_eq!(kept.state.attempt_count, 1);
    assert_eq!(world.prune(later(3 * DAY + 1)).await, 2);
    assert_eq!(world.history().await, [0; 5]);
    assert_eq!(
        world.count_of("usage").await,
        usage,
        "what was done stays counted"
    );
    assert_eq!(world.prune(later(4 * DAY)).await, 0);
}

#[tokio::test]
async fn the_default_holds_where_a_workspace_has_nothing_of_its_own() {
    let world = World::new();
    let (ours, other) = (world.tenant("Ours").await, world.tenant("Other").await);
    world.unmatched(ours.workspace, NOW, 3).await;
    world.unmatched(other.workspace, NOW, 5).await;
    world.store.set_default_limits(DefaultLimits {
        workspace: days(None, None, Some(7)),
        ..DefaultLimits::default()
    });
    world.keep(ours.workspace, days(None, None, Some(36_500))).await;
    assert_eq!(world.prune(later(8 * DAY)).await, 2 * 5);
    assert_eq!(world.history().await, [3, 3, 0, 0, 0]);
}

#[tokio::test]
async fn what_has_not_ended_is_kept_and_goes_when_its_own_time_has_come() {
    let world = World::new();
    let (tenant, destination, rule) = one_rule(&world).await;
    world
        .keep(tenant.workspace, days(Some(0), Some(1), Some(2)))
        .await;
    let waiting = world.accept(NOW, [&rule]).await;
    let under_way = world.accept(later(1), [&rule]).await;
    let claim = world.claim(destination.id, 2, later(1)).await;
    let retried = world.record(&claim.claimed[0], server_error(), later(2)).await;
    assert!(matches!(retried, Settled::Recorded { .. }));
    let ended = world.given_up(&destination, &rule, later(3)).await;

    // All of it is old, and only what ended goes.
    assert_eq!(world.prune(later(10 * DAY)).await, 5);
    assert_eq!(world.history().await, [2, 2, 2, 1, 0]);
    assert!(
        world
            .store
            .event(tenant.organisation, ended.id)
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(world.prune(later(20 * DAY)).await, 0);
    assert_eq!(world.count_of("retention_late").await, 6);

    // It ends after all, and has its time from then on.
    let end = 21 * DAY;
    let again = world.claim(destination.id, 2, later(end)).await;
    for claimed in claim.claimed[1..].iter().chain(&again.claimed) {
        world.record(claimed, delivered(), later(end)).await;
    }
    for event in [&waiting, &under_way] {
        let seen = world
            .store
            .event(tenant.organisation, event.id)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(seen.status, Status::Completed);
    }
    assert_eq!(
        world.prune(later(end + 600_000)).await,
        2,
        "the payloads, at once"
    );
    assert_eq!(world.history().await, [2, 0, 2, 3, 0]);
    assert_eq!(world.prune(later(end + DAY - 1)).await, 0);
    assert_eq!(world.prune(later(end + DAY)).await, 3);
    assert_eq!(world.prune(later(end + 2 * DAY)).await, 4);
    assert_eq!(world.history().await, [0; 5]);
    assert_eq!(world.count_of("retention_late").await, 0);
}

#[tokio::test]
async fn a_failure_that_holds_others_is_kept_until_it_is_given_up() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    world
        .keep(tenant.workspace, days(Some(1), Some(1), Some(1)))
        .await;
    let destination = world.destination(tenant).await;
    let rule = world.ordered_rule(&destination, OnFailure::Hold).await;
    let head = world.given_up(&destination, &rule, NOW).await;
    let next = world.accept(NOW, [&rule]).await;
    assert_eq!(world.prune(later(10 * DAY)).await, 0);
    let waiting = delivery(&world, tenant, next.id, &rule).await;
    assert_eq!(waiting.waits_for, Some(head.id));
    let given_up = world
        .store
        .cancel_delivery(tenant.organisation, head.id, rule.id, later(10 * DAY));
    given_up.await.unwrap();
    assert!(world.prune(later(30 * DAY)).await > 0);
    assert_eq!(world.count_of("events").await, 1);
    assert_eq!(
        world
            .claim(destination.id, 9, later(30 * DAY))
            .await
            .claimed
            .len(),
        1
    );
}

#[tokio::test]
async fn a_shorter_time_reaches_what_was_passed_over_with_a_longer_one() {
    let world = World::new();
    let (tenant, destination, rule) = one_rule(&world).await;
    world.keep(tenant.workspace, days(None, None, Some(300))).await;
    world.accept(NOW, [&rule]).await;
    assert_eq!(world.prune(later(301 * DAY)).await, 0);
    let claim = world.claim(destination.id, 1, later(301 * DAY)).await;
    world
        .record(&claim.claimed[0], delivered(), later(301 * DAY))
        .await;
    world.keep(tenant.workspace, days(None, None, Some(1))).await;
    assert_eq!(world.prune(later(302 * DAY)).await, 4);
    assert_eq!(world.history().await, [0; 5]);
}

#[tokio::test]
async fn without_its_payload_a_delivery_is_not_tried_again_and_a_replay_skips_and_counts_it() {
    let world = World::new();
    let (tenant, destination, rule) = one_rule(&world).await;
    let gone = world.given_up(&destination, &rule, NOW).await;
    let kept = world.given_up(&destination, &rule, later(2 * DAY)).await;
    world.keep(tenant.workspace, days(Some(1), None, None)).await;
    let now = later(2 * DAY + 10);
    assert_eq!(world.prune(now).await, 1);
    let us = tenant.organisation;
    assert_eq!(
        world.store.retry_delivery(us, gone.id, rule.id, now).await,
        Err(RetryError::PayloadGone)
    );
    assert_eq!(world.store.event_payload(us, gone.id).await.unwrap(), None);

    for (number, rules) in [(1, Rules::Current), (2, Rules::Original)] {
        let replay = again(tenant, ReplayId::new(now, [number; 10]), rules, now);
        world.store.create_replay(replay.clone()).await.unwrap();
        let step = world.store.replay_rows(&replay, 10).await.unwrap();
        let work = match step.rows {
            ReplayRows::Deliveries(ids) => ReplayWork::Deliveries(ids),
            ReplayRows::Events(events) => {
                assert_eq!(events.len(), 2, "one that is to be skipped is passed over too");
                ReplayWork::Events(
                    events
                        .into_iter()
                        .map(|event| world.acceptance(event, [&rule]))
                        .collect(),
                )
            }
        };
        let work = ReplayStep {
            rows: work,
            behind: step.behind,
            ends: step.ends,
        };
        let after = world
            .store
            .advance_replay(&replay, work, now)
            .await
            .unwrap()
            .unwrap();
        assert_eq!((after.processed, after.replayed, after.skipped), (2, 1, 1));
        let claim = world.claim(destination.id, 10, now).await;
        assert_eq!(claim.claimed.len(), 1);
        assert_eq!(claim.claimed[0].event.id, kept.id);
        let failure = Outcome::permanent(OutcomeCode::RejectedClientError, "The destination answered 400.");
        world.record(&claim.claimed[0], failure, now).await;
    }
}

#[tokio::test]
async fn an_event_that_goes_while_a_replay_looks_at_it_is_skipped() {
    let world = World::new();
    let (tenant, destination, rule) = one_rule(&world).await;
    world.given_up(&destination, &rule, NOW).await;
    world.keep(tenant.workspace, days(None, None, Some(1))).await;
    let now = later(2 * DAY);
    let replay = again(tenant, ReplayId::new(now, [1; 10]), Rules::Current, now);
    world.store.create_replay(replay.clone()).await.unwrap();
    let step = world.store.replay_rows(&replay, 10).await.unwrap();
    let ReplayRows::Events(mut events) = step.rows else {
        panic!("it asks for events")
    };
    assert_eq!(world.prune(now).await, 5);
    let work = ReplayStep {
        rows: ReplayWork::Events(vec![world.acceptance(events.remove(0), [&rule])]),
        behind: step.behind,
        ends: step.ends,
    };
    let after = world
        .store
        .advance_replay(&replay, work, now)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((after.processed, after.skipped), (1, 1));
    assert_eq!(world.history().await, [0; 5]);
}

#[tokio::test]
async fn events_are_accepted_between_the_steps_of_a_large_pruning() {
    const EVENTS: u64 = 50_000;
    let world = World::new();
    let (ours, other) = (world.tenant("Ours").await, world.tenant("Other").await);
    world.unmatched(ours.workspace, NOW, EVENTS).await;
    world.keep(ours.workspace, days(None, None, Some(1))).await;
    let now = later(3 * DAY);
    let overdue = world.store.overdue(None, now).await.unwrap().overdue;
    assert_eq!(overdue.len(), 1);
    let (mut steps, mut rows) = (0, 0);
    loop {
        // Asked for at once, so that the event waits for at most the step before it.
        let acceptance = world.acceptance(world.event(other.workspace, now), []);
        let (step, accepted) = tokio::join!(
            world.store.prune_some(overdue[0], now),
            world.store.accept_events(vec![acceptance])
        );
        accepted.unwrap();
        let step = step.unwrap();
        assert!(step.rows < STEP + 2, "{} rows in a step", step.rows);
        (steps, rows) = (steps + 1, rows + step.rows as u64);
        if step.done {
            break;
        }
    }
    assert_eq!(rows, 2 * EVENTS);
    assert!(steps >= 2 * EVENTS as usize / (STEP + 2), "{steps} steps");
    let filter = EventFilter::default();
    let list = world
        .store
        .list_events(other.organisation, filter, first_page(1_000))
        .await
        .unwrap();
    assert_eq!(list.records.len(), steps);
}

#[tokio::test]
async fn a_pruning_goes_on_after_a_crash_and_the_file_becomes_smaller() {
    let mut world = World::new();
    let (tenant, ..) = one_rule(&world).await;
    world.unmatched(tenant.workspace, NOW, 6_000).await;
    world.keep(tenant.workspace, days(None, None, Some(1))).await;
    let now = later(3 * DAY);
    world.store.checkpoint().await.unwrap();
    let (full, space) = (
        std::fs::metadata(world.path()).unwrap().len(),
        world.store.space().await.unwrap(),
    );
    assert!(space.incremental && !space.is_slack());
    let overdue = world.store.overdue(None, now).await.unwrap().overdue[0];
    for _ in 0..5 {
        assert!(!world.store.prune_some(overdue, now).await.unwrap().done);
    }
    // As a process that is killed leaves it: what was committed, and nothing else.
    world.store.close().await;
    world.store = Store::open(config(world.path())).unwrap();
    assert_eq!(world.count_of("events").await, 6_000 - 5 * STEP as i64 / 2);
    world.prune(now).await;
    assert_eq!(world.history().await, [0; 5]);
    assert!(world.store.space().await.unwrap().is_slack());
    while !world.store.reclaim_some().await.unwrap().done {}
    let space = world.store.space().await.unwrap();
    assert!(!space.is_slack(), "{space:?}");
    world.store.checkpoint().await.unwrap();
    let small = std::fs::metadata(world.path()).unwrap().len();
    assert_eq!(small, space.pages * space.page_bytes);
    assert!(small < full / 2, "{small} of {full} bytes");
    let sound: String = world
        .query(|db| db.pragma_query_value(None, "integrity_check", |row| row.get(0)))
        .await;
    assert_eq!(sound, "ok");
}

#[tokio::test]
async fn ten_thousand_workspaces_with_nothing_to_prune_cost_looks_into_indexes_only() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    let plans = world
        .query(|db| {
            let mut plans = Vec::new();
            for sql in [BEHIND_THE_MARK, LATE] {
                let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
                let values = [[0_u8; 16]; 3];
                let rows = statement.query_map(values, |row| row.get::<_, String>(3))?;
                plans.extend(rows.collect::<rusqlite::Result<Vec<_>>>()?);
            }
            Ok(plans)
        })
        .await;
    assert!(plans.iter().all(|plan| plan.starts_with("SEARCH")), "{plans:?}");

    let organisation = tenant.organisation;
    world
        .query(move |db| {
            db.execute_batch("BEGIN")?;
            for n in 0..10_000_u64 {
                let id = WorkspaceId::new(NOW, [&n.to_be_bytes()[..], &[9, 9]].concat().try_into().unwrap());
                db.execute(
                    "INSERT INTO workspaces (id, organisation, name, created_at, updated_at) VALUES (?1, ?2, ?3, 1, 1)",
                    rusqlite::params![id.as_bytes(), organisation.as_bytes(), format!("w {n}")],
                )?;
            }
            db.execute_batch("COMMIT")
        })
        .await;
    world.store.set_default_limits(DefaultLimits {
        workspace: days(Some(1), Some(2), Some(3)),
        ..DefaultLimits::default()
    });
    let (mut behind, mut pages) = (None, 0);
    loop {
        let page = world.store.overdue(behind, later(DAY)).await.unwrap();
        assert_eq!(page.overdue, []);
        pages += 1;
        behind = page.behind;
        if behind.is_none() {
            break;
        }
    }
    assert_eq!(pages, 21, "10,001 workspaces, 500 a read");
}
