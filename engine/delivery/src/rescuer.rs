//! The rescuer: brings back deliveries whose lease lapsed, and asks the store which lanes wait, in
//! case a signal was lost. It takes no input: woken by its timer, it does the same each time.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::Parts;

/// Often enough that a lapsed lease costs little, seldom enough to cost nothing when idle.
const INTERVAL: Duration = Duration::from_secs(30);

/// Runs until `stop`. The first round is at once: what a killed process held comes back then.
pub async fn run(parts: Parts, stop: CancellationToken) {
    let mut first = true;
    loop {
        if let Err(error) = round(&parts, first).await {
            tracing::warn!(%error, "looking for abandoned deliveries failed; trying again");
        } else {
            first = false;
        }
        let pause = if first { Duration::from_secs(1) } else { INTERVAL };
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn round(parts: &Parts, first: bool) -> Result<(), heddle_store::StoreError> {
    let mut seed = [0; 8];
    (parts.entropy)(&mut seed);
    let expired = parts
        .store
        .expire_leases(
            parts.clock.now(),
            (*parts.schedule).clone(),
            u64::from_le_bytes(seed),
        )
        .await?;
    if expired > 0 {
        tracing::info!(expired, "deliveries whose attempt was cut off are tried again");
    }
    let lanes = parts.store.lanes().await?;
    if first && !lanes.is_empty() {
        tracing::info!(connections = lanes.len(), "connections have waiting deliveries");
    }
    parts.store.due().add(lanes);
    Ok(())
}
