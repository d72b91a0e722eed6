-- Texts of policies, by their digest: what decided can be read again.
CREATE TABLE policies (
    digest     TEXT PRIMARY KEY NOT NULL,
    name       TEXT NOT NULL,
    texts      TEXT NOT NULL               -- JSON list: its own, those that it extends, those of its terms
) STRICT;

-- The policy that the cache is published with. One row.
CREATE TABLE published_with (
    one        INTEGER PRIMARY KEY NOT NULL CHECK (one = 1),
    digest     TEXT NOT NULL,
    named      TEXT NOT NULL               -- as the operator names it: a shipped one, or a file
) STRICT;
