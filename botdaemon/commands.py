"""The commands that every platform has, defined once. Knows how they are written, not what they
do."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from botdaemon.errors import Refused


@dataclass(frozen=True, slots=True)
class Spec:
    """A command as platforms announce it."""

    name: str
    help: str


COMMANDS = (
    Spec("help", "what can be done here"),
    Spec("new", "begin a new conversation; the old one stays readable"),
    Spec("stop", "stop the answer under way"),
    Spec("retry", "take the last answer back and ask for another"),
    Spec("undo", "take the last exchange out of the conversation"),
    Spec("status", "what is running, what waits"),
    Spec("bots", "who answers here"),
    Spec("whoami", "who you are to this daemon"),
)
_NAMES = {spec.name: spec.name for spec in COMMANDS} | {"start": "help", "reset": "new"}

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
    close = difflib.get_close_matches(word.lower(), _NAMES, 1)
    hint = f"did you mean /{close[0]}?" if close else "/help lists what there is"
    raise Refused(f"There is no command /{word}; {hint}")
