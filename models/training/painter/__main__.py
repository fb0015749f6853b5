"""The command that trains the starter image bot, end to end. Knows all the others."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from random import Random
from typing import Any

import click
import torch
from diffusers import PixArtAlphaPipeline

from models.training.painter.build import WORDS, Shape, new_pipeline
from models.training.painter.captions import all_words
from models.training.painter.card import write_card
from models.training.painter.evaluate import draw_all, held_out_scenes, measure
from models.training.painter.pictures import draw_captioned, draw_quarters, draw_sketched
from models.training.painter.render import SIDE
from models.training.painter.sketch import CELLS
from models.training.painter.train import Denoising, Reading, Sharpening, Stage, draw_times, train
from models.training.painter.world import landscapes


def build(
    shape: Shape,
    minutes: float,
    work: Path,
    out: Path,
    *,
    begin: Path | None = None,
    compiled: bool = False,
) -> PixArtAlphaPipeline:
    """Train, or go on training; `out` holds the best so far from early on.

    `begin`: a finished model of this shape, of which the denoiser is trained on.
    """
    pipeline = new_pipeline(shape)
    rng = Random()

    def read(captions: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens and which of them are more than padding, as the pipeline makes them but shorter:
        nobody looks at the padding."""
        filled = pipeline.tokenizer(
            captions,
            padding="max_length",
            max_length=WORDS + CELLS**2,
            truncation=True,
            return_tensors="pt",
        )
        return filled.input_ids, filled.attention_mask

    def draw_read(batch: int) -> tuple[torch.Tensor, ...]:
        captions, facts, measures = draw_sketched(batch, rng)
        return read(captions)[0], facts, measures

    def draw_noisy(batch: int) -> tuple[torch.Tensor, ...]:
        latents, captions = draw_captioned(batch, rng)
        times = draw_times(batch, pipeline.scheduler.config.num_train_timesteps)
        return latents, *read(captions), times, torch.randn_like(latents)

    if begin is None:
        stage = Stage("decoder", 0.1 * minutes, 16, 2e-3)
        train(stage, Sharpening(pipeline.vae), lambda batch: (draw_quarters(batch, rng),), work)
        stage = Stage("reader", 0.2 * minutes, 64, 1e-3, compiled=compiled)
        reading = Reading(pipeline)
        train(stage, reading, draw_read, work)
        denoising = Denoising(pipeline)  # from here on the text encoder stays as it is
        denoising.look_as(reading, draw_read(256)[0])
        stage = Stage("denoiser", 0.7 * minutes, 48, 1.5e-3, compiled=compiled)
    else:
        _take_over(pipeline, begin)
        denoising = Denoising(pipeline)
        stage = Stage("denoiser", minutes, 48, 7e-4, compiled=compiled)
    train(stage, denoising, draw_noisy, work, lambda: write(pipeline, out))
    return pipeline


def _take_over(pipeline: PixArtAlphaPipeline, begin: Path) -> None:
    known = PixArtAlphaPipeline.from_pretrained(begin, local_files_only=True)
    for name in ("vae", "text_encoder", "transformer"):
        getattr(pipeline, name).load_state_dict(getattr(known, name).float().state_dict())


# What an engine that asks this model needs to know and cannot read from the pipeline.
DRAWING: dict[str, Any] = {
    "width": SIDE,
    "height": SIDE,
    "steps": 20,
    "guidance": 1.5,
    "harmless": True,
    "redraw": False,
    "words": all_words(),
    "draws": "shapes, faces, houses, trees, cars, cats, boats and fish in eleven colours, and"
    " landscapes with weather; things alone best",
    "examples": [
        "a rainbow and the sun",
        "the sea at sunset",
        "a big red heart",
        "a purple star on the left on yellow paper",
        "a blue boat under a cloud",
        "a red circle above a green square",
    ],
}


def write(pipeline: PixArtAlphaPipeline, out: Path) -> None:
    """The directory that a server loads: the pipeline in fp16, and how it is asked."""
    for name in ("vae", "text_encoder", "transformer"):
        part = getattr(pipeline, name)
        exact = {key: value.clone() for key, value in part.state_dict().items()}
        part.half().save_pretrained(out / name)
        part.float().load_state_dict(exact)
    # Stored in half the space, but not to be loaded as halves unless somebody asks for that.
    _amend(out / "text_encoder" / "config.json", dtype="float32")
    # Derived from other entries; found in the file, it is reported as unknown.
    _amend(out / "vae" / "config.json", block_out_channels=None)
    pipeline.tokenizer.save_pretrained(out / "tokenizer")
    pipeline.scheduler.save_pretrained(out / "scheduler")
    pipeline.save_config(out)
    (out / "drawing.json").write_text(json.dumps(DRAWING, indent=2) + "\n", encoding="utf-8")
    for path in out.rglob("*"):
        if path.is_file():
            path.chmod(0o644)  # safetensors writes 0600; the daemon may run as another user


def _amend(path: Path, **entries: Any) -> None:
    """Change entries of a JSON file, or take out those that are None."""
    changed = json.loads(path.read_text(encoding="utf-8")) | entries
    kept = {key: value for key, value in changed.items() if value is not None or key not in entries}
    path.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


@click.command()
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option(
    "--work",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("build/painter"),
    show_default=True,
    help="Where checkpoints lie until the model is finished.",
)
@click.option(
    "--begin",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A finished model, to train its denoiser on rather than to begin anew.",
)
@click.option("--minutes", default=90.0, show_default=True, help="How long to train.")
@click.option("--threads", default=1, show_default=True)
@click.option(
    "--compile/--no-compile",
    "compiled",
    default=True,
    show_default=True,
    help="More than twice as fast; needs a C++ compiler and some minutes to start.",
)
@click.option("--evaluate", is_flag=True, help="Measure what is in --out; train nothing.")
@click.option("--scenes", default=400, show_default=True, help="How many to measure with.")
def main(
    out: Path,
    work: Path,
    begin: Path | None,
    minutes: float,
    threads: int,
    compiled: bool,
    evaluate: bool,
    scenes: int,
) -> None:
    """Train the starter image bot, from the last checkpoint if there is one, and measure it."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(threads)
    if not evaluate:
        write(build(Shape(), minutes, work, out, begin=begin, compiled=compiled), out)
    pipeline = PixArtAlphaPipeline.from_pretrained(out, local_files_only=True)
    steps, guidance = DRAWING["steps"], DRAWING["guidance"]
    drawn, empty = (
        list(draw_all(pipeline, asked, steps=steps, guidance=guidance))
        for asked in (held_out_scenes(scenes), landscapes())
    )
    figures = measure(pipeline, drawn, empty, steps=steps, guidance=guidance)
    figures.save(out / "evaluation.json")
    write_card(out, drawn, empty, figures)


if __name__ == "__main__":
    main()
