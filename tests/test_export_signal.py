"""Signal's exports in the clear: the app's own, and what signal-export writes."""

from __future__ import annotations

import json
import zipfile
from base64 import b64encode
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdaemon.errors import ExportUnusable, Refused
from models.exports import signal_export, signal_plaintext
from models.exports.neutral import Options, Tally
from models.exports.signal import read
from models.exports.signal_words import with_mentions

if TYPE_CHECKING:
    from pathlib import Path

    from models.exports.neutral import Said

JSON = dict[str, Any]

ANN, BEA, CAL = (UUID(f"0000000{n}-1111-4222-8333-444444444444") for n in (1, 2, 3))
NOON = 1_700_000_000_000
BERLIN = Options(timezone="Europe/Berlin")


def encoded(aci: UUID) -> str:
    return b64encode(aci.bytes).decode()


def people() -> list[JSON]:
    """Ann's export: she talks with Bea, and in a group with Bea and Cal."""
    members = [{"userId": encoded(aci), "role": "DEFAULT"} for aci in (ANN, BEA, CAL)]
    return [
        {"version": "1", "backupTimeMs": "1700000000000", "mediaRootBackupKey": "q6urqw=="},
        {"account": {"givenName": "Ann", "familyName": "Arbor", "profileKey": "YQKRqw=="}},
        {"recipient": {"id": "1", "self": {}}},
        {"recipient": {"id": "2", "contact": {
            "aci": encoded(BEA), "e164": "15550002", "profileGivenName": "B.",
            "systemGivenName": "Bea", "systemFamilyName": "Busy", "nickname": {"given": "Bee"},
        }}},
        {"recipient": {"id": 3, "contact": {"aci": encoded(CAL), "profileGivenName": "Cal"}}},
        {"recipient": {"id": "4", "group": {
            "masterKey": "c2VjcmV0", "snapshot": {"title": {"title": "Books"}, "members": members},
        }}},
        # One that she left.
        {"recipient": {"id": "10", "group": {"snapshot": {"members": members[1:]}}}},
        {"recipient": {"id": "5", "releaseNotes": {}}},
        {"recipient": {"id": "6", "distributionList": {"distributionList": {"name": "My Story"}}}},
        {"chat": {"id": "7", "recipientId": "2", "expireTimerVersion": 1}},
        {"chat": {"id": "8", "recipientId": "4"}},
        {"chat": {"id": "9", "recipientId": "5"}},
    ]  # fmt: skip


def item(
    at: int, author: int, content: str | JSON, chat: int = 7, *, kind: str = "", **more: Any
) -> JSON:
    """A chat item, `at` seconds after noon. A text is a standard message."""
    if isinstance(content, str):
        content = {"text": {"body": content}}
    direction: JSON = {"outgoing": {"sendStatus": []}} if author == 1 else {"incoming": {}}
    return {
        "chatItem": {
            "chatId": str(chat),
            "authorId": str(author),
            "dateSent": str(NOON + 1000 * at),
            **direction,
            kind or "standardMessage": content,
            **more,
        }
    }


def exported(folder: Path, *items: JSON) -> Path:
    """The app's own export."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(frame, ensure_ascii=False) + "\n" for frame in [*people(), *items]]
    (folder / "main.jsonl").write_text("".join(lines), encoding="utf-8")
    (folder / "metadata.json").write_text('{"version": 1}', encoding="utf-8")
    (folder / "files").mkdir(exist_ok=True)
    (folder / "files" / "ab12.jpg").write_bytes(b"picture")
    return folder


def gathered(path: Path, options: Options | None = None) -> tuple[list[Said], Tally]:
    tally = Tally()
    return list(read(path, tally, options or Options())), tally


def until_damage(path: Path) -> tuple[list[str], str]:
    """The texts before the damage, and what is said of it."""
    texts: list[str] = []
    try:
        texts.extend(one.text for one in read(path, Tally(), BERLIN))
    except ExportUnusable as error:
        return texts, str(error)
    return texts, ""


# --- the app's own export --------------------------------------------------------------------


def test_a_chat_of_two_is_read_with_names_and_times(tmp_path: Path) -> None:
    said, tally = gathered(exported(tmp_path / "x", item(1, 1, "tea?"), item(2, 2, " yes ")))
    assert [("Ann Arbor", str(ANN), "tea?"), ("Bee", str(BEA), "yes")] == [
        (one.name, one.speaker, one.text) for one in said
    ]
    assert [NOON / 1000 + 1, NOON / 1000 + 2] == [one.at for one in said]
    assert {(f"{ANN}+{BEA}", "Bee", True)} == {
        (one.conversation, one.title, one.direct) for one in said
    }
    assert not tally.left_out
    assert not tally.notes


def test_a_group_has_its_title_and_keeps_its_key_to_itself(tmp_path: Path) -> None:
    path = exported(tmp_path / "x", item(1, 1, "which?", 8), item(2, 3, "Moby Dick", 8))
    said, _ = gathered(path, Options(me="Annie"))
    assert [("Annie", "Books", False), ("Cal", "Books", False)] == [
        (one.name, one.title, one.direct) for one in said
    ]
    assert "c2VjcmV0" not in repr(said)
    assert "5550002" not in repr(said)


def test_the_same_group_from_two_phones_has_the_same_messages(tmp_path: Path) -> None:
    anns, _ = gathered(exported(tmp_path / "ann", item(1, 1, "which?", 8), item(2, 2, "that", 8)))
    swapped = [frame for frame in people() if not frame.get("recipient", {}).keys() & {"self"}]
    # On Bea's phone: she is the exporter, and Ann a contact.
    for frame in swapped:
        if frame.get("recipient", {}).get("id") == "2":
            frame["recipient"] = {"id": "2", "self": {}}
    swapped.insert(2, {"recipient": {"id": "1", "contact": {"aci": encoded(ANN)}}})
    items = [item(1, 1, "which?", 8), item(2, 2, "that", 8)]
    path = tmp_path / "main.jsonl"
    path.write_text("\n".join(map(json.dumps, [*swapped, *items])), encoding="utf-8")
    beas, _ = gathered(path)
    assert [(one.conversation, one.id, one.speaker) for one in anns] == [
        (one.conversation, one.id, one.speaker) for one in beas
    ]


def test_mentions_are_found_by_their_utf_16_offsets(tmp_path: Path) -> None:
    ranges = [
        {"start": 3, "length": 1, "mentionAci": encoded(BEA)},
        {"start": 9, "length": 1, "mentionAci": encoded(ANN)},
        {"start": 0, "length": 2, "style": "BOLD"},
        {"length": 99, "mentionAci": encoded(CAL)},
    ]
    body = "\N{GRINNING FACE} \ufffc and \ufffc, not \ufffc"
    said, _ = gathered(
        exported(tmp_path / "x", item(1, 3, {"text": {"body": body, "bodyRanges": ranges}}, 8))
    )
    assert "\N{GRINNING FACE} @Bee and @Ann Arbor, not @someone" == said[0].text


def test_a_reply_is_threaded_to_the_message_it_quotes_without_the_quote(tmp_path: Path) -> None:
    quote = {
        "targetSentTimestamp": str(NOON + 1000), "authorId": "1", "text": {"body": "tea?"},
    }  # fmt: skip
    answer = {"text": {"body": "yes"}, "quote": quote}
    lost = {"text": {"body": "no"}, "quote": {"authorId": "1", "text": {"body": "what was it"}}}
    said, tally = gathered(
        exported(tmp_path / "x", item(1, 1, "tea?"), item(2, 2, answer), item(3, 2, lost))
    )
    assert ["tea?", "yes", "no"] == [one.text for one in said]
    assert ["", said[0].id, ""] == [one.reply_to for one in said]
    assert {"quote removed": 2} == tally.changed


def test_an_edited_message_has_its_last_text_and_its_first_time(tmp_path: Path) -> None:
    old = [item(1, 2, "teh")["chatItem"], item(2, 2, "th")["chatItem"]]
    quote = {"targetSentTimestamp": str(NOON + 5000), "authorId": "2"}
    said, tally = gathered(
        exported(
            tmp_path / "x",
            item(5, 2, "the", revisions=old),
            item(6, 1, {"text": {"body": "ah"}, "quote": quote}),
        )
    )
    assert ("the", NOON / 1000 + 1, True) == (said[0].text, said[0].at, said[0].edited)
    assert said[0].id == said[1].reply_to
    assert {"edited": 1, "quote removed": 1} == tally.changed


def test_what_is_no_text_has_a_placeholder(tmp_path: Path) -> None:
    attachments = [
        {"pointer": {"contentType": "image/jpeg"}},
        {"pointer": {"contentType": "audio/aac"}, "flag": "VOICE_MESSAGE"},
        {"pointer": {"contentType": "application/pdf"}},
        {},
    ]
    said, tally = gathered(
        exported(
            tmp_path / "x",
            item(1, 2, {"text": {"body": "look"}, "attachments": attachments}),
            item(2, 2, {"sticker": {"emoji": "x"}}, kind="stickerMessage"),
            item(3, 2, {"contact": {"number": [{"value": "+1555"}]}}, kind="contactMessage"),
            item(4, 2, {"question": "When?", "options": [{"option": "now"}]}, kind="poll"),
            item(5, 2, {"textReply": {"text": {"body": "nice"}}}, kind="directStoryReplyMessage"),
            item(6, 2, {"text": {"body": "so"}, "reactions": [{"emoji": "x"}], "longText": {1: 1}}),
        )
    )  # fmt: skip
    assert [
        "look\n[picture] [voice] [file] [file]",
        "[sticker]",
        "[contact]",
        "When?\n[poll]",
        "nice",
        "so",
    ] == [one.text for one in said]
    assert {"reactions ignored": 1, "long text cut short": 1} == tally.changed


def test_what_is_no_lasting_message_is_left_out_and_counted(tmp_path: Path) -> None:
    said, tally = gathered(
        exported(
            tmp_path / "x",
            item(1, 2, "kept"),
            item(2, 2, "soon gone", expiresInMs="5000"),
            item(3, 2, {}, kind="remoteDeletedMessage"),
            item(4, 2, {}, kind="adminDeletedMessage"),
            item(5, 2, {"groupCall": {}}, kind="updateMessage", directionless={}),
            item(6, 2, {}, kind="viewOnceMessage"),
            item(7, 2, {"amountMob": "1"}, kind="paymentNotification"),
            item(8, 2, {}, kind="giftBadge"),
            item(9, 2, {"emoji": "x"}, kind="directStoryReplyMessage"),
            item(10, 2, {}),
            item(11, 5, "We have news", 9),
            item(12, 2, {}, kind="hologramMessage"),
            item(13, 77, "who am I"),
            {"stickerPack": {"packId": "ab"}},
            {"adHocCall": {"callId": "1"}},
        )
    )
    assert ["kept"] == [one.text for one in said]
    assert {
        "disappearing message": 1,
        "deleted": 2,
        "service message": 1,
        "view once": 1,
        "payment": 1,
        "gift": 1,
        "reaction to a story": 1,
        "no text": 1,
        "in no chat with people": 2,
        "unknown kind of message": 1,
    } == tally.left_out


def test_a_zip_and_the_file_alone_say_the_same_as_the_folder(tmp_path: Path) -> None:
    folder = exported(tmp_path / "x", item(1, 2, "hi"))
    alone = tmp_path / "signal.txt"
    alone.write_bytes((folder / "main.jsonl").read_bytes())
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.write(folder / "main.jsonl", "export/main.jsonl")
    said = [
        gathered(path)[0] for path in (folder, alone, folder / "main.jsonl", tmp_path / "x.zip")
    ]
    assert said[0]
    assert all(other == said[0] for other in said)


def test_an_export_that_breaks_off_keeps_what_was_read(tmp_path: Path) -> None:
    path = exported(tmp_path / "x", item(1, 2, "whole"), item(2, 2, "cut")) / "main.jsonl"
    path.write_bytes(path.read_bytes()[:-30])
    texts, problem = until_damage(path)
    assert ["whole"] == texts
    assert f"{path}: main.jsonl, line 14 is no JSON: the export breaks off" in problem


def test_a_later_version_is_read_and_noted(tmp_path: Path) -> None:
    path = exported(tmp_path / "x", item(1, 2, "hi")) / "main.jsonl"
    path.write_text(path.read_text("utf-8").replace('"version": "1"', '"version": "2"'), "utf-8")
    said, tally = gathered(path)
    assert 1 == len(said)
    assert "is of version 2" in tally.notes[0]


def test_progress_reaches_the_end(tmp_path: Path) -> None:
    path = exported(tmp_path / "x", *[item(at, 2, f"hi {at}") for at in range(1500)])
    seen: list[tuple[int, int]] = []
    tally = Tally(progress=lambda done, total: seen.append((done, total)))
    list(read(path, tally, Options()))
    size = (path / "main.jsonl").stat().st_size
    assert (0, size) == seen[0]
    assert (size, size) == seen[-1]
    assert 2 < len(seen) < 10


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=3,
)
PLACES = ["chatId", "authorId", "dateSent", "standardMessage", "text", "body", "bodyRanges",
          "quote", "revisions", "attachments", "start", "mentionAci", "reactions"]  # fmt: skip


@given(st.sampled_from(PLACES), ANYTHING)
def test_a_message_with_anything_anywhere_is_read_or_counted(place: str, value: Any) -> None:
    ranges = [{"start": 0, "length": 1, "mentionAci": encoded(BEA)}]
    content = {
        "text": {"body": "\ufffc!", "bodyRanges": ranges},
        "quote": {"targetSentTimestamp": "1", "authorId": "2", "text": {}},
        "attachments": [{"pointer": {"contentType": "image/png"}}],
    }
    frame = item(1, 2, content, revisions=[item(0, 2, "old")["chatItem"]])
    spoil(frame, place, value)
    tally = Tally()
    lines = map(json.dumps, [*people(), frame])
    said = list(signal_plaintext.read_frames(lines, "main.jsonl", tally, Options()))
    assert 1 == len(said) + tally.left_out.total()


def spoil(data: Any, place: str, value: Any) -> None:
    if isinstance(data, dict):
        for key in data:
            if key == place:
                data[key] = value
            else:
                spoil(data[key], place, value)
    elif isinstance(data, list):
        for each in data:
            spoil(each, place, value)


MENTIONS = st.lists(st.tuples(st.integers(-2, 9), st.integers(-2, 9), st.sampled_from(["A", ""])))


@given(st.text(max_size=8), MENTIONS)
def test_mentions_never_break_a_text(text: str, mentions: list[tuple[int, int, str]]) -> None:
    assert with_mentions(text, []) == text.replace("\ufffc", "@someone")
    assert "\ufffc" not in with_mentions(text, mentions)


# --- signal-export ---------------------------------------------------------------------------


def line(date: str, sender: str, body: str, **more: Any) -> JSON:
    """A line of data.json."""
    usual = {"quote": "", "sticker": "", "reactions": [], "attachments": []}
    return {"date": date, "sender": sender, "body": body + "  ", **usual, **more}


def chat(folder: Path, name: str, *lines: JSON) -> Path:
    (folder / name).mkdir(parents=True)
    written = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in lines)
    (folder / name / "data.json").write_text(written, encoding="utf-8")
    return folder


def test_the_chats_of_signal_export_are_read_in_the_zone_that_is_said(tmp_path: Path) -> None:
    chat(tmp_path / "x", "Bea", line("2024-07-01T12:00:00.500000", "Me", "tea?"),
         line("2024-07-01T12:00:05", "Bea", "yes"))  # fmt: skip
    chat(tmp_path / "x", "Books", line("2024-01-01T12:00:00", "Bea", "which?"),
         line("2024-01-01T12:00:01", "Cal", "that"))  # fmt: skip
    said, tally = gathered(tmp_path / "x", Options(timezone="Europe/Berlin", me="Ann"))
    assert [
        ("Ann", "tea?", "Ann+Bea", "Bea", True, 1719828000.5),
        ("Bea", "yes", "Ann+Bea", "Bea", True, 1719828005.0),
        ("Bea", "which?", "Books", "Books", False, 1704106800.0),
        ("Cal", "that", "Books", "Books", False, 1704106801.0),
    ] == [(one.name, one.text, one.conversation, one.title, one.direct, one.at) for one in said]
    assert not tally.notes


def test_without_a_zone_it_is_noted_that_this_machines_was_taken(tmp_path: Path) -> None:
    _, tally = gathered(chat(tmp_path, "Bea", line("2024-07-01T12:00:00", "Bea", "hi")))
    assert ["Times have no zone and were taken as this machine's; --timezone says it."] == (
        tally.notes
    )


def test_a_zone_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    path = chat(tmp_path, "Bea", line("2024-07-01T12:00:00", "Bea", "hi"))
    with pytest.raises(Refused, match='"Mars/Olympus" is no time zone'):
        gathered(path, Options(timezone="Mars/Olympus"))


def test_what_is_more_than_text_is_counted_in_data_json(tmp_path: Path) -> None:
    at = "2024-07-01T12:00:00"
    said, tally = gathered(
        chat(
            tmp_path,
            "Bea",
            line(at, "Bea", "look", attachments=[{"name": "a.jpg", "path": "media/a.jpg"},
                                                 {"name": "b.m4a", "path": "media/b.m4a"},
                                                 {"name": "", "missing_kind": "media"}]),
            line(at, "Bea", "", sticker={"emoji": "x", "packId": "1"}),
            line(at, "Bea", "", sticker="x"),
            line(at, "Me", "yes", quote="\n\n> look\n\n", reactions=[["Bea", "x"]]),
            line(at, "Bea", "the", edits=[{"date": at, "body": "teh"}]),
            line(at, "Bea", "hi \ufffc"),
            line(at, "Bea", "gone", deleted=True),
            line(at, "Bea", "Missed voice call", call=True, missed=True),
            line(at, "Me", "Outgoing video call (accepted, 1m 2s)"),
            line(at, "Bea", ""),
            line(at, "No-Sender", "?"),
            line("yesterday", "Bea", "?"),
        ),
        BERLIN,
    )  # fmt: skip
    assert [
        "look\n[picture] [audio] [picture]",
        "[sticker]",
        "[sticker]",
        "yes",
        "the",
        "hi @someone",
    ] == [one.text for one in said]
    assert len(said) == len({one.id for one in said})
    assert {"quote removed": 1, "reactions ignored": 1, "edited": 1} == tally.changed
    assert {"deleted": 1, "call": 2, "no text": 1, "no sender": 1, "damaged message": 1} == (
        tally.left_out
    )


MARKDOWN = """\
[2024-07-01 12:00:00] Bea: hello
Ann!~~

[2024-07-01 12:00:01] Me:~

> hello
> Ann!

hi: there~~
(- Bea: \N{THUMBS UP SIGN}, Cal: x -)

[2024-07-01 12:00:02] Bea: look  ![a.jpg](./media/a.jpg)  [b (1).pdf](./media/b%20(1).pdf)~~

[2024-07-01 12:00:03] Bea:~~~
(( x ))

[2024-07-01 12:00:04] Bea:   [x](../exported_stickers/ab/1.webp)~~

[2024-07-01 12:00:05] Bea: (This message was deleted)

[2024-07-01 12:00:06] Bea: Incoming call~~

[2024-07-01 12:00:07] Me:   (media not exported)~~

""".replace("~", " ")


def test_markdown_is_read_where_there_is_nothing_better(tmp_path: Path) -> None:
    (tmp_path / "Bea").mkdir()
    (tmp_path / "Bea" / "chat.md").write_text(MARKDOWN, encoding="utf-8")
    said, tally = gathered(tmp_path, BERLIN)
    assert [
        ("Bea", "hello\nAnn!"),
        ("Me", "hi: there"),
        ("Bea", "look\n[picture] [file]"),
        ("Bea", "[sticker]"),
        ("Bea", "[sticker]"),
        ("Me", "[picture]"),
    ] == [(one.name, one.text) for one in said]
    assert 1719828000.0 == said[0].at
    assert {"deleted": 1, "call": 1} == tally.left_out
    assert {"quote removed": 1, "reactions ignored": 1} == tally.changed
    chat(tmp_path / "both", "Bea", line("2024-07-01T12:00:00", "Bea", "better"))
    (tmp_path / "both" / "Bea" / "chat.md").write_text(MARKDOWN, encoding="utf-8")
    assert ["better"] == [one.text for one in gathered(tmp_path / "both", BERLIN)[0]]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_single_file_of_older_markdown_is_known_by_its_first_line(
    tmp_path: Path, end: str
) -> None:
    path = tmp_path / "export.txt"
    path.write_bytes(
        f"[2019-12-24, 12:23] Jane: Hello{end}[2020-01-17, 21:49] Me: Hi{end}".encode()
    )
    said, _ = gathered(path, BERLIN)
    assert [("Jane", "Hello", "export"), ("Me", "Hi", "export")] == [
        (one.name, one.text, one.title) for one in said
    ]


def test_a_chat_that_breaks_off_does_not_keep_others_from_being_read(tmp_path: Path) -> None:
    chat(tmp_path, "Bea", line("2024-07-01T12:00:00", "Bea", "whole"))
    with (tmp_path / "Bea" / "data.json").open("a") as file:
        file.write('{"date": "2024-07-01T12:0')
    chat(tmp_path, "Cal", line("2024-07-01T12:00:00", "Cal", "other"))
    texts, problem = until_damage(tmp_path)
    assert ["whole", "other"] == texts
    assert "Bea/data.json, line 2 is no JSON" in problem


@pytest.mark.parametrize("junk", ["[", "[a](./", "[a](./b)", "[a](../b) ", "> ", "(( "])
def test_a_line_of_brackets_is_a_text(junk: str) -> None:
    head = "[2024-07-01 12:00:00] Bea: "
    [one] = signal_export.markdown_lines([head + 20_000 * junk], "chat.md")
    assert (20_000 * junk).strip() == one.text


@given(st.text(alphabet="[]2024-07 1:\n>!()./x", max_size=60))
def test_any_markdown_is_read_or_refused(text: str) -> None:
    lines = f"[2024-07-01 12:00:00] Bea: {text}".split("\n")
    read_lines = signal_export.markdown_lines
    assert list(read_lines(lines, "chat.md"))


# --- what cannot be read ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "advice"),
    [
        (["sql/db.sqlite", "config.json"], r"pipx run signal-export"),
        (["backup/main", "backup/metadata", "files/ab"], r"version 2 .* in plain text"),
        (["signal-2026-01-02.backup"], r"import it as signal-backup"),
        (["holiday.jpg", "b.jpg"], r"holds no Signal export"),
        (["main"], r"holds no Signal export"),
        (["data.json.bak"], r"holds no Signal export"),
        ([], r"holds no Signal export"),
    ],
)
def test_what_cannot_be_read_is_advised_about(
    tmp_path: Path, names: list[str], advice: str
) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(bytes(range(256)))
    with pytest.raises(ExportUnusable, match=advice):
        gathered(tmp_path)
    with pytest.raises(ExportUnusable):
        gathered(tmp_path / (names or ["nowhere"])[0])


def test_the_database_of_signal_desktop_is_advised_about_by_itself(tmp_path: Path) -> None:
    (tmp_path / "db.sqlite").write_bytes(b"encrypted")
    with pytest.raises(ExportUnusable, match="pipx run signal-export"):
        gathered(tmp_path / "db.sqlite")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[1, 2]\n", "line 1 is no message as signal-export writes it"),
        ('{"sender": "x"}\n', "line 1 is no message as signal-export writes it"),
        ("{}{}\n", "line 1 is no JSON"),
        ("[" * 100_000, "line 1 is no JSON"),
    ],
)
def test_another_data_json_is_none_of_signals(tmp_path: Path, content: str, problem: str) -> None:
    (tmp_path / "data.json").write_text(content)
    with pytest.raises(ExportUnusable, match=problem):
        gathered(tmp_path, BERLIN)


def test_another_markdown_is_none_of_signals(tmp_path: Path) -> None:
    (tmp_path / "chat.md").write_text("# Notes\n\n- a list\n")
    with pytest.raises(ExportUnusable, match="line 1 does not begin a message"):
        gathered(tmp_path, BERLIN)
