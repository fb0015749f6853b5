"""How people and bots come closer: counted in a real store, judged by time that the tests move,
told to a model behind a real server, and shown to the person."""

from __future__ import annotations

import sqlite3
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from house import SayingBot, home
from model_server import ModelServer
from platform_server import Platform, PlatformAdapter
from talk import ADA, BOB, HERE, ask, press, react, reply, settle, to_all

from botdaemon.app.feelings import make_briefings, make_character
from botdaemon.app.life import running
from botdaemon.config import parse
from botdaemon.errors import ConfigError
from botdaemon.feelings import Character, Mood, Stage, felt, mood_of, next_stage, stage_of
from botdaemon.governor import Governor, Rules
from botdaemon.store import database, open_store
from botdaemon.types import (
    Address,
    Call,
    Control,
    Cue,
    Identity,
    Message,
    Once,
    Posted,
    Relation,
    Room,
    Schedule,
    Turn,
    Why,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from botdaemon.store import Store

HOUR, DAY = 3600.0, 86_400.0
STAGES = (
    Stage(name="ice-breaker", prompt="You have just met."),
    Stage(name="friendly", prompt="You are friends.", messages=10, days=7),
    Stage(name="close", prompt="You are close.", messages=30, ratings=3),
)
FRIENDS = Character(stages=STAGES)
SHE = Relation(person=1, bot="bot", place="direct", met_at=1000.0)


def at(text: str, zone: str = "Europe/Berlin") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


class Time:
    """A clock that stands still until it is moved."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def as_it_is(relation: Relation, now: float) -> Relation:
    return relation


async def known(store: Store, who: Identity = ADA, address: Address = HERE) -> list[Relation]:
    """What somebody has with bots, directly in a place."""
    [said] = await store.recent_at(address, 1)
    found, _ = await store.relations_at(said.thread, address, who, as_it_is, direct=True)
    return found


# --- the whole road --------------------------------------------------------------------------

CONFIGURATION = """
[daemon]
[adapters.chat]
kind = "terminal"
bot = "ada"
[adapters.other]
kind = "terminal"
bot = "ada"
[models.far]
kind = "openai"
servers = ["{url}"]
model = "m"
context = 4096
[bots.ada]
kind = "text"
model = "far"
persona = "You are Ada."
history_messages = 4
[[bots.ada.stages]]
name = "ice-breaker"
prompt = "You have just met."
[[bots.ada.stages]]
name = "friendly"
messages = 10
prompt = "You are friends."
[[bots.ada.stages]]
name = "close"
messages = 30
prompt = "You are close."
[bots.ada.moods.touched]
on_words = ["thank you"]
prompt = "You are touched."
[limits]
merge_seconds = 0.0
answers_per_minute_person = 1000
answers_per_minute_channel = 1000
"""


class Chat:
    """Somebody who talks to the daemon on two platforms, and the model that hears of it."""

    def __init__(self, model: ModelServer, platforms: Sequence[Platform]) -> None:
        self.model = model
        self.platforms = platforms

    async def ask(self, text: str, *, on: int = 0, who: str = "ann", **more: Any) -> str:
        """Say something, and wait for the words that come next."""
        platform = self.platforms[on]
        before = len(platform.ever_shown)
        platform.say(text, who=who, **{"direct": True, "channel": f"of {who}", **more})
        await platform.until(lambda: len(platform.ever_shown) > before)
        return platform.ever_shown[-1].text

    async def told(self, text: str, **more: Any) -> str:
        """Say something; what the model was told before all that was said."""
        await self.ask(text, **more)
        return str(self.model.answers[-1]["messages"][0]["content"])

    async def heard(self, *, on: int, beyond: int) -> str:
        """What is said on a platform to somebody who says nothing."""
        platform = self.platforms[on]
        await platform.until(lambda: len(platform.ever_shown) > beyond)
        return platform.ever_shown[-1].text


class Outside:
    """What outlives a daemon: its model, and the platforms."""

    def __init__(self, directory: Path, model: ModelServer, *platforms: Platform) -> None:
        self._config = parse(CONFIGURATION.format(url=model.url), directory / "config.toml")
        self._chat = Chat(model, platforms)

    @asynccontextmanager
    async def living(self) -> AsyncIterator[Chat]:
        """A whole daemon, as it is configured."""
        one, two = self._chat.platforms
        adapters = [PlatformAdapter("chat", one.port), PlatformAdapter("other", two.port)]
        async with running(self._config, adapters=lambda store: adapters):
            yield self._chat


@pytest.fixture
async def outside(tmp_path: Path) -> AsyncIterator[Outside]:
    async with (
        ModelServer() as model,
        Platform().serving() as one,
        Platform().serving() as two,
    ):
        yield Outside(tmp_path, model, one, two)


async def test_the_31st_message_is_answered_in_the_close_stage_and_that_survives_a_restart(
    outside: Outside,
) -> None:
    async with outside.living() as chat:
        told = [await chat.told(f"number {number}") for number in range(1, 31)]
        shown = await chat.ask("/relationship")
        await chat.ask("/new")
        told.append(await chat.told("number 31"))
    async with outside.living() as chat:
        told.append(await chat.told("number 32"))
        elsewhere = await chat.told("hello", who="bob")

    assert told == [
        *["You are Ada.\n\nYou have just met."] * 10,
        *["You are Ada.\n\nYou are friends."] * 20,
        *["You are Ada.\n\nYou are close."] * 2,
    ]
    assert elsewhere == told[0]
    assert "close since" in shown
    assert "30 messages since" in shown


async def test_once_linked_it_is_the_same_persons_on_every_platform(outside: Outside) -> None:
    async with outside.living() as chat:
        for number in range(9):
            assert "just met" in await chat.told(f"number {number}")
        assert "just met" in await chat.told("a stranger's", on=1, who="annie")
        code = (await chat.ask("/link")).partition("Your code is ")[2].partition(".")[0]
        before = len(chat.platforms[0].ever_shown)
        shown = await chat.ask(f"/link {code.lower()}", on=1, who="annie")
        told = await chat.heard(on=0, beyond=before)
        assert "This is the code of ann (account ann on chat)." in shown
        assert "annie (account annie on other) has given your code." in told
        assert "Now say /link yes as ann" in await chat.ask("/link yes", on=1, who="annie")
        assert "just met" in await chat.told("not yet", on=1, who="annie")
        assert "You are one person now" in await chat.ask("/link yes")

        assert "You are friends." in await chat.told("hello again", on=1, who="annie")
        assert "12 messages since" in await chat.ask("/relationship")
        assert "12 messages since" in await chat.ask("/relationship", on=1, who="annie")


async def test_a_mood_that_words_bring_is_told_and_shown_and_lasts(outside: Outside) -> None:
    async with outside.living() as chat:
        assert "touched" not in await chat.told("hello")
        assert "You are touched." in await chat.told("oh, Thank you!")
        assert "You are touched." in await chat.told("and what now?")
        assert "touched" in await chat.ask("/relationship")
        assert "touched" not in await chat.told("hello", who="bob")


async def test_a_reset_begins_anew_and_says_with_whom(outside: Outside) -> None:
    async with outside.living() as chat:
        assert await chat.ask("/relationship reset") == "You and the bots here have not talked yet."
        for number in range(11):
            told = await chat.told(f"number {number}")
        assert "You are friends." in told
        await chat.told("hello", who="bob")
        shown = await chat.ask("/relationship reset")
        assert shown.startswith("You begin anew here with ada (11 messages)")
        assert "just met" in await chat.told("hello")
        assert "1 message since" in await chat.ask("/relationship", who="bob")
        assert "Say /relationship" in await chat.ask("/relationship now")


# --- what counts -----------------------------------------------------------------------------


async def test_what_is_tried_again_taken_back_or_begun_anew_counts_once(tmp_path: Path) -> None:
    async with open_store(tmp_path, clock=Time()) as store:
        await ask(store, "one", "1")
        thread = (await store.recent_at(HERE, 1))[0].thread
        again = await store.answer_again(thread)
        assert again is not None
        await reply(store, again.turn, thread, "uno")
        assert [it.messages for it in await known(store)] == [1]
        await store.undo(thread)
        await store.begin_anew(thread)
        await ask(store, "two", "2")
        assert [it.messages for it in await known(store)] == [2]


async def test_what_failed_counts_when_it_is_answered_after_all(tmp_path: Path) -> None:
    async with open_store(tmp_path, clock=Time()) as store:
        await ask(store, "one", "sorry", close="failed")
        assert await known(store) == []
        thread = (await store.recent_at(HERE, 1))[0].thread
        again = await store.answer_again(thread)
        assert again is not None
        await reply(store, again.turn, thread, "1")
        assert [it.messages for it in await known(store)] == [1]


async def test_good_ratings_count_up_and_bad_ones_down_each_persons_own(tmp_path: Path) -> None:
    time = Time(0.5)
    async with open_store(tmp_path, clock=time) as store:
        for number in range(3):
            await ask(store, f"question {number}", f"answer {number}")
        await ask(store, "what?", "that", BOB)
        for number in range(3):
            await press(store, f"answer {number}", Control.GOOD, ADA)
            await react(store, f"answer {number}", "\U0001f44d\U0001f3fd", ADA)  # no second one
        await press(store, "answer 0", Control.GOOD, BOB)
        await react(store, "answer 0", "\U0001f600", BOB)
        [ada], [bob] = await known(store), await known(store, BOB)
        assert (ada.ratings, ada.rated, bob.ratings) == (3, 1, 1)
        await press(store, "answer 1", Control.BAD, BOB)
        await press(store, "answer 0", Control.BAD, BOB)
        [bob] = await known(store, BOB)
        assert (bob.ratings, bob.rated) == (-2, -1)

        time.now = 1e6  # what was said before they began anew is of no account
        thread = (await store.recent_at(HERE, 1))[0].thread
        await store.reset_relations(thread, HERE, BOB, direct=True)
        await ask(store, "again", "and again", BOB)
        await react(store, "answer 2", "\U0001f44e", BOB)
        assert [it.ratings for it in await known(store, BOB)] == [0]


async def test_other_bots_and_those_who_are_not_answered_have_no_relation(tmp_path: Path) -> None:
    async with open_store(tmp_path, clock=Time()) as store:
        await ask(store, "beep", "boop", replace(ADA, is_bot=True))
        assert await known(store) == []


async def test_every_room_has_its_own_and_all_that_is_said_directly_is_one(tmp_path: Path) -> None:
    there = Address("chat", "aside")
    async with open_store(tmp_path, clock=Time()) as store:
        await settle(store)
        await exchange(store, "in the room", HERE)
        await exchange(store, "elsewhere", there)
        await exchange(store, "to the bot alone", Address("chat", "dm 1"), direct=True)
        await exchange(store, "and again", Address("chat", "dm 2"), direct=True)
    assert stored(tmp_path, "SELECT place, messages FROM relations ORDER BY place") == [
        ("channel chat:aside", 1),
        ("direct", 2),
        ("room 1", 1),
    ]


async def test_what_was_said_before_relations_were_kept_counts_as_well(tmp_path: Path) -> None:
    async with open_store(tmp_path, clock=Time()) as store:
        await settle(store)
        for place, direct in ((HERE, False), (Address("chat", "dm"), True), (HERE, False)):
            await exchange(store, "hello", place, direct=direct)
        await exchange(store, "hello", Address("chat", "aside"), who=BOB)
    counted = "SELECT person, bot, place, met_at, messages FROM relations ORDER BY person, place"
    along = stored(tmp_path, counted)
    folder = Path(database.__file__).parent / "migrations"
    [migration] = folder.glob("*_relations.sql")
    script = migration.read_text("utf-8")
    with closing(sqlite3.connect(tmp_path / "botdaemon.db")) as db, db:
        db.execute("DELETE FROM relations")
        db.execute(script[script.index("INSERT INTO relations") :].partition(";")[0])

    assert len(along) == 3
    assert stored(tmp_path, counted) == along


async def test_nothing_of_somebody_who_is_forgotten_stays(tmp_path: Path) -> None:
    async with open_store(tmp_path, clock=Time()) as store:
        await ask(store, "one", "1")
        await ask(store, "one", "1", BOB)
        await store.link_code(ADA, HERE)
        await store.give_link_code("wrong", ADA, HERE)
        await store.forget("Ada")
    assert stored(tmp_path, "SELECT count(*) FROM relations") == [(1,)]
    assert stored(tmp_path, "SELECT * FROM links UNION ALL SELECT * FROM links") == []
    assert stored(tmp_path, "SELECT * FROM link_tries") == []


async def exchange(
    store: Store, text: str, address: Address, *, who: Identity = ADA, direct: bool = False
) -> None:
    """Somebody says something to the bot, who answers."""
    key = str(await store.latest())
    said = Message(address=address, text=text, author=who, platform_id=key, sent_at=0.0)
    event = Posted(key=key, message=said, direct=direct)
    recorded = await store.record_posted(event, lambda *_: [Call("bot", Why.DIRECT)], to_all)
    [obligation] = recorded.obligations
    await reply(store, obligation.turn, recorded.thread, f"about {text}")


def stored(directory: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{directory}/botdaemon.db?mode=ro", uri=True)) as db:
        return db.execute(sql).fetchall()


# --- stages ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("has", "now", "stage", "following"),
    [
        ({}, 1000.0, "ice-breaker", "friendly"),
        ({"messages": 9}, 1000.0 + 6 * DAY, "ice-breaker", "friendly"),
        ({"messages": 10}, 1000.0, "friendly", "close"),
        ({}, 1000.0 + 7 * DAY, "friendly", "close"),
        ({"ratings": 3}, 1000.0, "close", None),
        ({"messages": 30, "ratings": -3}, 1000.0, "close", None),
    ],
)
def test_a_stage_begins_with_any_of_its_thresholds(
    has: dict[str, Any], now: float, stage: str, following: str | None
) -> None:
    it = replace(SHE, **has)
    reached, after = stage_of(FRIENDS, it, now), next_stage(FRIENDS, it, now)

    assert reached is not None
    assert (reached.name, after and after.name) == (stage, following)


def test_since_when_a_stage_lasts_is_noted_once() -> None:
    first = felt(FRIENDS, SHE, 5000.0)
    assert (first.stage, first.stage_at) == ("ice-breaker", 1000.0)
    later = felt(FRIENDS, replace(first, messages=10), 6000.0)
    assert (later.stage, later.stage_at) == ("friendly", 6000.0)
    assert felt(FRIENDS, later, 7000.0) == later


# --- moods -----------------------------------------------------------------------------------

BERLIN = "Europe/Berlin"
DAILY = Character(
    timezone=BERLIN,
    moods=(Mood(name="grumpy", chance=0.2), Mood(name="cheerful", chance=0.5)),
)
MORNING = at("2026-06-10 00:00")


def mood(character: Character, relation: Relation, now: float) -> str:
    found = mood_of(character, relation, now)
    return found.name if found else ""


def test_a_mood_changes_from_day_to_day_by_chance_and_never_within_a_day() -> None:
    days = [
        {mood(DAILY, SHE, MORNING + (24 * day + hour) * HOUR) for hour in range(24)}
        for day in range(130)
    ]
    drawn = [one.pop() for one in days]

    assert [one for one in days if one] == []  # there was one a day
    shares = {name: drawn.count(name) / 130 for name in set(drawn)}
    assert shares == {
        "grumpy": pytest.approx(0.2, abs=0.1),
        "cheerful": pytest.approx(0.5, abs=0.1),
        "": pytest.approx(0.3, abs=0.1),
    }


async def test_a_mood_does_not_change_within_its_day_by_a_restart(tmp_path: Path) -> None:
    text = CONFIGURATION.format(url="http://127.0.0.1:9/v1").partition("[bots.ada.moods")[0]
    for number in range(5):
        text += f'[bots.ada.moods.m{number}]\nchance = 0.2\nprompt = "mood {number}"\n'
    config = parse(text, tmp_path / "config.toml")
    time, told = Time(at("2026-06-10 08:00", "UTC")), []
    for _ in range(6):
        character = make_character(config, config.bots["ada"])
        async with open_store(tmp_path / "data", clock=time) as store:
            [briefing] = make_briefings(character, store)
            notes = await briefing(await begun(store))
        told.append([note.text for note in notes if note.topic == "mood"])
        time.now += 4 * HOUR

    assert told[0] == told[1] == told[2] == told[3]  # until 20:00
    assert len(told[0]) == 1
    assert len({one for [one] in told}) > 1  # the next day


async def begun(store: Store, who: Identity = ADA, text: str = "hello") -> Turn:
    """A turn for what somebody says directly."""
    key = str(await store.latest())
    said = Message(address=HERE, text=text, author=who, platform_id=key, sent_at=0.0)
    event = Posted(key=key, message=said, direct=True)
    recorded = await store.record_posted(event, lambda *_: [Call("bot", Why.DIRECT)], to_all)
    turn = await store.claim_turn(recorded.obligations[0].turn, 10)
    assert turn is not None
    return turn


RULED = Character(
    timezone=BERLIN,
    moods=(
        Mood(name="touched", stirred_by=lambda text: "thank" in text, seconds=2 * HOUR),
        Mood(name="glad", after_silence=3 * DAY),
        Mood(name="hurt", on_rating=-1, seconds=30 * HOUR),
        Mood(name="plain", chance=1.0),
    ),
)
EVENING = at("2026-06-10 21:00")


def test_a_mood_after_silence_lasts_until_midnight_by_the_clock_on_the_wall() -> None:
    it = replace(SHE, last_at=EVENING - 3 * DAY)
    assert mood(RULED, felt(RULED, it, EVENING), EVENING) == "plain"  # nothing was said
    it = felt(RULED, it, EVENING, talking=True)
    assert (it.mood, it.mood_until) == ("glad", at("2026-06-11 00:00"))
    it = felt(RULED, replace(it, last_at=EVENING), EVENING + HOUR, talking=True)
    assert mood(RULED, it, EVENING + HOUR) == "glad"
    assert mood(RULED, it, EVENING + 4 * HOUR) == "plain"


def test_a_mood_that_a_rating_brings_counts_from_the_rating() -> None:
    it = felt(RULED, replace(SHE, rated=-1, rated_at=EVENING), EVENING + HOUR)
    assert (it.mood, it.mood_until) == ("hurt", EVENING + 30 * HOUR)
    assert felt(RULED, it, EVENING + 2 * HOUR) == it
    late = replace(SHE, rated=-1, rated_at=EVENING)
    assert felt(RULED, late, EVENING + 31 * HOUR) == late


def test_words_count_for_more_than_silence_and_what_comes_last_lasts() -> None:
    hurt = felt(RULED, replace(SHE, rated=-1, rated_at=EVENING, last_at=1.0), EVENING + 1)
    it = felt(RULED, hurt, EVENING + 2, talking=True, words=RULED.moods[0])
    assert (it.mood, it.mood_until) == ("touched", EVENING + 2 + 2 * HOUR)
    assert felt(RULED, it, EVENING + 3) == it  # the rating was before


async def test_who_has_a_bot_write_to_a_room_does_not_have_it_speak_as_to_themselves(
    tmp_path: Path,
) -> None:
    time = Time()
    room = Room(id=0, name="den", bots=("bot",), configured=True)
    character = replace(FRIENDS, moods=(Mood(name="plain", prompt="You are calm.", chance=1.0),))
    async with open_store(tmp_path, clock=time) as store:
        await store.settle_rooms({"den": room}, {HERE: "den"}, mirrors=(), bots=["bot"])
        wanted = Schedule(bot="bot", when=Once(2000.0), cue=Cue(prompt="hi"), address=HERE)
        made = await store.add_schedule(wanted, ADA, 10)
        time.now = 2000.0
        decided = await store.decide_slot(made.id, Governor(Rules()), ["bot"], [])
        assert decided is not None
        assert decided.obligation is not None
        turn = await store.claim_turn(decided.obligation.turn, 10)
        assert turn is not None
        [briefing] = make_briefings(character, store)
        notes = await briefing(turn)

    assert [(note.topic, note.text) for note in notes] == [("mood", "You are calm.")]
    assert stored(tmp_path, "SELECT * FROM relations") == []


# --- what is shown ---------------------------------------------------------------------------


async def test_the_relationship_is_shown_with_what_comes_next(tmp_path: Path) -> None:
    time = Time(at("2026-06-10 12:00"))
    character = replace(FRIENDS, timezone=BERLIN, moods=(Mood(name="calm", chance=1.0),))
    async with Platform().serving() as platform:
        adapter = PlatformAdapter("chat", platform.port)
        async with home(
            tmp_path, {"bot": SayingBot()}, [adapter], clock=time, characters={"bot": character}
        ):

            async def hear(text: str) -> str:
                before = len(platform.ever_shown)
                platform.say(text, direct=True)
                await platform.until(lambda: len(platform.ever_shown) > before)
                return platform.ever_shown[-1].text

            nothing = await hear("/relationship")
            await hear("hello")
            await platform.until(lambda: "you said: hello" in platform.ever_shown[-1].text)
            await hear("/timezone Asia/Tokyo")
            time.now = at("2026-06-10 23:00")
            shown = await hear("/relationship")
            time.now += 8 * DAY
            later = await hear("/relationship")

    assert nothing == "You and the bots here have not talked yet."
    assert shown.splitlines()[2].strip("• ") == (
        "bot: ice-breaker since 10 Jun 2026. 1 message since 10 Jun 2026."
        " Next: friendly, after 10 messages or 7 days after you met. Today it is calm."
    )
    assert "friendly since 19 Jun 2026" in later
    assert "Next: close, after 30 messages or with 3 good ratings more than bad ones." in later


# --- the tables ------------------------------------------------------------------------------


BASE = CONFIGURATION.format(url="http://127.0.0.1:9/v1").partition("[[bots")[0]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[[bots.ada.stages]]\nname = "a"\nmessages = 1', '"a" is the first stage, which needs no'),
        (
            '[[bots.ada.stages]]\nname = "a"\n[[bots.ada.stages]]\nname = "b"',
            '"b" never begins: say when by messages, days or ratings',
        ),
        (
            '[[bots.ada.stages]]\nname = "a"\n[[bots.ada.stages]]\nname = "A"\ndays = 1.0',
            'there are two stages "A"',
        ),
        ('[bots.ada.moods.sad]\nprompt = "x"', "it never comes: say when by chance"),
        (
            "[bots.ada.moods.sad]\nchance = 0.7\n[bots.ada.moods.glad]\nchance = 0.4",
            "the chances are 1.10 together",
        ),
        ('[bots.ada.moods.sad]\non_rating = "fine"', "on_rating"),
        ('[bots.ada.moods.sad]\non_words = ["!"]', "expected a word"),
    ],
)
def test_a_stage_or_mood_that_cannot_be_is_refused_with_the_reason(
    text: str, problem: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(BASE + text, tmp_path / "config.toml")

    assert problem in str(refused.value)


def test_chances_that_make_up_a_whole_are_taken(tmp_path: Path) -> None:
    moods = "\n".join(
        f"[bots.ada.moods.m{number}]\nchance = {chance}"
        for number, chance in enumerate((0.7, 0.2, 0.1))
    )
    config = parse(BASE + moods, tmp_path / "config.toml")
    character = make_character(config, config.bots["ada"])

    assert [one.chance for one in character.moods] == [0.7, 0.2, 0.1]
