-- Directories (SCIM) and rules about misuse revoke too; a revocation may name a claim, and tells what it follows from.
DROP INDEX revocations_expires;
DROP INDEX revocations_changed;
DROP INDEX revocations_unnoted;
ALTER TABLE revocations RENAME TO revocations_before;
CREATE TABLE revocations (
    kind TEXT NOT NULL CHECK (kind IN ('token', 'subject', 'client', 'claim')),
    issuer TEXT NOT NULL,
    -- Of a claim: its name, '=' and its value.
    name TEXT NOT NULL,
    -- An operator; an issuer's word that something has ended; its word that an account is disabled; a directory's; or a
    -- rule about misuse.
    source TEXT NOT NULL CHECK (source IN ('operator', 'event', 'disabled', 'directory', 'misuse')),
    -- Tokens that were issued up to then are refused; a single token is, whenever it was issued.
    issued_until INTEGER NOT NULL,
    made INTEGER NOT NULL,
    made_by TEXT NOT NULL,
    reason TEXT,
    -- The trace of the exchange that it follows from.
    cause TEXT,
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
SELECT kind, issuer, name, source, issued_until, made, made_by, reason, expires, lifted, lifted_by, changed, noted
FROM revocations_before;
DROP TABLE revocations_before;
CREATE INDEX revocations_expires ON revocations (expires);
CREATE INDEX revocations_changed ON revocations (changed);
CREATE INDEX revocations_unnoted ON revocations (noted) WHERE noted = 0;

-- Users of whom directories have told.
CREATE TABLE users (
    issuer TEXT NOT NULL,
    id TEXT NOT NULL,
    user_name TEXT NOT NULL,
    -- The same in lower case: no two users of an issuer differ in case only.
    folded TEXT NOT NULL,
    external_id TEXT,
    active INTEGER NOT NULL CHECK (active IN (0, 1)),
    PRIMARY KEY (issuer, id),
    UNIQUE (issuer, folded)
) STRICT, WITHOUT ROWID;
CREATE INDEX users_external ON users (issuer, external_id);
