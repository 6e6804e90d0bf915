-- A part of Heddle that a product opened to one of its customers.
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

CREATE INDEX sessions_of_workspace ON sessions (workspace, id);
CREATE INDEX sessions_revoked ON sessions (workspace, id) WHERE revoked_at IS NOT NULL;
CREATE INDEX sessions_by_resource ON sessions (workspace, resource, resource_id, id) WHERE resource IS NOT NULL;
