"""From a chat platform into the house: every place in order, and how far each has been read. Knows
no platform: ids are compared by the function it is given.

A *cursor* says that everything at a place up to that message is recorded. Live events move it only
while the adapter is on track, that is while it certainly missed nothing: else a crash in the middle
of a catch-up would skip the gap (rule D of the delivery semantics, in docs/promises.md).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from botdaemon.errors import BotdaemonError
from botdaemon.types import Address

if TYPE_CHECKING:
    from botdaemon.ports import Deliver, Shelf
    from botdaemon.types import Posted

log = logging.getLogger(__name__)

Earlier = Callable[[], Awaitable[Sequence["Posted"]]]
"""Loads what was said at a place before, oldest first."""

#: places that are remembered to be known; more cost a query each
REMEMBERED = 10_000
#: characters of an unreadable event that are kept
LONGEST_RAW = 20_000
#: seconds that what is said now waits for what was missed before it
PATIENCE = 2.0
#: seconds that loading earlier messages may keep a message waiting
LOADING = 2.0


#: no place of any platform: under it the baseline is kept while the adapter is off track
_OFF = Address("", "", "off track")


class Inlet:
    """One connection's way in. `order` turns a platform id into something that grows with time."""

    def __init__(
        self,
        adapter: str,
        shelf: Shelf,
        deliver: Deliver,
        order: Callable[[str], float] = float,
        *,
        patience: float = PATIENCE,
    ) -> None:
        self._adapter = adapter
        self._shelf = shelf
        self._deliver = deliver
        self._order = order
        self._locks: WeakValueDictionary[Address, asyncio.Lock] = WeakValueDictionary()
        self._known: dict[Address, None] = {}
        self._cursors: dict[tuple[str, str], str] = {}
        self._baseline = ""
        self._meanwhile: dict[Address, str] = {}
        self._on_track = False
        self._patience = patience
        self._unread: set[str] | None = None  # None: nobody knows yet
        self._moved = asyncio.Event()
        self._queues: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._marked = False  # the baseline is on disk, since cursors move while off track
        #: set when a message could not be recorded: what follows must be read again
        self.behind = asyncio.Event()

    # --- what comes in -----------------------------------------------------------------------

    async def post(
        self, event: Posted, earlier: Earlier | None = None, *, read_in: Address | None = None
    ) -> int:
        """Deliver a message; the first one of a place after what was said there before it.

        Messages of one place are recorded in the order of these calls. `read_in` is the place in
        whose history it stands, where that is another: a message that begins a thread of its own
        stands in its channel's. Raises like `Deliver`.
        """
        address = event.message.address
        lock = self._locks.get(address)
        if lock is None:
            self._locks[address] = lock = asyncio.Lock()
        async with lock:
            try:
                if earlier is not None and not await self._is_known(address):
                    await self._load(address, earlier)
                message = await self._deliver(event)
            except (BotdaemonError, asyncio.CancelledError):
                # Anything else is a fault in the message, which is put away and not read again.
                self.lose_track()
                self.behind.set()
                raise
        self._remember(address)
        if not event.missed:
            await self._reached(read_in or address, event.message.platform_id)
        return message

    async def quarantine(self, raw: str, error: BaseException) -> None:
        """Put away an event that cannot be read, and go on."""
        log.error(
            "an event could not be read and was put away: %r",
            error,
            extra={"event": "quarantined", "adapter": self._adapter},
        )
        await self._shelf.quarantine(self._adapter, raw[:LONGEST_RAW], repr(error))

    async def _is_known(self, address: Address) -> bool:
        return address in self._known or await self._shelf.known(address)

    def _remember(self, address: Address) -> None:
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        self._known[address] = None

    async def _load(self, address: Address, earlier: Earlier) -> None:
        try:
            async with asyncio.timeout(LOADING):
                before = await earlier()
        except Exception as error:
            log.warning(
                "what was said before in %s could not be loaded: %s",
                address,
                error or type(error).__name__,
                extra={"event": "history_failed", "adapter": self._adapter},
            )
            return
        for one in before:
            await self._deliver(replace(one, past=True))

    # --- what was missed comes first ---------------------------------------------------------

    async def turn(self, place: str) -> None:
        """Wait until what was missed at a place is read, so that what is said now is recorded
        after it; but not for longer than `patience`. Calls for a place return in their order.
        Not for platforms that expect a confirmation soon."""
        queue = self._queues.get(place)
        if queue is None:
            self._queues[place] = queue = asyncio.Lock()
        # Through the queue even when nobody has to wait: else it would be possible to overtake
        # somebody who has just been told not to wait any longer.
        async with queue:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._patience):
                    while not self._on_track and (self._unread is None or place in self._unread):
                        await self._moved.wait()

    def reading(self, places: Iterable[str]) -> None:
        """These places are going to be read, and no others."""
        self._unread = set(places)
        self._tell()

    def read(self, place: str) -> None:
        """What was missed at this place is recorded."""
        if self._unread is not None:
            self._unread.discard(place)
        self._tell()

    def _tell(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()

    # --- how far it has read -----------------------------------------------------------------

    async def open(self, now: str) -> None:
        """Read the cursors; at the very first start everything before the id `now` is past."""
        self._cursors = await self._shelf.cursors(self._adapter)
        self._baseline = self._cursors.pop((_OFF.channel, _OFF.topic), "")
        self._marked = bool(self._baseline)
        if not self._baseline and not self._cursors:
            await self._shelf.move_cursor(Address(self._adapter, "", ""), now)
            self._cursors["", ""] = now
        self.lose_track()

    def lose_track(self) -> None:
        """Something may have been missed: live events move no cursor until `on_track`."""
        if self._on_track or not self._baseline:
            self._baseline = max(self._cursors.values(), key=self._order, default="")
            self._unread = None
        self._on_track = False

    def cursor(self, address: Address) -> str:
        """From where on a place must be read: its own cursor, or for one that was never heard of
        before, the newest there was when the track was lost."""
        return self._cursors.get((address.channel, address.topic), self._baseline)

    async def reached(self, address: Address, last: str) -> None:
        """Everything at a place up to this id is recorded."""
        place = (address.channel, address.topic)
        if place not in self._cursors or self._order(last) > self._order(self._cursors[place]):
            moves = [self._shelf.move_cursor(address, last)]
            if not self._on_track and not self._marked:
                # Before the first cursor moves: after a crash in the middle of it, the newest
                # cursor would not be from where places without one must be read.
                self._marked = True
                moves.insert(0, self._mark(self._baseline))
            self._cursors[place] = last
            await asyncio.gather(*moves)  # written in this order

    async def _mark(self, baseline: str) -> None:
        await self._shelf.move_cursor(replace(_OFF, adapter=self._adapter), baseline)

    async def on_track(self) -> None:
        """What was missed has been read: live events move the cursors again."""
        meanwhile, self._meanwhile = self._meanwhile, {}
        for address, last in meanwhile.items():
            await self.reached(address, last)
        self._on_track = True
        self._tell()
        if self._marked:
            self._marked = False
            await self._mark("")

    async def _reached(self, address: Address, last: str) -> None:
        if self._on_track:
            await self.reached(address, last)
        else:
            before = self._meanwhile.get(address, last)
            self._meanwhile[address] = max(last, before, key=self._order)
