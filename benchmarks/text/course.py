"""The course of the text benchmark: ours and theirs in turn. Knows neither's inside."""

from __future__ import annotations

import os
import statistics
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.gauges import lag, percentile
from benchmarks.text import ours, shapes
from benchmarks.text.rivals import Child
from benchmarks.text.talk import Run, Talker, same
from models.process import ModelProcess, TextSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.text.shapes import Shape
    from benchmarks.text.talk import Prompt
    from botdaemon.types import ChatLine
    from models.process import ModelTextEngine

Figures = dict[str, float | str]
"""By name; a text says why there is no number, or what was measured."""

EARLY, LATE = 2, 10
"""The turns of a thread that are compared."""
SAID, ANSWERED = 24, 8
"""Tokens of what is said in such a thread, and of each answer."""


class Wrong(Exception):
    """An answer is another than that of `generate`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is measured."""

    shape: Shape
    #: tokens of the prompts
    shortest: int
    longest: int
    #: tokens of each answer
    tokens: int
    #: how often, by the number of people who ask at once
    rounds: Mapping[int, int]
    #: conversations of ten turns
    threads: int


FULL = Size(
    shape=shapes.GPT2_124M,
    shortest=32,
    longest=512,
    tokens=64,
    rounds={1: 4, 4: 2, 16: 2},
    threads=3,
)
TINY = Size(
    shape=shapes.TINY_GPT2,
    shortest=32,
    longest=96,
    tokens=12,
    rounds={1: 1, 4: 1, 16: 1},
    threads=1,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """The same prompts asked of both, and how late the event loop was meanwhile, in ms."""

    ours: Run
    theirs: Run
    lag: Sequence[float]
    lag_beside: Sequence[float]


async def run(size: Size) -> Figures:
    """All figures. Raises `Wrong`, which says them too."""
    figures: Figures = {"measured": _words(size)}
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        async with AsyncExitStack() as stack:
            child = await stack.enter_async_context(Child())
            await child.call(shapes.make, size.shape, directory)
            await child.load(directory, "cpu", "float32")
            spec = TextSpec(path=name, device="cpu", dtype="float32")
            process = await stack.enter_async_context(
                ModelProcess(name="cpu", models={"bench": spec})
            )
            pair = Pair(process.text("bench"), child, size, Talker(directory, size.tokens))
            wrong = 0
            for count, times in size.rounds.items():
                rounds = await pair.rounds(count, times)
                figures |= _told(count, rounds)
                wrong += sum(count - same(round.ours, round.theirs) for round in rounds)
            figures |= _beside(rounds)
            figures |= await _turns(pair.engine, Talker(directory, ANSWERED), size.threads)
            figures["memory_peak_mib"] = ours.peak(process)
            figures |= await pair.continuous(max(size.rounds))
        figures |= await _halves(size, directory)
    if wrong:
        told = "\n".join(f"{name}: {value}" for name, value in figures.items())
        raise Wrong(f"{wrong} greedy answers are not those of `generate`\n\n{told}")
    return figures


async def _halves(size: Size, directory: Path) -> Figures:
    """Once with the most at once in bfloat16, which some CPUs compute several times as fast. How
    many answers are the same is only told: in few digits, the order of a sum decides some words."""
    async with AsyncExitStack() as stack:
        child = await stack.enter_async_context(Child())
        await child.load(directory, "cpu", "bfloat16")
        spec = TextSpec(path=str(directory), device="cpu", dtype="bfloat16")
        process = await stack.enter_async_context(ModelProcess(name="cpu", models={"bench": spec}))
        pair = Pair(process.text("bench"), child, size, Talker(directory, size.tokens))
        count = max(size.rounds)
        rounds = await pair.rounds(count, 1)
        figures = _told(count, rounds) | {"same_tokens": same(rounds[0].ours, rounds[0].theirs)}
    return {f"{name}_bfloat16": value for name, value in figures.items()}


def _words(size: Size) -> str:
    rounds = ", ".join(f"{times} with {count} at once" for count, times in size.rounds.items())
    return (
        f"float32; threads: {max(1, len(os.sched_getaffinity(0)) - 1)}; prompts of {size.shortest}"
        f" to {size.longest} tokens, {size.tokens} new tokens each; rounds: {rounds}"
    )


@dataclass(frozen=True, slots=True)
class Pair:
    """Ours and theirs."""

    engine: ModelTextEngine
    child: Child
    size: Size
    talker: Talker

    async def rounds(self, count: int, times: int) -> list[Round]:
        """So many at once, so many times."""
        warm = self.talker.prompts(1, self.size.shortest, self.size.shortest)
        await ours.ask(self.engine, warm)
        await self.child.one_by_one(warm, self.size.tokens)
        return [await self._round(count, ours_first=number % 2 == 1) for number in range(times)]

    async def _round(self, count: int, *, ours_first: bool) -> Round:
        prompts = self._prompts(count)
        runs: dict[str, Run] = {}
        lags: dict[str, list[float]] = {}
        for who in ("ours", "theirs") if ours_first else ("theirs", "ours"):
            async with lag() as lags[who]:
                if who == "ours":
                    runs[who] = await ours.ask(self.engine, prompts)
                else:
                    runs[who] = await self.child.one_by_one(prompts, self.size.tokens)
        return Round(
            ours=runs["ours"],
            theirs=runs["theirs"],
            lag=lags["ours"],
            lag_beside=lags["theirs"],
        )

    async def continuous(self, count: int) -> Figures:
        """transformers' continuous batching, once."""
        try:
            run = await self.child.continuous(self._prompts(count), self.size.tokens)
        except Exception as error:  # whatever it fails with is no fault of ours
            why = f"failed: {type(error).__name__}: {error}"
            return {f"continuous_batching_tokens_per_s_{count}": why}
        return {
            f"continuous_batching_tokens_per_s_{count}": run.rate,
            f"continuous_batching_ttft_p50_{count}_s": statistics.median(run.first),
        }

    def _prompts(self, count: int) -> list[Prompt]:
        return self.talker.prompts(count, self.size.shortest, self.size.longest)


def _told(count: int, rounds: Sequence[Round]) -> Figures:
    """What the rounds with so many at once say."""
    median = statistics.median
    figures: Figures = {
        f"tokens_per_s_{count}": median(r.ours.rate for r in rounds),
        f"generate_tokens_per_s_{count}": median(r.theirs.rate for r in rounds),
        f"speedup_{count}": median(r.ours.rate / r.theirs.rate for r in rounds),
    }
    for who, runs in (
        ("", [round.ours for round in rounds]),
        ("generate_", [round.theirs for round in rounds]),
    ):
        first = [seconds for run in runs for seconds in run.first]
        last = [seconds for run in runs for seconds in run.last]
        figures |= {
            f"{who}ttft_p50_{count}_s": percentile(first, 50),
            f"{who}ttft_p95_{count}_s": percentile(first, 95),
            f"{who}latency_p95_{count}_s": percentile(last, 95),
        }
    figures[f"ttft_ratio_{count}"] = median(
        median(r.ours.first) / median(r.theirs.first) for r in rounds
    )
    return figures


def _beside(rounds: Sequence[Round]) -> Figures:
    """What is asked of the rounds with the most at once only."""
    return {
        "same_tokens": min(same(round.ours, round.theirs) for round in rounds),
        "loop_lag_p99_ms": percentile([ms for r in rounds for ms in r.lag], 99),
        # While other processes keep the cores busy instead: the machine's own share.
        "loop_lag_beside_generate_p99_ms": percentile(
            [ms for r in rounds for ms in r.lag_beside], 99
        ),
    }


async def _turns(engine: ModelTextEngine, talker: Talker, threads: int) -> Figures:
    """How the wait for the first token grows with a thread: as it is, where what was read for one
    turn is there for the next, and where nothing is."""
    waits: dict[tuple[str, int], list[float]] = {}
    for _ in range(threads):
        lines: list[ChatLine] = []
        asked = {}
        for turn in range(1, LATE + 1):
            lines.append(talker.said(talker.text(SAID)))
            asked[turn] = tuple(lines)
            answer = (await ours.ask(engine, [talker.prompt(lines)])).answers[0]
            waits.setdefault(("with", turn), []).append(answer.at[0])
            lines.append(talker.answered(answer.text))
        for turn in (EARLY, LATE):
            # As long, but begun with other words.
            other = (talker.said(talker.text(SAID)), *asked[turn][1:])
            answer = (await ours.ask(engine, [talker.prompt(other)])).answers[0]
            waits.setdefault(("without", turn), []).append(answer.at[0])
    first = {which: statistics.median(seconds) for which, seconds in waits.items()}
    return {
        f"turn{EARLY}_ttft_s": first["with", EARLY],
        f"turn{LATE}_ttft_s": first["with", LATE],
        f"turn{LATE}_over_turn{EARLY}": first["with", LATE] / first["with", EARLY],
        f"turn{LATE}_without_reuse": first["without", LATE] / first["without", EARLY],
    }
