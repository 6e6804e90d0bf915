//! How much a key or a workspace may do: rates, as token buckets, and quotas; and for how long its
//! history is kept. There is no limit but those that an operator sets, or leaves as the configuration has them.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::time::Timestamp;

/// What a workspace may do; `None` is without limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Calls that emit, one or many events each.
    pub rate: Option<Rate>,
    /// Events accepted in a calendar month, in UTC.
    pub events_per_month: Option<u64>,
    /// Connections at a time.
    pub connections: Option<u64>,
    /// Rules at a time.
    pub rules: Option<u64>,
    /// Days for which payloads are kept after their event ended; `None` is for ever.
    pub payload_days: Option<u32>,
    /// The same of attempts and their answers.
    pub attempt_days: Option<u32>,
    /// The same of events and their deliveries.
    pub event_days: Option<u32>,
}

/// The longest time for which something is kept, but for ever.
pub const MAX_DAYS: u32 = 36_500;

impl Limits {
    /// These, and where one of them is not set, that of `others`.
    pub fn or(self, others: Self) -> Self {
        Self {
            rate: self.rate.or(others.rate),
            events_per_month: self.events_per_month.or(others.events_per_month),
            connections: self.connections.or(others.connections),
            rules: self.rules.or(others.rules),
            payload_days: self.payload_days.or(others.payload_days),
            attempt_days: self.attempt_days.or(others.attempt_days),
            event_days: self.event_days.or(others.event_days),
        }
        .nested()
    }

    /// An event takes its attempts along, and no attempt is made without a payload: what is kept of an
    /// event is never kept for longer than what it belongs to.
    fn nested(self) -> Self {
        let attempt_days = shorter(self.attempt_days, self.event_days);
        Self {
            payload_days: shorter(self.payload_days, attempt_days),
            attempt_days,
            ..self
        }
    }

    /// Whether what it says of days holds as it is written: payloads no longer than attempts, attempts no
    /// longer than events.
    pub fn is_nested(self) -> bool {
        let said = [self.payload_days, self.attempt_days, self.event_days];
        said.into_iter().flatten().is_sorted()
    }

    /// What goes when: for each part that goes before the next larger one does, after how many days.
    pub fn ends(self) -> Vec<(Part, u32)> {
        let nested = self.nested();
        let days = [
            (Part::Payload, nested.payload_days, nested.attempt_days),
            (Part::Attempts, nested.attempt_days, nested.event_days),
            (Part::Event, nested.event_days, None),
        ];
        days.into_iter()
            .filter(|(_, own, larger)| own != larger)
            .filter_map(|(part, own, _)| own.map(|days| (part, days)))
            .collect()
    }
}

fn shorter(one: Option<u32>, other: Option<u32>) -> Option<u32> {
    [one, other].into_iter().flatten().min()
}

/// How much of an event goes when its time is over; each with the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// What was sent.
    Payload,
    /// The attempts of its deliveries, with the answers to them.
    Attempts,
    /// The event itself, with its deliveries.
    Event,
}

impl Part {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Payload => "payload",
            Self::Attempts => "attempts",
            Self::Event => "event",
        }
    }
}

/// At most so many in so long: `100/1s`, `6000/1m`. As many may come at once, and then one after each
/// part of the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    requests: u32,
    per: Duration,
}

/// The longest time of a rate, in milliseconds.
const MAX_PER_MS: u64 = 24 * 60 * 60 * 1000;

/// The most requests of a rate.
const MAX_REQUESTS: u32 = 1_000_000;

/// Not a rate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a rate: write how many (1 to 1000000), a slash and in how long (at most 24h), such as 100/1s"
)]
pub struct NoRate(String);

impl Rate {
    /// How many.
    pub fn requests(self) -> u32 {
        self.requests
    }

    /// The whole bucket, in the units of [`Bucket`].
    fn full(self) -> u64 {
        u64::from(self.requests) * self.per_ms()
    }

    fn per_ms(self) -> u64 {
        u64::try_from(self.per.as_millis()).unwrap_or(MAX_PER_MS)
    }
}

impl FromStr for Rate {
    type Err = NoRate;

    fn from_str(text: &str) -> Result<Self, NoRate> {
        let wrong = || NoRate(text.chars().take(64).collect());
        let (requests, per) = text.trim().split_once('/').ok_or_else(wrong)?;
        let split = per.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, unit) = per.split_at(split);
        let unit_ms = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(wrong()),
        };
        let per_ms = number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(unit_ms))
            .filter(|per| (1..=MAX_PER_MS).contains(per))
            .ok_or_else(wrong)?;
        let digits = requests.bytes().all(|byte| byte.is_ascii_digit());
        let requests = requests
            .parse()
            .ok()
            .filter(|requests| digits && (1..=MAX_REQUESTS).contains(requests))
            .ok_or_else(wrong)?;
        Ok(Self {
            requests,
            per: Duration::from_millis(per_ms),
        })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.per_ms();
        let (number, unit) = [(3_600_000, "h"), (60_000, "m"), (1_000, "s")]
            .into_iter()
            .find(|(unit_ms, _)| ms.is_multiple_of(*unit_ms))
            .map_or((ms, "ms"), |(unit_ms, unit)| (ms / unit_ms, unit));
        write!(f, "{}/{number}{unit}", self.requests)
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What a caller is told of its rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The rate's requests.
    pub limit: u32,
    /// How many would be let in right now.
    pub remaining: u32,
    /// Seconds until all of them would be again, rounded up.
    pub reset_seconds: u64,
    /// Seconds until one is let in, rounded up; `None`: this one was.
    pub retry_after_seconds: Option<u64>,
}

/// A token bucket. It is counted in parts of a request so small that every millisecond brings a whole
/// number of them, so that nothing is lost to rounding.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: u64,
    at: Timestamp,
}

impl Bucket {
    fn filled(self, rate: Rate, now: Timestamp) -> Self {
        let elapsed = u64::try_from(now.since(self.at).as_millis()).unwrap_or(u64::MAX);
        let gained = elapsed.saturating_mul(u64::from(rate.requests));
        Self {
            left: self.left.saturating_add(gained).min(rate.full()),
            // A clock that was set back takes nothing away, and what flows in is counted from there on:
            // else nothing would until the old time comes again.
            at: now,
        }
    }
}

/// The buckets of many callers. One that is full is the same as none and is dropped; beyond
/// [`Buckets::CAPACITY`] all start anew.
#[derive(Debug)]
pub struct Buckets<K>(HashMap<K, (Bucket, Rate)>);

impl<K> Default for Buckets<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash> Buckets<K> {
    /// The most callers that are remembered.
    pub const CAPACITY: usize = 50_000;

    /// Takes one request of this caller, if its rate lets it in at `now`.
    pub fn take(&mut self, caller: K, rate: Rate, now: Timestamp) -> Standing {
        let one = rate.per_ms();
        let full = Bucket {
            left: rate.full(),
            at: now,
        };
        let known = match self.0.get(&caller) {
            // A bucket of another rate says nothing about this one.
            Some((bucket, of)) if *of == rate => bucket.filled(rate, now),
            _ => full,
        };
        let taken = known.left.checked_sub(one);
        let left = taken.unwrap_or(known.left);
        self.make_room(now);
        self.0.insert(caller, (Bucket { left, ..known }, rate));
        let wait_ms = |parts: u64| parts.div_ceil(u64::from(rate.requests));
        Standing {
            limit: rate.requests,
            remaining: u32::try_from(left / one).unwrap_or(u32::MAX),
            reset_seconds: wait_ms(rate.full() - left).div_ceil(1_000),
            retry_after_seconds: match taken {
                Some(_) => None,
                None => Some(wait_ms(one - left).div_ceil(1_000).max(1)),
            },
        }
    }

    fn make_room(&mut self, now: Timestamp) {
        if self.0.len() < Self::CAPACITY {
            return;
        }
        self.0
            .retain(|_, (bucket, rate)| bucket.filled(*rate, now).left < rate.full());
        if self.0.len() >= Self::CAPACITY {
            self.0.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp(1_774_000_000_000);

    fn rate(text: &str) -> Rate {
        text.parse().unwrap()
    }

    #[test]
    fn a_rate_is_read_and_shown() {
        for text in ["100/1s", "1/10s", "6000/1m", "1000000/24h", "5/250ms"] {
            assert_eq!(rate(text).to_string(), text);
        }
        assert_eq!(rate("5/60s").to_string(), "5/1m");
        for bad in [
            "",
            "5",
            "5/",
            "/1s",
            "0/1s",
            "5/0s",
            "5/1d",
            "5/25h",
            "-5/1s",
            "+5/1s",
            "1000001/1s",
            "5/1s/2",
        ] {
            assert!(bad.parse::<Rate>().is_err(), "{bad}");
        }
    }

    #[test]
    fn as_many_as_the_rate_come_at_once_and_then_one_by_one() {
        let mut buckets = Buckets::default();
        let rate = rate("4/1s");
        for remaining in [3, 2, 1, 0] {
            let standing = buckets.take("a", rate, NOW);
            assert_eq!(
                (standing.remaining, standing.retry_after_seconds),
                (remaining, None)
            );
        }
        let refused = buckets.take("a", rate, NOW);
        assert_eq!((refused.retry_after_seconds, refused.reset_seconds), (Some(1), 1));
        assert_eq!(
            buckets.take("b", rate, NOW).remaining,
            3,
            "others are not touched"
        );
        let later = |ms| NOW.plus(Duration::from_millis(ms));
        assert!(buckets.take("a", rate, later(249)).retry_after_seconds.is_some());
        assert!(buckets.take("a", rate, later(250)).retry_after_seconds.is_none());
        assert!(buckets.take("a", rate, later(251)).retry_after_seconds.is_some());
        assert_eq!(buckets.take("a", rate, later(60_000)).remaining, 3);
        assert_eq!(
            buckets.take("a", rate, NOW).remaining,
            2,
            "a clock that was set back gives nothing"
        );
    }

    #[test]
    fn a_clock_that_was_wrong_shuts_nobody_out_once_it_is_right() {
        let (mut buckets, rate) = (Buckets::default(), rate("1/1s"));
        let wrong = NOW.plus(Duration::from_secs(10 * 365 * 24 * 3600));
        assert!(buckets.take("a", rate, wrong).retry_after_seconds.is_none());
        assert_eq!(buckets.take("a", rate, NOW).retry_after_seconds, Some(1));
        let soon = NOW.plus(Duration::from_secs(1));
        assert!(buckets.take("a", rate, soon).retry_after_seconds.is_none());
    }

    #[test]
    fn a_wait_is_told_in_whole_seconds_that_suffice() {
        let mut buckets = Buckets::default();
        let slow = rate("2/1m");
        buckets.take(1, slow, NOW);
        buckets.take(1, slow, NOW);
        let refused = buckets.take(1, slow, NOW.plus(Duration::from_millis(1)));
        assert_eq!(
            (refused.retry_after_seconds, refused.reset_seconds),
            (Some(30), 60)
        );
        assert!(
            buckets
                .take(1, slow, NOW.plus(Duration::from_secs(30)))
                .retry_after_seconds
                .is_none()
        );
    }

    fn kept(payload_days: Option<u32>, attempt_days: Option<u32>, event_days: Option<u32>) -> Limits {
        Limits {
            payload_days,
            attempt_days,
            event_days,
            ..Limits::default()
        }
    }

    #[test]
    fn nothing_of_an_event_is_kept_for_longer_than_what_it_belongs_to() {
        let days = |limits: Limits| (limits.payload_days, limits.attempt_days, limits.event_days);
        let forever = Limits::default();
        assert_eq!(days(forever.or(forever)), (None, None, None));
        let all = kept(None, None, Some(30));
        assert_eq!(days(all.or(forever)), (Some(30), Some(30), Some(30)));
        assert_eq!(
            days(kept(Some(90), None, None).or(all)),
            (Some(30), Some(30), Some(30))
        );
        assert_eq!(
            days(kept(Some(3), Some(7), None).or(all)),
            (Some(3), Some(7), Some(30))
        );
        assert_eq!(
            days(kept(Some(9), Some(7), None).or(forever)),
            (Some(7), Some(7), None)
        );
    }

    #[test]
    fn days_in_one_place_must_not_contradict_each_other() {
        assert!(kept(Some(1), Some(1), Some(1)).is_nested());
        assert!(kept(Some(1), None, Some(2)).is_nested());
        assert!(kept(None, None, None).is_nested());
        assert!(!kept(Some(2), None, Some(1)).is_nested());
        assert!(!kept(None, Some(2), Some(1)).is_nested());
        assert!(!kept(Some(2), Some(1), Some(3)).is_nested());
    }

    #[test]
    fn what_goes_at_the_same_time_goes_in_one() {
        assert_eq!(kept(None, None, None).ends(), []);
        assert_eq!(kept(None, None, Some(30)).ends(), [(Part::Event, 30)]);
        assert_eq!(
            kept(Some(0), None, Some(30)).ends(),
            [(Part::Payload, 0), (Part::Event, 30)]
        );
        assert_eq!(kept(Some(7), Some(7), None).ends(), [(Part::Attempts, 7)]);
        assert_eq!(
            kept(Some(1), Some(2), Some(3)).ends(),
            [(Part::Payload, 1), (Part::Attempts, 2), (Part::Event, 3)]
        );
    }

    #[test]
    fn memory_is_bounded() {
        let mut buckets = Buckets::default();
        for caller in 0..200_000 {
            buckets.take(caller, rate("5/24h"), NOW);
            assert!(buckets.0.len() <= Buckets::<i32>::CAPACITY);
        }
    }

    proptest! {
        #[test]
        fn no_window_lets_in_more_than_the_burst_and_what_flowed_in(
            waits in proptest::collection::vec(0u64..700, 1..200)
        ) {
            let (mut buckets, rate) = (Buckets::default(), rate("5/1s"));
            let (mut now, mut let_in) = (NOW, Vec::new());
            for wait in waits {
                now = now.plus(Duration::from_millis(wait));
                if buckets.take((), rate, now).retry_after_seconds.is_none() {
                    let_in.push(now);
                }
            }
            for (n, from) in let_in.iter().enumerate() {
                for (m, to) in let_in.iter().enumerate().skip(n) {
                    let most = 5 + to.since(*from).as_millis() * 5 / 1_000;
                    prop_assert!((m - n + 1) as u128 <= most);
                }
            }
        }
    }
}
