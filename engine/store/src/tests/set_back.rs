//! A clock that was set back: who waits for a time of the old one does not wait until that comes again.

use heddle_core::connection::InactiveReason;
use heddle_core::ordering::{OnFailure, Turn};
use heddle_core::outcome::ConnectionVerdict;

use super::*;
use crate::set_back::STEP;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Does all of it, and gives the steps that it took and the deliveries.
async fn bring_forward(world: &World) -> (usize, usize) {
    let (mut steps, mut deliveries, mut passed) = (0, 0, None);
    loop {
        let step = world.store.bring_forward(HOUR, NOW, passed).await.unwrap();
        steps += 1;
        deliveries += step.deliveries;
        passed = step.passed;
        if passed.is_none() {
            return (steps, deliveries);
        }
        assert!(steps < 100, "it goes round");
    }
}

#[tokio::test]
async fn everything_that_lies_ahead_comes_earlier_once_and_by_as_much_however_much_there_is() {
    let world = World::new();
    let (tenant, destination, rule) = one_rule(&world).await;
    let other = world.destination(tenant).await;
    let others = world.rule(&other).await;
    let count = STEP * 2 + 100;
    let acceptances = (0..count as u64).map(|n| {
        // As far ahead as three hours, so that most lie ahead afterwards too.
        let at = NOW.plus(HOUR).plus(Duration::from_secs(10 * n));
        world.acceptance(world.event(tenant.workspace, at), [&rule])
    });
    world.store.accept_events(acceptances.collect()).await.unwrap();
    let long_due = world.accept(NOW.minus(HOUR), [&others]).await;
    let soon = world.accept(NOW.plus(HOUR / 2), [&others]).await;
    assert!(
        world
            .claim(destination.id, count, later(90_000))
            .await
            .claimed
            .is_empty()
    );
    world.store.due().take();

    let (steps, deliveries) = bring_forward(&world).await;
    assert_eq!((steps, deliveries), (3, count + 1));
    let board = world.store.due().take();
    assert_eq!(
        (board.get(&destination.id), board.get(&other.id)),
        (Some(&NOW), Some(&NOW))
    );
    // Ten seconds apart, as before.
    assert_eq!(
        world
            .claim(destination.id, count, later(90_000))
            .await
            .claimed
            .len(),
        10
    );
    let due = world.claim(other.id, 9, NOW).await.claimed;
    let events: Vec<_> = due.iter().map(|claimed| claimed.event.id).collect();
    assert_eq!(events, [long_due.id, soon.id]);
}

#[tokio::test]
async fn a_lease_and_a_place_in_a_line_are_brought_forward_too() {
    let world = World::new();
    let tenant = world.tenant("Academy").await;
    let destination = world.destination(tenant).await;
    let rule = world.ordered_rule(&destination, OnFailure::Continue).await;
    let ahead = NOW.plus(HOUR);
    let (first, second) = (
        world.accept(ahead, [&rule]).await,
        world.accept(ahead, [&rule]).await,
    );
    let claimed = world.claim(destination.id, 9, ahead).await.claimed.remove(0);
    bring_forward(&world).await;

    let under_way = delivery(&world, tenant, first.id, &rule).await;
    assert_eq!(under_way.state.leased_until, Some(later(60_000)));
    assert_eq!(under_way.claimed_at, Some(ahead), "what was, was");
    let waits = delivery(&world, tenant, second.id, &rule).await;
    assert_eq!((waits.state.turn, waits.state.due_at), (Turn::Waits, Some(NOW)));
    world.record(&claimed, delivered(), NOW).await;
    let next = world.claim(destination.id, 9, NOW).await.claimed;
    assert_eq!(next.len(), 1, "its turn has come, and its time too");
}

#[tokio::test]
async fn what_the_clock_showed_is_known_to_the_next_process() {
    let world = World::new();
    assert_eq!(world.store.clock_shown().await.unwrap(), None);
    for shown in [later(5), NOW] {
        world.store.note_clock(shown).await.unwrap();
        assert_eq!(world.store.clock_shown().await.unwrap(), Some(shown));
    }
}

#[tokio::test]
async fn a_connection_that_was_changed_at_a_time_to_come_is_known_by_its_attempts_all_the_same() {
    let world = World::new();
    let (tenant, destination, rule) = one_rule(&world).await;
    let changed = Destination {
        updated_at: NOW.plus(HOUR),
        ..destination.clone()
    };
    let updated = world.store.update_connection(tenant.organisation, changed, None);
    assert!(updated.await.unwrap());
    let event = world.accept(NOW, [&rule]).await;
    bring_forward(&world).await;
    let claimed = world.claim(destination.id, 1, later(1)).await.claimed.remove(0);
    let refused = Outcome {
        connection: ConnectionVerdict::CredentialRefused,
        ..Outcome::permanent(OutcomeCode::AuthFailed, "401")
    };
    world.record(&claimed, refused, later(2)).await;
    assert!(
        matches!(health(&world, destination.id).await, Health::Inactive { reason, .. }
            if reason == InactiveReason::AuthenticationInvalid)
    );
    // It was not tried again and again until the old time came.
    let delivery = delivery(&world, tenant, event.id, &rule).await;
    assert_eq!(delivery.state.status, heddle_core::delivery::Status::Failed);
}
