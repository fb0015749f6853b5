"""Makes the starter model anew, end to end. The only module here that knows all the others.

    python -m models.training.starter --corpora DIR --out models/starter

The corpora become a dataset, and the weights of the present starter are trained on it as those of
any voice are (`models.training.voice`). It may be killed at any time; the same command goes on from
the last checkpoint in --work.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2LMHeadModel

from models.training import dataset
from models.training.card import write_card
from models.training.evaluate import Bot, measure
from models.training.material import read
from models.training.voice import Plan, train

if TYPE_CHECKING:
    from models.training.material import Material
    from models.training.voice import Progress, TrainingCard

SHIPPED = Path(__file__).parents[1] / "starter"
SESSIONS = 20_000
"""As many as one core to itself learns from in some 20 minutes."""

_WEIGHTS = "model.safetensors"
_KEPT = ("config.json", "generation_config.json", "format.json", "chat_template.jinja",
         "tokenizer.json", "tokenizer_config.json")  # fmt: skip


def build(material: Material, base: Path, work: Path, sessions: int = SESSIONS) -> TrainingCard:
    """Train, or go on training, the model in `base`. In `work`, it is kept as it was (before), and
    the outcome is there (voice). Raises what `models.training.voice.train` raises."""
    before, begun = _kept(base, work / "before"), work / "base"
    if not begun.exists():
        _without_dropout(before, begun)
    dataset.write(material, work / "dataset", sessions)
    return train(work / "dataset", work / "voice", _plan(begun), _tell)


def _plan(base: Path) -> Plan:
    return Plan(
        method="full",
        base=base,
        epochs=1,  # all of it is drawn once, each line typed in another way
        rate=5e-4,
        batch=32,
        # It does not overlearn what it reads once; and what a rate that rises again spoils at first
        # takes a while to come back.
        patience=20,
        device="cpu",
    )


def _kept(base: Path, copy: Path) -> Path:
    """A killed run must find the model as it was when it began, even if the outcome is already
    half written in its place."""
    if not copy.exists():
        part = copy.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(base, part)
        part.rename(copy)
    return copy


def _without_dropout(model: Path, copy: Path) -> None:
    """What is read once cannot be learned by heart, which is what dropout is against."""
    part = copy.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(model, part)
    GPT2LMHeadModel.from_pretrained(model, resid_pdrop=0.0).save_pretrained(part)
    part.rename(copy)


def _tell(progress: Progress) -> None:
    if progress.doing:
        click.echo(progress.doing)
    elif progress.done % 10 == 0:
        left = f", {progress.seconds_left / 60:.0f} minutes left" if progress.seconds_left else ""
        click.echo(f"update {progress.done} of {progress.total}, loss {progress.loss}{left}")


def write(work: Path, out: Path) -> None:
    """The directory a server loads: the weights half way between before and after, everything else
    as before.

    A training brings back English and costs some manners; half of the way, nearly all of the first
    is there and little of the second is lost (Wortsman et al., https://arxiv.org/abs/2109.01903).
    Measured, perplexity of self-dialogue and exact friendly answers: before 49.0 and 80.5 %, after
    37.5 and 82.8 %, half way 40.5 and 83.4 %; known ones 99.1, 97.1 and 98.8 %.
    """
    out.mkdir(parents=True, exist_ok=True)
    before, after = (load_file(work / part / _WEIGHTS) for part in ("before", "voice"))
    mean = {name: ((before[name].float() + after[name].float()) / 2).half() for name in before}
    save_file(mean, out / _WEIGHTS, metadata={"format": "pt"})
    for name in _KEPT:
        shutil.copyfile(work / "before" / name, out / name)
    for path in out.iterdir():
        path.chmod(0o644)  # safetensors writes 0600, and the daemon may run as another user


@click.command()
@click.option(
    "--corpora", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True
)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option(
    "--work",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("build/starter"),
    show_default=True,
    help="Where the dataset and the checkpoints lie.",
)
@click.option("--threads", default=1, show_default=True)
def main(corpora: Path, out: Path, work: Path, threads: int) -> None:
    """Train the starter model on the corpora, from the last checkpoint if there is one."""
    torch.set_num_threads(threads)
    material = read(corpora)
    made = build(material, SHIPPED, work)
    write(work, out)
    before, after = Bot(work / "before"), Bot(out)
    write_card(out, corpora, after, measure(before, material), measure(after, material), made)


if __name__ == "__main__":
    main()
