"""Bots that write first: schedules over a real store, a real dispatcher and a platform behind real
sockets. The time is a number that the tests move."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from house import CueBot, DrawingBot
from platform_server import Platform, daemon
from schedule_world import BERLIN, NOON, at, world
from test_bots import ScriptedEngine, joe, said

from botdaemon.bots.canned import CannedBot
from botdaemon.governor import Governor, Rules
from botdaemon.timetable import quiet_hours
from botdaemon.types import (
    Address,
    Cron,
    Cue,
    Decision,
    Every,
    Identity,
    Kind,
    Once,
    Reason,
    Room,
    Schedule,
    Silence,
    Turn,
    Why,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


GENERAL = Address("chat", "general")
HOUR, DAY = 3600.0, 86_400.0
ADA = Identity(adapter="chat", account="ada", name="ada")


def schedule(when: Any, **more: Any) -> Schedule:
    return Schedule(
        **{
            "name": "one",
            "bot": "bot",
            "when": when,
            "cue": Cue(prompt="the weather"),
            "address": GENERAL,
            **more,
        }
    )


def rows(directory: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{directory}/botdaemon.db?mode=ro", uri=True)) as db:
        return db.execute(sql).fetchall()


# --- the road --------------------------------------------------------------------------------


async def test_a_bot_writes_first_and_it_is_its_own_turn_never_a_persons_message(
    tmp_path: Path,
) -> None:
    bot = CueBot()
    async with world(tmp_path, schedule(Once(NOON + HOUR)), bots={"bot": bot}) as it:
        await it.say("good morning", who="ada")
        [shown] = await it.until(NOON + HOUR)
        history = await it.store.recent_at(GENERAL, 10)

    assert (shown.speaker, shown.text, shown.reply_to) == ("bot", "about the weather", "")
    [turn] = bot.turns
    assert (turn.why, turn.asked_by, turn.fresh) == (Why.SCHEDULE, None, 0)
    assert turn.cue == Cue(prompt="the weather")
    assert [message.text for message in turn.history] == ["good morning"]
    assert [(message.speaker, message.kind) for message in history] == [
        ("ada", Kind.SAID),
        ("bot", Kind.SAID),
    ]


async def test_a_schedule_writes_in_a_room_in_all_of_its_channels(tmp_path: Path) -> None:
    room = Room(id=0, name="den", bots=("bot",), configured=True)
    channels = {Address("chat", name): "den" for name in ("here", "there")}
    one = schedule(Once(NOON + 60), room="den", address=None)
    async with world(tmp_path, one, rooms={"den": room}, channels=channels, mirrors=["web"]) as it:
        shown = await it.until(NOON + HOUR)
        [message] = await it.store.messages("den")

    assert sorted(one.channel for one in shown) == ["here", "there"]
    assert (message.bot, message.text) == ("bot", "about the weather")


async def test_a_schedule_for_a_person_writes_where_they_last_wrote_directly(
    tmp_path: Path,
) -> None:
    one = schedule(Every(DAY), account="chat:ada", address=None)
    async with world(tmp_path, one) as it:
        assert await it.until(NOON + DAY) == []
        await it.ask("hello", channel="hers")
        [shown] = await it.until(NOON + 2 * DAY)

    assert shown.channel == "hers"
    assert reasons_in(tmp_path) == ["nowhere", "speaks"]


def reasons_in(directory: Path) -> list[str]:
    return [reason for (reason,) in rows(directory, "SELECT reason FROM decisions ORDER BY slot")]


async def test_what_is_to_be_said_is_said_as_it_stands_without_a_model(tmp_path: Path) -> None:
    bot = CueBot()
    one = schedule(Once(NOON + 60), cue=Cue(say="**Tea!**"))
    async with world(tmp_path, one, bots={"bot": bot}) as it:
        [shown] = await it.until(NOON + HOUR)

    assert (shown.text, shown.controls, bot.turns) == ("Tea!", [], [])


async def test_a_text_bot_is_told_what_to_write_about_after_all_that_was_said() -> None:
    engine = ScriptedEngine(["Lovely day."])
    turn = Turn(
        id=1,
        thread=1,
        bot="JOE",
        why=Why.SCHEDULE,
        asked_by=None,
        history=(said("Ann", "hi"), said("JOE", "hello")),
        fresh=0,
        cue=Cue(prompt="Say something about the weather."),
    )
    *_, draft = [draft async for draft in joe(engine).reply(turn)]

    assert draft.text == "Lovely day."
    assert [(line.role, line.name, line.text) for line in engine.requests[0].lines] == [
        ("system", "", "You are Joe."),
        ("user", "Ann", "hi"),
        ("assistant", "JOE", "hello"),
        ("user", "", "(Say something about the weather.)"),
    ]


async def test_a_text_bot_may_have_nothing_to_say_first_and_need_not_apologise() -> None:
    turn = Turn(
        id=1, thread=1, bot="JOE", why=Why.SCHEDULE, asked_by=None, history=(), fresh=0,
        cue=Cue(prompt="Say something."),
    )  # fmt: skip
    assert [draft async for draft in joe(ScriptedEngine()).reply(turn)] == []


async def test_the_instruction_fits_even_where_no_message_does() -> None:
    engine = ScriptedEngine(["Hm."], card=replace(ScriptedEngine().card, context=180))
    turn = Turn(
        id=1, thread=1, bot="JOE", why=Why.SCHEDULE, asked_by=None, fresh=0,
        history=(said("Ann", "x" * 90),), cue=Cue(prompt="y" * 60),
    )  # fmt: skip
    *_, draft = [draft async for draft in joe(engine, persona="").reply(turn)]

    assert draft.text == "Hm."
    assert "y" * 60 in engine.requests[0].lines[-1].text
    assert await engine.count(engine.requests[0]) <= 180 - 90


async def test_a_painter_draws_and_a_canned_bot_picks_what_fits(tmp_path: Path) -> None:
    lines = tmp_path / "lines.jsonl"
    lines.write_text(
        '{"text": "Rain again.", "to": "weather"}\n{"text": "Goal!", "to": "football"}\n'
    )
    joe = CannedBot("joe", lines, 1e9, 0.0)
    painter = DrawingBot()
    async with world(
        tmp_path,
        schedule(Once(NOON + 60), name="a", bot="joe"),
        schedule(Once(NOON + HOUR), name="b", bot="painter", cue=Cue(prompt="a cat --steps 4")),
        bots={"joe": joe, "painter": painter},
        rules=Rules(pause=0.0),
    ) as it:
        first, *_, second = await it.until(NOON + DAY)

    assert (first.speaker, first.text) == ("joe", "Rain again.")
    assert (second.speaker, second.file) == ("painter", "1 a cat --steps 4.png")


async def test_a_bot_that_fails_at_writing_first_says_nothing(tmp_path: Path) -> None:
    class Broken:
        async def reply(self, turn: Turn) -> AsyncIterator[Any]:
            raise ValueError("broken")
            yield

    async with world(tmp_path, schedule(Once(NOON + 60)), bots={"bot": Broken()}) as it:  # type: ignore[dict-item]
        assert await it.until(NOON + HOUR) == []
    assert rows(tmp_path, "SELECT state FROM turns") == [("failed",)]


async def test_what_was_written_first_can_be_tried_again(tmp_path: Path) -> None:
    bot = CueBot()
    async with world(tmp_path, schedule(Once(NOON + 60)), bots={"bot": bot}) as it:
        await it.until(NOON + HOUR)
        await it.say("/retry", direct=True)
        await it.platform.until(lambda: len(it.platform.ever_shown) == 2)

    assert [turn.cue for turn in bot.turns] == [Cue(prompt="the weather")] * 2
    assert rows(tmp_path, "SELECT slot IS NULL FROM turns ORDER BY id") == [(0,), (1,)]


async def test_what_a_person_says_never_joins_a_turn_in_which_a_bot_writes_first(
    tmp_path: Path,
) -> None:
    bot = CueBot()
    async with world(tmp_path, bots={"bot": bot}) as it:
        await it.ask("hello", who="ada")
        mine = schedule(Once(NOON + 60), name="", asked=True)
        made = await it.store.add_schedule(mine, ADA, 10)
        it.time.now = NOON + 60
        decided = await it.store.decide_slot(made.id, Governor(Rules()), ["bot"], [])
        assert decided is not None
        assert decided.obligation is not None
        answer = await it.ask("bot, are you there?", who="ada")

    assert answer == "you said: bot, are you there?"
    assert bot.turns[-1].cue is None


# --- a slot, once ----------------------------------------------------------------------------


async def test_a_slot_never_fires_twice_whoever_asks_and_whatever_the_clock_says(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, schedule(Every(HOUR)), rules=Rules(settled=0.0, pause=0.0)) as it:
        it.time.now = NOON + HOUR
        await asyncio.gather(*(it.clock.look() for _ in range(5)))
        it.time.now = NOON + HOUR - 1  # the clock is put back
        await it.clock.look()
        it.time.now = NOON + HOUR
        await it.clock.look()
        await it.settled()
        shown = list(it.platform.ever_shown)

    assert len(shown) == 1
    assert rows(tmp_path, "SELECT count(*) FROM turns") == [(1,)]


async def test_the_store_refuses_the_second_turn_of_a_slot(tmp_path: Path) -> None:
    async with world(tmp_path, schedule(Once(NOON + 60))) as it:
        await it.until(NOON + HOUR)
    with closing(sqlite3.connect(tmp_path / "botdaemon.db")) as db:
        # As if the note of what comes next had been lost, and the decision with it.
        db.execute("DELETE FROM decisions")
        with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
            db.execute(
                "INSERT INTO turns (thread, bot, why, created_at, schedule, slot)"
                " SELECT thread, bot, why, created_at, schedule, slot FROM turns"
            )


STEPS = [
    "before:decide_slot",
    "after:decide_slot",
    "before:claim_turn",
    "after:claim_turn",
    "before:say",
    "after:say",
    "after:claim_letter",
    "before:send",
    "after:send",
]


@pytest.mark.parametrize("step", STEPS)
async def test_after_kill_9_a_slot_is_neither_lost_nor_used_twice(
    step: str, tmp_path: Path
) -> None:
    wanted = {f"about number {number}" for number in range(3)}
    async with Platform().serving() as platform:
        async with daemon("schedule_daemon.py", platform.port, tmp_path, step, NOON) as process:
            assert await process.wait() == -signal.SIGKILL
        await platform.alone()
        async with daemon("schedule_daemon.py", platform.port, tmp_path, "none", NOON):
            await platform.until(lambda: wanted <= {one.text for one in platform.shown.values()})

    assert sorted(one.text for one in platform.shown.values()) == sorted(wanted)
    assert rows(tmp_path, "SELECT reason, until FROM decisions") == [("speaks", 0.0)] * 3
    assert rows(tmp_path, "SELECT count(*) FROM messages") == [(3,)]
    assert rows(tmp_path, "PRAGMA foreign_key_check") == []


async def test_a_schedule_survives_a_restart_with_its_next_slot(tmp_path: Path) -> None:
    one = schedule(Every(DAY))
    async with world(tmp_path, one):
        pass
    async with world(tmp_path, one, start=NOON + 0.5 * DAY) as it:
        due = await it.store.due_in()
        made = await it.store.schedules_at(0, GENERAL, ADA, direct=False)

    assert due == 0.5 * DAY
    assert [listed.schedule.slot for listed in made] == [NOON + DAY]


async def test_a_schedule_follows_the_configuration(tmp_path: Path) -> None:
    async with world(tmp_path, schedule(Every(DAY))) as it:
        await it.store.settle_schedules([schedule(Every(HOUR))])
        assert await it.store.due_in() == HOUR
        await it.store.settle_schedules([])
        assert await it.store.due_in() is None
        it.time.now = NOON + 9 * DAY
        await it.store.settle_schedules([schedule(Every(HOUR))])
        assert await it.store.due_in() == HOUR  # it begins anew, and makes up for nothing


@pytest.mark.parametrize(
    ("missed", "decided"),
    [("skip", ["missed", "speaks"]), ("once", ["speaks", "speaks"])],
)
async def test_what_was_missed_while_down_is_left_out_or_made_up_for_once(
    missed: Any, decided: list[str], tmp_path: Path
) -> None:
    one = schedule(Cron("0 9 * * *", "Europe/Berlin"), missed=missed)
    async with world(tmp_path, one):
        pass
    down_for_days = at("2026-06-14 20:00")
    async with world(tmp_path, one, start=down_for_days, rules=Rules(pause=0.0)) as it:
        caught_up = await it.until(down_for_days + HOUR)
        await it.until(at("2026-06-15 12:00"))

    assert len(caught_up) == (1 if missed == "once" else 0)
    assert reasons_in(tmp_path) == decided


@pytest.mark.parametrize(
    ("missed", "came", "decided"), [("once", "07:00", ["speaks"]), ("skip", None, ["missed"])]
)
async def test_what_a_killed_daemon_did_not_get_to_is_not_said_at_night(
    missed: Any, came: str | None, decided: list[str], tmp_path: Path
) -> None:
    rules = Rules(timezone="Europe/Berlin", quiet_hours=quiet_hours("22:00-07:00"))
    one = schedule(Once(NOON + 60), missed=missed)
    async with world(tmp_path, one, rules=rules) as it:
        it.time.now = NOON + 60  # decided, and then it is killed
        [id] = await it.store.due_schedules()
        assert await it.store.decide_slot(id, Governor(rules), ["bot"], []) is not None
    async with world(tmp_path, one, rules=rules, start=at("2026-06-10 23:30")) as it:
        await it.until(at("2026-06-11 20:00"))
        written = [
            f"{datetime.fromtimestamp(message.sent_at, ZoneInfo('Europe/Berlin')):%H:%M}"
            for message in await it.store.recent_at(GENERAL, 10)
        ]

    assert written == ([came] if came else [])
    assert reasons_in(tmp_path) == decided


async def test_what_a_killed_daemon_was_about_to_say_is_said_when_it_is_back_at_once(
    tmp_path: Path,
) -> None:
    one = schedule(Every(HOUR))
    async with world(tmp_path, one) as it:
        it.time.now = NOON + HOUR
        [id] = await it.store.due_schedules()
        assert await it.store.decide_slot(id, Governor(BERLIN), ["bot"], []) is not None
    async with world(tmp_path, one, start=NOON + HOUR + 20) as it:
        await it.platform.until(lambda: it.platform.ever_shown)
        assert len(await it.until(NOON + 1.5 * HOUR)) == 0

    assert reasons_in(tmp_path) == ["speaks"]


# --- silence ---------------------------------------------------------------------------------


async def test_a_break_in_a_thread_is_written_into_once_and_every_break_anew(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, schedule(Silence(3 * HOUR)), rules=Rules(most_a_day=99)) as it:
        assert await it.until(NOON + DAY) == []  # nobody has ever said anything
        await it.say("hello")
        spoke = it.time.now
        assert await it.until(spoke + 2 * HOUR) == []
        await it.say("still here")
        assert await it.until(spoke + 4.9 * HOUR) == []
        [shown] = await it.until(spoke + 5 * HOUR)
        assert await it.until(spoke + 3 * DAY) == []
        await it.say("back again")
        [again] = await it.until(spoke + 4 * DAY)

    assert (shown.text, again.text) == ("about the weather",) * 2


async def test_a_silence_from_before_there_was_the_schedule_does_not_count(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        await it.say("long ago")
        it.time.now += 9 * DAY
        await it.store.settle_schedules([schedule(Silence(HOUR))])
        assert await it.until(it.time.now + 6 * HOUR) == []


# --- the governor over the store -------------------------------------------------------------


@pytest.mark.parametrize("night", ["2026-03-28", "2026-10-24"])
async def test_quiet_hours_hold_across_a_daylight_saving_change(night: str, tmp_path: Path) -> None:
    rules = Rules(
        timezone="Europe/Berlin", quiet_hours=quiet_hours("22:00-07:00"),
        most_unanswered=100, pause=0.0, most_a_day=100,
    )  # fmt: skip
    start = at(f"{night} 20:00")
    async with world(tmp_path, schedule(Every(1800.0)), start=start, rules=rules) as it:
        await it.until(start + 14 * HOUR)
        written = [
            datetime.fromtimestamp(message.sent_at, ZoneInfo("Europe/Berlin"))
            for message in await it.store.recent_at(GENERAL, 100)
        ]

    assert [f"{one:%H:%M}" for one in written[:4]] == ["20:30", "21:00", "21:30", "07:00"]
    assert all(7 <= one.hour < 22 for one in written)


async def test_nobody_is_written_to_a_third_time_before_they_say_something(tmp_path: Path) -> None:
    rules = Rules(most_unanswered=2, pause=HOUR)
    async with world(tmp_path, schedule(Every(HOUR)), rules=rules) as it:
        assert len(await it.until(NOON + 12 * HOUR)) == 2
        await it.say("oh, hello")
        assert len(await it.until(NOON + 14 * HOUR)) == 2
        reasons = await it.reasons()

    assert reasons == [
        *[Reason.SPEAKS] * 2,
        *[Reason.UNANSWERED] * 10,
        *[Reason.SPEAKS] * 2,
    ]


async def test_a_room_is_written_to_so_often_a_day_by_all_bots_together(tmp_path: Path) -> None:
    rules = Rules(timezone="Europe/Berlin", most_unanswered=99, pause=0.0, most_a_day=3)
    several = [schedule(Every(2 * HOUR), name=f"s{number}", jitter=600.0) for number in range(2)]
    async with world(tmp_path, *several, rules=rules) as it:
        today = await it.until(at("2026-06-11 00:00") - 1)
        tomorrow = await it.until(at("2026-06-12 00:00") - 1)
        reasons = await it.reasons()

    assert (len(today), len(tomorrow)) == (3, 3)
    assert Reason.BUDGET in reasons


async def test_a_bot_waits_for_the_end_of_a_conversation_or_leaves_it_out(tmp_path: Path) -> None:
    patient = schedule(Once(NOON + 60), name="patient", missed="once")
    busy = schedule(Once(NOON + 60), name="busy", missed="skip")
    async with world(tmp_path, patient, busy, rules=Rules(settled=300.0)) as it:
        await it.say("are you watching the match?", who="ada")
        assert await it.until(NOON + 299) == []
        [shown] = await it.until(NOON + 300)
        decisions = {one.schedule: one for one in await it.store.decisions()}

    assert shown.text == "about the weather"
    assert sorted(one.ruling.reason for one in decisions.values()) == ["conversation", "speaks"]


async def test_a_bot_that_is_no_more_writes_nothing(tmp_path: Path) -> None:
    async with world(tmp_path, schedule(Every(HOUR), bot="gone")) as it:
        assert await it.until(NOON + 2 * HOUR) == []
        assert await it.reasons() == [Reason.GONE, Reason.GONE]


# --- what people arrange ---------------------------------------------------------------------


async def test_a_reminder_comes_when_it_was_asked_for_even_in_a_conversation(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as it:
        assert await it.ask("/timezone Europe/Berlin") == (
            "Your time zone is Europe/Berlin, where it is Wed 10 Jun 2026, 12:00 now."
        )
        told = await it.ask("/remind in 20 minutes stir the soup")
        it.time.now += 1190
        await it.ask("what is for lunch?")
        [shown] = await it.until(NOON + 2 * HOUR)

    assert told.startswith("I will remind you on Wed 10 Jun 2026, 12:20 (Europe/Berlin).")
    assert shown.text == "stir the soup"


async def test_a_reminder_among_others_says_whom_it_is_for(tmp_path: Path) -> None:
    async with world(tmp_path, free={"chat": frozenset({"general"})}) as it:
        await it.say("/remind in 1 h tea", who="ada")
        await it.platform.until(lambda: it.platform.ever_shown)
        [shown] = await it.until(NOON + 2 * HOUR)

    assert shown.text == "ada: tea"


async def test_what_people_arrange_is_in_their_own_time_zone(tmp_path: Path) -> None:
    async with world(tmp_path, rules=Rules(most_a_day=99)) as it:
        await it.ask("/timezone Asia/Tokyo")
        told = await it.ask("/every day 9:00 the news of the day")
        [shown] = await it.until(at("2026-06-11 09:00", "Asia/Tokyo"))

    assert "next on Thu 11 Jun 2026, 09:00" in told
    assert shown.text == "about the news of the day"


async def test_every_takes_a_bot_by_name_and_words_in_quotes(tmp_path: Path) -> None:
    async with world(tmp_path, bots={"cat": CueBot()}) as it:
        told = await it.ask('/every 2 hours @cat: "Meow!"')
        refused = await it.ask("/every 2 hours @dog bark")
        [shown] = await it.until(NOON + 2 * HOUR)

    assert told.startswith("cat will write every 2 h, next on ")
    assert refused == 'There is no bot "dog" here (there are: bot, cat)'
    assert (shown.speaker, shown.text) == ("cat", "Meow!")


async def test_one_person_may_have_so_many_and_ends_only_their_own(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        for number in range(10):
            await it.ask(f"/remind in {number + 1} hours number {number}", channel="hers")
        full = await it.ask("/remind in 1 day one too many", channel="hers")
        listed = await it.ask("/schedules", channel="hers")
        others = await it.ask("/schedules", channel="his", who="bob")
        await it.ask("/schedules delete 1", channel="hers")
        again = await it.ask("/remind in 1 day now there is room", channel="hers")
        await it.ask("/schedules delete 99", channel="hers")
        left = [one.text for one in await it.until(NOON + 12 * HOUR)]

    assert full.startswith("You have 10 of these already")
    assert listed.count("number ") == 10
    assert others == "Nothing is arranged here."
    assert again.startswith("I will remind you")
    assert left == [f"number {number}" for number in range(1, 10)]


async def test_nobody_ends_what_somebody_else_arranged_but_an_admin(tmp_path: Path) -> None:
    from botdaemon.config import AccessConfig

    access = {"chat": AccessConfig(direct="open", admins=("root",))}
    async with world(tmp_path, schedule(Every(DAY)), access=access) as it:
        await it.ask("/every 2 hours the score", who="ada")
        refused = await it.ask("/schedules delete 2", who="bob")
        configured = await it.ask("/schedules delete 1", who="root")
        ended = await it.ask("/schedules delete 2", who="root")

    assert refused == "You have no schedule 2. /schedules lists what there is."
    assert configured == '"one" is in the configuration; it ends when it is taken out there.'
    assert ended == "Schedule 2 is over."


async def test_a_reminder_made_in_private_is_never_listed_among_others(tmp_path: Path) -> None:
    async with world(tmp_path, free={"chat": frozenset({"general"})}) as it:
        await it.ask("/remind in 1 h the surprise party", channel="private")
        await it.say("/schedules")
        await it.platform.until(lambda: len(it.platform.ever_shown) == 2)

    assert it.platform.ever_shown[-1].text == "Nothing is arranged here."


async def test_quiet_keeps_everything_back_until_it_is_over_and_reminders_come_then(
    tmp_path: Path,
) -> None:
    one = schedule(Every(HOUR), account="chat:ada", address=None)
    async with world(tmp_path, one) as it:
        await it.ask("hello")
        told = await it.ask("/quiet 3")
        await it.ask("/remind in 1 hour tea")
        assert await it.until(NOON + 3 * HOUR - 1) == []
        came = [one.text for one in await it.until(NOON + 3 * HOUR + 60)]
        state = await it.ask("/schedules")

    assert told.startswith("Nobody writes first here until Wed 10 Jun 2026, 13:00.")  # in UTC
    assert "tea" in came
    assert "Nobody writes first" not in state


async def test_quiet_hours_of_ones_own_hold_in_the_direct_channel_only(tmp_path: Path) -> None:
    every = (
        schedule(Every(HOUR), name="direct", account="chat:ada", address=None),
        schedule(Every(HOUR), name="room", address=Address("chat", "public")),
    )
    rules = Rules(most_unanswered=99, pause=0.0, most_a_day=99)
    async with world(tmp_path, *every, rules=rules) as it:
        await it.ask("/timezone Europe/Berlin", channel="hers")
        await it.ask("hello", channel="hers")
        told = await it.ask("/quiet 13:00-18:00", channel="hers")
        shown = await it.until(NOON + 7 * HOUR)
        lifted = await it.ask("/quiet off", channel="hers")

    assert told.startswith("Nobody writes first here every day 13:00-18:00 (Europe/Berlin).")
    assert [one.channel for one in shown].count("public") == 7
    assert [one.channel for one in shown].count("hers") == 2  # at 18:00 and at 19:00
    assert lifted.startswith("Bots may write first here again")


async def test_schedules_says_what_became_of_the_last_slot(tmp_path: Path) -> None:
    async with world(tmp_path, schedule(Every(HOUR)), rules=Rules(most_unanswered=1)) as it:
        await it.until(NOON + 3 * HOUR)
        listed = await it.ask("/schedules")

    assert "one bot every 1 h, next Wed 10 Jun 2026, 14:00: the weather" in listed.replace("`", "")
    assert "the last one: held back, nobody answered the ones before" in listed


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ("/remind", "Say when and of what"),
        ("/every sometimes x", "Say how often and what"),
        ("/every 1 minute x", "Not more often than every 30 min"),
        ("/timezone Berlinn", 'did you mean "Europe/Berlin"?'),
        ("/timezone", "You have not named your time zone, so I take UTC"),
        ("/quiet please", "Say for how many hours"),
        ("/schedules 3", "Say /schedules, or /schedules delete NUMBER"),
    ],
)
async def test_an_order_that_cannot_be_is_answered_with_what_to_do(
    order: str, words: str, tmp_path: Path
) -> None:
    async with world(tmp_path) as it:
        assert words in (await it.ask(order)).replace("`", "")


async def test_what_a_forgotten_person_arranged_is_gone(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        await it.ask("/timezone Europe/Berlin")
        await it.ask("/quiet 5")
        await it.ask("/remind in 6 hours the secret")
        await it.store.forget("chat:ada")
        assert await it.until(NOON + DAY) == []
        assert await it.store.timezone_of(ADA) == ""

    assert rows(tmp_path, "SELECT say, prompt, due_at FROM schedules") == [("", "", None)]
    assert rows(tmp_path, "SELECT count(*) FROM quiet") == [(0,)]


# --- the clock -------------------------------------------------------------------------------


async def test_the_clock_rings_when_something_is_due_and_when_something_is_earlier(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, schedule(Once(NOON + 1e6), name="late")) as it:
        running = asyncio.create_task(it.clock.run())
        try:
            it.time.now = NOON + 100
            await it.store.settle_schedules([schedule(Once(NOON + 100.2), name="soon")])
            it.clock.wake()
            it.time.now = NOON + 101
            it.clock.wake()
            await it.platform.until(lambda: it.platform.ever_shown)
        finally:
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running


async def test_every_decision_is_on_record_with_its_reason(tmp_path: Path) -> None:
    async with world(tmp_path, schedule(Every(HOUR)), rules=Rules(most_unanswered=1)) as it:
        await it.until(NOON + 2 * HOUR)
        first, second = await it.store.decisions(since=NOON)

    assert isinstance(first, Decision)
    assert (first.slot, first.at, first.turn > 0) == (NOON + HOUR, NOON + HOUR, True)
    assert (second.ruling.reason, second.turn) == (Reason.UNANSWERED, 0)
