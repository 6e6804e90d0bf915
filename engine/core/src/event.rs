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

/// Whether `name` can be an event's name: 1 to 128 bytes, no white space or control characters,
/// and no `*`, which only a rule may end in.
pub fn is_event_name(name: &str) -> bool {
    (1..=MAX_EVENT_NAME_BYTES).contains(&name.len())
        && !name
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || c == '*')
}

/// Whether `text` can be a `resource` or a `resource_id`: the contract's `^[A-Za-z0-9._:-]{1,64}$`.
pub fn is_resource(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte))
}
