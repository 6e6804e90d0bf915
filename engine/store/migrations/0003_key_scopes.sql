-- Machine keys that may less than everything, and that end. NULL is no limit: keys that exist keep what
-- they may.
ALTER TABLE machine_keys ADD COLUMN permissions TEXT CHECK (json_valid(permissions));
-- Ids of workspaces, sixteen bytes each.
ALTER TABLE machine_keys ADD COLUMN workspaces BLOB CHECK (length(workspaces) > 0 AND length(workspaces) % 16 = 0);
ALTER TABLE machine_keys ADD COLUMN created_by TEXT;
ALTER TABLE machine_keys ADD COLUMN expires_at INTEGER;
ALTER TABLE machine_keys ADD COLUMN revoked_at INTEGER;

CREATE INDEX machine_keys_of_organisation ON machine_keys (organisation, created_at);
