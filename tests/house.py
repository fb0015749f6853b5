"""The road put together for tests: a real store on disk, a real dispatcher and real outboxes, with
bots and adapters of the test's choosing."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from botdaemon.access import Access
from botdaemon.commands import COMMANDS
from botdaemon.dispatcher import (
    TEXT,
    Aloud,
    Arranging,
    Dispatcher,
    House,
    Judge,
    Limits,
    Listening,
    Manners,
)
from botdaemon.errors import AdapterDown, Refused
from botdaemon.filters import NOTHING, Filter
from botdaemon.metrics import Metrics
from botdaemon.outbox import Outboxes
from botdaemon.ports import Adapter, Bot, Courier, Deliver, Painter, Surroundings
from botdaemon.routes import Router, Triggers
from botdaemon.store import Store, open_store
from botdaemon.tasks import background
from botdaemon.types import Address, Control, Draft, Room, Turn

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Awaitable,
        Callable,
        Mapping,
        Sequence,
    )
    from pathlib import Path

    from botdaemon.config import AccessConfig
    from botdaemon.feelings import Character
    from botdaemon.types import File, Message


class SayingBot:
    """Answers with what `words` makes of the newest message; `gate` holds every answer back after
    its first draft, and `turns` are those it was asked to answer."""

    def __init__(self, words: Callable[[str], str] = lambda text: f"you said: {text}") -> None:
        self.words = words
        self.gate = asyncio.Event()
        self.gate.set()
        self.turns: list[Turn] = []
        self.begun = asyncio.Event()

    async def reply(self, turn: Turn) -> AsyncGenerator[Draft]:
        self.turns.append(turn)
        fresh = turn.history[-turn.fresh :]
        text = self.words(" / ".join(message.text for message in fresh))
        yield Draft(text=text[: len(text) // 2])
        self.begun.set()
        await self.gate.wait()
        if text:
            yield Draft(text=text, final=True)


class CueBot:
    """Writes first what it is told to write about."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []

    async def reply(self, turn: Turn) -> AsyncGenerator[Draft]:
        self.turns.append(turn)
        text = f"about {turn.cue.prompt}" if turn.cue else f"you said: {turn.history[-1].text}"
        yield Draft(text=text[: len(text) // 2])
        yield Draft(text=text, final=True)


PICTURE_CONTROLS = (Control.REROLL, Control.EDIT, Control.SETTINGS, Control.DELETE)


class DrawingBot:
    """Makes a file of every wish and every message; its name is the number and the prompt. `keep`
    is the store's, `gate` holds every picture back after its first draft."""

    def __init__(self, keep: Callable[[bytes, str, str], Awaitable[File]] | None = None) -> None:
        self.keep = keep
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun = asyncio.Event()
        self.turns: list[Turn] = []
        self.spoiler = False

    async def reply(self, turn: Turn) -> AsyncGenerator[Draft]:
        self.turns.append(turn)
        number = len(self.turns)
        yield Draft(text=f"drawing {number}", preview=b"a preview")
        self.begun.set()
        await self.gate.wait()
        prompt = self._prompt(turn)
        assert self.keep is not None
        file = await self.keep(f"{number} {prompt}".encode(), f"{number} {prompt}.png", "image/png")
        yield Draft(
            text=prompt,
            files=(replace(file, spoiler=self.spoiler),),
            final=True,
            controls=PICTURE_CONTROLS,
        )

    def _prompt(self, turn: Turn) -> str:
        if turn.wish is None:
            return turn.history[-1].text
        if turn.wish.what in ("draw", "edit"):
            return turn.wish.text
        return f"{turn.wish.what} of {turn.about.text if turn.about else 'nothing'}"

    async def settings(self, message: Message) -> str:
        return f"the settings of {message.files[0].name}"

    async def prompt(self, message: Message) -> str:
        return message.text

    def options(self, text: str) -> str:
        if not text.startswith("--"):
            raise Refused(f"{text} is no option")
        return " ".join(text.split())


_GENEROUS = {
    "merge": 0.0,
    "turns_at_once": 100,
    "queue_per_person": 1000,
    "per_person": 10_000,
    "per_channel": 10_000,
    "per_server": 10_000,
}


def surroundings(store: Any, *bots: str, **more: Any) -> Surroundings:
    """What an adapter of a chat platform is told, for these bots."""
    return Surroundings(
        **{
            "shelf": store,
            "bots": dict.fromkeys(bots or ("bot",), "a bot"),
            "pictures": {},
            "commands": COMMANDS,
            **more,
        }
    )


async def _run(adapter: Adapter, deliver: Deliver) -> None:
    await adapter.run(deliver)


async def kept_connected(adapter: Adapter, deliver: Deliver) -> None:
    """What the daemon does about an adapter that is down, without its pauses."""
    while True:
        try:
            await adapter.run(deliver)
        except AdapterDown:
            await asyncio.sleep(0.2)
        else:
            return


@dataclass
class Home:
    store: Store
    dispatcher: Dispatcher
    outboxes: Outboxes


@asynccontextmanager
async def home(
    directory: Path,
    bots: Mapping[str, Bot],
    adapters: Sequence[Adapter] = (),
    *,
    rooms: Mapping[str, Room] | None = None,
    channels: Mapping[Address, str] | None = None,
    mirrors: Sequence[str] = (),
    lines: Mapping[str, str] | None = None,
    around: Callable[[Any], Any] = lambda part: part,
    connect: Callable[[Store], Sequence[Adapter]] = lambda store: (),
    access: Mapping[str, AccessConfig] | None = None,
    free: Mapping[str, frozenset[str]] | None = None,
    stale: float = 3600.0,
    clock: Callable[[], float] = time.time,
    heard: Filter = NOTHING,
    heard_judges: tuple[Judge, ...] = (),
    manners: Mapping[str, Manners] | None = None,
    listening: Listening | None = None,
    aloud: Mapping[str, Aloud] | None = None,
    characters: Mapping[str, Character] | None = None,
    keep: bool = False,
    metrics: Metrics | None = None,
    **limits: Any,
) -> AsyncIterator[Home]:
    """`around` may wrap the store and the adapters; `connect` makes adapters that need the store;
    with `keep` an adapter that is down is connected again, as the daemon does."""
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(open_store(directory, clock=clock))
        await opened.settle_rooms(rooms or {}, channels or {}, mirrors=mirrors, bots=list(bots))
        store = around(opened)
        for bot in bots.values():
            if isinstance(bot, DrawingBot):
                bot.keep = store.keep
        connected = {adapter.name: around(adapter) for adapter in (*adapters, *connect(store))}
        metrics = metrics or Metrics()
        outboxes = Outboxes(
            connected, store, await stack.enter_async_context(background()), metrics
        )
        serving = dict.fromkeys([*connected, *mirrors, "test"], tuple(bots))
        dispatcher = Dispatcher(
            store,
            House(
                bots=bots,
                about=dict.fromkeys(bots, "a bot"),
                painters={name: bot for name, bot in bots.items() if isinstance(bot, Painter)},
                lines=dict.fromkeys(bots, TEXT) if lines is None else lines,
                history=dict.fromkeys(bots, 20),
                couriers={
                    name: adapter.traits
                    for name, adapter in connected.items()
                    if isinstance(adapter, Courier)
                },
                serving=serving,
                route=Router([Triggers(bot=bot, names=(bot,)) for bot in bots], serving, free=free),
                limits=Limits(**{**_GENEROUS, **limits}),
                access=Access(access or {}),
                ours=free or {},
                stale=stale,
                clock=clock,
                arranging=Arranging(clock=clock),
                heard=heard,
                heard_judges=heard_judges,
                manners=manners or {},
                listening=listening,
                aloud=aloud or {},
                characters=characters or {},
                metrics=metrics,
            ),
            outboxes,
            await stack.enter_async_context(background()),
        )
        lives = await stack.enter_async_context(background())
        await outboxes.resume()
        await dispatcher.recover()
        for adapter in connected.values():
            run = kept_connected if keep else _run
            lives.create_task(run(adapter, dispatcher.deliver), name=f"adapter {adapter.name}")
        yield Home(opened, dispatcher, outboxes)
