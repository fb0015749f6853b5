"""What a Reddit comment says without its Markdown. Knows no dump."""

from __future__ import annotations

import html
import re

_QUOTE = re.compile(r"^ {0,3}>(?!!).*\n?", re.MULTILINE)
"""A quoted line; `>!` begins a spoiler instead."""

_LINK = re.compile(
    r"(?P<picture>!)?\[(?P<label>[^\[\]]*+)\]"
    r"\((?:[^()\s]|\([^()\s]*+\))*+(?:\s+\"[^\"\n]*+\")?\s*+\)"
)
_ESCAPE = re.compile(r"\\([\\`*_{}\[\]()#+.!>~|^-])")
_GAP = re.compile(r"\n(?:[ \t]*\n){2,}")


def plain(body: str) -> tuple[str, bool]:
    """A body of the API as text, and whether it had quotes of others, which are left out.

    Links become their labels, and pictures a placeholder. Emphasis stays: it is how people write.
    Entities are resolved twice: the API escapes `&<>`, and in Markdown itself people (and Reddit's
    editor, with its `&#x200B;`) write entities.
    """
    text, quotes = _QUOTE.subn("", html.unescape(body).replace("\r\n", "\n"))
    text = _LINK.sub(lambda link: "[picture]" if link["picture"] else link["label"], text)
    text = html.unescape(_ESCAPE.sub(r"\1", text)).replace("\u200b", "")
    return _GAP.sub("\n\n", text).strip(), quotes > 0
