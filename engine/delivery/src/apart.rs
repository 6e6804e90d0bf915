//! What may take long and needs a processor all the while: it is done on a thread for blocking work, a few
//! at a time, and of those only some for one workspace. So nobody's long work holds the threads that everybody
//! else is served by, and those who have much of it wait for their own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::available_parallelism;

use heddle_core::id::WorkspaceId;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// Workspaces at work that are remembered, before those that are through are forgotten.
const REMEMBERED: usize = 256;

/// Places for long work, shared by workspaces.
#[derive(Debug)]
pub struct Apart {
    places: Arc<Semaphore>,
    each: usize,
    turns: Mutex<HashMap<WorkspaceId, Weak<Semaphore>>>,
}

impl Apart {
    /// So many places, of which one workspace may have so many; at least one.
    pub fn new(places: usize, each: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places.max(1))),
            each: each.max(1),
            turns: Mutex::default(),
        }
    }

    /// Does the work of a workspace when it is its turn. Work that has begun keeps its place until it ends,
    /// also when nobody waits for it any more: whoever asks and goes away again has no more of it at once.
    pub async fn run<T, F>(&self, workspace: WorkspaceId, work: F) -> T
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        // They are never closed.
        let turn = self.turn(workspace).acquire_owned().await;
        let place = Arc::clone(&self.places).acquire_owned().await;
        let held = move || {
            let _held = (turn, place);
            work()
        };
        match spawn_blocking(held).await {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The process ends, and nobody is waited for.
                Err(_) => std::future::pending().await,
            },
        }
    }

    fn turn(&self, workspace: WorkspaceId) -> Arc<Semaphore> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = turns.get(&workspace).and_then(Weak::upgrade) {
            return known;
        }
        if turns.len() >= REMEMBERED {
            turns.retain(|_, turn| turn.strong_count() > 0);
        }
        let new = Arc::new(Semaphore::new(self.each));
        turns.insert(workspace, Arc::downgrade(&new));
        new
    }
}

/// The processors that there are.
pub(crate) fn processors() -> usize {
    available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use heddle_core::time::Timestamp;
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
    use tokio::task::{JoinHandle, JoinSet};

    use super::*;

    fn workspace(n: u8) -> WorkspaceId {
        WorkspaceId::new(Timestamp(0), [n; 10])
    }

    #[tokio::test]
    async fn a_workspace_with_much_work_leaves_the_other_places_to_others() {
        let apart = Arc::new(Apart::new(2, 1));
        let (go, wait) = mpsc::channel::<()>();
        let (begun, mut began) = unbounded_channel();
        let mut busy = JoinSet::new();
        let mut wait = Some(wait);
        for n in 0..5 {
            let (apart, begun, wait) = (Arc::clone(&apart), begun.clone(), wait.take());
            busy.spawn(async move {
                let work = move || {
                    begun.send(n).unwrap();
                    // The first lasts until it is told to end.
                    wait.map(|wait| wait.recv());
                };
                apart.run(workspace(1), work).await;
            });
        }
        assert_eq!(began.recv().await, Some(0));
        for n in 2..20 {
            assert_eq!(apart.run(workspace(n), move || n).await, n);
        }
        assert!(began.try_recv().is_err(), "one of a workspace at a time");
        go.send(()).unwrap();
        while busy.join_next().await.is_some() {}
        assert_eq!(began.len(), 4);
        for n in 0..=255 {
            apart.run(workspace(n), || ()).await;
            let other = WorkspaceId::new(Timestamp(1), [n; 10]);
            apart.run(other, || ()).await;
        }
        assert!(apart.turns.lock().unwrap().len() <= REMEMBERED);
    }

    /// Begins work that lasts until the sender is used or dropped.
    fn begin(apart: &Arc<Apart>, n: u8) -> (JoinHandle<()>, mpsc::Sender<()>, UnboundedReceiver<()>) {
        let (go, wait) = mpsc::channel();
        let (begun, began) = unbounded_channel();
        let apart = Arc::clone(apart);
        let work = move || {
            begun.send(()).unwrap();
            let _ = wait.recv();
        };
        let asked = tokio::spawn(async move { apart.run(workspace(n), work).await });
        (asked, go, began)
    }

    #[tokio::test]
    async fn whoever_goes_away_leaves_his_place_only_when_his_work_ends() {
        let apart = Arc::new(Apart::new(2, 1));
        let (asked, go, mut began) = begin(&apart, 1);
        began.recv().await.unwrap();
        asked.abort();
        assert!(asked.await.unwrap_err().is_cancelled());
        let (again, go_again, mut began_again) = begin(&apart, 1);
        let (_other, go_other, mut began_other) = begin(&apart, 2);
        began_other.recv().await.unwrap();
        tokio::task::yield_now().await;
        assert!(began_again.try_recv().is_err(), "the first is still at it");
        assert_eq!(apart.places.available_permits(), 0);
        drop((go, go_other));
        began_again.recv().await.unwrap();
        drop(go_again);
        again.await.unwrap();
    }

    #[tokio::test]
    async fn a_workspace_has_as_many_places_as_it_may_and_no_more() {
        let apart = Arc::new(Apart::new(3, 2));
        let mut busy: Vec<_> = (0..3).map(|_| begin(&apart, 1)).collect();
        for (_, _, began) in &mut busy[..2] {
            began.recv().await.unwrap();
        }
        assert_eq!(apart.run(workspace(2), || 7).await, 7);
        assert!(busy[2].2.try_recv().is_err());
        assert_eq!(apart.places.available_permits(), 1);
    }

    #[tokio::test]
    #[should_panic(expected = "of the work")]
    async fn a_panic_is_of_the_one_who_asked() {
        Apart::new(1, 1).run(workspace(1), || panic!("of the work")).await
    }
}
