-- Senders that do not number their records: a pass is all of such records from the first one until
-- all of it is found to be written. Their rows have no version, and the pass as their run.
CREATE TABLE extractor_unnumbered (
    consumer TEXT NOT NULL,
    type     TEXT NOT NULL,
    -- the pass: 1, 2, 3 and so on; whether such records still belong to it
    pass     INTEGER NOT NULL,
    is_open  INTEGER NOT NULL,
    -- ids that were written in it
    ids      INTEGER NOT NULL,
    -- goes up with each transaction that wrote such records
    turn     INTEGER NOT NULL,
    -- how long the longest of those took, in milliseconds
    longest  INTEGER NOT NULL,
    PRIMARY KEY (consumer, type)
) WITHOUT ROWID;

-- Of an end without proof: which pass it ended, and how many records were sent. Null in rows of earlier
-- releases.
ALTER TABLE extractor_complete ADD COLUMN pass INTEGER;
ALTER TABLE extractor_complete ADD COLUMN sent INTEGER;
