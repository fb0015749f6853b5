"""Who is let in, and what the others are told. Knows the rules from `access`, and no turn."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from botdaemon.access import Access, Admission
from botdaemon.types import Reacted

if TYPE_CHECKING:
    from botdaemon.dispatcher.mouth import Mouth
    from botdaemon.store import Store
    from botdaemon.types import Address, Command, Identity, Posted, Pressed

log = logging.getLogger(__name__)


class Gate:
    """Stands before everything that people do."""

    def __init__(self, store: Store, mouth: Mouth, access: Access) -> None:
        self._store = store
        self._mouth = mouth
        self._access = access

    async def admission(
        self, who: Identity, event: Posted | Command | Pressed | Reacted, address: Address
    ) -> Admission:
        """What becomes of what somebody does."""
        direct = not isinstance(event, Reacted) and event.direct
        admission = self._access.judge(
            who, channel=address.channel, server=event.server, roles=event.roles, direct=direct
        )
        if admission is Admission.STRANGER and await self._store.paired(who):
            return Admission.WELCOME
        return admission

    async def turn_away(self, key: str, address: Address, who: Identity) -> int:
        """A stranger is told how to be let in, once. What they wrote is not kept."""
        recorded = await self._store.record_asked(address, key, who)
        if recorded.duplicate:
            return 0
        code = await self._store.pairing_code(who, recorded.thread, address)
        if not code:
            return 0
        log.info(
            "%s (account %s on %s) asks to be let in",
            who.name,
            who.account,
            who.adapter,
            extra={"event": "pairing_asked", "adapter": who.adapter},
        )
        words = (
            f"I do not know you yet. Your code is **{code}**: give it to an admin of mine, who "
            f"lets you in with `/pair {code}`. It is good for an hour."
        )
        return await self._mouth.tell(recorded.thread, address, words, only_for=who.account)

    async def refuse(self, key: str, address: Address, who: Identity, problem: str) -> int:
        """Say why something was not recorded, once."""
        recorded = await self._store.record_asked(address, key, who)
        if not recorded.duplicate:
            await self._mouth.tell(recorded.thread, address, problem, only_for=who.account)
        return 0
