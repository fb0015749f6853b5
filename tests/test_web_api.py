"""Promises of the JSON API and its guards, over real sockets and a real store."""

from __future__ import annotations

import json
import logging
from datetime import datetime
from typing import TYPE_CHECKING

import pytest
from web_house import BOTS, LIMIT, ROOM, House, house

from botdaemon.errors import Refused, StoreFull
from botdaemon.types import Posted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

MESSAGES = f"/api/rooms/{ROOM}/messages"


@pytest.fixture
async def it(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as running:
        yield running


# --- rooms, threads, messages ------------------------------------------------------------------


async def test_a_configured_room_is_listed_with_its_bots(it: House) -> None:
    status, rooms = await it.get("/api/rooms")
    assert status == 200
    assert [(room["name"], room["bots"], room["host"]) for room in rooms] == [
        (ROOM, ["sunny", "grump"], "sunny")
    ]
    assert await it.get("/api/bots") == (
        200,
        [{"name": name, "about": about} for name, about in BOTS.items()],
    )


async def test_a_room_can_be_created_and_used(it: House) -> None:
    status, room = await it.post("/api/rooms", {"name": "kitchen", "bots": ["grump"]})
    assert (status, room["name"], room["bots"], room["host"]) == (
        201,
        "kitchen",
        ["grump"],
        "grump",
    )
    status, answer = await it.post(
        "/api/rooms/kitchen/messages", {"author": "Ada", "text": "Is anything left?"}
    )
    assert status == 202
    status, messages = await it.get("/api/rooms/kitchen/messages")
    assert [(one["id"], one["text"]) for one in messages] == [(answer["id"], "Is anything left?")]


async def test_the_name_of_a_room_is_taken_once_in_whatever_case(it: House) -> None:
    status, answer = await it.post("/api/rooms", {"name": ROOM.upper(), "bots": ["sunny"]})
    assert status == 409
    assert ROOM.upper() in answer["error"]


@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        ({"name": "x"}, 400, '"bots" is missing'),
        ({"name": "", "bots": ["sunny"]}, 400, '"name" must not be empty or blank'),
        ({"name": "a/b", "bots": ["sunny"]}, 422, '"a/b"'),
        ({"name": "x", "bots": []}, 422, "at least one bot"),
        ({"name": "x", "bots": ["nobody"]}, 422, '"nobody"'),
        ({"name": "x", "bots": ["sunny"], "host": "grump"}, 422, '"grump"'),
        ({"name": "x", "bots": "sunny"}, 400, '"bots" must be a valid list'),
    ],
)
async def test_a_room_that_cannot_be_is_refused_in_a_sentence(
    it: House, body: dict[str, object], status: int, named: str
) -> None:
    got, answer = await it.post("/api/rooms", body)
    assert got == status
    assert named in answer["error"]
    assert len((await it.get("/api/rooms"))[1]) == 1


async def test_a_posted_message_is_answered_with_its_id_once_it_is_recorded(it: House) -> None:
    answer = await it.write("Hello, *everybody*", author="  Ada   Lovelace ")
    _, messages = await it.get(MESSAGES)
    assert len(messages) == 1
    message = messages[0]
    assert message["id"] == answer["id"]
    assert message["thread"] == answer["thread"] == await it.main()
    assert (message["author"], message["bot"]) == ("Ada Lovelace", False)
    assert (message["text"], message["kind"]) == ("Hello, *everybody*", "said")
    assert (message["files"], message["edited"]) == ([], False)
    offset = datetime.fromisoformat(message["at"]).utcoffset()
    assert offset is not None
    assert offset.total_seconds() == 0


async def test_what_a_bot_says_is_marked_as_a_bot_s(it: House) -> None:
    await it.say(await it.main(), "Good morning!")
    _, messages = await it.get(MESSAGES)
    assert [(one["author"], one["bot"]) for one in messages] == [("sunny", True)]


async def test_messages_come_oldest_first_and_can_be_followed_by_id(it: House) -> None:
    ids = [(await it.write(f"number {count}"))["id"] for count in range(7)]
    assert ids == sorted(set(ids))
    read: list[int] = []
    while True:
        after = read[-1] if read else 0
        _, page = await it.get(MESSAGES, params={"after": after, "limit": 3})
        if not page:
            break
        read += [message["id"] for message in page]
    assert read == ids


async def test_a_thread_holds_what_was_said_in_it(it: House) -> None:
    status, thread = await it.post(f"/api/rooms/{ROOM}/threads", {"title": "About dinner"})
    assert (status, thread["title"], thread["main"]) == (201, "About dinner", False)
    await it.write("to everybody")
    inside = await it.write("soup?", thread=thread["id"])
    assert inside["thread"] == thread["id"]
    _, messages = await it.get(MESSAGES, params={"thread": thread["id"]})
    assert [message["text"] for message in messages] == ["soup?"]
    _, threads = await it.get(f"/api/rooms/{ROOM}/threads")
    assert [(one["title"], one["main"], one["messages"]) for one in threads] == [
        ("About dinner", False, 1),
        ("", True, 1),
    ]


async def test_the_main_thread_is_listed_before_anything_was_said(it: House) -> None:
    _, threads = await it.get(f"/api/rooms/{ROOM}/threads")
    assert [thread["main"] for thread in threads] == [True]


async def test_a_page_reads_a_thread_backwards_with_a_position_to_go_on_from(it: House) -> None:
    ids = [(await it.write(f"number {count}"))["id"] for count in range(5)]
    thread = await it.main()
    path = f"/api/rooms/{ROOM}/threads/{thread}/recent"
    _, last = await it.get(path, params={"limit": 2})
    assert [message["id"] for message in last["messages"]] == ids[-2:]
    assert last["seq"] == await it.store.latest()
    _, earlier = await it.get(path, params={"limit": 9, "before": ids[-2]})
    assert [message["id"] for message in earlier["messages"]] == ids[:-2]


async def test_a_message_sent_again_with_its_key_is_recorded_once(it: House) -> None:
    first = await it.write("hello", key="1")
    assert await it.write("hello", key="1") == first
    assert len((await it.get(MESSAGES))[1]) == 1


async def test_a_key_is_its_sender_s_own(it: House) -> None:
    first = await it.write("hello", author="Ada", key="1")
    second = await it.write("hello", author="Ben", key="1")
    assert first["id"] != second["id"]


async def test_the_case_of_a_room_s_name_does_not_matter(it: House) -> None:
    path = f"/api/rooms/{ROOM.upper()}"
    status, answer = await it.post(f"{path}/messages", {"author": "Ada", "text": "hi"})
    assert status == 202
    again = {"author": "Ada", "text": "hi", "thread": answer["thread"]}
    assert (await it.post(f"{path}/messages", again))[0] == 202
    assert len((await it.get(f"{path}/messages"))[1]) == 2


async def test_the_same_person_writes_from_any_page_under_one_account(it: House) -> None:
    await it.write("one", author="Ada")
    await it.write("two", author="ADA")
    accounts = {
        event.message.author.account
        for event in it.events
        if isinstance(event, Posted) and event.message.author
    }
    assert accounts == {"ada"}


# --- what is refused, and how -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"", "nothing was sent"),
        (b"{", "not valid JSON"),
        (b'{"author": "Ada", "text": "\xff\xfe"}', "not valid UTF-8 (at byte 27)"),
        (b"[]", "not an array"),
        (b"7", "not a number"),
        (b'"hi"', "not a string"),
        (b"null", "not null"),
        (b"[" * 200_000, "nesting too deep"),
        (b'{"thread": ' + b"9" * 5000 + b"}", "number is too long"),
        (b'{"text": "hi"}', '"author" is missing'),
        (b'{"author": "Ada"}', '"text" is missing'),
        (b'{"author": "Ada", "text": ""}', '"text" must not be empty or blank'),
        (b'{"author": "Ada", "text": " \\n "}', '"text" must not be empty or blank'),
        (b'{"author": " ", "text": "hi"}', '"author" must not be empty or blank'),
        (b'{"author": "a\\u0007b", "text": "hi"}', '"author" must not contain control characters'),
        (b'{"author": 7, "text": "hi"}', '"author" must be a valid string'),
        (b'{"author": "Ada", "text": ["hi"]}', '"text" must be a valid string'),
        (b'{"author": "Ada", "text": "\\ud800"}', "half of a character"),
        (b'{"author": "Ada", "text": "hi", "thread": "1"}', '"thread" must be a valid integer'),
        (b'{"author": "Ada", "text": "hi", "thread": true}', '"thread" must be a valid integer'),
        (b'{"author": "Ada", "text": "hi", "thread": -1}', '"thread" must be greater'),
        (b'{"author": "Ada", "text": "hi", "thread": 9223372036854775808}', '"thread" must be'),
        (b'{"author": "Ada", "text": "hi", "txet": "hi"}', '"txet" is not a known field'),
        (b'{"author": "' + b"a" * 41 + b'", "text": "hi"}', "at most 40 characters and has 41"),
    ],
)
async def test_a_body_that_is_not_understood_is_named_in_one_sentence(
    it: House, body: bytes, named: str
) -> None:
    headers = {"Content-Type": "application/json"}
    async with it.http.post(MESSAGES, data=body, headers=headers) as response:
        assert response.status == 400
        answer = await response.json()
    assert list(answer) == ["error"]
    assert named in answer["error"]
    assert "\n" not in answer["error"]
    assert not it.events


async def test_thousands_of_mistakes_are_answered_with_a_few(it: House) -> None:
    body = {f"field{count}": count for count in range(5000)}
    status, answer = await it.post(MESSAGES, body)
    assert status == 400
    assert len(answer["error"]) < 500


async def test_a_message_of_a_megabyte_is_told_the_limit_and_where_it_is_set(it: House) -> None:
    status, answer = await it.post(MESSAGES, {"author": "Ada", "text": "a" * 1_000_000})
    assert status == 413
    for named in ("1,000,000", f"{LIMIT:,}", "limits.message_characters"):
        assert named in answer["error"]


async def test_a_body_of_many_megabytes_is_refused_without_being_read(it: House) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"a" * 2**17

    headers = {"Content-Type": "application/json"}
    async with it.http.post(MESSAGES, data=endless(), headers=headers) as response:
        assert response.status == 413
        assert "limits.message_characters" in (await response.json())["error"]


async def test_a_message_at_the_limit_is_taken(it: House) -> None:
    await it.write("\N{GRINNING FACE}" * LIMIT)
    status, _ = await it.post(MESSAGES, {"author": "Ada", "text": "a" * (LIMIT + 1)})
    assert status == 413


async def test_a_form_of_another_site_cannot_post(it: House) -> None:
    async with it.http.post(MESSAGES, data={"author": "Ada", "text": "hi"}) as response:
        assert response.status == 415
        assert "application/json" in (await response.json())["error"]
    assert not it.events


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/rooms/nowhere/messages", 404),
        ("GET", "/api/rooms/nowhere/threads", 404),
        ("GET", "/api/rooms/nowhere/threads/1/recent", 404),
        ("GET", f"/api/rooms/{ROOM}/threads/99/recent", 404),
        ("GET", f"{MESSAGES}?thread=99", 404),
        ("GET", f"{MESSAGES}?after=x", 400),
        ("GET", f"{MESSAGES}?after=-1", 400),
        ("GET", f"{MESSAGES}?limit=0", 400),
        ("GET", f"{MESSAGES}?limit=501", 400),
        ("GET", f"{MESSAGES}?after=99999999999999999999", 400),
        ("GET", f"{MESSAGES}?before=3", 400),
        ("GET", "/api/rooms/%ff%fe/messages", 404),
        ("GET", "/api/nothing", 404),
        ("GET", "/static/../adapter.py", 404),
        ("GET", "/static/%2e%2e/adapter.py", 404),
        ("GET", f"/files/{'0' * 64}", 404),
        ("GET", "/files/..%2f..%2fbotdaemon.db", 404),
        ("DELETE", MESSAGES, 405),
        ("PUT", "/api/rooms", 405),
        ("GET", "/api/live", 400),
    ],
)
async def test_every_wrong_request_is_answered_with_a_sentence_in_json(
    it: House, method: str, path: str, status: int
) -> None:
    async with it.http.request(method, path) as response:
        assert response.status == status
        answer = json.loads(await response.text())
    assert list(answer) == ["error"]
    assert len(answer["error"]) > 10


@pytest.mark.parametrize("room", ["nowhere", ROOM])
async def test_a_message_to_no_thread_of_the_room_is_refused(it: House, room: str) -> None:
    elsewhere = (await it.post("/api/rooms", {"name": "kitchen", "bots": ["sunny"]}))[1]["name"]
    thread = await it.main(elsewhere)
    body = {"author": "Ada", "text": "hi", "thread": thread}
    status, answer = await it.post(f"/api/rooms/{room}/messages", body)
    assert status == 404
    assert f'"{room}"' in answer["error"]
    assert not it.events


async def test_nobody_may_take_the_name_of_a_bot(it: House) -> None:
    status, answer = await it.post(MESSAGES, {"author": "Sunny", "text": "I am a bot"})
    assert status == 409
    assert "choose another name" in answer["error"]


async def test_a_full_disk_is_said_and_the_next_message_is_taken(it: House) -> None:
    it.trouble = StoreFull("no space left on the device")
    status, answer = await it.post(MESSAGES, {"author": "Ada", "text": "hi"})
    assert (status, answer["error"]) == (503, "not recorded; try again when there is space")
    it.trouble = None
    await it.write("hi")


async def test_what_the_house_refuses_is_passed_on_in_its_words(it: House) -> None:
    it.trouble = Refused("this room is closed for today")
    status, answer = await it.post(MESSAGES, {"author": "Ada", "text": "hi"})
    assert (status, answer["error"]) == (409, "this room is closed for today")


async def test_an_accident_is_logged_and_not_shown(
    it: House, caplog: pytest.LogCaptureFixture
) -> None:
    it.trouble = RuntimeError("secret detail")  # type: ignore[assignment]
    status, answer = await it.post(MESSAGES, {"author": "Ada", "text": "hi"})
    assert status == 500
    assert "secret" not in answer["error"]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


# --- files --------------------------------------------------------------------------------------


async def test_a_picture_is_shown_and_everything_else_is_a_download(it: House) -> None:
    thread = await it.main()
    kept = [
        await it.store.keep(b"\x89PNG", "sunset.png", "image/png"),
        await it.store.keep(b"<script>alert(1)</script>", 'a"b\r\nc.html', "text/html"),
        await it.store.keep(b"<svg onload=alert(1)>", "x.svg", "image/svg+xml"),
    ]
    await it.say(thread, "here", files=tuple(kept))
    _, messages = await it.get(MESSAGES)
    files = messages[0]["files"]
    assert [(one["name"], one["type"], one["size"]) for one in files] == [
        (one.name, one.media_type, one.size) for one in kept
    ]
    shown = []
    for file, content in zip(files, (b"\x89PNG", b"<script>alert(1)</script>"), strict=False):
        async with it.http.get(file["url"]) as response:
            assert await response.read() == content
    for file in files:
        async with it.http.get(file["url"]) as response:
            headers = response.headers
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert "sandbox" in headers["Content-Security-Policy"]
            shown.append((headers["Content-Type"], headers["Content-Disposition"].split(";")[0]))
    assert shown == [
        ("image/png", "inline"),
        ("application/octet-stream", "attachment"),
        ("application/octet-stream", "attachment"),
    ]


async def test_before_and_after_the_adapter_runs_messages_are_asked_to_wait(
    tmp_path: Path,
) -> None:
    async with house(tmp_path, start=False) as it:
        status, answer = await it.post(MESSAGES, {"author": "Ada", "text": "hi"})
        assert status == 503
        assert "try again" in answer["error"]
        assert (await it.get(MESSAGES))[0] == 200
