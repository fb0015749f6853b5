"""Promises of the HTTP server: its guards, its health, how it starts; over real sockets."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import aiohttp
import pytest
from web_house import ROOM, House, house

from botdaemon.errors import AdapterRefused, ConfigError
from botdaemon.web import Server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

MESSAGES = f"/api/rooms/{ROOM}/messages"


@pytest.fixture
async def it(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as running:
        yield running


async def test_health_is_that_the_loop_answers(it: House) -> None:
    assert await it.get("/healthz") == (200, {"alive": True})


async def test_readiness_names_what_is_not_ready(it: House) -> None:
    assert (await it.get("/readyz"))[0] == 200
    it.parts |= {"model starter": "loading", "discord": False}
    status, answer = await it.get("/readyz")
    assert (status, answer["ready"]) == (503, False)
    assert answer["error"] == "not ready: model starter (loading), discord"


async def test_the_page_may_run_only_its_own_scripts(it: House) -> None:
    async with it.http.get("/") as response:
        assert response.status == 200
        page = await response.text()
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert response.headers["Referrer-Policy"] == "no-referrer"
    assert "<script>" not in page
    assert "style=" not in page


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "192.0.2.7", "", "["])
async def test_a_name_that_was_pointed_at_this_machine_is_not_answered(
    it: House, host: str
) -> None:
    async with it.http.get("/api/rooms", headers={"Host": host}) as response:
        assert response.status == 421
        assert "error" in await response.json()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8642", "[::1]:8642", "LOCALHOST"])
async def test_the_machine_s_own_names_are_answered(it: House, host: str) -> None:
    assert (await it.get("/api/rooms", headers={"Host": host}))[0] == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "x"])
async def test_a_page_of_another_site_can_neither_post_nor_listen(it: House, origin: str) -> None:
    headers = {"Origin": origin}
    status, _ = await it.post(MESSAGES, {"author": "Ada", "text": "hi"}, headers=headers)
    assert status == 403
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await it.http.ws_connect("/api/live", headers=headers)
    assert refused.value.status == 403
    assert not it.events


async def test_the_page_s_own_origin_may_post(it: House) -> None:
    headers = {"Origin": it.url.rstrip("/")}
    status, _ = await it.post(MESSAGES, {"author": "Ada", "text": "hi"}, headers=headers)
    assert status == 202


async def test_beyond_loopback_a_token_is_needed_for_everything_but_health(it: House) -> None:
    async with (
        Server(
            "0.0.0.0",
            0,
            mounts=[it.adapter.mount],
            ready=dict,
            token="correct horse",
            hosts=["bots.example"],
        ) as server,
        aiohttp.ClientSession(server.url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as client,
    ):

        async def status(path: str, **headers: str) -> int:
            async with client.get(path, headers=headers, allow_redirects=False) as response:
                return response.status

        assert await status("/healthz") == 200
        for path in ("/", "/api/rooms", "/readyz", "/static/app.css", "/nothing"):
            assert await status(path) == 401
        assert await status("/api/rooms", Authorization="Bearer wrong") == 401
        assert await status("/api/rooms", Authorization="Basic correct horse") == 401
        assert await status("/api/rooms", Authorization="Bearer correct horse") == 200
        assert await status("/api/rooms?token=correct+horse") == 401
        assert await status("/?token=wrong") == 401
        assert await status("/?token=%ff") == 401
        assert await status("/api/rooms", Cookie="botdaemon=\udcff") == 401
        bearer = {"Authorization": "Bearer correct horse"}
        assert await status("/api/rooms", Host="bots.example", **bearer) == 200
        assert await status("/api/rooms", Host="192.0.2.7", **bearer) == 200
        assert await status("/api/rooms", Host="evil.example", **bearer) == 421

        async with client.get("/?token=correct+horse", allow_redirects=False) as response:
            assert (response.status, response.headers["Location"]) == (303, "/")
            cookie = response.cookies["botdaemon"]
            assert cookie["httponly"]
            assert cookie["samesite"] == "Strict"
            assert "correct" not in cookie.value
        assert await status("/") == 200
        assert await status("/api/rooms") == 200


async def test_a_server_that_others_can_reach_does_not_start_without_a_token() -> None:
    with pytest.raises(ConfigError, match="token_file"):
        Server("0.0.0.0", 0, mounts=[], ready=dict)


async def test_a_port_in_use_is_one_sentence_that_says_what_to_do() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(AdapterRefused) as refused:
            async with Server("127.0.0.1", port, mounts=[], ready=dict):
                pass
    assert str(refused.value) == (
        f"127.0.0.1:{port} is already in use (is another botdaemon running?); "
        "stop it or set adapters.web.port"
    )


async def test_an_address_of_another_machine_is_one_sentence() -> None:
    with pytest.raises(AdapterRefused, match=r"adapters\.web\.host"):
        async with Server("192.0.2.7", 0, mounts=[], ready=dict, token="t"):
            pass


async def test_bytes_that_are_no_http_leave_the_server_well(it: House) -> None:
    for nonsense in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 5, b"hello?\r\n\r\n"):
        reader, writer = await asyncio.open_connection("127.0.0.1", it.server.port)
        writer.write(nonsense)
        answer = await reader.read()
        assert b"Traceback" not in answer
        writer.close()
        await writer.wait_closed()
    await it.write("still here")
