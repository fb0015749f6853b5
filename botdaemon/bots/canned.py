"""A bot without a model: picks a line from a file that fits what was said, and takes its time.

The file holds JSON Lines, ``{"text": "...", "to": "..."}``: what to say and, if that is known, what
it answers. Knows neither where the thread is kept nor where the answer goes.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import re
import sqlite3
import weakref
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botdaemon.errors import ConfigError
from botdaemon.types import Draft

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
    from pathlib import Path

    from botdaemon.types import Turn

log = logging.getLogger(__name__)

#: How many of its last lines in this thread the bot does not repeat; fewer only if it has no other.
_AVOIDED = (20, 10, 5, 2, 1)
#: Words of the newest messages that are looked for.
_WORDS = 48
_WORD = re.compile(r"\w+")
#: Words that say nothing about what a message is about; looked for only if it has no others.
_SMALL = frozenset(
    _WORD.findall(
        "a about all am an and any are as at be been but by can could did do does for from get got"
        " had has have he her him his how i if in is it its just m me my no not of on one or our"
        " out re s she so some t than that the their them then there they this to up us ve was we"
        " were what when where which who why will with would you your"
    )
)
#: How much more it counts to answer what a line answers than to share words with the line itself.
_FIT = "bm25(lines, 3.0, 1.0)"
#: Typing takes this much more or less than computed: nobody types evenly.
_JITTER = 0.2
#: Broken lines named at once.
_PROBLEMS = 5


@dataclass(frozen=True, slots=True)
class Line:
    """Something to say, and what it answers ("" if nobody knows)."""

    text: str
    to: str = ""


def read_lines(path: Path) -> list[Line]:
    """The lines of a file; `ConfigError` names the broken ones."""
    try:
        content = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: there is no such file. Write lines like"
            ' {"text": "Hello!", "to": "hi"} into it, or let `botdaemon can` fill it.'
        ) from None
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    lines, problems = [], []
    for number, row in enumerate(content.split("\n"), start=1):
        if not row.strip():
            continue
        try:
            lines.append(_line(row))
        except ValueError as error:
            problems.append(f"{path}:{number}: {error}")
    if problems:
        more = len(problems) - _PROBLEMS
        rest = (f"{path}: and {more} more such lines",) if more > 0 else ()
        raise ConfigError(*problems[:_PROBLEMS], *rest)
    return lines


def _line(row: str) -> Line:
    shape = (
        'a line must be {"text": "what to say", "to": "what it answers"}, where "to" is optional'
    )
    try:
        value = json.loads(row)
    except ValueError as error:
        raise ValueError(f"this is not JSON ({error}); {shape}") from None
    match value:
        case {"text": str(text), **rest} if text.strip() and rest.keys() <= {"to"}:
            if isinstance(to := rest.get("to", ""), str):
                f"{text}{to}".encode()  # an escaped half of a character is valid JSON, but no text
                return Line(text.strip(), to.strip())
    raise ValueError(shape)


class CannedBot:
    """Says the best-fitting line that it did not say lately, as fast as a person types."""

    def __init__(
        self,
        name: str,
        lines: Path,
        characters_per_second: float,
        longest_typing_seconds: float,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: random.Random | None = None,
    ) -> None:
        self.name = name
        self._path = lines
        self._characters_per_second = characters_per_second
        self._longest = longest_typing_seconds
        self._sleep = sleep
        self._chance = chance or random.Random()
        self._stamp = _stamp(lines)
        self._shelf = _Shelf(read_lines(lines))
        if not self._shelf.lines:
            raise ConfigError(f"{lines}: there are no lines in it. `botdaemon can` can fill it.")

    async def reply(self, turn: Turn) -> AsyncGenerator[Draft]:
        """One final draft after the time it takes to type it. Silence only when every line of the
        file would repeat the last one."""
        self._reload()
        line = self._pick(turn)
        if line is None:
            return
        await self._sleep(self._typing_seconds(line))
        yield Draft(text=line, final=True)

    def _pick(self, turn: Turn) -> str | None:
        own = [message.text for message in turn.history if message.bot == self.name]
        heard = [message.text for message in turn.history[-max(1, turn.fresh) :]]
        if turn.cue is not None:
            heard = [turn.cue.prompt]
        for several in _AVOIDED:
            avoided = set(own[-several:])
            for line in self._candidates(heard):
                if line.text not in avoided:
                    return line.text
        return None

    def _candidates(self, heard: Sequence[str]) -> Iterable[Line]:
        """What fits, best first; then whatever claims to answer nothing in particular; then all."""
        yield from self._shelf.fitting(heard)
        for lines in (self._shelf.general, self._shelf.lines):
            yield from self._chance.sample(lines, len(lines))

    def _typing_seconds(self, text: str) -> float:
        jitter = self._chance.uniform(1 - _JITTER, 1 + _JITTER)
        return min(self._longest, len(text) / self._characters_per_second * jitter)

    def _reload(self) -> None:
        """Take the file as it is now, if it changed; keep what is known if it is broken."""
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            lines = read_lines(self._path)
        except ConfigError as error:
            log.warning(
                "canned lines not reloaded: %s",
                error.problems[0],
                extra={"event": "lines_broken", "bot": self.name, "path": str(self._path)},
            )
            return
        if lines:
            self._shelf = _Shelf(lines)
            log.info(
                "canned lines reloaded",
                extra={"event": "lines_reloaded", "bot": self.name, "lines": len(lines)},
            )


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


class _Shelf:
    """Lines and an index over their words."""

    def __init__(self, lines: list[Line]) -> None:
        self.lines = lines
        self.general = [line for line in lines if not line.to]
        self._database = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        weakref.finalize(self, self._database.close)  # nobody tells a bot when it is over
        self._database.execute(
            "CREATE VIRTUAL TABLE lines USING fts5"
            '(heard, said, tokenize = "porter unicode61 remove_diacritics 2")'
        )
        self._database.executemany(
            "INSERT INTO lines(rowid, heard, said) VALUES (?, ?, ?)",
            ((number, line.to, line.text) for number, line in enumerate(lines)),
        )

    def fitting(self, heard: Sequence[str]) -> Iterable[Line]:
        """Lines that share words with what was heard, best first."""
        words: dict[str, None] = {}
        for text in reversed(heard):
            words.update(dict.fromkeys(_WORD.findall(text[-_WORDS * 16 :].lower())))
        telling = [word for word in words if word not in _SMALL] or list(words)
        if not telling:
            return
        query = " OR ".join(f'"{word}"' for word in telling[:_WORDS])
        rows = self._database.execute(
            f"SELECT rowid FROM lines WHERE lines MATCH ? ORDER BY {_FIT}, rowid", (query,)
        )
        with closing(rows):
            for (number,) in rows:
                yield self.lines[number]
