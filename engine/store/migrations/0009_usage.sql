-- What was done, by workspace and day (UTC, days since the epoch). Written in the transactions of what
-- it counts. It outlives the workspace: the organisation's sums stay true.
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

CREATE INDEX usage_of_organisation ON usage (organisation, day);

-- What a workspace may do, where that is not what all may.
CREATE TABLE workspace_limits (
    workspace BLOB PRIMARY KEY REFERENCES workspaces (id) ON DELETE CASCADE,
    limits TEXT NOT NULL CHECK (json_valid(limits)),
    updated_by TEXT NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
