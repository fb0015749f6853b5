"""What `botdaemon check` finds before anything is started."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from botdaemon.bots.canned import read_lines
from botdaemon.check import Overhead, Report, check
from botdaemon.config import ModelConfig, TransformersConfig, parse
from botdaemon.errors import ModelUnusable
from botdaemon.filters import too_slow

if TYPE_CHECKING:
    from collections.abc import Iterator

BOTS = """
[models.echo]
kind = "echo"
[models.gone]
kind = "transformers"
path = "models/gone"
[bots.ada]
kind = "text"
model = "echo"
persona = "You are Ada."
"""


def inspect(model: ModelConfig) -> str:
    if isinstance(model, TransformersConfig):
        raise ModelUnusable(f"there is no model directory {model.path}")
    return "echoes"


def weigh(_bot: str) -> Overhead:
    return Overhead(format=6, base=4, persona=20, notes=99, reply=50, context=256)


def look(directory: Path, text: str) -> Report:
    config = parse(text, directory / "config.toml")
    return check(config, inspect=inspect, weigh=weigh, lines=lambda path: len(read_lines(path)))


def found(report: Report) -> list[str]:
    return [str(finding) for finding in report.findings]


def test_a_sound_configuration_is_ok_line_by_line(tmp_path: Path) -> None:
    (tmp_path / "joe.jsonl").write_text('{"text": "Hm."}\n{"text": "Hi.", "to": "hello"}\n')
    report = look(
        tmp_path,
        """
        [adapters.web]
        kind = "web"
        port = 0
        [models.echo]
        kind = "echo"
        [bots.ada]
        kind = "text"
        model = "echo"
        [bots.joe]
        kind = "canned"
        lines = "joe.jsonl"
        """,
    )

    lines = found(report)
    costs = "256 tokens = format 6 + base 4 + persona 20 + reply 50"
    assert all(line.startswith("ok ") for line in lines), lines
    assert lines[1].startswith(f"ok       daemon.data_dir: {tmp_path}/data (will be made, ")
    assert lines[2:] == [
        "ok       adapters.web: 127.0.0.1 port 0 is free",
        "ok       models.echo: echoes",
        f"ok       bots.ada: {costs} + conversation 176, notes up to 99",
        "ok       bots.joe: 2 lines to choose from",
    ]
    assert report.exit_code == 0
    assert not (tmp_path / "data").exists()


def test_a_model_that_cannot_be_loaded_is_a_problem_with_its_line(tmp_path: Path) -> None:
    report = look(tmp_path, BOTS)

    missing = f"there is no model directory {tmp_path}/models/gone"
    assert report.problems == (f"{tmp_path}/config.toml:6: models.gone.path: {missing}",)
    assert report.exit_code == 78


def test_a_persona_that_leaves_no_place_for_a_conversation_is_a_problem(tmp_path: Path) -> None:
    config = parse(BOTS, tmp_path / "config.toml")
    report = check(
        config,
        inspect=lambda _: "a model",
        weigh=lambda _: Overhead(format=30, persona=200, reply=50, context=256),
        lines=lambda _: 0,
    )

    (problem,) = report.problems
    assert problem == (
        f"{tmp_path}/config.toml:10: bots.ada.persona: 256 tokens = format 30 + persona 200 + "
        "reply 50: nothing is left for the conversation; shorten the persona or lower max_tokens"
    )


def test_a_persona_that_leaves_little_and_examples_that_do_not_fit_are_worth_a_note(
    tmp_path: Path,
) -> None:
    config = parse(BOTS, tmp_path / "config.toml")
    report = check(
        config,
        inspect=lambda _: "a model",
        weigh=lambda _: Overhead(
            format=6, persona=150, examples=20, shown=1, of=3, reply=50, context=256
        ),
        lines=lambda _: 0,
    )

    assert report.problems == ()
    notes = [line for line in found(report) if line.startswith("note") and "bots.ada" in line]
    start = f"note     {tmp_path}/config.toml"
    little = "only 30 of 256 tokens are left for the conversation; shorten the persona, leave out"
    cut = "only 1 of 3 fit their budget; shorten them, or raise bots.ada.budget.examples"
    assert notes == [
        f"{start}:10: bots.ada.persona: {little} examples or lower max_tokens",
        f"{start}:7: bots.ada.examples: {cut}",
    ]


def test_every_broken_line_of_a_canned_bot_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "joe.jsonl").write_text('{"text": "Hm."}\n{"txet": "Hi."}\nHello\n')
    (tmp_path / "empty.jsonl").touch()
    bots = "".join(
        f'[bots.{name}]\nkind = "canned"\nlines = "{name}.jsonl"\n'
        for name in ("joe", "empty", "gone")
    )
    problems = look(tmp_path, bots).problems

    start = f"{tmp_path}/config.toml"
    assert [problem.partition(".jsonl")[0] for problem in problems] == [
        f"{start}:3: bots.joe.lines: {tmp_path}/joe",
        f"{start}:3: bots.joe.lines: {tmp_path}/joe",
        f"{start}:6: bots.empty.lines: the file has no lines yet",
        f"{start}:9: bots.gone.lines: {tmp_path}/gone",
    ]
    assert ".jsonl:2: " in problems[0]
    assert ".jsonl:3: " in problems[1]


def test_a_port_in_use_is_worth_a_look_but_no_problem(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        report = look(tmp_path, f'{BOTS}[adapters.web]\nkind = "web"\nport = {port}\n')

    assert (
        f"note     {tmp_path}/config.toml:13: adapters.web.port: 127.0.0.1 port {port} is in use, "
        "which is fine if it is by this daemon"
    ) in found(report)
    assert "adapters.web" not in "".join(report.problems)


@pytest.mark.parametrize(
    ("host", "problem"),
    [
        ("203.0.113.7", "cannot listen on 203.0.113.7 port 0: Cannot assign requested address"),
        ("no.such.host.invalid", 'there is no host "no.such.host.invalid"'),
        ("a" * 300, f'there is no host "{"a" * 300}"'),
    ],
)
def test_an_address_that_is_not_this_machines_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, problem: str
) -> None:
    monkeypatch.setenv("WEB_TOKEN", "correct horse battery")
    web = f'[adapters.web]\nkind = "web"\nhost = "{host}"\nport = 0\ntoken_env = "WEB_TOKEN"\n'

    assert (
        f"{tmp_path}/config.toml:13: adapters.web.host: {problem}"
        in look(tmp_path, BOTS + web).problems
    )


def test_a_token_must_be_readable_and_better_not_for_everybody(tmp_path: Path) -> None:
    token = tmp_path / "token"
    text = f'{BOTS}[adapters.web]\nkind = "web"\nport = 0\ntoken_file = "token"\n'
    place = f"{tmp_path}/config.toml:14: adapters.web.token_file: "

    assert (
        f"{place}{token} cannot be read: No such file or directory" in look(tmp_path, text).problems
    )

    token.write_text("correct horse battery")
    token.chmod(0o644)
    assert f"note     {place}every user can read it; better: chmod 600 {token}" in found(
        look(tmp_path, text)
    )

    token.chmod(0o600)
    lines = found(look(tmp_path, text))
    assert "ok       adapters.web: the token can be read" in lines
    assert not any("chmod" in line or "battery" in line for line in lines)


def test_a_data_directory_that_cannot_be_one_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    place = f"{tmp_path}/config.toml:2: daemon.data_dir: "

    for named, problem in (
        ("data", f"{tmp_path}/data is not a directory"),
        ("data/inside", f"{tmp_path}/data is not a directory"),
        ("x" * 300, f"{tmp_path}/{'x' * 300} cannot be used: File name too long"),
    ):
        problems = look(tmp_path, f'[daemon]\ndata_dir = "{named}"\n{BOTS}').problems
        assert place + problem in problems


@pytest.fixture
def ordinary_user() -> Iterator[None]:
    """Permissions do not stop root: be somebody else for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.usefixtures("ordinary_user")
def test_a_data_directory_of_somebody_else_is_a_problem() -> None:
    with tempfile.TemporaryDirectory() as mine:
        inside = Path(mine, "closed", "data")
        inside.parent.mkdir(mode=0o500)
        for mode, problem in (
            (0o500, f"{inside.parent} cannot be written to by this user"),
            (0o000, f"{inside} cannot be used: Permission denied"),
        ):
            inside.parent.chmod(mode)
            (first, *_) = look(Path(mine), f'[daemon]\ndata_dir = "{inside}"\n{BOTS}').problems
            assert first == f"{mine}/config.toml:2: daemon.data_dir: {problem}"


def test_bots_that_nobody_can_reach_are_worth_a_look(tmp_path: Path) -> None:
    assert "note     there is no adapter: only `botdaemon chat` reaches the bots" in found(
        look(tmp_path, BOTS)
    )


def test_a_pattern_that_can_take_for_ever_is_a_problem_with_its_line(tmp_path: Path) -> None:
    text = r"""
[filters.heard]
words = ["zilch"]
patterns = ['\d{3}-\d{4}']
[models.echo]
kind = "echo"
[bots.ada]
kind = "text"
model = "echo"
[bots.ada.filters.said]
action = "mask"
patterns = ['(\w+\s?)+$']
"""
    config = parse(text, tmp_path / "config.toml")
    report = check(config, inspect=inspect, weigh=weigh, lines=lambda _: 1, too_slow=too_slow)

    assert "ok       filters.heard: 1 words and 1 patterns to block" in found(report)
    [problem] = report.problems
    assert problem.startswith(
        rf'{tmp_path / "config.toml"}:12: bots.ada.filters.said.patterns: "(\w+\s?)+$" takes too'
    )


def test_the_folder_of_records_has_to_be_usable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    report = look(tmp_path, f'[records]\ndirectory = "file"\n{BOTS}')

    assert f"records.directory: {tmp_path / 'file'} is not a directory" in report.problems[0]
