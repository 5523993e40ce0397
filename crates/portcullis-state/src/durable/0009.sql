-- What the gateway's own authorization server has given: one row for each time that a user has let a client in.
CREATE TABLE families (
    id TEXT NOT NULL PRIMARY KEY,
    -- The user, as the provider calls them.
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    client TEXT NOT NULL,
    -- What was granted, to whom, and what it is bound to.
    granted TEXT NOT NULL,
    made INTEGER NOT NULL,
    until INTEGER NOT NULL,
    ended INTEGER,
    reason TEXT,
    CHECK ((ended IS NULL) = (reason IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX families_of_user ON families (issuer, subject);
CREATE INDEX families_until ON families (until);

-- Codes and refresh tokens, by digests of them: each is used once, and stays here to tell who shows it again.
CREATE TABLE vouchers (
    digest TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('code', 'refresh')),
    family TEXT NOT NULL REFERENCES families (id) ON DELETE CASCADE,
    -- What it is bound to besides.
    bound TEXT NOT NULL,
    made INTEGER NOT NULL,
    until INTEGER NOT NULL,
    used INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX vouchers_of_family ON vouchers (family);

-- Assertions by which clients have authenticated: each counts once.
CREATE TABLE client_assertions (
    digest TEXT NOT NULL PRIMARY KEY,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Clients that have registered themselves.
CREATE TABLE registered_clients (
    id TEXT NOT NULL PRIMARY KEY,
    -- A digest of what manages the registration.
    token TEXT NOT NULL,
    network TEXT NOT NULL,
    metadata TEXT NOT NULL,
    made INTEGER NOT NULL,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX registered_clients_network ON registered_clients (network);
