//! The pruner: deletes what is past its time, in small steps that let others write in between, and gives
//! the space back that this leaves. It takes no input: woken by its timer, it does the same each time,
//! and goes on after a crash with what is still there. Of what is overdue, a step of each in turn, so that a
//! long history waits for itself alone; what cannot be deleted holds up nothing else.

use std::collections::VecDeque;
use std::time::Duration;

use heddle_core::time::Timestamp;
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
        // As of now: what comes meanwhile waits for the next round.
        let now = parts.clock.now();
        let page = parts.store.overdue(behind, now).await?;
        prune(parts, page.overdue, now).await?;
        behind = page.behind;
        if behind.is_none() {
            return reclaim(parts).await;
        }
    }
}

async fn prune(parts: &Parts, overdue: Vec<Overdue>, now: Timestamp) -> Result<(), StoreError> {
    let mut open: VecDeque<(Overdue, usize)> = overdue.into_iter().map(|overdue| (overdue, 0)).collect();
    while let Some((overdue, before)) = open.pop_front() {
        let (workspace, part) = (overdue.workspace, overdue.part.as_str());
        let step = match parts.store.prune_some(overdue, now).await {
            Ok(step) => step,
            Err(error @ StoreError::Unavailable { .. }) => return Err(error),
            Err(error) => {
                tracing::warn!(%error, %workspace, part, "history past its time could not be deleted; trying again later");
                continue;
            }
        };
        let rows = before + step.rows;
        if !step.done {
            open.push_back((overdue, rows));
            tokio::time::sleep(BREATH).await;
        } else if rows > 0 {
            tracing::info!(%workspace, part, rows, "history past its time is deleted");
        }
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

#[cfg(test)]
mod tests {
    use heddle_core::id::WorkspaceId;
    use heddle_core::quota::Limits;
    use heddle_store::{DefaultLimits, EventFilter, Page, Reach, Store};

    use super::*;
    use crate::simulation::quiet;

    const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

    /// Whether a workspace has any event left.
    async fn has_history(store: &Store, reach: &Reach, workspace: WorkspaceId) -> bool {
        let filter = EventFilter {
            workspace: Some(workspace),
            ..EventFilter::default()
        };
        let page = Page {
            limit: 1,
            cursor: None,
        };
        let found = store.list_events(reach.clone(), filter, page).await.unwrap();
        !found.records.is_empty()
    }

    #[tokio::test(start_paused = true)]
    async fn the_short_history_of_one_workspace_does_not_wait_for_the_long_one_of_another() {
        let (world, store) = quiet::world(1).await;
        let [long, short] = [0, 1].map(|n| world.tenants.workspaces[n].id);
        quiet::accept(&world, &store, long, None, 3_000).await;
        quiet::accept(&world, &store, short, None, 10).await;
        store.set_default_limits(DefaultLimits {
            workspace: Limits {
                event_days: Some(1),
                ..Limits::default()
            },
            ..DefaultLimits::default()
        });
        world.clock.jump(3 * DAY_MS);
        let stop = CancellationToken::new();
        let running = tokio::spawn(run(world.parts(&store), stop.clone()));
        let reach = Reach::from(world.tenants.organisation);
        let mut looks = 0;
        while has_history(&store, &reach, short).await {
            looks += 1;
            assert!(looks < 10_000, "it is never deleted");
            quiet::goes_by(Duration::from_millis(1)).await;
        }
        assert!(has_history(&store, &reach, long).await);
        while has_history(&store, &reach, long).await {
            looks += 1;
            assert!(looks < 10_000, "it is never deleted");
            quiet::goes_by(Duration::from_millis(1)).await;
        }
        stop.cancel();
        running.await.unwrap();
    }
}
