-- Relations: how far people and bots have come with each other; accounts that become one person.

-- Between a person and a bot in a place: 'room N', 'channel ADAPTER:CHANNEL', or 'direct' for what is
-- said to the bot alone. A running count, since messages may go and the relation stays.
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

-- What was said before there was this table counts as well.
INSERT INTO relations (person, bot, place, met_at, last_at, messages)
SELECT i.person, t.bot,
    CASE WHEN h.room IS NOT NULL THEN 'room ' || h.room WHEN t.direct THEN 'direct'
        ELSE 'channel ' || m.adapter || ':' || m.channel END AS place,
    min(t.created_at), max(t.created_at), count(DISTINCT m.id)
FROM turns t JOIN threads h ON h.id = t.thread JOIN identities i ON i.id = t.asked_by
JOIN turn_messages x ON x.turn = t.id JOIN messages m ON m.id = x.message
WHERE t.state = 'answered' AND m.kind = 'said' AND NOT i.is_bot
    AND i.account NOT LIKE 'forgotten %'
GROUP BY i.person, t.bot, place;

-- Two accounts that ask to be one person: the first was given a code, which the second gave back.
-- Then both have to agree. All of it is over at a time.
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

-- Wrong codes of an account, since a time.
CREATE TABLE link_tries (
    identity INTEGER PRIMARY KEY REFERENCES identities,
    tries    INTEGER NOT NULL,
    since    REAL NOT NULL
) STRICT;
