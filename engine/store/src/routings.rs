//! The rules of workspaces in memory, arranged for matching. A commit only notes which rules changed;
//! whoever matches next reads those and puts them in their places, so that neither the writer nor a
//! workspace with many rules pays for all of them.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use heddle_core::id::{RuleId, WorkspaceId};
use heddle_core::routing::Routing;
use tokio::sync::{Mutex, MutexGuard};

/// Workspaces beyond which all are forgotten: simple, and far above what one node works on at once.
const CAPACITY: usize = 50_000;

/// Changes beyond which a workspace is read anew.
const MOST_CHANGES: usize = 256;

/// Workspaces are arranged side by side, one at a time in each of so many groups.
const TURNS: usize = 16;

/// What is in memory.
#[derive(Default)]
pub(crate) struct Routings {
    entries: RwLock<Entries>,
    turns: [Mutex<()>; TURNS],
}

#[derive(Default)]
struct Entries {
    map: HashMap<WorkspaceId, Entry>,
    /// Counts the changes, so that what was read before one is not put back after it.
    generation: u64,
}

struct Entry {
    routing: Arc<Routing>,
    changed: Vec<RuleId>,
}

/// What must be read before the rules of a workspace are known.
pub(crate) struct Stale {
    generation: u64,
    /// What was known, and which rules of it changed; `None` is everything.
    pub known: Option<(Arc<Routing>, Vec<RuleId>)>,
}

impl Routings {
    /// The rules, or what to read.
    pub fn get(&self, workspace: WorkspaceId) -> Result<Arc<Routing>, Stale> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        match entries.map.get(&workspace) {
            Some(entry) if entry.changed.is_empty() => Ok(Arc::clone(&entry.routing)),
            entry => Err(Stale {
                generation: entries.generation,
                known: entry.map(|entry| (Arc::clone(&entry.routing), entry.changed.clone())),
            }),
        }
    }

    /// Waits until nobody else reads the rules of this workspace.
    pub async fn turn(&self, workspace: WorkspaceId) -> MutexGuard<'_, ()> {
        // The end of an id is random.
        let group = usize::from(workspace.as_bytes()[15]) % TURNS;
        self.turns[group].lock().await
    }

    /// Keeps what was read, unless something was written since.
    pub fn insert(&self, read: &Stale, workspace: WorkspaceId, routing: Arc<Routing>) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if entries.generation != read.generation {
            return;
        }
        if entries.map.len() >= CAPACITY {
            entries.map.clear();
        }
        let changed = Vec::new();
        entries.map.insert(workspace, Entry { routing, changed });
    }

    /// Notes that a rule changed, after the commit.
    pub fn change(&self, workspace: WorkspaceId, rule: RuleId) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        entries.generation += 1;
        let Some(entry) = entries.map.get_mut(&workspace) else {
            return;
        };
        if entry.changed.len() == MOST_CHANGES {
            entries.map.remove(&workspace);
        } else if !entry.changed.contains(&rule) {
            entry.changed.push(rule);
        }
    }

    /// Forgets a workspace, after the commit that changed all of its rules.
    pub fn forget(&self, workspace: WorkspaceId) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        entries.generation += 1;
        entries.map.remove(&workspace);
    }
}

#[cfg(test)]
mod tests {
    use heddle_core::time::Timestamp;

    use super::*;

    #[test]
    fn what_was_read_before_a_change_is_not_kept_after_it() {
        let routings = Routings::default();
        let workspace = WorkspaceId::new(Timestamp(0), [1; 10]);
        let rule = |n| RuleId::new(Timestamp(0), [n; 10]);
        let stale = |routings: &Routings| match routings.get(workspace) {
            Ok(_) => panic!("nothing is known for certain"),
            Err(stale) => stale,
        };
        let before = stale(&routings);
        assert!(before.known.is_none());
        routings.change(workspace, rule(1));
        routings.insert(&before, workspace, Arc::default());
        assert!(stale(&routings).known.is_none(), "it was read before the change");

        let after = stale(&routings);
        routings.insert(&after, workspace, Arc::default());
        assert!(routings.get(workspace).is_ok());
        routings.change(workspace, rule(2));
        routings.change(workspace, rule(2));
        routings.change(workspace, rule(3));
        let known = stale(&routings).known.map(|(_, changed)| changed);
        assert_eq!(known, Some(vec![rule(2), rule(3)]));

        for n in 0..=255 {
            routings.change(workspace, RuleId::new(Timestamp(9), [n; 10]));
        }
        assert!(stale(&routings).known.is_none(), "so many are read anew");
        routings.forget(workspace);
    }
}
