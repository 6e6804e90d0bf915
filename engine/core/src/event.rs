//! What a product emits.

use std::sync::Arc;

use crate::id::{EventId, WorkspaceId};
use crate::time::Timestamp;

/// The contract's `resource` of an event that names none.
pub const DEFAULT_RESOURCE: &str = "global";

/// The longest event name, in bytes.
pub const MAX_EVENT_NAME_BYTES: usize = 128;

/// An accepted event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Event {
    pub id: EventId,
    pub workspace: WorkspaceId,
    /// Its name, such as `lesson.completed`.
    pub event: String,
    /// The kind of thing that it is about; [`DEFAULT_RESOURCE`] when the emitter named none.
    pub resource: String,
    pub resource_id: Option<String>,
    /// The payload as it was sent, byte for byte: a JSON object.
    pub payload: Arc<str>,
    /// The access key or the publishable key's id that sent it.
    pub created_by: String,
    pub created_at: Timestamp,
}

/// The longest `resource` and `resource_id`, in bytes.
pub const MAX_RESOURCE_BYTES: usize = 64;

/// Whether `name` can be an event's name: 1 to 128 bytes, no control characters, no white space
/// around it, and no `*`, which only a rule may end in.
pub fn is_event_name(name: &str) -> bool {
    is_plain(name, MAX_EVENT_NAME_BYTES) && !name.contains('*')
}

/// Whether `text` can be the `resource` or the `resource_id` of an event, or the `resource` of a rule,
/// for which the contract has no pattern: 1 to 64 bytes, no control characters, no white space around
/// it.
pub fn is_label(text: &str) -> bool {
    is_plain(text, MAX_RESOURCE_BYTES)
}

fn is_plain(text: &str, most_bytes: usize) -> bool {
    (1..=most_bytes).contains(&text.len()) && text.trim() == text && !text.chars().any(char::is_control)
}

/// Whether `text` can be a rule's `resource_id`: the contract's `^[A-Za-z0-9._:-]{1,64}$`.
pub fn is_resource(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_free_but_for_what_would_mislead() {
        for good in ["lesson.completed", "Lesson Completed", "leçon", "a/b@c"] {
            assert!(is_event_name(good), "{good}");
        }
        for bad in ["", " ", " a", "a ", "a\nb", "a\0", "a.*", &"x".repeat(129)] {
            assert!(!is_event_name(bad), "{bad:?}");
        }
        assert!(is_label("a@b.c") && !is_resource("a@b.c"));
    }
}
