"""How far a training is, and the picture of its losses. Knows no model and no dataset."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from transformers import TrainerControl, TrainerState, TrainingArguments

PICTURE = "losses.png"
_REDRAW = 30.0
"""Seconds between two pictures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a training is."""

    #: updates done, of all that there will be unless it stops early
    done: int
    total: int
    #: of the last update, and of the last look at held-out conversations, in nats a token
    loss: float | None = None
    held_out: float | None = None
    #: tokens read a second
    speed: float = 0.0
    #: until the end; None when nobody can say yet
    seconds_left: float | None = None
    #: what it does when it does not learn: "waiting for memory: …"
    doing: str = ""


@dataclass(frozen=True, slots=True)
class Losses:
    """(update, nats a token), in order."""

    learned: tuple[tuple[int, float], ...]
    held_out: tuple[tuple[int, float], ...]


def losses(history: Sequence[Mapping[str, float]]) -> Losses:
    """Read them out of the Trainer's history."""

    def of(key: str) -> tuple[tuple[int, float], ...]:
        return tuple((int(entry["step"]), entry[key]) for entry in history if key in entry)

    return Losses(of("loss"), of("eval_loss"))


class Reporter(TrainerCallback):
    """Tells how far the Trainer is, and draws."""

    def __init__(
        self, out: Path, tokens: Sequence[int], progress: Callable[[Progress], None]
    ) -> None:
        """`tokens`: of each update."""
        self._picture = out / PICTURE
        self._tokens = tokens
        self._progress = progress
        self._began = self._drawn = time.monotonic()
        self._first = 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        del args, control
        self._began, self._first = time.monotonic(), state.global_step

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        del args, control
        found = losses(state.log_history)
        took = time.monotonic() - self._began
        done = sum(self._tokens[self._first : state.global_step])
        left = sum(self._tokens[state.global_step :])
        self._progress(
            Progress(
                done=state.global_step,
                total=len(self._tokens),
                loss=found.learned[-1][1] if found.learned else None,
                held_out=found.held_out[-1][1] if found.held_out else None,
                speed=done / took if took else 0.0,
                seconds_left=left * took / done if done else None,
            )
        )
        if time.monotonic() - self._drawn > _REDRAW:
            draw(self._picture, found)
            self._drawn = time.monotonic()


def draw(path: Path, found: Losses) -> None:
    """Write the picture, replacing a former one at once. Raises `OSError`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="tight")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(xlabel="updates", ylabel="loss (nats a token)")
    if found.learned:
        axes.plot(*zip(*found.learned, strict=True), lw=0.8, alpha=0.6, label="learned")
    if found.held_out:
        axes.plot(*zip(*found.held_out, strict=True), marker="o", ms=4, label="held out")
        step, best = min(found.held_out, key=lambda entry: entry[1])
        axes.annotate(f"{best:.3f}", (step, best), (0, -14), textcoords="offset points")
    axes.grid(alpha=0.3)
    if found.learned or found.held_out:
        axes.legend()
    part = path.with_suffix(".part")
    figure.savefig(part, format="png", dpi=110)
    part.replace(path)
