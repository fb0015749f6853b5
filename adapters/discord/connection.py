"""One life of the connection to Discord: log in, listen, catch up, and notice when it is dead.
Knows how its parts belong together.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import discord

from adapters.discord import commands
from adapters.discord.client import Client, Identifies
from adapters.discord.directory import Directory
from adapters.discord.ear import Ear
from adapters.discord.faces import Faces
from adapters.discord.guide import PORTAL
from adapters.discord.history import History
from adapters.discord.interactions import Interactions
from adapters.discord.mail import Mail
from adapters.discord.reading import Reader
from adapters.discord.threads import Threads
from adapters.discord.wire import FAILURES, Bare, Wire, snowflake
from adapters.inlet import Inlet
from botdaemon.errors import AdapterDown, AdapterRefused, StoreError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from adapters.discord.answers import Answers
    from botdaemon.config import DiscordConfig
    from botdaemon.ports import Deliver, Surroundings
    from botdaemon.types import Address

log = logging.getLogger(__name__)

#: seconds for logging in
LOGIN = 60.0
#: seconds without a sign of life, and without a session, after which a connection is given up
SILENCE = 90.0
AWAY = 15.0
LOOK_EVERY = 5.0
#: seconds between two tries to catch up, doubling
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 30.0
#: seconds that a message waits for what was missed before it; nobody waits for its confirmation
PATIENCE = 20.0
#: seconds for saying goodbye
GOODBYE = 5.0
#: Discord shows a typing notice for ten seconds
TYPING_EVERY = 8.0

_CLOSED = {
    4004: f"its token was taken back; make a new one under Bot, Reset Token, in {PORTAL}",
    4010: "Discord refuses the shard; this is a fault of botdaemon",
    4011: "the bot is on more than 2,500 servers, for which Discord asks for shards; botdaemon has"
    " none",
    4012: "Discord does not speak this version of its protocol any more; update botdaemon",
    4013: "Discord does not know an intent; this is a fault of botdaemon",
}


class Broken(Exception):
    """The client ended over something it could not read."""


def intents(table: DiscordConfig) -> discord.Intents:
    """What the account asks to be told."""
    wanted = discord.Intents.none()
    wanted.guilds = wanted.messages = wanted.reactions = True
    wanted.message_content = table.message_content
    return wanted


class Connection:
    """Made anew for every life, because a client that ended cannot be used again."""

    def __init__(
        self,
        name: str,
        table: DiscordConfig,
        around: Surroundings,
        deliver: Deliver,
        identifies: Identifies,
        answers: Answers,
        connector: Callable[[], aiohttp.BaseConnector],
    ) -> None:
        self._name = name
        self._around = around
        self._session = aiohttp.ClientSession(connector=connector())
        client = Client(self, identifies, intents(table), connector())
        self._client = client
        self._wire, bare = Wire(client), Bare(self._session)
        self._inlet = Inlet(name, around.shelf, deliver, int, patience=PATIENCE)
        self._directory = directory = Directory(name, self._wire)
        reader = Reader(name, around.bots, directory)
        self._threads = Threads(table, around.shared, self._wire, directory)
        faces = Faces(
            next(iter(around.bots)), around.pictures, self._wire, directory, wanted=table.own_faces
        )
        self.mail = Mail(self._wire, bare, around.shelf, directory, faces, self._threads, answers)
        self._history = History(
            name, table.catch_up_hours, self._wire, around.shelf, directory, reader, self._inlet
        )
        self._ear = Ear(
            inlet=self._inlet,
            deliver=deliver,
            shelf=around.shelf,
            file_limit=around.file_limit,
            bare=bare,
            directory=directory,
            reader=reader,
            interactions=Interactions(
                bare,
                directory,
                reader,
                deliver,
                answers,
                [spec.name for spec in around.commands],
                around.prompt_of,
            ),
            threads=self._threads,
            earlier=self._history.earlier,
        )
        self._untypable: set[str] = set()
        self._ended = False

    @property
    def usable(self) -> bool:
        """Whether letters can be sent."""
        return self._ear.told > 0 and not self._ended

    # --- a life --------------------------------------------------------------------------------

    async def live(self, token: str) -> None:
        """Be connected until that ends. Raises `AdapterDown`, `AdapterRefused` or `Broken`."""
        tasks: list[asyncio.Task[None]] = []
        try:
            try:
                await self._inlet.open(snowflake(time.time()))
            except StoreError as error:
                raise AdapterDown(f"how far was read cannot be looked up: {error}") from None
            await self._login(token)
            tasks += [
                asyncio.create_task(life(), name=f"{self._name} {life.__name__}")
                for life in (self._listen, self._watch, self._keep_up, self._announce)
            ]
            # All but the announcing go on until something is wrong.
            pending = set(tasks)
            while not any(task.done() and task is not tasks[-1] for task in tasks):
                _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            self._ended = True
            self._threads.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._close()

    async def _close(self) -> None:
        try:
            async with asyncio.timeout(GOODBYE):
                await self._wire.close()
                await self._client.close()
        except Exception as error:
            log.debug("the connection did not end well: %r", error)
        finally:
            await self._client.http.close()
            await self._session.close()

    async def _login(self, token: str) -> None:
        try:
            async with asyncio.timeout(LOGIN):
                await self._client.login(token)
        except discord.LoginFailure:
            raise AdapterRefused(
                f"Discord does not accept the token of [adapters.{self._name}]; copy it from, or"
                f" make a new one under, Bot, Reset Token, in {PORTAL}"
            ) from None
        except (*FAILURES, LookupError, TypeError) as error:
            raise AdapterDown(
                f"Discord could not be asked to log in: {error or type(error).__name__}"
            ) from None

        assert self._client.user is not None, "it is logged in"
        self._directory.account = str(self._client.user.id)
        self._directory.application = str(self._client.application_id)

    async def _listen(self) -> None:
        """Let the library keep its connection for as long as it does."""
        try:
            await self._client.connect()
        except discord.PrivilegedIntentsRequired:
            raise AdapterRefused(
                f"Discord does not give [adapters.{self._name}] what people write: switch on Bot,"
                f" Privileged Gateway Intents, Message Content Intent, in {PORTAL}, or set"
                " message_content = false to read direct messages and mentions only"
            ) from None
        except discord.ConnectionClosed as error:
            meaning = _CLOSED.get(error.code)
            if meaning is not None:
                raise AdapterRefused(
                    f"Discord ended the connection of [adapters.{self._name}]: {meaning}"
                ) from None
            raise AdapterDown(f"Discord ended the connection with code {error.code}") from None
        except AdapterDown:
            raise
        except Exception as error:
            if not self._ear.sessions:
                # The library trips over itself when its very first connection fails.
                raise AdapterDown("Discord's gateway cannot be reached") from None
            await asyncio.sleep(0)  # until what came last has been heard
            if self._ear.last:
                await self._ear.put_away(self._ear.last, error)
            raise Broken(repr(error)) from None
        raise AdapterDown("the connection to Discord was closed")

    async def _watch(self) -> None:
        """Notice a connection that is dead and does not know it."""
        waiting_since = 0.0
        while True:
            try:
                async with asyncio.timeout(LOOK_EVERY):
                    await self._wire.revoked.wait()
            except TimeoutError:
                pass
            else:
                raise AdapterRefused(
                    f"Discord does not accept the token of [adapters.{self._name}] any more; make"
                    f" a new one under Bot, Reset Token, in {PORTAL}"
                )
            self._around.beat()
            now = time.monotonic()
            if self._client.identifying:
                waiting_since = now
            away_since = max(self._ear.since, waiting_since)
            if not self._ear.live and now - away_since > AWAY:
                # The library would wait for minutes after a few lost connections.
                raise AdapterDown(f"Discord began no session within {AWAY:.0f} s")
            if now - self._ear.heard_at > SILENCE:
                raise AdapterDown(f"nothing came from Discord for {SILENCE:.0f} s")
            if self._wire.silent > SILENCE:
                raise AdapterDown(f"Discord answered no request for {SILENCE:.0f} s")

    async def _keep_up(self) -> None:
        """Read what was missed, whenever something may have been."""
        behind, pause = self._inlet.behind, FIRST_PAUSE
        while True:
            await behind.wait()
            behind.clear()
            session = self._ear.sessions
            try:
                await self._history.catch_up(self._ear)
                if not behind.is_set() and session == self._ear.sessions:
                    await self._inlet.on_track()
                pause = FIRST_PAUSE
            except Exception as error:  # whatever it is, the next try may go better
                log.warning(
                    "what was missed could not all be read yet: %r",
                    error,
                    extra={"event": "catch_up_failed", "adapter": self._name},
                )
                self._inlet.reading(())  # nobody is to wait for that
                behind.set()
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    async def _announce(self) -> None:
        await commands.sync(self._wire, self._directory.application, self._around.commands)

    # --- ears ----------------------------------------------------------------------------------

    async def hear(self, raw: str) -> None:
        """Whatever came through the gateway, in order."""
        await self._ear.hear(raw)

    def cut_off(self) -> None:
        """The connection was lost; the client tries again by itself."""
        self._ear.cut_off()

    # --- typing --------------------------------------------------------------------------------

    @asynccontextmanager
    async def typing(self, address: Address) -> AsyncGenerator[None]:
        """Show that somebody is at work there."""
        task = asyncio.create_task(self._type(address), name=f"typing {address}")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _type(self, address: Address) -> None:
        await self._threads.opened(address.topic)
        while True:
            if not self._wire.busy:
                try:
                    await self._wire(
                        "POST",
                        "/channels/{channel_id}/typing",
                        channel_id=self._threads.home(address),
                    )
                except FAILURES as error:
                    self._say_untypable(error)
            await asyncio.sleep(TYPING_EVERY)

    def _say_untypable(self, error: Exception) -> None:
        cause = str(error) or type(error).__name__
        if cause not in self._untypable and len(self._untypable) < 100:
            self._untypable.add(cause)
            log.info("no typing: %s", cause, extra={"event": "no_typing", "adapter": self._name})
