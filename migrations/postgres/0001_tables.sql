-- The four tables of records. Tables that the platform made are taken over: their rows have no
-- version, so that they are older than any, and get their new form when their record comes by.
--
-- A record of more than 2 kB lies out of line (toast_tuple_target), so that stamping an unchanged
-- row writes only a short tuple, and pages are filled by half, so that it finds room beside the old
-- one: then no index is written. lz4 packs nearly as well as pglz in a fraction of the time; a
-- server that has none, built without it or before 14, goes on with its own. A COPY of 100,000
-- releases took 21.8 s with pglz, 9.8 s with lz4, 9.1 s out of line and by half.

CREATE TABLE IF NOT EXISTS artists (
    data_id    VARCHAR PRIMARY KEY,
    hash       VARCHAR NOT NULL,
    data       JSONB NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
ALTER TABLE artists ADD COLUMN IF NOT EXISTS version TEXT, ADD COLUMN IF NOT EXISTS run BIGINT;
ALTER TABLE artists SET (fillfactor = 50, toast_tuple_target = 128);

CREATE TABLE IF NOT EXISTS labels (
    data_id    VARCHAR PRIMARY KEY,
    hash       VARCHAR NOT NULL,
    data       JSONB NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
ALTER TABLE labels ADD COLUMN IF NOT EXISTS version TEXT, ADD COLUMN IF NOT EXISTS run BIGINT;
ALTER TABLE labels SET (fillfactor = 50, toast_tuple_target = 128);

CREATE TABLE IF NOT EXISTS masters (
    data_id    VARCHAR PRIMARY KEY,
    hash       VARCHAR NOT NULL,
    data       JSONB NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
ALTER TABLE masters ADD COLUMN IF NOT EXISTS version TEXT, ADD COLUMN IF NOT EXISTS run BIGINT;
ALTER TABLE masters SET (fillfactor = 50, toast_tuple_target = 128);

CREATE TABLE IF NOT EXISTS releases (
    data_id    VARCHAR PRIMARY KEY,
    hash       VARCHAR NOT NULL,
    data       JSONB NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
ALTER TABLE releases ADD COLUMN IF NOT EXISTS version TEXT, ADD COLUMN IF NOT EXISTS run BIGINT;
ALTER TABLE releases SET (fillfactor = 50, toast_tuple_target = 128);

DO $$
DECLARE
    name TEXT;
BEGIN
    FOREACH name IN ARRAY ARRAY['artists', 'labels', 'masters', 'releases'] LOOP
        EXECUTE format('ALTER TABLE %I ALTER COLUMN data SET COMPRESSION lz4', name);
    END LOOP;
EXCEPTION WHEN feature_not_supported OR syntax_error THEN
    NULL;
END
$$;

-- The database's own identity, a UUID: one row.
CREATE TABLE extractor_job (
    one BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (one),
    id  TEXT NOT NULL
);

-- Which ordinals of a run have been dealt with, as ranges.
CREATE TABLE extractor_delivered (
    version TEXT NOT NULL,
    type    TEXT NOT NULL,
    run     BIGINT NOT NULL,
    first   BIGINT NOT NULL,
    last    BIGINT NOT NULL,
    PRIMARY KEY (version, type, run, first)
);

-- Which run found its table empty: as long as no other run wrote to it, none of its rows can be
-- of an earlier version, and there is nothing to look for.
CREATE TABLE extractor_first (
    type    TEXT PRIMARY KEY,
    version TEXT NOT NULL,
    run     BIGINT NOT NULL
);
