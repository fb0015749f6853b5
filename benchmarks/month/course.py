"""The month itself: people, schedules and the clock, and whether everybody kept to the rules."""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

from house import CueBot
from schedule_world import World, world

from benchmarks.month.people import MINUTE, People, Saying
from botdaemon.governor import Rules
from botdaemon.types import (
    Address,
    Cron,
    Cue,
    Decision,
    Every,
    QuietHours,
    Reason,
    Room,
    Schedule,
    Silence,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ZONE = "Europe/Berlin"
#: in it the clocks are put forward (on the 28th)
BEGINS = datetime(2027, 3, 8, tzinfo=ZoneInfo(ZONE))
HOUR = 60 * MINUTE
QUIET = 6 * HOUR
RULES = Rules(
    timezone=ZONE,
    quiet_hours=QuietHours(begins=22 * 60 + 30, ends=8 * 60),
    most_unanswered=2,
    pause=2 * HOUR,
    most_a_day=4,
    settled=10 * MINUTE,
)


def _schedule(
    name: str,
    bot: str,
    when: Cron | Every | Silence,
    *,
    missed: Literal["skip", "once"] = "skip",
    jitter: float = 0.0,
) -> Schedule:
    cue = Cue(prompt=name)
    return Schedule(
        name=name, bot=bot, when=when, room="den", cue=cue, missed=missed, jitter=jitter
    )


SCHEDULES = (
    _schedule("good morning", "bot", Cron("0 9 * * mon-fri", ZONE), jitter=20 * MINUTE),
    _schedule("breakfast", "joe", Cron("30 7 * * *", ZONE), missed="once"),
    _schedule("a question", "joe", Every(5 * HOUR)),
    _schedule("a joke", "bot", Every(7 * HOUR), jitter=30 * MINUTE),
    _schedule("anybody here?", "bot", Silence(4 * HOUR)),
    _schedule("good night", "joe", Cron("0 23 * * *", ZONE)),
)


class Broken(AssertionError):
    """A bot wrote when it must not; the message says what happened."""


@dataclass(slots=True)
class _Diary:
    """What happened."""

    #: when people wrote, and wanted quiet
    said: list[float] = field(default_factory=list)
    quiet: list[float] = field(default_factory=list)
    #: when bots wrote first
    first: list[float] = field(default_factory=list)


async def run(directory: Path, days: int, seed: int, rules: Rules = RULES) -> dict[str, float]:
    """So many days; their figures. Raises `Broken` when a bot did what `RULES` forbid, whatever
    rules there were."""
    room = Room(id=0, name="den", bots=("bot", "joe"), configured=True)
    async with world(
        directory,
        *SCHEDULES,
        start=BEGINS.timestamp(),
        bots={"joe": CueBot()},
        rules=rules,
        rooms={"den": room},
        channels={Address("chat", "general"): "den"},
    ) as it:
        diary = await _live(it, days, People(ZoneInfo(ZONE), seed))
        decisions = await it.store.decisions()
    _check(decisions, diary)
    return _figures(decisions, diary, days)


async def _live(it: World, days: int, people: People) -> _Diary:
    diary = _Diary()
    coming: list[Saying] = []
    for day in range(days):
        for saying in people.day(BEGINS + timedelta(days=day)):
            heapq.heappush(coming, saying)
    end = (BEGINS + timedelta(days=days)).timestamp()
    while it.time.now < end:
        due_in = await it.store.due_in()
        due = end if due_in is None else it.time.now + max(0.0, due_in)
        following = coming[0] if coming else None
        until = min(end, due, following.at if following else end)
        for shown in await it.until(until):
            if shown.text.startswith("about "):
                diary.first.append(until)
                for answer in people.to(until):
                    heapq.heappush(coming, answer)
        if following is not None and coming[0] is following and until == following.at < end:
            heapq.heappop(coming)
            await it.say(following.text, who=following.who)
            await it.settled()
            (diary.quiet if following.text.startswith("/") else diary.said).append(until)
    return diary


# --- the rules -------------------------------------------------------------------------------


def _check(decisions: list[Decision], diary: _Diary) -> None:
    spoken = [one for one in decisions if one.ruling.reason is Reason.SPEAKS]
    if len(spoken) != len({one.turn for one in spoken}) or len(spoken) != len(diary.first):
        raise Broken(f"{len(spoken)} slots were used for {len(diary.first)} messages")
    for one in spoken:
        local = datetime.fromtimestamp(one.at, ZoneInfo(ZONE))
        if not (8 * 60 <= 60 * local.hour + local.minute < 22 * 60 + 30):
            raise Broken(f"a bot wrote in quiet hours: {local}")
        if any(at <= one.at < at + QUIET for at in diary.quiet):
            raise Broken(f"a bot wrote after somebody had asked for quiet: {local}")
        if any(one.at - RULES.settled < at <= one.at for at in diary.said):
            raise Broken(f"a bot wrote into a conversation: {local}")
    per_day = Counter(datetime.fromtimestamp(at, ZoneInfo(ZONE)).date() for at in diary.first)
    if any(count > RULES.most_a_day for count in per_day.values()):
        raise Broken(f"more than {RULES.most_a_day} on a day: {per_day.most_common(1)}")
    for run in _unanswered(diary):
        if len(run) > RULES.most_unanswered:
            raise Broken(f"{len(run)} in a row were unanswered")
        for number, (before, after) in enumerate(pairwise(run)):
            if after - before < RULES.pause * 2**number:
                raise Broken(f"only {(after - before) / MINUTE:.0f} minutes after another")


def _unanswered(diary: _Diary) -> Iterator[list[float]]:
    """What bots wrote first between two messages of people."""
    for since, until in pairwise([0.0, *sorted(diary.said), float("inf")]):
        if run := [at for at in diary.first if since <= at < until]:
            yield run


# --- the figures -----------------------------------------------------------------------------


def _figures(decisions: list[Decision], diary: _Diary, days: int) -> dict[str, float]:
    reasons = Counter(one.ruling.reason for one in decisions)
    hour = sum(any(at < said <= at + HOUR for said in diary.said) for at in diary.first)
    runs = [len(run) for run in _unanswered(diary)]
    return {
        "days": days,
        "messages of people": len(diary.said),
        "slots": len(decisions),
        "written first": len(diary.first),
        "written first a day": len(diary.first) / days,
        "somebody wrote within an hour after": hour,
        "unanswered in a row, at most": max(runs, default=0),
        **{
            f"held back: {reason.value}": reasons[reason]
            for reason in Reason
            if reason is not Reason.SPEAKS and reasons[reason]
        },
    }
