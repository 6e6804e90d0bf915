//! How much of what callers sent is in memory at once: of all of them, and of those of one workspace or
//! key. A publishable key is known to everybody who opens a page; nobody must be able to fill the memory
//! with it, or to keep others out.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::caller::Caller;
use crate::error::ApiError;

/// The most bytes of all.
const ALL: usize = 256 << 20;

/// The most bytes of one workspace, or of a key of several.
const EACH: usize = 64 << 20;

/// Whose bodies are how large.
#[derive(Debug)]
pub struct Bodies {
    all: usize,
    each: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    all: usize,
    each: HashMap<String, usize>,
}

impl Default for Bodies {
    fn default() -> Self {
        Self::new(ALL, EACH)
    }
}

impl Bodies {
    /// With so many bytes in all, and for one workspace or key.
    pub fn new(all: usize, each: usize) -> Self {
        let held = Mutex::default();
        Self { all, each, held }
    }

    /// The share of one request, empty so far.
    pub(crate) fn share(self: &Arc<Self>, caller: &Caller) -> Arc<Share> {
        let only = caller.reach().only_workspace();
        Arc::new(Share {
            bodies: Arc::clone(self),
            of: only.map_or_else(|| caller.name.clone(), |workspace| workspace.to_string()),
            bytes: AtomicUsize::new(0),
        })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one request holds, until it is answered.
#[derive(Debug)]
pub(crate) struct Share {
    bodies: Arc<Bodies>,
    of: String,
    bytes: AtomicUsize,
}

impl Share {
    /// Takes so many more bytes.
    pub fn grow(&self, bytes: usize) -> Result<(), ApiError> {
        let mut held = self.bodies.held();
        let own = held.each.get(&self.of).copied().unwrap_or_default();
        if held.all + bytes > self.bodies.all || own + bytes > self.bodies.each {
            return Err(ApiError::TooMuchAtOnce);
        }
        held.all += bytes;
        held.each.insert(self.of.clone(), own + bytes);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let bytes = *self.bytes.get_mut();
        if bytes == 0 {
            return;
        }
        let mut held = self.bodies.held();
        held.all -= bytes;
        if let Some(own) = held.each.get_mut(&self.of) {
            *own -= bytes;
            if *own == 0 {
                held.each.remove(&self.of);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use heddle_core::id::{OrganisationId, WorkspaceId};
    use heddle_core::time::Timestamp;
    use heddle_store::Reach;

    use super::*;
    use crate::caller::Credential;
    use crate::permission::Permissions;

    fn caller(name: &str, workspace: Option<u8>) -> Caller {
        let reach = Reach {
            workspaces: workspace.map(|n| [WorkspaceId::new(Timestamp(0), [n; 10])].into()),
            ..Reach::from(OrganisationId::new(Timestamp(0), [0; 10]))
        };
        Caller::new(name.into(), reach, Permissions::ALL, Credential::Machine)
    }

    #[test]
    fn what_is_held_of_one_and_of_all_is_bounded_and_given_back() {
        let bodies = Arc::new(Bodies::new(100, 60));
        let first = bodies.share(&caller("a", Some(1)));
        assert!(first.grow(40).is_ok());
        let second = bodies.share(&caller("b", Some(1)));
        assert!(second.grow(20).is_ok());
        assert!(second.grow(1).is_err(), "the workspace has its share");
        let other = bodies.share(&caller("c", None));
        assert!(other.grow(40).is_ok());
        let late = bodies.share(&caller("d", Some(2)));
        assert!(late.grow(1).is_err(), "all is held");
        drop(first);
        assert!(late.grow(40).is_ok());
        drop((second, other, late));
        let held = bodies.held();
        assert_eq!((held.all, held.each.len()), (0, 0));
    }
}
