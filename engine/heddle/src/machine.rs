//! The machine's clock and randomness, which the rest of Heddle is given.

use std::time::{SystemTime, UNIX_EPOCH};

use heddle_core::time::{Clock, Timestamp};

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX);
        Timestamp(now.saturating_add(wrong_by()))
    }
}

/// By how many milliseconds a test has set the clock wrong: what stands in the file that
/// `HEDDLE_CLOCK_OFFSET` names, which may change at any time. Builds for production do not ask.
#[cfg(debug_assertions)]
fn wrong_by() -> i64 {
    use std::path::PathBuf;
    use std::sync::OnceLock;
    static FILE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let file = FILE.get_or_init(|| std::env::var_os("HEDDLE_CLOCK_OFFSET").map(PathBuf::from));
    let read = |file: &PathBuf| std::fs::read_to_string(file).ok()?.trim().parse().ok();
    file.as_ref().and_then(read).unwrap_or(0)
}

#[cfg(not(debug_assertions))]
#[inline(always)]
fn wrong_by() -> i64 {
    0
}

/// Fills `buffer` from the operating system's generator.
///
/// # Panics
/// When the operating system has no randomness to give, without which no key would be safe.
pub fn entropy(buffer: &mut [u8]) {
    getrandom::fill(buffer).expect("the operating system gives randomness");
}

/// Random bytes.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    entropy(&mut bytes);
    bytes
}
