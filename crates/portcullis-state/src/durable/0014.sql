-- What servers define. Each version's text is kept once, whoever defines it.
CREATE TABLE catalog_texts (
    digest TEXT NOT NULL PRIMARY KEY,
    -- RFC 8785.
    canonical TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What became of each thing that a server defines: a chain, in which each event has the hash of the one before it.
CREATE TABLE catalog_events (
    server TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    place INTEGER NOT NULL,
    deed TEXT NOT NULL,
    digest TEXT REFERENCES catalog_texts (digest),
    by TEXT NOT NULL,
    reason TEXT,
    at INTEGER NOT NULL,
    era TEXT,
    transport TEXT,
    origin TEXT,
    parent TEXT,
    hash TEXT NOT NULL,
    PRIMARY KEY (server, kind, name, place)
) STRICT, WITHOUT ROWID;

-- The end of each chain, signed by the gateway's own key together with what is approved by it.
CREATE TABLE catalog_heads (
    server TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    signature TEXT NOT NULL,
    PRIMARY KEY (server, kind, name)
) STRICT, WITHOUT ROWID;

-- Grows with every change, whoever makes it: who sees the same number as before need not look again.
CREATE TABLE catalog_changes (epoch INTEGER NOT NULL) STRICT;
INSERT INTO catalog_changes (epoch) VALUES (1);

CREATE TRIGGER catalog_events_are_added AFTER INSERT ON catalog_events
BEGIN UPDATE catalog_changes SET epoch = epoch + 1; END;
CREATE TRIGGER catalog_heads_are_added AFTER INSERT ON catalog_heads
BEGIN UPDATE catalog_changes SET epoch = epoch + 1; END;
CREATE TRIGGER catalog_heads_are_changed AFTER UPDATE ON catalog_heads
BEGIN UPDATE catalog_changes SET epoch = epoch + 1; END;
CREATE TRIGGER catalog_heads_are_removed AFTER DELETE ON catalog_heads
BEGIN UPDATE catalog_changes SET epoch = epoch + 1; END;

-- Slips of our own are stopped here; what others do to the file, the hashes and signatures tell.
CREATE TRIGGER catalog_events_stay AFTER DELETE ON catalog_events
BEGIN SELECT raise(ABORT, 'the history of a definition is never shortened'); END;
CREATE TRIGGER catalog_events_stay_so AFTER UPDATE ON catalog_events
BEGIN SELECT raise(ABORT, 'the history of a definition is never rewritten'); END;
CREATE TRIGGER catalog_texts_stay AFTER DELETE ON catalog_texts
BEGIN SELECT raise(ABORT, 'a version of a definition is never removed'); END;
CREATE TRIGGER catalog_texts_stay_so AFTER UPDATE ON catalog_texts
BEGIN SELECT raise(ABORT, 'a version of a definition is never rewritten'); END;
