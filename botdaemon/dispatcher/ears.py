"""What is heard of what people say: what filters hold back is noted for the operator. Knows no bot
but by its manners, and tells nobody anything."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from botdaemon.dispatcher.judges import judged
from botdaemon.dispatcher.manners import Manners
from botdaemon.filters import Screened
from botdaemon.types import Held

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from botdaemon.dispatcher.judges import Judge
    from botdaemon.filters import Filter
    from botdaemon.store import Store
    from botdaemon.types import Address, Identity, Turn

log = logging.getLogger(__name__)


async def note(store: Store, key: str, held: Held) -> None:
    """Note what was held back, once for each `key`. The log has no word of it."""
    if await store.hold(key, held):
        log.info(
            "held back" if held.blocked else "masked",
            extra={
                "event": "held_back" if held.blocked else "masked",
                "way": held.way,
                "found": len(held.found),
                "adapter": held.address.adapter,
                "bot": held.bot or None,
            },
        )


class Ears:
    """`everybody` and `judges` say what no bot hears, `manners` are those of each bot."""

    def __init__(
        self,
        store: Store,
        everybody: Filter,
        judges: Sequence[Judge],
        manners: Mapping[str, Manners],
    ) -> None:
        self._store = store
        self._everybody = everybody
        self._judges = judges
        self._manners = manners

    async def listen(
        self,
        text: str,
        key: str,
        address: Address,
        author: Identity | None,
        platform_id: str = "",
    ) -> Screened:
        """What may be recorded of what somebody says in the event `key`."""
        heard = self._everybody(text)
        if not heard.blocked:
            looked = await judged(self._judges, heard.text)
            heard = Screened(looked.text, (*heard.found, *looked.found), looked.blocked)
        if heard.found:
            held = Held(
                way="heard",
                blocked=heard.blocked,
                found=heard.found,
                text=text,
                address=address,
                author=author,
                platform_id=platform_id,
            )
            await note(self._store, f"event {address.adapter} {key}", held)
        return heard

    async def understand(self, turn: Turn, address: Address) -> Turn | str:
        """A turn as its bot hears it, or what to tell the person whom it does not answer."""
        manners = self._manners.get(turn.bot, Manners())
        unheard = await manners.unheard(turn)
        if unheard is None:
            return await manners.hear(turn)
        if unheard.screened is not None:
            held = Held(
                way="heard",
                blocked=True,
                found=unheard.screened.found,
                text=unheard.text,
                address=address,
                bot=turn.bot,
                author=turn.asked_by,
            )
            if unheard.message is not None:
                held = replace(
                    held,
                    address=unheard.message.address,
                    author=unheard.message.author,
                    platform_id=unheard.message.platform_id,
                )
            await note(self._store, f"turn {turn.id} heard", held)
        return unheard.words
