//! Days and months, in UTC: what is counted is counted by these.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::time::Timestamp;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A day in UTC, as the number of days since 1970-01-01. Shown as `2026-03-21`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub i64);

impl Day {
    /// The day of an instant.
    pub fn of(instant: Timestamp) -> Self {
        Self(instant.0.div_euclid(DAY_MS))
    }

    /// Its first instant.
    pub fn start(self) -> Timestamp {
        Timestamp(self.0.saturating_mul(DAY_MS))
    }

    /// The first day of its month.
    pub fn month(self) -> Self {
        self.date()
            .map_or(self, |date| Self(self.0 - i64::from(date.day()) + 1))
    }

    /// The first day of the month after its own.
    pub fn next_month(self) -> Self {
        let length = self.date().map_or(31, |date| i64::from(date.days_in_month()));
        Self(self.month().0.saturating_add(length))
    }

    /// `None` beyond what a calendar can show.
    fn date(self) -> Option<Date> {
        let instant = jiff::Timestamp::from_millisecond(self.start().0).ok()?;
        Some(instant.to_zoned(TimeZone::UTC).date())
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.date() {
            Some(date) => write!(f, "{date}"),
            None => write!(f, "day {}", self.0),
        }
    }
}

/// Not a day of the form `2026-03-21`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a day is written as 2026-03-21")]
pub struct NoDay;

impl FromStr for Day {
    type Err = NoDay;

    fn from_str(text: &str) -> Result<Self, NoDay> {
        let plain = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        let date: Date = text.parse().ok().filter(|_| plain).ok_or(NoDay)?;
        let start = date.to_zoned(TimeZone::UTC).map_err(|_| NoDay)?;
        Ok(Self::of(Timestamp(start.timestamp().as_millisecond())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_read_and_shown_and_knows_its_month() {
        for (text, month, next) in [
            ("2026-03-21", "2026-03-01", "2026-04-01"),
            ("2026-12-31", "2026-12-01", "2027-01-01"),
            ("2028-02-29", "2028-02-01", "2028-03-01"),
            ("1969-12-31", "1969-12-01", "1970-01-01"),
        ] {
            let day: Day = text.parse().unwrap();
            assert_eq!(day.to_string(), text);
            assert_eq!(
                (day.month().to_string(), day.next_month().to_string()),
                (month.into(), next.into())
            );
            assert_eq!(Day::of(day.start()), day);
            assert_eq!(Day::of(Timestamp(day.start().0 - 1)), Day(day.0 - 1));
        }
        for bad in [
            "",
            "2026-02-29",
            "2026-3-1",
            "20260301",
            "2026-03-01T00:00:00Z",
            "+2026-03-01",
        ] {
            assert_eq!(bad.parse::<Day>(), Err(NoDay), "{bad}");
        }
        assert_eq!(Day(i64::MAX).next_month(), Day(i64::MAX), "no overflow");
    }
}
