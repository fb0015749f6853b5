"""How often the pictures are right, and how far the judge can be believed. Knows no training.

Scenes with things in them are of the twentieth of all combinations that training never saw. Of
landscapes alone there are so few that it saw them all.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import asdict, dataclass
from random import Random
from typing import TYPE_CHECKING

import torch

from models.training.painter.captions import caption
from models.training.painter.judge import fault, shows
from models.training.painter.render import render
from models.training.painter.world import Scene, draw_scene

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from diffusers import PixArtAlphaPipeline
    from PIL import Image

# How the layouts are called in reports.
KINDS = {
    "alone": "one thing",
    "left": "left of, right of",
    "above": "above, under",
    "inside": "inside",
    "row": "two or three in a row",
}


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured. `kinds`: per layout, how many were asked for and how many were right.

    Landscapes alone are counted apart from all the others.
    """

    asked: int
    right: int
    kinds: dict[str, tuple[int, int]]
    landscapes: tuple[int, int]
    faults: dict[str, int]
    rendered_right: float  # rendered pictures of the very scene that the judge passes
    others_right: float  # rendered pictures of another scene that it passes
    seconds: float  # for one picture, alone, on one thread
    steps: int
    guidance: float

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Drawn:
    """A caption and what came of it."""

    scene: Scene
    caption: str
    picture: Image.Image
    fault: str


def held_out_scenes(number: int, seed: int = 1) -> list[Scene]:
    """Held-out scenes, in the proportions of training."""
    rng = Random(f"evaluation {seed}")
    return [draw_scene(rng, held_out=True) for _ in range(number)]


def draw_all(
    pipeline: PixArtAlphaPipeline,
    scenes: list[Scene],
    *,
    steps: int,
    guidance: float,
    batch: int = 8,
) -> Iterator[Drawn]:
    """A picture of each scene, asked for in varied words, with seed 0, 1, 2 and so on."""
    rng = Random("captions")
    captions = [caption(scene, rng, exact=True) for scene in scenes]
    pipeline.set_progress_bar_config(disable=True)
    for first in range(0, len(scenes), batch):
        part = captions[first : first + batch]
        seeds = [torch.Generator().manual_seed(first + i) for i in range(len(part))]
        with torch.autocast("cpu", torch.bfloat16):
            pictures = pipeline(
                part, num_inference_steps=steps, guidance_scale=guidance, generator=seeds
            ).images
        for i, picture in enumerate(pictures):
            scene = scenes[first + i]
            yield Drawn(scene, part[i], picture, fault(picture, scene))


def judge_the_judge(number: int) -> tuple[float, float]:
    """How much of what is right it passes, and how much of what is wrong, on rendered pictures."""
    scenes = held_out_scenes(number, seed=2)
    rng = Random("rendering")
    pictures = [render(scene, rng) for scene in scenes]
    own = sum(map(shows, pictures, scenes))
    # A scene may say the same as its neighbour; then it is no other scene.
    pairs = zip(pictures[1:] + pictures[:1], scenes, scenes[1:] + scenes[:1], strict=True)
    wrong = [shows(picture, scene) for picture, scene, other in pairs if scene != other]
    return own / number, sum(wrong) / len(wrong)


def measure(
    pipeline: PixArtAlphaPipeline,
    drawn: list[Drawn],
    empty: list[Drawn],
    *,
    steps: int,
    guidance: float,
) -> Figures:
    """Sum up what was drawn (`empty`: landscapes alone), and time one picture."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    began = time.perf_counter()
    for _ in range(3):
        pipeline("a red circle", num_inference_steps=steps, guidance_scale=guidance)
    seconds = (time.perf_counter() - began) / 3
    torch.set_num_threads(threads)
    asked = Counter[str](d.scene.layout for d in drawn)
    right = Counter[str](d.scene.layout for d in drawn if not d.fault)
    own, others = judge_the_judge(400)
    return Figures(
        asked=len(drawn),
        right=sum(right.values()),
        kinds={name: (asked[layout], right[layout]) for layout, name in KINDS.items()},
        landscapes=(len(empty), sum(not d.fault for d in empty)),
        faults=dict(Counter(d.fault for d in drawn if d.fault).most_common()),
        rendered_right=own,
        others_right=others,
        seconds=round(seconds, 2),
        steps=steps,
        guidance=guidance,
    )
