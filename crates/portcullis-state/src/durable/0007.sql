-- Clients that the gateway has registered at authorization servers, sealed. One row for each server and redirect URL.
CREATE TABLE upstream_clients (
    issuer TEXT NOT NULL,
    redirect TEXT NOT NULL,
    until INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (issuer, redirect)
) STRICT, WITHOUT ROWID;
