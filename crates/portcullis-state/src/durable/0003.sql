-- What wraps data keys: the newest is in use. The keys themselves are elsewhere, and known here by their names.
CREATE TABLE wrapping_keys (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE
) STRICT;

-- One key for each tenant, under which what is secret in this database is sealed.
CREATE TABLE data_keys (
    tenant TEXT NOT NULL PRIMARY KEY,
    wrapped_by INTEGER NOT NULL REFERENCES wrapping_keys (number),
    wrapped BLOB NOT NULL
) STRICT, WITHOUT ROWID;
