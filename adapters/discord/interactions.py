"""Slash commands and buttons: acknowledged at once, then handed to the house. Knows how Discord
wants them answered, not what they do.

Discord gives three seconds for the acknowledgement and does not repeat itself: these events are
taken at most once.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from adapters.discord.reading import Unreadable, roles_in, snowflake_in
from adapters.discord.wire import FAILURES, JSON, time_of
from botdaemon.errors import StoreError
from botdaemon.types import Command, Control, Pressed

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from adapters.discord.directory import Directory
    from adapters.discord.reading import Reader
    from adapters.discord.wire import Bare
    from botdaemon.ports import Deliver
    from botdaemon.types import Address

log = logging.getLogger(__name__)

COMMAND, BUTTON = 2, 3
CHAT_COMMAND = 1
MESSAGE, DEFERRED_MESSAGE, DEFERRED_UPDATE = 4, 5, 6
EPHEMERAL = 1 << 6

#: seconds for which an interaction can be answered; Discord allows 15 minutes
ANSWERABLE = 14 * 60.0
#: interactions that are remembered while they wait for an answer
REMEMBERED = 1000

_LABELS = {
    Control.STOP: "Stop",
    Control.RETRY: "Regenerate",
    Control.GOOD: "\N{THUMBS UP SIGN}",
    Control.BAD: "\N{THUMBS DOWN SIGN}",
}
_MARK = "botdaemon:"


def buttons(controls: Sequence[Control]) -> list[JSON]:
    """A message's components: one row of buttons, or none. They carry the control alone, so they
    work for as long as the message stands."""
    if not controls:
        return []
    row = [
        {"type": 2, "style": 2, "label": _LABELS[control], "custom_id": f"{_MARK}{control}"}
        for control in controls
    ]
    return [{"type": 1, "components": row}]


@dataclass(slots=True)
class Waiting:
    """A command whose answer Discord announces as "thinking ..."."""

    token: str
    until: float
    #: whether the first answer has been given
    begun: bool = False


class Answers:
    """Commands that wait for the daemon's words, by the place and the account they came from."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[Address, str], deque[Waiting]] = {}

    def expect(self, address: Address, account: str, token: str) -> None:
        """There will be words for this account."""
        if len(self._waiting) >= REMEMBERED:
            now = time.monotonic()
            self._waiting = {k: w for k, w in self._waiting.items() if w[-1].until > now}
        queue = self._waiting.setdefault((address, account), deque(maxlen=10))
        queue.append(Waiting(token, time.monotonic() + ANSWERABLE))

    def first(self, address: Address, account: str, *, more: bool) -> Waiting | None:
        """The command that is answered now; `more`: by another part of the same answer."""
        queue = self._waiting.get((address, account), ())
        for waiting in queue:
            if waiting.begun is more and waiting.until > time.monotonic():
                return waiting
        return None

    def begun(self, address: Address, account: str, waiting: Waiting) -> None:
        """Its first part has arrived: earlier commands of the same account are done with."""
        waiting.begun = True
        queue = self._waiting.get((address, account), deque())
        while queue and queue[0] is not waiting:
            queue.popleft()

    def drop(self, address: Address, account: str, token: str) -> None:
        """There will be none."""
        queue = self._waiting.get((address, account), deque())
        for waiting in [w for w in queue if w.token == token]:
            queue.remove(waiting)
        if not queue:
            self._waiting.pop((address, account), None)


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
    ) -> None:
        self._bare = bare
        self._directory = directory
        self._reader = reader
        self._deliver = deliver
        self._answers = answers
        self._commands = commands

    async def take(self, data: JSON) -> None:
        """Acknowledge an interaction, then deliver it."""
        inner = data.get("data")
        if not isinstance(inner, dict) or not isinstance(data.get("token"), str):
            raise Unreadable("an interaction without its data or its token")
        if data["type"] == COMMAND and inner.get("type", CHAT_COMMAND) == CHAT_COMMAND:
            await self._command(data, inner)
        elif data["type"] == BUTTON and str(inner.get("custom_id")).startswith(_MARK):
            await self._pressed(data, inner)

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
        await self._acknowledge(data, DEFERRED_UPDATE, None)
        control = str(inner["custom_id"]).removeprefix(_MARK)
        message = data.get("message") or {}
        if control not in list(Control) or not self._reader.is_own(message):
            return
        fields = await self._fields(data)
        id = snowflake_in(message, "id")
        await self._deliver(Pressed(**fields, control=Control(control), platform_id=id))

    async def _fields(self, data: JSON) -> JSON:
        """What commands and buttons have in common."""
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
