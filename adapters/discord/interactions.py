"""Slash commands, buttons and forms: acknowledged at once, then handed to the house. Knows how
Discord wants them answered, not what they do.

Discord gives three seconds for the acknowledgement and does not repeat itself: these events are
taken at most once.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from adapters.controls import LABELS, MARK, control_of, rows
from adapters.discord.forms import filled, form, is_form
from adapters.discord.reading import Unreadable, roles_in, snowflake_in
from adapters.discord.wire import FAILURES, JSON, time_of
from botdaemon.errors import StoreError
from botdaemon.types import Command, Control, Pressed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence

    from adapters.discord.answers import Answers
    from adapters.discord.directory import Directory
    from adapters.discord.reading import Reader
    from adapters.discord.wire import Bare
    from botdaemon.ports import Deliver
    from botdaemon.types import Address

log = logging.getLogger(__name__)

COMMAND, BUTTON, FORM = 2, 3, 5
CHAT_COMMAND = 1
MESSAGE, DEFERRED_MESSAGE, DEFERRED_UPDATE, SHOW_FORM = 4, 5, 6, 9
EPHEMERAL = 1 << 6

#: seconds in which a prompt has to be found for the form to open with it
PREFILLED = 1.5


def buttons(controls: Sequence[Control]) -> list[JSON]:
    """A message's components: rows of buttons, or none. They carry the control alone, so they
    work for as long as the message stands."""
    return [
        {
            "type": 1,
            "components": [
                {
                    "type": 2,
                    "style": 4 if control is Control.DELETE else 2,
                    "label": LABELS[control],
                    "custom_id": f"{MARK}{control}",
                }
                for control in row
            ],
        }
        for row in rows(controls)
    ]


class Interactions:
    """Takes what people do with commands and buttons."""

    def __init__(
        self,
        bare: Bare,
        directory: Directory,
        reader: Reader,
        deliver: Deliver,
        answers: Answers,
        commands: Collection[str],
        prompt_of: Callable[[Address, str], Awaitable[str]] | None,
    ) -> None:
        self._bare = bare
        self._directory = directory
        self._reader = reader
        self._deliver = deliver
        self._answers = answers
        self._commands = commands
        self._prompt_of = prompt_of

    async def take(self, data: JSON) -> None:
        """Acknowledge an interaction, then deliver it."""
        inner = data.get("data")
        if not isinstance(inner, dict) or not isinstance(data.get("token"), str):
            raise Unreadable("an interaction without its data or its token")
        if data["type"] == COMMAND and inner.get("type", CHAT_COMMAND) == CHAT_COMMAND:
            await self._command(data, inner)
        elif data["type"] == BUTTON and str(inner.get("custom_id")).startswith(MARK):
            await self._pressed(data, inner)
        elif data["type"] == FORM and is_form(inner):
            await self._submitted(data, inner)

    async def _command(self, data: JSON, inner: JSON) -> None:
        name, token = str(inner["name"]), data["token"]
        if name not in self._commands:
            words = f"There is no command /{name} any more."
            await self._acknowledge(data, MESSAGE, {"content": words, "flags": EPHEMERAL})
            return
        acknowledged = await self._acknowledge(data, DEFERRED_MESSAGE, {"flags": EPHEMERAL})
        fields = await self._fields(data)
        address, who = fields["address"], fields["who"]
        if acknowledged:
            self._answers.expect(address, who.account, token)
        try:
            words_follow = await self._deliver(
                Command(**fields, name=name, argument=_argument(inner))
            )
        except Exception as error:
            self._answers.drop(address, who.account, token)
            full = isinstance(error, StoreError)
            why = "there is no space left to record it" if full else "of a fault"
            await self._close(token, f"That could not be done because {why}. Try again later.")
            raise
        if acknowledged and not words_follow:
            self._answers.drop(address, who.account, token)
            await self._close(token, "")

    async def _pressed(self, data: JSON, inner: JSON) -> None:
        control = control_of(str(inner["custom_id"]))
        message = data.get("message") or {}
        if control is None or not self._reader.is_own(message):
            await self._acknowledge(data, DEFERRED_UPDATE, None)
        elif control is Control.EDIT:
            await self._open_form(data, snowflake_in(message, "id"))
        else:
            await self._act(data, control, snowflake_in(message, "id"))

    async def _open_form(self, data: JSON, message: str) -> None:
        """Ask for another prompt. Nothing has happened until that is submitted."""
        prompt = ""
        try:
            async with asyncio.timeout(PREFILLED):
                if self._prompt_of is not None:
                    address = (await self._fields(data))["address"]
                    prompt = await self._prompt_of(address, message)
        except Exception as error:  # an empty form is better than none
            log.info("a form opens without its prompt: %s", error or type(error).__name__)
        await self._acknowledge(data, SHOW_FORM, form(message, prompt))

    async def _submitted(self, data: JSON, inner: JSON) -> None:
        message, prompt = filled(inner)
        await self._act(data, Control.EDIT, message, prompt)

    async def _act(self, data: JSON, control: Control, message: str, text: str = "") -> None:
        acknowledged = await self._acknowledge(data, DEFERRED_UPDATE, None)
        fields = await self._fields(data)
        if acknowledged:
            self._answers.pressed(fields["address"], fields["who"].account, data["token"])
        await self._deliver(Pressed(**fields, control=control, platform_id=message, text=text))

    async def _fields(self, data: JSON) -> JSON:
        """What commands, buttons and forms have in common."""
        id = snowflake_in(data, "id")
        server = snowflake_in(data, "guild_id") if data.get("guild_id") else ""
        channel = snowflake_in(data, "channel_id")
        about = data.get("channel")
        if channel not in self._directory.places and isinstance(about, dict) and "type" in about:
            self._directory.place({"guild_id": server, **about})
        place = await self._directory.find(channel, server)
        member: dict[str, Any] = data.get("member") or {}
        return {
            "key": id,
            "address": self._directory.address(place),
            "who": self._reader.identity(member.get("user") or data["user"], member),
            "at": time_of(id),
            "direct": not place.server,
            "server": place.server,
            "roles": roles_in(data),
        }

    async def _acknowledge(self, data: JSON, type: int, answer: JSON | None) -> bool:
        """Within three seconds, or Discord tells the person that it failed."""
        payload: JSON = {"type": type} if answer is None else {"type": type, "data": answer}
        try:
            path = f"/interactions/{snowflake_in(data, 'id')}/{data['token']}/callback"
            await self._bare("POST", path, json=payload)
        except FAILURES as error:
            log.warning(
                "an interaction could not be acknowledged: %s",
                error or error.__class__.__name__,
                extra={"event": "unacknowledged"},
            )
            return False
        return True

    async def _close(self, token: str, words: str) -> None:
        """End the "thinking ..." of a command, with words or without."""
        path = f"/webhooks/{self._directory.application}/{token}/messages/@original"
        try:
            if words:
                await self._bare("PATCH", path, json={"content": words})
            else:
                await self._bare("DELETE", path)
        except FAILURES as error:
            log.info("an interaction could not be closed: %s", error)


def _argument(inner: JSON) -> str:
    options = inner.get("options") or ()
    return " ".join(str(option.get("value", "")) for option in options).strip()
