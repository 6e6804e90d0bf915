-- A workspace has several publishable keys, so that one can replace another while both are good.
ALTER TABLE publishable_keys RENAME TO former_publishable_keys;

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

INSERT INTO publishable_keys (id, workspace, name, key, allowed_origins, created_at)
SELECT id, workspace, name, key, '[]', created_at FROM former_publishable_keys;

DROP TABLE former_publishable_keys;

CREATE INDEX publishable_keys_of_workspace ON publishable_keys (workspace, id);
