//! A world in which nothing fails, for the tests of single duties: they run by its time, and on its store.

use std::sync::Arc;
use std::time::Duration;

use heddle_core::delivery::State;
use heddle_core::event::Event;
use heddle_core::id::{DeliveryId, EventId, WorkspaceId};
use heddle_core::rule::Rule;
use heddle_store::{Acceptance, Emission, NewDelivery, Store};

use super::chance::{self, random};
pub use super::world::World;
use super::world::{NAMES, schedule};

/// Events of one call.
const AT_ONCE: usize = 100;

/// A world with its tenants. Called on a runtime whose time stands.
pub async fn world(seed: u64) -> (Arc<World>, Store) {
    chance::begin(seed);
    let world = World::new(seed);
    world.process_starts();
    let store = world.store();
    let set_up = world.tenants.set_up(&store, world.now()).await;
    set_up.expect("the tenants are set up");
    (world, store)
}

/// Simulated time goes by, and with it whatever is to happen in it.
pub async fn goes_by(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Has so many events accepted, each with a delivery by `rule`, if any.
pub async fn accept(world: &World, store: &Store, workspace: WorkspaceId, rule: Option<&Rule>, count: usize) {
    let mut emissions: Vec<Emission> = (0..count).map(|n| emission(world, workspace, rule, n)).collect();
    while !emissions.is_empty() {
        let rest = emissions.split_off(emissions.len().min(AT_ONCE));
        store.accept(emissions).await.expect("they are accepted");
        emissions = rest;
    }
}

fn emission(world: &World, workspace: WorkspaceId, rule: Option<&Rule>, n: usize) -> Emission {
    let now = world.now();
    let event = Event {
        id: EventId::new(now, random()),
        workspace,
        event: NAMES[0].into(),
        resource: "global".into(),
        resource_id: None,
        payload: format!(r#"{{"n":{n}}}"#).into(),
        created_by: "mk_sim".into(),
        created_at: now,
    };
    let delivery = rule.map(|rule| NewDelivery {
        id: DeliveryId::new(now, random()),
        rule: rule.id,
        connection: rule.connection,
        leased_until: None,
        ordering_key: None,
        state: State::new(now, &schedule(), 0),
    });
    let acceptance = Acceptance {
        event,
        deliveries: delivery.into_iter().collect(),
    };
    Emission {
        acceptance,
        once: None,
    }
}
