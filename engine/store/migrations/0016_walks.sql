-- Lists over all workspaces of an organization go from one to the next.
CREATE INDEX workspaces_of_organisation ON workspaces (organisation, id) WHERE deleted_at IS NULL;
