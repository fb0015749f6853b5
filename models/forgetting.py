"""Forgets people in datasets, and in what was made of them. Knows no daemon and no store.

Their messages leave the collections. What was built of them is deleted, since it holds their words;
models that learned to speak like them are marked and never go live again; and what evaluations
quote from conversations is deleted too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botdaemon.errors import Refused
from models import promotion
from models.dataset.card import NAME as CARD
from models.dataset.sessions import SPLITS, path_of
from models.evaluation import figures
from models.exports.collection import open_collection
from models.voice_home import VERSIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from models.exports.collection import Speaker


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Where somebody speaks in a dataset's directory."""

    directory: Path
    source: str
    #: in the source
    id: str
    names: tuple[str, ...]
    messages: int

    @property
    def account(self) -> str:
        return f"{self.source}:{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """What was done about models and datasets."""

    #: messages that are gone
    messages: int
    #: datasets that have to be built again
    datasets: tuple[Path, ...]
    #: models that learned to speak like them, and those of which nothing says what they learned
    trained: tuple[Path, ...]
    unknown: tuple[Path, ...]
    #: models whose evaluation quoted conversations, and does no more
    quoted: tuple[Path, ...]


def find(who: str, datasets: Sequence[Path]) -> list[Found]:
    """Where somebody speaks: by "SOURCE:ID", or by a name. Raises `Refused` when a name is that of
    more than one in a dataset, and `ExportUnusable`."""
    wanted = who.strip()
    found = []
    for directory in datasets:
        with open_collection(directory) as collection:
            speakers = collection.speakers()
        matching = [s for s in speakers if f"{s.source}:{s.id}" == wanted] or [
            s for s in speakers if wanted.casefold() in map(str.casefold, s.names)
        ]
        if len(matching) > 1:
            raise Refused(
                f'"{who}" may be more than one person in {directory}: {_listed(matching)}; name'
                " the accounts instead, as many as are meant"
            )
        found += [
            Found(directory=directory, source=s.source, id=s.id, names=s.names, messages=s.messages)
            for s in matching
        ]
    return found


def forget(people: Iterable[Found], runs: Sequence[Path]) -> Undone:
    """`runs`: training runs, and homes of voices. Raises `ExportUnusable` and `ModelUnusable`."""
    people = list(people)
    messages = 0
    for one in people:
        with open_collection(one.directory) as collection:
            messages += collection.forget(one.source, [one.id])
    datasets = tuple(dict.fromkeys(one.directory for one in people))
    stale = tuple(directory for directory in datasets if _unbuild(directory))
    trained: list[Path] = []
    unknown: list[Path] = []
    for run in runs:
        marked = promotion.mark_forgotten(run, (one.account for one in people))
        trained += marked.trained
        unknown += marked.unknown
    quoted = tuple(run for place in runs for run in _models(place) if figures.unquote(run))
    return Undone(
        messages=messages,
        datasets=stale,
        trained=tuple(trained),
        unknown=tuple(unknown),
        quoted=quoted,
    )


def _listed(speakers: Iterable[Speaker]) -> str:
    return ", ".join(f"{s.source}:{s.id} ({s.name}, {s.messages} messages)" for s in speakers)


def _unbuild(directory: Path) -> bool:
    """Whether there was a built dataset, which is gone now."""
    paths = [directory / CARD, *(path_of(directory, split) for split in SPLITS)]
    there = [path for path in paths if path.exists()]
    for path in there:
        path.unlink()
    return bool(there)


def _models(place: Path) -> list[Path]:
    versions = place / VERSIONS
    return [path for path in versions.iterdir() if path.is_dir()] if versions.is_dir() else [place]
