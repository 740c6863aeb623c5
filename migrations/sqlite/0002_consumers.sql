-- What consumers of messages were told and have done, shared by all who read the same queues. A
-- row for each run of a type of which the end was announced. Without our headers nothing is known
-- of the run: it is 0 then, and last and bad_records are null; the version may be ''. Times are
-- Unix milliseconds.
CREATE TABLE extractor_complete (
    consumer     TEXT NOT NULL,
    type         TEXT NOT NULL,
    version      TEXT NOT NULL,
    run          INTEGER NOT NULL,
    last         INTEGER,
    bad_records  INTEGER,
    announced_at INTEGER NOT NULL,
    -- when all of it was written
    completed_at INTEGER,
    -- when the consumers of the type are to be cancelled, and when the first of them was
    cancel_at    INTEGER,
    cancelled_at INTEGER,
    -- removing what the version no longer has: owed, done, refused, or null if there is no proof
    sweep        TEXT,
    sweep_words  TEXT,
    -- who removes, until when the others leave it to him
    swept_by     TEXT,
    swept_until  INTEGER,
    PRIMARY KEY (consumer, type, version, run)
) WITHOUT ROWID;

-- The end of a version as it was announced on each type's exchange.
CREATE TABLE extractor_announced (
    consumer      TEXT NOT NULL,
    version       TEXT NOT NULL,
    type          TEXT NOT NULL,
    started_at    TEXT,
    record_counts TEXT,
    received_at   INTEGER NOT NULL,
    PRIMARY KEY (consumer, version, type)
) WITHOUT ROWID;
