"""A socket in the data directory, by which the command line asks the running daemon for something.
Knows none of the things it can be asked for.

One line is the question, one JSON object the answer: `{"done": true, "words": "..."}`, or
`{"done": false, "words": "...", "code": 78}` with why not and the exit code that says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from botdaemon.errors import AdapterRefused, BotdaemonError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
    from pathlib import Path

    Ask = Callable[[], Awaitable[str]]

log = logging.getLogger(__name__)

NAME = "control"
#: seconds that the command line waits for an answer
PATIENCE = 120.0


@contextmanager
def _address(directory: Path) -> Iterator[str]:
    """The socket's address; its length does not depend on the directory's, as an address has no
    more than 107 bytes (unix(7))."""
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{fd}/{NAME}"
    finally:
        os.close(fd)


@asynccontextmanager
async def listening(directory: Path, asks: Mapping[str, Ask]) -> AsyncIterator[None]:
    """Answer what is asked, by whoever owns the daemon. The directory is ours alone: a socket that
    lies there is left of a daemon that was killed."""
    path = directory / NAME

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError):  # whoever asked has left, or talks nonsense
            reply = await _reply(asks, (await reader.readline()).decode("utf-8", "replace"))
            writer.write(json.dumps(reply).encode() + b"\n")
            await writer.drain()
        writer.close()

    door = socket.socket(socket.AF_UNIX)
    os.fchmod(door.fileno(), 0o600)  # what is bound takes this over
    try:
        path.unlink(missing_ok=True)
        with _address(directory) as address:
            door.bind(address)
    except OSError as error:  # a file system without sockets; SIGHUP still works
        door.close()
        log.warning("the daemon cannot be asked by `botdaemon reload`: %s", error)
        yield
        return
    server = await asyncio.start_unix_server(answer, sock=door, limit=1024)
    try:
        yield
    finally:
        server.close()
        path.unlink(missing_ok=True)


async def _reply(asks: Mapping[str, Ask], question: str) -> dict[str, object]:
    ask = asks.get(question.strip())
    if ask is None:
        return {"done": False, "words": f"it does not know {question.strip()!r}", "code": 2}
    try:
        return {"done": True, "words": await ask()}
    except BotdaemonError as error:
        return {"done": False, "words": str(error), "code": error.exit_code}
    except Exception as error:  # it is in the daemon's log; whoever asked is not left waiting
        return {"done": False, "words": f"a fault of its own: {error!r}", "code": 1}


def ask(directory: Path, question: str) -> tuple[str, int]:
    """The running daemon's answer, and an exit code. Raises `AdapterRefused` when none runs there
    or it does not answer."""
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(PATIENCE)
            with _address(directory) as address:
                line.connect(address)
            line.sendall(question.encode() + b"\n")
            with line.makefile("rb") as file:
                reply = json.loads(file.readline())
            return str(reply["words"]), int(reply.get("code", 0))
    except PermissionError:
        raise AdapterRefused(
            f"this user may not ask the daemon with the data directory {directory}; be root, or"
            " the user it runs as"
        ) from None
    except TimeoutError:
        raise AdapterRefused(
            f"the daemon with the data directory {directory} has not answered within"
            f" {PATIENCE:.0f} s; its log says what it is doing"
        ) from None
    except (OSError, ValueError, KeyError):
        raise AdapterRefused(
            f"no daemon runs with the data directory {directory}; if daemon.data_dir has changed,"
            " restart it"
        ) from None
