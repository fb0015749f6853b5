"""The fake Telegram judged by python-telegram-bot, and by the cases of TDLib's own tests."""

from __future__ import annotations

import asyncio
import struct
import zlib
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from fake_faults import HalfAnswer, RateLimit, Reset
from fake_telegram import FakeTelegram, refusal
from fake_telegram_text import CannotParse, parse_html
from telegram import (
    Bot,
    BotCommand,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InputFile,
    InputMediaDocument,
    InputMediaPhoto,
    LinkPreviewOptions,
    Message,
    ReplyParameters,
    Update,
)
from telegram.error import (
    BadRequest,
    ChatMigrated,
    Conflict,
    Forbidden,
    InvalidToken,
    NetworkError,
    RetryAfter,
)
from telegram.ext import ApplicationBuilder, ContextTypes, MessageHandler, filters

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def platform() -> AsyncIterator[FakeTelegram]:
    async with FakeTelegram().serving() as fake:
        yield fake


@pytest.fixture
async def bot(platform: FakeTelegram) -> AsyncIterator[Bot]:
    async with client(platform) as made:
        yield made


@asynccontextmanager
async def client(platform: FakeTelegram, token: str = "") -> AsyncIterator[Bot]:
    async with Bot(
        token or platform.token,
        base_url=platform.base_url,
        base_file_url=platform.base_file_url,
    ) as made:
        yield made


async def next_update(bot: Bot, after: Update | None = None, **wanted: Any) -> Update:
    offset = after.update_id + 1 if after else None
    updates = await bot.get_updates(offset=offset, timeout=5, **wanted)
    assert updates, "nothing came"
    return updates[0]


def picture(width: int = 3, height: int = 2) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    rows = b"".join(b"\0" + b"\x7f\0\0" * width for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


# --- a bot as the library's documents write it ----------------------------------------------------


async def test_a_polling_bot_answers_what_people_say(platform: FakeTelegram) -> None:
    async def answer(update: Update, context: ContextTypes.DEFAULT_TYPE) -> None:
        assert update.message is not None
        await update.message.reply_text(f"you said {update.message.text}", do_quote=True)

    builder = ApplicationBuilder().token(platform.token)
    app = builder.base_url(platform.base_url).base_file_url(platform.base_file_url).build()
    app.add_handler(MessageHandler(filters.TEXT, answer))
    async with app:
        await app.start()
        assert app.updater is not None
        await app.updater.start_polling()
        first = await platform.say("hello", channel="@ann")
        second = await platform.say("good morning", who="ben")
        await platform.until(lambda: platform.answers_to(first) and platform.answers_to(second))
        await app.updater.stop()
        await app.stop()
    assert ["you said hello"] == [shown.text for shown in platform.answers_to(first)]
    assert ["good morning", "you said good morning"] == [
        shown.text for shown in platform.shown("general")
    ]
    assert not platform.updates.waiting, "stopping confirms what was handled"


# --- updates --------------------------------------------------------------------------------------


async def test_updates_are_given_again_until_a_later_offset_confirms_them(
    platform: FakeTelegram, bot: Bot
) -> None:
    for text in ("one", "two", "three"):
        await platform.say(text)
    first = await bot.get_updates()
    again = await bot.get_updates(offset=first[1].update_id)
    last = await bot.get_updates(offset=-1)
    unknown = await bot.get_updates(offset=last[0].update_id + 50)
    assert ["one", "two", "three"] == texts(first)
    assert ["two"] == texts(again)[:1]
    assert ["three"] == texts(last) == texts(unknown)


async def test_a_long_poll_ends_when_something_comes(platform: FakeTelegram, bot: Bot) -> None:
    poll = asyncio.create_task(bot.get_updates(timeout=50))
    await platform.until(lambda: platform.updates.polled)
    await platform.say("now")
    assert ["now"] == texts(await poll)


async def test_a_second_poller_ends_the_first_ones_poll(platform: FakeTelegram, bot: Bot) -> None:
    first = asyncio.create_task(bot.get_updates(timeout=50))
    await platform.until(lambda: platform.updates.polled)
    async with client(platform) as other:
        second = asyncio.create_task(other.get_updates(timeout=50))
        with pytest.raises(Conflict, match="only one bot instance is running"):
            await first
        await platform.say("to the second")
        assert ["to the second"] == texts(await second)


async def test_what_came_to_a_poller_that_died_comes_to_the_next(
    platform: FakeTelegram, bot: Bot
) -> None:
    died = asyncio.create_task(bot.get_updates(timeout=50))
    await platform.until(lambda: platform.updates.polled)
    died.cancel()
    await asyncio.wait([died])
    await platform.say("are you there?")
    assert ["are you there?"] == texts(await bot.get_updates(timeout=50))


async def test_a_webhook_forbids_polling_until_it_is_deleted(
    platform: FakeTelegram, bot: Bot
) -> None:
    platform.updates.webhook = "https://example.org/hook"
    assert "https://example.org/hook" == (await bot.get_webhook_info()).url
    with pytest.raises(Conflict, match="use deleteWebhook"):
        await bot.get_updates()
    await bot.delete_webhook()
    assert () == await bot.get_updates()


async def test_reactions_come_to_who_asked_for_them_and_may_see_them(
    platform: FakeTelegram, bot: Bot
) -> None:
    wanted = ["message", "message_reaction"]
    here = await platform.say("here")
    there = await platform.say("there", channel="@ann")
    await platform.react(there, "👍")
    seen = await bot.get_updates(allowed_updates=wanted)
    assert ["here", "there"] == texts(seen), "it had not asked yet"
    await platform.react(here, "👍")
    await platform.react(there, "👍", added=False)
    update = await next_update(bot, after=seen[-1])
    assert update.message_reaction is not None
    assert "private" == update.message_reaction.chat.type
    assert () == update.message_reaction.new_reaction
    await platform.promote("general")
    await platform.react(here, "🔥", who="ben")
    update = await next_update(bot, after=update)
    assert update.message_reaction is not None
    assert "supergroup" == update.message_reaction.chat.type


async def test_with_privacy_a_group_tells_only_what_is_meant_for_the_bot(
    platform: FakeTelegram, bot: Bot
) -> None:
    platform.privacy(True)
    assert not (await bot.get_me()).can_read_all_group_messages
    chat = platform.chat("general")
    ours = await bot.send_message(chat.id, "I am here")
    await platform.say("among us")
    await platform.say(f"@{platform.bot.name} look")
    await platform.say("indeed", reply_to=f"{chat.id}/{ours.message_id}")
    await platform.command("status")
    await platform.say("/roll@another_bot")
    assert ["@daemon_bot look", "indeed", "/status@daemon_bot"] == texts(await bot.get_updates())


async def test_edits_albums_and_channel_posts_come_as_the_platform_writes_them(
    platform: FakeTelegram, bot: Bot
) -> None:
    platform.chat("news", "channel")
    said = await platform.say("frist")
    await platform.edit(said, "first")
    await platform.delete(said)
    await platform.say("look", channel="@ann", files=[("a.png", picture()), ("b.png", picture())])
    await platform.say("extra, extra", channel="news")
    new, edited, one, two, post = await bot.get_updates()
    assert new.message is not None
    assert edited.edited_message is not None
    assert edited.edited_message.edit_date is not None
    assert (new.message.message_id, "first") == (
        edited.edited_message.message_id,
        edited.edited_message.text,
    )
    assert one.message is not None
    assert two.message is not None
    assert "look" == one.message.caption
    assert two.message.caption is None
    assert one.message.media_group_id == two.message.media_group_id
    assert (3, 2) == (one.message.photo[-1].width, one.message.photo[-1].height)
    assert post.channel_post is not None
    assert "extra, extra" == post.channel_post.text


async def test_entities_count_in_utf_16(platform: FakeTelegram, bot: Bot) -> None:
    await platform.say("🦊 <b>hej</b> @daemon_bot", html=True)
    message = (await next_update(bot)).message
    assert message is not None
    entities = message.parse_entities()
    assert {"bold": "hej", "mention": "@daemon_bot"} == {
        entity.type: text for entity, text in entities.items()
    }
    assert 3 == message.entities[0].offset


async def test_people_without_a_username_are_mentioned_by_id(
    platform: FakeTelegram, bot: Bot
) -> None:
    ben = platform.world.person("ben")
    await platform.say(f"  <a href='tg://user?id={ben.id}'>Ben</a>, come  ", html=True)
    message = (await next_update(bot)).message
    assert message is not None
    assert "Ben, come" == message.text
    (entity,) = message.entities
    assert entity.user is not None
    assert (0, 3, "ben") == (entity.offset, entity.length, entity.user.first_name)


# --- topics ---------------------------------------------------------------------------------------


async def test_a_topic_is_answered_in_the_topic(platform: FakeTelegram, bot: Bot) -> None:
    question = await platform.say("which way?", channel="team", topic="travel")
    opened, said = await bot.get_updates()
    assert opened.message is not None
    assert opened.message.forum_topic_created is not None
    assert said.message is not None
    assert said.message.is_topic_message
    assert said.message.reply_to_message is not None, "the notice that opened the topic"
    assert said.message.reply_to_message.forum_topic_created is not None
    await said.message.reply_text("left", do_quote=True)
    assert ["travel"] == [shown.topic for shown in platform.answers_to(question)]
    assert ["", "which way?", "left"] == [shown.text for shown in platform.shown("team", "travel")]


async def test_general_is_typed_in_by_its_number_and_written_in_without(
    platform: FakeTelegram, bot: Bot
) -> None:
    team = platform.chat("team", forum=True)
    await bot.send_chat_action(team.id, "typing", message_thread_id=1)
    with pytest.raises(BadRequest, match="Message thread not found"):
        await bot.send_message(team.id, "here", message_thread_id=1)
    await bot.send_message(team.id, "here")
    assert ["here"] == [shown.text for shown in platform.shown("team", "")]
    assert [("team", "")] == [(typing.channel, typing.topic) for typing in platform.typing]


async def test_a_thread_of_answers_is_no_topic(platform: FakeTelegram, bot: Bot) -> None:
    first = await platform.say("first")
    await platform.say("second", reply_to=first)
    message = (await bot.get_updates())[-1].message
    assert message is not None
    assert message.message_thread_id == platform.world.find(first).number
    assert not message.is_topic_message
    with pytest.raises(BadRequest, match="Message thread not found"):
        await bot.send_message(
            message.chat.id, "third", message_thread_id=message.message_thread_id
        )


async def test_only_an_administrator_opens_topics(platform: FakeTelegram, bot: Bot) -> None:
    team = platform.chat("team", forum=True)
    with pytest.raises(BadRequest, match="Not enough rights"):
        await bot.create_forum_topic(team.id, "plans")
    await platform.promote("team")
    topic = await bot.create_forum_topic(team.id, "plans")
    await bot.send_message(team.id, "step one", message_thread_id=topic.message_thread_id)
    assert "step one" == platform.shown("team", "plans")[-1].text


# --- sending and editing --------------------------------------------------------------------------


async def test_what_was_said_can_be_said_better(platform: FakeTelegram, bot: Bot) -> None:
    chat = platform.chat("general")
    asked = await platform.say("and?")
    draft = await bot.send_message(chat.id, "…")
    better = await draft.edit_text("<b>yes</b>", parse_mode="HTML")
    assert isinstance(better, Message)
    with pytest.raises(BadRequest, match="Message is not modified"):
        await draft.edit_text("<b>yes</b>", parse_mode="HTML")
    with pytest.raises(BadRequest, match="Message to edit not found"):
        await bot.edit_message_text("no", chat.id, 999)
    with pytest.raises(BadRequest, match="Message can't be edited"):
        await bot.edit_message_text("no", chat.id, platform.world.find(asked).number)
    assert ["…", "yes"] == platform.shown("general")[-1].versions
    await draft.delete()
    assert ["and?"] == [shown.text for shown in platform.shown("general")]
    with pytest.raises(BadRequest, match="Message to delete not found"):
        await draft.delete()


async def test_what_does_not_fit_is_refused(platform: FakeTelegram, bot: Bot) -> None:
    chat = platform.chat("general")
    await bot.send_message(chat.id, "<b>" + "🦊" * 2048 + "</b>", parse_mode="HTML")
    with pytest.raises(BadRequest, match="Message is too long"):
        await bot.send_message(chat.id, "🦊" * 2048 + "x")
    with pytest.raises(BadRequest, match="Message text is empty"):
        await bot.send_message(chat.id, " <b> </b> ", parse_mode="HTML")
    with pytest.raises(BadRequest, match=r"Can't parse entities: .*expected \"</b>\""):
        await bot.send_message(chat.id, "<b>a</i>", parse_mode="HTML")
    wordy = InlineKeyboardMarkup([[InlineKeyboardButton("a", callback_data="ö" * 33)]])
    with pytest.raises(BadRequest, match="Button_data_invalid"):
        await bot.send_message(chat.id, "a", reply_markup=wordy)
    with pytest.raises(BadRequest, match="Chat not found"):
        await bot.send_message(-5, "a")
    assert 1 == len(platform.shown("general"))


async def test_an_answer_to_a_message_that_is_gone_needs_a_leave(
    platform: FakeTelegram, bot: Bot
) -> None:
    chat = platform.chat("general")
    gone = ReplyParameters(77)
    with pytest.raises(BadRequest, match="Message to be replied not found"):
        await bot.send_message(chat.id, "a", reply_parameters=gone)
    gone = ReplyParameters(77, allow_sending_without_reply=True)
    sent = await bot.send_message(chat.id, "a", reply_parameters=gone)
    assert sent.reply_to_message is None


async def test_links_are_not_previewed_where_the_bot_says_so(
    platform: FakeTelegram, bot: Bot
) -> None:
    chat = platform.chat("general")
    quiet = LinkPreviewOptions(is_disabled=True)
    await bot.send_message(chat.id, "see https://example.org", link_preview_options=quiet)
    assert {"is_disabled": True} == platform.shown("general")[0].raw["link_preview_options"]


async def test_a_button_is_pressed_and_its_press_answered_once(
    platform: FakeTelegram, bot: Bot
) -> None:
    chat = platform.chat("general")
    keyboard = InlineKeyboardMarkup([[InlineKeyboardButton("Again", callback_data="again:1")]])
    sent = await bot.send_message(chat.id, "done", reply_markup=keyboard)
    assert ["Again"] == platform.shown("general")[0].buttons
    press = await platform.press(f"{chat.id}/{sent.message_id}", "Again", who="ben")
    query = (await next_update(bot)).callback_query
    assert query is not None
    assert ("again:1", "ben") == (query.data, query.from_user.first_name)
    await query.answer("on it")
    assert [(press, "on it")] == platform.toasts
    with pytest.raises(BadRequest, match="Query is too old"):
        await query.answer("twice")
    await query.edit_message_reply_markup(None)
    assert [] == platform.shown("general")[0].buttons


async def test_files_come_and_go(platform: FakeTelegram, bot: Bot) -> None:
    await platform.say("read this", channel="@ann", files=[("notes.txt", b"milk, bread")])
    message = (await next_update(bot)).message
    assert message is not None
    assert message.document is not None
    file = await message.document.get_file()
    assert b"milk, bread" == bytes(await file.download_as_bytearray())
    chat = message.chat.id
    await bot.send_document(
        chat, InputFile(b"eggs", "list.txt"), caption="<i>more</i>", parse_mode="HTML"
    )
    await bot.send_document(chat, InputFile(b"salt", "salt.txt", attach=True))
    await bot.send_photo(chat, picture(), caption="a picture")
    await bot.send_document(chat, message.document.file_id)
    _, listed, salt, drawn, back = platform.shown("@ann")
    assert ("more", [("list.txt", b"eggs")]) == (listed.text, listed.files)
    assert [("salt.txt", b"salt")] == salt.files
    assert picture() == drawn.files[0][1]
    assert message.document.file_name == back.raw["document"]["file_name"]
    with pytest.raises(BadRequest, match="Image_process_failed"):
        await bot.send_photo(chat, b"no picture")
    with pytest.raises(BadRequest, match="Invalid file_id"):
        await bot.get_file("nonsense")
    await platform.say("all of it", channel="@ann", files=[("film.bin", bytes((20 << 20) + 1))])
    film = platform.shown("@ann")[-1].raw["document"]
    with pytest.raises(BadRequest, match="File is too big"):
        await bot.get_file(film["file_id"])
    with pytest.raises(NetworkError, match="Request Entity Too Large"):
        await bot.send_document(chat, bytes((50 << 20) + 1), write_timeout=60, read_timeout=60)


async def test_a_text_becomes_a_picture_and_no_text_again(platform: FakeTelegram, bot: Bot) -> None:
    await platform.say("hello", channel="@ann")
    chat = platform.chat("@ann").id
    sent = await bot.send_message(chat, "\u2026")
    keyboard = InlineKeyboardMarkup([[InlineKeyboardButton("Again", callback_data="again")]])
    drawn = InputMediaPhoto(picture(), "<b>red</b>", "HTML", has_spoiler=True, filename="a.png")
    edited = await sent.edit_media(drawn, reply_markup=keyboard)
    assert isinstance(edited, Message)
    assert (edited.caption, edited.has_media_spoiler, len(edited.photo)) == ("red", True, 2)
    shown = platform.shown("@ann")[-1]
    assert (shown.versions, shown.buttons) == (["\u2026", "red"], ["Again"])
    assert shown.files == [("a.png", picture())]
    with pytest.raises(BadRequest, match="There is no text in the message to edit"):
        await sent.edit_text("words")
    await sent.edit_caption("blue")
    await sent.edit_media(InputMediaDocument(b"a,b", "table", filename="a.csv"))
    await sent.edit_media(InputMediaDocument(b"a,b", "table", filename="a.csv"))  # another upload
    shown = platform.shown("@ann")[-1]
    assert (shown.versions[-1], shown.files) == ("table", [("a.csv", b"a,b")])
    assert "photo" not in shown.raw
    for content, refusal_ in ((b"no", "Image_process_failed"), (picture(6000, 1), "dimensions")):
        with pytest.raises(BadRequest, match=refusal_):
            await sent.edit_media(InputMediaPhoto(content))
    with pytest.raises(BadRequest, match="caption is too long"):
        await sent.edit_media(InputMediaPhoto(picture(), "x" * 1025))


async def test_a_message_can_be_deleted_for_two_days(platform: FakeTelegram, bot: Bot) -> None:
    await platform.say("hello", channel="@ann")
    chat = platform.chat("@ann").id
    old, new = await bot.send_message(chat, "old"), await bot.send_message(chat, "new")
    platform.age(f"{chat}/{old.message_id}", 49 * 3600)
    with pytest.raises(BadRequest, match="Message can't be deleted"):
        await old.delete()
    await new.delete()
    with pytest.raises(BadRequest, match="Message to delete not found"):
        await new.delete()


async def test_a_group_may_forbid_pictures(platform: FakeTelegram, bot: Bot) -> None:
    chat = platform.chat("general").id
    platform.forbid("general", "photos")
    sent = await bot.send_message(chat, "\u2026")
    with pytest.raises(BadRequest, match="Not enough rights to send photos"):
        await bot.send_photo(chat, picture())
    with pytest.raises(BadRequest, match="Not enough rights to send photos"):
        await sent.edit_media(InputMediaPhoto(picture()))
    await bot.send_document(chat, b"text", filename="a.txt")


async def test_reactions_and_commands_are_set(platform: FakeTelegram, bot: Bot) -> None:
    said = await platform.say("hello")
    kept = platform.world.find(said)
    await bot.set_message_reaction(kept.chat.id, kept.number, "👀")
    assert {"daemon_bot": ["👀"]} == kept.reactions
    with pytest.raises(BadRequest, match="Reaction_invalid"):
        await bot.set_message_reaction(kept.chat.id, kept.number, "🐚")
    await bot.set_my_commands([BotCommand("stop", "Stop answering")])
    assert (BotCommand("stop", "Stop answering"),) == await bot.get_my_commands()
    with pytest.raises(BadRequest, match="Bot_command_invalid"):
        await bot.set_my_commands([BotCommand("Stop!", "Stop answering")])


async def test_chats_and_their_members_are_told(platform: FakeTelegram, bot: Bot) -> None:
    team = platform.chat("team", forum=True)
    assert (await bot.get_chat(team.id)).is_forum
    assert "member" == (await bot.get_chat_member(team.id, bot.id)).status
    await platform.promote("team")
    assert bot.id in [one.user.id for one in await bot.get_chat_administrators(team.id)]


# --- what goes wrong ------------------------------------------------------------------------------


async def test_too_many_messages_are_refused_in_the_platforms_form(
    platform: FakeTelegram, bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PTB_TIMEDELTA", "1")  # else the library warns of its own next version
    chat = platform.chat("general")
    platform.faults.next("sendMessage", RateLimit(7))
    with pytest.raises(RetryAfter) as caught:
        await bot.send_message(chat.id, "a")
    assert timedelta(seconds=7) == caught.value.retry_after
    platform.limit(1, 60)
    await bot.send_message(chat.id, "a")
    with pytest.raises(RetryAfter):
        await bot.send_message(chat.id, "b")


async def test_answers_can_be_lost_halved_or_refused(platform: FakeTelegram, bot: Bot) -> None:
    chat = platform.chat("general")
    refused = refusal(404, "Not Found")
    platform.faults.next("sendMessage", Reset(), Reset(applied=True), HalfAnswer(), refused)
    for text in ("never came", "answer lost", "answer halved"):
        with pytest.raises(NetworkError):
            await bot.send_message(chat.id, text)
    with pytest.raises(InvalidToken):
        await bot.send_message(chat.id, "refused")
    assert ["answer lost", "answer halved"] == [shown.text for shown in platform.shown("general")]


async def test_a_token_can_be_revoked(platform: FakeTelegram, bot: Bot) -> None:
    platform.revoked = True
    with pytest.raises(InvalidToken):
        await bot.get_updates()


async def test_where_the_bot_is_not_wanted_it_is_told(platform: FakeTelegram, bot: Bot) -> None:
    stranger = platform.chat("@zoe")
    with pytest.raises(Forbidden, match="can't initiate conversation"):
        await bot.send_message(stranger.id, "hi")
    general = platform.chat("general")
    await platform.kick("general")
    with pytest.raises(Forbidden, match="kicked from the supergroup chat"):
        await bot.send_message(general.id, "hi")
    await platform.say("hi", channel="@ann")
    await platform.block("ann")
    with pytest.raises(Forbidden, match="blocked by the user"):
        await bot.send_message(platform.chat("@ann").id, "hi")
    updates = await bot.get_updates()
    assert ["kicked", "kicked"] == [
        update.my_chat_member.new_chat_member.status
        for update in updates
        if update.my_chat_member is not None
    ]


async def test_a_group_that_moves_says_where_to(platform: FakeTelegram, bot: Bot) -> None:
    old = platform.chat("family", "group")
    new = await platform.migrate("family")
    with pytest.raises(ChatMigrated) as caught:
        await bot.send_message(old.id, "hi")
    assert caught.value.new_chat_id == new.id
    await bot.send_message(new.id, "hi")
    moved, came = await bot.get_updates()
    assert moved.message is not None
    assert came.message is not None
    assert (new.id, old.id) == (
        moved.message.migrate_to_chat_id,
        came.message.migrate_from_chat_id,
    )


async def test_requests_come_in_every_form_the_documents_name(platform: FakeTelegram) -> None:
    chat = platform.chat("general")
    said = {"chat_id": str(chat.id), "text": "hi", "reply_parameters": '{"message_id": 1}'}
    await platform.say("first")
    async with aiohttp.ClientSession() as session:
        url = f"{platform.base_url}{platform.token}/SENDMESSAGE"
        for form in (
            {"params": said},
            {"data": said},
            {"json": said | {"reply_parameters": {"message_id": 1}}},
            {"data": aiohttp.FormData(said, default_to_multipart=True)},
        ):
            async with session.post(url, **form) as answer:
                assert (await answer.json())["ok"]
        async with session.get(f"{platform.base_url}{platform.token}/sing") as answer:
            assert 404 == answer.status
            assert "Not Found: method not found" == (await answer.json())["description"]
        async with session.get(f"{platform.base_url}nonsense/getMe") as answer:
            assert 401 == answer.status
    assert 4 == len(platform.answers_to(f"{chat.id}/1"))


async def test_poison_is_given_as_it_is_until_it_is_confirmed(platform: FakeTelegram) -> None:
    await platform.poison({"message": {"message_id": "none"}})
    await platform.say("after it")
    async with aiohttp.ClientSession() as session:
        url = f"{platform.base_url}{platform.token}/getUpdates"
        async with session.get(url) as answer:
            poison, after = (await answer.json())["result"]
        async with session.post(url, json={"offset": after["update_id"]}) as answer:
            rest = (await answer.json())["result"]
    assert {"message_id": "none"} == poison["message"]
    assert [after] == rest


async def test_a_silent_platform_answers_no_poll_until_it_speaks_again(
    platform: FakeTelegram, bot: Bot
) -> None:
    poll = asyncio.create_task(bot.get_updates(timeout=50))
    await platform.until(lambda: platform.updates.polled)
    platform.silent()
    await platform.say("is anybody there?")
    await asyncio.wait([poll], timeout=0.2)
    assert not poll.done()
    platform.faults.clear()
    with pytest.raises(NetworkError):
        await poll
    assert ["is anybody there?"] == texts(await bot.get_updates())


# --- the cases of TDLib's own tests ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("&#xDFDF;", "Text contains invalid Unicode characters after decoding HTML entities"),
        ("🏟 🏟&lt;<abacaba", "Unclosed start tag at byte offset 13"),
        ("🏟 🏟&lt;<abac aba>", 'Unsupported start tag "abac" at byte offset 13'),
        ("🏟 🏟&lt;<i   =aba>", 'Empty attribute name in the tag "i" at byte offset 13'),
        ("🏟 🏟&lt;<i    aba>", 'Can\'t find end tag corresponding to start tag "i"'),
        ("🏟 🏟&lt;<i    aba  =  ", 'Unclosed start tag "i" at byte offset 13'),
        ("🏟 🏟&lt;<i    aba  =  190azAz-.,", "Unexpected end of name token at byte offset 27"),
        ('🏟 🏟&lt;<i    aba  =  "&lt;&gt;&quot;>', "Unclosed start tag at byte offset 13"),
        ("🏟 🏟&lt;</", "Unexpected end tag at byte offset 13"),
        ("🏟 🏟&lt;<b></b></", "Unexpected end tag at byte offset 20"),
        ("🏟 🏟&lt;<i>a</i   ", "Unclosed end tag at byte offset 17"),
        (
            "🏟 🏟&lt;<i>a</em   >",
            'Unmatched end tag at byte offset 17, expected "</i>", found "</em>"',
        ),
        ('<span class="x">a</span>', 'Tag "span" must have class "tg-spoiler" at byte offset 0'),
    ],
)
def test_html_is_refused_in_the_words_of_the_real_server(source: str, error: str) -> None:
    with pytest.raises(CannotParse) as caught:
        parse_html(source)
    assert str(caught.value).startswith(error)


@pytest.mark.parametrize(
    ("source", "text", "entities"),
    [
        ("&ge;&lt;&gt;&amp;&quot;&laquo;&#12345678;", '&ge;<>&"&laquo;&#12345678;', []),
        ("🏟 🏟<i>🏟 &lt🏟</i>", "🏟 🏟🏟 <🏟", [("italic", 5, 6, "")]),
        (
            "🏟 🏟<i>🏟 &gt;<b aba   =   caba>&lt🏟</b></i>",
            "🏟 🏟🏟 ><🏟",
            [("italic", 5, 7, ""), ("bold", 9, 3, "")],
        ),
        ("🏟 🏟&lt;<i>a</    >", "🏟 🏟<a", [("italic", 6, 1, "")]),
        ("🏟 🏟&lt;<b></b>", "🏟 🏟<", []),
        ('🏟<span class="tg-spoiler">a</span>', "🏟a", [("spoiler", 2, 1, "")]),
        ("<a href=telegram.org>x</a>", "x", [("text_link", 0, 1, "http://telegram.org/")]),
        (
            "<a   href=  'telegram.org?&lt;'   > </a>",
            " ",
            [("text_link", 0, 1, "http://telegram.org/?<")],
        ),
        ("<a>telegram.org </a>", "telegram.org ", []),
        ('<pre><code class="language-fift">a</></>', "a", [("pre", 0, 1, "fift")]),
        ('<code class="language-fift"><pre>a</></>', "a", [("pre", 0, 1, "fift")]),
        (
            '<pre><code class="language-fift">a</> </>',
            "a ",
            [("pre", 0, 2, ""), ("code", 0, 1, "")],
        ),
        (
            "<blockquote   expandable>a&lt;<pre  >b;</></>",
            "a<b;",
            [("expandable_blockquote", 0, 4, ""), ("pre", 2, 2, "")],
        ),
    ],
)
def test_html_is_read_as_the_real_server_reads_it(
    source: str, text: str, entities: list[tuple[str, int, int, str]]
) -> None:
    marked = parse_html(source)
    assert marked.text == text
    assert entities == [
        (
            entity["type"],
            entity["offset"],
            entity["length"],
            entity.get("language", entity.get("url", "")),
        )
        for entity in marked.entities
    ]


def texts(updates: tuple[Update, ...]) -> list[str | None]:
    return [update.message.text for update in updates if update.message is not None]
