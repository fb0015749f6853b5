"""What several benchmarks measure with. Knows nothing of what is measured."""

from __future__ import annotations

import asyncio
import statistics
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence


@asynccontextmanager
async def lag() -> AsyncIterator[list[float]]:
    """How late the loop wakes a sleeper of 5 ms, in milliseconds."""
    late: list[float] = []

    async def sleep() -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.005)
            late.append(1000 * (time.perf_counter() - began) - 5)

    task = asyncio.create_task(sleep())
    try:
        yield late
    finally:
        task.cancel()


def percentile(values: Sequence[float], percent: int) -> float:
    """Never more than the largest value; 0 of none."""
    if len(values) < 2:
        return values[0] if values else 0.0
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
