-- What issuers say of their subjects by themselves, for policies to judge: the newest of each topic.
CREATE TABLE sayings (
    issuer TEXT NOT NULL,
    -- `sub`, as events have it.
    name TEXT NOT NULL,
    topic TEXT NOT NULL CHECK (topic IN ('device-compliance', 'risk-level', 'assurance-level')),
    value TEXT NOT NULL,
    -- When it came to be so, and when it was heard.
    since INTEGER NOT NULL,
    heard INTEGER NOT NULL,
    -- After this nobody goes by it any more.
    expires INTEGER NOT NULL,
    PRIMARY KEY (issuer, name, topic)
) STRICT, WITHOUT ROWID;
CREATE INDEX sayings_expiry ON sayings (expires);
