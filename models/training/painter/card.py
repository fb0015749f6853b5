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

A `PixArtAlphaPipeline` of small parts, all in fp16: a diffusion transformer of 8.8 million
parameters whose 64 tokens are the cells of the picture, 8 x 8 of them; a CLIP text encoder of four
layers, with one token for each word it knows and, behind the words, one for each cell; and an
`AutoencoderTiny`. Its encoder was not trained: the latents of a picture of 256 x 256 are the
picture at 64 x 64, two by two pixels in one place, and the decoder has learned to draw the sharp
edges again. Nothing here comes from another model, and all it ever saw was drawn by
`models/training/painter/render.py`.

## How it was made

    python -m models.training.painter --out models/painter

First the decoder; then the text encoder, by guessing from the words alone what is in each cell:
which thing, how large, how far its middle is; then the denoiser, whose attention begins with
queries and keys by which each cell finds its own token, and with values that say what the text
encoder guesses. It learns to say what the picture is, on a schedule that ends in nothing but noise,
with a tenth of the captions left out for guidance. The learning rate follows the clock: `--minutes`
says how long it takes, and a killed run goes on from its last checkpoint.

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
The shipped weights ended when the time did. On one thread of a busy two-core machine they had some
13 minutes for the decoder (5,773 steps of 16 quarters of pictures half as large as now), 44 for the
text encoder and 77 for the denoiser (4,032 steps of 48, and with `--begin` 926 more: 238,000
pictures). The text encoder was first taught 3,160 steps of 64 with the tokens of the cells at fixed
places, and then 3,233 with them behind the words. The command as it is now does the whole in one
go, which has not been tried at this size."""
_LIMITS = """\
Detail. Of 246 other held-out scenes of one thing, 96 % of the shapes were right, but half of the
rest: what is small in a cell of the picture, of which there are eight a side, such as an eye, a
mouth, a wheel or the inside of a digit, smudges. So do small things, and what is inside another. Of
two or three things each is where it belongs, but often one of them is too vague to count. The text
encoder is not the limit: it knew what was asked for, to the cell, in 95 % of 400 held-out scenes.
The denoiser was still getting better: the last 14 minutes took it from 56 % to 60 %."""
