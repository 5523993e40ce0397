-- Who a revocation comes from is a part of its key, so that an issuer takes back only what it has said itself.
DROP INDEX revocations_expires;
DROP INDEX revocations_changed;
DROP INDEX revocations_unnoted;
ALTER TABLE revocations RENAME TO revocations_before;
CREATE TABLE revocations (
    kind TEXT NOT NULL CHECK (kind IN ('token', 'subject', 'client')),
    issuer TEXT NOT NULL,
    name TEXT NOT NULL,
    -- An operator; an issuer's word that something has ended; or its word that an account is disabled.
    source TEXT NOT NULL CHECK (source IN ('operator', 'event', 'disabled')),
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
    PRIMARY KEY (kind, issuer, name, source)
) STRICT, WITHOUT ROWID;
INSERT INTO revocations
    (kind, issuer, name, source, issued_until, made, made_by, reason, expires, lifted, lifted_by, changed, noted)
SELECT kind, issuer, name, 'operator', issued_until, made, made_by, reason, expires, lifted, lifted_by, changed, noted
FROM revocations_before;
DROP TABLE revocations_before;
CREATE INDEX revocations_expires ON revocations (expires);
CREATE INDEX revocations_changed ON revocations (changed);
CREATE INDEX revocations_unnoted ON revocations (noted) WHERE noted = 0;

-- Security events that were taken: each counts once.
CREATE TABLE heard (
    issuer TEXT NOT NULL,
    id TEXT NOT NULL,
    -- After this it is too old to be taken anyway.
    until INTEGER NOT NULL,
    PRIMARY KEY (issuer, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX heard_until ON heard (until);
