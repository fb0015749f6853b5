"""Telegram, by long polling of the Bot API. Knows the library `telegram` (python-telegram-bot)."""

import os

# Asks the library for durations as such: without it, it warns whenever Telegram says "slow down".
# It looks when it needs to know, so this comes in time.
os.environ.setdefault("PTB_TIMEDELTA", "true")

from adapters.telegram.adapter import TelegramAdapter

__all__ = ["TelegramAdapter"]
