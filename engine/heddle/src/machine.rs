//! The machine's clock and randomness, which the rest of Heddle is given.

use std::cell::RefCell;
#[cfg(debug_assertions)]
use std::net::IpAddr;
#[cfg(debug_assertions)]
use std::path::PathBuf;
#[cfg(debug_assertions)]
use std::pin::Pin;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use heddle_core::time::{Clock, Timestamp};
use heddle_egress::Resolve;

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

/// The names that a test has the machine know: the file that `HEDDLE_NAMES` names has lines such as
/// `crm.test 127.0.0.1`, and may change at any time. Builds for production do not ask.
#[cfg(debug_assertions)]
pub fn names() -> Option<Arc<dyn Resolve>> {
    struct File(PathBuf);
    impl Resolve for File {
        fn resolve(&self, host: &str) -> Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send>> {
            let text = std::fs::read_to_string(&self.0).unwrap_or_default();
            let found = text.lines().filter_map(|line| line.split_once(' '));
            let found: Vec<IpAddr> = found
                .filter(|(name, _)| *name == host)
                .filter_map(|(_, address)| address.parse().ok())
                .collect();
            let answer = match found.is_empty() {
                true => Err(std::io::Error::other("temporary failure in name resolution")),
                false => Ok(found),
            };
            Box::pin(std::future::ready(answer))
        }
    }
    let file = std::env::var_os("HEDDLE_NAMES")?;
    Some(Arc::new(File(file.into())))
}

/// The names that a test has the machine know: none.
#[cfg(not(debug_assertions))]
pub fn names() -> Option<Arc<dyn Resolve>> {
    None
}

/// Fills `buffer` from the operating system's generator. Each thread has a small stock, so that not
/// every id is a system call; what was taken out of it is wiped.
///
/// # Panics
/// When the operating system has no randomness to give, without which no key would be safe.
pub fn entropy(buffer: &mut [u8]) {
    STOCK.with_borrow_mut(|stock| stock.fill(buffer));
}

thread_local! {
    static STOCK: RefCell<Stock> = const { RefCell::new(Stock { bytes: [0; 512], left: 0 }) };
}

/// Random bytes that nobody has seen.
struct Stock {
    bytes: [u8; 512],
    left: usize,
}

impl Stock {
    fn fill(&mut self, buffer: &mut [u8]) {
        let system = |bytes: &mut [u8]| {
            getrandom::fill(bytes).expect("the operating system gives randomness");
        };
        if buffer.len() > self.bytes.len() {
            return system(buffer);
        }
        if self.left < buffer.len() {
            system(&mut self.bytes);
            self.left = self.bytes.len();
        }
        let rest = self.left - buffer.len();
        let taken = &mut self.bytes[rest..self.left];
        buffer.copy_from_slice(taken);
        taken.fill(0);
        self.left = rest;
    }
}

/// Random bytes.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    entropy(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_random_byte_is_given_twice() {
        let mut seen = std::collections::HashSet::new();
        for _ in 0..200 {
            assert!(seen.insert(random::<10>()));
        }
        let mut long = [0; 2_000];
        entropy(&mut long);
        assert!(long.chunks(10).all(|chunk| chunk != [0; 10]));
        STOCK.with_borrow(|stock| assert!(stock.bytes[stock.left..].iter().all(|byte| *byte == 0)));
    }
}
