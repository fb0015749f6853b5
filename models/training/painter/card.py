"""Writes what the image bot's directory says of itself: README and a sheet. Knows no training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

from models.training.painter.captions import all_words
from models.training.painter.render import SIDE

if TYPE_CHECKING:
    from pathlib import Path

    from models.training.painter.evaluate import Drawn, Figures

_COLUMNS, _ROWS = 8, 4


def write_card(directory: Path, drawn: list[Drawn], empty: list[Drawn], figures: Figures) -> None:
    """README.md with the figures, and examples.png with some pictures, right or wrong.

    They are the first of `drawn`, and landscapes (`empty`) at even distances.
    """
    shown = drawn[: _COLUMNS * (_ROWS - 1)] + empty[:: max(1, len(empty) // _COLUMNS)][:_COLUMNS]
    sheet(shown).save(directory / "examples.png", optimize=True)
    lines = [
        f"{i}. {d.caption}{f' ({d.fault})' if d.fault else ''}" for i, d in enumerate(shown, 1)
    ]
    rows = [f"| {name} | {asked} | {right / asked:.0%} |"
            for name, (asked, right) in figures.kinds.items() if asked]  # fmt: skip
    text = _README.format(
        asked=figures.asked,
        right=f"{figures.right / figures.asked:.0%}",
        rows="\n".join(rows),
        landscapes=figures.landscapes[0],
        landscapes_right=figures.landscapes[1],
        faults=", ".join(f"{name} {number}" for name, number in figures.faults.items()),
        rendered=f"{figures.rendered_right:.1%}",
        others=f"{figures.others_right:.1%}",
        steps=figures.steps,
        examples="\n".join(lines),
        number=len(shown),
        words=len(all_words()),
        guidance=figures.guidance,
        history=_HISTORY,
        limits=_LIMITS,
    )
    (directory / "README.md").write_text(text, encoding="utf-8")


def sheet(drawn: list[Drawn], columns: int = _COLUMNS) -> Image.Image:
    """The pictures side by side."""
    step = SIDE + 4
    rows = -(-len(drawn) // columns)
    paper = Image.new("RGB", (columns * step - 4, rows * step - 4), (90, 90, 90))
    for i, one in enumerate(drawn):
        paper.paste(one.picture, (i % columns * step, i // columns * step))
    return paper


_README = """\
# The starter image bot

A toy. It is here so that a newcomer without a GPU and without a network gets a picture from a real
diffusion model that this project trained. It is to draw one small world and nothing else: shapes,
digits, faces, a house, a tree, a flower, a car, a cat, a boat and a fish, in eleven colours and
three sizes, next to, above or inside each other, on paper or in a landscape with weather.

A `StableDiffusionPipeline` of small parts, all in fp16: a denoiser of 7.8 million parameters on 16
x 16 x 12 latents, a CLIP text encoder of four layers with one token for each word it knows and one,
behind the words, for each of 8 x 8 cells of the picture, and an `AutoencoderTiny`. Its encoder was
not trained: the latents of a picture of 128 x 128 are the picture at 32 x 32, and the decoder has
learned to draw the sharp edges again. Nothing here comes from another model, and all it ever saw
was drawn by `models/training/painter/render.py`.

## How it was made

    python -m models.training.painter --out models/painter

First the decoder; then the text encoder, by guessing from the words alone what is in each cell:
which thing, how large, how far its middle is; then the denoiser, whose attention begins with keys
and values that say just that, and is taught to look from each place at its own cell. It learns
v-prediction, on a schedule that ends in nothing but noise, with a tenth of the captions left out
for guidance. The learning rate follows the clock: `--minutes` says how long it takes, and a killed
run goes on from its last checkpoint.

{history}

## Asking it

`drawing.json` says how: size, steps, guidance, and the {words} words it understands. It knows no
other words; whoever writes them gets a picture of the rest. Examples are in there too.

## How well it does

{asked} scenes of the twentieth of all combinations that it was never trained on (chosen by a hash
of the things, their colours, sizes and places), asked for in varied words, {steps} steps, guidance
{guidance}. A picture is right when everything asked for is there, once, in its colour, size and
place, before its backdrop and in its weather, and nothing else is.

| asked for | pictures | right |
|---|---|---|
{rows}
| all | {asked} | {right} |

Landscapes without things, all of which it was trained on: {landscapes_right} of {landscapes} right.

What was wrong first in the others: {faults}.

`judge.py` reads this from the pixels. It passes {rendered} of rendered pictures of what was asked,
and {others} of rendered pictures of another such scene, drawn by lot.

## What it is bad at

{limits}

## {number} of them, unedited

![examples](examples.png)

The first of those above, and a row of landscapes. In brackets, what the judge found wrong.

{examples}
"""

# What the command cannot know: how the weights in the repository were really made, and what a
# person who looked at many of their pictures would say.
_HISTORY = """\
The shipped weights are unfinished: they ended when the time did. On one thread of a busy two-core
machine they had some 13 minutes for the decoder (5,773 steps of 16 quarters of pictures), 22 for
the text encoder (3,160 steps of 64) and 49 for the denoiser (7,650 steps of 32: 245,000 pictures).
They were made in several sittings, and the code changed between them: what all cells have in common
was taken off the values only after 4,100 steps of the denoiser, until 3,200 all steps of the noise
counted alike, and until 4,900 its attention had to look exactly at its own cells. The command as it
is now does the whole in one go. What some hours of it lead to has not been tried."""
_LIMITS = """\
Shapes. The text encoder knows what was asked for in nine of ten held-out scenes, to the cell; the
denoiser has learned where things are and how large they are, and of things alone mostly the colour,
but draws patches, of which only boxes come out as what they are. Two things side by side share
their colours. Night, falling rain and snow, clouds and the moon come out seldom."""
