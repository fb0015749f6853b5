"""Discord, Slack and Telegram side by side, the people on them, and a daemon that dies and comes
back. What is judged is what people see there."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fake_discord import FakeDiscord
from fake_slack import FakeSlack
from fake_telegram import FakeTelegram

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from fake_faults import Shown

HERE = Path(__file__).parent
NAMES = ("discord", "slack", "telegram")
#: what Telegram's answers begin as, and what is left where nobody knows of it
PLACEHOLDER = "\u2026"
#: what every answer ends with
LAST_WORDS = "this is what I say."
#: seconds for what should take one
PATIENCE = 20.0
#: people on each platform
PEOPLE = 12
#: channels on each platform
ROOMS = 3

_numbers = itertools.count(1)
_turns = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Question:
    """Something a person said. No two say the same."""

    platform: str
    id: str
    text: str


def last_words(log: Path) -> str:
    lines = log.read_text().splitlines()
    return "the daemon's last words were:\n  " + "\n  ".join(lines[-30:] or ["none"])


class Daemons:
    """Where daemons come from: a process that has everything imported, so that a life begins at
    once. There is one daemon at a time."""

    def __init__(self) -> None:
        self._life = 0
        self._death: asyncio.Task[int] | None = None
        self._source = subprocess.Popen(
            [sys.executable, str(HERE / "platform_daemon.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=HERE.parent,
            env={"PYTHONPATH": f"{HERE.parent}:{HERE}", "PATH": ""},
        )

    def __enter__(self) -> Daemons:
        return self

    def __exit__(self, *_: object) -> None:
        self._source.kill()
        self._source.communicate()

    async def begin(self, orders: dict[str, Any]) -> None:
        assert self._death is None, "a daemon lives already"
        assert self._source.stdin is not None
        self._source.stdin.write(json.dumps(orders).encode() + b"\n")
        self._source.stdin.flush()
        self._life = await self._told()
        self._death = asyncio.create_task(self._told())

    async def died(self, patience: float) -> int | None:
        """Wait until it has died: how, or None when it lives on."""
        assert self._death is not None
        await asyncio.wait([self._death], timeout=patience)
        if not self._death.done():
            return None
        status, self._death = self._death.result(), None
        return status

    async def kill(self) -> None:
        if self._death is not None:
            with suppress(ProcessLookupError):  # it was quicker
                os.kill(self._life, signal.SIGKILL)
            await self._death
            self._death = None

    async def _told(self) -> int:
        assert self._source.stdout is not None
        line = await asyncio.to_thread(self._source.stdout.readline)
        assert line, "platform_daemon.py has ended; above it says why"
        return int(line)


class World:
    """Three platforms, and the daemon through its lives."""

    def __init__(
        self,
        daemons: Daemons,
        directory: Path,
        discord: FakeDiscord,
        slack: FakeSlack,
        telegram: FakeTelegram,
    ) -> None:
        self._daemons = daemons
        self.discord = discord
        self.slack = slack
        self.telegram = telegram
        self.fakes: dict[str, FakeDiscord | FakeSlack | FakeTelegram] = {
            "discord": discord,
            "slack": slack,
            "telegram": telegram,
        }
        self.directory = directory
        self.lives = 0
        self._log = directory / "log"
        self._waiting: dict[tuple[str, str], Question] = {}
        self._turn: dict[tuple[str, str], int] = {}
        self._topics: dict[str, str] = {}

    # --- the daemon -------------------------------------------------------------------------------

    async def live(self, *, point: str = "", **more: Any) -> None:
        """Begin a life, which ends at the point, or when it is killed."""
        self.lives += 1
        discord, slack, telegram = self.discord, self.slack, self.telegram
        await self._daemons.begin(
            {
                "directory": str(self.directory),
                "platforms": {
                    "discord": {
                        "token": discord.token,
                        "port": discord.port,
                        "ca": str(discord.ca),
                    },
                    "slack": {
                        "token": slack.bot_token,
                        "app_token": slack.app_token,
                        "url": slack.base_url,
                    },
                    "telegram": {
                        "token": telegram.token,
                        "url": telegram.base_url,
                        "files": telegram.base_file_url,
                    },
                },
                "point": point,
                **more,
            }
        )

    async def connected(self) -> None:
        """Wait until the daemon listens, for the first time: nobody answers what was said before
        an account ever was there."""
        await self.discord.until(lambda: self.discord.gateway.logins)
        await self.slack.until(lambda: self.slack.socket.live)

    async def dies(self, point: str) -> None:
        """Wait until it has killed itself."""
        status = await self._daemons.died(PATIENCE)
        assert status is not None, f"not every platform came to {point!r}; {last_words(self._log)}"
        assert status == -signal.SIGKILL, last_words(self._log)

    async def kill(self) -> None:
        await self._daemons.kill()

    # --- people -----------------------------------------------------------------------------------

    async def ask(
        self,
        platform: str,
        manner: str = "quickly",
        *,
        bot: str = "",
        in_thread: bool = False,
    ) -> Question:
        """Somebody asks who waits for nothing: what one person says in a row is answered in one.
        The bot is named that is meant."""
        who = await self._somebody(platform)
        text = f"{bot}, answer".lstrip(", ") + f" {manner} no {next(_numbers):05}"
        room = f"room-{int(who[3:]) % ROOMS}"
        match platform:
            case "discord":
                topic = "plans" if in_thread else ""
                said = f"{self.discord.mention} {text}"
                id = await self.discord.say(said, channel=room, topic=topic, who=who)
            case "slack" if in_thread:
                topic = self._topics.get(who) or await self.slack.say("hello", channel=f"@{who}")
                self._topics[who] = topic
                id = await self.slack.say(text, channel=f"@{who}", topic=topic)
            case "slack":
                id = await self.slack.say(f"@botdaemon {text}", channel=room, who=who)
            case _ if in_thread:
                said = f"@{self.telegram.bot.name} {text}"
                id = await self.telegram.say(said, channel="forum", topic=room, who=who)
            case _:
                id = await self.telegram.say(text, channel=f"@{who}")
        self._waiting[platform, who] = question = Question(platform, id, text)
        return question

    async def _somebody(self, platform: str) -> str:
        def free() -> list[str]:
            everybody = [f"ann{number}" for number in range(PEOPLE)]
            return [
                who
                for who in everybody
                if (asked := self._waiting.get((platform, who))) is None or self.answered(asked)
            ]

        await self.fakes[platform].until(free, timeout=2 * PATIENCE)
        who = min(free(), key=lambda who: self._turn.get((platform, who), 0))
        self._turn[platform, who] = next(_turns)
        return who

    async def correct(self, question: Question) -> None:
        """Somebody changes what they said."""
        opening = {"discord": self.discord.mention, "slack": "@botdaemon"}
        text = f"{opening.get(question.platform, '')} {question.text} (please)".lstrip()
        channel = {"discord": "room-0", "telegram": "general"}.get(question.platform, "")
        await self.fakes[question.platform].edit(question.id, text, channel)

    async def repeat(self, question: Question) -> None:
        """The platform delivers once more what was said."""
        await self.fakes[question.platform].redeliver(question.id)

    # --- what people see --------------------------------------------------------------------------

    def answers(self, question: Question) -> list[Shown]:
        """What answers a question, without empty messages."""
        if question.platform == "discord" and question.text.startswith("comic"):
            return self._by_webhook(question)
        shown = self.fakes[question.platform].answers_to(question.id)
        return [each for each in shown if not _is_empty(each)]

    def _by_webhook(self, question: Question) -> list[Shown]:
        """On Discord, what speaks under a name of its own answers nothing in particular: it does
        so by its words, and what is left of a draft counts against everybody."""
        shown = [each for room in range(ROOMS) for each in self.discord.shown(f"room-{room}", "*")]
        spoken = [each for each in shown if "webhook_id" in each.raw]
        return [
            each
            for each in spoken
            if question.text in each.text or not each.text.rstrip().endswith(LAST_WORDS)
        ]

    def answered(self, question: Question) -> bool:
        """Whether a whole answer is there, not only a draft of it."""
        return any(_is_whole(each, question) for each in self.answers(question))

    def orphans(self) -> int:
        """Empty messages on Telegram."""
        return sum(
            _is_empty(shown)
            for chat in self.telegram.world.chats.values()
            for shown in self.telegram.shown(str(chat.id))
        )

    def ambiguous(self) -> int:
        """Sends to Telegram of which the daemon could not know what became of them: their answer
        was thrown away, or the daemon died before it had recorded it."""
        lines = (self.directory / "sends").read_text().splitlines()
        attempts, failed = lines.count("telegram attempted"), lines.count("telegram failed")
        known = {line for line in lines if line.startswith("telegram known")}
        return self.telegram.faults.lost + attempts - failed - len(known)

    def problems(self, questions: Iterable[Question]) -> list[str]:
        """What is wrong with what people see: a sentence for each question that is not answered
        exactly once."""
        found = []
        for question in questions:
            answers = self.answers(question)
            what = f"{question.platform}: {question.text!r}"
            if not answers:
                found.append(f"{what} is lost")
            elif len(answers) > 1:
                found.append(f"{what} is answered twice: {[each.text for each in answers]}")
            elif not _is_whole(answers[0], question):
                found.append(f"{what} is only answered by {answers[0].text!r}")
        return found

    def explained(self, problems: list[str]) -> str:
        """Problems, and what was seen on their platforms."""
        platforms = {problem.partition(":")[0] for problem in problems}
        seen = [f"{name}: {self.fakes[name].seen()}" for name in sorted(platforms)]
        return "\n".join([*problems, *seen, last_words(self._log)])

    async def finished(self, questions: list[Question], patience: float = PATIENCE) -> list[str]:
        """Let the daemon finish, and look for problems when nothing is left for it to do."""
        try:
            async with asyncio.timeout(patience):
                for question in questions:
                    await self.fakes[question.platform].until(
                        partial(self.answered, question), patience + 1
                    )
        except TimeoutError:
            pass  # it is among the problems
        last = [await self.ask(platform) for platform in NAMES]
        for question in last:
            await self.fakes[question.platform].until(partial(self.answered, question))
            await self.read_up_to(question)
        await self._until_on_disk(
            "the daemon owes nobody anything",
            """SELECT NOT EXISTS (SELECT * FROM turns WHERE state IN ('waiting', 'running'))
            AND NOT EXISTS (SELECT * FROM letters WHERE state IN ('ready', 'sending'))""",
        )
        return self.problems([*questions, *last])

    async def read_up_to(self, question: Question) -> None:
        """Wait until the daemon has noted that it missed nothing before this question."""
        if question.platform == "telegram":
            return  # it has a queue, and keeps no note
        fake = self.fakes[question.platform]
        await fake.until(partial(self.answers, question))
        its = self.answers(question)[0].raw
        await self._until_on_disk(
            f"{question.platform} is read up to {question.text!r}",
            """SELECT count(*) FROM cursors
            WHERE adapter = ? AND channel = ? AND CAST(last AS REAL) >= CAST(? AS REAL)""",
            question.platform,
            its.get("channel_id") or its["channel"],
            question.id,
        )

    async def _until_on_disk(self, what: str, true: str, *parameters: str) -> None:
        uri = f"file:{self.directory}/botdaemon.db?mode=ro"
        # No event tells one process what another one writes, so it looks again and again.
        try:
            async with asyncio.timeout(PATIENCE):
                with closing(sqlite3.connect(uri, uri=True)) as db:
                    while not db.execute(true, parameters).fetchone()[0]:  # noqa: ASYNC110
                        await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"waited {PATIENCE:.0f} s in vain until {what}") from None


def _is_empty(shown: Shown) -> bool:
    return shown.text.removeprefix("comic: ") == PLACEHOLDER


def _is_whole(shown: Shown, question: Question) -> bool:
    return question.text in shown.text and shown.text.rstrip().endswith(LAST_WORDS)


@asynccontextmanager
async def three_platforms(daemons: Daemons, directory: Path) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        discord = await stack.enter_async_context(FakeDiscord().serving())
        slack = await stack.enter_async_context(FakeSlack().serving())
        telegram = await stack.enter_async_context(FakeTelegram().serving())
        slack.retry_factor = 0.02  # a minute is a second
        stack.push_async_callback(daemons.kill)
        yield World(daemons, directory, discord, slack, telegram)
