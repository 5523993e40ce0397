-- Elevations: somebody asks to use a privileged tool for a while, and somebody else approves or refuses.
CREATE TABLE elevations (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    -- For whom.
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    server TEXT NOT NULL,
    tool TEXT NOT NULL,
    why TEXT,
    asked INTEGER NOT NULL,
    verdict TEXT CHECK (verdict IN ('approve', 'refuse')),
    decided INTEGER,
    by_issuer TEXT,
    by_subject TEXT,
    -- When it ends, if it was approved.
    until INTEGER,
    CHECK ((verdict IS NULL) = (decided IS NULL)),
    CHECK ((verdict IS 'approve') = (until IS NOT NULL))
) STRICT;
