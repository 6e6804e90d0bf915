//! Whose turn it is. How many requests a destination may be sent is decided elsewhere; here it is
//! asked, right before a request leaves.

use std::future::Future;
use std::time::Duration;

/// Gives out turns. One is taken before each request that leaves, the repeated one after a refused
/// token too, and held until its answer is there or has failed.
pub trait Turns: Sync {
    /// Held while the request is under way; its drop says that the answer arrived.
    type Turn: Send;

    /// Waits for the next turn. The error is how long the wait would be, where that is longer than
    /// the caller should stay.
    fn take(&self) -> impl Future<Output = Result<Self::Turn, Duration>> + Send;
}

/// It is always everybody's turn.
#[derive(Clone, Copy, Debug)]
pub struct AtOnce;

impl Turns for AtOnce {
    type Turn = ();

    async fn take(&self) -> Result<(), Duration> {
        Ok(())
    }
}
