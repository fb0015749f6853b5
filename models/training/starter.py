"""Trains the starter model, end to end. The only module here that knows all the others.

    python -m models.training.starter --corpora DIR --out models/starter

Two stages: English first (self-dialogue, both voices), then manners (small talk, loss on the
replies alone). It may be killed at any time; the same command goes on from the last checkpoint in
--work.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import torch
from transformers import GenerationConfig, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from models.training.card import write_card
from models.training.corpora import polish
from models.training.evaluate import Bot, measure
from models.training.material import Material, read
from models.training.samples import English
from models.training.tokens import CONTEXT, END, START, Encoder, Sample, build_tokenizer
from models.training.train import Stage, train

if TYPE_CHECKING:
    from random import Random


@dataclass(frozen=True, slots=True)
class Plan:
    """How large and how long. The defaults are the shipped model's; the tests use a tiny one."""

    vocabulary: int = 4096
    layers: int = 5
    heads: int = 5
    width: int = 320
    english_rounds: int = 110
    manners_rounds: int = 340
    round_tokens: int = 32_768


def build(
    material: Material, plan: Plan, work: Path
) -> tuple[GPT2LMHeadModel, PreTrainedTokenizerFast]:
    """Train, or go on training, and return what came out."""
    tokenizer = _tokenizer(material, plan, work)
    model = new_model(tokenizer, plan)
    encoder = Encoder(tokenizer)
    english, small_talk = English(material.dialogues), material.small_talk

    def draw_english(rng: Random) -> Sample:
        return encoder.sample(english.draw(rng), learn_all=True)

    def draw_manners(rng: Random) -> Sample:
        return encoder.sample(small_talk.draw(rng))

    train(model, Stage("english", draw_english, plan.english_rounds, 2e-3, 1e-3,
                       round_tokens=plan.round_tokens), work)  # fmt: skip
    train(model, Stage("manners", draw_manners, plan.manners_rounds, 2e-3, 1e-5,
                       round_tokens=plan.round_tokens), work)  # fmt: skip
    return model, tokenizer


def new_model(tokenizer: PreTrainedTokenizerFast, plan: Plan) -> GPT2LMHeadModel:
    """A model that knows nothing yet, always the same one."""
    vocabulary = tokenizer.get_vocab()
    torch.manual_seed(1)
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(vocabulary),
            n_positions=CONTEXT,
            n_embd=plan.width,
            n_layer=plan.layers,
            n_head=plan.heads,
            # The fused form of GPT-2's gelu, and dropout only where train() sets it.
            activation_function="gelu_pytorch_tanh",
            attn_pdrop=0.0,
            embd_pdrop=0.0,
            bos_token_id=vocabulary[START],
            eos_token_id=vocabulary[END],
            pad_token_id=vocabulary[START],
        )
    )
    # At these lengths the backward pass of the fused kernel is half as fast on a CPU.
    model.set_attn_implementation("eager")
    return model


def _tokenizer(material: Material, plan: Plan, work: Path) -> PreTrainedTokenizerFast:
    saved = work / "tokenizer"
    if not saved.exists():
        texts = [
            polish(turn) if i % 2 else turn for d in material.dialogues for i, turn in enumerate(d)
        ]
        texts += 20 * sorted({e.reply for e in material.exchanges})
        build_tokenizer(texts, plan.vocabulary).save_pretrained(saved)
    tokenizer: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(saved)
    return tokenizer


# What the serving engine needs to know and cannot read from the weights.
FORMAT: dict[str, Any] = {
    "kind": "chat",
    "context": CONTEXT,
    "names": "rooms",
    "stop": [END],
    "sampling": {
        "temperature": 0.4,
        "top_p": 0.9,
        "top_k": 20,
        "repetition_penalty": 1.0,
        "max_tokens": 40,
    },
}


def write(model: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    """The directory a server loads: weights in fp16, tokenizer, template, format."""
    out.mkdir(parents=True, exist_ok=True)
    end, start = (tokenizer.get_vocab()[token] for token in (END, START))
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]  # left so
        bos_token_id=start, eos_token_id=[end, start], pad_token_id=start
    )
    model.to(torch.float16).save_pretrained(out)  # type: ignore[arg-type]  # torch's overloads
    for trace in ("is_local", "local_files_only"):  # of having been loaded from the work directory
        tokenizer.init_kwargs.pop(trace, None)
    tokenizer.save_pretrained(out)
    (out / "format.json").write_text(json.dumps(FORMAT, indent=2) + "\n", encoding="utf-8")
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
    help="Where checkpoints lie until the model is finished.",
)
@click.option("--threads", default=1, show_default=True)
def main(corpora: Path, out: Path, work: Path, threads: int) -> None:
    """Train the starter model on the corpora, from the last checkpoint if there is one."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(threads)
    material = read(corpora)
    model, tokenizer = build(material, Plan(), work)
    write(model, tokenizer, out)
    bot = Bot(out)
    torch.manual_seed(1)
    write_card(out, corpora, bot, measure(bot, material))


if __name__ == "__main__":
    main()
