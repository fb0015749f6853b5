"""How a pipeline directory wants to be asked: sizes, steps, words. Knows no torch, draws nothing.

What a model was trained for is a file in its directory, `drawing.json`, written by training and
read here:

    {"width": 128, "height": 128, "steps": 12, "guidance": 4.0, "negative": "",
     "words": ["red", "circle"], "draws": "coloured shapes", "examples": ["a red circle"],
     "harmless": true, "redraw": false}

`words` are the only ones that it understands. A model that is `harmless` cannot draw what would
have to be hidden. One that does not `redraw` draws at its own size only. Every key may be left out,
and so may the file: what is missing follows from model_index.json and from the configurations of
the components.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from botdaemon.types import ImageCard
from models import json_files

if TYPE_CHECKING:
    from pathlib import Path

# Steps and guidance that the makers of each family recommend in its model card; the first that the
# pipeline's class name begins with counts.
_USUAL: tuple[tuple[str, int, float], ...] = (
    ("StableDiffusionXL", 30, 5.0),
    ("StableDiffusion3", 28, 7.0),
    ("StableDiffusion", 30, 7.5),
    ("LatentConsistency", 4, 8.5),
    ("Flux2", 50, 4.0),
    ("Flux", 28, 3.5),
    ("ZImage", 50, 4.0),
    ("QwenImage", 50, 4.0),
    ("Sana", 20, 4.5),
    ("PixArt", 20, 4.5),
    ("Lumina", 30, 4.0),
    ("Chroma", 35, 3.0),
    ("AuraFlow", 50, 3.5),
    ("LDM", 50, 1.0),
)
_OTHERS = (30, 5.0)
# Distilled models need few steps and do without guidance. Their class is that of their teacher, so
# only these tell: what the makers put into the directory's name, and schedulers made for them.
_DISTILLED: tuple[tuple[str, int, float], ...] = (
    ("z-image-turbo", 8, 0.0),
    ("turbo", 4, 0.0),
    ("schnell", 4, 0.0),
    ("lightning", 4, 0.0),
    ("lcm", 4, 1.0),
)
_FEW_STEP_SCHEDULERS = ("LCMScheduler", "TCDScheduler")
_DENOISERS = ("unet", "transformer", "prior")
_DECODERS = ("vae", "vqvae")
_PIXELS = 1024


class _DrawingFile(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    width: int | None = Field(default=None, ge=8, le=8192)
    height: int | None = Field(default=None, ge=8, le=8192)
    steps: int | None = Field(default=None, ge=1, le=1000)
    guidance: float | None = Field(default=None, ge=0, le=100)
    negative: str = ""
    words: list[str] = []
    draws: str = ""
    examples: list[str] = []
    harmless: bool = False
    redraw: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """How one model is asked."""

    card: ImageCard
    #: what should not be seen when nobody says otherwise
    negative: str
    #: it can draw at other sizes than its own, and over a picture that was enlarged
    redraw: bool
    #: widths and heights must be a multiple of this, in pixels
    multiple: int
    #: where the size, the steps and the guidance come from, a few words each
    origins: tuple[str, ...]


def card(directory: Path, *, checker: bool = True) -> ImageCard:
    """What a bot must know of the model; `checker`: whether its safety checker, if it has one, is
    on. Raises `ModelUnusable`."""
    return load(directory, checker=checker).card


def load(directory: Path, *, checker: bool = True) -> Manners:
    """Read a pipeline directory that `preflight.resolve` has passed. Raises `ModelUnusable`."""
    chosen = json_files.read_as(directory / "drawing.json", _DrawingFile)
    index = json_files.read(directory / "model_index.json")
    denoiser_name = next((name for name in _DENOISERS if _present(index, name)), "")
    denoiser = json_files.read(directory / denoiser_name / "config.json") if denoiser_name else {}
    decoders = (json_files.read(directory / name / "config.json") for name in _DECODERS)
    scale = _scale(next(filter(None, decoders), {}))
    # Transformers read the latents in patches of at least 2 x 2; some pipelines make these patches
    # themselves, and their configuration then says 1. The pipelines with a UNet ask for 8.
    patch = denoiser.get("patch_size")
    patch = max(2, patch) if isinstance(patch, int) else 2
    multiple = math.lcm(8, scale) if denoiser_name != "transformer" else scale * patch

    width, height, size_from = _size(denoiser, denoiser_name, scale)
    steps, guidance, pace_from = _pace(directory, index, denoiser)
    drawing = "drawing.json"
    return Manners(
        card=ImageCard(
            width=chosen.width or width,
            height=chosen.height or height,
            steps=chosen.steps or steps,
            guidance=guidance if chosen.guidance is None else chosen.guidance,
            words=frozenset(word.lower() for word in chosen.words),
            draws=chosen.draws,
            examples=tuple(chosen.examples),
            checked=checker and _present(index, "safety_checker"),
            harmless=chosen.harmless,
        ),
        negative=chosen.negative,
        redraw=chosen.redraw,
        multiple=multiple,
        origins=(
            f"the size from {drawing if chosen.width and chosen.height else size_from}",
            f"steps from {drawing if chosen.steps else pace_from}",
            f"guidance from {pace_from if chosen.guidance is None else drawing}",
        ),
    )


def _present(index: dict[str, Any], component: str) -> bool:
    """model_index.json writes a component that was left out as [null, null]."""
    entry = index.get(component)
    return isinstance(entry, list) and entry[:1] not in ([], [None])


def _scale(vae: dict[str, Any]) -> int:
    """Pixels of a side per latent: each level but the first of an encoder halves the picture."""
    for key, halvings in (
        ("encoder_block_out_channels", -1),  # AutoencoderDC
        ("block_out_channels", -1),
        ("temperal_downsample", 0),  # Qwen and Wan, in the spelling of the library
    ):
        if isinstance(vae.get(key), list):
            return int(2 ** max(0, len(vae[key]) + halvings))
    return 8 if vae else 1


def _size(denoiser: dict[str, Any], name: str, scale: int) -> tuple[int, int, str]:
    size = denoiser.get("sample_size")
    if isinstance(size, int):
        return size * scale, size * scale, f"{name}/config.json"
    if isinstance(size, list) and len(size) == 2:
        return size[1] * scale, size[0] * scale, f"{name}/config.json"
    return _PIXELS, _PIXELS, "what most such pipelines draw"


def _pace(
    directory: Path, index: dict[str, Any], denoiser: dict[str, Any]
) -> tuple[int, float, str]:
    """Steps, guidance, and where they come from."""
    kind = str(index.get("_class_name", ""))
    if index.get("is_distilled") is True:  # FLUX.2 klein
        return 4, 1.0, "is_distilled in model_index.json"
    scheduler = (index.get("scheduler") or [None, None])[-1]
    if scheduler in _FEW_STEP_SCHEDULERS:
        return 4, 1.0, f"its {scheduler}"
    # In the hub's cache, the directory is named after a revision, and lies in "snapshots".
    cached = directory.parent.name == "snapshots"
    named = directory.parent.parent if cached else directory
    names = [named.name, str(index.get("_name_or_path", ""))]
    for word, steps, guidance in _DISTILLED:
        if any(word in name.lower() for name in names):
            return steps, guidance, f'"{word}" in its name'
    if kind.startswith("Flux") and denoiser.get("guidance_embeds") is False:
        return 4, 0.0, "guidance_embeds in transformer/config.json"
    for family, steps, guidance in _USUAL:
        if kind.startswith(family):
            return steps, guidance, f"what is usual for {family}"
    return *_OTHERS, "what is usual"
