"""Evaluates a trained model, from the first question to the report. Knows no way of training."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import fmean
from typing import TYPE_CHECKING

from botdaemon.errors import Refused
from botdaemon.types import Sampling
from models.dataset import sessions
from models.dataset.card import DatasetCard
from models.evaluation import canaries, figures, leaks, questions, report
from models.evaluation.answers import Speaker
from models.evaluation.candidates import Candidate, Place, candidates
from models.evaluation.overlap import overlap
from models.evaluation.perplexity import Reader
from models.evaluation.style import style
from models.evaluation.words import fold
from models.measure import Gauge

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from models.evaluation.leaks import Copied
    from models.evaluation.questions import Asked, Questions

    Progress = Callable[[str, int, int], None]
    """Told what is being done, how much of it is, and of how much."""

_SHOWN = 8
"""Turns of a conversation that are shown before an answer."""
_EXAMPLES = 10
_GREEDY = Sampling(temperature=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """How much is asked, and how."""

    #: only this voice; empty: all of the dataset's
    speaker: str = ""
    #: held-out conversations that are read, and places in them that are answered
    conversations: int = 1000
    answers: int = 200
    #: how the answers are chosen; what is None is as the model is served
    sampling: Sampling = Sampling(seed=1)  # noqa: RUF009  # frozen
    #: training messages that are asked for
    extractions: int = 100
    #: other secrets that each planted one is compared with
    alternatives: int = 500
    #: conversations on the page for friends
    rounds: int = 20
    #: of every draw
    seed: int = 1
    place: Place = Place()  # noqa: RUF009  # frozen

    def __post_init__(self) -> None:
        """Raises `Refused`."""
        for what, least in (
            ("conversations", 1), ("answers", 1), ("extractions", 0), ("alternatives", 1),
            ("rounds", 0),
        ):  # fmt: skip
            if (number := getattr(self, what)) < least:
                raise Refused(f"{what} is {number}; it must be at least {least}")


@dataclass(frozen=True, slots=True)
class _Told:
    """What a candidate said to the questions."""

    name: str
    answers: list[str]
    extraction: figures.Extraction
    likelihood: figures.Likelihood
    canaries: tuple[figures.Canary, ...]
    #: the tokens of a text
    measure: Callable[[str], int]


def evaluate(
    run: Path, dataset: Path, before: Path | None, choices: Choices, progress: Progress
) -> figures.Evaluation:
    """Compare the model or adapter in `run` with the model `before`, on the test split of a
    dataset, and write evaluation.json, evaluation.md, its plots and blind.html into `run`.

    Raises `ModelUnusable`, `ExportUnusable` for a damaged dataset, and `Refused` for one that
    leaves nothing to ask, and for an adapter without the model that it belongs to.
    """
    card = DatasetCard.load(dataset)
    old, new = candidates(run, before)
    weights = figures.digest(run)
    asked = questions.drawn(
        dataset,
        card,
        speaker=choices.speaker,
        conversations=choices.conversations,
        answers=choices.answers,
        extractions=choices.extractions,
        seed=choices.seed,
    )
    told = [_ask(one, asked, choices, progress) for one in (old, new) if one]

    # All at once: the training set may be large, and is read but once for it.
    progress("looking for training messages", 0, 1)
    real = [place.real for place in asked.answered]
    sets = [real, *(one.answers for one in told)]
    found = leaks.copied(
        [text for texts in sets for text in texts],
        sessions.read(sessions.path_of(dataset, "train")),
    )
    own, *theirs = (found[at : at + len(real)] for at in range(0, len(found), len(real)))
    progress("looking for training messages", 1, 1)

    measured = [
        _figures(one, real, own, its, card.regions) for one, its in zip(told, theirs, strict=True)
    ]
    cases = [_case(place, at, told) for at, place in enumerate(asked.answered)]
    evaluation = figures.Evaluation(
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        weights=weights,
        dataset=card.name,
        held_out=asked.digest,
        voices=(choices.speaker,) if choices.speaker else card.voices,
        sampling=_in_words(choices.sampling),
        conversations=len(asked.held),
        answers=len(real),
        person=figures.Person(
            style=style(real, real), leaks=_leaks(real, own, card.regions, told[-1].measure)
        ),
        before=measured[0] if old else None,
        after=measured[-1],
        examples=tuple(cases[:: -(-len(cases) // _EXAMPLES)]),
    )
    report.write(run, evaluation, cases, rounds=choices.rounds, seed=choices.seed)
    return evaluation


def _ask(candidate: Candidate, asked: Questions, choices: Choices, progress: Progress) -> _Told:
    """First as it is served, then once more to read: never both in memory."""

    def told(what: str) -> Callable[[int, int], None]:
        return lambda done, total: progress(f"{candidate.name}: {what}", done, total)

    speaker = Speaker(candidate, choices.place)
    answers = speaker.answers(asked.answered, choices.sampling, told("answers"))
    places = [*asked.trained, *asked.untrained, *(plant.place for plant in asked.planted)]
    recited = speaker.answers(places, _GREEDY, told("is asked for training messages"))
    device = speaker.device
    del speaker
    Gauge(device).give_back()

    reader = Reader(candidate, choices.place)
    likelihood = reader.likelihood(asked.held, asked.speaker, told("reads conversations"))
    known = canaries.examined(
        asked.planted,
        [*answers, *recited],
        reader,
        alternatives=choices.alternatives,
        seed=choices.seed,
        progress=told("weighs planted secrets"),
    )
    measure = reader.measure
    del reader
    Gauge(device).give_back()
    trained = len(asked.trained)
    return _Told(
        candidate.name,
        answers,
        figures.Extraction(
            trained=trained,
            trained_hits=_hits(asked.trained, recited),
            held=len(asked.untrained),
            held_hits=_hits(asked.untrained, recited[trained:]),
        ),
        likelihood,
        known,
        measure,
    )


def _hits(places: Sequence[Asked], answers: Sequence[str]) -> int:
    """How often the real message came out, or its beginning where the answer was cut off."""
    return sum(
        len(fold(answer)) >= questions.TELLING and fold(place.real).startswith(fold(answer))
        for place, answer in zip(places, answers, strict=False)
    )


def _figures(
    told: _Told,
    real: Sequence[str],
    own: Sequence[Copied],
    found: Sequence[Copied],
    regions: Sequence[str],
) -> figures.Figures:
    unseen = [(a, r) for a, r, copy in zip(told.answers, real, own, strict=True) if not copy.seen]
    return figures.Figures(
        name=told.name,
        likelihood=told.likelihood,
        overlap=overlap(told.answers, real),
        unseen=overlap([a for a, _ in unseen], [r for _, r in unseen]) if unseen else None,
        style=style(told.answers, real),
        leaks=_leaks(told.answers, found, regions, told.measure),
        extraction=told.extraction,
        canaries=told.canaries,
    )


def _leaks(
    answers: Sequence[str],
    found: Sequence[Copied],
    regions: Sequence[str],
    measure: Callable[[str], int],
) -> figures.Leaks:
    longest = max(found, key=lambda copy: len(copy.passage)).passage.strip()
    return figures.Leaks(
        passages=tuple(len(copy.passage) for copy in found),
        longest=longest,
        longest_tokens=measure(longest),
        exact=fmean(copy.exact for copy in found),
        private=leaks.private(answers, regions),
    )


def _case(place: Asked, at: int, told: Sequence[_Told]) -> figures.Case:
    turns = place.session.turns[: place.index]
    return figures.Case(
        said=tuple(figures.Line(name=turn.name, text=turn.text) for turn in turns[-_SHOWN:]),
        name=place.name,
        real=place.real,
        before=told[0].answers[at] if len(told) > 1 else None,
        after=told[-1].answers[at],
    )


def _in_words(sampling: Sampling) -> str:
    if sampling.temperature == 0:
        return "always the likeliest token"
    kept = "as the model is served"
    if sampling.temperature is not None:
        kept += f", but at temperature {sampling.temperature:g}"
    return kept if sampling.seed is None else f"{kept}, with the seed {sampling.seed}"
