"""Shows people what a dataset is like: figures, and sessions with what is learned marked. Knows no
terminal."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import groupby
from statistics import median
from typing import TYPE_CHECKING

from models.dataset import sessions
from models.dataset.card import DatasetCard, day
from models.dataset.samples import IGNORED, samples
from models.dataset.sessions import SPLITS, path_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from models.dataset.samples import Sample
    from models.dataset.sessions import Session, Split
    from models.formats import Format

LEARNED, SHOWN = "▸ ", "  "
"""Before a turn that is learned, and before one that is context."""
BEGIN, END = "⟦", "⟧"
"""Around the tokens that are learned."""
_FAVOURITES = 5


@dataclass(slots=True)
class _Voice:
    characters: list[int] = field(default_factory=list)
    several_lines: int = 0
    opened: int = 0
    said: Counter[str] = field(default_factory=Counter)


def statistics(card: DatasetCard, directory: Path) -> str:
    """Some lines of figures, for people. Raises `ExportUnusable`."""
    lines = [f"{card.name}: {', '.join(card.voices)} ({card.consent})", ""]
    voices = {voice: _Voice() for voice in card.voices}
    for split in SPLITS:
        part = card.splits[split]
        lines.append(
            f"{split:<10} {part.sessions:>7,} sessions {part.turns:>9,} turns"
            f" {part.voice_turns:>8,} learned   {day(part.first)} to {day(part.last)}"
        )
        for session in sessions.read(path_of(directory, split)):
            _count(session, voices)
    for name, voice in voices.items():
        if not voice.characters:
            lines += ["", f"{name} says nothing that is learned."]
            continue
        turns = len(voice.characters)
        favourites = ", ".join(
            f"{_plain(text)!r} ({number})"
            for text, number in voice.said.most_common(_FAVOURITES)
            if number > 1
        )
        middle = median(voice.characters)
        lines += [
            "",
            f"{name}: {turns:,} turns, half of them longer than {middle:.0f} characters",
            f"  {voice.several_lines / turns:.0%} have several lines",
            f"  {voice.opened / turns:.0%} open a session",
            f"  says most often {favourites or 'nothing twice'}",
        ]
    for title, counts in (
        ("scrubbed", card.scrubbed),
        ("left out", card.left_out),
        ("not learned", card.not_learned),
    ):
        listed = ", ".join(f"{what} {number:,}" for what, number in counts.items())
        lines += ["", f"{title}: {listed or 'nothing'}"]
    return "\n".join(lines)


def _count(session: Session, voices: dict[str, _Voice]) -> None:
    for index, turn in enumerate(session.turns):
        if turn.voice and (voice := voices.get(turn.name)):
            voice.characters.append(len(turn.text))
            voice.several_lines += "\n" in turn.text
            voice.opened += index == 0
            voice.said[turn.text] += 1


def examples(
    directory: Path, split: Split, count: int, format: Format | None = None
) -> Iterator[str]:
    """Sessions from all over a split, one text each. With a model's `format`: as that model reads
    them, sample by sample. Raises `ExportUnusable`."""
    card = DatasetCard.load(directory)
    number = card.splits[split].sessions
    shown = min(count, number)
    chosen = {at * number // shown for at in range(shown)}
    for at, session in enumerate(sessions.read(path_of(directory, split))):
        if at not in chosen:
            continue
        kind = "between two" if session.direct else "in a group"
        head = f"── {_plain(session.id)}, {day(session.turns[0].at)}, {kind}"
        if format is None:
            yield "\n".join([head, *_turns(session)])
        else:
            laid = samples(session, format, context=format.card.context)
            yield "\n\n".join([head, *(_tokens(sample, format) for sample in laid)])


def _turns(session: Session) -> Iterator[str]:
    for turn in session.turns:
        first, *more = _plain(turn.text).split("\n")
        yield f"{LEARNED if turn.voice else SHOWN}{_plain(turn.name)}: {first}"
        yield from (f"    {line}" for line in more)


def _tokens(sample: Sample, format: Format) -> str:
    """A sample as text, control tokens included."""
    pieces = []
    pairs = zip(sample.tokens, sample.labels, strict=True)
    for learned, run in groupby(pairs, lambda pair: pair[1] != IGNORED):
        text = format.tokenizer.decode([token for token, _ in run], skip_special_tokens=False)
        pieces.append(f"{BEGIN}{text}{END}" if learned else text)
    return _plain("".join(pieces))


def _plain(text: str) -> str:
    """Without characters that would do something to a terminal."""
    return "".join(c for c in text if c == "\n" or c.isprintable())
