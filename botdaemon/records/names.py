"""File names that are safe everywhere, and the same each time. Knows nothing of what is in the
files."""

from __future__ import annotations

import re
import unicodedata

#: characters of what people called something, at most
_LONGEST = 60
#: what Windows keeps for itself, whatever comes after a dot
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)
_UNSAFE = re.compile(r"[^\w.-]+")


def room_folder(name: str) -> str:
    """The folder of a room. Names of rooms have letters, digits, spaces, "-", "_", "'" and "."; of
    that, what a file system may not take is written as in an address, so that no two are the
    same."""
    if name.endswith("."):
        return f"{name[:-1]}%2E"
    return f"%{ord(name[0]):02X}{name[1:]}" if _RESERVED.fullmatch(name) else name


def thread_folder(id: int, title: str) -> str:
    """ "000012-holiday-plans": the title is for people, the number keeps it apart from others."""
    return "-".join(filter(None, (f"{id:06}", _plain(title))))


def file_name(message: int, position: int, name: str) -> str:
    """ "000123-1-garden.png", whatever somebody called the file."""
    stem, dot, extension = _plain(re.split(r"[/\\]", name)[-1], 255).rpartition(".")
    if not dot or len(extension) > 10:
        stem, extension = f"{stem}{dot}{extension}", ""
    return f"{message:06}-{position}-{stem[:_LONGEST].strip('.-') or 'file'}" + (
        f".{extension}" if extension else ""
    )


def _plain(text: str, longest: int = _LONGEST) -> str:
    """What is left of a text when only letters, digits, "_", "-" and "." are."""
    text = unicodedata.normalize("NFC", text)
    return _UNSAFE.sub("-", text).strip(".-")[:longest].strip(".-")
