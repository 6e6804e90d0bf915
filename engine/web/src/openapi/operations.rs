//! Each operation in words. The ids in the examples stand for real ones: `…0001` is a workspace, `…0002` a
//! connection, `…0004` an event.

use serde_json::{Value, json};

use super::Operation;
use super::builder::{delete, get, post, put};
use super::shapes::*;

/// The parts of the API.
pub const TAGS: &[(&str, &str)] = &[
    ("Events", "Emit them, read them, follow their deliveries."),
    (
        "Workspaces",
        "The tenant boundary: one for each of a product's customers.",
    ),
    ("Connections", "Configured destinations."),
    ("Rules", "Which events go where."),
    ("Replays", "Many deliveries tried anew."),
    ("Sessions", "Pages embedded in a product."),
    ("Keys", "Machine keys and publishable keys."),
    ("Usage", "Counters and limits."),
];

/// Stands for a workspace.
pub const WORKSPACE: &str = "01981f6e-7d3c-7000-8000-000000000001";
/// Stands for a connection of it.
pub const CONNECTION: &str = "01981f6e-7d3c-7000-8000-000000000002";
/// Stands for an event that the rule delivered.
pub const EVENT: &str = "01981f6e-7d3c-7000-8000-000000000004";

/// The schema of a name in a path.
pub fn path_schema(name: &str) -> Value {
    match name {
        "access_key" => json!({"type": "string", "pattern": "^mk_[A-Za-z0-9_-]{22,}$"}),
        "session" => json!({"type": "string", "pattern": "^sess_[0-9a-f-]{36}$"}),
        _ => json!({"type": "string", "format": "uuid"}),
    }
}

/// An error of that status, as the API words it.
pub fn error_example(status: u16) -> Value {
    let (name, message, code, explanation) = match status {
        400 => (
            "BadRequest",
            "Bad Request",
            "invalid_request",
            "name: is required",
        ),
        401 => (
            "Unauthorized",
            "Unauthorized",
            "token_expired",
            "The machine token has expired.",
        ),
        403 => (
            "Forbidden",
            "Forbidden",
            "permission_missing",
            "This credential lacks the permission rules:write.",
        ),
        404 => ("NotFound", "Not Found", "not_found", "There is no such rule."),
        408 => (
            "RequestTimeout",
            "Request Timeout",
            "body_timeout",
            "The body did not arrive in time.",
        ),
        409 => ("Conflict", "Conflict", "already_final", "It has ended already."),
        413 => (
            "PayloadTooLarge",
            "Payload Too Large",
            "payload_too_large",
            "The body is too large.",
        ),
        422 => (
            "UnprocessableEntity",
            "Unprocessable Entity",
            "idempotency_key_reused",
            "The key came with another body before.",
        ),
        425 => (
            "TooEarly",
            "Too Early",
            "retry_too_early",
            "An attempt is under way.",
        ),
        429 => (
            "TooManyRequests",
            "Too Many Requests",
            "rate_limited",
            "Too many requests; wait a second.",
        ),
        503 => (
            "ServiceUnavailable",
            "Service Unavailable",
            "unavailable",
            "Nothing was stored. Try again in a moment.",
        ),
        _ => (
            "InternalServerError",
            "Internal Server Error",
            "internal_error",
            "Something failed inside Heddle. The log names this request's id.",
        ),
    };
    let mut example = json!({"message": message, "error": {"name": name, "message": explanation},
                             "code": code, "request_id": "01981f6e-7d3c-7000-8000-00000000000a"});
    if status == 400 {
        example["error"]["data"] = json!([{"param": "name", "msg": "is required"}]);
    }
    example
}

/// All of them, in the order of the document.
pub fn all() -> Vec<Operation> {
    [
        events(),
        workspaces(),
        catalog(),
        connections(),
        rules(),
        replays(),
        sessions(),
        keys(),
        usage(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn idempotency_key(operation: Operation) -> Operation {
    operation.header(
        "Idempotency-Key",
        "The same key with the same body gives the first answer again, with `Idempotent-Replay: true`; kept for 24 hours.",
        json!({"type": "string", "minLength": 1, "maxLength": 255}),
    )
}

fn events() -> Vec<Operation> {
    const TAG: &str = "Events";
    let event = json!({"event": "lesson.completed", "resource": "course", "resource_id": "creator-accelerator",
                       "payload": {"email": "nina@academyflow.io", "first_name": "Nina", "lesson": "Hooks"},
                       "workspace": WORKSPACE});
    let accepted = json!({"id": EVENT, "event": "lesson.completed", "resource": "course",
                          "resource_id": "creator-accelerator", "type": "event", "workspace": WORKSPACE,
                          "created_by": "mk_K300JXWRTD1vrBFTTcaq90Hk", "created_at": "2026-03-21T14:18:00.500Z"});
    vec![
        idempotency_key(post("/events", TAG, "emitEvent"))
            .says("Emit an event", "Answered once the event and its deliveries are on the disk. CloudEvents 1.0 are taken too, structured, binary or as a batch, which is answered as a bulk.")
            .takes::<EmitEvent>(event.clone())
            .also(&["application/cloudevents+json", "application/cloudevents-batch+json"])
            .shows_either::<EmittedEvent, EmittedBulk>(201, json!({"event": accepted}))
            .gives::<EmittedBulk>(207)
            .or(&[409, 422]),
        idempotency_key(post("/events/bulk", TAG, "emitEvents"))
            .says("Emit up to 100 events", "Each item is accepted or refused by itself. 201 when all are accepted, 207 when at least one is not; each record stands at its item's place.")
            .takes_many::<EmitEvent>(json!([event]))
            .also(&["application/cloudevents-batch+json"])
            .shows::<EmittedBulk>(201, json!({"count": 1, "records": [accepted]}))
            .gives::<EmittedBulk>(207)
            .or(&[409, 422]),
        get("/events", TAG, "listEvents")
            .says("List events", "The newest first.")
            .filtered()
            .of_status()
            .paged()
            .lists::<Event>(),
        get("/events/{event}", TAG, "getEvent")
            .says("Read an event", "With its deliveries, which are called rule events here.")
            .gives::<Event>(200),
        get("/events/{event}/payload", TAG, "getEventPayload")
            .says(
                "Read an event with its payload",
                "Byte for byte as it was sent. `null`, with `payload_gone`, when it is past its time.",
            )
            .gives::<EventWithPayload>(200),
        get("/events/{event}/explain", TAG, "explainEvent")
            .says("Read why each rule matched or did not", "The rules of now against an event of then; what changed since is marked. Those that matched come first.")
            .query("matched", "Only those that matched, or only those that did not.", json!({"type": "boolean"}))
            .paged()
            .lists::<Explained>(),
        post("/events/{event}/cancel", TAG, "cancelEvent")
            .says("Call an event off", "All of its deliveries that have not ended. What is under way ends; nothing more is tried.")
            .gives::<Event>(200)
            .or(&[409]),
        post("/events/{event}/rules/{rule}/retry", TAG, "retryRuleEvent")
            .says("Try a delivery now", "One that waits is tried now, one that has ended is replayed.")
            .gives::<RuleEvent>(200)
            .or(&[409, 425]),
        post("/events/{event}/rules/{rule}/cancel", TAG, "cancelRuleEvent")
            .says("Call a delivery off", "What is under way ends; nothing more is tried.")
            .gives::<RuleEvent>(200)
            .or(&[409]),
        get("/events/{event}/rules/{rule}/attempts", TAG, "listAttempts")
            .says("List the attempts of a delivery", "The newest first.")
            .paged()
            .lists::<Attempt>(),
        get("/events/{event}/rules/{rule}/attempts/{attempt}", TAG, "getAttempt")
            .says("Read an attempt", "")
            .gives::<Attempt>(200),
        get("/events/{event}/rules/{rule}/attempts/{attempt}/response-details", TAG, "getResponseDetails")
            .says("Read what a destination answered", "Kept for attempts that failed. What Heddle put in as a secret is removed.")
            .gives::<ResponseDetails>(200),
    ]
}

fn workspaces() -> Vec<Operation> {
    const TAG: &str = "Workspaces";
    vec![
        get("/workspaces", TAG, "listWorkspaces")
            .says("List workspaces", "All of them.")
            .lists::<Workspace>(),
        post("/workspaces", TAG, "createWorkspace")
            .says("Make a workspace", "With its first publishable key.")
            .takes::<CreateWorkspace>(json!({"name": "Academy Flow", "description": "The demo customer"}))
            .gives::<CreatedWorkspace>(201)
            .or(&[409]),
        get("/workspaces/{workspace}", TAG, "getWorkspace")
            .says(
                "Read a workspace",
                "With its publishable key, for callers with `keys:read`.",
            )
            .gives::<Workspace>(200),
        put("/workspaces/{workspace}", TAG, "updateWorkspace")
            .says(
                "Change a workspace",
                "An absent description is kept, `null` removes it.",
            )
            .takes::<CreateWorkspace>(json!({"name": "Academy Flow 2", "description": null}))
            .gives::<Workspace>(200)
            .or(&[409]),
        delete("/workspaces/{workspace}", TAG, "deleteWorkspace")
            .says(
                "Delete a workspace for good",
                "With all that it has. From the answer on nothing of it is seen, taken in or delivered; there is no way back.",
            )
            .takes::<DeleteWorkspace>(json!({"confirm": "Academy Flow"}))
            .gives::<DeletedWorkspace>(200),
        get(
            "/workspaces/{workspace}/connections",
            TAG,
            "listWorkspaceConnections",
        )
        .says("List the connections of a workspace", "")
        .lists::<Connection>(),
        get("/workspaces/{workspace}/rules", TAG, "listWorkspaceRules")
            .says("List the rules of a workspace", "")
            .filtered()
            .lists::<Rule>(),
        get("/workspaces/{workspace}/events", TAG, "listWorkspaceEvents")
            .says("List the events of a workspace", "The newest first.")
            .filtered()
            .of_status()
            .paged()
            .lists::<Event>(),
    ]
}

fn connections() -> Vec<Operation> {
    const TAG: &str = "Connections";
    let metadata = json!({"url": "https://hooks.example.com/heddle", "skip_url_test": true});
    vec![
        get("/integrations", TAG, "listIntegrations")
            .says("List what can be connected", "Each with the settings that it asks for and its actions.")
            .lists::<Integration>(),
        get("/connections", TAG, "listConnections")
            .says("List connections", "")
            .lists::<Connection>(),
        post("/connections", TAG, "createConnection")
            .says("Connect a destination", "Its settings are checked against what the destination asks for. Secrets are sealed and never shown again; one that Heddle makes is shown in this answer.")
            .takes::<CreateConnection>(json!({"workspace": WORKSPACE, "type": "webhook", "name": "Data warehouse", "metadata": metadata}))
            .gives::<CreatedConnection>(201)
            .or(&[409, 422]),
        get("/connections/{connection}", TAG, "getConnection")
            .says("Read a connection", "")
            .gives::<Connection>(200),
        put("/connections/{connection}", TAG, "updateConnection")
            .says("Change a connection", "It is active again afterwards. Deliveries that wait use what it is then.")
            .takes::<UpdateConnection>(json!({"name": "Data warehouse 2", "metadata": metadata}))
            .gives::<Connection>(200)
            .or(&[409, 422]),
        delete("/connections/{connection}", TAG, "deleteConnection")
            .says("Delete a connection", "409 while active rules use it, unless `force_delete` deletes them too; what waits for it is canceled.")
            .may_take::<DeleteConnection>(json!({"force_delete": true}))
            .gives::<DeletedConnection>(200)
            .or(&[409]),
        get("/connections/{connection}/actions", TAG, "getConnectionActions")
            .says("Read what there is to pick from", "Lists, tags, channels, as the destination has them now; kept for a while and marked `stale` when the destination cannot be asked.")
            .query("action", "Of this action only.", json!({"type": "string"}))
            .query("input", "Of this input only.", json!({"type": "string"}))
            .query("search", "Only what matches.", json!({"type": "string"}))
            .query("cursor", "The `next_cursor` of an input's choices.", json!({"type": "string"}))
            .query("refresh", "Ask the destination, however fresh the kept answer is.", json!({"type": "boolean"}))
            .gives::<ActionData>(200)
            .or(&[409, 422]),
        get("/connections/{connection}/fields", TAG, "getConnectionFields")
            .says("Read the destination's fields", "For mappings.")
            .query("refresh", "Ask the destination, however fresh the kept answer is.", json!({"type": "boolean"}))
            .gives::<FieldCatalog>(200)
            .or(&[409, 422]),
        get("/connections/{connection}/mappings/default", TAG, "getDefaultMapping")
            .says("Read the default mapping", "The stored one, or else one that is generated from the destination's fields.")
            .gives::<DefaultMapping>(200)
            .or(&[409, 422]),
        put("/connections/{connection}/mappings/default", TAG, "putDefaultMapping")
            .says("Store the default mapping", "For the deliveries of all rules that have none of their own.")
            .takes::<PutMapping>(json!({"name": "Contacts", "schema": {"schema_version": 1, "fields": [
                {"dest": "email", "source": {"type": "path", "value": "email"}, "transforms": [{"type": "trim"}, {"type": "lower"}]}]}}))
            .gives::<DefaultMapping>(200)
            .or(&[409, 422]),
        post("/connections/{connection}/check", TAG, "checkConnection")
            .says("Ask whether a connection works", "The verdict is kept and shown with the connection.")
            .gives::<Connection>(200)
            .or(&[409, 422]),
    ]
}

fn rules() -> Vec<Operation> {
    const TAG: &str = "Rules";
    vec![
        get("/rules", TAG, "listRules")
            .says("List rules", "")
            .filtered()
            .lists::<Rule>(),
        post("/rules", TAG, "createRule")
            .says(
                "Make a rule",
                "Events that are accepted from now on are held against it.",
            )
            .takes::<CreateRule>(
                json!({"workspace": WORKSPACE, "connection": CONNECTION, "event": "lesson.*",
                                        "metadata": {"action": "send_webhook"}}),
            )
            .gives::<CreatedRule>(201)
            .or(&[404, 409, 422]),
        post("/rules/dry-run", TAG, "dryRunRule")
            .says("Try a rule out on past events", "A stored one by `rule_id`, or one that is not saved. Nothing is delivered.")
            .takes::<DryRunRequest>(json!({"workspace": WORKSPACE, "last": 100,
                                           "rule": {"event": "lesson.*", "condition": "payload.score >= 80"}}))
            .gives::<DryRun>(200)
            .or(&[404]),
        get("/rules/{rule}", TAG, "getRule")
            .says("Read a rule", "")
            .gives::<Rule>(200),
        put("/rules/{rule}", TAG, "updateRule")
            .says("Change a rule", "What is not sent stays as it is.")
            .takes::<UpdateRule>(
                json!({"event": "lesson.completed", "metadata": {"action": "send_webhook"}, "active": false}),
            )
            .gives::<Rule>(200)
            .or(&[409, 422]),
        delete("/rules/{rule}", TAG, "deleteRule")
            .says("Delete a rule", "What waits by it is canceled.")
            .gives::<DeletedRule>(200),
    ]
}

fn replays() -> Vec<Operation> {
    const TAG: &str = "Replays";
    let body = json!({"workspace": WORKSPACE, "connection": CONNECTION, "status": ["failed", "canceled"],
                      "from": "2026-03-21T00:00:00Z", "rate": 50, "paused": true});
    vec![
        get("/replays", TAG, "listReplays")
            .says("List replays", "The newest first.")
            .query(
                "workspace",
                "Of this workspace.",
                json!({"type": "string", "format": "uuid"}),
            )
            .paged()
            .lists::<Replay>()
            .or(&[404]),
        post("/replays", TAG, "createReplay")
            .says(
                "Replay in bulk",
                "A durable job that tries many deliveries anew, each once.",
            )
            .takes::<ReplayRequest>(body.clone())
            .gives::<CreatedReplay>(201)
            .or(&[404]),
        post("/replays/preview", TAG, "previewReplay")
            .says(
                "Count what a replay would look at",
                "Takes the same body; changes nothing.",
            )
            .takes::<ReplayRequest>(body)
            .shows::<ReplayPreview>(200, json!({"count": 4017, "exact": true}))
            .or(&[404]),
        get("/replays/{replay}", TAG, "getReplay")
            .says("Read a replay", "And how far it is.")
            .gives::<Replay>(200),
        post("/replays/{replay}/pause", TAG, "pauseReplay")
            .says("Pause a replay", "")
            .gives::<Replay>(200)
            .or(&[409]),
        post("/replays/{replay}/resume", TAG, "resumeReplay")
            .says("Resume a replay", "")
            .gives::<Replay>(200)
            .or(&[409]),
        post("/replays/{replay}/cancel", TAG, "cancelReplay")
            .says("Call a replay off", "What was replayed stays so.")
            .gives::<Replay>(200)
            .or(&[409]),
    ]
}

fn catalog() -> Vec<Operation> {
    const TAG: &str = "Workspaces";
    let entry = json!({"key": "lesson.passed", "label": "Lesson passed", "description": "A student passed the quiz", "active": true});
    let resource = json!({"key": "membership_level", "label": "Membership level"});
    let changed = json!({"label": "Another label"});
    vec![
        get("/workspaces/{workspace}/event-types", TAG, "listEventTypes")
            .says(
                "List event types",
                "A bare array. They describe and do not restrict: an event of another name is accepted.",
            )
            .gives_many::<Entry>(200),
        post("/workspaces/{workspace}/event-types", TAG, "createEventType")
            .says("Add an event type", "")
            .takes::<CreateEntry>(entry)
            .gives::<CreatedEventType>(201)
            .or(&[409]),
        put(
            "/workspaces/{workspace}/event-types/{event_type}",
            TAG,
            "updateEventType",
        )
        .says("Change an event type", "What is not sent stays as it is.")
        .takes::<UpdateEntry>(changed.clone())
        .gives::<Entry>(200)
        .or(&[409]),
        delete(
            "/workspaces/{workspace}/event-types/{event_type}",
            TAG,
            "deleteEventType",
        )
        .says(
            "Delete an event type",
            "Events of that name are accepted as before.",
        )
        .gives::<DeletedEntry>(200),
        get("/workspaces/{workspace}/resources", TAG, "listResources")
            .says(
                "List resources",
                "A bare array. They describe and do not restrict.",
            )
            .gives_many::<Entry>(200),
        post("/workspaces/{workspace}/resources", TAG, "createResource")
            .says("Add a resource", "")
            .takes::<CreateEntry>(resource)
            .gives::<CreatedResource>(201)
            .or(&[409]),
        put(
            "/workspaces/{workspace}/resources/{resource}",
            TAG,
            "updateResource",
        )
        .says("Change a resource", "What is not sent stays as it is.")
        .takes::<UpdateEntry>(changed)
        .gives::<Entry>(200)
        .or(&[409]),
        delete(
            "/workspaces/{workspace}/resources/{resource}",
            TAG,
            "deleteResource",
        )
        .says("Delete a resource", "")
        .gives::<DeletedEntry>(200),
    ]
}

fn keys() -> Vec<Operation> {
    const TAG: &str = "Keys";
    vec![
        get("/keys", TAG, "listKeys")
            .says(
                "List machine keys",
                "Those whose workspaces the caller reaches. Secrets are never shown.",
            )
            .lists::<MachineKey>(),
        post("/keys", TAG, "createKey")
            .says(
                "Make a machine key",
                "Never one that may more than the caller, elsewhere, or for longer.",
            )
            .takes::<CreateMachineKey>(
                json!({"name": "importer", "permissions": ["events:emit", "events:read"],
                                              "workspaces": [WORKSPACE], "expires_in_seconds": 86400}),
            )
            .gives::<CreatedMachineKey>(201)
            .or(&[404, 409]),
        delete("/keys/{access_key}", TAG, "revokeKey")
            .says("Revoke a machine key", "From then on its tokens are refused.")
            .gives::<Revoked>(200),
        get(
            "/workspaces/{workspace}/publishable-keys",
            TAG,
            "listPublishableKeys",
        )
        .says("List publishable keys", "The oldest first.")
        .lists::<PublishableKey>(),
        post(
            "/workspaces/{workspace}/publishable-keys",
            TAG,
            "createPublishableKey",
        )
        .says(
            "Make a publishable key",
            "With an overlap, the former keys end after it: that is how keys are exchanged.",
        )
        .may_take::<CreatePublishableKey>(json!({"name": "2027", "overlap_seconds": 604_800,
                                                     "allowed_origins": ["https://app.academyflow.io"]}))
        .gives::<CreatedPublishableKey>(201)
        .or(&[409]),
        delete(
            "/workspaces/{workspace}/publishable-keys/{publishable_key}",
            TAG,
            "deletePublishableKey",
        )
        .says("Delete a publishable key", "From then on it is refused.")
        .gives::<DeletedPublishableKey>(200)
        .or(&[409]),
    ]
}

fn sessions() -> Vec<Operation> {
    const TAG: &str = "Sessions";
    vec![
        get("/sessions", TAG, "listSessions")
            .says("List the sessions of a workspace", "The newest first.")
            .query("workspace_id", "Required.", json!({"type": "string", "format": "uuid"}))
            .query("status", "Of this status.", json!({"type": "string", "enum": ["active", "revoked"]}))
            .query("resource", "Of this resource.", json!({"type": "string"}))
            .query("resource_id", "Of this resource's id.", json!({"type": "string"}))
            .paged()
            .lists::<Session>()
            .or(&[404]),
        post("/sessions", TAG, "createSession")
            .says("Open a session", "For a page embedded in the product. The answer's `launch_url` is the iframe's first address, good once; `access_token` is for the messages to it.")
            .takes::<CreateSession>(json!({"workspace_id": WORKSPACE, "role": "admin", "external_user_id": "user_42",
                                           "launch_page": "connections", "allowed_origins": ["https://app.academyflow.io"],
                                           "scopes": ["events.payload:read"]}))
            .gives::<GrantedSession>(200)
            .or(&[404]),
        post("/sessions/{session}/refresh", TAG, "refreshSession")
            .says("Renew a session's access token", "The one before is refused from then on.")
            .gives::<GrantedSession>(200)
            .or(&[409]),
        delete("/sessions/{session}", TAG, "revokeSession")
            .says("End a session", "")
            .gives::<Revoked>(200),
    ]
}

fn usage() -> Vec<Operation> {
    const TAG: &str = "Usage";
    let of_days = |operation: Operation| {
        operation
            .query(
                "from",
                "The first day, in UTC; the month's first when absent.",
                json!({"type": "string", "format": "date"}),
            )
            .query(
                "to",
                "The last day; today when absent. At most 366 days.",
                json!({"type": "string", "format": "date"}),
            )
    };
    vec![
        of_days(get("/usage", TAG, "getUsage"))
            .says(
                "Read the counters",
                "Exact: written in the transactions of what they count.",
            )
            .query(
                "workspace",
                "Of this workspace.",
                json!({"type": "string", "format": "uuid"}),
            )
            .gives::<Usage>(200)
            .or(&[404]),
        of_days(get("/workspaces/{workspace}/usage", TAG, "getWorkspaceUsage"))
            .says("Read the counters of a workspace", "")
            .gives::<WorkspaceUsage>(200),
        get("/workspaces/{workspace}/limits", TAG, "getWorkspaceLimits")
            .says(
                "Read the limits of a workspace",
                "What holds, and what was set for it alone.",
            )
            .gives::<WorkspaceLimits>(200),
        put("/workspaces/{workspace}/limits", TAG, "putWorkspaceLimits")
            .says(
                "Set the limits of a workspace",
                "They take the place of those set before; what is absent or `null` is as for all.",
            )
            .takes::<PutLimits>(json!({"rate": "100/1s", "events_per_month": 1_000_000, "payload_days": 7, "attempt_days": 30, "event_days": 90}))
            .gives::<WorkspaceLimits>(200),
    ]
}
