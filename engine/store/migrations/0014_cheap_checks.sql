-- The tables of the hot path, made anew so that a row costs less to write. SQLite builds a table in memory
-- for every IN with more than two values, and does so for each statement that a CHECK with one is run in;
-- the same said with OR is free. Payloads lose an index of their own. The old rows are moved over.

CREATE TABLE new_events (
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
INSERT INTO new_events SELECT * FROM events;
DROP TABLE events;
ALTER TABLE new_events RENAME TO events;

CREATE INDEX events_by_name ON events (workspace, event, id);
CREATE INDEX events_by_resource ON events (workspace, resource, id) WHERE resource <> 'global';
CREATE INDEX events_by_resource_id ON events (workspace, resource_id, id) WHERE resource_id IS NOT NULL;
CREATE INDEX events_by_status ON events (workspace, status, id) WHERE status <> 'completed';
CREATE INDEX events_of_organisation ON events (organisation, id);
CREATE INDEX events_of_workspace ON events (workspace, id);

CREATE TABLE new_event_payloads (
    event BLOB PRIMARY KEY,
    payload TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO new_event_payloads SELECT event, payload FROM event_payloads;
DROP TABLE event_payloads;
ALTER TABLE new_event_payloads RENAME TO event_payloads;

CREATE TABLE new_deliveries (
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
INSERT INTO new_deliveries SELECT * FROM deliveries;
DROP TABLE deliveries;
ALTER TABLE new_deliveries RENAME TO deliveries;

CREATE INDEX ended_badly ON deliveries (workspace, id) WHERE status IN ('failed', 'canceled');
CREATE INDEX forced_lanes ON deliveries (connection, due_at)
    WHERE forced = 1 AND due_at IS NOT NULL AND turn IS NOT 'waits';
CREATE INDEX lanes ON deliveries (connection, due_at) WHERE due_at IS NOT NULL AND turn IS NOT 'waits';
CREATE INDEX lines ON deliveries (rule, turn, ordering_key, place) WHERE turn IS NOT NULL;
CREATE UNIQUE INDEX turns_taken ON deliveries (rule, ordering_key) WHERE turn = 'taken';
CREATE INDEX leases ON deliveries (leased_until) WHERE leased_until IS NOT NULL;

CREATE TABLE new_attempts (
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
INSERT INTO new_attempts SELECT * FROM attempts;
DROP TABLE attempts;
ALTER TABLE new_attempts RENAME TO attempts;
