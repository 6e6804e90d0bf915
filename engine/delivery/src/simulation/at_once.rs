//! What finds its destination free, apart from all weather.

use std::sync::Arc;
use std::time::Duration;

use heddle_store::{DeliveryRecord, EventFilter, Page};
use tokio::runtime::Builder;

use super::chance;
use super::emitter::{self, Wish};
use super::world::World;

/// The deliveries of `wishes`, which are sent one after the other, each `apart` from the one before.
fn delivered(world: &Arc<World>, wishes: Vec<Wish>, apart: Duration) -> Vec<DeliveryRecord> {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        world.process_starts();
        let store = world.store();
        let set_up = world.tenants.set_up(&store, world.now()).await;
        set_up.expect("nothing fails");
        let engine = world.engine(&store).await.expect("nothing fails");
        for wish in wishes {
            emitter::emit(Arc::clone(world), engine.intake(), store.clone(), vec![wish]).await;
            tokio::time::sleep(apart).await;
        }
        let page = Page {
            limit: 100,
            cursor: None,
        };
        let organisation = world.tenants.organisation;
        let events = store
            .list_events(organisation, EventFilter::default(), page)
            .await;
        let mut deliveries = Vec::new();
        for event in events.expect("nothing fails").records {
            deliveries.extend(store.deliveries_of(event.id).await.expect("nothing fails"));
        }
        world.process_ends();
        deliveries
    })
}

#[test]
fn an_event_that_finds_its_destinations_free_is_claimed_in_the_commit_that_makes_it() {
    let mut at_once = 0;
    for seed in 0..20 {
        chance::begin(seed);
        let world = World::new(seed);
        let wishes = (0..3).map(|_| Wish::new(&world)).collect();
        let deliveries = delivered(&world, wishes, Duration::from_secs(20));
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
