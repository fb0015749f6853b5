"""When people want to be written to, in their own words."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdaemon import appointments, timetable
from botdaemon.errors import Refused
from botdaemon.types import Cron, Every, QuietHours, Silence

BERLIN = "Europe/Berlin"


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(BERLIN)).timestamp()


NOW = at("2026-06-10 12:00")  # a Wednesday


@pytest.mark.parametrize(
    ("words", "when", "text"),
    [
        ("in 20 minutes stir the soup", "2026-06-10 12:20", "stir the soup"),
        ("me in 1 h 30 min to call Bob", "2026-06-10 13:30", "call Bob"),
        ("in 2h: tea", "2026-06-10 14:00", "tea"),
        ("in 2 days, 3 hours pay 20 euros", "2026-06-12 15:00", "pay 20 euros"),
        ("at 18:30 the news", "2026-06-10 18:30", "the news"),
        ("6:30 pm the news", "2026-06-10 18:30", "the news"),
        ("9am breakfast", "2026-06-11 09:00", "breakfast"),
        ("11:59 too late for today", "2026-06-11 11:59", "too late for today"),
        ("tomorrow 9:00 stand up", "2026-06-11 09:00", "stand up"),
        ("tomorrow at 23:00 sleep", "2026-06-11 23:00", "sleep"),
        ("on friday at 17:00 beer", "2026-06-12 17:00", "beer"),
        ("wed 12:00 in a week", "2026-06-17 12:00", "in a week"),
        ("Wednesday 12:01 today", "2026-06-10 12:01", "today"),
        ("2026-12-24 18:00 presents\nand a tree", "2026-12-24 18:00", "presents\nand a tree"),
    ],
)
def test_a_reminder_is_read_as_people_write_it(words: str, when: str, text: str) -> None:
    once, said = appointments.reminder(words, NOW, BERLIN)

    assert timetable.written(once.at, BERLIN) == timetable.written(at(when), BERLIN)
    assert said == text


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("", "Say when and of what"),
        ("tea", "Say when and of what"),
        ("in a while tea", "Say when and of what"),
        ("in 20 minutes", "Say when and of what"),
        ("in 5 parsecs tea", "is no length of time"),
        ("at 25:00 tea", "is no time of day"),
        ("2026-02-30 12:00 tea", "There is no 2026-02-30"),
        ("2026-06-10 11:00 tea", "has been"),
        ("in 9999 weeks tea", "more than 5 years"),
    ],
)
def test_a_reminder_that_cannot_be_is_refused_with_what_to_do(words: str, why: str) -> None:
    with pytest.raises(Refused, match=why):
        appointments.reminder(words, NOW, BERLIN)


@pytest.mark.parametrize(
    ("words", "when"),
    [
        ("day 9:00 x", Cron("0 9 * * *", BERLIN)),
        ("weekday at 8:30 x", Cron("30 8 * * mon-fri", BERLIN)),
        ("Mondays 5 pm x", Cron("0 17 * * mon", BERLIN)),
        ("thursday 09:05 x", Cron("5 9 * * thu", BERLIN)),
        ("2 hours x", Every(7200.0)),
        ("1 day x", Every(86_400.0)),
        ("3 hours of silence x", Silence(10_800.0)),
    ],
)
def test_a_repetition_is_read_as_people_write_it(words: str, when: object) -> None:
    assert appointments.repetition(words, BERLIN, 60.0) == (when, "x")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("", "Say how often and what"),
        ("now and then x", "Say how often and what"),
        ("2 cats x", "Say how often and what"),
        ("day 9:00", "Say how often and what"),
        ("1 minute x", "Not more often than every 30 min"),
        ("5 min of silence x", "Not more often than every 30 min"),
    ],
)
def test_a_repetition_that_cannot_be_is_refused_with_what_to_do(words: str, why: str) -> None:
    with pytest.raises(Refused, match=why):
        appointments.repetition(words, BERLIN, 1800.0)


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("3", 10_800.0),
        ("1.5", 5400.0),
        ("90 min", 5400.0),
        ("off", 0.0),
        ("22-7", QuietHours(1320, 420)),
    ],
)
def test_quiet_is_so_many_hours_or_some_of_every_day(words: str, wanted: object) -> None:
    assert appointments.quiet(words) == wanted


@pytest.mark.parametrize("words", ["please", "99999", "22-99"])
def test_quiet_that_cannot_be_is_refused(words: str) -> None:
    with pytest.raises(Refused):
        appointments.quiet(words)


_WORDS = st.lists(
    st.sampled_from(
        (
            *("in", "at", "me", "on", "2", "20", "h", "9:00", "25:99", "pm", "monday", "day"),
            *("tomorrow", "2026-13-01", "of", "silence", "\n", "\N{ARABIC-INDIC DIGIT TWO}"),
        )
    ),
    max_size=8,
)


@given(st.text(max_size=40) | _WORDS.map(" ".join))
def test_any_words_are_read_or_refused(words: str) -> None:
    for read in (
        lambda: appointments.reminder(words, NOW, BERLIN),
        lambda: appointments.repetition(words, BERLIN, 60.0),
        lambda: appointments.quiet(words),
    ):
        with suppress(Refused):
            read()
