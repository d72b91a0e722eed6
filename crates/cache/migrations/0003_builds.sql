-- How long builds took. One row a derivation; a later build replaces it.
CREATE TABLE builds (
    derivation    TEXT PRIMARY KEY NOT NULL,  -- hash and name, without the store folder
    package       TEXT NOT NULL,              -- the name without its version
    system        TEXT NOT NULL,
    milliseconds  INTEGER NOT NULL,
    ended         INTEGER NOT NULL            -- seconds since 1970
) STRICT;
