"""The terminal as a platform: one person, one bot, no account and no token."""

from adapters.terminal.conversation import TerminalAdapter

__all__ = ["TerminalAdapter"]
