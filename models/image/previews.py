"""Shows a picture while it is drawn, from its latents and without their decoder. Knows no request.

How latents become colours is learned, by linear regression, from pictures whose latents are known:
one that the encoder is shown at the start, and each that was finished. So no table of factors per
family is needed, and it costs less than a hundredth of a step.
"""

from __future__ import annotations

import io
import math
from typing import Any

import torch
from PIL import Image

#: pixels of the longer side
_SIDE = 256
#: bytes; what a platform takes as a small edit
_BYTES = 20_000
#: each latent becomes so many pixels in each direction
_FINE = 4
#: the share that pictures learned from earlier keep when another is learned from
_MEMORY = 0.7


class Previewer:
    """Previews of one model."""

    def __init__(self) -> None:
        #: sums of the regression: latents by latents, latents by colours
        self._sums: tuple[torch.Tensor, torch.Tensor] | None = None
        self._colours: torch.Tensor | None = None

    def prime(self, vae: Any) -> None:
        """Learn from blots of colour that the encoder is shown. Encoders other than the two common
        ones keep their latents in ways of their own: there, the first picture teaches."""
        if type(vae).__name__ not in ("AutoencoderKL", "AutoencoderTiny"):
            return
        blots = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
        size = 16 * 2 ** (len(vae.config.block_out_channels) - 1)
        picture = torch.nn.functional.interpolate(blots, size=size, mode="bilinear")
        with torch.no_grad():
            shown = (picture * 2 - 1).to(vae.device, vae.dtype)
            encoded = vae.encode(shown)
        latents = encoded.latent_dist.mode() if "latent_dist" in encoded else encoded.latents
        latents = (latents - (vae.config.shift_factor or 0)) * vae.config.scaling_factor
        self.learn(latents, picture)

    def learn(self, latents: torch.Tensor, picture: torch.Tensor) -> None:
        """From a finished picture, 1 x 3 x height x width between 0 and 1."""
        height, width = picture.shape[-2:]
        grid = _grid(latents, width, height)
        if grid is None:
            return
        rows, columns = grid.shape[-2:]
        wanted = torch.nn.functional.interpolate(
            picture.float().cpu(), size=(rows * _FINE, columns * _FINE), mode="area"
        )
        wanted = torch.nn.functional.pixel_unshuffle(wanted, _FINE)
        x, y = _lines(grid), wanted[0].flatten(1).T.double()
        products, targets = x.T @ x, x.T @ y
        if not (torch.isfinite(products).all() and torch.isfinite(targets).all()):
            return
        if self._sums is not None:
            products = products + _MEMORY * self._sums[0]
            targets = targets + _MEMORY * self._sums[1]
        self._sums = products, targets
        # A little towards zero, where the pictures so far leave a direction open.
        ridge = 1e-3 * products.diagonal().mean() * torch.eye(len(products), dtype=torch.double)
        self._colours = torch.linalg.solve(products + ridge, targets)

    def draw(self, latents: torch.Tensor, width: int, height: int) -> bytes:
        """A JPEG of at most 256 pixels a side, or nothing for latents of a form not known here."""
        grid = _grid(latents, width, height)
        if grid is None or not torch.isfinite(grid).all():
            return b""
        if self._colours is None or len(self._colours) != grid.shape[0] + 1:
            colours = grid[:3].repeat(-(-3 // grid.shape[0]), 1, 1)[:3]
            colours = colours - colours.amin((1, 2), keepdim=True)
            colours = colours / colours.amax((1, 2), keepdim=True).clamp(min=1e-6)
        else:
            painted = (_lines(grid) @ self._colours).T.reshape(1, -1, *grid.shape[-2:])
            colours = torch.nn.functional.pixel_shuffle(painted, _FINE)[0]
        pixels = (colours.clamp(0, 1) * 255).byte().permute(1, 2, 0).contiguous().numpy()
        shrink = min(1.0, _SIDE / max(width, height))
        size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        preview = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
        for quality in (75, 20):  # noise, which the first steps of long drawings are, is large
            file = io.BytesIO()
            preview.save(file, "JPEG", quality=quality)
            if file.tell() <= _BYTES:
                break
        return file.getvalue()


def expected(
    scheduler: Any, timestep: Any, before: torch.Tensor, after: torch.Tensor
) -> torch.Tensor:
    """The latents that the steps are heading for, given those before and after a step. Without
    this, most previews would be noise.

    A sampler that adds no noise of its own keeps x = a * picture + b * noise, with a and b known
    to its scheduler; two neighbouring x give the picture (Song et al. 2021, DDIM, equation 12;
    Karras et al. 2022, equation 4). Of other samplers: `after` as it is."""
    levels = _levels(scheduler, timestep)
    if levels is None or before.shape != after.shape:
        return after
    (a, b), (a_after, b_after) = levels
    divisor = b * a_after - b_after * a
    return after if abs(divisor) < 1e-6 else (b * after - b_after * before) / divisor


def _levels(scheduler: Any, timestep: Any) -> tuple[tuple[float, float], ...] | None:
    """The shares of picture and noise before and after a step; None when they are not known."""
    kind = type(scheduler).__name__
    if kind == "DDIMScheduler":
        time = int(timestep)
        past = time - scheduler.config.num_train_timesteps // scheduler.num_inference_steps
        kept = scheduler.alphas_cumprod
        both = (kept[time], kept[past] if past >= 0 else scheduler.final_alpha_cumprod)
        return tuple((math.sqrt(share), math.sqrt(1 - share)) for share in map(float, both))
    index = getattr(scheduler, "step_index", None)
    sigmas = getattr(scheduler, "sigmas", ())
    if index is None or not 0 < index < len(sigmas):
        return None
    both = (float(sigmas[index - 1]), float(sigmas[index]))
    if kind.startswith("FlowMatchEuler") or scheduler.config.get("use_flow_sigmas"):
        return tuple((1 - sigma, sigma) for sigma in both)
    if kind == "EulerDiscreteScheduler":
        return tuple((1.0, sigma) for sigma in both)
    if kind == "DPMSolverMultistepScheduler":
        sizes = [math.hypot(1, sigma) for sigma in both]
        return tuple((1 / size, sigma / size) for size, sigma in zip(sizes, both, strict=True))
    return None


def _grid(latents: torch.Tensor, width: int, height: int) -> torch.Tensor | None:
    """The first picture's latents as channels x rows x columns, on the CPU."""
    if latents.ndim == 3:  # packed: a row of patches
        count = latents.shape[1]
        columns = max(1, round(math.sqrt(count * width / height)))
        if count % columns:
            return None
        latents = latents.transpose(1, 2)
        latents = latents.reshape(*latents.shape[:2], count // columns, columns)
    elif latents.ndim == 5:  # of one frame
        latents = latents[:, :, 0]
    return latents[0].detach().float().cpu() if latents.ndim == 4 else None


def _lines(grid: torch.Tensor) -> torch.Tensor:
    """A line for each place, with a constant at its end."""
    lines = grid.flatten(1).T.double()
    return torch.cat((lines, torch.ones(len(lines), 1, dtype=torch.double)), dim=1)
