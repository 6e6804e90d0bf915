-- How many events an organization had accepted in a month, in all of its workspaces: a quota is held against it
-- for every event, and must not add up a row for each workspace and day.
CREATE TABLE usage_of_organisations (
    organisation BLOB NOT NULL CHECK (length(organisation) = 16),
    month INTEGER NOT NULL, -- its first day
    events INTEGER NOT NULL CHECK (events >= 0),
    PRIMARY KEY (organisation, month)
) STRICT, WITHOUT ROWID;

INSERT INTO usage_of_organisations (organisation, month, events)
SELECT organisation, CAST(strftime('%s', day * 86400, 'unixepoch', 'start of month') AS INTEGER) / 86400, sum(events)
FROM usage WHERE events > 0 GROUP BY 1, 2;
