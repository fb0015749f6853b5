"""Bots: from a turn to an answer. They know no store, no platform and no model library."""
