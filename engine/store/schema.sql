-- What the migrations come to. Written by a test: HEDDLE_BLESS=1 cargo test -p heddle-store

CREATE TABLE attempt_responses (
    attempt BLOB PRIMARY KEY,
    status INTEGER NOT NULL CHECK (status BETWEEN 0 AND 65535),
    headers TEXT NOT NULL,
    body BLOB NOT NULL,
    truncated INTEGER NOT NULL CHECK (truncated IN (0, 1))
) STRICT;

CREATE TABLE "attempts" (
    delivery BLOB NOT NULL,
    number INTEGER NOT NULL CHECK (number >= 1),
    id BLOB NOT NULL CHECK (length(id) = 16),
    started_at INTEGER NOT NULL,
    finished_at INTEGER NOT NULL,
    outcome_code TEXT NOT NULL CHECK (
        outcome_code = 'delivered' OR outcome_code = 'rejected_client_error'
        OR outcome_code = 'rejected_server_error' OR outcome_code = 'rate_limited'
        OR outcome_code = 'auth_failed' OR outcome_code = 'timeout' OR outcome_code = 'network_error'
        OR outcome_code = 'mapping_error' OR outcome_code = 'internal_error'
    ),
    message TEXT NOT NULL,
    method TEXT,
    url TEXT,
    status INTEGER CHECK (status BETWEEN 0 AND 65535),
    steps INTEGER NOT NULL CHECK (steps >= 0),
    PRIMARY KEY (delivery, number),
    CHECK ((method IS NULL) = (url IS NULL))
) STRICT, WITHOUT ROWID;

CREATE TABLE catalogs (
    connection BLOB PRIMARY KEY REFERENCES connections (id) ON DELETE CASCADE,
    id BLOB NOT NULL CHECK (length(id) = 16),
    version TEXT NOT NULL,
    catalog TEXT NOT NULL CHECK (json_valid(catalog)),
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    refreshed_at INTEGER NOT NULL
) STRICT;

CREATE TABLE choices (
    connection BLOB NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    action TEXT NOT NULL,
    input TEXT NOT NULL,
    search TEXT NOT NULL,
    cursor TEXT NOT NULL,
    page TEXT NOT NULL CHECK (json_valid(page)),
    refreshed_at INTEGER NOT NULL,
    PRIMARY KEY (connection, action, input, search, cursor)
) STRICT;

CREATE TABLE connections (
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    workspace BLOB NOT NULL REFERENCES workspaces (id),
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    settings TEXT NOT NULL CHECK (json_valid(settings)),
    secrets BLOB NOT NULL, -- sealed
    inactive_reason TEXT CHECK (inactive_reason IN (
        'authentication_invalid', 'oauth_authorization_revoked',
        'oauth_reauthorization_required', 'manually_inactivated'
    )),
    inactive_detail TEXT,
    hidden INTEGER NOT NULL CHECK (hidden IN (0, 1)),
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL, check_status TEXT CHECK (
    check_status IN ('passed', 'refused', 'failed', 'unreachable')
), check_message TEXT CHECK ((check_message IS NULL) = (check_status IS NULL)), check_account TEXT CHECK (check_account IS NULL OR check_status IS NOT NULL), checked_at INTEGER CHECK ((checked_at IS NULL) = (check_status IS NULL)),
    CHECK ((inactive_reason IS NULL) = (inactive_detail IS NULL)),
    UNIQUE (workspace, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE "deliveries" (
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    event BLOB NOT NULL,
    rule BLOB NOT NULL,
    workspace BLOB NOT NULL,
    connection BLOB NOT NULL,
    kind TEXT NOT NULL,
    status TEXT NOT NULL CHECK (
        status = 'completed' OR status = 'pending' OR status = 'processing' OR status = 'retrying'
        OR status = 'failed' OR status = 'canceled'
    ),
    due_at INTEGER,
    leased_until INTEGER,
    attempt_count INTEGER NOT NULL CHECK (attempt_count >= 0),
    run_attempts INTEGER NOT NULL CHECK (run_attempts BETWEEN 0 AND attempt_count),
    run_throttled INTEGER NOT NULL CHECK (run_throttled BETWEEN 0 AND attempt_count),
    cancel_requested INTEGER NOT NULL CHECK (cancel_requested IN (0, 1)),
    forced INTEGER NOT NULL CHECK (forced IN (0, 1)),
    last_error TEXT,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    claimed_at INTEGER,
    completed_at INTEGER,
    ordering_key BLOB CHECK (ordering_key IS NULL OR length(ordering_key) = 16), -- a digest of the rule and what its key came to
    place INTEGER CHECK ((place IS NULL) = (ordering_key IS NULL)), -- in the line, by acceptance; kept when it has ended
    turn TEXT CHECK (turn = 'taken' OR turn = 'waits' OR turn = 'holds')
        CHECK (coalesce(turn IN ('taken', 'waits'), 0) = (ordering_key IS NOT NULL AND completed_at IS NULL))
        CHECK (turn IS NOT 'waits' OR due_at IS NOT NULL)
        CHECK (turn IS NOT 'holds' OR (ordering_key IS NOT NULL AND status = 'failed')),
    CHECK ((due_at IS NOT NULL) = (status IN ('pending', 'retrying'))),
    CHECK ((leased_until IS NOT NULL) = (status = 'processing')),
    CHECK ((claimed_at IS NOT NULL) = (status = 'processing')),
    CHECK ((completed_at IS NOT NULL)
        = (status = 'completed' OR status = 'failed' OR status = 'canceled')),
    CHECK ((started_at IS NULL) = (attempt_count = 0)),
    CHECK (cancel_requested = 0 OR status = 'processing'),
    CHECK (forced = 0 OR completed_at IS NULL),
    UNIQUE (event, rule)
) STRICT, WITHOUT ROWID;

CREATE TABLE "event_payloads" (
    event BLOB PRIMARY KEY,
    payload TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE "events" (
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    organisation BLOB NOT NULL,
    workspace BLOB NOT NULL,
    event TEXT NOT NULL,
    resource TEXT NOT NULL,
    resource_id TEXT,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    status TEXT NOT NULL CHECK (
        status = 'completed' OR status = 'pending' OR status = 'processing' OR status = 'retrying'
        OR status = 'failed' OR status = 'canceled'
    ),
    -- How many of its deliveries have each status.
    pending INTEGER NOT NULL CHECK (pending >= 0),
    processing INTEGER NOT NULL CHECK (processing >= 0),
    retrying INTEGER NOT NULL CHECK (retrying >= 0),
    completed INTEGER NOT NULL CHECK (completed >= 0),
    failed INTEGER NOT NULL CHECK (failed >= 0),
    canceled INTEGER NOT NULL CHECK (canceled >= 0),
    started_at INTEGER,
    completed_at INTEGER,
    CHECK ((status = 'completed' OR status = 'failed' OR status = 'canceled')
        = (pending + processing + retrying = 0)),
    CHECK ((completed_at IS NOT NULL) = (pending + processing + retrying = 0))
) STRICT, WITHOUT ROWID;

CREATE TABLE idempotency_keys (
    workspace BLOB NOT NULL CHECK (length(workspace) = 16),
    key BLOB NOT NULL CHECK (length(key) = 32),
    fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32),
    event BLOB NOT NULL CHECK (length(event) = 16),
    accepted_at INTEGER NOT NULL,
    PRIMARY KEY (workspace, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE left_behind (
    rule BLOB NOT NULL CHECK (length(rule) = 16),
    connection BLOB NOT NULL CHECK (length(connection) = 16),
    workspace BLOB NOT NULL CHECK (length(workspace) = 16),
    due_at INTEGER NOT NULL,
    delivery BLOB NOT NULL CHECK (length(delivery) = 16),
    PRIMARY KEY (rule, connection)
) STRICT, WITHOUT ROWID;

CREATE VIEW live_workspaces AS
SELECT id, organisation, name, description, created_at, updated_at FROM workspaces WHERE deleted_at IS NULL;

CREATE TABLE machine_keys (
    access_key TEXT PRIMARY KEY,
    organisation BLOB NOT NULL REFERENCES organisations (id),
    name TEXT NOT NULL,
    secret BLOB NOT NULL, -- sealed
    created_at INTEGER NOT NULL
, permissions TEXT CHECK (json_valid(permissions)), workspaces BLOB CHECK (length(workspaces) > 0 AND length(workspaces) % 16 = 0), created_by TEXT, expires_at INTEGER, revoked_at INTEGER) STRICT, WITHOUT ROWID;

CREATE TABLE mappings (
    connection BLOB PRIMARY KEY REFERENCES connections (id) ON DELETE CASCADE,
    id BLOB NOT NULL CHECK (length(id) = 16),
    version INTEGER NOT NULL CHECK (version >= 2),
    name TEXT NOT NULL,
    schema TEXT NOT NULL CHECK (json_valid(schema)),
    catalog_version TEXT,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE organisations (
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE publishable_keys (
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    workspace BLOB NOT NULL REFERENCES workspaces (id),
    name TEXT NOT NULL,
    key TEXT NOT NULL UNIQUE,
    allowed_origins TEXT NOT NULL CHECK (json_valid(allowed_origins)), -- none: any
    created_by TEXT, -- NULL: it came with the workspace
    created_at INTEGER NOT NULL,
    expires_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE replays (
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    organisation BLOB NOT NULL REFERENCES organisations (id),
    workspace BLOB NOT NULL,
    rules TEXT NOT NULL CHECK (rules IN ('original', 'current')),
    filter TEXT NOT NULL CHECK (json_valid(filter)),
    rate INTEGER NOT NULL CHECK (rate >= 1), -- deliveries a second
    progress TEXT NOT NULL CHECK (progress IN ('running', 'paused', 'completed', 'canceled')),
    total INTEGER NOT NULL CHECK (total >= 0), -- rows to look at, counted when it was made
    -- The last row that it has passed over: a delivery with original rules, an event with current ones.
    -- Moved in the transaction of what was done to these rows, so that no row is skipped or done twice.
    behind BLOB CHECK (length(behind) = 16),
    processed INTEGER NOT NULL CHECK (processed >= 0),
    replayed INTEGER NOT NULL CHECK (replayed >= 0),
    created INTEGER NOT NULL CHECK (created >= 0),
    skipped INTEGER NOT NULL CHECK (skipped >= 0),
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    completed_at INTEGER, behind_rule BLOB CHECK (behind_rule IS NULL OR length(behind_rule) = 16),
    CHECK ((completed_at IS NOT NULL) = (progress IN ('completed', 'canceled')))
) STRICT, WITHOUT ROWID;

CREATE TABLE retention_late (
    workspace BLOB NOT NULL CHECK (length(workspace) = 16),
    part TEXT NOT NULL CHECK (part IN ('payload', 'attempts', 'event')),
    event BLOB NOT NULL CHECK (length(event) = 16),
    since INTEGER NOT NULL,
    PRIMARY KEY (workspace, part, event)
) STRICT, WITHOUT ROWID;

CREATE TABLE retention_marks (
    workspace BLOB NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    part TEXT NOT NULL CHECK (part IN ('payload', 'attempts', 'event')),
    behind BLOB NOT NULL CHECK (length(behind) = 16),
    PRIMARY KEY (workspace, part)
) STRICT, WITHOUT ROWID;

CREATE TABLE rules (
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    workspace BLOB NOT NULL REFERENCES workspaces (id),
    connection BLOB NOT NULL REFERENCES connections (id),
    kind TEXT NOT NULL,
    event TEXT NOT NULL,
    resource TEXT,
    resource_id TEXT,
    metadata TEXT NOT NULL CHECK (json_valid(metadata)),
    active INTEGER NOT NULL CHECK (active IN (0, 1)),
    hidden INTEGER NOT NULL CHECK (hidden IN (0, 1)),
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
, mapping TEXT CHECK (mapping IS NULL OR json_valid(mapping)), condition TEXT, ordering_key TEXT, ordering_on_failure TEXT CHECK (ordering_on_failure IN ('continue', 'hold'))
    CHECK ((ordering_key IS NULL) = (ordering_on_failure IS NULL))) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    workspace BLOB NOT NULL REFERENCES workspaces (id),
    type TEXT NOT NULL CHECK (type IN ('workspace', 'resource', 'dashboard')),
    role TEXT NOT NULL CHECK (role IN ('member', 'admin', 'owner')),
    external_user_id TEXT,
    resource TEXT,
    resource_id TEXT,
    scopes TEXT NOT NULL CHECK (json_valid(scopes)),
    allowed_origins TEXT NOT NULL CHECK (json_valid(allowed_origins)),
    ttl_seconds INTEGER NOT NULL CHECK (ttl_seconds > 0),
    token BLOB NOT NULL CHECK (length(token) = 16), -- the id of the one access token that is good
    launch BLOB UNIQUE CHECK (length(launch) = 32), -- SHA-256 of the launch token, until it is used
    launch_page TEXT NOT NULL CHECK (launch_page IN ('dashboard', 'connections', 'rules', 'events')),
    launch_expires_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER,
    CHECK ((type = 'resource') = (resource IS NOT NULL)),
    CHECK ((type = 'resource') = (resource_id IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE TABLE terms (
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    workspace BLOB NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    kind TEXT NOT NULL CHECK (kind IN ('event_type', 'resource')),
    key TEXT NOT NULL,
    label TEXT NOT NULL,
    description TEXT,
    active INTEGER NOT NULL CHECK (active IN (0, 1)),
    created_by TEXT, -- NULL: it came with the workspace
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (workspace, kind, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE usage (
    workspace BLOB NOT NULL CHECK (length(workspace) = 16),
    day INTEGER NOT NULL,
    organisation BLOB NOT NULL CHECK (length(organisation) = 16),
    events INTEGER NOT NULL CHECK (events >= 0),
    bytes INTEGER NOT NULL CHECK (bytes >= 0),
    deliveries INTEGER NOT NULL CHECK (deliveries >= 0),
    attempts INTEGER NOT NULL CHECK (attempts >= 0),
    delivered INTEGER NOT NULL CHECK (delivered >= 0),
    failed INTEGER NOT NULL CHECK (failed >= 0),
    PRIMARY KEY (workspace, day)
) STRICT, WITHOUT ROWID;

CREATE TABLE usage_of_organisations (
    organisation BLOB NOT NULL CHECK (length(organisation) = 16),
    month INTEGER NOT NULL, -- its first day
    events INTEGER NOT NULL CHECK (events >= 0),
    PRIMARY KEY (organisation, month)
) STRICT, WITHOUT ROWID;

CREATE TABLE workspace_limits (
    workspace BLOB PRIMARY KEY REFERENCES workspaces (id) ON DELETE CASCADE,
    limits TEXT NOT NULL CHECK (json_valid(limits)),
    updated_by TEXT NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE workspaces (
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    organisation BLOB NOT NULL REFERENCES organisations (id),
    name TEXT NOT NULL,
    description TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL, deleted_at INTEGER,
    UNIQUE (organisation, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX connections_of_workspace ON connections (workspace, id);

CREATE INDEX ended_badly ON deliveries (workspace, id) WHERE status IN ('failed', 'canceled');

CREATE INDEX events_by_name ON events (workspace, event, id);

CREATE INDEX events_by_resource ON events (workspace, resource, id) WHERE resource <> 'global';

CREATE INDEX events_by_resource_id ON events (workspace, resource_id, id) WHERE resource_id IS NOT NULL;

CREATE INDEX events_by_status ON events (workspace, status, id) WHERE status <> 'completed';

CREATE INDEX events_of_organisation ON events (organisation, id);

CREATE INDEX events_of_workspace ON events (workspace, id);

CREATE INDEX forced_lanes ON deliveries (connection, due_at)
    WHERE forced = 1 AND due_at IS NOT NULL AND turn IS NOT 'waits';

CREATE INDEX idempotency_keys_by_age ON idempotency_keys (accepted_at);

CREATE INDEX lanes ON deliveries (connection, due_at) WHERE due_at IS NOT NULL AND turn IS NOT 'waits';

CREATE INDEX leases ON deliveries (leased_until) WHERE leased_until IS NOT NULL;

CREATE INDEX left_behind_of_workspace ON left_behind (workspace);

CREATE INDEX lines ON deliveries (rule, turn, ordering_key, place) WHERE turn IS NOT NULL;

CREATE INDEX machine_keys_of_organisation ON machine_keys (organisation, created_at);

CREATE INDEX publishable_keys_of_workspace ON publishable_keys (workspace, id);

CREATE INDEX replays_of_organisation ON replays (organisation, id);

CREATE INDEX replays_of_workspace ON replays (workspace, id);

CREATE INDEX replays_running ON replays (id) WHERE progress = 'running';

CREATE INDEX retention_late_by_time ON retention_late (workspace, part, since);

CREATE INDEX rules_of_connection ON rules (connection);

CREATE INDEX rules_of_workspace ON rules (workspace, id);

CREATE INDEX sessions_by_resource ON sessions (workspace, resource, resource_id, id) WHERE resource IS NOT NULL;

CREATE INDEX sessions_of_workspace ON sessions (workspace, id);

CREATE INDEX sessions_revoked ON sessions (workspace, id) WHERE revoked_at IS NOT NULL;

CREATE UNIQUE INDEX turns_taken ON deliveries (rule, ordering_key) WHERE turn = 'taken';

CREATE INDEX usage_of_organisation ON usage (organisation, day);

CREATE INDEX workspaces_deleted ON workspaces (deleted_at, id) WHERE deleted_at IS NOT NULL;

CREATE INDEX workspaces_of_organisation ON workspaces (organisation, id) WHERE deleted_at IS NULL;
