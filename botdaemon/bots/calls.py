"""Whom a message calls, taken off its text. Pure text; knows no bot and no thread."""

from __future__ import annotations

import re

#: "@ada @bob," at the beginning of a message
_MENTIONS = re.compile(r"^(?:\s*@[\w.-]+[,:]?)+(?:\s|\Z)")


def without_call(text: str, name: str) -> str:
    """What is said, without the names it is said to: "@ada @bob good night" and, to ada,
    "ada, good night" are both "good night"."""
    text = _MENTIONS.sub("", text)
    called, comma, rest = text.partition(",")
    if comma and called.strip().casefold() == name.casefold():
        text = rest
    return text.strip()
