-- The bot that people chose to answer in a thread without being called; '' for none.
ALTER TABLE threads ADD COLUMN chosen TEXT NOT NULL DEFAULT '';
