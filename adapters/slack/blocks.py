"""A text with picture and buttons as Slack's blocks. Knows what Slack takes, not what the buttons
do.

Where there are blocks, Slack shows them instead of the text, so together they hold all of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from adapters.controls import LABELS, MARK

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from botdaemon.types import Control

#: longest text of a section
SECTION = 3000
#: longest description of a picture
ALT = 1900
#: the button that shows a covered picture
SHOW = f"{MARK}show"
COVERED = "_The picture is covered, since it may not be safe to look at._"

_FENCE = "```"
# No cut goes through one of these: a link or mention, an entity.
_WHOLE = re.compile(r"<[^<>\n]{1,2900}>|&(?:amp|lt|gt);")


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture in a message: the id of Slack's file, and what is on it."""

    file: str
    alt: str
    #: shown in a window of its own, to whoever presses a button
    covered: bool = False


def blocks(
    text: str, controls: Sequence[Control], picture: Shown | None = None
) -> list[dict[str, Any]]:
    """The text, the picture and the buttons; no blocks at all for a text alone."""
    if not controls and picture is None:
        return []
    found: list[dict[str, Any]] = [_section(piece) for piece in sections(text)]
    buttons = [_button(f"{MARK}{control.value}", LABELS[control]) for control in controls]
    if picture is not None and picture.covered:
        found.append(_section(COVERED))
        # Slack has no covers, so the picture is not in the message at all: its id is.
        value = {"value": f"{picture.file} {picture.alt}"}
        buttons.insert(0, _button(SHOW, "Show picture") | value)
    elif picture is not None:
        found.append(image(picture.file, picture.alt))
    return [*found, {"type": "actions", "elements": buttons}] if buttons else found


def image(file: str, alt: str) -> dict[str, Any]:
    """A picture by the id of its file."""
    return {"type": "image", "slack_file": {"id": file}, "alt_text": alt[:ALT] or "a picture"}


def _section(text: str) -> dict[str, Any]:
    return {
        "type": "section",
        # Verbatim: Slack is not to look for names and channels in it.
        "text": {"type": "mrkdwn", "text": text, "verbatim": True},
        "expand": True,
    }


def _button(action: str, label: str) -> dict[str, Any]:
    return {
        "type": "button",
        "action_id": action,
        "text": {"type": "plain_text", "text": label, "emoji": True},
    }


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
