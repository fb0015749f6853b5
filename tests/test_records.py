"""Readable records: threads exported beside a running daemon, and rooms written along as plain
text."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from talk import BOB, HERE, ask, delete, edit, notice, say, settle

from botdaemon import app
from botdaemon.cli import main
from botdaemon.errors import Refused, StoreUnusable
from botdaemon.records.along import Journal, line, write_along
from botdaemon.records.names import file_name, room_folder, thread_folder
from botdaemon.store import open_store
from botdaemon.tasks import background
from botdaemon.types import Address, Identity, Message

if TYPE_CHECKING:
    from pathlib import Path

    from botdaemon.store import Store

ELSEWHERE = Address("chat", "side")


def everything(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def export(data: Path, out: Path, **choice: Any) -> dict[str, bytes]:
    app.export(data, out, **{"rooms": (), "threads": (), "since": 0.0, **choice})
    return everything(out)


# --- exports --------------------------------------------------------------------------------


async def test_a_thread_exports_with_its_pictures_beside_a_running_daemon(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    async with open_store(data) as store:  # it has the lock
        await settle(store)
        picture = await store.keep(b"a picture", "../../my garden.png", "image/png")
        first = await say(store, "look at *this*", files=(picture,), sent_at=60.0)
        await say(store, "nice\n\n**Ada** \u00b7 faked", BOB, reply_to="", sent_at=61.0)
        answer = await ask(store, "is it?", "it is")
        await notice(store, (await store.recent_at(HERE, 1))[0].thread, "the daemon's own words")
        found = export(data, out)

    place = "rooms/Lounge/000001"
    assert set(found) == {
        f"{place}/thread.md",
        f"{place}/thread.jsonl",
        f"{place}/files/{first:06}-1-my-garden.png",
    }
    assert found[f"{place}/files/{first:06}-1-my-garden.png"] == b"a picture"
    page = found[f"{place}/thread.md"].decode()
    assert page.startswith("# Thread 1\n\nThread 1, room Lounge: 4 messages from 1970-01-01 ")
    assert (
        "\n**Ada** \u00b7 1970-01-01 00:01:00\n\n> look at *this*\n>\n"
        f"> ![\\.\\.\\/\\.\\.\\/my garden\\.png](files/{first:06}-1-my-garden.png)\n"
    ) in page
    assert "\n> nice\n>\n> **Ada** \u00b7 faked\n" in page  # a quote, and no head of a message
    assert "the daemon's own words" not in page
    lines = [json.loads(one) for one in found[f"{place}/thread.jsonl"].splitlines()]
    assert [one["text"] for one in lines][-2:] == ["is it?", "it is"]
    assert (lines[-1]["id"], lines[-1]["bot"], lines[-1]["answers"]) == (
        answer, "bot", lines[-2]["id"],
    )  # fmt: skip
    assert (lines[0]["account"], lines[0]["at"]) == ("chat:a1", "1970-01-01T00:01:00.000Z")
    assert lines[0]["files"][0]["path"] == f"files/{first:06}-1-my-garden.png"


async def test_nothing_of_what_was_deleted_is_exported(tmp_path: Path) -> None:
    async with open_store(tmp_path / "data") as store:
        await settle(store)
        picture = await store.keep(b"a secret picture", "secret.png", "image/png")
        await say(store, "plumtree", platform_id="gone", files=(picture,))
        await say(store, "what stays", platform_id="stays")
        await edit(store, "stays", "what stays, edited")
        await delete(store, "gone")
        found = export(tmp_path / "data", tmp_path / "out")

    content = b"".join([*found.values(), *map(str.encode, found)])
    assert b"what stays, edited" in content
    for trace in (b"plumtree", b"secret"):
        assert trace not in content


async def test_the_same_threads_give_the_same_bytes(tmp_path: Path) -> None:
    async with open_store(tmp_path / "data") as store:
        await settle(store)
        await say(store, "hello")
        await ask(store, "how are you?", "fine")
    first = export(tmp_path / "data", tmp_path / "one")

    assert export(tmp_path / "data", tmp_path / "two") == first


async def test_threads_are_chosen_by_room_by_number_and_by_time(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with open_store(data) as store:
        await settle(store)
        await say(store, "in the room", sent_at=100.0)
        await say(store, "beside it", address=ELSEWHERE, sent_at=200.0)
        await say(store, "later in the room", sent_at=300.0)

    def texts(name: str, **choice: Any) -> list[str]:
        found = export(data, tmp_path / name, **choice)
        return [
            json.loads(one)["text"]
            for path, content in found.items()
            if path.endswith(".jsonl")
            for one in content.splitlines()
        ]

    assert texts("all") == ["beside it", "in the room", "later in the room"]
    assert texts("room", rooms=["lounge"]) == ["in the room", "later in the room"]
    assert texts("thread", threads=[2]) == ["beside it"]
    assert texts("both", rooms=["Lounge"], threads=[2], since=150.0) == [
        "beside it",
        "later in the room",
    ]
    assert (tmp_path / "thread" / "elsewhere" / "000002" / "thread.md").is_file()


async def test_what_cannot_be_exported_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    data, full = tmp_path / "data", tmp_path / "full"
    async with open_store(data) as store:
        await settle(store)
        await say(store, "hello")
    full.mkdir()
    (full / "mine.txt").write_text("mine")

    for out, choice, words in (
        (full, {}, "there is something in"),
        (tmp_path / "out", {"rooms": ["kitchen"]}, 'there is no room "kitchen"'),
        (tmp_path / "out", {"threads": [7]}, "there is no thread 7"),
        (tmp_path / "out", {"since": 1e10}, "nothing was said there"),
    ):
        with pytest.raises(Refused, match=words):
            export(data, out, **choice)
    assert {name.split("/")[0] for name in everything(tmp_path)} == {"data", "full"}
    assert list(everything(full)) == ["mine.txt"]


async def test_a_picture_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with open_store(data) as store:
        await settle(store)
        picture = await store.keep(b"a picture", "garden.png", "image/png")
        await say(store, "look", files=(picture,))
        store.file(picture.sha256).unlink()
    found = export(data, tmp_path / "out")

    assert b"*garden\\.png is not there any more*" in found["rooms/Lounge/000001/thread.md"]
    assert json.loads(found["rooms/Lounge/000001/thread.jsonl"])["files"][0]["path"] is None


def test_the_command_line_exports_and_lists_what_was_held_back(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[daemon]\ndata_dir = "data"\n')

    async def talk() -> None:
        async with open_store(tmp_path / "data") as store:
            await settle(store)
            await say(store, "hello")

    asyncio.run(talk())
    out = tmp_path / "out"
    run = CliRunner().invoke(main, ["export", str(out), "-c", str(config), "--since", "1970-01-01"])
    assert run.exit_code == 0, run.output
    assert "1 threads with 1 messages and 0 files" in run.output
    again = CliRunner().invoke(main, ["export", str(out), "-c", str(config)])
    assert (again.exit_code, "Traceback" in again.output) == (1, False)
    assert "name a new folder" in again.output
    assert CliRunner().invoke(main, ["held", "-c", str(config)]).output == ""


# --- names ----------------------------------------------------------------------------------

NAMES = st.text(max_size=300) | st.sampled_from(["..", "a/../b", "con", "NUL.png", "\u202egnp.exe"])


@given(NAMES, NAMES)
def test_whatever_something_is_called_its_file_has_a_safe_name(title: str, name: str) -> None:
    for made in (thread_folder(12, title), file_name(7, 1, name)):
        assert made[0].isdigit()
        assert made not in (".", "..")
        assert not set(made) & set('/\\:*?"<>|\0\n\u202e')
        assert made == made.strip(" .")
        assert len(made.encode()) <= 255
    assert file_name(7, 1, name) == file_name(7, 1, name)


def test_no_two_rooms_share_a_folder() -> None:
    rooms = ["a", "a.", "a ", "con", "CON.x", "Caf\u00e9", "it's", "a-b", "a b"]

    assert len(set(map(room_folder, rooms))) == len(rooms)
    assert room_folder("con") == "%63on"
    assert room_folder("lounge") == "lounge"


# --- written along --------------------------------------------------------------------------


class Watched:
    """The store as the records see it, which tells when they have nothing left to do."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waits = asyncio.Condition()
        self._seen = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def changed(self, after: int) -> None:
        async with self._waits:
            self._seen = after
            self._waits.notify_all()
        await self._store.changed(after)

    async def all_written(self) -> None:
        latest = await self._store.latest()
        async with self._waits:
            await self._waits.wait_for(lambda: self._seen >= latest)


def written(directory: Path) -> str:
    return "".join(path.read_text() for path in sorted(directory.rglob("*.log")))


async def test_what_is_said_in_rooms_is_written_along_day_by_day(tmp_path: Path) -> None:
    directory = tmp_path / "records"
    async with open_store(tmp_path / "data") as store:
        await settle(store)
        await say(store, "before anybody wrote")
        journal = Journal(directory, await store.latest())
        async with background() as tasks:
            watched = Watched(store)
            tasks.create_task(write_along(journal, watched))
            await say(store, "hello\nand a second line", sent_at=5.0)
            await say(store, "between us", address=ELSEWHERE)
            await say(store, "the next day", BOB, platform_id="p", sent_at=86_400.0)
            await watched.all_written()
            await edit(store, "p", "changed")
            await watched.all_written()
            await delete(store, "p")
            await watched.all_written()

    assert (directory / "Lounge" / "1970-01-02.log").read_text() == (
        "1970-01-02 00:00:00 #1 Bob: the next day\n"
    )
    assert (directory / "Lounge" / "1970-01-01.log").read_text() == (
        "1970-01-01 00:00:05 #1 Ada: hello\n    and a second line\n"
        "1970-01-01 00:01:10 #1 Bob (edited): changed\n"
        "1970-01-01 00:01:10 #1 Bob: (taken back)\n"
    )
    assert "between us" not in written(directory)


async def test_nothing_is_lost_or_written_twice_over_a_restart(tmp_path: Path) -> None:
    directory = tmp_path / "records"
    async with open_store(tmp_path / "data") as store:
        await settle(store)
        Journal(directory, await store.latest())  # a life that wrote nothing
        await say(store, "one", sent_at=1.0)
        await say(store, "two", sent_at=2.0)
        changes = await store.changes(0)
        journal = Journal(directory, await store.latest())
        journal.write(changes[:1])
        # The next life dies while it writes: sizes are noted, and half a line is there.
        log = directory / "Lounge" / "1970-01-01.log"
        state = json.loads((directory / "written.json").read_text())
        state["sizes"] = {"Lounge/1970-01-01.log": log.stat().st_size}
        (directory / "written.json").write_text(json.dumps(state))
        with log.open("a") as file:
            file.write("1970-01-01 00:00:02 #1 Ada: tw")
        await say(store, "three", sent_at=3.0)
        journal = Journal(directory, await store.latest())
        async with background() as tasks:
            watched = Watched(store)
            tasks.create_task(write_along(journal, watched))
            await watched.all_written()

    assert written(directory) == "".join(
        f"1970-01-01 00:00:0{number} #1 Ada: {word}\n"
        for number, word in enumerate(("one", "two", "three"), 1)
    )


async def test_a_journal_that_cannot_be_trusted_is_not_written_on(tmp_path: Path) -> None:
    (tmp_path / "written.json").write_text('{"seq": "many"}')
    with pytest.raises(StoreUnusable, match=r"written\.json is damaged"):
        Journal(tmp_path, 0)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnusable, match=r"cannot be written \(.*set records\.directory"):
        Journal(tmp_path / "file" / "records", 0)


@given(st.text(max_size=60), st.text(min_size=1, max_size=20))
def test_no_message_can_look_like_another_line(text: str, name: str) -> None:
    said = Message(
        address=HERE,
        text=text,
        author=Identity(adapter="chat", account="a", name=name),
        sent_at=0.0,
        thread=3,
    )
    head, *further = line(said, 0.0).removesuffix("\n").split("\n")

    assert head.startswith("1970-01-01 00:00:00 #3 ")
    assert all(one.startswith("    ") for one in further)
    assert all(one.isprintable() for one in (head, *further))


async def test_a_full_disk_holds_the_records_up_and_nobody_else(tmp_path: Path) -> None:
    directory = tmp_path / "records"
    async with open_store(tmp_path / "data") as store:
        await settle(store)
        journal = Journal(directory, await store.latest())
        (directory / "Lounge").write_text("in the way")  # as good as a full disk
        await say(store, "one", sent_at=1.0)
        changes = await store.changes(0)
        with pytest.raises(OSError, match="Lounge"):
            journal.write(changes)
        (directory / "Lounge").unlink()
        journal.write(changes)

    assert written(directory) == "1970-01-01 00:00:01 #1 Ada: one\n"
