"""A disk that is full: what cannot be recorded is not confirmed, nothing else stops, and when there
is space again everything goes on by itself."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from house import SayingBot, home
from platform_server import Platform, PlatformAdapter

from botdaemon.errors import StoreFull
from botdaemon.store import Store, open_store
from botdaemon.types import Address, Call, Identity, Message, Posted, Why

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Address("chat", "general")
ADA = Identity(adapter="chat", account="a1", name="Ada")


def posted(key: str, text: str) -> Posted:
    said = Message(address=HERE, text=text, author=ADA, platform_id=key, sent_at=1.0)
    return Posted(key=key, message=said)


async def record(store: Store, key: str, text: str) -> int:
    route = [Call("bot", Why.DIRECT)]
    recorded = await store.record_posted(posted(key, text), lambda *_: route, lambda *_: [])
    return recorded.message


async def fill(store: Store) -> None:
    """Let the database not grow by a page any more, and use up what it has."""
    await store._write(lambda db: db.execute("PRAGMA max_page_count=1"))
    number = 0
    while True:
        number += 1
        try:
            await record(store, f"filler {number}", "x" * 500)
        except StoreFull:
            return


async def make_room(store: Store) -> None:
    await store._write(lambda db: db.execute("PRAGMA max_page_count=1000000"))


def rows(directory: Path, table: str) -> int:
    with closing(sqlite3.connect(f"file:{directory}/botdaemon.db?mode=ro", uri=True)) as db:
        return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


async def test_on_a_full_disk_nothing_is_half_recorded_and_reading_goes_on(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await record(store, "before", "hello")
        await fill(store)
        counts = {name: rows(tmp_path, name) for name in ("events", "messages", "turn_messages")}
        with pytest.raises(StoreFull, match="nothing was recorded"):
            await record(store, "during", "y" * 9000)

        assert counts == {name: rows(tmp_path, name) for name in counts}
        assert (await store.recent(1, limit=1000))[0].text == "hello"
        await make_room(store)
        assert await record(store, "during", "y" * 9000)
        assert {name: count + 1 for name, count in counts.items()} == {
            name: rows(tmp_path, name) for name in counts
        }
    with closing(sqlite3.connect(tmp_path / "botdaemon.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def test_what_could_not_be_recorded_is_not_confirmed(tmp_path: Path) -> None:
    async with home(tmp_path, {"bot": SayingBot()}) as house:
        await house.dispatcher.deliver(posted("before", "hello"))
        await fill(house.store)
        with pytest.raises(StoreFull):
            await house.dispatcher.deliver(posted("during", "y" * 9000))
        await make_room(house.store)

        assert await house.dispatcher.deliver(posted("during", "y" * 9000))


async def test_an_answer_that_found_no_space_is_given_when_there_is_some(tmp_path: Path) -> None:
    bot = SayingBot(lambda text: f"{text} " + "long " * 2000)
    bot.gate.clear()
    async with Platform().serving() as platform:
        adapter = PlatformAdapter("chat", platform.port, text_limit=100_000)
        async with home(tmp_path, {"bot": bot}, [adapter]) as house:
            asked = platform.say("hello", direct=True)
            await bot.begun.wait()
            await fill(house.store)
            bot.gate.set()
            while house.dispatcher.turns.running:  # noqa: ASYNC110 - there is no event for "refused"
                await asyncio.sleep(0.01)
            assert not platform.answers_to(asked)
            await make_room(house.store)
            await platform.until(lambda: bool(platform.answers_to(asked)))

            [answer] = platform.answers_to(asked)
            assert answer.text.startswith("hello long")


# --- a small file system that is really full -------------------------------------------------

SCRIPT = """
import asyncio, json, os, sys
from pathlib import Path
from botdaemon.errors import BotdaemonError
from botdaemon.store import open_store
from botdaemon.types import Address, Identity, Message, Posted

async def main(directory, act):
    async with open_store(directory) as store:
        return await act(store)

async def record(store, key="k", text="hello"):
    said = Message(address=Address("chat", "c"), text=text, platform_id=key, sent_at=1.0,
                   author=Identity(adapter="chat", account="a", name="Ada"))
    event = Posted(key=key, message=said)
    return (await store.record_posted(event, lambda *_: [], lambda *_: [])).message

def fill(directory):
    with (directory / "filler").open("wb", buffering=0) as handle:
        for size in (2**20, 2**12, 1):
            try:
                while True:
                    handle.write(bytes(size))
            except OSError:
                pass

def attempt(act):
    try:
        return asyncio.run(main(directory, act))
    except BotdaemonError as error:
        return f"{type(error).__name__}: {error}"

directory = Path(sys.argv[1])
said = {"first": attempt(record)}
said["ballast"] = (directory / "ballast").exists()
fill(directory)
said["full"] = attempt(lambda store: store.recent(1))
said["dropped"] = not (directory / "ballast").exists()
said["recorded"] = attempt(lambda store: record(store, "k2"))
fill(directory)
said["hopeless"] = attempt(lambda store: store.recent(1))
(directory / "filler").unlink()
said["again"] = attempt(lambda store: record(store, "k3"))
said["kept"] = [one.text for one in attempt(lambda store: store.recent(1))]
said["full"] = [one.text for one in said["full"]]
print(json.dumps(said))
"""


@contextmanager
def small_disk(directory: Path, megabytes: int) -> Iterator[Path]:
    """A file system of this size."""
    directory.mkdir()
    size = f"size={megabytes}m"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", size, "tmpfs", directory], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"a file system that can be filled takes the right to mount: {mounted.stderr}")
    try:
        yield directory
    finally:
        subprocess.run(["umount", directory], check=True)


def test_a_start_on_a_full_disk_lives_on_the_ballast(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 12) as disk:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, disk / "data"],
            capture_output=True,
            text=True,
            cwd=Path(__file__).parent.parent,
        )
        assert done.stderr.replace("the disk is full: ballast dropped\n", "").strip() == ""
        said = json.loads(done.stdout)

    assert said["ballast"]
    assert said["full"] == ["hello"]
    assert said["dropped"]
    assert said["recorded"] == 2
    assert "StoreUnusable" in said["hopeless"]
    assert "there is no space to open" in said["hopeless"]
    assert said["again"] == 3
    assert said["kept"] == 3 * ["hello"]
