-- A path that is itself a file has a name, and what is said of it may go by that: the report counts for that name alone. For
-- others the name is empty.
CREATE TABLE audits_by_name (
    nar_hash   TEXT NOT NULL,
    name       TEXT NOT NULL,
    corpus     TEXT NOT NULL,
    scanner    INTEGER NOT NULL,
    report     TEXT NOT NULL,              -- JSON
    PRIMARY KEY (nar_hash, name, corpus, scanner)
) STRICT;
INSERT INTO audits_by_name SELECT nar_hash, '', corpus, scanner, report FROM audits ORDER BY rowid;
DROP TABLE audits;
ALTER TABLE audits_by_name RENAME TO audits;
