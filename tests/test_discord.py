"""Discord, by the adapter over a faithful fake of the platform: what people see there, and what
reaches the house."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from fake_discord import FakeDiscord
from fake_faults import Answer, HalfAnswer, RateLimit, Reset, Status5xx
from house import Home, SayingBot, home, surroundings
from hypothesis import given
from hypothesis import strategies as st

from adapters.discord import DiscordAdapter, guide, probe
from adapters.discord.directory import Directory, Place
from adapters.discord.reading import Reader
from botdaemon.commands import COMMANDS
from botdaemon.config import AccessConfig, DiscordConfig
from botdaemon.dispatcher import Manners
from botdaemon.errors import AdapterDown, AdapterRefused, StoreFull, TryLater
from botdaemon.posts import Several
from botdaemon.types import Address, Bubble, Draft, Verdict

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable
    from pathlib import Path

    from botdaemon.ports import Bot
    from botdaemon.types import Event, Message, Turn

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)


@pytest.fixture
async def discord() -> AsyncGenerator[FakeDiscord]:
    async with FakeDiscord().serving() as fake:
        yield fake


def table(**more: Any) -> DiscordConfig:
    return DiscordConfig(kind="discord", token_env="TOKEN", **more)


def account(discord: FakeDiscord, store: Any, *bots: str, **more: Any) -> DiscordAdapter:
    config = more.pop("config", None) or table()
    around = surroundings(store, *(bots or ("joe",)), **more)
    return DiscordAdapter("discord", config, discord.token, around, connector=discord.connector)


@asynccontextmanager
async def living(
    discord: FakeDiscord,
    directory: Path,
    *bots: Bot,
    config: DiscordConfig | None = None,
    told: dict[str, Any] | None = None,
    **more: Any,
) -> AsyncIterator[Home]:
    """The house with one account on Discord, connected. The first bot is joe, the second Comic."""
    named = dict(zip(("joe", "Comic"), bots or (SayingBot(),), strict=False))

    def connect(store: Any) -> list[DiscordAdapter]:
        return [account(discord, store, *named, config=config, **(told or {}))]

    logins = len(discord.gateway.logins)
    async with home(directory, named, connect=connect, keep=True, **more) as house:
        await discord.until(lambda: len(discord.gateway.logins) > logins)
        yield house
        await house.outboxes.drained()


def last(bot: SayingBot) -> Message:
    """What the bot was last asked to answer."""
    return bot.turns[-1].history[-1]


async def asked(discord: FakeDiscord, bot: SayingBot, text: str, **where: Any) -> Message:
    """What reaches a bot of a message."""
    turns = len(bot.turns)
    await discord.say(text, **where)
    await discord.until(lambda: len(bot.turns) > turns)
    return last(bot)


async def answered(discord: FakeDiscord, id: str) -> str:
    """The text of the answer to a message, when it has come to rest."""
    await discord.until(lambda: any(not a.buttons.count("Stop") for a in discord.answers_to(id)))
    return discord.answers_to(id)[-1].text


def sends(discord: FakeDiscord, method: str = "POST", ending: str = "/messages") -> list[Any]:
    return [c for c in discord.calls if c.method == method and c.path.endswith(ending)]


# --- what calls a bot ---------------------------------------------------------------------------


async def test_a_direct_message_is_answered_by_a_reply(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    async with living(discord, tmp_path):
        id = await discord.say("hello", channel="@ann")
        assert await answered(discord, id) == "you said: hello"
        [answer] = discord.answers_to(id)
        assert answer.reply_to == id


async def test_a_mention_is_answered_and_does_not_stand_in_the_text(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    async with living(discord, tmp_path):
        id = await discord.say(f"{discord.mention}, hello")
        assert await answered(discord, id) == "you said: hello"


async def test_a_mention_of_the_accounts_own_role_is_a_mention_of_it(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    async with living(discord, tmp_path):
        id = await discord.say(f"<@&{discord.world.bot_role}> hello")
        assert await answered(discord, id) == "you said: hello"


async def test_nothing_but_a_mention_is_answered_too(discord: FakeDiscord, tmp_path: Path) -> None:
    async with living(discord, tmp_path):
        id = await discord.say(discord.mention)
        assert await answered(discord, id) == "you said: @joe"


async def test_what_is_said_to_others_is_not_answered_but_heard(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    bot = SayingBot()
    async with living(discord, tmp_path, bot):
        bob = discord.world.person("bob").id
        await discord.say("good morning")
        await discord.say(f"<@{bob}> how are you?")
        await asked(discord, bot, f"{discord.mention} and you?")
        assert [m.text for m in bot.turns[0].history] == [
            "good morning",
            "@Bob how are you?",
            "and you?",
        ]


async def test_a_reply_to_the_bot_is_answered_without_a_mention(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    async with living(discord, tmp_path):
        id = await discord.say(f"{discord.mention} one")
        await answered(discord, id)
        [answer] = discord.answers_to(id)
        second = await discord.say("two", reply_to=answer.id, ping=False)
        assert await answered(discord, second) == "you said: two"


async def test_in_a_free_channel_everything_is_answered(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    free = discord.channel_id("general")
    config = table(free_channels=(free,))
    async with living(discord, tmp_path, config=config, free={"discord": frozenset({free})}):
        id = await discord.say("anybody?")
        assert await answered(discord, id) == "you said: anybody?"


async def test_another_bot_is_known_as_one(discord: FakeDiscord, tmp_path: Path) -> None:
    bot = SayingBot()
    allowed = AccessConfig(bots=(discord.world.person("robot", bot=True).id,))
    async with living(discord, tmp_path, bot, access={"discord": allowed}):
        await discord.say("beep", who="robot", bot=True)
        await asked(discord, bot, f"{discord.mention} hm")
    author = bot.turns[0].history[0].author
    assert author is not None
    assert author.is_bot


# --- what a message says --------------------------------------------------------------------------


async def test_everything_that_only_discord_understands_is_written_out(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    bot = SayingBot()
    async with living(discord, tmp_path, bot):
        bob, general = discord.world.person("bob").id, discord.channel_id("general")
        said = await asked(
            discord,
            bot,
            f"tell <@{bob}> and <@!{discord.bot_id}> in <#{general}> <:wave:123456789012345678> "
            "<a:dance:123456789012345679> at <t:1700000000:R>, or </ask me:123456789012345670>, "
            "not <@1> or <b>",
            channel="@ann",
        )
    assert said.text == (
        "tell @Bob and @joe in #general :wave: :dance: at 2023-11-14 22:13 UTC, or /ask me, "
        "not <@1> or <b>"
    )


async def test_what_stands_in_code_stays_as_it_is(discord: FakeDiscord, tmp_path: Path) -> None:
    bot = SayingBot()
    text = f"`<@{discord.bot_id}>` and\n```py\n<#{discord.channel_id()}> <:a_b:1234567890>\n```"
    async with living(discord, tmp_path, bot):
        assert (await asked(discord, bot, text, channel="@ann")).text == text


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"sticker_items": [{"id": "1", "name": "Wave", "format_type": 1}]}, "[sticker: Wave]"),
        ({"embeds": [{"title": "A page", "type": "rich"}]}, "[embed: A page]"),
        ({"poll": {"question": {"text": "Tea?"}, "answers": []}}, "[poll: Tea?]"),
        (
            {
                "message_reference": {"type": 1, "message_id": "1", "channel_id": "2"},
                "message_snapshots": [{"message": {"content": "one\ntwo", "attachments": []}}],
            },
            "> one\n> two",
        ),
    ],
)
async def test_what_is_no_text_is_said_in_words(
    discord: FakeDiscord, tmp_path: Path, more: dict[str, Any], text: str
) -> None:
    bot = SayingBot()
    async with living(discord, tmp_path, bot):
        ann = discord.world.person("ann")
        place = discord.world.direct(ann)
        discord.gateway.message("MESSAGE_CREATE", place, bare(discord, place, more))
        await discord.until(lambda: bot.turns)
    assert last(bot).text == text


def bare(discord: FakeDiscord, place: Any, more: dict[str, Any]) -> Any:
    """A message of ann without text, which stands nowhere."""
    ann = discord.world.person("ann")
    post = discord.messages.create(place, ann, {"content": "-"}, quiet=True)
    post.json |= {"content": "", **more}
    return post


async def test_service_messages_are_not_taken_in(discord: FakeDiscord, tmp_path: Path) -> None:
    bot = SayingBot()
    async with living(discord, tmp_path, bot):
        place = discord.world.direct(discord.world.person("ann"))
        for type in (6, 7, 8, 18, 46, 999):
            post = bare(discord, place, {"content": "ann pinned a message", "type": type})
            discord.gateway.message("MESSAGE_CREATE", place, post)
        said = await asked(discord, bot, "hello", channel="@ann")
    assert [said] == list(bot.turns[0].history)


@given(st.text(alphabet=st.sampled_from("<@!&#:>t/1234567890 `*_\n\\|~ab\u202e\U0001f600")))
def test_no_text_that_a_person_can_type_is_too_strange(text: str) -> None:
    reader = Reader("discord", ["joe", "Comic"], Directory("discord", NOTHING))
    place = Place("3", 0, server="2")
    data = {"id": str(2**60), "channel_id": "3", "author": {"id": "4", "username": "ann"}}
    reading = reader.read({**data, "content": text}, place)
    assert (reading is None) == (not text.strip())


# The reader asks nothing of the network.
NOTHING: Any = None


# --- what becomes of it ---------------------------------------------------------------------------


async def test_edits_and_deletions_reach_what_the_bot_reads(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    bot = SayingBot()
    async with living(discord, tmp_path, bot):
        ids = [await discord.say(text) for text in ("one", "two", "three", "four")]
        await discord.edit(ids[0], f"<@{discord.bot_id}> uno")
        await discord.delete(ids[1])
        await discord.delete(ids[2], ids[3])
        await asked(discord, bot, f"{discord.mention} well?")
    assert [m.text for m in bot.turns[0].history] == ["uno", "well?"]


async def test_a_preview_that_discord_adds_is_no_edit(discord: FakeDiscord, tmp_path: Path) -> None:
    bot = SayingBot()
    async with living(discord, tmp_path, bot):
        id = await discord.say("see https://example.com")
        place = discord.world.channels[discord.channel_id()]
        post = place.posts[id]
        post.json["embeds"] = [{"type": "link", "url": "https://example.com"}]
        discord.gateway.message("MESSAGE_UPDATE", place, post)
        await asked(discord, bot, f"{discord.mention} well?")
    assert bot.turns[0].history[0].edited_at is None


async def test_a_reaction_and_a_button_are_feedback_on_the_answer(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    async with living(discord, tmp_path):
        id = await discord.say("hello", channel="@ann")
        await answered(discord, id)
        [answer] = discord.answers_to(id)
        assert answer.buttons == ["Regenerate", "\U0001f44d", "\U0001f44e"]
        await discord.react(answer.id, "\N{FIRE}", channel="@ann")
        pressed = await discord.press(answer.id, "\U0001f44d", channel="@ann")
        await discord.until(lambda: discord.interaction(pressed).answer)
        await until(lambda: len(rows(tmp_path, "SELECT value FROM feedback")) == 2)
    values = {row[0] for row in rows(tmp_path, "SELECT value FROM feedback")}
    assert "\N{FIRE}" in values


def rows(directory: Path, query: str) -> list[Any]:
    with sqlite3.connect(f"file:{directory}/botdaemon.db?mode=ro", uri=True) as db:
        return db.execute(query).fetchall()


async def until(predicate: Callable[[], object]) -> None:
    """For what is on disk, where nobody says when it is there."""
    async with asyncio.timeout(20):
        while not predicate():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


# --- threads --------------------------------------------------------------------------------------


async def test_in_a_thread_the_answer_stands_there_and_what_was_said_before_is_known(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    bot = SayingBot()
    id = await discord.say("my cat is called Tom")
    topic = await discord.open_thread("cats", of=id)
    for word in ("yes", "it is"):
        await discord.say(word, topic=topic)
    async with living(discord, tmp_path, bot):
        asks = await discord.say(f"{discord.mention} what is my cat called?", topic=topic)
        await answered(discord, asks)
        assert [s.text for s in discord.shown(topic=topic)][-1].startswith("you said: what is")
        assert [s.text for s in discord.shown()] == ["my cat is called Tom"]
        follow_up = await discord.say("and my dog?", topic=topic)
        assert await answered(discord, follow_up) == "you said: and my dog?"
    assert [m.text for m in bot.turns[0].history] == [
        "my cat is called Tom",
        "yes",
        "it is",
        "what is my cat called?",
    ]


async def test_of_a_long_thread_the_last_twenty_messages_are_read(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    topic = await discord.open_thread("long")
    for number in range(30):
        await discord.say(f"word {number}", topic=topic)
    async with living(discord, tmp_path):
        await answered(discord, await discord.say(f"{discord.mention} hello", topic=topic))
    texts = [row[0] for row in rows(tmp_path, "SELECT text FROM messages ORDER BY id")]
    assert texts[:-1] == [*(f"word {n}" for n in range(10, 30)), "hello"]


async def test_a_post_in_a_forum_comes_with_its_title(discord: FakeDiscord, tmp_path: Path) -> None:
    bot = SayingBot()
    async with living(discord, tmp_path, bot):
        forum = discord.create_channel("help", forum=True)
        post = forum_post(discord, forum, "My lamp is broken", f"{discord.mention} what now?")
        assert (
            await answered_in(discord, "help", post)
            == "you said: **My lamp is broken**\n\nwhat now?"
        )


async def test_of_a_long_post_the_beginning_is_known_too(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    forum = discord.create_channel("help", forum=True)
    post = forum_post(discord, forum, "My lamp is broken", "it is dark")
    for number in range(25):
        await discord.say(f"word {number}", channel="help", topic=post)
    async with living(discord, tmp_path):
        asks = await discord.say(f"{discord.mention} well?", channel="help", topic=post)
        await answered(discord, asks)
    texts = [row[0] for row in rows(tmp_path, "SELECT text FROM messages ORDER BY id")]
    assert texts[:2] == ["**My lamp is broken**\n\nit is dark", "word 5"]


def forum_post(discord: FakeDiscord, forum: Any, title: str, text: str) -> str:
    ann = discord.world.person("ann")
    thread = discord.messages.start_thread(forum, ann, {"name": title})
    discord.messages.create(thread, ann, {"content": text}, more={"id": thread.id})
    return thread.id


async def answered_in(discord: FakeDiscord, channel: str, topic: str) -> str:
    def ours() -> list[str]:
        shown = discord.shown(channel, topic)
        return [s.text for s in shown if s.raw["author"]["bot"] and "Stop" not in s.buttons]

    await discord.until(ours)
    return ours()[-1]


async def test_where_it_is_configured_a_mention_gets_a_thread_of_its_own(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    async with living(discord, tmp_path, config=table(auto_threads=True)):
        id = await discord.say(f"{discord.mention} what is the weather?\nplease")
        assert await answered_in(discord, "general", id) == "you said: what is the weather?\nplease"
        assert discord.world.channels[id].name == "what is the weather?"
        await discord.say("and tomorrow?", topic=id)
        await discord.until(lambda: len(discord.shown(topic=id)) == 3)
        assert await answered_in(discord, "general", id) == "you said: and tomorrow?"
    assert [s.text for s in discord.shown()] == [f"{discord.mention} what is the weather?\nplease"]


async def test_without_the_permission_for_threads_the_answer_stands_in_the_channel(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    await discord.permit("CREATE_PUBLIC_THREADS", False)
    async with living(discord, tmp_path, config=table(auto_threads=True)):
        for text in ("one", "two"):
            id = await discord.say(f"{discord.mention} {text}")
            assert await answered(discord, id) == f"you said: {text}"


async def test_a_thread_that_could_not_be_made_at_once_is_made_for_the_answer(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    discord.faults.next("POST */threads", Reset())
    async with living(discord, tmp_path, config=table(auto_threads=True)):
        id = await discord.say(f"{discord.mention} hello")
        assert await answered_in(discord, "general", id) == "you said: hello"
    assert discord.world.channels[id].name.endswith("hello")


async def test_in_a_channel_that_is_part_of_a_room_nobody_opens_a_thread(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    told = {"shared": frozenset({discord.channel_id()})}
    async with living(discord, tmp_path, config=table(auto_threads=True), told=told):
        id = await discord.say(f"{discord.mention} hello")
        assert await answered(discord, id) == "you said: hello"
    assert not discord.world.threads()


async def test_in_a_thread_a_second_bot_has_its_own_face_too(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    topic = await discord.open_thread("jokes")
    async with living(discord, tmp_path, SayingBot(), SayingBot()):
        await discord.say("Comic, hello", topic=topic)
        await discord.until(lambda: len(discord.shown(topic=topic)) == 2)
    assert [s.author for s in discord.shown(topic=topic)] == ["ann", "Comic"]


async def test_typing_is_shown_from_acceptance_to_the_answer(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    bot = SayingBot()
    bot.gate.clear()
    topic = await discord.open_thread("slow")
    async with living(discord, tmp_path, bot, config=table(live_drafts=False)):
        await discord.say(f"{discord.mention} hello", topic=topic)
        await discord.until(lambda: discord.typing == [topic])
        bot.gate.set()
        await discord.until(lambda: len(discord.shown(topic=topic)) == 2)


# --- files ----------------------------------------------------------------------------------------


async def test_files_are_taken_in_as_what_they_are(discord: FakeDiscord, tmp_path: Path) -> None:
    bot = SayingBot()
    files = [
        ("cat.png", PNG),
        ("liar.png", b"MZ\x90\0 this is a program"),
        ("bomb.zip", b"PK\x03\x04" + bytes(1000)),
        ("long.bin", bytes(200_000)),
    ]
    async with living(discord, tmp_path, bot, told={"file_limit": 100_000}):
        said = await asked(discord, bot, "look", channel="@ann", files=files)
    assert [(f.name, f.media_type, f.size) for f in said.files] == [
        ("cat.png", "image/png", len(PNG)),
        ("liar.png", "application/octet-stream", 22),
        ("bomb.zip", "application/zip", 1004),
    ]
    assert said.text == "look\n[long.bin: 200 kB, too large to take in]"


async def test_a_long_answer_arrives_whole(discord: FakeDiscord, tmp_path: Path) -> None:
    words = [f"word{number}" for number in range(4000)]
    bot = SayingBot(lambda _: "\n".join(words))
    async with living(discord, tmp_path, bot):
        await discord.say("tell me a story", channel="@ann")
        await discord.until(lambda: any(s.files for s in discord.shown("@ann")))
        shown = discord.shown("@ann")[1:]
        assert all(len(s.text) <= 2000 for s in shown)
        assert [bool(s.reply_to) for s in shown] == [True] + [False] * (len(shown) - 1)
        [(_, content)] = shown[-1].files
        assert content.decode().split() == words


# --- controls -------------------------------------------------------------------------------------


async def test_commands_are_announced_once_and_only_what_changed(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    def changes() -> list[str]:
        return [
            f"{c.method} {c.payload['name']}" if c.payload else c.method
            for c in discord.calls
            if "/commands" in c.path and c.method != "GET"
        ]

    async with living(discord, tmp_path):
        await discord.until(lambda: len(changes()) == len(COMMANDS))
    assert set(changes()) == {f"POST {spec.name}" for spec in COMMANDS}
    async with living(discord, tmp_path):
        await discord.until(
            lambda: sum("/commands" in c.path for c in discord.calls) > len(COMMANDS) + 1
        )
        await answered(discord, await discord.say("hello", channel="@ann"))
    assert len(changes()) == len(COMMANDS)
    async with living(discord, tmp_path, told={"commands": COMMANDS[1:]}):
        await discord.until(lambda: len(changes()) > len(COMMANDS))
        await answered(discord, await discord.say("hello", channel="@ann"))
    assert changes()[len(COMMANDS) :] == ["DELETE"]


async def test_a_spent_quota_of_commands_keeps_nobody_from_answering(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    body = {"message": "Max number of daily application command creates", "code": 30034}
    discord.faults.always("POST */commands", Answer(400, body))
    async with living(discord, tmp_path):
        id = await discord.say("hello", channel="@ann")
        assert await answered(discord, id) == "you said: hello"


async def test_a_slash_command_is_answered_to_its_sender_alone(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    async with living(discord, tmp_path):
        await announced(discord)
        used = await discord.command("help")
        await discord.until(lambda: any(a.text for a in discord.answers_to(used)))
        [answer] = discord.answers_to(used)
        assert answer.raw["ephemeral"]
        assert "/retry" in answer.text


async def announced(discord: FakeDiscord) -> None:
    def there() -> bool:
        return len([c for c in sends(discord, ending="/commands") if c.status < 300]) >= len(
            COMMANDS
        )

    await discord.until(there)


async def test_a_command_that_comes_twice_is_answered_once(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    async with living(discord, tmp_path):
        await announced(discord)
        used = await discord.command("whoami", channel="@ann")
        await discord.until(lambda: any("Ann" in a.text for a in discord.answers_to(used)))
        event = next(
            sent["d"]
            for session in discord.gateway.sessions.values()
            for sent in session.sent
            if sent["t"] == "INTERACTION_CREATE"
        )
        answers = [a.text for a in discord.answers_to(used)]
        await discord.poison(event, "INTERACTION_CREATE")
        await answered(discord, await discord.say("hello", channel="@ann"))
    assert [a.text for a in discord.answers_to(used)] == answers


async def test_a_command_that_is_no_more_is_answered_with_words(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    async with living(discord, tmp_path):
        await announced(discord)
        discord.commands.find("help")["name"] = "gone"
        used = await discord.command("gone")
        await discord.until(lambda: discord.answers_to(used))
        [answer] = discord.answers_to(used)
        assert answer.text == "There is no command /gone any more."


async def test_the_stop_button_of_a_live_draft_stops_it(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    bot = SayingBot()
    bot.gate.clear()
    async with living(discord, tmp_path, bot):
        id = await discord.say("count to a million", channel="@ann")
        await discord.until(lambda: any("Stop" in a.buttons for a in discord.answers_to(id)))
        [draft] = discord.answers_to(id)
        await discord.press(draft.id, "Stop", channel="@ann")
        await discord.until(lambda: "Stop" not in discord.answers_to(id)[0].buttons)


async def test_a_button_works_after_a_restart(discord: FakeDiscord, tmp_path: Path) -> None:
    async with living(discord, tmp_path):
        id = await discord.say("hello", channel="@ann")
        await answered(discord, id)
    [answer] = discord.answers_to(id)
    bot = SayingBot(lambda text: f"again: {text}")
    async with living(discord, tmp_path, bot):
        await discord.press(answer.id, "Regenerate", channel="@ann")
        await discord.until(lambda: bot.turns)


# --- faces ----------------------------------------------------------------------------------------


async def test_a_second_bot_speaks_with_its_own_name_and_picture(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    told = {"pictures": {"Comic": "https://example.com/comic.png"}}
    async with living(discord, tmp_path, SayingBot(), SayingBot(), told=told):
        for _ in range(2):
            await discord.say("Comic, tell a joke")
        await discord.until(lambda: len(discord.shown()) == 4)
        await discord.until(lambda: "Regenerate" in discord.shown()[-1].buttons)
        ours = [s for s in discord.shown() if s.raw.get("webhook_id")]
        assert [(s.author, s.text) for s in ours] == [("Comic", "you said: Comic, tell a joke")] * 2
        assert len(discord.webhooks.all) == 1
        posted = [c for c in discord.calls if "/webhooks/" in c.path and c.method == "POST"]
        assert posted[0].payload["avatar_url"] == "https://example.com/comic.png"


async def test_each_of_a_crowd_speaks_under_a_name_of_its_own(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    class Crowd(SayingBot):
        async def reply(self, turn: Turn) -> AsyncGenerator[Draft]:
            bubbles = (Bubble("No way!", "BrazenHeron"), Bubble("Sure.", "khaki_ox"))
            yield Draft(text="", bubbles=bubbles, final=True)

    manners = {"joe": Manners(crowd=True, several=Several(longest_pause=0.0))}
    async with living(discord, tmp_path, Crowd(), manners=manners):
        await discord.say("joe, shall I buy a boat?")
        await discord.until(lambda: len(discord.shown()) == 3)
        await discord.until(lambda: "Regenerate" in discord.shown()[-1].buttons)
        said = [(one.author, one.text) for one in discord.shown()[1:]]
        assert said == [("BrazenHeron", "No way!"), ("khaki_ox", "Sure.")]
        # In a direct channel there are no webhooks.
        await discord.say("hello", channel="@ann")
        await discord.until(lambda: len(discord.shown("@ann")) == 3)
        assert [one.text for one in discord.shown("@ann")[1:]] == [
            "**BrazenHeron:** No way!",
            "**khaki_ox:** Sure.",
        ]


async def test_where_webhooks_are_not_allowed_the_name_stands_in_front(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    await discord.permit("MANAGE_WEBHOOKS", False)
    async with living(discord, tmp_path, SayingBot(), SayingBot()):
        for _ in range(2):
            id = await discord.say("Comic, tell a joke")
            assert await answered(discord, id) == "**Comic:** you said: Comic, tell a joke"
    assert len(sends(discord, "GET", "/webhooks")) == 1


async def test_a_webhook_that_somebody_deleted_is_made_anew(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    async with living(discord, tmp_path, SayingBot(), SayingBot()):
        for number in (1, 2):
            await discord.say("Comic, tell a joke")
            await discord.until(lambda: len(discord.shown()) == 2 * number)  # noqa: B023
            discord.webhooks.all.clear()
    assert [s.author for s in discord.shown()] == ["ann", "Comic"] * 2


# --- letters --------------------------------------------------------------------------------------


async def test_nobody_is_pinged_by_what_a_bot_says(discord: FakeDiscord, tmp_path: Path) -> None:
    bob = discord.world.person("bob").id
    bot = SayingBot(lambda _: f"@everyone @here <@{bob}> <@&{discord.world.bot_role}>")
    async with living(discord, tmp_path, bot, bot):
        for text in (f"{discord.mention} hello", "Comic, hello"):
            await discord.say(text)
        await discord.until(lambda: len(discord.shown()) == 4)
        ours = [s for s in discord.shown() if s.author != "ann"]
        assert [s.raw["pings"] for s in ours if s.reply_to] == [["ann"]]
        assert [s.raw["pings"] for s in ours if not s.reply_to] == [[]]


async def test_a_send_whose_answer_is_lost_arrives_once(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    async with living(discord, tmp_path, config=table(live_drafts=False)):
        faults = (Reset(applied=True), Reset(), HalfAnswer(), Status5xx(503))
        discord.faults.next("POST */messages", *faults)
        ids = [await discord.say("hello", channel=f"@person{n}") for n in range(len(faults))]
        for id in ids:
            assert await answered(discord, id) == "you said: hello"
    assert [len(discord.answers_to(id)) for id in ids] == [1, 1, 1, 1]


async def test_it_arrives_once_even_when_discord_remembers_no_nonce(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    discord.nonce_memory = 0.0
    async with living(discord, tmp_path, SayingBot(), SayingBot()):
        discord.faults.next("POST */messages", Reset(applied=True))
        discord.faults.next("POST */webhooks/*/*", Reset(applied=True))
        id = await discord.say("hello", channel="@ann")
        await discord.say("Comic, hello")
        assert await answered(discord, id) == "you said: hello"
        await discord.until(lambda: [s.author for s in discord.shown()] == ["ann", "Comic"])
    assert [s.text for s in discord.shown()] == ["Comic, hello", "you said: Comic, hello"]
    assert len(discord.answers_to(id)) == 1


async def test_a_draft_whose_answer_is_lost_still_ends_as_the_whole_answer(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    bot = SayingBot()
    bot.gate.clear()
    async with living(discord, tmp_path, bot):
        discord.faults.next("POST */messages", Reset(applied=True))
        id = await discord.say("hello", channel="@ann")
        await discord.until(lambda: discord.answers_to(id))
        bot.gate.set()
        assert await answered(discord, id) == "you said: hello"
        assert len(discord.answers_to(id)) == 1


async def test_when_discord_asks_to_wait_the_letter_waits(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    async with living(discord, tmp_path, config=table(live_drafts=False)):
        cloudflare = Answer(429, "slow down", {"Retry-After": "1"})
        discord.faults.next("POST */messages", RateLimit(0.2), cloudflare)
        id = await discord.say("hello", channel="@ann")
        assert await answered(discord, id) == "you said: hello"
        assert [c.status for c in sends(discord)] == [429, 429, 200]


async def test_a_channels_limit_is_kept_before_discord_must_ask(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    discord.limits.routes["POST /channels/{c}/messages"] = (3, 0.5)
    bot = SayingBot(lambda _: "\n\n".join("word " * 350 for _ in range(7)))
    async with living(discord, tmp_path, bot, config=table(live_drafts=False)):
        await discord.say("tell me a story", channel="@ann")
        await discord.until(lambda: len(discord.shown("@ann")) == 8)
    assert 429 not in [c.status for c in discord.calls]


async def test_a_webhook_that_is_asked_to_wait_waits(discord: FakeDiscord, tmp_path: Path) -> None:
    discord.faults.next("POST */webhooks/*/*", RateLimit(0.2), Status5xx(500))
    async with living(discord, tmp_path, SayingBot(), SayingBot(), config=table(live_drafts=False)):
        await discord.say("Comic, hello")
        await discord.until(lambda: len(discord.shown()) == 2)
    posted = [c.status for c in discord.calls if c.method == "POST" and "/webhooks/" in c.path]
    assert posted == [429, 500, 200]


async def test_what_can_never_arrive_is_tried_once(discord: FakeDiscord, tmp_path: Path) -> None:
    async with living(discord, tmp_path, config=table(live_drafts=False)):
        discord.create_channel("closed")
        await discord.permit("SEND_MESSAGES", False, channel="closed")
        await discord.say(f"{discord.mention} hello", channel="closed")
        await until(lambda: rows(tmp_path, "SELECT error FROM letters WHERE state = 'dead'"))
        id = await discord.say(f"{discord.mention} hello")
        assert await answered(discord, id) == "you said: hello"
    assert len([c for c in sends(discord) if c.status == 403]) == 1
    [(why,)] = rows(tmp_path, "SELECT error FROM letters WHERE state = 'dead'")
    assert "Send Messages" in why


async def test_an_answer_to_a_message_that_was_deleted_is_an_ordinary_message(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    async with living(discord, tmp_path, config=table(live_drafts=False)):
        id = await discord.say("hello", channel="@ann")
        discord.world.direct(discord.world.person("ann")).posts.pop(id)
        await discord.until(lambda: discord.shown("@ann"))
    assert [s.text for s in discord.shown("@ann")] == ["you said: hello"]


# --- what was missed ------------------------------------------------------------------------------


async def test_what_was_said_while_the_daemon_was_away_is_answered_once_and_in_order(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    bot = SayingBot()
    async with living(discord, tmp_path, bot):
        await answered(discord, await discord.say("before", channel="@ann"))
        await answered(discord, await discord.say(f"{discord.mention} before"))
        quiet = discord.create_channel("quiet")
        topic = await discord.open_thread("thread")
        await discord.say("hm", channel="quiet")
        await asked(discord, bot, f"{discord.mention} before", topic=topic)
        cursors = "SELECT channel FROM cursors"
        await until(lambda: (quiet.id,) in rows(tmp_path, cursors))
    ids = [await discord.say(f"missed {number}", channel="@ann") for number in range(150)]
    in_channel = await discord.say(f"{discord.mention} missed, too")
    in_thread = await discord.say("missed there", topic=topic)
    calls = len(discord.calls)
    async with living(discord, tmp_path, bot):
        await answered(discord, in_channel)
        await answered(discord, in_thread)
        await discord.until(
            lambda: any("missed 149" in s.text for s in discord.shown("@ann")[152:])
        )
        assert "\n".join(m.text for m in bot.turns[-1].history).count("missed there") <= 1
    heard = [m.text for turn in bot.turns for m in turn.history[-turn.fresh :]]
    assert [t for t in heard if t.startswith("missed") and t[-1].isdigit()] == [
        f"missed {number}" for number in range(150)
    ]
    read = [
        c.path.split("/")[4]
        for c in discord.calls[calls:]
        if c.method == "GET" and c.path.endswith("/messages")
    ]
    assert quiet.id not in read
    assert len(ids) == 150


async def test_catching_up_asks_for_no_more_than_there_is(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    topics = [await discord.open_thread(f"thread {number}") for number in range(20)]
    for number in range(20):
        discord.create_channel(f"channel-{number}")
    async with living(discord, tmp_path):
        await answered(discord, await discord.say("before", channel="@ann"))
    for number in range(10):
        for word in range(110):
            await discord.say(f"word {word}", channel=f"channel-{number}")
            await discord.say(f"word {word}", topic=topics[number])
    calls = len(discord.calls)
    async with living(discord, tmp_path, stale=0.0):
        query = "SELECT count(*) FROM messages WHERE text LIKE 'word %'"
        await until(lambda: rows(tmp_path, query) == [(2200,)])
    read = [
        call
        for call in discord.calls[calls:]
        if call.method == "GET" and call.path.endswith("/messages") and "after" in call.payload
    ]
    assert len(read) == 2 * 20 + 1, "two pages of each place with news, and the direct message"
    order = "SELECT channel, topic, group_concat(text) FROM messages GROUP BY channel, topic"
    for *_, texts in rows(tmp_path, order):
        words = [text for text in texts.split(",") if text.startswith("word")]
        assert words == [f"word {word}" for word in range(len(words))]


async def test_what_was_missed_long_ago_is_known_but_not_answered(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    bot = SayingBot()
    async with living(discord, tmp_path, bot):
        await answered(discord, await discord.say("before", channel="@ann"))
    await discord.say("long ago", channel="@ann")
    async with living(discord, tmp_path, bot, stale=0.0):
        await until(lambda: rows(tmp_path, "SELECT 1 FROM messages WHERE text = 'long ago'"))
        said = await asked(discord, bot, "now", channel="@ann")
    assert said.text == "now"
    assert "long ago" in [m.text for m in bot.turns[-1].history]
    assert bot.turns[-1].fresh == 1


async def test_when_a_session_is_lost_what_was_said_meanwhile_is_read(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    async with living(discord, tmp_path):
        await answered(discord, await discord.say("before", channel="@ann"))
        discord.forget_sessions()
        discord.refuse_connections = True
        await discord.drop()
        id = await discord.say("meanwhile", channel="@ann")
        discord.refuse_connections = False
        assert await answered(discord, id) == "you said: meanwhile"
        assert len(discord.answers_to(id)) == 1


async def test_what_was_missed_in_a_direct_channel_comes_before_what_is_said_there_now(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    bot = SayingBot()
    async with living(discord, tmp_path, bot):
        await answered(discord, await discord.say("before", channel="@ann"))
        sessions = len(discord.gateway.logins)
        discord.forget_sessions()
        discord.refuse_connections = True
        await discord.drop()
        await discord.say("meanwhile", channel="@ann")
        discord.refuse_connections = False
        # As soon as the next session is there, and before anything can have been read.
        await discord.until(
            lambda: [login["op"] for login in discord.gateway.logins[sessions:]].count(2)
        )
        await discord.say("and now?", channel="@ann")
        await until(lambda: heard(bot) == ["before", "meanwhile", "and now?"])


def heard(bot: SayingBot) -> list[str]:
    """What it was asked to answer, in order."""
    return [said.text for turn in bot.turns for said in turn.history[-turn.fresh :]]


async def test_a_dropped_connection_is_resumed(discord: FakeDiscord, tmp_path: Path) -> None:
    async with living(discord, tmp_path):
        await answered(discord, await discord.say("before", channel="@ann"))
        await discord.drop()
        id = await discord.say("meanwhile", channel="@ann")
        assert await answered(discord, id) == "you said: meanwhile"
        assert [login["op"] for login in discord.gateway.logins] == [2, 6]


async def test_what_did_not_fit_on_the_disk_is_read_again(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    full = asyncio.Event()

    class Full:
        """A store whose disk is full for a while."""

        def __init__(self, part: Any) -> None:
            self._part = part

        def __getattr__(self, name: str) -> Any:
            return getattr(self._part, name)

        async def record_posted(self, *args: Any) -> Any:
            if full.is_set():
                full.clear()
                raise StoreFull("no space")
            return await self._part.record_posted(*args)

    bot = SayingBot()
    async with living(
        discord,
        tmp_path,
        bot,
        around=lambda part: Full(part) if hasattr(part, "record_posted") else part,
    ):
        await answered(discord, await discord.say("before", channel="@ann"))
        full.set()
        id = await discord.say("no space for this", channel="@ann")
        assert await answered(discord, id) == "you said: no space for this"


# --- bad input ------------------------------------------------------------------------------------


NONSENSE: tuple[Any, ...] = (None, [], {}, -1, 3.5, "not a number", True, "9" * 400)


def poisons(discord: FakeDiscord) -> list[tuple[str, Any]]:
    place = discord.world.direct(discord.world.person("ann"))
    good = discord.world.look(
        discord.messages.create(place, discord.world.person("ann"), {"content": "bait"}, quiet=True)
    )
    broken: list[tuple[str, Any]] = []
    for key in ("id", "channel_id", "author", "content", "timestamp", "mentions", "type"):
        broken.append(("MESSAGE_CREATE", {k: v for k, v in good.items() if k != key}))
        broken += [
            ("MESSAGE_CREATE", good | {"id": "1", "content": "", key: value}) for value in NONSENSE
        ]
    for event in (
        "MESSAGE_UPDATE",
        "MESSAGE_DELETE",
        "MESSAGE_DELETE_BULK",
        "MESSAGE_REACTION_ADD",
        "MESSAGE_REACTION_REMOVE",
        "INTERACTION_CREATE",
        "GUILD_CREATE",
        "GUILD_DELETE",
        "GUILD_ROLE_CREATE",
        "CHANNEL_CREATE",
        "CHANNEL_UPDATE",
        "CHANNEL_DELETE",
        "THREAD_CREATE",
        "THREAD_LIST_SYNC",
        "TYPING_START",
        "SOMETHING_NEW",
    ):
        broken += [(event, body) for body in (*NONSENSE, {"id": None}, {"id": "x"})]
    broken.append(("MESSAGE_CREATE", good | {"id": str(2**63 - 1), "content": "from 2084"}))
    broken.append(("MESSAGE_CREATE", good | {"id": "4", "content": "x" * 3_000_000}))
    broken.append(("MESSAGE_CREATE", good | {"id": "2", "attachments": [{"url": 1}, None, 3]}))
    broken.append(
        ("MESSAGE_CREATE", good | {"id": "3", "content": "", "embeds": [None, {"title": 4}]})
    )
    return broken


async def test_no_event_that_cannot_be_read_keeps_the_next_message_from_its_answer(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    async with living(discord, tmp_path):
        await answered(discord, await discord.say("before", channel="@ann"))
        for event, body in poisons(discord):
            await discord.poison(body, event)
        # Some of it is Ann's, and can be read: who else asks is not answered together with that.
        id = await discord.say(f"{discord.mention} after", who="bob")
        assert await answered(discord, id) == "you said: after"
        assert len(discord.gateway.logins) == 1, "the connection survived"
    assert rows(tmp_path, "SELECT count(*) FROM quarantine")[0][0] > 50


async def test_a_message_delivered_twice_is_answered_once_on_discord(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    bot = SayingBot()
    async with living(discord, tmp_path, bot):
        id = await discord.say("hello", channel="@ann")
        await discord.redeliver(id, channel="@ann")
        await answered(discord, id)
        await answered(discord, await discord.say("next", channel="@ann"))
    assert len(bot.turns) == 2


@pytest.mark.parametrize(
    "payload", ['["this is no payload"]', '{"op":0,"t":"READY","s":1,"d":{"user":7}}']
)
async def test_a_payload_that_ends_the_client_costs_a_new_one_and_no_message(
    discord: FakeDiscord, tmp_path: Path, payload: str
) -> None:
    async with living(discord, tmp_path):
        await answered(discord, await discord.say("before", channel="@ann"))
        for connection in discord.gateway.connections:
            await connection.ws.send_str(payload)
        id = await discord.say("after", channel="@ann")
        assert await answered(discord, id) == "you said: after"
        ops = [login["op"] for login in discord.gateway.logins]
        assert ops == [2, 2]
    assert rows(tmp_path, "SELECT raw FROM quarantine") == [(payload,)]


# --- health ---------------------------------------------------------------------------------------


async def nobody(event: Event) -> int:
    raise AssertionError(f"nothing should come: {event}")


async def test_a_token_that_discord_refuses_is_said_once_and_by_name(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    async with home(tmp_path, {"joe": SayingBot()}) as house:
        adapter = account(discord, house.store)
        discord.token = discord.gateway.token = "another"
        with pytest.raises(AdapterRefused, match=r"token of \[adapters.discord\].*Reset Token"):
            await adapter.run(nobody)


async def test_a_missing_intent_is_said_by_name_and_with_its_switch(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    await discord.forbid_intent("MESSAGE_CONTENT")
    async with home(tmp_path, {"joe": SayingBot()}) as house:
        with pytest.raises(AdapterRefused, match="Message Content Intent"):
            await account(discord, house.store).run(nobody)


async def test_without_that_intent_direct_messages_and_mentions_are_answered(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    await discord.forbid_intent("MESSAGE_CONTENT")
    bot = SayingBot()
    async with living(discord, tmp_path, bot, config=table(message_content=False)):
        await discord.say("not for you")
        for channel in ("@ann", "general"):
            id = await discord.say(f"{discord.mention} hello", channel=channel)
            assert await answered(discord, id) == "you said: hello"
    assert not [m for turn in bot.turns for m in turn.history if not m.text]


async def test_a_token_taken_back_while_it_runs_ends_the_adapter_alone(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    async with home(tmp_path, {"joe": SayingBot()}) as house:
        running = asyncio.create_task(account(discord, house.store).run(nobody))
        await discord.until(lambda: discord.gateway.logins)
        await discord.revoke()
        with pytest.raises(AdapterRefused, match="token"):
            await running


async def test_a_discord_that_is_not_there_is_tried_again_later(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    discord.refuse_connections = True
    async with home(tmp_path, {"joe": SayingBot()}) as house:
        adapter = account(discord, house.store)
        with pytest.raises(AdapterDown, match="Discord"):
            await adapter.run(nobody)
        with pytest.raises(TryLater, match="not connected"):
            adapter.typing(Address("discord", "1"), "joe")


async def test_being_thrown_out_of_a_server_keeps_nobody_else_waiting(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    bot = SayingBot()
    bot.gate.clear()
    async with living(discord, tmp_path, bot, config=table(live_drafts=False)):
        await asked(discord, bot, f"{discord.mention} hello")
        await discord.kick()
        bot.gate.set()
        await until(lambda: rows(tmp_path, "SELECT error FROM letters WHERE state = 'dead'"))
        id = await discord.say("hello", channel="@ann")
        assert await answered(discord, id) == "you said: hello"


async def test_a_thread_deleted_under_an_answer_keeps_nobody_else_waiting(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    bot = SayingBot()
    bot.gate.clear()
    topic = await discord.open_thread("short-lived")
    async with living(discord, tmp_path, bot, config=table(live_drafts=False)):
        await asked(discord, bot, f"{discord.mention} hello", topic=topic)
        await discord.delete_channel(topic)
        bot.gate.set()
        await until(lambda: rows(tmp_path, "SELECT error FROM letters WHERE state = 'dead'"))
        id = await discord.say("hello", channel="@ann")
        assert await answered(discord, id) == "you said: hello"
    [(why,)] = rows(tmp_path, "SELECT error FROM letters WHERE state = 'dead'")
    assert "not there any more" in why


async def test_no_token_gets_into_a_log(
    discord: FakeDiscord, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with living(discord, tmp_path, SayingBot(), SayingBot()):
        await announced(discord)
        used = await discord.command("help")
        await discord.say("Comic, hello")
        await discord.until(lambda: discord.answers_to(used) and len(discord.shown()) >= 3)
        await discord.drop()
        await answered(discord, await discord.say("hello", channel="@ann"))
    log = "\n".join(r.getMessage() for r in caplog.records if r.name != "aiohttp.access")
    webhooks = [hook.token for hook in discord.webhooks.all.values()]
    for token in (discord.token, discord.interaction(used).token, *webhooks):
        assert token not in log
    assert webhooks


# --- set-up ---------------------------------------------------------------------------------------


async def test_the_probe_says_what_is_missing_and_what_to_do(discord: FakeDiscord) -> None:
    async def looked() -> list[tuple[Verdict, str]]:
        found = probe("discord", table(), discord.token, COMMANDS, connector=discord.connector)
        return [(finding.verdict, finding.text) async for finding in found]

    assert Verdict.PROBLEM not in [verdict for verdict, _ in await looked()]
    await discord.forbid_intent("MESSAGE_CONTENT")
    await discord.permit("SEND_MESSAGES", False, channel="general")
    await discord.permit("MANAGE_WEBHOOKS", False)
    texts = "\n".join(text for _, text in await looked())
    assert "Message Content Intent" in texts
    assert "#general" in texts
    assert "Manage Webhooks" in texts
    old, discord.token = discord.token, "another"
    [(verdict, text)] = [
        (finding.verdict, finding.text)
        async for finding in probe("discord", table(), old, COMMANDS, connector=discord.connector)
    ]
    assert verdict is Verdict.PROBLEM
    assert "token" in text
    assert old not in text


def test_the_guide_asks_for_what_the_adapter_uses() -> None:
    whole, little = guide(None, COMMANDS), guide(table(own_faces=False), COMMANDS)
    assert "permissions=309774617600" in whole
    assert "Manage Webhooks" in whole
    assert "Manage Webhooks" not in little
    assert "MESSAGE CONTENT INTENT" in whole
    assert whole.endswith('[adapters.discord]\nkind = "discord"\ntoken_file = "discord.token"\n')
