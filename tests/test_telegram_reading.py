"""What Telegram's updates mean: text with entities, who said what where, and what is malformed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telegram import Message, MessageEntity, Update, User

from adapters.files import Taken
from adapters.telegram.contents import attachments
from adapters.telegram.entities import markdown
from adapters.telegram.reader import Reader
from botdaemon.types import Address, Control, Identity, Posted

ACCOUNT = {"id": 99, "is_bot": True, "first_name": "Daemon", "username": "Daemon_Bot"}
ANN = {"id": 7, "is_bot": False, "first_name": "Ann", "last_name": "Lee", "username": "ann"}
GROUP = {"id": -1005, "type": "supergroup", "title": "garden"}


def entity(kind: str, offset: int, length: int, **more: Any) -> dict[str, Any]:
    return {"type": kind, "offset": offset, "length": length, **more}


def said(text: str | None = None, *entities: dict[str, Any], **more: Any) -> Message:
    raw = {"message_id": 5, "date": 1_700_000_000, "chat": GROUP, "from": ANN}
    raw |= {"text": text, "entities": list(entities)} if text is not None else {}
    message = Message.de_json({**raw, **more}, None)
    assert message is not None
    return message


def reader(*bots: str) -> Reader:
    account = User.de_json(ACCOUNT, None)
    assert account is not None
    return Reader("tg", account, bots or ("Robo", "Comic"))


def posted(message: Message) -> Posted:
    event = reader().posted([message], Taken(), missed=False)
    assert event is not None
    return event


def as_markdown(text: str, *entities: dict[str, Any]) -> str:
    parsed = [MessageEntity.de_json(one, None) for one in entities]
    return markdown(text, [one for one in parsed if one], lambda entity, covered: None)


# --- text -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "entities", "expected"),
    [
        ("so bold", [entity("bold", 3, 4)], "so **bold**"),
        ("so bold it", [entity("bold", 3, 5)], "so **bold** it"),
        ("both", [entity("bold", 0, 4), entity("italic", 0, 4)], "***both***"),
        ("a b c", [entity("bold", 0, 5), entity("italic", 2, 1)], "**a *b* c**"),
        ("one\ntwo", [entity("bold", 0, 7)], "**one**\n**two**"),
        ("gone", [entity("strikethrough", 0, 4)], "~~gone~~"),
        ("under", [entity("underline", 0, 5)], "under"),
        ("secret", [entity("spoiler", 0, 6)], "secret"),
        ("x = `1`", [entity("code", 0, 7)], "`` x = `1` ``"),
        ("see here", [entity("text_link", 4, 4, url="http://e.org/")], "see [here](http://e.org/)"),
        ("a", [entity("text_link", 0, 1, url="http://e.org/(b)")], "[a](<http://e.org/(b)>)"),
        ("[1]", [entity("text_link", 0, 3, url="http://e.org")], "[\\[1\\]](http://e.org)"),
        ("print(1)", [entity("pre", 0, 8, language="python")], "```python\nprint(1)\n```"),
        ("run\nx\nnow", [entity("pre", 4, 1)], "run\n```\nx\n```\nnow"),
        ("run x now", [entity("pre", 4, 1)], "run \n```\nx\n```\n now"),
        ("a ``` b", [entity("pre", 0, 7)], "````\na ``` b\n````"),
        ("two\nlines", [entity("code", 0, 9)], "```\ntwo\nlines\n```"),
        ("a\nb\nc", [entity("blockquote", 0, 3)], "> a\n> b\n\nc"),
        ("quote", [entity("expandable_blockquote", 0, 5), entity("bold", 0, 5)], "> **quote**"),
        ("\U0001f600 bold", [entity("bold", 3, 4)], "\U0001f600 **bold**"),
        ("http://e.org/2*3*4", [entity("url", 0, 18)], "http://e.org/2*3*4"),
        ("*waves* at_you", [], "*waves* at_you"),
        ("2*3**4", [], "2\\*3\\*\\*4"),
        ("\u00af\\_(o)_/\u00af", [], "\u00af\\\\_(o)_/\u00af"),
        ("odd", [entity("sparkling", 0, 3)], "odd"),
        ("out", [entity("bold", 10, 5), entity("bold", -3, 2), entity("bold", 1, 0)], "out"),
        ("long", [entity("bold", 2, 500)], "lo**ng**"),
        ("crossed", [entity("bold", 0, 4), entity("italic", 2, 5)], "**cr*os***sed"),
    ],
)
def test_entities_become_markdown(text: str, entities: list[dict[str, Any]], expected: str) -> None:
    assert as_markdown(text, *entities) == expected


KINDS = ["bold", "italic", "code", "pre", "blockquote", "text_link", "spoiler", "text_mention"]


@given(
    st.text("ab *`\n\U0001f600", max_size=20),
    st.lists(
        st.builds(
            entity,
            st.sampled_from(KINDS),
            st.integers(-2, 24),
            st.integers(-2, 24),
            url=st.just("http://e.org"),
        ),
        max_size=5,
    ),
)
def test_no_entity_loses_a_word(text: str, entities: list[dict[str, Any]]) -> None:
    shown = as_markdown(text, *entities)
    letters = [char for char in shown if char in "ab\U0001f600"]
    links = shown.count("](http://e.org)")
    assert [char for char in text if char in "ab\U0001f600"] == letters
    assert links <= 20 * len(entities)


# --- who is meant ---------------------------------------------------------------------------------


def test_the_accounts_own_mention_is_taken_off_the_front() -> None:
    event = posted(said("@daemon_bot, hello", entity("mention", 0, 11)))
    assert (event.message.text, event.mentioned, event.to_others) == ("hello", True, False)


def test_the_accounts_own_mention_within_a_text_is_the_first_bots_name() -> None:
    event = posted(said("ask @DAEMON_BOT now", entity("mention", 4, 11)))
    assert (event.message.text, event.mentioned) == ("ask @Robo now", True)


def test_a_mention_by_id_names_the_person() -> None:
    event = posted(said("Bo: hi", entity("text_mention", 0, 2, user={**ANN, "id": 8})))
    assert event.message.text == "@Bo: hi"
    assert event.to_others
    own = posted(said("Daemon hi", entity("text_mention", 0, 6, user=ACCOUNT)))
    assert (own.message.text, own.mentioned, own.to_others) == ("hi", True, False)


def test_who_opens_with_somebody_elses_name_speaks_to_them() -> None:
    assert posted(said("@bob hi", entity("mention", 0, 4))).to_others
    assert not posted(said("hi @bob", entity("mention", 3, 4))).to_others


def test_a_bots_own_name_is_not_somebody_elses() -> None:
    assert not posted(said("@comic hi", entity("mention", 0, 6))).to_others


def test_a_command_for_the_account_loses_its_address() -> None:
    event = posted(said("/help@daemon_bot me", entity("bot_command", 0, 16)))
    assert (event.message.text, event.mentioned) == ("/help me", True)


def test_a_command_for_another_bot_is_only_words() -> None:
    event = posted(said("/help@other_bot", entity("bot_command", 0, 15)))
    assert (event.message.text, event.mentioned, event.to_others) == (
        "\\/help@other_bot", False, True,
    )  # fmt: skip


# --- where, and by whom ---------------------------------------------------------------------------


def test_a_topic_is_a_place_of_its_own_and_a_chain_of_replies_is_not() -> None:
    topic = said("hi", message_thread_id=12, is_topic_message=True)
    assert posted(topic).message.address == Address("tg", "-1005", "12")
    chain = said("hi", message_thread_id=12)
    assert posted(chain).message.address == Address("tg", "-1005")


def test_what_is_said_in_a_topic_is_no_reply_to_the_notice_that_opened_it() -> None:
    opened = {"message_id": 12, "date": 1, "chat": GROUP}
    inside = {"message_thread_id": 12, "is_topic_message": True}
    assert posted(said("hi", reply_to_message=opened, **inside)).message.reply_to == ""
    other = {**opened, "message_id": 13}
    assert posted(said("hi", reply_to_message=other, **inside)).message.reply_to == "13"


def test_a_quote_that_was_picked_stands_above_the_answer() -> None:
    quote = {"text": "a\nb", "position": 0, "is_manual": True}
    assert posted(said("why?", quote=quote)).message.text == "> a\n> b\n\nwhy?"
    assert posted(said("/retry", quote=quote)).message.text == "/retry"


def test_an_anonymous_admin_and_a_channel_speak_as_chats() -> None:
    anonymous = {"id": 1087968824, "is_bot": True, "first_name": "Group"}
    event = posted(said("hi", sender_chat=GROUP, **{"from": anonymous}))
    assert event.message.author == Identity(adapter="tg", account="-1005", name="garden")


def test_a_person_goes_by_their_whole_name() -> None:
    event = posted(said("hi"))
    assert event.message.author == Identity(adapter="tg", account="7", name="Ann Lee")
    assert (event.key, event.message.platform_id) == ("-1005:5", "5")


def test_other_bots_are_known_as_bots_and_the_account_never_hears_itself() -> None:
    other = posted(said("hi", **{"from": {**ANN, "is_bot": True}}))
    assert other.message.author is not None
    assert other.message.author.is_bot
    assert reader().posted([said("hi", **{"from": ACCOUNT})], Taken(), missed=False) is None


def test_who_joins_or_pins_says_nothing() -> None:
    joined = said(new_chat_members=[ANN])
    assert reader().posted([joined], Taken(), missed=False) is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"sticker": {"emoji": "\U0001f600"}}, "\U0001f600"),
        ({"dice": {"emoji": "\U0001f3b2", "value": 4}}, "\U0001f3b2 4"),
        ({"location": {"latitude": 1.5, "longitude": 2.5}}, "[place: 1.5, 2.5]"),
        ({"contact": {"first_name": "Bo", "phone_number": "+49"}}, "[contact: Bo, +49]"),
    ],
)
def test_what_is_no_text_is_said_in_words(content: dict[str, Any], words: str) -> None:
    common = {"file_id": "f", "file_unique_id": "u", "width": 1, "height": 1, "type": "regular"}
    if "sticker" in content:
        content["sticker"] |= {**common, "is_animated": False, "is_video": False}
    assert posted(said(**content)).message.text == words


def test_of_a_photo_the_largest_size_is_taken() -> None:
    sizes = [
        {"file_id": str(side), "file_unique_id": "u", "width": side, "height": side}
        for side in (90, 1280, 320)
    ]
    assert [file.id for file in attachments(said(photo=sizes))] == ["1280"]


def test_an_animation_is_one_file_though_it_is_named_twice() -> None:
    file = {"file_id": "a", "file_unique_id": "u"}
    animation = {**file, "width": 1, "height": 1, "duration": 1}
    assert len(attachments(said(animation=animation, document=file))) == 1


# --- the rest -------------------------------------------------------------------------------------


def test_every_reaction_that_came_or_went_is_an_event() -> None:
    update = Update.de_json(
        {
            "update_id": 3,
            "message_reaction": {
                "chat": GROUP,
                "message_id": 5,
                "user": ANN,
                "date": 1,
                "old_reaction": [{"type": "emoji", "emoji": "\U0001f44d"}],
                "new_reaction": [
                    {"type": "emoji", "emoji": "\U0001f44e"},
                    {"type": "custom_emoji", "custom_emoji_id": "123"},
                ],
            },
        },
        None,
    )
    assert update.message_reaction is not None
    events = reader().reacted(update.message_reaction, 3)
    assert [(event.emoji, event.added) for event in events] == [
        ("\U0001f44d", False),
        ("\U0001f44e", True),
        ("123", True),
    ]
    assert len({event.key for event in events}) == 3


@pytest.mark.parametrize("data", ["botdaemon:fly", "botdaemon:", "else:stop", "", None])
def test_a_button_that_is_not_ours_is_nothing(data: str | None) -> None:
    message = {"message_id": 5, "date": 1, "chat": GROUP}
    query = {"id": "1", "from": ANN, "chat_instance": "1", "message": message, "data": data}
    update = Update.de_json({"update_id": 3, "callback_query": query}, None)
    assert update.callback_query is not None
    assert reader().pressed(update.callback_query) is None


def test_a_button_is_known_by_the_message_it_is_on_even_when_that_is_too_old_to_be_shown() -> None:
    message = {"message_id": 5, "date": 0, "chat": GROUP}
    query = {"id": "1", "from": ANN, "chat_instance": "1", "message": message}
    update = Update.de_json({"update_id": 3, "callback_query": query | {"data": "botdaemon:stop"}})
    assert update.callback_query is not None
    pressed = reader().pressed(update.callback_query)
    assert pressed is not None
    assert (pressed.control, pressed.platform_id, pressed.address) == (
        Control.STOP, "5", Address("tg", "-1005"),
    )  # fmt: skip
