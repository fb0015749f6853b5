-- Looking after the data: what was done when, and the ways back from what old messages leave behind.

-- The last time of each chore, and how it went; 'opened' says which botdaemon opened this last.
CREATE TABLE upkeep (
    chore TEXT PRIMARY KEY,
    at    REAL NOT NULL,
    took  REAL NOT NULL,                              -- seconds
    good  INTEGER NOT NULL,
    said  TEXT NOT NULL                               -- a sentence
) STRICT, WITHOUT ROWID;

-- Without these, each message that goes would cost a search through whole tables.
CREATE INDEX letters_said ON letters (message);
CREATE INDEX letters_file ON letters (file) WHERE file IS NOT NULL;
CREATE INDEX message_files_file ON message_files (file);
CREATE INDEX messages_turn ON messages (turn) WHERE turn IS NOT NULL;
CREATE INDEX turns_about ON turns (about) WHERE about IS NOT NULL;
CREATE INDEX decisions_turn ON decisions (turn) WHERE turn IS NOT NULL;
