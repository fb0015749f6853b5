"""The course of the soak: a while in which all is well, a while of killing, a long life full of
troubles, and then rest, in which everything must be answered. Knows no platform but by `crowds`."""

from __future__ import annotations

import asyncio
import random
import shutil
import statistics
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks import OUT
from benchmarks.gauges import percentile
from benchmarks.soak import missed
from benchmarks.soak.crowds import DiscordCrowd, SlackCrowd, TelegramCrowd
from benchmarks.soak.house import settled_in
from benchmarks.soak.talk import Talk
from benchmarks.soak.troubles import Troubles

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.soak.crowds import Crowd
    from benchmarks.soak.ledger import Question, Verdict
    from benchmarks.soak.victim import Victim, Vitals

#: places of each kind on each platform, besides the direct messages of everybody
CHANNELS = 60
#: questions a second on each platform
RATE = 5.0
#: what a busy bot is asked in an hour on one platform; this many times as much is asked here
REAL_RATE_PER_HOUR = 300
#: shares of the time: all is well, killing; the rest are troubles
WELL, KILLING = 0.2, 0.25
#: seconds from one end of the daemon to the next
LIFE = (3.0, 8.0)
#: seconds for everything to be answered in the end, and in which nothing more may come
REST, SILENCE = 150.0, 8.0
#: seconds over which a look at the daemon is taken
LOOK = 6
#: files (idle connections among them) and tasks that may be left over in the end
LEFT_OPEN = 30
#: of each kind of mistake, as many are told
SHOWN = 10
#: seconds that the second part, `missed`, is expected to take
MISSED = 95.0


class Failed(Exception):
    """Something was lost or doubled, or broke."""


async def run(seconds: float, seed: int) -> dict[str, float]:
    """All figures. Raises `Failed`, which says them too."""
    directory = OUT / "soak"
    shutil.rmtree(directory, ignore_errors=True)
    soak = Soak(directory / "troubles", seed)
    await soak.run(max(60.0, seconds - MISSED))
    figures, wrong = soak.figures, soak.wrong
    more, more_wrong = await missed.run(directory / "missed")
    figures, wrong = figures | more, wrong + more_wrong
    if wrong:
        told = "\n".join(f"{name}: {value:,.1f}" for name, value in figures.items())
        raise Failed("\n".join([*wrong, f"what it left behind is in {directory}", "", told]))
    return figures


@dataclass
class Soak:
    """The first part: talk and troubles."""

    directory: Path
    seed: int
    figures: dict[str, float] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    async def run(self, seconds: float) -> None:
        async with AsyncExitStack() as stack:
            crowds: list[Crowd] = [
                DiscordCrowd(CHANNELS),
                SlackCrowd(CHANNELS),
                TelegramCrowd(CHANNELS),
            ]
            victim = await stack.enter_async_context(settled_in(self.directory, crowds))
            talks = [Talk(crowd, self.seed) for crowd in crowds]
            troubles = [Troubles(talk, self.seed) for talk in talks]
            watching = [asyncio.create_task(talk.watch()) for talk in talks]
            stack.callback(lambda: [task.cancel() for task in watching])
            await victim.start()
            for talk in talks:
                await talk.crowd.fake.until(talk.crowd.connected)
                await talk.greet()
            await asyncio.sleep(LOOK)
            self._look("at_first", victim)
            enough = asyncio.Event()
            began = time.monotonic()
            async with asyncio.TaskGroup() as talking:
                for talk in talks:
                    talking.create_task(talk.go(RATE, enough))
                await asyncio.sleep(WELL * seconds)
                for talk, trouble in zip(talks, troubles, strict=True):
                    talk.healthy = False
                    trouble.begin()
                await self._kill(victim, began + (WELL + KILLING) * seconds)
                await self._live(victim, troubles, began + seconds)
                enough.set()
            for trouble in troubles:
                trouble.end()
            await self._rest(victim, talks)
            self._look("at_rest", victim)
            self.figures["stop_seconds"] = await victim.stop()
            self._judge(victim, talks, troubles)

    async def _kill(self, victim: Victim, until: float) -> None:
        """End the daemon again and again: mostly by SIGKILL."""
        chance = random.Random(f"kills {self.seed}")
        kills = stops = 0
        while time.monotonic() < until:
            await asyncio.sleep(chance.uniform(*LIFE))
            if kills % 4 == 2 and stops < kills // 2:
                stops += 1
                await victim.stop()
            else:
                kills += 1
                await victim.kill()
            await asyncio.sleep(chance.uniform(0, 1.5))
            await victim.start()
        self.figures |= {"sigkills": kills, "sigterms": stops}

    async def _live(self, victim: Victim, troubles: list[Troubles], until: float) -> None:
        """One life with all troubles; looks at it after a quarter and at the end."""
        enough = asyncio.Event()
        quarter = (until - time.monotonic()) / 4
        async with asyncio.TaskGroup() as tasks:
            for trouble in troubles:
                tasks.create_task(trouble.go(enough))
            await asyncio.sleep(quarter)
            self._look("at_25_percent", victim)
            await asyncio.sleep(until - time.monotonic())
            self._look("at_100_percent", victim)
            enough.set()

    def _look(self, when: str, victim: Victim) -> None:
        last = victim.vitals[-LOOK:]

        def middle(of: Callable[[Vitals], float]) -> float:
            return statistics.median(map(of, last))

        self.figures |= {
            f"memory_{when}_mib": middle(lambda one: one.memory) / 2**20,
            f"files_{when}": middle(lambda one: one.files),
            f"tasks_{when}": middle(lambda one: one.tasks),
        }

    async def _rest(self, victim: Victim, talks: list[Talk]) -> None:
        """Until everything is answered, and then a while longer: a double may come late."""
        began = time.monotonic()
        for talk in talks:
            await talk.rest()
        while time.monotonic() < began + REST:
            if not any(self._verdict(talk).lost for talk in talks):
                break
            await asyncio.sleep(2)
        self.figures["seconds_to_catch_up_in_the_end"] = time.monotonic() - began
        await asyncio.sleep(SILENCE)

    def _verdict(self, talk: Talk) -> Verdict:
        return talk.ledger.judge(shown.text for shown in talk.crowd.said())

    def _judge(self, victim: Victim, talks: list[Talk], troubles: list[Troubles]) -> None:
        events = victim.events()
        put_away = Counter(dict(victim.ask("SELECT adapter, count(*) FROM quarantine GROUP BY 1")))
        asked, notes = 0, []
        for talk, trouble in zip(talks, troubles, strict=True):
            name = talk.crowd.name
            verdict = self._verdict(talk)
            asked = max(asked, len(talk.ledger.questions))
            self.wrong += [
                *(f"{name}: lost {_told(one)}" for one in verdict.lost[:SHOWN]),
                *(f"{name}: answered twice {_told(one)}" for one in verdict.doubled[:SHOWN]),
                *(f"{name}: the benchmark failed: {error!r}" for error in talk.failed[:SHOWN]),
            ]
            latencies = talk.ledger.latencies()
            back = [
                seconds
                for cut in trouble.cuts
                if (seconds := talk.ledger.first_answer_after(cut.began, cut.ended)) is not None
            ]
            self.figures |= {
                f"{name}_questions": len(talk.ledger.questions),
                f"{name}_lost": len(verdict.lost),
                f"{name}_answered_twice": len(verdict.doubled),
                f"{name}_answers_out_of_order": verdict.late,
                f"{name}_stray_placeholders": talk.crowd.placeholders(),
                f"{name}_answers_to_sends_lost": talk.crowd.fake.faults.lost,
                f"{name}_troubles": len(trouble.happened),
                f"{name}_cuts": len(trouble.cuts),
                f"{name}_connections": talk.crowd.connections(),
                f"{name}_adapter_starts_again": events[name, "adapter_down"],
                f"{name}_redelivered": trouble.redelivered,
                f"{name}_poison": trouble.poison,
                f"{name}_quarantined": put_away[name],
                f"{name}_first_answer_p50_ms": percentile(latencies, 50),
                f"{name}_first_answer_p99_ms": percentile(latencies, 99),
                f"{name}_back_p50_seconds": percentile(back, 50),
                f"{name}_back_longest_seconds": max(back, default=0.0),
            }
            for cut in trouble.cuts:
                first = talk.ledger.first_answer_after(cut.began, cut.ended)
                notes.append(f"{name}, {cut.name}, at {cut.began:.1f}: back after {first}")
        self.figures |= {
            "simulated_hours": asked / REAL_RATE_PER_HOUR,
            "memory_growth_mib": self.figures["memory_at_100_percent_mib"]
            - self.figures["memory_at_25_percent_mib"],
            "loop_lag_p50_ms": percentile(victim.late, 50),
            "loop_lag_p99_ms": percentile(victim.late, 99),
        }
        (self.directory / "cuts.txt").write_text("\n".join(notes))
        lines = [f"{v.at:.0f} {v.memory} {v.files} {v.tasks}\n" for v in victim.vitals]
        (self.directory / "vitals.txt").write_text("".join(lines))
        for what in ("files", "tasks"):
            more = self.figures[f"{what}_at_rest"] - self.figures[f"{what}_at_first"]
            if more > LEFT_OPEN:
                self.wrong.append(f"at rest there are {more:.0f} {what} more than at first")
        self.wrong += faults(victim)


def faults(victim: Victim) -> list[str]:
    """What the daemon logged that nothing which can go wrong accounts for."""
    bad = [
        line
        for line in victim.logged()
        if line.get("level") in ("critical", "stderr")
        or "trace" in line
        or line.get("logger") in ("asyncio", "py.warnings")
    ]
    counted = Counter(f"{line.get('logger')}: {line.get('message')}"[:200] for line in bad)
    return [f"the daemon logged {count} x {line}" for line, count in counted.most_common(10)]


def _told(question: Question) -> str:
    at = time.strftime("%H:%M:%S", time.gmtime(question.at))
    return f"{question.mark} of {at} in {question.channel} {question.topic} by {question.who}"
