"""Draws an evaluation. Knows no model."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from models.evaluation.figures import Bounds

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from models.evaluation.figures import Evaluation

# Apart for the colour-blind (Okabe and Ito).
_COLOURS = {"before": "#999999", "after": "#0072b2", "person": "#e69f00"}
_INCHES = (7.0, 3.6)
_BINS = 24


def draw(evaluation: Evaluation, run: Path) -> None:
    """Write evaluation-surprise.png, evaluation-lengths.png and evaluation-passages.png."""
    e, models = evaluation, {"before": evaluation.before, "after": evaluation.after}
    there = {name: model for name, model in models.items() if model}
    with _picture(run / "evaluation-surprise.png") as axes:
        bits = {name: model.likelihood.bits_per_byte for name, model in there.items()}
        bars = axes.barh(list(bits), list(bits.values()), color=[_COLOURS[name] for name in bits])
        axes.bar_label(bars, fmt="%.3f", padding=4)
        axes.margins(x=0.12)
        axes.invert_yaxis()
        axes.set_xlabel("bits per byte of what was really said (lower is better)")
    lengths = {name: model.style.lengths for name, model in there.items()}
    with _picture(run / "evaluation-lengths.png") as axes:
        _shares(axes, {**lengths, "person": e.person.style.lengths})
        axes.set_xlabel("characters of an answer")
    passages = {name: model.leaks.passages for name, model in there.items()}
    with _picture(run / "evaluation-passages.png") as axes:
        _shares(axes, {**passages, "person": e.person.leaks.passages})
        bound = Bounds().characters
        axes.axvline(bound, color="#b3261e", linestyle="--", label="copied from here on")
        axes.legend(frameon=False)
        axes.set_xlabel("characters in a row that a training message has, too")


@contextmanager
def _picture(path: Path) -> Iterator[Axes]:
    """Axes to draw on, which become the picture."""
    from matplotlib.figure import Figure  # without pyplot there is no window and no global state

    figure = Figure(figsize=_INCHES, layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    yield axes
    figure.savefig(path, dpi=150)


def _shares(axes: Axes, sets: Mapping[str, Sequence[int]]) -> None:
    """A histogram of each, side by side."""
    from matplotlib.ticker import PercentFormatter

    axes.hist(
        list(sets.values()),
        bins=_BINS,
        weights=[[1 / len(values)] * len(values) for values in sets.values()],
        color=[_COLOURS[name] for name in sets],
        label=list(sets),
    )
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_ylabel("share of the answers")
    axes.legend(frameon=False)
