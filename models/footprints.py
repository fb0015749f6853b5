"""How much memory models take: an estimate from their files, and what was measured, kept on disk.
Knows no model library; reads of a model nothing but headers and small JSON files.
"""

from __future__ import annotations

import json
import logging
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from models.ledger import Footprint
from models.sound.files import size_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from models import preflight

log = logging.getLogger(__name__)

_MIB = 2**20
#: bytes of a number in safetensors (https://huggingface.co/docs/safetensors); others have their own
_FLOATS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
_DTYPES = {"float32": 4, "float16": 2, "bfloat16": 2}
#: int8 weights with a scale per row, and room for the tied ones, which are there twice
_INT8 = 1.2
#: For a moment a text model holds the logits of a slice of a prompt (256 tokens of 50,000 words in
#: 32 bits are 50 MB), and activations, which grow with its width as its weights do. An allowance.
_TEXT_PEAK, _TEXT_PEAK_SHARE = 64 * _MIB, 1 / 12
#: A recording of ten minutes is 40 MB of samples, and hearing keeps the alternatives it weighs.
_SOUND_PEAK, _SOUND_PEAK_SHARE = 128 * _MIB, 1 / 4
#: The dearest moment of a picture is its decoding, in the last block of the VAE. Measured with the
#: decoder of SD: 3.9 to 5.3 times the 256 maps, as large as the picture, that this block is given.
_PICTURE_MAPS = 6
#: maps where the VAE does not say (SD, SDXL and FLUX have 256)
_PICTURE_CHANNELS = 256
#: pixels where the model does not say
_PICTURE_SIDE = 1024


def estimate(
    directory: Path,
    *,
    kind: preflight.Kind,
    device: str,
    dtype: str = "auto",
    quantize: str = "none",
    part_by_part: bool = False,
) -> tuple[Footprint, int]:
    """What a model will take on the device, and the bytes of its weights as they lie in memory.

    `part_by_part`: the weights stay in RAM, and only the part that works is on the device (an image
    model with offload = "always"). Raises `OSError` or `ValueError` for files that cannot be read;
    `models.preflight` says so in words."""
    if kind in ("hearing", "speech"):
        weights = size_of(directory)
        return Footprint(load=weights, peak=int(_SOUND_PEAK + weights * _SOUND_PEAK_SHARE)), weights
    width = _DTYPES.get(dtype) or (2 if device.startswith("cuda") else 4)
    parts = [
        sum(_bytes(file, width, int8=quantize == "int8") for file in files)
        for files in weight_files(directory).values()
    ]
    weights = sum(parts)
    if kind != "image":
        return Footprint(load=weights, peak=int(_TEXT_PEAK + weights * _TEXT_PEAK_SHARE)), weights
    peak = _picture(directory, width)
    if part_by_part and device != "cpu":
        return Footprint(load=0, peak=max(parts, default=0) + peak), weights
    return Footprint(load=weights, peak=peak), weights


def weight_files(directory: Path) -> dict[str, list[Path]]:
    """The files of weights that are loaded, by the part of the model they belong to: "" for a text
    model, the components' folders for a pipeline."""
    if directory.is_file():  # a voice of Piper
        return {"": [directory]}
    index = directory / "model_index.json"
    if not index.exists():
        return {"": _one_set(directory)}
    parts = [name for name, value in _json(index).items() if isinstance(value, list) and value[0]]
    return {part: _one_set(directory / part) for part in parts if (directory / part).is_dir()}


def _one_set(directory: Path) -> list[Path]:
    """One complete set of weights, since the same may lie there in several forms."""
    if (whisper := directory / "model.bin").exists():
        return [whisper]
    indices = sorted(directory.glob("*.safetensors.index.json"), key=lambda path: len(path.name))
    names = ("model.safetensors", "diffusion_pytorch_model.safetensors")
    if whole := [directory / name for name in names if (directory / name).exists()]:
        return whole[:1]
    if indices:
        shards = sorted(set(_json(indices[0])["weight_map"].values()))
        return [directory / shard for shard in shards]
    return sorted(directory.glob("*.safetensors"))[:1]


def _bytes(path: Path, width: int, *, int8: bool) -> int:
    """Bytes of a file's tensors once they are loaded, floats with this width."""
    total = 0.0
    for tensor in _tensors(path):
        begin, end = tensor["data_offsets"]
        stored = _FLOATS.get(tensor["dtype"])
        if stored is None:
            total += end - begin
        else:
            total += (end - begin) / stored * (_INT8 if int8 else width)
    return int(total)


def _tensors(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > path.stat().st_size:
            raise ValueError(f"{path} is not a safetensors file")
        header = json.loads(file.read(length))
    for name, tensor in header.items():
        if name != "__metadata__":
            yield tensor


def _picture(directory: Path, width: int) -> int:
    """Bytes that drawing one picture of the model's own size takes for a moment."""
    manners, vae = _json(directory / "drawing.json"), _json(directory / "vae" / "config.json")
    pixels = manners.get("width", _PICTURE_SIDE) * manners.get("height", _PICTURE_SIDE)
    channels = (vae.get("block_out_channels") or [_PICTURE_CHANNELS])[:2][-1]
    return int(pixels) * int(channels) * width * _PICTURE_MAPS


def _json(path: Path) -> dict[str, Any]:
    """Empty for a file that is not there."""
    if not path.exists():
        return {}
    data = json.loads(path.read_bytes())
    if not isinstance(data, dict):
        raise ValueError(f"{path} must hold a JSON object")
    return data


# --- what was measured ------------------------------------------------------------------------


def identity(directory: Path, *, device: str, dtype: str, quantize: str) -> str:
    """A key for what was measured of a model: another when its weights or the way it is run are."""
    files = [file for files in weight_files(directory).values() for file in files]
    stats = [file.stat() for file in files]
    newest = max((stat.st_mtime_ns for stat in stats), default=0)
    total = sum(stat.st_size for stat in stats)
    kind = device.partition(":")[0]
    return f"{directory.resolve()} {total} {newest} {dtype} {quantize} {kind}"


_KNOWN = TypeAdapter(dict[str, Footprint])


class Footprints:
    """The measured footprints in a JSON file. One process at a time writes it."""

    def __init__(self, path: Path) -> None:
        """A file that is missing, or cannot be read, is empty; a broken one is put aside."""
        self._path = path
        try:
            self._known = _KNOWN.validate_json(path.read_bytes())
        except OSError:
            self._known = {}
        except ValidationError:
            self._known = {}
            aside = path.with_suffix(".broken")
            path.replace(aside)
            log.warning(
                "the measured footprints could not be read; models are measured again",
                extra={"event": "footprints.broken", "file": str(aside)},
            )

    def get(self, identity: str) -> Footprint | None:
        return self._known.get(identity)

    def put(self, identity: str, footprint: Footprint) -> None:
        """Keep it, also over a crash. Raises `OSError`."""
        self._known[identity] = footprint
        rows = {key: asdict(value) for key, value in sorted(self._known.items())}
        with tempfile.NamedTemporaryFile(
            "w", dir=self._path.parent, prefix=self._path.name, delete=False
        ) as file:
            json.dump(rows, file, indent=1)
        Path(file.name).replace(self._path)
