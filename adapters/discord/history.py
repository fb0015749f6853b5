"""What was said before, read from Discord's history: what was missed, and what came before a place
was heard of. Knows no event but messages.

Only channels and threads with something newer than their cursor are read; a direct message is asked
for it, as Discord does not tell.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

import discord

from adapters.discord.directory import DIRECT, FORUM, MEDIA, SPOKEN, Place
from adapters.discord.wire import FAILURES, JSON, snowflake, wait_asked
from botdaemon.errors import AdapterDown, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from adapters.discord.directory import Directory
    from adapters.discord.ear import Ear
    from adapters.discord.reading import Reader
    from adapters.discord.wire import Wire
    from adapters.inlet import Inlet
    from botdaemon.ports import Shelf
    from botdaemon.types import Posted

log = logging.getLogger(__name__)

PAGE = 100
#: earlier messages that are read when a place is new
EARLIER = 20
#: half a minute, in ids
OVERLAP = 30_000 << 22
#: requests a second, and at once
RATE, AT_ONCE = 15.0, 8


class History:
    """Reads the past of one account's places."""

    def __init__(
        self,
        adapter: str,
        hours: float,
        wire: Wire,
        shelf: Shelf,
        directory: Directory,
        reader: Reader,
        inlet: Inlet,
    ) -> None:
        self._adapter = adapter
        self._seconds = 3600 * hours
        self._wire = wire
        self._shelf = shelf
        self._directory = directory
        self._reader = reader
        self._inlet = inlet
        self._next_at = 0.0
        #: messages that the house cannot take, by a fault of ours: once is enough
        self._unreadable: set[str] = set()

    # --- what was missed -----------------------------------------------------------------------

    async def catch_up(self, ear: Ear) -> None:
        """Deliver everything said since the cursors. Raises when not all of it could be."""
        began = time.monotonic()
        slots = asyncio.Semaphore(AT_ONCE)

        async def read(place: Place, after: str) -> int:
            async with slots:
                try:
                    return await self._read(ear, place, after)
                finally:
                    self._inlet.read(place.id)

        places = await self._behind()
        self._inlet.reading(place.id for place, _ in places)
        # A place without a cursor of its own gets one before others move on: should the daemon end
        # now, it is read from there the next time.
        for place, after in places:
            await self._inlet.reached(self._directory.address(place), after)
        # All of them are given their try: one that fails must not keep the others waiting.
        results = await asyncio.gather(
            *(read(place, after) for place, after in places), return_exceptions=True
        )
        if failures := [result for result in results if isinstance(result, BaseException)]:
            raise failures[0]
        if places:
            log.info(
                "caught up with %d messages in %d places",
                sum(results),  # type: ignore[arg-type] # no exception is left
                len(places),
                extra={"event": "caught_up", "seconds": round(time.monotonic() - began, 1)},
            )

    async def _behind(self) -> list[tuple[Place, str]]:
        """The places to be read, each with the id after which to read."""
        cursors = await self._shelf.cursors(self._adapter)
        begin = int(snowflake(time.time() - self._seconds))
        # What was under way when the daemon ended may be a little older than the newest cursor.
        start = int(cursors.get(("", ""), 0))
        found = []
        for place in list(self._directory.places.values()):
            if place.kind == DIRECT:
                continue
            address = self._directory.address(place)
            after = int(self._inlet.cursor(address) or 0)
            if (address.channel, address.topic) not in cursors:
                after = max(after - OVERLAP, start)
            if place.kind in SPOKEN and int(place.last) > max(after, begin):
                found.append((place, str(max(after, begin))))
        # Discord does not tell what is new in a direct channel, so all of them are asked.
        for (channel, topic), cursor in cursors.items():
            known = self._directory.places.get(channel, Place(channel, DIRECT))
            if channel and not topic and known.kind == DIRECT:
                found.append((known, str(max(int(cursor), begin))))
        return found

    async def _read(self, ear: Ear, place: Place, after: str) -> int:
        """Everything said in a place after an id, oldest first; how many messages that is."""
        count = 0
        while True:
            # The channel waits meanwhile, so that what is said now comes after what was missed.
            async with ear.lane({"channel_id": place.id}):
                try:
                    page, more = await self._page(place.id, after=after)
                except discord.HTTPException as error:
                    if error.status in (400, 403, 404):  # it may not be read, or is gone
                        return count
                    raise
                for data in page:
                    await self._take(ear, place, data)
                if page:
                    after = str(page[-1]["id"])
                    await self._inlet.reached(self._directory.address(place), after)
            count += len(page)
            if not (page and more):
                return count

    async def _take(self, ear: Ear, place: Place, data: JSON) -> None:
        id = str(data["id"])
        if id in self._unreadable:
            return
        guild = {"guild_id": place.server} if place.server else {}
        try:
            await ear.message({**guild, **data}, missed=True)
        except (StoreError, AdapterDown):
            raise
        except Exception as error:
            self._unreadable.add(id)
            await self._inlet.quarantine(str(data), error)

    # --- what came before ----------------------------------------------------------------------

    async def earlier(self, place: Place, before: str) -> Sequence[Posted]:
        """At most 20 messages of a place before an id, oldest first, and the message that the
        thread was made of before them."""
        if not place.parent or before == place.id:
            return await self._before(place, before)
        starter, rest = await asyncio.gather(self._starter(place), self._before(place, before))
        known = {one.key for one in rest}
        return [*(one for one in starter if one.key not in known), *rest]

    async def _before(self, place: Place, before: str) -> list[Posted]:
        page, _ = await self._page(place.id, before=before, limit=EARLIER)
        return self._past(page, lambda data: self._reader.read_past(data, place))

    async def _starter(self, place: Place) -> list[Posted]:
        """It has the thread's id, and stands in the channel above; in a forum in the thread."""
        parent = self._directory.places.get(place.parent)
        forum = parent is not None and parent.kind in (FORUM, MEDIA)
        where = place.id if forum else place.parent
        path = "/channels/{channel_id}/messages/{message_id}"
        try:
            data = await self._wire("GET", path, channel_id=where, message_id=place.id)
        except discord.HTTPException as error:
            if error.status in (400, 403, 404):  # a thread that was made of no message
                return []
            raise
        return self._past([data], lambda d: self._reader.read_past(d, place, starter=not forum))

    def _past(self, page: list[JSON], read: Callable[[JSON], Posted | None]) -> list[Posted]:
        past = []
        for data in page:
            try:
                if (event := read(data)) is not None:
                    past.append(event)
            except Exception as error:
                log.info("an earlier message could not be read: %r", error)
        return past

    # --- pages ---------------------------------------------------------------------------------

    async def _page(
        self, channel: str, *, limit: int = PAGE, **around: str
    ) -> tuple[list[JSON], bool]:
        """Messages of a channel, oldest first, and whether there may be more. Waits as long as
        Discord asks to."""
        while True:
            now = time.monotonic()
            self._next_at = max(self._next_at, now) + 1 / RATE
            await asyncio.sleep(self._next_at - 1 / RATE - now)
            try:
                page: Any = await self._wire(
                    "GET",
                    "/channels/{channel_id}/messages",
                    params={"limit": limit, **around},
                    channel_id=channel,
                )
                usable = [data for data in page if str(data.get("id")).isdecimal()]
                return sorted(usable, key=lambda data: int(data["id"])), len(page) >= limit
            except FAILURES as error:
                if (after := wait_asked(error)) is None:
                    raise
                self._next_at = max(self._next_at, time.monotonic() + after)
