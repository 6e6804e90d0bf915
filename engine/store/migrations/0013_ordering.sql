-- Order by key: the deliveries of a rule that have the same key stand in a line, and one of a line is tried
-- at a time.
ALTER TABLE rules ADD COLUMN ordering_key TEXT; -- an expression; the API checks it before it is saved
ALTER TABLE rules ADD COLUMN ordering_on_failure TEXT CHECK (ordering_on_failure IN ('continue', 'hold'))
    CHECK ((ordering_key IS NULL) = (ordering_on_failure IS NULL));

ALTER TABLE deliveries ADD COLUMN ordering_key BLOB; -- a digest of the rule and what its key came to
ALTER TABLE deliveries ADD COLUMN place INTEGER; -- in the line, by acceptance; kept when it has ended
ALTER TABLE deliveries ADD COLUMN turn TEXT CHECK (turn IN ('taken', 'waits', 'holds'))
    CHECK (ordering_key IS NULL OR length(ordering_key) = 16)
    CHECK ((place IS NULL) = (ordering_key IS NULL))
    CHECK (coalesce(turn IN ('taken', 'waits'), 0) = (ordering_key IS NOT NULL AND completed_at IS NULL))
    CHECK (turn IS NOT 'waits' OR due_at IS NOT NULL)
    CHECK (turn IS NOT 'holds' OR (ordering_key IS NOT NULL AND status = 'failed'));

-- Who waits for another one of his line is in no lane.
DROP INDEX lanes;
DROP INDEX forced_lanes;
CREATE INDEX lanes ON deliveries (connection, due_at) WHERE due_at IS NOT NULL AND turn IS NOT 'waits';
CREATE INDEX forced_lanes ON deliveries (connection, due_at)
    WHERE forced = 1 AND due_at IS NOT NULL AND turn IS NOT 'waits';

-- The lines, each in three parts. Only deliveries with a key are in here, until they are through.
CREATE INDEX lines ON deliveries (rule, turn, ordering_key, place) WHERE turn IS NOT NULL;
-- Never two of a line at the same time.
CREATE UNIQUE INDEX turns_taken ON deliveries (rule, ordering_key) WHERE turn = 'taken';
