-- The chat platforms: how far each has been read, what could not be read, who may write directly.

-- Everything at this place up to the message `last` is recorded. An empty place is the start.
CREATE TABLE cursors (
    adapter TEXT NOT NULL,
    channel TEXT NOT NULL,
    topic   TEXT NOT NULL,
    last    TEXT NOT NULL,
    PRIMARY KEY (adapter, channel, topic)
) STRICT, WITHOUT ROWID;

-- Events that could not be read, the newest of them.
CREATE TABLE quarantine (
    id      INTEGER PRIMARY KEY,
    adapter TEXT NOT NULL,
    at      REAL NOT NULL,
    raw     TEXT NOT NULL,
    error   TEXT NOT NULL
) STRICT;

-- Strangers that wrote directly. With approved_at they have been let in.
CREATE TABLE pairings (
    identity    INTEGER PRIMARY KEY REFERENCES identities,
    code        TEXT NOT NULL,
    thread      INTEGER NOT NULL REFERENCES threads,  -- where they wrote
    channel     TEXT NOT NULL,
    topic       TEXT NOT NULL,
    asked_at    REAL NOT NULL,
    approved_at REAL,
    approved_by INTEGER REFERENCES identities
) STRICT;
CREATE UNIQUE INDEX pairings_code ON pairings (code) WHERE approved_at IS NULL;

-- When a letter was last handed to its adapter: one without an answer is verified a while after.
ALTER TABLE letters ADD COLUMN tried_at REAL NOT NULL DEFAULT 0;
