"""What `botdaemon check --online` finds in Slack. Changes nothing there, and receives nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp
from slack_sdk.errors import SlackApiError

from adapters.slack.adapter import log_in
from adapters.slack.events import listed, text
from adapters.slack.scopes import PLACE, SCOPES, VITAL, missing
from adapters.slack.sockets import APP_TOKEN
from adapters.slack.web import PAGE, Web, code, needed
from botdaemon.errors import AdapterDown, AdapterRefused
from botdaemon.types import Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from botdaemon.config import SlackConfig
    from botdaemon.types import CommandSpec

#: seconds for one request
PATIENCE = 10.0


async def probe(
    name: str, table: SlackConfig, token: str, app_token: str, commands: Sequence[CommandSpec]
) -> AsyncIterator[Finding]:
    """Log in with both tokens and compare what is granted with what is needed."""
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        web = Web(table.base_url, token, session)
        try:
            account, granted = await log_in(web)
        except (AdapterDown, AdapterRefused) as error:
            yield Finding(Verdict.PROBLEM, f"{name}: the bot token (xoxb-): {error}")
            return
        yield Finding(Verdict.OK, f"{name}: logged in as {account.user} of {account.team}")
        for finding in _scopes(name, granted):
            yield finding
        yield await _socket(name, web, app_token)
        async for finding in _channels(name, web, table):
            yield finding


def _scopes(name: str, granted: set[str] | None) -> list[Finding]:
    if granted is None:
        return [Finding(Verdict.NOTE, f"{name}: the server does not tell which scopes are granted")]
    lacking = missing(granted)
    if not lacking:
        return [Finding(Verdict.OK, f"{name}: all {len(SCOPES)} scopes are granted")]
    return [
        Finding(
            Verdict.PROBLEM if scope in VITAL else Verdict.NOTE,
            f"{name}: the scope {scope} is missing, it is needed for {SCOPES[scope]}:"
            f" add it {PLACE}",
        )
        for scope in lacking
    ]


async def _socket(name: str, web: Web, app_token: str) -> Finding:
    try:
        await web.api.apps_connections_open(app_token=app_token)
    except SlackApiError as error:
        wrong = f"{code(error) or 'no JSON'} {needed(error)}".strip()
        return Finding(
            Verdict.PROBLEM, f"{name}: the app-level token (xapp-): {wrong}; {APP_TOKEN}"
        )
    except Exception as error:  # the SDK raises AttributeError, too, for an answer in plain text
        return Finding(
            Verdict.PROBLEM, f"{name}: Socket Mode cannot be reached ({type(error).__name__})"
        )
    return Finding(Verdict.OK, f"{name}: Socket Mode is open")


async def _channels(name: str, web: Web, table: SlackConfig) -> AsyncIterator[Finding]:
    """The channels the app is in, and those of the configuration that it is not in."""
    inside: dict[str, str] = {}
    for kind in ("public_channel", "private_channel"):
        try:
            async for page in web.pages(
                lambda cursor, kind=kind: web.api.users_conversations(
                    types=kind, exclude_archived=True, limit=PAGE, cursor=cursor
                )
            ):
                inside |= {text(c, "id"): text(c, "name") for c in listed(page, "channels")}
        except Exception as error:
            reason = code(error) if isinstance(error, SlackApiError) else type(error).__name__
            yield Finding(Verdict.NOTE, f"{name}: no list of {kind}s ({reason})")
    if inside:
        listing = ", ".join(f"#{channel} ({id})" for id, channel in sorted(inside.items()))
        yield Finding(Verdict.OK, f"{name}: it is in {listing}")
    else:
        yield Finding(Verdict.NOTE, f"{name}: it is in no channel yet: /invite it to one")
    for channel in (*table.free_channels, *table.access.channels):
        if channel not in inside and not channel.startswith("D"):
            yield Finding(
                Verdict.NOTE, f"{name}: it is not in the channel {channel}: /invite it there"
            )
