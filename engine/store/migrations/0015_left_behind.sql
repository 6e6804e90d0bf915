-- Rules that were deleted, or lead elsewhere, and still have deliveries in the lane of this connection. They
-- are called off, or moved, in steps; those up to (due_at, delivery) are done.
CREATE TABLE left_behind (
    rule BLOB NOT NULL CHECK (length(rule) = 16),
    connection BLOB NOT NULL CHECK (length(connection) = 16),
    workspace BLOB NOT NULL CHECK (length(workspace) = 16),
    due_at INTEGER NOT NULL,
    delivery BLOB NOT NULL CHECK (length(delivery) = 16),
    PRIMARY KEY (rule, connection)
) STRICT, WITHOUT ROWID;

CREATE INDEX left_behind_of_workspace ON left_behind (workspace);
