"""What is not let through: words and patterns in a text, blocked or masked. Pure: knows no store,
no platform and no bot.

Words are found as whole words, whatever their case and accents, also with invisible characters in
them, w1th d1g1ts for letters, and s p e l l e d out. For that a text is *folded* character by
character: compatibility forms and accents go (Unicode NFKD), so do invisible characters (category
Cf), and case is folded. Patterns are searched for in the text as it stands.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import regex  # type: ignore[import-untyped]  # it comes without types

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

#: what stands for each visible character of what is masked
MASK = "\u2022"
#: seconds of computing that a pattern may take for one text; whatever takes longer is held back
PATIENCE = 0.05
#: the same for a pattern that is only looked at, with texts of `_PROBE` characters
CHECKED = 0.25

_PROBE = 1000
#: letters that a character may stand for
_STANDS_FOR = {
    "0": "o", "1": "il", "2": "z", "3": "e", "4": "a", "5": "s", "7": "t", "8": "b", "9": "g",
    "@": "a", "$": "s", "!": "i", "|": "il",
}  # fmt: skip
#: most characters between two letters of a word that is spelled out, and between words of a phrase
_GAP, _SPACE = 3, 8
#: shorter words are found only as they are: too much looks like them
_SHORT = 3

_Span = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Words and patterns, and what becomes of a text in which one is found."""

    words: tuple[str, ...] = ()
    #: regular expressions of the `regex` library; case is ignored
    patterns: tuple[str, ...] = ()
    #: block: the stand-in takes the place of the whole text; mask: only of what was found
    action: Literal["block", "mask"] = "block"
    stand_in: str = ""


@dataclass(frozen=True, slots=True)
class Screened:
    """What became of a text."""

    #: it, or what takes its place
    text: str
    #: what was found in it
    found: tuple[str, ...] = ()
    blocked: bool = False


class _TooSlow(Exception):
    """A pattern took too long; its text says which."""


class _Compiled:
    """A rule, ready to be used."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.words = _Words(rule.words)
        self._patterns = [_pattern(source) for source in rule.patterns]

    def spans(self, text: str, folded: str, at: Sequence[int]) -> Iterator[_Span]:
        """Where in a text something is found. Raises `_TooSlow`."""
        for start, end in self.words.spans(folded):
            yield at[start], at[end - 1] + 1
        for pattern in self._patterns:
            try:
                yield from (m.span() for m in pattern.finditer(text, timeout=PATIENCE) if m[0])
            except TimeoutError:
                raise _TooSlow(pattern.pattern) from None


class Filter:
    """Rules, applied one after the other; the first that blocks has the last word."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self._rules = [_Compiled(rule) for rule in rules if rule.words or rule.patterns]
        self._reach = max((one.words.reach for one in self._rules), default=0)
        #: whether the beginning of a text can be let through before its end is known
        self.streams = all(
            one.rule.action == "mask" and not one.rule.patterns for one in self._rules
        )

    def __call__(self, text: str) -> Screened:
        """What may go on of a whole text."""
        found: list[str] = []
        while self._rules:
            folded, at = _fold(text)
            spans: list[_Span] = []
            for one in self._rules:
                try:
                    here = list(one.spans(text, folded, at))
                except _TooSlow as slow:
                    return Screened(one.rule.stand_in, (*found, f"{slow} (takes too long)"), True)
                found += (text[start:end] for start, end in here)
                if here and one.rule.action == "block":
                    return Screened(one.rule.stand_in, tuple(dict.fromkeys(found)), True)
                spans += here
            masked = _masked(text, spans)
            if masked == text:
                break
            text = masked  # and again: what stands beside a mask may be a whole word now
        return Screened(text, tuple(dict.fromkeys(found)))

    def begun(self, text: str) -> str:
        """What may be shown of a text that still grows: whatever comes, what goes on of the whole
        text will begin like this. Empty while that cannot be told (see `streams`)."""
        if not self._rules:
            return text
        if not self.streams:
            return ""
        folded, at = _fold(text)
        # A word that begins before this is found or not, whatever follows.
        end = len(folded) - self._reach - 1
        if end <= 0:
            return ""
        spans = [span for one in self._rules for span in one.spans(text, folded, at)]
        return _masked(text, spans)[: at[end]]


#: lets everything through
NOTHING = Filter()


def too_slow(source: str) -> bool:
    """Whether a pattern takes too long with some text that is made to be hard for it. Such a
    pattern tries the same over and over, in numbers that explode with the length of a text."""
    pattern = _pattern(source)
    # What it is about is likely to be what is written in it: one piece to get it going, another
    # many times, and an end that does not fit.
    runs = set(regex.findall(r"[^\W_]{2,}", source))
    characters = {one for one in source if one.isprintable()} | set("a0 .-\n")
    for head in sorted({"", *runs, *characters}):
        for unit in sorted(runs | characters | {f"{one} " for one in characters}):
            for end in ("", "\0"):
                text = head + unit * (_PROBE // len(unit)) + end
                try:
                    pattern.search(text, timeout=CHECKED)
                except TimeoutError:
                    return True
    return False


def _pattern(source: str) -> Any:
    return regex.compile(source, regex.IGNORECASE)


# --- folding ---------------------------------------------------------------------------------


def _fold(text: str) -> tuple[str, Sequence[int]]:
    """A folded text, and for each of its characters the place of the one it came from."""
    if text.isascii():
        return text.lower(), range(len(text))
    folded: list[str] = []
    at: list[int] = []
    for place, character in enumerate(text):
        for one in _folded_character(character):
            folded.append(one)
            at.append(place)
    return "".join(folded), at


@lru_cache(maxsize=8192)
def _folded_character(character: str) -> str:
    return "".join(
        one
        for one in unicodedata.normalize("NFKD", character).casefold()
        if not ("\u0300" <= one <= "\u036f" or "\ufe00" <= one <= "\ufe0f")
        and unicodedata.category(one) != "Cf"
    )


def _masked(text: str, spans: Iterable[_Span]) -> str:
    """The text, as long as it was, with what is visible in these places masked."""
    characters = list(text)
    for start, end in spans:
        for place in range(start, end):
            if not characters[place].isspace():
                characters[place] = MASK
    return "".join(characters)


# --- words -----------------------------------------------------------------------------------

# Words are the branches of a tree, letter by letter, so that however many there are, few are tried
# at each place. "" in a branch: a word ends here.
_Tree = dict[str, Any]


class _Words:
    """Finds words in a folded text."""

    def __init__(self, words: Iterable[str]) -> None:
        self._words = {folded for word in words if (folded := " ".join(_fold(word)[0].split()))}
        self._few = _tree(word for word in self._words if len(word) < _SHORT)
        self._closed = _tree(word for word in self._words if len(word) >= _SHORT)
        letters = [word.replace(" ", "") for word in self._words]
        self._spelled = _tree(word for word in letters if len(word) >= _SHORT)
        #: the longest that anything found can be
        self.reach = max(
            (len(word) + max(_GAP * len(word), _SPACE * word.count(" ")) for word in self._words),
            default=0,
        )

    def spans(self, text: str) -> Iterator[_Span]:
        """Where they are, none within another."""
        end = 0
        for start in range(len(text)) if self._words else ():
            if start < end or (start and _in_word(text[start - 1])):
                continue
            end = max(
                _longest(self._few, text, start, leet=False, gap=0),
                _longest(self._closed, text, start, leet=True, gap=0),
                _longest(self._spelled, text, start, leet=True, gap=_GAP),
                end,
            )
            found = text[start:end]  # a number is a number, unless it is one of the words
            if found and (any(map(str.isalpha, found)) or found in self._words):
                yield start, end


def _tree(words: Iterable[str]) -> _Tree:
    tree: _Tree = {}
    for word in words:
        branch = tree
        for letter in word:
            branch = branch.setdefault(letter, {})
        branch[""] = {}
    return tree


def _longest(tree: _Tree, text: str, start: int, *, leet: bool, gap: int) -> int:
    """Where the longest word that begins at a place ends, 0 for none. `leet`: other characters
    may stand for letters; `gap`: between two letters there are so many marks or spaces at most,
    and one at least."""
    longest, todo, seen = 0, [(tree, start)], set()
    while todo:
        branch, at = todo.pop()
        if at >= len(text):
            continue
        character = " " if text[at].isspace() else text[at]
        for letter in character + (_STANDS_FOR.get(character, "") if leet else ""):
            rest = branch.get(letter)
            # Each is tried once, or a text of nothing but bars would be tried for ever.
            if rest is None or (id(rest), at) in seen:
                continue
            seen.add((id(rest), at))
            after = at + 1
            mark = character == "!" != letter  # at the end of a word it is one
            if "" in rest and not mark and not _goes_on(text, after):
                longest = max(longest, after)
            if letter == " ":
                while after < min(len(text), at + _SPACE) and text[after].isspace():
                    after += 1
            todo += ((rest, place) for place in _next(text, after, gap))
    return longest


def _next(text: str, after: int, gap: int) -> Iterator[int]:
    """Where the next letter may be."""
    if not gap:
        yield after
        return
    for place in range(after, min(len(text), after + gap)):
        if _in_word(text[place]):
            return
        yield place + 1


def _goes_on(text: str, at: int) -> bool:
    return at < len(text) and _in_word(text[at])


def _in_word(character: str) -> bool:
    # Signs of vowels, as they follow letters in many scripts, are marks (M).
    return character.isalnum() or unicodedata.category(character)[0] == "M"
