"""The commands as Discord shows them: announced once, and again only when they change.

Knows nothing of what they do.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import discord

from adapters.discord.wire import FAILURES, JSON

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adapters.discord.wire import Wire
    from botdaemon.types import CommandSpec

log = logging.getLogger(__name__)

CHAT_INPUT, STRING = 1, 3
LONGEST_DESCRIPTION = 100
_PATH = "/applications/{application_id}/commands"


async def sync(wire: Wire, application: str, specs: Sequence[CommandSpec]) -> None:
    """Make Discord's list be this one, one command at a time: only so many may be made in a day,
    and those that are the same cost nothing."""
    wanted = {spec.name: written(spec) for spec in specs}
    try:
        found = await wire("GET", _PATH, application_id=application)
        there = {c["name"]: c for c in found if c.get("type", CHAT_INPUT) == CHAT_INPUT}
        for name, command in wanted.items():
            if name not in there or not same(there[name], command):  # POST replaces by name
                await wire("POST", _PATH, json=command, application_id=application)
                log.info("command /%s announced", name, extra={"event": "command_announced"})
        for name in there.keys() - wanted.keys():
            path = _PATH + "/{command_id}"
            id = str(there[name]["id"])
            await wire("DELETE", path, application_id=application, command_id=id)
            log.info("command /%s taken back", name, extra={"event": "command_withdrawn"})
    except (*FAILURES, LookupError, TypeError, AttributeError) as error:
        quota = isinstance(error, discord.HTTPException) and error.code == 30034
        log.warning(
            "the commands could not be announced: %s",
            "as many as Discord allows in a day have been made; it is tried again at the next start"
            if quota
            else error or type(error).__name__,
            extra={"event": "commands_failed"},
        )


def written(spec: CommandSpec) -> JSON:
    """A command as Discord is told of it."""
    command: JSON = {
        "name": spec.name,
        "type": CHAT_INPUT,
        "description": spec.help[:LONGEST_DESCRIPTION],
    }
    if spec.argument:
        name = spec.argument.lower().replace(" ", "-")
        option = {"type": STRING, "name": name, "description": name, "required": False}
        command["options"] = [option]
    return command


def same(there: JSON, wanted: JSON) -> bool:
    """Whether Discord has it like that already; it adds fields of its own, and leaves out what is
    as usual."""
    keys = ("type", "name", "description")
    if any(there.get(key) != wanted[key] for key in keys):
        return False
    options = [
        {"required": False} | {key: o.get(key) for key in (*keys, "required") if o.get(key)}
        for o in there.get("options") or ()
    ]
    return bool(options == wanted.get("options", []))
