"""The names of people and channels, asked for once. Knows no messages."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from slack_sdk.errors import SlackApiError

from adapters.slack.web import Once, Web, code

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from slack_sdk.web.async_slack_response import AsyncSlackResponse

log = logging.getLogger(__name__)

#: names that are remembered
REMEMBERED = 10_000
#: seconds that a name may keep a message waiting
PATIENCE = 1.0


class People:
    """Looks names up. A name that cannot be had is the id; it never fails."""

    def __init__(self, name: str, web: Web) -> None:
        self._web = web
        self._once = Once(log, name)
        self._names: dict[str, str] = {}
        self._refused: set[str] = set()

    async def names(
        self, people: Collection[str], channels: Collection[str] = ()
    ) -> dict[str, str]:
        """The names of all of these, by id."""
        ids = [*people, *channels]
        asked = [*map(self.person, people), *map(self._channel, channels)]
        return dict(zip(ids, await asyncio.gather(*asked), strict=True))

    async def person(self, id: str) -> str:
        """What a person is called."""
        return await self._look_up(
            id, "people are called by their ids", lambda: self._web.api.users_info(user=id), _person
        )

    async def _channel(self, id: str) -> str:
        return await self._look_up(
            id,
            "channels are called by their ids",
            lambda: self._web.api.conversations_info(channel=id),
            _channel,
        )

    async def _look_up(
        self,
        id: str,
        without: str,
        ask: Callable[[], Awaitable[AsyncSlackResponse]],
        pick: Callable[[dict[str, Any]], object],
    ) -> str:
        if (known := self._names.get(id)) is not None:
            return known
        if without in self._refused:
            return id
        try:
            async with asyncio.timeout(PATIENCE):
                name = pick(await self._web.read(ask))
        except SlackApiError as error:
            if code(error) == "missing_scope":
                self._refused.add(without)
                self._once.lacks(error, without)
                return id
            if not code(error).endswith(("_not_found", "_not_visible")):
                return id
            name = id  # that will not change
        except Exception as error:  # a name is a courtesy: the message must not wait for it
            log.info("no name for %s: %s", id, type(error).__name__)
            return id
        if len(self._names) >= REMEMBERED:
            self._names.clear()
        self._names[id] = name if isinstance(name, str) and name else id
        return self._names[id]


def _person(answer: dict[str, Any]) -> object:
    user = answer["user"]
    profile = user.get("profile") or {}
    return profile.get("display_name") or user.get("real_name") or user.get("name")


def _channel(answer: dict[str, Any]) -> object:
    return answer["channel"].get("name")
