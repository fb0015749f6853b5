"""From chat exports to a voice that is live: everything that `botdaemon` does with datasets and
trainings. Knows where the doings lie, not how they are done.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from botdaemon.app import imports
from botdaemon.errors import Refused
from botdaemon.store import Forgotten, database, open_store, ratings, threads_export
from botdaemon.types import Sampling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    Told = Callable[[int, int], None]
    """Told how much is done, and of how much."""


THREADS = "threads"
"""What the daemon's own conversations are called as a source."""


def collect(
    kind: str, path: Path, directory: Path, progress: Told, **options: Any
) -> tuple[str, str]:
    """Import an export into a dataset's directory. `options` are those of
    `models.exports.neutral.Options`. Returns the report to read, and why it is only partial (empty
    when it is not). Raises `ExportUnusable` and `Refused`."""
    chosen = imports.named(imports.EXPORT_OPTIONS)(**options)
    take_in = imports.named(imports.COLLECT)
    if kind != THREADS:
        report = take_in(kind, path, directory, chosen, progress)
        return report.as_text(), report.problem
    with database.looking(path) as db:
        read = imports.named(imports.THREADS_READER)(
            threads_export.spoken(db), threads_export.total(db)
        )
        report = take_in(kind, path, directory, chosen, progress, read=read)
    return report.as_text(), report.problem


def speakers(directory: Path) -> list[Any]:
    """Everybody who speaks in what was imported, most messages first. Raises `ExportUnusable`."""
    with imports.named(imports.COLLECTION)(directory) as collection:
        found: list[Any] = collection.speakers()
    return found


def build(directory: Path, progress: Told, **choices: Any) -> None:
    """Make the dataset of what was imported. `choices` are those of `models.dataset.build`. Raises
    `ExportUnusable` and `Refused`."""
    module = imports.module(imports.DATASET_BUILD)
    module.build(directory, module.Choices(**choices), progress)


def statistics(directory: Path) -> str:
    """Figures of a dataset, to read. Raises `ExportUnusable`."""
    card = imports.named(imports.DATASET_CARD).load(directory)
    return str(imports.named(imports.STATISTICS)(card, directory))


def examples(directory: Path, split: str, count: int, model: Path | None) -> Iterator[str]:
    """Sessions of a dataset, as they were said or as a model reads them. Raises `ExportUnusable`,
    and `ModelUnusable`."""
    format = None
    if model is not None:
        resolved = imports.named(imports.RESOLVE)(str(model.absolute()), base=model)
        format = imports.named(imports.FORMAT)(resolved)
    found: Iterator[str] = imports.named(imports.EXAMPLES)(directory, split, count, format)
    return found


def train(
    dataset: Path, out: Path, progress: Callable[[Any], None], shape: dict[str, Any], **plan: Any
) -> Any:
    """Train a voice; returns its card. `plan` and `shape` are those of
    `models.training.voice.plan`. Raises `ExportUnusable`, `ModelUnusable` and `Refused`."""
    module = imports.module(imports.TRAINING_PLAN)
    asked = module.Plan(shape=module.Shape(**shape), **plan)
    return imports.named(imports.TRAIN)(dataset, out, asked, progress)


def evaluate(
    run: Path, dataset: Path, before: Path | None, progress: Callable[[str, int, int], None],
    *, device: str, greedy: bool, **choices: Any,
) -> tuple[list[str], Any]:  # fmt: skip
    """Evaluate a run; returns the reasons against letting it go live, and the evaluation. Raises
    `ExportUnusable`, `ModelUnusable` and `Refused`."""
    module = imports.module(imports.EVALUATION)
    if greedy:
        choices["sampling"] = Sampling(temperature=0.0)
    asked = module.Choices(place=module.Place(device=device), **choices)
    evaluation = module.evaluate(run, dataset, before, asked, progress)
    return evaluation.passes(), evaluation


def promote(run: Path, home: Path, *, name: str, force: bool, **bounds: Any) -> Any:
    """Let a run go live in a voice's home; returns the entry of its history. Raises `Refused` and
    `ModelUnusable`."""
    asked = imports.named(imports.BOUNDS)(**bounds)
    return imports.named(imports.PROMOTE)(run, home, asked, name=name, force=force)


def rollback(home: Path) -> Any:
    """Let the version before go live again. Raises `Refused` and `ModelUnusable`."""
    return imports.named(imports.ROLLBACK)(home)


def versions(home: Path) -> tuple[Any, ...]:
    """The versions of a voice. Raises `ModelUnusable`."""
    found: tuple[Any, ...] = imports.named(imports.VERSIONS)(home)
    return found


def prune(home: Path, keep: int) -> tuple[str, ...]:
    """Delete old versions; returns their names. Raises `Refused`."""
    gone: tuple[str, ...] = imports.named(imports.PRUNE)(home, keep)
    return gone


def rate(data: Path, out: Path) -> int:
    """Write what people thought of answers, as `botdaemon.store.ratings` says; returns how many.
    `data`: the daemon's data directory. Raises `StoreUnusable` and `OSError`."""
    with database.looking(data) as db:
        return ratings.write(out, ratings.ratings(db))


async def forget(
    data: Path | None, who: Sequence[str], datasets: Sequence[Path], runs: Sequence[Path]
) -> tuple[list[Forgotten], Any]:
    """Forget people in the store of `data` (None: leave it), in datasets, and in models. Everybody
    is found before anything is changed. Returns what is gone from the store, and a
    `models.forgetting.Undone`. Raises `Refused` when somebody is nowhere or may be several,
    `StoreLocked` while a daemon runs, `ExportUnusable` and `ModelUnusable`."""
    module = imports.module(imports.FORGETTING)
    gone: list[Forgotten] = []
    async with AsyncExitStack() as stack:
        store = None
        if data is not None:
            store = await stack.enter_async_context(open_store(data))
        people, met = [], []
        for name in who:
            found = module.find(name, datasets)
            if store is not None and await store.knows(name):
                met.append(name)
                person = await store.find_person(name)
                for account in person.accounts:
                    found += module.find(f"{THREADS}:{account}", datasets)
            elif not found:
                raise Refused(
                    f'nobody called "{name}" was found; give a name, SOURCE:ID as in "botdaemon'
                    ' dataset speakers", or ADAPTER:ACCOUNT'
                )
            people += found
        for name in met:
            assert store is not None
            gone.append(await store.forget(name))
    return gone, module.forget(dict.fromkeys(people), runs)
