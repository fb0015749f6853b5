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

from models.training.corpora import (
    Exchange,
    fold,
    hold_out,
    polish,
    read_personality_chat,
    read_self_dialogue,
)
from models.training.manners import Manners, read_manners
from models.training.samples import English, SmallTalk
from models.training.tokens import CONTEXT, END, START, Encoder, Sample, build_tokenizer
from models.training.train import Stage, train

if TYPE_CHECKING:
    from random import Random

HELD_OUT_QUERIES = 344
HELD_OUT_DIALOGUES = 200


@dataclass(frozen=True, slots=True)
class Plan:
    """How large and how long. The defaults are the shipped model's; the tests use a tiny one."""

    vocabulary: int = 4096
    layers: int = 5
    heads: int = 5
    width: int = 320
    english_rounds: int = 260
    manners_rounds: int = 400
    round_tokens: int = 32_768


@dataclass(frozen=True, slots=True)
class Material:
    """Everything read from the corpora, split once and for all."""

    exchanges: list[Exchange]
    dialogues: list[list[str]]
    manners: Manners
    held_queries: set[str]
    held_dialogues: list[list[str]]

    @property
    def small_talk(self) -> SmallTalk:
        return SmallTalk(self.exchanges, self.manners, self.dialogues, self.held_queries)

    def held_exchanges(self, personality: str) -> list[Exchange]:
        return [
            e for e in self.exchanges
            if e.personality == personality and fold(e.query) in self.held_queries
        ]  # fmt: skip


def read(corpora: Path) -> Material:
    exchanges = read_personality_chat(corpora)
    manners = read_manners()
    dialogues = list(read_self_dialogue(corpora))
    return Material(
        exchanges,
        dialogues[HELD_OUT_DIALOGUES:],
        manners,
        hold_out(exchanges, HELD_OUT_QUERIES, manners.lines()),
        dialogues[:HELD_OUT_DIALOGUES],
    )


def build(
    material: Material, plan: Plan, work: Path
) -> tuple[GPT2LMHeadModel, PreTrainedTokenizerFast]:
    """Train, or go on training, and return what came out."""
    tokenizer = _tokenizer(material, plan, work)
    encoder = Encoder(tokenizer)
    torch.manual_seed(1)
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(tokenizer),
            n_positions=CONTEXT,
            n_embd=plan.width,
            n_layer=plan.layers,
            n_head=plan.heads,
            # The fused form of GPT-2's gelu, and dropout only where train() sets it.
            activation_function="gelu_pytorch_tanh",
            attn_pdrop=0.0,
            embd_pdrop=0.0,
            bos_token_id=tokenizer.convert_tokens_to_ids(START),
            eos_token_id=tokenizer.convert_tokens_to_ids(END),
            pad_token_id=tokenizer.convert_tokens_to_ids(START),
            # At these lengths the backward pass of the fused kernel is half as fast on a CPU.
            attn_implementation="eager",
        )
    )
    english, small_talk = English(material.dialogues), material.small_talk

    def draw_english(rng: Random) -> Sample:
        return encoder.sample(english.draw(rng), learn_all=True)

    def draw_manners(rng: Random) -> Sample:
        return encoder.sample(small_talk.draw(rng))

    train(model, Stage("english", draw_english, plan.english_rounds, 1.5e-3, 3e-4,
                       round_tokens=plan.round_tokens), work)  # fmt: skip
    train(model, Stage("manners", draw_manners, plan.manners_rounds, 1e-3, 1e-5, dropout=0.1,
                       round_tokens=plan.round_tokens), work)  # fmt: skip
    return model, tokenizer


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
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 20,
        "repetition_penalty": 1.0,
        "max_tokens": 40,
    },
}


def write(model: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    """The directory a server loads: weights in fp16, tokenizer, template, format."""
    out.mkdir(parents=True, exist_ok=True)
    ends = [tokenizer.convert_tokens_to_ids(token) for token in (END, START)]
    model.generation_config = GenerationConfig(
        bos_token_id=ends[1], eos_token_id=ends, pad_token_id=ends[1]
    )
    model.half().save_pretrained(out)
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
    model, tokenizer = build(read(corpora), Plan(), work)
    write(model, tokenizer, out)


if __name__ == "__main__":
    main()
