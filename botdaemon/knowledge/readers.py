"""Has files read by the worker, and outlives it. Knows no format."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from botdaemon.knowledge.folders import KINDS
from botdaemon.knowledge.worker import MEMORY, SECONDS
from botdaemon.types import Passage

if TYPE_CHECKING:
    from collections.abc import Sequence

_ROOT = str(Path(__file__).resolve().parent.parent.parent)
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR")
#: seconds that a file may take by the clock, where the worker's own limit of CPU time does not
#: help: a disk that does not answer
PATIENCE = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What came of reading a file."""

    #: the content is that which was known
    same: bool = False
    sha256: str = ""
    passages: Sequence[Passage] = ()
    #: why it cannot be read
    problem: str = ""


class Reader:
    """A worker, begun when it is needed. Use it as a context; one file at a time."""

    def __init__(self, most: int, patience: float = PATIENCE) -> None:
        """`most`: bytes of the largest file."""
        self._most = most
        self._patience = patience
        self._worker: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end()

    async def read(self, path: Path, shown: str, known: str = "") -> Read:
        """`known`: the SHA-256 of the content as it was last read, if it was."""
        asked = {
            "path": str(path), "kind": KINDS[path.suffix.lower()], "most": self._most,
            "known": known,
        }  # fmt: skip
        try:
            async with asyncio.timeout(self._patience):
                answer = await self._ask(asked)
        except TimeoutError:
            await self._end()
            return Read(problem=f"it took longer than {self._patience:.0f} seconds to read")
        except BaseException:
            await self._end()
            raise
        if answer is None:
            return Read(problem=await self._epitaph())
        if answer.get("same"):
            return Read(same=True)
        if problem := answer.get("problem"):
            return Read(problem=problem)
        return Read(
            sha256=answer["sha256"],
            passages=[
                Passage(
                    file=shown, number=number, heading=heading, text=text, page=page,
                    last_page=page, line=line,
                )
                for number, (heading, text, page, line) in enumerate(answer["passages"])
            ],
        )  # fmt: skip

    async def _ask(self, asked: dict[str, Any]) -> dict[str, Any] | None:
        """None when the worker ended over it."""
        worker = self._worker = self._worker or await _begin()
        assert worker.stdin is not None
        assert worker.stdout is not None
        data = json.dumps(asked).encode()
        try:
            worker.stdin.write(len(data).to_bytes(4, "big") + data)
            await worker.stdin.drain()
            head = await worker.stdout.readexactly(4)
            body = await worker.stdout.readexactly(int.from_bytes(head, "big"))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        # Some megabytes for a large file: not on the loop.
        answer: dict[str, Any] = await asyncio.to_thread(json.loads, body)
        return answer

    async def _epitaph(self) -> str:
        worker, self._worker = self._worker, None
        assert worker is not None
        status = await worker.wait()
        if status == -signal.SIGXCPU:
            return f"it takes more than {SECONDS} seconds to read"
        if status < 0:
            return f"it ends whatever reads it ({signal.Signals(-status).name})"
        return f"it ends whatever reads it (status {status}; {MEMORY >> 20} MiB of memory are free)"

    async def _end(self) -> None:
        worker, self._worker = self._worker, None
        if worker is None:
            return
        with suppress(ProcessLookupError):
            worker.kill()
        await worker.wait()


async def _begin() -> asyncio.subprocess.Process:
    path = os.pathsep.join(filter(None, (_ROOT, os.environ.get("PYTHONPATH"))))
    # No more of the environment than it takes to run: tokens may be in it, and files are hostile.
    known = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "botdaemon.knowledge.worker"),
        env={**known, "PYTHONPATH": path},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
