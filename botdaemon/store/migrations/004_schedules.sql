-- Writing first: schedules, what became of their slots, who wants quiet.

-- Of the IANA database; '' where the person has not said.
ALTER TABLE people ADD COLUMN timezone TEXT NOT NULL DEFAULT '';

-- One that has ended stays, for the turns and decisions it led to.
CREATE TABLE schedules (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    name     TEXT NOT NULL DEFAULT '',                -- in the configuration; '' for a person's
    bot      TEXT NOT NULL,
    kind     TEXT NOT NULL CHECK (kind IN ('cron', 'every', 'once', 'silence')),
    spec     TEXT NOT NULL,                           -- a crontab line, seconds, or a time
    timezone TEXT NOT NULL DEFAULT '',                -- of a crontab line
    say      TEXT NOT NULL,
    prompt   TEXT NOT NULL,
    room     TEXT NOT NULL DEFAULT '',                -- where: a room,
    adapter  TEXT,                                    -- an address,
    channel  TEXT,
    topic    TEXT,
    account  TEXT NOT NULL DEFAULT '',                -- or a person, "ADAPTER:ACCOUNT"
    missed   TEXT NOT NULL CHECK (missed IN ('skip', 'once')),
    jitter   REAL NOT NULL,
    asked    INTEGER NOT NULL,
    direct   INTEGER NOT NULL,
    made_by  INTEGER REFERENCES identities,
    made_at  REAL NOT NULL,
    slot     REAL,                                    -- the next one, where it is known
    due_at   REAL                                     -- when it is looked at; NULL: it has ended
) STRICT;
CREATE UNIQUE INDEX schedules_name ON schedules (name) WHERE name <> '';
CREATE INDEX schedules_due ON schedules (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX schedules_made_by ON schedules (made_by) WHERE made_by IS NOT NULL;

-- The referee of slots: each is decided about once. One that is to be looked at again ("until") is
-- not decided yet.
CREATE TABLE decisions (
    schedule INTEGER NOT NULL REFERENCES schedules,
    slot     REAL NOT NULL,
    at       REAL NOT NULL,
    reason   TEXT NOT NULL,
    until    REAL NOT NULL DEFAULT 0,
    turn     INTEGER REFERENCES turns,
    PRIMARY KEY (schedule, slot)
) STRICT, WITHOUT ROWID;
CREATE INDEX decisions_at ON decisions (at);

-- Where nobody is to write first: "room N", "person N" or "channel ADAPTER:CHANNEL". Hours are those
-- of every day, in minutes after midnight.
CREATE TABLE quiet (
    scope    TEXT PRIMARY KEY,
    until    REAL NOT NULL DEFAULT 0,
    begins   INTEGER,
    ends     INTEGER,
    timezone TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;

-- A turn in which a bot writes first, and the slot it is for: no slot has two. One that is tried
-- again (/retry) has no slot.
ALTER TABLE turns ADD COLUMN schedule INTEGER REFERENCES schedules;
ALTER TABLE turns ADD COLUMN slot REAL;
CREATE UNIQUE INDEX turns_slot ON turns (schedule, slot) WHERE slot IS NOT NULL;
CREATE INDEX turns_first ON turns (created_at) WHERE slot IS NOT NULL;
CREATE INDEX turns_direct ON turns (asked_by, id) WHERE direct;
