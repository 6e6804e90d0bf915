//! What was emitted, accepted and delivered in one run: the receiver writes it, and it decides
//! whether everything arrived. Every event carries a mark (its number and the instant of its
//! emission), so the receiver alone can tell a delivery that is missing from one that is repeated.

use std::sync::atomic::{AtomicU16, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::figures::Samples;

/// In the ledger's entry of an event, the bit that says that it was accepted; the bits below are
/// the receiver's hooks that have seen it.
const ACCEPTED: u16 = 1 << 15;

/// The bit that says that the receiver refused the event once, as it was told to.
const REFUSED: u16 = 1 << 14;

/// The mark in an event's payload: `"bench":"000000000042-0000000001234567"`.
pub const MARK_KEY: &[u8] = b"\"bench\":\"";
const EVENT_DIGITS: usize = 12;
const MICROS_DIGITS: usize = 16;
/// The length of a mark's text.
pub const MARK_BYTES: usize = EVENT_DIGITS + 1 + MICROS_DIGITS;

/// Writes a mark over the bytes at the start of `place`.
pub fn write_mark(place: &mut [u8], event: u64, micros: u64) {
    digits(&mut place[..EVENT_DIGITS], event);
    place[EVENT_DIGITS] = b'-';
    digits(&mut place[EVENT_DIGITS + 1..MARK_BYTES], micros);
}

/// Reads the mark at the start of `place`: the event's number and the instant.
pub fn read_mark(place: &[u8]) -> Option<(u64, u64)> {
    let mark = place.get(..MARK_BYTES)?;
    let number = |part: &[u8]| std::str::from_utf8(part).ok()?.parse().ok();
    Some((number(&mark[..EVENT_DIGITS])?, number(&mark[EVENT_DIGITS + 1..])?))
}

fn digits(place: &mut [u8], mut number: u64) {
    for byte in place.iter_mut().rev() {
        *byte = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
    }
}

/// One run's ledger.
pub struct Ledger {
    epoch: Instant,
    first: u64,
    hooks: u32,
    entries: Box<[AtomicU16]>,
    limit: AtomicU64,
    taken: AtomicU64,
    accepted: AtomicU64,
    refused: AtomicU64,
    watched: AtomicU64,
    delivered: AtomicU64,
    repeated: AtomicU64,
    unsigned: AtomicU64,
    last: AtomicU64,
    latencies: Mutex<Vec<u32>>,
}

impl Ledger {
    /// A ledger of at most `capacity` events, numbered from `first`, each to be seen by `hooks`
    /// hooks. Instants count from `epoch`.
    pub fn new(epoch: Instant, first: u64, capacity: usize, hooks: u32) -> Self {
        Self {
            epoch,
            first,
            hooks,
            entries: (0..capacity).map(|_| AtomicU16::new(0)).collect(),
            limit: AtomicU64::new(capacity as u64),
            taken: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            watched: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            repeated: AtomicU64::new(0),
            unsigned: AtomicU64::new(0),
            last: AtomicU64::new(0),
            latencies: Mutex::new(Vec::with_capacity(capacity * hooks as usize)),
        }
    }

    /// Microseconds since the epoch.
    pub fn micros(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// From now on as many events may be emitted, all together; never more than the capacity.
    pub fn allow(&self, events: u64) {
        self.limit.store(events.min(self.entries.len() as u64), Relaxed);
    }

    /// The numbers for `count` events: the first of them, or nothing when no more may be emitted.
    pub fn take(&self, count: usize) -> Option<u64> {
        let limit = self.limit.load(Relaxed);
        let after = |taken: u64| Some(taken + count as u64).filter(|after| *after <= limit);
        let before = self.taken.fetch_update(Relaxed, Relaxed, after).ok()?;
        Some(self.first + before)
    }

    /// The engine has answered that it accepted `count` events from `event` on.
    pub fn accept(&self, event: u64, count: usize) {
        for event in event..event + count as u64 {
            if let Some(entry) = self.entry(event) {
                entry.fetch_or(ACCEPTED, Relaxed);
            }
        }
        self.accepted.fetch_add(count as u64, Relaxed);
    }

    /// `hook` has received the event whose mark says `event` and `emitted`. Events of other runs
    /// are not counted.
    pub fn receive(&self, hook: u32, event: u64, emitted: u64, signed: bool) {
        let Some(entry) = self.entry(event) else { return };
        let bit = 1 << hook;
        let now = self.micros();
        let _ = self.watched.compare_exchange(0, now, Relaxed, Relaxed);
        let before = entry.fetch_or(bit, Relaxed);
        if before & bit != 0 {
            self.repeated.fetch_add(1, Relaxed);
            return;
        }
        // The time of one that was refused is that of the retry schedule.
        if before & REFUSED == 0 {
            let latency = u32::try_from(now.saturating_sub(emitted)).unwrap_or(u32::MAX);
            self.latencies
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(latency);
        }
        if !signed {
            self.unsigned.fetch_add(1, Relaxed);
        }
        self.last.store(now, Relaxed);
        self.delivered.fetch_add(1, Relaxed);
    }

    /// The receiver refuses the event; whether it is the first time.
    pub fn refuse(&self, event: u64) -> bool {
        let first = self
            .entry(event)
            .is_some_and(|entry| entry.fetch_or(REFUSED, Relaxed) & REFUSED == 0);
        if first {
            self.refused.fetch_add(1, Relaxed);
        }
        first
    }

    /// How many events were refused.
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    /// From here on, the next delivery is looked out for: see [`Self::seen`].
    pub fn watch(&self) {
        self.watched.store(0, Relaxed);
    }

    /// The instant of the first delivery since [`Self::watch`], if one came.
    pub fn seen(&self) -> Option<u64> {
        Some(self.watched.load(Relaxed)).filter(|at| *at > 0)
    }

    /// Whether every accepted event has been seen by as many hooks as it should be.
    pub fn is_complete(&self) -> bool {
        self.delivered.load(Relaxed) >= self.accepted.load(Relaxed) * u64::from(self.hooks)
    }

    /// Events accepted so far.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Relaxed)
    }

    /// Different deliveries that the receiver saw so far.
    pub fn delivered(&self) -> u64 {
        self.delivered.load(Relaxed)
    }

    /// The latencies since they were last taken out; those are no longer in the account.
    pub fn take_latencies(&self) -> Vec<u32> {
        std::mem::take(&mut *self.latencies.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Closes the books. `started` is the instant of the first emission.
    pub fn account(&self, started: u64) -> Account {
        let all: u16 = ACCEPTED | ((1 << self.hooks) - 1);
        let taken = usize::try_from(self.taken.load(Relaxed))
            .unwrap_or(usize::MAX)
            .min(self.entries.len());
        let entries = || self.entries[..taken].iter().map(|entry| entry.load(Relaxed));
        let missing = entries()
            .filter(|entry| entry & ACCEPTED != 0)
            .map(|entry| u64::from((all & !entry).count_ones()))
            .sum();
        let unaccepted = entries()
            .filter(|entry| entry & ACCEPTED == 0 && entry & !REFUSED != 0)
            .count() as u64;
        Account {
            accepted: self.accepted(),
            delivered: self.delivered(),
            missing,
            unaccepted,
            repeated: self.repeated.load(Relaxed),
            unsigned: self.unsigned.load(Relaxed),
            took: Duration::from_micros(self.last.load(Relaxed).saturating_sub(started)),
            latencies: Samples::new(self.take_latencies()),
        }
    }

    fn entry(&self, event: u64) -> Option<&AtomicU16> {
        self.entries
            .get(usize::try_from(event.checked_sub(self.first)?).ok()?)
    }
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Account {
    /// Events that were answered with success.
    pub accepted: u64,
    /// Different deliveries that the receiver saw.
    pub delivered: u64,
    /// Deliveries of accepted events that the receiver never saw: lost, or later than the run's end.
    pub missing: u64,
    /// Events that were delivered although no answer said that they were accepted.
    pub unaccepted: u64,
    /// Deliveries that the receiver saw again.
    pub repeated: u64,
    /// Deliveries without a signature.
    pub unsigned: u64,
    /// From the first emission to the last delivery.
    pub took: Duration,
    /// From emission to delivery, in microseconds.
    pub latencies: Samples,
}

impl Account {
    /// Deliveries a second.
    pub fn deliveries_per_second(&self) -> f64 {
        per_second(self.delivered, self.took)
    }

    /// Events a second, accepted and delivered everywhere.
    pub fn events_per_second(&self) -> f64 {
        per_second(self.accepted, self.took)
    }

    /// The raw figures.
    pub fn raw(&self) -> Value {
        json!({
            "accepted": self.accepted,
            "delivered": self.delivered,
            "missing": self.missing,
            "unaccepted": self.unaccepted,
            "repeated": self.repeated,
            "unsigned": self.unsigned,
            "seconds": self.took.as_secs_f64(),
            "events_per_second": self.events_per_second(),
            "deliveries_per_second": self.deliveries_per_second(),
            "latency_us": latency_raw(&self.latencies),
        })
    }
}

/// The usual percentiles.
pub fn latency_raw(samples: &Samples) -> Value {
    json!({
        "count": samples.len(),
        "min": samples.percentile(0.0),
        "p50": samples.percentile(50.0),
        "p90": samples.percentile(90.0),
        "p99": samples.percentile(99.0),
        "p999": samples.percentile(99.9),
        "max": samples.percentile(100.0),
    })
}

/// `count` over `took`; zero when no time passed.
pub fn per_second(count: u64, took: Duration) -> f64 {
    if took.is_zero() {
        0.0
    } else {
        count as f64 / took.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written() {
        let mut place = vec![b'x'; MARK_BYTES + 1];
        write_mark(&mut place, 42, 1_234_567);
        assert_eq!(&place, b"000000000042-0000000001234567x");
        assert_eq!(read_mark(&place), Some((42, 1_234_567)));
        assert_eq!(read_mark(&place[..MARK_BYTES - 1]), None);
        assert_eq!(read_mark(b"xxxxxxxxxxxx-0000000001234567"), None);
    }

    #[test]
    fn the_books_tell_missing_from_repeated_and_from_unaccepted() {
        let ledger = Ledger::new(Instant::now(), 1000, 4, 2);
        let first = ledger.take(3).unwrap();
        assert_eq!((first, ledger.take(2)), (1000, None));
        ledger.accept(first, 2);
        for hook in [0, 1, 1] {
            ledger.receive(hook, 1000, 0, true);
        }
        ledger.receive(0, 1001, 0, false);
        assert!(!ledger.is_complete());
        ledger.receive(0, 1002, 0, true);
        ledger.receive(0, 999, 0, true);
        let account = ledger.account(0);
        assert_eq!((account.accepted, account.delivered), (2, 4));
        assert_eq!(
            (
                account.missing,
                account.repeated,
                account.unaccepted,
                account.unsigned
            ),
            (1, 1, 1, 1)
        );
        assert_eq!(account.latencies.len(), 4);
    }

    #[test]
    fn no_more_is_emitted_than_was_allowed_so_far() {
        let ledger = Ledger::new(Instant::now(), 0, 5, 1);
        ledger.allow(2);
        assert_eq!((ledger.take(2), ledger.take(1)), (Some(0), None));
        ledger.allow(100);
        assert_eq!((ledger.take(3), ledger.take(1)), (Some(2), None));
    }

    #[test]
    fn what_was_refused_is_missing_until_it_is_delivered_and_has_no_latency() {
        let ledger = Ledger::new(Instant::now(), 0, 2, 1);
        ledger.take(2);
        ledger.accept(0, 2);
        ledger.watch();
        assert!(ledger.refuse(0) && !ledger.refuse(0));
        assert_eq!((ledger.seen(), ledger.is_complete()), (None, false));
        ledger.receive(0, 1, 0, true);
        assert!(!ledger.is_complete());
        ledger.receive(0, 0, 0, true);
        let account = ledger.account(0);
        assert_eq!((ledger.refused(), account.missing, account.unaccepted), (1, 0, 0));
        assert_eq!(account.latencies.len(), 1);
    }
}
