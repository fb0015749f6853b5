"""The road: from a message to its answer with the echo engine and the store on disk, durable.

Knows neither a platform nor a model: what is measured is the daemon itself. Three runs, each in a
process of its own:

* saturated: messages of 1,000 threads as fast as they are taken, 256 on their way at a time,
  through dispatcher, text bot, store and the outbox of a platform that takes letters at once;
* steady: 200 messages a second posted over HTTP to a whole daemon, for latencies and loop lag;
* start-up of the command line.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import multiprocessing
import subprocess
import sys
import tempfile
import time
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp

from benchmarks import OUT
from benchmarks.gauges import lag, percentile
from botdaemon import app
from botdaemon.app import imports
from botdaemon.config import parse
from botdaemon.ports import Traits
from botdaemon.types import Address, Identity, Message, Piece, Posted
from models.echo import EchoEngine

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator

    from botdaemon.ports import Deliver
    from botdaemon.types import Letter, TextRequest

MESSAGES = 100_000
THREADS = 1_000
UNDER_WAY = 256
RATE = 200
SECONDS = 20

CONFIG = """
[daemon]
log_level = "warning"
[adapters.web]
kind = "web"
port = 0
[models.echo]
kind = "echo"
[bots.echo]
kind = "text"
model = "echo"
history_messages = 10
[rooms.bench]
bots = ["echo"]
[limits]
merge_seconds = 0.0
turns_at_once = 64
queue = 100000
queue_per_person = 100000
answers_per_minute_person = 1000000
answers_per_minute_channel = 1000000
answers_per_minute_server = 1000000
"""


def measure() -> dict[str, float]:
    """All figures; times in milliseconds, memory in MiB."""
    figures = _apart(saturated)
    figures |= _apart(steady)
    figures["start_up_ms"] = _start_up()
    return figures


def _apart(run: Callable[[], dict[str, float]]) -> dict[str, float]:
    """The figures of a run in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(run)


class Sink:
    """A platform that takes every letter at once."""

    name = "sink"
    traits = Traits(dialect="plain", text_limit=2000)

    def __init__(self) -> None:
        self.room = asyncio.Semaphore(UNDER_WAY)

    async def run(self, deliver: Deliver) -> None:
        await asyncio.Event().wait()

    async def send(self, letter: Letter) -> str:
        self.room.release()
        return f"s{letter.id}"

    async def edit(self, letter: Letter) -> None:
        raise AssertionError("there are no drafts here")

    async def find(self, letter: Letter) -> str | None:
        return None

    async def remove(self, letter: Letter) -> None:
        raise AssertionError("nothing is taken back here")

    @asynccontextmanager
    async def typing(self, address: Address, bot: str) -> AsyncIterator[None]:
        yield


def saturated() -> dict[str, float]:
    """Messages a second, and what they leave in memory."""
    return asyncio.run(_saturated())


async def _saturated() -> dict[str, float]:
    logging.disable(logging.INFO)
    sink = Sink()
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(_directory())
        config = parse(CONFIG, directory / "config.toml")
        daemon = await stack.enter_async_context(app.running(config, adapters=lambda store: [sink]))

        async def post(number: int) -> None:
            place = number % THREADS
            await daemon.dispatcher.deliver(
                Posted(
                    key=str(number),
                    direct=True,
                    message=Message(
                        address=Address("sink", f"channel {place}"),
                        author=Identity(adapter="sink", account=str(place), name=f"Ann {place}"),
                        text=f"hello, this is message number {number} of the benchmark",
                        platform_id=str(number),
                        sent_at=time.time(),
                    ),
                )
            )

        async def flood(first: int, last: int) -> None:
            async with asyncio.TaskGroup() as tasks:
                for number in range(first, last):
                    await sink.room.acquire()
                    tasks.create_task(post(number))
            for _ in range(UNDER_WAY):  # until all have been answered
                await sink.room.acquire()
            for _ in range(UNDER_WAY):
                sink.room.release()

        warm = MESSAGES // 10  # every thread exists and every path has been taken
        gc.freeze()  # as app.serve does
        await flood(0, warm)
        memory, began = _memory(), time.perf_counter()
        async with lag() as late:
            await flood(warm, warm + MESSAGES)
        seconds = time.perf_counter() - began
    return {
        "saturated_messages_per_second": MESSAGES / seconds,
        "saturated_loop_lag_p99_ms": percentile(late, 99),
        "memory_before_mib": memory,
        f"memory_growth_over_{MESSAGES}_messages_mib": _memory() - memory,
    }


class Noting(EchoEngine):
    """Notes when each message reaches the engine, by its text."""

    reached: dict[str, float] = {}  # noqa: RUF012 -- one benchmark, one process

    async def generate(self, request: TextRequest) -> AsyncGenerator[Piece]:
        self.reached[request.lines[-1].text] = time.perf_counter()
        async for piece in super().generate(request):
            yield piece


def steady() -> dict[str, float]:
    """Latencies at a steady rate, over HTTP."""
    return asyncio.run(_steady())


async def _steady() -> dict[str, float]:
    logging.disable(logging.INFO)
    imports.ECHO = f"{__name__}:Noting"
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(_directory())
        config = parse(CONFIG, directory / "config.toml")
        daemon = await stack.enter_async_context(app.running(config))
        web = await stack.enter_async_context(aiohttp.ClientSession(daemon.servers["web"].url))
        for number in range(50):
            async with web.post("api/rooms", json={"name": f"r{number}", "bots": ["echo"]}) as made:
                made.raise_for_status()
        posted: dict[str, float] = {}
        acknowledged: list[float] = []

        async def post(number: int) -> None:
            text = f"message {number}"
            posted[text] = began = time.perf_counter()
            async with web.post(
                f"api/rooms/r{number % 50}/messages", json={"author": f"ann{number}", "text": text}
            ) as answer:
                answer.raise_for_status()
                await answer.read()
            acknowledged.append(1000 * (time.perf_counter() - began))

        answered: dict[str, float] = {}

        async def follow() -> None:
            seq = await daemon.store.latest()
            while len(answered) < RATE * SECONDS:
                await daemon.store.changed(seq)
                for _, message in await daemon.store.changes(seq):
                    seq = message.seq
                    if message.bot:
                        answered[message.text] = time.perf_counter()

        async with lag() as late, asyncio.TaskGroup() as tasks:
            tasks.create_task(follow())
            start = time.perf_counter()
            for number in range(RATE * SECONDS):
                await asyncio.sleep(max(0.0, start + number / RATE - time.perf_counter()))
                tasks.create_task(post(number))
    to_engine = [1000 * (Noting.reached[text] - at) for text, at in posted.items()]
    to_answer = [1000 * (answered[text] - at) for text, at in posted.items()]
    return {
        f"acknowledged_at_{RATE}_per_second_p50_ms": percentile(acknowledged, 50),
        f"acknowledged_at_{RATE}_per_second_p99_ms": percentile(acknowledged, 99),
        "api_to_engine_p50_ms": percentile(to_engine, 50),
        "api_to_engine_p99_ms": percentile(to_engine, 99),
        "answered_p50_ms": percentile(to_answer, 50),
        "answered_p99_ms": percentile(to_answer, 99),
        "steady_loop_lag_p99_ms": percentile(late, 99),
    }


def _start_up() -> float:
    """From the start of the command to a ready web page, the best of three."""
    times = []
    for _ in range(3):
        with _directory() as directory:
            path = directory / "config.toml"
            path.write_text(CONFIG)
            began = time.perf_counter()
            with subprocess.Popen(
                [sys.executable, "-m", "botdaemon", "run", "--config", str(path)],
                stderr=subprocess.PIPE,
                text=True,
            ) as process:
                assert process.stderr is not None
                for line in process.stderr:
                    if "http://" in line:
                        break
                times.append(1000 * (time.perf_counter() - began))
                process.terminate()
    return min(times)


@contextmanager
def _directory() -> Iterator[Path]:
    """A new directory on the disk that the project is on; /tmp may be memory."""
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=OUT) as name:
        yield Path(name)


def _memory() -> float:
    """Resident memory of this process, MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20
