//! Instants as Heddle stores and shows them: milliseconds since the Unix epoch.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z. SQL stores it as an `INTEGER`, the API shows it as
/// RFC 3339 in UTC with three decimals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The instant `delay` later; stops at the largest instant instead of overflowing.
    pub fn plus(self, delay: Duration) -> Self {
        Self(self.0.saturating_add(millis(delay)))
    }

    /// The instant `delay` earlier; stops at the smallest instant instead of overflowing.
    pub fn minus(self, delay: Duration) -> Self {
        Self(self.0.saturating_sub(millis(delay)))
    }

    /// How long it is from `earlier` to this instant; zero when `earlier` is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// An instant from RFC 3339 text, with any offset; rounded down to milliseconds.
    pub fn parse(text: &str) -> Option<Self> {
        let instant: jiff::Timestamp = text.parse().ok()?;
        Some(Self(instant.as_millisecond()))
    }

    /// As HTTP writes it: `Sat, 21 Mar 2026 14:18:00 GMT`. `None` beyond what a calendar can show.
    pub fn http_date(self) -> Option<String> {
        let instant = jiff::Timestamp::from_millisecond(self.0).ok()?;
        Some(instant.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
    }

    /// Whole seconds since the epoch, rounded down.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }
}

/// `2026-03-21T14:18:00.000Z`; an instant that no calendar can show is printed as milliseconds.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(instant) => write!(f, "{instant:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

/// Where the time comes from. The engine has one that reads the machine's clock; tests have one
/// that they turn by hand.
pub trait Clock: Send + Sync + 'static {
    /// The present instant.
    fn now(&self) -> Timestamp;
}

/// Whether `text` is an instant as RFC 3339 writes it: date, time and offset.
pub fn is_rfc3339(text: &str) -> bool {
    // The parser reads more than that: annotations, leap seconds, other separators.
    let plain = |byte: u8| byte.is_ascii_digit() || b"-:TtZz.+".contains(&byte);
    text.bytes().all(plain) && text.parse::<jiff::Timestamp>().is_ok()
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_shown_as_rfc_3339_with_milliseconds() {
        assert_eq!(
            Timestamp(1_774_102_680_500).to_string(),
            "2026-03-21T14:18:00.500Z"
        );
        assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00.000Z");
        let date = Timestamp(1_774_102_680_500).http_date();
        assert_eq!(date.as_deref(), Some("Sat, 21 Mar 2026 14:18:00 GMT"));
        assert_eq!(Timestamp(i64::MAX).http_date(), None);
    }

    #[test]
    fn an_instant_is_read_from_what_shows_it() {
        let instant = Some(Timestamp(1_774_102_680_500));
        for text in ["2026-03-21T14:18:00.500Z", "2026-03-21T15:18:00.500+01:00"] {
            assert_eq!(Timestamp::parse(text), instant, "{text}");
        }
        for text in ["", "yesterday", "2026-03-21", "1774102680500"] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }

    #[test]
    fn an_instant_has_a_date_a_time_and_an_offset() {
        for good in ["2026-03-21T14:18:00Z", "2026-03-21t14:18:00.123456789+05:30"] {
            assert!(is_rfc3339(good), "{good}");
        }
        for bad in [
            "",
            "2026-03-21",
            "2026-03-21T14:18:00",
            "2026-03-21 14:18:00Z",
            "2026-13-21T14:18:00Z",
            "2026-03-21T14:18:00Z[Europe/Berlin]",
            "now",
        ] {
            assert!(!is_rfc3339(bad), "{bad}");
        }
    }

    #[test]
    fn the_edges_of_time_do_not_overflow() {
        assert_eq!(Timestamp(i64::MAX).plus(Duration::MAX), Timestamp(i64::MAX));
        assert_eq!(Timestamp(i64::MAX).to_string(), format!("{} ms", i64::MAX));
        assert_eq!(Timestamp(5).since(Timestamp(9)), Duration::ZERO);
        assert_eq!(Timestamp(-1).seconds(), -1);
    }
}
