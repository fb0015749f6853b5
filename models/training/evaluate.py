"""Asks a trained starter what it was not taught, and counts. Knows not how it was trained."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import click
import torch
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

from models.training.corpora import PERSONALITIES, fold, polish
from models.training.material import Material, read
from models.training.tokens import CONTEXT, IGNORED, Dialogue, Encoder, Sample, Turn
from models.training.train import reply_loss

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from models.training.corpora import Exchange, Personality
    from models.training.samples import SmallTalk


@dataclass(frozen=True, slots=True)
class Likelihood:
    """How well text is foreseen: per token, and per byte, which compares between tokenizers."""

    perplexity: float
    bits_per_byte: float


@dataclass(frozen=True, slots=True)
class Hits:
    """Of `asked` held-out queries: greedy replies that are the corpus's own, and any known one."""

    asked: int
    exact: float
    fitting: float
    misses: Sequence[tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class Figures:
    """What the README says of a model.

    `later` is behind a conversation on something else; `overheard` counts the held-out queries that
    people also say in self-dialogue, where the model reads them without the answer wanted here.
    """

    friendly: Hits
    friendly_later: Hits
    comic: Hits
    comic_later: Hits
    friendly_likelihood: Likelihood
    comic_likelihood: Likelihood
    self_dialogue: Likelihood
    dialogues: int
    overheard: int


class Bot:
    """A starter directory that talks, with the sampling its `format.json` asks for."""

    def __init__(self, directory: Path) -> None:
        self.tokenizer: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(directory)
        self.model = GPT2LMHeadModel.from_pretrained(directory, dtype=torch.float32)
        self.model.train(False)
        self.encoder = Encoder(self.tokenizer)
        self.sampling: dict[str, Any] = json.loads((directory / "format.json").read_text())[
            "sampling"
        ]

    def replies(self, dialogues: Sequence[Dialogue], *, greedy: bool = False) -> list[str]:
        """What the bot says next in each. Prompts of one length share a batch: none is padded."""
        said = [""] * len(dialogues)
        by_length: defaultdict[int, list[int]] = defaultdict(list)
        room = CONTEXT - int(self.sampling["max_tokens"])
        prompts = [self.encoder.prompt(dialogue, room) for dialogue in dialogues]
        for i, prompt in enumerate(prompts):
            by_length[len(prompt)].append(i)
        for length, members in by_length.items():
            for start in range(0, len(members), 64):
                part = members[start : start + 64]
                rows = self._generate([prompts[i] for i in part], greedy)
                for i, row in zip(part, rows, strict=True):
                    said[i] = self._text(row[length:]).strip()
        return said

    @torch.inference_mode()
    def _generate(self, prompts: list[list[int]], greedy: bool) -> list[list[int]]:
        tokens = torch.tensor(prompts)
        settings: dict[str, Any] = {"do_sample": False}
        if not greedy:
            settings = {key: value for key, value in self.sampling.items() if key != "max_tokens"}
            settings["do_sample"] = True
        generate: Any = self.model.generate  # type: ignore[misc]  # annotated for no model at all
        rows = generate(
            tokens,
            attention_mask=torch.ones_like(tokens),
            max_new_tokens=self.sampling["max_tokens"],
            pad_token_id=self.tokenizer.pad_token_id,
            **settings,
        )
        listed: list[list[int]] = rows.tolist()
        return listed

    def _text(self, tokens: list[int]) -> str:
        return str(self.tokenizer.decode(tokens, skip_special_tokens=True))

    @torch.inference_mode()
    def likelihood(self, samples: Sequence[Sample]) -> Likelihood:
        """Over the learned tokens of the samples; the bytes are those of the text alone."""
        nats, tokens, size = 0.0, 0, 0
        for start in range(0, len(samples), 32):
            batch = samples[start : start + 32]
            nats += reply_loss(self.model, batch, reduction="sum").item()
            for sample in batch:
                learned = [label for label in sample.labels[1:] if label != IGNORED]
                tokens += len(learned)
                size += len(self._text(learned).encode())
        return Likelihood(math.exp(nats / tokens), nats / math.log(2) / size)


def measure(bot: Bot, material: Material) -> Figures:
    """Every figure of the README, in some minutes on one core."""
    hits: dict[tuple[Personality, bool], Hits] = {}
    likelihood: dict[Personality, Likelihood] = {}
    for p in PERSONALITIES:
        held = material.held_exchanges(p)
        known = {e.reply for e in material.exchanges if e.personality == p}
        known |= material.manners.replies(p)
        hits[p, False] = ask(bot, held, known)
        hits[p, True] = ask(bot, held, known, material.small_talk)
        likelihood[p] = bot.likelihood([bot.encoder.sample(_alone(e)) for e in held])
    dialogues = [_voices(turns) for turns in material.held_dialogues]
    spoken = {fold(turn) for turns in material.dialogues for turn in turns}
    return Figures(
        hits["friendly", False],
        hits["friendly", True],
        hits["comic", False],
        hits["comic", True],
        likelihood["friendly"],
        likelihood["comic"],
        bot.likelihood([bot.encoder.sample(dialogue) for dialogue in dialogues]),
        len(dialogues),
        len(spoken & material.held_queries),
    )


def _alone(e: Exchange) -> Dialogue:
    return Dialogue(e.personality, [Turn("user", e.query), Turn("assistant", e.reply)])


def _voices(turns: Sequence[str]) -> Dialogue:
    """A self-dialogue whose second voice is the bot's, in the spelling that it learned."""
    said = [Turn("assistant", polish(t)) if i % 2 else Turn("user", t) for i, t in enumerate(turns)]
    return Dialogue("friendly", said)


def ask(
    bot: Bot,
    exchanges: Sequence[Exchange],
    known: Collection[str],
    small_talk: SmallTalk | None = None,
) -> Hits:
    """Put every query to the bot, greedily; behind drawn small talk, if some is given."""
    rng = Random(7)
    dialogues = []
    for e in exchanges:
        before = small_talk.draw_as(e.personality, rng).turns if small_talk else []
        turns = [*_first(bot, before), Turn("user", e.query)]
        dialogues.append(Dialogue(e.personality, turns))
    replies = bot.replies(dialogues, greedy=True)
    pairs = list(zip(exchanges, replies, strict=True))
    return Hits(
        len(pairs),
        sum(reply == e.reply for e, reply in pairs) / len(pairs),
        sum(reply == e.reply or reply in known for e, reply in pairs) / len(pairs),
        [(e.query, e.reply, reply) for e, reply in pairs if reply != e.reply],
    )


def _first(bot: Bot, turns: Sequence[Turn], room: int = 160) -> Sequence[Turn]:
    """As much of a history, from its start, as leaves room for a question."""
    kept: list[Turn] = []
    for query, reply in zip(turns[::2], turns[1::2], strict=False):
        room -= len(bot.encoder.text(query)) + len(bot.encoder.text(reply)) + 4
        if room < 0:
            break
        kept += [query, reply]
    return kept


def converse(bot: Bot, lines: Sequence[str], personality: Personality) -> list[tuple[str, str]]:
    """Say the lines one after the other, with everything said so far as history."""
    turns: list[Turn] = []
    for line in lines:
        turns.append(Turn("user", line))
        turns.append(Turn("assistant", bot.replies([Dialogue(personality, turns)])[0]))
    return [(turns[i].text, turns[i + 1].text) for i in range(0, len(turns), 2)]


@click.command()
@click.option("--corpora", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--model", type=click.Path(exists=True, path_type=Path), required=True)
def main(corpora: Path, model: Path) -> None:
    """Print the figures of a model, and every held-out query that it answers in other words."""
    figures = measure(Bot(model), read(corpora))
    for query, wanted, said in figures.friendly.misses:
        click.echo(f"{query} -> {said}   (in the corpus: {wanted})")
    for name, value in asdict(figures).items():
        if isinstance(value, dict):
            value.pop("misses", None)
        click.echo(f"{name}: {value}")


if __name__ == "__main__":
    main()
