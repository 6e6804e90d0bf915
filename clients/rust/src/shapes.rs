//! What the API takes and gives. The members are those of its reference page, `/docs` on the server.
//!
//! Members that are added later are ignored, words that are added later become `Unknown`, so that a newer server
//! breaks no older client. What differs from destination to destination is an [`Object`].
#![allow(missing_docs)] // They are described there.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use crate::access::*;

/// Any JSON object.
pub type Object = Map<String, Value>;

/// A whole list, or a page of one.
#[derive(Clone, Debug, Deserialize)]
pub struct List<T> {
    pub count: u32,
    pub limit: u32,
    /// `None` on the last page.
    pub next_cursor: Option<String>,
    pub records: Vec<T>,
}

/// Words of the API.
macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($word:ident),+ $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($word,)+
            /// A word that this client does not know.
            #[serde(other)]
            Unknown,
        }
    )+};
}

words! {
    /// Of an event or a rule event.
    Status { Pending, Processing, Retrying, Completed, Failed, Canceled }
    /// How an attempt ended.
    OutcomeCode {
        Delivered, RejectedClientError, RejectedServerError, RateLimited, AuthFailed, Timeout,
        NetworkError, MappingError, InternalError,
    }
    /// Why a connection is inactive.
    InactiveReason {
        AuthenticationInvalid, OauthAuthorizationRevoked, OauthReauthorizationRequired, ManuallyInactivated,
    }
    /// What becomes of those behind a delivery that has failed, when a rule has an ordering key.
    OnFailure { Continue, Hold }
    /// Whether deliveries go out, as far as the destination works.
    Circuit { Closed, Open, Probing }
    /// By which rules a replay goes.
    ReplayRules { Original, Current }
    ReplayStatus { Running, Paused, Completed, Canceled }
    Role { Member, Admin, Owner }
    SessionType { Workspace, Resource, Dashboard }
    SessionStatus { Active, Revoked }
    LaunchPage { Dashboard, Connections, Rules, Events }
    KeyStatus { Active, Expired, Revoked }
    /// Whether a default mapping was written by somebody.
    MappingStatus { Stored, Generated }
}

#[derive(Clone, Debug, Deserialize)]
pub struct Workspace {
    pub id: String,
    pub name: String,
    pub description: Option<String>,
    pub created_at: String,
    pub updated_at: String,
    pub publishable_key: Option<PublishableKeyText>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct DeletedWorkspace {
    pub id: String,
    pub name: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct PublishableKeyText {
    pub public_key: String,
    pub name: String,
}

/// An event type, or a resource.
#[derive(Clone, Debug, Deserialize)]
pub struct Entry {
    pub id: String,
    pub key: String,
    pub label: String,
    pub description: Option<String>,
    pub active: bool,
    pub created_by: Option<String>,
    pub created_at: String,
    pub updated_at: String,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct CreateEntry {
    pub key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct DeletedEntry {
    pub id: String,
    pub key: String,
}

/// Counters.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
pub struct Counters {
    pub events: u64,
    pub bytes: u64,
    pub deliveries: u64,
    pub attempts: u64,
    pub delivered: u64,
    pub failed: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub struct UsageOfDay {
    pub day: String,
    #[serde(flatten)]
    pub counters: Counters,
}

#[derive(Clone, Debug, Deserialize)]
pub struct UsageOfWorkspace {
    pub workspace: String,
    #[serde(flatten)]
    pub counters: Counters,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Usage {
    pub from: String,
    pub to: String,
    pub total: Counters,
    pub days: Vec<UsageOfDay>,
    pub workspaces: Vec<UsageOfWorkspace>,
    /// Of the organization, or of the workspace that was asked for; `None` for a key that is limited to
    /// workspaces and asks for all of them, and from an engine that does not tell it yet.
    pub month: Option<Month>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct WorkspaceUsage {
    pub workspace: String,
    pub from: String,
    pub to: String,
    pub total: Counters,
    pub days: Vec<UsageOfDay>,
    pub month: Month,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Month {
    pub from: String,
    pub events: u64,
    pub limit: Option<u64>,
    pub resets_at: String,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct UsageFilter {
    pub workspace: Option<String>,
    /// A day, such as `2026-03-01`.
    pub from: Option<String>,
    pub to: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Limits {
    pub workspace: String,
    /// What holds.
    pub limits: Object,
    /// What was set for this workspace.
    pub own: Object,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Integration {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub authentication: Authentication,
    pub actions: Object,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Authentication {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub fields: Vec<Object>,
    pub oauth: Option<Object>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Connection {
    pub id: String,
    pub workspace: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub name: String,
    pub metadata: Object,
    pub active: bool,
    pub inactive_reason: Option<InactiveReason>,
    pub inactive_detail: Option<String>,
    pub hidden: bool,
    pub created_by: String,
    pub created_at: String,
    pub updated_at: String,
    pub check: Option<Check>,
    pub circuit: Option<Circuit>,
    pub next_probe_at: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Check {
    pub status: String,
    pub message: Option<String>,
    pub account: Option<String>,
    pub checked_at: String,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct CreateConnection {
    pub workspace: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub name: String,
    /// The destination's settings and secrets.
    pub metadata: Object,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hidden: Option<bool>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct DeletedConnection {
    pub id: String,
    #[serde(rename = "type")]
    pub kind: String,
}

/// Which live data to ask for.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ActionFilter {
    pub action: Option<String>,
    pub input: Option<String>,
    pub search: Option<String>,
    pub cursor: Option<String>,
    pub refresh: Option<bool>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct ActionData {
    pub connection_id: String,
    pub integration_type: String,
    /// By the action's key, then by the member of the rule's metadata.
    pub actions: BTreeMap<String, BTreeMap<String, Choices>>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Choices {
    #[serde(default)]
    pub choices: Vec<Choice>,
    pub next_cursor: Option<String>,
    #[serde(default)]
    pub stale: bool,
    pub error: Option<Trouble>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Choice {
    pub id: String,
    pub label: String,
    #[serde(default)]
    pub options: Vec<Choice>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Trouble {
    pub code: String,
    pub message: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct FieldCatalog {
    pub connection_id: String,
    pub integration_type: String,
    pub catalog_version: String,
    pub refreshed_at: String,
    pub fields: Vec<CatalogField>,
    pub stale: bool,
    pub error: Option<Trouble>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct CatalogField {
    pub key: String,
    pub label: Option<String>,
    #[serde(rename = "type")]
    pub kind: String,
    pub description: Option<String>,
    pub constraints: Option<Object>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct DefaultMapping {
    pub status: MappingStatus,
    pub mapping: Mapping,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Mapping {
    pub version: u64,
    pub name: String,
    pub schema: Object,
    pub catalog_version: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct PutMapping {
    pub schema: Object,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_version: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Rule {
    pub id: String,
    pub connection: String,
    pub workspace: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub resource: Option<String>,
    pub resource_id: Option<String>,
    pub event: String,
    pub metadata: Object,
    pub condition: Option<String>,
    pub ordering_key: Option<String>,
    /// There with an `ordering_key`.
    pub ordering_on_failure: Option<OnFailure>,
    pub mapping: Option<Object>,
    pub active: bool,
    pub hidden: bool,
    pub created_by: String,
    pub created_at: String,
    pub updated_at: String,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct CreateRule {
    pub workspace: String,
    pub connection: String,
    pub event: String,
    /// `action`, and what that action asks for.
    pub metadata: Object,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// An expression like a condition: deliveries for which it comes to the same go out one after another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ordering_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ordering_on_failure: Option<OnFailure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mapping: Option<Object>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hidden: Option<bool>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct DeletedRule {
    pub id: String,
    pub connection: String,
    pub event: String,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct RuleFilter {
    pub event: Option<String>,
    pub resource: Option<String>,
    pub resource_id: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct DryRun {
    pub checked: u32,
    pub matched: u32,
    /// How often each outcome came out.
    pub outcomes: BTreeMap<String, u32>,
    pub next_cursor: Option<String>,
    pub records: Vec<DryRunRecord>,
    /// What would be sent for the newest that matched, where that was asked for.
    pub preview: Option<DryRunPreview>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct DryRunPreview {
    pub event_id: String,
    /// The first request; credentials are not in it.
    pub request: Option<PreviewedRequest>,
    /// Why nothing would be sent.
    pub message: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct PreviewedRequest {
    pub method: String,
    pub url: String,
    pub headers: Vec<PreviewedHeader>,
    pub body: String,
    /// `utf8` or `base64`.
    pub body_encoding: String,
    /// Whether the body is longer than what is shown.
    pub truncated: bool,
}

#[derive(Clone, Debug, Deserialize)]
pub struct PreviewedHeader {
    pub name: String,
    pub value: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct DryRunRecord {
    pub event_id: String,
    pub event: String,
    pub matched: bool,
    pub outcome: String,
    pub reason: String,
}

/// Which events, and which page of them.
#[derive(Clone, Debug, Default, Serialize)]
pub struct EventFilter {
    pub event: Option<String>,
    pub resource: Option<String>,
    pub resource_id: Option<String>,
    pub status: Option<Status>,
    pub limit: Option<u32>,
    pub cursor: Option<String>,
}

/// Which page.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Page {
    pub limit: Option<u32>,
    pub cursor: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Event {
    pub id: String,
    pub event: String,
    pub resource: Option<String>,
    pub resource_id: Option<String>,
    pub workspace: String,
    pub created_by: String,
    pub created_at: String,
    pub status: Status,
    pub total_rules: u32,
    pub completed_count: u32,
    pub failed_count: u32,
    pub started_at: Option<String>,
    pub completed_at: Option<String>,
    /// When one event is read.
    #[serde(default)]
    pub rule_events: Vec<RuleEvent>,
    /// When it is read with its payload, and that is still kept.
    pub payload: Option<Object>,
    /// Whether it was read with its payload, and that is no longer kept.
    #[serde(default)]
    pub payload_gone: bool,
}

/// A delivery: one event by one rule.
#[derive(Clone, Debug, Deserialize)]
pub struct RuleEvent {
    pub id: String,
    pub workspace: String,
    pub event: String,
    pub event_id: String,
    pub connection: String,
    pub rule: String,
    pub integration_type: String,
    pub status: Status,
    pub attempt_count: u32,
    pub started_at: Option<String>,
    pub completed_at: Option<String>,
    pub next_attempt_at: Option<String>,
    /// The event whose delivery by this rule comes first: it has the same ordering key.
    pub waits_for: Option<String>,
    /// It has failed, and those behind it with the same ordering key wait for it.
    #[serde(default)]
    pub holds_others: bool,
    pub last_error: Option<String>,
    pub created_at: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Attempt {
    pub id: String,
    pub event_id: String,
    pub rule: String,
    pub rule_event_id: String,
    pub number: u32,
    pub outcome_code: OutcomeCode,
    pub message: String,
    pub started_at: String,
    pub completed_at: String,
    pub duration_ms: u64,
    pub steps: u32,
    pub status_code: Option<u16>,
    pub request: Option<AttemptRequest>,
    pub has_response_details: bool,
}

#[derive(Clone, Debug, Deserialize)]
pub struct AttemptRequest {
    pub method: String,
    pub url: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct ResponseDetails {
    pub attempt_id: String,
    pub status_code: u16,
    pub headers: Object,
    pub body: String,
    /// `utf8` or `base64`.
    pub body_encoding: String,
    pub truncated: bool,
}

/// What a rule made of an event.
#[derive(Clone, Debug, Deserialize)]
pub struct Explained {
    pub rule: String,
    pub connection: String,
    pub matched: bool,
    pub outcome: String,
    pub reason: String,
    pub now: Option<String>,
    pub changed_since: bool,
    pub rule_deleted: bool,
    pub connection_active: bool,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct ExplainFilter {
    pub matched: Option<bool>,
    pub limit: Option<u32>,
    pub cursor: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct ReplayRequest {
    pub workspace: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// `failed` when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub status: Vec<Status>,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules: Option<ReplayRules>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct ReplayPreview {
    pub count: u64,
    pub exact: bool,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Replay {
    pub id: String,
    pub workspace: String,
    pub rules: ReplayRules,
    pub rate: u32,
    pub status: ReplayStatus,
    pub total: u64,
    pub processed: u64,
    pub replayed: u64,
    pub created: u64,
    pub skipped: u64,
    pub created_by: String,
    pub created_at: String,
    pub updated_at: String,
    pub completed_at: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct ReplayListFilter {
    pub workspace: Option<String>,
    pub limit: Option<u32>,
    pub cursor: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_newer_server_breaks_no_older_client() {
        let preview: ReplayPreview =
            serde_json::from_value(json!({"count": 1, "exact": true, "new": {}})).unwrap();
        assert_eq!(preview.count, 1);
        let status: Status = serde_json::from_value(json!("a_new_word")).unwrap();
        assert_eq!(status, Status::Unknown);
    }

    #[test]
    fn words_are_written_as_the_api_has_them() {
        let word = |value| serde_json::to_value(value).unwrap();
        assert_eq!(word(OutcomeCode::RejectedClientError), "rejected_client_error");
        assert_eq!(serde_json::to_value(Status::Canceled).unwrap(), "canceled");
    }
}
