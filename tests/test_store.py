"""The store's own promises, over real files: what is recorded is on disk, once, and only that."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing, contextmanager
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from botdaemon.errors import Refused, StoreError, StoreLocked, StoreUnusable
from botdaemon.metrics import Metrics
from botdaemon.store import Store, Want, archive, open_store
from botdaemon.store.database import holder, open_database
from botdaemon.store.writer import writing
from botdaemon.types import (
    Address,
    Call,
    Control,
    Deleted,
    Edited,
    File,
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
    Wish,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from botdaemon.types import Here

HERE = Address("chat", "general")
THERE = Address("other", "elsewhere")
ADA = Identity(adapter="chat", account="a1", name="Ada")
BOB = Identity(adapter="chat", account="b1", name="Bob")
_numbers = itertools.count(1)


def posted(
    text: str,
    *,
    key: str = "",
    address: Address = HERE,
    who: Identity = ADA,
    files: tuple[File, ...] = (),
) -> Posted:
    key = key or f"k{next(_numbers)}"
    said = Message(
        address=address, text=text, author=who, platform_id=key, sent_at=1.0, files=files
    )
    return Posted(key=key, message=said)


def nobody(event: Posted, here: Here) -> list[Call]:
    return []


def the_bot(event: Posted, here: Here) -> list[Call]:
    return [Call("bot", Why.DIRECT)]


def no_letters(said: Message, others: Sequence[Address]) -> list[Letter]:
    return []


def to_all(said: Message, others: Sequence[Address]) -> list[Letter]:
    part = Part(text=said.text, plain=said.text)
    return [Letter(id=0, key="", address=address, speaker="", part=part) for address in others]


async def record(store: Store, text: str, **more: Any) -> int:
    return (await store.record_posted(posted(text, **more), nobody, no_letters)).message


async def answer(store: Store, question: str, words: str) -> tuple[int, int]:
    """(thread, id of the answer)"""
    recorded = await store.record_posted(posted(question), the_bot, no_letters)
    [obligation] = recorded.obligations
    await store.claim_turn(obligation.turn, 10)
    said = Message(
        address=HERE,
        text=words,
        bot="bot",
        thread=recorded.thread,
        turn=obligation.turn,
        sent_at=2.0,
    )
    return recorded.thread, await store.say(said, [], close="answered")


def raw(directory: Path, sql: str) -> list[tuple[Any, ...]]:
    """What is on disk, past all of the store's code."""
    with closing(sqlite3.connect(f"file:{directory}/botdaemon.db?mode=ro", uri=True)) as db:
        return db.execute(sql).fetchall()


def commits(wal: Path) -> int:
    """Transactions in a write-ahead log: frames that carry the size of the database."""
    log = wal.read_bytes()
    frame = 24 + int.from_bytes(log[8:12], "big")
    return sum(
        log[at + 8 : at + 16] == log[16:24] and log[at + 4 : at + 8] != bytes(4)
        for at in range(32, len(log), frame)
    )


# --- the writer ------------------------------------------------------------------------------


async def test_transactions_that_wait_together_share_one_commit(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await record(store, "the first makes the thread")
        before = commits(tmp_path / "botdaemon.db-wal")
        await asyncio.gather(*(record(store, f"number {n}") for n in range(60)))
        taken = commits(tmp_path / "botdaemon.db-wal") - before

        assert 1 <= taken < 30
        assert len(raw(tmp_path, "SELECT id FROM messages")) == 61


async def test_a_failing_transaction_does_not_take_its_neighbours_along(tmp_path: Path) -> None:
    def broken(event: Posted, here: Here) -> list[Call]:
        raise RuntimeError("a bug")

    async with open_store(tmp_path) as store:
        await record(store, "first")
        bad = posted("bad")
        results = await asyncio.gather(
            *(record(store, f"good {n}") for n in range(5)),
            store.record_posted(bad, broken, no_letters),
            *(record(store, f"good {n}") for n in range(5, 10)),
            return_exceptions=True,
        )

        assert [i for i, one in enumerate(results) if isinstance(one, RuntimeError)] == [5]
        texts = [text for (text,) in raw(tmp_path, "SELECT text FROM messages ORDER BY id")]
        assert ["first", *(f"good {n}" for n in range(10))] == texts
        # Nothing of it was kept, its key neither: when it is delivered again it is recorded.
        again = await store.record_posted(bad, nobody, no_letters)
        assert not again.duplicate


async def test_the_transaction_of_a_cancelled_caller_happens_all_the_same(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        caller = asyncio.create_task(record(store, "said and gone"))
        await asyncio.sleep(0)  # it has handed its transaction over
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        await record(store, "next")

        texts = raw(tmp_path, "SELECT text FROM messages ORDER BY id")
        assert texts == [("said and gone",), ("next",)]


async def test_what_was_queued_when_the_store_closes_is_written(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        callers = [asyncio.create_task(record(store, f"number {n}")) for n in range(20)]
        await asyncio.sleep(0)
    await asyncio.gather(*callers)

    assert len(raw(tmp_path, "SELECT id FROM messages")) == 20
    with pytest.raises(StoreError, match="closed"):
        await record(store, "too late")


async def test_a_database_that_somebody_else_locks_is_said_as_an_error_of_the_store(
    tmp_path: Path,
) -> None:
    path = tmp_path / "botdaemon.db"
    with closing(open_database(path)) as writes, closing(sqlite3.connect(path)) as other:
        writes.execute("PRAGMA busy_timeout=0")
        async with writing(writes, lambda: 0, lambda mark: None, Metrics()) as writer:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match="locked"):
                await writer.run(lambda db: db.execute("DELETE FROM people"))
            other.execute("ROLLBACK")
            await writer.run(lambda db: db.execute("DELETE FROM people"))


def test_the_writer_syncs_every_commit_and_checks_types_and_references(tmp_path: Path) -> None:
    with closing(open_database(tmp_path / "botdaemon.db")) as db:
        settings = {
            name: db.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "foreign_keys", "trusted_schema")
        }
        loose = db.execute(
            "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table'"
            " AND NOT strict AND name NOT LIKE 'sqlite_%'"
        ).fetchall()

        full = 2
        assert {
            "journal_mode": "wal",
            "synchronous": full,
            "foreign_keys": 1,
            "trusted_schema": 0,
        } == settings
        assert loose == []
        with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
            db.execute(
                "INSERT INTO identities (person, adapter, account, name) VALUES (7, '', '', '')"
            )


async def test_nothing_can_be_written_through_a_reader(tmp_path: Path) -> None:
    async with open_store(tmp_path), archive.reading(tmp_path / "botdaemon.db") as readers:
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            await readers.all("INSERT INTO people (name, created_at) VALUES ('x', 0)")


# --- recording -------------------------------------------------------------------------------


async def test_an_event_is_recorded_once_also_across_a_restart(tmp_path: Path) -> None:
    event = posted("hello")
    async with open_store(tmp_path) as store:
        first = await store.record_posted(event, the_bot, no_letters)
        second = await store.record_posted(event, the_bot, no_letters)
    async with open_store(tmp_path) as store:
        third = await store.record_posted(event, the_bot, no_letters)

    assert [first.duplicate, second.duplicate, third.duplicate] == [False, True, True]
    assert {(first.message, first.thread)} == {(o.message, o.thread) for o in (second, third)}
    assert (second.obligations, third.obligations) == ((), ())
    assert raw(tmp_path, "SELECT count(*) FROM turns") == [(1,)]


async def test_the_same_key_on_two_adapters_is_two_events(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        one = await record(store, "here", key="1")
        two = await record(
            store, "there", key="1", address=THERE, who=replace(ADA, adapter="other")
        )

        assert one != two


async def test_ids_and_sequence_numbers_grow_also_across_a_restart(tmp_path: Path) -> None:
    ids = []
    for _ in range(2):
        async with open_store(tmp_path) as store:
            ids += [await record(store, "hello") for _ in range(3)]
            latest = await store.latest()
    seqs = [seq for (seq,) in raw(tmp_path, "SELECT seq FROM messages ORDER BY id")]

    assert ids == sorted(set(ids))
    assert seqs == sorted(set(seqs))
    assert latest == seqs[-1]


async def test_whoever_waits_for_a_change_is_woken_when_it_is_on_disk(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await store.settle_rooms({}, {}, mirrors=["web"], bots=["bot"])
        thread = await room_thread(store, "lounge")
        before = await store.latest()
        waiting = asyncio.create_task(store.changed(before))
        await asyncio.sleep(0)
        assert not waiting.done()
        await record(store, "hello", address=Address("web", "lounge", str(thread)))
        await waiting

        assert [said.text for _, said in await store.changes(before)] == ["hello"]


async def room_thread(store: Store, name: str) -> int:
    await store.create_room(name, ["bot"])
    return (await store.find_thread(name))[1]


async def test_an_edit_changes_the_history_and_moves_the_tail(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await store.settle_rooms({}, {}, mirrors=["web"], bots=["bot"])
        thread = await room_thread(store, "lounge")
        place = Address("web", "lounge", str(thread))
        await record(store, "helo", key="p1", address=place)
        await record(store, "next", key="p2", address=place)
        before = await store.latest()
        edit = Edited(key="e1", address=place, platform_id="p1", text="hello", at=9.0)
        assert not (await store.record_edited(edit, no_letters)).duplicate
        assert (await store.record_edited(edit, no_letters)).duplicate

        [(room, changed)] = await store.changes(before)
        assert (room, changed.text, changed.edited_at) == ("lounge", "hello", 9.0)
        assert [said.text for said in await store.recent(thread)] == ["hello", "next"]


async def test_a_deleted_message_is_gone_from_history_and_from_disk(tmp_path: Path) -> None:
    rooms = {"lounge": Room(id=0, name="lounge", bots=("bot",))}
    channels = {HERE: "lounge", THERE: "lounge"}
    async with open_store(tmp_path) as store:
        await store.settle_rooms(rooms, channels, mirrors=["web"], bots=["bot"])
        secret = await store.record_posted(posted("the secret", key="p1"), nobody, to_all)
        assert THERE in secret.relayed
        before = await store.latest()
        gone = Deleted(key="d1", address=HERE, platform_id="p1", at=9.0)
        assert secret.message == (await store.record_deleted(gone)).message

        assert await store.recent(secret.thread) == []
        [(_, changed)] = await store.changes(before)
        assert (changed.text, changed.deleted_at) == ("", 9.0)
        assert raw(tmp_path, "SELECT text FROM messages") == [("",)]
        # And nobody else is told any more.
        letters = set(raw(tmp_path, "SELECT state, text, plain FROM letters"))
        assert {("dead", "(taken back)", "(taken back)")} == letters
        assert await store.claim_letter(THERE) is None


async def test_a_turn_whose_message_was_deleted_is_not_begun(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        recorded = await store.record_posted(posted("oops", key="p1"), the_bot, no_letters)
        await store.record_deleted(Deleted(key="d1", address=HERE, platform_id="p1", at=9.0))

        assert await store.claim_turn(recorded.obligations[0].turn, 10) is None
        assert await store.recover() == []


async def test_an_edit_of_something_never_recorded_changes_nothing(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await record(store, "hello")
        edit = Edited(key="e1", address=HERE, platform_id="unknown", text="x", at=9.0)

        assert (await store.record_edited(edit, no_letters)).message == 0
        assert raw(tmp_path, "SELECT text FROM messages") == [("hello",)]


async def test_a_rating_replaces_the_other_and_a_reaction_can_be_taken_back(tmp_path: Path) -> None:
    def pressed(key: str, control: Control) -> Pressed:
        return Pressed(key=key, address=HERE, who=BOB, control=control, at=1.0, platform_id="p1")

    def reacted(key: str, added: bool) -> Reacted:
        return Reacted(
            key=key, address=HERE, who=BOB, platform_id="p1", emoji="🎉", added=added, at=1.0
        )

    async with open_store(tmp_path) as store:
        await record(store, "hello", key="p1")
        await store.record_rating(pressed("r1", Control.GOOD))
        await store.record_rating(reacted("r2", True))
        await store.record_rating(pressed("r3", Control.BAD))
        assert raw(tmp_path, "SELECT value FROM feedback ORDER BY value") == [("bad",), ("🎉",)]
        await store.record_rating(reacted("r4", False))
        assert raw(tmp_path, "SELECT value FROM feedback") == [("bad",)]


async def test_a_new_name_is_taken_over_and_accounts_stay_separate_people(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await record(store, "one")
        await record(store, "two", who=replace(ADA, name="Ada L."))
        await record(store, "three", who=BOB)
        thread = (await store.record_posted(posted("four"), nobody, no_letters)).thread
        people = {said.author.person for said in await store.recent(thread) if said.author}

        assert len(people) == 2
        assert raw(tmp_path, "SELECT name FROM identities ORDER BY id") == [("Ada",), ("Bob",)]


async def test_an_answer_and_the_end_of_its_turn_are_one(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        thread, first = await answer(store, "hello?", "hello!")
        [(turn,)] = raw(tmp_path, "SELECT id FROM turns")
        again = Message(
            address=HERE, text="again", bot="bot", thread=thread, turn=turn, sent_at=3.0
        )

        assert first
        assert await store.say(again, [], close="answered") == 0
        assert await store.recover() == []
        assert [said.text for said in await store.recent(thread)] == ["hello?", "hello!"]


async def test_a_retry_takes_the_last_answer_back_or_the_apology_in_its_place(
    tmp_path: Path,
) -> None:
    async with open_store(tmp_path) as store:
        thread, _ = await answer(store, "hello?", "hello!")
        asked = await store.record_posted(posted("and now?"), the_bot, no_letters)
        turn = asked.obligations[0].turn
        apology = Message(
            address=HERE, text="sorry", kind=Kind.NOTICE, thread=thread, turn=turn, sent_at=3.0
        )
        await store.say(apology, [], close="failed", error="a bug")
        obligation = await store.answer_again(thread)

        assert obligation is not None
        begun = await store.claim_turn(obligation.turn, 10)
        assert begun is not None
        assert (begun.why, begun.history[-1].text) == (Why.RETRY, "and now?")
        texts = [said.text for said in await store.recent(thread)]
        assert texts == ["hello?", "hello!", "and now?"]


async def test_a_wish_by_a_button_survives_a_restart_with_its_picture_and_its_place(
    tmp_path: Path,
) -> None:
    async with open_store(tmp_path) as store:
        thread = await drawn(store)
        event = Pressed(
            key="b1", address=HERE, who=BOB, control=Control.VARY, at=3.0, platform_id="r1"
        )
        first = await store.record_wish(event, want("vary", of="r1"))
        assert (await store.record_wish(event, want("vary", of="r1"))).duplicate
        await store.set_defaults(HERE, "--steps 9")
        await store.claim_turn(first.obligations[0].turn, 10)
    async with open_store(tmp_path) as store:
        [obligation] = await store.recover()
        assert replace(first.obligations[0], created_at=0.0) == replace(obligation, created_at=0.0)
        assert (obligation.reply_to, obligation.addresses) == ((HERE, "r1"), (HERE,))
        turn = await store.claim_turn(obligation.turn, 10)

        assert turn is not None
        assert turn.about is not None
        assert turn.wish == Wish(what="vary", text="--steps 4", message=turn.about.id)
        assert (turn.about.text, turn.about.files[0].spoiler) == ("a cat", True)
        assert (turn.thread, turn.fresh, turn.defaults) == (thread, 0, "--steps 9")
        assert turn.asked_by is not None
        assert turn.asked_by.name == "Bob"


async def test_the_newest_picture_is_the_newest_that_is_left_of_those_who_draw(
    tmp_path: Path,
) -> None:
    async with open_store(tmp_path) as store:
        thread = await drawn(store)
        await drawn(store, "a dog", remote="r2")
        newest = await store.picture(thread, HERE, "", ["bot"])
        assert newest is not None
        assert newest.text == "a dog"
        assert await store.picture(thread, HERE, "", ["somebody else"]) is None
        named = await store.picture(thread, HERE, "r1", ["bot"])
        assert named is not None
        assert named.text == "a cat"
        await store.take_back(newest.id)
        assert await store.message_at(HERE, "r2") is None
        assert await store.picture(thread, HERE, "r2", ["bot"], exactly=True) is None
        left = await store.picture(thread, HERE, "r2", ["bot"])
        assert left == named


def want(what: Literal["vary"], of: str) -> Want:
    wish = Wish(what=what, text="--steps 4")
    return Want(wish=wish, of=of, exactly=True, painters=["bot"], drawer=lambda bots: "bot")


async def drawn(store: Store, prompt: str = "a cat", remote: str = "r1") -> int:
    """A bot answers with a covered picture that arrives on the platform; returns the thread."""
    recorded = await store.record_posted(posted(f"draw {prompt}"), the_bot, no_letters)
    file = replace(await store.keep(prompt.encode(), "x.png", "image/png"), spoiler=True)
    said = Message(
        address=HERE,
        text=prompt,
        files=(file,),
        bot="bot",
        thread=recorded.thread,
        turn=recorded.obligations[0].turn,
        sent_at=2.0,
    )
    part = Part(text=prompt, plain=prompt, file=file)
    await store.say(
        said, [Letter(id=0, key="", address=HERE, speaker="bot", part=part)], close="answered"
    )
    claimed = await store.claim_letter(HERE)
    assert isinstance(claimed, tuple)
    assert claimed.letter.part == part
    assert await store.claim_letter(HERE, (claimed.letter.id, remote)) is None
    return recorded.thread


# --- files -----------------------------------------------------------------------------------


async def test_a_file_is_kept_once_under_the_hash_of_its_content(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        one = await store.keep(b"a picture", "cat.png", "image/png")
        two = await store.keep(b"a picture", "again.png", "image/png")
        await record(store, "look", files=(one,))
        await record(store, "look again", files=(two,))

        assert one.sha256 == two.sha256
        assert store.file(one.sha256).read_bytes() == b"a picture"
        kept = [path for path in (tmp_path / "files").rglob("*") if path.is_file()]
        assert [store.file(one.sha256)] == kept
        messages = await store.recent(1)
        assert [said.files[0].name for said in messages] == ["cat.png", "again.png"]
        assert (await store.describe(one.sha256)) == one


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "a" * 63 + "/", "A" * 64, "é" * 64])
async def test_no_other_file_can_be_named(tmp_path: Path, name: str) -> None:
    async with open_store(tmp_path) as store:
        with pytest.raises(ValueError, match="is no SHA-256"):
            store.file(name)
        assert await store.describe(name) is None


# --- rooms and threads -----------------------------------------------------------------------


LOUNGE = Room(id=0, name="lounge", bots=("bot",), host="bot")


async def test_bridged_channels_share_the_rooms_main_thread(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await store.settle_rooms(
            {"lounge": LOUNGE}, {HERE: "lounge", THERE: "lounge"}, mirrors=["web"], bots=["bot"]
        )
        one = await store.record_posted(posted("here"), nobody, no_letters)
        two = await store.record_posted(posted("there", address=THERE), nobody, no_letters)
        aside = Address("chat", "general", "topic 1")
        three = await store.record_posted(posted("aside", address=aside), nobody, no_letters)

        assert one.thread == two.thread != three.thread
        mirror = Address("web", "lounge", str(one.thread))
        assert {HERE, THERE, mirror} == set(await store.addresses_of(one.thread))
        # A topic is a thread of the room, too, with the mirror and nobody else.
        mirror = Address("web", "lounge", str(three.thread))
        assert {aside, mirror} == set(await store.addresses_of(three.thread))
        assert {"lounge"} == {thread.room for thread in await store.threads("lounge")}


async def test_a_new_thread_takes_over_the_addresses_and_the_old_one_stays_readable(
    tmp_path: Path,
) -> None:
    async with open_store(tmp_path) as store:
        await store.settle_rooms(
            {"lounge": LOUNGE}, {HERE: "lounge", THERE: "lounge"}, mirrors=["web"], bots=["bot"]
        )
        old = (await store.record_posted(posted("before"), nobody, no_letters)).thread
        new = await store.begin_anew(old)
        after = (
            await store.record_posted(posted("after", address=THERE), nobody, no_letters)
        ).thread

        assert old != new == after
        assert new == (await store.find_thread("lounge"))[1]
        assert (Address("web", "lounge", str(old)),) == await store.addresses_of(old)
        assert [said.text for said in await store.recent(old)] == ["before"]
        assert [said.text for said in await store.recent(new)] == ["after"]


async def test_a_channel_that_joins_a_room_later_is_answered_there(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await store.settle_rooms({"lounge": LOUNGE}, {}, mirrors=["web"], bots=["bot"])
        main = (await store.find_thread("lounge"))[1]
        private = (await store.record_posted(posted("hi"), nobody, no_letters)).thread
        assert main != private
    async with open_store(tmp_path) as store:
        channels = {HERE: "lounge", THERE: "lounge"}
        await store.settle_rooms({"lounge": LOUNGE}, channels, mirrors=["web"], bots=["bot"])
        joined = await store.record_posted(posted("hi all"), the_bot, no_letters)

        assert main == joined.thread
        assert {HERE, THERE} < set(joined.obligations[0].addresses)


async def test_a_channel_that_leaves_a_room_does_not_go_on_in_it(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        channels = {HERE: "lounge", THERE: "lounge"}
        await store.settle_rooms({"lounge": LOUNGE}, channels, mirrors=["web"], bots=["bot"])
        main = (await store.record_posted(posted("hi all"), nobody, no_letters)).thread
        await store.settle_rooms(
            {"lounge": LOUNGE}, {HERE: "lounge"}, mirrors=["web"], bots=["bot"]
        )
        apart = await store.record_posted(posted("hi", address=THERE), nobody, no_letters)

        assert main != apart.thread
        assert THERE not in await store.addresses_of(main)
        assert HERE in await store.addresses_of(main)


async def test_mirrors_show_every_thread_also_those_from_before(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await store.settle_rooms({"lounge": LOUNGE}, {HERE: "lounge"}, mirrors=[], bots=["bot"])
        old = (await store.record_posted(posted("before"), nobody, no_letters)).thread
        assert await store.addresses_of(old) == (HERE,)
        await store.settle_rooms(
            {"lounge": LOUNGE}, {HERE: "lounge"}, mirrors=["web", "page"], bots=["bot"]
        )
        new = await store.open_thread("lounge", "  a   title ")

        assert new.title == "a title"
        for thread in (old, new.id):
            mirrors = {Address(name, "lounge", str(thread)) for name in ("web", "page")}
            assert mirrors <= set(await store.addresses_of(thread))
        with pytest.raises(Refused, match="no thread 99"):
            await record(store, "where?", address=Address("web", "lounge", "99"))


async def test_a_room_that_leaves_the_configuration_keeps_its_threads(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await store.settle_rooms(
            {"lounge": LOUNGE}, {HERE: "lounge"}, mirrors=["web"], bots=["bot"]
        )
        await record(store, "remember this")
    async with open_store(tmp_path) as store:
        await store.settle_rooms({}, {}, mirrors=["web"], bots=["bot"])
        [room] = await store.rooms()

        assert (room.name, room.configured) == ("lounge", False)
        assert [said.text for said in await store.messages("lounge")] == ["remember this"]


async def test_messages_come_in_pages_by_growing_id(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await store.settle_rooms({"lounge": LOUNGE}, {HERE: "lounge"}, mirrors=[], bots=["bot"])
        ids = [await record(store, f"number {n}") for n in range(5)]
        first = await store.messages("lounge", limit=3)
        rest = await store.messages("lounge", after=first[-1].id, limit=3)
        [main] = {said.thread for said in first}

        assert ids == [said.id for said in (*first, *rest)]
        assert ids[1:3] == [said.id for said in await store.recent(main, before=ids[3], limit=2)]


async def test_a_room_is_made_by_the_rules_of_the_configuration(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await store.settle_rooms({"lounge": LOUNGE}, {}, mirrors=["web"], bots=["bot", "cat"])
        room = await store.create_room("  Ada's room ", ["cat", "bot", "cat"])
        assert (room.name, room.bots, room.host) == ("Ada's room", ("cat", "bot"), "")
        assert (await store.create_room("Cat only", ["cat", "cat"])).host == "cat"
        assert (await store.create_room("quiet", ["cat"], host="")).host == ""

        for name, bots, host, why in [
            ("Lounge", ["bot"], None, "already"),
            ("", ["bot"], None, "cannot be a name"),
            ("a/b", ["bot"], None, "cannot be a name"),
            ("bell\a", ["bot"], None, "cannot be a name"),
            ("x" * 65, ["bot"], None, "at most 64"),
            ("new", [], None, "at least one bot"),
            ("new", ["dog"], None, 'no bot "dog" .there are: bot, cat.'),
            ("new", ["cat"], "bot", "not one of the room's bots"),
        ]:
            with pytest.raises(Refused, match=why):
                await store.create_room(name, bots, host)
        assert len(await store.rooms()) == 4


async def test_a_room_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        for asked in (store.threads, store.messages, store.find_thread):
            with pytest.raises(Refused, match='no room "attic"'):
                await asked("attic")


# --- opening ---------------------------------------------------------------------------------


def migrations(directory: Path, **more: str) -> Path:
    """The real migrations, and more."""
    directory.mkdir()
    for entry in (resources.files("botdaemon.store") / "migrations").iterdir():
        (directory / entry.name).write_bytes(entry.read_bytes())
    for name, sql in more.items():
        (directory / f"{name.removeprefix('m')}.sql").write_text(sql)
    return directory


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("PRAGMA user_version").fetchone()[0])


async def test_a_migration_is_made_whole_or_not_at_all_and_after_a_backup(tmp_path: Path) -> None:
    path = tmp_path / "botdaemon.db"
    async with open_store(tmp_path) as store:
        await record(store, "keep me")
    broken = "CREATE TABLE extra (id INTEGER PRIMARY KEY) STRICT;\nINSERT INTO nowhere VALUES (1);"
    with pytest.raises(StoreUnusable, match="nowhere"):
        open_database(path, migrations(tmp_path / "broken", m900_broken=broken))

    tables = "SELECT name FROM sqlite_schema WHERE name = 'extra'"
    before = version(path)
    assert before < 900
    assert raw(tmp_path, tables) == []
    assert before == version(tmp_path / f"botdaemon-schema-{before}.db")

    good = "CREATE TABLE extra (id INTEGER PRIMARY KEY) STRICT;"
    open_database(path, migrations(tmp_path / "good", m900_good=good)).close()
    assert version(path) == 900
    assert raw(tmp_path, tables) == [("extra",)]
    assert raw(tmp_path, "SELECT text FROM messages") == [("keep me",)]
    with closing(sqlite3.connect(tmp_path / f"botdaemon-schema-{before}.db")) as backup:
        assert backup.execute("SELECT text FROM messages").fetchall() == [("keep me",)]


async def test_what_an_older_botdaemon_left_open_is_taken_up_by_this_one(tmp_path: Path) -> None:
    older = migrations(tmp_path / "older")
    for entry in older.glob("*.sql"):
        if int(entry.name[:3]) > 2:
            entry.unlink()
    with closing(open_database(tmp_path / "botdaemon.db", older)) as db:
        db.executescript(
            """INSERT INTO threads (id, created_at) VALUES (1, 1);
            INSERT INTO addresses (adapter, channel, topic, thread)
                VALUES ('chat', 'general', '', 1);
            INSERT INTO messages (seq, thread, kind, text, adapter, channel, topic, platform_id,
                sent_at) VALUES (1, 1, 'said', 'hi', 'chat', 'general', '', 'p', 1);
            INSERT INTO turns (thread, bot, why, created_at) VALUES (1, 'bot', 'name', 1);
            INSERT INTO turn_messages (message, turn) VALUES (1, 1);
            INSERT INTO letters (message, adapter, channel, topic, text, created_at)
                VALUES (1, 'chat', 'general', '', 'hello', 1);"""
        )
    async with open_store(tmp_path) as store:
        [obligation] = await store.recover()
        turn = await store.claim_turn(obligation.turn, 10)
        claimed = await store.claim_letter(HERE)

    assert obligation.reply_to == (HERE, "p")
    assert turn is not None
    assert (turn.wish, turn.about, turn.history[0].text) == (None, None, "hi")
    assert isinstance(claimed, tuple)
    assert (claimed.letter.part.text, claimed.taken_back) == ("hello", False)


@pytest.mark.parametrize("journal", ["wal", "delete"])
async def test_a_newer_database_is_refused_by_name_and_left_as_it_is(
    tmp_path: Path, journal: str
) -> None:
    path = tmp_path / "botdaemon.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA journal_mode={journal}")
        db.execute("CREATE TABLE future (x)")
        db.execute("PRAGMA user_version=999")
    before = path.read_bytes()

    with pytest.raises(StoreUnusable, match=r"newer botdaemon \(schema 999"):
        async with open_store(tmp_path):
            pass
    assert before == path.read_bytes()


@pytest.mark.parametrize("content", [b"this is no database\n" * 500, b"\0" * 4096])
async def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "botdaemon.db"
    path.write_bytes(content)

    with pytest.raises(StoreUnusable, match="is not an SQLite database"):
        async with open_store(tmp_path):
            pass
    assert content == path.read_bytes()
    assert holder(tmp_path) is None  # the lock was let go


@contextmanager
def somebody_else() -> Iterator[None]:
    """Be a user whom permissions concern; root is not."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@contextmanager
def everybodys(mode: int) -> Iterator[Path]:
    """A directory that every user can reach."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(mode)
        try:
            yield path
        finally:
            path.chmod(0o700)


async def test_a_directory_that_cannot_be_written_is_refused_with_the_remedy() -> None:
    with everybodys(0o555) as directory, somebody_else():
        with pytest.raises(StoreUnusable, match=r"cannot be written \(Permission denied\); give"):
            async with open_store(directory):
                pass
        assert list(directory.iterdir()) == []


async def test_a_database_that_cannot_be_written_is_refused() -> None:
    with everybodys(0o755) as directory:
        async with open_store(directory):
            pass
        (directory / "lock").chmod(0o666)
        (directory / "botdaemon.db").chmod(0o444)
        directory.chmod(0o555)
        with somebody_else(), pytest.raises(StoreUnusable, match="opened for writing"):
            async with open_store(directory):
                pass


OPENS = """
import asyncio, sys
from pathlib import Path
from botdaemon.store import open_store

async def main():
    async with open_store(Path(sys.argv[1])):
        print("open", flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""


async def test_a_second_process_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    other = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        OPENS,
        str(tmp_path),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parent.parent,
    )
    assert other.stdin is not None
    assert other.stdout is not None
    assert await other.stdout.readline() == b"open\n"

    assert other.pid == holder(tmp_path)
    with pytest.raises(StoreLocked, match=rf"process {other.pid}\) is using"):
        async with open_store(tmp_path):
            pass
    other.send_signal(signal.SIGKILL)
    await other.wait()
    assert holder(tmp_path) is None
    async with open_store(tmp_path) as store:
        assert await record(store, "hello")
        assert os.getpid() == holder(tmp_path)
