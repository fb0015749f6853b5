"""A daemon that people ask over its API. Knows no bots and no training."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp

from benchmarks.voices.operator import Wrong

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from benchmarks.voices.operator import Operator

PATIENCE = 120.0
"""Seconds that a start, an answer, a switch or a stop may take."""
LOG = "daemon.log"
_AGAIN = 0.1
"""Seconds between two looks for an answer, or for a line of the log."""


@dataclass(frozen=True, slots=True)
class House:
    """A daemon that runs."""

    process: asyncio.subprocess.Process
    log: Path
    url: str
    http: aiohttp.ClientSession

    async def ask(self, room: str, author: str, text: str) -> str:
        """What the room's host answers, in a thread of its own. Raises `Wrong` when the daemon
        itself says something instead, or nobody does."""
        at = f"{self.url}api/rooms/{room}"
        async with _patience(f'an answer to "{text}"'):
            thread = (await self._post(f"{at}/threads", {"title": text}))["id"]
            said = {"author": author, "text": text, "thread": thread}
            asked = (await self._post(f"{at}/messages", said))["id"]
            url = f"{at}/messages?after={asked}&thread={thread}"
            while True:
                async with self.http.get(url, raise_for_status=True) as got:
                    messages = await got.json()
                for message in messages:
                    if message["kind"] != "said":
                        raise Wrong(f"instead of an answer: {message['text']}")
                    return str(message["text"])
                await asyncio.sleep(_AGAIN)

    async def _post(self, url: str, body: Mapping[str, Any]) -> dict[str, Any]:
        async with self.http.post(url, json=body, raise_for_status=True) as answer:
            got: dict[str, Any] = await answer.json()
        return got

    async def served(self, version: str) -> None:
        """Wait until the daemon has said that it serves this version, last of all."""
        async with _patience(f"{version} to be served"):
            while _switches(self.log)[-1:] != [version]:  # noqa: ASYNC110 -- the log is a file
                await asyncio.sleep(_AGAIN)

    async def stop(self) -> None:
        """Politely. Raises `Wrong` when it complains."""
        self.process.send_signal(signal.SIGTERM)
        async with _patience("the daemon to stop"):
            code = await self.process.wait()
        if code:
            raise Wrong(f"the daemon ended with {code}; see {self.log}")


def _switches(log: Path) -> list[str]:
    """The versions that a daemon went over to, by name, in order."""
    lines = log.read_text(encoding="utf-8").splitlines()
    events = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
    said = (it["message"] for it in events if it.get("event") == "model.switched")
    return [words.rpartition("/")[2] for words in said]


@asynccontextmanager
async def _patience(what: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(PATIENCE):
            yield
    except TimeoutError as error:
        raise Wrong(f"waited {PATIENCE:.0f} seconds for {what}") from error


@asynccontextmanager
async def house(operator: Operator, config: Path) -> AsyncIterator[House]:
    """Start a daemon with `log_format = "json"`; it is killed if nobody stops it."""
    log = operator.place / LOG
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "botdaemon", "run", "--config", str(config)),
            cwd=operator.place, env=operator.environment,
            stdout=asyncio.subprocess.DEVNULL, stderr=file,
        )  # fmt: skip
    try:
        async with _patience("the daemon to start"):
            url = ""
            while not url:
                if process.returncode is not None:
                    raise Wrong(f"the daemon did not start: {log.read_text()}")
                await asyncio.sleep(_AGAIN)
                lines = log.read_text(encoding="utf-8").splitlines()
                url = next((line.split()[2] for line in lines if "in a browser." in line), "")
        async with aiohttp.ClientSession() as http:
            yield House(process, log, url, http)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
