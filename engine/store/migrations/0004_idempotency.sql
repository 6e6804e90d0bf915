-- What emitters call their events by, so that one that is sent again is not accepted again. Keys and
-- fingerprints are SHA-256: of one size, whatever was sent.
CREATE TABLE idempotency_keys (
    workspace BLOB NOT NULL CHECK (length(workspace) = 16),
    key BLOB NOT NULL CHECK (length(key) = 32),
    fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32),
    event BLOB NOT NULL CHECK (length(event) = 16),
    accepted_at INTEGER NOT NULL,
    PRIMARY KEY (workspace, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_keys_by_age ON idempotency_keys (accepted_at);
