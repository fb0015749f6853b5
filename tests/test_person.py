"""Everything about a person in one file: theirs is in it, and nothing of anybody else."""

from __future__ import annotations

import json
import zipfile
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from talk import ADA, BOB, ask, press, say, settle

from botdaemon.app import export_person
from botdaemon.errors import Refused
from botdaemon.store import open_store
from botdaemon.store.database import open_database
from botdaemon.store.personal import OTHERS, conditions
from botdaemon.store.references import references
from botdaemon.types import Control

if TYPE_CHECKING:
    from pathlib import Path


async def lived(directory: Path) -> None:
    async with open_store(directory) as store:
        await settle(store)
        picture = await store.keep(b"a garden", "garden.png", "image/png")
        await say(store, "plumtree grows", files=(picture,))
        await say(store, "nobody else may read this of me", BOB)
        await ask(store, "and the pears?", "they grow, too")
        await press(store, "they grow, too", Control.GOOD, ADA)


def lines(packed: zipfile.ZipFile, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in packed.read(f"{name}.jsonl").splitlines()]


async def test_a_person_is_handed_what_is_theirs_and_nothing_of_others(tmp_path: Path) -> None:
    await lived(tmp_path / "data")
    out = tmp_path / "ada.zip"
    made = export_person(tmp_path / "data", "ada", out)

    with zipfile.ZipFile(out) as packed:
        said = [row["text"] for row in lines(packed, "messages")]
        assert said == ["plumtree grows", "and the pears?"]
        assert [row["text"] for row in lines(packed, "answers")] == ["they grow, too"]
        assert len(lines(packed, "feedback")) == 1
        [file] = lines(packed, "message_files")
        assert packed.read(f"files/{file['file']}") == b"a garden"
        assert "README.txt" in packed.namelist()
        everything = b"".join(packed.read(name) for name in packed.namelist())
    assert b"nobody else" not in everything
    assert made.files == 1
    assert made.rows["messages"] == 2


async def test_what_was_heard_in_their_files_is_theirs(tmp_path: Path) -> None:
    await lived(tmp_path / "data")
    with closing(open_database(tmp_path / "data" / "botdaemon.db")) as db:
        db.execute(
            "INSERT INTO transcripts (file, text, problem, model, heard_at)"
            " SELECT file, 'the plums are ripe', '', 'ear', 0 FROM message_files"
        )
        db.commit()
    export_person(tmp_path / "data", "ada", tmp_path / "ada.zip")

    with zipfile.ZipFile(tmp_path / "ada.zip") as packed:
        assert [row["text"] for row in lines(packed, "transcripts")] == ["the plums are ripe"]


async def test_an_export_never_replaces_a_file_and_knows_whom_it_does_not_know(
    tmp_path: Path,
) -> None:
    await lived(tmp_path / "data")
    (tmp_path / "ada.zip").write_bytes(b"mine")
    with pytest.raises(Refused, match="is there already"):
        export_person(tmp_path / "data", "ada", tmp_path / "ada.zip")
    with pytest.raises(Refused, match="nobody is called"):
        export_person(tmp_path / "data", "zoe", tmp_path / "zoe.zip")
    assert (tmp_path / "ada.zip").read_bytes() == b"mine"
    assert not (tmp_path / "zoe.zip").exists()


def test_every_table_that_refers_to_a_person_is_exported_or_has_a_reason(tmp_path: Path) -> None:
    with closing(open_database(tmp_path / "botdaemon.db")) as db:
        exported = {table for table, _ in conditions(db)}
        named = {
            (one.table, one.column) for of in ("people", "identities") for one in references(db, of)
        }
    assert {"relations", "facts", "feedback", "schedules"} <= exported
    assert {table for table, column in named if (table, column) not in OTHERS} == exported
    assert OTHERS.keys() <= named  # no reason for what is not there any more
