"""Keeps what a version of botdaemon leaves behind, for tests that upgrade it. Run by hand, once for
each release and each schema; knows that version by its command line and its API only.

    python tests/releases/make.py TREE OUT

TREE is the code of that version (`git archive`), OUT the new folder: `config.toml`, `database.sql`
and `files/`. A daemon of that version is talked to, killed, and its database written as text.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

CONFIG = """\
[daemon]
data_dir = "data"

[adapters.web]
kind = "web"
port = 0

[models.parrot]
kind = "echo"

[bots.polly]
kind = "text"
model = "parrot"

[rooms.lounge]
bots = ["polly"]
"""


def main(tree: Path, out: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "config.toml").write_text(CONFIG)
        _talk(tree, work)
        out.mkdir(parents=True)
        shutil.copyfile(work / "config.toml", out / "config.toml")
        with closing(sqlite3.connect(work / "data" / "botdaemon.db")) as db:
            (schema,) = db.execute("PRAGMA user_version").fetchone()
            lines = [*db.iterdump(), f"PRAGMA user_version={schema};"]
        (out / "database.sql").write_text("\n".join(lines) + "\n")
        if (work / "data" / "files").exists():
            shutil.copytree(work / "data" / "files", out / "files")
    print(f"{out}: schema {schema}, {len(lines)} lines")  # noqa: T201 - it is a command


def _talk(tree: Path, work: Path) -> None:
    """Three questions are answered, the last after a thread of its own was opened."""
    process = subprocess.Popen(
        [sys.executable, "-m", "botdaemon", "run", "--config", work / "config.toml"],
        cwd=tree,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if found := re.search(r"http://127\.0\.0\.1:\d+/", line):
                break
        else:
            raise SystemExit(f"the daemon of {tree} did not start")
        url = f"{found[0]}api/rooms/lounge"
        main_thread = _ask(url, "good morning")
        _show(url)
        _ask(url, "shall we go on in a side thread?")
        side = _call(f"{url}/threads", {"title": "plans"})["id"]
        _ask(url, "where shall we go?", thread=side)
        assert main_thread != side
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _ask(url: str, text: str, **more: int) -> int:
    """Say something as Ann, and wait for the answer; returns the thread."""
    said = _call(f"{url}/messages", {"author": "Ann", "text": text, **more})
    for _ in range(100):
        later = _call(f"{url}/messages?after={said['id']}")
        if any(message["author"] == "polly" for message in later):
            return int(said["thread"])
        time.sleep(0.1)
    raise SystemExit(f"nobody answered {text!r}")


def _show(url: str) -> None:
    """Say something with a picture; the first versions take none."""
    parts = [
        ("message", "application/json", b'{"author": "Ann", "text": "look"}'),
        ('file"; filename="dot.png', "image/png", _PICTURE),
    ]
    body = b"".join(
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n'.encode()
        + f"Content-Type: {kind}\r\n\r\n".encode()
        + content
        + b"\r\n"
        for name, kind, content in parts
    )
    request = urllib.request.Request(
        f"{url}/messages", body + b"--x--\r\n", {"Content-Type": "multipart/form-data; boundary=x"}
    )
    with suppress(urllib.error.HTTPError), urllib.request.urlopen(request):
        pass


#: one black dot
_PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010000000037"
    "6ef9240000000a4944415478016360000000020001737501180000000049454e44ae426082"
)


def _call(url: str, body: dict[str, object] | None = None) -> Any:
    request = urllib.request.Request(
        url,
        None if body is None else json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as response:
        return json.load(response)


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), Path(sys.argv[2]).absolute())
