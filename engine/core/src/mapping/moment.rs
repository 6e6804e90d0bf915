//! Dates and times, read from what emitters write them as. The time zones are those that were built
//! in, so that every machine gives the same answer.

use std::sync::LazyLock;

use jiff::civil::{Date, DateTime};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, Zoned};

use super::datum::Datum;

/// From here on a number counts milliseconds, below it seconds: as seconds it would lie beyond the
/// year 5000, as milliseconds before March 1973.
const MILLISECONDS_FROM: f64 = 1e11;

/// The longest text that is read as a time, in bytes.
const MAX_TEXT_BYTES: usize = 64;

static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// The time zone of an IANA name, such as `Europe/Berlin`.
pub(super) fn zone(name: &str) -> Option<TimeZone> {
    ZONES.get(name).ok()
}

/// A point in time, as precisely as it was written.
#[derive(Debug)]
pub(super) enum Moment {
    /// A day.
    Date(Date),
    /// A time of day somewhere.
    Civil(DateTime),
    /// An instant.
    Instant(Timestamp),
}

const NO_DATE: &str = "cannot read this text as a date";
const OUT_OF_RANGE: &str = "takes only the years 1 to 9999";

/// Reads a text or a number. The error continues the transform's name.
pub(super) fn read(value: &Datum<'_>) -> Result<Moment, &'static str> {
    match value {
        Datum::Number(spelling) => instant(spelling),
        Datum::Text(text) => read_text(text.trim()),
        Datum::Object(_) => Err("takes no object"),
        Datum::Array(_) => Err("takes no array"),
        _ => Err("takes no boolean"),
    }
}

fn read_text(text: &str) -> Result<Moment, &'static str> {
    // A zone in brackets could contradict the offset, and would be looked up who knows where.
    if text.len() > MAX_TEXT_BYTES || text.contains('[') {
        return Err(NO_DATE);
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.len() >= 9 && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return instant(text);
    }
    if !text.contains([':', 'T', 't', ' ']) {
        return text.parse().map(Moment::Date).map_err(|_| NO_DATE);
    }
    let instant = text.parse().map(Moment::Instant);
    instant
        .or_else(|_| text.parse().map(Moment::Civil))
        .map_err(|_| NO_DATE)
}

/// Seconds or milliseconds since the epoch.
fn instant(spelling: &str) -> Result<Moment, &'static str> {
    let number: f64 = spelling.parse().map_err(|_| NO_DATE)?;
    let milliseconds = if number.abs() >= MILLISECONDS_FROM {
        number
    } else {
        number * 1000.0
    };
    #[allow(clippy::cast_possible_truncation)] // Saturates, and is then out of range.
    let milliseconds = milliseconds.round() as i64;
    Timestamp::from_millisecond(milliseconds)
        .map(Moment::Instant)
        .map_err(|_| OUT_OF_RANGE)
}

impl Moment {
    /// `2026-03-21`: the day of it, of an instant in this zone (UTC without one).
    pub fn date(self, zone: Option<&TimeZone>) -> Result<String, &'static str> {
        let date = match self {
            Self::Date(date) => date,
            Self::Civil(time) => time.date(),
            Self::Instant(instant) => zoned(instant, zone).date(),
        };
        in_range(date).map(|date| date.to_string())
    }

    /// `2026-03-21T15:18:00+01:00`, with milliseconds where there are some: the instant in this zone. A
    /// day is its first moment there. A time of day that a change of clocks skips is taken as much
    /// later as they are set forward, one that comes twice is the first.
    pub fn datetime(self, zone: Option<&TimeZone>) -> Result<String, &'static str> {
        let utc = TimeZone::UTC;
        let there = zone.unwrap_or(&utc).clone();
        let zoned = match self {
            Self::Date(date) => date.to_zoned(there).and_then(|day| day.start_of_day()),
            Self::Civil(time) => time.to_zoned(there),
            Self::Instant(instant) => Ok(zoned(instant, zone)),
        };
        let zoned = zoned.map_err(|_| OUT_OF_RANGE)?;
        let (zoned, offset) = match zoned.offset().seconds() {
            0 => (zoned, "Z".to_owned()),
            // The local mean times of old have offsets that RFC 3339 cannot write.
            seconds if seconds % 60 != 0 => (zoned.with_time_zone(utc), "Z".to_owned()),
            seconds => {
                let (sign, minutes) = (if seconds < 0 { '-' } else { '+' }, seconds.abs() / 60);
                (zoned, format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60))
            }
        };
        let time = zoned.datetime();
        let date = in_range(time.date())?;
        let fraction = match time.millisecond() {
            0 => String::new(),
            milliseconds => format!(".{milliseconds:03}"),
        };
        let (hour, minute, second) = (time.hour(), time.minute(), time.second());
        Ok(format!(
            "{date}T{hour:02}:{minute:02}:{second:02}{fraction}{offset}"
        ))
    }
}

fn zoned(instant: Timestamp, zone: Option<&TimeZone>) -> Zoned {
    instant.to_zoned(zone.cloned().unwrap_or(TimeZone::UTC))
}

fn in_range(date: Date) -> Result<Date, &'static str> {
    if (1..=9999).contains(&date.year()) {
        Ok(date)
    } else {
        Err(OUT_OF_RANGE)
    }
}
