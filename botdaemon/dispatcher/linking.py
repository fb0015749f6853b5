"""What people say to make accounts on several platforms one person. Knows how a code is given and
who has to agree from the store."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from botdaemon.dispatcher.letters import plain
from botdaemon.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botdaemon.dispatcher.mouth import Mouth
    from botdaemon.dispatcher.orders import Order
    from botdaemon.store import Link, Store
    from botdaemon.types import Identity

log = logging.getLogger(__name__)

_NOBODY = "Nobody waits for your answer. `/link` gives you a code for your other account."


class Linking:
    """Both accounts are spoken to where they wrote directly."""

    def __init__(self, store: Store, mouth: Mouth) -> None:
        self._store = store
        self._mouth = mouth

    async def link(self, order: Order) -> str:
        """A code, another account's code, or an answer. Raises `Refused`."""
        await self._alone(order)
        match order.argument.strip().casefold():
            case "":
                return await self._begin(order)
            case "yes":
                return await self._agree(order)
            case "no":
                return await self._decline(order)
        return await self._give(order)

    async def unlink(self, order: Order) -> str:
        """This account is apart from the others of its person. Raises `Refused`."""
        if order.argument:
            raise Refused("Say `/unlink` on the account that is to be apart from the others.")
        before = await self._store.accounts_of(order.who)
        others = await self._store.unlink(order.who)
        if not others:
            raise Refused("This account is linked with no other.")
        _log("unlinked", order.who)
        oldest = before[0]
        return (
            f"This account and {_accounts(others)} are separate people again. What you shared stays"
            f" with the oldest of them, {_account(oldest)}."
        )

    # --- parts -------------------------------------------------------------------------------

    async def _alone(self, order: Order) -> None:
        """In a room others would read along, and use a code before its owner does."""
        if not order.direct or await self._store.room_of(order.thread) is not None:
            raise Refused(
                "That is for the two of us alone: write `/link` to me directly, in private."
            )

    async def _begin(self, order: Order) -> str:
        linked = await self._store.accounts_of(order.who)
        code = await self._store.link_code(order.who, order.address)
        already = f"You are one person as {_accounts(linked)}. " if len(linked) > 1 else ""
        return (
            f"{already}Your code is **{code}**. Within ten minutes, write `/link {code}` to me from"
            " your other account, directly. Give it to nobody: who has your code can ask to be you."
        )

    async def _give(self, order: Order) -> str:
        link = await self._store.give_link_code(order.argument, order.who, order.address)
        if link is None:
            raise Refused(
                "That code is wrong, or too old: each is good for ten minutes, and once. `/link` on"
                " your other account gives a new one."
            )
        await self._tell(link, f"{_account(order.who)} has given your code. {_QUESTION}")
        return f"This is the code of {_account(link.theirs.who)}. {_QUESTION}"

    async def _agree(self, order: Order) -> str:
        link = await self._store.agree_to_link(order.who)
        if link is None:
            raise Refused(_NOBODY)
        if not link.made:
            return f"Good. Now say `/link yes` as {_account(link.theirs.who)}, too."
        _log("linked", order.who)
        await self._tell(link, _made(link.theirs.who, link.mine.who))
        return _made(link.mine.who, link.theirs.who)

    async def _decline(self, order: Order) -> str:
        link = await self._store.decline_link(order.who)
        if link is None:
            raise Refused(_NOBODY)
        await self._tell(link, f"{_account(order.who)} said no. Nothing has changed.")
        return "Nothing has changed, and the code is good for nothing any more."

    async def _tell(self, link: Link, words: str) -> None:
        """The other account is told, where it wrote."""
        await self._mouth.tell(link.theirs.thread, link.theirs.address, words)


_QUESTION = (
    "If both are yours, say `/link yes` on both within ten minutes: bots then know you as one"
    " person, and whatever is yours on the one account is yours on the other. If not, say"
    " `/link no`."
)


def _made(mine: Identity, other: Identity) -> str:
    return (
        f"You are one person now, here as {plain(mine.name)} and as {_account(other)}. `/unlink`"
        " makes the accounts separate people again."
    )


def _account(who: Identity) -> str:
    return f"**{plain(who.name)}** (account `{who.account}` on {plain(who.adapter)})"


def _accounts(several: Sequence[Identity]) -> str:
    return " and ".join(map(_account, several))


def _log(event: str, who: Identity) -> None:
    log.info("%s %s", who.name, event, extra={"event": event, "adapter": who.adapter})
