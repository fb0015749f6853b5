"""What to train and how, and the numbers that follow from it. Knows no dataset, no model library
and no device.

The defaults are those that practice and our measurements agree on: all linear layers for LoRA, a
cosine with a short warm-up, few epochs. Small models want higher rates than large ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from botdaemon.errors import Refused

if TYPE_CHECKING:
    from pathlib import Path

Method = Literal["full", "scratch", "lora", "qlora"]
Precision = Literal["float32", "bfloat16"]

_FEW, _MANY = 5_000, 50_000
"""Turns of the voices: below the one there is little to learn from, above the other much."""
_FEWEST_UPDATES = 100
"""With fewer, a larger batch would only mean fewer steps."""
_LOOKS, _APART = 20, 5
"""How often a training is looked at on held-out conversations, and saved; and updates that lie
between two looks at least, or chance would decide which is the best."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A GPT-2 from scratch."""

    #: tokens of its byte-level BPE; fewer when the dataset has not as many
    vocabulary: int = 4096
    layers: int = 4
    width: int = 256
    heads: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What an operator asks for. None: what is right for the model and the amount of data."""

    method: Method
    #: the directory of the model to begin with; none for "scratch"
    base: Path | None = None
    #: what an adapter calls its base; empty: its path, seen from the adapter's directory
    base_name: str = ""
    #: learn only this voice; empty: all of them
    speaker: str = ""
    #: learn every token of a session, for datasets that hold only one side of conversations
    style_only: bool = False
    #: other sessions, mixed in so that old skills are kept: a dataset's directory or a file of it
    replay: Path | None = None
    #: their part of the samples
    replay_share: float = 0.4
    #: tokens of a sample
    context: int | None = None
    epochs: int | None = None
    #: the highest learning rate
    rate: float | None = None
    #: samples of an update
    batch: int | None = None
    #: of an adapter's matrices, their scale, and its dropout
    rank: int = 16
    alpha: int = 32
    dropout: float = 0.05
    shape: Shape = Shape()
    #: looks at held-out conversations without improvement, after which it ends
    patience: int = 4
    seed: int = 1
    #: "auto", "cpu" or "cuda:0"
    device: str = "auto"
    #: most bytes of the device that it may take; None: what is free
    memory: int | None = None
    #: how long it waits for that much to be free
    wait_seconds: float = 0.0

    def __post_init__(self) -> None:
        """Raises `Refused`."""
        if self.method == "scratch" and self.base:
            raise Refused(
                f'"scratch" trains a new model and has no use for {self.base}; leave the base out,'
                ' or take "full"'
            )
        if self.method != "scratch" and not self.base:
            raise Refused(f'"{self.method}" needs a base: name the directory of a model')
        if self.shape.width % self.shape.heads:
            raise Refused(
                f"a width of {self.shape.width} cannot be shared out among {self.shape.heads} heads"
            )
        for what, low, high in (
            ("replay_share", 0.0, 0.95), ("context", 8, 10**6), ("epochs", 1, 1000),
            ("rate", 1e-8, 1.0), ("batch", 1, 4096), ("rank", 1, 1024), ("alpha", 1, 4096),
            ("dropout", 0.0, 0.9), ("patience", 1, 1000),
        ):  # fmt: skip
            value = getattr(self, what)
            if value is not None and not low <= value <= high:
                raise Refused(f"{what} is {value}; it must lie between {low:g} and {high:g}")

    @property
    def adapter(self) -> bool:
        """Whether what comes out is an adapter rather than a model."""
        return self.method in ("lora", "qlora")

    def window(self, most: int) -> int:
        """Tokens of a sample, for a model that takes `most`. Raises `Refused`."""
        if self.context and self.context > most:
            raise Refused(f"context is {self.context}, but the model takes only {most} tokens")
        usual = {"full": 1024, "scratch": most, "lora": 2048, "qlora": 2048}[self.method]
        return self.context or min(most, usual)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The numbers of one training."""

    #: tokens of a sample, at most
    context: int
    epochs: int
    #: steps of the optimizer
    updates: int
    #: the first of them, in which the rate rises
    warmup: int
    rate: float
    weight_decay: float
    #: samples of an update, and of those that are on the device at once
    batch: int
    at_once: int
    #: updates between two looks at held-out conversations, each with a checkpoint
    every: int
    patience: int
    precision: Precision
    #: activations are computed again on the way back, for less memory and a third more time
    recompute: bool = False

    @property
    def accumulation(self) -> int:
        """Batches on the device for one update."""
        return self.batch // self.at_once


def recipe(
    plan: Plan, *, context: int, samples: int, turns: int, parameters: int, precision: Precision
) -> Recipe:
    """`samples`: of an epoch, replay included; `turns`: of the voices in the dataset; `parameters`:
    of the model. All samples of an update are on the device at once; `memory` may change that.
    Raises `Refused` for a dataset smaller than one batch."""
    epochs = plan.epochs or _epochs(plan, turns)
    batch = plan.batch or _batch(samples * epochs, 16 if turns < _MANY else 32)
    if samples < batch:
        raise Refused(
            f"the dataset makes {samples} samples of {context} tokens, less than one batch of"
            f" {batch}; import more conversations, or take a smaller batch or context"
        )
    updates = math.ceil(samples * epochs / batch)
    return Recipe(
        context=context,
        epochs=epochs,
        updates=updates,
        warmup=math.ceil(updates * 0.04),
        rate=plan.rate or _rate(plan.method, parameters),
        weight_decay=0.0 if plan.adapter else 0.01,
        batch=batch,
        at_once=batch,
        every=max(_APART, updates // _LOOKS),
        patience=plan.patience,
        precision=precision,
    )


def _epochs(plan: Plan, turns: int) -> int:
    few, some, many = (15, 8, 4) if plan.method == "scratch" else (3, 2, 1)
    return few if turns < _FEW else some if turns < _MANY else many


def _batch(samples: int, batch: int) -> int:
    while batch > 4 and samples / batch < _FEWEST_UPDATES:
        batch //= 2
    return batch


def _rate(method: Method, parameters: int) -> float:
    """Measured: 5e-4 for all of a model of 4.3 million, 4e-3 for an adapter on it. Usual: 5e-5 for
    GPT-2 with 124 million, 2e-4 for adapters on models from a billion up. From scratch: the rule of
    Kaplan et al. (https://arxiv.org/abs/2001.08361, appendix D.6)."""
    match method:
        case "scratch":
            return min(1e-3, 0.003239 - 0.0001395 * math.log(parameters))
        case "full":
            return min(5e-4, max(1e-5, 5e-5 * math.pow(124e6 / parameters, 2 / 3)))
        case _:
            return min(4e-3, max(2e-4, 2e-4 * math.pow(1e9 / parameters, 0.55)))
