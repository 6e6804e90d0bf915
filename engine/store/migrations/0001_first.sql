-- Ids are the sixteen bytes of a UUIDv7, instants are milliseconds since the epoch, words are those
-- of the contract. What the state machine in heddle-core promises, the CHECKs below enforce.

-- What the store knows about itself: the key check, the readiness probe.
CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE organisations (
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE machine_keys (
    access_key TEXT PRIMARY KEY,
    organisation BLOB NOT NULL REFERENCES organisations (id),
    name TEXT NOT NULL,
    secret BLOB NOT NULL, -- sealed
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE workspaces (
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    organisation BLOB NOT NULL REFERENCES organisations (id),
    name TEXT NOT NULL,
    description TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (organisation, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE publishable_keys (
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    workspace BLOB NOT NULL UNIQUE REFERENCES workspaces (id),
    name TEXT NOT NULL,
    key TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

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
    updated_at INTEGER NOT NULL,
    CHECK ((inactive_reason IS NULL) = (inactive_detail IS NULL)),
    UNIQUE (workspace, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX connections_of_workspace ON connections (workspace, id);

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
) STRICT, WITHOUT ROWID;

CREATE INDEX rules_of_workspace ON rules (workspace, id);
CREATE INDEX rules_of_connection ON rules (connection);

-- No foreign keys from here on: these rows are written thousands of times a second by statements
-- that read their parents anyway, and the history outlives the rules and connections it names.

CREATE TABLE events (
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    organisation BLOB NOT NULL,
    workspace BLOB NOT NULL,
    event TEXT NOT NULL,
    resource TEXT NOT NULL,
    resource_id TEXT,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    status TEXT NOT NULL CHECK (
        status IN ('pending', 'processing', 'retrying', 'completed', 'failed', 'canceled')
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
    CHECK ((status IN ('completed', 'failed', 'canceled')) = (pending + processing + retrying = 0)),
    CHECK ((completed_at IS NOT NULL) = (pending + processing + retrying = 0))
) STRICT, WITHOUT ROWID;

-- Lists are newest first, which is the order of the ids. The indexes of the rarer filters leave out
-- what most events have, so that those who never filter pay next to nothing for them.
CREATE INDEX events_of_organisation ON events (organisation, id);
CREATE INDEX events_of_workspace ON events (workspace, id);
CREATE INDEX events_by_name ON events (workspace, event, id);
CREATE INDEX events_by_resource ON events (workspace, resource, id) WHERE resource <> 'global';
CREATE INDEX events_by_resource_id ON events (workspace, resource_id, id) WHERE resource_id IS NOT NULL;
CREATE INDEX events_by_status ON events (workspace, status, id) WHERE status <> 'completed';

-- Apart from its event, whose row is rewritten whenever a counter changes.
CREATE TABLE event_payloads (
    event BLOB PRIMARY KEY,
    payload TEXT NOT NULL
) STRICT;

CREATE TABLE deliveries (
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    event BLOB NOT NULL,
    rule BLOB NOT NULL,
    workspace BLOB NOT NULL,
    connection BLOB NOT NULL,
    kind TEXT NOT NULL,
    status TEXT NOT NULL CHECK (
        status IN ('pending', 'processing', 'retrying', 'completed', 'failed', 'canceled')
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
    CHECK ((due_at IS NOT NULL) = (status IN ('pending', 'retrying'))),
    CHECK ((leased_until IS NOT NULL) = (status = 'processing')),
    CHECK ((claimed_at IS NOT NULL) = (status = 'processing')),
    CHECK ((completed_at IS NOT NULL) = (status IN ('completed', 'failed', 'canceled'))),
    CHECK ((started_at IS NULL) = (attempt_count = 0)),
    CHECK (cancel_requested = 0 OR status = 'processing'),
    CHECK (forced = 0 OR completed_at IS NULL),
    UNIQUE (event, rule)
) STRICT, WITHOUT ROWID;

-- A lane: what waits for one connection, in due order. Only pending and retrying have a due_at.
CREATE INDEX lanes ON deliveries (connection, due_at) WHERE due_at IS NOT NULL;
-- What a person asked for: it goes out although its connection is inactive.
CREATE INDEX forced_lanes ON deliveries (connection, due_at) WHERE forced = 1 AND due_at IS NOT NULL;
CREATE INDEX leases ON deliveries (leased_until) WHERE leased_until IS NOT NULL;

CREATE TABLE attempts (
    delivery BLOB NOT NULL,
    number INTEGER NOT NULL CHECK (number >= 1),
    id BLOB NOT NULL CHECK (length(id) = 16),
    started_at INTEGER NOT NULL,
    finished_at INTEGER NOT NULL,
    outcome_code TEXT NOT NULL CHECK (outcome_code IN (
        'delivered', 'rejected_client_error', 'rejected_server_error', 'rate_limited', 'auth_failed',
        'timeout', 'network_error', 'mapping_error', 'internal_error'
    )),
    message TEXT NOT NULL,
    method TEXT,
    url TEXT,
    status INTEGER CHECK (status BETWEEN 0 AND 65535),
    steps INTEGER NOT NULL CHECK (steps >= 0),
    PRIMARY KEY (delivery, number),
    CHECK ((method IS NULL) = (url IS NULL))
) STRICT, WITHOUT ROWID;

-- Apart from the attempts, which lists read.
CREATE TABLE attempt_responses (
    attempt BLOB PRIMARY KEY,
    status INTEGER NOT NULL CHECK (status BETWEEN 0 AND 65535),
    headers TEXT NOT NULL,
    body BLOB NOT NULL,
    truncated INTEGER NOT NULL CHECK (truncated IN (0, 1))
) STRICT;
