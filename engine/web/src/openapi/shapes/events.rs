//! Events, deliveries and attempts.

use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

#[derive(ToSchema)]
pub struct EmitEvent {
    /// Dot-separated by convention.
    #[schema(min_length = 1, max_length = 128)]
    event: String,
    /// Any JSON object, at most 256 KiB and 64 levels deep; kept byte for byte. An `email` at its top must
    /// be an address.
    #[schema(value_type = Object)]
    payload: Value,
    /// `global` when absent.
    #[schema(max_length = 64)]
    resource: Option<String>,
    #[schema(max_length = 64)]
    resource_id: Option<String>,
    #[schema(pattern = "^event$")]
    r#type: Option<String>,
    /// Required with a machine token of several workspaces; settled by a publishable key.
    workspace: Option<Uuid>,
    /// The event's idempotency key.
    id: Option<String>,
}

#[derive(ToSchema)]
pub struct AcceptedEvent {
    id: Uuid,
    event: String,
    resource: Option<String>,
    resource_id: Option<String>,
    #[schema(pattern = "^event$")]
    r#type: String,
    workspace: Uuid,
    created_by: String,
    #[schema(format = DateTime)]
    created_at: String,
}

#[derive(ToSchema)]
pub struct EmittedEvent {
    event: AcceptedEvent,
}

/// Each record stands at its item's place: the event, or an error.
#[derive(ToSchema)]
pub struct EmittedBulk {
    count: u32,
    /// Absent when all were accepted.
    error_count: Option<u32>,
    #[schema(value_type = Vec<Object>)]
    records: Vec<Value>,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum Status {
    Pending,
    Processing,
    Retrying,
    Completed,
    Failed,
    Canceled,
}

#[derive(ToSchema)]
pub struct Event {
    id: Uuid,
    event: String,
    resource: Option<String>,
    resource_id: Option<String>,
    r#type: String,
    workspace: Uuid,
    created_by: String,
    #[schema(format = DateTime)]
    created_at: String,
    status: Status,
    /// How many rules it matched.
    total_rules: u32,
    completed_count: u32,
    failed_count: u32,
    #[schema(format = DateTime)]
    started_at: Option<String>,
    #[schema(format = DateTime)]
    completed_at: Option<String>,
    /// In the answer to `GET` of one event.
    rule_events: Option<Vec<RuleEvent>>,
}

#[derive(ToSchema)]
pub struct EventWithPayload {
    #[schema(inline)]
    #[serde(flatten)]
    event: Event,
    /// Byte for byte as it was sent; `null` when it is no longer kept.
    #[schema(value_type = Option<Object>, required)]
    payload: Value,
    /// Only there, and `true`, when the payload is past its time.
    payload_gone: Option<bool>,
}

/// A delivery: one event by one rule.
#[derive(ToSchema)]
pub struct RuleEvent {
    /// The same in every attempt: the receiver's deduplication key.
    id: Uuid,
    #[schema(pattern = "^rule$")]
    r#type: String,
    workspace: Uuid,
    event: String,
    event_id: Uuid,
    resource: Option<String>,
    resource_id: Option<String>,
    connection: Uuid,
    rule: Uuid,
    integration_type: String,
    status: Status,
    attempt_count: u32,
    #[schema(format = DateTime)]
    started_at: Option<String>,
    #[schema(format = DateTime)]
    completed_at: Option<String>,
    #[schema(format = DateTime)]
    next_attempt_at: Option<String>,
    /// The event whose delivery by this rule comes first: it has the same ordering key.
    waits_for: Option<Uuid>,
    /// `true` when it has failed, and those behind it with the same ordering key wait until it is tried
    /// again with success, or canceled.
    holds_others: Option<bool>,
    last_error: Option<String>,
    created_by: String,
    #[schema(format = DateTime)]
    created_at: String,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum OutcomeCode {
    Delivered,
    RejectedClientError,
    RejectedServerError,
    RateLimited,
    AuthFailed,
    Timeout,
    NetworkError,
    MappingError,
    InternalError,
}

#[derive(ToSchema)]
pub struct Attempt {
    id: Uuid,
    event_id: Uuid,
    rule: Uuid,
    rule_event_id: Uuid,
    /// Counted from 1 over the delivery's whole life.
    #[schema(minimum = 1)]
    number: u32,
    outcome_code: OutcomeCode,
    message: String,
    #[schema(format = DateTime)]
    started_at: String,
    #[schema(format = DateTime)]
    completed_at: String,
    duration_ms: u64,
    /// How many requests it made.
    steps: u32,
    /// The HTTP status of the last answer.
    status_code: Option<u16>,
    request: Option<AttemptRequest>,
    has_response_details: bool,
}

/// The last request that was made.
#[derive(ToSchema)]
pub struct AttemptRequest {
    method: String,
    /// Without its query.
    url: String,
}

/// What a destination answered to an attempt that failed.
#[derive(ToSchema)]
pub struct ResponseDetails {
    attempt_id: Uuid,
    status_code: u16,
    #[schema(value_type = Object)]
    headers: Value,
    body: String,
    body_encoding: BodyEncoding,
    truncated: bool,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum BodyEncoding {
    Utf8,
    Base64,
}
