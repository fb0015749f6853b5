"""Turns the steps of a pipeline into `Progress`. Knows of a request only how large it is."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

from botdaemon.types import Progress
from models.image import previews

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from botdaemon.types import ImageRequest
    from models.engines import Emit
    from models.image.previews import Previewer

#: previews of one picture, about; nobody sees more
_PREVIEWS = 12


class Watch:
    """The progress of one request."""

    def __init__(
        self, emit: Emit, previewer: Previewer, request: ImageRequest, finishing: float
    ) -> None:
        """`finishing`: seconds from the last step to the picture, as measured before."""
        self._emit = emit
        self._previewer = previewer
        self._pictures = request.count
        self._width, self._height = request.width or 1, request.height or 1
        #: steps of each picture; a guess until the pipeline says
        self._steps = request.steps or 1
        if request.strength:
            self._steps = max(1, int(self._steps * request.strength))
        self.finishing = finishing
        self._drawn = 0
        self._latents: torch.Tensor | None = None
        #: what the steps took, without the first of each picture, before which the words are read
        self._seconds = 0.0
        self._measured = 0
        self._at = time.monotonic()
        #: something that `emit` raised is on its way through the pipeline
        self.interrupted = False

    @contextlib.contextmanager
    def over(self, pipeline: Any, *, called_back: bool) -> Iterator[None]:
        """While a pipeline draws one picture. Without callbacks its network reports, so that a
        cancel is seen at every step all the same."""
        self._latents = None
        self._at = time.monotonic()
        self._tell(0)
        network = getattr(pipeline, "unet", None) or getattr(pipeline, "transformer", None)
        if called_back or network is None:
            yield
            return

        def passed(*_: Any) -> None:
            self._tell(getattr(pipeline.scheduler, "step_index", None) or 0)

        hook = network.register_forward_hook(passed)
        try:
            yield
        finally:
            hook.remove()

    def step(
        self, pipeline: Any, index: int, timestep: Any, values: dict[str, Any]
    ) -> dict[str, Any]:
        """The callback of diffusers: step `index` has ended."""
        self._steps = getattr(pipeline, "num_timesteps", None) or self._steps
        now = time.monotonic()
        if index:
            self._seconds += now - self._at
            self._measured += 1
        self._at = now
        preview = self._preview(pipeline, index, timestep, values.get("latents"))
        self._tell(index + 1, preview)
        return {}

    def finished(self, picture: torch.Tensor) -> None:
        """A picture is there: 1 x 3 x height x width, between 0 and 1."""
        self.finishing = time.monotonic() - self._at
        self._drawn += 1
        if self._latents is not None:
            self._previewer.learn(self._latents, picture)

    def _preview(
        self, pipeline: Any, index: int, timestep: Any, latents: torch.Tensor | None
    ) -> bytes:
        before, self._latents = self._latents, latents
        if latents is None or (index + 1) % max(1, self._steps // _PREVIEWS):
            return b""
        if before is not None:
            latents = previews.expected(pipeline.scheduler, timestep, before, latents)
        return self._previewer.draw(latents, self._width, self._height)

    def _tell(self, done: int, preview: bytes = b"") -> None:
        """`done`: steps of the picture under way."""
        step, steps = self._drawn * self._steps + done, self._pictures * self._steps
        left = 0.0
        if self._measured:
            left = (steps - step) * self._seconds / self._measured
            left += (self._pictures - self._drawn) * self.finishing
        try:
            self._emit(Progress(step=step, steps=steps, preview=preview, left=left))
        except BaseException:
            self.interrupted = True
            raise
