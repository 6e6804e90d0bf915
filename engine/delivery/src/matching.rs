//! Holding events against rules. It nearly always takes microseconds, and is done where it is asked for. What a
//! brief look does not come to an end with is done again [apart](crate::apart): one event of each workspace at a
//! time, and a few of all.

use std::sync::Arc;

use heddle_core::condition::Facts;
use heddle_core::event::Event;
use heddle_core::id::WorkspaceId;
use heddle_core::routing::{Matched, Routing};
use tokio::task::yield_now;

use crate::apart::{Apart, processors};

/// After as many steps, or bytes of payload read, others have their turn.
const STEPS: usize = 1_000;
const BYTES: usize = 16 * 1024;

/// Where events are held against rules.
#[derive(Debug)]
pub struct Matching(Apart);

impl Default for Matching {
    /// Half of the processors may be at it.
    fn default() -> Self {
        Self::new(processors() / 2)
    }
}

impl Matching {
    /// With so many places for what takes long, at least one.
    pub fn new(places: usize) -> Self {
        Self(Apart::new(places, 1))
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
        self.0.run(workspace, work).await
    }
}

#[cfg(test)]
mod tests {
    use heddle_core::id::{ConnectionId, EventId, RuleId};
    use heddle_core::rule::Rule;
    use heddle_core::time::Timestamp;

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
}
