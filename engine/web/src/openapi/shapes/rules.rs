//! Rules, why they match, and replays.

use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Status;

#[derive(ToSchema)]
pub struct CreateRule {
    workspace: Uuid,
    connection: Uuid,
    /// An event's name, a prefix that ends in `.*`, or `*`.
    #[schema(min_length = 1, max_length = 128)]
    event: String,
    /// `action`, and what that action asks for.
    #[schema(value_type = Object)]
    metadata: Value,
    #[schema(max_length = 64)]
    resource: Option<String>,
    #[schema(pattern = "^[A-Za-z0-9._:-]{1,64}$")]
    resource_id: Option<String>,
    /// A CEL expression over `event` and `payload`.
    condition: Option<String>,
    /// A CEL expression over `event` and `payload`: the deliveries for which it comes to the same go out
    /// one after another, in the order of acceptance.
    ordering_key: Option<String>,
    /// What becomes of those behind a delivery that has failed: `continue` when absent.
    ordering_on_failure: Option<OnFailure>,
    /// Wins over the connection's default mapping.
    #[schema(value_type = Option<Object>)]
    mapping: Option<Value>,
    active: Option<bool>,
    hidden: Option<bool>,
}

#[derive(ToSchema)]
pub struct UpdateRule {
    /// The rule's own.
    workspace: Option<Uuid>,
    connection: Option<Uuid>,
    #[schema(min_length = 1, max_length = 128)]
    event: Option<String>,
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
    resource: Option<String>,
    resource_id: Option<String>,
    condition: Option<String>,
    /// `null` removes it.
    ordering_key: Option<String>,
    ordering_on_failure: Option<OnFailure>,
    #[schema(value_type = Option<Object>)]
    mapping: Option<Value>,
    active: Option<bool>,
    hidden: Option<bool>,
}

#[derive(ToSchema)]
pub struct Rule {
    id: Uuid,
    connection: Uuid,
    workspace: Uuid,
    /// The connection's type.
    r#type: String,
    resource: Option<String>,
    resource_id: Option<String>,
    event: String,
    #[schema(value_type = Object)]
    metadata: Value,
    condition: Option<String>,
    ordering_key: Option<String>,
    /// There with an `ordering_key`.
    ordering_on_failure: Option<OnFailure>,
    #[schema(value_type = Option<Object>)]
    mapping: Option<Value>,
    active: bool,
    hidden: bool,
    created_by: String,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
}

/// What becomes of those behind a delivery that has failed for good.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum OnFailure {
    /// The next one goes on.
    Continue,
    /// They wait until it is tried again with success, or canceled.
    Hold,
}

#[derive(ToSchema)]
pub struct CreatedRule {
    rule: Rule,
}

#[derive(ToSchema)]
pub struct DeletedRule {
    id: Uuid,
    connection: Uuid,
    r#type: String,
    event: String,
    resource: Option<String>,
    resource_id: Option<String>,
}

#[derive(ToSchema)]
pub struct ReplayRequest {
    workspace: Uuid,
    rule: Option<Uuid>,
    connection: Option<Uuid>,
    /// Of events of this name.
    event: Option<String>,
    /// `failed` when absent; one status or several.
    #[schema(value_type = Option<EndedStatuses>)]
    status: Option<Value>,
    /// RFC 3339, or milliseconds since 1970.
    #[schema(value_type = Option<Instant>)]
    from: Option<Value>,
    #[schema(value_type = Option<Instant>)]
    to: Option<Value>,
    rules: Option<ReplayRules>,
    /// Rows a second.
    #[schema(minimum = 1, maximum = 10000, default = 100)]
    rate: Option<u32>,
    paused: Option<bool>,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum EndedStatus {
    Completed,
    Failed,
    Canceled,
}

#[derive(ToSchema)]
#[serde(untagged)]
pub enum EndedStatuses {
    One(EndedStatus),
    Many(Vec<EndedStatus>),
}

#[derive(ToSchema)]
#[serde(untagged)]
pub enum Instant {
    Text(String),
    Milliseconds(i64),
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum ReplayRules {
    Original,
    Current,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum ReplayStatus {
    Running,
    Paused,
    Completed,
    Canceled,
}

#[derive(ToSchema)]
pub struct ReplayPreview {
    count: u32,
    /// Whether that is all: counting looks at 200,000 rows at most.
    exact: bool,
}

#[derive(ToSchema)]
pub struct Replay {
    id: Uuid,
    workspace: Uuid,
    rules: ReplayRules,
    filter: ReplayFilter,
    rate: u32,
    status: ReplayStatus,
    /// What it was to look at when it was made: deliveries, or events with the rules of now.
    total: u32,
    processed: u32,
    replayed: u32,
    created: u32,
    skipped: u32,
    created_by: String,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
    #[schema(format = DateTime, required)]
    completed_at: Option<String>,
}

#[derive(ToSchema)]
pub struct ReplayFilter {
    #[schema(required)]
    rule: Option<String>,
    #[schema(required)]
    connection: Option<String>,
    #[schema(required)]
    event: Option<String>,
    status: Vec<Status>,
    #[schema(required)]
    from: Option<String>,
    #[schema(required)]
    to: Option<String>,
}

#[derive(ToSchema)]
pub struct CreatedReplay {
    replay: Replay,
}

/// A rule, and what it made of an event.
#[derive(ToSchema)]
pub struct Explained {
    rule: Uuid,
    connection: Uuid,
    r#type: String,
    /// Whether it led to a delivery, whatever it would do now.
    matched: bool,
    outcome: String,
    /// For people.
    reason: String,
    /// What the rule as it is now makes of the event; absent when it is deleted.
    now: Option<String>,
    /// Whether the rule was changed after the event.
    changed_since: bool,
    rule_deleted: bool,
    connection_active: bool,
    /// What the condition, as it is now, comes to.
    condition: Option<Explanation>,
    rule_event: Option<ExplainedRuleEvent>,
}

#[derive(ToSchema)]
pub struct ExplainedRuleEvent {
    id: Uuid,
    status: Status,
    /// The event whose delivery by this rule comes first.
    waits_for: Option<Uuid>,
}

/// What a condition came to.
#[derive(ToSchema)]
pub struct Explanation {
    /// `null` when it failed.
    #[schema(required)]
    result: Option<bool>,
    failure: Option<String>,
    /// The smallest part that alone decided.
    #[schema(value_type = Object)]
    decisive: Value,
}

#[derive(ToSchema)]
pub struct DryRunRequest {
    workspace: Uuid,
    /// A stored rule; or else `rule`.
    rule_id: Option<Uuid>,
    /// One that is not saved: `event`, `resource`, `resource_id`, `condition`; with `preview` also
    /// `connection` and `metadata`, and perhaps `mapping`.
    #[schema(value_type = Option<Object>)]
    rule: Option<Value>,
    /// How many of the newest events.
    #[schema(minimum = 1, maximum = 1000, default = 100)]
    last: Option<u32>,
    cursor: Option<String>,
    /// Whether to show what would be sent for the newest event that matched.
    preview: Option<bool>,
}

#[derive(ToSchema)]
pub struct DryRun {
    workspace: Uuid,
    /// Events that the rule was held against.
    checked: u32,
    matched: u32,
    /// How often each outcome came out.
    outcomes: std::collections::BTreeMap<String, u32>,
    #[schema(required)]
    next_cursor: Option<String>,
    /// The newest first.
    records: Vec<DryRunRecord>,
    /// What would be sent for the newest that matched.
    preview: Option<DryRunPreview>,
}

#[derive(ToSchema)]
pub struct DryRunPreview {
    event_id: Uuid,
    /// The first request; credentials are not in it.
    request: Option<PreviewedRequest>,
    /// Why nothing would be sent.
    message: Option<String>,
}

#[derive(ToSchema)]
pub struct PreviewedRequest {
    method: String,
    url: String,
    headers: Vec<PreviewedHeader>,
    body: String,
    /// `utf8` or `base64`.
    body_encoding: String,
    /// Whether the body is longer than what is shown.
    truncated: bool,
}

#[derive(ToSchema)]
pub struct PreviewedHeader {
    name: String,
    value: String,
}

#[derive(ToSchema)]
pub struct DryRunRecord {
    event_id: Uuid,
    event: String,
    resource: String,
    resource_id: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    matched: bool,
    outcome: String,
    /// For people.
    reason: String,
    condition: Option<Explanation>,
}
