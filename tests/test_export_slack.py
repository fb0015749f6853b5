"""Slack's exports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from export_makers import archive, folder
from hypothesis import given, settings
from hypothesis import strategies as st

from botdaemon.errors import ExportUnusable
from models.exports import slack
from models.exports.neutral import Options, Said, Tally
from models.exports.slack_text import placeholders, plain

if TYPE_CHECKING:
    from pathlib import Path

ADA = {"id": "U1", "name": "ada.l", "profile": {"display_name": "Ada", "real_name": "Ada Lovelace"}}
JOE = {"id": "U2", "name": "joe", "profile": {"display_name": "", "real_name": "Joe Black"}}
BOT = {"id": "U3", "name": "helper", "is_bot": True}
INDEX = {"users.json": [ADA, JOE, BOT], "channels.json": [{"id": "C1", "name": "general"}]}
DAY = "general/2020-01-01.json"


def message(text: str = "hello", ts: str = "100.000001", **more: Any) -> dict[str, Any]:
    return {"type": "message", "user": "U1", "text": text, "ts": ts, **more}


def read(path: Path, *, bots: bool = False) -> tuple[list[Said], Tally]:
    tally = Tally()
    found = list(slack.read(path, tally, Options(bots=bots)))
    tally.kept = len(found)
    return found, tally


def day(tmp_path: Path, *messages: Any, bots: bool = False) -> tuple[list[Said], Tally]:
    """What is read of an export with these messages in its only channel."""
    return read(folder(tmp_path / "export", {**INDEX, DAY: list(messages)}), bots=bots)


# --- conversations and people ----------------------------------------------------------------


def test_a_message_is_read_with_its_speaker_and_channel(tmp_path: Path) -> None:
    [said], tally = day(tmp_path, message("hello"))
    assert said == Said(
        conversation="C1",
        id="100.000001",
        at=100.000001,
        speaker="U1",
        name="Ada",
        text="hello",
        title="general",
    )
    assert tally.promised == {"conversations": (1, 1)}
    assert not tally.notes


@pytest.mark.parametrize("inside", ["", "My export/", "teams/north/"])
def test_a_zip_is_read_like_the_folder_it_unpacks_to(tmp_path: Path, inside: str) -> None:
    files = {f"{inside}{name}": data for name, data in {**INDEX, DAY: [message()]}.items()}
    zipped, _ = read(archive(tmp_path / "export.zip", files))
    unpacked, _ = read(folder(tmp_path / "export", files))
    assert zipped == unpacked
    assert zipped[0].conversation == "C1"


def test_every_kind_of_conversation_is_read(tmp_path: Path) -> None:
    files = {
        **INDEX,
        "groups.json": [{"id": "G1", "name": "secret"}],
        "mpims.json": [{"id": "G2", "name": "mpdm-ada--joe-1", "members": ["U1", "U2"]}],
        "dms.json": [{"id": "D1", "members": ["U1", "U2"]}],
        "general/2020-01-01.json": [message()],
        "secret/2020-01-01.json": [message()],
        "mpdm-ada--joe-1/2020-01-01.json": [message()],
        "D1/2020-01-01.json": [message()],
    }
    found, tally = read(folder(tmp_path, files))
    assert {(said.conversation, said.title, said.direct) for said in found} == {
        ("C1", "general", False),
        ("G1", "secret", False),
        ("G2", "Ada, Joe Black", False),
        ("D1", "Ada, Joe Black", True),
    }
    assert tally.promised["conversations"] == (4, 4)


def test_a_folder_may_be_called_by_its_channels_id(tmp_path: Path) -> None:
    [said], _ = read(folder(tmp_path, {**INDEX, "C1/2020-01-01.json": [message()]}))
    assert (said.conversation, said.title) == ("C1", "general")


def test_a_folder_that_the_index_does_not_know_is_read_and_named(tmp_path: Path) -> None:
    found, tally = read(folder(tmp_path, {**INDEX, "lost/2020-01-01.json": [message()]}))
    assert [said.conversation for said in found] == ["lost"]
    assert any("the folder lost is not in the export's index" in note for note in tally.notes)


def test_channels_of_the_index_without_a_message_are_named(tmp_path: Path) -> None:
    index = {**INDEX, "dms.json": [{"id": "D1", "members": ["U1", "U2"]}]}
    found, tally = read(folder(tmp_path, index))
    assert (found, tally.promised) == ([], {"conversations": (2, 0)})
    assert tally.notes == ["nothing was said, or is exported, in: #general, D1"]


def test_json_that_is_not_understood_is_named(tmp_path: Path) -> None:
    _, tally = day(tmp_path, message())
    assert not tally.notes
    folder(tmp_path / "export", {"lists.json": [], "integration_logs.json": []})
    _, tally = read(tmp_path / "export")
    assert tally.notes == ["lists.json is not read; no messages are known to lie there"]


def test_people_of_a_large_organisation_are_known(tmp_path: Path) -> None:
    files = {"org_users.json": [ADA], "channels.json": INDEX["channels.json"], DAY: [message()]}
    [said], _ = read(folder(tmp_path, files))
    assert said.name == "Ada"


def test_guests_are_called_as_their_messages_say(tmp_path: Path) -> None:
    profile = {"display_name": "", "real_name": "Guest of Honour", "name": "guest"}
    found, tally = day(
        tmp_path, message(user="U9", user_profile=profile), message("<@U9>", "101.1", user="U8")
    )
    assert [(said.name, said.text) for said in found] == [
        ("Guest of Honour", "hello"),
        ("U8", "@Guest of Honour"),
    ]
    assert tally.changed == {"name unknown": 1}


# --- threads and order -----------------------------------------------------------------------


def test_messages_come_in_the_order_of_time_whatever_the_file_says(tmp_path: Path) -> None:
    found, _ = day(tmp_path, message("b", "9.5"), message("c", "10.5"), message("a", "9.25"))
    assert [said.text for said in found] == ["a", "b", "c"]


def test_a_reply_is_threaded_to_its_parent(tmp_path: Path) -> None:
    files = {
        **INDEX,
        DAY: [
            message("question", "100.1", thread_ts="100.1", reply_count=2),
            message("something else", "101.1"),
            message("answer", "102.1", thread_ts="100.1", user="U2"),
        ],
        "general/2020-01-02.json": [
            message("told all", "103.1", thread_ts="100.1", subtype="thread_broadcast")
        ],
    }
    found, tally = read(folder(tmp_path, files))
    assert [(said.text, said.reply_to, said.thread) for said in found] == [
        ("question", "", "100.1"),
        ("something else", "", ""),
        ("answer", "100.1", "100.1"),
        ("told all", "100.1", "100.1"),
    ]
    assert tally.promised["replies in threads"] == (2, 2)


def test_replies_that_are_missing_are_counted(tmp_path: Path) -> None:
    _, tally = day(tmp_path, message(thread_ts="100.000001", reply_count=3))
    assert tally.promised["replies in threads"] == (3, 0)


# --- what is kept and what is not ------------------------------------------------------------


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (message(subtype="channel_join"), "Slack's own news (channel_join)"),
        (message(subtype="never_heard_of"), "Slack's own news (never_heard_of)"),
        (message(type="file"), "Slack's own news (file)"),
        (message(subtype="tombstone", hidden=True), "deleted"),
        (message(hidden=True), "hidden"),
        (message(subtype="bot_message", user=None, bot_id="B1"), "by a bot"),
        (message(user="U3"), "by a bot"),
        (message(user="USLACKBOT"), "by a bot"),
        (message(user="U77", bot_id="B1"), "by a bot"),
        (message(user=None), "of nobody"),
        (message("&gt; what somebody said"), "only a quote"),
        (message(""), "no text"),
        (message(files=[{"mode": "tombstone"}], text=""), "no text"),
        (message(ts="yesterday"), "damaged message"),
        ({**message(), "ts": None}, "damaged message"),
        ("nonsense", "damaged message"),
    ],
)
def test_what_nobody_said_is_left_out_for_a_reason(tmp_path: Path, odd: Any, reason: str) -> None:
    found, tally = day(tmp_path, message("kept"), odd)
    assert [said.text for said in found] == ["kept"]
    assert tally.left_out == {reason: 1}
    assert tally.read == 2


def test_what_a_person_posts_by_an_app_is_theirs(tmp_path: Path) -> None:
    found, _ = day(tmp_path, message(bot_id="B1"))
    assert [said.name for said in found] == ["Ada"]


def test_bots_are_kept_when_asked_for(tmp_path: Path) -> None:
    attached = [
        {"text": "<https://x.org|build> passed", "fallback": "-"},
        {"fallback": "done"},
    ]
    found, tally = day(
        tmp_path,
        message("", subtype="bot_message", user=None, bot_id="B1", attachments=attached),
        message("hi", "101.1", user=None, bot_id="B2", bot_profile={"name": "Deployer"}),
        message("ho", "102.1", user=None, subtype="bot_message", username="Hook"),
        bots=True,
    )
    assert [(said.speaker, said.name, said.text) for said in found] == [
        ("B1", "B1", "build passed\ndone"),
        ("B2", "Deployer", "hi"),
        ("Hook", "Hook", "ho"),
    ]
    assert not tally.left_out


def test_edits_reactions_and_previews_are_counted(tmp_path: Path) -> None:
    [said], tally = day(
        tmp_path,
        message(
            edited={"user": "U1", "ts": "101.1"},
            reactions=[{"name": "+1", "users": ["U2"], "count": 1}],
            attachments=[{"title": "a page"}],
        ),
    )
    assert said.edited
    assert tally.changed == {"edited": 1, "reactions ignored": 1, "link previews ignored": 1}


def test_files_are_placeholders(tmp_path: Path) -> None:
    sent = [{"mimetype": "image/png"}, {"mimetype": "video/mp4"}, {"mimetype": "application/pdf"}]
    found, tally = day(
        tmp_path,
        message("look", files=sent),
        message("", "101.1", files=[{"mode": "hidden_by_limit"}]),
    )
    assert [said.text for said in found] == ["look\n[picture] [video] [file]", "[file]"]
    assert tally.changed == {"files named only": 2}
    voice = {"mimetype": "video/mp4", "subtype": "slack_audio"}
    assert placeholders([voice, {"mimetype": "audio/mpeg"}]) == ["[voice]", "[audio]"]


def test_what_slack_itself_wrote_about_old_files_is_no_text(tmp_path: Path) -> None:
    file = {"name": "a.png", "mimetype": "image/png"}
    wrote = "<@U1|ada> uploaded a file: <https://x.org/a.png|a.png>"
    found, _ = day(
        tmp_path,
        message(wrote, subtype="file_share", file=file),
        message(f"{wrote} and commented: nice\none", "101.1", subtype="file_share", file=file),
        {
            "type": "message",
            "subtype": "file_comment",
            "text": "<@U2|joe> commented on <@U1|ada>'s file <https://x.org/a.png|a.png>: indeed",
            "file": file,
            "comment": {"user": "U2", "comment": "indeed"},
            "ts": "102.1",
        },
    )
    assert [(said.name, said.text) for said in found] == [
        ("Ada", "[picture]"),
        ("Ada", "nice\none\n[picture]"),
        ("Joe Black", "indeed"),
    ]


def test_rich_text_is_read_where_there_is_no_text(tmp_path: Path) -> None:
    def section(*elements: dict[str, Any]) -> dict[str, Any]:
        return {"type": "rich_text_section", "elements": list(elements)}

    def text(words: str) -> dict[str, Any]:
        return {"type": "text", "text": words}

    parts = [
        section(
            {"type": "user", "user_id": "U2"},
            text(" see "),
            {"type": "link", "url": "https://x.org", "text": "this"},
            text(" & "),
            {"type": "channel", "channel_id": "C1"},
            {"type": "emoji", "name": "shrug", "unicode": "1f937-1f3fd"},
            {"type": "emoji", "name": "ourlogo"},
            {"type": "broadcast", "range": "here"},
        ),
        {"type": "rich_text_list", "elements": [section(text("one")), section(text("two"))]},
        {"type": "rich_text_preformatted", "elements": [text("x < y")]},
        {"type": "rich_text_quote", "elements": [text("said by another")]},
    ]
    [said], tally = day(
        tmp_path, message("", blocks=[{"type": "rich_text", "elements": parts}, {"type": "image"}])
    )
    assert said.text == (
        "@Joe Black see this & #general🤷🏽:ourlogo:@here\n- one\n- two\n```x < y```"
    )
    assert tally.changed == {"quote removed": 1}


# --- text ------------------------------------------------------------------------------------

NAMES = {"U1": "Ada", "C1": "general", "S1": "admins"}


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("<@U1> and <@U9|zoe> and <@U9>", "@Ada and @zoe and @someone"),
        ("<#C1> <#C9|random> <#C1|old-name>", "#general #random #general"),
        (
            "<!here> <!channel|@channel> <!subteam^S1> <!subteam^S9|@ops>",
            "@here @channel @admins @ops",
        ),
        ("<!date^1392734382^{date_short}|Feb 18> at", "Feb 18 at"),
        ("<https://x.org/a_b_c|the _page_> <https://x.org/_a_>", "the _page_ https://x.org/_a_"),
        ("*bold* _it_ ~no~ 2 * 3 * 4 snake_case_name", "bold it no 2 * 3 * 4 snake_case_name"),
        ("a &lt;b&gt; &amp;lt; c", "a <b> &lt; c"),
        (":+1: :clap::skin-tone-2: :ourlogo: 10:30:00", "👍 👏 :ourlogo: 10:30:00"),
        ("`a_b_ :tada: <@U1>` *x*", "`a_b_ :tada: @Ada` x"),
        ("```*a* &lt;b&gt;\n&gt; c```", "```*a* <b>\n> c```"),
        ("&gt; theirs\nmine\n&gt; theirs", "mine"),
        ("mine\n&gt;&gt;&gt; theirs\nand all the rest", "mine"),
        ("1 &gt; 0", "1 > 0"),
    ],
)
def test_mrkdwn_becomes_what_people_read(written: str, meant: str) -> None:
    assert plain(written, NAMES, {}).text == meant


def test_emoji_that_a_message_explains_are_shown(tmp_path: Path) -> None:
    section = {"type": "emoji", "name": "shrug", "unicode": "1f937"}
    blocks = [{"type": "rich_text", "elements": [{"elements": [section]}]}]
    [said], _ = day(tmp_path, message("oh :shrug:", blocks=blocks))
    assert said.text == "oh 🤷"


def test_addresses_that_slack_marks_are_told(tmp_path: Path) -> None:
    [said], _ = day(tmp_path, message("<mailto:a@b.org|a@b.org> or <tel:+4930123|030 123>"))
    assert said.text == "a@b.org or 030 123"
    assert said.private == ("a@b.org", "030 123")


@given(st.text(st.sampled_from("<>@#!|&gt;lamp*_~`:\n \ue0000\ue001U1^")))
def test_any_text_can_be_read(written: str) -> None:
    assert "\ue000" not in plain(written, NAMES, {}).text


# --- damage ----------------------------------------------------------------------------------


def test_a_damaged_day_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    files = {
        **INDEX,
        "general/2020-01-01.json": '[{"type": "message", "te',
        "general/2020-01-02.json": [message("kept")],
        "general/2020-01-03.json": {"ok": False},
    }
    path = folder(tmp_path, files)
    found: list[Said] = []
    sentence = r"2020-01-01\.json ends in the middle of line 1; .* \(and 1 more file like it\)"
    with pytest.raises(ExportUnusable, match=sentence):
        found.extend(slack.read(path, Tally(), Options()))
    assert [said.text for said in found] == ["kept"]


def test_what_is_no_slack_export_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportUnusable, match="is no Slack export: it has neither"):
        read(folder(tmp_path, {"result.json": {"messages": []}}))


@pytest.mark.parametrize("spoiled", ['[{"id": "U1"', "{}", "nonsense"])
def test_a_damaged_index_is_refused(tmp_path: Path, spoiled: str) -> None:
    with pytest.raises(ExportUnusable, match=r"users\.json"):
        read(folder(tmp_path, {**INDEX, "users.json": spoiled}))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "id", "elements", "user"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)
KEYS = [
    "type", "subtype", "user", "text", "ts", "thread_ts", "bot_id", "comment", "files", "file",
    "blocks", "edited", "reply_count", "attachments", "user_profile", "bot_profile", "hidden",
]  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS), json_values), st.booleans())
def test_whatever_a_message_holds_it_is_kept_or_counted(
    tmp_path_factory: pytest.TempPathFactory, odd: dict[str, Any], bots: bool
) -> None:
    found, tally = day(
        tmp_path_factory.mktemp("any"), {**message(), **odd}, odd, message("last", "9.9"), bots=bots
    )
    assert tally.read == 3
    assert all(said.speaker and said.text and said.at > 0 for said in found)
