"""The echo: a text engine that needs no model."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

import pytest
from text_engines import ask, text

from botdaemon.types import Piece, TextRequest
from models.echo import EchoEngine


async def echoed(request: TextRequest, **options: Any) -> list[Piece]:
    async with aclosing(EchoEngine(**options).generate(request)) as pieces:
        return [piece async for piece in pieces]


async def test_the_echo_says_the_last_human_line_in_pieces() -> None:
    pieces = await echoed(ask("hello there, how are\n\nyou today?"))
    assert text(pieces) == "hello there, how are\n\nyou today?"
    assert len(pieces) > 2
    assert [piece.finish for piece in pieces] == [""] * (len(pieces) - 1) + ["stop"]
    assert (pieces[-1].tokens, pieces[-1].prompt_tokens) == (6, 6)


async def test_the_echo_keeps_to_stop_strings_and_length() -> None:
    assert text(await echoed(ask("hello Bob: there", stop=("Bob:", "")))) == "hello "
    short = await echoed(ask("one two three", max_tokens=2))
    assert (text(short), short[-1].finish) == ("one two", "length")


async def test_the_echo_of_nothing_is_an_empty_answer() -> None:
    assert await echoed(ask("")) == [Piece(text="", finish="stop")]
    no_lines = TextRequest(model="", speaker="Bot", lines=())
    assert await echoed(no_lines) == [Piece(text="", finish="stop")]


async def test_the_echo_can_be_closed_before_and_between_its_pieces() -> None:
    await EchoEngine(delay=3600).generate(ask()).aclose()
    pieces = EchoEngine().generate(ask("a long enough line"))
    await anext(pieces)
    await pieces.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(pieces)
