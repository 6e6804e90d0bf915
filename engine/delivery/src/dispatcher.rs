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
use heddle_store::{ClaimRequest, Claimed, LaneClaim, StoreError};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Parts;
use crate::circuit::Leave;
use crate::deliverer::Deliverer;
use crate::destinations::Trip;
use crate::lane::{Lanes, Turn, Wait};
use crate::pace::Key;
use crate::pacer::Account;
use crate::sign::Sign;

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
pub async fn run(parts: Parts, deliverer: Arc<Deliverer>, tasks: TaskTracker, stop: CancellationToken) {
    let (news, mut heard) = mpsc::unbounded_channel();
    let mut dispatcher = Dispatcher {
        lanes: Lanes::new(parts.limits.in_flight),
        homes: HashMap::new(),
        crowded: HashMap::new(),
        looked: HashMap::new(),
        parts: parts.clone(),
        deliverer,
        tasks,
        news,
    };
    loop {
        let now = parts.clock.now();
        for (connection, due_at) in parts.store.due().take() {
            // Lanes that are due take turns in the order in which they asked, not by the age of what
            // waits: an old backlog must not go before everybody else for ever.
            dispatcher.lanes.due(connection, due_at.max(now));
        }
        while let Ok(news) = heard.try_recv() {
            dispatcher.learn(&news, now);
        }
        if dispatcher.round(now).await && !stop.is_cancelled() {
            continue;
        }
        let sleep = dispatcher
            .lanes
            .next()
            .filter(|_| !dispatcher.lanes.is_full())
            .map_or(LONGEST_SLEEP, |due| {
                due.since(parts.clock.now()).min(LONGEST_SLEEP)
            });
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = parts.store.due().notified() => {}
            () = parts.pacer.room_may_have_grown() => {}
            news = heard.recv() => {
                if let Some(news) = news {
                    dispatcher.learn(&news, parts.clock.now());
                }
            }
            () = tokio::time::sleep(sleep) => {}
        }
    }
}

struct Dispatcher {
    parts: Parts,
    deliverer: Arc<Deliverer>,
    tasks: TaskTracker,
    news: mpsc::UnboundedSender<News>,
    lanes: Lanes,
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

/// What becomes of a claimed delivery.
enum News {
    /// Its destination is done with it, and does as the sign says.
    Answered {
        connection: ConnectionId,
        trip: Option<Trip>,
        sign: Sign,
    },
    /// It is recorded.
    Ended { connection: ConnectionId },
}

impl Dispatcher {
    fn learn(&mut self, news: &News, now: Timestamp) {
        match news {
            News::Answered {
                connection,
                trip,
                sign,
            } => {
                self.lanes.answered(*connection);
                if let Some(trip) = trip
                    && self.parts.pacer.destinations().ended(trip, *sign, now)
                {
                    self.lanes.due(*connection, now);
                }
            }
            News::Ended { connection } => self.lanes.ended(*connection),
        }
    }

    /// Gives every lane that is due its turn, as far as there are places. Whether there may be more to
    /// do at once.
    async fn round(&mut self, now: Timestamp) -> bool {
        let more = self.arrive(now).await;
        let called = self.begin();
        let (mut plans, mut planned, mut left) = (Vec::new(), HashMap::new(), 0);
        while let Some(turn) = self.lanes.turn() {
            match self.plan(turn, &mut planned, now).await {
                Ok(plan) => {
                    self.lanes.ask(turn.connection, plan.request.limit);
                    plans.push(plan);
                }
                Err(wait) => {
                    left += usize::from(!matches!(wait, Wait::Account(_) | Wait::Round));
                    self.lanes.pass(turn.connection, wait);
                }
            }
        }
        if plans.is_empty() {
            // Behind those that were called and have no use for it, others may wait for the same room. It
            // ends: whoever was left out for another reason is not called again.
            return more || (called > 0 && left > 0);
        }
        let requests = plans.iter().map(|plan| plan.request.clone()).collect();
        let leased_until = now.plus(self.parts.limits.lease());
        let store = self.parts.store.clone();
        let claim = |requests| store.claim(requests, now, leased_until);
        for (plan, claim) in plans.iter().zip(lane_by_lane(requests, claim).await) {
            match claim {
                Ok(claim) => self.hand_out(plan, claim, now),
                Err(Postponed(pause)) => {
                    let connection = plan.request.connection;
                    self.lanes.claimed(connection, 0, Some(now.plus(pause)));
                }
            }
        }
        true
    }

    /// Begins a round; returns how many lanes have room of their account now that had none before.
    fn begin(&mut self) -> usize {
        let (crowded, pacer) = (&self.crowded, &self.parts.pacer);
        let room = |key: &Key| {
            crowded
                .get(key)
                .map_or(1, |account| pacer.room(account, 0).deliveries)
        };
        let called = self.lanes.begin(room);
        let lanes = &self.lanes;
        self.crowded.retain(|key, _| lanes.is_crowded(key));
        called
    }

    /// Lets lanes that are due get in line, each with those of its workspace. Whether more wait to.
    async fn arrive(&mut self, now: Timestamp) -> bool {
        let strangers = self.lanes.arrive(now, STRANGERS);
        let more = strangers.len() == STRANGERS;
        if self.homes.len() > REMEMBERED {
            self.homes.clear();
        }
        let mut unknown = Vec::new();
        for connection in strangers {
            match self.homes.get(&connection) {
                Some(workspace) => self.lanes.place(connection, *workspace),
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
                    self.lanes.place(connection, found.workspace);
                }
                // One that is gone has a claim to say so.
                Ok(None) => self.lanes.place(connection, WorkspaceId::from_bytes([0; 16])),
                Err(error) => {
                    self.lanes.pass(connection, unreadable(connection, &error, now));
                }
            }
        }
        more
    }

    /// How much of a lane to claim: as much as the connection may have under way, as its account has
    /// turns for soon, and as its destination is up to.
    async fn plan(
        &mut self,
        turn: Turn,
        planned: &mut HashMap<Key, usize>,
        now: Timestamp,
    ) -> Result<Plan, Wait> {
        let id = turn.connection;
        let found = match self.parts.store.connection_for_delivery(id).await {
            Ok(found) => found,
            Err(error) => return Err(unreadable(id, &error, now)),
        };
        let in_flight = self.lanes.in_flight_of(id);
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
                let room = pacer.room(account, in_flight);
                let others = planned.entry(account.key()).or_default();
                let limit = room.deliveries.saturating_sub(*others).min(most);
                *others += limit;
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
        self.lanes.claimed(plan.request.connection, taken, next_due);
        for claimed in claim.claimed {
            self.set_out(plan, claimed);
        }
    }

    fn set_out(&self, plan: &Plan, claimed: Claimed) {
        let pacer = &self.parts.pacer;
        let account = plan.account.as_deref();
        let trip = plan.connection.as_ref().map(|connection| {
            let destinations = pacer.destinations();
            destinations.claimed(connection, account, claimed.state.forced)
        });
        let claim = account.map(|account| pacer.claim(account));
        let mut reporter = Reporter {
            news: self.news.clone(),
            connection: claimed.connection,
            under_way: Some(trip),
        };
        let deliverer = Arc::clone(&self.deliverer);
        self.tasks.spawn(async move {
            let answered = |sign| reporter.answered(sign);
            deliverer.deliver(claimed, claim, answered).await;
        });
    }
}

/// Tells the dispatcher how a delivery goes: when it is dropped at the latest, after a panic too, so
/// that no lane leaks its room.
struct Reporter {
    news: mpsc::UnboundedSender<News>,
    connection: ConnectionId,
    /// `None` once its destination is done with it.
    under_way: Option<Option<Trip>>,
}

impl Reporter {
    fn answered(&mut self, sign: Sign) {
        if let Some(trip) = self.under_way.take() {
            let connection = self.connection;
            // The dispatcher may have stopped.
            let _ = self.news.send(News::Answered {
                connection,
                trip,
                sign,
            });
        }
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.answered(Sign::None);
        let connection = self.connection;
        let _ = self.news.send(News::Ended { connection });
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
