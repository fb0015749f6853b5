"""An engine that says back what it was told, for trying adapters and the road. Knows no model."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal

from botdaemon.types import ModelCard, Piece, TextRequest

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

_PIECES = 4


class EchoEngine:
    """Streams back the last human line, a word being a token. `delay` is the seconds before each
    of its pieces, to see what a slow model looks like."""

    def __init__(self, *, delay: float = 0.0, context: int = 4096) -> None:
        self._delay = delay
        self._card = ModelCard(context=context, names="never", max_tokens=context // 4)

    @property
    def card(self) -> ModelCard:
        return self._card

    async def count(self, request: TextRequest) -> int:
        return sum(len(line.text.split()) for line in request.lines)

    async def generate(self, request: TextRequest) -> AsyncGenerator[Piece, None]:
        lines = (line.text for line in reversed(request.lines) if line.role == "user")
        text = next(lines, "").strip()
        ends = [at for at in map(text.find, filter(None, request.stop)) if at >= 0]
        text = text[: min(ends, default=len(text))]
        limit = request.sampling.max_tokens or self._card.max_tokens
        words = text.split(" ")
        finish: Literal["length", "stop"] = "length" if len(words) > limit else "stop"
        text = " ".join(words[:limit])

        prompt_tokens = await self.count(request)
        size = len(text) // _PIECES + 1
        for start in range(0, len(text) or 1, size):
            if self._delay:
                await asyncio.sleep(self._delay)
            last = start + size >= len(text)
            yield Piece(
                text=text[start : start + size],
                tokens=len(text[: start + size].split()),
                prompt_tokens=prompt_tokens,
                finish=finish if last else "",
            )
