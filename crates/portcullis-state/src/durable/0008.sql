-- What users have agreed to at the gateway's own authorization server: one row for a user, a client, the place of its
-- answers, and a server.
CREATE TABLE consents (
    id TEXT NOT NULL PRIMARY KEY,
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    client TEXT NOT NULL,
    redirect TEXT NOT NULL,
    server TEXT NOT NULL,
    -- With a space between them, in order.
    scopes TEXT NOT NULL,
    -- What the client said of itself then, as a digest, and what it calls itself.
    metadata TEXT NOT NULL,
    name TEXT NOT NULL,
    given INTEGER NOT NULL,
    until INTEGER NOT NULL,
    UNIQUE (issuer, subject, client, redirect, server)
) STRICT, WITHOUT ROWID;
CREATE INDEX consents_until ON consents (until);
