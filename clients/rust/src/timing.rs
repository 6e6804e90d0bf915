//! Time and chance, so that tests can turn the clock.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, SystemTime};

/// Where a client has its time and its chance from.
pub trait Timing: Send + Sync + 'static {
    /// What time it is.
    fn now(&self) -> SystemTime;
    /// At least 0, less than 1.
    fn random(&self) -> f64;
    /// Ends after that time.
    fn sleep(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// The machine's.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemTiming;

impl Timing for SystemTiming {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn random(&self) -> f64 {
        f64::from(getrandom::u32().unwrap_or(u32::MAX / 2)) / 4_294_967_296.0
    }

    fn sleep(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(time))
    }
}

/// The wait before another attempt when the server named none: doubled each time from 200 ms to 10 s, of which a
/// random half is taken off so that clients do not come back together.
pub fn backoff(attempt: u32, random: f64) -> Duration {
    let doubled = 200_u64.saturating_mul(1 << attempt.saturating_sub(1).min(16));
    Duration::from_millis(doubled.min(10_000)).mul_f64(0.5 + random / 2.0)
}

/// `Retry-After`: seconds, or a date.
pub fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if value.bytes().all(|byte| byte.is_ascii_digit()) {
        return value.parse().ok().map(Duration::from_secs);
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_an_end_and_are_spread() {
        let millis = |attempt, random| backoff(attempt, random).as_millis();
        assert_eq!(
            [1, 2, 3, 7, 99].map(|n| millis(n, 0.0)),
            [100, 200, 400, 5_000, 5_000]
        );
        assert_eq!(millis(1, 0.5), 150);
        assert!(millis(9, 0.999) <= 10_000);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let wait = |value| retry_after(value, now).map(|wait| wait.as_secs());
        assert_eq!(wait("7"), Some(7));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:40 GMT"), Some(3));
        assert_eq!(wait("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
        assert_eq!(wait("99999999999999999999999"), None);
        assert_eq!([wait(""), wait("-1"), wait("soon")], [None, None, None]);
    }
}
