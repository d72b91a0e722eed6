-- What was decided about each path. One row a path; a later decision replaces it.
CREATE TABLE decisions (
    path       TEXT PRIMARY KEY NOT NULL,  -- hash and name, without the store folder
    name       TEXT NOT NULL,
    attr       TEXT,
    output     TEXT,
    deriver    TEXT,
    nar_hash   TEXT NOT NULL,
    nar_size   INTEGER NOT NULL,
    refs       TEXT NOT NULL,              -- JSON list of paths
    license    TEXT,
    verdict    TEXT NOT NULL,
    reasons    TEXT NOT NULL,              -- JSON
    policy     TEXT NOT NULL
) STRICT;

-- Which NAR file each published path has: several paths may share one.
CREATE TABLE objects (
    hash       TEXT PRIMARY KEY NOT NULL,  -- the 32 characters of the path
    nar_file   TEXT NOT NULL,
    file_size  INTEGER NOT NULL
) STRICT;
CREATE INDEX objects_by_nar_file ON objects (nar_file);

-- Uploads and removals that began. What a crash leaves here is brought to its end at the next start.
CREATE TABLE pending (
    hash       TEXT PRIMARY KEY NOT NULL,
    nar_file   TEXT NOT NULL,
    log        TEXT,                       -- the derivation whose log goes with it
    removal    INTEGER NOT NULL            -- 0 for an upload, 1 for a removal
) STRICT;

-- What the corpus learned from. Should the corpus be lost, this tells what is missing from a new one.
CREATE TABLE learned (
    nar_hash   TEXT PRIMARY KEY NOT NULL,
    package    TEXT NOT NULL
) STRICT;

-- What audits saw, so that the same bytes are read once for each corpus.
CREATE TABLE audits (
    nar_hash   TEXT NOT NULL,
    corpus     TEXT NOT NULL,
    scanner    INTEGER NOT NULL,
    report     TEXT NOT NULL,              -- JSON
    PRIMARY KEY (nar_hash, corpus, scanner)
) STRICT;
