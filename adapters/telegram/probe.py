"""What is right and wrong with a bot on Telegram, by asking Telegram. Changes nothing there, and
never polls: that would end the poll of the daemon that runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from telegram.error import TelegramError

from adapters.telegram.login import connected, menu
from adapters.telegram.trouble import in_short
from botdaemon.errors import BotdaemonError
from botdaemon.types import Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from adapters.telegram.login import Connection
    from botdaemon.config import TelegramConfig
    from botdaemon.types import CommandSpec

_MEMBERS = ("creator", "administrator", "member", "restricted")


async def probe(
    name: str, table: TelegramConfig, token: str, commands: Sequence[CommandSpec]
) -> AsyncIterator[Finding]:
    """Log in and compare what is there with what is needed."""
    try:
        async with connected(name, table, token) as connection:
            async for finding in _account(connection):
                yield finding
            async for finding in _polling(connection, commands):
                yield finding
            for channel in sorted({*table.free_channels, *table.access.channels}):
                yield await _channel(connection, channel, channel in table.free_channels)
    except BotdaemonError as error:
        yield Finding(Verdict.PROBLEM, str(error))
    except Exception as error:  # what answers may be anything
        yield Finding(Verdict.PROBLEM, f"Telegram stopped answering: {in_short(error)}")


async def _account(connection: Connection) -> AsyncIterator[Finding]:
    account = connection.account
    yield Finding(Verdict.OK, f"Telegram: logged in as @{account.username}")
    if account.can_read_all_group_messages:
        yield Finding(Verdict.OK, "privacy mode is off: in groups it sees everything that is said")
    else:
        yield Finding(
            Verdict.NOTE,
            "privacy mode is on: in groups it sees only commands, mentions and replies; to change "
            "that, send @BotFather /setprivacy, then take it out of its groups and add it again",
        )
    if not account.can_join_groups:
        yield Finding(
            Verdict.NOTE, "it cannot be added to groups: send @BotFather /setjoingroups to allow it"
        )


async def _polling(
    connection: Connection, commands: Sequence[CommandSpec]
) -> AsyncIterator[Finding]:
    hook = await connection.bot.get_webhook_info()
    if hook.url:
        host = urlsplit(hook.url).hostname or "somewhere"
        yield Finding(
            Verdict.NOTE,
            f"a webhook is set, to {host}: the daemon removes it when it starts, and whatever "
            "listens there hears nothing any more",
        )
    if hook.pending_update_count:
        yield Finding(Verdict.OK, f"{hook.pending_update_count} updates wait to be fetched")
    if tuple(await connection.bot.get_my_commands()) == menu(commands):
        yield Finding(Verdict.OK, "the menu has all commands")
    else:
        yield Finding(Verdict.OK, "the menu of commands will be set when the daemon starts")


async def _channel(connection: Connection, channel: str, free: bool) -> Finding:
    """Whether it is in a chat that the configuration names, and sees there what it should."""
    account = connection.account
    try:
        chat = await connection.bot.get_chat(int(channel))
        if chat.type == "private":
            return Finding(Verdict.OK, f"chat {channel} is with {chat.effective_name}")
        status = (await connection.bot.get_chat_member(chat.id, account.id)).status
    except ValueError:
        return Finding(
            Verdict.PROBLEM,
            f'"{channel}" is no id of a chat: they are numbers, and those of groups are negative',
        )
    except TelegramError as error:
        return Finding(
            Verdict.PROBLEM,
            f"chat {channel} cannot be seen ({in_short(error)}): add the bot to it, or take the "
            "chat out of the configuration",
        )
    where = f'"{chat.effective_name}" (chat {channel})'
    if status not in _MEMBERS:
        return Finding(Verdict.PROBLEM, f"it is not in {where}: add it there")
    sees_all = account.can_read_all_group_messages or status in ("creator", "administrator")
    if free and not sees_all:
        return Finding(
            Verdict.PROBLEM,
            f"{where} is one of free_channels, and it does not see everything there: turn privacy "
            "mode off and add it to the group again, or make it an administrator",
        )
    return Finding(Verdict.OK, f"it is in {where}, as {status}")
