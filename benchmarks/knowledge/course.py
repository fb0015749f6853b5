"""Builds an index of 100,000 passages and looks things up in it."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.gauges import lag, percentile
from benchmarks.knowledge.library import Embedder, questions, write_files
from botdaemon.knowledge.briefing import Habits, Librarian
from botdaemon.knowledge.indexing import Shelf, refresh
from botdaemon.store.passages import look

if TYPE_CHECKING:
    from collections.abc import Mapping

PASSAGES = int(os.environ.get("PASSAGES", "100000"))
QUESTIONS = 100


def measure() -> Mapping[str, float | str]:
    """The figures. Raises when passages are missing."""
    return asyncio.run(_measure())


async def _measure() -> Mapping[str, float | str]:
    figures: dict[str, float | str] = {}
    with tempfile.TemporaryDirectory(prefix="bench-knowledge-") as name:
        home = Path(name)
        words = write_files(home / "files", PASSAGES)
        shelf = Shelf(
            bot="bench", folders=(home / "files",), directory=home / "index", stems=True,
            most=20_000_000,
        )  # fmt: skip
        for what, embedder in (("read and indexed", None), ("vectors kept", Embedder())):
            begun = time.perf_counter()
            await refresh(shelf, embedder)
            figures[f"{what}, passages a second"] = PASSAGES / (time.perf_counter() - begun)
        with look(home / "index") as index:
            assert index is not None
            if index.count() != (PASSAGES, PASSAGES):
                raise ValueError(f"passages are missing: {index.count()} of {PASSAGES}")
        figures["index on disk, MiB"] = (home / "index/index.db").stat().st_size / 2**20
        begun = time.perf_counter()
        await refresh(shelf, Embedder())
        figures["a look at unchanged files, s"] = time.perf_counter() - begun
        asked = list(questions(words, QUESTIONS))
        habits = Habits(bot="bench", directory=home / "index", language="en")
        await _times(figures, "by words", Librarian(habits), asked)
        before = _memory()
        both = Librarian(habits, Embedder())
        begun = time.perf_counter()
        await both.find(asked[0])
        figures["the first search, which reads the vectors, s"] = time.perf_counter() - begun
        async with lag() as lags:
            await _times(figures, "by words and meaning", both, asked)
        figures["event loop lag meanwhile, p99, ms"] = percentile(lags, 99)
        figures["memory for the vectors, MiB"] = (_memory() - before) / 2**20
    return figures


async def _times(
    figures: dict[str, float | str], what: str, asks: Librarian, asked: list[str]
) -> None:
    times = []
    for question in asked:
        begun = time.perf_counter()
        await asks.find(question)
        times.append(time.perf_counter() - begun)
    figures[f"{what}, p50, ms"] = 1000 * percentile(times, 50)
    figures[f"{what}, p99, ms"] = 1000 * percentile(times, 99)


def _memory() -> int:
    """Bytes of this process that are in RAM."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
