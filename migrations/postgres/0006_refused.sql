-- Which ordinals of a run the database refused for good, or nobody could read, as ranges that neither
-- touch nor overlap. They count like bad records, as long as extractor_delivered does not hold them:
-- a record that is taken after all is no longer refused.
CREATE TABLE extractor_refused (
    version TEXT NOT NULL,
    type    TEXT NOT NULL,
    run     BIGINT NOT NULL,
    first   BIGINT NOT NULL,
    last    BIGINT NOT NULL,
    -- why, for people: what was said of the first of them
    words   TEXT NOT NULL,
    PRIMARY KEY (version, type, run, first)
);
