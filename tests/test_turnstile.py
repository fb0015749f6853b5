"""The turnstile before a device: one at a time, and each its share."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from models.turnstile import Turnstile

if TYPE_CHECKING:
    from collections.abc import Iterator


class Clock:
    """Stands still but for the work that is done."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Party:
    """Works in steps of so many seconds until it has had `most`."""

    def __init__(self, name: str, step: float, turnstile: Turnstile, clock: Clock) -> None:
        self.name = name
        self.had = 0.0
        self._step = step
        self._turnstile = turnstile
        self._clock = clock

    def work(self, most: float, passed: list[str]) -> None:
        with self._turnstile.turn(self.name) as give_way:
            while self.had < most:
                passed.append(self.name)
                self._clock.now += self._step
                self.had += self._step
                give_way()


@contextmanager
def all_waiting(turnstile: Turnstile, *threads: threading.Thread) -> Iterator[None]:
    """The threads wait at the turnstile; they pass when the body is over."""
    with turnstile.turn("doorkeeper"):
        for thread in threads:
            thread.start()
        while len(turnstile.waiting) < len(threads):
            time.sleep(0.001)
        yield
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


def shares(passed: list[str], parties: list[Party]) -> list[float]:
    """The seconds that each has had when the first one is done."""
    steps = {party.name: party.had / passed.count(party.name) for party in parties}
    last = {party.name: len(passed) - passed[::-1].index(party.name) for party in parties}
    while_all_were_there = passed[: min(last.values())]
    return [steps[party.name] * while_all_were_there.count(party.name) for party in parties]


@pytest.mark.parametrize("steps", [(0.25, 0.01), (0.1, 0.1, 0.3), (0.5, 0.02, 0.02, 0.02)])
def test_long_and_short_steps_share_the_time_evenly(steps: tuple[float, ...]) -> None:
    clock = Clock()
    turnstile = Turnstile(clock)
    parties = [Party(f"p{n}", step, turnstile, clock) for n, step in enumerate(steps)]
    passed: list[str] = []
    threads = [
        threading.Thread(target=party.work, args=(20.0, passed), daemon=True) for party in parties
    ]
    with all_waiting(turnstile, *threads):
        pass
    had = shares(passed, parties)
    assert min(had) > 15
    assert max(had) - min(had) <= 2 * max(steps)


def test_a_text_waits_for_one_step_of_a_picture_at_most() -> None:
    clock = Clock()
    turnstile = Turnstile(clock)
    parties = [Party("P", 1.0, turnstile, clock), Party("t", 0.25, turnstile, clock)]
    passed: list[str] = []
    threads = [threading.Thread(target=p.work, args=(20.0, passed), daemon=True) for p in parties]
    with all_waiting(turnstile, *threads):
        pass
    both_there = "".join(passed).rstrip("P").lstrip("P")
    assert both_there.count("t") == 80
    assert "PP" not in both_there


def test_who_comes_late_has_no_claim_to_the_time_that_others_had() -> None:
    clock = Clock()
    turnstile = Turnstile(clock)
    early, late = (Party(name, 1.0, turnstile, clock) for name in ("early", "late"))
    early.work(100.0, [])
    passed: list[str] = []
    threads = [
        threading.Thread(target=late.work, args=(6.0, passed), daemon=True),
        threading.Thread(target=early.work, args=(106.0, passed), daemon=True),
    ]
    with all_waiting(turnstile, *threads):
        pass
    assert sorted(passed) == ["early"] * 6 + ["late"] * 6
    assert "late late late" not in " ".join(passed[:-1])


def test_an_error_inside_lets_the_next_pass() -> None:
    turnstile = Turnstile()
    with pytest.raises(ValueError, match="broken"), turnstile.turn("a"):
        raise ValueError("broken")
    with turnstile.turn("b") as give_way:
        give_way()
