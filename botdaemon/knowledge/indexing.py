"""Keeps a bot's index like its folders: reads what is new, forgets what is gone, and puts passages
into vectors. Knows no format and no bot.

Each file is a transaction, and each batch of vectors. What was not done when the daemon ended is
what the next look finds to do.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from botdaemon.errors import BotdaemonError, StoreLocked
from botdaemon.knowledge.folders import scan
from botdaemon.knowledge.readers import Reader
from botdaemon.store.passages import IndexedFile, open_index

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from botdaemon.ports import Embedder
    from botdaemon.store.passages import Index

log = logging.getLogger(__name__)

#: passages of one bot; what is more is not read
MOST_PASSAGES = 200_000
#: passages that an embedder is given at once: a question waits for no more than these
BATCH = 16

Told = Callable[[str, int, int], None]
"""Told what is under way, and how much is done of how much."""


P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """What one bot may look up."""

    bot: str
    folders: Sequence[Path]
    #: where its index is kept
    directory: Path
    #: the words of the files are English: their endings do not count
    stems: bool
    #: bytes of the largest file
    most: int
    #: seconds between two looks
    pause: float = 60.0


@dataclass(slots=True)
class _Said:
    """What was logged of the last look, so that it is said once."""

    now: set[str] = field(default_factory=set)
    before: set[str] = field(default_factory=set)

    def say(self, bot: str, what: str) -> None:
        if what not in self.before:
            log.warning("%s", what, extra={"event": "knowledge_problem", "bot": bot})
        self.now.add(what)

    def turn(self) -> None:
        self.before, self.now = self.now, set()


async def keep_fresh(shelf: Shelf, embedder: Embedder | None) -> None:
    """Look for changes again and again, until cancelled. Whatever fails is said once, and tried
    again at the next look."""
    said = _Said()
    while True:
        try:
            await refresh(shelf, embedder, say=lambda what: said.say(shelf.bot, what))
        except StoreLocked as error:  # such as `botdaemon chat`, or the daemon beside it
            log.debug("%s", error)
        except BotdaemonError as error:
            said.say(shelf.bot, f"bots.{shelf.bot}.knowledge: {error}")
        said.turn()
        await asyncio.sleep(shelf.pause)


async def refresh(
    shelf: Shelf,
    embedder: Embedder | None,
    *,
    say: Callable[[str], None] = lambda what: None,
    told: Told = lambda what, done, total: None,
) -> None:
    """Make the index like the folders, once. `say`: told of each folder that cannot be looked into,
    and of each file that could not be read, when it is found. Raises `StoreError`, and what the
    embedder raises."""
    async with _opened(shelf) as (index, call):
        await _files(shelf, index, call, say, told)
        if embedder is not None:
            await _vectors(index, call, embedder, told)


class _Caller:
    """Runs calls in a thread, one after the other, also when nobody waits for them any more: an
    index is closed after the call that was under way."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="knowledge")

    async def __call__(self, do: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
        return await asyncio.wrap_future(self.pool.submit(do, *args, **options))


@asynccontextmanager
async def _opened(shelf: Shelf) -> AsyncIterator[tuple[Index, _Caller]]:
    call, stack = _Caller(), ExitStack()
    try:
        yield await call(stack.enter_context, open_index(shelf.directory, stems=shelf.stems)), call
    finally:
        closing = call.pool.submit(stack.close)
        call.pool.shutdown(wait=False)
        await asyncio.wrap_future(closing)


async def _files(
    shelf: Shelf, index: Index, call: _Caller, say: Callable[[str], None], told: Told
) -> None:
    found = await asyncio.to_thread(scan, shelf.folders)
    for problem in found.problems.values():
        say(problem)
    known = await call(index.files)
    there = {str(file.path) for file in found.files}
    for path in known.keys() - there:
        # A disk that is not there at the moment costs nothing but what is found meanwhile.
        if not found.hidden(path):
            await call(index.drop, path)
    changed = [
        file
        for file in found.files
        if (before := known.get(str(file.path))) is None
        or (before.stamp, before.shown) != (file.stamp, file.shown)
    ]
    passages = (await call(index.count))[0]
    async with Reader(shelf.most) as reader:
        for done, file in enumerate(changed):
            told("reading", done, len(changed))
            before = known.get(str(file.path))
            read = await reader.read(file.path, file.shown, before.sha256 if before else "")
            if read.same:
                await call(index.touch, str(file.path), file.stamp, file.shown)
                continue
            problem = read.problem
            passages += len(read.passages) - (before.passages if before else 0)
            if passages > MOST_PASSAGES:
                passages -= len(read.passages)
                problem = f"it is left out: its bot has {MOST_PASSAGES:,} passages already"
            if problem:
                say(f"{file.path}: {problem}")
            entry = IndexedFile(
                path=str(file.path), shown=file.shown, stamp=file.stamp,
                sha256="" if problem else read.sha256, problem=problem,
            )  # fmt: skip
            await call(index.put, entry, () if problem else read.passages)


async def _vectors(index: Index, call: _Caller, embedder: Embedder, told: Told) -> None:
    from botdaemon.knowledge.vectors import pack  # numpy only where there are vectors

    await call(index.settle_embedder, embedder.card.identity)
    total, done = await call(index.count)
    last = 0
    while batch := await call(index.without_vectors, last, BATCH):
        told("understanding", done, total)
        last = batch[-1].id
        made = await embedder.embed([f"{one.heading}\n{one.text}".strip() for one in batch])
        rows = [(one.id, *pack(vector)) for one, vector in zip(batch, made, strict=True)]
        await call(index.put_vectors, rows)
        done += len(batch)
