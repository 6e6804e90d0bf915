-- Bulk replay: durable jobs that try many deliveries anew.

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
    completed_at INTEGER,
    CHECK ((completed_at IS NOT NULL) = (progress IN ('completed', 'canceled')))
) STRICT, WITHOUT ROWID;

CREATE INDEX replays_of_organisation ON replays (organisation, id);

CREATE INDEX replays_of_workspace ON replays (workspace, id);

CREATE INDEX replays_running ON replays (id) WHERE progress = 'running';

-- What is replayed most. Only failures and cancellations pay for it.
CREATE INDEX ended_badly ON deliveries (workspace, id) WHERE status IN ('failed', 'canceled');
