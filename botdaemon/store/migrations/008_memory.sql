-- What bots remember: facts about people, and summaries of what was said.

-- A sentence about somebody, as they said it of themself.
CREATE TABLE facts (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,       -- people forget by it, so it is used once
    bot      TEXT NOT NULL,
    identity INTEGER NOT NULL REFERENCES identities,  -- who it is about; accounts of one person are linked there
    place    TEXT NOT NULL,                           -- where it was said: "room N" or "channel ADAPTER:CHANNEL"
    direct   INTEGER NOT NULL,                        -- to the bot alone
    text     TEXT NOT NULL,
    same     TEXT NOT NULL,                           -- the text, the same for every way to write it
    by_hand  INTEGER NOT NULL,                        -- by /remember
    told_at  REAL NOT NULL,
    UNIQUE (identity, bot, place, direct, same)
) STRICT;
CREATE INDEX facts_place ON facts (place, bot);

-- What it was learned from, in its latest telling.
CREATE TABLE fact_sources (
    message INTEGER NOT NULL REFERENCES messages,
    fact    INTEGER NOT NULL REFERENCES facts ON DELETE CASCADE,
    PRIMARY KEY (message, fact)
) STRICT, WITHOUT ROWID;
CREATE INDEX fact_sources_fact ON fact_sources (fact);

-- In place of everything that was said in a thread from one message to another. A wider one stands in
-- place of those within it, which stay.
CREATE TABLE summaries (
    id      INTEGER PRIMARY KEY,
    bot     TEXT NOT NULL,
    thread  INTEGER NOT NULL REFERENCES threads,
    first   INTEGER NOT NULL REFERENCES messages,
    last    INTEGER NOT NULL REFERENCES messages,
    text    TEXT NOT NULL,
    model   TEXT NOT NULL,
    made_at REAL NOT NULL,
    UNIQUE (thread, bot, first, last)
) STRICT;

-- How far a bot has read what was said, by the changes of messages; nothing up to the message `began`
-- concerns it, which was there before it had a memory.
CREATE TABLE memories (
    bot   TEXT PRIMARY KEY,
    seq   INTEGER NOT NULL,
    began INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Somebody had everything forgotten: nothing they said up to this message is learned any more.
ALTER TABLE identities ADD COLUMN forgotten_to INTEGER NOT NULL DEFAULT 0;

-- What was said otherwise, or taken back, is remembered by nobody, whoever changed it.
CREATE TRIGGER memory_follows AFTER UPDATE OF text, deleted_at ON messages
WHEN new.text IS NOT old.text OR new.deleted_at IS NOT old.deleted_at
BEGIN
    DELETE FROM facts WHERE id IN (SELECT fact FROM fact_sources WHERE message = new.id);
    DELETE FROM summaries WHERE thread = new.thread AND first <= new.id AND last >= new.id
        AND new.kind = 'said';
END;
