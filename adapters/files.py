"""Files that people attach, on their way in. Knows no platform, and never looks into what it takes
in: nothing is unpacked and no picture is decoded here.
"""

from __future__ import annotations

import asyncio
import codecs
import logging
import mimetypes
import unicodedata
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import filetype  # type: ignore[import-untyped] # it has no annotations

from botdaemon.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, Callable, Sequence

    from botdaemon.ports import Shelf
    from botdaemon.types import File

log = logging.getLogger(__name__)

UNKNOWN = "application/octet-stream"
#: seconds that all files of one message may keep it waiting
PATIENCE = 60.0
#: bytes at the beginning of a file that are looked at
LOOK = 2**20
LONGEST_NAME = 120

_KNOWN = frozenset(kind.mime for kind in filetype.types)
_TEXTS = ("text/", "application/json", "application/xml", "application/x-ndjson")
#: of these the library sees no more than the archive around them
_ZIPPED = ("openxmlformats", "opendocument", "+zip")


class TooLarge(Exception):
    """There is more of it than is taken in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A file that can be fetched, as the platform describes it."""

    name: str
    #: the content as it arrives; whatever goes wrong is raised there
    chunks: Callable[[], AsyncGenerator[bytes]]
    #: bytes; 0 when the platform does not say
    size: int = 0
    #: the media type it is said to have
    claimed: str = ""


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of the offers: the files that are kept, and a line for each that is not."""

    files: tuple[File, ...] = ()
    lines: tuple[str, ...] = ()

    def beside(self, text: str) -> str:
        """The text of the message with the lines below it."""
        return "\n".join(filter(None, (text, *self.lines)))


async def take_in(
    offers: Sequence[Offer], shelf: Shelf, cap: int, patience: float = PATIENCE
) -> Taken:
    """Fetch and keep the files of one message, each of at most `cap` bytes.

    Raises only what the store raises: a file that cannot be had is a line in the message.
    """
    until = asyncio.get_running_loop().time() + patience
    files, lines = [], []
    for offer in offers:  # one after the other, so that only one of them is in memory
        name = tidy(offer.name)
        try:
            if offer.size > cap:
                raise TooLarge
            async with asyncio.timeout_at(until), aclosing(offer.chunks()) as chunks:
                content = await fetch(chunks, cap)
        except TooLarge:
            size = words(offer.size) if offer.size > cap else f"more than {words(cap)}"
            lines.append(f"[{name}: {size}, too large to take in]")
        except StoreError:
            raise
        except Exception as error:  # its words may hold an address with a token in it
            log.warning(
                "a file could not be fetched: %s",
                type(error).__name__,
                extra={"event": "file_failed"},
            )
            lines.append(f"[{name}: could not be fetched]")
        else:
            kind = media_type(content, name, offer.claimed)
            files.append(await shelf.keep(content, name, kind))
    return Taken(tuple(files), tuple(lines))


async def fetch(chunks: AsyncIterable[bytes], cap: int) -> bytes:
    """The whole of a download. Raises `TooLarge` as soon as there is more than `cap` bytes."""
    content = bytearray()
    async for chunk in chunks:
        content += chunk
        if len(content) > cap:
            raise TooLarge
    return bytes(content)


def media_type(content: bytes, name: str, claimed: str) -> str:
    """What a file is: what it claims to be, by its media type or else its name, when its content
    does not contradict that. A file that lies is `application/octet-stream`."""
    claimed = claimed.partition(";")[0].strip().lower()
    if claimed in ("", UNKNOWN):
        claimed = mimetypes.guess_type(name, strict=False)[0] or ""
    seen = filetype.guess_mime(content[:LOOK]) or ""
    if claimed.startswith(_TEXTS) or claimed.endswith(("+json", "+xml")):
        return claimed if _is_text(content) else UNKNOWN
    if seen:
        return _agreed(seen, claimed)
    if claimed in _KNOWN or claimed.startswith(("image/", "audio/", "video/")):
        return UNKNOWN  # it would have been recognised
    return "text/plain" if _is_text(content) else UNKNOWN


def _agreed(seen: str, claimed: str) -> str:
    if seen == "application/zip" and any(word in claimed for word in _ZIPPED):
        return claimed
    if claimed.startswith("audio/") and seen.startswith("video/"):
        return claimed  # a container in which both come, and the library takes it for the other
    if not claimed or _family(seen) == _family(claimed) != "application":
        return seen
    # A name the library does not use, such as application/x-zip-compressed, is no lie.
    honest = seen == claimed or (_family(claimed) == "application" and claimed not in _KNOWN)
    return seen if honest else UNKNOWN


def _family(kind: str) -> str:
    """Sound and moving pictures share their containers, and are often taken for each other."""
    family = kind.partition("/")[0]
    return "media" if family in ("audio", "video") or kind == "application/ogg" else family


def _is_text(content: bytes) -> bool:
    head = content[:LOOK]
    encoding = "utf-16" if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8"
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(head, len(head) == len(content))
    except UnicodeDecodeError:
        return False
    return "\0" not in text


def tidy(name: str) -> str:
    """A file's name without folders, brackets and anything that cannot be seen."""
    name = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    # Z and not just Zl and Zp: every kind of blank becomes the plain one, so that a line stays one.
    kept = "".join(" " if unicodedata.category(c)[0] == "Z" else c for c in name)
    kept = "".join(c for c in kept if unicodedata.category(c)[0] != "C" and c not in "[]")
    kept = kept.strip(" .")
    if len(kept) > LONGEST_NAME:
        stem, dot, ending = kept.rpartition(".")
        ending = dot + ending if stem and len(ending) < 10 else ""
        kept = kept[: LONGEST_NAME - len(ending)] + ending
    return kept or "file"


def words(size: int) -> str:
    """A size as a person says it."""
    if size >= 1_000_000:
        return f"{size / 1_000_000:.0f} MB"
    return f"{max(1, round(size / 1000))} kB"
