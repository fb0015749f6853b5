"""Looks whether an account on Discord may do what it has to, and says for each thing what to do.
Knows no running adapter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import discord

from adapters.discord.connection import intents
from adapters.discord.directory import TEXT
from adapters.discord.guide import PORTAL, invitation, permissions
from adapters.discord.wire import FAILURES
from botdaemon.types import Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    import aiohttp

    from botdaemon.config import DiscordConfig
    from botdaemon.types import CommandSpec

#: servers and channels that are looked at by name
MOST = 20
_NEEDED = ("view_channel", "send_messages", "read_message_history")
_STRANGE = (LookupError, TypeError, AttributeError)


async def probe(
    name: str,
    table: DiscordConfig,
    token: str,
    commands: Sequence[CommandSpec],
    *,
    connector: Callable[[], aiohttp.BaseConnector] | None = None,
) -> AsyncGenerator[Finding]:
    """Log in, and compare what is granted with what is needed. Raises nothing."""
    client = discord.Client(intents=intents(table), connector=connector() if connector else None)
    try:
        async for finding in _look(client, name, table, token, commands):
            yield finding
    except discord.LoginFailure:
        yield Finding(
            Verdict.PROBLEM,
            f"{name}: Discord does not accept the token; copy it from, or make a new one under,"
            f" Bot, Reset Token, in {PORTAL}",
        )
    except (*FAILURES, *_STRANGE) as error:
        yield Finding(
            Verdict.PROBLEM,
            f"{name}: Discord could not be asked: {error or type(error).__name__}; try again later",
        )
    finally:
        await client.close()


async def _look(
    client: discord.Client,
    name: str,
    table: DiscordConfig,
    token: str,
    commands: Sequence[CommandSpec],
) -> AsyncGenerator[Finding]:
    await client.login(token)
    application = client.application
    assert application is not None, "login fetches it"
    yield Finding(Verdict.OK, f"{name}: logged in as {client.user}")
    yield _content(name, table, application.flags)
    address = invitation(str(application.id), table)
    if application.interactions_endpoint_url:
        yield Finding(
            Verdict.PROBLEM,
            f"{name}: commands and buttons go to {application.interactions_endpoint_url}; remove"
            f" General Information, Interactions Endpoint URL, in {PORTAL}",
        )
    there = await client.http.get_global_commands(application.id)
    missing = [c.name for c in commands if c.name not in {found["name"] for found in there}]
    if missing:
        listed = ", ".join(f"/{command}" for command in missing)
        yield Finding(Verdict.NOTE, f"{name}: {listed} will be announced at the next start")
    guilds = [guild async for guild in client.fetch_guilds(limit=MOST, with_counts=False)]
    if not guilds:
        yield Finding(
            Verdict.NOTE,
            f"{name}: it is on no server yet, and answers direct messages only; let it in at"
            f" {address}",
        )
    seen: set[str] = set()
    for guild in guilds:
        try:
            async for finding in _server(client, name, table, guild.id, address, seen):
                yield finding
        except (*FAILURES, *_STRANGE) as error:
            yield Finding(
                Verdict.NOTE, f"{name}: the server {guild.name} could not be looked at: {error}"
            )
    for channel in table.free_channels:
        if channel not in seen and len(guilds) < MOST:
            yield Finding(
                Verdict.NOTE,
                f"{name}: free_channels names {channel}, which is no channel of its servers; copy"
                " a channel's id with Developer Mode on",
            )


def _content(name: str, table: DiscordConfig, flags: discord.ApplicationFlags) -> Finding:
    granted = flags.gateway_message_content or flags.gateway_message_content_limited
    if granted and table.message_content:
        return Finding(Verdict.OK, f"{name}: the Message Content Intent is on")
    if table.message_content:
        return Finding(
            Verdict.PROBLEM,
            f"{name}: switch on Bot, Privileged Gateway Intents, Message Content Intent, in"
            f" {PORTAL}, or set message_content = false",
        )
    return Finding(
        Verdict.NOTE,
        f"{name}: message_content = false, so it reads direct messages and mentions only",
    )


async def _server(
    client: discord.Client,
    name: str,
    table: DiscordConfig,
    id: int,
    address: str,
    seen: set[str],
) -> AsyncGenerator[Finding]:
    guild = await client.fetch_guild(id, with_counts=False)
    assert client.user is not None, "it is logged in"
    me = await guild.fetch_member(client.user.id)
    wanted = permissions(table)
    lacking = [said for key, (said, _) in wanted.items() if not getattr(me.guild_permissions, key)]
    if lacking:
        yield Finding(
            Verdict.PROBLEM if {wanted[key][0] for key in _NEEDED} & {*lacking} else Verdict.NOTE,
            f"{name}: on {guild.name} it lacks {', '.join(lacking)}; grant that to its role, or"
            f" let it in again at {address}",
        )
    else:
        yield Finding(Verdict.OK, f"{name}: on {guild.name} it has every permission it needs")
    closed = []
    for channel in await guild.fetch_channels():
        seen.add(str(channel.id))
        granted: Any = channel.permissions_for(me)
        if channel.type.value == TEXT and not all(getattr(granted, key) for key in _NEEDED):
            closed.append(f"#{channel.name}")
    if closed:
        more = f" and {len(closed) - MOST} more" if len(closed) > MOST else ""
        yield Finding(
            Verdict.NOTE,
            f"{name}: on {guild.name} it cannot read or answer in {', '.join(closed[:MOST])}{more};"
            " if it should, allow its role there to view, to send and to read the history",
        )
