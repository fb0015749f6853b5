"""Cuts texts into words and folds away how they are typed. Knows no language in particular."""

from __future__ import annotations

import re

# Scripts that put no blanks between words count by the character; so do emoji and punctuation.
_WORD = re.compile(
    r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]"
    r"|[^\W\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+|[^\w\s]"
)


def words(text: str) -> list[str]:
    """Words, and each sign between them, without regard to case."""
    return _WORD.findall(text.casefold())


def fold(text: str) -> str:
    """The text without regard to case and to blanks: what two messages are compared by."""
    return " ".join(text.casefold().split())
