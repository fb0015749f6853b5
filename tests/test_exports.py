"""What every import rests on: files that are not trusted, and the collection of messages."""

from __future__ import annotations

import io
import json
import os
import sqlite3
import subprocess
import sys
import tracemalloc
import unicodedata
import zipfile
from contextlib import closing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from export_makers import archive, folder
from hypothesis import given, settings
from hypothesis import strategies as st

from botdaemon.errors import ExportUnusable, Refused
from models.exports import files as export_files
from models.exports.collection import NAME, open_collection
from models.exports.files import opened, read_json, text_lines
from models.exports.importing import READERS, collect, reader_of
from models.exports.neutral import Options, Said, Tally

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from models.exports.importing import Report
    from models.exports.neutral import Reader

CHAT = {"users.json": [{"id": "U1"}], "general/2020-01-01.json": "[]"}

# --- files -----------------------------------------------------------------------------------


def everything(path: Path) -> dict[str, bytes]:
    with opened(path) as files:
        read = {name: files.read(name) for name in files.names()}
        assert files.total == sum(files.size(name) for name in read) == sum(map(len, read.values()))
        return read


def test_a_folder_and_a_zip_of_it_are_the_same(tmp_path: Path) -> None:
    unpacked = everything(folder(tmp_path / "export", CHAT))
    assert unpacked == everything(archive(tmp_path / "export.zip", CHAT))
    assert list(unpacked) == ["general/2020-01-01.json", "users.json"]


def test_a_file_by_itself_is_an_export_of_one_file(tmp_path: Path) -> None:
    folder(tmp_path, {"result.json": "{}"})
    assert everything(tmp_path / "result.json") == {"result.json": b"{}"}


def test_what_file_managers_leave_behind_is_not_seen(tmp_path: Path) -> None:
    litter = {"__MACOSX/._users.json": "x", "general/.DS_Store": "x", "._users.json": "x"}
    path = archive(tmp_path / "export.zip", {"users.json": "[]", **litter})
    with opened(path) as files:
        assert files.names() == ["users.json"]


def test_names_that_a_mac_zipped_are_read_as_it_meant_them(tmp_path: Path) -> None:
    # In UTF-8, taken apart, and without the flag that says so.
    name = unicodedata.normalize("NFD", "käse.json").encode()
    path = archive(tmp_path / "export.zip", {"k" * len(name): "[]"})
    path.write_bytes(path.read_bytes().replace(b"k" * len(name), name))
    assert everything(path) == {"käse.json": b"[]"}


def test_a_path_that_is_not_there_is_said(tmp_path: Path) -> None:
    with (
        pytest.raises(ExportUnusable, match="nowhere does not exist"),
        opened(tmp_path / "nowhere"),
    ):
        pass


def test_a_pipe_is_no_export(tmp_path: Path) -> None:
    (tmp_path / "export").mkdir()
    os.mkfifo(tmp_path / "export" / "users.json")
    for path in (tmp_path / "export", tmp_path / "export" / "users.json"):
        with pytest.raises(ExportUnusable, match="neither a file nor a folder"), opened(path):
            pass


def test_a_link_may_not_lead_out_of_the_export(tmp_path: Path) -> None:
    folder(tmp_path, {"secret.json": "[]", "export/users.json": "[]"})
    (tmp_path / "export" / "same.json").symlink_to("users.json")
    assert list(everything(tmp_path / "export")) == ["same.json", "users.json"]
    (tmp_path / "export" / "other.json").symlink_to(tmp_path / "secret.json")
    with (
        pytest.raises(ExportUnusable, match=r"other\.json is a link out of"),
        opened(tmp_path / "export"),
    ):
        pass


@pytest.mark.parametrize(
    "name",
    ["../users.json", "a/../../b.json", "/etc/passwd", "C:\\b.json", "..\\b.json", "//s/h/b"],
)
def test_a_zip_may_not_name_what_lies_outside(tmp_path: Path, name: str) -> None:
    with (
        pytest.raises(ExportUnusable, match="lies outside"),
        opened(archive(tmp_path / "export.zip", {name: "[]"})),
    ):
        pass


def test_a_zip_may_not_hold_links(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as made:
        link = zipfile.ZipInfo("users.json")
        link.external_attr = 0o120777 << 16
        made.writestr(link, "/etc/passwd")
    with (
        pytest.raises(ExportUnusable, match=r"users\.json is a link"),
        opened(tmp_path / "export.zip"),
    ):
        pass


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "export.zip", CHAT)
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(ExportUnusable, match="is encrypted; unpack it"), opened(path):
        pass


def test_a_bomb_is_refused_before_it_unpacks(tmp_path: Path) -> None:
    with (
        zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as made,
        made.open("users.json", "w") as file,
    ):
        for _ in range(101):
            file.write(bytes(2**20))
    with (
        pytest.raises(ExportUnusable, match="would unpack to 101 MiB; that is a bomb"),
        opened(tmp_path / "bomb.zip"),
    ):
        pass


def test_a_bomb_that_lies_about_its_size_gives_no_more_than_it_said(tmp_path: Path) -> None:
    path = archive(tmp_path / "bomb.zip", {"users.json": bytes(2**20)})
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = (10).to_bytes(4, "little")
    path.write_bytes(data)
    with opened(path) as files:
        assert files.size("users.json") == 10
        with pytest.raises(ExportUnusable, match=r"users\.json is damaged"):
            files.read("users.json")


def test_a_file_of_more_than_is_asked_for_is_refused(tmp_path: Path) -> None:
    with opened(folder(tmp_path, {"a.json": bytes(2**20 + 1)})) as files:
        with pytest.raises(ExportUnusable, match=r"a\.json has more than 1 MiB"):
            files.read("a.json", 2**20)
        with pytest.raises(ExportUnusable, match=r"has no file b\.json"):
            files.read("b.json")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_zip_that_was_cut_or_damaged_gives_the_truth_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    text = b"[1, 2, 3]" * 20
    path = archive(tmp_path_factory.mktemp("zip") / "spoiled.zip", {"users.json": text})
    spoiled = bytearray(path.read_bytes())
    place = data.draw(st.integers(4, len(spoiled) - 1))  # with its first bytes it is no zip at all
    if data.draw(st.booleans()):
        del spoiled[place:]
    else:
        spoiled[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(spoiled)
    with suppress(ExportUnusable), opened(path) as files:
        assert [files.read(name) for name in files.names()] in ([text], [])


# --- JSON and text ---------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_json_is_read_in_every_encoding_that_it_may_have(tmp_path: Path, encoding: str) -> None:
    folder(tmp_path, {"a.json": '{"name": "Zoë"}'.encode(encoding)})
    with opened(tmp_path) as files:
        assert read_json(files, "a.json") == {"name": "Zoë"}


@given(st.integers(1, 150))
def test_json_that_was_cut_is_called_cut(length: int) -> None:
    whole = json.dumps([{"text": 'some "words"', "ts": "12.5", "edited": True}] * 2, indent=1)
    with pytest.raises(ExportUnusable, match=r"^a\.json ends in the middle of line \d+;"):
        export_files.parsed(whole[: -length - 1], "a.json")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b'[{"a": 1},\n {"b" 2}]', r"is no JSON: .* \(line 2, column 7\)"),
        (b'["\xff"]', r"is no text from byte 2 on"),
        (b"[" * 200_000, "is nested too deeply"),
        (b"[" + b"1" * 5_000 + b"]", "is no JSON"),
        (b"", "ends in the middle of line 1"),
    ],
)
def test_json_that_cannot_be_read_is_one_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(ExportUnusable, match=sentence):
        export_files.parsed(data, "a.json")


@given(st.lists(st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]))))
def test_lines_are_read_in_utf8_and_utf16(lines: list[str]) -> None:
    text = "".join(f"{line}\r\n" for line in lines)
    for encoding in ("utf-8-sig", "utf-16"):
        assert list(text_lines(io.BytesIO(text.encode(encoding)), "chat.txt")) == lines


def test_lines_of_mixed_encodings_are_read_each_by_itself() -> None:
    stream = io.BytesIO("Zoë\n".encode() + "Zoë €\n".encode("cp1252") + "📷".encode())
    others = []
    assert list(text_lines(stream, "chat.txt", lambda: others.append(1))) == ["Zoë", "Zoë €", "📷"]
    assert len(others) == 1


@pytest.mark.parametrize("start", [b"", "\n".encode("utf-16")])
def test_a_line_without_an_end_is_refused(start: bytes) -> None:
    stream = io.BytesIO(start + b"x" * (2 * export_files.LONGEST_LINE + 100))
    with pytest.raises(ExportUnusable, match=r"chat\.txt, line [12] has more than 16 MiB"):
        list(text_lines(stream, "chat.txt"))


# --- the collection --------------------------------------------------------------------------


def said(number: int, text: str = "hello", **more: object) -> Said:
    first = Said(
        conversation="C1", id=str(number), at=1_000.0 + number, speaker="U1", name="Ada", text=text
    )
    return replace(first, **more)  # type: ignore[arg-type] # (what a test says)


def gives(messages: Iterable[Said], then: BaseException | None = None) -> Reader:
    def read(path: Path, tally: Tally, options: Options) -> Iterator[Said]:
        yield from messages
        if then:
            raise then

    return read


def collected(
    out: Path, messages: Iterable[Said], then: BaseException | None = None, kind: str = "slack"
) -> Report:
    path = out.parent / "export"
    path.touch()
    read = gives(messages, then)
    return collect(kind, path, out, Options(), lambda done, total: None, read=read)


def kept(out: Path) -> list[Said]:
    with open_collection(out) as collection:
        return [
            message
            for conversation in collection.conversations()
            for message in collection.messages(conversation)
        ]


def test_a_message_comes_back_as_it_was_given(tmp_path: Path) -> None:
    whole = said(
        1, reply_to="0", thread="0", title="general", direct=True, edited=True, private=("a@b.c",)
    )
    collected(tmp_path / "out", [whole])
    assert kept(tmp_path / "out") == [whole]


def test_messages_come_back_in_the_order_of_time_then_as_exported(tmp_path: Path) -> None:
    collected(tmp_path / "out", [said(9), said(3), said(10, at=1_003.0), said(2, at=1_003.0)])
    assert [message.id for message in kept(tmp_path / "out")] == ["3", "10", "2", "9"]


def test_what_is_imported_twice_is_kept_once_and_counted(tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = collected(out, [said(1), said(2)])
    assert (first.read, first.kept, first.there_already) == (2, 2, 0)
    second = collected(out, [said(2, "changed"), said(3), said(3)])
    assert (second.read, second.kept, second.there_already) == (3, 1, 2)
    assert [message.text for message in kept(out)] == ["hello"] * 3
    assert any("was imported before" in note for note in second.notes)


def test_the_same_ids_of_two_kinds_of_export_are_two_messages(tmp_path: Path) -> None:
    collected(tmp_path / "out", [said(1)])
    assert collected(tmp_path / "out", [said(1)], kind="telegram").kept == 1
    with open_collection(tmp_path / "out") as collection:
        assert collection.size == 2
        assert [(who.source, who.id) for who in collection.speakers()] == [
            ("slack", "U1"),
            ("telegram", "U1"),
        ]


def test_speakers_are_listed_with_the_name_they_used_last(tmp_path: Path) -> None:
    words = [said(1), said(5, "hi", name="Ada L."), said(3), said(2, speaker="U2", name="Joe")]
    collected(tmp_path / "out", [*words, said(1, conversation="C2")])
    with open_collection(tmp_path / "out") as collection:
        ada, joe = collection.speakers()
        first, second = collection.conversations()
    assert (ada.id, ada.name, ada.names) == ("U1", "Ada L.", ("Ada L.", "Ada"))
    assert (ada.messages, ada.characters, ada.conversations) == (4, 17, 2)
    assert (ada.first, ada.last) == (1_001.0, 1_005.0)
    assert (joe.id, joe.messages) == ("U2", 1)
    assert (first.id, first.messages, first.first, first.last) == ("C1", 4, 1_001.0, 1_005.0)
    assert second.id == "C2"


def test_the_title_of_a_conversation_is_the_newest_that_is_said(tmp_path: Path) -> None:
    for title in ("old", "new", ""):
        collected(tmp_path / "out", [said(1, title=title)])
    with open_collection(tmp_path / "out") as collection:
        assert [conversation.title for conversation in collection.conversations()] == ["new"]


def test_who_is_forgotten_is_gone_and_answers_to_them_are_answers_to_nobody(tmp_path: Path) -> None:
    out = tmp_path / "out"
    joe = said(1, "the secret", speaker="U2", name="Joe", title="Ada, Joe", direct=True)
    answer = said(2, reply_to="1", title="Ada, Joe", direct=True)
    other = said(3, reply_to="2", title="Ada, Joe", direct=True)
    alone = said(4, speaker="U2", name="Joe", conversation="Joe's notes")
    collected(out, [joe, answer, other, alone])
    with open_collection(out) as collection:
        assert collection.forget("telegram", ["U2"]) == 0
        assert collection.forget("slack", ["U2", "nobody"]) == 2
        assert collection.forget("slack", ["U2"]) == 0
    assert kept(out) == [replace(answer, reply_to="", title=""), replace(other, title="")]
    assert b"secret" not in (out / NAME).read_bytes()
    assert b"Joe" not in (out / NAME).read_bytes()


def test_who_is_forgotten_is_not_brought_back_by_another_import(tmp_path: Path) -> None:
    out = tmp_path / "out"
    collected(out, [said(1), said(2, speaker="U2")])
    with open_collection(out) as collection:
        collection.forget("slack", ["U2"])
    report = collected(out, [said(1), said(2, speaker="U2"), said(3)])
    assert report.left_out == {"of somebody who is forgotten": 1}
    assert (report.read, report.kept, report.there_already) == (3, 1, 1)


def test_a_collection_of_a_newer_program_is_refused(tmp_path: Path) -> None:
    collected(tmp_path, [said(1)])
    with closing(sqlite3.connect(tmp_path / NAME)) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(ExportUnusable, match="written by a newer botdaemon"):
        kept(tmp_path)


def test_what_is_no_collection_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("no database at all, but long enough to look at " * 20)
    with pytest.raises(ExportUnusable, match="file is not a database"):
        kept(tmp_path)
    (tmp_path / NAME).unlink()
    with closing(sqlite3.connect(tmp_path / NAME)) as database:
        database.execute("CREATE TABLE song (title TEXT)")
    with pytest.raises(ExportUnusable, match="is a database of something else"):
        kept(tmp_path)


def test_a_directory_without_a_collection_is_not_made_by_reading(tmp_path: Path) -> None:
    with pytest.raises(ExportUnusable, match="botdaemon import KIND PATH --out"):
        kept(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    collected(tmp_path / "out", [])
    with (
        pytest.raises(ExportUnusable, match=f"{NAME} cannot be made: "),
        open_collection(tmp_path / "out" / NAME, create=True),
    ):
        pass


# --- importing -------------------------------------------------------------------------------


def test_an_export_that_breaks_off_is_kept_as_far_as_it_goes_and_called_partial(
    tmp_path: Path,
) -> None:
    report = collected(tmp_path / "out", [said(1), said(2)], ExportUnusable("line 3 is cut"))
    assert (report.state, report.problem, report.kept) == ("partial", "line 3 is cut", 2)
    assert "PARTIAL: line 3 is cut; what was read before is kept" in report.as_text()
    with open_collection(tmp_path / "out") as collection:
        [entry] = collection.imports()
        assert (entry.state, entry.source, entry.path) == ("partial", "slack", "export")
        assert entry.report["problem"] == "line 3 is cut"
        assert collection.size == 2
    again = collected(tmp_path / "out", [said(1), said(2), said(3)])
    assert (again.state, again.kept, again.there_already) == ("done", 1, 2)


def test_an_import_that_is_interrupted_is_partial(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        collected(tmp_path / "out", [said(1)], KeyboardInterrupt())
    with open_collection(tmp_path / "out") as collection:
        assert [entry.state for entry in collection.imports()] == ["partial"]


def test_an_export_that_cannot_be_read_at_all_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ExportUnusable, match="does not exist"):
        collect(
            "slack", tmp_path / "nowhere", tmp_path / "out", Options(), lambda done, total: None
        )
    assert not (tmp_path / "out").exists()


def test_an_export_without_a_message_is_no_mistake(tmp_path: Path) -> None:
    report = collected(tmp_path / "out", [])
    assert (report.state, report.read, kept(tmp_path / "out")) == ("done", 0, [])


def test_the_report_explains_every_message(tmp_path: Path) -> None:
    def read(path: Path, tally: Tally, options: Options) -> Iterator[Said]:
        tally.leave("by a bot", 3)
        tally.change("edited")
        tally.promised["messages"] = (8, 7)
        tally.note("something is odd")
        yield from [said(1), said(2, " \n"), said(3, at=float("nan")), said(4, at=1e300), said(1)]

    path = folder(tmp_path / "export", {"anything": "x"})
    report = collect(
        "slack", path, tmp_path / "out", Options(), lambda done, total: None, read=read
    )
    assert report.left_out == {"by a bot": 3, "no text": 1, "no believable time": 2}
    assert (report.read, report.kept, report.there_already) == (8, 1, 1)
    assert report.as_text().splitlines() == [
        "slack: export",
        "  read                    8",
        "  kept                    1",
        "  there already           1",
        "  left out                3  by a bot",
        "  left out                2  no believable time",
        "  left out                1  no text",
        "  kept, but               1  edited",
        "  index: 8 messages; found: 7, 1 fewer",
        "  1 speakers of slack so far",
        "  note: something is odd",
    ]
    assert json.loads(json.dumps(report.as_json()))["left_out"]["by a bot"] == 3


any_text = st.text(max_size=8)
"""With NULs and halves of characters, as JSON can hold them."""


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.builds(
            Said,
            conversation=any_text,
            id=any_text,
            at=st.floats(),
            speaker=any_text,
            name=any_text,
            text=any_text,
            reply_to=any_text,
            title=any_text,
        ),
        max_size=10,
    )
)
def test_whatever_an_export_holds_is_kept_or_explained(
    tmp_path_factory: pytest.TempPathFactory, messages: list[Said]
) -> None:
    out = tmp_path_factory.mktemp("any") / "out"
    report = collected(out, messages)
    assert report.read == len(messages)
    assert report.kept == len(kept(out))


def test_an_import_needs_no_more_memory_for_many_messages_than_for_some(tmp_path: Path) -> None:
    many = (said(number, "word " * 200, speaker=f"U{number}") for number in range(20_000))
    tracemalloc.start()
    try:
        assert collected(tmp_path / "out", many).kept == 20_000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 15 * 2**20  # the texts alone have 20 MB


def test_every_kind_of_export_has_a_reader() -> None:
    assert all(callable(reader_of(kind)) for kind in READERS)


def test_an_unknown_kind_of_export_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(Refused, match='"icq" is no kind of export; there are: slack, signal,'):
        reader_of("icq")


def test_a_library_that_is_not_installed_is_named() -> None:
    program = (
        "import sys; sys.modules['zstandard'] = None\n"
        "from models.exports.importing import reader_of\n"
        "try: reader_of('reddit')\n"
        "except Exception as error: print(error)\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert answer.stdout == (
        "reading reddit exports needs the package zstandard; "
        'install it with: pip install "botdaemon[voices]"\n'
    )
