"""The road put together for tests: a real store on disk, a real dispatcher and real outboxes, with
bots and adapters of the test's choosing."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botdaemon.dispatcher import Dispatcher, House, Limits
from botdaemon.outbox import Outboxes
from botdaemon.ports import Adapter, Bot, Courier
from botdaemon.routes import Router, Triggers
from botdaemon.store import Store, open_store
from botdaemon.tasks import background
from botdaemon.types import Address, Draft, Room, Turn

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
    from pathlib import Path


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
    **limits: Any,
) -> AsyncIterator[Home]:
    """`around` may wrap the store and the adapters."""
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(open_store(directory))
        await opened.settle_rooms(rooms or {}, channels or {}, mirrors=mirrors, bots=list(bots))
        store = around(opened)
        lives = await stack.enter_async_context(background())
        connected = {adapter.name: around(adapter) for adapter in adapters}
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
                route=Router([Triggers(bot=bot, names=(bot,)) for bot in bots], serving),
                limits=Limits(**{"merge": 0.0, "turns_at_once": 100, **limits}),
            ),
            outboxes,
            await stack.enter_async_context(background()),
        )
        await outboxes.resume()
        await dispatcher.recover()
        for adapter in connected.values():
            lives.create_task(adapter.run(dispatcher.deliver))
        yield Home(opened, dispatcher, outboxes)
