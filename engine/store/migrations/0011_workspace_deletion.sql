-- A deleted workspace is a tombstone until the remover has deleted all that it had. Whatever looks up or
-- adds something looks through live_workspaces, which leaves it out.
ALTER TABLE workspaces ADD COLUMN deleted_at INTEGER;

CREATE INDEX workspaces_deleted ON workspaces (deleted_at, id) WHERE deleted_at IS NOT NULL;

CREATE VIEW live_workspaces AS
SELECT id, organisation, name, description, created_at, updated_at FROM workspaces WHERE deleted_at IS NULL;
