"""Finished training runs for tests: a real model or adapter with the papers that belong to it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from models.dataset.card import DatasetCard, Part, Source
from models.dataset.sessions import SPLITS
from models.evaluation import figures
from models.evaluation.figures import Evaluation, Extraction, Figures, Leaks, Likelihood, Person
from models.evaluation.overlap import overlap
from models.evaluation.style import style
from models.training.voice import TrainingCard

if TYPE_CHECKING:
    from pathlib import Path

_SAID = ["see you at the station then", "no idea, ask bob"]
_STYLE = style(_SAID, _SAID)
_OVERLAP = overlap(_SAID, _SAID)


def _figures(name: str, bits: float, leaks: Leaks) -> Figures:
    return Figures(
        name=name,
        likelihood=Likelihood(
            messages=100, tokens=500, bytes=2000, perplexity=9.0, bits_per_byte=bits
        ),
        overlap=_OVERLAP,
        unseen=None,
        style=_STYLE,
        leaks=leaks,
        extraction=Extraction(trained=10, trained_hits=0, held=10, held_hits=0),
        canaries=(),
    )


def evaluated(
    run: Path,
    *,
    bits: float,
    before: tuple[str, float] = ("base", 3.0),
    copied: int = 0,
    held_out: str = "these",
) -> Path:
    """Put an evaluation beside a model: its bits per byte and those of another, how many of its
    ten answers are copied, and on which held-out messages that is."""
    none = Leaks(passages=(4,) * 10, longest="", longest_tokens=0, exact=0.0, private={})
    leaks = Leaks(
        passages=(80,) * copied + (4,) * (10 - copied),
        longest="x" * 80, longest_tokens=20, exact=0.0, private={},
    )  # fmt: skip
    evaluation = Evaluation(
        made="2026-07-12T10:00:00+00:00",
        weights=figures.digest(run),
        dataset="friends",
        held_out=held_out,
        voices=("Ada",),
        sampling="greedy",
        conversations=5,
        answers=10,
        person=Person(style=_STYLE, leaks=none),
        before=_figures(*before, none),
        after=_figures(run.name, bits, leaks),
        examples=(),
    )
    figures.save(evaluation, run)
    return run


def trained(run: Path, voices: tuple[str, ...] = ("Ada",)) -> Path:
    """Put the card of a training beside a model: on a dataset with the voices of Ada and Bob, of
    which it learned these."""
    source = Source(source="slack", conversations=1, messages=9, first=0.0, last=9.0)
    part = Part(sessions=1, turns=2, voices={"Ada": 1}, characters=20, first=0.0, last=9.0)
    dataset = DatasetCard(
        name="friends",
        made="2026-07-12T09:00:00+00:00",
        sources=(source,),
        voices=("Ada", "Bob"),
        context="names",
        consent="said so",
        speakers={"slack:U1": "Ada", "telegram:user7": "Ada", "slack:U2": "Bob"},
        scrubbed={},
        regions=(),
        left_out={},
        not_learned={},
        splits=dict.fromkeys(SPLITS, part),
        seed=1,
    )
    TrainingCard(
        made="2026-07-12T10:00:00+00:00", method="scratch", base="", base_name="", base_digest="",
        voices=voices, dataset="friends", dataset_digest="", dataset_card=dataset, identity={},
        recipe={"batch": 1, "context": 64, "rate": 1e-4, "warmup": 1}, parameters=1, trained=1,
        samples=1, replayed=0, held_out=1, before=2.0, best=1.0, best_update=1, updates=1,
        stopped_early=False, learned_losses=(), held_out_losses=(), seconds=1.0, tokens=9,
        device="cpu", memory_estimate=1, memory_peak=1, versions={}, notes=(),
    ).save(run)  # fmt: skip
    return run


def run_of(model: Path, directory: Path) -> Path:
    """A copy of a model or an adapter, for papers to be put beside it."""
    return shutil.copytree(model, directory)
