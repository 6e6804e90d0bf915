//! Which events go where.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::event::{Event, is_event_name};
use crate::id::{ConnectionId, RuleId, WorkspaceId};
use crate::ordering::Order;
use crate::time::Timestamp;

/// A routing rule of a workspace.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Rule {
    pub id: RuleId,
    pub workspace: WorkspaceId,
    pub connection: ConnectionId,
    /// The connection's type, which the contract shows with the rule.
    pub kind: String,
    /// An event's name, a prefix that ends in `.*`, or `*` alone.
    pub event: String,
    pub resource: Option<String>,
    pub resource_id: Option<String>,
    /// The text of its condition, as [`crate::condition::Condition`] reads it.
    pub condition: Option<String>,
    /// Whether its deliveries go out one after another.
    pub order: Option<Order>,
    /// The action and its inputs; `action` is always there.
    pub metadata: Map<String, Value>,
    /// The schema of a mapping of its own, as JSON text; see [`crate::mapping`].
    pub mapping: Option<Arc<str>>,
    pub active: bool,
    pub hidden: bool,
    pub created_by: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// Whether an event matched a rule, and if not, why.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Match {
    Matched,
    OtherEvent,
    OtherResource,
    OtherResourceId,
    Inactive,
    ConditionFalse,
    /// The condition came to nothing; the reason names its place, and no value of the payload.
    ConditionFailed(String),
}

impl Match {
    /// The word for it in the API.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Matched => "matched",
            Self::OtherEvent => "other_event",
            Self::OtherResource => "other_resource",
            Self::OtherResourceId => "other_resource_id",
            Self::Inactive => "inactive",
            Self::ConditionFalse => "condition_false",
            Self::ConditionFailed(_) => "condition_failed",
        }
    }
}

impl Rule {
    /// The action's key.
    pub fn action(&self) -> &str {
        self.metadata
            .get("action")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// Holds this rule, but not its condition, against an event of its workspace.
    /// [`crate::routing::Route::matches`] does both.
    pub(crate) fn matches(&self, event: &Event) -> Match {
        if !name_matches(&self.event, &event.event) {
            return Match::OtherEvent;
        }
        if self
            .resource
            .as_ref()
            .is_some_and(|resource| *resource != event.resource)
        {
            return Match::OtherResource;
        }
        if self.resource_id.is_some() && self.resource_id != event.resource_id {
            return Match::OtherResourceId;
        }
        if !self.active {
            return Match::Inactive;
        }
        Match::Matched
    }
}

/// Whether an event called `name` is meant by `pattern`: the same name, everything below a prefix
/// (`lesson.*` means `lesson.completed` and `lesson.quiz.passed`, not `lesson` nor `lessons.x`), or
/// everything (`*`).
pub fn name_matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        None => pattern == name,
        Some("") => true,
        Some(prefix) => name.len() > prefix.len() && name.starts_with(prefix),
    }
}

/// Whether a rule may have this pattern.
pub fn is_event_pattern(pattern: &str) -> bool {
    match pattern.strip_suffix(".*") {
        Some(prefix) => is_event_name(prefix),
        None => pattern == "*" || is_event_name(pattern),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::EventId;

    fn event(name: &str, resource: &str, resource_id: Option<&str>) -> Event {
        Event {
            id: EventId::new(Timestamp(0), [0; 10]),
            workspace: WorkspaceId::new(Timestamp(0), [0; 10]),
            event: name.into(),
            resource: resource.into(),
            resource_id: resource_id.map(Into::into),
            payload: "{}".into(),
            created_by: "test".into(),
            created_at: Timestamp(0),
        }
    }

    fn rule(pattern: &str, resource: Option<&str>, resource_id: Option<&str>, active: bool) -> Rule {
        Rule {
            id: RuleId::new(Timestamp(0), [0; 10]),
            workspace: WorkspaceId::new(Timestamp(0), [0; 10]),
            connection: ConnectionId::new(Timestamp(0), [0; 10]),
            kind: "webhook".into(),
            event: pattern.into(),
            resource: resource.map(Into::into),
            resource_id: resource_id.map(Into::into),
            condition: None,
            order: None,
            metadata: Map::new(),
            mapping: None,
            active,
            hidden: false,
            created_by: "test".into(),
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
        }
    }

    #[test]
    fn names_match_exactly_or_below_a_prefix() {
        let cases = [
            ("lesson.completed", "lesson.completed", true),
            ("lesson.completed", "lesson.completed.x", false),
            ("lesson.completed", "Lesson.completed", false),
            ("lesson.*", "lesson.completed", true),
            ("lesson.*", "lesson.quiz.passed", true),
            ("lesson.*", "lesson", false),
            ("lesson.*", "lesson.", false),
            ("lesson.*", "lessons.completed", false),
            ("*", "anything", true),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(name_matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_rule_narrows_by_resource_and_id_and_says_why_not() {
        let seen = event("a.b", "course", Some("c1"));
        let cases = [
            (rule("a.b", None, None, true), Match::Matched),
            (rule("a.b", Some("course"), None, true), Match::Matched),
            (rule("a.b", Some("course"), Some("c1"), true), Match::Matched),
            (rule("a.c", Some("course"), Some("c1"), true), Match::OtherEvent),
            (rule("a.b", Some("lesson"), None, true), Match::OtherResource),
            (
                rule("a.b", Some("course"), Some("c2"), true),
                Match::OtherResourceId,
            ),
            (rule("a.b", Some("course"), Some("c1"), false), Match::Inactive),
        ];
        for (rule, expected) in cases {
            assert_eq!(rule.matches(&seen), expected, "{rule:?}");
        }
        assert_eq!(
            rule("a.b", None, Some("c1"), true).matches(&event("a.b", "global", None)),
            Match::OtherResourceId
        );
    }

    #[test]
    fn a_pattern_is_a_name_a_prefix_or_everything() {
        for good in ["a", "a.b", "a.*", "a.b.*", "*"] {
            assert!(is_event_pattern(good), "{good}");
        }
        for bad in ["", "a*", ".*.*", "a.*.b", " a", "a\u{0}", "**"] {
            assert!(!is_event_pattern(bad), "{bad}");
        }
    }
}
