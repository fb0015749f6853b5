"""The conversation: the lines of one person go in, what a bot says comes out.

Knows no store and no bot; it is a courier like any other. With `once` it delivers one text, prints
the answer and nothing else on stdout, and is done.
"""

from __future__ import annotations

import asyncio
import getpass
import signal
import sys
import time
import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TextIO

import click

from adapters.terminal.lines import Editor, Lines
from adapters.terminal.screen import Screen, clean
from botdaemon.errors import BotdaemonError, Undeliverable
from botdaemon.ports import Traits
from botdaemon.types import Address, Control, Identity, Kind, Message, Posted, Pressed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from botdaemon.ports import Deliver
    from botdaemon.types import Letter


class TerminalAdapter:
    """One person in front of one terminal, in conversation with one bot.

    `run` returns when they leave: at the end of the input, or by Ctrl-C at the prompt. Ctrl-C while
    a bot answers stops that answer. It takes SIGINT for itself while it runs.

    `patience`: seconds in which an answer may still come after a notice, or after a bot stopped
    working; a tenth of them after a command, which is mostly answered by a notice alone; and a
    thirtieth in which more of an answer may come, a file perhaps."""

    def __init__(
        self,
        name: str,
        bot: str,
        once: str | None = None,
        *,
        recent: Sequence[Message] = (),
        patience: float = 3.0,
        stdin: TextIO | None = None,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
    ) -> None:
        self.name = name
        self._bot = bot
        self._once = once
        self._recent = recent
        self._grace = patience
        self._stdout = stdout or sys.stdout
        self._stderr = stderr or sys.stderr
        self._address = Address(name, bot)
        account = _user()
        self._who = Identity(adapter=name, account=account, name=account)
        on_screen = once is None and self._stdout.isatty()
        self._screen = Screen(self._stdout) if on_screen else None
        own = stdin is None and stdout is None and sys.stdin is not None
        edited = own and on_screen and sys.stdin.isatty()
        self._input: Lines | Editor = Editor() if edited else Lines(stdin or sys.stdin)
        self.traits = Traits(
            dialect="plain",
            text_limit=2**31,
            edits_per_second=20.0 if self._screen else 0.0,
            file_limit=sys.maxsize,  # they lie on this machine already
        )
        #: set by whatever the conversation may be waiting for
        self._news = asyncio.Event()
        self._interrupted = False
        self._deaf = False
        #: bots at work here
        self._at_work = 0
        # the last thing said: when, whether it was a command, and what came of it
        self._said_at = 0.0
        self._commanding = self._worked = self._noticed = self._answered = False
        #: the finished messages as they were last shown
        self._shown: dict[str, str] = {}

    @property
    def exit_code(self) -> int:
        """What the process should end with: 1 if one answer was wanted and none came."""
        heard = self._answered or (self._commanding and self._noticed)
        return int(self._once is not None and not heard)

    # --- the person ---------------------------------------------------------------------------

    async def run(self, deliver: Deliver) -> None:
        """Take part until the person leaves."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self._interrupt)
        try:
            if self._once is not None:
                await self._exchange(self._once, deliver)
                return
            self._greet()
            while (line := await self._line()) is not None:
                if line.strip() and not await self._exchange(line.strip(), deliver):
                    return
        finally:
            loop.remove_signal_handler(signal.SIGINT)
            self._input.close()

    def _interrupt(self) -> None:
        self._interrupted = True
        self._news.set()

    def _greet(self) -> None:
        if self._screen is None:
            return
        for message in self._recent:
            if message.kind is Kind.SAID:
                line = f"{message.speaker}: {message.text}"
                self._screen.aside(clean(line, self._stdout))
        self._screen.aside(f"You talk to {self._bot}. Ctrl-C stops an answer, Ctrl-D leaves.")

    async def _line(self) -> str | None:
        """The next line of input, None when the person leaves."""
        if self._screen is not None:
            self._screen.ask(self._input.redraw)
        with self._input.watched(self._news.set):
            while (line := self._input.take()) is None:
                if self._input.ended or self._interrupted or self._deaf:
                    break
                self._news.clear()
                await self._news.wait()
        if self._screen is not None:
            self._screen.asked(newline=line is None)
        return line

    async def _exchange(self, text: str, deliver: Deliver) -> bool:
        """Say something and wait for everything that comes back; False to leave."""
        self._said_at = time.time()
        self._commanding = text.startswith(("/", "!"))
        self._worked = self._noticed = self._answered = self._interrupted = False
        key = uuid.uuid4().hex
        message = Message(
            address=self._address,
            text=text,
            sent_at=self._said_at,
            author=self._who,
            platform_id=key,
        )
        try:
            await deliver(Posted(key=key, message=message, direct=True))
        except BotdaemonError as error:
            self._notice(str(error))
            return True
        stopping = False
        while not self._deaf:
            self._news.clear()
            if self._interrupted:
                if stopping or self._once is not None:
                    return False
                self._interrupted, stopping = False, True
                await self._stop(deliver)
                continue
            try:
                async with asyncio.timeout(self._patience()):
                    await self._news.wait()
            except TimeoutError:
                return True
        return False

    def _patience(self) -> float | None:
        """Seconds to wait for more; None while it is certain that more will come."""
        if self._at_work:
            return None
        if self._answered or (self._noticed and self._worked):
            return self._grace / 30
        if self._noticed or self._worked:
            return self._grace / 10 if self._commanding else self._grace
        return None

    async def _stop(self, deliver: Deliver) -> None:
        pressed = Pressed(
            key=uuid.uuid4().hex,
            address=self._address,
            who=self._who,
            control=Control.STOP,
            at=time.time(),
        )
        try:
            await deliver(pressed)
        except BotdaemonError as error:
            self._notice(str(error))

    # --- the bot ------------------------------------------------------------------------------

    @asynccontextmanager
    async def typing(self, address: Address, bot: str) -> AsyncGenerator[None]:
        """Say so on a terminal, until there is something to read."""
        self._at_work += 1
        self._worked = True
        if self._screen is not None:
            self._screen.working(bot)
        try:
            yield
        finally:
            self._at_work -= 1
            if self._screen is not None:
                self._screen.working("")
            self._news.set()

    async def send(self, letter: Letter) -> str:
        """Print it. A letter that can be stopped is a draft and will be edited."""
        remote = uuid.uuid4().hex
        self._show(letter, remote)
        return remote

    async def edit(self, letter: Letter) -> None:
        """Let the message grow on the screen; in a pipe only the last state of it is printed."""
        self._show(letter, letter.remote)

    async def find(self, letter: Letter) -> str | None:
        """Nothing that was printed can be asked for again."""
        return None

    async def remove(self, letter: Letter) -> None:
        """What was printed stays printed, so it is only said that it is gone."""
        self._notice("(deleted)")
        self._noticed = True
        self._news.set()

    def _show(self, letter: Letter, remote: str) -> None:
        part = letter.part
        text = clean(f"[{part.file.name}]" if part.file else part.text, self._stdout)
        final = Control.STOP not in letter.controls
        # a letter that waited since before the question does not answer it
        fresh = not 0 < letter.created_at < self._said_at
        try:
            if self._shown.get(remote) != text:
                self._print(letter.speaker, text, remote, final=final, fresh=fresh)
        except BrokenPipeError:
            self._deaf = True
            raise Undeliverable("nobody reads the output any more") from None
        finally:
            self._news.set()
        if final:
            self._shown[remote] = text
            self._answered |= fresh and bool(letter.speaker)
            self._noticed |= fresh and not letter.speaker

    def _print(self, speaker: str, text: str, remote: str, *, final: bool, fresh: bool) -> None:
        wanted = bool(speaker) or self._commanding
        if not wanted or (self._once is not None and not fresh):
            self._notice(text)
        elif self._screen is not None:
            self._screen.say(remote, speaker, text, final=final)
        elif final:
            click.echo(text, file=self._stdout)

    def _notice(self, text: str) -> None:
        if self._screen is not None:
            self._screen.aside(text)
        else:
            click.echo(text, file=self._stderr)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a uid without a name
        return "you"
