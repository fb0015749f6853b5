"""The three stages of training, each within a number of minutes. Knows tensors, not what is drawn.

The rate follows the clock, not a count of steps: a stage ends when it was told to, with its rate at
zero, however busy the machine is. Checkpoints hold the time used, so that a killed run goes on.
"""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from diffusers.models.attention_processor import AttnProcessor
from torch import nn
from torch.nn import functional

from models.training.painter.build import first_cell
from models.training.painter.sketch import CELLS, FACTS, MEASURES, PLACE, places

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from diffusers import AutoencoderTiny, PixArtAlphaPipeline

log = logging.getLogger(__name__)

_NOISE = 0.15  # at most, in latents whose spread is 1
_EMA = 0.998
_SHARPNESS = 4.0  # of queries and keys: the own cell then has most of the attention
_LOUDNESS = 0.2  # of facts: guessed at odds of e^8 or so, they are written as numbers of about 2


@dataclass(frozen=True, slots=True)
class Stage:
    """`minutes` of training at `batch` pictures a step; the rate rises, then falls to zero."""

    name: str
    minutes: float
    batch: int
    rate: float
    warmup: float = 0.02
    save_seconds: float = 60.0
    compiled: bool = False

    def rate_at(self, done: float) -> float:
        """The learning rate when this part (0 to 1) of the time is used: half a cosine."""
        if done < self.warmup:
            return self.rate * max(done, 0.001) / self.warmup
        return self.rate * (1 + math.cos(math.pi * (done - self.warmup) / (1 - self.warmup))) / 2


class Sharpening(nn.Module):
    """The decoder, on pictures of shape (n, 3, side, side), in -1 to 1."""

    def __init__(self, vae: AutoencoderTiny) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        latents = self.vae.encoder(pictures)
        # What the denoiser makes is never exact, so the decoder learns to bear some noise.
        noise = _NOISE * torch.rand(len(latents), 1, 1, 1) * torch.randn_like(latents)
        drawn = self.vae.decoder(latents + noise).float()
        return functional.l1_loss(drawn, pictures) + functional.mse_loss(drawn, pictures)


class Reading(nn.Module):
    """The text encoder, guessing from the words what is in each cell of the picture.

    Each of the tokens that stand for the cells sees all words before it. A denoiser that has to
    find out by itself what words mean first learns to do without them. Here it finds what to draw
    at each place in one token, and only has to learn how that looks.
    """

    places: torch.Tensor

    def __init__(self, pipeline: PixArtAlphaPipeline) -> None:
        super().__init__()
        self.text = pipeline.text_encoder
        self.text.set_attn_implementation("eager")
        width = self.text.config.hidden_size
        self.guess = nn.Linear(width, FACTS + MEASURES)
        self.place = nn.Linear(width, PLACE)
        self._first = first_cell(pipeline.tokenizer)
        words = torch.zeros(self._first, PLACE)  # are nowhere
        every = torch.cat([words, torch.from_numpy(places(CELLS))])
        self.register_buffer("places", every, persistent=False)

    def forward(
        self, tokens: torch.Tensor, facts: torch.Tensor, measures: torch.Tensor
    ) -> torch.Tensor:
        """Of tokens (n, any number); facts and measures are those of `sketch`."""
        states = self.text(tokens)[0]
        guessed_facts, guessed_measures = (
            self.guess(self.of_cells(states, tokens)).float().split((FACTS, MEASURES), dim=-1)
        )
        there = ~measures.isnan()
        off = torch.where(there, guessed_measures - measures.nan_to_num(), 0.0)
        astray: torch.Tensor = (self.place(states).float() - self.places[tokens]).square().mean()
        return (
            functional.binary_cross_entropy_with_logits(guessed_facts, facts)
            + 0.1 * off.square().sum() / there.sum().clamp(min=1)
            + 0.1 * astray
        )

    def of_cells(self, states: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """The states of the cells, (n, cells, width), wherever in the prompts they are."""
        begin = (tokens == self._first).int().argmax(dim=1, keepdim=True)
        where = begin + torch.arange(CELLS**2)
        return states[torch.arange(len(states))[:, None], where]


class Denoising(nn.Module):
    """The denoiser, on the noise schedule of the pipeline; the text encoder stays as it is."""

    alphas: torch.Tensor

    def __init__(self, pipeline: PixArtAlphaPipeline) -> None:
        super().__init__()
        self.transformer, self.text = pipeline.transformer, pipeline.text_encoder
        # At these lengths the backward pass of the fused kernel is slow on a CPU.
        self.transformer.set_attn_processor(AttnProcessor())
        self.text.set_attn_implementation("eager")
        self.text.requires_grad_(False)
        self.register_buffer("alphas", pipeline.scheduler.alphas_cumprod.sqrt(), persistent=False)

    @torch.no_grad()
    def look_as(self, reading: Reading, tokens: torch.Tensor) -> None:
        """Begin with each cell of the picture looking at its own token, and with what that token
        says, as far as the text encoder knows.

        `tokens` are of usual captions. What most cells say, such as that there is no cat, is taken
        off: it would drown what one of them says.
        """
        at = self.transformer.pos_embed.pos_embed[0]
        _, strengths, directions = torch.linalg.svd(at, full_matrices=False)
        taken = directions[strengths > 1e-3 * strengths[0]]  # these say where a cell is
        looks = [block.attn2 for block in self.transformer.transformer_blocks]
        for write in self._writers():
            flat = write.weight.view(len(write.weight), -1)
            flat -= taken.T @ (taken @ flat)
            write.bias -= taken.T @ (taken @ write.bias)
        asked = torch.linalg.lstsq(at @ taken.T, torch.from_numpy(places(CELLS))).solution
        for look in looks:
            # All heads of the first; of the others, half may look where they like.
            own = slice(look.heads if look is looks[0] else look.heads // 2)
            for layer, read in ((look.to_q, asked.T @ taken), (look.to_k, reading.place.weight)):
                heads = layer.weight.view(look.heads, -1, layer.in_features)
                heads[own] = 0
                heads[own, :PLACE] = _SHARPNESS * read
            look.to_q.bias.view(look.heads, -1)[own] = 0
        first = looks[0]
        told = torch.cat([_LOUDNESS * reading.guess.weight[:FACTS], reading.guess.weight[FACTS:]])
        told = told[: first.inner_dim - len(taken)]
        first.to_v.weight[: len(told)] = told
        usual = reading.of_cells(self.text(tokens)[0], tokens).mean((0, 1))
        first.to_v.bias.copy_(-first.to_v.weight @ usual)
        # Each in a direction of its own.
        drawn = torch.cat([taken.T, torch.randn(first.inner_dim, len(told))], dim=1)
        first.to_out[0].weight[:, : len(told)] = torch.linalg.qr(drawn).Q[:, len(taken) :]

    def _writers(self) -> Iterator[nn.Linear | nn.Conv2d]:
        """The layers that write into the streams of the cells."""
        yield self.transformer.pos_embed.proj
        for block in self.transformer.transformer_blocks:
            yield from (block.attn1.to_out[0], block.attn2.to_out[0], block.ff.net[-1])

    def forward(
        self,
        latents: torch.Tensor,
        tokens: torch.Tensor,
        mask: torch.Tensor,
        times: torch.Tensor,
        noise: torch.Tensor,
    ) -> torch.Tensor:
        alpha = self.alphas[times][:, None, None, None]
        noisy = alpha * latents + (1 - alpha.square()).sqrt() * noise
        with torch.no_grad():
            states = self.text(tokens)[0]
        seen = self.transformer(
            noisy, states, times, encoder_attention_mask=mask, return_dict=False
        )[0]
        return functional.mse_loss(seen.float(), latents)


def draw_times(number: int, last: int) -> torch.Tensor:
    """Steps of the noise schedule: two in five are of its noisiest fifth.

    There the words alone say what to draw, and what they mean is the slowest thing to learn.
    """
    times = torch.rand(number)
    noisy = torch.rand(number) < 0.4
    return (torch.where(noisy, 1 - times * times / 5, times) * last).long().clamp(max=last - 1)


def train(
    stage: Stage, trainee: nn.Module, draw: Callable[[int], tuple[torch.Tensor, ...]], work: Path,
    publish: Callable[[], None] = lambda: None,
) -> int:  # fmt: skip
    """Train on what `draw(batch)` gives; returns the number of steps. Leaves the averaged weights.

    At each checkpoint, `publish` is called while the averaged weights are in place.
    """
    checkpoint = work / f"{stage.name}.pt"
    learned = {name: p for name, p in trainee.named_parameters() if p.requires_grad}
    average = {name: p.detach().clone() for name, p in learned.items()}
    optimizers = _optimizers(learned)
    steps, used = _resume(checkpoint, learned, average, optimizers)
    budget = 60 * stage.minutes
    if used >= budget:
        _load(learned, average)
        return steps
    forward = torch.compile(trainee) if stage.compiled else trainee
    trainee.train()
    mean, begun, saved, began, fresh = 0.0, steps, used, time.monotonic(), True
    while used < budget:
        for group in (group for optimizer in optimizers for group in optimizer.param_groups):
            group["lr"] = stage.rate_at(used / budget)
        batch = draw(stage.batch)
        with torch.autocast("cpu", torch.bfloat16):
            loss = forward(*batch)
        loss.backward()
        nn.utils.clip_grad_norm_(learned.values(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        steps += 1
        # Short at first, so that the average does not remember the random weights.
        decay = min(_EMA, steps / (steps + 20))
        with torch.no_grad():
            torch._foreach_lerp_(list(average.values()), list(learned.values()), 1 - decay)
        mean += (loss.item() - mean) * max(0.01, 1 / (steps - begun))
        if fresh:  # compiling is not training
            began, fresh = time.monotonic() - used, False
        if steps % 50 == 0:
            log.info("%s: step %d, %.1f min, loss %.4f", stage.name, steps, used / 60, mean)
        used = time.monotonic() - began
        if used - saved > stage.save_seconds or used >= budget:
            _save(checkpoint, learned, average, optimizers, steps, used)
            live = {name: p.detach().clone() for name, p in learned.items()}
            _load(learned, average)
            publish()
            if used < budget:
                _load(learned, live)
            saved = used
    trainee.eval()
    return steps


def _optimizers(learned: dict[str, nn.Parameter]) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the denoiser's blocks, with which it learns faster even by the clock
    (Jordan 2024; Liu et al. 2025, arXiv 2502.16982), and AdamW for all others."""
    matrices = {
        name: parameter
        for name, parameter in learned.items()
        if "transformer_blocks" in name and name.endswith("weight")
    }
    others = [p for n, p in learned.items() if n not in matrices]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(others, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    ]
    if matrices:
        optimizers.append(
            torch.optim.Muon(matrices.values(), weight_decay=0.01, adjust_lr_fn="match_rms_adamw")
        )
    return optimizers


def _load(parameters: dict[str, nn.Parameter], values: dict[str, torch.Tensor]) -> None:
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(values[name])


def _save(
    path: Path,
    learned: dict[str, nn.Parameter],
    average: dict[str, torch.Tensor],
    optimizers: list[torch.optim.Optimizer],
    steps: int,
    used: float,
) -> None:
    live = {name: p.detach() for name, p in learned.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    torch.save(
        {"live": live, "average": average, "optimizers": [o.state_dict() for o in optimizers],
         "steps": steps, "used": used}, part,
    )  # fmt: skip
    part.replace(path)  # a kill during the save leaves the previous checkpoint, never half of one


def _resume(
    path: Path,
    learned: dict[str, nn.Parameter],
    average: dict[str, torch.Tensor],
    optimizers: list[torch.optim.Optimizer],
) -> tuple[int, float]:
    if not path.exists():
        return 0, 0.0
    state = torch.load(path, weights_only=True)
    _load(learned, state["live"])
    average.update(state["average"])
    for optimizer, known in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(known)
    log.info("resuming %s after step %d", path.stem, state["steps"])
    return int(state["steps"]), float(state["used"])
