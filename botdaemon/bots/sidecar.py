"""Asks a text model for one line, beside the answer itself. What goes wrong is the caller's to
say."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from botdaemon.types import ChatLine, Sampling, TextRequest

if TYPE_CHECKING:
    from botdaemon.ports import TextEngine


async def one_line(
    engine: TextEngine,
    model: str,
    speaker: str,
    task: str,
    text: str,
    *,
    tokens: int,
    seconds: float,
) -> str:
    """What the model makes of a text, without quotes around it; "" when it says nothing. `speaker`
    is the bot in whose name it writes. Raises what `generate` raises, and `TimeoutError`."""
    request = TextRequest(
        model=model,
        speaker=speaker,
        lines=(ChatLine(role="system", text=task), ChatLine(role="user", text=text)),
        sampling=Sampling(max_tokens=tokens),
        stop=("\n",),
    )
    written = ""
    async with asyncio.timeout(seconds), aclosing(engine.generate(request)) as pieces:
        async for piece in pieces:
            written += piece.text
    return " ".join(written.split()).strip("\"'\u201c\u201d ")
