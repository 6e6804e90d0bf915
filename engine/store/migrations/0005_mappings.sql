-- Mappings, and what was learned from destinations: field catalogs, choices, how a check went. What
-- belongs to a connection goes with it.

ALTER TABLE rules ADD COLUMN mapping TEXT CHECK (mapping IS NULL OR json_valid(mapping));

ALTER TABLE connections ADD COLUMN check_status TEXT CHECK (
    check_status IN ('passed', 'refused', 'failed', 'unreachable')
);
ALTER TABLE connections ADD COLUMN check_message TEXT CHECK ((check_message IS NULL) = (check_status IS NULL));
ALTER TABLE connections ADD COLUMN check_account TEXT CHECK (check_account IS NULL OR check_status IS NOT NULL);
ALTER TABLE connections ADD COLUMN checked_at INTEGER CHECK ((checked_at IS NULL) = (check_status IS NULL));

-- The default mapping of a connection. Version 1 is the generated one, which is not stored.
CREATE TABLE mappings (
    connection BLOB PRIMARY KEY REFERENCES connections (id) ON DELETE CASCADE,
    id BLOB NOT NULL CHECK (length(id) = 16),
    version INTEGER NOT NULL CHECK (version >= 2),
    name TEXT NOT NULL,
    schema TEXT NOT NULL CHECK (json_valid(schema)),
    catalog_version TEXT,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE catalogs (
    connection BLOB PRIMARY KEY REFERENCES connections (id) ON DELETE CASCADE,
    id BLOB NOT NULL CHECK (length(id) = 16),
    version TEXT NOT NULL,
    catalog TEXT NOT NULL CHECK (json_valid(catalog)),
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    refreshed_at INTEGER NOT NULL
) STRICT;

-- Pages of things to pick from; an empty search or cursor is none.
CREATE TABLE choices (
    connection BLOB NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    action TEXT NOT NULL,
    input TEXT NOT NULL,
    search TEXT NOT NULL,
    cursor TEXT NOT NULL,
    page TEXT NOT NULL CHECK (json_valid(page)),
    refreshed_at INTEGER NOT NULL,
    PRIMARY KEY (connection, action, input, search, cursor)
) STRICT;
