"""What the account knows of its servers: channels, threads, roles, and what people are called.
Knows the shape of Discord's channels, not of its messages.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from adapters.discord.wire import FAILURES, JSON
from botdaemon.types import Address

if TYPE_CHECKING:
    from collections.abc import Iterable

    from adapters.discord.wire import Wire

log = logging.getLogger(__name__)

TEXT, DIRECT, VOICE, NEWS, STAGE, FORUM, MEDIA = 0, 1, 2, 5, 13, 15, 16
THREADS = (10, 11, 12)
#: kinds of channels in which messages stand
SPOKEN = (TEXT, DIRECT, VOICE, NEWS, STAGE, *THREADS)

#: people whose names are remembered, for reactions that come without
NAMES = 10_000

_BAD = (KeyError, TypeError, ValueError, AttributeError)


@dataclass(slots=True)
class Place:
    """A channel or a thread."""

    id: str
    kind: int
    name: str = ""
    #: the channel a thread is in
    parent: str = ""
    #: the server; empty for a direct message
    server: str = ""
    #: its newest message, as far as known
    last: str = "0"


class Directory:
    """Filled by what the gateway tells; what it did not tell is asked for."""

    def __init__(self, adapter: str, wire: Wire) -> None:
        self._adapter = adapter
        self._wire = wire
        #: the account's own id, and its application's
        self.account = ""
        self.application = ""
        self.places: dict[str, Place] = {}
        self.roles: dict[str, str] = {}
        #: roles that Discord made for the account: mentioning one means the account
        self.own_roles: set[str] = set()
        self._people: dict[str, str] = {}

    # --- what the gateway tells ----------------------------------------------------------------

    def learn(self, event: str, data: Any) -> None:
        """Take in an event, as far as it can be read."""
        with suppress(*_BAD):
            match event:
                case "GUILD_CREATE":
                    self._server(data)
                case "GUILD_DELETE" if not data.get("unavailable"):
                    self._forget(server=str(data["id"]))
                case "CHANNEL_CREATE" | "CHANNEL_UPDATE" | "THREAD_CREATE" | "THREAD_UPDATE":
                    self.place(data)
                case "THREAD_LIST_SYNC":
                    self._channels(data["threads"], str(data["guild_id"]))
                case "CHANNEL_DELETE" | "THREAD_DELETE":
                    self.places.pop(str(data["id"]), None)
                case "GUILD_ROLE_CREATE" | "GUILD_ROLE_UPDATE":
                    self._role(data["role"])

    def _server(self, data: JSON) -> None:
        if data.get("unavailable"):
            return
        server = str(data["id"])
        for role in data.get("roles") or ():
            with suppress(*_BAD):
                self._role(role)
        self._channels(data.get("channels") or (), server)
        self._channels(data.get("threads") or (), server)

    def _channels(self, channels: Iterable[JSON], server: str) -> None:
        for channel in channels:
            with suppress(*_BAD):
                self.place({"guild_id": server, **channel})

    def _role(self, role: JSON) -> None:
        id = str(role["id"])
        self.roles[id] = str(role["name"])
        if str((role.get("tags") or {}).get("bot_id")) == self.account:
            self.own_roles.add(id)

    def _forget(self, server: str) -> None:
        self.places = {id: place for id, place in self.places.items() if place.server != server}

    def place(self, channel: JSON) -> Place:
        """Note a channel or thread."""
        id = str(int(channel["id"]))
        known = self.places.get(id)
        last = str(int(channel.get("last_message_id") or 0))
        if known is not None:
            last = max(last, known.last, key=int)
        kind = int(channel["type"])
        self.places[id] = place = Place(
            id=id,
            kind=kind,
            name=str(channel.get("name") or ""),
            parent=str(channel.get("parent_id") or "") if kind in THREADS else "",
            server=str(channel.get("guild_id") or (known.server if known else "")),
            last=last,
        )
        return place

    # --- what is asked -------------------------------------------------------------------------

    async def find(self, channel: str, server: str = "") -> Place:
        """The channel or thread with this id. One that cannot be looked up counts as a channel:
        an answer sent there arrives in it all the same."""
        if (known := self.places.get(channel)) is not None:
            return known
        if not server:
            self.places[channel] = place = Place(channel, DIRECT)
            return place
        try:
            data = await self._wire("GET", "/channels/{channel_id}", channel_id=channel)
            return self.place({"guild_id": server, **data})
        except (*FAILURES, *_BAD) as error:
            log.warning(
                "channel %s could not be looked up: %s",
                channel,
                error or type(error).__name__,
                extra={"event": "channel_unknown", "adapter": self._adapter},
            )
            return Place(channel, TEXT, server=server)

    def address(self, place: Place) -> Address:
        """How the house calls it."""
        if place.parent:
            return Address(self._adapter, place.parent, place.id)
        return Address(self._adapter, place.id)

    def meet(self, id: str, name: str) -> None:
        """Remember what somebody is called."""
        if len(self._people) >= NAMES:
            self._people.clear()
        self._people[id] = name

    def known_name(self, person: str) -> str:
        """What somebody is called, if that is known."""
        return self._people.get(person, "")

    async def name_of(self, person: str) -> str:
        """What somebody is called who is known by id only."""
        if person not in self._people:
            try:
                user = await self._wire("GET", "/users/{user_id}", user_id=person)
                self.meet(person, str(user.get("global_name") or user["username"]))
            except (*FAILURES, *_BAD):
                self.meet(person, person)
        return self._people[person]
