"""Freshly drawn pictures as tensors, with and without captions. Knows no training.

Drawing a picture takes a millisecond, learning from it twenty: nothing is drawn ahead or kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from models.training.painter.build import MEAN, SPREAD
from models.training.painter.captions import caption
from models.training.painter.render import render
from models.training.painter.sketch import sketch
from models.training.painter.world import draw_scene

if TYPE_CHECKING:
    from random import Random

    from PIL import Image

    from models.training.painter.world import Scene

_BLANK = 0.1  # of the captions are left out, for classifier-free guidance


def pixels(pictures: list[Image.Image]) -> torch.Tensor:
    """Pictures as a tensor (n, 3, side, side) of numbers from -1 to 1."""
    stacked = torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures]))
    return stacked.permute(0, 3, 1, 2).float() / 127.5 - 1


def draw_quarters(number: int, rng: Random) -> torch.Tensor:
    """Quarters of pictures, four of each: the decoder sees no further than a few pixels."""
    whole = pixels([render(draw_scene(rng), rng) for _ in range(-(-number // 4))])
    half = whole.shape[-1] // 2
    quarters = [whole[:, :, y : y + half, x : x + half] for y in (0, half) for x in (0, half)]
    return torch.cat(quarters)[:number]


def draw_sketched(number: int, rng: Random) -> tuple[list[str], torch.Tensor, torch.Tensor]:
    """Captions, and the facts and measures of their scenes as in `sketch`."""
    scenes = [draw_scene(rng) for _ in range(number)]
    facts, measures = zip(*map(sketch, scenes), strict=True)
    return (
        [_say(scene, rng) for scene in scenes],
        torch.from_numpy(np.stack(facts)),
        torch.from_numpy(np.stack(measures)),
    )


def draw_captioned(number: int, rng: Random) -> tuple[torch.Tensor, list[str]]:
    """Latents (number, channels, side, side) of scenes that training may see, and captions."""
    scenes = [draw_scene(rng) for _ in range(number)]
    drawn = latents([render(scene, rng) for scene in scenes])
    return drawn, [_say(scene, rng) for scene in scenes]


def latents(pictures: list[Image.Image]) -> torch.Tensor:
    """What the encoder makes of pictures, up to rounding and in far less time."""
    quarters = pixels([picture.reduce(4) for picture in pictures])
    return (functional.pixel_unshuffle(quarters, 2) / 2 + 0.5 - MEAN) / SPREAD


def _say(scene: Scene, rng: Random) -> str:
    return "" if rng.random() < _BLANK else caption(scene, rng)
