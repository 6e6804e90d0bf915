//! From accepted to ended, and back: what happens to deliveries and to their events.

use heddle_core::delivery::{Status, Tally};
use heddle_core::exchange::Header;

use super::*;

#[tokio::test]
async fn an_event_is_accepted_claimed_recorded_and_completed() {
    let world = World::new();
    let (tenant, destination, rule) = one_rule(&world).await;
    let accepted = world.accept(NOW, [&rule]).await;
    assert_eq!((accepted.status, accepted.total_rules()), (Status::Pending, 1));
    assert_eq!(world.store.due().take().get(&destination.id), Some(&NOW));

    let claim = world.claim(destination.id, 9, later(10)).await;
    let [claimed] = &claim.claimed[..] else {
        panic!("{claim:?}")
    };
    assert_eq!((claim.next_due, claimed.state.attempt_count), (None, 1));
    assert_eq!(*claimed.rule, rule);
    assert_eq!(
        &*claimed.event.payload,
        r#"{"email":"nina@academyflow.io", "n": 1.0}"#
    );
    let under_way = event(&world, tenant, accepted.id).await;
    assert_eq!(
        (under_way.status, under_way.started_at),
        (Status::Processing, Some(later(10)))
    );

    let settled = world.record(claimed, delivered(), later(20)).await;
    assert!(matches!(settled, Settled::Recorded { state } if state.status == Status::Completed));
    let done = event(&world, tenant, accepted.id).await;
    assert_eq!(
        done.tally,
        Tally {
            completed: 1,
            ..Tally::default()
        }
    );
    assert_eq!(
        (done.status, done.completed_at),
        (Status::Completed, Some(later(20)))
    );
    let row = delivery(&world, tenant, accepted.id, &rule).await;
    assert_eq!(
        (row.started_at, row.claimed_at, row.completed_at),
        (Some(later(10)), None, Some(later(20)))
    );
    assert_eq!(world.store.deliveries_of(accepted.id).await.unwrap(), [row]);
}

#[tokio::test]
async fn an_event_that_matches_nothing_is_completed_and_stays_visible() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    let acceptance = world.acceptance(world.event(tenant.workspace, NOW), []);
    let record = world
        .store
        .accept_events(vec![acceptance])
        .await
        .unwrap()
        .remove(0);
    assert_eq!(
        (record.status, record.total_rules(), record.completed_at),
        (Status::Completed, 0, Some(NOW))
    );
    assert_eq!(event(&world, tenant, record.id).await, record);
}

#[tokio::test]
async fn a_failure_is_kept_with_its_answer_and_tried_again_on_the_schedule() {
    let world = World::new();
    let (tenant, destination, rule) = one_rule(&world).await;
    let accepted = world.accept(NOW, [&rule]).await;
    let claimed = world.claim(destination.id, 1, NOW).await.claimed.remove(0);
    let mut record = world.attempt(&claimed, server_error(), later(7));
    let response = ResponseDetails {
        status: 503,
        headers: vec![Header {
            name: "retry-after".into(),
            value: "1".into(),
        }],
        body: b"\xffbusy".to_vec(),
        truncated: false,
    };
    record.attempt.response = Some(response.clone());
    record.attempt.message = "é".repeat(MAX_MESSAGE_BYTES);
    world.store.due().take();
    world.store.record_attempt(record.clone()).await.unwrap();

    let row = delivery(&world, tenant, accepted.id, &rule).await;
    let due_at = row.state.due_at.unwrap();
    assert_eq!(row.state.status, Status::Retrying);
    assert!(due_at >= later(1_007), "{due_at}");
    assert_eq!(world.store.due().take().get(&destination.id), Some(&due_at));
    assert_eq!(row.last_error.unwrap().len(), MAX_MESSAGE_BYTES);
    assert_eq!(event(&world, tenant, accepted.id).await.status, Status::Retrying);

    let attempts = world
        .store
        .list_attempts(row.id, first_page(9))
        .await
        .unwrap()
        .records;
    let kept = Attempt {
        response: None,
        message: attempts[0].message.clone(),
        ..record.attempt
    };
    assert_eq!(attempts, std::slice::from_ref(&kept));
    assert_eq!(
        world.store.attempt(row.id, kept.id).await.unwrap(),
        Some(kept.clone())
    );
    assert_eq!(
        world.store.response_details(kept.id).await.unwrap(),
        Some(response)
    );

    let waiting = world.claim(destination.id, 9, later(1_000)).await;
    assert!(waiting.claimed.is_empty());
    assert_eq!(waiting.next_due, Some(due_at));
    for (number, at) in [(2, 2_000), (3, 20_000)] {
        let again = world.claim(destination.id, 9, later(at)).await.claimed.remove(0);
        assert_eq!(
            (again.delivery, again.state.attempt_count),
            (claimed.delivery, number)
        );
        world.record(&again, server_error(), later(at)).await;
    }
    let failed = event(&world, tenant, accepted.id).await;
    assert_eq!((failed.status, failed.tally.failed), (Status::Failed, 1));
    assert_eq!(failed.completed_at, Some(later(20_000)));
}

#[tokio::test]
async fn a_lane_is_claimed_in_due_order_and_says_when_the_rest_is_due() {
    let world = World::new();
    let (_, destination, rule) = one_rule(&world).await;
    let mut ids = Vec::new();
    for at in [30, 10, 20, 500] {
        ids.push(world.accept(later(at), [&rule]).await.id);
    }
    let claim = world.claim(destination.id, 2, later(100)).await;
    let events: Vec<EventId> = claim.claimed.iter().map(|claimed| claimed.event.id).collect();
    assert_eq!((events, claim.next_due), (vec![ids[1], ids[2]], Some(later(30))));
    let claim = world.claim(destination.id, 9, later(100)).await;
    assert_eq!((claim.claimed.len(), claim.next_due), (1, Some(later(500))));
    assert_eq!(world.store.lanes().await.unwrap(), [(destination.id, later(500))]);
}

#[tokio::test]
async fn one_claim_serves_several_lanes_in_the_order_asked() {
    let world = World::new();
    let (tenant, first, rule) = one_rule(&world).await;
    let second = world.destination(tenant).await;
    let rules = [rule, world.rule(&second).await];
    let accepted = world.accept(NOW, &rules).await;
    let lanes = world.store.lanes().await.unwrap();
    assert_eq!(lanes, [(first.id, NOW), (second.id, NOW)]);
    let request = |connection| ClaimRequest {
        connection,
        limit: 5,
        forced_only: false,
    };
    let requests = vec![
        request(second.id),
        request(ConnectionId::from_bytes([0; 16])),
        request(first.id),
    ];
    let claims = world.store.claim(requests, NOW, later(1)).await.unwrap();
    let counts: Vec<_> = claims
        .iter()
        .map(|claim| (claim.connection, claim.claimed.len()))
        .collect();
    assert_eq!(
        (counts[0], counts[1].1, counts[2]),
        ((second.id, 1), 0, (first.id, 1))
    );
    assert_eq!(event(&world, tenant, accepted.id).await.tally.processing, 2);
}

#[tokio::test]
async fn an_attempt_that_was_overtaken_is_not_recorded() {
    let world = World::new();
    let (tenant, destination, rule) = one_rule(&world).await;
    let accepted = world.accept(NOW, [&rule]).await;
    let mut late = world.claim(destination.id, 1, NOW).await.claimed.remove(0);
    let expire = |at| world.store.expire_leases(at, schedule(), 1);
    assert_eq!(
        expire(later(99_999)).await,
        Ok(0),
        "what its holder still has is not taken away by a clock that was set forward"
    );
    late.lease = Lease::default();
    assert_eq!(expire(later(59_999)).await, Ok(0));
    assert_eq!(expire(later(60_000)).await, Ok(1));
    assert_eq!(
        world.record(&late, delivered(), later(60_001)).await,
        Settled::Stale
    );

    let current = world
        .claim(destination.id, 1, later(60_002))
        .await
        .claimed
        .remove(0);
    assert_eq!(current.state.attempt_count, 2);
    assert_eq!(
        world.record(&late, delivered(), later(60_003)).await,
        Settled::Stale
    );
    let record = world.attempt(&current, delivered(), later(60_004));
    assert!(matches!(
        world.store.record_attempt(record.clone()).await.unwrap(),
        Settled::Recorded { .. }
    ));
    assert_eq!(world.store.record_attempt(record).await.unwrap(), Settled::Stale);

    let row = delivery(&world, tenant, accepted.id, &rule).await;
    let attempts = world
        .store
        .list_attempts(row.id, first_page(9))
        .await
        .unwrap()
        .records;
    let history: Vec<_> = attempts
        .iter()
        .map(|a| (a.number, a.outcome_code, a.started_at))
        .collect();
    assert_eq!(
        history,
        [
            (2, OutcomeCode::Delivered, later(60_004)),
            (1, OutcomeCode::InternalError, NOW)
        ]
    );
}

#[tokio::test]
async fn a_start_takes_back_every_lease_however_many() {
    let world = World::new();
    let (tenant, destination, rule) = one_rule(&world).await;
    let acceptances: Vec<_> = (0..1_001)
        .map(|_| world.acceptance(world.event(tenant.workspace, NOW), [&rule]))
        .collect();
    world.store.accept_events(acceptances).await.unwrap();
    assert_eq!(world.claim(destination.id, 2_000, NOW).await.claimed.len(), 1_001);
    world.store.due().take();
    assert_eq!(
        world
            .store
            .release_all_leases(later(5), schedule(), 1)
            .await
            .unwrap(),
        1_001
    );
    assert_eq!(world.store.due().take().get(&destination.id), Some(&later(5)));
    assert_eq!(
        world.claim(destination.id, 2_000, later(5)).await.claimed.len(),
        1_001
    );
}

#[tokio::test]
async fn a_delivery_is_called_off_once() {
    let world = World::new();
    let (tenant, destination, rule) = one_rule(&world).await;
    let accepted = world.accept(NOW, [&rule]).await;
    let cancel = || {
        world
            .store
            .cancel_delivery(tenant.organisation, accepted.id, rule.id, later(3))
    };
    let canceled = cancel().await.unwrap();
    assert_eq!(
        (canceled.state.status, canceled.completed_at),
        (Status::Canceled, Some(later(3)))
    );
    assert_eq!(cancel().await, Err(CancelError::AlreadyFinal));
    assert!(world.claim(destination.id, 9, later(9)).await.claimed.is_empty());
    assert_eq!(event(&world, tenant, accepted.id).await.status, Status::Canceled);
}

#[tokio::test]
async fn canceling_an_event_lets_what_is_under_way_finish_and_spares_what_has_ended() {
    let world = World::new();
    let (tenant, first, rule) = one_rule(&world).await;
    let (second, third) = (world.destination(tenant).await, world.destination(tenant).await);
    let rules = [rule, world.rule(&second).await, world.rule(&third).await];
    let accepted = world.accept(NOW, &rules).await;
    let done = world.claim(first.id, 1, NOW).await.claimed.remove(0);
    world.record(&done, delivered(), NOW).await;
    let under_way = world.claim(second.id, 1, NOW).await.claimed.remove(0);

    let canceled = world
        .store
        .cancel_event(tenant.organisation, accepted.id, later(1))
        .await
        .unwrap()
        .unwrap();
    let expected = Tally {
        completed: 1,
        processing: 1,
        canceled: 1,
        ..Tally::default()
    };
    assert_eq!((canceled.tally, canceled.status), (expected, Status::Processing));
    world.record(&under_way, server_error(), later(2)).await;
    let ended = event(&world, tenant, accepted.id).await;
    assert_eq!(
        ended.tally,
        Tally {
            completed: 1,
            canceled: 2,
            ..Tally::default()
        }
    );
    let again = world
        .store
        .cancel_event(tenant.organisation, accepted.id, later(3))
        .await
        .unwrap();
    assert_eq!(again, Some(ended));
}

#[tokio::test]
async fn a_wish_for_an_attempt_is_granted_refused_or_starts_a_new_run() {
    let world = World::new();
    let (tenant, destination, rule) = one_rule(&world).await;
    let accepted = world.accept(NOW, [&rule]).await;
    let retry = |at| {
        world
            .store
            .retry_delivery(tenant.organisation, accepted.id, rule.id, at)
    };
    let first = world.claim(destination.id, 1, NOW).await.claimed.remove(0);
    assert_eq!(retry(NOW).await, Err(RetryError::InFlight));
    world.record(&first, server_error(), NOW).await;
    assert_eq!(retry(NOW).await, Err(RetryError::Imminent));

    let second = world
        .claim(destination.id, 1, later(2_000))
        .await
        .claimed
        .remove(0);
    world.record(&second, server_error(), later(2_000)).await;
    world.store.due().take();
    let asked = retry(later(2_001)).await.unwrap();
    assert_eq!(
        (asked.state.due_at, asked.state.forced),
        (Some(later(2_001)), true)
    );
    assert_eq!(world.store.due().take().get(&destination.id), Some(&later(2_001)));
    let third = world
        .claim(destination.id, 1, later(2_001))
        .await
        .claimed
        .remove(0);
    world.record(&third, server_error(), later(2_001)).await;

    let failed = event(&world, tenant, accepted.id).await;
    assert_eq!(
        (failed.status, failed.completed_at),
        (Status::Failed, Some(later(2_001)))
    );
    let replayed = retry(later(9_000)).await.unwrap();
    assert_eq!(
        (replayed.state.status, replayed.state.attempt_count),
        (Status::Pending, 3)
    );
    assert_eq!((replayed.state.run_attempts, replayed.completed_at), (0, None));
    let open = event(&world, tenant, accepted.id).await;
    assert_eq!(
        (open.status, open.completed_at, open.started_at),
        (Status::Pending, None, Some(NOW))
    );
    let fourth = world
        .claim(destination.id, 1, later(9_000))
        .await
        .claimed
        .remove(0);
    world.record(&fourth, delivered(), later(9_001)).await;
    assert_eq!(event(&world, tenant, accepted.id).await.status, Status::Completed);
    let row = delivery(&world, tenant, accepted.id, &rule).await;
    assert_eq!(row.last_error.as_deref(), Some("The destination answered 503."));
}

#[tokio::test]
async fn events_are_accepted_all_together_or_not_at_all() {
    let world = World::new();
    let (tenant, destination, rule) = one_rule(&world).await;
    let twice = world.event(tenant.workspace, NOW);
    let batch = [twice.clone(), twice]
        .map(|event| world.acceptance(event, [&rule]))
        .to_vec();
    let refused = world.store.accept_events(batch).await;
    assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
    assert!(world.store.lanes().await.unwrap().is_empty());
    assert!(!world.store.due().take().contains_key(&destination.id));
}
