-- Answers: of which messages one consists, and how it came about.

-- A JSON array of [name, text] where it is more than one, or said under other names than the bot's;
-- `text` has all of it.
ALTER TABLE messages ADD COLUMN bubbles TEXT NOT NULL DEFAULT '';

-- How a bot came to its answer, for whoever asks (/why); written with the answer.
CREATE TABLE origins (
    turn          INTEGER PRIMARY KEY REFERENCES turns,
    model         TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    tokens        INTEGER NOT NULL,
    first_token   REAL NOT NULL,                      -- seconds
    notes         TEXT NOT NULL,                      -- JSON array of topics
    question      TEXT NOT NULL,                      -- as it was asked, '' where nobody rewrote it
    meant         TEXT NOT NULL,                      -- as `rewriter`, another model, put it
    rewriter      TEXT NOT NULL,
    at            REAL NOT NULL
) STRICT;
