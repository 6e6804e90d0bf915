//! Workspaces, their catalogs, connections.

use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

#[derive(ToSchema)]
pub struct Workspace {
    id: Uuid,
    name: String,
    #[schema(required)]
    description: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
    /// The newest that is good, `null` when none is. In the answers to `GET` of one workspace and to `POST`,
    /// for callers with `keys:read`.
    publishable_key: Option<PublishableKeyText>,
}

#[derive(ToSchema)]
pub struct PublishableKeyText {
    /// Safe in a browser: it emits events into its workspace and opens nothing else.
    #[schema(pattern = r"^mesh_pub_([A-Za-z0-9\-.]+)_([A-Za-z0-9\-.]+)_([^_]+)$")]
    public_key: String,
    name: String,
}

#[derive(ToSchema)]
pub struct CreatedWorkspace {
    workspace: Workspace,
}

#[derive(ToSchema)]
pub struct CreateWorkspace {
    #[schema(min_length = 3, max_length = 50, pattern = "^[a-zA-Z0-9 _-]+$")]
    name: String,
    #[schema(max_length = 1024)]
    description: Option<String>,
}

#[derive(ToSchema)]
pub struct DeleteWorkspace {
    /// The workspace's name.
    confirm: String,
}

#[derive(ToSchema)]
pub struct DeletedWorkspace {
    id: Uuid,
    name: String,
}

#[derive(ToSchema)]
pub struct CreateConnection {
    workspace: Uuid,
    /// One of `GET /integrations`.
    r#type: String,
    #[schema(min_length = 1, max_length = 128, pattern = "^[A-Za-z0-9 _-]+$")]
    name: String,
    /// The destination's settings and secrets, as `GET /integrations` asks for them; also
    /// `retry_schedule` and `concurrency`.
    #[schema(value_type = Object)]
    metadata: Value,
    /// `true` when absent.
    active: Option<bool>,
    hidden: Option<bool>,
}

#[derive(ToSchema)]
pub struct UpdateConnection {
    #[schema(min_length = 1, max_length = 128, pattern = "^[A-Za-z0-9 _-]+$")]
    name: String,
    /// A secret that is absent, or the mask that an answer showed, stays as it is; `null` removes it.
    #[schema(value_type = Object)]
    metadata: Value,
    /// `false` holds its deliveries back until it is `true` again.
    active: Option<bool>,
    hidden: Option<bool>,
}

#[derive(ToSchema)]
pub struct DeleteConnection {
    /// Deletes its rules too.
    force_delete: Option<bool>,
}

#[derive(ToSchema)]
pub struct Connection {
    id: Uuid,
    workspace: Uuid,
    r#type: String,
    name: String,
    /// Secrets are masked; one that Heddle has just made is shown this once.
    #[schema(value_type = Object)]
    metadata: Value,
    #[schema(value_type = Option<Object>)]
    action_data: Option<Value>,
    active: bool,
    #[schema(value_type = Option<InactiveReason>)]
    inactive_reason: Option<InactiveReason>,
    /// Why it is inactive, in a sentence.
    inactive_detail: Option<String>,
    hidden: bool,
    created_by: String,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
    /// What the destination said when it was last asked whether the connection works.
    check: Option<Check>,
    circuit: Option<Circuit>,
    /// Where the circuit is open: when the next delivery may go out, to see.
    #[schema(format = DateTime)]
    next_probe_at: Option<String>,
}

/// Whether deliveries go out, as far as the destination works: `closed` they do, `open` they wait since
/// it failed again and again, `probing` one is under way, to see.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum Circuit {
    Closed,
    Open,
    Probing,
}

#[derive(ToSchema)]
pub struct Check {
    status: String,
    message: Option<String>,
    /// Whose account it is, if the destination says.
    account: Option<String>,
    #[schema(format = DateTime)]
    checked_at: String,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum InactiveReason {
    AuthenticationInvalid,
    OauthAuthorizationRevoked,
    OauthReauthorizationRequired,
    ManuallyInactivated,
}

#[derive(ToSchema)]
pub struct CreatedConnection {
    connection: Connection,
}

#[derive(ToSchema)]
pub struct DeletedConnection {
    id: Uuid,
    r#type: String,
}

/// A destination that can be connected.
#[derive(ToSchema)]
pub struct Integration {
    name: String,
    r#type: String,
    authentication: Authentication,
    /// By key.
    #[schema(value_type = Object)]
    actions: Value,
}

#[derive(ToSchema)]
pub struct Authentication {
    r#type: AuthenticationType,
    #[schema(value_type = Option<Vec<Object>>)]
    fields: Option<Vec<Value>>,
    #[schema(value_type = Option<Object>)]
    oauth: Option<Value>,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum AuthenticationType {
    ApiKey,
    Basic,
    None,
    Oauth,
}

/// What a workspace calls its events or resources. It describes and does not restrict.
#[derive(ToSchema)]
pub struct Entry {
    id: Uuid,
    /// The event's name, or the resource.
    key: String,
    label: String,
    #[schema(required)]
    description: Option<String>,
    active: bool,
    /// `null` for those that every workspace has from the start.
    #[schema(required)]
    created_by: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
}

#[derive(ToSchema)]
pub struct CreateEntry {
    key: String,
    label: Option<String>,
    description: Option<String>,
    active: Option<bool>,
}

#[derive(ToSchema)]
pub struct UpdateEntry {
    key: Option<String>,
    label: Option<String>,
    description: Option<String>,
    active: Option<bool>,
}

#[derive(ToSchema)]
pub struct CreatedEventType {
    event_type: Entry,
}

#[derive(ToSchema)]
pub struct CreatedResource {
    resource: Entry,
}

#[derive(ToSchema)]
pub struct DeletedEntry {
    id: Uuid,
    key: String,
}
