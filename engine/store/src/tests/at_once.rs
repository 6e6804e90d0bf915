//! Deliveries that are claimed in the commit that makes them.

use heddle_core::delivery::Status;
use heddle_core::ordering::{OnFailure, Order};

use super::*;

const LEASE: Duration = Duration::from_secs(60);

impl World {
    /// Accepts an event that matched these rules, and claims all that may be.
    async fn accept_and_claim(&self, at: Timestamp, rules: &[&Rule]) -> Intake {
        let event = self.event(rules[0].workspace, at);
        let mut acceptance = self.acceptance(event, rules.iter().copied());
        for delivery in &mut acceptance.deliveries {
            delivery.leased_until = Some(at.plus(LEASE));
        }
        let emission = Emission {
            acceptance,
            once: None,
        };
        self.store.accept(vec![emission]).await.unwrap()
    }
}

#[tokio::test]
async fn a_delivery_is_claimed_in_the_commit_that_makes_it() {
    let world = World::new();
    let tenant = world.tenant("acme").await;
    let destination = world.destination(tenant).await;
    let rule = world.rule(&destination).await;
    let commits = world.store.commits();
    let Intake {
        accepted,
        mut claimed,
    } = world.accept_and_claim(NOW, &[&rule]).await;
    assert_eq!((claimed.len(), world.store.commits() - commits), (1, 1));
    let claimed = claimed.remove(0);
    assert_eq!(
        (claimed.state.attempt_count, claimed.connection),
        (1, destination.id)
    );
    assert_eq!(
        &*claimed.event.payload,
        r#"{"email":"nina@academyflow.io", "n": 1.0}"#
    );

    let Accepted::New(event) = &accepted[0] else {
        panic!("{accepted:?}")
    };
    assert_eq!((event.status, event.started_at), (Status::Processing, Some(NOW)));
    let reach = tenant.organisation;
    assert_eq!(
        world.store.event(reach, event.id).await.unwrap().as_ref(),
        Some(event)
    );
    let [delivery] = &*world.store.deliveries_of(event.id).await.unwrap() else {
        panic!("one delivery")
    };
    assert_eq!(delivery.state, claimed.state);
    assert_eq!((delivery.started_at, delivery.claimed_at), (Some(NOW), Some(NOW)));
    assert!(world.store.due().take().is_empty(), "nobody is to claim it again");
    assert!(world.claim(destination.id, 9, NOW).await.claimed.is_empty());

    let settled = world.record(&claimed, delivered(), later(5)).await;
    assert!(matches!(settled, Settled::Recorded { state } if state.status == Status::Completed));
    let event = world.store.event(reach, event.id).await.unwrap().unwrap();
    assert_eq!(
        (event.status, event.completed_at),
        (Status::Completed, Some(later(5)))
    );
}

#[tokio::test]
async fn what_has_to_wait_is_not_claimed_with_its_event() {
    let world = World::new();
    let tenant = world.tenant("acme").await;
    let destination = world.destination(tenant).await;
    let other = world.destination(tenant).await;
    let rule = world.rule(&destination).await;

    // Due later.
    let mut acceptance = world.acceptance(world.event(rule.workspace, NOW), [&rule]);
    acceptance.deliveries[0].state.due_at = Some(later(1));
    acceptance.deliveries[0].leased_until = Some(NOW.plus(LEASE));
    // In a line.
    let mut ordered = world.rule_like(&destination);
    ordered.order = Some(Order {
        key: "resource_id".into(),
        on_failure: OnFailure::Continue,
    });
    world.store.create_rule(ordered.clone()).await.unwrap();
    let mut in_line = world.acceptance(world.event(rule.workspace, NOW), [&ordered]);
    assert!(in_line.deliveries[0].ordering_key.is_some());
    in_line.deliveries[0].leased_until = Some(NOW.plus(LEASE));
    // Matched before its rule was changed to lead elsewhere.
    let mut moved = world.acceptance(world.event(rule.workspace, NOW), [&rule]);
    moved.deliveries[0].connection = other.id;
    moved.deliveries[0].leased_until = Some(NOW.plus(LEASE));

    let emissions = [acceptance, in_line, moved].map(|acceptance| Emission {
        acceptance,
        once: None,
    });
    let intake = world.store.accept(emissions.into()).await.unwrap();
    assert_eq!(intake.accepted.len(), 3);
    assert!(intake.claimed.is_empty(), "{:?}", intake.claimed);
    let waiting = world.claim(destination.id, 9, later(1)).await.claimed;
    assert_eq!(waiting.len(), 3, "all of them wait where their rules lead");
}

#[tokio::test]
async fn what_was_claimed_with_its_event_is_taken_back_when_its_holder_is_gone() {
    let world = World::new();
    let tenant = world.tenant("acme").await;
    let destination = world.destination(tenant).await;
    let rule = world.rule(&destination).await;
    let intake = world.accept_and_claim(NOW, &[&rule]).await;
    let lapsed = NOW.plus(LEASE + Duration::from_secs(1));
    assert_eq!(
        world.store.expire_leases(lapsed, schedule(), 1).await,
        Ok(0),
        "it is held"
    );
    drop(intake);
    assert_eq!(world.store.expire_leases(lapsed, schedule(), 1).await, Ok(1));
    let again = world.claim(destination.id, 9, lapsed).await.claimed;
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].state.attempt_count, 2);
}

#[tokio::test]
async fn a_rule_that_changed_or_went_is_known_in_the_next_commit() {
    let world = World::new();
    let tenant = world.tenant("acme").await;
    let destination = world.destination(tenant).await;
    let other = world.destination(tenant).await;
    let mut rule = world.rule(&destination).await;
    let first = world.accept_and_claim(NOW, &[&rule]).await;
    assert_eq!(first.claimed[0].rule.connection, destination.id);
    let before = rule.clone();
    rule.connection = other.id;
    rule.kind.clone_from(&other.kind);
    assert_eq!(
        world.store.update_rule(tenant.organisation, rule.clone()).await,
        Ok(true)
    );
    let second = world.accept_and_claim(later(2), &[&rule]).await;
    assert_eq!(second.claimed[0].rule.connection, other.id);
    // Matched before the change.
    let late = world.accept_and_claim(later(3), &[&before]).await;
    assert!(late.claimed.is_empty());
    world
        .store
        .delete_rule(tenant.organisation, rule.id, later(4))
        .await
        .unwrap();
    let gone = world.accept_and_claim(later(5), &[&rule]).await;
    let Accepted::New(event) = &gone.accepted[0] else {
        panic!("{gone:?}")
    };
    assert_eq!((event.total_rules(), gone.claimed.len()), (0, 0));
}
