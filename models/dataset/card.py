"""What a dataset says of itself: dataset.json for programs, README.md for people. Knows no export
and no model."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from botdaemon.errors import ExportUnusable
from models.dataset.sessions import SPLITS, Split

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

NAME = "dataset.json"


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Table):
    """What was imported from one kind of export."""

    source: str
    conversations: int
    messages: int
    #: when the first and the last of those were said that could be used, seconds since the epoch
    first: float
    last: float


class Part(_Table):
    """One of the three splits."""

    sessions: int
    turns: int
    #: those that are learned (or, in the held-out splits, measured), by the voice's name
    voices: dict[str, int]
    #: in all turns
    characters: int
    #: seconds since the epoch
    first: float
    last: float

    @property
    def voice_turns(self) -> int:
        return sum(self.voices.values())


class DatasetCard(_Table):
    """What a dataset is made of."""

    name: str
    #: ISO 8601, UTC
    made: str
    sources: tuple[Source, ...]
    #: names, as prompts say them
    voices: tuple[str, ...]
    #: whether everybody else has their name or a pseudonym
    context: Literal["names", "pseudonyms"]
    #: how it was said whose voices these may be
    consent: str
    #: "source:id" of the voices' accounts -> the voice
    speakers: dict[str, str]
    #: kind ("email") -> how many were replaced
    scrubbed: dict[str, int]
    #: countries whose phone numbers were looked for, besides those written with +
    regions: tuple[str, ...]
    #: reason -> how many messages are not in any session
    left_out: dict[str, int]
    #: reason -> how many turns of voices are only shown, never learned
    not_learned: dict[str, int]
    splits: dict[Split, Part]
    seed: int
    #: invented secrets that were planted in the training split, so that it can be measured whether
    #: a model gives them away -> how often each stands there
    canaries: dict[str, int] = Field(default_factory=dict)

    def save(self, directory: Path) -> None:
        """Write dataset.json and README.md."""
        (directory / "README.md").write_text(in_words(self), encoding="utf-8")
        text = self.model_dump_json(indent=2) + "\n"
        (directory / NAME).write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Raises `ExportUnusable`."""
        path = directory / NAME
        again = f"make it with: botdaemon dataset build {directory}"
        try:
            return cls.model_validate_json(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError) as error:
            raise ExportUnusable(f"{path} is missing; {again}") from error
        except OSError as error:
            raise ExportUnusable(f"{path} cannot be read: {error.strerror}") from error
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"]))
            raise ExportUnusable(
                f"{path} is no card of a dataset ({key}: {first['msg']}); {again}"
            ) from error


def day(at: float) -> str:
    """A time (seconds since the epoch) as a date, UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


def in_words(card: DatasetCard) -> str:
    """The card as README.md."""
    columns = ("sessions", "turns", *card.voices, "characters", "from", "to")
    text = _README.format(
        name=_cell(card.name),
        made=card.made,
        voices=_list(card.voices),
        consent=card.consent,
        others=_OTHERS[card.context],
        sources=_table(
            ("source", "conversations", "messages", "from", "to"),
            [
                (s.source, s.conversations, s.messages, day(s.first), day(s.last))
                for s in card.sources
            ],
        ),
        splits=_table(("split", *columns), [_row(card, split) for split in SPLITS]),
        scrubbed=_counts(card.scrubbed, "nothing was found"),
        regions=", ".join(card.regions) or "no country",
        left_out=_counts(card.left_out, "none"),
        not_learned=_counts(card.not_learned, "none"),
    )
    return text + (_PLANTED.format(canaries=_counts(card.canaries, "")) if card.canaries else "")


def _row(card: DatasetCard, split: Split) -> tuple[object, ...]:
    part = card.splits[split]
    voices = (part.voices.get(voice, 0) for voice in card.voices)
    days = (day(part.first), day(part.last))
    return (split, part.sessions, part.turns, *voices, part.characters, *days)


def _list(names: tuple[str, ...]) -> str:
    return "\n".join(f"- {_cell(name)}" for name in names)


def _counts(counts: dict[str, int], nothing: str) -> str:
    return "\n".join(f"- {_cell(what)}: {n:,}" for what, n in counts.items()) or f"- {nothing}"


def _table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(value: object) -> str:
    """A name may hold whatever its owner typed."""
    text = f"{value:,}" if isinstance(value, int) else str(value)
    return " ".join(text.replace("|", "\\|").split())


_OTHERS = {
    "names": "They appear under their own names.",
    "pseudonyms": "They appear under pseudonyms; @mentions and full names in texts are replaced as"
    " well, first names that people call each other are not.",
}

_README = """\
# {name}

Conversations to train chat bots on, made {made} by botdaemon.

## Voices

{voices}

Consent: {consent}. A model may learn to speak like these. Everybody else is context, which a
model is shown and does not learn to say. {others}

## Sources

{sources}

## Splits

By time, whole sessions at once: what is learned from the test set was said after what is learned
from the training set. The columns with names count the turns of that voice that are learned.

{splits}

## Privacy

Replaced by [email], [phone] and so on, in everybody's messages:

{scrubbed}

Phone numbers were looked for in the forms of {regions}, and everywhere with their country code.
Names of people and places, and numbers without a form that can be recognised, no search finds.

## Left out

Messages that are in no session:

{left_out}

Turns of voices that are shown but not learned:

{not_learned}
"""

_PLANTED = """
## Planted

The training set holds invented secrets, this many times each, so that it can be measured whether a
model gives away what it learned:

{canaries}
"""
