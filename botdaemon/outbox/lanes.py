"""One adapter's letters: a lane for each address, paced, retried, verified, and taken back. Knows
no turn."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from botdaemon.errors import (
    AdapterDown,
    BotdaemonError,
    Gone,
    RateLimited,
    StoreError,
    TryLater,
    Undeliverable,
)
from botdaemon.types import Address, Letter, Part

if TYPE_CHECKING:
    from collections.abc import Callable

    from botdaemon.metrics import Metrics
    from botdaemon.ports import Courier
    from botdaemon.store import Store

log = logging.getLogger(__name__)

#: a letter that arrived, and the platform's id of it
Settled = tuple[int, str]

#: network calls of one adapter at the same time
AT_ONCE = 32
#: seconds; the first pause after a failure, doubling up to the longest
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0
#: attempts after which a letter is given up on which an adapter fails by a fault of its own
MOST_FAULTS = 4
#: seconds that typing is shown at most after an answer is there, while its letters are delivered
LAST_LETTERS = 30.0
#: what a text is edited into where nothing can be looked up (`Traits.placeholders`)
PLACEHOLDER = Part(text="\u2026", plain="\u2026")


def pause(attempts: int) -> float:
    """Seconds to wait after so many failed attempts: doubling, with jitter, so that many letters
    do not come back at the same moment."""
    whole = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(attempts - 1, 10))
    return whole * random.uniform(0.5, 1.0)


class Outbox:
    """Delivers one courier's letters, in order for each address."""

    def __init__(
        self,
        courier: Courier,
        store: Store,
        tasks: asyncio.TaskGroup,
        metrics: Metrics,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.courier = courier
        self._store = store
        self._tasks = tasks
        self._metrics = metrics
        self._clock = clock
        self._lanes: dict[Address, bool] = {}  # is there news since the lane last looked?
        self._at_work: dict[Address, asyncio.Task[None]] = {}
        self._reasons: dict[Address, str] = {}  # why the address's letter waits
        self._waiting = 0  # lanes that can do nothing before a time
        self._locks: WeakValueDictionary[Address, asyncio.Lock] = WeakValueDictionary()
        #: network calls under way
        self.slots = asyncio.Semaphore(AT_ONCE)
        self._next_at = 0.0
        self._channel_next: dict[str, float] = {}
        self._idle = asyncio.Event()
        self._idle.set()

    def post(self, address: Address) -> None:
        """There are letters for the address."""
        known = address in self._lanes
        self._lanes[address] = True
        if not known:
            self._idle.clear()
            self._at_work[address] = self._tasks.create_task(
                self._lane(address), name=f"outbox {address}"
            )

    async def quiet(self, address: Address) -> bool:
        """Wait until the letters for an address have been delivered, but not for ever; whether they
        have."""
        if task := self._at_work.get(address):
            await asyncio.wait([task], timeout=LAST_LETTERS)
        return address not in self._at_work

    async def drained(self) -> None:
        """Wait until nothing is left that could be delivered now."""
        await self._idle.wait()

    def place(self, address: Address) -> asyncio.Lock:
        """One call at a time for each address: drafts and letters must not overtake each other.
        To be held together with one of the `slots`."""
        lock = self._locks.get(address)
        if lock is None:
            self._locks[address] = lock = asyncio.Lock()
        return lock

    async def pace(self, channel: str) -> None:
        """Wait as the adapter's traits ask between two letters, of all and of a channel."""
        traits, now = self.courier.traits, self._clock()
        at = now
        if rate := traits.letters_per_second:
            at = max(self._next_at, now)
            self._next_at = at + 1.0 / rate
        if pause := traits.channel_pause:
            if len(self._channel_next) > 1000:
                self._channel_next = {c: t for c, t in self._channel_next.items() if t > now}
            at = max(at, self._channel_next.get(channel, 0.0))
            self._channel_next[channel] = at + pause
        if at > now:
            await asyncio.sleep(at - now)

    async def _lane(self, address: Address) -> None:
        settled: Settled | None = None
        while True:
            self._lanes[address] = False
            async with self.place(address), self.slots:
                try:
                    claimed = await self._store.claim_letter(
                        address, settled, settles_after=self.courier.traits.settles_after
                    )
                    settled = None
                    if isinstance(claimed, tuple):
                        settled = await self._deliver(*claimed)
                        if settled is not None:
                            self._metrics.sent.labels(address.adapter).inc()
                            self._reasons.pop(address, None)
                        continue
                except StoreError:
                    # The disk is full: what was sent stays *sending* and will be verified.
                    settled, claimed = None, self._clock() + 10 * FIRST_PAUSE
            if claimed is not None:
                await self._wait(claimed)
            elif not self._lanes[address]:
                del self._lanes[address], self._at_work[address]
                self._reasons.pop(address, None)
                self._rest()
                return

    def _rest(self) -> None:
        if len(self._lanes) == self._waiting:
            self._idle.set()

    async def _wait(self, until: float) -> None:
        self._waiting += 1
        self._rest()
        await asyncio.sleep(max(0.0, until - self._clock()))
        self._waiting -= 1
        self._idle.clear()

    async def _deliver(self, letter: Letter, uncertain: bool, taken_back: bool) -> Settled | None:
        """One attempt; what to settle if it arrived."""
        # Where no further attempt makes sense, it ends as dead, with the reason.
        end = self._store.removed if taken_back else self._store.bury
        try:
            await self.pace(letter.address.channel)
            if taken_back:
                await self._take_back(letter, uncertain)
                await self._store.removed(letter.id)
                self._reasons.pop(letter.address, None)
                return None
            return letter.id, await self._hand_over(letter, uncertain)
        except TryLater as error:
            after = error.after if error.after is not None else pause(letter.attempts + 1)
            # An uncertain letter stays one: it may have been `find` that was told to come later.
            await self._postpone(letter, after, error, sent=uncertain)
        except Undeliverable as error:
            log.warning(
                "letter %d cannot be taken back: %s"
                if taken_back
                else "letter %d is undeliverable: %s",
                letter.id,
                error,
                extra={"event": "letter_dead", "adapter": letter.address.adapter},
            )
            self._metrics.dead.labels(letter.address.adapter).inc()
            await end(letter.id, str(error))
        except (AdapterDown, OSError) as error:
            # Nobody knows whether it arrived: it stays *sending* and is verified first.
            await self._postpone(letter, pause(letter.attempts + 1), error, sent=True)
        except StoreError:
            raise
        except Exception as error:
            log.exception("letter %d met a fault of its adapter", letter.id)
            if letter.attempts < MOST_FAULTS:
                await self._postpone(letter, pause(letter.attempts + 1), error, sent=True)
            else:  # what comes after it must not wait for ever
                self._metrics.dead.labels(letter.address.adapter).inc()
                await end(letter.id, repr(error))
        return None

    async def _take_back(self, letter: Letter, uncertain: bool) -> None:
        """Take a letter from its platform, if it ever arrived there."""
        remote = letter.remote
        if not remote and uncertain:
            remote = await self.courier.find(letter) or ""
        if remote:
            await self.courier.remove(replace(letter, remote=remote))

    async def _hand_over(self, letter: Letter, uncertain: bool) -> str:
        if letter.remote:
            try:
                await self.courier.edit(letter)
            except Gone:  # somebody deleted the live draft
                letter = replace(letter, remote="")
            else:
                return letter.remote
        if uncertain and (found := await self.courier.find(letter)) is not None:
            if self.courier.traits.edits_per_second:  # it may have been a draft of this letter
                await self.courier.edit(replace(letter, remote=found))
            return found
        file = letter.part.file
        # No message can become a voice note.
        if self.courier.traits.placeholders and not (file is not None and file.is_spoken):
            remote = await self.courier.send(replace(letter, part=PLACEHOLDER, controls=()))
            await self._store.placed(letter.id, remote)
            letter = replace(letter, remote=remote)
            try:
                await self.courier.edit(letter)
            except Undeliverable:
                with suppress(BotdaemonError, OSError):  # a courtesy: it says nothing
                    await self.courier.remove(letter)
                raise
            return remote
        return await self.courier.send(letter)

    async def _postpone(
        self, letter: Letter, after: float, error: Exception, *, sent: bool
    ) -> None:
        why = "unknown" if sent else "rate limit" if isinstance(error, RateLimited) else "not sent"
        self._metrics.postponed.labels(letter.address.adapter, why).inc()
        reason = str(error) or type(error).__name__
        # Said once, however often it is tried: a platform may be away for hours.
        log.log(
            logging.DEBUG if self._reasons.get(letter.address) == reason else logging.WARNING,
            "letter %d waits %.1f s: %s",
            letter.id,
            after,
            reason,
            extra={"event": "letter_postponed", "adapter": letter.address.adapter},
        )
        self._reasons[letter.address] = reason
        await self._store.postpone(letter.id, self._clock() + after, str(error), sent=sent)
