"""Asks a model process as the daemon does, and notes when what came. Never imports torch."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.text.talk import Answer, Run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.text.talk import Prompt
    from models.process import ModelProcess, ModelTextEngine


async def ask(engine: ModelTextEngine, prompts: Sequence[Prompt]) -> Run:
    """Hand all prompts over at once. Raises what the engine raises."""
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_answer(engine, prompt, began)) for prompt in prompts]
    return Run([task.result() for task in tasks])


async def _answer(engine: ModelTextEngine, prompt: Prompt, began: float) -> Answer:
    at, text, tokens = [], "", 0
    async for piece in engine.generate(prompt.request):
        at.append(time.perf_counter() - began)
        text += piece.text
        tokens = piece.tokens
    return Answer(text=text, tokens=tokens, at=at)


def peak(process: ModelProcess) -> float:
    """The most memory that the model process has had resident so far, MiB."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise OSError(f"/proc/{process.pid}/status has no VmHWM line")
