"""The models on this machine, for the command line: what there is, what fits, what is fetched.
Loads none of them, and imports no model library."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botdaemon.app import imports
from botdaemon.app.engines import footprints_file
from botdaemon.config import (
    ClassifierConfig,
    DiffusersConfig,
    EmbedderConfig,
    TransformersConfig,
)
from botdaemon.errors import ModelUnusable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botdaemon.config import Config

Progress = Callable[[str, int, int], None]
"""Told what is under way, and the bytes done and in all."""


def _survey(config: Config) -> Any:
    return imports.named(imports.SURVEY)(
        imports.named(imports.SPECS_OF)(config.models),
        base=config.path.parent,
        budgets=imports.named(imports.BUDGETS)(config),
        known=imports.named(imports.FOOTPRINTS)(footprints_file(config.daemon.data_dir)),
    )


def plan(config: Config) -> tuple[Any, str, bool]:
    """Where each local model goes: for the terminal (rich), as an SVG picture, and whether every
    model can be loaded. Raises `ModelUnusable` for broken files."""
    planned = _survey(config).plan
    return (
        imports.named(imports.PLAN_PICTURE)(planned),
        imports.named(imports.PLAN_SVG)(planned),
        not planned.problems,
    )


def misfits(config: Config) -> dict[str, str]:
    """The models that can never fit into the memory of their device, each with a sentence. Raises
    `ModelUnusable` for broken files."""
    return dict(_survey(config).plan.problems)


def listing(config: Config) -> Iterator[Any]:
    """The configured local models, then those in the hub's cache besides, each a
    `models.inventory.Item`."""
    try:
        known = {
            name: spec.footprint
            for name, spec in _survey(config).specs.items()
            if spec.footprint.measured
        }
    except ModelUnusable:  # which one, and why, is in its line
        known = {}
    items: Iterator[Any] = imports.named(imports.LISTING)(
        imports.named(imports.SPECS_OF)(config.models), base=config.path.parent, known=known
    )
    return items


def offer(repo: str, revision: str | None, variant: str) -> Any:
    """What would be fetched, a `models.hub.Offer`. Raises `Refused` or `ModelUnusable`."""
    return imports.named(imports.HUB)().offer(repo, revision, variant)


def amount(count: int) -> str:
    """Bytes in words; nothing for none."""
    return str(imports.named(imports.SIZE)(count)) if count else ""


def fetch(offer: Any, progress: Progress) -> Any:
    """Fetch it; returns the directory. Raises `Refused`."""
    return imports.named(imports.HUB)().fetch(offer, progress)


def verify(config: Config, repo: str | None, progress: Progress) -> Iterator[tuple[str, Any]]:
    """Compare hub models with their checksums: one, or all of the configuration. Each finding is a
    repository and a `models.inventory.Finding`. Raises `Refused`."""
    if repo is not None:
        wanted: list[tuple[str, str | None]] = [(repo, None)]
    else:
        wanted = [
            (table.hub, table.revision)
            for table in config.models.values()
            if isinstance(
                table, TransformersConfig | DiffusersConfig | EmbedderConfig | ClassifierConfig
            )
            and table.hub
        ]
    for name, revision in wanted:
        for finding in imports.named(imports.VERIFY)(name, revision, progress=progress):
            yield name, finding
