"""When bots may write first: the rules, and the clock they are read by."""

from __future__ import annotations

import zoneinfo
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from botdaemon import timetable
from botdaemon.errors import Refused
from botdaemon.governor import LOOK_AGAIN, Governor, RoomRules, Rules, quiet_until
from botdaemon.types import Cron, Every, Once, QuietHours, Reason, Ruling, Silence, Situation

HOUR = 3600.0
DAY = 24 * HOUR
NIGHT = timetable.quiet_hours("22:00-07:00")
#: zones that change their clocks at all hours: at midnight, by half an hour, not at all
ZONES = (
    *("Europe/Berlin", "America/New_York", "America/St_Johns", "Australia/Lord_Howe"),
    *("America/Santiago", "Africa/Cairo", "Asia/Beirut", "Africa/Casablanca", "Atlantic/Azores"),
    *("Asia/Tokyo", "Asia/Kathmandu", "Pacific/Apia", "Antarctica/Troll", "UTC"),
)


def at(text: str, zone: str = "Europe/Berlin", fold: int = 0) -> float:
    local = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)
    return local.timestamp()


NOON = at("2026-06-10 12:00")


def judge(situation: Situation | None = None, **rules: Any) -> Ruling:
    chosen = {"timezone": "Europe/Berlin", **rules}
    return Governor(Rules(**chosen))(situation or Situation(now=NOON))


# --- the rules -------------------------------------------------------------------------------


def test_where_nothing_speaks_against_it_a_bot_may_write() -> None:
    assert judge() == Ruling(Reason.SPEAKS)


def test_nobody_writes_in_quiet_hours_and_it_is_known_when_they_end() -> None:
    night = Situation(now=at("2026-06-10 23:30"))

    assert judge(night, quiet_hours=NIGHT) == Ruling(Reason.QUIET_HOURS, at("2026-06-11 07:00"))
    assert judge(quiet_hours=NIGHT).reason is Reason.SPEAKS


def test_quiet_hours_are_by_the_clock_of_the_person_or_of_the_room() -> None:
    rules = {
        "quiet_hours": NIGHT,
        "rooms": {"tokyo": RoomRules(timezone="Asia/Tokyo")},
    }  # 23:00 in Tokyo, 16:00 in Berlin, 10:00 in New York
    now = at("2026-06-10 23:00", "Asia/Tokyo")

    assert judge(Situation(now=now), **rules).reason is Reason.SPEAKS
    assert judge(Situation(now=now, room="tokyo"), **rules).reason is Reason.QUIET_HOURS
    elsewhere = Situation(now=now, room="tokyo", timezone="America/New_York")
    assert judge(elsewhere, **rules).reason is Reason.SPEAKS


def test_a_room_has_quiet_hours_of_its_own_and_people_add_theirs() -> None:
    rules = {"quiet_hours": NIGHT, "rooms": {"den": RoomRules(quiet_hours=QuietHours(720, 780))}}
    den = Situation(now=NOON, room="den")

    assert judge(den, **rules) == Ruling(Reason.QUIET_HOURS, at("2026-06-10 13:00"))
    assert judge(replace(den, now=at("2026-06-10 23:00")), **rules).reason is Reason.SPEAKS
    afternoon = Situation(
        now=at("2026-06-10 14:00"),
        room="den",
        hours=timetable.quiet_hours("13-15"),
        hours_timezone="Europe/Berlin",
    )
    assert judge(afternoon, **rules) == Ruling(Reason.QUIET_HOURS, at("2026-06-10 15:00"))


def test_who_asked_for_quiet_has_it_until_it_is_over() -> None:
    assert judge(Situation(now=NOON, quiet_until=NOON + 1)) == Ruling(Reason.QUIET, NOON + 1)
    assert judge(Situation(now=NOON, quiet_until=NOON)).reason is Reason.SPEAKS


def test_nobody_writes_into_a_conversation_or_an_answer() -> None:
    talking = Situation(now=NOON, last_said=NOON - 60)

    assert judge(talking) == Ruling(Reason.CONVERSATION, NOON + 240)
    assert judge(replace(talking, last_said=NOON - 300)).reason is Reason.SPEAKS
    answering = Situation(now=NOON, answering=True)
    assert judge(answering) == Ruling(Reason.ANSWERING, NOON + LOOK_AGAIN)


def test_the_pause_after_what_nobody_answers_grows_until_a_person_has_to_speak() -> None:
    rules = {"most_unanswered": 3, "pause": HOUR}
    one = Situation(now=NOON, unanswered=(NOON - 0.5 * HOUR,))
    two = Situation(now=NOON, unanswered=(NOON - 3 * HOUR, NOON - 1.5 * HOUR))
    three = Situation(now=NOON, unanswered=(NOON - 9 * DAY, NOON - 8 * DAY, NOON - 7 * DAY))

    assert judge(one, **rules) == Ruling(Reason.PAUSE, NOON + 0.5 * HOUR)
    assert judge(two, **rules) == Ruling(Reason.PAUSE, NOON + 0.5 * HOUR)
    assert judge(three, **rules) == Ruling(Reason.UNANSWERED)
    assert judge(replace(one, unanswered=(NOON - HOUR,)), **rules).reason is Reason.SPEAKS


def test_a_room_gets_so_many_a_day_by_its_own_clock() -> None:
    midnight = at("2026-06-10 00:00")
    yesterday, today = midnight - 1, (midnight + HOUR, midnight + 2 * HOUR)

    full = Situation(now=NOON, recent=(yesterday, *today))
    assert judge(full, most_a_day=2) == Ruling(Reason.BUDGET, at("2026-06-11 00:00"))
    assert judge(full, most_a_day=3).reason is Reason.SPEAKS
    assert judge(most_a_day=0).reason is Reason.BUDGET


def test_what_a_person_asked_for_is_kept_back_by_quiet_alone() -> None:
    asked = Situation(
        now=NOON, asked=True, last_said=NOON, unanswered=(NOON,) * 9, recent=(NOON,) * 99
    )

    assert judge(asked).reason is Reason.SPEAKS
    assert judge(replace(asked, quiet_until=NOON + 9)).reason is Reason.QUIET
    assert judge(replace(asked, answering=True)).reason is Reason.ANSWERING
    # The operator's nights are for what nobody asked for; those that people chose are for all.
    night = replace(asked, now=at("2026-06-10 23:00"))
    assert judge(night, quiet_hours=NIGHT).reason is Reason.SPEAKS
    assert judge(replace(night, hours=NIGHT)).reason is Reason.QUIET_HOURS


# --- quiet hours, whatever the clock does ----------------------------------------------------


def test_quiet_hours_hold_across_a_daylight_saving_change() -> None:
    hours = timetable.quiet_hours("22:00-07:00")
    spring, autumn = at("2026-03-28 22:00"), at("2026-10-24 22:00")

    # The night is an hour shorter in spring, and an hour longer in autumn.
    assert quiet_until(hours, "Europe/Berlin", spring) == spring + 8 * HOUR
    assert quiet_until(hours, "Europe/Berlin", autumn) == autumn + 10 * HOUR
    assert quiet_until(hours, "Europe/Berlin", spring - 60) == 0
    assert quiet_until(hours, "Europe/Berlin", spring + 8 * HOUR) == 0


def test_hours_that_begin_or_end_in_an_hour_that_is_not_there_or_comes_twice() -> None:
    # 02:00 to 03:00 does not exist on 29 March, and comes twice on 25 October.
    zone = "Europe/Berlin"
    until_half_past = timetable.quiet_hours("22:00-02:30")
    assert quiet_until(until_half_past, zone, at("2026-03-29 01:59")) == at("2026-03-29 03:30")
    first, second = (at("2026-10-25 02:10", fold=fold) for fold in (0, 1))
    assert quiet_until(until_half_past, zone, first) == at("2026-10-25 02:30")
    assert quiet_until(until_half_past, zone, second) == at("2026-10-25 02:30", fold=1)
    assert quiet_until(until_half_past, zone, at("2026-10-25 02:40")) == 0


minutes = st.integers(0, 1439)


@given(
    st.sampled_from(ZONES), minutes, minutes, st.floats(0, 366 * DAY), st.sampled_from((2025, 2026))
)
@example("Europe/Berlin", 120, 119, 7 * DAY, 2026)
@example("Australia/Lord_Howe", 110, 100, 95 * DAY, 2026)
def test_no_bot_ever_writes_within_quiet_hours(
    zone: str, begins: int, ends: int, seconds: float, year: int
) -> None:
    if begins == ends:
        return
    now = datetime(year, 1, 1, tzinfo=UTC).timestamp() + seconds
    hours = QuietHours(begins, ends)
    ruling = Governor(Rules(timezone=zone, quiet_hours=hours))(Situation(now=now))

    if ruling.reason is Reason.SPEAKS:
        assert not is_quiet(hours, zone, now)
    else:  # it is told when they are over, and that is true
        assert is_quiet(hours, zone, now)
        assert ruling.until > now
        assert not is_quiet(hours, zone, ruling.until)


def is_quiet(hours: QuietHours, zone: str, now: float) -> bool:
    """Said another way: the minutes that are quiet, one by one."""
    length = (hours.ends - hours.begins) % 1440
    local = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=now)).astimezone(ZoneInfo(zone))
    return local.hour * 60 + local.minute in {(hours.begins + i) % 1440 for i in range(length)}


# --- slots -----------------------------------------------------------------------------------


def slots(when: Cron | Every | Once, after: float, count: int, anchor: float = 0.0) -> list[float]:
    found: list[float] = []
    while len(found) < count and (slot := timetable.next_slot(when, after, anchor)) is not None:
        found.append(slot)
        after = slot
    return found


def test_a_time_that_is_skipped_comes_later_and_one_that_comes_twice_counts_once() -> None:
    half_past_two = Cron("30 2 * * *", "Europe/Berlin")

    spring = slots(half_past_two, at("2026-03-28 12:00"), 2)
    assert spring == [at("2026-03-29 03:30"), at("2026-03-30 02:30")]
    autumn = slots(half_past_two, at("2026-10-24 12:00"), 2)
    assert autumn == [at("2026-10-25 02:30"), at("2026-10-26 02:30")]
    often = slots(Cron("*/30 * * * *", "Europe/Berlin"), at("2026-10-25 01:45"), 4)
    assert [later - often[0] for later in often] == [0, HOUR / 2, 2 * HOUR, 2.5 * HOUR]


@given(
    st.sampled_from(ZONES),
    st.integers(0, 23),
    st.integers(0, 59),
    st.floats(0, 10 * 365 * DAY),
)
@example("Europe/Berlin", 2, 30, 90 * DAY)
def test_a_daily_slot_comes_on_every_day_of_ten_years_as_the_calendar_says(
    zone: str, hour: int, minute: int, seconds: float
) -> None:
    after = datetime(2024, 1, 1, tzinfo=UTC).timestamp() + seconds
    [slot] = slots(Cron(f"{minute} {hour} * * *", zone), after, 1)

    # The calendar, day by day: the first time at which the clock says so.
    day = datetime.fromtimestamp(after, ZoneInfo(zone)).replace(
        hour=hour, minute=minute, second=0, microsecond=0, fold=0
    )
    days = [(day + timedelta(days=offset)).timestamp() for offset in (-1, 0, 1, 2, 3)]
    assert slot == min(time for time in days if time > after)


def test_an_interval_counts_from_where_it_began_and_is_no_clock() -> None:
    began = at("2026-10-24 09:00")
    daily = slots(Every(DAY), began, 2, anchor=began)

    assert daily == [at("2026-10-25 08:00"), at("2026-10-26 08:00")]
    assert slots(Every(DAY), daily[0] + 3.5 * DAY, 1, anchor=began) == [began + 5 * DAY]


def test_once_comes_once_and_a_silence_when_nobody_speaks() -> None:
    assert slots(Once(100.0), 0.0, 9) == [100.0]
    assert timetable.next_slot(Silence(60.0), 0.0, 0.0) is None


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("0 9 * *", "has 4 fields, a crontab line has five"),
        ("@daily", "has 1 fields"),
        ("61 * * * *", "is no crontab line: .*61"),
        ("0 9 * * 0", "name the days of the week"),
        ("0 0 30 2 *", "never comes"),
        ("a b c d e", "is no crontab line"),
    ],
)
def test_a_crontab_line_that_cannot_be_is_refused(line: str, why: str) -> None:
    with pytest.raises(Refused, match=why):
        timetable.crontab(line)


@given(st.text(max_size=30) | st.from_regex(r"[\d*/,a-z -]{0,9}( [\d*/,a-z-]{0,5}){4}"))
def test_any_text_is_a_crontab_line_or_refused(text: str) -> None:
    with suppress(Refused):
        timetable.crontab(text)


def test_jitter_makes_a_slot_late_by_the_same_time_whoever_asks() -> None:
    late = [timetable.delay(7, slot, 600.0) for slot in (1e9, 2e9, 1e9)]

    assert late[0] == late[2] != late[1]
    assert all(0 <= one <= 600 for one in late)
    assert timetable.delay(7, 1e9, 0.0) == 0


# --- reading and writing times ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("berlin", 'did you mean "Europe/Berlin"'),
        ("Europe/Berlinn", 'did you mean "Europe/Berlin"'),
        ("new york", 'did you mean "America/New_York"'),
        ("Europe", "there is no time zone"),
        ("../etc/passwd", "there is no time zone"),
        ("", 'write one as "Europe/Berlin"'),
    ],
)
def test_a_time_zone_that_is_none_is_refused_with_one_that_is(name: str, hint: str) -> None:
    with pytest.raises(Refused, match=hint):
        timetable.zone(name)


def test_every_time_zone_can_be_named() -> None:
    for name in zoneinfo.available_timezones():
        timetable.zone(name)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90 minutes", 5400), ("1 h 30 min", 5400), ("2h", 7200), ("1 day, 2 hours", 93600)],
)
def test_a_length_of_time_is_read(text: str, seconds: float) -> None:
    assert timetable.duration(text) == seconds
    assert timetable.duration(timetable.lasting(seconds)) == seconds


@given(st.text(max_size=20))
def test_any_text_is_a_time_or_refused(text: str) -> None:
    for read in (timetable.duration, timetable.clock, timetable.quiet_hours, timetable.zone):
        with suppress(Refused):
            read(text)


def test_hours_are_written_as_they_are_read() -> None:
    assert timetable.hours_written(timetable.quiet_hours("10 pm - 7:30")) == "22:00-07:30"
    with pytest.raises(Refused, match="begins and ends at the same time"):
        timetable.quiet_hours("7-7:00")
