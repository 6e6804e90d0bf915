//! How destinations do, from what their attempts say. In memory: after a restart each is taken to be
//! well, and shows again if it is not.

use std::sync::{Mutex, MutexGuard, PoisonError};

use heddle_core::connection::Connection;
use heddle_core::id::{ConnectionId, WorkspaceId};
use heddle_core::time::Timestamp;

use crate::circuit::{Change, Circuit, Circuits, Leave, Pass};
use crate::pacer::{Account, Pacer};
use crate::sign::Sign;
use crate::throttle::{Ease, Throttles};

/// What is known of all destinations.
#[derive(Default)]
pub(crate) struct Destinations(Mutex<Known>);

#[derive(Default)]
struct Known {
    circuits: Circuits,
    throttles: Throttles,
}

/// Goes with a claimed delivery; [`Destinations::ended`] takes it back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trip {
    connection: ConnectionId,
    workspace: WorkspaceId,
    pass: Pass,
    ease: Option<Ease>,
}

impl Destinations {
    /// What may be claimed for a connection now. `account` is where its plugin is loaded.
    pub fn leave(&self, connection: &Connection, account: Option<&Account>, now: Timestamp) -> Leave {
        let mut known = self.known();
        let leave = known.circuits.leave(connection.id, connection.updated_at, now);
        let paused = account.and_then(|account| known.throttles.paused(&account.key(), now));
        match (leave, paused) {
            (Leave::All | Leave::Probe, Some(until)) => Leave::Held { until: Some(until) },
            (leave, _) => leave,
        }
    }

    /// How many deliveries of an account may be under way, if that is less than it says.
    pub fn width(&self, account: &Account) -> Option<usize> {
        self.known().throttles.width(&account.key())
    }

    /// A delivery was claimed; `forced` if a person asked for it.
    pub fn claimed(&self, connection: &Connection, account: Option<&Account>, forced: bool) -> Trip {
        let mut known = self.known();
        let ease = account.map(|account| {
            let (full, as_a_whole) = (account.concurrency(), account.is_counted_as_a_whole());
            known.throttles.claimed(account.key(), full, as_a_whole)
        });
        Trip {
            connection: connection.id,
            workspace: connection.workspace,
            pass: known
                .circuits
                .claimed(connection.id, connection.updated_at, forced),
            ease,
        }
    }

    /// A claimed delivery has ended. Whether its lane is to be looked at again.
    pub fn ended(&self, trip: &Trip, sign: Sign, now: Timestamp) -> bool {
        let (change, pause) = {
            let mut known = self.known();
            let pause = trip.ease.and_then(|ease| known.throttles.ended(&ease, sign, now));
            (known.circuits.ended(&trip.pass, sign, now), pause)
        };
        let (connection, workspace) = (trip.connection, trip.workspace);
        if let Some(pause) = pause {
            let seconds = pause.as_secs_f64();
            tracing::info!(%workspace, %connection, seconds, "a destination asks for fewer requests; its account is left alone for a while");
        }
        match change {
            Some(Change::Opened { failures, pause }) => {
                let probe_in_s = pause.as_secs();
                tracing::warn!(%workspace, %connection, failures, probe_in_s, "a destination does not work; its circuit is open and its deliveries wait");
            }
            Some(Change::Closed) => {
                tracing::info!(%workspace, %connection, "a destination works again; its circuit is closed");
            }
            Some(Change::StillOpen { pause }) => {
                let probe_in_s = pause.as_secs();
                tracing::debug!(%workspace, %connection, probe_in_s, "a destination still does not work");
            }
            Some(Change::Unclear) | None => {}
        }
        change.is_some()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pacer {
    /// How the circuit of a connection is.
    pub fn circuit(&self, connection: &Connection) -> Circuit {
        let known = self.destinations().known();
        known.circuits.circuit(connection.id, connection.updated_at)
    }
}
