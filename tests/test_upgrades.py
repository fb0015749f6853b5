"""What earlier versions left behind is taken along: their databases, their files, their
configurations. `releases/` has one of each; `releases/make.py` makes them."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from importlib import resources
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from botdaemon import app
from botdaemon.config import load
from botdaemon.errors import StoreUnusable
from botdaemon.store.database import open_database
from botdaemon.store.migrating import KEPT, backups

RELEASES = sorted(path.parent for path in Path(__file__).parent.glob("releases/*/database.sql"))
MIGRATIONS = resources.files("botdaemon.store") / "migrations"
NEWEST = max(int(entry.name[:3]) for entry in MIGRATIONS.iterdir() if entry.name.endswith(".sql"))


def unpacked(release: Path, folder: Path) -> Path:
    """What a version left behind, as it would lie there; returns its configuration."""
    (folder / "data").mkdir(parents=True)
    with closing(sqlite3.connect(folder / "data" / "botdaemon.db")) as db:
        db.executescript((release / "database.sql").read_text("utf-8"))
    if (release / "files").exists():
        shutil.copytree(release / "files", folder / "data" / "files")
    return Path(shutil.copyfile(release / "config.toml", folder / "config.toml"))


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("PRAGMA user_version").fetchone()[0])


def sound(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as db:
        return (
            db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            and db.execute("PRAGMA foreign_key_check").fetchall() == []
        )


def without(path: Path, *, after: int) -> Path:
    """The migrations up to a number, as an older botdaemon has them."""
    path.mkdir()
    for entry in MIGRATIONS.iterdir():
        if entry.name.endswith(".sql") and int(entry.name[:3]) <= after:
            (path / entry.name).write_bytes(entry.read_bytes())
    return path


@pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.name)
async def test_a_daemon_goes_on_with_what_an_earlier_version_left_behind(
    release: Path, tmp_path: Path
) -> None:
    config = load(unpacked(release, tmp_path))
    path = config.daemon.data_dir / "botdaemon.db"
    before = version(path)

    async with app.running(config) as daemon, aiohttp.ClientSession() as http:
        root = daemon.servers["web"].url.rstrip("/")
        url = f"{root}/api/rooms/lounge/messages"
        old = await _get(http, f"{url}?after=0")
        said = [message["text"] for message in old if message["author"] == "Ann"]
        assert said[0] == "good morning"
        assert said[-1] == "where shall we go?"
        for file in (file for message in old for file in message["files"]):
            content = await (await http.get(f"{root}{file['url']}")).read()
            assert len(content) == file["size"]
        # Somebody goes on in the side thread, and is answered there.
        side = old[-1]["thread"]
        answer = {"author": "Ann", "text": "are you still there?", "thread": side}
        posted = await (await http.post(url, json=answer)).json()
        while True:
            seq = await daemon.store.latest()
            later = await _get(http, f"{url}?after={posted['id']}&thread={side}")
            if any(message["author"] == "polly" for message in later):
                break
            await daemon.store.changed(seq)
    assert version(path) == NEWEST
    assert sound(path)
    assert [backup.name for backup in backups(path.parent)] == (
        [f"botdaemon-schema-{before}.db"] if before < NEWEST else []
    )


async def _get(http: aiohttp.ClientSession, url: str) -> Any:
    async with http.get(url) as response:
        return await response.json()


# --- kills -------------------------------------------------------------------------------------

#: Upgrades copies of a folder in children that kill themselves at their Nth statement or their Nth
#: step in the file system, for N from 1 until one comes to its end; prints what each left behind.
_DEADLY = """
import functools, os, shutil, signal, sqlite3, sys
from pathlib import Path
from botdaemon.store.database import open_database

original, folder, stride = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])

def version(path):
    db = sqlite3.connect(path)
    found = db.execute("PRAGMA user_version").fetchone()[0]
    whole = db.execute("PRAGMA integrity_check").fetchone()[0]
    tables = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    db.close()
    return found, whole, tables

for number in range(1, 10_000, stride):
    place = folder / str(number)
    shutil.copytree(original, place)
    child = os.fork()
    if not child:
        left = number
        def step(*_):
            global left
            left -= 1
            if left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)
        class Deadly(sqlite3.Connection):
            def __init__(self, *arguments, **more):
                super().__init__(*arguments, **more)
                self.set_trace_callback(step)
        sqlite3.connect = functools.partial(sqlite3.connect, factory=Deadly)
        def hook(event, arguments):
            if event in ("os.rename", "os.remove", "sqlite3.connect", "shutil.copyfile"):
                step()
        sys.addaudithook(hook)
        open_database(place / "botdaemon.db").close()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status)
    found = version(place / "botdaemon.db")
    open_database(place / "botdaemon.db").close()
    left = sorted(path.name for path in place.iterdir())
    print(number, killed, *found, *version(place / "botdaemon.db"), ",".join(left))
    shutil.rmtree(place)
    if not killed:
        break
"""


def _migrate_and_die(data: Path, folder: Path, stride: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _DEADLY, data, folder, str(stride)],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("stride", [17, pytest.param(1, marks=pytest.mark.slow)])
async def test_after_kill_9_the_schema_is_old_or_new_never_between(
    stride: int, tmp_path: Path
) -> None:
    data = unpacked(RELEASES[0], tmp_path / "old").parent / "data"
    before = version(data / "botdaemon.db")
    with closing(sqlite3.connect(data / "botdaemon.db")) as db:
        (tables,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    done = await asyncio.to_thread(_migrate_and_die, data, tmp_path, stride)
    assert done.returncode == 0, done.stderr

    lines = [line.split() for line in done.stdout.splitlines()]
    assert len(lines) > 3
    assert [line[1] for line in lines] == ["True"] * (len(lines) - 1) + ["False"]
    final = lines[-1][5:8]
    for _, _, found, whole, count, *after, left in lines:
        assert whole == "ok"
        assert (int(found), int(count)) in {(before, tables), (NEWEST, int(final[2]))}
        assert after == final == [str(NEWEST), "ok", final[2]]
        assert left == f"ballast,botdaemon-schema-{before}.db,botdaemon.db"
    assert {int(line[2]) for line in lines} == {before, NEWEST}


# --- words -------------------------------------------------------------------------------------


def test_an_upgrade_that_fails_on_a_copy_changes_nothing(tmp_path: Path) -> None:
    data = unpacked(RELEASES[0], tmp_path / "old").parent / "data"
    path, before = data / "botdaemon.db", version(data / "botdaemon.db")
    migrations = without(tmp_path / "m", after=NEWEST)
    (migrations / "900_bad.sql").write_text("DELETE FROM people;")  # identities refer to them

    with pytest.raises(StoreUnusable) as refused:
        open_database(path, migrations)
    assert str(refused.value).startswith(
        f"{path} was not upgraded to schema 900, since that failed on a copy of it"
        " (FOREIGN KEY constraint failed); it was left as it is: go on with the botdaemon of before"
    )
    assert version(path) == before
    assert sorted(one.name for one in data.iterdir() if "trial" in one.name) == []


def test_a_downgrade_is_refused_with_both_versions_and_the_way_back(tmp_path: Path) -> None:
    data = unpacked(RELEASES[0], tmp_path / "old").parent / "data"
    path, before = data / "botdaemon.db", version(data / "botdaemon.db")
    open_database(path).close()
    older = without(tmp_path / "older", after=before)

    with pytest.raises(StoreUnusable) as refused:
        open_database(path, older)
    said = str(refused.value)
    assert f"was written by a newer botdaemon (schema {NEWEST}, botdaemon 0.1.0)" in said
    assert f"this is botdaemon 0.1.0, which knows up to schema {before}" in said
    assert f"put {data / f'botdaemon-schema-{before}.db'} in its place" in said
    assert version(path) == NEWEST
    # The way back is one.
    (data / f"botdaemon-schema-{before}.db").replace(path)
    open_database(path, older).close()


def test_only_the_last_databases_of_before_are_kept(tmp_path: Path) -> None:
    data = unpacked(RELEASES[0], tmp_path / "old").parent / "data"
    for number in range(version(data / "botdaemon.db") + 1, NEWEST + 1):
        open_database(data / "botdaemon.db", without(tmp_path / str(number), after=number)).close()

    assert [path.name for path in backups(data)] == [
        f"botdaemon-schema-{NEWEST - number}.db" for number in range(KEPT, 0, -1)
    ]
