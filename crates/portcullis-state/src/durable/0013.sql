-- The tenant of whoever asks for an elevation: at a server of several, nobody decides about another tenant's.
ALTER TABLE elevations ADD COLUMN tenant TEXT;
