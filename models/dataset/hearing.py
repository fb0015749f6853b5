"""Prepares each imported message for a session: whose it is, without what is private, with a time
that can be. Knows no sessions and no files."""

from __future__ import annotations

import re
import time
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from models.dataset import scrub
from models.dataset.consent import account, names_of
from models.dataset.cutting import Heard
from models.exports.neutral import PLACEHOLDERS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from models.dataset.consent import Consent
    from models.exports.collection import Conversation, Speaker
    from models.exports.neutral import Said

_EARLIEST = datetime(1990, 1, 1, tzinfo=UTC).timestamp()
"""No chat is older; a message that says so has lost its time."""
_A_DAY = 24 * 60 * 60
_STAND_INS = (*PLACEHOLDERS, *(f"[{kind}]" for kind in scrub.KINDS))
_NOTHING_SAID = re.compile(rf"(?:{'|'.join(map(re.escape, _STAND_INS))}|[\W_])*")


class Hearing:
    """Counts what it does in `heard`, `scrubbed`, `left_out` and `not_learned`."""

    def __init__(
        self,
        consent: Consent,
        speakers: Sequence[Speaker],
        *,
        blocked: Collection[str] = (),
        regions: Collection[str] = scrub.REGIONS,
    ) -> None:
        self._consent = consent
        self._names = names_of(speakers, consent)
        self._blocked = tuple(blocked)
        self._regions = tuple(regions)
        self._latest = time.time() + _A_DAY
        self._called = _Called(speakers, self._names) if consent.context == "pseudonyms" else None
        #: messages that may go into a session
        self.heard = 0
        #: source -> when the first and the last of them were said
        self.spans: dict[str, tuple[float, float]] = {}
        #: kind -> how many were replaced
        self.scrubbed: Counter[str] = Counter()
        #: reason -> how many messages
        self.left_out: Counter[str] = Counter()
        #: reason -> how many messages of voices are only shown
        self.not_learned: Counter[str] = Counter()

    def __call__(self, conversation: Conversation, messages: Iterable[Said]) -> Iterator[Heard]:
        for said in messages:
            key = f"{conversation.source}:{said.speaker}"
            if key in self._consent.left_out:
                self.left_out["its speaker is to be left out"] += 1
                continue
            if not _EARLIEST <= said.at <= self._latest:
                self.left_out["its time is before 1990 or in the future"] += 1
                continue
            text, counts = scrub.scrub(
                said.text, private=said.private, blocked=self._blocked, regions=self._regions
            )
            if self._called:
                text, counts["name"] = self._called.replace(text)
            if not (text := _tidy(text)):
                self.left_out["it has no text"] += 1
                continue
            self.scrubbed += counts
            self.heard += 1
            first, last = self.spans.get(conversation.source, (said.at, said.at))
            self.spans[conversation.source] = min(first, said.at), max(last, said.at)
            voice = key in self._consent.voices
            # Punctuation alone is an answer, and people do answer "?".
            if voice and "[" in text and _NOTHING_SAID.fullmatch(text):
                self.not_learned["nothing but a placeholder"] += 1
                voice = False
            yield Heard(
                id=said.id,
                at=said.at,
                name=self._names[key],
                text=text,
                voice=voice,
                reply_to=said.reply_to,
                thread=said.thread,
            )


def _tidy(text: str) -> str:
    """Without blank lines and blanks at the ends of lines."""
    return "\n".join(filter(None, map(str.strip, text.splitlines())))


class _Called:
    """Finds what people call each other in texts: @mentions and full names. A first name alone is
    too often a word ("will", "mark")."""

    def __init__(self, speakers: Sequence[Speaker], names: dict[str, str]) -> None:
        self._instead: dict[str, str] = {}
        for speaker in speakers:
            for name in filter(None, map(str.strip, speaker.names)):
                self._instead.setdefault(name, names[account(speaker)])
        longest_first = sorted(self._instead, key=len, reverse=True)
        anything = "|".join(map(re.escape, longest_first)) or "(?!)"
        full = "|".join(re.escape(name) for name in longest_first if " " in name) or "(?!)"
        self._pattern = re.compile(rf"(?:@(?:{anything})|(?<!\w)(?:{full}))(?!\w)")

    def replace(self, text: str) -> tuple[str, int]:
        """The text with the names that prompts use, and how many were other than those."""

        def instead(found: re.Match[str]) -> str:
            mark, name = ("@", found[0][1:]) if found[0][0] == "@" else ("", found[0])
            return mark + self._instead[name]

        changed, _ = self._pattern.subn(instead, text)
        number = sum(instead(found) != found[0] for found in self._pattern.finditer(text))
        return changed, number
