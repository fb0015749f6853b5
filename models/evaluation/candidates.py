"""Finds and loads the models that are compared. Knows no dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import transformers

from botdaemon.errors import ModelUnusable, Refused
from models import preflight, torch_device
from models.measure import out_of_memory
from models.text import TransformersEngine, loading

# Its own progress bars and advice would stand between ours.
_talk: Any = transformers.utils.logging
_talk.set_verbosity_error()
_talk.disable_progress_bar()

ADAPTER = "evaluated"
"""What the engine calls the adapter."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model, or a model with an adapter on it."""

    name: str
    #: of the model: weights, tokenizer, format
    directory: Path
    adapter: Path | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where and how candidates compute: as `device` and `dtype` of a configured model."""

    device: str = "auto"
    dtype: str = "auto"
    #: answers, or samples, at once
    batch: int = 16


def candidates(run: Path, before: Path | None) -> tuple[Candidate | None, Candidate]:
    """What was before, and what the run made of it. Raises `ModelUnusable`, and `Refused` for an
    adapter without its model."""
    old = None if before is None else _model(before)
    if not (run / "adapter_config.json").exists():
        return old, _model(run)
    if old is None:
        raise Refused(f"{run} is an adapter; name the model that it belongs to as the one before")
    return old, Candidate(_name(run), old.directory, run)


def _model(path: Path) -> Candidate:
    return Candidate(_name(path), preflight.resolve(str(path), base=Path()))


def _name(path: Path) -> str:
    return path.resolve().name


def engine(candidate: Candidate, place: Place) -> TransformersEngine:
    """The engine that would serve it. Raises `ModelUnusable`."""
    return TransformersEngine(
        name=candidate.name,
        directory=candidate.directory,
        device=place.device,
        dtype=place.dtype,
        adapters={ADAPTER: candidate.adapter} if candidate.adapter else {},
        batch=place.batch,
    )


def network(candidate: Candidate, place: Place) -> Any:
    """The model itself, on its device. Raises `ModelUnusable`."""
    device = torch_device.device(place.device, candidate.name)
    dtype, _ = torch_device.dtype(place.dtype, device, candidate.name)
    model = loading.load(candidate.name, candidate.directory, dtype)
    if candidate.adapter:
        import peft

        try:
            model = peft.PeftModel.from_pretrained(model, candidate.adapter)
        except Exception as error:  # whatever peft raises, the adapter does not fit
            if out_of_memory(error):
                raise
            raise ModelUnusable(
                f"{candidate.adapter} is no adapter of {candidate.directory}: {error}"
            ) from error
    return model.to(device).eval()
