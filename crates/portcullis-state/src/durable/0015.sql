-- A third kind of voucher: what a device collects when its user has allowed it.
ALTER TABLE vouchers RENAME TO vouchers_before;
CREATE TABLE vouchers (
    digest TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('code', 'refresh', 'device')),
    family TEXT NOT NULL REFERENCES families (id) ON DELETE CASCADE,
    -- What it is bound to besides.
    bound TEXT NOT NULL,
    made INTEGER NOT NULL,
    until INTEGER NOT NULL,
    used INTEGER
) STRICT, WITHOUT ROWID;
INSERT INTO vouchers (digest, kind, family, bound, made, until, used)
    SELECT digest, kind, family, bound, made, until, used FROM vouchers_before;
DROP TABLE vouchers_before;
CREATE INDEX vouchers_of_family ON vouchers (family);

-- Devices that wait for their users: what they and their users show is here as digests only.
CREATE TABLE devices (
    digest TEXT NOT NULL PRIMARY KEY,
    user_code TEXT NOT NULL UNIQUE,
    client TEXT NOT NULL,
    network TEXT NOT NULL,
    -- What was asked for.
    asked TEXT NOT NULL,
    made INTEGER NOT NULL,
    until INTEGER NOT NULL,
    -- How many microseconds must lie between two questions, and when the last one came.
    pause INTEGER NOT NULL,
    polled INTEGER,
    verdict TEXT CHECK (verdict IN ('granted', 'denied'))
) STRICT, WITHOUT ROWID;
CREATE INDEX devices_until ON devices (until);
