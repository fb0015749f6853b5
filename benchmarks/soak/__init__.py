"""The soak: hours of talk on three platforms in minutes, with everything that goes wrong there.

A whole daemon (`daemon`) in a process of its own talks to the three fake platforms of the tests,
which run here. People (`people`) ask far faster than people do, while connections drop, answers are
lost, events come twice or are garbage (`troubles`), and the daemon is stopped and killed. In the
end everything said to a bot must be answered once, as people see it (`ledger`). After that, ten
thousand messages are said while it is away (`missed`).

It raises when anything is lost or doubled. SOAK_MINUTES says how long it takes, SOAK_SEED which of
all soaks it is.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from pathlib import Path


def measure() -> dict[str, float]:
    """All figures; times in milliseconds or, where so named, seconds; memory in MiB."""
    # The fakes lie among the tests, flat, as the tests import them.
    sys.path.append(str(Path(__file__).parents[2] / "tests"))
    from benchmarks.soak.course import run

    # A fake whose client is killed in the middle of a request need not complain about it.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    minutes = float(os.environ.get("SOAK_MINUTES", "4"))
    return asyncio.run(run(60 * minutes, int(os.environ.get("SOAK_SEED", "1"))))
