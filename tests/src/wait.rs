//! The only places where a test waits. Another process cannot notify a test, so its API is asked
//! again until it says what is expected; everything inside the test process is signalled.

use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, timeout};

/// The longest that a test waits for anything, on a busy machine: the first start of a new binary compiles
/// every bundled plugin.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// How often another process is asked.
const PULSE: Duration = Duration::from_millis(25);

/// Asks until the answer satisfies `enough`; panics with the last answer when it never does.
pub async fn until<T, F>(what: &str, mut ask: impl FnMut() -> F, enough: impl Fn(&T) -> bool) -> T
where
    T: Debug,
    F: Future<Output = T>,
{
    let mut last = None;
    let asking = async {
        let mut pulse = interval(PULSE);
        pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            pulse.tick().await;
            let answer = ask().await;
            if enough(&answer) {
                return answer;
            }
            last = Some(answer);
        }
    };
    match timeout(PATIENCE, asking).await {
        Ok(answer) => answer,
        Err(_) => panic!("waited {PATIENCE:?} for {what}; the last answer was {last:#?}"),
    }
}

/// Waits for something that will be signalled; panics when it never is.
pub async fn within<T>(what: &str, signal: impl Future<Output = T>) -> T {
    match timeout(PATIENCE, signal).await {
        Ok(value) => value,
        Err(_) => panic!("waited {PATIENCE:?} for {what}"),
    }
}
