"""What Signal's exports have in common: ids, mentions and placeholders. Knows no file and no table.

People and groups go by what Signal itself tells them apart by, so that the exports of several
phones can become one dataset: the same person is one speaker in all of them, and the chats of two
people with a namesake are never mixed.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from uuid import UUID

MENTION = "\N{OBJECT REPLACEMENT CHARACTER}"
"""Stands in a text where somebody is mentioned; who it is, is said apart from the text."""
SOMEONE = "someone"
"""Who is mentioned, where the export does not say it."""
LONG_TEXT = "text/x-signal-plain"
"""The type of the attachment that holds the whole of a text of more than 2 KiB."""

UTF_16 = "utf-16-le"


def digest(text: str) -> str:
    """Stands for what must not be written down itself: a key, or a phone number."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


def person_id(aci: UUID | None, phone: str, recipient: str) -> str:
    """A speaker's id: the account's (ACI), else one made of the phone number, else one that means
    something in this export only."""
    if aci:
        return str(aci)
    return f"phone-{digest(phone)}" if phone else f"recipient-{recipient}"


def direct_id(own: str, other: str) -> str:
    """The id of the exporter's conversation with somebody."""
    return f"{own}+{other}"


def message_id(sent: int, speaker: str) -> str:
    """Signal itself knows a message by its author and the millisecond at which it was sent."""
    return f"{sent}-{speaker}"


def with_mentions(text: str, mentions: Iterable[tuple[int, int, str]]) -> str:
    """The text with names for mentions. Of each: start and length in UTF-16 code units, the name.

    One that does not lie in the text, or that overlaps another, is ignored.
    """
    units = text.encode(UTF_16, "surrogatepass")
    free = len(units)
    pieces: list[bytes] = []  # from the last to the first
    for start, length, name in sorted(mentions, reverse=True):
        begin, end = 2 * start, 2 * (start + length)
        if 0 <= begin < end <= free:
            pieces += [units[end:free], f"@{name}".encode(UTF_16, "surrogatepass")]
            free = begin
    units = b"".join([units[:free], *reversed(pieces)])
    return units.decode(UTF_16, "surrogatepass").replace(MENTION, f"@{SOMEONE}")


def placeholder(content_type: str, *, voice: bool = False) -> str:
    """What stands for an attachment of this MIME type."""
    kinds = {"image": "[picture]", "video": "[video]", "audio": "[audio]"}
    return "[voice]" if voice else kinds.get(content_type.partition("/")[0].lower(), "[file]")


def with_placeholders(text: str, placeholders: Sequence[str]) -> str:
    """A text, and in a line of their own the placeholders of what was sent with it."""
    return "\n".join(filter(None, [text.strip(), " ".join(placeholders)]))
