//! The pruner: deletes what is past its time, in small steps that let others write in between, and gives
//! the space back that this leaves. It takes no input: woken by its timer, it does the same each time,
//! and goes on after a crash with what is still there.

use std::time::Duration;

use heddle_store::{Overdue, StoreError};
use tokio_util::sync::CancellationToken;

use crate::Parts;

/// Nothing waits for what is deleted here.
const INTERVAL: Duration = Duration::from_secs(5 * 60);

/// Between two steps: nobody waits for what is deleted here, and others wait for the writer.
const BREATH: Duration = Duration::from_millis(5);

/// Runs until `stop`. The first round is at once: what a former process had begun goes on then.
pub async fn run(parts: Parts, stop: CancellationToken) {
    if matches!(parts.store.space().await, Ok(space) if !space.incremental) {
        tracing::info!(
            "this database was made by an earlier version: space that retention frees is used again, but \
             the file does not become smaller; stop the server and run `heddle vacuum` once to change that"
        );
    }
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            ended = round(&parts) => if let Err(error) = ended {
                tracing::warn!(%error, "what is past its time could not be deleted; trying again later");
            }
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

async fn round(parts: &Parts) -> Result<(), StoreError> {
    let forgotten = parts.store.forget_idempotency_keys(parts.clock.now()).await?;
    if forgotten > 0 {
        tracing::debug!(forgotten, "idempotency keys past their day are deleted");
    }
    let mut behind = None;
    loop {
        let page = parts.store.overdue(behind, parts.clock.now()).await?;
        for overdue in page.overdue {
            prune(parts, overdue).await?;
        }
        behind = page.behind;
        if behind.is_none() {
            return reclaim(parts).await;
        }
    }
}

async fn prune(parts: &Parts, overdue: Overdue) -> Result<(), StoreError> {
    // As of now: what comes meanwhile waits for the next round, and other workspaces for nobody.
    let (now, mut rows) = (parts.clock.now(), 0);
    loop {
        let step = parts.store.prune_some(overdue, now).await?;
        rows += step.rows;
        if step.done {
            break;
        }
        tokio::time::sleep(BREATH).await;
    }
    if rows > 0 {
        tracing::info!(
            workspace = %overdue.workspace, part = overdue.part.as_str(), rows,
            "history past its time is deleted"
        );
    }
    Ok(())
}

async fn reclaim(parts: &Parts) -> Result<(), StoreError> {
    let mut pages = 0;
    loop {
        let step = parts.store.reclaim_some().await?;
        pages += step.rows;
        if step.done {
            break;
        }
        tokio::time::sleep(BREATH).await;
    }
    if pages > 0 {
        // Until then the file is as long as it was.
        parts.store.checkpoint().await?;
        tracing::info!(pages, "free space is given back to the disk");
    }
    Ok(())
}
