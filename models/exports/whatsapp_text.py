"""What a message of a WhatsApp export says, and what WhatsApp put in its place. Knows no file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from models.exports.whatsapp_lines import MARKS
from models.exports.whatsapp_words import (
    ATTACHED,
    CALL,
    DELETED,
    EDITED,
    KINDS,
    LIVE_PLACE,
    LOST,
    OMITTED,
)

GENERATED = "\u200e"
"""Stands before the words of WhatsApp itself, on iPhones."""

NOTICE = "notices of WhatsApp"

_MARK = re.compile(f"[{MARKS}]")
_EDITED = re.compile(r"<(?P<words>[^<>:\n]{3,60})>")
_ATTACHED = (
    # iPhones: "Look <attached: 00000012-PHOTO-2020-01-02-10-11-12.jpg>"
    re.compile(r"<[^<>:\n]{1,30}:\s?(?P<file>\d{5,}-[^<>\n]{1,255}\.\w{2,5})>"),
    # older ones: "2016-06-27-PHOTO-00000017.jpg <attached>"
    re.compile(r"^\u200e?(?P<file>\d{4}-\S{1,60}\.\w{2,5}) <[^<>:\n]{3,30}>"),
    # Android: "IMG-20200102-WA0001.jpg (file attached)", and the caption in the next line
    re.compile(r"^\u200e?(?P<file>\w{3}-\d{8}-WA\d+\.\w{2,5}) \([^()\n]{3,40}\)(?=\n|$)"),
    re.compile(
        r"^\u200e?(?P<file>[^\n()]{1,255}\.\w{2,5}) "
        rf"\([^()\n]{{0,40}}?(?:{ATTACHED.pattern})[^()\n]{{0,40}}\)(?=\n|$)",
        re.IGNORECASE,
    ),
)
_BRACKETED = re.compile(r"^<\s?(?P<words>[^<>\n]{2,60}?)\s?>(?=\n|$)")
_AFTER_MARK = re.compile(r"^(?P<before>[^\n]*?)\u200e(?P<words>[^\u200e\n]{2,60})(?=\n|$)")
_MAP = re.compile(r"^\S[^\n]{0,40}? ?https://maps\.google\.com/\?q=\S+$")
_POLL = re.compile(
    r"\w{2,20}\s?:\n(?P<question>[^\n]+)"
    r"(?:\n\w{2,20}\s?: [^\n]{1,255} \(\d{1,6} [^()\n]{1,30}\))+"
)
_BY_ADMIN = re.compile(r"this message was deleted by (?:an )?admin\b.*", re.IGNORECASE)

_SUFFIXES = {
    "[picture]": {".jpg", ".jpeg", ".png", ".gif", ".heic", ".bmp", ".tif", ".tiff"},
    "[sticker]": {".webp", ".was"},
    "[video]": {".mp4", ".mov", ".3gp", ".avi", ".mkv", ".webm"},
    "[voice]": {".opus"},
    "[audio]": {".m4a", ".mp3", ".aac", ".wav", ".amr", ".ogg", ".flac"},
    "[contact]": {".vcf"},
}


@dataclass(frozen=True, slots=True)
class Reading:
    """What people would read."""

    text: str
    edited: bool = False
    #: whether a part of it is a placeholder
    replaced: bool = False
    #: why it is to be left out; empty when it is not
    left_out: str = ""


def reading(raw: str) -> Reading:
    """A message's text, with its continuation lines, as it stands in the export."""
    text, edited = _without_edited(raw.strip().replace("\u00a0", " "))
    bare = _bare(text)
    folded = bare.casefold().rstrip(".\u3002!")
    if folded in DELETED or _BY_ADMIN.fullmatch(bare):
        return Reading("", left_out="deleted by who wrote it")
    if folded in LOST:
        return Reading("", left_out="not on the exporting phone")
    shown = _with_placeholder(text, bare)
    if shown is not None:
        return Reading(_bare(shown), edited, replaced=True)
    if text.startswith(GENERATED):
        return Reading("", left_out=NOTICE)
    return Reading(bare, edited, left_out="" if bare else "empty")


def _bare(text: str) -> str:
    return _MARK.sub("", text).strip()


def _without_edited(text: str) -> tuple[str, bool]:
    before, bracket, rest = text.rpartition("<")
    found = _EDITED.fullmatch(bracket + rest)
    if found and before and (before.endswith(GENERATED) or EDITED.search(found["words"])):
        return before.removesuffix(GENERATED).rstrip(), True
    return text, False


def _with_placeholder(text: str, bare: str) -> str | None:
    """The text, with a placeholder for what is no text; None where all of it is."""
    for pattern in _ATTACHED:
        if found := pattern.search(text):
            return _put(text, found, _kind_of_file(found["file"]), text[: found.start()])
    if (found := _BRACKETED.match(text)) and _is_phrase(found["words"]):
        return _put(text, found, kind_of(found["words"]), "")
    if (found := _AFTER_MARK.match(text)) and OMITTED.search(found["words"]):
        return _put(text, found, kind_of(found["words"]), found["before"])
    if _MAP.match(bare) or bare.casefold() in LIVE_PLACE:
        return "[place]"
    if found := _POLL.fullmatch(bare):
        return f"[poll] {found['question']}"
    if text.startswith(GENERATED) and CALL.match(bare):
        return "[call]"
    first, _, rest = bare.partition(" ")
    if len(bare) < 40 and "\n" not in bare and len(rest.split()) in (1, 2) and OMITTED.search(rest):
        kind = kind_of(first)  # of an export that was copied without its marks
        return kind if kind != "[file]" else None
    return None


def _put(text: str, found: re.Match[str], placeholder: str, caption: str) -> str:
    # What precedes a document is its name.
    before = "" if placeholder == "[file]" or not _bare(caption) else f"{_bare(caption)} "
    return f"{before}{placeholder}{text[found.end() :]}"


def kind_of(words: str) -> str:
    """The placeholder for what the words name: "[file]" where they do not say."""
    return next((kind for kind, stems in KINDS if stems.search(words)), "[file]")


def _kind_of_file(name: str) -> str:
    suffix = PurePosixPath(name.strip()).suffix.lower()
    if suffix == ".webp" and not name.startswith("STK") and "STICKER" not in name:
        return "[picture]"
    return next((kind for kind, suffixes in _SUFFIXES.items() if suffix in suffixes), "[file]")


def _is_phrase(words: str) -> bool:
    """Whether words in angle brackets can be WhatsApp's: people rather write <3> or <br>."""
    return " " in words or not words.isascii()
