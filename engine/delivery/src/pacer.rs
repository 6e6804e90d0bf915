//! The pacer: who may send a request now. It asks [`Paces`] with the present time, and wakes those
//! in line when their turn has come.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use heddle_core::connection::Connection;
use heddle_core::id::ConnectionId;
use heddle_core::limits::Rate;
use heddle_core::manifest::Manifest;
use heddle_egress::Turns;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::destinations::Destinations;
use crate::pace::{Answer, Ask, Gates, Key, Paces, Room, Ticket, Window};

/// How long an attempt waits for its first turn. A longer wait gives the delivery back.
const FIRST: Duration = Duration::from_secs(5);
/// How long an attempt waits in all, once it has begun: to give it back would repeat its requests.
const BEGUN: Duration = Duration::from_secs(30);
/// The accounts that are remembered by connection; beyond it the memory starts anew.
const REMEMBERED: usize = 10_000;

/// Settings that are Heddle's own and say nothing about whose account it is.
const OWN_SETTINGS: [&str; 2] = ["concurrency", "retry_schedule"];

/// Gives out turns to all requests of all accounts. Cheap to clone; lives inside a Tokio runtime.
#[derive(Clone)]
pub struct Pacer(Arc<Shared>);

struct Shared {
    line: Mutex<Line>,
    remembered: Mutex<HashMap<ConnectionId, Remembered>>,
    destinations: Destinations,
    /// The next timer may be another than before.
    timer: Arc<Notify>,
    /// The dispatcher may find room that it did not find before.
    room: Notify,
}

/// A connection as it was when its account was worked out.
type Remembered = (Arc<Connection>, Arc<Account>);

#[derive(Default)]
struct Line {
    paces: Paces,
    waiting: HashMap<Ticket, oneshot::Sender<()>>,
}

/// An account at a destination, as its limits see it: all connections of one type with the same
/// secrets and settings; of one workspace, where there is no secret.
pub struct Account {
    manifest: Arc<Manifest>,
    key: Key,
    /// Of the rates that are counted for the account as a whole.
    gates: Gates,
    /// That of this connection alone, where it may have less under way than its account: the dispatcher
    /// does not count those that wait for their turn, and they must not all go when it comes.
    own: Option<(Key, Window)>,
    /// Deliveries under way at once: of this connection, and of the whole account.
    concurrency: (usize, usize),
}

impl Pacer {
    /// A pacer, with the task that wakes whoever waits. It ends with the last clone.
    pub fn start() -> Self {
        let timer = Arc::new(Notify::new());
        let shared = Arc::new(Shared {
            line: Mutex::default(),
            remembered: Mutex::default(),
            destinations: Destinations::default(),
            timer: Arc::clone(&timer),
            room: Notify::new(),
        });
        tokio::spawn(keep_time(Arc::downgrade(&shared), timer));
        Self(shared)
    }

    /// The account of a connection. It is worked out once, and again when the connection or its
    /// plugin changed.
    pub(crate) fn account(&self, connection: &Arc<Connection>, manifest: &Arc<Manifest>) -> Arc<Account> {
        let mut remembered = self.0.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, account)) = remembered.get(&connection.id)
            && Arc::ptr_eq(known, connection)
            && Arc::ptr_eq(&account.manifest, manifest)
        {
            return Arc::clone(account);
        }
        let account = Arc::new(Account::new(connection, manifest));
        if remembered.len() >= REMEMBERED {
            remembered.clear();
        }
        remembered.insert(connection.id, (Arc::clone(connection), Arc::clone(&account)));
        account
    }

    /// For a call that somebody waits for: a `check`, `choices`, `fields`. It shares the account's
    /// rates and goes before deliveries that have not begun. Rates that are narrowed are not for it.
    pub fn for_call(&self, connection: &Connection, manifest: &Arc<Manifest>) -> Pace {
        let account = Arc::new(Account::new(connection, manifest));
        let gates = Arc::clone(&account.gates);
        Pace {
            delivery: false,
            patience: (FIRST, FIRST * 2),
            ..Pace::new(self.clone(), &account, gates)
        }
    }

    /// For a claimed delivery. `inputs`, `fields` and `payload` (both JSON text) are
    /// what narrowed rates look into.
    pub(crate) fn for_delivery(
        &self,
        account: &Arc<Account>,
        claim: Option<Claim>,
        inputs: &Map<String, Value>,
        fields: &str,
        payload: &str,
    ) -> Pace {
        let gates = account.narrowed(inputs, fields, payload);
        Pace {
            claim,
            ..Pace::new(self.clone(), account, gates)
        }
    }

    /// How much more of a connection may be claimed, that has `in_flight` deliveries under way.
    pub(crate) fn room(&self, account: &Account, in_flight: usize) -> Room {
        let (lane, all) = account.concurrency;
        let all = self
            .0
            .destinations
            .width(account)
            .map_or(all, |width| width.min(all));
        let now = Instant::now().into_std();
        let paces = &mut self.line().paces;
        paces.room(account.key, &account.gates, (lane, in_flight), all, now)
    }

    /// How the destinations do.
    pub(crate) fn destinations(&self) -> &Destinations {
        &self.0.destinations
    }

    /// A delivery of the account was claimed; it is under way until the claim is dropped.
    pub(crate) fn claim(&self, account: &Account) -> Claim {
        self.line().paces.claimed(account.key);
        Claim {
            pacer: self.clone(),
            account: account.key,
            came: AtomicBool::new(false),
        }
    }

    /// Returns when [`Self::room`] may have grown since the last return, other than by the end of a
    /// delivery.
    pub(crate) async fn room_may_have_grown(&self) {
        self.0.room.notified().await;
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.0.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the line, and wakes those whose turn it is then.
    fn change<T>(&self, change: impl FnOnce(&mut Paces, std::time::Instant) -> T) -> T {
        let mut line = self.line();
        let before = line.paces.next();
        let result = change(&mut line.paces, Instant::now().into_std());
        line.wake();
        if line.paces.next() != before {
            self.0.timer.notify_one();
        }
        result
    }
}

impl Line {
    fn wake(&mut self) {
        for ticket in self.paces.granted() {
            if let Some(waiting) = self.waiting.remove(&ticket) {
                // One that is gone gives its turn back when it notices.
                let _ = waiting.send(());
            }
        }
    }
}

/// Wakes whoever's time has come, until the pacer is gone.
async fn keep_time(shared: Weak<Shared>, timer: Arc<Notify>) {
    loop {
        let next = {
            let Some(shared) = shared.upgrade() else { return };
            let mut line = shared.line.lock().unwrap_or_else(PoisonError::into_inner);
            line.paces.advance(Instant::now().into_std());
            line.wake();
            line.paces.next()
        };
        let sleep = async {
            match next {
                Some(at) => tokio::time::sleep_until(Instant::from_std(at)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = timer.notified() => {}
            () = sleep => {}
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.timer.notify_one();
    }
}

impl Account {
    /// The same for all connections of the account.
    pub(crate) fn key(&self) -> Key {
        self.key
    }

    /// Deliveries of the whole account under way at once.
    pub(crate) fn concurrency(&self) -> usize {
        self.concurrency.1
    }

    /// Whether no rate is counted for less than the account: a channel, a person.
    pub(crate) fn is_counted_as_a_whole(&self) -> bool {
        self.manifest.limits.rates.iter().all(|rate| rate.of.is_empty())
    }

    /// Whether requests of the account are counted by time.
    pub(crate) fn has_rates(&self) -> bool {
        !self.manifest.limits.rates.is_empty()
    }

    /// Whether a lane that has so much under way can have more only when some of that has ended.
    pub(crate) fn fills(&self, in_flight: usize) -> bool {
        !self.has_rates() && in_flight >= self.concurrency.0
    }

    fn new(connection: &Connection, manifest: &Arc<Manifest>) -> Self {
        let mut digest = Sha256::new();
        let mut add = |part: &str| {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        };
        add(&connection.kind);
        let mut settings: Vec<(&String, &Value)> = connection
            .settings
            .iter()
            .filter(|(key, value)| !OWN_SETTINGS.contains(&key.as_str()) && !value.is_null())
            .collect();
        settings.sort_by_key(|(key, _)| *key);
        for (key, value) in settings {
            add(key);
            add(&value.to_string());
        }
        for (key, secret) in &connection.secrets {
            add(key);
            add(secret.reveal());
        }
        if connection.secrets.is_empty() {
            // An address alone anybody may know, and have it ask for a pause from all who use it.
            digest.update(connection.workspace.as_bytes());
        }
        let key = short(digest);
        let stated = at_least_one(u64::from(manifest.limits.concurrency));
        let own = connection.settings.get("concurrency").and_then(Value::as_u64);
        let own = own.map_or(stated, at_least_one);
        let whole = manifest.limits.rates.iter().enumerate();
        let gates = whole
            .filter(|(_, rate)| rate.of.is_empty())
            .map(|(index, rate)| gate(key, index, rate, &[]))
            .collect();
        Self {
            manifest: Arc::clone(manifest),
            key,
            gates,
            own: (own < stated).then(|| own_gate(key, connection.id, own)),
            concurrency: (own, own.max(stated)),
        }
    }

    /// The gates of one delivery: those of the account, those of what it is about, and that of its
    /// connection. None where no rate is stated: then nobody waits, and the dispatcher counts all.
    fn narrowed(&self, inputs: &Map<String, Value>, fields: &str, payload: &str) -> Gates {
        let rates = &self.manifest.limits.rates;
        if rates.is_empty() {
            return Arc::clone(&self.gates);
        }
        if rates.iter().all(|rate| rate.of.is_empty()) {
            return match self.own {
                None => Arc::clone(&self.gates),
                own => self.gates.iter().copied().chain(own).collect(),
            };
        }
        let read = |text: &str| serde_json::from_str::<Map<String, Value>>(text).unwrap_or_default();
        let fields = read(fields);
        // Read only when a name is found nowhere else.
        let payload = std::cell::LazyCell::new(|| read(payload));
        let member = |name: &str| payload.get(name).cloned();
        let narrow = rates
            .iter()
            .enumerate()
            .filter(|(_, rate)| !rate.of.is_empty())
            .map(|(index, rate)| {
                let values = rate.narrowed_by(inputs, &fields, member);
                gate(self.key, index, rate, &values)
            });
        let gates = self.gates.iter().copied();
        gates.chain(narrow).chain(self.own).collect()
    }

    /// The rates in words: `5 requests in 1 s`.
    fn in_words(&self) -> String {
        let rate = |rate: &Rate| {
            let (requests, seconds) = (rate.requests, rate.per_seconds);
            let plural = if requests == 1 { "" } else { "s" };
            match rate.of.as_slice() {
                [] => format!("{requests} request{plural} in {seconds} s"),
                names => format!(
                    "{requests} request{plural} in {seconds} s for the same {}",
                    names.join(" and ")
                ),
            }
        };
        let rates: Vec<String> = self.manifest.limits.rates.iter().map(rate).collect();
        rates.join(", ")
    }
}

fn at_least_one(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX).max(1)
}

fn gate(account: Key, index: usize, rate: &Rate, values: &[String]) -> (Key, Window) {
    let mut digest = Sha256::new();
    digest.update(account);
    for number in [index as u64, rate.requests.into(), rate.per_seconds.into()] {
        digest.update(number.to_le_bytes());
    }
    for value in values {
        digest.update((value.len() as u64).to_le_bytes());
        digest.update(value);
    }
    let window = Window {
        requests: rate.requests.max(1),
        per: Duration::from_secs(u64::from(rate.per_seconds.max(1))),
    };
    (short(digest), window)
}

/// As many at a time, of one connection of an account.
fn own_gate(account: Key, connection: ConnectionId, concurrency: usize) -> (Key, Window) {
    let mut digest = Sha256::new();
    digest.update(account);
    digest.update(connection.as_bytes());
    digest.update((concurrency as u64).to_le_bytes());
    let window = Window {
        requests: u32::try_from(concurrency).unwrap_or(u32::MAX),
        per: Duration::from_nanos(1),
    };
    (short(digest), window)
}

/// Half of a SHA-256 still has no two texts with the same digest.
fn short(digest: Sha256) -> Key {
    let whole: [u8; 32] = digest.finalize().into();
    let mut key = Key::default();
    key.copy_from_slice(&whole[..16]);
    key
}

/// A claimed delivery, under way until this is dropped.
pub struct Claim {
    pacer: Pacer,
    account: Key,
    came: AtomicBool,
}

impl Claim {
    /// The delivery asks for its first turn, or will not ask any more.
    fn comes(&self) {
        if !self.came.swap(true, Ordering::Relaxed) {
            self.pacer.line().paces.came(self.account);
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.comes();
        self.pacer.line().paces.ended(self.account);
    }
}

/// The turns of one attempt, or of one call.
pub struct Pace {
    pacer: Pacer,
    account: Arc<Account>,
    gates: Gates,
    /// Not a person who looks something up.
    delivery: bool,
    /// Before the first request, and in all.
    patience: (Duration, Duration),
    claim: Option<Claim>,
    begun: AtomicBool,
    waited_ms: AtomicU64,
}

impl Pace {
    fn new(pacer: Pacer, account: &Arc<Account>, gates: Gates) -> Self {
        Self {
            pacer,
            account: Arc::clone(account),
            gates,
            delivery: true,
            patience: (FIRST, BEGUN),
            claim: None,
            begun: AtomicBool::new(false),
            waited_ms: AtomicU64::new(0),
        }
    }

    /// The longest that all its turns together are waited for.
    pub fn patience(&self) -> Duration {
        match self.gates.is_empty() {
            true => Duration::ZERO,
            false => self.patience.1,
        }
    }

    /// What the person reads whose delivery has to wait.
    pub fn explanation(&self) -> String {
        let (title, rates) = (&self.account.manifest.title, self.account.in_words());
        format!("{title} takes at most {rates}: waiting for the turn")
    }

    async fn wait(
        &self,
        ticket: Ticket,
        called: oneshot::Receiver<()>,
        patience: Duration,
    ) -> Result<Turn, Duration> {
        let place = Place {
            pace: self,
            ticket: Some(ticket),
        };
        if self.delivery {
            self.pacer.0.room.notify_one();
        }
        match tokio::time::timeout(patience, called).await {
            Ok(_) => Ok(place.turn()),
            Err(_) => place.leave(),
        }
    }

    fn turn(&self) -> Turn {
        self.begun.store(true, Ordering::Relaxed);
        let taken = Taken {
            pacer: self.pacer.clone(),
            account: self.account.key,
            gates: Arc::clone(&self.gates),
            is_call: !self.delivery,
            since: Instant::now(),
        };
        Turn { _taken: Some(taken) }
    }
}

impl Turns for Pace {
    type Turn = Turn;

    async fn take(&self) -> Result<Turn, Duration> {
        if let Some(claim) = &self.claim {
            claim.comes();
        }
        if self.gates.is_empty() {
            return Ok(Turn { _taken: None });
        }
        let begun = self.begun.load(Ordering::Relaxed);
        let waited = Duration::from_millis(self.waited_ms.load(Ordering::Relaxed));
        let (first, all) = self.patience;
        let patience = if begun { all } else { first }.saturating_sub(waited);
        let ask = Ask {
            account: self.account.key,
            gates: Arc::clone(&self.gates),
            concurrency: self.account.concurrency.1,
            begun,
            delivery: self.delivery,
            patience,
        };
        let (call, called) = oneshot::channel();
        let answer = {
            // The ticket must be known before anybody else can grant it.
            let mut line = self.pacer.line();
            let before = line.paces.next();
            let answer = line.paces.ask(ask, Instant::now().into_std());
            if let Answer::Wait(ticket) = answer {
                line.waiting.insert(ticket, call);
            }
            line.wake();
            if line.paces.next() != before {
                self.pacer.0.timer.notify_one();
            }
            answer
        };
        match answer {
            Answer::Go => Ok(self.turn()),
            Answer::Later(wait) => Err(wait),
            Answer::Wait(ticket) => {
                let since = Instant::now();
                let turn = self.wait(ticket, called, patience).await;
                let waited = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
                self.waited_ms.fetch_add(waited, Ordering::Relaxed);
                turn
            }
        }
    }
}

/// A place in line, left when the caller goes away.
struct Place<'a> {
    pace: &'a Pace,
    ticket: Option<Ticket>,
}

impl Place<'_> {
    fn turn(mut self) -> Turn {
        self.ticket = None;
        self.pace.turn()
    }

    /// Leaves the line, unless the turn was given at this very moment.
    fn leave(mut self) -> Result<Turn, Duration> {
        let Some(ticket) = self.ticket.take() else {
            return Ok(self.pace.turn());
        };
        let key = self.pace.account.key;
        self.pace.pacer.line().waiting.remove(&ticket);
        match self.pace.pacer.change(|paces, now| paces.leave(key, ticket, now)) {
            Some(wait) => Err(wait),
            None => Ok(self.pace.turn()),
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        let pace = self.pace;
        pace.pacer.line().waiting.remove(&ticket);
        pace.pacer.change(|paces, now| {
            if paces.leave(pace.account.key, ticket, now).is_none() {
                paces.unused(pace.account.key, &pace.gates, now);
            }
        });
    }
}

/// A request's turn; its drop says that the answer came, or did not.
pub struct Turn {
    _taken: Option<Taken>,
}

struct Taken {
    pacer: Pacer,
    account: Key,
    gates: Gates,
    is_call: bool,
    since: Instant,
}

impl Drop for Taken {
    fn drop(&mut self) {
        let held_for = self.since.elapsed();
        let (account, gates) = (self.account, &self.gates);
        self.pacer
            .change(|paces, now| paces.done(account, gates, held_for, now));
        // A delivery's own end wakes the dispatcher.
        if self.is_call {
            self.pacer.0.room.notify_one();
        }
    }
}

#[cfg(test)]
#[path = "pacer_tests.rs"]
mod tests;
