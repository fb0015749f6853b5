"""The road put together for tests: a real store on disk, a real dispatcher and real outboxes, with
bots and adapters of the test's choosing."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botdaemon.access import Access
from botdaemon.commands import COMMANDS
from botdaemon.dispatcher import Dispatcher, House, Limits
from botdaemon.errors import AdapterDown
from botdaemon.outbox import Outboxes
from botdaemon.ports import Adapter, Bot, Courier, Deliver, Surroundings
from botdaemon.routes import Router, Triggers
from botdaemon.store import Store, open_store
from botdaemon.tasks import background
from botdaemon.types import Address, Draft, Room, Turn

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
    from pathlib import Path

    from botdaemon.config import AccessConfig


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
    thinkers: Sequence[str] | None = None,
    around: Callable[[Any], Any] = lambda part: part,
    connect: Callable[[Store], Sequence[Adapter]] = lambda store: (),
    access: Mapping[str, AccessConfig] | None = None,
    free: Mapping[str, frozenset[str]] | None = None,
    stale: float = 3600.0,
    keep: bool = False,
    **limits: Any,
) -> AsyncIterator[Home]:
    """`around` may wrap the store and the adapters; `connect` makes adapters that need the store;
    with `keep` an adapter that is down is connected again, as the daemon does."""
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(open_store(directory))
        await opened.settle_rooms(rooms or {}, channels or {}, mirrors=mirrors, bots=list(bots))
        store = around(opened)
        connected = {adapter.name: around(adapter) for adapter in (*adapters, *connect(store))}
        outboxes = Outboxes(connected, store, await stack.enter_async_context(background()))
        serving = dict.fromkeys([*connected, *mirrors, "test"], tuple(bots))
        dispatcher = Dispatcher(
            store,
            House(
                bots=bots,
                about=dict.fromkeys(bots, "a bot"),
                thinkers=list(bots) if thinkers is None else thinkers,
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
