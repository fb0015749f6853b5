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

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from diffusers import AutoencoderTiny, StableDiffusionPipeline

log = logging.getLogger(__name__)

_NOISE = 0.15  # at most, in latents whose spread is 1
_EMA = 0.998


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
    """The text encoder, guessing whole latents from the words alone; what guesses is thrown away.

    A denoiser that starts with a text encoder that says nothing learns to do without it: after 1000
    steps of 32 it took no notice of its captions. Guessing them takes a few hundred steps, since
    here each place of the picture asks the text for itself.
    """

    def __init__(self, pipeline: StableDiffusionPipeline) -> None:
        super().__init__()
        self.text = pipeline.text_encoder
        self.text.set_attn_implementation("eager")
        width = self.text.config.hidden_size
        self._side = pipeline.unet.config.sample_size // 2
        self.places = nn.Parameter(torch.randn(self._side**2, width) / 2)
        layer = nn.TransformerDecoderLayer(
            width, 4, 2 * width, dropout=0.0, norm_first=True, batch_first=True
        )
        self.asking = nn.TransformerDecoder(layer, 2, nn.LayerNorm(width))
        self.guess = nn.Linear(width, 4 * pipeline.unet.config.in_channels)

    def forward(self, latents: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        places = self.places.expand(len(tokens), -1, -1)
        guess = self.guess(self.asking(places, self.text(tokens)[0])).mT
        side = self._side
        guess = functional.pixel_shuffle(guess.reshape(len(tokens), -1, side, side), 2)
        return functional.mse_loss(guess.float(), latents)


class Denoising(nn.Module):
    """Denoiser and text encoder, jointly, on the noise schedule of the pipeline."""

    alphas: torch.Tensor

    def __init__(self, pipeline: StableDiffusionPipeline) -> None:
        super().__init__()
        self.unet, self.text = pipeline.unet, pipeline.text_encoder
        # At these lengths the backward pass of the fused kernel is slow on a CPU.
        self.unet.set_attn_processor(AttnProcessor())
        self.text.set_attn_implementation("eager")
        self.register_buffer("alphas", pipeline.scheduler.alphas_cumprod.sqrt(), persistent=False)

    def forward(
        self, latents: torch.Tensor, tokens: torch.Tensor, times: torch.Tensor, noise: torch.Tensor
    ) -> torch.Tensor:
        alpha = self.alphas[times][:, None, None, None]
        sigma = (1 - alpha.square()).sqrt()
        noisy = alpha * latents + sigma * noise
        states = self.text(tokens)[0]
        v = self.unet(noisy, times, encoder_hidden_states=states, return_dict=False)[0]
        # v-prediction: Salimans and Ho 2022, arXiv 2202.00512.
        return functional.mse_loss(v.float(), alpha * noise - sigma * latents)


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
    mean, saved, began, fresh = 0.0, used, time.monotonic(), True
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
        mean += (loss.item() - mean) * max(0.01, 1 / steps)
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
