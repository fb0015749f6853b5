"""What prompts cost: tokens of each part of the personas that ship, and the time that packing
takes.

Counted with the starter's tokenizer, in the format of speaker tags, which has a place for every
part (the starter's own template takes nothing of a persona). No model runs. It raises when a prompt
does not fit.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from botdaemon.app.personas import examples, persona, weighed
from botdaemon.bots.packing import Packer
from botdaemon.config import TextBotConfig, parse
from botdaemon.types import Address, ChatLine, Identity, Message, Note, TextRequest
from models import formats, prompts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botdaemon.bots.packing import Count
    from botdaemon.config import Config
    from models.formats import Format

ROOT = Path(__file__).resolve().parent.parent
#: of a GPT-2
CONTEXT, REPLY = 1024, 200
_ROUNDS = 30
_SAID = "so I took the early train and it rained all the way but the tea was warm"


def measure() -> dict[str, float | str]:
    """Tokens of every persona's parts, and milliseconds and counts for 40 and 1,000 messages."""
    form = formats.load(ROOT / "models" / "starter")
    form = replace(form, kind="speakers", write=prompts.speakers(form.quote, "rooms"))
    figures: dict[str, float | str] = {}
    for file in sorted((ROOT / "docs" / "personas").glob("*.toml")):
        figures[f"{file.stem}: persona / examples, tokens"] = asyncio.run(_weigh(form, file.stem))
    for number in (40, 1000):
        for notes in (False, True):
            figures |= asyncio.run(_pack(form, number, notes=notes))
    return figures


def _counter(form: Format) -> Count:
    async def count(lines: Sequence[ChatLine]) -> int:
        request = TextRequest(model="tiny", speaker="joe", lines=tuple(lines))
        return len(form.encode(request))

    return count


def _bot(persona: str) -> tuple[Config, TextBotConfig]:
    """A configuration whose only bot has this persona."""
    file = ROOT / "docs" / "personas" / f"{persona}.toml"
    text = '[models.m]\nkind = "echo"\n[bots.joe]\nkind = "text"\nmodel = "m"\n'
    config = parse(f'{text}persona_file = "{file}"', ROOT / "config.toml")
    table = config.bots["joe"]
    assert isinstance(table, TextBotConfig)
    return config, table


async def _weigh(form: Format, persona: str) -> str:
    config, table = _bot(persona)
    overhead = await weighed(config, table, _counter(form), CONTEXT, REPLY)
    return f"{overhead.persona} / {overhead.examples}"


async def _pack(form: Format, number: int, *, notes: bool) -> dict[str, float | str]:
    """A warm packer, as in every turn but a bot's first; the conversation grows by a message."""
    counted = 0
    count = _counter(form)

    async def counting(lines: Sequence[ChatLine]) -> int:
        nonlocal counted
        counted += 1
        return await count(lines)

    config, table = _bot("science")
    packer = Packer(persona(config, table), examples(table))
    history = [_message(at) for at in range(number + _ROUNDS)]
    times, counts = [], []
    for at in range(_ROUNDS):
        told = (
            Note(topic="mood", text="You are in a good mood. " * 4, most=60, lasting=True),
            Note(topic="memory", text=f"Ann has {at} cats and likes tea. " * 20, most=120),
        )
        counted, started = 0, time.perf_counter()
        packed = await packer.pack(
            space=CONTEXT - REPLY,
            context=CONTEXT,
            count=counting,
            read=_lines,
            history=history[at : at + number],
            most_messages=number,
            notes=told if notes else (),
        )
        times.append(time.perf_counter() - started)
        counts.append(counted)
        if packed is None or await count(packed.lines) > CONTEXT - REPLY:
            raise AssertionError("the prompt does not fit")
    what = f"{number} messages{', with two notes' if notes else ''}"
    return {
        f"packing {what}: ms p50": 1000 * statistics.median(times),
        f"packing {what}: counts p50 / most": f"{statistics.median(counts):.0f} / {max(counts)}",
    }


def _message(at: int) -> Message:
    text = _SAID[: 20 + at % 50]
    own = at % 2 == 0
    author = None if own else Identity(adapter="web", account="ann", name="Ann")
    return Message(
        address=Address("web", "den"),
        text=text,
        sent_at=0.0,
        id=at + 1,
        bot="joe" if own else "",
        author=author,
    )


def _lines(messages: Sequence[Message]) -> list[ChatLine]:
    return [
        ChatLine(role="assistant" if one.bot else "user", text=one.text, name=one.speaker)
        for one in messages
    ]
