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

from models.training.painter.build import WORDS
from models.training.painter.sketch import CELLS, FACTS, MEASURES, PLACE, places

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from diffusers import AutoencoderTiny, StableDiffusionPipeline

log = logging.getLogger(__name__)

_NOISE = 0.15  # at most, in latents whose spread is 1
_EMA = 0.998
_SHARPNESS = 4.0  # of queries and keys: the own cell then has most of the attention
_LEAST_WEIGHT = 0.2
_NEAR = 0.5  # by how much queries may miss
_GUIDANCE = 0.05  # of queries to their own cells, beside the loss of the picture


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

    The tokens that fill a prompt up stand for the cells: each of them sees all words before it. A
    denoiser that has to find out by itself what words mean first learns to do without them. Here it
    finds what to draw at each place in one token, and only has to learn how that looks.
    """

    cells: torch.Tensor

    def __init__(self, pipeline: StableDiffusionPipeline) -> None:
        super().__init__()
        self.text = pipeline.text_encoder
        self.text.set_attn_implementation("eager")
        width = self.text.config.hidden_size
        self.guess = nn.Linear(width, FACTS + MEASURES)
        self.place = nn.Linear(width, PLACE)
        # Words are nowhere.
        cells = torch.cat([torch.zeros(WORDS, PLACE), torch.from_numpy(places(CELLS))])
        self.register_buffer("cells", cells, persistent=False)

    def forward(
        self, tokens: torch.Tensor, facts: torch.Tensor, measures: torch.Tensor
    ) -> torch.Tensor:
        """Of tokens (n, TOKENS); facts and measures are those of `sketch`."""
        states = self.text(tokens)[0]
        guessed_facts, guessed_measures = (
            self.guess(states[:, WORDS:]).float().split((FACTS, MEASURES), dim=-1)
        )
        there = ~measures.isnan()
        off = torch.where(there, guessed_measures - measures.nan_to_num(), 0.0)
        astray: torch.Tensor = (self.place(states).float() - self.cells).square().mean()
        return (
            functional.binary_cross_entropy_with_logits(guessed_facts, facts)
            + 0.1 * off.square().sum() / there.sum().clamp(min=1)
            + 0.1 * astray
        )


class Denoising(nn.Module):
    """The denoiser, on the noise schedule of the pipeline; the text encoder stays as it is.

    Which token to look at is taught, not left to be found out: each place of the picture at the
    one that stands for its cell.
    """

    alphas: torch.Tensor

    def __init__(self, pipeline: StableDiffusionPipeline) -> None:
        super().__init__()
        self.unet, self.text = pipeline.unet, pipeline.text_encoder
        # At these lengths the backward pass of the fused kernel is slow on a CPU.
        self.unet.set_attn_processor(AttnProcessor())
        self.text.set_attn_implementation("eager")
        self.text.requires_grad_(False)
        self.register_buffer("alphas", pipeline.scheduler.alphas_cumprod.sqrt(), persistent=False)
        self._looks = [m for m in self.unet.modules() if getattr(m, "is_cross_attention", False)]
        self._asked: list[torch.Tensor] = []
        for look in self._looks:
            look.to_q.register_forward_hook(self._ask)

    def _ask(self, layer: nn.Module, given: object, queries: torch.Tensor) -> None:
        self._asked.append(queries)

    @torch.no_grad()
    def look_as(self, reading: Reading, tokens: torch.Tensor) -> None:
        """Begin with keys that say where the cell is of a token, and values that say what is in
        it, as far as the text encoder knows.

        `tokens` (n, TOKENS) are of usual captions. What most cells say, such as that there is no
        cat, is taken off the values: it would drown what one of them says.
        """
        usual = self.text(tokens)[0][:, WORDS:].mean((0, 1))
        for look in self._looks:
            size = look.inner_dim // look.heads
            keys = look.to_k.weight.view(look.heads, size, -1).zero_()
            keys[:, :PLACE] = _SHARPNESS * reading.place.weight
            known = min(look.inner_dim, FACTS + MEASURES)
            look.to_v.weight[:known] = reading.guess.weight[:known]
            out = look.to_out[0]
            out.bias.copy_(-out.weight @ (look.to_v.weight @ usual))

    def forward(
        self, latents: torch.Tensor, tokens: torch.Tensor, times: torch.Tensor, noise: torch.Tensor
    ) -> torch.Tensor:
        alpha = self.alphas[times][:, None, None, None]
        sigma = (1 - alpha.square()).sqrt()
        noisy = alpha * latents + sigma * noise
        with torch.no_grad():
            states = self.text(tokens)[0]
        self._asked.clear()
        v = self.unet(noisy, times, encoder_hidden_states=states, return_dict=False)[0]
        # v-prediction: Salimans and Ho 2022, arXiv 2202.00512. Weighed by the variance of the
        # noise its error is that of the picture; unweighed, the grain of pictures that are nearly
        # finished would count most.
        error: torch.Tensor = (v.float() - (alpha * noise - sigma * latents)).square()
        loss: torch.Tensor = (sigma.square().clamp(min=_LEAST_WEIGHT) * error).mean()
        astray = [
            self._astray(queries, look.heads)
            for queries, look in zip(self._asked, self._looks, strict=True)
        ]
        return loss + _GUIDANCE * torch.stack(astray).mean()

    def _astray(self, queries: torch.Tensor, heads: int) -> torch.Tensor:
        """How far from their own cells queries (n, places, heads * size) look, squared.

        Near is enough: to be exact the denoiser would have to say nearly nothing but where it is,
        and drown what is there.
        """
        n, number, _ = queries.shape
        looking = queries.view(n, number, heads, -1)[..., :PLACE].float()
        own = _SHARPNESS * torch.from_numpy(places(math.isqrt(number)))
        off = (looking - own[None, :, None]).abs() - _NEAR
        return off.clamp(min=0).square().mean()


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
    optimizer = torch.optim.AdamW(
        learned.values(), betas=(0.9, 0.98), weight_decay=0.01, fused=True
    )
    steps, used = _resume(checkpoint, learned, average, optimizer)
    budget = 60 * stage.minutes
    if used >= budget:
        _load(learned, average)
        return steps
    forward = torch.compile(trainee) if stage.compiled else trainee
    trainee.train()
    mean, begun, saved, began, fresh = 0.0, steps, used, time.monotonic(), True
    while used < budget:
        for group in optimizer.param_groups:
            group["lr"] = stage.rate_at(used / budget)
        batch = draw(stage.batch)
        with torch.autocast("cpu", torch.bfloat16):
            loss = forward(*batch)
        loss.backward()
        nn.utils.clip_grad_norm_(learned.values(), 1.0)
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
            _save(checkpoint, learned, average, optimizer, steps, used)
            live = {name: p.detach().clone() for name, p in learned.items()}
            _load(learned, average)
            publish()
            if used < budget:
                _load(learned, live)
            saved = used
    trainee.eval()
    return steps


def _load(parameters: dict[str, nn.Parameter], values: dict[str, torch.Tensor]) -> None:
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(values[name])


def _save(
    path: Path,
    learned: dict[str, nn.Parameter],
    average: dict[str, torch.Tensor],
    optimizer: torch.optim.Optimizer,
    steps: int,
    used: float,
) -> None:
    live = {name: p.detach() for name, p in learned.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    torch.save(
        {"live": live, "average": average, "optimizer": optimizer.state_dict(),
         "steps": steps, "used": used}, part,
    )  # fmt: skip
    part.replace(path)  # a kill during the save leaves the previous checkpoint, never half of one


def _resume(
    path: Path,
    learned: dict[str, nn.Parameter],
    average: dict[str, torch.Tensor],
    optimizer: torch.optim.Optimizer,
) -> tuple[int, float]:
    if not path.exists():
        return 0, 0.0
    state = torch.load(path, weights_only=True)
    _load(learned, state["live"])
    average.update(state["average"])
    optimizer.load_state_dict(state["optimizer"])
    log.info("resuming %s after step %d", path.stem, state["steps"])
    return int(state["steps"]), float(state["used"])
