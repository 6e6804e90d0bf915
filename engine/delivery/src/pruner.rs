//! The pruner: deletes what is past its time, in small steps that let others write in between. It
//! takes no input: woken by its timer, it does the same each time.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::Parts;

/// Nothing waits for what is deleted here.
const INTERVAL: Duration = Duration::from_secs(5 * 60);

/// Runs until `stop`. The first round is at once: the clock went on while nothing ran.
pub async fn run(parts: Parts, stop: CancellationToken) {
    loop {
        match parts.store.forget_idempotency_keys(parts.clock.now()).await {
            Ok(0) => {}
            Ok(forgotten) => tracing::debug!(forgotten, "idempotency keys past their day are deleted"),
            Err(error) => tracing::warn!(%error, "idempotency keys could not be deleted; trying again later"),
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}
