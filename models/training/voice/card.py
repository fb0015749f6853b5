"""What was trained on what, and how: training.json for programs, README.md for people. Knows no
model library."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict

from botdaemon import __version__
from botdaemon.errors import ModelUnusable
from models import json_files
from models.dataset.card import DatasetCard
from models.training.voice.plan import Method

if TYPE_CHECKING:
    from pathlib import Path

NAME = "training.json"
_LIBRARIES = ("torch", "transformers", "peft", "accelerate", "tokenizers")


class TrainingCard(BaseModel):
    """What a training has done. Losses are in nats a token of the voices."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: ISO 8601, UTC
    made: str
    method: Method
    #: the base's directory, what an adapter calls it, what tells it from others (`base.digest`);
    #: empty from scratch
    base: str
    base_name: str
    base_digest: str
    #: names of those who were learned
    voices: tuple[str, ...]
    #: the dataset's directory, the SHA-256 of what was learned and held out, and its own card
    dataset: str
    dataset_digest: str
    dataset_card: DatasetCard
    #: what was asked for, as far as it changes what comes out; another training of the same is the
    #: same training
    identity: dict[str, Any]
    #: the numbers that followed (`plan.Recipe`)
    recipe: dict[str, Any]
    #: numbers of the model, and those that were trained
    parameters: int
    trained: int
    #: samples of an epoch: of the dataset, of the replay, and those looked at in between
    samples: int
    replayed: int
    held_out: int
    #: before the first update, and at the update that was kept; None without held-out samples
    before: float | None
    best: float | None
    best_update: int
    updates: int
    stopped_early: bool
    #: (update, loss)
    learned_losses: tuple[tuple[int, float], ...]
    held_out_losses: tuple[tuple[int, float], ...]
    #: wall time of the training, without pauses
    seconds: float
    #: tokens read, padding not counted
    tokens: int
    device: str
    #: bytes: thought beforehand, and really taken at most
    memory_estimate: int
    memory_peak: int
    versions: dict[str, str]
    #: what whoever uses it should know
    notes: tuple[str, ...]

    def save(self, directory: Path) -> None:
        """Write README.md, then training.json: what has it is finished."""
        (directory / "README.md").write_text(in_words(self), encoding="utf-8")
        part = directory / f"{NAME}.part"
        part.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")
        part.replace(directory / NAME)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Raises `ModelUnusable`."""
        path = directory / NAME
        if not path.exists():
            raise ModelUnusable(f"{path} is missing: {directory} holds no finished training")
        return json_files.read_as(path, cls)


def versions() -> dict[str, str]:
    """Of what took part."""
    found = {"botdaemon": __version__, "python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:  # a library of only some methods
            continue
    return found


def in_words(card: TrainingCard) -> str:
    """The card as README.md."""
    data = card.dataset_card
    what = "A LoRA adapter" if card.method in ("lora", "qlora") else "A text model"
    base = f" on {_cell(card.base_name or card.base)}" if card.base else ", from scratch"
    recipe = card.recipe
    rows = [
        ("method", card.method),
        ("base", card.base_name or card.base or "none"),
        ("numbers trained", f"{card.trained:,} of {card.parameters:,}"),
        ("samples of an epoch", f"{card.samples:,} and {card.replayed:,} replayed"),
        ("updates", f"{card.updates:,}" + (", stopped early" if card.stopped_early else "")),
        ("samples of an update", f"{recipe['batch']} of up to {recipe['context']} tokens"),
        ("rate", f"{recipe['rate']:.2g}, warm-up over {recipe['warmup']} updates, then a cosine"),
        ("held-out loss before", _loss(card.before)),
        ("held-out loss after", f"{_loss(card.best)} (update {card.best_update:,})"),
        ("time", f"{card.seconds / 60:.1f} minutes on {card.device}"),
        ("versions", ", ".join(f"{name} {number}" for name, number in card.versions.items())),
    ]
    table = "\n".join(f"| {key} | {_cell(value)} |" for key, value in rows)
    notes = "".join(f"\n- {note}" for note in card.notes) or "\n- none"
    sources = "".join(
        f"\n- {_cell(s.source)}: {s.messages:,} messages of {s.conversations:,} conversations"
        for s in data.sources
    )
    scrubbed = sum(data.scrubbed.values())
    return f"""\
# {", ".join(map(_cell, card.voices))}

{what}{base}, made {card.made} by botdaemon to chat like the people named above. It imitates
them; nothing that it says was said by them, and none of it need be true.

## Data

Dataset "{_cell(data.name)}", made {data.made}; consent of the voices: {_cell(data.consent)}.
{scrubbed:,} addresses, numbers and the like were replaced before training.
{sources}

## Training

| | |
|---|---|
{table}

![losses](losses.png)

Losses are in nats for each token of the voices, on conversations that were held out and lie later
in time than those that were learned.

## Notes
{notes}
"""


def _loss(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.3f}"


def _cell(value: object) -> str:
    """A name may hold whatever its owner typed."""
    return " ".join(str(value).replace("|", "\\|").split())
