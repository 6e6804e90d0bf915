//! What changes to rules and connections do to deliveries, and what attempts do to connections.

use heddle_core::connection::InactiveReason;
use heddle_core::delivery::Status;
use heddle_core::outcome::ConnectionVerdict;

use super::*;

fn refused_credential() -> Outcome {
    Outcome {
        connection: ConnectionVerdict::CredentialRefused,
        ..Outcome::permanent(OutcomeCode::AuthFailed, "The token was refused.")
    }
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
            .update_connection(tenant.organisation, mended, None)
            .await
            .unwrap()
    );
    world.store.record_attempt(record).await.unwrap();
    assert_eq!(health(&world, destination.id).await, Health::Active);
}

#[tokio::test]
async fn of_the_deliveries_under_way_one_finds_out_and_the_others_wait() {
    let world = World::new();
    let (_, destination, rule) = one_rule(&world).await;
    for n in 0..3 {
        world.accept(later(n), [&rule]).await;
    }
    let claimed = world.claim(destination.id, 3, later(3)).await.claimed;
    let mut ends = Vec::new();
    for claimed in &claimed {
        let record = world.attempt(claimed, refused_credential(), later(5));
        let Settled::Recorded { state } = world.store.record_attempt(record).await.unwrap() else {
            panic!("nobody else has it");
        };
        ends.push(state.status);
    }
    assert_eq!(ends, [Status::Failed, Status::Retrying, Status::Retrying]);
    assert!(!health(&world, destination.id).await.is_active());
}

#[tokio::test]
async fn what_a_person_asked_for_ends_with_its_own_answer_though_another_one_found_out_first() {
    let world = World::new();
    let (tenant, destination, rule) = one_rule(&world).await;
    let asked_for = world.accept(NOW, [&rule]).await;
    world.accept(later(1), [&rule]).await;
    let forced = world
        .store
        .retry_delivery(tenant.organisation, asked_for.id, rule.id, later(3))
        .await;
    assert!(forced.unwrap().state.forced);
    let mut claimed = world.claim(destination.id, 2, later(3)).await.claimed;
    claimed.sort_by_key(|claimed| claimed.state.forced);
    for claimed in &claimed {
        let record = world.attempt(claimed, refused_credential(), later(5));
        let Settled::Recorded { state } = world.store.record_attempt(record).await.unwrap() else {
            panic!("nobody else has it");
        };
        assert_eq!(state.status, Status::Failed, "forced: {}", claimed.state.forced);
    }
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
            .update_connection(tenant.organisation, changed.clone(), None)
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
    assert_eq!(super::rules_of(&world.store, tenant.workspace).await.len(), 2);

    let deleted = world
        .store
        .delete_rule(tenant.organisation, rule.id, later(2))
        .await
        .unwrap();
    assert_eq!(deleted, Some(rule.clone()));
    assert_eq!(
        super::rules_of(&world.store, tenant.workspace).await,
        [super::matched_by(&other)]
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
async fn deleting_a_rule_calls_off_more_than_one_step() {
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
    let steps = world.follow_up(&other).await;
    let counts = world
        .query(|connection| {
            let sql = "SELECT count(*) FILTER (WHERE status = 'canceled'), count(*) FROM deliveries";
            connection.query_row(sql, [], |row| Ok((row.get::<_, u32>(0)?, row.get::<_, u32>(1)?)))
        })
        .await;
    let accepted = u32::try_from(steps).unwrap();
    assert_eq!(counts, (1_500, 3_000 + accepted));
    assert_eq!(
        world.claim(destination.id, 9_999, later(9)).await.claimed.len(),
        1_500 + steps
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
    assert!(super::rules_of(&world.store, tenant.workspace).await.is_empty());
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
        super::rules_of(&world.store, tenant.workspace).await,
        [super::matched_by(&moved)]
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
async fn a_change_that_rests_on_an_older_reading_is_not_written() {
    let world = World::new();
    let (tenant, destination, _) = one_rule(&world).await;
    let as_of = Some(destination.updated_at);
    let change = |token: &str, at: Timestamp| {
        let mut changed = Destination {
            updated_at: at,
            ..destination.clone()
        };
        changed.secrets.insert("bearer_token".into(), Secret::new(token));
        changed
    };
    let write = |changed: Destination| world.store.update_connection(tenant.organisation, changed, as_of);
    assert!(write(change("the newer token", later(5))).await.unwrap());
    assert!(!write(change("the older token", later(6))).await.unwrap());
    let found = world
        .store
        .connection(tenant.organisation, destination.id)
        .await
        .unwrap();
    assert_eq!(found.unwrap().secrets["bearer_token"].reveal(), "the newer token");
}
