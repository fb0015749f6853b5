"""A short training loop that can be killed at any time. Knows tensors, not what is being learned.

A plain loop rather than transformers.Trainer: the samples are drawn, not stored, so there is no
dataset to hand over; and since round n is drawn from the seed and n alone, a checkpoint is the
weights, the optimizers and one number, and a resumed run goes on as if it had never stopped.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from models.training.tokens import IGNORED, Sample

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import GPT2LMHeadModel

log = logging.getLogger(__name__)

Draw = Callable[[Random], Sample]


@dataclass(frozen=True, slots=True)
class Stage:
    """One stretch of training: `rounds` times about `round_tokens` tokens, each drawn by `draw`."""

    name: str
    draw: Draw
    rounds: int
    rate: float
    final_rate: float
    dropout: float = 0.0
    warmup: int = 4
    round_tokens: int = 32_768
    batch_tokens: int = 4_096
    seed: int = 1
    save_every: int = 10

    def rate_at(self, done: float) -> float:
        """Linear warm-up, then half a cosine down to the final rate."""
        if done < self.warmup:
            return self.rate * max(done, 0.1) / self.warmup
        left = (done - self.warmup) / max(1, self.rounds - self.warmup)
        return self.final_rate + (self.rate - self.final_rate) * (1 + math.cos(math.pi * left)) / 2


def train(model: GPT2LMHeadModel, stage: Stage, work: Path) -> None:
    """Run the stage, from its last checkpoint in `work` if there is one."""
    checkpoint = work / f"{stage.name}.pt"
    optimizers = _optimizers(model)
    first = _resume(checkpoint, model, optimizers)
    _set_dropout(model, stage.dropout)
    model.train()
    for number in range(first, stage.rounds):
        began, losses, tokens = time.monotonic(), [], 0
        torch.manual_seed(stage.seed + number)  # what is dropped out belongs to the round, too
        batches = draw_round(stage, number)
        for i, batch in enumerate(batches):
            for optimizer in optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = stage.rate_at(number + i / len(batches))
            loss = reply_loss(model, batch)
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()
            losses.append(loss.item())
            tokens += sum(len(sample.tokens) for sample in batch)
        speed = tokens / (time.monotonic() - began)
        mean = sum(losses) / len(losses)
        progress = (stage.name, number + 1, stage.rounds, mean, speed)
        log.info("%s: round %d of %d, loss %.3f, %.0f tokens/s", *progress)
        if (number + 1) % stage.save_every == 0 or number + 1 == stage.rounds:
            _save(checkpoint, model, optimizers, number + 1)
    model.train(False)


def draw_round(stage: Stage, number: int) -> list[list[Sample]]:
    """The batches of one round in random order, each of similar lengths: little is padding."""
    rng = Random(f"{stage.seed}:{stage.name}:{number}")
    samples, tokens = [], 0
    while tokens < stage.round_tokens:
        samples.append(stage.draw(rng))
        tokens += len(samples[-1].tokens)
    samples.sort(key=lambda sample: len(sample.tokens))
    batches: list[list[Sample]] = [[]]
    for sample in samples:  # the newest sample is the longest: it sets the width of its batch
        if (len(batches[-1]) + 1) * _whole(len(sample.tokens)) > stage.batch_tokens and batches[-1]:
            batches.append([])
        batches[-1].append(sample)
    rng.shuffle(batches)
    return batches


def reply_loss(
    model: GPT2LMHeadModel, batch: Sequence[Sample], reduction: str = "mean"
) -> torch.Tensor:
    """The cross-entropy of the batch's learned tokens, in nats.

    Padding is on the right, where a causal model cannot look, so it needs no attention mask; and
    only positions with something to learn pass through the vocabulary, a third of all the work.
    """
    width = _whole(max(len(sample.tokens) for sample in batch))
    tokens = torch.zeros(len(batch), width, dtype=torch.long)
    labels = torch.full((len(batch), width), IGNORED, dtype=torch.long)
    for i, sample in enumerate(batch):
        tokens[i, : len(sample.tokens)] = torch.tensor(sample.tokens)
        labels[i, : len(sample.labels)] = torch.tensor(sample.labels)
    with torch.autocast("cpu", torch.bfloat16, enabled=model.training):
        hidden = model.transformer(input_ids=tokens, use_cache=False).last_hidden_state
        wanted = labels[:, 1:] != IGNORED
        hidden, labels = hidden[:, :-1][wanted], labels[:, 1:][wanted]
        missing = _whole(len(labels), 128) - len(labels)
        hidden = functional.pad(hidden, (0, 0, 0, missing))
        labels = functional.pad(labels, (0, missing), value=IGNORED)
        logits = model.lm_head(hidden)
    return functional.cross_entropy(
        logits.float(), labels, ignore_index=IGNORED, reduction=reduction
    )


def _whole(length: int, step: int = 16) -> int:
    """Rounded up, so that few shapes occur: oneDNN compiles and keeps a kernel for each."""
    return -(-length // step) * step


def _optimizers(model: GPT2LMHeadModel) -> list[torch.optim.Optimizer]:
    """Muon for the blocks' matrices, AdamW for the rest.

    At equal cost, Muon came after 12 rounds of manners to a loss of 1.33 where AdamW alone came to
    1.59; scaled to AdamW's step size, both live with one learning rate.
    """
    matrices = [p for p in model.transformer.h.parameters() if p.dim() == 2]
    inside = {id(p) for p in matrices}
    others = [p for p in model.parameters() if id(p) not in inside]
    return [
        torch.optim.Muon(matrices, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, betas=(0.9, 0.99), weight_decay=0.0, fused=True),
    ]


def _set_dropout(model: GPT2LMHeadModel, rate: float) -> None:
    # Only where a block writes to the stream: on the attention weights it costs much speed.
    for name, module in model.transformer.h.named_modules():
        if isinstance(module, nn.Dropout) and not name.endswith("attn_dropout"):
            module.p = rate


def _save(
    path: Path, model: GPT2LMHeadModel, optimizers: Sequence[torch.optim.Optimizer], rounds: int
) -> None:
    states = [optimizer.state_dict() for optimizer in optimizers]
    state = {"model": model.state_dict(), "optimizers": states, "rounds": rounds}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.replace(path)  # a kill during the save leaves the previous checkpoint, never half of one


def _resume(path: Path, model: GPT2LMHeadModel, optimizers: Sequence[torch.optim.Optimizer]) -> int:
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    log.info("resuming %s after round %d", path.stem, state["rounds"])
    return int(state["rounds"])
