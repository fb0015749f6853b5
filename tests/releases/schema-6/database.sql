BEGIN TRANSACTION;
CREATE TABLE addresses (
    adapter TEXT NOT NULL,
    channel TEXT NOT NULL,
    topic   TEXT NOT NULL,
    thread  INTEGER NOT NULL REFERENCES threads,
    mirror  INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (adapter, channel, topic)
) STRICT, WITHOUT ROWID;
INSERT INTO "addresses" VALUES('web','lounge','1',1,1);
INSERT INTO "addresses" VALUES('web','lounge','2',2,1);
CREATE TABLE channels (
    adapter TEXT NOT NULL,
    channel TEXT NOT NULL,
    room    INTEGER NOT NULL REFERENCES rooms,
    mirror  INTEGER NOT NULL,                         -- shows threads straight from this database
    PRIMARY KEY (adapter, channel)
) STRICT, WITHOUT ROWID;
INSERT INTO "channels" VALUES('web','lounge',1,1);
CREATE TABLE cursors (
    adapter TEXT NOT NULL,
    channel TEXT NOT NULL,
    topic   TEXT NOT NULL,
    last    TEXT NOT NULL,
    PRIMARY KEY (adapter, channel, topic)
) STRICT, WITHOUT ROWID;
CREATE TABLE decisions (
    schedule INTEGER NOT NULL REFERENCES schedules,
    slot     REAL NOT NULL,
    at       REAL NOT NULL,
    reason   TEXT NOT NULL,
    until    REAL NOT NULL DEFAULT 0,
    turn     INTEGER REFERENCES turns,
    PRIMARY KEY (schedule, slot)
) STRICT, WITHOUT ROWID;
CREATE TABLE defaults (
    adapter TEXT NOT NULL,
    channel TEXT NOT NULL,
    options TEXT NOT NULL,
    PRIMARY KEY (adapter, channel)
) STRICT, WITHOUT ROWID;
CREATE TABLE events (
    adapter TEXT NOT NULL,
    key     TEXT NOT NULL,
    message INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (adapter, key)
) STRICT, WITHOUT ROWID;
INSERT INTO "events" VALUES('web','07c37666ade54067a554b6f9a6caefc4',6);
INSERT INTO "events" VALUES('web','1245737f01114237bdc05a88ab8ad21c',4);
INSERT INTO "events" VALUES('web','8b3f3943ca644d3484edd01c95c763a8',3);
INSERT INTO "events" VALUES('web','eb7221bdda7448009d69e95a3673495f',1);
CREATE TABLE feedback (
    message  INTEGER NOT NULL REFERENCES messages,
    identity INTEGER NOT NULL REFERENCES identities,
    value    TEXT NOT NULL,                           -- 'good', 'bad', or an emoji
    at       REAL NOT NULL,
    PRIMARY KEY (message, identity, value)
) STRICT, WITHOUT ROWID;
CREATE TABLE files (
    sha256     TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    media_type TEXT NOT NULL,
    size       INTEGER NOT NULL,
    created_at REAL NOT NULL
) STRICT;
INSERT INTO "files" VALUES('5611916815da82295b2a3420efcc33a8c9185a80c239246c7b0361c205552bd3','dot.png','image/png',66,1.79608703119985747332e+09);
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
CREATE TABLE identities (
    id      INTEGER PRIMARY KEY,
    person  INTEGER NOT NULL REFERENCES people,
    adapter TEXT NOT NULL,
    account TEXT NOT NULL,
    name    TEXT NOT NULL,
    is_bot  INTEGER NOT NULL DEFAULT 0,
    UNIQUE (adapter, account)
) STRICT;
INSERT INTO "identities" VALUES(1,1,'web','ann','Ann',0);
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
    created_at REAL NOT NULL, tried_at REAL NOT NULL DEFAULT 0, spoiler INTEGER NOT NULL DEFAULT 0, taken_back INTEGER NOT NULL DEFAULT 0,
    CHECK (turn IS NOT NULL OR message IS NOT NULL)
) STRICT;
CREATE TABLE link_tries (
    identity INTEGER PRIMARY KEY REFERENCES identities,
    tries    INTEGER NOT NULL,
    since    REAL NOT NULL
) STRICT;
CREATE TABLE links (
    id             INTEGER PRIMARY KEY,
    code           TEXT NOT NULL UNIQUE,              -- its SHA-256 in hex
    until          REAL NOT NULL,
    first          INTEGER NOT NULL UNIQUE REFERENCES identities,
    first_channel  TEXT NOT NULL,                     -- where they wrote
    first_topic    TEXT NOT NULL,
    first_agreed   INTEGER NOT NULL DEFAULT 0,
    second         INTEGER UNIQUE REFERENCES identities,
    second_channel TEXT,
    second_topic   TEXT,
    second_agreed  INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE message_files (
    message  INTEGER NOT NULL REFERENCES messages,
    position INTEGER NOT NULL,
    file     TEXT NOT NULL REFERENCES files,
    name     TEXT NOT NULL, spoiler INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (message, position)
) STRICT, WITHOUT ROWID;
INSERT INTO "message_files" VALUES(3,0,'5611916815da82295b2a3420efcc33a8c9185a80c239246c7b0361c205552bd3','dot.png',0);
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
INSERT INTO "messages" VALUES(1,1,1,'said',1,'','good morning','web','lounge','1','eb7221bdda7448009d69e95a3673495f','',NULL,0,1.79608703048182559011e+09,NULL,NULL);
INSERT INTO "messages" VALUES(2,2,1,'said',NULL,'polly','good morning','web','lounge','1','','',1,0,1.79608703111642479892e+09,NULL,NULL);
INSERT INTO "messages" VALUES(3,3,1,'said',1,'','look','web','lounge','1','8b3f3943ca644d3484edd01c95c763a8','',NULL,1,1.79608703119985747332e+09,NULL,NULL);
INSERT INTO "messages" VALUES(4,4,1,'said',1,'','shall we go on in a side thread?','web','lounge','1','1245737f01114237bdc05a88ab8ad21c','',NULL,0,1.79608703126475262638e+09,NULL,NULL);
INSERT INTO "messages" VALUES(5,5,1,'said',NULL,'polly','look
(sent a picture: dot.png)
shall we go on in a side thread?','web','lounge','1','','',2,0,1.79608703191367173189e+09,NULL,NULL);
INSERT INTO "messages" VALUES(6,6,2,'said',1,'','where shall we go?','web','lounge','2','07c37666ade54067a554b6f9a6caefc4','',NULL,0,1.7960870320616526604e+09,NULL,NULL);
INSERT INTO "messages" VALUES(7,7,2,'said',NULL,'polly','where shall we go?','web','lounge','2','','',3,0,1.79608703269631409644e+09,NULL,NULL);
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
CREATE TABLE people (
    id         INTEGER PRIMARY KEY,
    name       TEXT NOT NULL,
    created_at REAL NOT NULL
, timezone TEXT NOT NULL DEFAULT '') STRICT;
INSERT INTO "people" VALUES(1,'Ann',1.79608703048209953313e+09,'');
CREATE TABLE quarantine (
    id      INTEGER PRIMARY KEY,
    adapter TEXT NOT NULL,
    at      REAL NOT NULL,
    raw     TEXT NOT NULL,
    error   TEXT NOT NULL
) STRICT;
CREATE TABLE quiet (
    scope    TEXT PRIMARY KEY,
    until    REAL NOT NULL DEFAULT 0,
    begins   INTEGER,
    ends     INTEGER,
    timezone TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;
CREATE TABLE relations (
    person     INTEGER NOT NULL REFERENCES people,
    bot        TEXT NOT NULL,
    place      TEXT NOT NULL,
    met_at     REAL NOT NULL,
    last_at    REAL NOT NULL DEFAULT 0,               -- of the last answer
    messages   INTEGER NOT NULL DEFAULT 0,            -- of the person, that were answered
    ratings    INTEGER NOT NULL DEFAULT 0,            -- good less bad
    rated      INTEGER NOT NULL DEFAULT 0,            -- the last one: 1 or -1
    rated_at   REAL NOT NULL DEFAULT 0,
    stage      TEXT NOT NULL DEFAULT '',              -- as it was noted last
    stage_at   REAL NOT NULL DEFAULT 0,
    mood       TEXT NOT NULL DEFAULT '',              -- that a rule brought last
    mood_at    REAL NOT NULL DEFAULT 0,
    mood_until REAL NOT NULL DEFAULT 0,
    PRIMARY KEY (person, bot, place)
) STRICT, WITHOUT ROWID;
INSERT INTO "relations" VALUES(1,'polly','room 1',1.79608703048209953313e+09,1.79608703269631409644e+09,4,0,0,0.0,'',0.0,'',0.0,0.0);
CREATE TABLE rooms (
    id         INTEGER PRIMARY KEY,
    name       TEXT NOT NULL COLLATE NOCASE UNIQUE,
    bots       TEXT NOT NULL,                         -- JSON array of names
    host       TEXT NOT NULL DEFAULT '',
    configured INTEGER NOT NULL DEFAULT 0,
    main       INTEGER REFERENCES threads,            -- where a message without a thread goes
    created_at REAL NOT NULL
) STRICT;
INSERT INTO "rooms" VALUES(1,'lounge','["polly"]','polly',1,1,1.79608703005096554759e+09);
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
CREATE TABLE threads (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    room       INTEGER REFERENCES rooms,
    title      TEXT NOT NULL DEFAULT '',
    created_at REAL NOT NULL
) STRICT;
INSERT INTO "threads" VALUES(1,1,'',1.79608703046471691131e+09);
INSERT INTO "threads" VALUES(2,1,'plans',1.7960870320406618118e+09);
CREATE TABLE turn_messages (
    message INTEGER NOT NULL REFERENCES messages,
    turn    INTEGER NOT NULL REFERENCES turns,
    PRIMARY KEY (message, turn)
) STRICT, WITHOUT ROWID;
INSERT INTO "turn_messages" VALUES(1,1);
INSERT INTO "turn_messages" VALUES(3,2);
INSERT INTO "turn_messages" VALUES(4,2);
INSERT INTO "turn_messages" VALUES(6,3);
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
, wish TEXT NOT NULL DEFAULT '', wish_text TEXT NOT NULL DEFAULT '', about INTEGER REFERENCES messages, adapter TEXT, channel TEXT, topic TEXT, reply_to TEXT, schedule INTEGER REFERENCES schedules, slot REAL) STRICT;
INSERT INTO "turns" VALUES(1,1,'polly','room',1,0,'answered',0,'',1.79608703048209953313e+09,'','',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "turns" VALUES(2,1,'polly','room',1,0,'answered',0,'',1.79608703124436330797e+09,'','',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "turns" VALUES(3,2,'polly','room',1,0,'answered',0,'',1.79608703206183671955e+09,'','',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE INDEX identities_person ON identities (person);
CREATE INDEX channels_room ON channels (room);
CREATE INDEX threads_room ON threads (room);
CREATE INDEX addresses_thread ON addresses (thread);
CREATE UNIQUE INDEX messages_platform ON messages (adapter, channel, platform_id)
    WHERE platform_id <> '';
CREATE INDEX messages_thread ON messages (thread, id);
CREATE UNIQUE INDEX messages_seq ON messages (seq);
CREATE INDEX turns_open ON turns (thread, id) WHERE state = 'waiting' OR state = 'running';
CREATE INDEX turns_answered ON turns (thread, bot) WHERE state = 'answered';
CREATE INDEX turn_messages_turn ON turn_messages (turn);
CREATE UNIQUE INDEX letters_turn ON letters (turn, adapter, channel, topic, number)
    WHERE turn IS NOT NULL;
CREATE UNIQUE INDEX letters_message ON letters (message, adapter, channel, topic, number)
    WHERE turn IS NULL;
CREATE INDEX letters_open ON letters (adapter, channel, topic, message, number)
    WHERE state IN ('ready', 'sending');
CREATE INDEX letters_remote ON letters (adapter, channel, remote) WHERE remote <> '';
CREATE UNIQUE INDEX pairings_code ON pairings (code) WHERE approved_at IS NULL;
CREATE INDEX messages_pictures ON messages (thread, id) WHERE has_files AND bot <> '';
CREATE UNIQUE INDEX schedules_name ON schedules (name) WHERE name <> '';
CREATE INDEX schedules_due ON schedules (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX schedules_made_by ON schedules (made_by) WHERE made_by IS NOT NULL;
CREATE INDEX decisions_at ON decisions (at);
CREATE UNIQUE INDEX turns_slot ON turns (schedule, slot) WHERE slot IS NOT NULL;
CREATE INDEX turns_first ON turns (created_at) WHERE slot IS NOT NULL;
CREATE INDEX turns_direct ON turns (asked_by, id) WHERE direct;
CREATE INDEX held_platform ON held (adapter, channel, platform_id) WHERE platform_id <> '';
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('threads',2);
INSERT INTO "sqlite_sequence" VALUES('messages',7);
COMMIT;
PRAGMA user_version=6;
