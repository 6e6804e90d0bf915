//! The dispatcher: learns which connections have work, claims as much of it as each may send, and
//! hands it to deliverers. Woken by commits, by the end of an attempt, by one that begins to wait for
//! its turn, and by a timer; it never polls the table.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use heddle_core::connection::Connection;
use heddle_core::id::{ConnectionId, WorkspaceId};
use heddle_core::time::Timestamp;
use heddle_store::{ClaimRequest, LaneClaim, StoreError};
use tokio_util::sync::CancellationToken;

use crate::Parts;
use crate::circuit::Leave;
use crate::desk::Desk;
use crate::lane::{Turn, Wait};
use crate::pace::Key;
use crate::pacer::Account;

/// After a claim that failed, or that found nothing where something was due.
const PAUSE: Duration = Duration::from_secs(1);

/// Times of lanes are in milliseconds.
const ROUNDED: Duration = Duration::from_millis(1);

/// The longest that the dispatcher sleeps; a clock that was set back must not stop it for ever. And
/// how long a lane is left alone that fails whenever it is claimed.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);

/// A lane whose destination is left alone is looked into for what a person asked for, at most once in
/// this time.
const LOOK: Duration = Duration::from_secs(1);

/// The connections whose workspace is asked for at once.
const STRANGERS: usize = 64;

/// The connections of which something is remembered; beyond it the memory starts anew.
const REMEMBERED: usize = 100_000;

/// Runs until `stop`.
pub(crate) async fn run(parts: Parts, desk: Arc<Desk>, stop: CancellationToken) {
    let mut dispatcher = Dispatcher {
        homes: HashMap::new(),
        crowded: HashMap::new(),
        looked: HashMap::new(),
        parts: parts.clone(),
        desk: Arc::clone(&desk),
    };
    loop {
        let now = parts.clock.now();
        dispatcher.take_down(now);
        if dispatcher.round(now).await && !stop.is_cancelled() {
            continue;
        }
        let sleep = dispatcher.desk.next().map_or(LONGEST_SLEEP, |due| {
            due.since(parts.clock.now()).min(LONGEST_SLEEP)
        });
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = parts.store.due().notified() => {}
            () = parts.pacer.room_may_have_grown() => {}
            () = desk.room_has_grown() => {}
            () = tokio::time::sleep(sleep) => {}
        }
    }
}

struct Dispatcher {
    parts: Parts,
    desk: Arc<Desk>,
    /// Whose each connection is: that never changes.
    homes: HashMap<ConnectionId, WorkspaceId>,
    /// The accounts for whose room lanes wait.
    crowded: HashMap<Key, Arc<Account>>,
    /// When a lane that is held was looked into last.
    looked: HashMap<ConnectionId, Timestamp>,
}

/// What to claim for one lane.
struct Plan {
    request: ClaimRequest,
    /// `None`: it was deleted.
    connection: Option<Arc<Connection>>,
    /// Where its plugin is loaded.
    account: Option<Arc<Account>>,
    /// When to look again, whatever is found now: the destination is left alone.
    held_until: Option<Timestamp>,
}

impl Dispatcher {
    /// Takes what the store has written off its board.
    fn take_down(&mut self, now: Timestamp) {
        let mut places = self.desk.places();
        for (connection, due_at) in self.parts.store.due().take() {
            // Lanes that are due take turns in the order in which they asked, not by the age of what
            // waits: an old backlog must not go before everybody else for ever.
            places.lanes.due(connection, due_at.max(now));
        }
    }

    /// Gives every lane that is due its turn, as far as there are places. Whether there may be more to
    /// do at once.
    async fn round(&mut self, now: Timestamp) -> bool {
        let more = self.arrive(now).await;
        let called = self.begin();
        let (mut plans, mut left) = (Vec::new(), 0);
        while let Some(turn) = self.desk.turn() {
            match self.plan(turn, now).await {
                Ok(plan) => {
                    self.desk.places().lanes.ask(turn.connection, plan.request.limit);
                    plans.push(plan);
                }
                Err(wait) => {
                    left += usize::from(!matches!(wait, Wait::Account(_) | Wait::Round));
                    self.desk.places().lanes.pass(turn.connection, wait);
                }
            }
        }
        if plans.is_empty() {
            // Behind those that were called and have no use for it, others may wait for the same room. It
            // ends: whoever was left out for another reason is not called again.
            return more || (called && left > 0);
        }
        let requests = plans.iter().map(|plan| plan.request.clone()).collect();
        let leased_until = now.plus(self.parts.limits.lease());
        let store = self.parts.store.clone();
        let claim = |requests| store.claim(requests, now, leased_until);
        for (plan, claim) in plans.iter().zip(lane_by_lane(requests, claim).await) {
            match claim {
                Ok(claim) => self.hand_out(plan, claim, now),
                Err(Postponed(pause)) => {
                    let (connection, again) = (plan.request.connection, now.plus(pause));
                    self.desk.places().lanes.claimed(connection, 0, Some(again));
                }
            }
        }
        // What was claimed of them is counted by the pacer now.
        self.desk.places().planned.clear();
        true
    }

    /// Begins a round; returns whether lanes have room of their account now that had none before.
    fn begin(&mut self) -> bool {
        let (crowded, pacer) = (&self.crowded, &self.parts.pacer);
        let room = |key: &Key| {
            crowded
                .get(key)
                .map_or(1, |account| pacer.room(account, 0).deliveries)
        };
        let mut places = self.desk.places();
        places.planned.clear();
        places.called = places.lanes.begin(room);
        self.crowded.retain(|key, _| places.lanes.is_crowded(key));
        !places.called.is_empty()
    }

    /// Lets lanes that are due get in line, each with those of its workspace. Whether more wait to.
    async fn arrive(&mut self, now: Timestamp) -> bool {
        let strangers = self.desk.places().lanes.arrive(now, STRANGERS);
        let more = strangers.len() == STRANGERS;
        if self.homes.len() > REMEMBERED {
            self.homes.clear();
        }
        let mut unknown = Vec::new();
        for connection in strangers {
            match self.homes.get(&connection) {
                Some(workspace) => self.desk.places().lanes.place(connection, *workspace),
                None => unknown.push(connection),
            }
        }
        let store = &self.parts.store;
        let asked = unknown.into_iter().map(async |connection| {
            let found = store.connection_for_delivery(connection).await;
            (connection, found)
        });
        for (connection, found) in join_all(asked).await {
            match found {
                Ok(Some(found)) => {
                    self.homes.insert(connection, found.workspace);
                    self.desk.places().lanes.place(connection, found.workspace);
                }
                // One that is gone has a claim to say so.
                Ok(None) => {
                    let nobody = WorkspaceId::from_bytes([0; 16]);
                    self.desk.places().lanes.place(connection, nobody);
                }
                Err(error) => {
                    let wait = unreadable(connection, &error, now);
                    self.desk.places().lanes.pass(connection, wait);
                }
            }
        }
        more
    }

    /// How much of a lane to claim: as much as the connection may have under way, as its account has
    /// turns for soon, and as its destination is up to.
    async fn plan(&mut self, turn: Turn, now: Timestamp) -> Result<Plan, Wait> {
        let id = turn.connection;
        let found = match self.parts.store.connection_for_delivery(id).await {
            Ok(found) => found,
            Err(error) => return Err(unreadable(id, &error, now)),
        };
        let in_flight = self.desk.places().lanes.in_flight_of(id);
        let pacer = self.parts.pacer.clone();
        let account = found.as_ref().and_then(|connection| {
            let plugin = self.parts.plugins.get(&connection.kind)?;
            Some(pacer.account(connection, plugin.manifest()))
        });
        let leave = found.as_ref().map_or(Leave::All, |connection| {
            pacer.destinations().leave(connection, account.as_deref(), now)
        });
        let held_until = match leave {
            Leave::All | Leave::Probe => None,
            Leave::Held { until } => Some(self.look(id, until, now)?),
        };
        let mut most = turn.most;
        if leave == Leave::Probe {
            most = 1;
        }
        let limit = match &account {
            // One that cannot be delivered is taken to say so.
            None => usize::from(in_flight == 0),
            Some(account) => {
                let mut places = self.desk.places();
                let room = pacer.room(account, in_flight);
                // Were it all for the first of many lanes that have one delivery each, there would be a round,
                // and a commit, for every one of them.
                let sharing = places.called.get(&account.key()).copied().unwrap_or(1);
                let share = (room.deliveries / sharing).max(1);
                let others = places.planned.entry(account.key()).or_default();
                let limit = room.deliveries.saturating_sub(*others).min(share).min(most);
                *others += limit;
                drop(places);
                match room.again_in {
                    _ if limit > 0 => limit,
                    Some(wait) => return Err(Wait::Until(now.plus(wait + ROUNDED))),
                    None if account.fills(in_flight) => return Err(Wait::OwnEnd),
                    None if account.has_rates() => return Err(Wait::Round),
                    None => {
                        self.crowded
                            .entry(account.key())
                            .or_insert_with(|| Arc::clone(account));
                        return Err(Wait::Account(account.key()));
                    }
                }
            }
        };
        if limit == 0 {
            return Err(Wait::OwnEnd);
        }
        let is_inactive = found.as_ref().is_some_and(|found| !found.health.is_active());
        let request = ClaimRequest {
            connection: id,
            limit,
            forced_only: is_inactive || held_until.is_some(),
        };
        Ok(Plan {
            request,
            connection: found,
            account,
            held_until,
        })
    }

    /// Whether to look into a lane whose destination is left alone. When to look again, if so.
    fn look(
        &mut self,
        connection: ConnectionId,
        until: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Timestamp, Wait> {
        let until = until.unwrap_or_else(|| now.plus(LONGEST_SLEEP));
        let last = self.looked.get(&connection).filter(|last| **last <= now);
        match last.map(|last| last.plus(LOOK)).filter(|next| *next > now) {
            Some(next) => Err(Wait::Until(next.min(until))),
            None => {
                if self.looked.len() > REMEMBERED {
                    self.looked.clear();
                }
                self.looked.insert(connection, now);
                Ok(until)
            }
        }
    }

    fn hand_out(&mut self, plan: &Plan, claim: LaneClaim, now: Timestamp) {
        let taken = claim.claimed.len();
        let next_due = match (plan.held_until, claim.next_due) {
            (Some(until), Some(due)) if taken > 0 => Some(until.min(due.max(now))),
            (Some(until), _) => Some(until),
            // An inactive lane is woken again by the store, when it is mended or somebody asks.
            (None, _) if plan.request.forced_only && taken == 0 => None,
            (None, Some(due)) if due <= now && taken == 0 => Some(now.plus(PAUSE)),
            // Behind the lanes that have not had this turn.
            (None, other) => other.map(|due| due.max(now)),
        };
        let connection = plan.request.connection;
        self.desk.places().lanes.claimed(connection, taken, next_due);
        for claimed in claim.claimed {
            let (connection, forced) = (plan.connection.as_deref(), claimed.state.forced);
            let seat = self
                .desk
                .seat_of(claimed.connection, connection, plan.account.as_deref(), forced);
            self.desk.set_out(claimed, seat);
        }
    }
}

fn unreadable(connection: ConnectionId, error: &StoreError, now: Timestamp) -> Wait {
    tracing::warn!(%connection, %error, "reading a connection failed; its deliveries wait; trying again in ten seconds");
    Wait::Until(now.plus(LONGEST_SLEEP))
}

/// A lane whose claim failed; it comes back after so long.
#[derive(Debug, PartialEq, Eq)]
struct Postponed(Duration);

/// Claims for all lanes at once; and if that fails for something that one of them may be the reason
/// of, such as a row that cannot be read, for each alone, so that the others go on.
async fn lane_by_lane<F>(
    requests: Vec<ClaimRequest>,
    claim: impl Fn(Vec<ClaimRequest>) -> F,
) -> Vec<Result<LaneClaim, Postponed>>
where
    F: Future<Output = Result<Vec<LaneClaim>, StoreError>>,
{
    let count = requests.len();
    let error = match claim(requests.clone()).await {
        Ok(claims) => return claims.into_iter().map(Ok).collect(),
        Err(error) => error,
    };
    if let StoreError::Unavailable { .. } = error {
        tracing::warn!(%error, lanes = count, "claiming deliveries failed; trying again in a second");
        return (0..count).map(|_| Err(Postponed(PAUSE))).collect();
    }
    let mut claims = Vec::with_capacity(count);
    for request in requests {
        let connection = request.connection;
        let alone = match claim(vec![request]).await {
            Ok(mut claims) => claims.pop().ok_or(Postponed(PAUSE)),
            Err(error) => {
                tracing::warn!(%error, %connection, "claiming the deliveries of one connection failed; trying again in ten seconds");
                Err(Postponed(LONGEST_SLEEP))
            }
        };
        claims.push(alone);
    }
    claims
}

#[cfg(test)]
#[path = "dispatcher_tests.rs"]
mod tests;
