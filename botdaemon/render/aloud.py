"""Markdown as it is read out. Knows no dialect: what is heard has no marks."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import urlsplit

from botdaemon.render.layout import layout

#: of Unicode: pictures and other symbols, which a synthesiser would call by their names, and what
#: joins them
_UNSPOKEN = ("So", "Sk", "Cf", "Co", "Cn")


def aloud(text: str) -> str:
    """Words alone, a line for each paragraph and item. Blocks of code are left out, and of an
    address only the host is said."""
    parts = []
    for run in layout(text).runs:
        kinds = [style.kind for style in run.stack]
        if "pre" in kinds:
            parts.append("\n")
        elif "url" in kinds:
            parts.append(_host(run.text))
        elif "marker" in kinds:  # of a list, the numbers are said
            parts.append(f"{run.text.strip()} " if any(map(str.isdigit, run.text)) else "\n")
        else:
            parts.append(run.text)
    said = "".join(c for c in "".join(parts) if unicodedata.category(c) not in _UNSPOKEN)
    lines = (" ".join(line.split()) for line in said.split("\n"))
    return re.sub(r"\n{2,}", "\n", "\n".join(lines)).strip()


def _host(address: str) -> str:
    try:
        return (urlsplit(address).hostname or "").removeprefix("www.")
    except ValueError:
        return ""
