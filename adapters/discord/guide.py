"""What a person has to do on Discord, and the permissions a bot needs there. Knows no network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import discord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botdaemon.config import DiscordConfig
    from botdaemon.types import CommandSpec

PORTAL = "https://discord.com/developers/applications"

#: permissions and what each is for; the first three are needed in every channel it answers in
PERMISSIONS = {
    "view_channel": ("View Channels", "to see the channels it answers in"),
    "send_messages": ("Send Messages", "to answer"),
    "read_message_history": ("Read Message History", "to reply, and to catch up"),
    "send_messages_in_threads": ("Send Messages in Threads", "to answer in threads"),
    "create_public_threads": ("Create Public Threads", "for auto_threads"),
    "attach_files": ("Attach Files", "for pictures and long answers"),
    "manage_webhooks": ("Manage Webhooks", "for several bots with their own faces"),
}


def permissions(table: DiscordConfig | None) -> dict[str, tuple[str, str]]:
    """Those that this configuration uses; without one, all."""
    unused = set()
    if table is not None and not table.auto_threads:
        unused.add("create_public_threads")
    if table is not None and not table.own_faces:
        unused.add("manage_webhooks")
    return {name: said for name, said in PERMISSIONS.items() if name not in unused}


def invitation(application: str, table: DiscordConfig | None) -> str:
    """The address at which a server's owner lets the bot in."""
    wanted = discord.Permissions(**dict.fromkeys(permissions(table), True))
    return (
        f"https://discord.com/oauth2/authorize?client_id={application}"
        f"&scope=bot+applications.commands&permissions={wanted.value}"
    )


def guide(table: DiscordConfig | None, commands: Sequence[CommandSpec]) -> str:
    """The steps from nothing to a bot that answers."""
    asked = "\n".join(f"     {name:<25} {why}" for name, why in permissions(table).values())
    listed = ", ".join(f"/{spec.name}" for spec in commands if not spec.admin)
    if table is None or table.message_content:
        intents = "switch on MESSAGE CONTENT INTENT (the other two stay off)."
    else:
        intents = "nothing is needed: message_content = false."
    return f"""\
A bot on Discord, in five steps

1. {PORTAL}: New Application.
   Give it the name that people will see.
2. Bot, Reset Token: copy the token into a file that only you can read, such as
   discord.token (chmod 600). Discord shows it once.
3. Bot, Privileged Gateway Intents: {intents}
   Without that intent the bot reads only direct messages and messages that mention it; set
   message_content = false if you want it so.
4. General Information: copy the Application ID, put it into this address, and open it in a
   browser to let the bot into your server:

     {invitation("APPLICATION_ID", table)}

   It asks for:
{asked}

5. Write the lines below into the configuration, run `botdaemon check --online`, which tells what
   is still missing, and start the daemon. Then mention the bot in a channel, or write to it
   directly. These commands are announced by themselves:
   {listed}.

[adapters.discord]
kind = "discord"
token_file = "discord.token"
"""
