"""What Telegram refuses, in the words of the house. Knows no letter and no connection.

The library's own words are not passed on where they may hold the token, which is in every address.
"""

from __future__ import annotations

import datetime as dt

from telegram.error import (
    BadRequest,
    ChatMigrated,
    Conflict,
    EndPointNotFound,
    Forbidden,
    InvalidToken,
    NetworkError,
    RetryAfter,
    TelegramError,
)

from botdaemon.errors import AdapterDown, BotdaemonError, Gone, RateLimited, TryLater, Undeliverable

#: errors of the connection under which nothing can have left this machine
_NEVER_LEFT = ("ConnectError", "ConnectTimeout", "PoolTimeout")
#: seconds to wait when Telegram asks for patience and does not say how much
_PATIENCE = 5.0

REVOKED = (InvalidToken, EndPointNotFound)


def seconds(error: RetryAfter) -> float:
    """How long Telegram wants to be left alone."""
    after = error.retry_after  # a timedelta, as adapters.telegram asks of the library
    return after.total_seconds() if isinstance(after, dt.timedelta) else float(after)


def says(error: TelegramError, *words: str) -> bool:
    """Whether a request was refused with one of these words. Telegram has no finer error codes."""
    return isinstance(error, BadRequest) and any(word in error.message.lower() for word in words)


def for_letter(error: TelegramError) -> BotdaemonError:
    """What a failed send or edit means for the letter."""
    if not_telegram(error):
        return _unreachable(error)
    match error:
        case RetryAfter():
            return RateLimited("Telegram asks to slow down", after=seconds(error))
        case Forbidden():
            return Undeliverable(f"Telegram does not let the bot write there: {error.message}")
        case ChatMigrated():
            return Gone("the group has become a supergroup, and its old messages are out of reach")
        case BadRequest() if says(error, "message to edit not found", "message_id_invalid"):
            return Gone("the message is not there any more")
        case BadRequest() if says(error, "message can't be edited"):
            return Gone("the message cannot be edited any more")
        case BadRequest():
            return Undeliverable(f"Telegram refuses the message: {error.message}")
        case InvalidToken() | EndPointNotFound() | Conflict():
            return TryLater("Telegram refuses the bot at the moment")
    return _unreachable(error)


def _unreachable(error: TelegramError) -> BotdaemonError:
    if type(error.__cause__).__name__ in _NEVER_LEFT:
        return TryLater("Telegram cannot be reached")
    if error.message.startswith("Too Many Requests"):
        return RateLimited("Telegram asks to slow down", after=_PATIENCE)
    if error.message.startswith("Request Entity Too Large"):
        return Undeliverable("Telegram refuses the file: it is too large")
    return AdapterDown(f"nobody knows whether Telegram got it: {in_short(error)}")


def in_short(error: Exception) -> str:
    """What went wrong, in words that hold no address."""
    if isinstance(error, InvalidToken):
        return "the token was refused"
    if not isinstance(error, TelegramError):
        return type(error).__name__
    if isinstance(error, NetworkError) and error.__cause__ and not not_telegram(error):
        return type(error.__cause__).__name__
    return error.message.partition(". Parsing the server response")[0][:200]


def not_telegram(error: TelegramError) -> bool:
    """Whether the answer was not Telegram's own: a proxy's page, for example."""
    return type(error.__cause__) is TelegramError
