"""How a person sets up a bot on Telegram, from nothing to the first answer. Knows no network."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from adapters.telegram.login import OFFICIAL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botdaemon.config import TelegramConfig
    from botdaemon.types import CommandSpec

_STEPS = """\
A bot on Telegram

1. In Telegram, open @BotFather (it has the blue check mark) and send it
       /newbot
   Give the bot a name, and a username that ends in "bot". The answer holds the token, a line like
   123456789:AA... Whoever has it is the bot: put it into a file that only the daemon can read.

2. In groups, a new bot sees only commands, replies to it and messages that mention it. That is
   enough to be called by @username. To let it follow the conversation, answer to its other names,
   or answer everything in a channel of `free_channels`, send @BotFather
       /setprivacy
   choose the bot, then "Disable". A bot that is already in a group has to be taken out and added
   again: only then does the change hold there. (A bot that is an administrator of the group sees
   everything anyway.)

3. To be added to groups, the bot needs /setjoingroups "Enable", which is what a new bot has.
   In the group: its name, "Add members", and the bot's username. Reactions reach the bot only
   where it is an administrator; it needs no other right of one.

4. The daemon puts its commands into the bot's menu when it starts:
{commands}
   /setuserpic and /setdescription in @BotFather give the bot a face and a greeting.

5. Only one program can poll with a token. When another one does (an old copy, a tool), the daemon
   says so in its log and sends nothing until it stops. A webhook is removed when the daemon starts.
{server}
`botdaemon check --online` logs in and says what is missing. The id of a group is in the daemon's
log when the bot is added to it: "a member of NAME (chat -100...)".

Write to the configuration:

{table}"""

_TABLE = """\
[adapters.telegram]
kind = "telegram"
{token}
# bots = ["NAME"]               # the bots this account speaks for, the first is the default
# free_channels = ["-100..."]   # where it answers everything
# [adapters.telegram.access]
# admins = ["123456789"]        # who may let others in; your own id is in the answer to /whoami
"""

_SERVER = """
6. `base_url` names a Bot API server of your own. Before its first use there, the bot has to leave
   Telegram's: open https://api.telegram.org/bot<token>/logOut once. `base_file_url` has to be set
   as well, and the server must not run with --local, or files cannot be fetched from it.
"""


def guide(table: TelegramConfig | None, commands: Sequence[CommandSpec]) -> str:
    """The steps, as text for a terminal. `table` is what is configured already, if anything is."""
    own_server = table is not None and not table.base_url.startswith(OFFICIAL)
    return _STEPS.format(
        commands=_listed(commands),
        server=_SERVER if own_server else "",
        table=_TABLE.format(token=_token(table)),
    )


def _listed(commands: Sequence[CommandSpec]) -> str:
    words = ", ".join(f"/{spec.name}" for spec in commands)
    return textwrap.fill(words, 100, initial_indent=" " * 7, subsequent_indent=" " * 7)


def _token(table: TelegramConfig | None) -> str:
    if table is not None and table.token_env:
        return f'token_env = "{table.token_env}"'
    if table is not None and table.token_credential:
        return f'token_credential = "{table.token_credential}"'
    file = table.token_file if table is not None and table.token_file else "telegram.token"
    return f'token_file = "{file}"'
