"""What people want of pictures, by buttons and commands. Knows image bots as `Painter`s, and no
platform."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal

from botdaemon.errors import Refused
from botdaemon.store import Want
from botdaemon.types import Wish

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from botdaemon.access import Access
    from botdaemon.dispatcher.mouth import Post
    from botdaemon.dispatcher.orders import Order
    from botdaemon.ports import Painter
    from botdaemon.store import Store
    from botdaemon.types import Address, Message, Pressed

What = Literal["draw", "reroll", "vary", "upscale", "edit"]

#: buttons and commands that make a turn, by their names
WISHES: Final[Mapping[str, What]] = {
    "draw": "draw",
    "reroll": "reroll",
    "vary": "vary",
    "upscale": "upscale",
    "edit": "edit",
}
_NEED_WORDS = ("draw", "edit")
NOBODY = "Nobody here draws pictures."
NONE_YET = "There is no picture of mine here yet."
GONE = "That picture is not there any more."


class Pictures:
    """`serving` are the bots that each adapter speaks for, the default first."""

    def __init__(
        self,
        store: Store,
        post: Post,
        access: Access,
        painters: Mapping[str, Painter],
        serving: Mapping[str, Sequence[str]],
    ) -> None:
        self._store = store
        self._post = post
        self._access = access
        self._painters = painters
        self._serving = serving

    # --- wishes ------------------------------------------------------------------------------

    @property
    def drawn(self) -> bool:
        """Whether anybody draws at all."""
        return bool(self._painters)

    def want(
        self, name: str, text: str, address: Address, of: str, *, exactly: bool = False
    ) -> Want | None:
        """The wish of a button or command of this name; None when it is none, or lacks its
        words. `of` is the platform's id of a message it may be about."""
        what, text = WISHES.get(name), text.strip()
        if what is None or (what in _NEED_WORDS and not text):
            return None
        return Want(
            wish=Wish(what=what, text=text),
            of=of,
            exactly=exactly,
            painters=self._painters.keys(),
            drawer=lambda bots: self._drawer(address, bots),
        )

    def vain(self, want: Want) -> str:
        """Why a wish came to nothing."""
        return NOBODY if want.wish.what == "draw" else self._none(exactly=want.exactly)

    def _drawer(self, address: Address, bots: Sequence[str] | None) -> str:
        """Who draws at an address; "" for nobody. `bots` are those of its room, if it has one."""
        if bots is None:
            bots = self._serving.get(address.adapter, ())
        return next((bot for bot in bots if bot in self._painters), "")

    # --- what needs no turn ------------------------------------------------------------------

    async def prompt_of(self, address: Address, platform_id: str) -> str:
        """The prompt of the picture in a message of ours, "" when there is none to know."""
        message = await self._store.message_at(address, platform_id)
        if message is None or message.bot not in self._painters:
            return ""
        try:
            return await self._painters[message.bot].prompt(message)
        except Refused:
            return ""

    async def how_to_draw(self, order: Order) -> str:
        """Words for `/draw` without a prompt. Raises `Refused`."""
        await self._drawer_of(order)
        return "Say what to draw: `/draw PROMPT`"

    async def how_to_edit(self, order: Order) -> str:
        """Words for where there is no form to change a prompt in. Raises `Refused`."""
        picture = await self._find(order)
        prompt = await self._painters[picture.bot].prompt(picture)
        return (
            "To draw it from another prompt, reply to the picture with `/edit NEW PROMPT`. "
            f"It was drawn from {_code(prompt)}"
        )

    async def settings(self, order: Order) -> str:
        """What a picture was drawn with. Raises `Refused`."""
        picture = await self._find(order)
        return await self._painters[picture.bot].settings(picture)

    async def delete(self, order: Order, pressed: Pressed | None = None) -> str:
        """Take a picture back, everywhere; nothing is said of it. Raises `Refused` for one that
        somebody else asked for. `pressed` is the button, which counts once."""
        picture = await self._find(order)
        theirs = await self._store.asked_for(picture.id, order.who)
        if not (theirs or self._access.is_admin(order.who)):
            raise Refused("Only who asked for a picture can delete it, or an admin.")
        self._post.post(await self._store.take_back(picture.id, pressed))
        return ""

    async def defaults(self, order: Order) -> str:
        """Say or change the options for the pictures of a place. Raises `Refused`."""
        painter = self._painters[await self._drawer_of(order)]
        asked = order.argument
        if not asked:
            options = await self._store.defaults_at(order.address)
            held = f"Pictures here are drawn with {_code(options)}" if options else "None are set."
            return f"{held}\n\n`/defaults --steps 20` sets some, `/defaults none` takes them back."
        if not (order.direct or self._access.is_admin(order.who)):
            raise Refused("Only an admin can change how pictures are drawn here.")
        options = "" if asked.lower() == "none" else painter.options(asked)
        await self._store.set_defaults(order.address, options)
        if not options:
            return "From now on pictures here are drawn as the model likes it."
        return f"From now on pictures here are drawn with {_code(options)}"

    async def _drawer_of(self, order: Order) -> str:
        room = await self._store.room_of(order.thread)
        if drawer := self._drawer(order.address, room.bots if room else None):
            return drawer
        raise Refused(NOBODY)

    async def _find(self, order: Order) -> Message:
        """The picture that an order is about."""
        picture = await self._store.picture(
            order.thread, order.address, order.of, self._painters.keys(), exactly=order.pressed
        )
        if picture is None:
            raise Refused(self._none(exactly=order.pressed))
        return picture

    def _none(self, *, exactly: bool) -> str:
        if not self._painters:
            return NOBODY
        return GONE if exactly else NONE_YET


def _code(text: str) -> str:
    """A text in one line, as a code span (CommonMark 6.1): no markup in it is read."""
    line = " ".join(text.split())
    fence = "`" * (max(map(len, re.findall("`+", line)), default=0) + 1)
    pad = " " if "`" in line else ""
    return f"{fence}{pad}{line}{pad}{fence}"
