"""The daemon through all its lives, from outside: started, stopped, killed, and looked at. Knows
no platform."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import sys
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

#: seconds that a start and a polite stop may take
PATIENCE = 60.0
#: bytes of a line of the report
LINE = 2**20


@dataclass(frozen=True, slots=True)
class Vitals:
    """How the daemon was at a moment."""

    at: float
    memory: float
    files: int
    tasks: int
    late: list[float]


@dataclass
class Victim:
    """One directory's daemon."""

    directory: Path
    arguments: tuple[str, ...]
    """What the process is told besides its configuration."""
    environment: dict[str, str]
    vitals: list[Vitals] = field(default_factory=list)
    """Of the present life."""
    lives: int = 0
    late: list[float] = field(default_factory=list)
    """Of all lives."""
    _process: asyncio.subprocess.Process | None = None
    _reading: asyncio.Task[None] | None = None
    _ready: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def log(self) -> Path:
        return self.directory / "log.jsonl"

    def settle(self, config: str) -> None:
        """Make its directory."""
        self.directory.mkdir(parents=True)
        (self.directory / "config.toml").write_text(config)

    async def start(self) -> None:
        self._ready.clear()
        self.vitals.clear()
        self.lives += 1
        config = str(self.directory / "config.toml")
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "benchmarks.soak.daemon", config, *self.arguments),
                env=self.environment,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                limit=LINE,
            )
        self._reading = asyncio.create_task(self._read(self._process))
        ready = asyncio.create_task(self._ready.wait())
        await asyncio.wait(
            [ready, self._reading], timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED
        )
        ready.cancel()
        if not self._ready.is_set():
            raise AssertionError(f"the daemon did not start:\n{self.log.read_text()[-3000:]}")

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            try:
                told: dict[str, Any] = json.loads(line)
            except ValueError:  # it was killed in the middle of it
                continue
            if "ready" in told:
                self._ready.set()
            else:
                self.vitals.append(Vitals(time.time(), **told))
                self.late += told["late"]

    async def kill(self) -> None:
        """`kill -9`."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> float:
        """As systemd does it; how many seconds it took."""
        began = time.monotonic()
        await self._end(signal.SIGTERM)
        return time.monotonic() - began

    async def _end(self, how: signal.Signals) -> None:
        process, reading = self._process, self._reading
        assert process is not None
        assert reading is not None
        if process.returncode is None:
            process.send_signal(how)
        try:
            async with asyncio.timeout(PATIENCE):
                code = await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise AssertionError(f"the daemon did not end within {PATIENCE:.0f} s") from None
        finally:
            await reading
        expected = -how if how is signal.SIGKILL else 0
        if code != expected:
            raise AssertionError(
                f"the daemon ended with {code} by itself:\n{self.log.read_text()[-3000:]}"
            )

    async def bury(self) -> None:
        """Whatever its state, it is not there any more."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        if self._reading is not None:
            await self._reading

    # --- what it left behind ----------------------------------------------------------------------

    def ask(self, query: str, parameters: tuple[str, ...] = ()) -> list[tuple[Any, ...]]:
        """From its database."""
        path = f"file:{self.directory / 'data' / 'botdaemon.db'}?mode=ro"
        with closing(sqlite3.connect(path, uri=True)) as db:
            return db.execute(query, parameters).fetchall()

    def logged(self) -> list[dict[str, Any]]:
        """Its log, and what else it wrote to stderr as lines with the level "stderr"."""
        lines = []
        for line in self.log.read_text().splitlines():
            try:
                lines.append(json.loads(line))
            except ValueError:
                lines.append({"level": "stderr", "message": line})
        return lines

    def events(self) -> Counter[tuple[str, str]]:
        """How often it logged each event, by adapter and event."""
        return Counter(
            (str(line.get("adapter", "")), str(line.get("event", ""))) for line in self.logged()
        )
