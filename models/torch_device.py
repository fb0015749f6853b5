"""Chooses where a model computes and with which numbers. Knows torch, but no model."""

from __future__ import annotations

import torch

from botdaemon.errors import ModelUnusable

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def device(wanted: str, name: str) -> torch.device:
    """The device of model `name`: "auto", "cpu", "mps", "cuda" or "cuda:N". Raises
    `ModelUnusable` for one that is not there."""
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(wanted)
    except RuntimeError as error:
        raise ModelUnusable(
            f'model "{name}": there is no device "{wanted}"; say "auto", "cpu" or "cuda:0"'
        ) from error
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise ModelUnusable(
            f'model "{name}": there is no device "{wanted}" on this machine (torch sees'
            f' {torch.cuda.device_count()} CUDA devices); say "auto" or "cpu"'
        )
    if chosen.type == "mps" and not torch.backends.mps.is_available():
        raise ModelUnusable(
            f'model "{name}": there is no device "mps" on this machine; say "auto" or "cpu"'
        )
    return chosen


def dtype(wanted: str, device: torch.device, name: str) -> tuple[torch.dtype, str]:
    """The number format of model `name`, and the reason for it. Raises `ModelUnusable`."""
    if wanted in _DTYPES:
        return _DTYPES[wanted], "as configured"
    if wanted != "auto":
        raise ModelUnusable(
            f'model "{name}": there is no dtype "{wanted}"; say "auto" or one of'
            f" {', '.join(_DTYPES)}"
        )
    if device.type != "cuda":
        return torch.float32, "exact, and on most CPUs the fastest"
    if torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16, "the card has it in hardware"
    return torch.float16, "the card has no bfloat16 in hardware"
