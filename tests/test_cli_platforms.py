"""Connecting a platform from the command line, as an operator does it: setup, check, run."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import tomllib
from asyncio import subprocess
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fake_slack import FakeSlack
from fake_telegram import FakeTelegram

from botdaemon.config import parse

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parent.parent
START = "from botdaemon.cli import main; main(prog_name='botdaemon')"

BOTS = """
[models.parrot]
kind = "echo"
[bots.polly]
kind = "text"
model = "parrot"
[limits]
merge_seconds = 0.0
"""

SLACK = """
[adapters.slack]
kind = "slack"
token_env = "SLACK_TOKEN"
app_token_env = "SLACK_APP_TOKEN"
base_url = "{slack.base_url}"
[adapters.slack.access]
direct = "open"
"""

TELEGRAM = """
[adapters.telegram]
kind = "telegram"
token_env = "TELEGRAM_TOKEN"
base_url = "{telegram.base_url}"
base_file_url = "{telegram.base_file_url}"
[adapters.telegram.access]
direct = "open"
"""


def write(directory: Path, *tables: str, **fakes: object) -> Path:
    path = directory / "config.toml"
    path.write_text("\n".join([BOTS, *(table.format(**fakes) for table in tables)]))
    return path


async def begin(args: Sequence[str | Path], **secrets: str) -> subprocess.Process:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", **secrets}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", START, *args),
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


async def run(*args: str | Path, **secrets: str) -> tuple[int, str, str]:
    """(exit code, stdout, stderr)"""
    process = await begin(args, **secrets)
    out, err = (part.decode() for part in await process.communicate())
    assert "Traceback" not in err
    assert process.returncode is not None
    return process.returncode, out, err


def slack_secrets(fake: FakeSlack) -> dict[str, str]:
    return {"SLACK_TOKEN": fake.bot_token, "SLACK_APP_TOKEN": fake.app_token}


# --- setup -----------------------------------------------------------------------------------


@pytest.mark.parametrize("platform", ["discord", "slack", "telegram"])
async def test_the_table_that_setup_ends_with_is_a_valid_one(platform: str, tmp_path: Path) -> None:
    config = write(tmp_path)
    code, out, _ = await run("setup", platform, "--config", config)

    assert code == 0
    [table] = re.findall(rf"(?ms)^ *\[adapters\.{platform}\]$.*", out)
    lines = [line.strip() for line in table.splitlines()]
    switched_on = "\n".join(re.sub(r"^# (?=\w+ = |\[)", "", line) for line in lines)
    for text in (table, switched_on):
        keys = [line for line in text.splitlines() if re.match(r"\s*(\[|#|\w+ = |$)", line)]
        text = "\n".join(keys).replace('"NAME"', '"polly"')
        assert tomllib.loads(text)
        assert platform in parse(BOTS + text, config).adapters


async def test_setup_prints_a_manifest_that_slack_can_read(tmp_path: Path) -> None:
    _, out, _ = await run("setup", "slack", "--config", write(tmp_path))
    manifest = json.loads(out[out.index("{") : out.rindex("}") + 1])

    assert manifest["settings"]["socket_mode_enabled"] is True
    assert "chat:write" in manifest["oauth_config"]["scopes"]["bot"]
    assert manifest["features"]["app_home"]["messages_tab_enabled"] is True


# --- check --online --------------------------------------------------------------------------


async def test_check_online_logs_in_and_finds_nothing_wrong(tmp_path: Path) -> None:
    async with FakeSlack().serving() as slack, FakeTelegram().serving() as telegram:
        config = write(tmp_path, SLACK, TELEGRAM, slack=slack, telegram=telegram)
        secrets = slack_secrets(slack) | {"TELEGRAM_TOKEN": telegram.token}
        code, out, _ = await run("check", "--online", "--config", config, **secrets)

    assert code == 0, out
    assert "problem" not in out
    assert all(secret not in out for secret in secrets.values())


@pytest.mark.parametrize(
    ("scope", "verdict", "exit_code"),
    [("chat:write", "problem", 78), ("channels:history", "note", 0)],
)
async def test_check_online_names_the_scope_that_is_missing_and_the_place_to_add_it(
    scope: str, verdict: str, exit_code: int, tmp_path: Path
) -> None:
    async with FakeSlack().serving() as slack:
        slack.scopes.discard(scope)
        config = write(tmp_path, SLACK, slack=slack)
        code, out, _ = await run("check", "--online", "--config", config, **slack_secrets(slack))

    assert code == exit_code
    [finding] = [line for line in out.splitlines() if f"the scope {scope} is missing" in line]
    assert finding.startswith(verdict)
    assert "install the app again" in finding


async def test_check_online_says_that_a_token_is_wrong_without_showing_it(tmp_path: Path) -> None:
    async with FakeTelegram().serving() as telegram:
        telegram.revoked = True
        config = write(tmp_path, TELEGRAM, telegram=telegram)
        code, out, err = await run(
            "check", "--online", "--config", config, TELEGRAM_TOKEN=telegram.token
        )

    assert code == 78
    assert "token" in out
    assert telegram.token not in out + err


async def test_check_online_says_that_a_platform_cannot_be_reached(tmp_path: Path) -> None:
    async with FakeTelegram().serving() as telegram:
        config = write(tmp_path, TELEGRAM, telegram=telegram)
    code, out, err = await run(
        "check", "--online", "--config", config, TELEGRAM_TOKEN=telegram.token
    )

    assert code == 78
    assert "telegram" in out.lower()
    assert "problem" in out
    assert telegram.token not in out + err


# --- run -------------------------------------------------------------------------------------


async def test_one_daemon_answers_on_two_platforms_and_stops_politely(tmp_path: Path) -> None:
    async with FakeSlack().serving() as slack, FakeTelegram().serving() as telegram:
        config = write(tmp_path, SLACK, TELEGRAM, slack=slack, telegram=telegram)
        secrets = slack_secrets(slack) | {"TELEGRAM_TOKEN": telegram.token}
        daemon = await begin(["run", "--config", config], **secrets)
        await slack.until(lambda: slack.socket.live)
        asked: list[tuple[FakeSlack | FakeTelegram, str]] = [
            (slack, await slack.say("hello slack", channel="@ann")),
            (telegram, await telegram.say("hello telegram", channel="@ann")),
        ]
        for fake, id in asked:
            await fake.until(partial(fake.answers_to, id))
        daemon.send_signal(signal.SIGTERM)
        _, err = await daemon.communicate()

    assert daemon.returncode == 0
    assert "Traceback" not in err.decode()
    assert all(secret not in err.decode() for secret in secrets.values())
    assert "slack" in slack.answers_to(asked[0][1])[0].text


async def test_a_token_that_one_platform_refuses_leaves_the_others_alone(tmp_path: Path) -> None:
    async with FakeSlack().serving() as slack, FakeTelegram().serving() as telegram:
        telegram.revoked = True
        config = write(tmp_path, SLACK, TELEGRAM, slack=slack, telegram=telegram)
        secrets = slack_secrets(slack) | {"TELEGRAM_TOKEN": telegram.token}
        daemon = await begin(["run", "--config", config], **secrets)
        await slack.until(lambda: slack.socket.live)
        id = await slack.say("hello", channel="@ann")
        await slack.until(lambda: slack.answers_to(id))
        daemon.send_signal(signal.SIGTERM)
        _, err = await daemon.communicate()

    said = [line for line in err.decode().splitlines() if "refused" in line]
    assert len(said) == 1
    assert "BotFather" in said[0]
    assert all(secret not in err.decode() for secret in secrets.values())
