"""A changed configuration is taken over by the running daemon, whole and without a break, or
refused whole."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import pytest
from test_cli import change, daemon, run, write

from botdaemon.app import reload
from botdaemon.config import parse
from botdaemon.dispatcher.line import Line

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write(tmp_path)


def add(config: Path, more: str) -> None:
    config.write_text(config.read_text() + more)


MORE = """
[bots.max]
kind = "text"
model = "parrot"
about = "Says the same."
"""


async def test_a_bot_is_added_while_an_answer_is_under_way_and_no_page_is_cut_off(
    tmp_path: Path,
) -> None:
    config = write(tmp_path, delay=0.3)
    async with daemon(config) as it, it.http.ws_connect(f"{it.url}api/live") as page:
        await page.send_json({"type": "open", "room": "lounge"})
        asked = await it.say("one two three four five")
        await it.say("/status")
        await it.hear("answers under way: 1")
        add(config, MORE)
        change(config, 'bots = ["polly"]', 'bots = ["polly", "max"]\nhost = "polly"')

        code, out, _ = await run("reload", "--config", config)

        assert (code, out) == (0, "taken over: bots.max, rooms.lounge\n")
        await it.hear("one two three four five", after=asked)
        asked = await it.say("max, are you there?")
        assert (await it.hear("are you there?", after=asked))["author"] == "max"
        async with it.http.get(f"{it.url}api/bots") as answer:
            assert [bot["name"] for bot in await answer.json()] == ["polly", "joe", "max"]
        assert not page.closed


async def test_what_needs_a_restart_is_named_and_nothing_else_is_taken_over(config: Path) -> None:
    async with daemon(config) as it:
        change(config, "port = 0", "port = 1234")
        change(config, "merge_seconds = 0.0", "merge_seconds = 0.0\nmessage_characters = 5")
        add(config, MORE)

        code, _, err = await run("reload", "--config", config)

        assert code == 78
        assert "only a restart takes over what changed in adapters.web.port, limits.mess" in err
        async with it.http.get(f"{it.url}api/bots") as answer:
            assert [bot["name"] for bot in await answer.json()] == ["polly", "joe"]
        asked = await it.say("still there?")
        await it.hear("still there?", after=asked)


async def test_a_signal_reloads_as_well_and_the_log_says_what_came_of_it(config: Path) -> None:
    async with daemon(config) as it:
        change(config, "[rooms.lounge]", "[rooms.parlour]")
        it.process.send_signal(signal.SIGHUP)
        line = await it.read_until('"event": "reloaded"')
        assert "taken over: rooms.lounge, rooms.parlour" in line

        change(config, "[daemon]", "this is no TOML")
        it.process.send_signal(signal.SIGHUP)
        line = await it.read_until('"event": "reload_refused"')
        assert "config.toml:2" in line


async def test_without_a_daemon_reload_says_that_there_is_none(config: Path) -> None:
    (config.parent / "data").mkdir()

    code, _, err = await run("reload", "--config", config)

    assert code == 69
    assert f"no daemon runs with the data directory {config.parent / 'data'}" in err


async def test_only_its_owner_may_ask_the_daemon(config: Path) -> None:
    async with daemon(config) as it:
        control = config.parent / "data" / "control"
        assert (await asyncio.to_thread(control.stat)).st_mode & 0o777 == 0o600
        it.process.terminate()
        await it.ended()
    assert not await asyncio.to_thread(control.exists)


TABLES = """
[daemon]
[adapters.slack]
kind = "slack"
token_env = "A"
app_token_env = "B"
[models.a]
kind = "echo"
[models.b]
kind = "echo"
[bots.ann]
kind = "text"
model = "a"
"""
BOB = '[bots.bob]\nkind = "text"\nmodel = "a"\n'


@pytest.mark.parametrize(
    ("more", "old", "new", "named"),
    [
        (BOB, "", "", []),
        ('[adapters.slack.access]\npeople = ["U1"]\n', "", "", []),
        ("[limits]\nqueue = 3\n", "", "", []),
        ('[daemon]\nlog_level = "debug"\n', "[daemon]\n", "", []),
        ('[daemon]\ndata_dir = "other"\n', "[daemon]\n", "", ["daemon.data_dir"]),
        ("[records]\ndirectory = 'r'\n", "", "", ["records"]),
        ("[adapters.web]\nkind = 'web'\n", "", "", ["adapters.web"]),
        ("", 'app_token_env = "B"', 'app_token_env = "C"', ["adapters.slack.app_token_env"]),
        ("", 'model = "a"', 'model = "b"', ["models.b"]),
        ("[limits]\nfile_megabytes = 3\n", "", "", ["limits.file_megabytes"]),
        (BOB, "[bots.ann]", "[bots.eve]", ["adapters.slack.bots (another default bot)"]),
    ],
)  # fmt: skip
def test_what_a_running_daemon_cannot_take_over(
    tmp_path: Path, more: str, old: str, new: str, named: list[str]
) -> None:
    path = tmp_path / "config.toml"
    changed = parse((TABLES.replace(old, new) if old else TABLES) + more, path)

    assert reload.needs_restart(parse(TABLES, path), changed) == named


async def test_a_line_serves_more_at_once_and_fewer_when_it_is_told() -> None:
    line, served = Line(1), []
    leave = [asyncio.Event() for _ in range(4)]

    async def wait(number: int) -> None:
        async with line.slot(number, number, lambda _: None):
            served.append(number)
            await leave[number].wait()

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(wait(number)) for number in range(4)]
        await asyncio.sleep(0)
        assert served == [0]
        line.resize(3)
        await asyncio.sleep(0)
        assert served == [0, 1, 2]
        line.resize(1)
        for number in (0, 1):
            leave[number].set()
            await tasks[number]
            assert served == [0, 1, 2]
        leave[2].set()
        await tasks[2]
        await asyncio.sleep(0)
        assert served == [0, 1, 2, 3]
        leave[3].set()
