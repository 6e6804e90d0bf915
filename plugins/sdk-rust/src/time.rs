//! The instants that destinations write into `Retry-After` and its kin. An adapter has no clock, so
//! they count from the reply's own `Date` or from the attempt's start.

/// The wait that `value` asks for, in milliseconds: seconds (`30`, `0.5`), an HTTP date or an
/// ISO 8601 instant. An instant needs `now`, in milliseconds since the epoch.
pub(crate) fn wait_ms(value: &str, now: Option<i64>) -> Option<u64> {
    let value = value.trim();
    if let Some(wait) = seconds_as_ms(value) {
        return Some(wait);
    }
    let wait = instant_ms(value)?.saturating_sub(now?);
    Some(u64::try_from(wait).unwrap_or(0))
}

/// `12`, `1.5`: read by hand, since a float parser is a tenth of a small component.
fn seconds_as_ms(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let millis = fraction
        .bytes()
        .chain(*b"000")
        .take(3)
        .fold(0, |sum, byte| sum * 10 + u64::from(byte - b'0'));
    Some(
        whole
            .parse::<u64>()
            .unwrap_or(u64::MAX)
            .saturating_mul(1000)
            .saturating_add(millis),
    )
}

/// Milliseconds since the epoch of an HTTP date (`Sun, 06 Nov 1994 08:49:37 GMT`) or of an ISO 8601
/// instant with an offset (`1994-11-06T08:49:37Z`, `…+01:00`).
pub fn instant_ms(text: &str) -> Option<i64> {
    let text = text.trim();
    if text.ends_with(" GMT") {
        http_date(text)
    } else {
        iso_8601(text)
    }
}

fn http_date(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let mut parts = text.split_ascii_whitespace().skip(1);
    let day = number(parts.next()?, 2)?;
    let name = parts.next()?;
    let month = MONTHS.iter().position(|month| *month == name)?;
    let year = number(parts.next()?, 4)?;
    let time = time_of_day_ms(parts.next()?)?;
    Some(days(year, i64::try_from(month).ok()? + 1, day)? * 86_400_000 + time)
}

fn iso_8601(text: &str) -> Option<i64> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let mut date = date.split('-');
    let (year, month, day) = (date.next()?, date.next()?, date.next()?);
    let days = days(number(year, 4)?, number(month, 2)?, number(day, 2)?)?;
    let zone = time.find(['Z', 'z', '+', '-'])?;
    let offset = match time.get(zone..)? {
        "Z" | "z" => 0,
        signed => {
            let (hours, minutes) = match signed.get(1..)?.split_once(':') {
                Some(parts) => parts,
                None => (signed.get(1..3)?, signed.get(3..)?),
            };
            let minutes = number(hours, 2)? * 60 + number(minutes, 2)?;
            if signed.starts_with('-') {
                -minutes
            } else {
                minutes
            }
        }
    };
    Some(days * 86_400_000 + time_of_day_ms(time.get(..zone)?)? - offset * 60_000)
}

/// `08:49:37` and `08:49:37.125`.
fn time_of_day_ms(text: &str) -> Option<i64> {
    let mut parts = text.split(':');
    let (hours, minutes) = (number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let seconds = i64::try_from(seconds_as_ms(parts.next()?)?).ok()?;
    let sound = parts.next().is_none() && hours < 24 && minutes < 60 && seconds < 61_000;
    sound.then(|| (hours * 60 + minutes) * 60_000 + seconds)
}

fn number(text: &str, digits: usize) -> Option<i64> {
    let sound = !text.is_empty() && text.len() <= digits && text.bytes().all(|byte| byte.is_ascii_digit());
    if sound { text.parse().ok() } else { None }
}

/// Days since 1970-01-01 in the Gregorian calendar, by counting years from March, so that the leap
/// day is the last of its year.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    Some(year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - 719_468)
}

/// An instant, in milliseconds since the epoch, as `1994-11-06T08:49:37.000Z`.
pub(crate) fn iso_8601_text(ms: i64) -> String {
    let (days, ms) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    // Eras of 400 years, years that begin in March: the inverse of `days`.
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (year * 365 + year / 4 - year / 100);
    let month = (day * 5 + 2) / 153;
    let day = day - (month * 153 + 2) / 5 + 1;
    let (year, month) = if month < 10 {
        (era * 400 + year, month + 3)
    } else {
        (era * 400 + year + 1, month - 9)
    };
    let (hours, minutes, ms) = (ms / 3_600_000, ms / 60_000 % 60, ms % 60_000);
    let (seconds, ms) = (ms / 1_000, ms % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{ms:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read_in_the_forms_that_servers_write() {
        let cases = [
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777_000)),
            ("1994-11-06T08:49:37Z", Some(784_111_777_000)),
            ("1994-11-06 09:49:37.5+01:00", Some(784_111_777_500)),
            ("1994-11-06T01:19:37-0730", Some(784_111_777_000)),
            ("2024-02-29T00:00:00Z", Some(1_709_164_800_000)),
            ("2000-03-01T00:00:00Z", Some(951_868_800_000)),
            ("2026-03-21T14:18:00.5Z", Some(1_774_102_680_500)),
            ("2026-03-21T14:18:00", None),
            ("2026-13-21T14:18:00Z", None),
            ("2026-03-21T25:18:00Z", None),
            ("Sun, 06 Foo 1994 08:49:37 GMT", None),
            (" GMT", None),
            ("é-é-éTé:é:éZ", None),
            ("2026-03-21T14:18:00+é1:00", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(instant_ms(text), expected, "{text}");
        }
    }

    #[test]
    fn an_instant_is_written_as_it_is_read() {
        assert_eq!(iso_8601_text(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso_8601_text(1_774_102_680_500), "2026-03-21T14:18:00.500Z");
        assert_eq!(iso_8601_text(1_709_164_800_000), "2024-02-29T00:00:00.000Z");
        // Every day of two eras, and some moment in it.
        for day in -146_097_i64..146_097 {
            let ms = day * 86_400_000 + (day * 7_919).rem_euclid(86_400_000);
            assert_eq!(instant_ms(&iso_8601_text(ms)), Some(ms));
        }
    }

    #[test]
    fn a_wait_is_seconds_or_an_instant_from_now() {
        let now = Some(784_111_777_000);
        let cases = [
            ("0", Some(0)),
            ("30", Some(30_000)),
            (" 1.5 ", Some(1500)),
            ("0.0129", Some(12)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10_000)),
            ("1994-11-06T08:49:36Z", Some(0)),
            ("-1", None),
            ("1.", None),
            ("soon", None),
        ];
        for (text, expected) in cases {
            assert_eq!(wait_ms(text, now), expected, "{text}");
        }
        assert_eq!(wait_ms("1994-11-06T08:49:36Z", None), None);
    }
}
