//! Sessions, keys, usage and limits.

use utoipa::ToSchema;
use uuid::Uuid;

#[derive(ToSchema)]
pub struct MachineKey {
    access_key: String,
    organization_id: Uuid,
    name: String,
    /// All of them when the key is not limited.
    permissions: Vec<String>,
    /// `null` when the key is not limited.
    #[schema(required)]
    workspaces: Option<Vec<Uuid>>,
    status: MachineKeyStatus,
    created_by: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    #[schema(format = DateTime)]
    revoked_at: Option<String>,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum MachineKeyStatus {
    Active,
    Expired,
    Revoked,
}

#[derive(ToSchema)]
pub struct CreateMachineKey {
    #[schema(min_length = 1, max_length = 128)]
    name: String,
    /// As the caller's own when absent.
    permissions: Option<Vec<String>>,
    /// As the caller's own when absent.
    workspaces: Option<Vec<Uuid>>,
    #[schema(minimum = 1)]
    expires_in_seconds: Option<u64>,
}

#[derive(ToSchema)]
pub struct CreatedMachineKey {
    key: MachineKey,
    /// Shown this once.
    secret_key: String,
}

#[derive(ToSchema)]
pub struct Revoked {
    /// `false` when it was revoked before.
    revoked: bool,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum Role {
    Member,
    Admin,
    Owner,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum SessionType {
    Workspace,
    Resource,
    Dashboard,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum LaunchPage {
    Dashboard,
    Connections,
    Rules,
    Events,
}

#[derive(ToSchema)]
pub struct CreateSession {
    workspace_id: Uuid,
    role: Option<Role>,
    session_type: Option<SessionType>,
    #[schema(max_length = 255)]
    external_user_id: Option<String>,
    #[schema(minimum = 300, maximum = 3600, default = 1800)]
    ttl_seconds: Option<u32>,
    #[schema(minimum = 15, maximum = 60, default = 30)]
    launch_ttl_seconds: Option<u32>,
    launch_page: Option<LaunchPage>,
    /// The same as `launch_page`.
    launch_path: Option<LaunchPage>,
    /// Only and always for a session of type `resource`.
    resource: Option<String>,
    resource_id: Option<String>,
    #[schema(max_items = 10)]
    allowed_origins: Option<Vec<String>>,
    /// Only `events.payload:read`.
    #[schema(max_items = 20)]
    scopes: Option<Vec<String>>,
}

/// A session with its access token; `launch_…` only when it is new.
#[derive(ToSchema)]
pub struct GrantedSession {
    #[schema(pattern = "^sess_[0-9a-f-]{36}$")]
    session_id: String,
    access_token: String,
    /// Seconds.
    expires_in: u64,
    #[schema(format = DateTime)]
    expires_at: String,
    launch_token: Option<String>,
    #[schema(format = DateTime)]
    launch_expires_at: Option<String>,
    launch_url: Option<String>,
    workspace_id: Uuid,
    role: Role,
    session_type: SessionType,
    resource: Option<String>,
    resource_id: Option<String>,
}

#[derive(ToSchema)]
pub struct Session {
    session_id: String,
    workspace_id: Uuid,
    role: Role,
    external_user_id: Option<String>,
    status: SessionStatus,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    expires_at: String,
    is_expired: bool,
    session_type: SessionType,
    resource: Option<String>,
    resource_id: Option<String>,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum SessionStatus {
    Active,
    Revoked,
}

#[derive(ToSchema)]
pub struct UsageCounters {
    events: u64,
    /// Of payloads.
    bytes: u64,
    deliveries: u64,
    attempts: u64,
    delivered: u64,
    failed: u64,
}

#[derive(ToSchema)]
pub struct UsageOfDay {
    #[schema(format = Date)]
    day: String,
    events: u64,
    bytes: u64,
    deliveries: u64,
    attempts: u64,
    delivered: u64,
    failed: u64,
}

#[derive(ToSchema)]
pub struct UsageOfWorkspace {
    workspace: Uuid,
    events: u64,
    bytes: u64,
    deliveries: u64,
    attempts: u64,
    delivered: u64,
    failed: u64,
}

/// Days are in UTC.
#[derive(ToSchema)]
pub struct Usage {
    #[schema(format = Date)]
    from: String,
    #[schema(format = Date)]
    to: String,
    total: UsageCounters,
    /// Those on which something was done, the earliest first.
    days: Vec<UsageOfDay>,
    /// Those in which something was done.
    workspaces: Vec<UsageOfWorkspace>,
    /// Of the organization, or of the workspace that was asked for; `null` when a key that is limited to
    /// workspaces asks for all of them.
    #[schema(required)]
    month: Option<MonthUsage>,
}

#[derive(ToSchema)]
pub struct WorkspaceUsage {
    workspace: Uuid,
    #[schema(format = Date)]
    from: String,
    #[schema(format = Date)]
    to: String,
    total: UsageCounters,
    days: Vec<UsageOfDay>,
    month: MonthUsage,
}

/// How much of the month's quota is used.
#[derive(ToSchema)]
pub struct MonthUsage {
    #[schema(format = Date)]
    from: String,
    events: u64,
    /// `null` is without limit.
    #[schema(required)]
    limit: Option<u64>,
    #[schema(format = DateTime)]
    resets_at: Option<String>,
}

/// `null` is without limit.
#[derive(ToSchema)]
pub struct LimitSet {
    /// Events a second, such as `100/1s`.
    #[schema(required)]
    rate: Option<String>,
    #[schema(required)]
    events_per_month: Option<u64>,
    #[schema(required)]
    connections: Option<u64>,
    #[schema(required)]
    rules: Option<u64>,
    /// Days for which payloads are kept after their event ended; `null` is for ever.
    #[schema(required)]
    payload_days: Option<u32>,
    /// The same of attempts and their answers.
    #[schema(required)]
    attempt_days: Option<u32>,
    /// The same of events and their deliveries.
    #[schema(required)]
    event_days: Option<u32>,
}

#[derive(ToSchema)]
pub struct WorkspaceLimits {
    workspace: Uuid,
    /// What holds.
    limits: LimitSet,
    /// What was set for this workspace; `null` is as for all.
    own: LimitSet,
}

#[derive(ToSchema)]
pub struct PutLimits {
    rate: Option<String>,
    events_per_month: Option<u64>,
    connections: Option<u64>,
    rules: Option<u64>,
    /// Not more than `attempt_days`.
    #[schema(maximum = 36_500)]
    payload_days: Option<u32>,
    /// Not more than `event_days`.
    #[schema(maximum = 36_500)]
    attempt_days: Option<u32>,
    #[schema(minimum = 1, maximum = 36_500)]
    event_days: Option<u32>,
}

#[derive(ToSchema)]
pub struct PublishableKey {
    id: Uuid,
    name: String,
    /// For callers with `keys:read`.
    public_key: Option<String>,
    status: PublishableKeyStatus,
    /// Empty: pages of any origin.
    allowed_origins: Vec<String>,
    created_by: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum PublishableKeyStatus {
    Active,
    Expired,
}

#[derive(ToSchema)]
pub struct CreatePublishableKey {
    #[schema(min_length = 1, max_length = 128)]
    name: Option<String>,
    /// The former keys end after this time; without it they stay.
    #[schema(maximum = 31_622_400)]
    overlap_seconds: Option<u64>,
    #[schema(max_items = 10)]
    allowed_origins: Option<Vec<String>>,
    #[schema(minimum = 1, maximum = 316_224_000)]
    expires_in_seconds: Option<u64>,
}

#[derive(ToSchema)]
pub struct CreatedPublishableKey {
    publishable_key: PublishableKey,
}

#[derive(ToSchema)]
pub struct DeletedPublishableKey {
    id: Uuid,
    name: String,
}
