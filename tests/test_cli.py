"""The command line, run as people run it: processes, signals, exit codes, and what they say."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sqlite3
import sys
from asyncio import subprocess
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from test_canning import write_dataset

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ROOT = Path(__file__).parent.parent
START = "from botdaemon.cli import main; main(prog_name='botdaemon')"

CONFIG = """
[daemon]
log_format = "json"
grace_seconds = 30.0

[adapters.web]
kind = "web"
port = 0

[models.parrot]
kind = "echo"
delay_seconds = {delay}

[bots.polly]
kind = "text"
model = "parrot"

[bots.joe]
kind = "canned"
lines = "joe.jsonl"
from = "polly"
longest_typing_seconds = 0.0

[rooms.lounge]
bots = ["polly"]

[limits]
merge_seconds = 0.0
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write(tmp_path)


def write(directory: Path, delay: float = 0.0, more: str = "") -> Path:
    path = directory / "config.toml"
    path.write_text(CONFIG.format(delay=delay) + more)
    (directory / "joe.jsonl").write_text('{"text": "I am joe"}\n')
    return path


async def begin(*args: str | Path, code: str = START, **more: Any) -> subprocess.Process:
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    env = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, *args, env=env, **{**pipes, **more}
    )


async def run(
    *args: str | Path, say: str = "", code: str = START, cwd: Path | None = None
) -> tuple[int, str, str]:
    """Run a command to its end: (exit code, stdout, stderr)."""
    process = await begin(*args, code=code, cwd=cwd)
    out, err = (part.decode() for part in await process.communicate(say.encode()))
    assert "Traceback" not in err
    assert process.returncode is not None
    return process.returncode, out, err


class Daemon:
    """A daemon that runs, seen from outside."""

    def __init__(self, process: subprocess.Process, http: aiohttp.ClientSession) -> None:
        self.process = process
        self.http = http
        self.url = ""
        self.lines: list[str] = []

    async def read_until(self, text: str) -> str:
        assert self.process.stderr is not None
        while line := (await self.process.stderr.readline()).decode():
            self.lines.append(line)
            if text in line:
                return line
        raise AssertionError(f"it ended without saying {text!r}: {''.join(self.lines)}")

    async def ended(self) -> tuple[int, list[str]]:
        """(exit code, everything it wrote to stderr)"""
        assert self.process.stderr is not None
        self.lines += (await self.process.stderr.read()).decode().splitlines(keepends=True)
        assert "Traceback" not in "".join(self.lines)
        return await self.process.wait(), self.lines

    async def say(self, text: str) -> int:
        body = {"author": "ada", "text": text}
        async with self.http.post(f"{self.url}api/rooms/lounge/messages", json=body) as answer:
            assert answer.status == 202
            return int((await answer.json())["id"])

    async def hear(self, text: str, after: int = 0) -> dict[str, Any]:
        """The first message with this in it."""
        while True:
            url = f"{self.url}api/rooms/lounge/messages?after={after}&limit=100"
            async with self.http.get(url) as answer:
                messages: list[dict[str, Any]] = await answer.json()
            for message in messages:
                if text in message["text"]:
                    return message
            await asyncio.sleep(0.02)


@asynccontextmanager
async def daemon(config: Path) -> AsyncIterator[Daemon]:
    process = await begin("run", "--config", config)
    async with aiohttp.ClientSession() as http:
        it = Daemon(process, http)
        try:
            line = await it.read_until("in a browser")
            assert line.startswith("web: open http://127.0.0.1:")
            it.url = line.split()[2]
            yield it
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


def libraries(process: int) -> str:
    """What a process has loaded."""
    return Path(f"/proc/{process}/maps").read_text()


def change(config: Path, old: str, new: str) -> None:
    text = config.read_text()
    assert old in text
    config.write_text(text.replace(old, new))


def names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


def turns(directory: Path) -> list[str]:
    with closing(sqlite3.connect(directory / "data" / "botdaemon.db")) as db:
        return [state for (state,) in db.execute("SELECT state FROM turns ORDER BY id")]


# --- botdaemon run ---------------------------------------------------------------------------


async def test_a_daemon_answers_on_the_address_it_prints_and_remembers(config: Path) -> None:
    for restart in range(2):
        async with daemon(config) as it:
            asked = await it.say(f"hello {restart}")
            answer = await it.hear(f"hello {restart}", after=asked)
            assert (answer["author"], answer["bot"]) == ("polly", True)
            assert (await it.hear("hello 0"))["text"] == "hello 0"
            loaded = libraries(it.process.pid)
            it.process.send_signal(signal.SIGTERM if restart else signal.SIGINT)
            code, _ = await it.ended()

        assert code == 0
        assert "torch" not in loaded  # the daemon itself never loads it


async def test_every_turn_has_its_one_line_in_the_log_and_no_words_in_it(config: Path) -> None:
    async with daemon(config) as it:
        asked = await it.say("my secret diary")
        await it.hear("my secret diary", after=asked)
        it.process.terminate()
        _, lines = await it.ended()

    [line] = [json.loads(text) for text in lines if '"event": "turn"' in text]
    expected = {"turn": 1, "bot": "polly", "prompt_tokens": 3, "tokens": 3, "outcome": "answered"}
    assert expected == {key: line[key] for key in expected}
    for key in ("thread", "queue_ms", "first_token_ms", "total_ms"):
        assert line[key] >= 0
    assert line["total_ms"] >= line["queue_ms"]
    assert "diary" not in "".join(lines)
    events = [json.loads(text).get("event") for text in lines if text.startswith("{")]
    assert [event for event in events if event in ("ready", "stopping", "stopped")] == [
        "ready",
        "stopping",
        "stopped",
    ]


async def test_sigterm_finishes_the_answer_under_way(tmp_path: Path) -> None:
    async with daemon(write(tmp_path, delay=0.4)) as it:
        await it.say("finish what you began to say")
        await it.say("/status")
        await it.hear("answers under way: 1")
        it.process.terminate()
        code, lines = await it.ended()

    assert code == 0
    assert turns(tmp_path) == ["answered"]
    assert '"turns_left": 0' in "".join(lines)


async def test_a_second_signal_stops_at_once_and_the_answer_is_given_after_the_next_start(
    tmp_path: Path,
) -> None:
    async with daemon(write(tmp_path, delay=1000)) as it:
        asked = await it.say("this will take a while")
        await it.say("/status")
        await it.hear("answers under way: 1")
        it.process.terminate()
        await it.read_until('"event": "stopping"')
        it.process.terminate()
        code, _ = await it.ended()
    assert code == 0
    assert turns(tmp_path) == ["running"]
    async with daemon(write(tmp_path)) as it:
        await it.hear("this will take a while", after=asked)


async def test_a_second_daemon_on_the_same_data_is_refused(config: Path) -> None:
    async with daemon(config) as it:
        code, _, err = await run("run", "--config", config)

        assert code == 75
        assert f"another botdaemon (process {it.process.pid}) is using" in err
        asked = await it.say("still there?")
        await it.hear("still there?", after=asked)


async def test_a_port_in_use_is_said_in_one_sentence(tmp_path: Path) -> None:
    config = write(tmp_path)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        change(config, "port = 0", f"port = {port}")
        code, _, err = await run("run", "--config", config)

    assert code == 69
    [line] = [line for line in err.splitlines() if line.startswith("botdaemon: ")]
    assert f"127.0.0.1:{port} is already in use" in line


@pytest.mark.parametrize("command", ["run", "check"])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[daemon]\ndata_dir = "data\n', "config.toml:2: "),
        ('[daemon]\ndata_dri = "data"\n', "config.toml:2: daemon.data_dri: "),
        (None, "config.toml: there is no such file"),
    ],
)
async def test_mistakes_in_the_configuration_are_said_with_their_line(
    tmp_path: Path, command: str, text: str | None, said: str
) -> None:
    path = tmp_path / "config.toml"
    if text is not None:
        path.write_text(text)
    code, out, err = await run(command, "--config", path, cwd=tmp_path)

    assert (code, out) == (78, "")
    assert said in err
    assert ("data_dir" in err.replace("data_dri", "")) == (said.endswith("data_dri: "))
    assert names(tmp_path) == ([] if text is None else ["config.toml"])  # nothing was made


async def test_a_newer_database_keeps_the_daemon_from_starting(config: Path) -> None:
    data = config.parent / "data"
    data.mkdir()
    with closing(sqlite3.connect(data / "botdaemon.db")) as db:
        db.execute("PRAGMA user_version=999")
    code, _, err = await run("run", "--config", config)

    assert code == 78
    assert "was written by a newer botdaemon (schema 999" in err


async def test_a_data_directory_that_cannot_be_made_keeps_the_daemon_from_starting(
    config: Path,
) -> None:
    (config.parent / "data").write_text("a file is in the way")
    code, _, err = await run("run", "--config", config)
    assert code == 78
    assert "data cannot be written" in err
    code, out, _ = await run("check", "--config", config)
    assert code == 78
    assert "is not a directory" in out


def no_directory(path: Path) -> None:
    pass


def no_model(path: Path) -> None:
    path.mkdir()
    (path / "README.md").write_text("nothing here")


def pickle_only(path: Path) -> None:
    path.mkdir()
    (path / "config.json").write_text(
        '{"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}'
    )
    (path / "tokenizer.json").write_text("{}")
    (path / "pytorch_model.bin").write_bytes(b"\x80\x04.")


@pytest.mark.parametrize("command", ["run", "check"])
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (no_directory, "no such directory|there is no|does not exist|not there"),
        (no_model, "config.json"),
        (pickle_only, "safetensors"),
    ],
)
async def test_a_model_that_is_none_is_said_before_anybody_waits_for_it(
    tmp_path: Path, command: str, make: Any, said: str
) -> None:
    more = '\n[models.bad]\nkind = "transformers"\npath = "bad"\n'
    config = write(tmp_path, more=more)
    change(config, 'model = "parrot"', 'model = "bad"')
    make(tmp_path / "bad")
    code, out, err = await run(command, "--config", config)

    assert code == 78
    lines = [line for line in (out + err).splitlines() if "bad" in line]
    assert any(word in line for line in lines for word in said.split("|")), out + err


# --- botdaemon check -------------------------------------------------------------------------


async def test_check_says_that_all_is_well_and_never_imports_torch(config: Path) -> None:
    code = (
        "import sys\nfrom botdaemon.cli import main\n"
        "try: main(prog_name='botdaemon')\n"
        "finally: print('IMPORTED', *{'torch', 'transformers'} & set(sys.modules))"
    )
    status, out, err = await run("check", "--config", config, code=code)

    assert (status, err) == (0, "")
    *findings, imported = out.splitlines()
    assert imported.strip() == "IMPORTED"
    assert all(line.startswith("ok ") for line in findings)
    assert not (config.parent / "data").exists()  # it only looks


async def test_the_example_configuration_is_found_and_checked_where_it_lies() -> None:
    code, out, _ = await run("check", cwd=ROOT)

    assert "every key is understood" in out
    assert code in (0, 78)  # 78 until its models are there


# --- botdaemon chat --------------------------------------------------------------------------


async def test_chat_once_prints_the_answer_and_nothing_else(config: Path) -> None:
    code, out, err = await run("chat", "--config", config, "--once", "hi, how are you?")
    assert (code, out, err) == (0, "hi, how are you?\n", "")
    code, out, err = await run("chat", "--config", config, "--bot", "joe", "--once", "hi")
    assert (code, out, err) == (0, "I am joe\n", "")


async def test_lines_piped_into_chat_are_answered_in_turn(config: Path) -> None:
    code, out, err = await run("chat", "--config", config, say="good morning\nand how are you?\n")

    assert (code, err) == (0, "")
    assert 0 <= out.find("good morning") < out.find("and how are you?")


async def test_chat_works_beside_a_running_daemon(config: Path) -> None:
    async with daemon(config) as it:
        code, out, _ = await run("chat", "--config", config, "--once", "anybody there?")
        assert (code, out) == (0, "anybody there?\n")
        asked = await it.say("and here?")
        await it.hear("and here?", after=asked)


async def test_a_bot_that_is_not_there_is_said_with_those_that_are(config: Path) -> None:
    code, out, err = await run("chat", "--config", config, "--bot", "pole", "--once", "hi")

    assert (code, out) == (2, "")
    assert 'there is no such bot "pole" (there are: polly, joe)' in err


# --- botdaemon can ---------------------------------------------------------------------------


async def test_can_fills_the_file_and_goes_on_where_it_was(config: Path) -> None:
    lines = config.parent / "joe.jsonl"
    counts, texts = [], []
    for count in ("3", "6", "6"):
        code, out, _ = await run("can", "--config", config, "joe", "--count", count)
        assert (code, out) == (0, "")
        texts.append(lines.read_text())
        counts.append(len(texts[-1].splitlines()))

    assert counts == [3, 6, 6]
    assert texts[0].startswith('{"text": "I am joe"}\n')  # what was there stays
    assert texts[1].startswith(texts[0])
    assert texts[1] == texts[2]
    assert len({json.loads(line)["text"] for line in texts[2].splitlines()}) == 6


async def test_can_with_a_dataset_asks_what_was_said_there_and_gives_none_of_it_away(
    config: Path,
) -> None:
    """The echo says what it is told, so it would give away whatever it is asked."""
    dataset = write_dataset(config.parent / "friends")
    blocked = config.parent / "words.txt"
    blocked.write_text("Joke\n\n")
    code, out, err = await run(
        "can", "--config", config, "joe", "--count", "999", "--dataset", dataset,
        "--block", blocked, "--at-once", "4",
    )  # fmt: skip
    assert (code, out) == (1, "")
    lines = [json.loads(line) for line in (config.parent / "joe.jsonl").read_text().splitlines()]
    said = {line["text"] for line in lines}
    assert f"has {len(lines)} of 999 lines" in err
    assert "coming?" in said  # everybody says so
    assert "tell me a story" in said
    assert not said & {"where is it?", "tell me a joke"}
    report = err.splitlines()[-1]
    for reason in ("said before", "that are training messages", "with a blocked word"):
        assert re.search(rf"lines; left out: .*\d+ {reason}", report)
    assert "where is it?" not in err


async def test_can_without_what_finds_private_things_says_so(config: Path) -> None:
    lacking = f"import sys; sys.modules['phonenumbers'] = None; {START}"
    code, _, err = await run("can", "--config", config, "joe", "--count", "3", code=lacking)
    assert code == 0
    assert "no line is looked through for what is private" in err
    assert "needs the package phonenumbers" in err
    code, _, err = await run(
        "can", "--config", config, "joe", "--count", "3", "--dataset", "any", code=lacking
    )
    assert code == 78
    assert "needs the package phonenumbers" in err


async def test_can_for_a_bot_that_cannot_be_filled_says_why(config: Path) -> None:
    code, _, err = await run("can", "--config", config, "joe", "--dataset", config.parent)
    assert code == 65
    assert "dataset.json is missing" in err
    code, _, err = await run("can", "--config", config, "joe", "--block", config.parent / "none")
    assert code == 78
    assert "none cannot be read" in err
    code, _, err = await run("can", "--config", config, "polly")
    assert code == 2
    assert "(there are: joe)" in err
    change(config, 'from = "polly"\n', "")
    code, _, err = await run("can", "--config", config, "joe")
    assert code == 78
    assert 'from = "BOT"' in err
