-- Where a row's record stands in its dump: of two records of one run and id the later one wins,
-- in whatever order they come. Null in rows of earlier releases and of the platform; it does not
-- compare then. Without a default, so that no row is written anew.
ALTER TABLE artists ADD COLUMN IF NOT EXISTS ordinal BIGINT;
ALTER TABLE labels ADD COLUMN IF NOT EXISTS ordinal BIGINT;
ALTER TABLE masters ADD COLUMN IF NOT EXISTS ordinal BIGINT;
ALTER TABLE releases ADD COLUMN IF NOT EXISTS ordinal BIGINT;

-- The version and run by which each table was last swept: what is older and has no row was
-- removed, and is not inserted again.
CREATE TABLE extractor_swept (
    type    TEXT PRIMARY KEY,
    version TEXT NOT NULL,
    run     BIGINT NOT NULL
);
