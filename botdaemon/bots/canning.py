"""Fills the file of a canned bot with what a text bot says, many answers at once.

Knows neither models, nor where the file is used, nor why a line is not fit to be kept.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import random
import re
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botdaemon.bots.canned import Line, read_lines
from botdaemon.errors import EngineDied, EngineFailed, Refused, StoreError
from botdaemon.types import Address, Identity, Message, Turn, Why

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from botdaemon.bots.text import TextBot

    Screen = Callable[[Sequence[str]], Sequence[str]]
    """Says of each line why it must be left out, in words that fit behind a number, or "". It may
    take its time: it runs in a thread, and gets all the lines that came meanwhile."""
    Told = Callable[[int, Mapping[str, int]], None]
    """Told how many lines there are, and what this run left out: why, and how often."""

_WORD = re.compile(r"\w+")
#: What a person might say, to which a text bot's answers are kept.
PROMPTS = (
    "hi",
    "hello there",
    "good morning",
    "good evening",
    "good night",
    "bye",
    "how are you?",
    "what are you doing?",
    "what's up?",
    "who are you?",
    "what's your name?",
    "where are you from?",
    "are you a bot?",
    "are you human?",
    "how old are you?",
    "tell me a joke",
    "that was funny",
    "tell me a story",
    "tell me something about yourself",
    "tell me something I don't know",
    "what do you think?",
    "do you like me?",
    "I love you",
    "I hate you",
    "you are wrong",
    "you are right",
    "thank you",
    "sorry",
    "I am sad",
    "I am happy",
    "I am tired",
    "I am bored",
    "I am hungry",
    "I had a bad day",
    "I can't sleep",
    "what should I do?",
    "can you help me?",
    "do you have any hobbies?",
    "what's your favourite film?",
    "what music do you like?",
    "what's your favourite food?",
    "what did you eat today?",
    "do you like coffee?",
    "do you have a pet?",
    "cats or dogs?",
    "do you play games?",
    "read any good books?",
    "how is the weather?",
    "it's raining again",
    "is it cold where you are?",
    "any plans for the weekend?",
    "what did you do yesterday?",
    "do you believe in ghosts?",
    "what is the meaning of life?",
    "do you dream?",
    "what are you afraid of?",
    "what makes you happy?",
    "do you remember me?",
    "lol",
    "really?",
    "why?",
    "I don't understand",
    "say something nice",
    "surprise me",
)
_SILENT, _REPEATED = "empty", "said before"
"""Why an answer is left out, whatever the screen says."""
_PATIENCE = 200
"""So many answers without a new line are the end: the bot only repeats itself."""
_TRUST = 50
"""So many answers without a new line that must not be kept, or failed, are the end as well."""
_BACKLOG = 1_000
"""Answers that wait for the screen at most."""


@dataclass(frozen=True, slots=True)
class _Answer:
    text: str
    #: what it answers
    to: str
    #: why there is none
    trouble: str = ""


async def fill(
    bot: TextBot,
    prompts: Sequence[str],
    count: int,
    path: Path,
    *,
    progress: Told,
    screen: Screen | None = None,
    at_once: int = 16,
    chance: random.Random | None = None,
) -> None:
    """Fill the file up to `count` different lines with the bot's answers, `at_once` at a time:
    first to the prompts that no line answers yet, then to prompts and to lines of the file.

    Every line that is counted is on disk, so that an interrupted run can go on; only what the bot
    or the screen has not finished is lost. Raises `Refused` when the bot says nothing more that can
    be kept, `ConfigError` for broken lines in the file, `StoreError` when it cannot be written.
    """
    lines = _kept(path)
    known = {_same(line.text) for line in lines}
    left_out, since = Counter[str](), Counter[str]()
    progress(len(known), left_out)
    if len(known) >= count:
        return
    asked = _prompts(prompts, lines, chance or random.Random())
    async with _answers(bot, asked, min(at_once, count - len(known))) as answers:
        while len(known) < count:
            batch = await _waiting(answers)
            new = {answer.text: "" for answer in batch if _same(answer.text) not in known}
            new.pop("", None)
            if screen is not None and new:
                new = dict(zip(new, await asyncio.to_thread(screen, list(new)), strict=True))
            added = []
            for answer in batch:
                if len(known) == count or _is_hopeless(since):
                    break
                if why := _why_not(answer, known) or new[answer.text]:
                    left_out[why] += 1
                    since[why] += 1
                else:
                    added.append(Line(answer.text, answer.to))
                    known.add(_same(answer.text))
                    since.clear()
            if added:
                _append(path, added)
                lines += added
            progress(len(known), left_out)
            if _is_hopeless(since):
                raise Refused(
                    f"{path} has {len(known)} of {count} lines, and {bot.name} says nothing more"
                    f" that can be kept: its last {since.total()} answers were left out"
                    f" ({in_words(since)}); change its model, its persona or its temperature, or"
                    " ask for fewer lines"
                )


def _kept(path: Path) -> list[Line]:
    return read_lines(path) if path.exists() else []


def in_words(left_out: Mapping[str, int]) -> str:
    """What was left out, the most frequent first."""
    most_first = sorted(left_out.items(), key=lambda item: -item[1])
    return ", ".join(f"{number:,} {why}" for why, number in most_first if number)


def _prompts(prompts: Sequence[str], lines: Sequence[Line], chance: random.Random) -> Iterator[str]:
    """Without end. `lines` may grow meanwhile."""
    answered = {line.to for line in lines}
    yield from (prompt for prompt in prompts if prompt not in answered)
    while True:
        if lines and chance.random() < 0.5:
            yield chance.choice(lines).text
        else:
            yield chance.choice(prompts)


@asynccontextmanager
async def _answers(
    bot: TextBot, prompts: Iterable[str], at_once: int
) -> AsyncIterator[asyncio.Queue[_Answer]]:
    """What the bot says, as it comes, until the context is left."""
    answers: asyncio.Queue[_Answer] = asyncio.Queue(_BACKLOG)

    async def ask() -> None:
        for prompt in prompts:  # all of them take theirs from the same ones
            await answers.put(await _answer(bot, prompt))

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(ask()) for _ in range(at_once)]
            yield answers
            for task in tasks:
                task.cancel()
    except ExceptionGroup as failed:  # a model that cannot be used ends all of them the same way
        raise failed.exceptions[0] from failed


async def _answer(bot: TextBot, prompt: str) -> _Answer:
    text = ""
    try:
        async for draft in bot.reply(_question(bot.name, prompt)):
            text = draft.text
    except (EngineFailed, EngineDied) as error:  # the next one may be answered
        return _Answer("", prompt, trouble=f"not answered ({error})")
    return _Answer(text, prompt)


async def _waiting(answers: asyncio.Queue[_Answer]) -> list[_Answer]:
    """All that there are, and at least one."""
    found = [await answers.get()]
    while not answers.empty():
        found.append(answers.get_nowait())
    return found


def _is_hopeless(since: Counter[str]) -> bool:
    """`since`: what was left out since the last new line."""
    said = since[_SILENT] + since[_REPEATED]
    return since.total() >= _PATIENCE or since.total() - said >= _TRUST


def _why_not(answer: _Answer, known: set[str]) -> str:
    if answer.trouble:
        return answer.trouble
    if not answer.text:
        return _SILENT
    return _REPEATED if _same(answer.text) in known else ""


def _question(bot: str, prompt: str) -> Turn:
    here = Address("can", bot)
    asker = Identity(adapter="can", account="friend", name="Friend")
    message = Message(address=here, text=prompt, sent_at=0.0, author=asker)
    return Turn(
        id=0,
        thread=0,
        bot=bot,
        why=Why.ROOM,  # nobody waits: silence is better than an excuse
        asked_by=asker,
        history=(message,),
        fresh=1,
    )


def _same(text: str) -> str:
    return " ".join(_WORD.findall(text.casefold())) or text


def _append(path: Path, lines: Sequence[Line]) -> None:
    """All of them or nothing: a single write, taken back if it did not fit on the disk."""
    rows = [json.dumps({"text": line.text, "to": line.to}, ensure_ascii=False) for line in lines]
    data = "".join(f"{row}\n" for row in rows).encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            if size:
                file.seek(size - 1)
                if file.read(1) != b"\n":  # somebody's editor left the last line open
                    data = b"\n" + data
            try:
                if file.write(data) != len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(file)
            except OSError:
                file.truncate(size)
                raise
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written: {error.strerror}; what was in it is as it was"
        ) from error
