"""The int8 form of a model's weights: made once, tensor by tensor, and kept in a file. Knows names
and shapes of tensors, no layers.

The file is `int8/model.safetensors` in the model's directory: weights in int8 with a tensor of
scales each, everything else in 32 bits. Its metadata say of which files it was made.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import transformers
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from botdaemon.errors import ModelUnusable
from models.measure import out_of_memory

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

log = logging.getLogger(__name__)

FORM = "1"
"""How the numbers are stored. What was stored otherwise is made again."""
_LARGEST = 127
_TINY = torch.finfo(torch.float32).tiny
#: rows that are widened to 32 bits at a time
_SLICE = 2048

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A tensor that a model needs."""

    #: it may have one of these in the original's files
    names: Sequence[str]
    shape: Sequence[int]
    #: with a tensor of scales beside it
    int8: bool
    #: the original is transposed
    turned: bool


def scale_of(weight: str) -> str:
    """The name of the tensor of its scales."""
    return weight.removesuffix("weight") + "scale"


def quantise(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(rows, columns) of floats to int8 and a scale for each row, (rows, 1). What is not finite
    makes the scale so, and with it what is computed from the row."""
    rows = rows.float()  # in 16 bits the largest could become 128
    scale = rows.abs().amax(-1, keepdim=True).clamp_(min=_TINY * _LARGEST).div_(_LARGEST)
    return (rows / scale).round_().to(torch.int8), scale


def get(home: Path, sources: Sequence[Path], wanted: Mapping[str, Wanted], name: str) -> Tensors:
    """The tensors, by the keys of `wanted`, and the scales. They are kept in the directory `home`,
    and made of the safetensors files `sources` if need be. Raises `ModelUnusable`, and what says
    that memory ran out."""
    if not sources:
        raise ModelUnusable(f'model "{name}": there are no safetensors weights in {home.parent}')
    stats = [(path.name, path.stat()) for path in sources]
    files = [[file, stat.st_size, stat.st_mtime_ns] for file, stat in stats]
    # With another version of transformers a layer may have another name.
    origin = {"form": FORM, "transformers": transformers.__version__, "of": json.dumps(files)}
    path = home / "model.safetensors"
    if (kept := _read(path, origin)) is not None:
        return kept
    try:
        home.mkdir(exist_ok=True)
        with _alone(home / "lock"):
            if (kept := _read(path, origin)) is not None:  # made by another daemon meanwhile
                return kept
            began = time.monotonic()
            log.info('model "%s": making its int8 form, once, in %s', name, home)
            tensors = _convert(sources, wanted, name)
            _write(tensors, path, origin)
            log.info('model "%s": made in %.0f s', name, time.monotonic() - began)
            return tensors
    except OSError as error:
        if out_of_memory(error):
            raise
        raise ModelUnusable(
            f'model "{name}": its int8 form is kept in {home}, which cannot be written ({error});'
            " make room for it and let the daemon write there, or leave out quantize"
        ) from error


# --- the file ------------------------------------------------------------------------------------


def _read(path: Path, origin: dict[str, str]) -> Tensors | None:
    """What was made of these very weights; None if there is no such thing."""
    try:
        with safe_open(path, "pt", backend="pread") as file:
            if file.metadata() != origin:
                return None
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  # no mapping
    except FileNotFoundError:
        return None
    except SafetensorError as error:
        log.warning("%s is made again: %s", path, error)
        return None


def _write(tensors: Tensors, path: Path, origin: dict[str, str]) -> None:
    """Under another name first, so that half a file is never found."""
    part = path.with_suffix(".part")
    try:
        try:
            save_file(tensors, part, metadata=origin)
        except SafetensorError as error:
            raise OSError(error) from error
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Two daemons may share a model."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


# --- making it -----------------------------------------------------------------------------------


def _convert(sources: Sequence[Path], wanted: Mapping[str, Wanted], name: str) -> Tensors:
    """Read one by one, so that little is there in full width at any time."""
    where: dict[str, Path] = {}
    for path in sources:
        with safe_open(path, "pt") as file:
            where.update(dict.fromkeys(file.keys(), path))
    found = {key: next((n for n in want.names if n in where), "") for key, want in wanted.items()}
    if missing := [key for key, source in found.items() if not source]:
        raise ModelUnusable(
            f'model "{name}": the weights lack {len(missing)} parts, the first is {missing[0]};'
            " they do not belong to its config.json, or int8 cannot be made of such a model"
        )
    # All places first: between tensors that come and go, the heap would not close again.
    tensors: Tensors = {}
    for key, want in wanted.items():
        tensors[key] = torch.empty(want.shape, dtype=torch.int8 if want.int8 else torch.float32)
        if want.int8:
            tensors[scale_of(key)] = torch.empty(want.shape[:1])
    for key, want in wanted.items():
        weight = _original(where[found[key]], found[key])
        weight = weight.t() if want.turned else weight
        if weight.shape != tensors[key].shape:
            raise ModelUnusable(
                f'model "{name}": {found[key]} in {where[found[key]]} is of another shape than its'
                f" config.json says: {tuple(weight.shape)}, not {tuple(want.shape)}"
            )
        if want.int8:
            _fill(weight, tensors[key], tensors[scale_of(key)])
        else:
            tensors[key].copy_(weight)
    return tensors


def _original(path: Path, name: str) -> torch.Tensor:
    # Not mapped: a mapping's pages would be this process's memory until the last is read.
    with safe_open(path, "pt", backend="pread") as file:
        tensor: torch.Tensor = file.get_tensor(name)
        return tensor


def _fill(weight: torch.Tensor, numbers: torch.Tensor, scales: torch.Tensor) -> None:
    """Write (outputs, inputs) as int8, and the scale of each output."""
    for begin in range(0, len(weight), _SLICE):
        rows = slice(begin, begin + _SLICE)
        numbers[rows], scale = quantise(weight[rows])
        scales[rows] = scale.flatten()
