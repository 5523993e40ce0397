-- Passkeys of the owner of the machine.
CREATE TABLE owner_passkeys (
    id BLOB NOT NULL PRIMARY KEY,
    key BLOB NOT NULL,
    counter INTEGER NOT NULL,
    made INTEGER NOT NULL,
    used INTEGER
) STRICT, WITHOUT ROWID;
-- The link that signs the owner in once, as a digest, and the browser that opened it first.
CREATE TABLE owner_links (
    digest BLOB NOT NULL PRIMARY KEY,
    until INTEGER NOT NULL,
    browser BLOB
) STRICT, WITHOUT ROWID;
