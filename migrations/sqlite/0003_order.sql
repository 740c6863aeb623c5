-- Where a row's record stands in its dump: of two records of one run and id the later one wins,
-- in whatever order they come. Null in rows of earlier releases; it does not compare then.
ALTER TABLE artists ADD COLUMN ordinal INTEGER;
ALTER TABLE labels ADD COLUMN ordinal INTEGER;
ALTER TABLE masters ADD COLUMN ordinal INTEGER;
ALTER TABLE releases ADD COLUMN ordinal INTEGER;

-- The version and run by which each table was last swept: what is older and has no row was
-- removed, and is not inserted again.
CREATE TABLE extractor_swept (
    type    TEXT PRIMARY KEY NOT NULL,
    version TEXT NOT NULL,
    run     INTEGER NOT NULL
) WITHOUT ROWID;
