//! The intake: has the store accept events, and has those of their deliveries set out at once whose
//! destination has nothing else to do. They are claimed in the commit that makes them, so that an event
//! that finds everything free waits for one commit, and not for a second one that claims it.

use std::collections::HashMap;
use std::sync::Arc;

use heddle_core::id::DeliveryId;
use heddle_store::{Accepted, Emission, Intake as Stored, Store, StoreError};

use crate::desk::{Desk, Seat};

/// Where events come in. Cheap to clone.
#[derive(Clone)]
pub struct Intake {
    store: Store,
    /// `None`: nobody delivers here.
    desk: Option<Arc<Desk>>,
}

impl Intake {
    /// Accepts only; whoever delivers finds the deliveries in the store.
    pub fn without_delivery(store: Store) -> Self {
        Self { store, desk: None }
    }

    pub(crate) fn new(desk: Arc<Desk>) -> Self {
        Self {
            store: desk.parts.store.clone(),
            desk: Some(desk),
        }
    }

    /// Accepts events with their deliveries: [`Store::accept`]. Returns when the disk has them.
    pub async fn accept(&self, mut emissions: Vec<Emission>) -> Result<Vec<Accepted>, StoreError> {
        let Some(desk) = &self.desk else {
            return Ok(self.store.accept(emissions).await?.accepted);
        };
        let seats = seats(desk, &mut emissions).await;
        if seats.is_empty() {
            return Ok(self.store.accept(emissions).await?.accepted);
        }
        // A task of its own: a caller that hangs up must not take with it what was claimed.
        let accepted = desk.tasks.spawn(accept(Arc::clone(desk), emissions, seats));
        accepted
            .await
            .unwrap_or_else(|_| Err(StoreError::unavailable("the intake broke off")))
    }
}

/// Accepts, and lets those set out that got their seat. The other seats are given back.
async fn accept(
    desk: Arc<Desk>,
    emissions: Vec<Emission>,
    mut seats: HashMap<DeliveryId, Seat>,
) -> Result<Vec<Accepted>, StoreError> {
    let Stored { accepted, claimed } = desk.parts.store.accept(emissions).await?;
    for claimed in claimed {
        if let Some(seat) = seats.remove(&claimed.delivery) {
            desk.set_out(claimed, seat);
        }
    }
    Ok(accepted)
}

/// The seats that there are for deliveries, which are marked to be claimed for them.
async fn seats(desk: &Arc<Desk>, emissions: &mut [Emission]) -> HashMap<DeliveryId, Seat> {
    let mut seats = HashMap::new();
    let now = desk.parts.clock.now();
    let leased_until = now.plus(desk.parts.limits.lease());
    for Emission { acceptance, .. } in emissions {
        let accepted_at = acceptance.event.created_at;
        for delivery in &mut acceptance.deliveries {
            let is_due = delivery.state.due_at.is_some_and(|due| due <= accepted_at);
            if !is_due || delivery.ordering_key.is_some() {
                continue;
            }
            // What cannot be read shows again when it is claimed.
            let Ok(Some(connection)) = desk
                .parts
                .store
                .connection_for_delivery(delivery.connection)
                .await
            else {
                continue;
            };
            if let Some(seat) = desk.seat(&connection, now) {
                delivery.leased_until = Some(leased_until);
                seats.insert(delivery.id, seat);
            }
        }
    }
    seats
}
