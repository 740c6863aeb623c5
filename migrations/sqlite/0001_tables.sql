-- The four tables of records. A row without version or run was not written by this program, and
-- is older than any.
CREATE TABLE artists (
    data_id    TEXT PRIMARY KEY NOT NULL,
    hash       TEXT NOT NULL,
    data       TEXT NOT NULL,
    version    TEXT,
    run        INTEGER,
    updated_at TEXT NOT NULL
);

CREATE TABLE labels (
    data_id    TEXT PRIMARY KEY NOT NULL,
    hash       TEXT NOT NULL,
    data       TEXT NOT NULL,
    version    TEXT,
    run        INTEGER,
    updated_at TEXT NOT NULL
);

CREATE TABLE masters (
    data_id    TEXT PRIMARY KEY NOT NULL,
    hash       TEXT NOT NULL,
    data       TEXT NOT NULL,
    version    TEXT,
    run        INTEGER,
    updated_at TEXT NOT NULL
);

CREATE TABLE releases (
    data_id    TEXT PRIMARY KEY NOT NULL,
    hash       TEXT NOT NULL,
    data       TEXT NOT NULL,
    version    TEXT,
    run        INTEGER,
    updated_at TEXT NOT NULL
);

-- The database's own identity, a UUID: one row.
CREATE TABLE extractor_job (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    id   TEXT NOT NULL
);

-- Which ordinals of a run have been dealt with, as ranges that neither touch nor overlap.
CREATE TABLE extractor_delivered (
    version TEXT NOT NULL,
    type    TEXT NOT NULL,
    run     INTEGER NOT NULL,
    first   INTEGER NOT NULL,
    last    INTEGER NOT NULL,
    PRIMARY KEY (version, type, run, first)
) WITHOUT ROWID;

-- Which run found its table empty: as long as no other run wrote to it, none of its rows can be
-- of an earlier version, and there is nothing to look for.
CREATE TABLE extractor_first (
    type    TEXT PRIMARY KEY NOT NULL,
    version TEXT NOT NULL,
    run     INTEGER NOT NULL
) WITHOUT ROWID;
