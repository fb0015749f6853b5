"""The process that reads files: a path in, passages out. Knows no index, no bot and no daemon.

    python -m botdaemon.knowledge.worker

Files are hostile input, and some make a library take hours, gigabytes or the process itself. So it
has limits of its own, can write no file, and is given up with the file that ends it. Frames are
four bytes of length and JSON. In come `{"path", "kind", "most", "known"}`, out goes one of

    {"same": true}                                           its SHA-256 is the known one
    {"sha256", "passages": [[heading, text, page, line], ...]}
    {"problem": "a sentence"}
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import resource
import stat
import sys
from typing import Any, BinaryIO

from botdaemon.knowledge.cutting import passages
from botdaemon.knowledge.reading import Unreadable, blocks

#: seconds of CPU for one file: some hundred pages of PDF
SECONDS = 60
#: bytes of address space, of which the libraries take about a fifth
MEMORY = 2**30
#: passages of one file
MOST_PASSAGES = 20_000

#: control characters, and halves of characters, which no database takes
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


def read(path: str, kind: str, most: int, known: str) -> dict[str, Any]:
    """A file as it is told to the daemon."""
    try:
        content = _content(path, most)
        digest = hashlib.sha256(content).hexdigest()
        if digest == known:
            return {"same": True}
        found: list[list[str | int]] = []
        for one in passages(blocks(kind, content)):
            if len(found) == MOST_PASSAGES:
                raise Unreadable(f"it has more than {MOST_PASSAGES:,} passages; split it")
            found.append([_clean(one.heading), _clean(one.text), one.page, one.line])
        return {"sha256": digest, "passages": found}
    except Unreadable as error:
        return {"problem": str(error)}
    except OSError as error:
        return {"problem": f"it cannot be read: {error.strerror or error}"}
    except MemoryError:
        return {"problem": f"it takes more than {MEMORY >> 20} MiB to read"}
    except Exception as error:  # whatever a library raises, it is the file's fault
        words = " ".join(str(error).split())[:200]
        return {"problem": f"it cannot be read: {type(error).__name__} {words}".strip()}


def _clean(text: str) -> str:
    return _CONTROL.sub(" ", text)


def _content(path: str, most: int) -> bytes:
    # Since it was looked at, something else may have been put there: a link, a pipe.
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:  # noqa: PTH123
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise Unreadable("it is no file")
        content = file.read(most + 1)
    if len(content) > most:
        raise Unreadable(f"it is larger than {most / 1e6:.0f} MB (file_megabytes)")
    return content


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(10)


def _allow_seconds() -> None:
    """From now on so many more; SIGXCPU ends a process that takes them."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    allowed = int(used.ru_utime + used.ru_stime) + SECONDS
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (allowed, hard))


def _next(source: BinaryIO) -> dict[str, Any] | None:
    head = source.read(4)
    if len(head) < 4:
        return None
    asked: dict[str, Any] = json.loads(source.read(int.from_bytes(head, "big")))
    return asked


def main() -> None:
    """Read what is asked until nobody asks any more."""
    _limit()
    sys.setrecursionlimit(5000)
    out = sys.stdout.buffer
    while (asked := _next(sys.stdin.buffer)) is not None:
        _allow_seconds()
        answer = json.dumps(read(**asked)).encode()
        out.write(len(answer).to_bytes(4, "big") + answer)
        out.flush()


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):  # the daemon is gone
        main()
