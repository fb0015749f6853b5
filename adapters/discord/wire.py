"""Requests to Discord's REST interface, and what their failures mean. Knows no message.

Answers are taken as the JSON they are: the library's own objects refuse a whole answer over one
field that is missing, and a letter that arrived would count as lost.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import aiohttp
import discord
from discord.http import Route

from botdaemon.errors import AdapterDown, BotdaemonError, Gone, RateLimited, Undeliverable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

JSON = dict[str, Any]

#: what a request may end with
FAILURES = (discord.DiscordException, aiohttp.ClientError, OSError, ValueError, RuntimeError)
#: seconds; rate limits up to 30 s and repetitions after 5xx are waited for within them
PATIENCE = 60.0
#: requests a second; Discord allows 50, of which webhooks and interactions take some
RATE = 40.0
#: seconds of requests that wait for their turn
BUSY = 0.5
#: seconds for a request that is made only once
ONCE = 20.0

UNKNOWN_CHANNEL, UNKNOWN_MESSAGE, UNKNOWN_WEBHOOK = 10003, 10008, 10015
TOO_LARGE = 40005
MISSING_ACCESS, MISSING_PERMISSIONS = 50001, 50013
NO_VOICE = 50173

_MEANINGS = {
    UNKNOWN_CHANNEL: "the channel or thread is not there any more",
    TOO_LARGE: "the file is too large for this server",
    MISSING_ACCESS: "the bot may not look into the channel (permission View Channel), or is not on"
    " that server any more",
    50007: "the person takes no direct messages from the bot",
    MISSING_PERMISSIONS: "the bot lacks a permission in this channel: Send Messages, Send Messages"
    " in Threads or Attach Files",
    50083: "the thread is archived and locked",
    160002: "the bot lacks the permission Read Message History in this channel",
}


class Wire:
    """Requests of the account: rate limits are kept, and what failed with 5xx is repeated, which
    is safe because letters carry a nonce."""

    def __init__(self, client: discord.Client) -> None:
        self._client = client
        #: set when the token is not accepted any more
        self.revoked = asyncio.Event()
        self._under_way: dict[asyncio.Task[Any], float] = {}
        self._answered_at = time.monotonic()
        self._next_at = 0.0

    @property
    def busy(self) -> bool:
        """Whether requests wait for each other: what is only a courtesy is left out then."""
        return self._next_at - time.monotonic() > BUSY

    @property
    def silent(self) -> float:
        """Seconds for which requests have been under way and none was answered."""
        oldest = min(self._under_way.values(), default=None)
        return 0.0 if oldest is None else time.monotonic() - max(oldest, self._answered_at)

    async def close(self) -> None:
        """Give up what is under way; the client is of no use afterwards."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def __call__(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: JSON | None = None,
        file: Attached | None = None,
        **ids: str,
    ) -> Any:
        more: JSON = {} if params is None else {"params": params}
        if file is not None:
            more["form"] = _fields(json, file)
        elif json is not None:
            more["json"] = json
        try:
            async with asyncio.timeout(PATIENCE):
                await self._pace()
                return await asyncio.shield(self._begin(Route(method, path, **ids), more))
        except discord.HTTPException as error:
            if error.status == 401:
                self.revoked.set()
            raise

    async def _pace(self) -> None:
        now = time.monotonic()
        at = max(self._next_at, now)
        self._next_at = at + 1.0 / RATE
        await asyncio.sleep(at - now)

    def _begin(self, route: Route, more: JSON) -> asyncio.Task[Any]:
        # A task of its own, never cancelled with whoever waits for it: the library would wait out
        # a global rate limit for ever after, with every other request.
        task = asyncio.ensure_future(self._client.http.request(route, **more))
        self._under_way[task] = time.monotonic()
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        del self._under_way[task]
        if not task.cancelled():
            task.exception()  # whoever waited has seen it, or has gone
            self._answered_at = time.monotonic()


@dataclass(frozen=True, slots=True)
class Attached:
    """A file of a message."""

    name: str
    content: bytes
    #: what else Discord is told of it
    about: JSON = field(default_factory=dict)
    #: Discord looks for itself, except where it is told something of a sound
    type: str = "application/octet-stream"


class Bare:
    """Requests that carry their right in their address, such as those of webhooks. They are made
    once: nothing recognises a repetition."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    async def __call__(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: JSON | None = None,
        file: Attached | None = None,
    ) -> Any:
        body: Any = None
        if file is not None:
            body = aiohttp.FormData(quote_fields=False)
            for field in _fields(json, file):
                body.add_field(**field)
        async with self.session.request(
            method,
            Route.BASE + path,
            params=params,
            data=body,
            json=json if body is None else None,
            timeout=aiohttp.ClientTimeout(total=ONCE),
        ) as response:
            data = await _content(response)
            if response.status >= 300:
                raise discord.HTTPException(response, data)
            return data

    async def download(self, url: str) -> AsyncGenerator[bytes]:
        """A file's content as it arrives. No token is sent along."""
        async with self.session.get(url) as response:
            response.raise_for_status()
            async for chunk in response.content.iter_chunked(2**16):
                yield chunk


def _fields(payload: Any, file: Attached) -> list[JSON]:
    payload = payload | {"attachments": [{"id": 0, "filename": file.name, **file.about}]}
    return [
        {"name": "payload_json", "value": json.dumps(payload), "content_type": "application/json"},
        {
            "name": "files[0]",
            "value": file.content,
            "filename": file.name,
            "content_type": file.type,
        },
    ]


async def _content(response: aiohttp.ClientResponse) -> Any:
    if response.content_type == "application/json":
        return await response.json()
    return await response.text()


def wait_asked(error: Exception) -> float | None:
    """The seconds that Discord asked to wait, when that is what it answered."""
    if isinstance(error, discord.RateLimited):
        return error.retry_after
    if isinstance(error, discord.HTTPException) and error.status == 429:
        try:
            return max(0.5, float(error.response.headers.get("Retry-After", "")))
        except ValueError:
            return 5.0
    return None


def verdict(error: Exception) -> BotdaemonError:
    """What a failed request means for the letter it carried."""
    if (after := wait_asked(error)) is not None:
        return RateLimited(f"Discord asks to wait {after:.1f} s", after=after)
    if isinstance(error, discord.HTTPException) and error.status < 500 and error.status != 401:
        if error.code == UNKNOWN_MESSAGE:
            return Gone("the message was deleted")
        meaning = _MEANINGS.get(error.code) or " ".join(error.text.split()) or "no reason given"
        return Undeliverable(f"Discord refuses it ({error.status}, code {error.code}): {meaning}")
    return AdapterDown(f"Discord did not answer: {error or type(error).__name__}")


# --- ids ---------------------------------------------------------------------------------------


def snowflake(at: float) -> str:
    """The lowest id of that time."""
    return str(discord.utils.time_snowflake(datetime.fromtimestamp(at, UTC)))


def time_of(id: str) -> float:
    """When the thing with this id was made."""
    return discord.utils.snowflake_time(int(id)).timestamp()
