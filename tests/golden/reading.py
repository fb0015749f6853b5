"""What a person makes of a message on each platform: its words, its code, and who is called.

Knows the platforms' dialects by the fakes' parsers, and nothing of how they are written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

import fake_discord_text
import fake_slack_text
from fake_telegram_text import Marked, parse_html, part, tidy, units

if TYPE_CHECKING:
    from collections.abc import Iterable

_SLACK_CODE = re.compile(r"(```[\s\S]*?```|`[^`\n]+`)")
_SLACK_CONTROL = re.compile(r"<([^<>|\n]*)(?:\|([^<>\n]*))?>")
# What looks like a name within one of these is a part of it; the fake does not look that far.
_ADDRESS = re.compile(r"https?://(?:[\w-]+\.)+[\w-]+(?::\d+)?[/?#]\S*")


@dataclass(frozen=True, slots=True)
class Reading:
    """A message as it is seen. The target of a link stands behind its label, in brackets."""

    text: str
    code: str = ""
    #: whom it calls, in the platform's own words
    calls: tuple[str, ...] = ()
    #: addresses of which the platform shows a preview of its own accord
    previews: tuple[str, ...] = ()


def discord(content: str) -> Reading:
    pieces = fake_discord_text.read(content)
    last = [(piece.text, piece.styles[-1] if piece.styles else "") for piece in pieces]
    return Reading(
        "".join(piece.text for piece in pieces),
        "".join(piece.text for piece in pieces if _is_code(piece)),
        tuple(text for text, style in last if style == "mention"),
        tuple(text for text, style in last if style == "url"),
    )


def _is_code(piece: fake_discord_text.Piece) -> bool:
    """In a link it cannot be shown as code everywhere."""
    return bool({"code", "pre"} & set(piece.styles)) and "link" not in piece.styles


def slack(text: str) -> Reading:
    """Signs of style stay in it."""
    pieces = [_slack_piece(piece) for piece in _SLACK_CODE.split(text)]
    return Reading(
        "".join(pieces),
        "".join(pieces[1::2]),
        tuple(fake_slack_text.pings({"text": text})) + tuple(_slack_controls(text)),
    )


def _slack_piece(text: str) -> str:
    def show(found: re.Match[str]) -> str:
        return f"{found[2]} ({found[1]})" if found[2] else found[1]

    text = text.strip("`") if _SLACK_CODE.fullmatch(text) else _SLACK_CONTROL.sub(show, text)
    text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    return text.replace("\u02cb", "`")


def _slack_controls(text: str) -> Iterable[str]:
    """Control sequences that are no links, and those that lie open."""
    for found in _SLACK_CONTROL.finditer(text):
        if not found[1].startswith(("http://", "https://")):
            yield found[0]
    if stray := re.search(r"<|&(?!amp;|lt;|gt;)", _SLACK_CONTROL.sub("", text)):
        yield stray[0]


def telegram(marked: Marked) -> Reading:
    entities = marked.entities
    raw = marked.text.encode("utf-16-le", "surrogatepass")
    for entity in sorted(entities, key=lambda entity: -entity["offset"] - entity["length"]):
        if entity["type"] == "text_link":
            end = 2 * (entity["offset"] + entity["length"])
            raw = raw[:end] + f" ({entity['url']})".encode("utf-16-le") + raw[end:]
    addresses = [
        range(units(marked.text[: found.start()]), units(marked.text[: found.end()]))
        for found in _ADDRESS.finditer(marked.text)
    ]
    return Reading(
        raw.decode("utf-16-le", "surrogatepass"),
        "".join(part(marked.text, one) for one in entities if one["type"] in ("code", "pre")),
        tuple(
            part(marked.text, one)
            for one in entities
            if one["type"] == "text_mention"
            or (one["type"] == "mention" and not any(one["offset"] in span for span in addresses))
        ),
    )


def read(text: str, dialect: str) -> Reading:
    """A part of an answer, as the platform would show it. Refuses what the platform refuses."""
    match dialect:
        case "discord":
            return discord(text)
        case "mrkdwn":
            return slack(text)
        case _:
            marked = tidy(parse_html(text))
            assert units(marked.text) <= 4096
            return telegram(marked)


def letters(text: str) -> str:
    """All letters and digits in order, whatever stands between them."""
    return re.sub(r"[\W_]", "", unquote(text))
