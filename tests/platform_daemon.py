"""A daemon on the real Discord, Slack and Telegram adapters that kills itself where it is told.
Run by `three_platforms.py`, never imported.

It imports everything once. For each line of its standard input, `Orders` as JSON, it forks a
process that is the daemon for one life, and says on its standard output which process that is, and
later how it ended.

A *point* is ``before:NAME`` or ``after:NAME`` of a method of the store or of a courier (for those
that take a letter with what it is: ``after:send draft``, ``after:send answer``), or ``reply``, the
middle of a bot's answer. Whoever gets there for the given time waits until all platforms have; then
the daemon dies. So one life is three crashes, each at exactly this point.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections import Counter, defaultdict
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fake_discord import connector
from house import home, surroundings

from adapters.discord import DiscordAdapter
from adapters.slack import SlackAdapter
from adapters.telegram import TelegramAdapter
from botdaemon.config import DiscordConfig, SlackConfig, TelegramConfig
from botdaemon.types import Address, Draft, Letter, Posted

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from botdaemon.ports import Courier, Deliver, Traits
    from botdaemon.store import Store
    from botdaemon.types import Event, Turn

#: the first speaks as the account itself, the other under a name of its own
BOTS = ("thinker", "comic")
#: seconds for which a bot at most waits until its draft has been edited
SLOW = 1.0
#: seconds between the confirmation and the record of a daemon that confirms too early
HASTE = 0.5


@dataclass(frozen=True, kw_only=True)
class Orders:
    directory: str
    #: by name: where each platform is and what lets the daemon in
    platforms: dict[str, dict[str, Any]]
    #: where to die; empty: nowhere
    point: str = ""
    #: the how manieth time
    occurrence: int = 1
    #: those that have to be there; empty: all
    doomed: list[str] = field(default_factory=list)
    #: what is done wrong, to see that somebody notices: "hasty", "unverified" or "sdk retries"
    wrong: str = ""


class Doom:
    """Knows the point."""

    def __init__(self, orders: Orders) -> None:
        self._point = orders.point
        self._occurrence = orders.occurrence
        self._awaited = set(orders.doomed or orders.platforms)
        self._met: Counter[str] = Counter()

    async def at(self, point: str, platform: str) -> None:
        """Somebody got to a point."""
        if point != self._point or platform not in self._awaited:
            return
        self._met[platform] += 1
        if self._met[platform] < self._occurrence:
            return
        if all(self._met[each] >= self._occurrence for each in self._awaited):
            os.kill(os.getpid(), signal.SIGKILL)
        await asyncio.Event().wait()


class WatchedStore:
    """Passes everything on, past the points."""

    def __init__(self, store: Store, doom: Doom, diary: Diary) -> None:
        self._store = store
        self._doom = doom
        self._diary = diary
        self._turns: dict[int, str] = {}
        self._letters: dict[int, str] = {}

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        if not asyncio.iscoroutinefunction(method):
            return method

        @wraps(method)
        async def watched(*args: Any, **more: Any) -> Any:
            platform = self._platform(name, args)
            await self._doom.at(f"before:{name}", platform)
            result = await method(*args, **more)
            self._learn(name, result)
            if name in ("draft_sent", "placed"):
                self._diary.known(platform, *args)
            await self._doom.at(f"after:{name}", platform)
            return result

        return watched

    def _platform(self, name: str, args: tuple[Any, ...]) -> str:
        """Which platform a call is about, "" for none."""
        if name == "claim_turn":
            return self._turns.get(args[0], "")
        if name in ("draft_sent", "placed"):
            return self._letters.get(args[0], "")
        for arg in args:
            address = getattr(getattr(arg, "message", arg), "address", arg)
            if isinstance(address, Address):
                return address.adapter
        return ""

    def _learn(self, name: str, result: Any) -> None:
        obligations = getattr(result, "obligations", result if isinstance(result, list) else ())
        for obligation in obligations:
            for address in getattr(obligation, "addresses", ()):
                self._turns[obligation.turn] = address.adapter
        if isinstance(result, tuple) and isinstance(result[0], Letter):
            self._letters[result[0].id] = result[0].address.adapter
            self._diary.is_draft[result[0].id] = name == "open_draft"


class WatchedCourier:
    """A courier past the points; as quick with drafts as a test wants it."""

    def __init__(self, courier: Courier, doom: Doom, diary: Diary, wrong: str) -> None:
        self._courier = courier
        self._doom = doom
        self._diary = diary
        self._wrong = wrong
        self._late: set[asyncio.Task[None]] = set()
        self.name = courier.name
        self.traits: Traits = replace(
            courier.traits,
            edits_per_second=20.0,
            letters_per_second=0.0,
            channel_pause=0.0,
            settles_after=min(courier.traits.settles_after, 0.5),
        )

    async def run(self, deliver: Deliver) -> None:
        if self._wrong != "hasty":
            await self._courier.run(deliver)
            return

        async def later(event: Event) -> None:
            await asyncio.sleep(HASTE)
            await deliver(event)

        async def hasty(event: Event) -> int:
            if not isinstance(event, Posted):
                return await deliver(event)
            self._late.add(asyncio.create_task(later(event)))
            return 1

        await self._courier.run(hasty)

    @asynccontextmanager
    async def typing(self, address: Address, bot: str) -> AsyncIterator[None]:
        async with self._courier.typing(address, bot):
            yield

    async def send(self, letter: Letter) -> str:
        await self._doom.at(f"before:send {self._diary.kind(letter)}", self.name)
        self._diary.attempted(self.name)
        try:
            if self._wrong == "sdk retries" and self.name == "slack":
                _retry_as_the_sdk_does(self._courier)
            remote = await self._courier.send(letter)
        except Exception:
            self._diary.failed(self.name)
            raise
        await self._doom.at(f"after:send {self._diary.kind(letter)}", self.name)
        return remote

    async def edit(self, letter: Letter) -> None:
        await self._doom.at(f"before:edit {self._diary.kind(letter)}", self.name)
        await self._courier.edit(letter)
        self._diary.edited[letter.address] += 1
        await self._doom.at(f"after:edit {self._diary.kind(letter)}", self.name)

    async def find(self, letter: Letter) -> str | None:
        await self._doom.at("before:find", self.name)
        found = None if self._wrong == "unverified" else await self._courier.find(letter)
        await self._doom.at("after:find", self.name)
        return found

    async def remove(self, letter: Letter) -> None:
        await self._courier.remove(letter)


def _retry_as_the_sdk_does(courier: Any) -> None:
    """Slack's SDK repeats what it got no answer to, unless it is told not to. Nothing of the
    adapter's can be set so, hence its inside."""
    from slack_sdk.http_retry.builtin_async_handlers import async_default_handlers

    web = courier._connection.letters._web
    if not web.api.retry_handlers:
        web.api.retry_handlers.extend(async_default_handlers())


class Diary:
    """What became of sends, on disk, where no kill reaches it. And in memory which letters are live
    drafts yet, and how often something was edited at an address."""

    def __init__(self, directory: Path) -> None:
        self._file = os.open(directory / "sends", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.edited: defaultdict[Address, int] = defaultdict(int)
        self.is_draft: dict[int, bool] = {}

    def kind(self, letter: Letter) -> str:
        return "draft" if self.is_draft[letter.id] else "answer"

    def attempted(self, platform: str) -> None:
        os.write(self._file, f"{platform} attempted\n".encode())

    def failed(self, platform: str) -> None:
        os.write(self._file, f"{platform} failed\n".encode())

    def known(self, platform: str, letter: int, remote: str) -> None:
        os.write(self._file, f"{platform} known {letter} {remote}\n".encode())


class Thinker:
    """Answers a message that says "slowly" in several drafts, and only when one was edited."""

    def __init__(self, doom: Doom, diary: Diary) -> None:
        self._doom = doom
        self._diary = diary

    async def reply(self, turn: Turn) -> AsyncGenerator[Draft]:
        fresh = turn.history[-turn.fresh :]
        asked = " and ".join(message.text for message in fresh)
        address = fresh[-1].address
        assert address is not None
        text = f"To {asked} this is what I say."
        if "slowly" in asked:
            before, until = self._diary.edited[address], asyncio.get_running_loop().time() + SLOW
            for end in range(4, 400):
                yield Draft(text=text[:end])
                await asyncio.sleep(0.02)
                now = asyncio.get_running_loop().time()
                if self._diary.edited[address] > before or now > until:
                    break
            await self._doom.at("reply", address.adapter)
        yield Draft(text=text, final=True)


def couriers(store: Any, platforms: dict[str, dict[str, Any]]) -> list[Courier]:
    """An adapter for each platform that is named."""
    around = surroundings(store, *BOTS)
    found: list[Courier] = []
    for name, its in platforms.items():
        match name:
            case "discord":
                found.append(
                    DiscordAdapter(
                        name,
                        DiscordConfig(kind="discord", token_env="TOKEN"),
                        its["token"],
                        around,
                        connector=partial(connector, its["port"], its["ca"]),
                    )
                )
            case "slack":
                table = SlackConfig(
                    kind="slack", token_env="TOKEN", app_token_env="APP", base_url=its["url"]
                )
                found.append(SlackAdapter(name, table, its["token"], its["app_token"], around))
            case "telegram":
                base = TelegramConfig(
                    kind="telegram",
                    token_env="TOKEN",
                    base_url=its["url"],
                    base_file_url=its["files"],
                )
                found.append(TelegramAdapter(name, base, its["token"], around))
    return found


async def live(orders: Orders) -> None:
    """One life: until it is killed, or whoever ordered it is gone."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    directory = Path(orders.directory)
    doom, diary = Doom(orders), Diary(directory)

    def watched(part: Any) -> Any:
        if hasattr(part, "record_posted"):
            return WatchedStore(part, doom, diary)
        return WatchedCourier(part, doom, diary, orders.wrong)

    async with home(
        directory,
        {bot: Thinker(doom, diary) for bot in BOTS},
        connect=lambda store: couriers(watched(store), orders.platforms),
        around=watched,
        keep=True,
        queue=10_000,
    ):
        await reader.read()


def be_born(orders: Orders) -> None:
    """In the new process."""
    log = os.open(Path(orders.directory) / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 2)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    asyncio.run(live(orders))


def main() -> None:
    with open(0, "rb", buffering=0, closefd=False) as orders, open(1, "w", closefd=False) as out:
        while line := orders.readline():
            life = os.fork()
            if not life:
                be_born(Orders(**json.loads(line)))
                return
            print(life, file=out, flush=True)
            _, status = os.waitpid(life, 0)
            os.set_blocking(0, True)  # the life read from it without
            print(os.waitstatus_to_exitcode(status), file=out, flush=True)


if __name__ == "__main__":
    main()
