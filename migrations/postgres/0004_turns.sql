-- By what is waited, whatever the clocks say: a number that goes up whenever the cancellation of the
-- type's consumers is agreed on or put off, and one that goes up with each claim on the sweep. Null in
-- rows of earlier releases, where both count as 0. The times beside them are for people.
ALTER TABLE extractor_complete ADD COLUMN cancel_turn BIGINT;
ALTER TABLE extractor_complete ADD COLUMN sweep_turn BIGINT;
