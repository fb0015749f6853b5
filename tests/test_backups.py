"""Backups: what they hold, that they are restored to be believed, and what becomes of a bad one."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from talk import BOB, HERE, say, settle

from botdaemon import app
from botdaemon.cli import main
from botdaemon.config import Config, parse
from botdaemon.errors import Refused, StoreLocked, StoreUnusable
from botdaemon.store import Store, backups, open_store, restoring

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parent.parent
TOML = """
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
[backup]
directory = "backups"
keep = 2
"""


def configured(folder: Path) -> Config:
    path = folder / "config.toml"
    path.write_text(TOML)
    return parse(TOML, path)


async def lived(store: Store) -> None:
    """A room with some words, and a file."""
    await settle(store)
    picture = await store.keep(b"a picture", "garden.png", "image/png")
    await say(store, "the plumtree grows", files=(picture,))
    await say(store, "indeed it does", BOB)


def contents(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def dump(database: Path) -> list[str]:
    """Everything in a database, in words."""
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as db:
        return list(db.iterdump())


def damage(path: Path, old: bytes, new: bytes) -> None:
    """Some bytes of a file are others, as when a disk goes bad."""
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))


def rewritten(made: Path) -> None:
    """The manifest agrees with the database that lies beside it."""
    said = json.loads((made / "manifest.json").read_text())
    said["database"] = backups.sha256_of(made / "botdaemon.db")
    (made / "manifest.json").write_text(json.dumps(said))


async def test_a_backup_is_made_while_the_daemon_writes_and_restores_all_of_it(
    tmp_path: Path,
) -> None:
    config = configured(tmp_path)
    async with open_store(tmp_path / "data") as store:
        await lived(store)
        writing = asyncio.create_task(_keep_writing(store))
        made = await asyncio.to_thread(app.back_up, config, None)
        writing.cancel()

    assert made.holds is not None
    assert made.holds.rows["messages"] >= 2
    assert (made.path / "config.toml").read_text() == TOML
    aside = app.restore(made.path, tmp_path / "restored", force=False)
    assert aside is None
    assert dump(tmp_path / "restored" / "botdaemon.db") == dump(made.path / "botdaemon.db")
    async with open_store(tmp_path / "restored") as store:
        first, second, *_ = await store.recent_at(HERE, 10_000)
        assert [first.text, second.text] == ["the plumtree grows", "indeed it does"]
        assert store.file(first.files[0].sha256).read_bytes() == b"a picture"


async def _keep_writing(store: Store) -> None:
    while True:
        await say(store, "more")


@pytest.mark.parametrize("name", ["all.tar", "all.tar.gz"])
async def test_a_backup_may_be_one_file(name: str, tmp_path: Path) -> None:
    config = configured(tmp_path)
    async with open_store(tmp_path / "data") as store:
        await lived(store)
    made = app.back_up(config, tmp_path / "elsewhere" / name)

    assert made.path == tmp_path / "elsewhere" / name
    app.restore(made.path, tmp_path / "restored", force=False)
    assert dump(tmp_path / "restored" / "botdaemon.db") == dump(tmp_path / "data" / "botdaemon.db")
    [picture] = (tmp_path / "restored" / "files").rglob("*/*")
    assert picture.read_bytes() == b"a picture"
    with pytest.raises(Refused, match="is there already"):
        app.back_up(config, made.path)


async def test_where_to_may_be_said_from_where_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configured(tmp_path)
    async with open_store(tmp_path / "data") as store:
        await lived(store)
    monkeypatch.chdir(tmp_path)
    for to in (Path("here"), Path("all.tar")):
        made = app.back_up(config, to)
        assert made.holds is not None
        app.restore(made.path, Path(f"of-{to.name}"), force=False)
        restored = tmp_path / f"of-{to.name}" / "botdaemon.db"
        assert dump(restored) == dump(tmp_path / "data" / "botdaemon.db")


async def test_files_that_the_backup_before_has_take_no_space_again(tmp_path: Path) -> None:
    data, folder = tmp_path / "data", tmp_path / "backups"
    async with open_store(data) as store:
        await lived(store)
        first = backups.accept(backups.make(data, folder, config=None, now=1.0))
        new = await store.keep(b"another", "house.png", "image/png")
        await say(store, "look", files=(new,))
        second = backups.accept(backups.make(data, folder, config=None, now=2.0))

    [old] = (first / "files").glob("*/*")
    assert old.samefile(second / old.relative_to(first))
    assert not old.samefile(data / old.relative_to(first))
    assert (second / "files" / new.sha256[:2] / new.sha256).read_bytes() == b"another"
    assert restoring.verify(second, first) == []
    # One that is damaged there is copied anew.
    damage(old, b"picture", b"pictura")
    assert restoring.verify(backups.make(data, folder, config=None, now=3.0), first) == []


# --- what is not good --------------------------------------------------------------------------


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A good backup."""

    async def live() -> None:
        async with open_store(tmp_path / "data") as store:
            await lived(store)

    asyncio.run(live())
    return backups.accept(
        backups.make(tmp_path / "data", tmp_path / "backups", config=None, now=0.0)
    )


def test_bytes_that_changed_are_found_wherever_they_are(made: Path) -> None:
    assert restoring.verify(made) == []
    [picture] = (made / "files").glob("*/*")
    damage(picture, b"picture", b"pictura")
    [found] = restoring.verify(made)
    assert found == f"the file {picture.name} is damaged"
    picture.unlink()
    assert restoring.verify(made) == [f"the file {picture.name} is missing"]
    damage(made / "botdaemon.db", b"plumtree", b"plumtrex")
    assert restoring.verify(made)[0].startswith("the database is not what was backed up")


def test_a_broken_page_is_found_although_the_checksum_is_right(made: Path) -> None:
    with (made / "botdaemon.db").open("r+b") as handle:
        handle.seek(4096 * 3)
        handle.write(os.urandom(4096))
    rewritten(made)

    assert restoring.verify(made) != []


def test_words_that_nobody_changed_have_to_be_those_of_the_backup_before(
    made: Path, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "data" / "botdaemon.db")) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    damage(tmp_path / "data" / "botdaemon.db", b"plumtree", b"plumtrex")
    second = backups.make(tmp_path / "data", tmp_path / "backups", config=None, now=1.0)

    assert restoring.verify(second) == []  # SQLite sees nothing wrong with it
    assert restoring.verify(second, made) == [
        f"message 1 differs from {made.name}, although nobody has changed it"
    ]
    # If it is the backup before that is damaged, this one is not to blame.
    damage(made / "botdaemon.db", b"indeed", b"indeex")
    assert restoring.verify(second, made) == []


@pytest.mark.parametrize(
    "content", [b"", b"no tar at all", b"\x1f\x8b\x08 cut off"], ids=["empty", "text", "gzip"]
)
def test_what_is_no_backup_is_refused_in_words(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "some.tar.gz"
    path.write_bytes(content)

    with pytest.raises(StoreUnusable, match="is no backup that can be read"):
        app.restore(path, tmp_path / "data", force=False)
    assert not (tmp_path / "data").exists()


def test_a_tar_writes_nowhere_but_into_the_directory(made: Path, tmp_path: Path) -> None:
    said = json.loads((made / "manifest.json").read_text())
    said["files"]["../../outside"] = 1
    (made / "manifest.json").write_text(json.dumps(said))
    (made / "outside").write_text("x")
    with tarfile.open(tmp_path / "bad.tar", "w") as tar:
        tar.add(made / "manifest.json", "manifest.json")
        tar.add(made / "botdaemon.db", "botdaemon.db")
        tar.add(made / "outside", "files/../../../outside")

    with pytest.raises(StoreUnusable, match="is no SHA-256"):
        app.restore(tmp_path / "bad.tar", tmp_path / "there" / "data", force=False)
    assert not list(tmp_path.rglob("outside"))[1:]


async def test_a_bad_backup_is_kept_apart_and_costs_no_good_one(tmp_path: Path) -> None:
    configured(tmp_path)
    async with open_store(tmp_path / "data") as store:
        await lived(store)
    command = ["backup", "--config", str(tmp_path / "config.toml")]
    first = CliRunner().invoke(main, command)
    assert "2 messages, 1 files" in first.output
    assert "restored and found to be good" in first.output
    [good] = (tmp_path / "backups").iterdir()
    for picture in (tmp_path / "data" / "files").glob("*/*"):
        picture.unlink()
    shutil.rmtree(good / "files")

    second = CliRunner().invoke(main, [*command])
    assert second.exit_code == 74
    assert "is not good: the file" in second.output
    left = sorted(path.name for path in (tmp_path / "backups").iterdir())
    assert left[0] == good.name
    assert left[1].endswith(".failed")
    assert backups.listed(tmp_path / "backups") == [good]


def test_old_ones_go_and_the_last_good_one_never(made: Path) -> None:
    folder = made.parent
    for number in range(1, 5):
        backups.accept(backups.make(folder.parent / "data", folder, config=None, now=float(number)))
    broken = [
        backups.make(folder.parent / "data", folder, config=None, now=9.0 + n) for n in (0, 1)
    ]

    gone = backups.rotate(folder, 2)
    assert len(gone) == 3 + 1
    assert [path.name[-2:] for path in backups.listed(folder)] == ["03", "04"]
    assert [path.exists() for path in broken] == [False, True]
    backups.rotate(folder, 0)
    assert [path.name[-2:] for path in backups.listed(folder)] == ["04"]


# --- restoring ---------------------------------------------------------------------------------


async def test_nothing_is_restored_over_a_daemon_or_over_data(made: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    before = contents(data)
    with pytest.raises(Refused, match="is not empty; name another directory with --into"):
        app.restore(made, data, force=False)
    async with open_store(tmp_path / "running"):
        with pytest.raises(StoreLocked, match="another botdaemon"):
            app.restore(made, tmp_path / "running", force=True)
    assert contents(data) == before

    aside = app.restore(made, data, force=True)
    assert aside is not None
    assert contents(aside).keys() == before.keys()
    assert dump(data / "botdaemon.db") == dump(made / "botdaemon.db")


def test_a_damaged_backup_is_not_restored(made: Path, tmp_path: Path) -> None:
    damage(made / "botdaemon.db", b"plumtree", b"plumtrex")
    with pytest.raises(StoreUnusable, match="is damaged, and nothing was restored"):
        app.restore(made, tmp_path / "data", force=True)
    assert (tmp_path / "data" / "botdaemon.db").exists()
    assert not list(tmp_path.glob("data-before-*"))


# --- kills -------------------------------------------------------------------------------------

#: backs up, and kills itself at the Nth file that it opens for writing, renames or links
_DEADLY = """
import os, signal, sys
from pathlib import Path
from botdaemon import app
from botdaemon.cli.plumbing import loaded

config, left = loaded(Path(sys.argv[1])), int(sys.argv[2])
def hook(event, arguments):
    global left
    if event in ("os.rename", "os.link", "os.mkdir", "shutil.rmtree", "sqlite3.connect") or (
        event == "open" and arguments[1] in ("wb", "w")
    ):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
app.back_up(config, None)
"""


def _back_up_and_die(config: Path, step: int) -> int:
    command = [sys.executable, "-c", _DEADLY, str(config), str(step)]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


@pytest.mark.parametrize("steps", [(7,), pytest.param(range(1, 40), marks=pytest.mark.slow)])
async def test_after_kill_9_there_are_good_backups_or_none(
    steps: Sequence[int], tmp_path: Path
) -> None:
    config = configured(tmp_path)
    async with open_store(tmp_path / "data") as store:
        await lived(store)
    for step in steps:
        done = await asyncio.to_thread(_back_up_and_die, tmp_path / "config.toml", step)
        for good in backups.listed(tmp_path / "backups"):
            assert restoring.verify(good) == []
        if done != -signal.SIGKILL:
            assert done == 0
            break
    made = app.back_up(config, tmp_path / "backups")
    assert made.holds is not None
    names = [path.name for path in (tmp_path / "backups").iterdir()]
    assert [name for name in names if name.endswith(".partial")] == []
