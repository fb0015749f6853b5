"""Loads a pipeline directory and derives what redraws with the same weights. Knows no request."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any

import diffusers
import transformers

from botdaemon.errors import ModelUnusable
from models import preflight
from models.measure import out_of_memory

if TYPE_CHECKING:
    from pathlib import Path

    import torch

# The libraries' own progress bars and advice would fill the daemon's log.
for _library in (diffusers, transformers):
    _talk: Any = _library.utils.logging
    _talk.set_verbosity_error()
    _talk.disable_progress_bar()


def load(name: str, directory: Path, dtype: torch.dtype, *, checker: bool) -> Any:
    """The pipeline in RAM, without its safety checker if `checker` is false. Raises
    `ModelUnusable`; what says that memory ran out passes through."""
    index = json.loads((directory / "model_index.json").read_text(encoding="utf-8"))
    # Components that were left out are wanted all the same if one does not say so.
    options: dict[str, Any] = {key: None for key, value in index.items() if value == [None, None]}
    if "safety_checker" in index and (not checker or "safety_checker" in options):
        options |= {"safety_checker": None, "requires_safety_checker": False}
    try:
        pipeline = diffusers.DiffusionPipeline.from_pretrained(
            directory,
            dtype=dtype,
            variant=preflight.variant(directory),
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            **options,
        )
    except Exception as error:  # whatever the library raises, the operator must mend the model
        if out_of_memory(error):
            raise
        reason = " ".join(str(error).split())[:500]
        raise ModelUnusable(f'model "{name}" in {directory} cannot be loaded: {reason}') from error
    if "prompt" not in knows(pipeline):
        raise ModelUnusable(
            f'model "{name}" in {directory} is a {type(pipeline).__name__}, which does not draw'
            " what words ask for"
        )
    _whole(name, directory, pipeline)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def redrawing(pipeline: Any) -> Any | None:
    """A pipeline over the same weights that begins with a picture, or None."""
    if "image" in knows(pipeline):
        return pipeline
    try:
        derived = diffusers.AutoPipelineForImage2Image.from_pipe(pipeline)
    except ValueError:  # the library has none for this class
        return None
    derived.set_progress_bar_config(disable=True)
    return derived


def knows(pipeline: Any) -> frozenset[str]:
    """The names of the options that a pipeline takes."""
    return frozenset(inspect.signature(pipeline.__call__).parameters)


def _whole(name: str, directory: Path, pipeline: Any) -> None:
    """Weights that its files lack are left without memory by diffusers."""
    for part, component in pipeline.components.items():
        for key, weight in getattr(component, "named_parameters", dict)():
            if weight.is_meta:
                raise ModelUnusable(
                    f'model "{name}": the weights in {directory / part} lack {key}; they do not'
                    " belong to its config.json"
                )
