-- Reviews of who may do what. At most one is open: nothing stands in its `closed`.
CREATE TABLE reviews (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    started INTEGER NOT NULL,
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    -- What nobody has decided by then has lapsed.
    due INTEGER NOT NULL,
    policy TEXT NOT NULL,
    closed INTEGER
) STRICT;
CREATE UNIQUE INDEX reviews_open ON reviews (closed IS NULL) WHERE closed IS NULL;

-- What is looked over, and the last word about it.
CREATE TABLE review_items (
    review INTEGER NOT NULL REFERENCES reviews (number),
    id TEXT NOT NULL,
    rule TEXT NOT NULL,
    verdict TEXT CHECK (verdict IN ('keep', 'revoke', 'lapse')),
    decided INTEGER,
    -- Nobody, if it lapsed.
    issuer TEXT,
    subject TEXT,
    reason TEXT,
    CHECK ((verdict IS NULL) = (decided IS NULL)),
    PRIMARY KEY (review, id)
) STRICT, WITHOUT ROWID;

-- Grants that give no access although the configuration has them, until somebody keeps them.
CREATE TABLE held_grants (
    id TEXT NOT NULL PRIMARY KEY,
    review INTEGER NOT NULL REFERENCES reviews (number),
    since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Tokens by which somebody has started or decided something: each counts once.
CREATE TABLE review_tokens (
    digest TEXT NOT NULL PRIMARY KEY,
    -- After this it is over anyway.
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What a running gateway has yet to write to its log.
CREATE TABLE review_events (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    event TEXT NOT NULL,
    reason TEXT,
    issuer TEXT,
    subject TEXT
) STRICT;
CREATE TABLE review_facts (
    event INTEGER NOT NULL REFERENCES review_events (number) ON DELETE CASCADE,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (event, name)
) STRICT, WITHOUT ROWID;
