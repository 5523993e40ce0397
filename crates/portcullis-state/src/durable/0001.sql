-- Counts every change, so that a reader finds out with one look whether there is anything new.
CREATE TABLE changes (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    epoch INTEGER NOT NULL
) STRICT;
INSERT INTO changes (only, epoch) VALUES (1, 0);

-- Times are microseconds since 1970.
CREATE TABLE revocations (
    kind TEXT NOT NULL CHECK (kind IN ('token', 'subject', 'client')),
    issuer TEXT NOT NULL,
    name TEXT NOT NULL,
    -- Tokens that were issued up to then are refused; a single token is, whenever it was issued.
    issued_until INTEGER NOT NULL,
    made INTEGER NOT NULL,
    made_by TEXT NOT NULL,
    reason TEXT,
    -- No token that this row refuses can be accepted any more after this.
    expires INTEGER NOT NULL,
    lifted INTEGER,
    lifted_by TEXT,
    -- The epoch of its last change, and whether a running gateway has recorded that.
    changed INTEGER NOT NULL,
    noted INTEGER NOT NULL DEFAULT 0 CHECK (noted IN (0, 1)),
    CHECK ((lifted IS NULL) = (lifted_by IS NULL)),
    PRIMARY KEY (kind, issuer, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX revocations_expires ON revocations (expires);
CREATE INDEX revocations_changed ON revocations (changed);
CREATE INDEX revocations_unnoted ON revocations (noted) WHERE noted = 0;
