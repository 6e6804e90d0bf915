//! The dispatcher: learns which connections have work, claims as much of it as each may send, and
//! hands it to deliverers. Woken by commits, by the end of an attempt, by one that begins to wait for
//! its turn, and by a timer; it never polls the table.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use heddle_core::id::ConnectionId;
use heddle_core::time::Timestamp;
use heddle_store::{ClaimRequest, Claimed, LaneClaim, StoreError};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Parts;
use crate::deliverer::Deliverer;
use crate::lane::{Lanes, TURN};
use crate::pace::Key;
use crate::pacer::{Account, Claim};

/// After a claim that failed, or that found nothing where something was due.
const PAUSE: Duration = Duration::from_secs(1);

/// Times of lanes are in milliseconds.
const ROUNDED: Duration = Duration::from_millis(1);

/// The longest that the dispatcher sleeps; a clock that was set back must not stop it for ever.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);

/// Runs until `stop`.
pub async fn run(parts: Parts, deliverer: Arc<Deliverer>, tasks: TaskTracker, stop: CancellationToken) {
    let mut lanes = Lanes::default();
    let (ended, mut endings) = mpsc::unbounded_channel::<ConnectionId>();
    loop {
        let now = parts.clock.now();
        for (connection, due_at) in parts.store.due().take() {
            // Lanes that are due take turns in the order in which they asked, not by the age of what
            // waits: an old backlog must not go before everybody else for ever.
            lanes.due(connection, due_at.max(now));
        }
        while let Ok(connection) = endings.try_recv() {
            lanes.ended(connection);
        }
        let Plan {
            requests,
            accounts,
            paced,
        } = plan(&parts, &lanes, now).await;
        for (connection, wait) in paced {
            lanes.claimed(connection, 0, Some(now.plus(wait)));
        }
        let more = !requests.is_empty();
        if more {
            match parts
                .store
                .claim(requests.clone(), now, now.plus(parts.limits.lease()))
                .await
            {
                Ok(claims) => {
                    for ((request, account), claim) in requests.iter().zip(accounts).zip(claims) {
                        let claim = claim_with_pace(&parts, account.as_deref(), claim);
                        hand_out(&mut lanes, request, claim, now, &deliverer, &tasks, &ended);
                    }
                }
                Err(error) => {
                    postpone(&mut lanes, &requests, now, &error);
                }
            }
        }
        if more && !stop.is_cancelled() {
            continue;
        }
        let sleep = lanes
            .next_after(now)
            .filter(|_| lanes.in_flight() < parts.limits.in_flight)
            .map_or(LONGEST_SLEEP, |due| {
                due.since(parts.clock.now()).min(LONGEST_SLEEP)
            });
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = parts.store.due().notified() => {}
            () = parts.pacer.room_may_have_grown() => {}
            ending = endings.recv() => {
                if let Some(connection) = ending {
                    lanes.ended(connection);
                }
            }
            () = tokio::time::sleep(sleep) => {}
        }
    }
}

/// What to claim now.
#[derive(Default)]
struct Plan {
    requests: Vec<ClaimRequest>,
    /// Of each request, where its plugin is loaded.
    accounts: Vec<Option<Arc<Account>>>,
    /// Lanes whose account is due, but not its turn: for so long.
    paced: Vec<(ConnectionId, Duration)>,
}

/// For every lane that is due, as much as the connection may have under way, and as its account
/// has turns for soon.
async fn plan(parts: &Parts, lanes: &Lanes, now: Timestamp) -> Plan {
    let mut free = parts.limits.in_flight.saturating_sub(lanes.in_flight());
    let mut plan = Plan::default();
    let mut planned: HashMap<Key, usize> = HashMap::new();
    for connection in lanes.ready(now) {
        if free == 0 {
            break;
        }
        // What cannot be read is looked at again at the next turn; it may be inactive.
        let Ok(found) = parts.store.connection_for_delivery(connection).await else {
            continue;
        };
        let in_flight = lanes.in_flight_of(connection);
        let account = found.as_ref().and_then(|connection| {
            let plugin = parts.plugins.get(&connection.kind)?;
            Some(parts.pacer.account(connection, plugin.manifest()))
        });
        let room = match &account {
            // One that cannot be delivered is taken to say so.
            None => usize::from(in_flight == 0),
            Some(account) => {
                let room = parts.pacer.room(account, in_flight);
                if let Some(wait) = room.again_in {
                    plan.paced.push((connection, wait + ROUNDED));
                }
                let others = planned.entry(account.key()).or_default();
                let left = room.deliveries.saturating_sub(*others);
                *others += left.min(free).min(TURN);
                left
            }
        };
        let limit = room.min(free).min(TURN);
        if limit > 0 {
            free -= limit;
            let forced_only = found.is_some_and(|connection| !connection.health.is_active());
            plan.requests.push(ClaimRequest {
                connection,
                limit,
                forced_only,
            });
            plan.accounts.push(account);
        }
    }
    plan
}

/// What was claimed, each with its word to the pacer that it is under way.
fn claim_with_pace(parts: &Parts, account: Option<&Account>, claim: LaneClaim) -> PacedClaim {
    let paced = |claimed| (claimed, account.map(|account| parts.pacer.claim(account)));
    PacedClaim {
        claimed: claim.claimed.into_iter().map(paced).collect(),
        next_due: claim.next_due,
    }
}

struct PacedClaim {
    claimed: Vec<(Claimed, Option<Claim>)>,
    next_due: Option<Timestamp>,
}

fn hand_out(
    lanes: &mut Lanes,
    request: &ClaimRequest,
    claim: PacedClaim,
    now: Timestamp,
    deliverer: &Arc<Deliverer>,
    tasks: &TaskTracker,
    ended: &mpsc::UnboundedSender<ConnectionId>,
) {
    let taken = claim.claimed.len();
    let next_due = match claim.next_due {
        // An inactive lane is woken again by the store, when it is mended or somebody asks.
        _ if request.forced_only && taken == 0 => None,
        Some(due) if due <= now && taken == 0 => Some(now.plus(PAUSE)),
        // Behind the lanes that have not had this turn.
        other => other.map(|due| due.max(now)),
    };
    lanes.claimed(request.connection, taken, next_due);
    for (claimed, claim) in claim.claimed {
        let (deliverer, ended) = (Arc::clone(deliverer), ended.clone());
        tasks.spawn(async move {
            // Sent however the attempt ends, by a panic too, so that no lane leaks its room.
            let _ended = OnDrop(ended, claimed.connection);
            deliverer.deliver(claimed, claim).await;
        });
    }
}

/// The store is unavailable: everything stays where it is, and the lanes come back soon.
fn postpone(lanes: &mut Lanes, requests: &[ClaimRequest], now: Timestamp, error: &StoreError) {
    tracing::warn!(%error, lanes = requests.len(), "claiming deliveries failed; trying again in a second");
    for request in requests {
        lanes.claimed(request.connection, 0, Some(now.plus(PAUSE)));
    }
}

struct OnDrop(mpsc::UnboundedSender<ConnectionId>, ConnectionId);

impl Drop for OnDrop {
    fn drop(&mut self) {
        let _ = self.0.send(self.1);
    }
}
