"""The commands that every platform has, defined once. Knows how they are written, not what they
do."""

from __future__ import annotations

import difflib
import re

from botdaemon.errors import Refused
from botdaemon.types import CommandSpec

TALKING = (
    CommandSpec("help", "what can be done here"),
    CommandSpec("new", "begin a new conversation; the old one stays readable"),
    CommandSpec("stop", "stop the answer under way"),
    CommandSpec("retry", "take the last answer back and ask for another"),
    CommandSpec("undo", "take the last exchange out of the conversation"),
    CommandSpec("status", "what is running, what waits"),
    CommandSpec("queue", "who waits for what, and how long"),
    CommandSpec("bots", "who answers here"),
    CommandSpec("ask", "one answer of one bot: science why is it dark?", argument="NAME QUESTION"),
    CommandSpec("talk", "who answers here without being called; off: as before", argument="NAME"),
    CommandSpec("why", "how an answer came about; reply to it, or the newest is meant"),
    CommandSpec("remind", "be reminded: in 20 minutes tea", argument="WHEN TEXT"),
    CommandSpec("every", "have a bot write: monday 9:00 TEXT", argument="WHEN TEXT"),
    CommandSpec("schedules", "when bots write first here", argument="delete NUMBER"),
    CommandSpec("quiet", "no bot writes first: 3 (hours), 22:00-7:00, off", argument="HOURS"),
    CommandSpec("timezone", "your time zone, as Europe/Berlin", argument="ZONE"),
    CommandSpec("memory", "what bots remember about you"),
    CommandSpec("remember", "have a bot remember something about you", argument="TEXT"),
    CommandSpec("forget", "have it forgotten: a number of /memory, or all", argument="NUMBER"),
    CommandSpec("relationship", "how you and the bots stand; or begin anew", argument="reset"),
    CommandSpec("link", "make accounts of yours one person: CODE, yes, no", argument="CODE"),
    CommandSpec("unlink", "make them separate people again"),
    CommandSpec("whoami", "who you are to this daemon"),
    CommandSpec("host", "who answers in this room; off: nobody", argument="NAME", admin=True),
    CommandSpec("pair", "let in the person who was given this code", argument="CODE", admin=True),
)
#: for where somebody draws. All but the first and the last are about the picture that is replied
#: to, else about the newest of the conversation
DRAWING = (
    CommandSpec("draw", "a picture of what you say", argument="PROMPT"),
    CommandSpec("reroll", "draw the same again, another way"),
    CommandSpec("vary", "draw something like the picture"),
    CommandSpec("upscale", "draw the picture larger"),
    CommandSpec("edit", "draw the picture from another prompt", argument="PROMPT"),
    CommandSpec("settings", "what the picture was drawn with"),
    CommandSpec("delete", "take the picture away"),
    CommandSpec("defaults", "options for all pictures in this channel", argument="OPTIONS"),
)
#: for where somebody speaks; about the answer that is replied to, else about the newest
SPEAKING = (CommandSpec("speak", "the answer as a voice note"),)
COMMANDS = (*TALKING, *DRAWING, *SPEAKING)
_NAMES = {spec.name: spec.name for spec in COMMANDS} | {"start": "help", "reset": "new"}
_OPEN = [name for name in _NAMES if not any(s.admin for s in COMMANDS if s.name == name)]


def offered(*, draws: bool, speaks: bool) -> tuple[CommandSpec, ...]:
    """The commands of a house in which somebody draws, or speaks."""
    return (*TALKING, *(DRAWING if draws else ()), *(SPEAKING if speaks else ()))


# "/retry", "/retry@some_bot" (Telegram), "!retry" (Slack threads know no slash commands), each
# possibly after a mention: "@bot /retry".
_TYPED = re.compile(
    r"\s*(?:@[\w.-]+[,:]?\s+)?([/!])([A-Za-z]+)(?:@[\w.-]+)?(?:\s+(.*))?\s*", re.DOTALL
)


def parse(text: str) -> tuple[str, str] | None:
    """(name, argument) of a typed command, or None for anything else.

    Raises `Refused` for a slash command that does not exist.
    """
    match = _TYPED.fullmatch(text)
    if match is None:
        return None
    mark, word, argument = match.groups()
    name = _NAMES.get(word.lower())
    if name is not None:
        return name, (argument or "").strip()
    if mark == "!" or argument:  # "!important", "/me waves": somebody's own words
        return None
    raise unknown(word)


def unknown(word: str) -> Refused:
    """What to say of a command that does not exist."""
    close = [name for name in difflib.get_close_matches(word.lower(), _OPEN, 1) if name != word]
    hint = f"did you mean /{close[0]}?" if close else "/help lists what there is"
    return Refused(f"There is no command /{word}; {hint}")
