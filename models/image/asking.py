"""From a request to what a pipeline is called with. Knows no torch and draws nothing.

A pipeline knows some options and not others. What it does not know is left out, with a sentence
for whoever asked.
"""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageOps

from botdaemon.errors import EngineFailed
from models.image import sources

if TYPE_CHECKING:
    from botdaemon.types import ImageRequest
    from models.image.manners import Manners

_STRENGTH = 0.6
#: pictures are drawn after a default seed below this, which people can still type
_SEEDS = 2**32


@dataclass(slots=True)
class Asked:
    """What is to be drawn, with everything decided."""

    #: nothing is None any more but what the pipeline does not know
    request: ImageRequest
    arguments: dict[str, Any]
    #: it begins with a picture
    redraws: bool = False
    #: a picture that is ready as it is: the source, enlarged
    ready: Image.Image | None = None
    notes: list[str] = field(default_factory=list)


def decide(
    request: ImageRequest,
    manners: Manners,
    *,
    draws: frozenset[str],
    redraws: frozenset[str],
    most_steps: int,
) -> Asked:
    """Decide everything that the request leaves open. `draws` are the options of the pipeline that
    draws, `redraws` those of the one that begins with a picture; none: it cannot. Raises
    `EngineFailed`."""
    _examine(request)
    notes: list[str] = []
    source = sources.decode(request.source) if request.source else None
    if source is not None and request.enlarge > 1:
        why = _why_not_over(manners, redraws)
        if why:
            return _enlarged(request, source, f"the picture was only enlarged: {why}")
    if source is not None and not redraws:
        notes.append("it was drawn from the words alone: this model cannot begin with a picture")
        source = None
    redrawing = source is not None
    known = redraws if redrawing else draws

    width, height = _size(request, manners, source, notes)
    steps = min(request.steps or manners.card.steps, most_steps)
    if request.steps and steps < request.steps:
        notes.append(f"{steps} steps were taken, the most that this model takes")
    strength = None
    if redrawing and "strength" in known:
        strength = request.strength or _STRENGTH
        if steps * strength < 1:  # not a single step would be taken
            steps = min(math.ceil(1 / strength), most_steps)
            notes.append(f"{steps} steps, so that at least one is taken at strength {strength:g}")
    elif redrawing and request.strength is not None:
        notes.append("strength was left out: this model does not know it")

    guidance = manners.card.guidance if request.guidance is None else request.guidance
    guided_by = _guided_by(known)
    negative = manners.negative if request.negative is None else request.negative
    if request.guidance is not None and not guided_by:
        notes.append("guidance was left out: this model does not know it")
    if request.negative and "negative_prompt" not in known:
        notes.append("what should not be seen was left out: this model does not know that option")

    decided = replace(
        request,
        negative=negative if "negative_prompt" in known else None,
        seed=secrets.randbelow(_SEEDS) if request.seed is None else request.seed,
        steps=steps if "num_inference_steps" in known else None,
        guidance=guidance if guided_by else None,
        width=width,
        height=height,
        source=request.source if redrawing else b"",
        strength=strength,
        enlarge=request.enlarge if redrawing else 1,
    )
    arguments: dict[str, Any] = {
        "prompt": decided.prompt,
        # An empty text is not the same as none to SDXL; to pipelines with true guidance it is. None
        # is left to the pipeline, as PixArt's takes nothing but text.
        "negative_prompt": decided.negative or (" " if guided_by == "true_cfg_scale" else None),
        "num_inference_steps": steps,
        "width": width,
        "height": height,
        "strength": strength,
    }
    if guided_by:
        arguments[guided_by] = guidance
    arguments = {
        name: value for name, value in arguments.items() if name in known and value is not None
    }
    if source is not None:
        arguments["image"] = ImageOps.fit(source, (width, height), Image.Resampling.LANCZOS)
    return Asked(decided, arguments, redraws=redrawing, notes=notes)


def _examine(request: ImageRequest) -> None:
    """Against what no pipeline can do."""
    wrong = ""
    if request.count < 1:
        wrong = f"{request.count} pictures cannot be drawn; ask for one or more"
    elif request.steps is not None and request.steps < 1:
        wrong = f"{request.steps} steps draw nothing; ask for one or more"
    elif request.seed is not None and not 0 <= request.seed < 2**63 - request.count:
        wrong = f"the seed {request.seed} must be between 0 and 2^63"
    elif min(request.width or 1, request.height or 1) < 1:
        wrong = f"a picture of {request.width} x {request.height} pixels cannot be drawn"
    elif request.strength is not None and not 0 < request.strength <= 1:
        wrong = f"the strength {request.strength:g} must be above 0 and at most 1"
    elif not 1 <= request.enlarge <= 8:
        wrong = f"a picture can be enlarged 2 to 8 times, not {request.enlarge} times"
    elif request.enlarge > 1 and not request.source:
        wrong = "there is no picture to enlarge"
    elif request.guidance is not None and not math.isfinite(request.guidance):
        wrong = f"the guidance {request.guidance} is no number to draw with"
    if wrong:
        raise EngineFailed(wrong)


def _why_not_over(manners: Manners, redraws: frozenset[str]) -> str:
    """Why the model cannot draw over an enlarged picture; empty if it can."""
    if not manners.redraw:
        return "this model draws at its own size only"
    if "strength" not in redraws:
        return "this model cannot draw over a picture"
    return ""


def _enlarged(request: ImageRequest, source: Image.Image, note: str) -> Asked:
    width, height = source.width * request.enlarge, source.height * request.enlarge
    if width * height > sources.MOST_PIXELS:
        raise EngineFailed(f"{width} x {height} pixels are too many; enlarge it fewer times")
    decided = replace(
        request,
        negative=None,
        steps=None,
        guidance=None,
        strength=None,
        width=width,
        height=height,
        count=1,
    )
    ready = source.resize((width, height), Image.Resampling.LANCZOS)
    return Asked(decided, {}, redraws=True, ready=ready, notes=[note])


def _size(
    request: ImageRequest, manners: Manners, source: Image.Image | None, notes: list[str]
) -> tuple[int, int]:
    card = manners.card
    if not manners.redraw:
        if (request.width or card.width, request.height or card.height) != (
            card.width,
            card.height,
        ):
            notes.append(f"it has {card.width} x {card.height} pixels, this model's only size")
        return card.width, card.height
    asked = False
    if source is not None and request.enlarge > 1:
        width, height = source.width * request.enlarge, source.height * request.enlarge
    elif request.width or request.height:
        width, height = request.width or card.width, request.height or card.height
        asked = True
    elif source is not None:  # as many pixels as usual, in the source's shape
        shape = math.sqrt(source.width / source.height)
        side = math.sqrt(card.width * card.height)
        width, height = round(side * shape), round(side / shape)
    else:
        return card.width, card.height
    rounded = tuple(
        max(manners.multiple, round(side / manners.multiple) * manners.multiple)
        for side in (width, height)
    )
    if asked and rounded != (width, height):
        notes.append(
            f"it has {rounded[0]} x {rounded[1]} pixels: this model draws multiples of"
            f" {manners.multiple}"
        )
    return rounded[0], rounded[1]


def _guided_by(known: frozenset[str]) -> str:
    """The option that says how closely the words are followed. Where there are both, the plain one
    belongs to models that learned it as an input, and the true one follows what is negative."""
    return next((o for o in ("guidance_scale", "true_cfg_scale") if o in known), "")
