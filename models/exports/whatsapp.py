"""Reads chats that WhatsApp exported as text: a .txt, a folder, or the zip of a phone. Knows not
how lines and texts are written.

The format has no ids and no zones, and is written in the language of the phone. Ids are made of
time, text, and how many messages before had the same two, so that a later export of the same chat
repeats them. They do not depend on the speaker, who is called otherwise as soon as the number is
among the contacts.
"""

from __future__ import annotations

import datetime
import hashlib
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from botdaemon.errors import ExportUnusable, Refused
from models.exports.files import Files, opened, text_lines
from models.exports.neutral import Options, Said, Tally
from models.exports.streaming import each_file
from models.exports.whatsapp_lines import (
    Head,
    Numbers,
    Order,
    day_of,
    head,
    is_possible,
    order_of,
    wrongs,
)
from models.exports.whatsapp_text import NOTICE, Reading, reading
from models.exports.whatsapp_words import BEFORE_TITLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from zoneinfo import ZoneInfo

_TITLE = re.compile(
    r".*?whatsapp(?:[ _-]*chatt?)?[ _]+"
    rf"(?:{BEFORE_TITLE.pattern})[ _]+(?P<title>.+)",
    re.IGNORECASE,
)
"""A file's name in the languages that put the chat's name last: "WhatsApp Chat with Ann"."""
_SUFFIX = re.compile(r"\.(?:txt|zip)$", re.IGNORECASE)
_COPY = re.compile(r"\s*\(\d+\)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chat:
    """What must be known of a chat before its messages can be read."""

    file: str
    style: str
    order: Order
    conversation: str
    title: str
    direct: bool


def read(path: Path, tally: Tally, options: Options) -> Iterator[Said]:
    """The messages of one chat, or of all chats in a folder. Each file is read twice: how dates are
    written, and who takes part, shows only at its end.

    Raises `Refused` when a chat's dates can be read in two ways and `options.date_order` does not
    say which, before any message; `ExportUnusable` where there is no chat.
    """
    zone = options.zone()
    if zone is None:
        tally.note(
            "WhatsApp writes local times: they were read as this machine's;"
            " if the phone was elsewhere, say so, as in --timezone Europe/Berlin"
        )
    with opened(path) as files:
        names = [name for name in files.names() if name.lower().endswith(".txt")]
        names = names or [name for name in files.names() if name == path.name]
        chats = [chat for name in names if (chat := _survey(files, name, options)) is not None]
        if not chats:
            raise ExportUnusable(
                f"{path} has no chat that WhatsApp exported; give it the .txt or the .zip that"
                " the phone made of one chat, or a folder of such .txt files"
            )
        by_name = {chat.file: chat for chat in chats}
        for name in names:
            if name not in by_name:
                tally.note(f"{name} is no chat, and was not read")

        def read_one(name: str, _progress: Callable[[int], None]) -> Iterator[Said]:
            return _messages(files, by_name[name], zone, tally)

        yield from each_file(files, list(by_name), tally, read_one)


@dataclass(slots=True)
class _Entry:
    """A message or a notice, while its lines come in."""

    head: Head
    lines: list[str]

    def reading(self) -> Reading:
        if not self.head.speaker:
            return Reading("", left_out=NOTICE)
        return reading("\n".join(self.lines))


def _entries(
    files: Files, name: str, keep: Callable[[Head], bool], stray: Callable[[str], None]
) -> Iterator[_Entry]:
    """The messages of a file. A line that looks like a message's first but that `keep` denies goes
    on with the message before: people paste other chats. `stray` is told "alike" for these, "early"
    for lines before the first message, and "cp1252" for lines in that encoding."""
    entry: _Entry | None = None
    with files.open(name) as stream:
        for line in text_lines(stream, name, lambda: stray("cp1252")):
            found = head(line)
            if found is not None and keep(found):
                if entry is not None:
                    yield entry
                entry = _Entry(found, [found.text])
                continue
            if found is not None:
                stray("alike")
            if entry is not None:
                entry.lines.append(line)
            elif line.strip():
                stray("early")
    if entry is not None:
        yield entry


def _survey(files: Files, name: str, options: Options) -> _Chat | None:
    """None where no line begins a message. What is damaged further on is told by whoever reads it
    again."""
    first: Head | None = None
    opening = ""
    dates: list[Numbers] = []
    speakers: set[str] = set()

    def is_head(found: Head) -> bool:
        nonlocal first
        if first is None and is_possible(found.date):
            first = found
        return first is not None and found.style == first.style and is_possible(found.date)

    try:
        for entry in _entries(files, name, is_head, lambda what: None):
            left_out = entry.reading().left_out
            opening = opening or left_out or "a message"
            if dates[-1:] != [entry.head.date]:
                dates.append(entry.head.date)
            if left_out != NOTICE:
                speakers.add(entry.head.speaker)
    except ExportUnusable:
        if not dates:
            raise
    if first is None:
        return None
    order = _order(f"{files.path}: {name}", dates, options)
    title = _title(files, name)
    # On iPhones the first line is a notice which the chat itself says; in a group, nobody else is
    # called so.
    if not title and opening == NOTICE and (first.speaker not in speakers or len(speakers) < 3):
        title = first.speaker
    direct = len(speakers) < 3 and (
        not title or len(speakers) < 2 or _folded(title) in map(_folded, speakers)
    )
    nameless = f"{day_of(first.date, order)} {first.time} {first.speaker} {first.text}"
    return _Chat(
        file=name,
        style=first.style,
        order=order,
        conversation=title or _digest(nameless),
        title=title,
        direct=direct,
    )


def _order(where: str, dates: list[Numbers], options: Options) -> Order:
    if options.date_order in ("day", "month"):
        wanted: Order = "day" if options.date_order == "day" else "month"
        other: Order = "month" if wanted == "day" else "day"
        if wrongs(dates, wanted)[0] > wrongs(dates, other)[0]:
            bad = next(date for date in dates if day_of(date, wanted) is None)
            raise Refused(
                f"{where} has the date {'/'.join(map(str, bad))}, which does not fit"
                f" --date-order {wanted}; say --date-order {other}"
            )
        return wanted
    order = order_of(dates)
    if order is None:
        raise Refused(
            f"{where}: the dates (such as {'/'.join(map(str, dates[0]))}) can be read in two ways;"
            " say --date-order day or --date-order month, whichever comes first in them"
        )
    return order


def _title(files: Files, name: str) -> str:
    """The chat's name, of the file's or its folder's; empty where they do not say."""
    inside = PurePosixPath(name)
    for candidate in (inside.name, inside.parent.name, files.path.name):
        stem = _SUFFIX.sub("", unicodedata.normalize("NFC", candidate))
        if found := _TITLE.fullmatch(stem):
            return _COPY.sub("", found["title"]).replace("_", " ").strip()
    return ""


def _folded(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum()) or name


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


def _messages(files: Files, chat: _Chat, zone: ZoneInfo | None, tally: Tally) -> Iterator[Said]:
    strays: Counter[str] = Counter()
    odd: set[str] = set()
    same: Counter[str] = Counter()
    backwards = 0
    latest = float("-inf")

    def is_head(found: Head) -> bool:
        return found.style == chat.style and day_of(found.date, chat.order) is not None

    for entry in _entries(files, chat.file, is_head, lambda what: strays.update([what])):
        said = entry.reading()
        if said.left_out:
            tally.leave(said.left_out)
            continue
        day = day_of(entry.head.date, chat.order)
        assert day is not None  # is_head
        moment = datetime.datetime.combine(day, entry.head.time, zone)
        at = moment.timestamp()
        backwards += at < latest
        latest = max(latest, at)
        key = _digest(f"{moment:%Y-%m-%dT%H:%M:%S}\n{said.text}")
        if said.edited:
            tally.change("edited")
        if said.replaced:
            tally.change("media, place, poll or call as a placeholder")
        odd.add(entry.head.odd)
        yield Said(
            conversation=chat.conversation,
            id=f"{key}-{same[key]}",
            at=at,
            speaker=entry.head.speaker,
            name=entry.head.speaker,
            text=said.text,
            title=chat.title,
            direct=chat.direct,
            edited=said.edited,
        )
        same[key] += 1
    _tell(tally, chat, strays, odd - {""}, backwards)


def _tell(tally: Tally, chat: _Chat, strays: Counter[str], odd: set[str], backwards: int) -> None:
    if strays["early"]:
        tally.leave("lines before the first message", strays["early"])
    if strays["alike"]:
        tally.note(
            f"{chat.file}: {strays['alike']} lines look like the beginning of a message of another"
            " phone, or have no possible date; they were read as text of the message before"
        )
    if strays["cp1252"]:
        tally.note(f"{chat.file}: {strays['cp1252']} lines are no UTF-8; read as Windows-1252")
    if odd:
        words = ", ".join(sorted(odd))
        tally.note(
            f"{chat.file}: words beside the times are not known ({words}); if they mean the half"
            " of the day, the times are wrong"
        )
    if backwards:
        tally.change("earlier than a message before it", backwards)
        tally.note(
            f"{chat.file}: {backwards} messages are earlier than one before them (a clock that was"
            " changed, or a message that came late); their times were kept"
        )
