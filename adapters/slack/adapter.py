"""The adapter: one app in one workspace, connected. Knows bots and store by their doors only."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp
from slack_sdk.errors import SlackApiError

from adapters.inlet import Inlet
from adapters.slack.downloads import Downloads
from adapters.slack.events import Account, Reader
from adapters.slack.forms import Forms
from adapters.slack.history import History
from adapters.slack.intake import Intake
from adapters.slack.letters import FACES, Letters
from adapters.slack.pending import Latest, Pending
from adapters.slack.people import People
from adapters.slack.presence import Presence
from adapters.slack.scopes import PLACE, SCOPES, VITAL, missing
from adapters.slack.sent import Sent
from adapters.slack.sockets import Sockets, sdk_log, until_one_ends
from adapters.slack.streams import Streams
from adapters.slack.uploads import Uploads
from adapters.slack.web import PATIENCE, Web, code, refusal
from botdaemon.errors import AdapterDown, AdapterRefused, TryLater
from botdaemon.ports import Traits

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from botdaemon.config import SlackConfig
    from botdaemon.ports import Deliver, Surroundings
    from botdaemon.types import Address, Letter

log = logging.getLogger(__name__)

#: seconds between two looks whether the token is still good
LOOK = 60.0
#: seconds after a connection is open before what was missed is read: the other opens as well
TOGETHER = 0.3
#: seconds; pauses before reading again what could not be read or recorded
#: seconds until letters are tried again while there is no connection
RECONNECTED = 2.0
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 60.0


@dataclass(frozen=True, slots=True)
class _Connection:
    """What there is for as long as the adapter is connected."""

    letters: Letters
    sent: Sent
    presence: Presence
    intake: Intake
    sockets: Sockets


class SlackAdapter:
    """A courier for Slack."""

    def __init__(
        self, name: str, table: SlackConfig, token: str, app_token: str, around: Surroundings
    ) -> None:
        self.name = name
        self._table = table
        self._token = token
        self._app_token = app_token
        self._around = around
        self._connection: _Connection | None = None
        self.traits = Traits(
            dialect="mrkdwn",
            text_limit=3900,  # an edit takes 4000, and a name may come before the text
            edits_per_second=0.8 if table.live_drafts else 0.0,
            channel_pause=1.0,
            file_limit=100_000_000,
            captions=3900,
            buttons=True,
            settles_after=5.0,
        )

    # --- run ---------------------------------------------------------------------------------

    async def run(self, deliver: Deliver) -> None:
        """Be connected until cancelled."""
        timeout = aiohttp.ClientTimeout(total=PATIENCE, sock_connect=10.0)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            web = Web(self._table.base_url, self._token, session)
            account, granted = await log_in(web)
            self._check(granted)
            await self._live(deliver, web, account, granted)

    @property
    def connected(self) -> bool:
        """Whether Slack tells what is said."""
        return self._connection is not None and self._connection.sockets.open

    async def _live(
        self, deliver: Deliver, web: Web, account: Account, granted: set[str] | None
    ) -> None:
        name, table, around = self.name, self._table, self._around
        inlet = Inlet(name, around.shelf, deliver)
        downloads = Downloads(name, web, table.base_url)
        reader = Reader(name, account, around, People(name, web), downloads.offer)
        last = Latest()
        history = History(name, web, reader, inlet, around.shelf, table.catch_up_hours, last)
        pending = Pending(table.base_url)
        forms = Forms(web, reader, around)
        intake = Intake(name, web, reader, inlet, history, pending, deliver, forms, last)
        streams = Streams(name, web, account.team, wanted=table.streaming)
        uploads = Uploads(web, around.shelf)
        sent = Sent(name, web, account, uploads, streams)
        has_faces = table.own_faces and (granted is None or FACES in granted)
        letters = Letters(
            name,
            web,
            uploads,
            sent,
            streams,
            pending,
            bots=tuple(around.bots),
            faces=around.pictures if has_faces else None,
        )
        again = asyncio.Event()

        def up() -> None:
            inlet.lose_track()
            again.set()

        await inlet.open(f"{time.time():.6f}")
        sockets = Sockets(
            name,
            intake.app(sdk_log),
            self._app_token,
            web,
            up=up,
            down=inlet.lose_track,
            broken=intake.put_away,
            beat=around.beat,
        )
        self._connection = _Connection(letters, sent, Presence(name, web), intake, sockets)
        try:
            await until_one_ends(
                sockets.live(),
                self._catch_up(history, inlet, again),
                _behind(inlet, again),
                _token_watch(web),
            )
        finally:
            self._connection = None

    def _check(self, granted: set[str] | None) -> None:
        """Say by name what the app may not do. Servers that do not tell are taken at their word
        when something is refused."""
        if granted is None or not (lacking := missing(granted)):
            return
        if any(scope in lacking for scope in VITAL):
            raise AdapterRefused(f"the app lacks the scopes {', '.join(lacking)}: add them {PLACE}")
        reasons = "; ".join(f"{scope} ({SCOPES[scope]})" for scope in lacking)
        log.warning(
            "the app lacks scopes: %s. Add them %s",
            reasons,
            PLACE,
            extra={"event": "scopes_missing", "adapter": self.name},
        )

    async def _catch_up(self, history: History, inlet: Inlet, again: asyncio.Event) -> None:
        pause = FIRST_PAUSE
        while True:
            await again.wait()
            await asyncio.sleep(TOGETHER)
            again.clear()
            try:
                await history.catch_up(lambda: not (again.is_set() or inlet.behind.is_set()))
            except Exception as error:
                log.warning(
                    "what was missed could not be read, next try in %.0f s: %s",
                    pause,
                    error if not isinstance(error, SlackApiError) else code(error),
                    extra={"event": "catch_up_failed", "adapter": self.name},
                )
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                again.set()
            else:
                pause = FIRST_PAUSE

    # --- courier -----------------------------------------------------------------------------

    @asynccontextmanager
    async def typing(self, address: Address, bot: str) -> AsyncGenerator[None]:
        """A status in threads, elsewhere a reaction on what was last said there."""
        if (connection := self._connection) is None:
            yield
            return
        _, asked_in = connection.intake.last.get(address, ("", ""))
        async with connection.presence.at_work(address, asked_in):
            yield

    async def send(self, letter: Letter) -> str:
        """Send a letter into its thread."""
        connection = self._connected()
        recipient, _ = connection.intake.last.get(letter.address, ("", ""))
        return await connection.letters.send(letter, recipient)

    async def edit(self, letter: Letter) -> None:
        """Change a message, or let a stream grow."""
        await self._connected().letters.edit(letter)

    async def find(self, letter: Letter) -> str | None:
        """The message that carries the letter's key, or that is its unfinished stream."""
        return await self._connected().sent.find(letter)

    async def remove(self, letter: Letter) -> None:
        """Delete a message and the files in it."""
        await self._connected().sent.remove(letter)

    def _connected(self) -> _Connection:
        if self._connection is None:
            raise TryLater(f"[adapters.{self.name}] is not connected to Slack", after=RECONNECTED)
        return self._connection


async def log_in(web: Web) -> tuple[Account, set[str] | None]:
    """Who the app is and the scopes it has, None where the server does not tell. Raises
    `AdapterRefused` and `AdapterDown`."""
    try:
        answer = await web.api.auth_test()
    except SlackApiError as error:
        if refused := refusal(error):
            raise refused from None
        raise AdapterDown(
            f"Slack does not let the app log in: {code(error) or 'no JSON'}"
        ) from None
    except Exception as error:  # the SDK raises AttributeError, too, for an answer in plain text
        raise AdapterDown(f"Slack cannot be reached ({type(error).__name__})") from None
    told = answer.headers.get("x-oauth-scopes")
    granted = {scope.strip() for scope in told.split(",")} if told else None
    account = Account(
        user=str(answer.get("user_id") or ""),
        bot=str(answer.get("bot_id") or ""),
        team=str(answer.get("team_id") or ""),
    )
    return account, granted


async def _behind(inlet: Inlet, again: asyncio.Event) -> None:
    """What could not be recorded is read again, when there may be space."""
    while True:
        await inlet.behind.wait()
        await asyncio.sleep(FIRST_PAUSE)
        inlet.behind.clear()
        again.set()


async def _token_watch(web: Web) -> None:
    """A token that is revoked leaves the sockets as they are."""
    while True:
        await asyncio.sleep(LOOK)
        try:
            await web.api.auth_test()
        except SlackApiError as error:
            if refused := refusal(error):
                raise refused from None
        except Exception as error:  # the sockets are watched by their own
            log.info("no answer to auth.test: %s", type(error).__name__)
