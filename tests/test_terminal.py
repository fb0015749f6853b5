"""What the terminal promises, over real pipes, files and pseudo-terminals."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import signal
import struct
import sys
import termios
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from adapters.terminal import TerminalAdapter
from botdaemon.errors import BotdaemonError, Refused, StoreFull, Undeliverable
from botdaemon.ports import Courier
from botdaemon.types import (
    Address,
    Control,
    Event,
    File,
    Identity,
    Kind,
    Letter,
    Message,
    Part,
    Posted,
    Pressed,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
    from pathlib import Path

HERE = Address("terminal", "joe")


def letter(text: str, *, draft: bool = False, speaker: str = "joe", **more: object) -> Letter:
    settings: Any = {"id": 1, "key": "k", "address": HERE, "part": Part(text=text), **more}
    return Letter(speaker=speaker, controls=(Control.STOP,) if draft else (), **settings)


class House:
    """Answers what is delivered, as the dispatcher and the outbox do: with a sign of work around a
    first letter and its edits."""

    def __init__(self, answer: Callable[[House, str], Awaitable[None]] | None = None) -> None:
        self.adapter: TerminalAdapter
        self.events: list[Event] = []
        self._answer = answer or House.echo
        self._asked: asyncio.Queue[str] = asyncio.Queue()
        self.stopped = asyncio.Event()

    async def deliver(self, event: Event) -> int:
        self.events.append(event)
        if isinstance(event, Pressed):
            self.stopped.set()
        if isinstance(event, Posted):
            self._asked.put_nowait(event.message.text)
        return len(self.events)

    @property
    def said(self) -> list[str]:
        return [event.message.text for event in self.events if isinstance(event, Posted)]

    async def echo(self, text: str) -> None:
        await self.stream(f"you said {text}")

    async def stream(self, *drafts: str) -> None:
        """Show drafts, the last one final."""
        async with self.adapter.typing(HERE, "joe"):
            remote = await self.adapter.send(letter(drafts[0], draft=True))
            for draft in drafts[1:]:
                await asyncio.sleep(0)
                await self.adapter.edit(letter(draft, draft=True, remote=remote))
            await self.adapter.edit(letter(drafts[-1], remote=remote))

    async def _work(self) -> None:
        while True:
            await self._answer(self, await self._asked.get())

    async def host(self, adapter: TerminalAdapter) -> None:
        """Live as long as the person stays."""
        self.adapter = adapter
        async with asyncio.TaskGroup() as group:
            work = group.create_task(self._work())
            await adapter.run(self.deliver)
            work.cancel()


class Pipes:
    """Standard streams as a shell connects them."""

    def __init__(self, path: Path) -> None:
        stdin, self._write = os.pipe()
        self.stdin = os.fdopen(stdin)
        self._out, self._err = path / "out", path / "err"
        self.stdout = self._out.open("w", encoding="utf-8")
        self.stderr = self._err.open("w", encoding="utf-8")

    def type(self, data: str | bytes) -> None:
        os.write(self._write, data.encode() if isinstance(data, str) else data)

    def hang_up(self) -> None:
        if self._write >= 0:
            os.close(self._write)
            self._write = -1

    @property
    def out(self) -> str:
        return self._out.read_text(encoding="utf-8")

    @property
    def err(self) -> str:
        return self._err.read_text(encoding="utf-8")

    def adapter(self, once: str | None = None, **more: object) -> TerminalAdapter:
        streams: Any = {"stdin": self.stdin, "stdout": self.stdout, "stderr": self.stderr}
        return TerminalAdapter("terminal", "joe", once, patience=0.05, **(streams | more))

    def close(self) -> None:
        self.hang_up()
        for stream in (self.stdin, self.stdout, self.stderr):
            stream.close()


@pytest.fixture
def pipes(tmp_path: Path) -> Iterator[Pipes]:
    streams = Pipes(tmp_path)
    yield streams
    streams.close()


class Tty:
    """A pseudo-terminal: what is typed at it, and what it shows."""

    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
        self.stdin = os.fdopen(os.dup(self.slave), encoding="utf-8")
        self.stdout = os.fdopen(os.dup(self.slave), "w", encoding="utf-8")
        self.text = ""

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    async def shows(self, pattern: str) -> None:
        """Wait until the terminal shows this, and forget what came up to it."""
        loop = asyncio.get_running_loop()
        while not (match := re.search(pattern, self.text, re.DOTALL)):
            readable = loop.create_future()
            loop.add_reader(self.master, readable.set_result, None)
            try:
                await readable
            finally:
                loop.remove_reader(self.master)
            self.text += os.read(self.master, 65536).decode(errors="replace")
        self.text = self.text[match.end() :]

    def adapter(self, **more: object) -> TerminalAdapter:
        streams: Any = {"stdin": self.stdin, "stdout": self.stdout, "stderr": self.stdout}
        return TerminalAdapter("terminal", "joe", patience=0.05, **(streams | more))

    @asynccontextmanager
    async def hosting(self, house: House, **more: object) -> AsyncGenerator[None]:
        """Somebody sits at the terminal; they have left when this ends."""
        async with asyncio.TaskGroup() as group:
            group.create_task(house.host(self.adapter(**more)))
            await self.shows("Ctrl-D leaves.*> ")
            yield

    def close(self) -> None:
        self.stdin.close()
        with suppress(OSError):  # what it could not write before it went away
            self.stdout.close()
        os.close(self.slave)
        os.close(self.master)


@pytest.fixture
def tty() -> Iterator[Tty]:
    terminal = Tty()
    yield terminal
    terminal.close()


def test_the_terminal_is_a_courier(pipes: Pipes) -> None:
    assert isinstance(pipes.adapter(), Courier)


# --- one question ------------------------------------------------------------------------------


async def test_one_question_prints_its_answer_and_nothing_else_on_stdout(pipes: Pipes) -> None:
    house = House()
    adapter = pipes.adapter("hi, how are you?")
    await house.host(adapter)
    assert pipes.out == "you said hi, how are you?\n"
    assert pipes.err == ""
    assert adapter.exit_code == 0
    [event] = house.events
    assert isinstance(event, Posted)
    assert event.direct
    assert event.message.address == HERE
    assert event.key
    assert event.message.author is not None
    assert event.message.author.adapter == "terminal"


async def test_one_question_waits_for_all_parts_of_the_answer(pipes: Pipes) -> None:
    picture = File(sha256="0" * 64, name="cat.png", media_type="image/png", size=1)

    async def answer(house: House, text: str) -> None:
        async with house.adapter.typing(HERE, "joe"):
            pass  # the outbox comes after the turn
        await house.adapter.send(letter("Here is a cat:"))
        await house.adapter.send(letter("", part=Part(file=picture)))

    await House(answer).host(pipes.adapter("cat?"))
    assert pipes.out == "Here is a cat:\n[cat.png]\n"


async def test_notices_go_to_stderr_and_are_no_answer(pipes: Pipes) -> None:
    async def answer(house: House, text: str) -> None:
        async with house.adapter.typing(HERE, "joe"):
            await house.adapter.send(letter("The model failed.", speaker=""))

    adapter = pipes.adapter("hi")
    await House(answer).host(adapter)
    assert (pipes.out, pipes.err) == ("", "The model failed.\n")
    assert adapter.exit_code == 1


async def test_the_place_in_the_queue_is_not_taken_for_the_answer(pipes: Pipes) -> None:
    async def answer(house: House, text: str) -> None:
        async with house.adapter.typing(HERE, "joe"):
            await house.adapter.send(letter("You are second.", speaker=""))
            await asyncio.sleep(0.1)
            await house.adapter.send(letter("Hello!"))

    await House(answer).host(pipes.adapter("hi"))
    assert (pipes.out, pipes.err) == ("Hello!\n", "You are second.\n")


async def test_a_command_is_answered_by_the_daemon(pipes: Pipes) -> None:
    async def answer(house: House, text: str) -> None:
        await house.adapter.send(letter("All is well.", speaker=""))

    adapter = pipes.adapter("/status")
    await House(answer).host(adapter)
    assert (pipes.out, adapter.exit_code) == ("All is well.\n", 0)


async def test_what_is_taken_away_is_said_to_be_gone_and_ends_the_waiting(pipes: Pipes) -> None:
    async def answer(house: House, text: str) -> None:
        await house.adapter.remove(letter("", remote="1"))

    adapter = pipes.adapter("/delete")
    await House(answer).host(adapter)
    assert (pipes.out, pipes.err, adapter.exit_code) == ("", "(deleted)\n", 0)


async def test_silence_ends_with_a_status(pipes: Pipes) -> None:
    async def answer(house: House, text: str) -> None:
        async with house.adapter.typing(HERE, "joe"):
            pass

    adapter = pipes.adapter("hi")
    await House(answer).host(adapter)
    assert (pipes.out, adapter.exit_code) == ("", 1)


async def test_an_answer_to_an_earlier_question_is_not_the_answer(pipes: Pipes) -> None:
    async def answer(house: House, text: str) -> None:
        async with house.adapter.typing(HERE, "joe"):
            await house.adapter.send(letter("yesterday's news", created_at=1.0))
            await house.adapter.send(letter("Hello!"))

    await House(answer).host(pipes.adapter("hi"))
    assert (pipes.out, pipes.err) == ("Hello!\n", "yesterday's news\n")


@pytest.mark.parametrize("error", [Refused("Not now."), StoreFull("Not now.")])
async def test_a_question_that_is_not_taken_says_why(pipes: Pipes, error: BotdaemonError) -> None:
    async def deliver(event: Event) -> int:
        raise error

    adapter = pipes.adapter("hi")
    await adapter.run(deliver)
    assert (pipes.out, pipes.err, adapter.exit_code) == ("", "Not now.\n", 1)


async def test_ctrl_c_gives_up_one_question(pipes: Pipes) -> None:
    async def answer(house: House, text: str) -> None:
        async with house.adapter.typing(HERE, "joe"):
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()

    adapter = pipes.adapter("hi")
    await House(answer).host(adapter)
    assert adapter.exit_code == 1


# --- a conversation through pipes and files ----------------------------------------------------


async def test_every_line_of_a_pipe_is_answered_in_order(pipes: Pipes) -> None:
    house = House()
    pipes.type("one\n\n  \ntwo\r\nthr")
    pipes.type("ee \xe4".encode("latin-1"))
    pipes.hang_up()
    await house.host(pipes.adapter())
    assert house.said == ["one", "two", "three \ufffd"]
    assert pipes.out == "you said one\nyou said two\nyou said three \ufffd\n"


async def test_lines_that_come_late_are_waited_for(pipes: Pipes) -> None:
    async def answer(house: House, text: str) -> None:
        await house.echo(text)
        if text == "one":
            pipes.type("two\n")
        else:
            pipes.hang_up()

    pipes.type("one\n")
    await House(answer).host(pipes.adapter())
    assert pipes.out == "you said one\nyou said two\n"


async def test_a_very_long_line_is_one_message(pipes: Pipes, tmp_path: Path) -> None:
    house = House()
    path = tmp_path / "in"
    path.write_text("x" * 1_000_000 + "\nbye", encoding="utf-8")
    with path.open(encoding="utf-8") as stdin:
        await house.host(pipes.adapter(stdin=stdin))
    assert [len(text) for text in house.said] == [1_000_000, 3]


async def test_a_missing_or_closed_input_is_an_end(pipes: Pipes) -> None:
    with open(os.devnull, encoding="utf-8") as nothing:  # noqa: ASYNC230, PTH123
        await House().host(pipes.adapter(stdin=nothing))
    await House().host(pipes.adapter(stdin=nothing))


async def test_a_message_edited_twice_to_the_same_text_is_printed_once(pipes: Pipes) -> None:
    adapter = pipes.adapter()
    remote = await adapter.send(letter("Hel", draft=True))
    for _ in range(2):
        await adapter.edit(letter("Hello", remote=remote))
    assert pipes.out == "Hello\n"
    assert await adapter.find(letter("Hello")) is None


async def test_nobody_reading_the_output_ends_the_conversation(pipes: Pipes) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    refused = []

    async def answer(house: House, text: str) -> None:
        with pytest.raises(Undeliverable) as caught:
            await house.adapter.send(letter("Hello"))
        refused.append(caught.value)

    pipes.type("hi\n")
    stdout = os.fdopen(writer, "w", encoding="utf-8")
    await House(answer).host(pipes.adapter(stdout=stdout))
    assert len(refused) == 1
    with suppress(BrokenPipeError):
        stdout.close()


async def test_what_a_bot_says_cannot_move_the_cursor(pipes: Pipes) -> None:
    await pipes.adapter().send(letter("a\x1b[2Jb\x07\rc\x9bd\te\nf"))
    assert pipes.out == "a[2Jbcd e\nf\n"


# --- a terminal --------------------------------------------------------------------------------


def test_only_a_terminal_shows_drafts(pipes: Pipes, tty: Tty) -> None:
    assert tty.adapter().traits.edits_per_second > 0
    assert pipes.adapter().traits.edits_per_second == 0
    assert pipes.adapter("hi", stdout=tty.stdout).traits.edits_per_second == 0


async def test_an_answer_grows_on_the_terminal_where_it_began(tty: Tty) -> None:
    async def answer(house: House, text: str) -> None:
        await house.stream("Hel", "Hello", "Hello Ann")

    async with tty.hosting(House(answer)):
        tty.type("hi\n")
        await tty.shows(r"joe is writing.*\r\x1b\[K")
        await tty.shows(r"joe\x1b\[0m: Hello Ann\r\n> ")
        tty.type("\x04")
        await tty.shows("\r\n")


async def test_an_answer_that_changes_is_written_anew_over_its_lines(tty: Tty) -> None:
    async def answer(house: House, text: str) -> None:
        await house.stream("x" * 60 + "\n**bo", "bold")

    async with tty.hosting(House(answer)):
        tty.type("hi\n")
        await tty.shows(r"\*\*bo\x1b\[2A\r\x1b\[J[^\n]*joe\x1b\[0m: bold\r\n> ")
        tty.type("\x04")


async def test_ctrl_c_stops_the_answer_under_way_and_at_the_prompt_leaves(tty: Tty) -> None:
    async def answer(house: House, text: str) -> None:
        async with house.adapter.typing(HERE, "joe"):
            remote = await house.adapter.send(letter("On and on", draft=True))
            os.kill(os.getpid(), signal.SIGINT)
            await house.stopped.wait()
            await house.adapter.edit(letter("On and on", remote=remote))

    house = House(answer)
    async with tty.hosting(house):
        tty.type("hi\n")
        await tty.shows("On and on\r\n> ")
        pressed = house.events[-1]
        assert isinstance(pressed, Pressed)
        assert (pressed.control, pressed.address) == (Control.STOP, HERE)
        os.kill(os.getpid(), signal.SIGINT)
        await tty.shows("\r\n")


async def test_a_second_ctrl_c_leaves_a_bot_that_does_not_stop(tty: Tty) -> None:
    async def answer(house: House, text: str) -> None:
        async with house.adapter.typing(HERE, "joe"):
            os.kill(os.getpid(), signal.SIGINT)
            await house.stopped.wait()
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()

    async with tty.hosting(House(answer)):
        tty.type("hi\n")


async def test_what_was_said_before_is_shown_at_the_start(tty: Tty) -> None:
    ann = Identity(adapter="terminal", account="ann", name="Ann")
    recent = (
        Message(address=HERE, text="hi", sent_at=0.0, author=ann),
        Message(address=HERE, text="/status", sent_at=0.0, author=ann, kind=Kind.COMMAND),
        Message(address=HERE, text="All is well.", sent_at=0.0, kind=Kind.NOTICE),
        Message(address=HERE, text="hello\x1b[2J", sent_at=0.0, bot="joe"),
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(House().host(tty.adapter(recent=recent)))
        await tty.shows(r"\x1b\[2mAnn: hi\x1b\[0m\r\n\x1b\[2mjoe: hello\[2J\x1b\[0m.*> ")
        tty.type("\x04")


async def test_a_bot_that_writes_first_does_not_take_the_prompt_away(tty: Tty) -> None:
    house = House()
    async with tty.hosting(house):
        remote = await house.adapter.send(letter("By the", draft=True))
        await house.adapter.edit(letter("By the way", remote=remote))
        await tty.shows(r"\r\x1b\[K\S*joe\S*: By the way\r\n> $")
        await house.adapter.send(letter("We stop soon.", speaker=""))
        await tty.shows(r"\r\x1b\[K\x1b\[2mWe stop soon.\x1b\[0m\r\n> $")
        tty.type("\x04")


async def test_a_terminal_that_goes_away_is_an_end(tty: Tty) -> None:
    async with tty.hosting(House()):
        os.close(tty.master)
        tty.master = os.open(os.devnull, os.O_RDONLY)


EDITED = """
import asyncio, os, sys
from adapters.terminal import TerminalAdapter
from botdaemon.types import Address, Letter, Part

os.close(os.open(os.ttyname(0), os.O_RDWR))  # now Ctrl-C is for this process
adapter = TerminalAdapter("terminal", "joe", patience=0.05)

async def deliver(event):
    text = f"you said {event.message.text}"
    part = Part(text=text)
    await adapter.send(Letter(id=1, key="k", address=Address("t", "joe"), speaker="joe", part=part))
    return 1

asyncio.run(adapter.run(deliver))
sys.exit(adapter.exit_code)
"""


async def test_lines_can_be_edited_and_leaving_never_hangs(tty: Tty) -> None:
    before = termios.tcgetattr(tty.slave)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", EDITED),
        stdin=tty.slave,
        stdout=tty.slave,
        stderr=tty.slave,
        start_new_session=True,
    )
    await tty.shows("> ")
    tty.type("helo\x1b[Dl\n")  # a step to the left, and the missing letter
    await tty.shows("you said hello.*> ")
    tty.type("\x1b[A\n")  # the line before
    await tty.shows("you said hello.*> ")
    tty.type("half a li\x03")
    assert await process.wait() == 0
    assert termios.tcgetattr(tty.slave) == before
