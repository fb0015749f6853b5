"""The way in: what Slack sends over its sockets, recorded before it is acknowledged. Knows no
sockets; the Bolt app it makes is handed every envelope.

Events are recorded in a middleware that comes first of all, before anything could acknowledge them;
only an exception there keeps Slack waiting, so that it sends the event again. Commands, buttons and
forms are acknowledged at once, since a person waits and nothing repeats them.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import aiohttp
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.response import BoltResponse
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from adapters.slack.events import Reader, part, text
from adapters.slack.pending import Latest, Pending, Recent
from botdaemon.errors import BotdaemonError
from botdaemon.types import Address

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from adapters.inlet import Inlet
    from adapters.slack.forms import Forms
    from adapters.slack.history import History
    from adapters.slack.web import JSON, Web
    from botdaemon.ports import Deliver
    from botdaemon.types import Command, Event, Pressed

log = logging.getLogger(__name__)

DONE = "Done."
NOT_NOW = "That could not be done just now; try again in a moment."


class Intake:
    """Takes events in and remembers who wrote last where."""

    def __init__(
        self,
        name: str,
        web: Web,
        reader: Reader,
        inlet: Inlet,
        history: History,
        pending: Pending,
        deliver: Deliver,
        forms: Forms,
        last: Latest,
    ) -> None:
        self._name = name
        self._web = web
        self._reader = reader
        self._inlet = inlet
        self._history = history
        self._pending = pending
        self._deliver = deliver
        self._forms = forms
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._seen: Recent[str, None] = Recent()
        self.last = last

    def app(self, logger: logging.Logger) -> AsyncApp:
        """The Bolt app: no HTTP, no look-ups, nothing before our own middleware."""
        account = self._reader.account

        async def authorize(enterprise_id: str | None, team_id: str | None) -> AuthorizeResult:
            return AuthorizeResult(
                enterprise_id=enterprise_id,
                team_id=team_id,
                bot_id=account.bot,
                bot_user_id=account.user,
                bot_token=self._web.token,
            )

        app = AsyncApp(
            name=self._name,
            logger=logger,
            client=AsyncWebClient(base_url=self._web.api.base_url, session=self._web.session),
            before_authorize=self._first,
            authorize=authorize,
            request_verification_enabled=False,
            ignoring_self_events_enabled=False,
            ssl_check_enabled=False,
            url_verification_enabled=False,
            attaching_function_token_enabled=False,
            attaching_conversation_kwargs_enabled=False,
        )
        app.command(re.compile(""))(self._commanded)
        app.action(re.compile(""))(self._pressed)
        app.view(re.compile(""))(self._submitted)
        return app

    async def _first(self, body: JSON, next: Callable[[], Awaitable[None]]) -> BoltResponse | None:
        if "command" in body or text(body, "type") in ("block_actions", "view_submission"):
            await next()
            return None
        # Nothing listens behind this: what is recorded, or is none of ours, is acknowledged here.
        if "event" in body:
            await self._event(body)
        return BoltResponse(status=200)

    # --- events ------------------------------------------------------------------------------

    async def _event(self, body: JSON) -> None:
        event = part(body, "event")
        try:
            match text(event, "type"), text(event, "subtype"):
                case "message", "message_changed":
                    told: Event | None = await self._reader.edited(event)
                case "message", "message_deleted":
                    told = self._reader.deleted(event)
                case "message" | "app_mention", _:
                    await self._message(event)
                    return
                case "reaction_added" | "reaction_removed", _:
                    told = await self._reader.reacted(event)
                case "", _:
                    raise ValueError("it has no type")
                case _:  # nothing that anybody says
                    return
        except BotdaemonError:
            raise
        except Exception as error:
            await self.put_away(body, error)
            return
        if told is not None:
            await self._deliver(told)

    async def _message(self, event: JSON) -> None:
        """A message, once: a mention comes twice, and so may everything else."""
        channel = text(event, "channel")
        key = f"{channel}:{text(event, 'ts')}"
        lock = self._locks.get(channel)
        if lock is None:
            self._locks[channel] = lock = asyncio.Lock()
        async with lock:  # in the order they came, though one may wait for a file or a name
            if key in self._seen:
                return
            posted = await self._reader.message(event, channel)
            if posted is None:
                return
            said = posted.message
            self.last.note(posted)
            await self._inlet.post(
                posted,
                self._history.earlier(posted),
                # A message that begins a thread of its own stands in the channel's history.
                read_in=Address(self._name, channel)
                if said.address.topic == said.platform_id
                else None,
            )
            self._seen[key] = None

    async def put_away(self, body: object, error: Exception) -> None:
        """Keep what nothing can be made of for a person to look at."""
        await self._inlet.quarantine(json.dumps(body, default=str), error)

    # --- commands and buttons ----------------------------------------------------------------

    async def _commanded(self, ack: Callable[..., Awaitable[Any]], body: JSON) -> None:
        await ack()
        await self._obey(body, self._reader.command)

    async def _pressed(self, ack: Callable[..., Awaitable[Any]], body: JSON) -> None:
        await ack()
        if await self._forms.open(body):
            self._wait(body)
        else:
            await self._obey(body, self._reader.pressed)

    async def _submitted(self, ack: Callable[..., Awaitable[Any]], body: JSON) -> None:
        await ack()
        await self._obey(body, self._forms.submitted)

    def _wait(self, body: JSON) -> None:
        """Whoever has a window open is answered as if they had pressed when they submit it."""
        channel = text(part(body, "channel"), "id")
        self._pending.remember(channel, text(part(body, "user"), "id"), body.get("response_url"))

    async def _obey(
        self, body: JSON, read: Callable[[JSON, float], Awaitable[Command | Pressed | None]]
    ) -> None:
        try:
            event = await read(body, time.time())
        except Exception as error:
            await self.put_away(body, error)
            return
        if event is None:
            return
        channel, account = event.address.channel, event.who.account
        self._pending.remember(channel, account, body.get("response_url"))
        try:
            words = await self._deliver(event)
        except BotdaemonError as error:
            log.warning("a command was lost: %s", error, extra={"event": "command_lost"})
            await self._say(channel, account, NOT_NOW)
        else:
            if not words and "command" in body:
                await self._say(channel, account, DONE)

    async def _say(self, channel: str, account: str, words: str) -> None:
        if url := self._pending.take(channel, account):
            answer = AsyncWebhookClient(url, session=self._web.session, retry_handlers=[])
            try:
                await answer.send(text=words, response_type="ephemeral", replace_original=False)
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                log.info("a command stays without a word: %s", type(error).__name__)
