-- What is known of each derivation that a package set described, as JSON, and when it was first seen.
CREATE TABLE facts (
    derivation TEXT PRIMARY KEY NOT NULL,  -- hash and name, without the store folder
    name       TEXT NOT NULL,
    facts      TEXT NOT NULL,              -- JSON
    first_seen INTEGER NOT NULL            -- seconds since 1970
) STRICT;

-- The paths of these derivations. Several derivations may make one path.
CREATE TABLE fact_outputs (
    path       TEXT NOT NULL,
    output     TEXT NOT NULL,
    derivation TEXT NOT NULL,
    PRIMARY KEY (path, derivation)
) STRICT, WITHOUT ROWID;
CREATE INDEX fact_outputs_by_derivation ON fact_outputs (derivation);

-- Which derivation the job with an attribute was, when it was last evaluated.
CREATE TABLE fact_attrs (
    attr       TEXT PRIMARY KEY NOT NULL,
    derivation TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX fact_attrs_by_derivation ON fact_attrs (derivation);

-- A decision is asked for by its path, by its derivation, and by its attribute.
CREATE INDEX decisions_by_deriver ON decisions (deriver) WHERE deriver IS NOT NULL;
CREATE INDEX decisions_by_attr ON decisions (attr) WHERE attr IS NOT NULL;
