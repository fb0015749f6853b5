"""The tables about writing first: what is read from them, what is refused, what `check` says."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from botdaemon.app import parts
from botdaemon.check import Overhead, check
from botdaemon.config import parse
from botdaemon.errors import ConfigError
from botdaemon.types import Cron, Every, Once, Reason, Silence, Situation, Verdict

HERE = Path("config.toml")
HOUSE = """
[adapters.web]
kind = "web"
port = 0
[models.echo]
kind = "echo"
[bots.ada]
kind = "text"
model = "echo"
[bots.bob]
kind = "text"
model = "echo"
[rooms.den]
bots = ["ada"]
"""
ONE = '[[schedules]]\nname = "one"\nbot = "ada"\nroom = "den"\nprompt = "Say hello."\n'
LINE = HOUSE.count("\n") + 1


def schedule(*lines: str, without: str = "") -> str:
    kept = [line for line in ONE.splitlines() if not without or not line.startswith(without)]
    return HOUSE + "\n".join([*kept, *lines])


@pytest.mark.parametrize(
    ("line", "when"),
    [
        ('cron = "0 9 * * mon"', Cron("0 9 * * mon", "Europe/Berlin")),
        ('cron = "0 9 * * *"\ntimezone = "Asia/Tokyo"', Cron("0 9 * * *", "Asia/Tokyo")),
        ('every = "1 h 30 min"', Every(5400.0)),
        ('after_silence = "1 day"', Silence(86_400.0)),
        ("at = 2027-06-01T12:00:00", Once(datetime(2027, 6, 1, 10, tzinfo=UTC).timestamp())),
        ("at = 2027-06-01T12:00:00Z", Once(datetime(2027, 6, 1, 12, tzinfo=UTC).timestamp())),
    ],
)
def test_a_schedule_says_when_by_its_own_clock_or_the_governors(line: str, when: object) -> None:
    config = parse(schedule(line) + '\n[governor]\ntimezone = "Europe/Berlin"', HERE)

    [table] = config.schedules
    assert table.when(config.governor.timezone) == when
    assert (table.name, table.bot, table.room, table.missed) == ("one", "ada", "den", "skip")


EVERY = 'every = "1 h"'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (schedule(), "schedules: say when by one of cron, every, at, after_silence; none"),
        (
            schedule(EVERY, 'cron = "0 9 * * *"'),
            "schedules: say when by one of cron, every, at, after_silence; not cron and every",
        ),
        (schedule(EVERY, 'say = "x"'), "schedules: say what by one of say, prompt; not say and"),
        (schedule(EVERY, without="room"), "schedules: say where by one of room, channel, person"),
        (schedule(EVERY, without="name"), 'schedules: the key "name" is missing'),
        (schedule('every = "soon"'), 'schedules[0].every: "soon" is no length of time'),
        (schedule('every = "5 s"'), "schedules: every must be at least 1 min"),
        (
            schedule('cron = "0 9 * * 0"'),
            'schedules[0].cron: "0 9 * * 0": name the days of the week',
        ),
        (schedule('cron = "0 0 30 2 *"'), 'schedules[0].cron: "0 0 30 2 *" never comes'),
        (schedule("at = 2027-06-01"), "schedules[0].at: expected a date and time as 2026-12-24T18"),
        (
            schedule("at = 2027-06-01T12:00:00Z", 'timezone = "UTC"'),
            "schedules: at has a time zone of its own: leave out timezone",
        ),
        (
            schedule(EVERY, 'timezone = "Berlin"'),
            'schedules[0].timezone: there is no time zone "Berlin"; did you mean "Europe/Berlin"?',
        ),
        (
            schedule(EVERY, 'person = "ada"', without="room"),
            'schedules[0].person: expected "ADAPTER:ACCOUNT", found "ada"',
        ),
        (
            schedule(EVERY).replace('bot = "ada"\nroom', 'bot = "adda"\nroom'),
            'schedules[0].bot: there is no bot "adda", did you mean "ada"?',
        ),
        (
            schedule(EVERY).replace('bot = "ada"\nroom', 'bot = "bob"\nroom'),
            'schedules[0].bot: "bob" is not one of the bots of that room; bots there: "ada"',
        ),
        (
            schedule(EVERY).replace('room = "den"', 'room = "hall"'),
            'schedules[0].room: there is no room "hall"; known rooms: "den"',
        ),
        (
            schedule(EVERY, 'channel = "chat:1"', without="room"),
            'schedules[0].channel: there is no adapter "chat"; known adapters: "web"',
        ),
        (schedule(EVERY, ONE + EVERY), 'schedules[1].name: "one" is the name of another schedule'),
        (HOUSE + '[governor]\nquiet_hours = "at night"', 'governor.quiet_hours: "at night" are no'),
        (HOUSE + 'timezone = "Mars"', 'rooms.den.timezone: there is no time zone "Mars"'),
    ],
)
def test_a_schedule_that_cannot_be_is_refused_with_its_line(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, HERE)
    [found] = caught.value.problems
    where, _, what = found.partition(" ")
    assert what.startswith(problem), found
    assert int(where.strip(":").split(":")[1]) >= LINE - 1


def test_check_says_when_each_schedule_comes_next_and_names_what_has_been() -> None:
    past = ONE.replace("one", "two") + "at = 2020-01-01T00:00:00"
    config = parse(schedule('cron = "0 9 * * *"', past), HERE)
    report = check(config, inspect=lambda _: "", weigh=_no_weight, lines=lambda _: 0)

    first, second = [one for one in report.findings if "schedules" in one.text]
    assert first.verdict is Verdict.OK
    assert first.text.startswith("schedules.one: ada writes `0 9 * * *` (UTC), next on ")
    assert first.text.endswith(", 09:00 (UTC)")
    assert second.verdict is Verdict.NOTE
    assert second.text.endswith("schedules[1].at: that time has been; it never comes")


def _no_weight(bot: str) -> Overhead:
    return Overhead(format=1, reply=1, context=9)


def test_the_governor_goes_by_the_configuration() -> None:
    config = parse(
        HOUSE
        + 'quiet_hours = "12:00-13:00"\ntimezone = "Europe/Berlin"\n'
        + '[governor]\nmost_unanswered = 1\nquiet_hours = "01:00-02:00"',
        HERE,
    )
    govern = parts.make_governor(config)
    noon = datetime(2026, 6, 10, 10, tzinfo=UTC).timestamp()  # in Berlin

    assert govern(Situation(now=noon, room="den")).reason is Reason.QUIET_HOURS
    assert govern(Situation(now=noon)).reason is Reason.SPEAKS
    assert govern(Situation(now=noon, unanswered=(1.0,))).reason is Reason.UNANSWERED
    assert parts.make_governor(parse(HOUSE, HERE))(Situation(now=noon)).reason is Reason.SPEAKS
