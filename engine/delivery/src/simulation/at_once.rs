//! What finds its destination free, in a world in which nothing fails.

use std::sync::Arc;
use std::time::Duration;

use heddle_store::{DeliveryRecord, EventFilter, Page};

use super::emitter::{self, Wish};
use super::quiet;

/// The deliveries of a few events, which are sent one after the other, each long after the one before.
async fn delivered(seed: u64) -> Vec<DeliveryRecord> {
    let (world, store) = quiet::world(seed).await;
    let engine = world.engine(&store).await.expect("it starts");
    for _ in 0..3 {
        let wishes = vec![Wish::new(&world)];
        emitter::emit(Arc::clone(&world), engine.intake(), store.clone(), wishes).await;
        quiet::goes_by(Duration::from_secs(20)).await;
    }
    let page = Page {
        limit: 100,
        cursor: None,
    };
    let events = store.list_events(world.tenants.organisation, EventFilter::default(), page);
    let mut deliveries = Vec::new();
    for event in events.await.expect("they are read").records {
        deliveries.extend(store.deliveries_of(event.id).await.expect("they are read"));
    }
    world.process_ends();
    deliveries
}

#[tokio::test(start_paused = true)]
async fn an_event_that_finds_its_destinations_free_is_claimed_in_the_commit_that_makes_it() {
    let mut at_once = 0;
    for seed in 0..20 {
        let deliveries = delivered(seed).await;
        for delivery in &deliveries {
            assert!(delivery.state.status.is_final(), "seed {seed}: {delivery:?}");
            let lane = |of: &DeliveryRecord| (of.event, of.connection);
            let beside = deliveries.iter().filter(|other| lane(other) == lane(delivery));
            // Two of one event may be more than their destination takes.
            if delivery.place.is_none() && beside.count() == 1 {
                assert_eq!(
                    delivery.started_at,
                    Some(delivery.created_at),
                    "seed {seed}: {delivery:?}"
                );
                at_once += 1;
            }
        }
    }
    assert!(at_once > 20, "only {at_once} deliveries could be seen");
}
