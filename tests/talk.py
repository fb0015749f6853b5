"""Says things into a store, for tests about what is made of them later."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from botdaemon.types import (
    Address,
    Call,
    Control,
    Deleted,
    Edited,
    Identity,
    Kind,
    Letter,
    Message,
    Part,
    Posted,
    Pressed,
    Reacted,
    Room,
    Why,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botdaemon.store import Store
    from botdaemon.types import Here

HERE = Address("chat", "general")
THERE = Address("other", "elsewhere")
ADA = Identity(adapter="chat", account="a1", name="Ada")
BOB = Identity(adapter="chat", account="b1", name="Bob")
_numbers = itertools.count(1)


async def settle(store: Store) -> None:
    """A room in two places."""
    room = Room(id=0, name="Lounge", bots=("bot",), configured=True)
    await store.settle_rooms(
        {"Lounge": room}, {HERE: "Lounge", THERE: "Lounge"}, mirrors=(), bots=("bot",)
    )


def to_all(said: Message, others: Sequence[Address]) -> list[Letter]:
    """The message for the thread's other addresses, and each of its files."""
    parts = [Part(text=f"{said.speaker}: {said.text}", plain=said.text)]
    parts += [Part(file=file) for file in said.files]
    return [
        Letter(id=0, key="", address=address, speaker="", part=part, number=number)
        for address in others
        for number, part in enumerate(parts)
    ]


def nobody(event: Posted, here: Here) -> list[Call]:
    return []


async def say(store: Store, text: str, who: Identity = ADA, **more: Any) -> int:
    """Somebody says something; returns the message's id."""
    number = next(_numbers)
    options = {"address": HERE, "platform_id": f"p{number}", "sent_at": float(number), **more}
    said = Message(text=text, author=who, **options)
    event = Posted(key=f"k{number}", message=said)
    return (await store.record_posted(event, nobody, to_all)).message


async def ask(
    store: Store, text: str, answer: str, who: Identity = ADA, *, close: str = "answered"
) -> int:
    """Somebody asks the bot, who answers; returns the answer's id, under which it is shown HERE."""
    number = next(_numbers)
    said = Message(
        text=text, author=who, address=HERE, platform_id=f"p{number}", sent_at=float(number)
    )
    event = Posted(key=f"k{number}", message=said, direct=True)
    recorded = await store.record_posted(event, lambda *_: [Call("bot", Why.DIRECT)], to_all)
    [obligation] = recorded.obligations
    return await reply(store, obligation.turn, recorded.thread, answer, close=close)


async def reply(
    store: Store, turn: int, thread: int, answer: str, *, close: str = "answered"
) -> int:
    """The bot answers in a turn."""
    await store.claim_turn(turn, 10)
    said = Message(
        address=HERE, text=answer, bot="bot", thread=thread, turn=turn,
        sent_at=float(next(_numbers)),
    )  # fmt: skip
    letter = Letter(id=0, key="", address=HERE, speaker="bot", part=Part(text=answer, plain=answer))
    id = await store.say(said, [letter], close=close)
    while (claim := await store.claim_letter(HERE)) is not None:
        assert not isinstance(claim, float)
        # It arrives under a name of its own.
        await store.claim_letter(THERE, settled=(claim.letter.id, f"sent {claim.letter.part.text}"))
    return id


async def edit(store: Store, platform_id: str, text: str) -> None:
    """Somebody changes what they had said."""
    event = Edited(
        key=f"k{next(_numbers)}", address=HERE, platform_id=platform_id, text=text, at=70.0
    )
    await store.record_edited(event, to_all)


async def delete(store: Store, platform_id: str) -> None:
    """Somebody takes back what they had said."""
    event = Deleted(key=f"k{next(_numbers)}", address=HERE, platform_id=platform_id, at=70.0)
    await store.record_deleted(event)


async def notice(store: Store, thread: int, text: str) -> int:
    """The daemon says something."""
    said = Message(address=HERE, text=text, kind=Kind.NOTICE, thread=thread, sent_at=1.0)
    return await store.say(said, [])


async def react(store: Store, answer: str, emoji: str, who: Identity = BOB) -> None:
    """An emoji on an answer of the bot."""
    await store.record_rating(
        Reacted(
            key=f"k{next(_numbers)}", address=HERE, who=who, platform_id=f"sent {answer}",
            emoji=emoji, added=True, at=50.0,
        )
    )  # fmt: skip


async def press(store: Store, answer: str, control: Control, who: Identity = BOB) -> None:
    """A button under an answer of the bot."""
    await store.record_rating(
        Pressed(
            key=f"k{next(_numbers)}", address=HERE, who=who, platform_id=f"sent {answer}",
            control=control, at=60.0,
        )
    )  # fmt: skip


def called(who: Identity, name: str) -> Identity:
    return replace(who, name=name)
