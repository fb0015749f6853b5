"""The live draft of a turn: one message that is edited as the answer grows. Knows no bot."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from botdaemon import render
from botdaemon.errors import StoreError, TryLater, Undeliverable
from botdaemon.outbox.lanes import PLACEHOLDER
from botdaemon.types import Address, Control, Draft, Letter, Obligation

if TYPE_CHECKING:
    from botdaemon.outbox.lanes import Outbox
    from botdaemon.ports import Adapter
    from botdaemon.store import Store

log = logging.getLogger(__name__)


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
        self._draft = Draft(text="")
        self._news = asyncio.Event()
        self._closed = False
        self._started = False

    def show(self, draft: Draft, tasks: asyncio.TaskGroup) -> None:
        """Show this much of the answer as soon as the platform's pace allows."""
        if draft.preview and not self._adapter.traits.previews:
            draft = replace(draft, preview=b"")
        if (draft.text, draft.preview) == (self._draft.text, self._draft.preview):
            return
        self._draft = draft
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
            # Nor is one shown between the messages of an answer before it.
            if not await self._outbox.quiet(self._address):
                return
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
        traits, preview = self._adapter.traits, self._draft.preview
        if preview and traits.captions:
            traits = replace(traits, text_limit=traits.captions)
        part = replace(render.draft(self._draft.text, traits), preview=preview)
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
