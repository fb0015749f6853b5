"""The neutral form of what was said, and the count of what was read. Knows no kind of export."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol
from zoneinfo import ZoneInfo

from botdaemon.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PLACEHOLDERS = ("[picture]", "[video]", "[voice]", "[audio]", "[sticker]", "[file]", "[contact]",
                "[place]", "[poll]", "[call]")  # fmt: skip
"""What stands in a text for something that is no text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One message, as it would be read out: mentions are names, quotes of others are left out."""

    #: the conversation's id, unique in its source ("C024BE91L", "signal:7")
    conversation: str
    #: unique in the conversation
    id: str
    #: seconds since the epoch (UTC)
    at: float
    #: the speaker's id in the source
    speaker: str
    #: what the speaker is called
    name: str
    text: str
    #: the id of the message it answers; empty for none
    reply_to: str = ""
    #: the id of the first message of its thread, where a conversation has threads; empty for none
    thread: str = ""
    #: what people call the conversation
    title: str = ""
    #: whether it is between two people
    direct: bool = False
    #: whether the text is not the first version
    edited: bool = False
    #: parts of the text that the source itself marks as an address, a phone or a card number
    private: tuple[str, ...] = ()


@dataclass(slots=True)
class Tally:
    """Counts every message that an import meets: each is kept, or left out for a reason."""

    #: told how many bytes of how many are read
    progress: Callable[[int, int], None] = lambda done, total: None
    kept: int = 0
    #: reason -> how many messages were left out for it
    left_out: Counter[str] = field(default_factory=Counter)
    #: what happened to messages that were kept: "edited", "quote removed", "reactions ignored" ...
    changed: Counter[str] = field(default_factory=Counter)
    #: sentences for whoever imports
    notes: list[str] = field(default_factory=list)
    #: what the export's own index says there is: name -> (said there, found)
    promised: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def read(self) -> int:
        return self.kept + self.left_out.total()

    def leave(self, reason: str, number: int = 1) -> None:
        """Count messages that are not kept. `reason`: a few words, the same for all of a kind."""
        self.left_out[reason] += number

    def change(self, what: str, number: int = 1) -> None:
        """Count messages that are kept, but not as they stood there."""
        self.changed[what] += number

    def note(self, sentence: str) -> None:
        """Say something to whoever imports, once."""
        if sentence not in self.notes:
            self.notes.append(sentence)


class Reader(Protocol):
    """Reads one kind of export.

    It yields what is kept (whoever takes it counts `Tally.kept`), counts everything else, and holds
    no more in memory than one file of the export. When the export breaks off in the middle it
    raises `ExportUnusable` after what could be read.
    """

    def __call__(self, path: Path, tally: Tally, options: Options) -> Iterator[Said]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What an operator can say about an import. A reader looks at those that mean something to it,
    and raises `Refused` for a missing one that it needs."""

    #: keep what bots said
    bots: bool = False
    #: of an encrypted backup
    passphrase: str = ""
    #: which comes first in dates that leave it open: "day" or "month"; empty: find out
    date_order: str = ""
    #: the zone of times that have none, as in "Europe/Berlin"; empty: this machine's
    timezone: str = ""
    #: only these, where an export holds many people's conversations (Reddit)
    subreddits: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    #: what the exporter is called, where the export says "Me" or "You"
    me: str = ""

    def zone(self) -> ZoneInfo | None:
        """The zone that was said; None is this machine's. Raises `Refused` for one that is none."""
        try:
            return ZoneInfo(self.timezone) if self.timezone else None
        except (ValueError, OSError, KeyError) as error:  # ZoneInfoNotFoundError is a KeyError
            raise Refused(
                f'"{self.timezone}" is no time zone; name one as in "Europe/Berlin"'
            ) from error
