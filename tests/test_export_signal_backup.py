"""Signal's encrypted Android backups, written by `signal_backup_maker`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from signal_backup_maker import NEW, OLD, OLD_SMS, PASSPHRASE, Backup

from botdaemon.errors import ExportUnusable, Refused
from models.exports.neutral import Options, Tally
from models.exports.signal_backup import read
from models.exports.signal_protobuf import fields

if TYPE_CHECKING:
    from pathlib import Path

    from models.exports.neutral import Said

INCOMING, OUTGOING = 0xA00000 | 20, 0xA00000 | 23
ME, BEA, CAL = (f"0000000{n}-1111-4222-8333-444444444444" for n in (1, 2, 3))
GROUP = "__signal_group__v2__!ab12"
NOON = 1_700_000_000_000


def gathered(path: Path, passphrase: str = PASSPHRASE, me: str = "") -> tuple[list[Said], Tally]:
    tally = Tally()
    return list(read(path, tally, Options(passphrase=passphrase, me=me))), tally


def new(version: int = 1) -> Backup:
    """A modern one: Ann's, who talks with Bea, and in a group with Bea and Cal."""
    backup = Backup(version)
    backup.preference("pref", "value")
    backup.tables(NEW)
    backup.row("recipient", _id=1, aci=ME, profile_joined_name="Ann")
    backup.row("recipient", _id=2, aci=BEA, profile_joined_name="B.", system_joined_name="Bea")
    backup.row("recipient", _id=3, e164="+15550001", username="cal.01")
    backup.row("recipient", _id=4, group_id=GROUP)
    backup.row("groups", _id=1, group_id=GROUP, recipient_id=4, title="Book club")
    backup.row("thread", _id=7, recipient_id=2)
    backup.row("thread", _id=8, recipient_id=4)
    return backup


def say(
    backup: Backup, id: int, body: str | None, sender: int = 2, thread: int = 7, **more: int
) -> None:
    """A message, sent `id` seconds after noon unless it is said otherwise."""
    values = {
        "date_sent": NOON + 1000 * id,
        "type": OUTGOING if sender == 1 else INCOMING,
        "to_recipient_id": 1,
        "scheduled_date": -1,
    }
    backup.row(
        "message",
        _id=id,
        body=body,
        thread_id=thread,
        from_recipient_id=sender,
        **(values | more),
    )


def saved(folder: Path, backup: Backup | bytes) -> Path:
    path = folder / "signal-2026-01-02.backup"
    path.write_bytes(backup if isinstance(backup, bytes) else backup.written())
    return path


@pytest.mark.parametrize("version", [0, 1])
def test_both_forms_of_the_encryption_are_read(tmp_path: Path, version: int) -> None:
    backup = new(version)
    backup.blob("avatar", b"face" * 5000)
    say(backup, 1, "hello", sender=1)
    backup.blob("attachment", bytes(100_000))
    backup.blob("sticker", b"")
    say(backup, 2, "hi Ann \N{GRINNING FACE}")
    said, tally = gathered(saved(tmp_path, backup))
    assert [("Ann", ME, "hello"), ("Bea", BEA, "hi Ann \N{GRINNING FACE}")] == [
        (one.name, one.speaker, one.text) for one in said
    ]
    assert [NOON / 1000 + 1, NOON / 1000 + 2] == [one.at for one in said]
    assert all(one.direct and one.title == "Bea" for one in said)
    assert {f"{ME}+{BEA}"} == {one.conversation for one in said}
    assert not tally.left_out
    assert not tally.notes


def test_a_group_has_its_title_and_its_members_by_their_names(tmp_path: Path) -> None:
    backup = new()
    say(backup, 1, "which book?", sender=1, thread=8)
    say(backup, 2, "Moby Dick", sender=3, thread=8)
    said, _ = gathered(saved(tmp_path, backup), me="Annie")
    assert [("Annie", "Book club", False), ("cal.01", "Book club", False)] == [
        (one.name, one.title, one.direct) for one in said
    ]
    assert GROUP == said[0].conversation
    assert said[1].speaker.startswith("phone-")
    assert "5550001" not in repr(said)


def test_mentions_become_names_and_files_become_placeholders(tmp_path: Path) -> None:
    backup = new()
    say(backup, 1, "\N{GRINNING FACE} \ufffc and \ufffc!", sender=3, thread=8)
    backup.row("mention", _id=1, message_id=1, recipient_id=2, range_start=3, range_length=1)
    backup.row("mention", _id=2, message_id=1, recipient_id=1, range_start=9, range_length=1)
    say(backup, 2, None)
    backup.row("attachment", _id=1, message_id=2, content_type="image/webp", sticker_pack_id="ab")
    say(backup, 3, "look")
    backup.row("attachment", _id=2, message_id=3, content_type="image/jpeg")
    backup.row("attachment", _id=3, message_id=3, content_type="audio/aac", voice_note=1)
    backup.row("attachment", _id=4, message_id=3, content_type="image/png", quote=1)
    say(backup, 4, "a long story")
    backup.row("attachment", _id=5, message_id=4, content_type="text/x-signal-plain")
    said, tally = gathered(saved(tmp_path, backup))
    assert [
        "\N{GRINNING FACE} @Bea and @Ann!",
        "[sticker]",
        "look\n[picture] [voice]",
        "a long story",
    ] == [one.text for one in said]
    assert {"long text cut short": 1} == tally.changed


def test_a_reply_is_threaded_to_the_message_it_quotes(tmp_path: Path) -> None:
    backup = new()
    say(backup, 1, "tea?", sender=1)
    say(backup, 2, "yes", quote_id=NOON + 1000, quote_author=1)
    say(backup, 3, "no", quote_id=NOON - 1, quote_author=1)
    backup.row("reaction", _id=1, message_id=2, author_id=1, emoji="x")
    said, tally = gathered(saved(tmp_path, backup))
    assert ["", said[0].id, ""] == [one.reply_to for one in said]
    assert {"quote removed": 2, "reactions ignored": 1} == tally.changed


def test_of_an_edited_message_the_last_text_stands_where_the_first_was_said(tmp_path: Path) -> None:
    backup = new()
    say(backup, 1, "teh", latest_revision_id=3)
    say(backup, 2, "the?", sender=1, quote_id=NOON + 3000)
    say(backup, 3, "the", original_message_id=1)
    said, tally = gathered(saved(tmp_path, backup))
    first = next(one for one in said if one.text == "the")
    assert first.edited
    assert NOON / 1000 + 1 == first.at
    assert first.id == next(one.reply_to for one in said if one.text == "the?")
    assert {"earlier version of an edited message": 1} == tally.left_out


def test_what_is_no_lasting_message_is_left_out_and_counted(tmp_path: Path) -> None:
    backup = new()
    say(backup, 1, "kept")
    say(backup, 2, "gone", remote_deleted=1)
    say(backup, 3, "once", view_once=1)
    say(backup, 4, "soon gone", expires_in=5000)
    say(backup, 5, "group change", type=INCOMING | 0x80000 | 0x10000)
    say(backup, 6, "new key", type=INCOMING | 0x200)
    say(backup, 7, None, type=3)
    say(backup, 8, "my day", story_type=1)
    say(backup, 9, "later", sender=1, scheduled_date=NOON)
    say(backup, 10, "\N{HEAVY BLACK HEART}", type=INCOMING | 0x100000000)
    say(backup, 11, None)
    say(backup, 12, "whose?", thread=99)
    say(backup, 13, "noise", type=INCOMING | 0x10000000)
    say(backup, 14, "unsent", type=27)
    said, tally = gathered(saved(tmp_path, backup))
    assert ["kept"] == [one.text for one in said]
    assert {
        "deleted": 1,
        "view once": 1,
        "disappearing message": 1,
        "service message": 2,
        "call": 1,
        "story": 1,
        "not sent yet": 1,
        "reaction to a story": 1,
        "no text": 1,
        "in no chat with people": 1,
        "never decrypted": 1,
        "draft": 1,
    } == tally.left_out


def test_the_tables_of_older_versions_are_read(tmp_path: Path) -> None:
    backup = Backup(version=0)
    backup.tables(OLD)
    backup.row("recipient", _id=2, uuid=BEA, phone="+15550002", system_display_name="Bea")
    backup.row("recipient", _id=4, group_id=GROUP)
    backup.row("groups", _id=1, group_id=GROUP, title="Book club")
    backup.row("thread", _id=7, recipient_ids="2")
    backup.row("thread", _id=8, recipient_ids="4")
    backup.row("sms", _id=1, thread_id=7, address=2, date=9, date_sent=NOON, type=20, body="old")
    backup.row("sms", _id=2, thread_id=7, address=2, date=9, date_sent=NOON + 1, type=23, body="me")
    backup.row(
        "mms", _id=1, thread_id=8, address=4, date=NOON + 2, msg_box=23, body="pic", quote_id=0
    )
    backup.row(
        "mms", _id=2, thread_id=8, address=2, date=NOON + 3, msg_box=20, body="aha",
        quote_id=NOON + 2,
    )  # fmt: skip
    backup.row("part", _id=1, mid=1, ct="video/mp4")
    backup.row("reaction", _id=1, message_id=1, is_mms=0, emoji="x")
    said, tally = gathered(saved(tmp_path, backup), me="Ann")
    assert [
        ("Bea", "old", "Bea"),
        ("Ann", "me", "Bea"),
        ("Ann", "pic\n[video]", "Book club"),
        ("Bea", "aha", "Book club"),
    ] == [(one.name, one.text, one.title) for one in sorted(said, key=lambda one: one.at)]
    assert said[-1].reply_to in {one.id for one in said if one.name == "Ann"}
    assert {"quote removed": 1, "reactions ignored": 1} == tally.changed


@pytest.mark.parametrize("version", [0, 1])
def test_a_wrong_passphrase_is_said_and_nothing_is_read(tmp_path: Path, version: int) -> None:
    path = saved(tmp_path, new(version))
    with pytest.raises(Refused, match=r"^the passphrase does not open .*30 digits"):
        gathered(path, "9" * 30)


@pytest.mark.parametrize("passphrase", ["", "12345", "x" * 30, "\N{ARABIC-INDIC DIGIT ONE}" * 30])
def test_what_cannot_be_a_passphrase_is_said_before_it_is_tried(
    tmp_path: Path, passphrase: str
) -> None:
    path = saved(tmp_path, b"")
    with pytest.raises(Refused, match="30 digits"):
        gathered(path, passphrase)


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize("cut", [1, 9, 100, 2100, 4200])
def test_of_a_file_that_breaks_off_everything_before_is_kept(
    tmp_path: Path, version: int, cut: int
) -> None:
    backup = new(version)
    for id in range(1, 20):
        say(backup, id, f"message {id}")
        backup.blob("attachment", bytes(100))
    path = saved(tmp_path, backup.written()[:-cut])
    said: list[str] = []
    with pytest.raises(ExportUnusable, match=r"breaks off .*; copy it again"):
        said.extend(one.text for one in read(path, Tally(), Options(passphrase=PASSPHRASE)))
    assert 4 < len(said) < 20
    assert [f"message {id}" for id in range(1, len(said) + 1)] == said


def test_of_a_damaged_file_everything_before_the_damage_is_kept(tmp_path: Path) -> None:
    backup = new()
    say(backup, 1, "whole")
    say(backup, 2, "harmed")
    data = bytearray(backup.written())
    data[-40] ^= 1
    path = saved(tmp_path, bytes(data))
    said: list[str] = []
    with pytest.raises(ExportUnusable, match="is damaged at byte"):
        said.extend(one.text for one in read(path, Tally(), Options(passphrase=PASSPHRASE)))
    assert ["whole"] == said


def test_a_backup_without_an_end_is_unfinished(tmp_path: Path) -> None:
    backup = new()
    with pytest.raises(ExportUnusable, match="breaks off"):
        gathered(saved(tmp_path, backup.written(end=False)))


def test_sql_of_an_enemy_is_never_run(tmp_path: Path) -> None:
    backup = new()
    loot = tmp_path / "loot.sqlite3"
    backup.sql(f"ATTACH '{loot}' AS loot")
    backup.sql("CREATE TRIGGER evil AFTER INSERT ON message BEGIN DELETE FROM message; END")
    backup.sql("CREATE TABLE other (a); DROP TABLE message")
    backup.sql("DROP TABLE messages")
    backup.sql("INSERT INTO message SELECT * FROM recipient")
    backup.sql("INSERT INTO recipient VALUES (load_extension('x'))")
    backup.sql("INSERT INTO sqlite_master VALUES (?)", 1)
    say(backup, 1, "still here'); DROP TABLE messages; --")
    said, tally = gathered(saved(tmp_path, backup))
    assert ["still here'); DROP TABLE messages; --"] == [one.text for one in said]
    assert {"damaged message": 1} == tally.left_out
    assert tally.notes[0].startswith("2 rows of signal-2026-01-02.backup do not fit their tables")
    assert not loot.exists()


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE message AS WITH n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT i FROM n",
        "CREATE TABLE message (_id); DROP TABLE message",
        "CREATE TABLE message USING fts5(x)",
        "CREATE TABLE message (",
    ],
)
def test_a_table_that_is_no_plain_table_is_refused(tmp_path: Path, sql: str) -> None:
    backup = Backup()
    backup.sql(sql)
    with pytest.raises(ExportUnusable, match="the table message cannot be understood"):
        gathered(saved(tmp_path, backup))


def test_values_of_the_wrong_kind_are_no_messages(tmp_path: Path) -> None:
    backup = new()
    backup.row("message", _id=b"1", date_sent="x", thread_id=2.5, type=None, body=5)
    backup.row("message", _id=1, date_sent="x", thread_id=7, from_recipient_id=2, type=INCOMING,
               body=b"blob", quote_id="x", expires_in=-1)  # fmt: skip
    backup.row("mention", message_id=1, recipient_id="x", range_start=-5, range_length=2**62)
    said, tally = gathered(saved(tmp_path, backup))
    assert not said
    assert {"service message": 1, "no text": 1} == tally.left_out


def test_rows_that_share_an_id_are_not_multiplied(tmp_path: Path) -> None:
    backup = new()
    for _ in range(30):
        say(backup, 1, "again", original_message_id=1, quote_id=NOON + 1000)
        backup.row("attachment", message_id=1, content_type="image/png", voice_note=0, quote=0)
    said, _ = gathered(saved(tmp_path, backup))
    assert 30 == len(said)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "is no Android backup of Signal: it has no header"),
        (b"\0\0\0\x05hello", "is no Android backup of Signal"),
        (b"PK\3\4" + bytes(100), "is no Android backup of Signal: it has no header"),
    ],
)
def test_another_file_is_no_backup(tmp_path: Path, content: bytes, what: str) -> None:
    with pytest.raises(ExportUnusable, match=what):
        gathered(saved(tmp_path, content))


def test_a_later_form_of_the_header_is_not_guessed(tmp_path: Path) -> None:
    with pytest.raises(ExportUnusable, match="a header of version 2"):
        gathered(saved(tmp_path, Backup(version=2)))


def test_a_folder_is_advised_about(tmp_path: Path) -> None:
    with pytest.raises(ExportUnusable, match=r"give the \.backup file in it"):
        gathered(tmp_path)


def test_a_database_without_recipients_is_too_old(tmp_path: Path) -> None:
    backup = Backup(version=0)
    backup.tables(OLD_SMS)
    with pytest.raises(ExportUnusable, match="from before 2020"):
        gathered(saved(tmp_path, backup))


@given(st.binary(max_size=200))
def test_any_bytes_are_protobuf_or_a_value_error(data: bytes) -> None:
    try:
        for number, value in fields(data):
            assert number >= 0
            assert isinstance(value, int | bytes)
    except ValueError:
        pass
