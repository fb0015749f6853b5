-- What filters held back or masked, for the operator to look at; the newest of it.
CREATE TABLE held (
    id          INTEGER PRIMARY KEY,
    key         TEXT NOT NULL UNIQUE,                 -- what it was found in: noted once, however often
    at          REAL NOT NULL,
    way         TEXT NOT NULL CHECK (way IN ('heard', 'said')),
    blocked     INTEGER NOT NULL,
    found       TEXT NOT NULL,                        -- JSON array of texts
    text        TEXT NOT NULL,                        -- all of it
    bot         TEXT NOT NULL DEFAULT '',             -- who would have said or heard it; '' for all
    identity    INTEGER REFERENCES identities,        -- who said it
    adapter     TEXT NOT NULL,
    channel     TEXT NOT NULL,
    topic       TEXT NOT NULL,
    platform_id TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX held_platform ON held (adapter, channel, platform_id) WHERE platform_id <> '';
