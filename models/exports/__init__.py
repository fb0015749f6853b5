"""Reads what people export from their chats into one neutral form. Knows no model and no training.

Each module reads one kind of export; `neutral` is what they all give, `collection` is where it is
kept.
"""
