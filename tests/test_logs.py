"""Log lines: their shapes, what is stamped on them, and what can never get into them."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from botdaemon import logs

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

    Lines = Callable[[], list[str]]


# A busy machine is no mistake of ours.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def logger(shape: logs.Shape) -> tuple[logging.Logger, Lines]:
    """A logger of its own, and what it has written so far."""
    stream = io.StringIO()
    log = logging.Logger("botdaemon.dispatcher")
    log.addHandler(logs.handler(shape, stream))
    return log, lambda: stream.getvalue().splitlines()


def answer(log: logging.Logger) -> None:
    log.info("turn answered", extra={"event": "turn_answered", "ms": 840.25, "outcome": "said it"})


def test_a_line_in_a_terminal_is_for_eyes() -> None:
    log, lines = logger("terminal")
    answer(log)

    (line,) = lines()
    stamp, rest = line[:19], line[19:]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", stamp)
    assert rest == ' INFO    dispatcher: turn answered  ms=840.25 outcome="said it"'


def test_a_line_in_the_journal_has_its_priority_and_all_its_fields() -> None:
    log, lines = logger("journal")
    answer(log)
    for level in (10, 20, 25, 30, 40, 50):
        log.log(level, "level %d", level)

    first, *others = lines()
    fields = 'event=turn_answered ms=840.25 outcome="said it"'
    assert first == f"<6>botdaemon.dispatcher: turn answered {fields}"
    assert [line[:3] for line in others] == ["<7>", "<6>", "<6>", "<4>", "<3>", "<2>"]


def test_a_line_of_json_keeps_numbers_as_numbers() -> None:
    log, lines = logger("json")
    answer(log)

    (line,) = map(json.loads, lines())
    assert line.pop("at").endswith("+00:00")
    assert line == {
        "level": "info",
        "logger": "botdaemon.dispatcher",
        "message": "turn answered",
        "event": "turn_answered",
        "ms": 840.25,
        "outcome": "said it",
    }


async def test_what_goes_on_around_a_line_is_stamped_on_it_also_in_tasks() -> None:
    log, lines = logger("journal")

    async def work() -> None:
        with logs.context(bot="ada"):
            log.info("thinking")

    with logs.context(adapter="web", thread=3):
        await asyncio.create_task(work())
        log.info("waiting", extra={"adapter": "chat", "place": None})
    log.info("idle")

    assert [line.partition(": ")[2] for line in lines()] == [
        "thinking adapter=web thread=3 bot=ada",
        "waiting adapter=chat thread=3",
        "idle",
    ]


async def test_a_context_may_end_elsewhere_than_it_began() -> None:
    async def inside() -> AsyncGenerator[None]:
        with logs.context(bot="ada"):
            yield

    steps = inside()
    await asyncio.create_task(steps.asend(None))
    await steps.aclose()


@pytest.mark.parametrize("shape", ["terminal", "journal", "json"])
def test_a_secret_never_gets_into_a_line(shape: logs.Shape) -> None:
    log, lines = logger(shape)
    secret = 'corr"ect horsé'
    logs.redact(secret)

    log.info("the token is %s", secret, extra={"url": f"https://x/{secret}/y"})
    try:
        raise ValueError(f"{secret} was refused")
    except ValueError:
        log.exception("refused", stack_info=True)

    said = "\n".join(lines())
    if shape == "json":
        said = "\n".join(str(json.loads(line)) for line in lines())
    assert "https://x/…/y" in said
    assert "… was refused" in said
    assert "horsé" not in said


def test_the_lines_of_a_traceback_cannot_pass_for_events() -> None:
    log, lines = logger("journal")
    try:
        raise ValueError("bad\n<0>botdaemon: all is lost")
    except ValueError:
        log.exception("turn failed")

    first, *trace = lines()
    assert first == "<3>botdaemon.dispatcher: turn failed"
    assert "<3>    <0>botdaemon: all is lost" in trace
    assert all(line.startswith("<3>    ") for line in trace)


@unhurried
@given(st.text(), st.text())
def test_nothing_that_people_say_starts_a_new_line_or_moves_the_cursor(one: str, two: str) -> None:
    for shape in ("terminal", "journal", "json"):
        log, lines = logger(shape)
        log.info("said %s", one, extra={"text": two})

        (line,) = lines()
        assert line.isprintable() or not re.search("[\x00-\x1f\x7f-\x9f\u2028-\u202e]", line)
        line.encode()


@unhurried
@given(st.text(min_size=1))
@example(" \\")
def test_a_value_can_be_read_back_from_its_field(value: str) -> None:
    log, lines = logger("journal")
    log.info("said", extra={"text": value, "next": "1"})

    (line,) = lines()
    match = re.search(r' text=("(?:[^"\\]|\\.)*"|\S+) next=1$', line)
    assert match is not None
    if value.isprintable() and not re.search(r"[\s\"'=\\]", value):
        assert match[1] == value


def test_colours_are_for_terminals_only() -> None:
    log, lines = logger("terminal")
    log.warning("careful")
    assert "\x1b" not in lines()[0]

    main, other = os.openpty()
    with open(other, "w") as terminal:  # noqa: PTH123 - a descriptor, no path
        log = logging.Logger("botdaemon.app")
        log.addHandler(logs.handler("auto", terminal))
        log.warning("careful")
        shown = os.read(main, 1000).decode()
    os.close(main)
    assert "\x1b[33m" in shown


CONFIGURED = """
import logging, warnings
from botdaemon import logs
logs.configure({level!r})
for name in ("botdaemon.store", "adapters.web", "aiohttp.access", "aiosqlite"):
    for level in ("debug", "info", "warning"):
        logging.getLogger(name).log(getattr(logging, level.upper()), level)
warnings.warn("old")
"""


def run(level: str, stderr: int, environment: dict[str, str]) -> str:
    code = CONFIGURED.format(level=level)
    environment = {**os.environ, **environment}
    done = subprocess.run([sys.executable, "-c", code], check=True, stderr=stderr, env=environment)
    return (done.stderr or b"").decode()


def test_libraries_only_say_what_is_serious_unless_the_level_is_debug() -> None:
    def said(level: str) -> list[str]:
        lines = run(level, subprocess.PIPE, {}).splitlines()
        return re.findall(r"\S+: (?:debug|info|warning)$", "\n".join(lines), re.MULTILINE)

    assert said("info") == [
        "store: info",
        "store: warning",
        "adapters.web: info",
        "adapters.web: warning",
        "aiohttp.access: warning",
        "aiosqlite: warning",
    ]
    assert said("error") == []
    assert "store: debug" in said("debug")
    assert "aiohttp.access: info" in said("debug")
    assert "aiosqlite: debug" not in said("debug")


def test_what_goes_to_the_journal_has_its_shape_by_itself(tmp_path: Path) -> None:
    # systemd names the stream that is connected to the journal by its device and inode.
    with (tmp_path / "journal").open("w+") as journal:
        status = os.fstat(journal.fileno())
        run("info", journal.fileno(), {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
        run("info", journal.fileno(), {"JOURNAL_STREAM": "1:2"})
        journal.seek(0)
        lines = journal.read().splitlines()

    assert lines[0] == "<6>botdaemon.store: info"
    assert any(line.startswith("<4>py.warnings: ") for line in lines)
    assert any(line.endswith("INFO    store: info") for line in lines)
