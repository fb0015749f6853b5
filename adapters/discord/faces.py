"""The faces of bots that are not the account's first: their own name and picture, by a webhook of
the channel. Knows nothing of what is said with them.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import discord

from adapters.discord.wire import FAILURES, JSON

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adapters.discord.directory import Directory
    from adapters.discord.wire import Wire
    from botdaemon.types import Letter

log = logging.getLogger(__name__)

NAME = "botdaemon"
#: seconds after which a channel that had no webhook is asked again
AGAIN_AFTER = 600.0
#: Discord refuses these in a webhook's name
_FORBIDDEN = re.compile("discord|clyde|```|^everyone$|^here$", re.IGNORECASE)
LONGEST_NAME = 80


@dataclass(frozen=True, slots=True)
class Face:
    """A webhook of the account's application, and who speaks through it."""

    webhook: str
    token: str
    name: str
    picture: str

    @property
    def path(self) -> str:
        """Where its requests go. It holds a secret."""
        return f"/webhooks/{self.webhook}/{self.token}"

    @property
    def fields(self) -> JSON:
        """What a message says of its author."""
        named: JSON = {"username": self.name}
        return named | ({"avatar_url": self.picture} if self.picture else {})


class Faces:
    """The webhooks, found or made when a channel first needs one."""

    def __init__(
        self,
        default: str,
        pictures: Mapping[str, str],
        wire: Wire,
        directory: Directory,
        *,
        wanted: bool,
    ) -> None:
        self._default = default
        self._pictures = pictures
        self._wire = wire
        self._directory = directory
        self._wanted = wanted
        self._webhooks: dict[str, tuple[str, str]] = {}
        self._without: dict[str, float] = {}
        self._lock = asyncio.Lock()

    def named(self, letter: Letter) -> bool:
        """Whether the account's own name does not say who speaks."""
        return letter.speaker not in ("", self._default)

    async def of(self, letter: Letter) -> Face | None:
        """The face of a letter's speaker; None where it is the account's own, or cannot be had."""
        place = self._directory.places.get(letter.address.channel)
        usable = len(letter.speaker) <= LONGEST_NAME and not _FORBIDDEN.search(letter.speaker)
        if not (self._wanted and self.named(letter) and usable and place and place.server):
            return None
        async with self._lock:
            webhook = await self._webhook(place.id)
        if webhook is None:
            return None
        return Face(*webhook, letter.speaker, self._pictures.get(letter.speaker, ""))

    def forget(self, channel: str) -> None:
        """Its webhook is not there any more."""
        self._webhooks.pop(channel, None)

    async def _webhook(self, channel: str) -> tuple[str, str] | None:
        if channel in self._webhooks:
            return self._webhooks[channel]
        if time.monotonic() < self._without.get(channel, 0.0):
            return None
        path = "/channels/{channel_id}/webhooks"
        try:
            found = await self._wire("GET", path, channel_id=channel)
            ours = [w for w in found if str(w.get("application_id")) == self._directory.application]
            usable = [w for w in ours if w.get("token")]
            made = usable or [
                await self._wire("POST", path, json={"name": NAME}, channel_id=channel)
            ]
            self._webhooks[channel] = str(made[0]["id"]), str(made[0]["token"])
            return self._webhooks[channel]
        except FAILURES as error:
            if not isinstance(error, discord.HTTPException) or error.status >= 429:
                raise
            self._say(channel, error)
            self._without[channel] = time.monotonic() + AGAIN_AFTER
            return None

    def _say(self, channel: str, error: discord.HTTPException) -> None:
        if channel in self._without:
            return
        lacking = "it lacks the permission Manage Webhooks" if error.status == 403 else error.text
        log.warning(
            "in channel %s every bot speaks with the account's face: %s",
            channel,
            lacking,
            extra={"event": "no_faces"},
        )
