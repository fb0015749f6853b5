"""What reading a WhatsApp export promises: every phone's way to write, and none of WhatsApp's own
words taken for people's."""

from __future__ import annotations

import datetime
import zipfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botdaemon.errors import ExportUnusable, Refused
from models.exports.neutral import PLACEHOLDERS, Options, Said, Tally
from models.exports.whatsapp import read
from models.exports.whatsapp_lines import head, order_of
from models.exports.whatsapp_text import NOTICE, reading

if TYPE_CHECKING:
    from pathlib import Path

UTC = Options(timezone="UTC")
LRM = "\u200e"


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def taken(path: Path, options: Options = UTC) -> tuple[list[Said], Tally]:
    tally = Tally()
    messages = list(read(path, tally, options))
    tally.kept = len(messages)
    return messages, tally


def when(said: Said) -> str:
    return datetime.datetime.fromtimestamp(said.at, datetime.UTC).isoformat()[:19]


@pytest.mark.parametrize(
    "beginning",
    [
        "31/12/19, 15:21 - ",
        "31/12/2019, 15:21 - ",
        "31.12.19, 15:21 - ",
        "31.12.2019 klo 15.21 - ",
        "31-12-2019 15:21 - ",
        "31. 12. 2019, 15:21 - ",
        "31.12.19 \u0433., 15:21 - ",
        "12/31/19, 3:21 PM - ",
        "12/31/19, 3:21\u202fPM - ",
        "31/12/19 3:21 p. m. - ",
        "31/12/19 3:21 p.\u00a0m. - ",
        "31/12/19, 3:21 μ.μ. - ",
        "2019/12/31, 15:21 - ",
        "2019-12-31 15:21 - ",
        "2019/12/31 下午3:21 - ",
        "2019. 12. 31. 오후 3:21 - ",
        "31/12/2562 15:21 - ",
        "15:21, 31/12/2019 - ",
        "٣١\u200f/١٢\u200f/٢٠١٩، ٣:٢١ م - ",
        "[31/12/19 15:21] ",
        "[31.12.19, 15:21:00] ",
        "[12/31/19, 3:21:00\u202fPM] ",
        "[2019/12/31 下午3:21:00] ",
        "[31.12.2019 klo 15.21.00] ",
        f"{LRM}[31/12/2019, 15:21:00] ",
    ],
)
def test_every_way_to_write_a_date_is_read(tmp_path: Path, beginning: str) -> None:
    [said], _ = taken(write(tmp_path / "chat.txt", f"{beginning}Ann: hello: you"))
    assert (when(said), said.speaker, said.text) == ("2019-12-31T15:21:00", "Ann", "hello: you")


def test_midnight_and_noon_are_told_apart(tmp_path: Path) -> None:
    messages, _ = taken(
        write(
            tmp_path / "chat.txt",
            "1/31/20, 12:05 AM - Ann: night",
            "1/31/20, 12:05 PM - Ann: noon",
        )
    )
    assert [when(said)[11:16] for said in messages] == ["00:05", "12:05"]


def test_times_are_those_of_the_given_zone(tmp_path: Path) -> None:
    path = write(tmp_path / "chat.txt", "31/07/20, 12:00 - Ann: hi")
    [said], _ = taken(path, Options(timezone="Europe/Berlin"))
    assert when(said) == "2020-07-31T10:00:00"


@pytest.mark.parametrize("zone", ["Berlin", "../etc/passwd", "Europe", "\0"])
def test_a_zone_that_there_is_not_is_refused(tmp_path: Path, zone: str) -> None:
    path = write(tmp_path / "chat.txt", "31/07/20, 12:00 - Ann: hi")
    with pytest.raises(Refused, match="no time zone"):
        taken(path, Options(timezone=zone))


def test_without_a_zone_a_note_says_which_was_taken(tmp_path: Path) -> None:
    _, tally = taken(write(tmp_path / "chat.txt", "31/07/20, 12:00 - Ann: hi"), Options())
    assert any("--timezone" in note for note in tally.notes)


@pytest.mark.parametrize(
    ("dates", "order"),
    [
        ([(13, 1, 20)], "day"),
        ([(1, 13, 20)], "month"),
        ([(5, 2, 20), (1, 3, 20)], "day"),
        ([(2, 5, 20), (3, 1, 20)], "month"),
        ([(1, 2, 20), (2, 3, 20)], None),
        ([(2020, 1, 2)], "year"),
        ([(19, 1, 30), (19, 1, 31), (19, 2, 1)], "year"),
        # one date that somebody pasted does not decide
        ([(13, 1, 20), (14, 1, 20), (1, 15, 20)], "day"),
    ],
)
def test_what_comes_first_in_dates_is_found_out(
    dates: list[tuple[int, int, int]], order: str | None
) -> None:
    assert order_of(dates) == order


def test_dates_that_can_be_read_in_two_ways_are_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "chat.txt", "01/02/20, 12:00 - Ann: hi", "03/04/20, 12:00 - Bob: ho")
    with pytest.raises(Refused, match="--date-order day or --date-order month"):
        taken(path)
    by_day, _ = taken(path, Options(timezone="UTC", date_order="day"))
    by_month, _ = taken(path, Options(timezone="UTC", date_order="month"))
    assert [when(said)[:10] for said in by_day] == ["2020-02-01", "2020-04-03"]
    assert [when(said)[:10] for said in by_month] == ["2020-01-02", "2020-03-04"]


def test_an_order_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "chat.txt", "31/01/20, 12:00 - Ann: hi")
    with pytest.raises(Refused, match=r"31/1/20.*--date-order day"):
        taken(path, Options(timezone="UTC", date_order="month"))


def test_nothing_is_read_of_any_chat_while_one_has_open_dates(tmp_path: Path) -> None:
    write(tmp_path / "a.txt", "31/01/20, 12:00 - Ann: hi")
    write(tmp_path / "b.txt", "01/02/20, 12:00 - Ann: hi")
    with pytest.raises(Refused, match=r"b\.txt"):
        next(read(tmp_path, Tally(), UTC))


def test_lines_without_a_beginning_go_on_with_the_message(tmp_path: Path) -> None:
    [said], _ = taken(
        write(tmp_path / "chat.txt", "31/01/20, 12:00 - Ann: one", "", "two", "3/4 - five: six")
    )
    assert said.text == "one\n\ntwo\n3/4 - five: six"


def test_a_chat_that_was_pasted_into_a_message_stays_in_it(tmp_path: Path) -> None:
    [said, after], tally = taken(
        write(
            tmp_path / "chat.txt",
            "31/01/20, 12:00 - Ann: look",
            "[30.01.20, 11:00:00] Bob: I said so",
            "31/02/20, 11:00 - Bob: there is no such day",
            "31/01/20, 12:01 - Bob: I see",
        )
    )
    assert "Bob: I said so" in said.text
    assert "no such day" in said.text
    assert after.text == "I see"
    assert any("2 lines look like" in note for note in tally.notes)


def test_notices_are_left_out_and_counted(tmp_path: Path) -> None:
    messages, tally = taken(
        write(
            tmp_path / "chat.txt",
            "31/01/20, 12:00 - Messages and calls are end-to-end encrypted.",
            '31/01/20, 12:00 - Ann created group "Tea"',
            '31/01/20, 12:00 - Ann changed the subject from "Tea: now" to "Tea: later"',
            "31/01/20, 12:00 - Ann hat den Namen von „Tee: jetzt“ zu „Tee“ geändert.",
            "31/01/20, 12:00 - +44 20 7946 0000 left",
            "31/01/20, 12:01 - Ann: hi",
        )
    )
    assert [said.text for said in messages] == ["hi"]
    assert tally.left_out == {NOTICE: 5}
    assert tally.read == 6


def test_notices_that_iphones_put_into_a_mouth_are_left_out(tmp_path: Path) -> None:
    messages, tally = taken(
        write(
            tmp_path / "_chat.txt",
            f"[31/01/20, 12:00:00] Tea: {LRM}Messages and calls are end-to-end encrypted.",
            f"[31/01/20, 12:00:01] Ann: {LRM}Ann changed the group picture",
            "[31/01/20, 12:00:02] Ann: hi",
        )
    )
    assert [(said.text, said.title) for said in messages] == [("hi", "Tea")]
    assert tally.left_out == {NOTICE: 2}


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("<Media omitted>", "[file]"),
        ("<Medien ausgeschlossen>", "[file]"),
        ("<メディアなし>", "[file]"),
        ("<Video note omitted>", "[video]"),
        ("<Media omitted>\nmy cat", "[file]\nmy cat"),
        (f"{LRM}image omitted", "[picture]"),
        (f"{LRM}Bild weggelassen", "[picture]"),
        (f"{LRM}imagen omitida", "[picture]"),
        (f"{LRM}изображение отсутствует", "[picture]"),
        (f"{LRM}لم يتم إدراج الصورة", "[picture]"),
        (f"{LRM}画像は含まれていません", "[picture]"),
        (f"{LRM}GIF omitted", "[picture]"),
        (f"{LRM}vidéo absente", "[video]"),
        (f"{LRM}audio weggelaten", "[audio]"),
        (f"{LRM}figurinha omitida", "[sticker]"),
        (f"{LRM}Contact card omitted", "[contact]"),
        (f"tax.pdf • {LRM}2 pages {LRM}document omitted", "[file]"),
        (f"my cat {LRM}image omitted", "my cat [picture]"),
        ("image omitted", "[picture]"),
        ("Sticker weggelassen", "[sticker]"),
        ("Contact card omitted", "[contact]"),
        (f"{LRM}<attached: 00000012-PHOTO-2020-01-31-12-00-00.jpg>", "[picture]"),
        (f"look {LRM}<Anhang: 00000013-VIDEO-2020-01-31-12-00-00.mp4>", "look [video]"),
        (f"tax.pdf • 2 pages {LRM}<attached: 00000014-tax.pdf>", "[file]"),
        (f"{LRM}<adjunto: 00000015-STICKER-2020-01-31-12-00-00.webp>", "[sticker]"),
        (f"2016-06-27-PHOTO-00000017.jpg <{LRM}attached>", "[picture]"),
        ("IMG-20200131-WA0001.jpg (file attached)", "[picture]"),
        ("IMG-20200131-WA0001.jpg (файл добавлен)\nmy cat", "[picture]\nmy cat"),
        (f"{LRM}PTT-20200131-WA0002.opus (Datei angehängt)", "[voice]"),
        ("STK-20200131-WA0003.webp (file attached)", "[sticker]"),
        ("Ann Bee.vcf (archivo adjunto)", "[contact]"),
        ("location: https://maps.google.com/?q=51.5,-0.12", "[place]"),
        ("live location shared", "[place]"),
        ("POLL:\nTea or coffee?\nOPTION: Tea (2 votes)\nOPTION: Both (0 votes)",
         "[poll] Tea or coffee?"),
        (f"{LRM}Missed voice call, {LRM}Tap to call back", "[call]"),
        (f"{LRM}Videoanruf, {LRM}5 Min.", "[call]"),
        ("see @\u2068Bob\u2069", "see @Bob"),
    ],
)  # fmt: skip
def test_what_is_no_text_becomes_a_placeholder(raw: str, text: str) -> None:
    said = reading(raw)
    assert (said.text, said.left_out) == (text, "")
    assert said.replaced == any(kind in text for kind in PLACEHOLDERS)


@pytest.mark.parametrize(
    "text",
    [
        "I <3 you",
        "<3",
        "<br>",
        "the video was great",
        "hi\nimage omitted",
        "the image was omitted from my book",
        "see main.py (line 30)",
        "this message was deleted, she says",
        "null and void",
        "Note:\nbuy milk",
        "a video call?",
    ],
)
def test_what_people_write_stays_as_it_is(text: str) -> None:
    said = reading(text)
    assert (said.text, said.left_out, said.edited, said.replaced) == (text, "", False, False)


@pytest.mark.parametrize(
    "text",
    [
        "This message was deleted",
        "You deleted this message.",
        f"{LRM}You deleted this message.",
        "Diese Nachricht wurde gelöscht.",
        "Se eliminó este mensaje",
        "このメッセージは削除されました。",
        "تم حذف هذه الرسالة",
        "This message was deleted by admin Ann",
    ],
)
def test_messages_that_were_taken_back_are_left_out(text: str) -> None:
    assert reading(text).left_out == "deleted by who wrote it"


@pytest.mark.parametrize(
    "raw",
    [
        "hi <This message was edited>",
        f"hi {LRM}<This message was edited>",
        "hi <Diese Nachricht wurde bearbeitet.>",
        f"hi {LRM}<words of a language that is not known>",
    ],
)
def test_an_edited_message_is_marked_and_loses_the_words_that_say_so(raw: str) -> None:
    said = reading(raw)
    assert (said.text, said.edited) == ("hi", True)


def test_empty_messages_and_those_to_be_seen_once_are_counted(tmp_path: Path) -> None:
    messages, tally = taken(
        write(
            tmp_path / "chat.txt",
            "before the beginning",
            "31/01/20, 12:00 - Ann: ",
            "31/01/20, 12:00 - Ann:",
            "31/01/20, 12:00 - Ann: null",
        )
    )
    assert not messages
    assert tally.left_out == {
        "empty": 2,
        "not on the exporting phone": 1,
        "lines before the first message": 1,
    }


def test_speakers_lose_the_marks_around_them(tmp_path: Path) -> None:
    messages, _ = taken(
        write(
            tmp_path / "chat.txt",
            "31/01/20, 12:00 - \u202a+44 20 7946 0000\u202c: hi",
            "31/01/20, 12:00 - ~\u202fZoë: hi",
        )
    )
    assert [said.speaker for said in messages] == ["+44 20 7946 0000", "Zoë"]


LATER = (
    "31/01/20, 12:00 - Ann: hi",
    "31/01/20, 12:00 - Ann: hi",
    "31/01/20, 12:00 - Bob: hi",
    "31/01/20, 12:01 - Bob: well?",
)


def test_a_later_export_of_the_same_chat_repeats_the_ids(tmp_path: Path) -> None:
    first, _ = taken(write(tmp_path / "WhatsApp Chat with Ann.txt", *LATER[:3]))
    again, _ = taken(write(tmp_path / "WhatsApp Chat with Ann (1).txt", *LATER))
    assert [said.id for said in again[:3]] == [said.id for said in first]
    assert {said.conversation for said in first + again} == {"Ann"}
    assert len({said.id for said in again}) == 4


def test_a_new_name_for_a_number_does_not_change_the_ids(tmp_path: Path) -> None:
    first, _ = taken(write(tmp_path / "WhatsApp Chat with Tea.txt", *LATER))
    renamed = [line.replace("Bob", "Robert") for line in LATER]
    again, _ = taken(write(tmp_path / "WhatsApp Chat with Tea.txt", *renamed))
    assert [said.id for said in again] == [said.id for said in first]


def test_chats_between_two_people_and_groups_are_told_apart(tmp_path: Path) -> None:
    two = ["31/01/20, 12:00 - Ann: hi", "31/01/20, 12:00 - Bob: hi"]
    group = [*two, "31/01/20, 12:00 - Cem: hi"]
    for name, lines, direct in (
        ("WhatsApp Chat with Ann.txt", two, True),
        ("WhatsApp-Chat mit Tea.txt", two, False),
        ("renamed.txt", two, True),
        ("renamed too.txt", group, False),
    ):
        messages, _ = taken(write(tmp_path / name, *lines))
        assert {said.direct for said in messages} == {direct}, name


def test_a_group_is_not_called_after_somebody_in_it(tmp_path: Path) -> None:
    messages, _ = taken(
        write(
            tmp_path / "_chat.txt",
            f"[31/01/20, 12:00:00] Ann: {LRM}Ann changed the group picture",
            *(f"[31/01/20, 12:00:01] {name}: hi" for name in ("Ann", "Bob", "Cem")),
        )
    )
    assert {(said.title, said.direct) for said in messages} == {("", False)}


def test_a_phones_zip_is_read_and_its_other_files_are_not(tmp_path: Path) -> None:
    path = tmp_path / "WhatsApp Chat - Dr. Who.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("_chat.txt", "[31/01/20, 12:00:00] Dr. Who: hi\r\n")
        archive.writestr("00000002-notes.txt", "buy milk")
        archive.writestr("00000003-PHOTO.jpg", b"\xff\xd8")
    [said], tally = taken(path)
    assert (said.conversation, said.text, said.direct) == ("Dr. Who", "hi", True)
    assert any("00000002-notes.txt is no chat" in note for note in tally.notes)


def test_a_folder_of_chats_is_read_chat_by_chat(tmp_path: Path) -> None:
    write(tmp_path / "WhatsApp Chat with Ann.txt", "31/01/20, 12:00 - Ann: hi")
    write(tmp_path / "Chat de WhatsApp con Bob.txt", "31/01/20, 12:00 - Bob: hi")
    done: list[tuple[int, int]] = []
    tally = Tally(progress=lambda count, total: done.append((count, total)))
    messages = list(read(tmp_path, tally, UTC))
    assert {said.conversation for said in messages} == {"Ann", "Bob"}
    assert done[-1][0] == done[-1][1] > 0


def test_messages_out_of_order_are_kept_and_counted(tmp_path: Path) -> None:
    messages, tally = taken(
        write(
            tmp_path / "chat.txt",
            "31/01/20, 12:00 - Ann: one",
            "30/01/20, 12:00 - Bob: two",
            "31/01/20, 12:01 - Ann: three",
        )
    )
    assert [said.text for said in messages] == ["one", "two", "three"]
    assert tally.changed == {"earlier than a message before it": 1}
    assert any("1 messages are earlier" in note for note in tally.notes)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_chat_in_another_encoding_is_read(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "chat.txt"
    path.write_bytes("31/01/20, 12:00 - Zoë: café\r\n".encode(encoding))
    [said], tally = taken(path)
    assert (said.speaker, said.text) == ("Zoë", "café")
    assert any("Windows-1252" in note for note in tally.notes) == (encoding == "cp1252")


def test_words_beside_the_time_that_nobody_knows_are_told(tmp_path: Path) -> None:
    _, tally = taken(write(tmp_path / "chat.txt", "31/01/20, 3:00 xyz - Ann: hi"))
    assert any("xyz" in note for note in tally.notes)


@pytest.mark.parametrize("text", ["", "hello\n", "a,b,c\n1,2,3\n", "99/99/99 9:59 - Ann: hi\n"])
def test_what_is_no_chat_is_said_to_be_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "chat.txt"
    path.write_text(text)
    with pytest.raises(ExportUnusable, match="no chat that WhatsApp exported"):
        taken(path)


def test_a_zip_that_was_cut_is_said_to_be_so(tmp_path: Path) -> None:
    path = tmp_path / "chat.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("_chat.txt", "[31/01/20, 12:00:00] Ann: hi\n" * 100)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ExportUnusable, match="zip"):
        taken(path)


def test_of_a_damaged_zip_what_could_be_read_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "chat.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("_chat.txt", "[31/01/20, 12:00:00] Ann: hi\n" * 20_000)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    messages = read(path, Tally(), UTC)
    assert next(messages).text == "hi"
    with pytest.raises(ExportUnusable, match="damaged"):
        list(messages)


PIECES = st.sampled_from(
    ["31/01/20", "[", "] ", ", ", "12:00", " - ", "Ann", ": ", LRM, "<", ">", "(", ")", "\n", "\r",
     "image omitted", "1", "٣", "م", "\u202f", "~", '"', ".jpg", "•", "POLL:", "PM", "hi"]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(PIECES | st.text(max_size=5), max_size=30).map("".join))
def test_whatever_a_line_holds_it_is_read_or_goes_on(line: str) -> None:
    found = head(line)
    if found is not None:
        assert found.text in line
    said = reading(line)
    assert said.text or said.left_out
    assert LRM not in said.text


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(PIECES, max_size=12).map("".join), max_size=12))
def test_every_message_of_whatever_chat_is_counted(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str]
) -> None:
    path = tmp_path_factory.mktemp("chat") / "chat.txt"
    path.write_text("31/01/20, 12:00 - Ann: hi\n" + "\n".join(lines), encoding="utf-8", newline="")
    messages, tally = taken(path)
    assert messages[0].text.startswith("hi")
    assert len({said.id for said in messages}) == len(messages)
    assert tally.read >= len(messages)
