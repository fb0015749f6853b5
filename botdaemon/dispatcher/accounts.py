"""How an answer came about, in words: what `/why` says. Knows no bot and no model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdaemon.dispatcher.letters import plain
from botdaemon.errors import Refused

if TYPE_CHECKING:
    from botdaemon.access import Access
    from botdaemon.dispatcher.orders import Order
    from botdaemon.store import Account, Store
    from botdaemon.types import Origin


class Accounts:
    """`access` knows the admins, who may see what others asked."""

    def __init__(self, store: Store, access: Access) -> None:
        self._store = store
        self._access = access

    async def why(self, order: Order) -> str:
        """Of the answer that is replied to, or else of the newest. Raises `Refused`."""
        account = await self._store.account(order.thread, order.address, order.of, order.who)
        if account is None:
            raise Refused("Nobody has answered anything here yet.")
        if account.origin is None:
            return (
                f"**{plain(account.bot)}** said it, without a text model or before it was noted how"
                " answers come about."
            )
        return _told(account, account.origin, self._access.is_admin(order.who))


def _told(account: Account, origin: Origin, admin: bool) -> str:
    usage = origin.usage
    cost = f"{usage.prompt_tokens} tokens read, {usage.tokens} written"
    if usage.first_token:
        cost += f", the first after {usage.first_token:.1f} s"
    lines = [f"**{plain(account.bot)}** answered with the model **{plain(origin.model)}**: {cost}."]
    if origin.notes:
        lines.append(f"It was told of: {', '.join(map(plain, origin.notes))}.")
    if origin.meant and (account.theirs or admin):
        lines += [
            f"The question, as it was asked:\n\n{_quoted(origin.question)}",
            f"As **{plain(origin.rewriter)}** put it:\n\n{_quoted(origin.meant)}",
        ]
    elif origin.meant:
        # What is known of a person may stand in it.
        lines.append(
            f"**{plain(origin.rewriter)}** had put the question in other words, which who asked it"
            " can see."
        )
    return "\n\n".join(lines)


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}" for line in text.splitlines())
