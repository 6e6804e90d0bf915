-- What a workspace calls its events and resources, for people and pages to pick from. It describes: an
-- event may have a name that is not in here.
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

-- Every workspace begins with one, whose id is the workspace's.
INSERT INTO terms (id, workspace, kind, key, label, active, created_at, updated_at)
SELECT id, id, 'event_type', 'contact.created', 'Contact created', 1, created_at, created_at FROM workspaces;
