"""A simulated month: a room with five people and two bots that write first by schedules, over a
real store and a platform behind real sockets. Time is a number; nothing is waited for.

It raises when a bot writes when it must not. MONTH_DAYS says how long it is, MONTH_SEED which of
all months.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path


def measure() -> dict[str, float]:
    """What was written first, answered, and held back, and why."""
    # The platform and the house lie among the tests, flat, as the tests import them.
    sys.path.append(str(Path(__file__).parents[2] / "tests"))
    from benchmarks.month.course import run

    days = int(os.environ.get("MONTH_DAYS", "30"))
    with tempfile.TemporaryDirectory() as directory:
        return asyncio.run(run(Path(directory), days, int(os.environ.get("MONTH_SEED", "1"))))
