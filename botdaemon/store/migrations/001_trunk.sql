-- The trunk: people, rooms, threads, messages, turns, letters, files.
-- Times are seconds since the epoch. Text is neutral Markdown.

CREATE TABLE people (
    id         INTEGER PRIMARY KEY,
    name       TEXT NOT NULL,
    created_at REAL NOT NULL
) STRICT;

CREATE TABLE identities (
    id      INTEGER PRIMARY KEY,
    person  INTEGER NOT NULL REFERENCES people,
    adapter TEXT NOT NULL,
    account TEXT NOT NULL,
    name    TEXT NOT NULL,
    is_bot  INTEGER NOT NULL DEFAULT 0,
    UNIQUE (adapter, account)
) STRICT;
CREATE INDEX identities_person ON identities (person);

CREATE TABLE rooms (
    id         INTEGER PRIMARY KEY,
    name       TEXT NOT NULL COLLATE NOCASE UNIQUE,
    bots       TEXT NOT NULL,                         -- JSON array of names
    host       TEXT NOT NULL DEFAULT '',
    configured INTEGER NOT NULL DEFAULT 0,
    main       INTEGER REFERENCES threads,            -- where a message without a thread goes
    created_at REAL NOT NULL
) STRICT;

-- Where a room is: one row for each channel it shares its threads with.
CREATE TABLE channels (
    adapter TEXT NOT NULL,
    channel TEXT NOT NULL,
    room    INTEGER NOT NULL REFERENCES rooms,
    mirror  INTEGER NOT NULL,                         -- shows threads straight from this database
    PRIMARY KEY (adapter, channel)
) STRICT, WITHOUT ROWID;
CREATE INDEX channels_room ON channels (room);

CREATE TABLE threads (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    room       INTEGER REFERENCES rooms,
    title      TEXT NOT NULL DEFAULT '',
    created_at REAL NOT NULL
) STRICT;
CREATE INDEX threads_room ON threads (room);

-- Which thread is going on at an address now.
CREATE TABLE addresses (
    adapter TEXT NOT NULL,
    channel TEXT NOT NULL,
    topic   TEXT NOT NULL,
    thread  INTEGER NOT NULL REFERENCES threads,
    mirror  INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (adapter, channel, topic)
) STRICT, WITHOUT ROWID;
CREATE INDEX addresses_thread ON addresses (thread);

-- The inbox's referee: an event is recorded once, however often it is delivered.
CREATE TABLE events (
    adapter TEXT NOT NULL,
    key     TEXT NOT NULL,
    message INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (adapter, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE messages (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    seq         INTEGER NOT NULL,
    thread      INTEGER NOT NULL REFERENCES threads,
    kind        TEXT NOT NULL CHECK (kind IN ('said', 'command', 'notice')),
    identity    INTEGER REFERENCES identities,        -- a person's message
    bot         TEXT NOT NULL DEFAULT '',             -- a bot's message
    text        TEXT NOT NULL,
    adapter     TEXT NOT NULL,
    channel     TEXT NOT NULL,
    topic       TEXT NOT NULL,
    platform_id TEXT NOT NULL DEFAULT '',
    reply_to    TEXT NOT NULL DEFAULT '',
    turn        INTEGER REFERENCES turns,
    has_files   INTEGER NOT NULL DEFAULT 0,
    sent_at     REAL NOT NULL,
    edited_at   REAL,
    deleted_at  REAL
) STRICT;
CREATE UNIQUE INDEX messages_platform ON messages (adapter, channel, platform_id)
    WHERE platform_id <> '';
CREATE INDEX messages_thread ON messages (thread, id);
CREATE UNIQUE INDEX messages_seq ON messages (seq);

CREATE TABLE turns (
    id         INTEGER PRIMARY KEY,
    thread     INTEGER NOT NULL REFERENCES threads,
    bot        TEXT NOT NULL,
    why        TEXT NOT NULL,
    asked_by   INTEGER REFERENCES identities,
    direct     INTEGER NOT NULL DEFAULT 0,
    state      TEXT NOT NULL DEFAULT 'waiting' CHECK (
        state IN ('waiting', 'running', 'answered', 'silent', 'stopped', 'failed', 'refused', 'dead')),
    deaths     INTEGER NOT NULL DEFAULT 0,            -- model processes that died under it
    error      TEXT NOT NULL DEFAULT '',
    created_at REAL NOT NULL
) STRICT;
-- A thread has few open turns among many that are not. With OR, not IN, the index also serves queries
-- for one of the two states.
CREATE INDEX turns_open ON turns (thread, id) WHERE state = 'waiting' OR state = 'running';
CREATE INDEX turns_answered ON turns (thread, bot) WHERE state = 'answered';

-- What a turn answers. Only these are settled by its answer; what arrives meanwhile is not.
CREATE TABLE turn_messages (
    message INTEGER NOT NULL REFERENCES messages,
    turn    INTEGER NOT NULL REFERENCES turns,
    PRIMARY KEY (message, turn)
) STRICT, WITHOUT ROWID;
CREATE INDEX turn_messages_turn ON turn_messages (turn);

-- The outbox. state: ready to be sent, sending (nobody knows until it is settled or verified),
-- sent, dead.
CREATE TABLE letters (
    id         INTEGER PRIMARY KEY,
    turn       INTEGER REFERENCES turns,
    message    INTEGER REFERENCES messages,
    adapter    TEXT NOT NULL,
    channel    TEXT NOT NULL,
    topic      TEXT NOT NULL,
    number     INTEGER NOT NULL DEFAULT 0,
    speaker    TEXT NOT NULL DEFAULT '',
    text       TEXT NOT NULL DEFAULT '',
    plain      TEXT NOT NULL DEFAULT '',
    file       TEXT REFERENCES files,
    file_name  TEXT NOT NULL DEFAULT '',
    reply_to   TEXT NOT NULL DEFAULT '',
    only_for   TEXT NOT NULL DEFAULT '',
    controls   TEXT NOT NULL DEFAULT '',              -- names, separated by spaces
    state      TEXT NOT NULL DEFAULT 'ready' CHECK (state IN ('ready', 'sending', 'sent', 'dead')),
    attempts   INTEGER NOT NULL DEFAULT 0,
    not_before REAL NOT NULL DEFAULT 0,
    remote     TEXT NOT NULL DEFAULT '',
    error      TEXT NOT NULL DEFAULT '',
    created_at REAL NOT NULL,
    CHECK (turn IS NOT NULL OR message IS NOT NULL)
) STRICT;
CREATE UNIQUE INDEX letters_turn ON letters (turn, adapter, channel, topic, number)
    WHERE turn IS NOT NULL;
CREATE UNIQUE INDEX letters_message ON letters (message, adapter, channel, topic, number)
    WHERE turn IS NULL;
CREATE INDEX letters_open ON letters (adapter, channel, topic, message, number)
    WHERE state IN ('ready', 'sending');
CREATE INDEX letters_remote ON letters (adapter, channel, remote) WHERE remote <> '';

CREATE TABLE files (
    sha256     TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    media_type TEXT NOT NULL,
    size       INTEGER NOT NULL,
    created_at REAL NOT NULL
) STRICT;

CREATE TABLE message_files (
    message  INTEGER NOT NULL REFERENCES messages,
    position INTEGER NOT NULL,
    file     TEXT NOT NULL REFERENCES files,
    name     TEXT NOT NULL,
    PRIMARY KEY (message, position)
) STRICT, WITHOUT ROWID;

-- Reactions and ratings.
CREATE TABLE feedback (
    message  INTEGER NOT NULL REFERENCES messages,
    identity INTEGER NOT NULL REFERENCES identities,
    value    TEXT NOT NULL,                           -- 'good', 'bad', or an emoji
    at       REAL NOT NULL,
    PRIMARY KEY (message, identity, value)
) STRICT, WITHOUT ROWID;
