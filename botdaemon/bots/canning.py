"""Fills the file of a canned bot with what a text bot says.

Knows neither models nor where the file is used.
"""

from __future__ import annotations

import json
import os
import random
import re
from typing import TYPE_CHECKING

from botdaemon.bots.canned import Line, read_lines
from botdaemon.types import Address, Identity, Message, Turn, Why

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from pathlib import Path

    from botdaemon.bots.text import TextBot

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
#: Turns without a new line after which a bot has nothing more to say.
_PATIENCE = 200


async def fill(
    bot: TextBot,
    prompts: Sequence[str],
    count: int,
    path: Path,
    *,
    chance: random.Random | None = None,
) -> AsyncGenerator[int]:
    """Fill the file up to `count` different lines with the bot's answers, first to `prompts`, then
    to lines of the file as well. Yields how many there are, before the first and after each new
    one. Every line is on disk when it is counted, so that an interrupted run goes on where it
    stopped. Ends early when the bot only repeats itself."""
    chance = chance or random.Random()
    lines = _kept(path)
    known = {_same(line.text) for line in lines}
    yield len(known)
    asked = futile = 0
    while len(known) < count and futile < _PATIENCE:
        if asked < len(prompts) or not lines or (prompts and chance.random() < 0.5):
            prompt = prompts[asked % len(prompts)]
        else:
            prompt = chance.choice(lines).text
        asked += 1
        futile += 1
        text = ""
        async for draft in bot.reply(_question(bot.name, prompt)):
            text = draft.text
        if not text or _same(text) in known:
            continue
        line = Line(text, prompt)
        _append(path, line)
        lines.append(line)
        known.add(_same(text))
        futile = 0
        yield len(known)


def _kept(path: Path) -> list[Line]:
    return read_lines(path) if path.exists() else []


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


def _append(path: Path, line: Line) -> None:
    """One whole line or nothing: a single write, taken back if it did not fit on the disk."""
    row = json.dumps({"text": line.text, "to": line.to}, ensure_ascii=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(size - 1)
            if file.read(1) != b"\n":  # somebody's editor left the last line open
                row = f"\n{row}"
        data = f"{row}\n".encode()
        try:
            written = file.write(data)
        except OSError:
            file.truncate(size)
            raise
        if written != len(data):
            file.truncate(size)
            raise OSError(f"no space to write to {path}")
