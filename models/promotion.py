"""Which version of a voice goes live: promoting, rolling back, pruning, and whom it was trained on.
Knows no torch and no daemon: whoever serves the voice follows the link in its home
(`models.voice_home`).
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from botdaemon.errors import ModelUnusable, Refused
from models import formats, json_files, preflight, voice_home
from models.evaluation import figures
from models.voice_home import LIVE, VERSIONS, Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from models.evaluation.figures import Bounds

_ADAPTER = "adapter_config.json"
_NAME = re.compile(r"\w[\w.-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """What `mark_forgotten` found."""

    #: directories of models that were trained on them
    trained: tuple[Path, ...]
    #: directories of models of which nothing says on whom they were trained
    unknown: tuple[Path, ...]


def utc() -> str:
    """Now, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


# --- going live ------------------------------------------------------------------------------


def promote(
    run: Path,
    home: Path,
    bounds: Bounds | None = None,
    *,
    name: str = "",
    force: bool = False,
    now: Callable[[], str] = utc,
) -> Entry:
    """Let a finished run go live: a model's or an adapter's directory with its evaluation. It is
    copied into the home under `name`, by default the day; a version that is in the home already
    goes live where it is.

    Raises `ModelUnusable` when it is not whole, and `Refused`, with the figures, when it is not
    better than what is live or gives too much away; with `force` it goes live all the same, and the
    history says despite of what. Nothing has changed then.
    """
    _examine(run)
    if people := voice_home.forgotten(run):
        raise Refused(
            f"{run} does not go live: it was trained on {', '.join(people)}, to be forgotten; train"
            " again on the dataset as it is now"
        )
    with voice_home.alone(home):
        before = voice_home.live_name(home)
        _compare_kinds(run, home)
        reasons = tuple(_reasons(run, home, bounds))
        if reasons and not force:
            raise Refused(
                f"{run} does not go live: {'; '.join(reasons)}. Train it otherwise, or let it go"
                " live all the same with --force"
            )
        at = now()
        if run.resolve().parent == (home / VERSIONS).resolve():
            name = run.resolve().name
        else:
            name = _free_name(home, name, at[:10])
            voice_home.copy(run, home / VERSIONS / name)
        entry = Entry(at=at, what="promoted", version=name, before=before, despite=reasons)
        voice_home.point(home, entry)
    return entry


def rollback(home: Path, *, now: Callable[[], str] = utc) -> Entry:
    """Let the version go live again that was live before the present one; done twice, the one
    before that. Versions that were pruned, or trained on somebody to be forgotten, are passed over.
    Raises `Refused` when there is none, and `ModelUnusable` when it is not whole any more."""
    with voice_home.alone(home):
        live = voice_home.live_name(home)
        usable = {version.name for version in voice_home.versions(home) if not version.forgotten}
        earlier = [name for name in voice_home.earlier(home) if name in usable]
        if not earlier:
            raise Refused(
                f"{home / LIVE} cannot be rolled back: "
                + (f'no version was live before "{live}"' if live else "nothing is live")
                + ", or none that may be; promote another with: botdaemon promote RUN"
            )
        _examine(home / VERSIONS / earlier[-1])
        entry = Entry(at=now(), what="rolled back", version=earlier[-1], before=live)
        voice_home.point(home, entry)
    return entry


def prune(home: Path, keep: int) -> tuple[str, ...]:
    """Delete versions that are not live: all but the `keep` that were live last, and those that
    were trained on somebody to be forgotten. Returns their names."""
    with voice_home.alone(home):
        others = [version for version in voice_home.versions(home) if not version.live]
        good = [version for version in others if not version.forgotten]
        kept = {version.name for version in good[max(0, len(good) - keep) :]}
        gone = tuple(version for version in others if version.name not in kept)
        for version in gone:
            try:
                shutil.rmtree(version.directory)
            except OSError as error:
                raise Refused(f"{error.filename} cannot be deleted: {error.strerror}") from error
    return tuple(version.name for version in gone)


# --- forgetting ------------------------------------------------------------------------------


def mark_forgotten(directory: Path, speakers: Iterable[str]) -> Marked:
    """Mark a run, or every version in a voice's home, that was trained to speak like one of these
    ("source:id", as in the dataset's card). One that is live stays live, as nobody else can say
    what is to answer instead: roll back, or train again. Raises `ModelUnusable`."""
    wanted = frozenset(speakers)
    place = directory / VERSIONS
    runs = sorted(path for path in place.iterdir() if path.is_dir()) if place.is_dir() else ()
    trained, unknown = [], []
    for run in runs or [directory]:
        people = _trained_on(run)
        if people is None:
            unknown.append(run)
        elif people & wanted:
            voice_home.mark(run, people & wanted)
            trained.append(run)
    return Marked(trained=tuple(trained), unknown=tuple(unknown))


def _trained_on(run: Path) -> frozenset[str] | None:
    """The accounts of the voices that a training's card names; None where there is none."""
    card = json_files.read(run / "training.json")
    try:
        voices, speakers = card["voices"], card["dataset_card"]["speakers"]
        return frozenset(account for account, voice in speakers.items() if voice in voices)
    except (KeyError, TypeError, AttributeError):
        return None


# --- whether it may --------------------------------------------------------------------------


def _examine(run: Path) -> None:
    """Raises `ModelUnusable` for what could not be loaded."""
    if not run.is_dir():
        raise ModelUnusable(f"there is no directory {run}; name a finished training run")
    if not (run / _ADAPTER).exists():
        formats.load(preflight.resolve(str(run.absolute()), base=run))
        return
    kind = json_files.read(run / _ADAPTER).get("peft_type")
    if kind != "LORA":
        raise ModelUnusable(f"{run} holds {kind or 'something else'}, not LORA")
    preflight.adapter(run / "adapter_model.safetensors")


def _compare_kinds(run: Path, home: Path) -> None:
    live = home / LIVE
    if live.is_dir() and (live / _ADAPTER).exists() != (run / _ADAPTER).exists():
        what, other = "a whole model", "an adapter"
        if (run / _ADAPTER).exists():
            what, other = other, what
        raise Refused(
            f"{run} is {what}, and what is live in {home} is {other}: the configuration cannot"
            " serve one in place of the other; give it a home of its own"
        )


def _reasons(run: Path, home: Path, bounds: Bounds | None) -> Iterator[str]:
    """Why it should not go live."""
    try:
        evaluation = figures.load(run)
    except ModelUnusable as error:
        yield str(error)
        return
    yield from evaluation.passes(bounds)
    live = voice_home.live_name(home)
    if not live or (home / LIVE).resolve() == run.resolve():
        return
    try:
        standing = figures.load(home / VERSIONS / live)
    except ModelUnusable as error:
        yield f'it cannot be compared with "{live}", which is live: {error}'
        return
    if standing.held_out == evaluation.held_out:
        new = evaluation.after.likelihood.bits_per_byte
        old = standing.after.likelihood.bits_per_byte
        if new >= old:
            yield (
                f'it foresees held-out messages no better than "{live}", which is live: it needs'
                f" {new:.3f} bits per byte, against {old:.3f}"
            )
    elif evaluation.before is None or evaluation.before.name != live:
        yield (
            f'it was evaluated on other messages than "{live}", which is live: evaluate that one'
            f" ({home / LIVE}) on {evaluation.dataset}, too"
        )


def _free_name(home: Path, wanted: str, day: str) -> str:
    taken = {path.name for path in (home / VERSIONS).iterdir()}
    if not wanted:
        others = (f"{day}-{number}" for number in range(2, len(taken) + 3))
        return next(name for name in (day, *others) if name not in taken)
    if not _NAME.fullmatch(wanted):
        raise Refused(f'"{wanted}" cannot be the name of a version: take letters, digits, - and .')
    if wanted in taken:
        raise Refused(
            f'there is a version "{wanted}" in {home}; take another name, or let that one go live'
            f" again with: botdaemon promote {home / VERSIONS / wanted}"
        )
    return wanted
