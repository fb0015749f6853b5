"""Makes of the imported messages the sessions that a model learns from. Knows no tokens, no model.

Three passes, so that memory holds no more than what is open of one conversation, the answers of
the voices (for finding repeats) and a few numbers per session:

1. Messages are scrubbed and cut into sessions, which are written down as they come.
2. The sessions are dealt out to the three splits, by time.
3. In the training split, answers that were given too often lose their mark. What is held out stays
   as people speak: they do repeat themselves.
"""

from __future__ import annotations

import shutil
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING

from botdaemon.errors import ExportUnusable, Refused
from models.dataset import consent as consents
from models.dataset import cutting, dealing, planting, scrub, sessions
from models.dataset.card import NAME, DatasetCard, Part, Source
from models.dataset.dealing import Entry
from models.dataset.duplicates import Repeats
from models.dataset.hearing import Hearing
from models.dataset.sessions import SPLITS, Session, Split, path_of
from models.exports.collection import open_collection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from models.dataset.consent import Consent
    from models.dataset.cutting import Cut
    from models.exports.collection import Collection, Conversation, Speaker
    from models.exports.neutral import Said

_TREES = frozenset({"reddit"})
"""Sources whose conversations branch: everybody answers one message, not the last one."""
_EVERY = 1_000
"""Messages after which progress is told."""
_WORK = ".building"
"""Where the new files are until they are complete. One that was killed leaves it to the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What an operator decides. Either `speakers` or `consent` says whose voices these may be."""

    #: names, or "SOURCE:ID"
    speakers: tuple[str, ...] = ()
    #: a consent file
    consent: Path | None = None
    #: what everybody else is called, where no consent file says it
    context: consents.Names = "names"
    #: of the dataset; empty: its directory's
    name: str = ""
    #: words to replace wherever they stand
    blocked: tuple[str, ...] = ()
    #: countries (ISO 3166) whose phone numbers are found without their country code
    regions: tuple[str, ...] = scrub.REGIONS
    #: shares of the voices' turns that are held out
    validation: float = 0.1
    test: float = 0.1
    #: plant invented secrets in the training split, to measure what a model gives away
    plant: bool = False
    seed: int = 0


def build(
    directory: Path,
    choices: Choices,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> DatasetCard:
    """Make the dataset of what was imported into `directory`. An earlier one is replaced once the
    new one is complete. `progress` is told how many of how many messages are done.

    Raises `Refused` when consent names nobody or there is too little to learn from, and
    `ExportUnusable` when messages cannot be read or the directory cannot be written.
    """
    try:
        with ExitStack() as stack:
            collection = stack.enter_context(open_collection(directory))
            work = stack.enter_context(_empty(directory / _WORK))
            spool = stack.enter_context((work / "sessions").open("w+b"))
            card = _build(collection, spool, work, directory, choices, progress)
            # A set of files of which some are older is not to be taken for a dataset.
            (directory / NAME).unlink(missing_ok=True)
            for split in SPLITS:
                path_of(work, split).replace(path_of(directory, split))
            card.save(directory)
    except OSError as error:
        raise ExportUnusable(f"{directory} cannot be written: {error.strerror}") from error
    return card


@contextmanager
def _empty(directory: Path) -> Iterator[Path]:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


def _build(
    collection: Collection,
    spool: IO[bytes],
    work: Path,
    directory: Path,
    choices: Choices,
    progress: Callable[[int, int], None],
) -> DatasetCard:
    speakers = collection.speakers()
    consent = _consent(choices, speakers)
    hearing = Hearing(consent, speakers, blocked=choices.blocked, regions=choices.regions)

    entries = [_note(cut, spool) for cut in _cuts(collection, hearing, progress)]
    shown = sum(entry.messages for entry in entries)
    if hearing.heard > shown:
        hearing.left_out["no voice spoke in its session"] = hearing.heard - shown
    entries.sort(key=lambda entry: (entry.first, entry.offset))

    splits = dealing.dealt(entries, validation=choices.validation, test=choices.test)
    dealt = sum(len(part) for part in splits.values())
    if dealt < len(entries):
        inside = {id(entry) for part in splits.values() for entry in part}
        hearing.left_out += _messages(
            "its session lies across the border between two splits",
            (e for e in entries if id(e) not in inside),
        )
    _forget_repeats(splits["train"], spool, choices.seed, hearing)
    hearing.left_out += _messages(
        "its session has nothing to learn", (e for e in splits["train"] if not e.learned)
    )
    splits["train"] = [entry for entry in splits["train"] if entry.learned]
    voices = tuple(dict.fromkeys(consent.voices.values()))
    dealing.enough(splits, voices)
    planted = planting.secrets(choices.seed) if choices.plant else {}
    parts: dict[Split, Part] = {}
    for split, chosen in splits.items():
        said: Iterable[Session] = (_read(spool, entry) for entry in chosen)
        if split == "train" and chosen:
            said = planting.planted(said, planted, voices[0], chosen[-1].last)
        parts[split] = write_split(path_of(work, split), said)
    return DatasetCard(
        name=choices.name or directory.resolve().name,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        sources=_sources(collection.conversations(), hearing),
        voices=voices,
        context=consent.context,
        consent=consent.how,
        speakers=dict(consent.voices),
        scrubbed=dict(sorted(hearing.scrubbed.items())),
        regions=choices.regions,
        left_out=dict(hearing.left_out),
        not_learned=dict(hearing.not_learned),
        splits=parts,
        seed=choices.seed,
        canaries=planted,
    )


def _consent(choices: Choices, speakers: Sequence[Speaker]) -> Consent:
    if choices.consent is None:
        return consents.named(choices.speakers, speakers, choices.context)
    if choices.speakers:
        raise Refused(
            f"speakers are named twice, by --speaker and in {choices.consent}; use one of the two"
        )
    return consents.from_file(choices.consent, speakers)


def _cuts(
    collection: Collection, hearing: Hearing, progress: Callable[[int, int], None]
) -> Iterator[Cut]:
    """The sessions in which a voice speaks."""
    done, total = 0, collection.size

    def told(messages: Iterable[Said]) -> Iterator[Said]:
        nonlocal done
        for said in messages:
            yield said
            done += 1
            if done % _EVERY == 0 or done == total:
                progress(done, total)

    for conversation in collection.conversations():
        prefix = f"{conversation.source}/{conversation.id}/"
        heard = hearing(conversation, told(collection.messages(conversation)))
        if conversation.source in _TREES:
            cuts = cutting.by_branches(heard, prefix=prefix)
        else:
            cuts = cutting.by_silence(heard, direct=conversation.direct, prefix=prefix)
        yield from (cut for cut in cuts if any(turn.voice for turn in cut.session.turns))


# --- sessions that are written down ------------------------------------------------------------


def _note(cut: Cut, spool: IO[bytes]) -> Entry:
    offset = spool.tell()
    spool.write(sessions.to_json(cut.session).encode() + b"\n")
    return Entry(
        first=cut.first,
        last=cut.last,
        offset=offset,
        messages=cut.messages,
        learned=[i for i, turn in enumerate(cut.session.turns) if turn.voice],
    )


def _read(spool: IO[bytes], entry: Entry) -> Session:
    spool.seek(entry.offset)
    session = sessions.from_json(spool.readline())
    turns = (replace(t, voice=i in entry.learned) for i, t in enumerate(session.turns))
    return replace(session, turns=tuple(turns))


def _forget_repeats(
    entries: Iterable[Entry], spool: IO[bytes], seed: int, hearing: Hearing
) -> None:
    """In the order of time, so that what was said first is learned."""
    repeats = Repeats(seed)
    for entry in entries:
        turns = _read(spool, entry).turns
        for index in list(entry.learned):
            if reason := repeats.reason(turns[index].name, turns[index].text):
                hearing.not_learned[reason] += 1
                entry.learned.remove(index)


# --- splits ------------------------------------------------------------------------------------


def write_split(path: Path, said: Iterable[Session]) -> Part:
    """Write the file of a split, and count what is in it. Raises `OSError`."""
    number = turns = characters = 0
    voices: dict[str, int] = {}
    first, last = float("inf"), 0.0

    def counted() -> Iterator[Session]:
        nonlocal number, turns, characters, first, last
        for session in said:
            number += 1
            turns += len(session.turns)
            for turn in session.turns:
                characters += len(turn.text)
                if turn.voice:
                    voices[turn.name] = voices.get(turn.name, 0) + 1
                    first, last = min(first, turn.at), max(last, turn.at)
            yield session

    sessions.write(path, counted())
    return Part(
        sessions=number, turns=turns, voices=voices, characters=characters,
        first=min(first, last), last=last,
    )  # fmt: skip


# --- counts ------------------------------------------------------------------------------------


def _messages(reason: str, entries: Iterable[Entry]) -> Counter[str]:
    number = sum(entry.messages for entry in entries)
    return Counter({reason: number} if number else {})


def _sources(conversations: Iterable[Conversation], hearing: Hearing) -> tuple[Source, ...]:
    by_source: dict[str, list[Conversation]] = {}
    for conversation in conversations:
        by_source.setdefault(conversation.source, []).append(conversation)
    return tuple(
        Source(
            source=source,
            conversations=len(its),
            messages=sum(conversation.messages for conversation in its),
            first=hearing.spans.get(source, (0.0, 0.0))[0],
            last=hearing.spans.get(source, (0.0, 0.0))[1],
        )
        for source, its in by_source.items()
    )
