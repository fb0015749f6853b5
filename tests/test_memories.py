"""What the store remembers, and whom it tells: every scope, place and person; deletions; limits."""

from __future__ import annotations

import itertools
import re
import sqlite3
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest

from botdaemon.errors import Refused
from botdaemon.store import Summary, open_store
from botdaemon.types import (
    Address,
    Call,
    Deleted,
    Edited,
    Identity,
    Message,
    Posted,
    Room,
    Scope,
    Why,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from botdaemon.store import Exchange, Store

DOCUMENT = Path(__file__).parent.parent / "docs" / "memory.md"
SCOPES: tuple[Scope, ...] = get_args(Scope)
ADA = Identity(adapter="chat", account="a1", name="Ada")
ADA_ELSEWHERE = Identity(adapter="other", account="a9", name="Ada L.")
BOB = Identity(adapter="chat", account="b1", name="Bob")
LOUNGE, KITCHEN = Address("chat", "lounge"), Address("chat", "kitchen")
HALLWAY = Address("chat", "hallway")  # belongs to no room
ALONE, ALONE_ELSEWHERE = Address("chat", "dm"), Address("other", "dm")
DIRECT = {ALONE, ALONE_ELSEWHERE}
_numbers = itertools.count(1)


@asynccontextmanager
async def opened(directory: Path) -> AsyncIterator[Store]:
    """A store with a bot that has a memory, and Ada's two accounts linked."""
    async with open_store(directory) as store:
        rooms = {
            name: Room(id=0, name=name, bots=("bot",), configured=True)
            for name in ("lounge", "kitchen")
        }
        await store.settle_rooms(
            rooms, {LOUNGE: "lounge", KITCHEN: "kitchen"}, mirrors=(), bots=("bot",)
        )
        for who, where in ((ADA, HALLWAY), (ADA_ELSEWHERE, ALONE_ELSEWHERE), (BOB, HALLWAY)):
            await store.record_asked(where, f"met {who.account}", who)
        await link(store)
        await store.memories.begin("bot")
        yield store


async def link(store: Store) -> None:
    """Ada's accounts agree that they are hers."""
    code = await store.link_code(ADA, ALONE)
    await store.give_link_code(code, ADA_ELSEWHERE, ALONE_ELSEWHERE)
    await store.agree_to_link(ADA)
    await store.agree_to_link(ADA_ELSEWHERE)


async def exchange(
    store: Store, text: str, who: Identity = ADA, where: Address = LOUNGE, answer: str = "I see."
) -> Exchange:
    """Somebody says something to the bot, which answers; what is to be learned from that."""
    number = next(_numbers)
    said = Message(
        text=text, author=who, address=where, platform_id=f"p{number}", sent_at=float(number)
    )
    recorded = await store.record_posted(
        Posted(key=f"k{number}", message=said, direct=where in DIRECT),
        lambda *_: [Call("bot", Why.DIRECT)],
        lambda *_: [],
    )
    [obligation] = recorded.obligations
    await store.claim_turn(obligation.turn, 10)
    answered = Message(
        address=where, text=answer, bot="bot", thread=recorded.thread, turn=obligation.turn,
        sent_at=float(number),
    )  # fmt: skip
    await store.say(answered, [], close="answered")
    return await found(store)


async def found(store: Store) -> Exchange:
    """The next one that nothing was learned from."""
    exchange, _ = await store.memories.next_exchange("bot", await store.memories.begin("bot"))
    assert exchange is not None
    return exchange


async def learn(
    store: Store, *facts: str, said: str = "I say so", most: int = 50, **where: Any
) -> Exchange:
    """A bot learns facts from an exchange."""
    it = await exchange(store, said, **where)
    await store.memories.learn(it, [*it.said, *it.before], facts, most)
    return it


async def usable(
    store: Store, scope: Scope, where: Address, who: Identity | None = ADA, **more: Any
) -> list[str]:
    thread = (await store.recent_at(where, 1))[0].thread
    facts = await store.memories.usable(
        "bot", scope, thread, where, who, direct=where in DIRECT, **more
    )
    return [fact.text for fact in facts]


async def known(store: Store, who: Identity = ADA) -> list[str]:
    return [fact.text for fact in await store.memories.about_oneself(who)]


# --- who is told what ------------------------------------------------------------------------


def the_table() -> dict[tuple[str, str, str, str], bool]:
    """(learned, used, asked by, scope) -> whether it is told, as the document says."""
    lines = [
        [cell.strip() for cell in line.strip("|\n ").split("|")]
        for line in DOCUMENT.read_text("utf-8").splitlines()
        if re.match(r"\| (learned|in a room|alone) \|", line)
    ]
    header, *rows = lines
    assert sorted(header[3:]) == sorted(SCOPES)
    return {
        (row[0], row[1], row[2], scope): {"yes": True, "no": False}[cell]
        for row in rows
        for scope, cell in zip(header[3:], row[3:], strict=True)
    }


#: every place something can be learned in, and asked in
PLACES = (LOUNGE, KITCHEN, HALLWAY, ALONE, ALONE_ELSEWHERE)


def named(learned: Address, asked: Address) -> tuple[str, str]:
    """What the document calls these places."""
    if learned not in DIRECT:
        if asked in DIRECT:
            return "in a room", "alone"
        return "in a room", "in that room" if asked == learned else "in another room"
    if asked not in DIRECT:
        return "alone", "in a room"
    return "alone", "alone, same account" if asked == learned else "alone, another account"


async def test_a_private_fact_never_reaches_another_room(tmp_path: Path) -> None:
    table = the_table()
    seen = set()
    async with opened(tmp_path) as store:
        for place in PLACES:
            who = ADA_ELSEWHERE if place == ALONE_ELSEWHERE else ADA
            await learn(store, f"learned in {place.adapter} {place.channel}", who=who, where=place)
        for scope, learned, asked, asker in itertools.product(
            SCOPES, PLACES, PLACES, (ADA, ADA_ELSEWHERE, BOB)
        ):
            told = f"learned in {learned.adapter} {learned.channel}" in await usable(
                store, scope, asked, asker
            )
            case = (*named(learned, asked), "somebody else" if asker is BOB else "the same person")
            assert told == table[*case, scope], (scope, learned, asked, asker)
            # Whatever the document says: what was said alone reaches no room and nobody else.
            assert not (told and learned in DIRECT and (asked not in DIRECT or asker is BOB))
            seen.add((*case, scope))
        for scope, asked in itertools.product(SCOPES, PLACES):  # a bot that writes first
            told_to_nobody = await usable(store, scope, asked, None)
            wanted = scope == "room" and asked not in DIRECT
            assert told_to_nobody == (
                [f"learned in {asked.adapter} {asked.channel}"] if wanted else []
            )
    assert seen == set(table)


async def test_a_direct_channel_that_is_part_of_a_room_is_that_room(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        rooms = {"lounge": Room(id=0, name="lounge", bots=("bot",), configured=True)}
        places = {LOUNGE: "lounge", ALONE: "lounge"}
        await store.settle_rooms(rooms, places, mirrors=(), bots=("bot",))
        it = await learn(store, "keeps bees", where=ALONE)
        assert not it.direct
        assert await usable(store, "person-in-room", LOUNGE) == ["keeps bees"]
        assert await usable(store, "private", ALONE) == []


async def test_what_one_bot_knows_another_is_not_told(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await learn(store, "keeps bees")
        thread = (await store.recent_at(LOUNGE, 1))[0].thread
        facts = store.memories.usable("other", "room", thread, LOUNGE, ADA, direct=False)
        assert await facts == []


# --- people ----------------------------------------------------------------------------------


async def test_a_person_sees_and_deletes_only_what_is_about_them(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await learn(store, "keeps bees")
        await learn(store, "drinks tea", who=BOB)
        [hers] = await store.memories.about_oneself(ADA)
        [his] = await store.memories.about_oneself(BOB)

        assert await usable(store, "room", LOUNGE, BOB, of_oneself=True) == ["drinks tea"]
        assert not await store.memories.forget(ADA, his.id)
        assert await store.memories.forget_all(Identity(adapter="x", account="y", name="z")) == 0
        assert (await known(store), await known(store, BOB)) == (["keeps bees"], ["drinks tea"])
        assert await store.memories.forget(ADA_ELSEWHERE, hers.id)  # the same person
        assert not await store.memories.forget(ADA, hers.id)
        assert await store.memories.forget_all(BOB) == 1
        assert (await known(store), await known(store, BOB)) == ([], [])


async def test_what_somebody_had_forgotten_is_not_learned_a_moment_later(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        it = await exchange(store, "I keep bees")
        await store.memories.forget_all(ADA_ELSEWHERE)
        assert await store.memories.learn(it, it.said, ["keeps bees"], 50) == 0
        await learn(store, "keeps ducks")
        assert await known(store) == ["keeps ducks"]


async def test_what_is_told_by_hand_is_remembered_here(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        thread = (await exchange(store, "hello")).thread

        async def remember(text: str, scope: Scope = "person-in-room", most: int = 50) -> None:
            await store.memories.remember(
                "bot", scope, text, thread, LOUNGE, ADA, direct=False, most=most
            )

        await remember(" keeps\n bees ")
        assert await usable(store, "person-in-room", LOUNGE) == ["keeps bees"]
        await exchange(store, "hello", where=KITCHEN)
        assert await usable(store, "person-in-room", KITCHEN) == []
        with pytest.raises(Refused, match="Say what to remember"):
            await remember(" \n")
        for bad in ("x" * 201, "bell \a"):
            with pytest.raises(Refused, match="one line of at most 200 characters"):
                await remember(bad)
        with pytest.raises(Refused, match="bot only remembers what it is told directly"):
            await remember("keeps ducks", scope="private")
        # What was told by hand goes last.
        await learn(store, "drinks tea", "drinks milk", most=2)
        assert await known(store) == ["keeps bees", "drinks milk"]


async def test_what_is_said_twice_is_one_fact_with_the_newer_date(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await learn(store, "Keeps bees.", "has a dog called Rex at home")
        first = await store.memories.about_oneself(ADA)
        await learn(store, "keeps  BEES", "has a big dog called Rex at home", "has a dog")
        second = await store.memories.about_oneself(ADA)

        assert [fact.text for fact in second] == [
            "keeps  BEES", "has a big dog called Rex at home", "has a dog",
        ]  # fmt: skip
        assert [fact.id for fact in second[:2]] == [fact.id for fact in first]
        assert second[0].told_at > first[0].told_at
        # Elsewhere, and said alone, it is another.
        await learn(store, "keeps bees", where=KITCHEN)
        await learn(store, "keeps bees", where=ALONE)
        assert len(await known(store)) == 5


async def test_there_are_only_so_many_facts_about_a_person_in_a_place(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        for number in range(5):
            await learn(store, f"has number {number}", most=3)
        await learn(store, "has number 2", most=3)  # said again
        await learn(store, "has number 5", most=3)
        await learn(store, "has number 9", where=KITCHEN, most=3)
        assert await usable(store, "person-in-room", LOUNGE) == [
            "has number 5", "has number 2", "has number 4",
        ]  # fmt: skip
        assert "has number 9" in await known(store)


async def test_somebody_who_is_forgotten_is_forgotten_by_bots(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        it = await learn(store, "keeps bees", said="my bees")
        other = await learn(store, "drinks tea", who=BOB, where=KITCHEN)
        for read in (it, other):
            await summarise(store, read.thread, [*read.said])
        gone = await store.forget("chat:a1")

        assert (gone.facts, gone.summaries) == (1, 1)
        assert await known(store, BOB) == ["drinks tea"]
        assert len(await store.memories.summaries("bot", other.thread)) == 1
    assert b"keeps bees" not in (tmp_path / "botdaemon.db").read_bytes()


# --- what is taken back ----------------------------------------------------------------------


async def summarise(store: Store, thread: int, messages: list[Message], text: str = "so") -> bool:
    made = Summary(
        bot="bot", thread=thread, first=messages[0].id, last=messages[-1].id, text=text, model="m"
    )
    return await store.memories.keep_summary(made, messages)


async def take_back(store: Store, message: Message) -> None:
    event = Deleted(
        key=f"k{next(_numbers)}", address=message.address, platform_id=message.platform_id, at=9.0
    )
    await store.record_deleted(event)


@pytest.mark.parametrize("way", ["deleted", "edited", "undone", "answered again"])
async def test_a_deleted_message_lives_on_in_no_summary_and_no_fact(
    way: str, tmp_path: Path
) -> None:
    async with opened(tmp_path) as store:
        before = await learn(store, "drinks tea", answer="do you keep bees?")
        it = await learn(store, "keeps bees", said="yes, I do")
        thread = it.thread
        said = await store.memories.said(thread, 10)
        assert await summarise(store, thread, said[:2], "of tea")
        assert await summarise(store, thread, said[2:], "of bees")
        parts = await store.memories.summaries("bot", thread)
        whole = Summary(
            bot="bot", thread=thread, first=said[0].id, last=said[-1].id, text="of all", model="m"
        )
        assert await store.memories.join_summaries(whole, parts)
        assert [one.text for one in await store.memories.summaries("bot", thread)] == ["of all"]
        [message] = it.said
        match way:
            case "deleted":
                await take_back(store, message)
            case "edited":
                await edit_of(store, message, "no, I do not")
            case "undone":
                await store.undo(thread)
            case "answered again":
                await store.answer_again(thread)

        left = [one.text for one in await store.memories.summaries("bot", thread)]
        assert left == ["of tea"]
        # The answer that was taken back was no part of what the fact comes from.
        assert await known(store) == ["drinks tea", *(["keeps bees"] if "again" in way else [])]
        # Nor what the bot had asked.
        await take_back(store, before.said[0])
        assert "drinks tea" not in await known(store)


async def edit_of(store: Store, message: Message, text: str) -> None:
    event = Edited(
        key=f"k{next(_numbers)}", address=message.address, platform_id=message.platform_id,
        text=text, at=9.0,
    )  # fmt: skip
    await store.record_edited(event, lambda *_: [])


async def test_what_a_model_makes_of_a_message_that_is_taken_back_meanwhile_is_dropped(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as store:
        it = await exchange(store, "I keep bees")
        await take_back(store, it.said[0])
        assert await store.memories.learn(it, it.said, ["keeps bees"], 50) == 0
        assert not await summarise(store, it.thread, [*it.said])
        assert await known(store) == []
        assert await store.memories.summaries("bot", it.thread) == []


async def test_what_the_bot_had_asked_is_part_of_what_a_fact_comes_from(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await learn(store, answer="do you keep bees?")
        it = await learn(store, "keeps bees", said="yes")
        [asked] = it.before
        assert asked.text == "do you keep bees?"
        await store._write(lambda db: db.execute(
            "UPDATE messages SET deleted_at = 1.0 WHERE id = ?", (asked.id,)
        ))  # fmt: skip
        assert await known(store) == []


async def test_an_edited_message_is_learned_from_anew(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        it = await learn(store, "lives in Belrin", said="I live in Belrin")
        await learn(store, said="and so on")
        await edit_of(store, it.said[0], "I live in Berlin")
        again = await found(store)

        assert ([m.text for m in again.said], again.thread) == (["I live in Berlin"], it.thread)
        await store.memories.learn(again, again.said, ["lives in Berlin"], 50)
        assert await known(store) == ["lives in Berlin"]
        assert await store.memories.next_exchange("bot", again.seq) == (None, again.seq)


# --- summaries -------------------------------------------------------------------------------


async def test_a_stretch_is_the_oldest_that_nothing_stands_for(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        for number in range(10):
            it = await learn(store, said=f"number {number}")
        said = await store.memories.said(it.thread, 100)
        ids = [message.id for message in said]
        assert len(ids) == 20

        async def stretch(before: int, least: int = 4, most: int = 6) -> list[int]:
            messages = await store.memories.stretch("bot", it.thread, before, least, most)
            return [message.id for message in messages]

        assert await stretch(ids[3]) == []  # too few
        assert await stretch(ids[15]) == ids[:6]
        await summarise(store, it.thread, said[:6])
        assert await stretch(ids[15]) == ids[6:12]
        await summarise(store, it.thread, said[8:12])
        assert await stretch(ids[15]) == ids[6:8]  # few, but what follows is summarised
        parts = await store.memories.summaries("bot", it.thread)
        whole = Summary(
            bot="bot", thread=it.thread, first=ids[0], last=ids[11], text="all", model="m"
        )
        assert not await store.memories.join_summaries(whole, parts)  # there is a hole
        await summarise(store, it.thread, said[6:8])
        assert await stretch(ids[15]) == []
        assert await store.memories.join_summaries(
            whole, await store.memories.summaries("bot", it.thread)
        )
        assert await stretch(ids[19]) == ids[12:18]


async def test_nothing_from_before_a_bot_had_a_memory_is_read(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await store.record_asked(HALLWAY, "met", ADA)
        await store.memories.begin("early")
        await store.memories.begin("bot")
        for number in range(3):
            await exchange(store, f"number {number}")
        assert await store.memories.next_exchange("late", await store.memories.begin("late")) == (
            None, await store.latest(),
        )  # fmt: skip
        thread = (await store.recent_at(LOUNGE, 1))[0].thread
        assert await store.memories.stretch("late", thread, 10**9, 1, 9) == []
        assert len(await store.memories.stretch("bot", thread, 10**9, 1, 9)) == 6


async def test_what_is_remembered_survives_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        it = await learn(store, "keeps bees")
        await summarise(store, it.thread, [*it.said])
    with closing(sqlite3.connect(tmp_path / "botdaemon.db")) as db:
        assert db.execute("SELECT bot, thread, first, last, model FROM summaries").fetchall() == [
            ("bot", it.thread, it.said[0].id, it.said[0].id, "m")
        ]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
    async with open_store(tmp_path) as store:
        assert await known(store) == ["keeps bees"]
        assert await store.memories.next_exchange("bot", it.seq) == (None, it.seq)
