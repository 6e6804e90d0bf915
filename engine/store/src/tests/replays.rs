//! Bulk replay: every row once, whatever happens between two steps.

use heddle_core::delivery::Status;
use heddle_core::id::ReplayId;
use heddle_core::replay::{Filter, Progress, Rules, Wish};

use super::*;

fn everything_failed() -> Filter {
    Filter {
        rule: None,
        connection: None,
        event: None,
        statuses: vec![Status::Failed],
        from: None,
        to: None,
    }
}

impl World {
    /// An event whose delivery by `rule` failed for good.
    async fn failed(&self, destination: &Destination, rule: &Rule, at: Timestamp) -> EventId {
        let accepted = self.accept(at, [rule]).await;
        let claim = self.claim(destination.id, 1, at).await;
        let refused = Outcome::permanent(OutcomeCode::RejectedClientError, "The destination answered 400.");
        self.record(&claim.claimed[0], refused, at).await;
        accepted.id
    }

    async fn start_replay(&self, tenant: Tenant, rules: Rules, filter: Filter, now: Timestamp) -> Replay {
        let counted = self
            .store
            .count_replay(tenant.workspace, rules, filter.clone(), now)
            .await
            .unwrap();
        let replay = Replay {
            id: ReplayId::new(now, self.random()),
            organisation: tenant.organisation,
            workspace: tenant.workspace,
            rules,
            filter,
            rate: 100,
            progress: Progress::Running,
            total: counted.rows,
            behind: None,
            processed: 0,
            replayed: 0,
            created: 0,
            skipped: 0,
            created_by: "mk_test".into(),
            created_at: now,
            updated_at: now,
            completed_at: None,
        };
        self.store.create_replay(replay.clone()).await.unwrap();
        replay
    }

    /// One step of at most `most` rows; for current rules every event is held against `rules`.
    async fn step(&self, replay: &Replay, most: u32, rules: &[&Rule], now: Timestamp) -> Option<Replay> {
        let step = self.store.replay_rows(replay, most).await.unwrap();
        let rows = match step.rows {
            ReplayRows::Deliveries(ids) => ReplayWork::Deliveries(ids),
            ReplayRows::Events(events) => ReplayWork::Events(
                events
                    .into_iter()
                    .map(|event| {
                        let mut acceptance = self.acceptance(event, rules.iter().copied());
                        for delivery in &mut acceptance.deliveries {
                            delivery.id = DeliveryId::new(now, self.random());
                            delivery.state = State::new(now, &schedule(), 1);
                        }
                        acceptance
                    })
                    .collect(),
            ),
        };
        let work = ReplayStep {
            rows,
            behind: step.behind,
            ends: step.ends,
        };
        self.store.advance_replay(replay, work, now).await.unwrap()
    }
}

#[tokio::test]
async fn every_failed_delivery_is_replayed_once_and_nothing_else_is() {
    let world = World::new();
    let (tenant, destination, rule) = one_rule(&world).await;
    let mut failed = Vec::new();
    for n in 0..7 {
        failed.push(world.failed(&destination, &rule, later(n)).await);
    }
    let fine = world.accept(later(10), [&rule]).await;
    let claim = world.claim(destination.id, 1, later(10)).await;
    world.record(&claim.claimed[0], delivered(), later(10)).await;
    let waiting = world.accept(later(11), [&rule]).await;

    let mut replay = world
        .start_replay(tenant, Rules::Original, everything_failed(), later(100))
        .await;
    assert_eq!(replay.total, 7);
    world.store.due().take();
    let mut steps = 0;
    while replay.progress == Progress::Running {
        replay = world.step(&replay, 3, &[], later(101)).await.unwrap();
        steps += 1;
    }
    assert_eq!(
        (steps, replay.processed, replay.replayed, replay.skipped),
        (3, 7, 7, 0)
    );
    assert_eq!(replay.completed_at, Some(later(101)));
    assert_eq!(world.store.due().take().get(&destination.id), Some(&later(101)));
    for id in failed {
        let row = delivery(&world, tenant, id, &rule).await;
        assert_eq!((row.state.status, row.state.run_attempts), (Status::Pending, 0));
        assert!(!row.state.forced, "it waits if its connection is inactive");
        assert_eq!(event(&world, tenant, id).await.tally.pending, 1);
    }
    assert_eq!(event(&world, tenant, fine.id).await.status, Status::Completed);
    let untouched = delivery(&world, tenant, waiting.id, &rule).await;
    assert_eq!(untouched.state.due_at, Some(later(11)));
}

#[tokio::test]
async fn a_step_that_is_repeated_or_comes_from_an_old_position_does_nothing() {
    let world = World::new();
    let (tenant, destination, rule) = one_rule(&world).await;
    for n in 0..4 {
        world.failed(&destination, &rule, later(n)).await;
    }
    let start = world
        .start_replay(tenant, Rules::Original, everything_failed(), later(100))
        .await;
    let second = world.step(&start, 2, &[], later(101)).await.unwrap();
    assert_eq!(second.replayed, 2);
    assert_eq!(
        world.step(&start, 2, &[], later(102)).await,
        None,
        "a late twin of the first step"
    );
    let known = world.store.replay(tenant.organisation, start.id).await.unwrap();
    assert_eq!(known, Some(second));
}

#[tokio::test]
async fn what_fails_again_while_the_job_runs_is_not_taken_twice() {
    let world = World::new();
    let (tenant, destination, rule) = one_rule(&world).await;
    for n in 0..2 {
        world.failed(&destination, &rule, later(n)).await;
    }
    let mut replay = world
        .start_replay(tenant, Rules::Original, everything_failed(), later(100))
        .await;
    // One that fails only after the job was made is not its business, though its id comes late.
    world.failed(&destination, &rule, later(150)).await;
    replay = world.step(&replay, 1, &[], later(200)).await.unwrap();
    let claim = world.claim(destination.id, 9, later(201)).await;
    let refused = Outcome::permanent(OutcomeCode::RejectedClientError, "The destination answered 400.");
    world.record(&claim.claimed[0], refused, later(202)).await;
    while replay.progress == Progress::Running {
        replay = world.step(&replay, 1, &[], later(203)).await.unwrap();
    }
    assert_eq!((replay.replayed, replay.skipped), (2, 0));
}

#[tokio::test]
async fn a_paused_job_does_nothing_and_a_canceled_one_never_again() {
    let world = World::new();
    let (tenant, destination, rule) = one_rule(&world).await;
    world.failed(&destination, &rule, NOW).await;
    let replay = world
        .start_replay(tenant, Rules::Original, everything_failed(), later(100))
        .await;
    let wish = |wish| {
        world
            .store
            .change_replay(tenant.organisation, replay.id, wish, later(101))
    };
    assert_eq!(wish(Wish::Pause).await.unwrap().progress, Progress::Paused);
    assert!(world.store.running_replays().await.unwrap().is_empty());
    assert_eq!(world.step(&replay, 9, &[], later(102)).await, None);
    assert_eq!(wish(Wish::Resume).await.unwrap().progress, Progress::Running);
    assert_eq!(world.store.running_replays().await.unwrap().len(), 1);
    assert_eq!(wish(Wish::Cancel).await.unwrap().progress, Progress::Canceled);
    assert_eq!(wish(Wish::Resume).await, Err(ReplayError::AlreadyFinal));
    assert_eq!(world.step(&replay, 9, &[], later(102)).await, None);

    let other = world.tenant("Other").await;
    let not_mine = world
        .store
        .change_replay(other.organisation, replay.id, Wish::Cancel, later(103))
        .await;
    assert_eq!(not_mine, Err(ReplayError::NotFound));
    assert_eq!(
        world.store.replay(other.organisation, replay.id).await.unwrap(),
        None
    );
}

#[tokio::test]
async fn a_filter_narrows_by_rule_connection_name_status_and_time() {
    let world = World::new();
    let (tenant, destination, rule) = one_rule(&world).await;
    let second = world.destination(tenant).await;
    let second_rule = world.rule(&second).await;
    for n in 0..3 {
        world.failed(&destination, &rule, later(n * 10)).await;
    }
    world.failed(&second, &second_rule, later(5)).await;
    let accepted = world.accept(later(6), [&second_rule]).await;
    world
        .store
        .cancel_event(tenant.organisation, accepted.id, later(7))
        .await
        .unwrap();

    let all = everything_failed();
    let cases = [
        (all.clone(), 4),
        (
            Filter {
                rule: Some(rule.id),
                ..all.clone()
            },
            3,
        ),
        (
            Filter {
                connection: Some(second.id),
                ..all.clone()
            },
            1,
        ),
        (
            Filter {
                event: Some("lesson.completed".into()),
                ..all.clone()
            },
            4,
        ),
        (
            Filter {
                event: Some("lesson.started".into()),
                ..all.clone()
            },
            0,
        ),
        (
            Filter {
                statuses: vec![Status::Canceled],
                ..all.clone()
            },
            1,
        ),
        (
            Filter {
                statuses: vec![Status::Failed, Status::Canceled],
                ..all.clone()
            },
            5,
        ),
        (
            Filter {
                statuses: vec![Status::Completed, Status::Failed],
                ..all.clone()
            },
            4,
        ),
        (
            Filter {
                from: Some(later(5)),
                ..all.clone()
            },
            3,
        ),
        (
            Filter {
                to: Some(later(5)),
                ..all.clone()
            },
            1,
        ),
        (
            Filter {
                from: Some(later(5)),
                to: Some(later(20)),
                ..all.clone()
            },
            2,
        ),
    ];
    for (filter, expected) in cases {
        let mut replay = world
            .start_replay(tenant, Rules::Original, filter.clone(), later(1000))
            .await;
        assert_eq!(replay.total, expected, "{filter:?}");
        // Paused so that it changes nothing for the next case; the rows are what it would take.
        replay.progress = Progress::Paused;
        let ReplayRows::Deliveries(ids) = world.store.replay_rows(&replay, 100).await.unwrap().rows else {
            panic!("original rules give deliveries")
        };
        assert_eq!(ids.len(), expected as usize, "{filter:?}");
        assert!(ids.is_sorted());
    }
}

#[tokio::test]
async fn a_deleted_rule_has_nothing_to_replay_by() {
    let world = World::new();
    let (tenant, destination, rule) = one_rule(&world).await;
    world.failed(&destination, &rule, NOW).await;
    world
        .store
        .delete_rule(tenant.organisation, rule.id, later(1))
        .await
        .unwrap();
    let replay = world
        .start_replay(tenant, Rules::Original, everything_failed(), later(100))
        .await;
    let after = world.step(&replay, 9, &[], later(101)).await.unwrap();
    assert_eq!((after.replayed, after.skipped), (0, 1));
}

#[tokio::test]
async fn with_the_rules_of_now_an_event_gets_the_deliveries_that_it_lacks() {
    let world = World::new();
    let (tenant, destination, rule) = one_rule(&world).await;
    let failed = world.failed(&destination, &rule, NOW).await;
    let unmatched = world.event(tenant.workspace, later(1));
    let unmatched_id = unmatched.id;
    world
        .store
        .accept_events(vec![world.acceptance(unmatched, [])])
        .await
        .unwrap();
    let fine = world.accept(later(2), [&rule]).await;
    let claim = world.claim(destination.id, 1, later(2)).await;
    world.record(&claim.claimed[0], delivered(), later(2)).await;
    let added = world.rule(&destination).await;

    let mut replay = world
        .start_replay(tenant, Rules::Current, everything_failed(), later(100))
        .await;
    assert_eq!(replay.total, 3, "events");
    while replay.progress == Progress::Running {
        replay = world
            .step(&replay, 2, &[&rule, &added], later(101))
            .await
            .unwrap();
    }
    // failed: tried anew, and the added rule; unmatched: both rules; fine: the added rule alone.
    assert_eq!((replay.replayed, replay.created, replay.skipped), (1, 4, 0));
    for (id, pending, completed) in [(failed, 2, 0), (unmatched_id, 2, 0), (fine.id, 1, 1)] {
        let record = event(&world, tenant, id).await;
        assert_eq!(
            (record.tally.pending, record.tally.completed),
            (pending, completed)
        );
        assert!(
            !record.status.is_final() && record.completed_at.is_none(),
            "{record:?}"
        );
    }
}

#[tokio::test]
async fn counts_wait_for_one_another_and_leave_readers_to_everybody_else() {
    let world = World::new();
    let tenant = world.tenant("One").await;
    let counting = world.store.inner.shared.counting.lock().await;
    let count = world
        .store
        .count_replay(tenant.workspace, Rules::Original, everything_failed(), NOW);
    let mut count = std::pin::pin!(count);
    for _ in 0..50 {
        tokio::select! {
            biased;
            _ = &mut count => panic!("another count is under way"),
            lanes = world.store.lanes() => assert!(lanes.unwrap().is_empty()),
        }
    }
    drop(counting);
    let none = Counted { rows: 0, exact: true };
    assert_eq!(count.await.unwrap(), none);
}

/// A filter of deliveries that were delivered.
fn everything_delivered() -> Filter {
    Filter {
        statuses: vec![Status::Completed],
        ..everything_failed()
    }
}

#[tokio::test]
async fn what_was_delivered_is_replayed_event_by_event_and_in_the_midst_of_one() {
    let world = World::new();
    let (tenant, destination, first) = one_rule(&world).await;
    let mut rules = vec![first];
    for _ in 0..6 {
        rules.push(world.rule(&destination).await);
    }
    let stranger = world.tenant("Stranger").await;
    let theirs = world.destination(stranger).await;
    let their_rule = world.rule(&theirs).await;
    let mut untouched = Vec::new();
    for n in 0..3 {
        if n == 1 {
            let unmatched = world.acceptance(world.event(tenant.workspace, later(n)), []);
            world.store.accept_events(vec![unmatched]).await.unwrap();
        } else {
            world.accept(later(n), &rules).await;
        }
        untouched.push(world.accept(later(n), [&their_rule]).await.id);
    }
    for lane in [destination.id, theirs.id] {
        for claimed in world.claim(lane, 100, later(10)).await.claimed {
            world.record(&claimed, delivered(), later(11)).await;
        }
    }
    let start = world
        .start_replay(tenant, Rules::Original, everything_delivered(), later(100))
        .await;
    assert_eq!(start.total, 14);
    let mut replay = start.clone();
    let mut steps = Vec::new();
    while replay.progress == Progress::Running {
        let before = replay.processed;
        replay = world.step(&replay, 3, &[], later(101)).await.unwrap();
        steps.push(replay.processed - before);
    }
    assert_eq!(steps, [3, 3, 3, 3, 2]);
    assert_eq!((replay.replayed, replay.skipped), (14, 0));
    assert!(world.store.due().take().contains_key(&destination.id));
    for id in untouched {
        assert_eq!(event(&world, stranger, id).await.tally.completed, 1);
    }
    // From where it stood in the midst of an event, and from the start: nothing is taken twice.
    let again = world.store.replay_rows(&start, 100).await.unwrap();
    assert!(matches!(again.rows, ReplayRows::Deliveries(ids) if ids.is_empty()));
}

#[tokio::test]
async fn a_look_that_finds_nothing_ends_after_its_bound_and_the_next_goes_on_behind_it() {
    let world = World::new();
    let (tenant, destination, rule) = one_rule(&world).await;
    let (events, bound) = (2_500_usize, crate::replay_rows::LOOKED_AT);
    for chunk in 0..events / 100 {
        let chunk = (0..100).map(|n| {
            let at = later((chunk * 100 + n) as u64);
            world.acceptance(world.event(tenant.workspace, at), [&rule])
        });
        world.store.accept_events(chunk.collect()).await.unwrap();
    }
    let elsewhere = world.destination(tenant).await.id;
    let walk = async |status: Status, filter: Filter, rules: Rules| {
        let raw = rusqlite::Connection::open(world.path()).unwrap();
        raw.execute(
            "UPDATE deliveries SET status = ?1, completed_at = ?2, due_at = NULL",
            rusqlite::params![status.as_str(), NOW.0],
        )
        .unwrap();
        drop(raw);
        let filter = Filter {
            statuses: vec![status],
            ..filter
        };
        let mut replay = world.start_replay(tenant, rules, filter, later(9_000)).await;
        let mut found = Vec::new();
        loop {
            let step = world.store.replay_rows(&replay, 10_000).await.unwrap();
            found.push(match step.rows {
                ReplayRows::Deliveries(ids) => ids.len(),
                ReplayRows::Events(events) => events.len(),
            });
            if step.ends {
                return (replay.total, found);
            }
            assert_ne!(step.behind, replay.behind, "it does not go on");
            replay.behind = step.behind;
        }
    };
    let none = Filter {
        connection: Some(elsewhere),
        ..everything_failed()
    };
    let all = everything_failed;
    // A row each of those that ended badly; else a row each of an event and of its delivery.
    assert_eq!(
        walk(Status::Failed, none.clone(), Rules::Original).await,
        (0, vec![0, 0])
    );
    assert_eq!(
        walk(Status::Failed, all(), Rules::Original).await,
        (2_500, vec![bound, 500])
    );
    assert_eq!(
        walk(Status::Completed, none, Rules::Original).await,
        (0, vec![0, 0, 0])
    );
    let found = walk(Status::Completed, all(), Rules::Original).await;
    assert_eq!(found, (2_500, vec![1_000, 1_000, 500]));
    assert_eq!(
        walk(Status::Completed, all(), Rules::Current).await,
        (2_500, vec![bound, 500])
    );
    let unheard = Filter {
        event: Some("never".into()),
        ..all()
    };
    for rules in [Rules::Original, Rules::Current] {
        let found = walk(Status::Completed, unheard.clone(), rules).await;
        assert_eq!(found, (0, vec![0]), "a name leads to its own events");
    }
    assert_eq!(destination.workspace, tenant.workspace);
}

#[tokio::test]
async fn a_step_with_the_rules_of_now_holds_few_long_payloads() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    for n in 0..40 {
        let event = Event {
            payload: format!("{{\"x\":\"{}\"}}", "x".repeat(250_000)).into(),
            ..world.event(tenant.workspace, later(n))
        };
        world
            .store
            .accept_events(vec![world.acceptance(event, [])])
            .await
            .unwrap();
    }
    let mut replay = world
        .start_replay(tenant, Rules::Current, everything_failed(), later(100))
        .await;
    let step = world.store.replay_rows(&replay, 100).await.unwrap();
    assert!(matches!(&step.rows, ReplayRows::Events(events) if events.len() == 17) && !step.ends);
    while replay.progress == Progress::Running {
        replay = world.step(&replay, 100, &[], later(101)).await.unwrap();
    }
    assert_eq!((replay.processed, replay.skipped), (40, 40));
}

#[tokio::test]
async fn every_query_of_a_replay_is_served_by_an_index_in_order() {
    let world = World::new();
    let raw = rusqlite::Connection::open(world.path()).unwrap();
    for (sql, index) in [
        (
            crate::replay_rows::ended_badly(),
            "USING INDEX ended_badly (workspace=? AND id>? AND id<?)",
        ),
        (
            crate::replay_rows::of_event(),
            "USING INDEX sqlite_autoindex_deliveries_2 (event=? AND rule>?)",
        ),
        (
            crate::replay_rows::EVENTS.into(),
            "USING COVERING INDEX events_of_workspace (workspace=? AND id>? AND id<?)",
        ),
        (
            crate::replay_rows::EVENTS_BY_NAME.into(),
            "USING COVERING INDEX events_by_name (workspace=? AND event=? AND id>? AND id<?)",
        ),
    ] {
        let mut statement = raw.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let mut rows = statement.raw_query();
        let row = rows.next().unwrap().unwrap();
        let plan: String = row.get("detail").unwrap();
        assert!(
            plan.starts_with("SEARCH") && plan.contains(index),
            "{sql}: {plan}"
        );
        assert!(rows.next().unwrap().is_none(), "{sql}: a sort, or another table");
    }
}
