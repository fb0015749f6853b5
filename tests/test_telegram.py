"""The Telegram adapter over a fake Bot API, with the real library between them."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from fake_faults import Answer, HalfAnswer, Hang, RateLimit, Reset, Status5xx
from fake_telegram import FakeTelegram, refusal
from house import Home, SayingBot, home, surroundings

from adapters.telegram import TelegramAdapter
from adapters.telegram.guide import guide
from adapters.telegram.login import connected
from adapters.telegram.poller import Poller
from adapters.telegram.probe import probe
from botdaemon.commands import COMMANDS
from botdaemon.config import TelegramConfig
from botdaemon.errors import (
    AdapterDown,
    AdapterRefused,
    Gone,
    RateLimited,
    StoreFull,
    TryLater,
    Undeliverable,
)
from botdaemon.store import open_store
from botdaemon.types import (
    Address,
    Control,
    Edited,
    Event,
    Letter,
    Part,
    Posted,
    Pressed,
    Reacted,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from fake_faults import Shown

    from botdaemon.ports import Bot
    from botdaemon.store import Store

PNG = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x10\x00\x00\x00\x10\x08\x06\x00\x00\x00"
    + bytes(64)
)


def table(fake: FakeTelegram, **more: Any) -> TelegramConfig:
    return TelegramConfig(
        kind="telegram",
        token_env="TOKEN",
        base_url=fake.base_url,
        base_file_url=fake.base_file_url,
        **more,
    )


@asynccontextmanager
async def house(
    tmp_path: Path,
    fake: FakeTelegram,
    *bots: str,
    bot: Bot | None = None,
    settings: dict[str, Any] | None = None,
    told: dict[str, Any] | None = None,
    **more: Any,
) -> AsyncIterator[Home]:
    """The whole road, connected to the fake."""
    names = bots or ("bot",)
    talking = bot or SayingBot()
    async with home(
        tmp_path,
        dict.fromkeys(names, talking),
        connect=lambda store: [
            TelegramAdapter(
                "tg",
                table(fake, **(settings or {})),
                fake.token,
                surroundings(store, *names, **(told or {})),
            )
        ],
        **{"keep": True, **more},
    ) as made:
        yield made


@asynccontextmanager
async def fakes() -> AsyncIterator[FakeTelegram]:
    async with FakeTelegram().serving() as fake:
        yield fake


@dataclass
class Ear:
    """Hears what an adapter reports, unless the disk is `full`."""

    events: list[Event] = field(default_factory=list)
    full: int = 0

    async def __call__(self, event: Event) -> int:
        if self.full:
            self.full -= 1
            raise StoreFull("no space left")
        self.events.append(event)
        return len(self.events)

    @property
    def said(self) -> list[str]:
        return [event.message.text for event in self.events if isinstance(event, Posted)]


@asynccontextmanager
async def connected_to(
    fake: FakeTelegram, ear: Ear, store: Store, *bots: str, **settings: Any
) -> AsyncIterator[TelegramAdapter]:
    """An adapter alone, from when it polls."""
    around = surroundings(store, *bots, file_limit=1000)
    alone = TelegramAdapter("tg", table(fake, **settings), fake.token, around)
    running = asyncio.create_task(alone.run(ear))
    try:
        await fake.until(lambda: fake.updates.polled or running.done())
        yield alone
    finally:
        running.cancel()
        await asyncio.wait([running])


@asynccontextmanager
async def adapter(tmp_path: Path, fake: FakeTelegram, ear: Ear) -> AsyncIterator[TelegramAdapter]:
    """The same over a store of its own."""
    async with open_store(tmp_path) as store, connected_to(fake, ear, store) as alone:
        yield alone


def letter(channel: str, text: str = "hello", **more: Any) -> Letter:
    part = Part(text=text, plain=more.pop("plain", text))
    address = Address("tg", channel, more.pop("topic", ""))
    return Letter(
        **{"id": 1, "key": "k", "address": address, "speaker": "bot", "part": part, **more}
    )


async def answer(fake: FakeTelegram, asked: str, text: str = "you said") -> Shown:
    """The finished answer to a message."""

    def found() -> list[Shown]:
        return [one for one in fake.answers_to(asked) if text in one.text and done(one)]

    await fake.until(found)
    return found()[0]


def done(shown: Shown) -> bool:
    return "Stop" not in shown.buttons and shown.text != "\u2026"


def quarantined(tmp_path: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(tmp_path / "botdaemon.db")) as db:
        return db.execute("SELECT raw, error FROM quarantine").fetchall()


def calls(fake: FakeTelegram, method: str) -> list[Any]:
    return [call.payload for call in fake.calls if call.path.endswith(f"/{method}")]


# --- who is answered, and where -------------------------------------------------------------------


async def test_a_direct_message_is_answered_by_editing_a_placeholder(tmp_path: Path) -> None:
    async with fakes() as fake, house(tmp_path, fake):
        shown = await answer(fake, await fake.say("hello", channel="@ann"))
        assert shown.versions[0] == "\u2026"
        assert shown.text == "you said: hello"
        assert shown.buttons == ["Regenerate", "\U0001f44d", "\U0001f44e"]


async def test_in_a_group_only_who_is_called_answers(tmp_path: Path) -> None:
    async with fakes() as fake, house(tmp_path, fake):
        silent = await fake.say("just talking")
        mentioned = await answer(fake, await fake.say("@daemon_bot one", who="ann"))
        assert mentioned.text == "you said: one"
        await answer(fake, await fake.say("and two?", reply_to=mentioned.id, who="bo"), "two")
        await answer(fake, await fake.say("bot: three", who="cy"), "three")
        assert fake.answers_to(silent) == []


async def test_an_answer_lands_in_the_topic_it_belongs_to(tmp_path: Path) -> None:
    async with fakes() as fake, house(tmp_path, fake):
        asked = await fake.say("@daemon_bot plants?", channel="forum", topic="plants")
        assert (await answer(fake, asked)).topic == "plants"
        asked = await fake.say("@daemon_bot all?", channel="forum")
        assert (await answer(fake, asked)).topic == ""


async def test_typing_is_shown_where_the_question_was_asked(tmp_path: Path) -> None:
    bot = SayingBot()
    bot.gate.clear()
    async with fakes() as fake, house(tmp_path, fake, bot=bot):
        await fake.say("@daemon_bot plants?", channel="forum", topic="plants")
        await fake.until(lambda: [one.topic for one in fake.typing] == ["plants"])
        await fake.say("@daemon_bot all?", channel="forum", who="bo")
        await fake.until(lambda: len(fake.typing) >= 2)
        general = calls(fake, "sendChatAction")[-1]
        assert general["message_thread_id"] == "1"  # the General topic is named while typing
        bot.gate.set()


async def test_a_chain_of_replies_is_one_conversation_with_the_chat(tmp_path: Path) -> None:
    bot = SayingBot()
    async with fakes() as fake, house(tmp_path, fake, bot=bot):
        first = await answer(fake, await fake.say("@daemon_bot one"))
        await answer(fake, await fake.say("two", reply_to=first.id), "two")
    assert [one.text for one in bot.turns[-1].history] == ["one", "you said: one", "two"]


async def test_a_message_delivered_twice_is_answered_once(tmp_path: Path) -> None:
    async with fakes() as fake, house(tmp_path, fake):
        asked = await fake.say("hello", channel="@ann")
        await fake.redeliver(asked)
        await answer(fake, asked)
        await fake.redeliver(asked)
        await answer(fake, await fake.say("after", channel="@ann"), "after")
        assert len(fake.answers_to(asked)) == 1


async def test_what_was_said_while_nobody_listened_is_answered(tmp_path: Path) -> None:
    async with fakes() as fake:
        asked = [await fake.say(f"nr {n}.", channel=f"@p{n}") for n in range(110)]
        async with house(tmp_path, fake):
            for one in asked:
                await answer(fake, one)


async def test_what_was_said_too_long_ago_is_read_and_not_answered(tmp_path: Path) -> None:
    bot = SayingBot()
    async with fakes() as fake:
        old = await fake.say("old", channel="@ann", date=1_700_000_000)
        async with house(tmp_path, fake, bot=bot):
            await fake.until(lambda: fake.updates.polled)
            # Only what waited can be too old: whatever the clocks say, this was said just now.
            await answer(fake, await fake.say("new", channel="@ann", date=1_700_000_001), "new")
            assert fake.answers_to(old) == []
        assert [one.text for one in bot.turns[-1].history] == ["old", "new"]


async def test_a_second_bot_says_its_name_in_front(tmp_path: Path) -> None:
    async with fakes() as fake, house(tmp_path, fake, "Robo", "Comic"):
        shown = await answer(fake, await fake.say("Comic: a joke", channel="@ann"))
        assert shown.text.startswith("Comic: you said")
        bold = shown.raw["entities"][0]
        assert (bold["type"], bold["offset"], bold["length"]) == ("bold", 0, 6)


async def test_a_long_answer_arrives_whole_in_several_messages(tmp_path: Path) -> None:
    words = " ".join(f"word{n:04}" for n in range(1000))
    bot = SayingBot(lambda text: words)
    async with fakes() as fake, house(tmp_path, fake, bot=bot):
        await fake.say("go", channel="@ann")
        await fake.until(lambda: "word0999" in fake.shown("@ann")[-1].text)
        parts = fake.shown("@ann")[1:]
        await fake.until(lambda: done(fake.shown("@ann")[1]))
        assert " ".join(part.text for part in fake.shown("@ann")[1:]).split() == words.split()
        assert len(parts) == 3


async def test_a_live_draft_grows_in_the_message_that_becomes_the_answer(tmp_path: Path) -> None:
    bot = SayingBot()
    bot.gate.clear()
    async with fakes() as fake, house(tmp_path, fake, bot=bot):
        asked = await fake.say("hello there", channel="@ann")
        await fake.until(lambda: any(one.buttons == ["Stop"] for one in fake.answers_to(asked)))
        bot.gate.set()
        shown = await answer(fake, asked, "hello there")
        assert len(fake.answers_to(asked)) == 1
        assert shown.text == "you said: hello there"


async def test_nobody_is_pinged_and_no_link_is_fetched(tmp_path: Path) -> None:
    async with fakes() as fake, house(tmp_path, fake):
        shown = await answer(fake, await fake.say("<b>@all</b> http://e.org", channel="@ann"))
        assert shown.text.replace("\u200b", "") == "you said: <b>@all</b> http://e.org"
        assert all(one["type"] not in ("mention", "bold") for one in shown.raw["entities"])
        assert shown.raw["link_preview_options"] == {"is_disabled": True}


# --- controls -------------------------------------------------------------------------------------


async def test_the_menu_is_set_once_and_again_only_when_it_changes(tmp_path: Path) -> None:
    async with fakes() as fake:
        for _ in range(2):
            async with adapter(tmp_path, fake, Ear()):
                pass
        assert len(calls(fake, "setMyCommands")) == 1
        menu = json.loads(calls(fake, "setMyCommands")[0]["commands"])
        assert [one["command"] for one in menu] == [spec.name for spec in COMMANDS]


async def test_a_command_from_the_menu_is_obeyed_and_another_bots_is_not(tmp_path: Path) -> None:
    async with fakes() as fake, house(tmp_path, fake):
        await fake.say("/bots@other_bot")
        await fake.command("bots")
        await fake.until(lambda: len(fake.shown("general")) > 2 and done(fake.shown("general")[2]))
        [told] = [one.text for one in fake.shown("general")][2:]
        assert told.startswith("\u2022 bot: a bot\n")


async def test_a_button_is_obeyed_and_does_not_stay_busy(tmp_path: Path) -> None:
    bot = SayingBot()
    async with fakes() as fake, house(tmp_path, fake, bot=bot):
        shown = await answer(fake, await fake.say("hello", channel="@ann"))
        question = await fake.press(shown.id, "Regenerate")
        await fake.until(lambda: question in dict(fake.toasts))
        await fake.until(lambda: len(bot.turns) == 2)


async def test_stopping_ends_the_answer_under_way(tmp_path: Path) -> None:
    bot = SayingBot()
    bot.gate.clear()
    async with fakes() as fake, house(tmp_path, fake, bot=bot):
        asked = await fake.say("hello there", channel="@ann")
        await fake.until(lambda: any(one.buttons == ["Stop"] for one in fake.answers_to(asked)))
        await fake.press(fake.answers_to(asked)[0].id, "Stop")
        await fake.until(lambda: "Stop" not in fake.answers_to(asked)[0].buttons)


async def test_edits_presses_and_reactions_reach_the_house(tmp_path: Path) -> None:
    ear = Ear()
    async with fakes() as fake, adapter(tmp_path, fake, ear) as alone:
        await fake.promote("general")
        said = await fake.say("first")
        await fake.edit(said, "second")
        remote = await alone.send(letter(channel_of(said), controls=(Control.GOOD,)))
        await fake.react(f"{channel_of(said)}/{remote}", "\U0001f44d")
        await fake.press(f"{channel_of(said)}/{remote}", "\U0001f44d")
        await fake.until(lambda: len(ear.events) == 4)
    posted, edited, reacted, pressed = ear.events
    assert isinstance(posted, Posted)
    assert isinstance(edited, Edited)
    assert (edited.text, edited.platform_id) == ("second", posted.message.platform_id)
    assert isinstance(reacted, Reacted)
    assert (reacted.emoji, reacted.added, reacted.platform_id) == ("\U0001f44d", True, remote)
    assert isinstance(pressed, Pressed)
    assert (pressed.control, pressed.platform_id) == (Control.GOOD, remote)


def channel_of(id: str) -> str:
    return id.partition("/")[0]


# --- files ----------------------------------------------------------------------------------------


async def test_files_come_in_and_what_cannot_is_a_line(tmp_path: Path) -> None:
    ear = Ear()
    async with fakes() as fake, adapter(tmp_path, fake, ear):
        await fake.say("look", files=[("cat.png", PNG)])
        await fake.say("", files=[("big.bin", bytes(2000))])
        await fake.say("", files=[("notes.txt", b"MZ\x90\x00" + bytes(60))])
        await fake.until(lambda: len(ear.events) == 3)
        fake.faults.always("/file/*", Answer(404))
        await fake.say("", files=[("gone.txt", b"text")])
        await fake.until(lambda: len(ear.events) == 4)
    picture, big, liar, gone = [one.message for one in ear.events if isinstance(one, Posted)]
    assert picture.text == "look"
    assert [(file.media_type, file.size) for file in picture.files] == [("image/png", len(PNG))]
    assert (big.text, big.files) == ("[big.bin: 2 kB, too large to take in]", ())
    assert [file.media_type for file in liar.files] == ["application/octet-stream"]
    assert gone.text == "[gone.txt: could not be fetched]"


async def test_an_album_is_one_message_even_when_it_comes_in_pieces(tmp_path: Path) -> None:
    ear = Ear()
    async with fakes() as fake, adapter(tmp_path, fake, ear):
        await fake.say("three", files=[(f"{n}.png", PNG + bytes([n])) for n in range(3)])
        await fake.say("after")
        await fake.until(lambda: "after" in ear.said)
    album, _ = [one.message for one in ear.events if isinstance(one, Posted)]
    assert album.text == "three"
    assert len(album.files) == 3


async def test_a_picture_goes_out_as_a_photo_and_anything_else_as_a_document(
    tmp_path: Path,
) -> None:
    async with (
        fakes() as fake,
        open_store(tmp_path) as store,
        connected_to(fake, Ear(), store, "Robo", "Comic") as alone,
    ):
        chat = str(fake.chat("general").id)
        cat = await store.keep(PNG, "cat.png", "image/png")
        liar = await store.keep(b"no picture", "liar.png", "image/png")
        notes = await store.keep(b"text", "notes.txt", "text/plain")
        gone = await store.keep(b"gone", "gone.txt", "text/plain")
        for file in (cat, liar, notes):
            await alone.send(letter(chat, part=Part(file=file), speaker="Comic"))
        shown = fake.shown("general")
        assert [one.files for one in shown] == [
            [("cat.png", PNG)],
            [("liar.png", b"no picture")],
            [("notes.txt", b"text")],
        ]
        assert ["photo" in one.raw for one in shown] == [True, False, False]
        assert [one.text for one in shown] == ["Comic:"] * 3
        remote = str(shown[0].raw["message_id"])
        await alone.edit(letter(chat, part=Part(file=cat), remote=remote, controls=(Control.GOOD,)))
        assert fake.shown("general")[0].buttons == ["\U0001f44d"]
        store.file(gone.sha256).unlink()
        with pytest.raises(Undeliverable, match=r"gone\.txt cannot be read"):
            await alone.send(letter(chat, part=Part(file=gone)))


# --- rule T: nothing is confirmed before it is recorded -------------------------------------------


async def test_an_update_is_confirmed_only_when_it_is_on_disk(tmp_path: Path) -> None:
    ear = Ear()
    async with fakes() as fake, adapter(tmp_path, fake, ear):
        ear.full = 2
        await fake.say("one", channel="@ann")
        await fake.until(lambda: not ear.full)
        assert fake.updates.waiting
        await fake.until(lambda: ear.said == ["one"] and not fake.updates.waiting)


async def test_a_chat_that_cannot_be_recorded_holds_up_no_other(tmp_path: Path) -> None:
    class Choosy(Ear):
        left = 2

        async def __call__(self, event: Event) -> int:
            if self.left and isinstance(event, Posted) and event.message.text == "one":
                self.left -= 1
                raise StoreFull("no space left")
            return await super().__call__(event)

    ear = Choosy()
    async with fakes() as fake:
        for text, who in (("one", "ann"), ("two", "ann"), ("three", "bo")):
            await fake.say(text, channel=f"@{who}")
        async with adapter(tmp_path, fake, ear):
            await fake.until(lambda: "two" in ear.said and not fake.updates.waiting)
    assert ear.said[0] == "three"
    assert ear.said.index("one") < ear.said.index("two")


async def test_what_queued_up_is_marked_as_missed_and_what_comes_is_not(tmp_path: Path) -> None:
    ear = Ear()
    async with fakes() as fake:
        await fake.say("before", channel="@ann")
        async with adapter(tmp_path, fake, ear):
            await fake.say("now", channel="@ann")
            await fake.until(lambda: len(ear.events) == 2)
    assert [one.missed for one in ear.events if isinstance(one, Posted)] == [True, False]


async def test_the_queue_is_never_thrown_away(tmp_path: Path) -> None:
    async with fakes() as fake:
        fake.updates.webhook = "https://example.org/hook"
        async with adapter(tmp_path, fake, Ear()):
            assert not fake.updates.webhook
        assert all("drop_pending_updates" not in one for one in calls(fake, "deleteWebhook"))
        assert all(int(one.get("offset", 0)) >= 0 for one in calls(fake, "getUpdates"))


POISON: list[Any] = [
    {"message": {}},
    {"message": []},
    {"message": "hello"},
    {"message": {"message_id": 1}},
    {"message": {"message_id": 1, "date": None, "chat": {"id": 1, "type": "private"}}},
    {"message": {"message_id": 1, "date": 10**18, "chat": {"id": 1, "type": "private"}}},
    {"message": {"message_id": 1, "date": "now", "chat": {"id": 1, "type": "private"}}},
    {"message": {"message_id": 1, "date": 1, "chat": None, "text": "x"}},
    {"message": {"message_id": 1, "date": 1, "chat": [], "text": "x"}},
    {"message": {"date": 1, "chat": {"id": 1, "type": "private"}, "text": "x"}},
    {"message": {"message_id": 1, "date": 1, "chat": {"id": 1, "type": "private"}, "text": 5,
                 "from": {"id": 1, "is_bot": False, "first_name": "x"}}},
    {"message": {"message_id": 1, "date": 1, "chat": {"id": 1, "type": "private"}, "text": ["x"],
                 "from": {"id": 1, "is_bot": False, "first_name": "x"}}},
    {"message": {"message_id": 1, "date": 1, "chat": {"id": 1, "type": "private"}, "text": "x",
                 "from": "ann"}},
    {"message": {"message_id": 1, "date": 1, "chat": {"id": 1, "type": "private"}, "text": "x",
                 "from": {"id": 1, "is_bot": False, "first_name": None}}},
    {"message": {"message_id": 1, "date": 1, "chat": {"id": 1, "type": "private"}, "text": "x",
                 "from": {"id": 1, "is_bot": False, "first_name": "x"},
                 "entities": [{"type": "bold", "offset": None, "length": "1"}]}},
    {"message": {"message_id": 1, "date": 1, "chat": {"id": 1, "type": "private"}, "text": "x",
                 "from": {"id": 1, "is_bot": False, "first_name": "x"}, "entities": "bold"}},
    {"edited_message": {"message_id": 1}},
    {"callback_query": {"id": "1"}},
    {"callback_query": None},
    {"callback_query": {"id": "1", "from": None, "message": {}, "data": "botdaemon:stop"}},
    {"message_reaction": {"chat": {"id": 1, "type": "group"}, "message_id": 1, "date": 1,
                          "old_reaction": [], "new_reaction": [{"type": "emoji", "emoji": "x"}]}},
    {"message_reaction": {}},
    {"my_chat_member": {"chat": {}}},
    {"my_chat_member": {"chat": {"id": 1, "type": "group"}, "from": None, "date": 1,
                        "old_chat_member": None, "new_chat_member": None}},
    {"something_new": {"a": 1}},
    {},
    {"message": {"message_id": 1, "date": 1, "chat": {"id": 1, "type": "private"},
                 "from": {"id": 1, "is_bot": False, "first_name": "x"},
                 "photo": [{"file_id": 1}]}},
]  # fmt: skip


async def test_malformed_updates_are_put_away_and_the_next_message_is_answered(
    tmp_path: Path,
) -> None:
    async with fakes() as fake:
        async with house(tmp_path, fake, keep=False):
            for poison in POISON:
                await fake.poison(poison)
            await answer(fake, await fake.say("still there?", channel="@ann"), "still there")
            await fake.until(lambda: not fake.updates.waiting)
        kept = quarantined(tmp_path)
        assert len(kept) >= 18
        assert all(json.loads(raw).get("update_id") for raw, _ in kept)


async def test_updates_without_a_number_do_not_stop_those_with_one(tmp_path: Path) -> None:
    ear = Ear()
    async with fakes() as fake, adapter(tmp_path, fake, ear):
        for poison in ("text", None, ["list"], {"update_id": "x", "message": {}}):
            await fake.poison(poison)
        await fake.say("still there?", channel="@ann")
        await fake.until(lambda: ear.said == ["still there?"])


async def test_an_update_that_the_house_chokes_on_is_put_away(tmp_path: Path) -> None:
    class Choking(Ear):
        async def __call__(self, event: Event) -> int:
            if isinstance(event, Posted) and event.message.text == "choke":
                raise RuntimeError("a fault of ours")
            return await super().__call__(event)

    ear = Choking()
    async with fakes() as fake:
        async with adapter(tmp_path, fake, ear):
            await fake.say("choke", channel="@ann")
            await fake.say("go on", channel="@ann")
            await fake.until(lambda: ear.said == ["go on"])
        assert "choke" in quarantined(tmp_path)[0][0]


async def test_gaps_and_a_new_beginning_of_the_numbers_are_harmless(tmp_path: Path) -> None:
    ear = Ear()
    async with fakes() as fake, adapter(tmp_path, fake, ear):
        for number in (900_000_000, 900_000_500, 7):
            fake.updates.next_id = number
            await fake.say(f"at {number}", channel="@ann")
            await fake.until(lambda: len(ear.events) and not fake.updates.waiting)
    assert ear.said == ["at 900000000", "at 900000500", "at 7"]


# --- what goes wrong with the connection ----------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        Reset(),
        Reset(applied=True),
        HalfAnswer(),
        Status5xx(502),
        Status5xx(500),
        RateLimit(1),
        Answer(200, {"ok": True}),
        Answer(200, {"ok": True, "result": {}}),
        Answer(200, "<html>"),
        Answer(404, "<html>not Telegram</html>"),
        refusal(401, "Unauthorized"),
        refusal(404, "Not Found"),
    ],
    ids=str,
)
async def test_a_failed_poll_is_survived(tmp_path: Path, fault: Any) -> None:
    ear = Ear()
    async with fakes() as fake:
        fake.faults.next("getUpdates", fault, fault)
        async with adapter(tmp_path, fake, ear):
            await fake.say("hello", channel="@ann")
            await fake.until(lambda: ear.said == ["hello"])
            assert not fake.faults.pending()


async def test_dropped_connections_are_made_again(tmp_path: Path) -> None:
    ear = Ear()
    async with fakes() as fake, adapter(tmp_path, fake, ear):
        await fake.drop()
        await fake.say("hello", channel="@ann")
        await fake.until(lambda: ear.said == ["hello"])


async def test_a_webhook_that_somebody_sets_meanwhile_is_removed(tmp_path: Path) -> None:
    async with fakes() as fake, house(tmp_path, fake):
        await fake.until(lambda: fake.updates.polled)
        fake.updates.webhook = "https://example.org/hook"
        await fake.drop()
        await answer(fake, await fake.say("hello", channel="@ann"))
        assert not fake.updates.webhook


async def test_two_programs_with_one_token_lose_nothing_between_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ear = Ear()
    async with fakes() as fake, adapter(tmp_path, fake, ear), aiohttp.ClientSession() as rival:
        address = f"{fake.base_url}{fake.token}/getUpdates?timeout=1"
        async with rival.get(address) as answered:
            assert answered.status == 409  # each ends the other's question
        await fake.until(lambda: fake.updates.polled)
        await fake.say("hello", channel="@ann")
        await fake.until(lambda: ear.said == ["hello"])
    assert caplog.text.count("another program polls") == 1


async def test_a_telegram_that_is_silent_is_noticed(tmp_path: Path) -> None:
    async def take(updates: Sequence[Any], missed: bool) -> int:
        return len(updates)

    async with fakes() as fake:
        fake.faults.always("getUpdates", Hang())
        async with connected("tg", table(fake), fake.token) as made:
            poller = Poller("tg", made.bot, made.polling, take, patience=0.5)
            with pytest.raises(AdapterDown, match="has not answered for"):
                await poller.run()


async def test_a_poll_that_hangs_is_asked_again_on_a_new_connection(tmp_path: Path) -> None:
    taken = asyncio.Event()

    async def take(updates: Sequence[Any], missed: bool) -> int:
        taken.set()
        return len(updates)

    async with fakes() as fake:
        await fake.say("hello", channel="@ann")
        fake.faults.next("getUpdates", Hang())
        async with connected("tg", table(fake), fake.token) as made:
            poller = Poller("tg", made.bot, made.polling, take, patience=4.0)
            polling = asyncio.create_task(poller.run())
            await taken.wait()
            polling.cancel()
            await asyncio.wait([polling])


async def test_a_revoked_token_is_said_once_with_what_to_do(tmp_path: Path) -> None:
    async with fakes() as fake, open_store(tmp_path) as store:
        alone = TelegramAdapter("tg", table(fake), fake.token, surroundings(store))
        running = asyncio.create_task(alone.run(Ear()))
        await fake.until(lambda: fake.updates.polled)
        fake.revoked = True
        await fake.drop()
        with pytest.raises(AdapterRefused, match="ask @BotFather") as refused:
            await running
        assert fake.token not in str(refused.value)
        with pytest.raises(AdapterRefused):
            await alone.run(Ear())


async def test_a_telegram_that_cannot_be_reached_is_down_and_not_refused(tmp_path: Path) -> None:
    async with fakes() as fake, open_store(tmp_path) as store:
        alone = TelegramAdapter("tg", table(fake), fake.token, surroundings(store))
        fake.refuse_connections = True
        with pytest.raises(AdapterDown):
            await alone.run(Ear())
        fake.refuse_connections = False
        fake.faults.next("getMe", Answer(404, "<html>a proxy</html>"))
        with pytest.raises(AdapterDown, match="not Telegram"):
            await alone.run(Ear())
        with pytest.raises(TryLater, match="not connected"):
            await alone.send(letter("1"))


async def test_while_another_program_polls_nothing_is_sent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with fakes() as fake, adapter(tmp_path, fake, Ear()) as alone:
        chat = str(fake.chat("general").id)
        conflict = refusal(409, "Conflict: terminated by other getUpdates request")
        fake.faults.always("getUpdates", conflict)
        await fake.drop()
        await fake.until(lambda: sum(call.status == 409 for call in fake.calls) == 2)
        with pytest.raises(TryLater, match="another program"):
            await alone.send(letter(chat))
        fake.faults.clear()
        count = len(fake.calls)
        await fake.until(
            lambda: fake.updates.polled and any(call.status == 200 for call in fake.calls[count:])
        )
        await alone.send(letter(chat))
        assert [one.text for one in fake.shown("general")] == ["hello"]
    assert caplog.text.count("another program polls") == 1


async def test_the_token_is_in_no_log_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "adapters"):
        async with fakes() as fake, house(tmp_path, fake):
            fake.faults.next("getUpdates", Answer(200, "<html>"), Reset(), Status5xx())
            fake.faults.next("sendMessage", Answer(200, "<html>"))
            fake.faults.next("editMessageText", HalfAnswer())
            fake.faults.next("/file/*", Reset())
            asked = await fake.say("hello", channel="@ann", files=[("a.txt", b"x")])
            await answer(fake, asked)
    assert fake.token not in caplog.text


# --- what goes wrong with a letter ----------------------------------------------------------------


async def test_an_answer_whose_response_was_lost_appears_once(tmp_path: Path) -> None:
    async with fakes() as fake, house(tmp_path, fake):
        fake.faults.next("sendMessage", Reset(applied=True))
        fake.faults.next("editMessageText", Reset(applied=True), HalfAnswer())
        asked = await fake.say("hello", channel="@ann")
        await answer(fake, asked)
        await fake.until(lambda: not fake.faults.pending())
        shown = [one.text for one in fake.answers_to(asked)]
        assert sorted(shown) == ["you said: hello", "\u2026"]  # the stray placeholder is the price


async def test_a_rate_limit_is_waited_out(tmp_path: Path) -> None:
    async with fakes() as fake, adapter(tmp_path, fake, Ear()) as alone:
        chat = str(fake.chat("general").id)
        fake.faults.next("sendMessage", RateLimit(30))
        with pytest.raises(TryLater) as limited:
            await alone.send(letter(chat))
        assert limited.value.after == 30
        count = len(fake.calls)
        with pytest.raises(TryLater) as held:
            await alone.send(letter(chat))
        assert held.value.after is not None
        assert held.value.after <= 30
        assert len(calls(fake, "sendMessage")) == 1
        assert len(fake.calls) == count
        await alone.send(letter(str(fake.chat("other").id)))


async def test_a_draft_that_comes_too_soon_is_left_out(tmp_path: Path) -> None:
    async with fakes() as fake, adapter(tmp_path, fake, Ear()) as alone:
        chat = str(fake.chat("general").id)
        remote = await alone.send(letter(chat, "\u2026"))
        draft = {"remote": remote, "controls": (Control.STOP,)}
        await alone.edit(letter(chat, "a", **draft))
        await alone.edit(letter(chat, "a b", **draft))
        await alone.edit(letter(chat, "a b c", remote=remote))
        assert fake.shown("general")[0].versions == ["\u2026", "a", "a b c"]


@pytest.mark.parametrize(
    ("answered", "raised"),
    [
        (refusal(400, "Bad Request: chat not found"), Undeliverable),
        (refusal(400, "Bad Request: message thread not found"), Undeliverable),
        (refusal(400, "Bad Request: message is too long"), Undeliverable),
        (refusal(403, "Forbidden: bot was kicked from the supergroup chat"), Undeliverable),
        (refusal(413, "Request Entity Too Large"), Undeliverable),
        (refusal(429, "Too Many Requests: retry after 3", retry_after=3), RateLimited),
        (refusal(429, "Too Many Requests: later"), RateLimited),
        (refusal(401, "Unauthorized"), TryLater),
        (refusal(500, "Internal Server Error"), AdapterDown),
        (Answer(403, "<html>a proxy</html>"), AdapterDown),
        (Answer(200, "<html>"), AdapterDown),
        (Reset(), AdapterDown),
    ],
    ids=str,
)
async def test_a_refusal_says_what_becomes_of_the_letter(
    tmp_path: Path, answered: Any, raised: type[Exception]
) -> None:
    async with fakes() as fake, adapter(tmp_path, fake, Ear()) as alone:
        fake.faults.next("sendMessage", answered)
        with pytest.raises(raised) as error:
            await alone.send(letter(str(fake.chat("general").id)))
        assert type(error.value) is raised
        assert fake.token not in str(error.value)


async def test_where_nobody_listens_a_letter_was_certainly_not_sent(tmp_path: Path) -> None:
    fake = FakeTelegram()
    async with AsyncExitStack() as serving:
        await serving.enter_async_context(fake.serving())
        async with adapter(tmp_path, fake, Ear()) as alone:
            await serving.aclose()
            with suppress(AdapterDown, TryLater):  # a connection from before, which has ended
                await alone.send(letter("1"))
            with pytest.raises(TryLater, match="cannot be reached"):
                await alone.send(letter("1"))


async def test_editing_what_is_gone_or_the_same(tmp_path: Path) -> None:
    async with fakes() as fake, adapter(tmp_path, fake, Ear()) as alone:
        chat = str(fake.chat("general").id)
        remote = await alone.send(letter(chat, "same"))
        await alone.edit(letter(chat, "same", remote=remote))
        await fake.delete(f"{chat}/{remote}")
        with pytest.raises(Gone):
            await alone.edit(letter(chat, "other", remote=remote))


async def test_markup_that_telegram_refuses_is_sent_as_plain_text(tmp_path: Path) -> None:
    async with fakes() as fake, adapter(tmp_path, fake, Ear()) as alone:
        chat = str(fake.chat("general").id)
        remote = await alone.send(letter(chat, "<b>open", plain="open"))
        await alone.edit(letter(chat, "<u>closed</i>", plain="closed", remote=remote))
        assert fake.shown("general")[0].versions == ["open", "closed"]


async def test_an_answer_to_a_deleted_question_is_still_sent(tmp_path: Path) -> None:
    async with fakes() as fake, adapter(tmp_path, fake, Ear()) as alone:
        asked = await fake.say("hello")
        await fake.delete(asked)
        chat, _, number = asked.partition("/")
        await alone.send(letter(chat, reply_to=number))
        fake.faults.next(
            "sendMessage", refusal(400, "Bad Request: message to be replied not found")
        )
        await alone.send(letter(chat, reply_to=number))
        assert len(fake.shown("general")) == 2


async def test_a_group_that_became_a_supergroup_gets_its_letters_there(tmp_path: Path) -> None:
    async with fakes() as fake, adapter(tmp_path, fake, Ear()) as alone:
        old = str(fake.chat("club", "group").id)
        remote = await alone.send(letter(old, "before"))
        new = await fake.migrate("club")
        await alone.send(letter(old, "after"))
        assert [one.text for one in fake.shown(str(new.id))][-1] == "after"
        with pytest.raises(Gone):
            await alone.edit(letter(old, "changed", remote=remote))


async def test_being_taken_out_of_a_group_is_said_and_its_letters_are_dead(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with fakes() as fake, adapter(tmp_path, fake, Ear()) as alone:
        chat = fake.chat("general")
        await fake.kick("general")
        await fake.until(lambda: not fake.updates.waiting)
        with pytest.raises(Undeliverable, match="kicked"):
            await alone.send(letter(str(chat.id)))
        await fake.block("ann")
        await fake.until(lambda: not fake.updates.waiting)
    assert f"taken out of general (chat {chat.id})" in caplog.text
    assert "has blocked the bot" in caplog.text


async def test_an_address_that_is_no_chat_is_undeliverable(tmp_path: Path) -> None:
    async with fakes() as fake, adapter(tmp_path, fake, Ear()) as alone:
        with pytest.raises(Undeliverable, match="no chat"):
            await alone.send(letter("general"))


def refused(fake: FakeTelegram) -> int:
    return len(calls(fake, "sendChatAction"))


async def test_typing_that_is_refused_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with fakes() as fake, adapter(tmp_path, fake, Ear()) as alone:
        for count in (1, 2):
            async with alone.typing(Address("tg", "12345"), "bot"):
                await fake.until(lambda wanted=count: refused(fake) == wanted)  # type: ignore[misc]
                await alone.send(letter(str(fake.chat("general").id)))  # the log has had its time
    assert caplog.text.count("no typing") == 1


# --- setting it up --------------------------------------------------------------------------------


async def test_the_probe_says_what_is_there_and_what_is_missing() -> None:
    async with fakes() as fake:
        fake.privacy(on=True)
        fake.updates.webhook = "https://hook.example.org/secret"
        seen, away, mine = fake.chat("seen"), fake.chat("away"), fake.chat("mine")
        await fake.kick("away")
        await fake.promote("mine")
        channels = (str(seen.id), str(away.id), str(mine.id), "@name", "-5")
        wanted = table(fake, free_channels=channels)
        found = [finding async for finding in probe("tg", wanted, fake.token, COMMANDS)]
        assert not calls(fake, "getUpdates")
    text = "\n".join(map(str, found))
    assert "logged in as @daemon_bot" in text
    assert "privacy mode is on" in text
    assert "a webhook is set, to hook.example.org" in text
    assert "secret" not in text
    problems = [one.text for one in found if one.verdict is Verdict.PROBLEM]
    assert len(problems) == 4
    assert any("seen" in one and "privacy" in one for one in problems)
    assert any(str(away.id) in one for one in problems)


async def test_the_probe_of_a_dead_token_or_a_dead_telegram_is_one_problem() -> None:
    async with fakes() as fake:
        wanted = table(fake)
        found = [one async for one in probe("tg", wanted, "1:wrong", COMMANDS)]
        assert [one.verdict for one in found] == [Verdict.PROBLEM]
        assert "@BotFather" in found[0].text
        fake.refuse_connections = True
        found = [one async for one in probe("tg", wanted, fake.token, COMMANDS)]
        assert "cannot be reached" in found[0].text
        fake.refuse_connections = False
        fake.faults.next("getWebhookInfo", Reset())
        found = [one async for one in probe("tg", wanted, fake.token, COMMANDS)]
        assert "stopped answering" in found[-1].text


def test_the_guide_names_every_step_and_ends_with_the_table() -> None:
    text = guide(None, COMMANDS)
    for step in ("/newbot", "/setprivacy", "taken out and added", "/setjoingroups", "/whoami"):
        assert step in text
    assert text.index("[adapters.telegram]") > text.index("6." if "6." in text else "5.")
    own = TelegramConfig(kind="telegram", token_env="MINE", base_url="http://127.0.0.1:8081/bot")
    assert "logOut" in guide(own, COMMANDS)
    assert 'token_env = "MINE"' in guide(own, COMMANDS)
