"""Readable records: whole threads as Markdown and JSON Lines, and what is said in rooms written
along as plain text. Knows no database: it is handed what was said."""
