"""A text with buttons as Slack's blocks. Knows what Slack takes, not what the buttons do.

Where there are blocks, Slack shows them instead of the text, so together they hold all of it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from botdaemon.types import Control

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: longest text of a section
SECTION = 3000
PREFIX = "botdaemon:"

_LABELS = {
    Control.STOP: "Stop",
    Control.RETRY: "Regenerate",
    Control.GOOD: "👍",
    Control.BAD: "👎",
}
_FENCE = "```"
# No cut goes through one of these: a link or mention, an entity.
_WHOLE = re.compile(r"<[^<>\n]{1,2900}>|&(?:amp|lt|gt);")


def blocks(text: str, controls: Sequence[Control]) -> list[dict[str, Any]]:
    """The text and its buttons; no blocks at all without buttons."""
    if not controls:
        return []
    found: list[dict[str, Any]] = [
        {
            "type": "section",
            # Verbatim: Slack is not to look for names and channels in it.
            "text": {"type": "mrkdwn", "text": piece, "verbatim": True},
            "expand": True,
        }
        for piece in sections(text)
    ]
    buttons = [
        {
            "type": "button",
            "action_id": f"{PREFIX}{control.value}",
            "text": {"type": "plain_text", "text": _LABELS[control], "emoji": True},
        }
        for control in controls
    ]
    return [*found, {"type": "actions", "elements": buttons}]


def sections(text: str) -> Iterator[str]:
    """The text in pieces that fit a section, cut at line ends where possible, else at blanks. Code
    that is cut is closed and opened again."""
    room = SECTION - 2 * len(_FENCE) - 2
    rest = text
    while len(rest) > SECTION:
        piece, rest = _cut(rest, room)
        if piece.count(_FENCE) % 2:
            piece, rest = f"{piece}\n{_FENCE}", f"{_FENCE}\n{rest}"
        if piece.strip():
            yield piece
    if rest.strip():
        yield rest


def _cut(text: str, most: int) -> tuple[str, str]:
    for mark in ("\n", " "):
        at = text.rfind(mark, most // 2, most)
        if at > 0 and not any(m.start() < at < m.end() for m in _WHOLE.finditer(text)):
            return text[:at], text[at + 1 :]
    at = most
    for whole in _WHOLE.finditer(text):
        if whole.start() < at < whole.end() and whole.start():
            at = whole.start()
    return text[:at], text[at:]
