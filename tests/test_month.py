"""A few days of the simulated month: bots that write first keep to every rule, whatever people
do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.month.course import Broken, run
from botdaemon.governor import Rules

if TYPE_CHECKING:
    from pathlib import Path


async def test_over_days_of_talk_bots_write_first_and_keep_to_every_rule(tmp_path: Path) -> None:
    figures = await run(tmp_path, 3, seed=1)
    assert 0 < figures["written first"] <= 3 * 4
    held_back = sum(count for name, count in figures.items() if name.startswith("held back"))
    assert figures["slots"] == figures["written first"] + held_back
    assert figures["held back: quiet hours"] > 0


async def test_bots_that_keep_to_no_rule_are_found_out(tmp_path: Path) -> None:
    unruly = Rules(most_unanswered=1000, pause=0.0, most_a_day=1000, settled=0.0)
    with pytest.raises(Broken):
        await run(tmp_path, 3, seed=1, rules=unruly)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(2, 5))
async def test_over_any_month_bots_keep_to_every_rule(tmp_path: Path, seed: int) -> None:
    assert (await run(tmp_path, 30, seed))["written first"] > 30
