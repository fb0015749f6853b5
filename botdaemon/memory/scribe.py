"""A text model that is asked for notes about what was said. Knows neither who said it nor what
becomes of the notes."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botdaemon.errors import EngineFailed
from botdaemon.types import ChatLine, Sampling, TextRequest

if TYPE_CHECKING:
    from botdaemon.ports import TextEngine

#: longest time for one note
_SECONDS = 300.0
#: in whose name the model writes, for formats in which everybody has one
_NAME = "Notes"


@dataclass(frozen=True, slots=True)
class Scribe:
    """One text model, by its name in the configuration."""

    engine: TextEngine
    model: str

    async def write(self, task: str, material: str, most: int) -> tuple[str, bool]:
        """At most `most` tokens about the material, and whether that is all that the model had to
        say. Raises any `BotdaemonError`, `EngineFailed` also when it takes too long."""
        request = self._request(task, material, most)
        text, finish = "", ""
        try:
            async with (
                asyncio.timeout(_SECONDS),
                aclosing(self.engine.generate(request)) as pieces,
            ):
                async for piece in pieces:
                    text += piece.text
                    finish = piece.finish
        except TimeoutError:
            raise EngineFailed(f"no note within {_SECONDS:.0f} s") from None
        return text, finish != "length"

    async def takes(self, task: str, material: str, most: int) -> bool:
        """Whether the model's context has space for that much."""
        request = self._request(task, material, most)
        return await self.engine.count(request) + most <= self.engine.card.context

    def _request(self, task: str, material: str, most: int) -> TextRequest:
        return TextRequest(
            model=self.model,
            speaker=_NAME,
            lines=(ChatLine(role="system", text=task), ChatLine(role="user", text=material)),
            # The likeliest words: notes are to be right, not lively.
            sampling=Sampling(temperature=0.0, max_tokens=most),
        )
