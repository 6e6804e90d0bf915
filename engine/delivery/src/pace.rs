//! Pace: how many requests an account may be sent, as a pure structure that is told the time.
//!
//! A rate is a sliding window, counted at the receiver, and nobody here knows when exactly a request
//! arrives there: at some time between its sending and its answer. So a place in the window is taken
//! before a request is sent, and is free again a whole window after its *answer* came. Two requests
//! that share a place are then at least a window apart wherever they are counted, and no window
//! holds more requests than there are places.
//!
//! Who has to wait stands in line, in the order of asking; those whose attempt has begun stand
//! before those whose attempt has not, so that what was begun ends, and so do people who look
//! something up. Whoever is held up by a rate of
//! its own (one channel) holds up nobody else.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The most that stand in line for one account without having begun.
pub const MAX_WAITING: usize = 64;

/// How far ahead the dispatcher claims: what will have its turn within this time.
pub const HORIZON: Duration = Duration::from_secs(1);

/// The shortest time for which somebody is sent away.
const SHORTEST_LATER: Duration = Duration::from_secs(1);

/// The most counters that are kept. Beyond it those are forgotten that would be idle soonest; the
/// destination's own limit is then the one that holds.
const MAX_COUNTERS: usize = 200_000;

/// A window with more places than this frees them in bundles, of which it has about as many.
const BUNDLES: u32 = 256;

/// Names an account or a counter: a digest.
pub type Key = [u8; 16];

/// At most `requests` in any `per`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// At least 1.
    pub requests: u32,
    /// Longer than nothing.
    pub per: Duration,
}

/// What has to let a request through: its counters, each with its window.
pub type Gates = Arc<[(Key, Window)]>;

/// A wish to send a request.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Whose requests are counted.
    pub account: Key,
    /// All of them must have a place.
    pub gates: Gates,
    /// Requests of the account under way at once.
    pub concurrency: usize,
    /// The attempt has sent requests before.
    pub begun: bool,
    /// A claimed delivery asks, not a person who looks something up.
    pub delivery: bool,
    /// The longest that the caller waits.
    pub patience: Duration,
}

/// Somebody in line: first those who have begun and those who look something up, then by order of
/// asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket {
    new: bool,
    number: u64,
}

/// What an [`Ask`] is told.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// Send it, and say when it is [`Paces::done`].
    Go,
    /// Wait in line until [`Paces::granted`] has the ticket, or [`Paces::leave`].
    Wait(Ticket),
    /// Come back after this time.
    Later(Duration),
}

/// How much more the dispatcher may claim for an account.
#[derive(Debug, PartialEq, Eq)]
pub struct Room {
    /// As many deliveries.
    pub deliveries: usize,
    /// If none: when to ask again. `None`: when something of the account has ended.
    pub again_in: Option<Duration>,
}

/// All accounts with requests under way, in line, or in a window.
#[derive(Debug, Default)]
pub struct Paces {
    accounts: HashMap<Key, Account>,
    counters: HashMap<Key, Counter>,
    /// When somebody in line may have a turn, where that is known.
    timers: BTreeSet<(Instant, Key)>,
    granted: Vec<Ticket>,
    tickets: u64,
    sweep_at: usize,
}

#[derive(Debug, Default)]
struct Account {
    line: BTreeMap<Ticket, Ask>,
    /// Requests under way.
    held: usize,
    /// Claimed deliveries, and those of them that have not asked yet.
    under_way: usize,
    expected: usize,
    timer: Option<Instant>,
}

impl Paces {
    /// Asks for a turn.
    pub fn ask(&mut self, ask: Ask, now: Instant) -> Answer {
        self.tickets += 1;
        let ticket = Ticket {
            new: ask.delivery && !ask.begun,
            number: self.tickets,
        };
        let (key, patience, begun) = (ask.account, ask.patience, ask.begun);
        let account = self.accounts.entry(key).or_default();
        account.line.insert(ticket, ask);
        self.serve(key, now);
        if let Some(index) = self.granted.iter().position(|granted| *granted == ticket) {
            self.granted.swap_remove(index);
            return Answer::Go;
        }
        let too_many = !begun && self.line(key) > MAX_WAITING;
        let turn = self.turn_of(key, ticket, now);
        if too_many || turn.is_some_and(|turn| turn > now + patience) {
            return self
                .leave(key, ticket, now)
                .map_or(Answer::Later(SHORTEST_LATER), Answer::Later);
        }
        Answer::Wait(ticket)
    }

    /// Leaves the line. How long it would have taken, as far as is known: whoever comes back then
    /// finds a place, since no two are told the same time. `None`: it was not in line.
    pub fn leave(&mut self, key: Key, ticket: Ticket, now: Instant) -> Option<Duration> {
        let ahead = self.ahead(key, ticket);
        let ask = self.accounts.get_mut(&key)?.line.remove(&ticket)?;
        let mut wait = SHORTEST_LATER;
        for ((gate, window), ahead) in ask.gates.iter().zip(ahead) {
            let counter = counter(&mut self.counters, *gate, *window);
            let turn = counter.turn(ahead + 1, now).0;
            if turn > now {
                let turn = counter.promised.map_or(turn, |promised| promised.max(turn));
                counter.promised = Some(turn + (window.per + counter.last_hold) / window.requests);
                wait = wait.max(turn - now);
            }
        }
        self.serve(key, now);
        Some(wait)
    }

    /// The answer to a request came, or did not.
    pub fn done(&mut self, key: Key, gates: &Gates, held_for: Duration, now: Instant) {
        for (gate, window) in gates.iter() {
            counter(&mut self.counters, *gate, *window).done(held_for, now);
        }
        self.release(key, now);
    }

    /// A turn was given that nobody used: nothing was sent.
    pub fn unused(&mut self, key: Key, gates: &Gates, now: Instant) {
        for (gate, window) in gates.iter() {
            let counter = counter(&mut self.counters, *gate, *window);
            counter.held = counter.held.saturating_sub(1);
        }
        self.release(key, now);
    }

    fn release(&mut self, key: Key, now: Instant) {
        if let Some(account) = self.accounts.get_mut(&key) {
            account.held = account.held.saturating_sub(1);
        }
        self.serve(key, now);
        self.sweep(now);
    }

    /// A delivery of the account was claimed: it will ask.
    pub fn claimed(&mut self, key: Key) {
        let account = self.accounts.entry(key).or_default();
        account.under_way += 1;
        account.expected += 1;
    }

    /// A claimed delivery asks for the first time, or ends without having asked.
    pub fn came(&mut self, key: Key) {
        if let Some(account) = self.accounts.get_mut(&key) {
            account.expected = account.expected.saturating_sub(1);
        }
    }

    /// A claimed delivery has ended.
    pub fn ended(&mut self, key: Key) {
        if let Some(account) = self.accounts.get_mut(&key) {
            account.under_way = account.under_way.saturating_sub(1);
        }
        self.forget_if_idle(key);
    }

    /// Lets those through whose time has come.
    pub fn advance(&mut self, now: Instant) {
        while let Some(due) = self.timers.first().filter(|(at, _)| *at <= now).copied() {
            self.timers.remove(&due);
            if let Some(account) = self.accounts.get_mut(&due.1) {
                account.timer = None;
            }
            self.serve(due.1, now);
        }
    }

    /// When to [`Self::advance`] next, if not before.
    pub fn next(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Whose turn it is now; each is told once.
    pub fn granted(&mut self) -> Vec<Ticket> {
        std::mem::take(&mut self.granted)
    }

    /// How many deliveries may be claimed now for a lane of an account that has `lane_in_flight` of
    /// its own under way: as many as its limits leave, and as have their turn within [`HORIZON`].
    /// One that waits for its turn takes none of the concurrency. `gates` are those of the account as
    /// a whole; `lane` and `account` are the limits on what is under way at once.
    pub fn room(
        &mut self,
        key: Key,
        gates: &Gates,
        (lane, lane_in_flight): (usize, usize),
        concurrency: usize,
        now: Instant,
    ) -> Room {
        let (mut waiting, mut ahead, mut under_way) = (0, 0, 0);
        if let Some(account) = self.accounts.get(&key) {
            waiting = account.line.values().filter(|ask| ask.delivery).count();
            under_way = account.under_way;
            // Who is held up by a rate of its own takes no place of the account's for now.
            let soon = |(gate, window): &(Key, Window)| {
                let free = |counter: &Counter| counter.free_at(now + HORIZON) > 0;
                gates.contains(&(*gate, *window)) || self.counters.get(gate).is_none_or(free)
            };
            let in_line = account.line.values().filter(|ask| ask.gates.iter().all(soon));
            ahead = in_line.count() + account.expected;
        }
        let free = lane
            .saturating_sub(lane_in_flight.saturating_sub(waiting))
            .min(concurrency.saturating_sub(under_way.saturating_sub(waiting)))
            .min(MAX_WAITING.saturating_sub(waiting));
        let mut room = Room {
            deliveries: free,
            again_in: None,
        };
        let mut again = Some(Duration::ZERO);
        for (gate, window) in gates.iter() {
            let counter = counter(&mut self.counters, *gate, *window);
            counter.prune(now);
            let soon = counter.free_at(now + HORIZON).saturating_sub(ahead);
            room.deliveries = room.deliveries.min(soon);
            let (turn, known) = counter.turn(ahead + 1, now);
            let wait = turn.saturating_duration_since(now + HORIZON);
            again = again.filter(|_| known || soon > 0).map(|again| again.max(wait));
        }
        if room.deliveries == 0 && free > 0 {
            room.again_in = again;
        }
        self.sweep(now);
        room
    }

    fn line(&self, key: Key) -> usize {
        self.accounts.get(&key).map_or(0, |account| account.line.len())
    }

    /// How many stand before a ticket, at each of its gates.
    fn ahead(&self, key: Key, ticket: Ticket) -> Vec<usize> {
        let Some((account, ask)) = self
            .accounts
            .get(&key)
            .and_then(|account| Some((account, account.line.get(&ticket)?)))
        else {
            return Vec::new();
        };
        let mut ahead = vec![0; ask.gates.len()];
        for (_, other) in account.line.range(..ticket) {
            for (count, (gate, _)) in ahead.iter_mut().zip(ask.gates.iter()) {
                *count += usize::from(other.gates.iter().any(|(other, _)| other == gate));
            }
        }
        ahead
    }

    /// The earliest time at which a ticket could have its turn, if all before it take theirs.
    fn turn_of(&mut self, key: Key, ticket: Ticket, now: Instant) -> Option<Instant> {
        let ahead = self.ahead(key, ticket);
        let ask = self.accounts.get(&key)?.line.get(&ticket)?;
        let turns = ask.gates.iter().zip(ahead).map(|((gate, window), ahead)| {
            counter(&mut self.counters, *gate, *window).turn(ahead + 1, now).0
        });
        turns.max()
    }

    /// Gives turns to whoever may have one, from the front of the line.
    fn serve(&mut self, key: Key, now: Instant) {
        let Some(account) = self.accounts.get_mut(&key) else {
            return;
        };
        let mut next: Option<Instant> = None;
        let (counters, held, granted) = (&mut self.counters, &mut account.held, &mut self.granted);
        account.line.retain(|ticket, ask| {
            if *held >= ask.concurrency.max(1) {
                return true;
            }
            // When the last of its gates opens; `None` inside: not known before an answer comes.
            let mut shut: Option<Option<Instant>> = None;
            for (gate, window) in ask.gates.iter() {
                let counter = counter(counters, *gate, *window);
                counter.prune(now);
                if counter.free_at(now) == 0 {
                    let opens = counter.freed.front().map(|(at, _)| *at);
                    shut = Some(match shut {
                        None => opens,
                        Some(known) => known.zip(opens).map(|(a, b)| a.max(b)),
                    });
                }
            }
            if let Some(opens) = shut {
                next = match (next, opens) {
                    (Some(a), Some(b)) => Some(a.min(b)),
                    (a, b) => a.or(b),
                };
                return true;
            }
            for (gate, window) in ask.gates.iter() {
                counter(counters, *gate, *window).held += 1;
            }
            *held += 1;
            granted.push(*ticket);
            false
        });
        if account.timer != next {
            if let Some(old) = account.timer.take() {
                self.timers.remove(&(old, key));
            }
            if let Some(new) = next {
                self.timers.insert((new, key));
            }
            account.timer = next;
        }
        self.forget_if_idle(key);
    }

    fn forget_if_idle(&mut self, key: Key) {
        let idle = |account: &Account| {
            account.line.is_empty() && account.held == 0 && account.under_way == 0 && account.expected == 0
        };
        if self.accounts.get(&key).is_some_and(idle) {
            self.accounts.remove(&key);
        }
    }

    /// Drops counters that count nothing any more, whenever their number has doubled.
    fn sweep(&mut self, now: Instant) {
        if self.counters.len() < self.sweep_at.max(1024) {
            return;
        }
        self.counters.retain(|_, counter| {
            counter.prune(now);
            !counter.is_idle(now)
        });
        if self.counters.len() > MAX_COUNTERS {
            let mut ends: Vec<Option<Instant>> = self.counters.values().map(Counter::end).collect();
            let middle = ends.len() / 2;
            let (_, median, _) = ends.select_nth_unstable(middle);
            let median = *median;
            self.counters
                .retain(|_, counter| counter.held > 0 || counter.end() >= median);
        }
        self.sweep_at = self.counters.len() * 2;
    }
}

fn counter(counters: &mut HashMap<Key, Counter>, key: Key, window: Window) -> &mut Counter {
    counters.entry(key).or_insert_with(|| Counter::new(window))
}

/// The places of one window.
#[derive(Debug)]
struct Counter {
    window: Window,
    /// Places of requests under way.
    held: usize,
    /// Places that become free, and when; in order.
    freed: VecDeque<(Instant, usize)>,
    /// The sum of `freed`.
    freeing: usize,
    /// How long the last request was under way.
    last_hold: Duration,
    /// The time that is promised to the next who is sent away.
    promised: Option<Instant>,
}

impl Counter {
    fn new(window: Window) -> Self {
        Self {
            window,
            held: 0,
            freed: VecDeque::new(),
            freeing: 0,
            last_hold: Duration::ZERO,
            promised: None,
        }
    }

    fn places(&self) -> usize {
        usize::try_from(self.window.requests).unwrap_or(usize::MAX)
    }

    /// Places that are free at `at`, if no more are taken.
    fn free_at(&self, at: Instant) -> usize {
        let still: usize = self
            .freed
            .iter()
            .rev()
            .take_while(|(free, _)| *free > at)
            .map(|(_, count)| count)
            .sum();
        self.places().saturating_sub(self.held + still)
    }

    fn prune(&mut self, now: Instant) {
        while let Some((_, count)) = self.freed.front().filter(|(at, _)| *at <= now) {
            self.freeing -= count;
            self.freed.pop_front();
        }
    }

    fn done(&mut self, held_for: Duration, now: Instant) {
        self.held = self.held.saturating_sub(1);
        self.last_hold = held_for;
        // A little more than the window: no two clocks run alike, and some count in milliseconds.
        let at = now + self.window.per + self.window.per / 1000 + Duration::from_millis(1);
        match self.freed.back_mut() {
            Some((last, count)) if *last >= at => *count += 1,
            _ if self.window.requests <= BUNDLES => self.freed.push_back((at, 1)),
            _ => self.freed.push_back((at + self.window.per / BUNDLES, 1)),
        }
        self.freeing += 1;
    }

    /// When the `n`th from now could have a place, and whether that is sure to be so: what is still
    /// under way frees its place a window after its end, whenever that is.
    fn turn(&self, n: usize, now: Instant) -> (Instant, bool) {
        let mut open = self.places().saturating_sub(self.held + self.freeing);
        if n <= open {
            return (now, true);
        }
        for (at, count) in &self.freed {
            open += count;
            if n <= open {
                return ((*at).max(now), true);
            }
        }
        let beyond = u32::try_from((n - open - 1) / self.places()).unwrap_or(u32::MAX);
        (
            now + self.window.per + self.window.per.saturating_mul(beyond),
            false,
        )
    }

    /// When the last place is free.
    fn end(&self) -> Option<Instant> {
        self.freed.back().map(|(at, _)| *at)
    }

    fn is_idle(&self, now: Instant) -> bool {
        self.held == 0 && self.freed.is_empty() && self.promised.is_none_or(|promised| promised <= now)
    }
}

#[cfg(test)]
#[path = "pace_tests.rs"]
mod tests;
