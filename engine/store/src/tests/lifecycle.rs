//! From accepted to ended, and back: what happens to deliveries, their events and connections.

use heddle_core::connection::InactiveReason;
use heddle_core::delivery::{Status, Tally};
use heddle_core::exchange::Header;
use heddle_core::outcome::ConnectionVerdict;

use super::*;

async fn one_rule(world: &World) -> (Tenant, Destination, Rule) {
    let tenant = world.tenant("Academy").await;
    let destination = world.destination(tenant).await;
    let rule = world.rule(&destination).await;
    (tenant, destination, rule)
}

async fn event(world: &World, tenant: Tenant, id: EventId) -> EventRecord {
    world.store.event(tenant.organisation, id).await.unwrap().unwrap()
}

async fn delivery(world: &World, tenant: Tenant, event: EventId, rule: &Rule) -> DeliveryRecord {
    world
        .store
        .delivery(tenant.organisation, event, rule.id)
        .await
        .unwrap()
        .unwrap()
}

async fn health(world: &World, id: ConnectionId) -> Health {
    world
        .store
        .connection_for_delivery(id)
        .await
        .unwrap()
        .unwrap()
        .health
        .clone()
}

fn refused_credential() -> Outcome {
    Outcome {
        connection: ConnectionVerdict::CredentialRefused,
        ..Outcome::permanent(OutcomeCode::AuthFailed, "The token was refused.")
    }
}

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
    assert_eq!(claimed.rule, rule);
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
    let late = world.claim(destination.id, 1, NOW).await.claimed.remove(0);
    assert_eq!(
        world
            .store
            .expire_leases(later(59_999), schedule(), 1)
            .await
            .unwrap(),
        0
    );
    assert_eq!(
        world
            .store
            .expire_leases(later(60_000), schedule(), 1)
            .await
            .unwrap(),
        1
    );
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
async fn a_refused_credential_deactivates_and_a_forced_success_reactivates() {
    let world = World::new();
    let (tenant, destination, rule) = one_rule(&world).await;
    let (one, _two) = (
        world.accept(NOW, [&rule]).await,
        world.accept(later(1), [&rule]).await,
    );
    let claimed = world.claim(destination.id, 1, later(1)).await.claimed.remove(0);
    assert!(health(&world, destination.id).await.is_active());
    world.record(&claimed, refused_credential(), later(5)).await;
    let inactive = Health::Inactive {
        reason: InactiveReason::AuthenticationInvalid,
        detail: "The token was refused.".into(),
    };
    assert_eq!(health(&world, destination.id).await, inactive);

    let request = ClaimRequest {
        connection: destination.id,
        limit: 9,
        forced_only: true,
    };
    let claim = |at| world.store.claim(vec![request.clone()], at, later(99_999));
    let nothing = claim(later(10)).await.unwrap().remove(0);
    assert_eq!((nothing.claimed.len(), nothing.next_due), (0, None));
    world
        .store
        .retry_delivery(tenant.organisation, one.id, rule.id, later(10))
        .await
        .unwrap();
    let mut forced = claim(later(10)).await.unwrap().remove(0);
    assert_eq!((forced.claimed.len(), forced.claimed[0].event.id), (1, one.id));
    world.store.due().take();
    world
        .record(&forced.claimed.remove(0), delivered(), later(11))
        .await;
    assert_eq!(health(&world, destination.id).await, Health::Active);
    assert_eq!(world.store.due().take().get(&destination.id), Some(&later(1)));
}

#[tokio::test]
async fn an_attempt_from_before_a_change_says_nothing_about_the_connection_after_it() {
    let world = World::new();
    let (tenant, destination, rule) = one_rule(&world).await;
    world.accept(NOW, [&rule]).await;
    let claimed = world.claim(destination.id, 1, NOW).await.claimed.remove(0);
    let record = world.attempt(&claimed, refused_credential(), later(5));
    let mended = Destination {
        updated_at: later(8),
        ..destination.clone()
    };
    assert!(
        world
            .store
            .update_connection(tenant.organisation, mended)
            .await
            .unwrap()
    );
    world.store.record_attempt(record).await.unwrap();
    assert_eq!(health(&world, destination.id).await, Health::Active);
}

#[tokio::test]
async fn an_endpoint_that_is_gone_deactivates_its_connection() {
    let world = World::new();
    let (_, destination, rule) = one_rule(&world).await;
    world.accept(NOW, [&rule]).await;
    let claimed = world.claim(destination.id, 1, NOW).await.claimed.remove(0);
    let gone = Outcome {
        connection: ConnectionVerdict::EndpointGone,
        ..Outcome::permanent(OutcomeCode::RejectedClientError, "410 Gone")
    };
    world.record(&claimed, gone, NOW).await;
    let reason = InactiveReason::ManuallyInactivated;
    assert_eq!(
        health(&world, destination.id).await,
        Health::Inactive {
            reason,
            detail: "410 Gone".into()
        }
    );
}

#[tokio::test]
async fn a_connection_that_is_active_again_wakes_its_lane() {
    let world = World::new();
    let (tenant, destination, rule) = one_rule(&world).await;
    world.accept(NOW, [&rule]).await;
    let known = world
        .store
        .connection_for_delivery(destination.id)
        .await
        .unwrap()
        .unwrap();
    let same = world
        .store
        .connection_for_delivery(destination.id)
        .await
        .unwrap()
        .unwrap();
    assert!(Arc::ptr_eq(&known, &same));
    world.store.due().take();
    let changed = Destination {
        name: "New".into(),
        updated_at: later(3),
        ..destination
    };
    assert!(
        world
            .store
            .update_connection(tenant.organisation, changed.clone())
            .await
            .unwrap()
    );
    assert_eq!(world.store.due().take().get(&changed.id), Some(&NOW));
    assert_eq!(
        world
            .store
            .connection_for_delivery(changed.id)
            .await
            .unwrap()
            .unwrap()
            .name,
        "New"
    );
}

#[tokio::test]
async fn deleting_a_rule_calls_off_what_waits_and_keeps_the_history() {
    let world = World::new();
    let (tenant, destination, rule) = one_rule(&world).await;
    let other = world.rule(&destination).await;
    let waiting = world.accept(later(1), [&rule, &other]).await;
    let under_way = world.accept(NOW, [&rule]).await;
    let claimed = world.claim(destination.id, 1, NOW).await.claimed.remove(0);
    assert_eq!(claimed.event.id, under_way.id);
    assert_eq!(world.store.rules_of(tenant.workspace).await.unwrap().len(), 2);

    let deleted = world
        .store
        .delete_rule(tenant.organisation, rule.id, later(2))
        .await
        .unwrap();
    assert_eq!(deleted, Some(rule.clone()));
    assert_eq!(
        world.store.rules_of(tenant.workspace).await.unwrap().as_ref(),
        std::slice::from_ref(&other)
    );
    assert_eq!(
        delivery(&world, tenant, waiting.id, &rule).await.state.status,
        Status::Canceled
    );
    assert_eq!(
        delivery(&world, tenant, waiting.id, &other).await.state.status,
        Status::Pending
    );
    world.record(&claimed, server_error(), later(3)).await;
    assert_eq!(
        delivery(&world, tenant, under_way.id, &rule).await.state.status,
        Status::Canceled
    );
    let refused = world
        .store
        .retry_delivery(tenant.organisation, waiting.id, rule.id, later(4))
        .await;
    assert_eq!(refused, Err(RetryError::RuleDeleted));

    let acceptance = world.acceptance(world.event(tenant.workspace, later(5)), [&rule, &other]);
    let record = world
        .store
        .accept_events(vec![acceptance])
        .await
        .unwrap()
        .remove(0);
    assert_eq!(record.total_rules(), 1);
}

#[tokio::test]
async fn deleting_a_rule_calls_off_more_than_one_batch() {
    let world = World::new();
    let (tenant, destination, rule) = one_rule(&world).await;
    let other = world.rule(&destination).await;
    let acceptances: Vec<_> = (0..1_500)
        .map(|n| world.acceptance(world.event(tenant.workspace, later(n % 7)), [&rule, &other]))
        .collect();
    world.store.accept_events(acceptances).await.unwrap();
    world
        .store
        .delete_rule(tenant.organisation, rule.id, later(9))
        .await
        .unwrap();
    let counts = world
        .query(|connection| {
            let sql = "SELECT count(*) FILTER (WHERE status = 'canceled'), count(*) FROM deliveries";
            connection.query_row(sql, [], |row| Ok((row.get::<_, u32>(0)?, row.get::<_, u32>(1)?)))
        })
        .await;
    assert_eq!(counts, (1_500, 3_000));
    assert_eq!(
        world.claim(destination.id, 9_999, later(9)).await.claimed.len(),
        1_500
    );
}

#[tokio::test]
async fn a_connection_with_an_active_rule_is_deleted_by_force_only() {
    let world = World::new();
    let (tenant, destination, rule) = one_rule(&world).await;
    let accepted = world.accept(NOW, [&rule]).await;
    let delete = |force| {
        world
            .store
            .delete_connection(tenant.organisation, destination.id, force, later(1))
    };
    assert_eq!(delete(false).await.unwrap(), ConnectionDeletion::HasActiveRules);
    assert_eq!(delete(true).await.unwrap(), ConnectionDeletion::Deleted);
    assert_eq!(delete(true).await.unwrap(), ConnectionDeletion::NotFound);
    assert!(
        world
            .store
            .connection_for_delivery(destination.id)
            .await
            .unwrap()
            .is_none()
    );
    assert!(world.store.rules_of(tenant.workspace).await.unwrap().is_empty());
    assert!(world.store.lanes().await.unwrap().is_empty());
    let row = delivery(&world, tenant, accepted.id, &rule).await;
    assert_eq!(
        (row.state.status, row.connection),
        (Status::Canceled, destination.id)
    );
    assert_eq!((row.kind.as_str(), row.completed_at), ("webhook", Some(later(1))));

    let idle = world.destination(tenant).await;
    let resting = world.rule(&idle).await;
    let resting = Rule {
        active: false,
        ..resting
    };
    assert!(
        world
            .store
            .update_rule(tenant.organisation, resting)
            .await
            .unwrap()
    );
    let deletion = world
        .store
        .delete_connection(tenant.organisation, idle.id, false, NOW)
        .await
        .unwrap();
    assert_eq!(deletion, ConnectionDeletion::Deleted);
}

#[tokio::test]
async fn what_waits_follows_its_rule_to_another_connection() {
    let world = World::new();
    let (tenant, old, rule) = one_rule(&world).await;
    let new = world.destination(tenant).await;
    let (waiting, under_way) = (
        world.accept(later(1), [&rule]).await,
        world.accept(NOW, [&rule]).await,
    );
    let claimed = world.claim(old.id, 1, NOW).await.claimed.remove(0);
    world.store.due().take();
    let moved = Rule {
        connection: new.id,
        updated_at: later(2),
        ..rule.clone()
    };
    assert!(
        world
            .store
            .update_rule(tenant.organisation, moved.clone())
            .await
            .unwrap()
    );
    assert_eq!(world.store.due().take().get(&new.id), Some(&later(1)));
    world.record(&claimed, server_error(), later(3)).await;
    assert_eq!(world.store.lanes().await.unwrap(), [(new.id, later(1))]);
    for id in [waiting.id, under_way.id] {
        assert_eq!(delivery(&world, tenant, id, &rule).await.connection, new.id);
    }
    assert_eq!(world.claim(new.id, 9, later(9_000)).await.claimed.len(), 2);
    assert_eq!(
        world.store.rules_of(tenant.workspace).await.unwrap().as_ref(),
        [moved]
    );
}

#[tokio::test]
async fn a_claim_calls_off_a_delivery_without_a_rule() {
    let world = World::new();
    let (tenant, destination, rule) = one_rule(&world).await;
    let accepted = world.accept(NOW, [&rule]).await;
    world
        .query(|connection| connection.execute("DELETE FROM rules", []))
        .await;
    let claim = world.claim(destination.id, 9, NOW).await;
    assert_eq!((claim.claimed.len(), claim.next_due), (0, None));
    assert_eq!(event(&world, tenant, accepted.id).await.status, Status::Canceled);
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
