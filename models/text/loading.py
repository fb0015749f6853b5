"""Brings a model from its directory to a device. Knows no requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import transformers

from botdaemon.errors import ModelUnusable
from models.measure import out_of_memory

if TYPE_CHECKING:
    from pathlib import Path

    import torch


def load(
    name: str,
    directory: Path,
    dtype: torch.dtype,
    auto: Any = transformers.AutoModelForCausalLM,
) -> Any:
    """The model that `auto` finds there, in RAM. Raises `ModelUnusable`; what says that memory ran
    out passes through."""
    try:
        loaded: Any = auto.from_pretrained(
            directory,
            dtype=dtype,
            use_safetensors=True,
            # Left to itself it would ask on the terminal whether to run the model's own code.
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
        )
    except Exception as error:  # whatever the library raises, the operator must mend the model
        if out_of_memory(error):
            raise
        raise ModelUnusable(f'model "{name}" in {directory} cannot be loaded: {error}') from error
    model, report = loaded
    # Otherwise the library makes up weights that are not there, and the model babbles.
    if missing := sorted(report["missing_keys"]):
        raise ModelUnusable(
            f'model "{name}": the weights in {directory} lack {len(missing)} parts, the first is'
            f" {missing[0]}; they do not belong to its config.json"
        )
    return model
