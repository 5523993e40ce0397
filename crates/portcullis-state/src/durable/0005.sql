-- What users have granted the gateway at servers, sealed. One row for each server and principal.
CREATE TABLE upstream_grants (
    server TEXT NOT NULL,
    principal TEXT NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (server, principal)
) STRICT, WITHOUT ROWID;
