//! Who has a seat out of turn, who is woken when one is given back, and who of those that wait is seen.

use std::sync::Arc;

use futures::FutureExt as _;
use heddle_core::connection::{Connection, Health, InactiveReason};
use heddle_core::id::{ConnectionId, WorkspaceId};
use heddle_core::time::Timestamp;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::deliverer::Deliverer;
use crate::desk::Desk;
use crate::lane::{Lanes, Turn, Wait};
use crate::simulation::quiet::{self, World};

/// A desk in a quiet world, with so many places, and the first connection there.
async fn desk(places: usize) -> (Arc<World>, Arc<Desk>, Arc<Connection>) {
    let (world, store) = quiet::world(1).await;
    let mut parts = world.parts(&store);
    parts.limits.in_flight = places;
    let deliverer = Deliverer::new(parts.clone(), broadcast::channel(1).0);
    let desk = Desk::new(parts, deliverer, TaskTracker::new(), CancellationToken::new());
    let connection = Arc::new(world.tenants.connections[0].clone());
    (world, Arc::new(desk), connection)
}

#[tokio::test(start_paused = true)]
async fn the_end_of_one_of_as_many_as_there_are_places_wakes_the_dispatcher() {
    for (places, is_woken) in [(1, true), (2, false)] {
        let (world, desk, connection) = desk(places).await;
        let seat = desk.seat(&connection, world.now()).unwrap();
        drop(seat);
        let woken = desk.room_has_grown().now_or_never().is_some();
        assert_eq!(woken, is_woken, "of {places} places");
    }
}

#[tokio::test(start_paused = true)]
async fn there_is_no_seat_for_what_must_wait() {
    let (world, desk, connection) = desk(9).await;
    let seat = |connection: &Arc<Connection>| desk.seat(connection, world.now()).is_some();
    assert!(seat(&connection));
    let inactive = Connection {
        health: Health::Inactive {
            reason: InactiveReason::AuthenticationInvalid,
            detail: "401".into(),
        },
        ..(*connection).clone()
    };
    assert!(!seat(&Arc::new(inactive)), "it is mended first");

    // The dispatcher is about to claim all that the account may have.
    let plugin = desk.parts.plugins.get(&connection.kind).unwrap();
    let account = desk.parts.pacer.account(&connection, plugin.manifest());
    let room = desk.parts.pacer.room(&account, 0).deliveries;
    desk.places().planned.insert(account.key(), room);
    assert!(!seat(&connection), "others have it");
    desk.places().planned.clear();
    assert!(seat(&connection));
    desk.stop.cancel();
    assert!(!seat(&connection), "nothing more sets out");
}

const NOW: Timestamp = Timestamp(1_000);

/// Lanes with one that is in line.
fn one_in_line() -> (Lanes, ConnectionId) {
    let (mut lanes, lane) = (Lanes::new(100), ConnectionId::from_bytes([10; 16]));
    lanes.due(lane, NOW);
    lanes.arrive(NOW, 1);
    lanes.place(lane, WorkspaceId::from_bytes([1; 16]));
    (lanes, lane)
}

#[test]
fn a_lane_of_which_the_last_is_only_being_recorded_is_looked_at_again_when_that_has_ended() {
    let (mut lanes, lane) = one_in_line();
    let next = |lanes: &mut Lanes| {
        lanes.arrive(NOW, 1);
        let _ = lanes.begin(|_| 0);
        lanes.turn().map(|Turn { connection, .. }| connection)
    };
    assert_eq!(next(&mut lanes), Some(lane));
    lanes.ask(lane, 1);
    lanes.claimed(lane, 1, Some(NOW));
    lanes.answered(lane);
    // Something leaves it no room, and nothing of it will be answered any more.
    assert_eq!(next(&mut lanes), Some(lane));
    lanes.pass(lane, Wait::OwnEnd);
    lanes.ended(lane);
    assert_eq!(next(&mut lanes), Some(lane));
}

#[test]
fn who_waits_for_what_may_come_back_is_known_and_who_waits_for_a_time_is_none_of_them() {
    for (wait, is_waiting) in [
        (Wait::Account([1; 16]), true),
        (Wait::Round, true),
        (Wait::OwnEnd, true),
        (Wait::Until(Timestamp(9_000)), false),
    ] {
        assert!(!Lanes::new(1).is_anybody_waiting());
        let (mut lanes, lane) = one_in_line();
        assert!(lanes.is_anybody_waiting(), "it is in line");
        assert!(lanes.turn().is_some());
        assert!(!lanes.is_anybody_waiting(), "it has its turn");
        lanes.pass(lane, wait);
        assert_eq!(lanes.is_anybody_waiting(), is_waiting, "{wait:?}");
    }
}
