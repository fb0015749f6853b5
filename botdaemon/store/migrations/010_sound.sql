-- Sound: what is said in recordings, and how long and loud the voice notes of bots are.

ALTER TABLE files ADD COLUMN seconds REAL NOT NULL DEFAULT 0;
ALTER TABLE files ADD COLUMN waveform BLOB NOT NULL DEFAULT x'';

-- Once for each recording, whoever sends it and however often. One that cannot be heard has a
-- problem, in words for whoever sent it.
CREATE TABLE transcripts (
    file     TEXT PRIMARY KEY REFERENCES files ON DELETE CASCADE,
    text     TEXT NOT NULL,
    problem  TEXT NOT NULL,
    model    TEXT NOT NULL,
    heard_at REAL NOT NULL
) STRICT, WITHOUT ROWID;
