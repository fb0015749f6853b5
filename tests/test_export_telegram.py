"""Importing from Telegram: what Telegram Desktop writes, of one chat and of a whole account."""

from __future__ import annotations

import io
import json
import re
import zipfile
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdaemon.errors import ExportUnusable, Refused
from models.exports import telegram
from models.exports.neutral import PLACEHOLDERS, Options, Said, Tally
from models.exports.telegram_escapes import Mended

if TYPE_CHECKING:
    from pathlib import Path

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC).timestamp()


def reading(path: Path, options: Options | None = None) -> tuple[list[Said], Tally]:
    tally = Tally()
    return list(telegram.read(path, tally, options or Options())), tally


def broken(path: Path) -> tuple[list[Said], str]:
    """What is read of an export that is damaged, and the sentence about it."""
    said: list[Said] = []
    with pytest.raises(ExportUnusable) as caught:
        said.extend(telegram.read(path, Tally(), Options()))
    return said, str(caught.value)


def message(id_: int = 1, text: Any = "hello", **more: Any) -> dict[str, Any]:
    return {
        "id": id_,
        "type": "message",
        "date": "2024-05-01T14:00:00",
        "date_unixtime": str(int(NOON)),
        "from": "Ann",
        "from_id": "user11",
        "text": text,
    } | more


def chat(*messages: Any, name: str | None = "Ben", kind: str = "personal_chat") -> dict[str, Any]:
    return {"name": name, "type": kind, "id": 22, "messages": messages}


def written(path: Path, data: Any) -> Path:
    path.write_text(json.dumps(data, ensure_ascii=False, indent=1), encoding="utf-8")
    return path


def of(tmp_path: Path, *messages: Any, kind: str = "personal_chat") -> tuple[list[Said], Tally]:
    return reading(written(tmp_path / "result.json", chat(*messages, kind=kind)))


def only(tmp_path: Path, **more: Any) -> Said:
    (said,), _ = of(tmp_path, message(**more))
    return said


def test_a_message_has_its_speaker_time_and_chat(tmp_path: Path) -> None:
    assert only(tmp_path) == Said(
        conversation="user22",
        id="1",
        at=NOON,
        speaker="user11",
        name="Ann",
        text="hello",
        title="Ben",
        direct=True,
    )


@pytest.mark.parametrize(
    ("kind", "conversation"),
    [
        ("private_group", "chat22"),
        ("private_supergroup", "channel22"),
        ("public_supergroup", "channel22"),
        ("private_channel", "channel22"),
    ],
)
def test_a_group_is_no_person_of_the_same_number(
    tmp_path: Path, kind: str, conversation: str
) -> None:
    (said,), _ = of(tmp_path, message(), kind=kind)
    assert (said.conversation, said.direct) == (conversation, False)


def test_a_whole_account_is_read_chat_by_chat_and_nothing_else_of_it(tmp_path: Path) -> None:
    account = {
        "about": "Here is the data you requested.",
        "personal_information": {"first_name": "Ann", "messages": [message(9)]},
        "contacts": {"about": "", "list": [{"first_name": "Ben", "messages": [message(9)]}]},
        "chats": {
            "about": "",
            "list": [
                chat(message(1)),
                {"type": "saved_messages", "id": 11, "messages": [message(2)]},
                {"name": "Pals", "type": "private_group", "id": 33, "messages": [message(3)]},
            ],
        },
        "left_chats": {
            "about": "",
            "list": [
                {"name": "Old", "type": "private_supergroup", "id": 44, "messages": [message(4)]}
            ],
        },
    }
    said, tally = reading(written(tmp_path / "result.json", account))
    assert [(each.conversation, each.title, each.id) for each in said] == [
        ("user22", "Ben", "1"),
        ("chat33", "Pals", "3"),
        ("channel44", "Old", "4"),
    ]
    assert tally.left_out == {"in the saved messages": 1}


def test_a_chat_without_a_name_does_not_get_that_of_the_chat_before(tmp_path: Path) -> None:
    nameless = {"type": "private_group", "id": 33, "messages": [message(2)]}
    account = {"chats": {"list": [chat(message(1)), nameless]}}
    said, _ = reading(written(tmp_path / "result.json", account))
    assert ["Ben", ""] == [each.title for each in said]


def test_text_in_pieces_is_put_together(tmp_path: Path) -> None:
    pieces = ["see ", {"type": "link", "text": "https://a.example"}, {"type": "bold", "text": "!"}]
    assert only(tmp_path, text=pieces).text == "see https://a.example!"
    uniform = [{"type": "plain", "text": "see "}, {"type": "text_link", "text": "it", "href": "x"}]
    assert only(tmp_path, text=pieces, text_entities=uniform).text == "see it"


def test_what_telegram_marks_as_private_is_said_to_be(tmp_path: Path) -> None:
    said = only(
        tmp_path,
        text_entities=[
            {"type": "email", "text": "a@b.example"},
            {"type": "plain", "text": " or "},
            {"type": "phone", "text": "+49 30 1234"},
            {"type": "plain", "text": " or "},
            {"type": "bank_card", "text": "4111 1111 1111 1111"},
        ],
    )
    assert said.text == "a@b.example or +49 30 1234 or 4111 1111 1111 1111"
    assert said.private == ("a@b.example", "+49 30 1234", "4111 1111 1111 1111")


def test_quotes_are_removed_and_counted(tmp_path: Path) -> None:
    quote = {"type": "blockquote", "text": "what Ben said"}
    said, tally = of(tmp_path, message(1, [quote, "\nno way"]), message(2, [quote]))
    assert ["no way"] == [each.text for each in said]
    assert tally.changed == {"quote removed": 1}
    assert tally.left_out == {"only a quote": 1}


@pytest.mark.parametrize(
    ("media", "text"),
    [
        (
            {"photo": "(File not included. Change data exporting settings to download.)"},
            "[picture]",
        ),
        ({"file": "s.webp", "media_type": "sticker", "sticker_emoji": "😂"}, "[sticker]"),
        ({"file": "v.ogg", "media_type": "voice_message", "mime_type": "audio/ogg"}, "[voice]"),
        ({"file": "v.mp4", "media_type": "video_message"}, "[video]"),
        ({"file": "v.mp4", "media_type": "animation"}, "[video]"),
        ({"file": "s.mp3", "media_type": "audio_file", "title": "a song"}, "[audio]"),
        ({"file": "a.jpg", "mime_type": "image/jpeg"}, "[picture]"),
        ({"file": "a.zip", "mime_type": "application/zip"}, "[file]"),
        ({"contact_information": {"phone_number": "+49 30 1234"}}, "[contact]"),
        ({"location_information": {"latitude": 1.5, "longitude": 2.5}}, "[place]"),
        ({"place_name": "Pub", "location_information": {"latitude": 1.5}}, "[place]"),
        ({"poll": {"question": "when?", "answers": []}}, "[poll]"),
    ],
)
def test_media_have_placeholders(tmp_path: Path, media: dict[str, Any], text: str) -> None:
    said, tally = of(tmp_path, message(1, "", **media), message(2, "look", **media))
    assert [text, f"{text}\nlook"] == [each.text for each in said]
    assert text in PLACEHOLDERS
    assert tally.changed == {"media as placeholders": 2}


def test_a_reply_is_threaded_to_its_parent_unless_that_is_in_another_chat(tmp_path: Path) -> None:
    said, _ = of(
        tmp_path,
        message(2, reply_to_message_id=1),
        message(3, reply_to_message_id=1, reply_to_peer_id="channel5"),
    )
    assert ["1", ""] == [each.reply_to for each in said]


def test_what_is_said_in_a_topic_is_one_thread(tmp_path: Path) -> None:
    said, _ = of(
        tmp_path,
        {"id": 5, "type": "service", "action": "topic_created", "title": "Food", "text": ""},
        message(6, reply_to_message_id=5),
        message(7, reply_to_message_id=6),
        message(8),
        kind="private_supergroup",
    )
    assert [("5", ""), ("5", "6"), ("", "")] == [(each.thread, each.reply_to) for each in said]


def test_what_nobody_there_wrote_is_left_out_and_counted(tmp_path: Path) -> None:
    said, tally = of(
        tmp_path,
        {"id": 1, "type": "service", "action": "phone_call", "actor": "Ann", "text": ""},
        {"id": 2, "type": "unsupported"},
        message(3, forwarded_from="Cat"),
        message(4, forwarded_from=None),
        message(5, via_bot="@gif"),
        message(6, ""),
    )
    assert not said
    assert tally.left_out == {
        "service message (phone_call)": 1,
        "of the kind unsupported": 1,
        "forwarded": 2,
        "made by a bot": 1,
        "no text": 1,
    }


def test_chats_with_bots_are_left_out_unless_they_are_wanted(tmp_path: Path) -> None:
    path = written(tmp_path / "result.json", chat(message(), kind="bot_chat"))
    said, tally = reading(path)
    assert (said, tally.left_out) == ([], {"in a chat with a bot": 1})
    assert len(reading(path, Options(bots=True))[0]) == 1


def test_edits_and_reactions_are_counted(tmp_path: Path) -> None:
    reaction = {"type": "emoji", "count": 1, "emoji": "x"}
    (said,), tally = of(tmp_path, message(edited="2024-05-01T14:01:00", reactions=[reaction]))
    assert said.edited
    assert tally.changed == {"edited": 1, "reactions ignored": 1}


def test_people_who_left_telegram_are_not_taken_for_one(tmp_path: Path) -> None:
    gone = [message(n, **{"from": None, "from_id": f"user777{n}"}) for n in (1, 2)]
    said, tally = of(tmp_path, *gone)
    assert ["Deleted Account 7771", "Deleted Account 7772"] == [each.name for each in said]
    assert tally.changed == {"by somebody who has left Telegram": 2}


# Telegram Desktop of 2018 to 2021


def old_message(**more: Any) -> dict[str, Any]:
    return {
        "id": 1,
        "type": "message",
        "date": "2018-07-05T14:36:55",
        "edited": "1970-01-01T01:00:00",
        "from": "Ann",
        "from_id": 11,
        "text": "hello",
    } | more


def test_times_of_an_old_export_are_in_the_zone_that_the_operator_names(tmp_path: Path) -> None:
    path = written(tmp_path / "result.json", chat(old_message()))
    (said,), tally = reading(path, Options(timezone="Europe/Berlin"))
    assert said.at == datetime(2018, 7, 5, 12, 36, 55, tzinfo=UTC).timestamp()
    assert not tally.notes
    (said,), tally = reading(path)
    assert said.at == datetime(2018, 7, 5, 14, 36, 55).timestamp()  # noqa: DTZ001 - that is meant
    assert any("--timezone" in note for note in tally.notes)


def test_a_zone_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "result.json", chat(old_message()))
    for name in ("Mars/Olympus", "../../etc/passwd", "\0"):
        with pytest.raises(Refused, match="no time zone"):
            reading(path, Options(timezone=name))


def test_zones_change_with_the_season(tmp_path: Path) -> None:
    path = written(tmp_path / "result.json", chat(old_message(date="2018-01-05T14:00:00")))
    (said,), _ = reading(path, Options(timezone="Europe/Berlin"))
    berlin = ZoneInfo("Europe/Berlin")
    assert said.at == datetime(2018, 1, 5, 14, tzinfo=berlin).timestamp()


def test_a_message_that_was_edited_in_1970_was_not_edited(tmp_path: Path) -> None:
    (said,), _ = of(tmp_path, old_message())
    assert not said.edited


@pytest.mark.parametrize(
    ("old", "new"),
    [(11, "user11"), (2**32 + 11, "user11"), (2 * 2**32 + 44, "channel44")],
)
def test_a_speaker_of_an_old_export_is_the_one_of_a_new_one(
    tmp_path: Path, old: int, new: str
) -> None:
    (said,), _ = of(tmp_path, old_message(from_id=old))
    assert said.speaker == new


def test_what_other_programs_leave_out_is_not_missed(tmp_path: Path) -> None:
    bare = [
        {"type": "message", "date_unixtime": "1544006350", "from": "Ann", "text": text}
        for text in ("one", "two")
    ]
    said, _ = reading(written(tmp_path / "result.json", {"messages": bare}))
    assert ["one", "two"] == [each.text for each in said]
    assert len({each.id for each in said}) == 2
    assert {"Ann"} == {each.speaker for each in said}


# Damage


def test_control_characters_are_mended_and_told(tmp_path: Path) -> None:
    data = json.dumps(chat(message(1, r"a\x0B and one\u000btwo"), message(2, "three")))
    mangled = data.replace(r"one\\u000btwo", r"one\x0Btwo")
    assert mangled != data
    (tmp_path / "result.json").write_text(mangled)
    said, tally = reading(tmp_path / "result.json")
    assert [r"a\x0B and one" + "\x0btwo", "three"] == [each.text for each in said]
    assert any("mended" in note for note in tally.notes)


class Dripping:
    """Bytes that come a few at a time."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        self._stream = io.BytesIO(data)
        self._sizes = iter(sizes)

    def read(self, size: int, /) -> bytes:
        return self._stream.read(min(size, next(self._sizes, size)))


@given(
    st.text(alphabet='\\"x0Bu\n\x0b\x1f a', max_size=40),
    st.lists(st.integers(1, 4), max_size=60),
)
def test_texts_are_mended_wherever_they_are_cut_into_blocks(text: str, sizes: list[int]) -> None:
    """As Telegram Desktop writes them: its own escape for what it has no other for."""
    known = {"\n": r"\n", '"': r"\"", "\\": r"\\"}
    asis = re.sub(r'[\x00-\x1f"\\]', lambda one: known.get(one[0], f"\\x{ord(one[0]):02X}"), text)
    mended = Mended(Dripping(f'"{asis}"'.encode(), sizes), Tally())
    assert json.loads(b"".join(iter(lambda: mended.read(64), b""))) == text


def test_of_an_export_that_was_cut_the_beginning_is_kept_and_the_place_is_said(
    tmp_path: Path,
) -> None:
    path = written(tmp_path / "result.json", chat(*(message(n) for n in range(1, 501))))
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b'"id": 400,')])
    said, sentence = broken(path)
    assert len(said) == 399
    assert "result.json ends in the middle (after 399 messages" in sentence


def test_any_cut_keeps_what_comes_before_it(tmp_path: Path) -> None:
    data = json.dumps(chat(message(1), message(2))).encode()
    path = tmp_path / "result.json"
    for end in range(len(data)):
        path.write_bytes(data[:end])
        said, sentence = broken(path)
        assert len(said) == data[:end].count(b'"hello"}')
        assert "ends in the middle" in sentence


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b'{"messages": [} ', "is damaged or no JSON"),
        (b'{"messages": [{"text": "\xff"}]}', "is damaged or no JSON"),
        (b'{"chats": ' + b'{"list": [' * 5_000, "nested too deeply"),
        (b'{"guild": {"id": "1"}}', 'neither "messages" nor "chats"'),
        (b"", "ends in the middle"),
    ],
)
def test_a_file_of_something_else_is_refused_in_one_sentence(
    tmp_path: Path, content: bytes, sentence: str
) -> None:
    (tmp_path / "result.json").write_bytes(content)
    said, problem = broken(tmp_path / "result.json")
    assert not said
    assert sentence in problem
    assert "\n" not in problem


def test_the_export_for_people_is_known_and_what_to_do_is_said(tmp_path: Path) -> None:
    (tmp_path / "messages.html").write_text("<html>")
    assert "machine-readable JSON" in broken(tmp_path)[1]


def test_all_results_of_a_folder_or_zip_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "exports"
    for number in (1, 2):
        (folder / f"ChatExport_{number}" / "files").mkdir(parents=True)
        written(folder / f"ChatExport_{number}" / "result.json", chat(message(number)))
        (folder / f"ChatExport_{number}" / "files" / "sent.json").write_text("{}")
    packed = tmp_path / "exports.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for file in folder.rglob("*.json"):
            archive.write(file, file.relative_to(folder))
    for path in (folder, packed):
        said, _ = reading(path)
        assert ["1", "2"] == [each.id for each in said]


def test_an_empty_chat_is_no_mistake(tmp_path: Path) -> None:
    assert of(tmp_path)[0] == []
    path = written(tmp_path / "result.json", {"about": "", "chats": {"list": []}})
    assert reading(path)[0] == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
FIELDS = sorted(
    message(media_type="", photo="", text_entities=[], reply_to_message_id=1, edited="")
)


@given(
    st.lists(
        json_values
        | st.dictionaries(st.sampled_from(FIELDS), json_values).map(lambda odd: message() | odd),
        max_size=5,
    )
)
def test_every_message_is_kept_or_counted_whatever_its_fields_hold(
    tmp_path_factory: pytest.TempPathFactory, odd: list[Any]
) -> None:
    path = written(tmp_path_factory.mktemp("telegram") / "result.json", chat(*odd))
    said, tally = reading(path)
    assert len(odd) == len(said) + tally.left_out.total()
