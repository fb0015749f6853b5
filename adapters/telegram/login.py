"""A connection to the Bot API, logged in. Knows neither updates nor letters."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from telegram import Bot, BotCommand
from telegram.constants import BotCommandLimit
from telegram.error import InvalidToken, TelegramError
from telegram.request import HTTPXRequest

from adapters.telegram.trouble import in_short, not_telegram
from botdaemon.errors import AdapterDown, AdapterRefused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from telegram import User

    from botdaemon.config import TelegramConfig
    from botdaemon.types import CommandSpec

log = logging.getLogger(__name__)

#: Telegram's own server
OFFICIAL = "https://api.telegram.org/"
#: seconds to log in
PATIENCE = 30.0

# httpx logs every address, and the token is in it. The library logs whole answers that it cannot
# read, and with them what people said; whatever it raises is said by us.
for _logger, _level in (
    ("httpx", logging.WARNING),
    ("httpcore", logging.WARNING),
    ("telegram", logging.CRITICAL),
):
    logging.getLogger(_logger).setLevel(_level)


@dataclass(frozen=True, slots=True)
class Connection:
    bot: Bot
    account: User
    #: what updates are asked through; letters have a pool of their own
    polling: HTTPXRequest


@asynccontextmanager
async def connected(name: str, table: TelegramConfig, token: str) -> AsyncIterator[Connection]:
    """Log in. Raises `AdapterRefused` when Telegram does not know the token, and `AdapterDown`
    when it cannot be asked."""
    # More than one: a connection that died unnoticed must not be the only one there is.
    polling = HTTPXRequest(4, read_timeout=10, write_timeout=10, connect_timeout=10, pool_timeout=5)
    sending = HTTPXRequest(
        40, read_timeout=20, write_timeout=20, connect_timeout=10, pool_timeout=10
    )
    try:
        bot = Bot(token, table.base_url, table.base_file_url, sending, polling)
        async with asyncio.timeout(PATIENCE):
            await bot.initialize()
    except InvalidToken as error:
        await asyncio.gather(polling.shutdown(), sending.shutdown())
        if isinstance(error.__cause__, TelegramError) and not_telegram(error.__cause__):
            raise AdapterDown("what answers in Telegram's place is not Telegram") from None
        raise AdapterRefused(refused(name)) from None
    except Exception as error:  # what answers may be anything
        await asyncio.gather(polling.shutdown(), sending.shutdown())
        raise AdapterDown(f"Telegram cannot be reached ({in_short(error)})") from None
    try:
        yield Connection(bot, bot.bot, polling)
    finally:
        await bot.shutdown()


def refused(name: str) -> str:
    """What to do about a token that Telegram does not know."""
    return (
        f"Telegram does not know the token of [adapters.{name}] (any more): ask @BotFather for "
        "the present one with /token, and put it where the configuration says"
    )


def menu(commands: Sequence[CommandSpec]) -> tuple[BotCommand, ...]:
    """The commands as Telegram lists them."""
    return tuple(
        BotCommand(spec.name, spec.help[: BotCommandLimit.MAX_DESCRIPTION])
        for spec in commands[: BotCommandLimit.MAX_COMMAND_NUMBER]
    )


async def announce(name: str, bot: Bot, commands: Sequence[CommandSpec]) -> None:
    """Put the commands into Telegram's menu, if they are not there already. A courtesy."""
    try:
        if tuple(await bot.get_my_commands()) != menu(commands):
            await bot.set_my_commands(menu(commands))
    except Exception as error:
        log.warning(
            "the menu of commands was not set: %s",
            in_short(error),
            extra={"event": "menu_failed", "adapter": name},
        )
