"""From the store to the platforms: letters and live drafts. Knows no bot and no platform.

Each adapter has an outbox of its own, so a slow platform delays only itself; each address in it
has a lane, so letters arrive in order and one address that must wait holds up no other.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from botdaemon import render
from botdaemon.errors import AdapterDown, Gone, StoreError, TryLater, Undeliverable
from botdaemon.ports import Adapter, Courier
from botdaemon.types import Address, Control, Letter, Obligation, Part

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping

    from botdaemon.store import Store

log = logging.getLogger(__name__)

#: network calls of one adapter at the same time
AT_ONCE = 32
#: seconds; the first pause after a failure, doubling up to the longest
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0
#: attempts after which a letter is given up on which an adapter fails by a fault of its own
MOST_FAULTS = 4
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
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.courier = courier
        self._store = store
        self._tasks = tasks
        self._clock = clock
        self._lanes: dict[Address, bool] = {}  # is there news since the lane last looked?
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
            self._tasks.create_task(self._lane(address), name=f"outbox {address}")

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
        settled: tuple[int, str] | None = None
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
                        continue
                except StoreError:
                    # The disk is full: what was sent stays *sending* and will be verified.
                    settled, claimed = None, self._clock() + 10 * FIRST_PAUSE
            if claimed is not None:
                await self._wait(claimed)
            elif not self._lanes[address]:
                del self._lanes[address]
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

    async def _deliver(self, letter: Letter, uncertain: bool) -> tuple[int, str] | None:
        """One attempt; what to settle if it arrived."""
        try:
            await self.pace(letter.address.channel)
            return letter.id, await self._hand_over(letter, uncertain)
        except TryLater as error:
            after = error.after if error.after is not None else pause(letter.attempts + 1)
            # An uncertain letter stays one: it may have been `find` that was told to come later.
            await self._postpone(letter, after, error, sent=uncertain)
        except Undeliverable as error:
            log.warning(
                "letter %d is undeliverable: %s",
                letter.id,
                error,
                extra={"event": "letter_dead", "adapter": letter.address.adapter},
            )
            await self._store.bury(letter.id, str(error))
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
                await self._store.bury(letter.id, repr(error))
        return None

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
        if self.courier.traits.placeholders and letter.part.file is None:
            remote = await self.courier.send(replace(letter, part=PLACEHOLDER, controls=()))
            await self._store.placed(letter.id, remote)
            await self.courier.edit(replace(letter, remote=remote))
            return remote
        return await self.courier.send(letter)

    async def _postpone(
        self, letter: Letter, after: float, error: Exception, *, sent: bool
    ) -> None:
        log.warning(
            "letter %d waits %.1f s: %s",
            letter.id,
            after,
            error or type(error).__name__,
            extra={"event": "letter_postponed", "adapter": letter.address.adapter},
        )
        await self._store.postpone(letter.id, self._clock() + after, str(error), sent=sent)


class Outboxes:
    """All adapters' outboxes, and the live side of a turn. `tasks` owns what is under way: what it
    cancels stays in the store."""

    def __init__(
        self, adapters: Mapping[str, Adapter], store: Store, tasks: asyncio.TaskGroup
    ) -> None:
        self._adapters = adapters
        self._store = store
        self._tasks = tasks
        self.by_adapter = {
            name: Outbox(adapter, store, tasks)
            for name, adapter in adapters.items()
            if isinstance(adapter, Courier)
        }

    def post(self, addresses: Iterable[Address]) -> None:
        """There are letters for these addresses."""
        for address in addresses:
            if outbox := self.by_adapter.get(address.adapter):
                outbox.post(address)

    async def resume(self) -> None:
        """Take up what was not delivered when the daemon last stopped."""
        for name in self.by_adapter:
            self.post(await self._store.open_places(name))

    async def drained(self) -> None:
        """Wait until nothing is left that could be delivered now."""
        for outbox in self.by_adapter.values():
            await outbox.drained()

    @asynccontextmanager
    async def live(self, obligation: Obligation) -> AsyncIterator[Callable[[str], None]]:
        """Typing at all addresses of a turn for as long as the context lasts.

        Yields a function that shows the text so far, throttled as each platform asks.
        """
        ended = asyncio.Event()
        sketches = []
        for address in obligation.addresses:
            adapter = self._adapters.get(address.adapter)
            if adapter is None:  # it left the configuration; its letters wait for its return
                continue
            self._tasks.create_task(
                _typing(adapter, address, obligation.bot, ended), name=f"typing {address}"
            )
            if adapter.traits.edits_per_second:
                outbox = self.by_adapter.get(address.adapter)
                sketches.append(Sketch(adapter, outbox, self._store, obligation, address))

        def show(text: str) -> None:
            for sketch in sketches:
                sketch.show(text, self._tasks)

        try:
            yield show
        finally:
            ended.set()
            for sketch in sketches:
                sketch.close()


async def _typing(adapter: Adapter, address: Address, bot: str, ended: asyncio.Event) -> None:
    """Typing until the turn has ended. A courtesy, and a task of its own: a platform that is slow
    at it, or refuses it, keeps nobody from answering."""
    try:
        async with adapter.typing(address, bot):
            await ended.wait()
    except Exception as error:
        log.info(
            "no typing: %s",
            error or type(error).__name__,
            extra={"event": "typing_failed", "adapter": address.adapter},
        )


class Sketch:
    """The live draft of one turn at one address: one message, edited as the answer grows."""

    def __init__(
        self,
        adapter: Adapter,
        outbox: Outbox | None,
        store: Store,
        obligation: Obligation,
        address: Address,
    ) -> None:
        self._adapter = adapter
        self._outbox = outbox
        self._store = store
        self._obligation = obligation
        self._address = address
        self._interval = 1.0 / adapter.traits.edits_per_second
        self._text = ""
        self._news = asyncio.Event()
        self._closed = False
        self._started = False

    def show(self, text: str, tasks: asyncio.TaskGroup) -> None:
        """Show this text as soon as the platform's pace allows."""
        if text == self._text:
            return
        self._text = text
        self._news.set()
        if not self._started:
            self._started = True
            tasks.create_task(self._run(), name=f"draft {self._address}")

    def close(self) -> None:
        """The final letter takes over. A call under way is not waited for: a slow platform must
        not hold up the answer on another one; the address's lane waits for it instead."""
        self._closed = True
        self._news.set()

    async def _run(self) -> None:
        try:
            if self._outbox is None:
                await self._follow(self._mirrored())
                return
            # An answer that is there at once needs no draft.
            await asyncio.sleep(self._interval)
            letter = await self._open(self._outbox)
            if letter is not None:
                await self._follow(letter)
        except (TryLater, Undeliverable, StoreError) as error:
            self._give_up(error)
        except Exception as error:  # a draft is a courtesy: the letter itself will be retried
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        log.info(
            "no live draft: %s",
            error or type(error).__name__,
            extra={"event": "draft_given_up", "adapter": self._address.adapter},
        )

    def _mirrored(self) -> Letter:
        turn = self._obligation.turn
        return Letter(
            id=0,
            key=f"t{turn}",
            address=self._address,
            speaker=self._obligation.bot,
            part=render.draft("", self._adapter.traits),
            remote=f"t{turn}",
            controls=(Control.STOP,),
        )

    async def _open(self, outbox: Outbox) -> Letter | None:
        async with outbox.place(self._address), outbox.slots:
            if self._closed:
                return None
            where, platform_id = self._obligation.reply_to or (None, "")
            letter, uncertain = await self._store.open_draft(
                self._obligation.turn,
                self._address,
                self._obligation.bot,
                platform_id if where == self._address else "",
            )
            remote = letter.remote
            if not remote and uncertain:
                remote = await outbox.courier.find(letter) or ""
            if not remote:
                await outbox.pace(self._address.channel)
                if outbox.courier.traits.placeholders:
                    remote = await outbox.courier.send(replace(letter, part=PLACEHOLDER))
                else:
                    self._news.clear()
                    remote = await outbox.courier.send(self._drawn(letter))
            await self._store.draft_sent(letter.id, remote)
            return replace(letter, remote=remote)

    def _drawn(self, letter: Letter) -> Letter:
        part = render.draft(self._text, self._adapter.traits)
        return replace(letter, part=part, controls=(Control.STOP,))

    async def _follow(self, letter: Letter) -> None:
        while True:
            await self._news.wait()
            if self._closed:
                return
            self._news.clear()
            if self._outbox is None:
                await self._adapter.edit(self._drawn(letter))
            else:
                async with self._outbox.place(self._address), self._outbox.slots:
                    if self._closed:
                        return
                    await self._outbox.pace(self._address.channel)
                    await self._adapter.edit(self._drawn(letter))
            await asyncio.sleep(self._interval)
