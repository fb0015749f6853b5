"""Reads the chats that signal-export (`sigexport`) writes: data.json and chat.md. Knows no files.

Source: carderne/signal-export, sigexport/models.py (`Message.dict`, `Message.to_md`). Times are
those of the machine that exported, without a zone; there are no ids of people or messages.
"""

from __future__ import annotations

import json
import mimetypes
import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botdaemon.errors import ExportUnusable
from models.exports.neutral import Said
from models.exports.signal_words import (
    MENTION,
    SOMEONE,
    digest,
    direct_id,
    placeholder,
    with_placeholders,
)
from models.exports.streaming import tables, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from zoneinfo import ZoneInfo

    from models.exports.neutral import Options, Tally

ME = "Me"
"""What the exporter is called there."""
NOBODY = "No-Sender"
"""Who said what has no sender."""

HEAD = re.compile(r"\[(\d{4}-\d\d-\d\d),? (\d\d:\d\d(?::\d\d)?)\] (.*?): ?(.*)")
"""The first line of a message in Markdown: date, time, sender, text."""

_QUOTE = re.compile(r"\A\n+(?:> ?.*\n?)+")
_REACTIONS = re.compile(r"\n\(- .* -\)")
# A name and a path stop where another link's begins, or a line of brackets would take for ever.
_LINK = r"\[((?:(?!\]\()[^\n]){0,300})\]\(%s/(?:(?!\)  |\]\()[^\n]){0,1000}\)  "
_STICKER = re.compile(r"\n\(\( .* \)\)|" + _LINK % r"\.\.")
_ATTACHMENT = re.compile("!?" + _LINK % r"\." + r"|\((media|attachment) not exported\)  ")
_CALL = re.compile(r"(Incoming|Outgoing|Missed)( voice| video)? call( \(.*\))?")
_DELETED = "(This message was deleted)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A message, in whichever of the two forms it was written."""

    #: as in ISO 8601
    date: str
    sender: str
    text: str
    deleted: bool = False
    call: bool = False
    quote: bool = False
    edited: bool = False
    reactions: bool = False


def read_chat(
    before: Iterable[Line], lines: Iterable[Line], title: str, tally: Tally, options: Options
) -> Iterator[Said]:
    """What is said in the lines of a chat. `before` are the same lines: a chat of two people at
    most counts as direct, since nothing says whether it is a group.

    Raises `Refused` for a timezone that does not exist.
    """
    zone = options.zone()
    if not zone:
        tally.note("Times have no zone and were taken as this machine's; --timezone says it.")
    me = options.me or ME
    others = set()
    with suppress(ExportUnusable):  # which is raised again by the second reading
        others = {line.sender for line in before} - {ME, NOBODY}
    direct = len(others) < 2
    alike: Counter[str] = Counter()
    last = ""
    for line in lines:
        at = _seconds(line.date, zone)
        spoken = line.text.replace(MENTION, f"@{SOMEONE}").strip()
        if reason := _why_not(line, spoken, at):
            tally.leave(reason)
            continue
        if line.quote:
            tally.change("quote removed")
        if line.edited:
            tally.change("edited")
        if line.reactions:
            tally.change("reactions ignored")
        name = me if line.sender == ME else line.sender
        # The same may be said twice in a second; those of a second stand together.
        if line.date != last:
            alike.clear()
            last = line.date
        id = f"{line.date}-{digest(f'{name}: {spoken}')}"
        alike[id] += 1
        yield Said(
            conversation=direct_id(me, title) if direct else title,
            id=f"{id}-{alike[id]}",
            at=at or 0,
            speaker=name,
            name=name,
            text=spoken,
            title=title,
            direct=direct,
            edited=line.edited,
        )


def _why_not(line: Line, spoken: str, at: float | None) -> str:
    if line.deleted:
        return "deleted"
    if line.call or _CALL.fullmatch(spoken):
        return "call"
    if not spoken:
        return "no text"  # service messages too: nothing tells them apart
    if line.sender in (NOBODY, ""):
        return "no sender"
    return "damaged message" if at is None else ""


# --- data.json -------------------------------------------------------------------------------


def json_lines(lines: Iterable[str], where: str) -> Iterator[Line]:
    """The messages of a data.json: one JSON object a line. Raises `ExportUnusable`, with the
    line."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            message = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ExportUnusable(
                f"{where}, line {number} is no JSON: the export breaks off or is damaged there;"
                " export or copy it again"
            ) from error
        if not isinstance(message, dict) or "date" not in message:
            raise ExportUnusable(
                f"{where}, line {number} is no message as signal-export writes it; give its folder"
            )
        yield Line(
            date=text(message, "date"),
            sender=text(message, "sender"),
            text=with_placeholders(text(message, "body"), _shown(message)),
            deleted=bool(message.get("deleted")),
            call=bool(message.get("call")),
            quote=bool(text(message, "quote").strip()),
            edited=bool(message.get("edits")),
            reactions=bool(message.get("reactions")),
        )


def _shown(message: dict[str, Any]) -> list[str]:
    shown = ["[sticker]"] if message.get("sticker") else []
    for attachment in tables(message, "attachments"):
        missing = text(attachment, "missing_kind")
        shown.append(_file("" if missing else text(attachment, "name"), missing))
    return shown


def _file(name: str, missing: str) -> str:
    """`missing`: what it is called when it was not exported."""
    if missing:
        return "[picture]" if missing == "media" else "[file]"
    return placeholder(mimetypes.guess_type(name, strict=False)[0] or "")


# --- chat.md ---------------------------------------------------------------------------------


def markdown_lines(lines: Iterable[str], where: str) -> Iterator[Line]:
    """The messages of a chat.md. Raises `ExportUnusable` when it does not begin with one."""
    head: re.Match[str] | None = None
    body: list[str] = []
    for number, line in enumerate(lines, 1):
        if begun := HEAD.fullmatch(line):
            if head:
                yield _line(head, body)
            head, body = begun, [begun[4]]
        elif head:
            body.append(line)
        elif line.strip():
            raise ExportUnusable(
                f"{where}, line {number} does not begin a message as signal-export writes it"
                " ([2024-05-29 15:04:07] Name: text)"
            )
    if head:
        yield _line(head, body)


def _line(head: re.Match[str], body: list[str]) -> Line:
    written = "\n".join(body)
    spoken, quotes = _QUOTE.subn("", written)
    spoken, stickers = _STICKER.subn("", spoken)
    shown = ["[sticker]"] * stickers
    shown += [_file(name, missing) for name, missing in _ATTACHMENT.findall(spoken)]
    spoken, reactions = _REACTIONS.subn("", _ATTACHMENT.sub("", spoken))
    return Line(
        date=f"{head[1]}T{head[2]}",
        sender=head[3],
        text=with_placeholders(spoken, shown),
        deleted=written.strip() == _DELETED,
        quote=quotes > 0,
        reactions=reactions > 0,
    )


# --- times -----------------------------------------------------------------------------------


def _seconds(date: str, zone: ZoneInfo | None) -> float | None:
    """Since the epoch; None for what is no time."""
    try:
        when = datetime.fromisoformat(date)
        return (when if when.tzinfo else when.replace(tzinfo=zone)).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
