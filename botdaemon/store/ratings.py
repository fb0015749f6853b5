"""Gives away what people thought of bots' answers, for the next round of training. Only reads, over
a connection of `database.looking`.

What is known of an answer's worth, by `Rating.verdict`:

    good, bad      somebody pressed a thumb under it or put one on it
    regenerated    it was taken back, and its bot asked for another
    edited         its text was changed afterwards; `answer` is what it became
    stopped        it was stopped while it grew; `answer` is what was there by then

An answer can have several. Those of image bots' wishes are not among them.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator
    from pathlib import Path

Verdict = Literal["good", "bad", "regenerated", "edited", "stopped"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

LONGEST_PROMPT = 50
"""Messages before an answer that are given with it."""

# A thumb may have a colour of skin.
_THUMBS: dict[str, Verdict] = {
    "good": "good",
    "bad": "bad",
    "\U0001f44d": "good",
    "\U0001f44e": "bad",
}
_SKINS = dict.fromkeys(range(0x1F3FB, 0x1F400))

_ANSWERS = """
WITH answers AS (
    SELECT m.*, t.state, t.id AS of FROM messages m JOIN turns t ON t.id = m.turn
    WHERE m.bot <> '' AND m.kind = 'said' AND m.text <> '' AND t.wish = ''
)
SELECT a.thread, a.bot, a.of, a.text, v.verdict, v.by, v.at FROM answers a JOIN (
    SELECT f.message, f.value AS verdict, i.adapter || ':' || i.account AS by, f.at
        FROM feedback f JOIN identities i ON i.id = f.identity
    UNION ALL
    SELECT id, 'regenerated', '', deleted_at FROM answers
        WHERE deleted_at IS NOT NULL AND EXISTS (
            SELECT 1 FROM turn_messages x JOIN turn_messages y ON y.message = x.message
            JOIN turns later ON later.id = y.turn
            WHERE x.turn = answers.of AND y.turn > x.turn AND later.why = 'retry'
                AND later.bot = answers.bot)
    UNION ALL
    SELECT id, 'edited', '', edited_at FROM answers
        WHERE edited_at IS NOT NULL AND deleted_at IS NULL
    UNION ALL
    SELECT id, 'stopped', '', sent_at FROM answers WHERE state = 'stopped'
) v ON v.message = a.id
ORDER BY a.id, v.at
"""
_PROMPT = """
SELECT coalesce(nullif(m.bot, ''), i.name), m.text, m.bot <> '' FROM messages m
LEFT JOIN identities i ON i.id = m.identity
WHERE m.thread = ? AND m.kind = 'said' AND m.deleted_at IS NULL AND m.text <> ''
AND m.id <= (SELECT max(message) FROM turn_messages WHERE turn = ?)
ORDER BY m.id DESC LIMIT ?
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A message before an answer."""

    name: str
    text: str
    #: whether a bot said it
    bot: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """What somebody thought of an answer."""

    thread: int
    #: who answered
    bot: str
    #: what the bot had before it, oldest first
    prompt: tuple[Line, ...]
    answer: str
    verdict: Verdict
    #: "ADAPTER:ACCOUNT"; empty where it is not known who
    by: str
    #: seconds since the epoch
    at: float


def verdict_of(value: str) -> Verdict | None:
    """What is said by a button or an emoji; None for one that says neither good nor bad."""
    return value if value in VERDICTS else _THUMBS.get(value.translate(_SKINS))


def ratings(db: sqlite3.Connection) -> Iterator[Rating]:
    """All of them, by the order of the answers, one at a time."""
    for thread, bot, turn, answer, value, by, at in db.execute(_ANSWERS):
        verdict = verdict_of(value)
        if verdict is None:  # some other emoji
            continue
        rows = db.execute(_PROMPT, (thread, turn, LONGEST_PROMPT)).fetchall()
        if not rows:  # all of what it answered is deleted
            continue
        yield Rating(
            thread=thread,
            bot=bot,
            prompt=tuple(Line(name=n, text=t, bot=bool(b)) for n, t, b in reversed(rows)),
            answer=answer,
            verdict=verdict,
            by=by,
            at=at,
        )


def write(path: Path, rated: Iterable[Rating]) -> int:
    """One a line, as a JSON object; returns how many. Raises `OSError`, and leaves nothing half
    written then.

        {"thread": 3, "bot": "ada", "prompt": [{"name": "Bob", "text": "hi!", "bot": false}],
         "answer": "hello Bob", "verdict": "good", "by": "slack:U02", "at": 1750000000.0}
    """
    part = path.with_name(f"{path.name}.part")
    number = 0
    try:
        with part.open("w", encoding="utf-8") as file:
            for rating in rated:
                file.write(json.dumps(asdict(rating), ensure_ascii=False) + "\n")
                number += 1
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return number
