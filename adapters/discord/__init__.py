"""Discord as a platform: one account in many servers."""

from adapters.discord.adapter import DiscordAdapter
from adapters.discord.guide import guide
from adapters.discord.probe import probe

__all__ = ["DiscordAdapter", "guide", "probe"]
