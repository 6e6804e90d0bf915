//! Holding events against rules. It nearly always takes microseconds, and is done where it is asked for. What a
//! brief look does not come to an end with is done again, on a thread for blocking work: one event of each
//! workspace at a time, and a few of all. So no tenant's rules hold the threads that everybody else is served
//! by, and those who have such rules wait for their own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::available_parallelism;

use heddle_core::condition::Facts;
use heddle_core::event::Event;
use heddle_core::id::WorkspaceId;
use heddle_core::routing::{Matched, Routing};
use tokio::sync::Semaphore;
use tokio::task::{spawn_blocking, yield_now};

/// After as many steps, or bytes of payload read, others have their turn.
const STEPS: usize = 1_000;
const BYTES: usize = 16 * 1024;

/// Workspaces in turn that are remembered, before those that are through are forgotten.
const REMEMBERED: usize = 256;

type Turn = tokio::sync::Mutex<()>;

/// Where events are held against rules.
#[derive(Debug)]
pub struct Matching {
    places: Semaphore,
    turns: Mutex<HashMap<WorkspaceId, Weak<Turn>>>,
}

impl Default for Matching {
    /// Half of the processors may be at it.
    fn default() -> Self {
        Self::new(available_parallelism().map_or(1, |all| all.get() / 2))
    }
}

impl Matching {
    /// With so many places for what takes long, at least one.
    pub fn new(places: usize) -> Self {
        Self {
            places: Semaphore::new(places.max(1)),
            turns: Mutex::default(),
        }
    }

    /// The rules of its workspace that an event matches.
    pub async fn of<'r>(&self, rules: &'r Arc<Routing>, event: &Event) -> Vec<Matched<'r>> {
        // The facts of an event are not shared between threads, so they end before the first wait.
        let (briefly, was_long) = {
            let facts = Facts::brief(event);
            let found = rules.matching(&facts);
            let was_long = facts.taken() > STEPS || facts.read() > BYTES;
            ((!facts.was_too_brief()).then_some(found), was_long)
        };
        if was_long {
            yield_now().await;
        }
        if let Some(found) = briefly {
            return found;
        }
        let (all, event) = (Arc::clone(rules), event.clone());
        let found = self
            .apart(event.workspace, move || {
                let found = all.matching(&Facts::of(&event)).into_iter();
                found
                    .map(|matched| (matched.rule.id, matched.ordering_key))
                    .collect::<Vec<_>>()
            })
            .await;
        let known = |(id, ordering_key)| {
            let rule = rules.route(id)?.rule();
            Some(Matched { rule, ordering_key })
        };
        found.into_iter().filter_map(known).collect()
    }

    /// Does what may take long for a workspace, when it is its turn.
    pub async fn apart<T, F>(&self, workspace: WorkspaceId, work: F) -> T
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let turn = self.turn(workspace);
        let _turn = turn.lock().await;
        // It is never closed.
        let _place = self.places.acquire().await;
        match spawn_blocking(work).await {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The process ends, and nobody is waited for.
                Err(_) => std::future::pending().await,
            },
        }
    }

    fn turn(&self, workspace: WorkspaceId) -> Arc<Turn> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = turns.get(&workspace).and_then(Weak::upgrade) {
            return known;
        }
        if turns.len() >= REMEMBERED {
            turns.retain(|_, turn| turn.strong_count() > 0);
        }
        let new = Arc::default();
        turns.insert(workspace, Arc::downgrade(&new));
        new
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use heddle_core::id::{ConnectionId, EventId, RuleId};
    use heddle_core::rule::Rule;
    use heddle_core::time::Timestamp;
    use tokio::task::JoinSet;

    use super::*;

    fn workspace(n: u8) -> WorkspaceId {
        WorkspaceId::new(Timestamp(0), [n; 10])
    }

    fn rule(id: u8, condition: Option<&str>) -> Rule {
        Rule {
            id: RuleId::new(Timestamp(i64::from(id)), [id; 10]),
            workspace: workspace(0),
            connection: ConnectionId::new(Timestamp(0), [0; 10]),
            kind: "webhook".into(),
            event: "a".into(),
            resource: None,
            resource_id: None,
            condition: condition.map(Into::into),
            order: None,
            metadata: Default::default(),
            mapping: None,
            active: true,
            hidden: false,
            created_by: "test".into(),
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
        }
    }

    fn event() -> Event {
        Event {
            id: EventId::new(Timestamp(0), [0; 10]),
            workspace: workspace(0),
            event: "a".into(),
            resource: "global".into(),
            resource_id: None,
            payload: "{}".into(),
            created_by: "test".into(),
            created_at: Timestamp(0),
        }
    }

    #[tokio::test]
    async fn what_takes_long_comes_to_the_same_apart() {
        const LONG: &str = "[1,2,3,4,5,6,7,8,9,10].all(a, [1,2,3,4,5,6,7,8,9,10].all(b,
            [1,2,3,4,5,6,7,8,9,10].all(c, [1,2,3].all(d, a + b + c + d > 0))))";
        let (matching, event) = (Matching::new(1), event());
        for condition in [LONG, "1 == 1"] {
            let rules = [rule(1, Some(condition)), rule(2, Some("1 == 2")), rule(3, None)];
            let rules = Arc::new(Routing::new(rules.to_vec()));
            let found = matching.of(&rules, &event).await;
            assert_eq!(found, rules.matching(&Facts::of(&event)));
            assert_eq!(found.len(), 2);
        }
    }

    #[tokio::test]
    async fn a_workspace_with_much_work_leaves_the_other_places_to_others() {
        let matching = Arc::new(Matching::new(2));
        let (go, wait) = mpsc::channel::<()>();
        let (begun, mut began) = tokio::sync::mpsc::unbounded_channel();
        let mut busy = JoinSet::new();
        let mut wait = Some(wait);
        for n in 0..5 {
            let (matching, begun, wait) = (Arc::clone(&matching), begun.clone(), wait.take());
            busy.spawn(async move {
                let work = move || {
                    begun.send(n).unwrap();
                    // The first lasts until it is told to end.
                    wait.map(|wait| wait.recv());
                };
                matching.apart(workspace(1), work).await;
            });
        }
        assert_eq!(began.recv().await, Some(0));
        for n in 2..20 {
            assert_eq!(matching.apart(workspace(n), move || n).await, n);
        }
        assert!(began.try_recv().is_err(), "one of a workspace at a time");
        go.send(()).unwrap();
        while busy.join_next().await.is_some() {}
        assert_eq!(began.len(), 4);
        for n in 0..=255 {
            matching.apart(workspace(n), || ()).await;
            matching
                .apart(WorkspaceId::new(Timestamp(1), [n; 10]), || ())
                .await;
        }
        assert!(matching.turns.lock().unwrap().len() <= REMEMBERED);
    }

    #[tokio::test]
    #[should_panic(expected = "of the work")]
    async fn a_panic_is_of_the_one_who_asked() {
        Matching::new(1)
            .apart(workspace(1), || panic!("of the work"))
            .await
    }
}
