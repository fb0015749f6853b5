"""Two Socket Mode connections, kept alive. Knows no events: each goes to a Bolt app.

Two, because Slack renews connections every few hours, and slack_sdk closes the old one before it
opens the new one: what comes in between would find nobody. Each is watched for what the SDK does
not see itself: an url is good for one attempt, but the SDK tries a refused one for ever; and a
connection that stays dead is made anew from the beginning, which also tells why.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
from typing import TYPE_CHECKING, Any

import aiohttp
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.response import SocketModeResponse

from adapters.slack.web import REVOKED, Web, code, wait
from botdaemon.errors import AdapterDown, AdapterRefused, StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from slack_bolt.app.async_app import AsyncApp
    from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
    from slack_sdk.socket_mode.request import SocketModeRequest

log = logging.getLogger(__name__)

AT_ONCE = 2
#: seconds between two pings, and between two attempts of the SDK
PING = 3.0
#: seconds between two looks at a connection
LOOK = 0.5
#: seconds that the first connection of a client may take
CONNECTING = 20.0
#: seconds a connection may be dead, while the SDK mends it, before it is made anew
DEAD = 6.0
#: seconds without any connection after which the adapter is down
DEAF = 90.0
#: seconds; the longest pause between two attempts
LONGEST_PAUSE = 4.0

#: what a person should do about the app-level token
APP_TOKEN = (
    'make one with the scope connections:write under "Basic Information" at'
    " https://api.slack.com/apps"
)


def _one_line(record: logging.LogRecord) -> bool:
    """What the SDK says of each failed attempt, without the stack and the url with its ticket."""
    record.msg = re.sub(r"wss?://[^\s'\"]+", "the connection's url", record.getMessage())
    record.args, record.exc_info = (), None
    return True


sdk_log = logging.getLogger("slack_sdk.socket_mode")
sdk_log.addFilter(_one_line)


class Sockets:
    """The connections of one app.

    `up` is called whenever one is open, `down` when one is not any more; `broken` puts away an
    event that Bolt cannot read. `beat` is called as long as it looks after its connections.
    """

    def __init__(
        self,
        name: str,
        app: AsyncApp,
        app_token: str,
        web: Web,
        *,
        up: Callable[[], None],
        down: Callable[[], None],
        broken: Callable[[object, Exception], Awaitable[None]],
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._name = name
        self._app = app
        self._app_token = app_token
        self._web = web
        self._up = up
        self._down = down
        self._broken = broken
        self._beat = beat
        self._open: set[int] = set()
        self._why = ""

    async def live(self) -> None:
        """Keep them alive until cancelled. Raises `AdapterRefused`, and `AdapterDown` when there
        has been none for too long."""
        await until_one_ends(*(self._keep(number) for number in range(AT_ONCE)), self._watch())

    async def _watch(self) -> None:
        clock = asyncio.get_running_loop().time
        last = clock()
        while clock() - last < DEAF:
            await asyncio.sleep(LOOK)
            self._beat()
            if self._open:
                last = clock()
        raise AdapterDown(f"no Socket Mode connection for {DEAF:.0f} s: {self._why}")

    async def _keep(self, number: int) -> None:
        pause = LOOK
        while True:
            client = self._make(number)
            try:
                client.wss_uri = await self._url()
                await self._connect(client)
                if await self._last(number, client):
                    pause = LOOK
            except (TimeoutError, AdapterDown) as error:
                self._why = str(error) or "the connection was refused"
            finally:
                self._set(number, open=False)
                await client.close()  # type: ignore[no-untyped-call]
            log.info(
                "connection %d is made anew: %s",
                number + 1,
                self._why,
                extra={"event": "socket_renewed", "adapter": self._name},
            )
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, LONGEST_PAUSE)

    def _make(self, number: int) -> SocketModeClient:
        client = SocketModeClient(
            self._app_token, logger=sdk_log, web_client=self._web.api, ping_interval=PING
        )

        async def on_message(_: object, message: dict[str, Any], __: str | None) -> None:
            if message.get("type") == "hello":
                self._set(number, open=True)

        client.message_listeners.append(on_message)
        client.socket_mode_request_listeners.append(self._handle)
        return client

    def _set(self, number: int, *, open: bool) -> None:
        if open:
            self._open.add(number)
            self._up()
        elif number in self._open:
            self._open.remove(number)
            self._down()

    async def _handle(self, client: AsyncBaseSocketModeClient, request: SocketModeRequest) -> None:
        """Acknowledge what the app has taken in, and nothing else."""
        try:
            response = await self._app.async_dispatch(
                AsyncBoltRequest(mode="socket_mode", body=request.payload)
            )
            taken = response.status == 200
        except Exception as error:  # Bolt itself cannot read it, and never will
            try:
                await self._broken(request.payload, error)
                taken = True
            except StoreError:
                taken = False
        if taken:
            try:
                await client.send_socket_mode_response(SocketModeResponse(request.envelope_id))
            except (ConnectionError, aiohttp.ClientError):
                log.info("an ack was lost with its connection: Slack repeats the event")

    async def _url(self) -> str:
        try:
            answer = await self._web.api.apps_connections_open(app_token=self._app_token)
            return str(answer["url"])
        except SlackApiError as error:
            name = code(error)
            if name == "missing_scope" or name in REVOKED:
                raise AdapterRefused(
                    f"Slack refuses the app-level token (xapp-): {name}; {APP_TOKEN}"
                ) from None
            if (after := wait(error)) is not None:
                await asyncio.sleep(after)
            raise AdapterDown(f"Slack gives no connection ({name or 'no JSON'})") from None
        except (aiohttp.ClientError, AttributeError, LookupError, OSError, ValueError) as error:
            # The SDK raises AttributeError for an answer in plain text.
            raise AdapterDown(f"Slack cannot be reached ({type(error).__name__})") from None

    async def _connect(self, client: SocketModeClient) -> None:
        connecting = asyncio.ensure_future(client.connect())  # type: ignore[no-untyped-call]
        try:
            async with asyncio.timeout(CONNECTING):
                while not connecting.done():
                    await asyncio.wait([connecting], timeout=LOOK)
                    client.wss_uri = None
        finally:
            connecting.cancel()

    @property
    def open(self) -> bool:
        """Whether one of them is."""
        return bool(self._open)

    async def _last(self, number: int, client: SocketModeClient) -> bool:
        """Until the connection has been dead for a while; whether it was ever alive."""
        clock = asyncio.get_running_loop().time
        alive, lived = clock(), False
        while clock() - alive < DEAD and not client.message_processor.done():
            await asyncio.sleep(LOOK)
            client.wss_uri = None  # so that the SDK asks for another when it connects again
            if not await client.is_connected():
                self._set(number, open=False)
            elif number in self._open:
                alive, lived = clock(), True
        self._why = "it was dead"
        return lived


async def until_one_ends(*lives: Awaitable[None]) -> None:
    """Live all of these until the first ends, which is then raised; the others are cancelled."""
    tasks = [asyncio.ensure_future(life) for life in lives]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
