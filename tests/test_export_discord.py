"""Importing from Discord: what DiscordChatExporter writes, and Discord's own data package."""

from __future__ import annotations

import csv
import json
import zipfile
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdaemon.errors import ExportUnusable, Refused
from models.exports import discord
from models.exports.discord_text import Names, readable
from models.exports.neutral import Options, Said, Tally

if TYPE_CHECKING:
    from pathlib import Path

ANN = {"id": "100000000000000001", "name": "ann_92", "nickname": "Ann", "isBot": False, "roles": []}
BEN = {"id": "100000000000000002", "name": "ben", "discriminator": "1234", "isBot": False}
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC).timestamp()


def reading(path: Path, options: Options | None = None) -> tuple[list[Said], Tally]:
    tally = Tally()
    return list(discord.read(path, tally, options or Options())), tally


def broken(path: Path) -> tuple[list[Said], Tally, str]:
    """What is read of an export that is damaged, and the sentence about it."""
    tally = Tally()
    said: list[Said] = []
    with pytest.raises(ExportUnusable) as caught:
        said.extend(discord.read(path, tally, Options()))
    return said, tally, str(caught.value)


def message(id_: int = 1, content: Any = "hello", **more: Any) -> dict[str, Any]:
    return {
        "id": str(id_),
        "type": "Default",
        "timestamp": "2024-05-01T14:00:00.0000000+02:00",
        "timestampEdited": None,
        "content": content,
        "author": ANN,
        "attachments": [],
        "embeds": [],
        "stickers": [],
        "reactions": [],
        "mentions": [],
    } | more


def export(*messages: Any, kind: str = "GuildTextChat", **channel: Any) -> dict[str, Any]:
    return {
        "guild": {"id": "1", "name": "Friends"},
        "channel": {"id": "7", "type": kind, "categoryId": "5", "category": "Text", "name": "pub"}
        | channel,
        "dateRange": {"after": None, "before": None},
        "messages": messages,
        "messageCount": len(messages),
    }


def written(path: Path, *messages: Any, **channel: Any) -> Path:
    path.write_text(json.dumps(export(*messages, **channel), indent=2), encoding="utf-8")
    return path


def only(path: Path, **more: Any) -> Said:
    """The one message of an export that has but it."""
    (said,), _ = reading(written(path / "pub.json", message(**more)))
    return said


def test_a_message_has_its_speaker_time_and_channel(tmp_path: Path) -> None:
    assert only(tmp_path) == Said(
        conversation="7",
        id="1",
        at=NOON,
        speaker=str(ANN["id"]),
        name="Ann",
        text="hello",
        title="Friends / pub",
    )


def test_who_has_no_nickname_is_called_by_their_name(tmp_path: Path) -> None:
    assert only(tmp_path, author=BEN).name == "ben"


def test_a_reply_is_threaded_to_its_parent(tmp_path: Path) -> None:
    reference = {"type": "Default", "messageId": "9", "channelId": "7", "guildId": "1"}
    assert only(tmp_path, type="Reply", reference=reference).reply_to == "9"


def test_a_thread_belongs_to_the_channel_it_was_opened_in(tmp_path: Path) -> None:
    thread = written(
        tmp_path / "thread.json",
        message(12),
        kind="GuildPublicThread",
        id="11",
        categoryId="7",
        category="pub",
        name="the party",
    )
    (said,), _ = reading(thread)
    assert (said.conversation, said.thread, said.title) == ("7", "11", "Friends / pub")


def test_a_channel_between_two_people_is_direct_and_a_group_is_not(tmp_path: Path) -> None:
    for kind, direct in (("DirectTextChat", True), ("DirectGroupTextChat", False)):
        (said,), _ = reading(written(tmp_path / "dm.json", message(), kind=kind, name="Ben"))
        assert (said.direct, said.title) == (direct, "Ben")


def test_texts_that_discord_wrote_are_left_out_and_counted_by_type(tmp_path: Path) -> None:
    path = written(
        tmp_path / "pub.json",
        message(1),
        message(2, "Joined the server.", type="GuildMemberJoin"),
        message(3, "Pinned a message.", type="ChannelPinnedMessage"),
        message(4, "", type="21"),
    )
    said, tally = reading(path)
    assert ["1"] == [each.id for each in said]
    assert tally.left_out == {
        "written by Discord (GuildMemberJoin)": 1,
        "written by Discord (ChannelPinnedMessage)": 1,
        "written by Discord (21)": 1,
    }


def test_bots_are_left_out_unless_they_are_wanted(tmp_path: Path) -> None:
    path = written(tmp_path / "pub.json", message(author=BEN | {"isBot": True}))
    said, tally = reading(path)
    assert (said, tally.left_out) == ([], {"by a bot": 1})
    said, tally = reading(path, Options(bots=True))
    assert (len(said), tally.left_out.total()) == (1, 0)


def test_forwards_and_answers_to_commands_are_left_out(tmp_path: Path) -> None:
    path = written(
        tmp_path / "pub.json",
        message(1, "", forwardedMessage={"content": "what another wrote"}),
        message(2, "", reference={"type": "Forward", "messageId": "9"}),
        message(3, "pong", interaction={"id": "5", "name": "ping", "user": ANN}),
    )
    said, tally = reading(path)
    assert (said, tally.left_out) == ([], {"forwarded": 2, "answer to a command": 1})


def test_mentions_are_read_as_names(tmp_path: Path) -> None:
    role = {"id": "31", "name": "cooks", "color": None, "position": 1}
    text = f"<@!{BEN['id']}> and <@{ANN['id']}>: <@&31> in <#7>, not <@404> <@&404> <#404>"
    said = only(tmp_path, content=text, mentions=[BEN], author=ANN | {"roles": [role]})
    assert said.text == "@ben and @Ann: @cooks in #pub, not @someone @role #channel"


def test_custom_emoji_times_and_commands_are_read_as_people_see_them(tmp_path: Path) -> None:
    text = "<:blob:123> <a:dance:456> at <t:1714564800:R>, try </play now:99>"
    assert only(tmp_path, content=text).text == ":blob: :dance: at 2024-05-01 12:00, try /play now"


def test_code_is_left_as_it_is(tmp_path: Path) -> None:
    text = "`<@1>` is a mention\n```\n> no quote <#7>\n```"
    assert only(tmp_path, content=text).text == text


def test_quotes_are_removed_and_counted(tmp_path: Path) -> None:
    path = written(
        tmp_path / "pub.json",
        message(1, "> what Ben said\n> and more\nno way"),
        message(2, "look:\n>>> all of\nthis"),
        message(3, "> nothing of my own"),
        message(4, "2 > 1"),
    )
    said, tally = reading(path)
    assert ["no way", "look:", "2 > 1"] == [each.text for each in said]
    assert tally.left_out == {"only a quote": 1}
    assert tally.changed == {"quote removed": 2}


def test_attachments_and_stickers_have_placeholders(tmp_path: Path) -> None:
    files = ("cat.webp", "cat.MP4", "song.mp3", "voice-message.ogg", "notes.pdf", "noending")
    said = only(
        tmp_path,
        content="see",
        attachments=[{"id": "1", "fileName": name} for name in files],
        stickers=[{"id": "2", "name": "wave", "format": "Png"}],
    )
    assert said.text.split("\n") == [
        "see", "[picture]", "[video]", "[audio]", "[voice]", "[file]", "[file]", "[sticker]",
    ]  # fmt: skip


def test_what_was_edited_reacted_to_and_previewed_is_kept_and_counted(tmp_path: Path) -> None:
    path = written(
        tmp_path / "pub.json",
        message(
            timestampEdited="2024-05-01T14:01:00+02:00",
            reactions=[{"emoji": {"name": "x"}, "count": 1}],
            embeds=[{"title": "a page"}],
        ),
    )
    (said,), tally = reading(path)
    assert said.edited
    assert tally.changed == {"edited": 1, "reactions ignored": 1, "previews ignored": 1}


def test_people_who_left_discord_are_not_taken_for_one(tmp_path: Path) -> None:
    gone = [{"id": f"2000{n}", "name": "Deleted User", "isBot": False} for n in (1, 2)]
    path = written(tmp_path / "pub.json", *(message(n, author=who) for n, who in enumerate(gone)))
    said, tally = reading(path)
    assert ["Deleted User 0001", "Deleted User 0002"] == [each.name for each in said]
    assert tally.changed == {"by somebody who has left Discord": 2}


def test_what_older_versions_did_not_write_is_not_missed(tmp_path: Path) -> None:
    old = {
        "id": "1",
        "type": "Default",
        "timestamp": "2024-05-01T12:00:00+00:00",
        "content": "hi",
        "author": {"id": "5", "name": "ann"},
    }
    (said,), _ = reading(written(tmp_path / "pub.json", old))
    assert (said.at, said.name, said.text) == (NOON, "ann", "hi")


def test_a_message_that_makes_no_sense_is_counted(tmp_path: Path) -> None:
    path = written(
        tmp_path / "pub.json",
        message(1),
        "text",
        None,
        message(2, author=None),
        message(3, author={}),
        message(4, timestamp="yesterday"),
        message(5, content=None),
    )
    said, tally = reading(path)
    assert len(said) == 1
    assert tally.left_out == {"damaged message": 5, "no text": 1}


def test_the_count_in_the_file_is_compared_with_what_was_found(tmp_path: Path) -> None:
    data = export(message(1), message(2)) | {"messageCount": 3}
    (tmp_path / "pub.json").write_text(json.dumps(data))
    _, tally = reading(tmp_path / "pub.json")
    assert tally.promised == {"messages in pub.json": (3, 2)}


@pytest.mark.parametrize("packed", [False, True])
def test_a_folder_or_zip_of_channels_and_partitions_is_read_whole(
    tmp_path: Path, packed: bool
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    written(folder / "pub.json", message(1))
    written(folder / "pub [part 2].json", message(2))
    written(folder / "den.json", message(3), id="8", name="den")
    (folder / "package.json").write_text('{"name": "somebody attached this"}')
    (folder / "cat.png").write_bytes(b"png")
    path = folder
    if packed:
        path = tmp_path / "out.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for file in folder.iterdir():
                archive.write(file, file.name)
    said, tally = reading(path)
    assert sorted((each.conversation, each.id) for each in said) == [
        ("7", "1"),
        ("7", "2"),
        ("8", "3"),
    ]
    assert [note for note in tally.notes if "package.json" in note]


def test_progress_reaches_the_end(tmp_path: Path) -> None:
    path = written(tmp_path / "pub.json", *(message(n) for n in range(200)))
    told: list[tuple[int, int]] = []
    tally = Tally(progress=lambda done, total: told.append((done, total)))
    assert len(list(discord.read(path, tally, Options()))) == 200
    size = path.stat().st_size
    assert told[-1] == (size, size)
    assert told == sorted(told)


def test_of_a_file_that_was_cut_the_beginning_is_kept_and_the_place_is_said(
    tmp_path: Path,
) -> None:
    data = json.dumps(export(message(1), message(2), message(3))).encode()
    cut = data[: data.index(b'"3"')]
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "a.json").write_bytes(cut)
    written(folder / "b.json", message(4))
    said, _, sentence = broken(folder)
    assert ["1", "2", "4"] == [each.id for each in said]
    assert "a.json ends in the middle" in sentence
    assert f"after 2 messages, {len(cut)} bytes" in sentence


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b'{"guild": {"id": "1"}, "channel": !', "is damaged or no JSON"),
        (b'{"guild": {"id": "1"}, "messages": [{}]}', "does not say which channel"),
        (b'{"guild": ' + b"[" * 10_000, "nested too deeply"),
        (b"[]", "neither JSON of DiscordChatExporter nor a data package"),
        (b"", "neither JSON of DiscordChatExporter nor a data package"),
    ],
)
def test_a_file_of_something_else_is_refused_in_one_sentence(
    tmp_path: Path, content: bytes, sentence: str
) -> None:
    (tmp_path / "pub.json").write_bytes(content)
    said, _, problem = broken(tmp_path / "pub.json")
    assert not said
    assert sentence in problem
    assert "\n" not in problem


@given(st.text(alphabet="<>@!&#:a0`t/\n 19", max_size=200))
def test_any_markup_can_be_read(text: str) -> None:
    names = Names(people={"1": "Ann"})
    assert len(readable(text, names).text) <= 20 * len(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**31), 2**31) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(
    st.lists(
        st.dictionaries(st.sampled_from(sorted(message())), json_values).map(
            lambda odd: message() | odd
        ),
        max_size=5,
    )
)
def test_every_message_is_kept_or_counted_whatever_its_fields_hold(
    tmp_path_factory: pytest.TempPathFactory, odd: list[dict[str, Any]]
) -> None:
    path = written(tmp_path_factory.mktemp("discord") / "pub.json", *odd)
    said, tally = reading(path)
    assert len(odd) == len(said) + tally.left_out.total()


# The data package


def package(
    root: Path,
    *,
    account: str = "Account",
    messages: str = "Messages",
    prefix: str = "c",
    as_csv: bool = False,
) -> Path:
    """A package with a direct channel of two messages and an abandoned one in a guild."""
    user = {
        "id": "100000000000000001",
        "username": "ann_92",
        "global_name": "Ann",
        "relationships": [{"id": BEN["id"], "user": {"id": BEN["id"], "username": "ben"}}],
    }
    rows = [
        {
            "ID": 469641859543728149,
            "Timestamp": "2018-07-19 23:09:04",
            "Contents": f'ayy, "its"\nyour <@{BEN["id"]}>',
            "Attachments": "",
        },
        {
            "ID": 469641859543728150,
            "Timestamp": "2018-07-19 23:10:04.250000+00:00",
            "Contents": "",
            "Attachments": "https://cdn.example/1/cat.png?ex=1 https://cdn.example/2/a.zip",
        },
    ]
    (root / account).mkdir(parents=True)
    (root / account / "user.json").write_text(json.dumps(user))
    index = {"20000000000000001": "Direct Message with ben#0", "20000000000000002": None}
    channels: list[tuple[dict[str, Any], list[dict[str, Any]]]] = [
        ({"id": "20000000000000001", "type": "DM", "recipients": ["1", "2"]}, rows),
        (
            {
                "id": "20000000000000002",
                "type": "GUILD_TEXT",
                "name": "pub",
                "guild": {"id": "1", "name": "Friends"},
            },
            [],
        ),
    ]
    for about, written_there in channels:
        folder = root / messages / f"{prefix}{about['id']}"
        folder.mkdir(parents=True)
        (folder / "channel.json").write_text(json.dumps(about))
        if as_csv:
            with (folder / "messages.csv").open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(written_there)
        else:
            (folder / "messages.json").write_text(json.dumps(written_there))
    (root / messages / "index.json").write_text(json.dumps(index))
    return root


@pytest.mark.parametrize(
    ("account", "messages", "prefix", "as_csv"),
    [
        ("Account", "Messages", "c", False),
        ("account", "messages", "c", True),
        ("account", "messages", "", True),
        ("アカウント", "メッセージ", "c", False),
        ("package/Konto", "package/Nachrichten", "c", False),
    ],
)
def test_a_data_package_of_any_age_and_language_is_recognised(
    tmp_path: Path, account: str, messages: str, prefix: str, as_csv: bool
) -> None:
    root = package(
        tmp_path / "in", account=account, messages=messages, prefix=prefix, as_csv=as_csv
    )
    said, tally = reading(root)
    first, second = said
    assert first == Said(
        conversation="20000000000000001",
        id="469641859543728149",
        at=datetime(2018, 7, 19, 23, 9, 4, tzinfo=UTC).timestamp(),
        speaker="100000000000000001",
        name="Ann",
        text='ayy, "its"\nyour @ben',
        title="Direct Message with ben#0",
        direct=True,
    )
    assert second.text == "[picture]\n[file]"
    assert tally.left_out.total() == 0
    assert tally.promised == {f"channels in {messages}/index.json": (2, 2)}


def test_a_data_package_says_that_it_has_no_answers(tmp_path: Path) -> None:
    _, tally = reading(package(tmp_path / "in"))
    assert any("only what Ann wrote" in note for note in tally.notes)


def test_the_owner_of_a_package_without_an_account_has_to_be_named(tmp_path: Path) -> None:
    folder = package(tmp_path / "in") / "Messages"
    with pytest.raises(Refused, match="--me"):
        reading(folder)
    said, _ = reading(folder, Options(me="Ann"))
    assert {("Ann", "Ann")} == {(each.speaker, each.name) for each in said}


def test_channels_that_the_index_has_and_the_package_has_not_are_told(tmp_path: Path) -> None:
    root = package(tmp_path / "in")
    folder = root / "Messages" / "c20000000000000001"
    (folder / "messages.json").unlink()
    _, tally = reading(root)
    assert any(note.startswith("1 channels have no file of messages") for note in tally.notes)
    (folder / "channel.json").unlink()
    _, tally = reading(root)
    assert tally.promised == {"channels in Messages/index.json": (2, 1)}


@pytest.mark.parametrize(
    ("content", "kept", "sentence"),
    [
        ('ID,Timestamp,Contents,Attachments\n1,2024-05-01 12:00:00,"hi', 0, "line 2"),
        (
            "ID,Timestamp,Contents,Attachments\n1,2024-05-01 12:00:00,hi,\n2,2024-05-0",
            1,
            "line 3",
        ),
        ("ID,When\n1,2\n", 0, "has no columns"),
        ("", 0, "has no columns"),
        ("ID,Timestamp,Contents,Attachments\n1,2024-05-01 12:00:00,\xe9,\n", 0, "not UTF-8"),
    ],
)
def test_a_damaged_table_of_a_package_is_named_with_its_line(
    tmp_path: Path, content: str, kept: int, sentence: str
) -> None:
    root = package(tmp_path / "in", as_csv=True)
    name = "Messages/c20000000000000001/messages.csv"
    (root / name).write_bytes(content.encode("latin-1"))
    said, _, problem = broken(root)
    assert len(said) == kept
    assert name in problem
    assert sentence in problem


def test_rows_of_a_package_that_make_no_sense_are_counted(tmp_path: Path) -> None:
    root = package(tmp_path / "in")
    rows = [None, 5, {"ID": 1}, {"ID": "x", "Timestamp": "2024-05-01", "Contents": "hi"}]
    file = root / "Messages" / "c20000000000000001" / "messages.json"
    file.write_text(json.dumps(rows))
    said, tally = reading(root)
    assert (said, tally.left_out) == ([], {"damaged message": 4})
