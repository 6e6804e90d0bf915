//! The remover: deletes what deleted workspaces had, and calls off, moves or lets go what rules have left behind
//! that were deleted, lead elsewhere or hold their lines no more, in small steps that let others write in between.
//! It takes no input: woken by a deletion and by its timer, it does the same each time, and goes on
//! after a crash with what is still there.
//!
//! All that is to be done is done side by side, a step of each in turn, so that nobody's deliveries wait until
//! the much that another one had is gone; and what cannot be done holds up nothing else.

use std::collections::HashMap;
use std::time::Duration;

use heddle_core::id::WorkspaceId;
use heddle_store::{LeftBehind, RemovalStep, StoreError};
use tokio_util::sync::CancellationToken;

use crate::Parts;

/// Only in case a signal was lost.
const INTERVAL: Duration = Duration::from_secs(60);

/// Between two steps: nobody waits for what is deleted here, and others wait for the writer.
const BREATH: Duration = Duration::from_millis(10);

/// After the store was not available, or nothing of what is left could be done.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs until `stop`. The first round is at once: what a former process had begun goes on then.
pub async fn run(parts: Parts, stop: CancellationToken) {
    let mut remover = Remover {
        parts: parts.clone(),
        rows: HashMap::new(),
        turn: 0,
    };
    loop {
        let ended = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            ended = remover.round() => ended,
        };
        let pause = match ended {
            Ok(Left::Nothing) => INTERVAL,
            Ok(Left::More) => continue,
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

struct Remover {
    parts: Parts,
    /// What was done so far of what is being done.
    rows: HashMap<Work, usize>,
    /// Counts the rounds: whose turn it is among the deleted workspaces.
    turn: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Work {
    Behind(LeftBehind),
    Of(WorkspaceId),
}

/// What there is to do after a round.
enum Left {
    Nothing,
    More,
}

impl Remover {
    /// A step of everything that rules have left behind, and of one deleted workspace. Deliveries may wait for
    /// the first.
    async fn round(&mut self) -> Result<Left, StoreError> {
        let store = self.parts.store.clone();
        let mut work: Vec<Work> = store.left_behind().await?.into_iter().map(Work::Behind).collect();
        let deleted = store.deleted_workspaces().await?;
        if !deleted.is_empty() {
            self.turn = self.turn.wrapping_add(1);
            work.extend(deleted.get(self.turn % deleted.len()).copied().map(Work::Of));
        }
        if work.is_empty() {
            self.rows.clear();
            return Ok(Left::Nothing);
        }
        let (mut failed, mut went_on) = (None, false);
        for work in work {
            match self.step(work).await {
                Ok(()) => went_on = true,
                Err(error @ StoreError::Unavailable { .. }) => return Err(error),
                Err(error) => failed = Some(error),
            }
            tokio::time::sleep(BREATH).await;
        }
        match failed {
            Some(error) if !went_on => Err(error),
            _ => Ok(Left::More),
        }
    }

    async fn step(&mut self, work: Work) -> Result<(), StoreError> {
        let store = &self.parts.store;
        let RemovalStep { rows, done } = match work {
            Work::Behind(left) => store.follow_up(left, self.parts.clock.now()).await?,
            Work::Of(workspace) => store.remove_some(workspace).await?,
        };
        let all = self.rows.entry(work).or_default();
        *all += rows;
        if !done {
            return Ok(());
        }
        let all = self.rows.remove(&work).unwrap_or_default();
        match work {
            Work::Behind(left) => {
                tracing::info!(rule = %left.rule, connection = %left.connection, deliveries = all,
                    "what a rule left behind that was deleted or changed is done");
            }
            Work::Of(workspace) => {
                tracing::info!(%workspace, removed = all, "nothing is left of a deleted workspace");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::quiet;

    /// Time goes on until this is so.
    async fn until(is_so: impl AsyncFn() -> bool) {
        for _ in 0..10_000 {
            if is_so().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("it never comes to that");
    }

    #[tokio::test(start_paused = true)]
    async fn what_one_tenant_left_behind_does_not_wait_until_the_much_of_another_is_gone() {
        let (world, store) = quiet::world(1).await;
        let [large, other] = [0, 1].map(|n| world.tenants.workspaces[n].clone());
        let mut rules = world.tenants.rules.iter();
        let rule = rules.find(|rule| rule.workspace == other.id).unwrap();
        quiet::accept(&world, &store, large.id, None, 3_000).await;
        quiet::accept(&world, &store, other.id, Some(rule), 1_200).await;
        let organisation = world.tenants.organisation;
        let (id, name, now) = (large.id, large.name.clone(), world.now());
        store.delete_workspace(organisation, id, name, now).await.unwrap();
        let stop = CancellationToken::new();
        let running = tokio::spawn(run(world.parts(&store), stop.clone()));
        // It is at it.
        tokio::time::sleep(BREATH * 2).await;

        store
            .delete_rule(organisation, rule.id, world.now())
            .await
            .unwrap();
        assert_eq!(store.left_behind().await.unwrap().len(), 1);
        until(async || store.left_behind().await.unwrap().is_empty()).await;
        assert_eq!(store.deleted_workspaces().await.unwrap(), [large.id]);
        until(async || store.deleted_workspaces().await.unwrap().is_empty()).await;
        stop.cancel();
        running.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_workspaces_the_small_one_is_gone_before_the_large_one() {
        let (world, store) = quiet::world(1).await;
        let [large, small] = [0, 1].map(|n| world.tenants.workspaces[n].clone());
        quiet::accept(&world, &store, large.id, None, 3_000).await;
        for workspace in [&large, &small] {
            let (id, name) = (workspace.id, workspace.name.clone());
            store
                .delete_workspace(world.tenants.organisation, id, name, world.now())
                .await
                .unwrap();
        }
        let stop = CancellationToken::new();
        let running = tokio::spawn(run(world.parts(&store), stop.clone()));
        until(async || store.deleted_workspaces().await.unwrap().len() == 1).await;
        assert_eq!(store.deleted_workspaces().await.unwrap(), [large.id]);
        stop.cancel();
        running.await.unwrap();
    }
}
