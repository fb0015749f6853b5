"""What people thought of answers, and whole threads, as they are given away to learn from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from talk import ADA, BOB, HERE, ask, delete, edit, notice, press, react, reply, say, settle

from botdaemon.errors import StoreUnusable
from botdaemon.store import open_store, threads_export
from botdaemon.store.database import looking
from botdaemon.store.ratings import Line, ratings, write
from botdaemon.types import Control, Identity, Kind
from models.exports import threads
from models.exports.collection import open_collection
from models.exports.importing import collect
from models.exports.neutral import Options, Said, Tally

if TYPE_CHECKING:
    from pathlib import Path

    from botdaemon.store.ratings import Rating


def rated(directory: Path) -> list[Rating]:
    with looking(directory) as db:
        return list(ratings(db))


def said(directory: Path, **options: bool) -> tuple[list[Said], Tally]:
    tally = Tally()
    with looking(directory) as db:
        read = threads.reader(threads_export.spoken(db), threads_export.total(db))
        return list(read(directory, tally, Options(**options))), tally  # type: ignore[arg-type]  # flags


# --- ratings ---------------------------------------------------------------------------------


async def test_thumbs_are_given_away_with_what_the_bot_had_before_it(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await say(store, "good evening", BOB)
        await ask(store, "how are you?", "fine")
        await ask(store, "and now?", "tired")
        await press(store, "fine", Control.GOOD)
        await react(store, "tired", "\U0001f44e\U0001f3fd", ADA)
        await react(store, "tired", "\U0001f389")
        good, bad = rated(tmp_path)  # beside the store that is open

    assert (good.verdict, good.by, good.at, good.answer, good.bot) == (
        "good", "chat:b1", 60.0, "fine", "bot",
    )  # fmt: skip
    assert good.prompt == (
        Line(name="Bob", text="good evening", bot=False),
        Line(name="Ada", text="how are you?", bot=False),
    )
    assert (bad.verdict, bad.by) == ("bad", "chat:a1")
    assert bad.prompt[2:] == (
        Line(name="bot", text="fine", bot=True),
        Line(name="Ada", text="and now?", bot=False),
    )
    assert rated(tmp_path) == [good, bad]  # and without one


async def test_an_answer_that_was_asked_for_again_or_stopped_or_edited_says_so(
    tmp_path: Path,
) -> None:
    async with open_store(tmp_path) as store:
        first = await ask(store, "tell me a joke", "no")
        [message] = [m for m in await store.recent_at(HERE, 9) if m.id == first]
        again = await store.answer_again(message.thread, first)
        assert again is not None
        await reply(store, again.turn, message.thread, "knock knock")
        await ask(store, "a longer one", "once upon", close="stopped")
        await edit(store, "sent knock knock", "knock")
    assert [(one.verdict, one.answer, one.by) for one in rated(tmp_path)] == [
        ("regenerated", "no", ""),
        ("edited", "knock", ""),
        ("stopped", "once upon", ""),
    ]
    assert rated(tmp_path)[1].prompt == (Line(name="Ada", text="tell me a joke", bot=False),)


async def test_what_nobody_may_read_any_more_is_not_given_away(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await say(store, "a secret", BOB, platform_id="secret")
        answer = await ask(store, "what did Bob say?", "a secret")
        await press(store, "a secret", Control.BAD)
        await delete(store, "secret")
        assert [line.text for line in rated(tmp_path)[0].prompt] == ["what did Bob say?"]
        await store.take_back(answer)
    assert rated(tmp_path) == []


async def test_ratings_are_written_one_a_line(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await ask(store, "naïve?", "jaïn")
        await press(store, "jaïn", Control.GOOD)
    path = tmp_path / "ratings.jsonl"
    with looking(tmp_path) as db:
        assert write(path, ratings(db)) == 1
    [line] = path.read_text("utf-8").splitlines()
    assert json.loads(line) == {
        "thread": 1,
        "bot": "bot",
        "prompt": [{"name": "Ada", "text": "naïve?", "bot": False}],
        "answer": "jaïn",
        "verdict": "good",
        "by": "chat:b1",
        "at": 60.0,
    }


def test_what_is_no_data_directory_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match=r"holds no botdaemon\.db"), looking(tmp_path):
        pass
    (tmp_path / "botdaemon.db").write_bytes(b"no database, but long enough to look like one" * 9)
    with pytest.raises(StoreUnusable, match="cannot be read"), looking(tmp_path):
        pass


# --- threads ---------------------------------------------------------------------------------


async def test_threads_are_read_as_what_people_said_to_each_other(tmp_path: Path) -> None:
    other = Identity(adapter="chat", account="x", name="Other", is_bot=True)
    async with open_store(tmp_path) as store:
        await settle(store)
        cat = await store.keep(b"cat", "cat.png", "image/png")
        first = await say(store, "hello", BOB, platform_id="hello")
        second = await say(store, "hi!", reply_to="hello", files=(cat,))
        await say(store, "/help", kind=Kind.COMMAND)
        await say(store, "beep", other)
        await say(store, "forget this", platform_id="this")
        await delete(store, "this")
        await ask(store, "bot?", "yes?")
        await say(store, "thanks", platform_id="thanks")
        await edit(store, "thanks", "thanks!")
        [_, _, *_, last] = await store.recent_at(HERE, 50)
        await notice(store, last.thread, "busy")

        found, tally = said(tmp_path)
        with_bots, _ = said(tmp_path, bots=True)

    assert found[:2] == [
        Said(
            conversation="thread:1", id=str(first), at=found[0].at, speaker="chat:b1", name="Bob",
            text="hello", title="Lounge", direct=True,
        ),
        Said(
            conversation="thread:1", id=str(second), at=found[1].at, speaker="chat:a1", name="Ada",
            text="hi!\n[picture]", reply_to=str(first), title="Lounge", direct=True,
        ),
    ]  # fmt: skip
    assert [(one.text, one.edited) for one in found[2:]] == [("bot?", False), ("thanks!", True)]
    assert tally.left_out == {
        "bot": 2, "command": 1, "deleted": 1, "notice of the daemon": 1,
    }  # fmt: skip
    assert tally.changed == {"edited": 1, "attachment as a placeholder": 1}

    question, answer = with_bots[-3:-1]
    assert (answer.speaker, answer.name, answer.text) == ("bot:bot", "bot", "yes?")
    assert answer.reply_to == question.id
    assert "beep" in [one.text for one in with_bots]


async def test_own_threads_are_collected_beside_the_daemon_and_only_once(tmp_path: Path) -> None:
    out = tmp_path / "dataset"
    async with open_store(tmp_path / "data") as store:
        for number in range(30):
            await say(store, f"number {number}", BOB)
        for kept, there in ((30, 0), (0, 30)):
            with looking(tmp_path / "data") as db:
                report = collect(
                    "threads",
                    tmp_path / "data",
                    out,
                    Options(),
                    lambda done, total: None,
                    read=threads.reader(threads_export.spoken(db), threads_export.total(db)),
                )
            assert (report.kept, report.there_already, report.read) == (kept, there, 30)
    with open_collection(out) as collection:
        [speaker] = collection.speakers()
        assert (speaker.source, speaker.id, speaker.names) == ("threads", "chat:b1", ("Bob",))
