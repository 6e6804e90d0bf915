//! What a start does first, apart from all weather.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Builder;

use super::chance;
use super::emitter::{self, Wish};
use super::world::World;

/// One life of the process, which ends wherever it is after this time.
fn live(world: &Arc<World>, time: Duration, wishes: Vec<Wish>) {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        world.process_starts();
        let store = world.store();
        if world.life() == 1 {
            let set_up = world.tenants.set_up(&store, world.now()).await;
            set_up.expect("nothing fails");
        }
        let engine = world.engine(&store).await.expect("nothing fails");
        emitter::emit(Arc::clone(world), engine.intake(), store, wishes).await;
        tokio::time::sleep(time).await;
        world.process_ends();
    });
}

#[test]
fn what_was_under_way_when_the_process_died_is_tried_again_at_once_by_the_next_start() {
    let mut tried = 0;
    for seed in 0..10 {
        chance::begin(seed);
        let world = World::new(seed);
        for connection in &world.tenants.connections {
            world.turn_black_hole(connection.id);
        }
        let wishes = (0..3).map(|_| Wish::new(&world)).collect();
        live(&world, Duration::from_secs(2), wishes);
        let under_way: BTreeSet<_> = {
            let ledger = world.ledger();
            ledger.arrivals.iter().map(|arrival| arrival.delivery).collect()
        };
        // Long before a lease of the former life lapses.
        live(&world, Duration::from_secs(20), Vec::new());
        let ledger = world.ledger();
        let again: BTreeSet<_> = ledger
            .arrivals
            .iter()
            .filter(|arrival| arrival.life == 2)
            .map(|arrival| arrival.delivery)
            .collect();
        assert!(
            under_way.is_subset(&again),
            "seed {seed}:\n{}",
            world.trace().lines().join("\n")
        );
        tried += under_way.len();
    }
    assert!(tried > 10, "only {tried} deliveries were under way");
}
