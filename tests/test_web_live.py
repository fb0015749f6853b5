"""Promises of the live socket, over real sockets and a real store."""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import WSMsgType
from web_house import ROOM, House, house, running

from botdaemon.errors import Refused
from botdaemon.types import Control, Deleted, Edited, Posted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def it(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path, hello_seconds=0.2) as it:
        yield it


class Page:
    """What a page hears."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        #: the ids of the messages heard of, in order
        self.heard: list[int] = []
        #: the types of all frames
        self.kinds: list[str] = []
        self.seq = 0

    async def open(self, after: int | None = None, room: str = ROOM) -> dict[str, Any]:
        await self.socket.send_json({"type": "open", "room": room, "after": after})
        return await self.next("ready")

    async def next(self, kind: str) -> dict[str, Any]:
        """The next frame of that kind; others before it are let pass."""
        while True:
            frame: dict[str, Any] = await self.socket.receive_json(timeout=10)
            self.kinds.append(frame["type"])
            if frame["type"] in ("ready", "changes"):
                assert frame["seq"] >= self.seq
                self.seq = frame["seq"]
                self.heard += [change["id"] for change in frame["changes"]]
            if frame["type"] == kind:
                return frame

    async def hears(self, count: int) -> list[int]:
        while len(self.heard) < count:
            await self.next("changes")
        return self.heard


@asynccontextmanager
async def page(it: House) -> AsyncIterator[Page]:
    async with it.http.ws_connect("/api/live") as socket:
        yield Page(socket)


# --- what is said ------------------------------------------------------------------------------


async def test_a_message_reaches_every_page_of_its_room(it: House) -> None:
    async with page(it) as ada, page(it) as ben:
        await ada.open()
        await ben.open()
        posted = await it.write("hello")
        for one in (ada, ben):
            frame = await one.next("changes")
            assert frame["room"] == ROOM
            assert [(change["id"], change["text"]) for change in frame["changes"]] == [
                (posted["id"], "hello")
            ]


async def test_another_room_only_learns_that_there_is_something_to_read(it: House) -> None:
    await it.post("/api/rooms", {"name": "kitchen", "bots": ["sunny"]})
    async with page(it) as ada:
        await ada.open(room="kitchen")
        await it.write("hello")
        frame = await ada.next("activity")
        assert (frame["room"], "text" in str(frame)) == (ROOM, False)
        assert ada.heard == []


async def test_edits_and_deletions_reach_the_page(it: House) -> None:
    async with page(it) as ada:
        await ada.open()
        posted = await it.write("helo", key="1")
        await ada.hears(1)
        said = next(event for event in it.events if isinstance(event, Posted)).message
        edited = Edited(
            key="e", address=said.address, platform_id=said.platform_id, text="hello", at=1.0
        )
        await it.store.record_edited(edited, lambda said, others: ())
        change = (await ada.next("changes"))["changes"][0]
        assert (change["id"], change["text"], change["edited"]) == (posted["id"], "hello", True)
        deleted = Deleted(key="d", address=said.address, platform_id=said.platform_id, at=2.0)
        await it.store.record_deleted(deleted)
        change = (await ada.next("changes"))["changes"][0]
        assert (change["id"], change["deleted"], "text" in change) == (posted["id"], True, False)


async def test_a_page_that_comes_back_hears_what_it_missed_once(it: House) -> None:
    async with page(it) as ada:
        await ada.open()
        first = await it.write("one")
        await ada.hears(1)
    missed = [(await it.write(f"missed {count}"))["id"] for count in range(5)]
    async with page(it) as again:
        ready = await again.open(after=ada.seq)
        assert ready["complete"]
        last = await it.write("after")
        assert await again.hears(6) == [*missed, last["id"]]
        assert first["id"] not in again.heard


async def test_there_is_no_gap_and_no_repeat_while_messages_pour_in(it: House) -> None:
    async def pour() -> list[int]:
        return [(await it.write(f"number {count}"))["id"] for count in range(300)]

    async with page(it) as first:
        await first.open()
        first_seq = first.seq
    heard: list[int] = []
    seq = first_seq
    async with asyncio.TaskGroup() as tasks:
        pouring = tasks.create_task(pour())
        while not pouring.done() or len(heard) < 300:
            async with page(it) as one:  # a connection that is lost again and again
                await one.open(after=seq)
                if len(heard) + len(one.heard) < 300:
                    await one.next("changes")
                heard += one.heard
                seq = one.seq
    assert heard == pouring.result()


async def test_a_page_that_opens_another_room_hears_only_that_one(it: House) -> None:
    await it.post("/api/rooms", {"name": "kitchen", "bots": ["sunny"]})
    async with page(it) as ada:
        await ada.open()
        await it.write("in the lobby")
        await ada.hears(1)
        await ada.open(room="kitchen")
        await it.write("in the lobby")
        body = {"author": "Ada", "text": "in the kitchen"}
        _, answer = await it.post("/api/rooms/kitchen/messages", body)
        assert (await ada.hears(2))[1] == answer["id"]


async def test_a_page_away_for_too_long_is_told_to_look_anew(it: House) -> None:
    async with page(it) as ada:
        await ada.open()
    thread = await it.main()
    for _ in range(12):
        await asyncio.gather(*(it.say(thread, "again") for _ in range(100)))
    async with page(it) as again:
        ready = await again.open(after=ada.seq)
        assert (ready["complete"], ready["changes"]) == (False, [])
        assert ready["seq"] == await it.store.latest()


async def test_a_position_of_another_database_is_answered_with_looking_anew(it: House) -> None:
    async with page(it) as ada:
        ready = await ada.open(after=10_000)
        assert (ready["complete"], ready["seq"]) == (False, await it.store.latest())
        await it.write("hello")
        await ada.hears(1)


async def test_a_new_room_and_a_new_thread_are_announced(it: House) -> None:
    async with page(it) as ada:
        await ada.open()
        await it.post("/api/rooms", {"name": "kitchen", "bots": ["sunny"]})
        await ada.next("rooms")
        await it.post(f"/api/rooms/{ROOM}/threads", {"title": "dinner"})
        await ada.next("threads")


# --- what passes -------------------------------------------------------------------------------


async def test_an_answer_is_seen_as_it_grows_and_then_said(it: House) -> None:
    thread = await it.main()
    async with page(it) as ada:
        await ada.open()
        await it.answer(thread, "good morning everybody")
        on = await ada.next("working")
        assert (on["thread"], on["bot"], on["on"]) == (thread, "sunny", True)
        drafts = [(await ada.next("draft"))["text"] for _ in range(3)]
        assert drafts == ["good", "good morning", "good morning everybody"]
        assert await ada.hears(1)
        async with page(it) as late:
            assert (await late.open())["working"] == []


async def test_who_comes_late_sees_the_draft_as_it_stands(it: House) -> None:
    thread = await it.main()
    async with it.adapter.typing(it.at(thread), "sunny"):
        await it.draft(thread, "good mor")
        async with page(it) as ada:
            ready = await ada.open()
            assert ready["working"] == [
                {
                    "thread": thread,
                    "bot": "sunny",
                    "drafts": {"d": {"text": "good mor", "preview": ""}},
                }
            ]
    assert await it.store.latest() == 0


async def test_a_bot_with_two_turns_is_at_work_until_both_are_done(it: House) -> None:
    thread = await it.main()
    async with page(it) as ada:
        await ada.open()
        async with it.adapter.typing(it.at(thread), "sunny"):
            async with it.adapter.typing(it.at(thread), "sunny"):
                pass
            await it.write("in between")
            await ada.hears(1)
            # The end of the first turn is nobody's news.
            assert ada.kinds == ["ready", "working", "working", "changes"]
        assert (await ada.next("working"))["on"] is False


async def test_who_types_is_seen_by_the_others(it: House) -> None:
    thread = await it.main()
    async with page(it) as ada, page(it) as ben:
        await ada.open()
        await ben.open()
        await ada.socket.send_json({"type": "typing", "thread": thread, "name": "Ada"})
        frame = await ben.next("typing")
        assert (frame["thread"], frame["name"]) == (thread, "Ada")
        await it.write("x")
        await ada.hears(1)
        assert "typing" not in ada.kinds


@pytest.mark.parametrize("control", list(Control))
async def test_a_pressed_button_reaches_the_house(it: House, control: Control) -> None:
    thread = await it.main()
    async with page(it) as ada:
        await ada.open()
        press = {"type": "press", "thread": thread, "name": "Ada", "control": control.value}
        await ada.socket.send_json({**press, "message": 7})
        event = await it.pressed.get()
        assert (event.control, event.platform_id, event.address) == (control, "7", it.at(thread))
        assert event.who.account == "ada"
        await ada.socket.send_json(press)
        assert (await it.pressed.get()).platform_id == ""


async def test_a_refused_button_is_explained_and_the_page_stays(it: House) -> None:
    thread = await it.main()
    async with page(it) as ada:
        await ada.open()
        it.trouble = Refused("there is nothing to stop")
        press = {"type": "press", "thread": thread, "name": "Ada", "control": "stop"}
        await ada.socket.send_json(press)
        assert (await ada.next("error"))["error"] == "there is nothing to stop"
        it.trouble = None
        await it.write("hello")
        await ada.hears(1)


# --- how it ends -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "code", "named"),
    [
        ("hello?", 1008, "not valid JSON"),
        ("", 1008, "nothing was sent"),
        ("[]", 1008, "not an array"),
        ("{}", 1008, '"type"'),
        ('{"type": "shout"}', 1008, '"type"'),
        ('{"type": 7}', 1008, '"type"'),
        ('{"type": "open"}', 1008, '"room" is missing'),
        ('{"type": "open", "room": 7}', 1008, '"room" must be a valid string'),
        ('{"type": "open", "room": "lobby", "after": -1}', 1008, '"after" must be'),
        ('{"type": "open", "room": "lobby", "after": 1e400}', 1008, '"after" must be'),
        ('{"type": "open", "room": "lobby", "x": 1}', 1008, '"x" is not a known field'),
        ('{"type": "typing", "thread": 1, "name": "Ada"}', 1008, "open a room first"),
        ("[" * 50_000, 1008, "nesting too deep"),
        ('{"type": "' + "a" * 70_000 + '"}', 1009, "65,536 characters"),
        (b"\x00\xff", 1003, "not binary"),
    ],
)
async def test_nonsense_is_answered_once_and_the_socket_closed(
    it: House, frame: str | bytes, code: int, named: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with page(it) as ada:
        if isinstance(frame, bytes):
            await ada.socket.send_bytes(frame)
        else:
            await ada.socket.send_str(frame)
        answer = await ada.socket.receive_json(timeout=10)
        assert answer["type"] == "error"
        assert named in answer["error"]
        end = await ada.socket.receive(timeout=10)
        assert (end.type, end.data) == (WSMsgType.CLOSE, code)
    await it.write("the house goes on")
    assert not caplog.records


async def test_bytes_that_are_no_text_and_frames_without_end_only_close_their_socket(
    it: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with page(it) as ada, page(it) as ben:
        await ada.socket._writer.send_frame(b"\xff\xfe", WSMsgType.TEXT)
        assert (await ada.socket.receive(timeout=10)).data == 1007
        await ben.socket.send_str("a" * 2**21)
        assert (await ben.socket.receive(timeout=10)).data == 1009
    assert not caplog.records


async def test_silence_is_ended_with_a_word(it: House) -> None:
    async with page(it) as ada:
        answer = await ada.socket.receive_json(timeout=10)
        assert "no room was opened within 0.2 s" in answer["error"]
        assert (await ada.socket.receive(timeout=10)).data == 1008


async def test_an_unknown_room_is_said_and_another_can_be_opened(it: House) -> None:
    async with page(it) as ada:
        await ada.socket.send_json({"type": "open", "room": "nowhere"})
        assert '"nowhere"' in (await ada.next("error"))["error"]
        await ada.open()


async def test_a_connection_cut_without_a_word_leaves_nothing_behind(
    it: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with page(it) as ada, page(it) as ben:
        await ada.open()
        await ben.open()
        ada.socket.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        posted = await it.write("hello")
        assert await ben.hears(1) == [posted["id"]]
    assert not caplog.records


async def test_a_page_that_does_not_read_is_dropped_and_the_others_are_not_slowed(
    it: House,
) -> None:
    thread = await it.main()
    async with page(it) as slow, page(it) as ben:
        slow_ready = await slow.open()
        await ben.open()
        ben_hears = asyncio.ensure_future(ben.hears(3000))
        for _ in range(30):
            await asyncio.gather(*(it.say(thread, "x" * 4000) for _ in range(100)))
        assert len(await ben_hears) == 3000
        with pytest.raises((TypeError, AssertionError)):  # it ends before it has heard all
            await slow.hears(3000)
        resumed = slow.seq or slow_ready["seq"]
    async with page(it) as again:
        assert (await again.open(after=resumed))["seq"] == await it.store.latest()


async def test_when_the_daemon_stops_pages_are_sent_away_to_come_back(tmp_path: Path) -> None:
    async with house(tmp_path, start=False) as it:
        async with running(it):
            socket = await it.http.ws_connect("/api/live")
            ada = Page(socket)
            await ada.open()
            posted = await it.write("hello")
            await ada.hears(1)
        assert (await socket.receive(timeout=10)).data == 1001
        async with running(it), page(it) as again:
            await again.open(after=0)
            assert again.heard == [posted["id"]]


async def test_before_the_adapter_runs_a_page_is_asked_to_wait(tmp_path: Path) -> None:
    async with house(tmp_path, start=False) as it:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await it.http.ws_connect("/api/live")
        assert refused.value.status == 503
