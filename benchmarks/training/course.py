"""Trains a model of some shape for some updates and measures it; in a process of its own, since it
imports torch. Knows no other training."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from benchmarks.text import shapes
from benchmarks.text.talk import Talker
from models.dataset import sessions
from models.dataset.card import DatasetCard, Part, Source
from models.dataset.sessions import SPLITS, Session, Turn

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.text.shapes import Shape
    from models.training.voice.plan import Method, Plan, Precision

_TURN = 24
"""Tokens of what is said, about."""
_CHAT = 40
"""Turns of a conversation: more than fit a sample, so that samples are full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exercise:
    """A training that is measured."""

    shape: Shape
    method: Method
    device: str
    #: samples of an update, and tokens of a sample
    batch: int
    context: int
    updates: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one training took."""

    precision: Precision
    #: numbers, and those that are trained
    parameters: int
    trained: int
    tokens_per_s: float
    #: floating-point operations that the model needs for a token
    work: int
    #: bytes: at most, and as it was estimated before
    memory: int
    estimate: int


def measure(exercise: Exercise, place: Path) -> Result:
    """Train, in a directory that is empty."""
    from models.training.voice import Plan, train

    base, data = place / "base", place / "data"
    shapes.make(exercise.shape, base, exercise.device)
    _write(data, Talker(base, _TURN), exercise)
    plan = Plan(
        method=exercise.method, base=base, device=exercise.device, epochs=1,
        batch=exercise.batch, context=exercise.context,
    )  # fmt: skip
    at: list[float] = []
    card = train(data, place / "out", plan, lambda now: at.append(time.perf_counter()))
    # The middle: after some updates a checkpoint is written, and the first ones wake the device.
    seconds = statistics.median(after - before for before, after in pairwise(at))
    return Result(
        precision=card.recipe["precision"],
        parameters=card.parameters,
        trained=card.trained,
        tokens_per_s=card.tokens / card.updates / seconds,
        work=_work(plan),
        memory=card.memory_peak,
        estimate=card.memory_estimate,
    )


def _work(plan: Plan) -> int:
    """Of each weight that multiplies: two operations forward, two for the gradient of what came in,
    and two for its own gradient if it is trained: 6 N for a whole model (Kaplan et al.,
    https://arxiv.org/abs/2001.08361, section 2.1), and 4 N with 6 for each of an adapter. What
    attention computes between tokens is not counted, nor what is computed twice."""
    from models.training.voice import base, memory

    assert plan.base
    blank = base.from_directory(plan.base).blank
    size = memory.measure(blank)
    multiplied = size.linear + size.vocabulary * size.width
    if not plan.adapter:
        return 6 * multiplied
    return 4 * multiplied + 6 * memory.measure(base.adapted(blank, plan)).trained


def _write(directory: Path, talker: Talker, exercise: Exercise) -> None:
    """A dataset for so many updates; nothing is held out."""
    directory.mkdir()
    wanted = exercise.updates * exercise.batch * exercise.context
    talks = [
        Session(
            id=f"made/up/{number}",
            turns=tuple(
                Turn(name=("Ann", "Bob")[i % 2], text=talker.text(_TURN), at=1e9, voice=i % 2 == 1)
                for i in range(_CHAT)
            ),
        )
        for number in range(wanted // (_CHAT * _TURN) + 1)
    ]
    for split in SPLITS:
        sessions.write(sessions.path_of(directory, split), talks if split == "train" else [])
    part = Part(sessions=1, turns=2, voices={"Bob": 1}, characters=9, first=1e9, last=1e9)
    source = Source(source="made", conversations=1, messages=2, first=1e9, last=1e9)
    DatasetCard(
        name="made-up", made="", sources=(source,), voices=("Bob",), context="names",
        consent="nobody said it", speakers={"made:1": "Bob"}, scrubbed={}, regions=(), left_out={},
        not_learned={}, splits=dict.fromkeys(SPLITS, part), seed=1,
    ).save(directory)  # fmt: skip


def peak(device: str, precision: Precision, width: int) -> float:
    """Floating-point operations a second of two square matrices that are multiplied, the best of
    ten times."""
    import torch

    one = torch.rand((width, width), dtype=getattr(torch, precision), device=device)
    best = 0.0
    for _ in range(10):
        began = time.perf_counter()
        torch.mm(one, one)
        if one.is_cuda:
            torch.cuda.synchronize()
        best = max(best, 2 * width**3 / (time.perf_counter() - began))
    return best
