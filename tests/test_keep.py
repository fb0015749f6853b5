"""Adapters are kept connected: one that is down comes back, one that is refused is left alone."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from botdaemon.app.keep import Pauses, keep
from botdaemon.app.watch import Pulse
from botdaemon.errors import AdapterDown, AdapterRefused
from botdaemon.metrics import ENDED, Metrics
from botdaemon.tasks import background

SOON = Pauses(first=0.01, longest=10.0)


class Line:
    """Ends as it is told, one after the other, and then leaves."""

    name = "line"

    def __init__(self, *ends: Exception) -> None:
        self.ends = list(ends)
        self.runs = 0

    async def run(self, deliver: Any) -> None:
        self.runs += 1
        if self.ends:
            raise self.ends.pop(0)


async def kept(adapter: Any, metrics: Metrics | None = None) -> dict[str, bool | str]:
    ready: dict[str, bool | str] = {"line": True}
    left = asyncio.Event()
    metrics = metrics or Metrics()
    await keep(adapter, lambda event: asyncio.sleep(0, 0), ready, left, metrics, SOON)
    return ready


async def test_an_adapter_that_is_down_comes_back() -> None:
    line = Line(AdapterDown("no network"), AdapterDown("no network"))

    assert await kept(line) == {"line": True}
    assert line.runs == 3


async def test_an_adapter_that_is_refused_is_left_alone_and_the_reason_is_kept(
    caplog: pytest.LogCaptureFixture,
) -> None:
    line = Line(AdapterRefused("the token is not valid; make a new one"))

    assert await kept(line) == {"line": "the token is not valid; make a new one"}
    assert line.runs == 1
    assert caplog.text.count("the token is not valid") == 1


async def test_a_fault_of_an_adapter_is_its_own_affair_and_it_comes_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    line = Line(KeyError("content"))

    assert await kept(line) == {"line": True}
    assert "KeyError" in caplog.text


async def test_an_adapter_without_a_sign_of_life_is_ended_and_begun_anew() -> None:
    class Stuck(Line):
        async def run(self, deliver: Any) -> None:
            self.runs += 1
            if self.runs == 1:
                await asyncio.Event().wait()

    stuck, pulse = Stuck(), Pulse(limit=0.01)
    left = asyncio.Event()
    adapter: Any = stuck
    await keep(adapter, lambda event: asyncio.sleep(0, 0), {}, left, Metrics(), SOON, pulse)

    assert stuck.runs == 2
    assert left.is_set()
    assert pulse.left == float("inf")  # nobody expects anything of one that has left


async def test_the_ends_of_an_adapter_are_counted_by_how_it_ended() -> None:
    metrics = Metrics()
    await kept(Line(AdapterDown("no"), KeyError("x"), AdapterRefused("never")), metrics)

    assert {
        reason: metrics.registry.get_sample_value(
            "botdaemon_adapter_connections_ended_total", {"adapter": "line", "reason": reason}
        )
        for reason in ENDED
    } == dict.fromkeys(ENDED, 1)


def test_the_pauses_double_up_to_the_longest_and_differ() -> None:
    pauses = Pauses(first=2.0, longest=60.0)

    assert 1.6 <= pauses.after(1) <= 2.4
    assert 6.4 <= pauses.after(3) <= 9.6
    assert pauses.after(1000) <= 72.0
    assert len({pauses.after(4) for _ in range(10)}) > 1


async def test_whoever_wants_a_task_when_the_daemon_has_ended_ends_with_it() -> None:
    async with background() as tasks:
        pass

    with pytest.raises(asyncio.CancelledError):
        tasks.create_task(asyncio.sleep(0))
