//! The desk, where places are given out: by the dispatcher to what waits, and by the [`Intake`] to
//! deliveries that are only being made. Both book in the same lanes, so that what a connection, an account
//! and a workspace may have at once holds for both together.
//!
//! [`Intake`]: crate::Intake

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use heddle_core::connection::Connection;
use heddle_core::id::ConnectionId;
use heddle_core::time::Timestamp;
use heddle_store::Claimed;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Parts;
use crate::circuit::Leave;
use crate::deliverer::Deliverer;
use crate::destinations::Trip;
use crate::lane::{Lanes, Turn};
use crate::pace::Key;
use crate::pacer::{Account, Claim};
use crate::sign::Sign;

/// See the module.
pub(crate) struct Desk {
    pub parts: Parts,
    pub tasks: TaskTracker,
    pub stop: CancellationToken,
    places: Mutex<Places>,
    /// Something was given back that somebody waits for.
    room: Notify,
    deliverer: Deliverer,
}

/// Who has which places.
pub(crate) struct Places {
    pub lanes: Lanes,
    /// What is being claimed of each account, and not counted by the pacer yet.
    pub planned: HashMap<Key, usize>,
    /// How many lanes of each account were called in this round: they share what it has room for.
    pub called: HashMap<Key, usize>,
}

/// The place of one delivery at its destination, until it is dropped.
pub(crate) struct Seat {
    /// Where its plugin is loaded. Dropped first: whoever is woken by the reporter finds its room.
    claim: Option<Claim>,
    reporter: Reporter,
}

impl Desk {
    pub fn new(parts: Parts, deliverer: Deliverer, tasks: TaskTracker, stop: CancellationToken) -> Self {
        let places = Places {
            lanes: Lanes::new(parts.limits.in_flight),
            planned: HashMap::new(),
            called: HashMap::new(),
        };
        Self {
            parts,
            tasks,
            stop,
            places: Mutex::new(places),
            room: Notify::new(),
            deliverer,
        }
    }

    /// Who has which places. Not to be held over a wait.
    pub fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose turn it is; nobody has a seat out of turn until it is answered.
    pub fn turn(&self) -> Option<Turn> {
        self.places().lanes.turn()
    }

    /// When the next lane is due that is not in line yet, if there are places at all.
    pub fn next(&self) -> Option<Timestamp> {
        let lanes = &self.places().lanes;
        lanes.next().filter(|_| !lanes.is_full())
    }

    /// Returns when something was given back since the last return that somebody waits for.
    pub async fn room_has_grown(&self) {
        self.room.notified().await;
    }

    fn give_back(&self, what: impl FnOnce(&mut Lanes) -> bool) {
        let mut places = self.places();
        let matters = what(&mut places.lanes);
        let is_wanted = matters || places.lanes.is_anybody_waiting();
        drop(places);
        if is_wanted {
            self.room.notify_one();
        }
    }

    /// A seat for a delivery that is due as soon as it is made, if its destination has nothing else to do
    /// first and nobody waits for his turn.
    pub fn seat(self: &Arc<Self>, connection: &Arc<Connection>, now: Timestamp) -> Option<Seat> {
        if self.stop.is_cancelled() || !connection.health.is_active() {
            return None;
        }
        let plugin = self.parts.plugins.get(&connection.kind)?;
        let pacer = &self.parts.pacer;
        let account = pacer.account(connection, plugin.manifest());
        // Whoever finds somebody at it has no need of it: the dispatcher is next.
        let mut places = match self.places.try_lock() {
            Ok(places) => places,
            Err(TryLockError::Poisoned(places)) => places.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        let planned = places.planned.get(&account.key()).copied().unwrap_or_default();
        let has_room = |in_flight| {
            pacer.destinations().leave(connection, Some(&account), now) == Leave::All
                && pacer.room(&account, in_flight).deliveries > planned
        };
        let (id, workspace) = (connection.id, connection.workspace);
        if !places.lanes.seat(id, workspace, now, has_room) {
            return None;
        }
        // Before anybody else can count.
        let seat = self.seat_of(id, Some(connection), Some(&account), false);
        drop(places);
        Some(seat)
    }

    /// The seat of a delivery that has its place. `connection` is `None` where it was deleted, `account`
    /// where its plugin is not loaded.
    pub fn seat_of(
        self: &Arc<Self>,
        id: ConnectionId,
        connection: Option<&Connection>,
        account: Option<&Account>,
        forced: bool,
    ) -> Seat {
        let pacer = &self.parts.pacer;
        let trip = connection.map(|connection| pacer.destinations().claimed(connection, account, forced));
        Seat {
            reporter: Reporter {
                desk: Arc::clone(self),
                connection: id,
                under_way: Some(trip),
            },
            claim: account.map(|account| pacer.claim(account)),
        }
    }

    /// Sends a delivery on its way.
    pub fn set_out(self: &Arc<Self>, claimed: Claimed, seat: Seat) {
        let desk = Arc::clone(self);
        let Seat { mut reporter, claim } = seat;
        self.tasks.spawn(async move {
            let answered = |sign| reporter.answered(sign);
            desk.deliverer.deliver(claimed, claim, answered).await;
        });
    }
}

/// Gives back what a delivery has, when it is dropped at the latest, after a panic too, so that no lane
/// leaks its room.
struct Reporter {
    desk: Arc<Desk>,
    connection: ConnectionId,
    /// `None` once its destination is done with it.
    under_way: Option<Option<Trip>>,
}

impl Reporter {
    fn answered(&mut self, sign: Sign) {
        let Some(trip) = self.under_way.take() else {
            return;
        };
        let (desk, connection) = (&self.desk, self.connection);
        let now = desk.parts.clock.now();
        let destinations = desk.parts.pacer.destinations();
        let is_to_be_looked_at = trip.is_some_and(|trip| destinations.ended(&trip, sign, now));
        desk.give_back(|lanes| {
            lanes.answered(connection);
            if is_to_be_looked_at {
                lanes.due(connection, now);
            }
            is_to_be_looked_at
        });
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.answered(Sign::None);
        self.desk.give_back(|lanes| {
            // Then the dispatcher looks at nothing else.
            let was_full = lanes.is_full();
            lanes.ended(self.connection);
            was_full
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;
    use std::task::{Context, Wake, Waker};

    use futures::FutureExt as _;
    use tokio::sync::broadcast;

    use super::*;
    use crate::circuit::FAILURES;
    use crate::simulation::quiet;

    #[tokio::test(start_paused = true)]
    async fn a_lane_whose_circuit_opens_is_looked_at_again() {
        let (world, store) = quiet::world(1).await;
        let parts = world.parts(&store);
        let deliverer = Deliverer::new(parts.clone(), broadcast::channel(1).0);
        let desk = Desk::new(parts, deliverer, TaskTracker::new(), CancellationToken::new());
        let desk = Arc::new(desk);
        let connection = Arc::new(world.tenants.connections[0].clone());
        for n in 1..=FAILURES {
            assert_eq!(desk.next(), None, "{n}");
            let mut seat = desk.seat(&connection, world.now()).unwrap();
            seat.reporter.answered(Sign::Down);
        }
        assert_eq!(desk.next(), Some(world.now()));
        assert!(desk.room_has_grown().now_or_never().is_some());
        assert!(desk.seat(&connection, world.now()).is_none(), "it is left alone");
    }

    /// Looks, as soon as it is woken, how much room there is.
    struct Looks {
        pacer: crate::Pacer,
        account: Arc<Account>,
        found: OnceLock<usize>,
    }

    impl Wake for Looks {
        fn wake(self: Arc<Self>) {
            self.found
                .get_or_init(|| self.pacer.room(&self.account, 0).deliveries);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_woken_by_a_seat_that_is_given_back_finds_its_room() {
        let (world, store) = quiet::world(1).await;
        let parts = world.parts(&store);
        let (deliverer, stop) = (
            Deliverer::new(parts.clone(), broadcast::channel(1).0),
            CancellationToken::new(),
        );
        let desk = Arc::new(Desk::new(parts.clone(), deliverer, TaskTracker::new(), stop));
        let connection = Arc::new(world.tenants.connections[0].clone());
        let plugin = parts.plugins.get(&connection.kind).unwrap();
        let account = parts.pacer.account(&connection, plugin.manifest());
        let room = || parts.pacer.room(&account, 0).deliveries;
        let all = room();
        let seat = desk.seat(&connection, world.now()).unwrap();
        assert_eq!(room(), all - 1);

        // Somebody waits for it, and is at it before the seat is gone.
        let (other, now) = (ConnectionId::from_bytes([9; 16]), world.now());
        {
            let lanes = &mut desk.places().lanes;
            lanes.due(other, now);
            lanes.arrive(now, 1);
            lanes.place(other, connection.workspace);
        }
        let looks = Arc::new(Looks {
            pacer: parts.pacer.clone(),
            account: Arc::clone(&account),
            found: OnceLock::new(),
        });
        let waker = Waker::from(Arc::clone(&looks));
        let mut waits = std::pin::pin!(desk.room_has_grown());
        assert!(waits.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        drop(seat);
        assert_eq!(looks.found.get(), Some(&all));
    }
}
