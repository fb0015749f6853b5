"""The words that WhatsApp itself writes into a chat, in many languages. Knows no chat, and nothing
of where such words stand.

The words are in `whatsapp_words.toml`. A stem is enough for most, since WhatsApp marks its own
words: iPhones with U+200E before them, Android with angle brackets around them. Whole sentences are
listed where nothing else tells them from what people write.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

_WORDS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


def _any(words: list[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, words)), re.IGNORECASE)


def _whole(words: list[str]) -> frozenset[str]:
    return frozenset(word.casefold() for word in words)


KINDS = tuple((f"[{kind}]", _any(stems)) for kind, stems in _WORDS["kinds"].items())
"""A placeholder, and the stems of what it stands for; the first that is found counts."""

OMITTED = _any(_WORDS["omitted"])
ATTACHED = _any(_WORDS["attached"])
EDITED = _any(_WORDS["edited"])
CALL = _any(_WORDS["call"])
BEFORE_TITLE = _any(_WORDS["before_title"])
DELETED = _whole(_WORDS["deleted"])
LOST = _whole(_WORDS["lost"])
LIVE_PLACE = _whole(_WORDS["live_place"])
BEFORE_NOON = _whole(_WORDS["before_noon"])
AFTER_NOON = _whole(_WORDS["after_noon"])


def halved(word: str) -> str:
    """A word beside a time, without dots and spaces: "a. m." becomes "am"."""
    return "".join(letter for letter in word.casefold() if letter.isalpha())
