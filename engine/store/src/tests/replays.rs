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
            total: counted,
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
        let work = match self.store.replay_rows(replay, most).await.unwrap() {
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
        (4, 7, 7, 0)
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
        let ReplayRows::Deliveries(ids) = world.store.replay_rows(&replay, 100).await.unwrap() else {
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
    assert_eq!(count.await.unwrap(), 0);
}
