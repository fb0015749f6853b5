-- Pictures: what people wish by buttons and commands, and what is taken back from the platforms.

-- What is wished, '' for a turn that answers what was said; the message whose picture it is about.
ALTER TABLE turns ADD COLUMN wish TEXT NOT NULL DEFAULT '';
ALTER TABLE turns ADD COLUMN wish_text TEXT NOT NULL DEFAULT '';
ALTER TABLE turns ADD COLUMN about INTEGER REFERENCES messages;

-- Where it was wished, and the platform's id of the message to reply to. A wish that was typed is in
-- turn_messages and has none of this.
ALTER TABLE turns ADD COLUMN adapter TEXT;
ALTER TABLE turns ADD COLUMN channel TEXT;
ALTER TABLE turns ADD COLUMN topic TEXT;
ALTER TABLE turns ADD COLUMN reply_to TEXT;

ALTER TABLE message_files ADD COLUMN spoiler INTEGER NOT NULL DEFAULT 0;
ALTER TABLE letters ADD COLUMN spoiler INTEGER NOT NULL DEFAULT 0;

-- Its message was taken back, and it is to be taken from the platform. A letter goes through the
-- same states again then, and ends as dead.
ALTER TABLE letters ADD COLUMN taken_back INTEGER NOT NULL DEFAULT 0;

-- The newest picture of a thread.
CREATE INDEX messages_pictures ON messages (thread, id) WHERE has_files AND bot <> '';

-- Options for the pictures of a place.
CREATE TABLE defaults (
    adapter TEXT NOT NULL,
    channel TEXT NOT NULL,
    options TEXT NOT NULL,
    PRIMARY KEY (adapter, channel)
) STRICT, WITHOUT ROWID;
