"""Where a reply ends: at another speaker's name, where it loops, at the last whole sentence.

Pure text; knows no engine, no bot and no thread.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

#: What people and models put around a name at the start of a line: ``**Ann:**``, ``[Ann]:``.
_MARKS = " \t*_[]"
#: The end of a sentence: punctuation and its closing quotes before a space, or a line's end.
_SENTENCE_END = re.compile(r"[.!?…][.!?…\"')\]”\u2019»*_]*(?=\s)|[。\uff01\uff1f]|\n")
#: The same at the very end of a text.
_WHOLE = re.compile(r"[.!?…。\uff01\uff1f][\"')\]”\u2019»*_]*\Z")
_FENCES = ("```", "~~~")
#: A list item that has only its mark: what a cut list ends with.
_EMPTY_ITEM = re.compile(r"\n\s*(?:\d+[.)]|[-*+])\s*\Z")

#: Sentences shorter than this may be said as often as one likes: "No. No. No."
_SHORT_SENTENCE = 16
#: What may be dropped after the last whole sentence of a cut reply: not half of the reply.
_HALF_SENTENCE = 300
#: Characters a phrase may fill by repetition ("ha ha ha"), in prose and in code or rulers.
_PROSE_RUN = 60
_OTHER_RUN = 400
#: The longest phrase whose repetition is looked for, the end that is looked for, and how often.
_LONGEST_PHRASE = 600
_PROBE = 12
_EVERY = 24
#: What is kept of a repeated syllable: six times "ha ".
_SYLLABLES = 18


@lru_cache(maxsize=1024)  # asked for every message of every prompt
def name_in_line(name: str) -> str:
    """A name as it can stand in one line of a prompt."""
    return " ".join(name.split())


def stop_strings(names: Iterable[str]) -> tuple[str, ...]:
    """What an engine is asked to stop at, so that it does not write for these speakers."""
    return tuple(f"\n{name}:" for name in names)


def _forms(name: str) -> set[str]:
    """A name as it may be written at the start of a line, with and without marks."""
    name = name.strip().casefold()
    return {name, name.strip(_MARKS)} - {""}


class Guard:
    """Watches one reply as it grows. What it lets through never speaks for somebody else."""

    def __init__(self, speaker: str, others: Iterable[str]) -> None:
        self._own = _forms(speaker)
        self._others = set[str]().union(*map(_forms, others)) - self._own
        self._names = (*self._own, *self._others)
        self._reach = max(map(len, self._names), default=0) + 2 * len(_MARKS)
        self._kept = ""
        #: the start of a line that may still become somebody's name
        self._head = ""
        self._at_line_start = True
        self._ended = False
        # for the search for loops: the sentence under way, what was said before, and where
        self._sentences = [0]
        self._searched = 0
        self._said: dict[str, list[int]] = {}
        self._fenced = False
        self._probed = 0

    @property
    def text(self) -> str:
        """The reply so far, as it may be shown."""
        return self._kept.strip()

    def feed(self, piece: str) -> bool:
        """Take newly generated text; False when the reply has ended."""
        if not self._ended:
            self._take(piece)
            self._stop_loops()
        return not self._ended

    def close(self, finish: Literal["", "stop", "length"]) -> str:
        """The whole reply, once the engine has finished."""
        if not self._ended:
            self._kept += self._head
            self._note(len(self._kept))
        if finish == "length" and not self._ended:
            return shorten(self._kept)
        return self.text

    # --- names ------------------------------------------------------------------------------

    def _take(self, piece: str) -> None:
        text, start = self._head + piece, 0
        self._head = ""
        lines = [self._kept]
        while start < len(text):
            if self._at_line_start:
                begin = self._begin_line(text, start)
                if begin is None:
                    self._head = text[start:]
                    break
                if begin < 0:
                    self._ended = True
                    break
                start = begin
            end = text.find("\n", start) + 1
            self._at_line_start = end > 0
            lines.append(text[start : end or len(text)])
            start = end or len(text)
        self._kept = "".join(lines)

    def _begin_line(self, text: str, start: int) -> int | None:
        """Where the words of this line begin: after the speaker's own name if it stands there;
        -1 if the line is somebody else's, None if that cannot be told yet."""
        window = text[start : start + self._reach].replace("\uff1a", ":")
        line, newline, _ = window.partition("\n")
        colon = line.find(":")
        while colon >= 0:
            heads = _forms(line[:colon])
            if heads & self._others:
                return -1
            if heads & self._own:
                words = line[colon + 1 :].lstrip(_MARKS)
                if not words and not newline and len(window) < self._reach:
                    return None
                return start + len(line) - len(words)
            colon = line.find(":", colon + 1)
        if newline or len(window) == self._reach:
            return start
        heads = _forms(line)
        unclear = not line.strip(_MARKS) or any(
            name.startswith(head) for name in self._names for head in heads
        )
        return None if unclear else start

    # --- loops ------------------------------------------------------------------------------

    def _stop_loops(self) -> None:
        for end in _SENTENCE_END.finditer(self._kept, self._searched):
            self._note(end.end())
            if self._ended:
                return
        # an end at the very end is only seen with what follows it
        self._searched = max(self._sentences[-1], len(self._kept) - _PROBE)
        if len(self._kept) - self._probed >= _EVERY:
            self._probed = len(self._kept)
            self._stop_run()

    def _note(self, end: int) -> None:
        """A sentence is over: end the reply if it was said twice before."""
        start = self._sentences[-1]
        self._sentences.append(end)
        sentence = self._kept[start:end].strip()
        if sentence.startswith(_FENCES):
            self._fenced = not self._fenced
        if self._fenced or len(sentence) < _SHORT_SENTENCE:
            return
        places = self._said.setdefault(sentence.rstrip(".!?… ").casefold(), [])
        places.append(start)
        if len(places) == 3:
            self._end_at(self._loop_of(*places))

    def _loop_of(self, first: int, second: int, third: int) -> int:
        """Where to end a reply that says the same sentence at three places."""
        text = self._kept
        if text[first:second].strip() != text[second:third].strip():
            return third  # it may have been a refrain: only the third time is one too many
        # In a row: everything from the loop's first sentence on is said once.
        period, start = second - first, first
        while start and text[start - 1] == text[start - 1 + period]:
            start -= 1
        return self._sentences[bisect_left(self._sentences, start)] + period

    def _stop_run(self) -> None:
        """End the reply if it ends in one phrase over and over, without an end of a sentence."""
        text = self._kept
        size = len(text)
        last = size - _PROBE
        start = text.rfind(text[last:], max(0, last - _LONGEST_PHRASE), size - 1)
        if start < 0:
            return
        period = last - start
        while start and text[start - 1] == text[start - 1 + period]:
            start -= 1
        phrase = text[start : start + period]
        prose = not self._fenced and any(map(str.isalpha, phrase))
        if size - start < max(3 * period, _PROSE_RUN if prose else _OTHER_RUN):
            return
        end = start + max(period, _SYLLABLES // period * period)
        if any(map(str.isspace, phrase)):  # the run need not begin where a word does
            while text[end - 1].isalnum() and text[end].isalnum():
                end += 1
        self._end_at(end)

    def _end_at(self, end: int) -> None:
        self._kept = self._kept[:end]
        self._ended = True


def shorten(text: str) -> str:
    """A reply that was cut off by its length, back to its last whole sentence if there is one,
    else to its last whole word, with an ellipsis. Code is left as it is."""
    text, cut = text.strip(), text
    whole = _EMPTY_ITEM.sub("", text)
    if whole != text or cut.endswith("\n"):
        return whole
    if not text or _in_code(text) or text.endswith(_FENCES) or _WHOLE.search(text):
        return text
    end = max((match.end() for match in _SENTENCE_END.finditer(text)), default=0)
    if end and len(text) - end <= _HALF_SENTENCE:
        return _EMPTY_ITEM.sub("", text[:end].strip())
    words, space, _ = text.rpartition(" ")
    return f"{words if space else text}…"


def whole_sentences(text: str, characters: int) -> str:
    """As many whole sentences of the beginning of a text as have so many characters; all of it when
    it is no longer, nothing when its first sentence is."""
    if len(text) <= characters:
        return text
    ends = (match.end() for match in _SENTENCE_END.finditer(text, 0, characters + 1))
    return text[: max((end for end in ends if end <= characters), default=0)].strip()


def _in_code(text: str) -> bool:
    return sum(line.lstrip().startswith(_FENCES) for line in text.splitlines()) % 2 == 1
