//! When to try again: a schedule with jitter, and the wait that a destination asks for.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::time::Timestamp;

/// The longest wait of a schedule, and the longest that a destination is obeyed: 24 hours.
pub const MAX_DELAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The most attempts that a schedule may hold.
pub const MAX_ATTEMPTS: usize = 50;

/// How often a destination may ask to slow down in one run before that counts as failing.
pub const MAX_THROTTLED: u32 = 50;

/// Jitter lengthens a wait by up to a tenth of it, so that deliveries that failed together do not
/// come back together.
const JITTER_PARTS: u64 = 10;

/// The wait before each attempt, counted from the end of the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule(Vec<Duration>);

impl Default for Schedule {
    /// The contract's: now, 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h.
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let hours = |hours: u64| minutes(60 * hours);
        Self(vec![
            Duration::ZERO,
            Duration::from_secs(5),
            minutes(5),
            minutes(30),
            hours(2),
            hours(5),
            hours(10),
            hours(14),
            hours(20),
            hours(24),
        ])
    }
}

/// A schedule that cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// No wait at all.
    #[error("a retry schedule needs at least one wait, such as 0s,5s,5m")]
    Empty,
    /// More than [`MAX_ATTEMPTS`].
    #[error("a retry schedule has at most {MAX_ATTEMPTS} waits")]
    TooMany,
    /// Not a number with a unit.
    #[error("{0:?} is not a wait: write a whole number and a unit, ms, s, m or h, such as 30m")]
    Wait(String),
    /// Longer than [`MAX_DELAY`].
    #[error("{0:?} is longer than 24h, the longest wait")]
    TooLong(String),
}

/// `0s,1s,5m,2h`
impl FromStr for Schedule {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let waits = text
            .split(',')
            .map(str::trim)
            .filter(|wait| !wait.is_empty())
            .map(parse_wait)
            .collect::<Result<Vec<_>, _>>()?;
        match waits.len() {
            0 => Err(ScheduleError::Empty),
            1..=MAX_ATTEMPTS => Ok(Self(waits)),
            _ => Err(ScheduleError::TooMany),
        }
    }
}

fn parse_wait(text: &str) -> Result<Duration, ScheduleError> {
    let wrong = || ScheduleError::Wait(text.to_owned());
    let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let unit_ms: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    let wait = Duration::from_millis(number.saturating_mul(unit_ms));
    if wait > MAX_DELAY {
        Err(ScheduleError::TooLong(text.to_owned()))
    } else {
        Ok(wait)
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, wait) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            write!(f, "{separator}{}", Wait(*wait))?;
        }
        Ok(())
    }
}

/// A duration in the largest unit that shows it whole: `5m`, `90s`, `1500ms`.
pub struct Wait(pub Duration);

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_millis() {
            0 => f.write_str("0s"),
            ms if ms % 3_600_000 == 0 => write!(f, "{}h", ms / 3_600_000),
            ms if ms % 60_000 == 0 => write!(f, "{}m", ms / 60_000),
            ms if ms % 1_000 == 0 => write!(f, "{}s", ms / 1_000),
            ms => write!(f, "{ms}ms"),
        }
    }
}

impl Schedule {
    /// How many attempts a run has.
    pub fn attempts(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    /// The wait before the attempt that follows `done` attempts; `None` when there is none left.
    pub fn wait_after(&self, done: u32) -> Option<Duration> {
        self.0.get(usize::try_from(done).ok()?).copied()
    }
}

/// `wait` lengthened by up to a tenth, by `seed`: the same seed gives the same wait.
pub fn with_jitter(wait: Duration, seed: u64) -> Duration {
    let range = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX) / JITTER_PARTS;
    if range == 0 {
        wait
    } else {
        wait + Duration::from_millis(mix(seed) % (range + 1))
    }
}

/// Spreads the bits of a seed (the finaliser of SplitMix64).
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The wait that a `Retry-After` header asks for: whole or fractional seconds, or an HTTP date
/// (RFC 9110), or an RFC 3339 instant (Zoom's daily limit). Past instants and negative numbers mean
/// no wait; anything longer than 24 hours is cut to that; anything else is `None`.
pub fn parse_retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        let longest = MAX_DELAY.as_secs_f64();
        return seconds
            .is_finite()
            .then(|| Duration::from_millis((seconds.clamp(0.0, longest) * 1000.0).ceil() as u64));
    }
    let instant = parse_http_date(value).or_else(|| value.parse::<jiff::Timestamp>().ok())?;
    Some(Timestamp(instant.as_millisecond()).since(now).min(MAX_DELAY))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`. The two obsolete forms are read by nobody who sends them today.
fn parse_http_date(value: &str) -> Option<jiff::Timestamp> {
    if !value.ends_with(" GMT") {
        return None;
    }
    jiff::fmt::rfc2822::parse(value)
        .ok()
        .map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_schedule_is_read_and_shown_in_the_same_words() {
        let schedule: Schedule = "0s, 1s,90s,5m,2h,1500ms".parse().unwrap();
        assert_eq!(schedule.to_string(), "0s,1s,90s,5m,2h,1500ms");
        assert_eq!(schedule.attempts(), 6);
        assert_eq!(
            Schedule::default().to_string(),
            "0s,5s,5m,30m,2h,5h,10h,14h,20h,24h"
        );
    }

    #[test]
    fn a_schedule_that_makes_no_sense_is_refused_by_its_word() {
        for (text, part) in [
            ("", "at least one"),
            ("5", "\"5\""),
            ("s", "\"s\""),
            ("1d", "\"1d\""),
            ("25h", "24h"),
            ("-1s", "-1s"),
        ] {
            let error = text.parse::<Schedule>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert_eq!("1s,".repeat(51).parse::<Schedule>(), Err(ScheduleError::TooMany));
    }

    #[test]
    fn retry_after_is_read_in_every_form_that_providers_send() {
        let now = Timestamp(784_111_777_000); // 1994-11-06T08:49:37Z
        let cases = [
            ("1", Some(1_000)),
            (" 0.25 ", Some(250)),
            ("-3", Some(0)),
            ("1e9", Some(86_400_000)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10_000)),
            ("Sun, 06 Nov 1994 08:49:27 GMT", Some(0)),
            ("1994-11-06T08:50:37Z", Some(60_000)),
            ("NaN", None),
            ("inf", None),
            ("soon", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(
                parse_retry_after(text, now),
                expected.map(Duration::from_millis),
                "{text:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn jitter_only_lengthens_and_by_a_tenth_at_most(ms in 0u64..=86_400_000, seed: u64) {
            let wait = Duration::from_millis(ms);
            let jittered = with_jitter(wait, seed);
            prop_assert!(jittered >= wait);
            prop_assert!(jittered <= wait + wait / 10);
            prop_assert_eq!(jittered, with_jitter(wait, seed));
        }

        #[test]
        fn no_header_text_panics_or_exceeds_a_day(text in ".{0,40}", now: i64) {
            if let Some(wait) = parse_retry_after(&text, Timestamp(now)) {
                prop_assert!(wait <= MAX_DELAY);
            }
        }
    }
}
