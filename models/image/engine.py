"""Draws pictures with a diffusers pipeline. Lives in the model process; knows no frames.

One request at a time, its pictures one after the other: so a request for many needs no more memory
than a request for one.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import torch
from PIL import Image

from botdaemon.errors import EngineFailed, ModelUnusable
from botdaemon.types import ImageRequest, Picture
from models import torch_device
from models.image import asking, loading, manners, metadata
from models.image.adapters import Adapters
from models.image.previews import Previewer
from models.image.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from models.engines import Emit

log = logging.getLogger(__name__)


class DiffusersEngine:
    """One pipeline on one device: a `LoadedImageModel`."""

    def __init__(
        self,
        *,
        name: str,
        directory: Path,
        device: str = "auto",
        dtype: str = "auto",
        adapters: Mapping[str, Path] | None = None,
        offload: bool | Literal["always"] = False,
        checker: bool = True,
    ) -> None:
        """Load it. `offload`: "always" keeps only the part that works on a card. Raises
        `ModelUnusable`; what says that memory ran out passes through."""
        began = time.monotonic()
        self._name = name
        self._device = torch_device.device(device, name)
        chosen, why = torch_device.dtype(dtype, self._device, name)
        self._manners = manners.load(directory, checker=checker)
        self._pipeline = loading.load(name, directory, chosen, checker=checker)
        if adapters and not hasattr(self._pipeline, "load_lora_weights"):
            raise ModelUnusable(
                f'model "{name}": a {type(self._pipeline).__name__} takes no adapters; leave them'
                " out"
            )
        # Models on the CPU are where they would be offloaded to.
        self._in_parts = offload == "always" and self._device.type != "cpu"
        self._redraws: Any | None = None
        self._relieved = 0
        self._finishing = 0.0
        self._adapters = Adapters(name, self._pipeline, adapters or {})
        self.wake()
        self._previewer = Previewer()
        if not self._in_parts:
            self._previewer.prime(getattr(self._pipeline, "vae", None))
        log.info(
            'model "%s" (%s) loaded on %s in %s (%s), %.0f M parameters, %.1f s; %s',
            name,
            type(self._pipeline).__name__,
            self._device,
            str(chosen).removeprefix("torch."),
            why,
            _parameters(self._pipeline) / 1e6,
            time.monotonic() - began,
            ", ".join(self._manners.origins),
        )

    def draw(self, request: ImageRequest, emit: Emit) -> None:
        """Draw, and call `emit` after each step and with each picture. What `emit` raises passes
        through, and so does what says that memory ran out. Raises `EngineFailed`."""
        redrawing = self._redrawing() if request.source else None
        asked = asking.decide(
            request,
            self._manners,
            draws=loading.knows(self._pipeline),
            redraws=loading.knows(redrawing) if redrawing is not None else frozenset(),
            most_steps=self._most_steps(),
        )
        if asked.ready is not None:
            content = metadata.write(asked.ready, asked.request)
            emit(Picture(content=content, request=asked.request, notes=tuple(asked.notes)))
            return
        pipeline = redrawing if asked.redraws else self._pipeline
        asked.notes += _unread(pipeline, asked.request.prompt)
        self._adapters.use(request.adapters)
        watch = Watch(emit, self._previewer, asked.request, self._finishing)
        for number in range(request.count):
            one = replace(asked.request, seed=(asked.request.seed or 0) + number, count=1)
            picture = self._draw_one(pipeline, one, asked.arguments, watch)
            notes = asked.notes + _without_effect(pipeline, request, asked.arguments)
            emit(replace(picture, notes=tuple(notes)))
        self._finishing = watch.finishing

    @property
    def bytes(self) -> int:
        """What its weights take, on the device that it runs on."""
        if self._in_parts:
            return 0
        return sum(
            tensor.nbytes
            for part in self._pipeline.components.values()
            if isinstance(part, torch.nn.Module)
            for tensor in (*part.parameters(), *part.buffers())
        )

    def relieve(self) -> bool:
        """Need less memory for what follows: first the picture is decoded in tiles, then attention
        is computed in slices."""
        self._relieved += 1
        if self._relieved == 1:
            vae: Any = getattr(self._pipeline, "vae", None)
            if not hasattr(vae, "enable_tiling"):
                return self.relieve()
            vae.enable_tiling()
            return True
        if self._relieved == 2:
            self._pipeline.enable_attention_slicing()
            parts = self._pipeline.components.values()
            return any(hasattr(part, "set_attention_slice") for part in parts)
        return False

    def rest(self) -> None:
        """Leave the device for RAM, until `wake`."""
        if self._in_parts:
            self._pipeline.remove_all_hooks()
        self._pipeline.to("cpu", silence_dtype_warnings=True)

    def wake(self) -> None:
        """Come back to the device."""
        if self._in_parts:
            self._pipeline.enable_model_cpu_offload(device=self._device)
        else:
            self._pipeline.to(self._device, silence_dtype_warnings=True)

    def _draw_one(
        self, pipeline: Any, request: ImageRequest, arguments: Mapping[str, Any], watch: Watch
    ) -> Picture:
        assert request.seed is not None
        options = {
            # On the CPU, so that a seed means the same on every device.
            "generator": torch.Generator("cpu").manual_seed(request.seed),
            # Numbers rather than pixels, so that NaN is seen.
            "output_type": "pt",
            "callback_on_step_end": watch.step,
        }
        known = loading.knows(pipeline)
        options = {key: value for key, value in options.items() if key in known}
        try:
            with watch.over(pipeline, called_back="callback_on_step_end" in known):
                output = pipeline(**arguments, **options)
        except ValueError as error:  # what the pipelines' own checks raise
            if watch.interrupted:
                raise
            reason = " ".join(str(error).split())[:300]
            raise EngineFailed(f'model "{self._name}" cannot draw this: {reason}') from error
        finally:
            # With offloading, the last part would stay on the card after an interruption, and
            # always after a derived pipeline, whose hooks belong to this one.
            self._pipeline.maybe_free_model_hooks()
        if not hasattr(output, "images"):
            raise EngineFailed(
                f'model "{self._name}" is a {type(pipeline).__name__}, which draws no pictures'
            )
        pixels = _pixels(output.images)
        if not torch.isfinite(pixels).all():
            raise EngineFailed(
                f'model "{self._name}" drew nothing (NaN); dtype = "float32" may help'
            )
        watch.finished(pixels)
        verdicts = getattr(output, "nsfw_content_detected", None)
        if verdicts and verdicts[0]:
            return Picture(content=b"", request=request, unsafe=True)
        array = (pixels[0].permute(1, 2, 0) * 255).round().byte().numpy()
        content = metadata.write(Image.fromarray(array), request)
        return Picture(content=content, request=request, unsafe=False if verdicts else None)

    def _redrawing(self) -> Any | None:
        if self._redraws is None:
            self._redraws = loading.redrawing(self._pipeline)
        return self._redraws

    def _most_steps(self) -> int:
        config = getattr(getattr(self._pipeline, "scheduler", None), "config", {})
        return int(config.get("num_train_timesteps", 1000))


def _pixels(images: Any) -> torch.Tensor:
    """1 x 3 x height x width between 0 and 1; some pipelines know no tensors."""
    if isinstance(images, torch.Tensor):
        return images[:1].detach().float().cpu().clamp(0, 1)
    first = images[0]
    if isinstance(first, Image.Image):
        import numpy

        first = numpy.asarray(first.convert("RGB"), dtype="float32") / 255
    pixels = torch.as_tensor(first).float()
    return pixels.permute(2, 0, 1)[None].clamp(0, 1)


def _unread(pipeline: Any, prompt: str) -> list[str]:
    """A sentence when the end of a prompt is beyond what every text encoder reads."""
    limits = []
    for name in ("tokenizer", "tokenizer_2", "tokenizer_3"):
        tokenizer = getattr(pipeline, name, None)
        if tokenizer is None:
            continue
        limit = int(tokenizer.model_max_length)
        read = len(tokenizer(prompt, truncation=True, max_length=min(limit, 512)).input_ids)
        whole = len(tokenizer(prompt, truncation=False).input_ids)
        if whole <= read:
            return []
        limits.append((read, whole))
    if not limits:
        return []
    read, whole = max(limits)
    return [f"the end of the prompt was not read: it has {whole} tokens, the model reads {read}"]


def _without_effect(
    pipeline: Any, request: ImageRequest, arguments: Mapping[str, Any]
) -> list[str]:
    """After it has drawn, the pipeline itself knows whether it followed what is negative."""
    guided = getattr(pipeline, "do_classifier_free_guidance", True)
    if guided or not request.negative or "negative_prompt" not in arguments:
        return []
    return ["what should not be seen had no effect: it needs guidance above 1"]


def _parameters(pipeline: Any) -> int:
    return sum(
        weight.numel()
        for component in pipeline.components.values()
        for weight in getattr(component, "parameters", tuple)()
    )
