-- What consumers of messages were told and have done, shared by all who read the same queues. A
-- row for each run of a type of which the end was announced. Without our headers nothing is known
-- of the run: it is 0 then, and last and bad_records are null; the version may be ''. Times are
-- Unix milliseconds.
CREATE TABLE extractor_complete (
    consumer     TEXT NOT NULL,
    type         TEXT NOT NULL,
    version      TEXT NOT NULL,
    run          BIGINT NOT NULL,
    last         BIGINT,
    bad_records  BIGINT,
    announced_at BIGINT NOT NULL,
    -- when all of it was written
    completed_at BIGINT,
    -- when the consumers of the type are to be cancelled, and when the first of them was
    cancel_at    BIGINT,
    cancelled_at BIGINT,
    -- removing what the version no longer has: owed, done, refused, or null if there is no proof
    sweep        TEXT,
    sweep_words  TEXT,
    -- who removes, until when the others leave it to him
    swept_by     TEXT,
    swept_until  BIGINT,
    PRIMARY KEY (consumer, type, version, run)
);

-- The end of a version as it was announced on each type's exchange.
CREATE TABLE extractor_announced (
    consumer      TEXT NOT NULL,
    version       TEXT NOT NULL,
    type          TEXT NOT NULL,
    started_at    TEXT,
    record_counts TEXT,
    received_at   BIGINT NOT NULL,
    PRIMARY KEY (consumer, version, type)
);
