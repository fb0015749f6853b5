"""Keeping data in order: what is too old goes, whole; what nothing has any more goes; damage is
found and told; chores are done when they are due and nobody needs the daemon."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from talk import BOB, HERE, THERE, ask, react, say, settle, to_all

from botdaemon.app.data import thin_out
from botdaemon.config import parse
from botdaemon.errors import StoreError
from botdaemon.metrics import Metrics
from botdaemon.store import Store, open_store
from botdaemon.store.database import open_database
from botdaemon.store.references import references
from botdaemon.store.writer import writing
from botdaemon.types import Address, Call, Message, Posted, Why
from botdaemon.upkeep import AGAIN, CHECK, PATIENCE, Chore, Upkeep

if TYPE_CHECKING:
    from pathlib import Path

DAY = 86_400.0
SIDE = Address("chat", "side")


def raw(directory: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{directory}/botdaemon.db?mode=ro", uri=True)) as db:
        return db.execute(sql).fetchall()


def texts(directory: Path) -> list[str]:
    return [text for (text,) in raw(directory, "SELECT text FROM messages ORDER BY id")]


async def delivered(store: Store, *places: Address) -> None:
    """Every letter has been sent."""
    for place in places:
        while isinstance(claim := await store.claim_letter(place), tuple):
            await store.claim_letter(place, settled=(claim.letter.id, f"sent {claim.letter.id}"))


# --- what is too old ---------------------------------------------------------------------------


async def test_old_messages_go_with_all_that_belongs_to_them_and_nothing_else(
    tmp_path: Path,
) -> None:
    async with open_store(tmp_path) as store:
        await settle(store)
        picture = await store.keep(b"a picture", "garden.png", "image/png")
        await say(store, "old", files=(picture,))
        await ask(store, "old question", "old answer")
        await react(store, "old answer", "\U0001f44d")
        await say(store, "young", BOB, sent_at=10 * DAY)
        await delivered(store, HERE, THERE)

        gone = await store.thin_out("lounge", before=9 * DAY, most=None)

        assert gone == 3
        assert texts(tmp_path) == ["young"]
        for table in ("turns", "turn_messages", "message_files", "feedback"):
            assert raw(tmp_path, f"SELECT count(*) FROM {table}") == [(0,)], table
        assert raw(tmp_path, "SELECT count(*) FROM letters") == [(1,)]
        assert raw(tmp_path, "PRAGMA foreign_key_check") == []
        # Not yet: it may belong to a message that is about to be recorded.
        assert await store.sweep(before=0.0) == 0
        assert await store.sweep(before=store.file(picture.sha256).stat().st_mtime + 1) == 1
        assert not store.file(picture.sha256).exists()
        assert raw(tmp_path, "SELECT count(*) FROM files") == [(0,)]


async def test_what_an_open_turn_or_a_letter_on_its_way_needs_stays(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await settle(store)
        await say(store, "not sent yet")
        said = Message(
            address=SIDE, text="not answered yet", author=BOB, platform_id="s", sent_at=1.0
        )
        posted = Posted(key="s", message=said, direct=True)
        recorded = await store.record_posted(posted, lambda *_: [Call("bot", Why.DIRECT)], to_all)
        await say(store, "the newest", sent_at=10 * DAY)

        assert await store.thin_out("Lounge", before=9 * DAY, most=None) == 0
        assert await store.thin_out("", before=9 * DAY, most=None) == 0
        await delivered(store, HERE, THERE)
        await store.end_turn(recorded.obligations[0].turn, "silent")
        assert await store.thin_out("Lounge", before=9 * DAY, most=None) == 1
        assert await store.thin_out("", before=9 * DAY, most=None) == 1
        assert texts(tmp_path) == ["the newest"]


async def test_the_newest_change_stays_so_that_all_who_follow_know_where_to_go_on(
    tmp_path: Path,
) -> None:
    async with open_store(tmp_path) as store:
        for text in ("one", "two", "three"):
            await say(store, text)
        latest = await store.latest()
        assert await store.thin_out("", before=9 * DAY, most=None) == 2
    async with open_store(tmp_path) as store:
        assert await store.latest() == latest


async def test_a_message_that_comes_late_but_is_old_does_not_take_the_young_along(
    tmp_path: Path,
) -> None:
    async with open_store(tmp_path) as store:
        await say(store, "young", sent_at=10 * DAY)
        await say(store, "old, read in later", sent_at=1.0)
        await say(store, "young, too", sent_at=10 * DAY)
        await store.thin_out("", before=9 * DAY, most=None)

    assert texts(tmp_path) == ["young", "young, too"]


async def test_the_oldest_go_when_a_room_takes_too_much(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await settle(store)
        large = await store.keep(b"x" * 50_000, "large.bin", "application/x")
        for number in range(3):
            await say(store, f"large {number}", files=(large,))
        await say(store, "in another place", address=SIDE)
        await delivered(store, HERE, THERE)

        assert await store.thin_out("Lounge", before=0.0, most=110_000) == 1
        assert await store.thin_out("Lounge", before=0.0, most=110_000) == 0
        assert texts(tmp_path) == ["large 1", "large 2", "in another place"]


async def test_each_room_may_have_a_rule_of_its_own(tmp_path: Path) -> None:
    config = parse(
        """
        [daemon]
        [models.parrot]
        kind = "echo"
        [bots.bot]
        kind = "text"
        model = "parrot"
        [retention]
        days = 1.0
        [rooms.Lounge]
        bots = ["bot"]
        [rooms.Lounge.retention]
        days = 30.0
        """,
        tmp_path / "config.toml",
    )
    async with open_store(tmp_path / "data") as store:
        await settle(store)
        await say(store, "in the room", sent_at=10 * DAY)
        await say(store, "outside", sent_at=10 * DAY, address=SIDE)
        await say(store, "the newest", sent_at=20 * DAY)
        await delivered(store, HERE, THERE)

        assert await thin_out(config, store, lambda: 20 * DAY) == "1 messages went"
    assert texts(tmp_path / "data") == ["in the room", "the newest"]


async def test_what_went_is_not_recorded_again_when_a_platform_repeats_it(tmp_path: Path) -> None:
    said = Message(address=HERE, text="old", author=BOB, platform_id="p", sent_at=1.0)
    event = Posted(key="once", message=said)
    async with open_store(tmp_path) as store:
        await store.record_posted(event, lambda *_: [], lambda *_: [])
        await say(store, "the newest", sent_at=10 * DAY)
        await store.thin_out("", before=9 * DAY, most=None)
        again = await store.record_posted(event, lambda *_: [], lambda *_: [])

    assert again.duplicate
    assert texts(tmp_path) == ["the newest"]


async def test_every_table_that_refers_to_messages_is_thought_of(tmp_path: Path) -> None:
    """A row that cannot be without its message goes with it; another column is emptied. A table
    for which neither is right has to be thought of in `retention`."""
    with closing(open_database(tmp_path / "botdaemon.db")) as db:
        named = {(one.table, one.column): one.bound for one in references(db, "messages")}
        of_turns = {(one.table, one.column) for one in references(db, "turns")}

    assert named == {
        ("fact_sources", "message"): True,
        ("feedback", "message"): True,
        ("letters", "message"): False,
        ("message_files", "message"): True,
        ("summaries", "first"): True,  # of what is not there any more
        ("summaries", "last"): True,
        ("turn_messages", "message"): True,
        ("turns", "about"): False,
    }
    assert of_turns == {
        ("decisions", "turn"), ("letters", "turn"), ("messages", "turn"), ("origins", "turn"),
        ("turn_messages", "turn"),
    }  # fmt: skip


async def test_a_file_that_is_kept_again_is_young_again(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        kept = await store.keep(b"something", "a", "text/plain")
        os.utime(store.file(kept.sha256), (1.0, 1.0))
        half = store.file(kept.sha256).with_name("tmphalf")
        half.write_bytes(b"some")
        os.utime(half, (1.0, 1.0))
        await store.keep(b"something", "a", "text/plain")

        assert await store.sweep(before=2.0) == 1  # what a crash had left half written
        assert store.file(kept.sha256).exists()


# --- space -------------------------------------------------------------------------------------


async def test_much_free_space_is_given_back_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "botdaemon.db"
    with closing(open_database(path)) as db:
        db.execute("CREATE TABLE bulk (content BLOB)")
        db.execute("INSERT INTO bulk VALUES (zeroblob(40000000))")
        db.execute("DROP TABLE bulk")
    assert path.stat().st_size > 40_000_000
    open_database(path).close()
    assert path.stat().st_size < 1_000_000


async def test_the_write_ahead_log_is_emptied_when_nobody_writes(tmp_path: Path) -> None:
    with closing(open_database(tmp_path / "botdaemon.db")) as db:
        async with writing(db, lambda: 0, lambda mark: None, Metrics(), idle=0.01) as writer:
            await writer.run(lambda db: db.execute("INSERT INTO people VALUES (1, 'x', 0, '')"))
            log = tmp_path / "botdaemon.db-wal"
            while log.stat().st_size:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0.01)
            await writer.run(lambda db: db.execute("INSERT INTO people VALUES (2, 'x', 0, '')"))
            assert log.stat().st_size


# --- chores ------------------------------------------------------------------------------------


class World:
    """A daemon's upkeep, with a clock that stands still until it is moved."""

    def __init__(self, store: Store) -> None:
        self.now = 1000.0
        self.idle = True
        self.done: list[str] = []
        self.trouble: Exception | None = None
        self.ready: dict[str, bool | str] = {}
        chores = [
            Chore(name="backup", every=DAY, do=self._back_up),
            Chore(name=CHECK, every=7 * DAY, do=self._check),
        ]
        self.upkeep = Upkeep(
            store, chores, idle=lambda: self.idle, ready=self.ready, clock=lambda: self.now
        )

    async def _back_up(self) -> str:
        self.done.append("backup")
        return "made"

    async def _check(self) -> str:
        self.done.append("check")
        if self.trouble:
            raise self.trouble
        return "whole"

    async def after(self, seconds: float) -> list[str]:
        self.now += seconds
        self.done.clear()
        await self.upkeep.look()
        return list(self.done)


async def test_chores_are_done_when_they_are_due_also_across_a_restart(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        world = World(store)
        assert await world.after(0) == ["backup", "check"]
        assert await world.after(DAY - 1) == []
    async with open_store(tmp_path) as store:
        again = World(store)
        again.now = world.now
        assert await again.after(0) == []
        assert await again.after(1) == ["backup"]
        assert (await store.chores())["backup"].said == "made"


async def test_a_chore_waits_until_nobody_needs_the_daemon_but_not_for_ever(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        world = World(store)
        await world.after(0)
        world.idle = False
        assert await world.after(DAY + 1) == []
        assert await world.after(PATIENCE) == ["backup"]


async def test_damage_is_told_until_it_is_mended(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        world = World(store)
        world.trouble = StoreError("the database is damaged (page 7)")
        await world.after(0)
        assert world.ready == {"database": "the database is damaged (page 7)"}
        assert not (await store.chores())[CHECK].good
        # It is looked at again before its time.
        world.trouble = None
        assert await world.after(AGAIN) == ["check"]
        assert world.ready == {"database": True}


async def test_a_broken_page_is_found(tmp_path: Path) -> None:
    path = tmp_path / "botdaemon.db"
    async with open_store(tmp_path) as store:
        for number in range(200):
            await say(store, f"{number} " + "x" * 500)
        assert await store.check() == []
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        [(page,)] = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'messages_thread'")
    with path.open("r+b") as handle:
        handle.seek(4096 * (page - 1))
        handle.write(os.urandom(4096))
    async with open_store(tmp_path) as store:
        assert await store.check() != []


@pytest.mark.parametrize("when", ["at once", "later"])
async def test_stopping_does_not_wait_for_a_look_at_the_database(tmp_path: Path, when: str) -> None:
    async with open_store(tmp_path) as store:
        looking = asyncio.create_task(store.check())
        if when == "later":
            await asyncio.sleep(0)
        looking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await looking
