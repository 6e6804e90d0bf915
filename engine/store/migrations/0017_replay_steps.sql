-- With "behind", an event: of this event, only the deliveries of the rules up to this one are done.
ALTER TABLE replays ADD COLUMN behind_rule BLOB CHECK (behind_rule IS NULL OR length(behind_rule) = 16);

-- Jobs that look at completed deliveries go through events now, and no longer through deliveries. One that is
-- under way begins anew: what it has replayed has not ended before it was made, and is not taken twice.
UPDATE replays SET behind = NULL, processed = 0, skipped = 0
WHERE progress IN ('running', 'paused') AND rules = 'original' AND filter LIKE '%"completed"%';
