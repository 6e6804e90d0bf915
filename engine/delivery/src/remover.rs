//! The remover: deletes what deleted workspaces had, and calls off, moves or lets go what rules have left behind
//! that were deleted, lead elsewhere or hold their lines no more, in small steps that let others write in between.
//! It takes no input: woken by a deletion and by its timer, it does the same each time, and goes on
//! after a crash with what is still there.

use std::time::Duration;

use heddle_store::{LeftBehind, StoreError};
use tokio_util::sync::CancellationToken;

use crate::Parts;

/// Only in case a signal was lost.
const INTERVAL: Duration = Duration::from_secs(60);

/// Between two steps: nobody waits for what is deleted here, and others wait for the writer.
const BREATH: Duration = Duration::from_millis(10);

/// After the store was not available.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs until `stop`. The first round is at once: what a former process had begun goes on then.
pub async fn run(parts: Parts, stop: CancellationToken) {
    loop {
        let pause = match round(&parts, &stop).await {
            Ok(()) => INTERVAL,
            Err(error) => {
                tracing::warn!(%error, "what was deleted could not be removed; trying again");
                PAUSE
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = parts.store.workspaces_deleted() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn round(parts: &Parts, stop: &CancellationToken) -> Result<(), StoreError> {
    loop {
        let all = parts.store.left_behind().await?;
        if all.is_empty() {
            break;
        }
        for left in all {
            if !follow_up(parts, left, stop).await? {
                return Ok(());
            }
        }
    }
    for workspace in parts.store.deleted_workspaces().await? {
        let mut removed = 0;
        loop {
            let step = parts.store.remove_some(workspace).await?;
            removed += step.rows;
            if step.done {
                break;
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(BREATH) => {}
            }
        }
        tracing::info!(%workspace, removed, "nothing is left of a deleted workspace");
    }
    Ok(())
}

/// Returns whether it got to the end.
async fn follow_up(parts: &Parts, left: LeftBehind, stop: &CancellationToken) -> Result<bool, StoreError> {
    let mut deliveries = 0;
    loop {
        let step = parts.store.follow_up(left, parts.clock.now()).await?;
        deliveries += step.rows;
        if step.done {
            break;
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(false),
            () = tokio::time::sleep(BREATH) => {}
        }
    }
    tracing::info!(rule = %left.rule, connection = %left.connection, deliveries,
        "what a rule left behind that was deleted or changed is done");
    Ok(true)
}
