-- How far a workspace's history is pruned: of the events up to `behind`, this part is gone, but for those
-- that retention_late names.
CREATE TABLE retention_marks (
    workspace BLOB NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    part TEXT NOT NULL CHECK (part IN ('payload', 'attempts', 'event')),
    behind BLOB NOT NULL CHECK (length(behind) = 16),
    PRIMARY KEY (workspace, part)
) STRICT, WITHOUT ROWID;

-- Events that the mark went past although they had not ended, or only just. None of them ended before `since`.
CREATE TABLE retention_late (
    workspace BLOB NOT NULL CHECK (length(workspace) = 16),
    part TEXT NOT NULL CHECK (part IN ('payload', 'attempts', 'event')),
    event BLOB NOT NULL CHECK (length(event) = 16),
    since INTEGER NOT NULL,
    PRIMARY KEY (workspace, part, event)
) STRICT, WITHOUT ROWID;

CREATE INDEX retention_late_by_time ON retention_late (workspace, part, since);
