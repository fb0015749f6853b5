"""The fake platforms, judged by clients that others wrote, in another language.

Each folder of tests/judges has a script that behaves like a bot and prints one line of JSON for
each thing it saw; here is the other side of the conversation. `npm ci` in that folder installs a
judge.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from asyncio.subprocess import PIPE
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fake_discord import FakeDiscord
from fake_slack import FakeSlack
from fake_telegram import FakeTelegram

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

JUDGES = Path(__file__).parent / "judges"


class Judge:
    """A judge at work. What it has seen is a list of JSON objects, each with a "seen"."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.seen: list[dict[str, Any]] = []

    async def saw(self, what: str) -> dict[str, Any]:
        """The next thing of this kind that it saw; others before it are passed over."""
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(40):
                while line := await self._process.stdout.readline():
                    self.seen.append(json.loads(line))
                    assert self.seen[-1]["seen"] != "error", self.seen[-1]
                    if self.seen[-1]["seen"] == what:
                        return self.seen[-1]
        except TimeoutError:
            raise AssertionError(f"the judge never saw {what!r}, but {self.seen}") from None
        assert self._process.stderr is not None
        complaint = (await self._process.stderr.read()).decode()
        raise AssertionError(f"the judge ended before it saw {what!r}: {complaint}")


@asynccontextmanager
async def judge(platform: str, *arguments: str, **environment: str) -> AsyncIterator[Judge]:
    """A judge, told through its environment where the fake is. It ends when its input does."""
    folder = JUDGES / platform
    node = shutil.which("node")
    if node is None or not (folder / "node_modules").is_dir():
        pytest.skip(f"the judge of {platform} is not installed: run `npm ci` in {folder}")
    process = await asyncio.create_subprocess_exec(
        node,
        *arguments,
        "judge.mjs",
        cwd=folder,
        env={"PATH": os.environ["PATH"], **environment},
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        yield Judge(process)
        assert process.stdin is not None
        process.stdin.close()
        async with asyncio.timeout(20):
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
        # Reads what is left of its output, so that no pipe stays open.
        await process.communicate()


async def discord() -> None:
    async with (
        FakeDiscord().serving() as fake,
        judge(
            "discord",
            "--import=./loopback.mjs",
            DISCORD_TOKEN=fake.token,
            FAKE_PORT=str(fake.port),
            NODE_EXTRA_CA_CERTS=str(fake.ca),
        ) as client,
    ):
        assert (await client.saw("ready"))["guilds"] == [fake.world.guild_name]
        id = await fake.say("hello")
        assert (await client.saw("message"))["text"] == "hello"
        assert await client.saw("answered") == {"seen": "answered", "to": "hello", "files": 1}
        assert await client.saw("edited") == {"seen": "edited", "text": "second", "files": 1}
        threaded = await client.saw("threaded")
        assert threaded["same"]
        assert threaded["history"] == ["second", "hello"]
        assert await client.saw("bridged") == {"seen": "bridged", "author": "Ada", "webhook": True}
        assert await client.saw("refused") == {"seen": "refused", "status": 400, "code": 50035}

        answer, in_thread = fake.answers_to(id)
        assert (answer.versions, answer.files) == (["first", "second"], [("answer.txt", b"a file")])
        assert (in_thread.text, in_thread.topic, answer.raw["pings"]) == ("in the thread", id, [])

        press = await fake.press(answer.id, "Again")
        assert (await client.saw("button"))["id"] == "again"
        await fake.until(lambda: fake.interaction(press).answer)
        assert fake.form(press) == {"words": "the same"}
        await fake.submit(press, words="other ones")
        assert await client.saw("form") == {
            "seen": "form",
            "words": "other ones",
            "about": "second",
        }
        assert fake.answers_to(id)[0].files == [("SPOILER_other.txt", b"another")]
        command = await fake.command("greet")
        assert (await client.saw("command"))["name"] == "greet"
        assert [shown.text for shown in fake.answers_to(command)] == ["hello"]
        await fake.react(answer.id, "🎉")
        assert (await client.saw("reaction"))["emoji"] == "🎉"
        await fake.say("listen", topic=id)
        assert (await client.saw("in thread"))["name"] == "a talk"
        await fake.say("look", files=[("a.txt", b"seen")])
        assert await client.saw("file") == {"seen": "file", "name": "a.txt", "text": "seen"}
        await fake.say("private", channel="@bob")
        assert (await client.saw("message"))["direct"]
        await fake.until(lambda: len(fake.shown("@bob")) == 2)
        await fake.delete(answer.id)
        assert (await client.saw("deleted"))["text"] == "third"

        await fake.drop()
        await client.saw("reconnecting")
        await client.saw("resumed")


async def slack() -> None:
    async with (
        FakeSlack().serving() as fake,
        judge(
            "slack",
            SLACK_API_URL=fake.base_url,
            SLACK_BOT_TOKEN=fake.bot_token,
            SLACK_APP_TOKEN=fake.app_token,
        ) as client,
    ):
        assert (await client.saw("login"))["user"] == fake.team.bot_user
        await client.saw("connected")
        question = await fake.say("hello", files=[("a.txt", b"a file")])
        assert await client.saw("message") == {
            "seen": "message",
            "text": "hello",
            "files": ["a.txt"],
            "content": ["a file"],
        }
        await client.saw("edited")
        assert (await client.saw("thread"))["texts"] == ["hello", "you said: hello"]
        await client.saw("uploaded")
        await client.saw("reacted")
        answer, upload, more = fake.answers_to(question)
        assert answer.versions == ["thinking", "you said: hello"]
        assert (upload.text, upload.files) == ("all of it", [("answer.txt", b"the whole answer")])
        assert [each["name"] for each in fake.shown("general")[0].raw["reactions"]] == ["eyes"]

        assert await fake.press(more.id, "More")
        assert (await client.saw("pressed"))["user"] == "ann"
        assert fake.answers_to(question)[-1].versions == ["more?", "no more"]
        await fake.command("ask", "cats")
        assert (await client.saw("command"))["text"] == "cats"
        assert [shown.text for shown in fake.ephemerals] == ["asked: cats"]
        await fake.react(answer.id, "🎉")
        assert (await client.saw("reaction_added"))["reaction"] == "tada"
        await fake.edit(question, "hello!")
        assert (await client.saw("message_changed"))["text"] == "hello!"

        await fake.say("draw", who="ann")
        assert (await client.saw("drawn"))["tries"] == 2
        picture = next(each for each in fake.shown("general") if each.buttons == ["Edit"])
        assert picture.files == [("cat.png", b"a cat")]
        assert await fake.press(picture.id, "Edit")
        await client.saw("opened")
        assert await fake.submit("a blue cat")
        submitted = await client.saw("submitted")
        assert (submitted["about"], submitted["text"]) == (picture.id, "a blue cat")

        await fake.drop()
        await fake.until(lambda: not fake.socket.live)
        await fake.until(lambda: fake.socket.live)
        asked = await fake.say("still there @botdaemon?", channel="@bob")
        assert (await client.saw("message"))["text"] == f"still there <@{fake.team.bot_user}>?"
        await client.saw("reacted")
        assert len(fake.answers_to(asked)) == 3


async def telegram() -> None:
    async with (
        FakeTelegram().serving() as fake,
        judge("telegram", TELEGRAM_BOT_TOKEN=fake.token, TELEGRAM_API_ROOT=fake.api_root) as client,
    ):
        assert (await client.saw("ready"))["name"] == fake.bot.name
        question = await fake.say("hello", channel="@ann")
        assert (await client.saw("message"))["text"] == "hello"
        assert "message is not modified" in (await client.saw("refused"))["description"]
        assert "can't parse entities" in (await client.saw("refused"))["description"]
        await client.saw("answered")
        assert [["thinking", "you said: hello"]] == [
            shown.versions for shown in fake.answers_to(question)
        ]
        assert [("@ann", "typing")] == [(typing.channel, typing.action) for typing in fake.typing]

        more = fake.shown("@ann")[-1]
        press = await fake.press(more.id, "More")
        assert (await client.saw("pressed"))["who"] == "ann"
        await client.saw("button answered")
        assert fake.toasts == [(press, "here is more")]
        assert fake.shown("@ann")[-1].versions == ["more?", "more!"]
        assert "there is no text" in (await client.saw("refused"))["description"]
        await client.saw("pictured")
        dot = fake.shown("@ann")[-1]
        assert (dot.text, dot.files[0][0]) == ("a dot", "dot.png")
        assert dot.raw["has_media_spoiler"]

        await fake.say("where to?", channel="team", topic="travel")
        assert (await client.saw("forum_topic_created"))["name"] == "travel"
        assert (await client.saw("message"))["topic"]
        await client.saw("answered")
        assert {shown.topic for shown in fake.shown("team")} == {"travel"}
        await fake.edit(question, "hello!")
        assert (await client.saw("edited_message"))["text"] == "hello!"
        await fake.react(question, "🔥")
        assert (await client.saw("message_reaction"))["emojiAdded"] == ["🔥"]
        await fake.promote("team")
        assert (await client.saw("my_chat_member"))["status"] == "administrator"

        await fake.drop()
        await fake.say("read", channel="@ann", files=[("a.txt", b"a file")])
        file = await client.saw("message:file")
        assert (file["caption"], file["text"]) == ("read", "a file")
        await client.saw("uploaded")
        answer = fake.shown("@ann")[-1]
        assert (answer.text, answer.files) == ("all of it", [("answer.txt", b"the whole answer")])
        await fake.command("stop", "now", channel="@ann")
        assert (await client.saw("command"))["match"] == "now"
        await client.saw("stopped")
        assert not fake.updates.waiting, "stopping confirms what was handled"


SCENARIOS = {"discord": discord, "slack": slack, "telegram": telegram}


@pytest.mark.parametrize("platform", sorted(SCENARIOS))
async def test_a_client_that_others_wrote_is_content_with_the_fake(platform: str) -> None:
    await SCENARIOS[platform]()


def test_every_judge_has_a_case() -> None:
    scripts = {script.parent.name for script in JUDGES.glob("*/judge.mjs")}
    assert scripts == set(SCENARIOS)
