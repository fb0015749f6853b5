"""Slack's own promises, over its real client library and a Slack on loopback."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from fake_faults import Answer, Delay, RateLimit, Reset, Status5xx
from fake_slack import FakeSlack
from house import Home, SayingBot, home, surroundings
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.slack import SlackAdapter, mrkdwn
from adapters.slack.blocks import SECTION, sections
from adapters.slack.guide import guide, manifest
from adapters.slack.probe import probe
from botdaemon.commands import COMMANDS
from botdaemon.config import SlackConfig
from botdaemon.errors import AdapterDown, AdapterRefused, StoreFull, TryLater, Undeliverable
from botdaemon.store import Store, open_store
from botdaemon.types import (
    Address,
    Command,
    Deleted,
    Draft,
    Edited,
    Event,
    File,
    Letter,
    Part,
    Posted,
    Reacted,
    Room,
    Turn,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable
    from pathlib import Path


@pytest.fixture
async def fake() -> AsyncIterator[FakeSlack]:
    async with FakeSlack().serving() as serving:
        yield serving


def table(fake: FakeSlack, **more: Any) -> SlackConfig:
    return SlackConfig(
        **{
            "kind": "slack",
            "token_env": "BOT",
            "app_token_env": "APP",
            "base_url": fake.base_url,
            **more,
        }
    )


@dataclass
class Set:
    """A daemon with a Slack adapter, and the Slack it is connected to."""

    fake: FakeSlack
    home: Home
    adapter: SlackAdapter

    def finished(self, id: str) -> list[str]:
        """The answers to a message that are final: only those have buttons other than Stop."""
        return [one.text for one in self.fake.answers_to(id) if "Regenerate" in one.buttons]

    async def until_finished(self, id: str) -> None:
        await self.fake.until(lambda: self.finished(id))

    async def answered(self, id: str) -> str:
        """The one answer to a message, once it is final."""
        await self.until_finished(id)
        (answer,) = self.fake.answers_to(id)
        return answer.text


def adapter_for(
    fake: FakeSlack, store: Store, *bots: str, around: dict[str, Any] | None = None, **more: Any
) -> SlackAdapter:
    return SlackAdapter(
        "slack",
        table(fake, **more),
        fake.bot_token,
        fake.app_token,
        surroundings(store, *bots, **(around or {})),
    )


@asynccontextmanager
async def daemon(
    fake: FakeSlack,
    directory: Path,
    *,
    bots: dict[str, Any] | None = None,
    around: dict[str, Any] | None = None,
    house: dict[str, Any] | None = None,
    **more: Any,
) -> AsyncIterator[Set]:
    before = len(calls(fake, "conversations.history"))
    bots = bots or {"bot": SayingBot()}
    made: list[SlackAdapter] = []

    def connect(store: Store) -> list[SlackAdapter]:
        made.append(adapter_for(fake, store, *bots, around=around, **more))
        return made

    async with home(directory, bots, connect=connect, keep=True, **(house or {})) as there:
        await fake.until(lambda: len(fake.socket.live) == 2)
        await caught_up(fake, before)
        yield Set(fake, there, made[0])
    await fake.until(lambda: not fake.socket.live)


@dataclass
class Ears:
    """What the adapter reports, without a house behind it."""

    fake: FakeSlack
    adapter: SlackAdapter
    store: Store
    events: list[Event] = field(default_factory=list)
    refuse: int = 0
    """How many events there is no space for."""
    words: int = 1

    async def deliver(self, event: Event) -> int:
        if self.refuse:
            self.refuse -= 1
            raise StoreFull("the disk is full")
        self.events.append(event)
        self.fake.changed()
        return self.words

    async def heard(self, kind: type[Any], which: Callable[[Any], bool] = lambda _: True) -> Any:
        """The first event of a kind that is the one."""

        def found() -> list[Any]:
            return [one for one in self.events if isinstance(one, kind) and which(one)]

        await self.fake.until(found)
        return found()[0]

    @property
    def texts(self) -> list[str]:
        """What was said, without what was said before anybody listened."""
        said = [event for event in self.events if isinstance(event, Posted)]
        return [event.message.text for event in said if not event.past]


@asynccontextmanager
async def ears(
    fake: FakeSlack, directory: Path, *, around: dict[str, Any] | None = None, **more: Any
) -> AsyncIterator[Ears]:
    before = len(calls(fake, "conversations.history"))
    async with open_store(directory) as store:
        adapter = adapter_for(fake, store, "bot", around=around, **more)
        listening = Ears(fake, adapter, store)
        running = asyncio.create_task(adapter.run(listening.deliver))
        running.add_done_callback(lambda _: fake.changed())
        try:
            await fake.until(lambda: running.done() or len(fake.socket.live) == 2)
            if running.done():
                await running
            await caught_up(fake, before)
            yield listening
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError, AdapterDown, AdapterRefused):
                await running


async def caught_up(fake: FakeSlack, before: int) -> None:
    """Until a history was asked for what was missed: what is said from now on comes live."""
    await fake.until(lambda: len(calls(fake, "conversations.history")) > before)


def calls(fake: FakeSlack, method: str) -> list[Any]:
    """The arguments of the calls of a method that were answered."""
    return [call.payload for call in fake.calls if call.path == f"/api/{method}" and call.status]


# --- where answers land ---------------------------------------------------------------------------


async def test_a_mention_in_a_channel_is_answered_in_the_thread_under_it(
    fake: FakeSlack, tmp_path: Path
) -> None:
    async with daemon(fake, tmp_path) as there:
        id = await fake.say("@botdaemon hello")
        assert await there.answered(id) == "you said: hello"
        assert [one.topic for one in fake.answers_to(id)] == [id]


async def test_a_follow_up_in_the_thread_needs_no_mention(fake: FakeSlack, tmp_path: Path) -> None:
    async with daemon(fake, tmp_path) as there:
        first = await fake.say("@botdaemon hello")
        await there.answered(first)
        second = await fake.say("and again", topic=first)
        await fake.until(lambda: any("and again" in text for text in there.finished(second)))
        assert fake.answers_to(second)[0].topic == first


async def test_a_direct_message_is_answered_beside_it(fake: FakeSlack, tmp_path: Path) -> None:
    async with daemon(fake, tmp_path) as there:
        id = await fake.say("hello", channel="@ann")
        await there.answered(id)
        assert [one.topic for one in fake.answers_to(id)] == [""]


async def test_a_thread_in_a_direct_message_stays_a_thread(fake: FakeSlack, tmp_path: Path) -> None:
    async with daemon(fake, tmp_path) as there:
        root = await fake.say("hello", channel="@ann")
        await there.answered(root)
        id = await fake.say("in private", channel="@ann", topic=root)
        await fake.until(lambda: any("in private" in text for text in there.finished(id)))
        assert [one.topic for one in fake.shown("@ann", root)][-1] == root


async def test_a_channel_of_a_room_is_one_conversation(fake: FakeSlack, tmp_path: Path) -> None:
    general = fake.team.general.id
    room = Room(id=0, name="den", bots=("bot",), host="bot", configured=True)
    house = {"rooms": {"den": room}, "channels": {Address("slack", general): "den"}}
    around = {"shared": frozenset({general})}
    async with daemon(fake, tmp_path, house=house, around=around) as there:
        id = await fake.say("hello all")
        await fake.until(lambda: any(one.buttons for one in fake.shown("general", "")))
        answer = fake.shown("general", "")[-1]
        assert (answer.topic, answer.id > id) == ("", True)
        assert there.adapter.name == "slack"


async def test_a_group_message_is_no_direct_one(fake: FakeSlack, tmp_path: Path) -> None:
    group = fake.team.direct([fake.team.user("ann"), fake.team.user("ben")])
    async with ears(fake, tmp_path) as listening:
        id = await fake.say("hello you two", channel=group.id, who="ann")
        event = await listening.heard(Posted)
        assert not event.direct
        assert event.message.address == Address("slack", group.id, id)


async def test_the_thread_before_the_first_mention_is_read(fake: FakeSlack, tmp_path: Path) -> None:
    bot = SayingBot()
    root = await fake.say("shall we buy cheese?")
    for number in range(3):
        await fake.say(f"opinion {number}", topic=root, who="ben")
    async with daemon(fake, tmp_path, bots={"bot": bot}):
        await fake.say("@botdaemon what do you think?", topic=root)
        await fake.until(lambda: fake.shown("general", root)[-1].buttons)
        told = [message.text for message in bot.turns[0].history]
        assert told == [
            "shall we buy cheese?",
            *(f"opinion {number}" for number in range(3)),
            "what do you think?",
        ]


# --- once -----------------------------------------------------------------------------------------


async def test_a_mention_that_comes_as_two_events_is_one_message(
    fake: FakeSlack, tmp_path: Path
) -> None:
    async with ears(fake, tmp_path) as listening:
        id = await fake.say("@botdaemon hello")
        await fake.redeliver(id)
        last = await fake.say("the end")
        await fake.until(lambda: len(fake.socket.acked) >= 5)
        await listening.heard(Posted, lambda one: one.message.platform_id == last)
        assert listening.texts == ["hello", "the end"]
        assert listening.events[0].mentioned  # type: ignore[union-attr]


async def test_what_is_not_recorded_is_not_acknowledged_and_comes_again(
    fake: FakeSlack, tmp_path: Path
) -> None:
    fake.ack_seconds = 0.2
    async with ears(fake, tmp_path) as listening:
        listening.refuse = 1
        await fake.say("hello", channel="@ann")
        await listening.heard(Posted)
        await fake.until(lambda: len(fake.socket.acked) == 1)
        assert listening.texts == ["hello"]


async def test_a_slow_record_is_acknowledged_only_when_it_is_there(
    fake: FakeSlack, tmp_path: Path
) -> None:
    async with ears(fake, tmp_path) as listening:
        fake.faults.next("/api/users.info", Delay(0.3))  # the name is needed before the record
        await fake.say("hello", channel="@ann")
        await fake.until(lambda: fake.socket.acked)
        assert listening.texts == ["hello"]


async def test_an_answer_whose_response_was_lost_is_there_once(
    fake: FakeSlack, tmp_path: Path
) -> None:
    async with daemon(fake, tmp_path, live_drafts=False) as there:
        fake.faults.next("/api/chat.postMessage", Reset(applied=True))
        id = await fake.say("@botdaemon hello")
        await fake.until(lambda: calls(fake, "conversations.replies"))
        assert await there.answered(id) == "you said: hello"


async def test_an_answer_that_was_not_taken_is_sent_again(fake: FakeSlack, tmp_path: Path) -> None:
    async with daemon(fake, tmp_path, live_drafts=False) as there:
        fake.faults.next("/api/chat.postMessage", Status5xx(503))
        id = await fake.say("@botdaemon hello")
        assert await there.answered(id) == "you said: hello"


async def test_a_stream_whose_beginning_was_lost_becomes_the_answer(
    fake: FakeSlack, tmp_path: Path
) -> None:
    bot = SayingBot()
    bot.gate.clear()
    async with daemon(fake, tmp_path, bots={"bot": bot}) as there:
        fake.faults.next("/api/chat.startStream", Reset(applied=True))
        id = await fake.say("@botdaemon hello")
        await fake.until(lambda: fake.faults.pending() == 0)
        bot.gate.set()
        assert await there.answered(id) == "you said: hello"


@pytest.mark.slow
async def test_however_many_responses_are_lost_each_question_is_answered_once(
    fake: FakeSlack, tmp_path: Path
) -> None:
    async with daemon(fake, tmp_path, live_drafts=False) as there:
        fake.faults.lose_response = 0.4
        ids = [await fake.say(f"@botdaemon question {number}") for number in range(12)]
        await fake.until(lambda: all(there.finished(id) for id in ids), timeout=60)
        assert fake.faults.lost > 2
        assert [len(fake.answers_to(id)) for id in ids] == [1] * 12


async def test_a_busy_slack_is_waited_for(fake: FakeSlack, tmp_path: Path) -> None:
    async with daemon(fake, tmp_path, live_drafts=False) as there:
        fake.faults.next("/api/chat.postMessage", RateLimit(1))
        id = await fake.say("@botdaemon hello")
        assert await there.answered(id) == "you said: hello"
        tries = [call.at for call in fake.calls if call.path == "/api/chat.postMessage"]
        assert tries[1] - tries[0] >= 1


# --- live drafts ----------------------------------------------------------------------------------


async def drafted(fake: FakeSlack, there: Set, bot: SayingBot) -> str:
    """A question whose answer is shown half, then whole."""
    bot.gate.clear()
    id = await fake.say("@botdaemon tell me")
    await fake.until(lambda: fake.answers_to(id))
    bot.gate.set()
    await there.answered(id)
    return id


async def test_an_answer_is_streamed_natively_and_ends_with_its_final_text(
    fake: FakeSlack, tmp_path: Path
) -> None:
    bot = SayingBot(lambda text: "It is **not** so, " + "or is it? " * 5)
    async with daemon(fake, tmp_path, bots={"bot": bot}) as there:
        id = await drafted(fake, there, bot)
        (start,) = calls(fake, "chat.startStream")
        assert start["thread_ts"] == id
        assert start["recipient_user_id"] == fake.team.user("ann")
        assert start["recipient_team_id"] == fake.team.id
        assert len(calls(fake, "chat.stopStream")) == 1
        (answer,) = fake.answers_to(id)
        assert "*not*" in answer.text
        assert answer.buttons == ["Regenerate", "👍", "👎"]


async def test_a_stream_that_does_not_only_grow_goes_on_by_edits(
    fake: FakeSlack, tmp_path: Path
) -> None:
    async with ears(fake, tmp_path) as listening:
        id = await fake.say("@botdaemon hello")
        await listening.heard(Posted)
        letter = draft(Address("slack", fake.team.general.id, id), "one <!channel>")
        remote = await listening.adapter.send(letter)
        for words in ("one <!channel> two", "another one", "one <!channel> two three"):
            await listening.adapter.edit(draft(letter.address, words, remote))
        (shown,) = fake.answers_to(id)
        assert list(dict.fromkeys(shown.versions)) == [
            "one <!channel>",
            "one <!channel> two",
            "another one",
            "one <!channel> two three",
        ]
        assert shown.raw["pings"] == []
        assert shown.buttons == ["Stop"]


def draft(address: Address, words: str, remote: str = "") -> Letter:
    from botdaemon.types import Control

    return Letter(
        id=1,
        key="k1",
        address=address,
        speaker="bot",
        part=Part(text=words.replace("<", "&lt;").replace(">", "&gt;"), plain=words),
        remote=remote,
        controls=(Control.STOP,),
    )


@pytest.mark.parametrize("refusal", ["missing_scope", "unknown_method", "invalid_arguments"])
async def test_where_streams_are_refused_an_answer_is_shown_by_edits(
    fake: FakeSlack, tmp_path: Path, caplog: pytest.LogCaptureFixture, refusal: str
) -> None:
    bot = SayingBot(lambda text: "a long answer to " + text)
    refused = Answer(200, {"ok": False, "error": refusal, "needed": "chat:write"})
    fake.faults.always("/api/chat.startStream", refused)
    async with daemon(fake, tmp_path, bots={"bot": bot}) as there:
        for _ in range(2):
            id = await drafted(fake, there, bot)
            (answer,) = fake.answers_to(id)
            assert answer.versions[0] != answer.text == "a long answer to tell me"
    assert len(calls(fake, "chat.startStream")) == 1
    assert sum("instead of being streamed" in line for line in caplog.messages) == 1


async def test_a_stream_that_slack_ended_still_becomes_the_answer(
    fake: FakeSlack, tmp_path: Path
) -> None:
    bot = SayingBot(lambda text: "a long answer to " + text)
    bot.gate.clear()
    async with daemon(fake, tmp_path, bots={"bot": bot}) as there:
        id = await fake.say("@botdaemon tell me")
        await fake.until(lambda: fake.answers_to(id))
        fake.end_streams()
        bot.gate.set()
        assert await there.answered(id) == "a long answer to tell me"


async def test_a_daemon_that_died_while_streaming_ends_the_stream_of_its_earlier_life(
    fake: FakeSlack, tmp_path: Path
) -> None:
    slow = SayingBot(lambda text: "a long answer to " + text)
    slow.gate.clear()
    async with daemon(fake, tmp_path, bots={"bot": slow}):
        id = await fake.say("@botdaemon tell me")
        await fake.until(lambda: fake.answers_to(id))
    async with daemon(fake, tmp_path, bots={"bot": SayingBot(slow.words)}) as there:
        assert await there.answered(id) == "a long answer to tell me"


# --- long texts, names, pings ---------------------------------------------------------------------


async def test_a_long_answer_is_whole_in_text_and_in_blocks(
    fake: FakeSlack, tmp_path: Path
) -> None:
    words = "\n".join(f"line {number} " + "word " * 20 for number in range(100))
    bot = SayingBot(lambda text: words)
    async with daemon(fake, tmp_path, bots={"bot": bot}, live_drafts=False) as there:
        id = await fake.say("@botdaemon tell me")
        await fake.until(lambda: there.finished(id))
        answers = fake.answers_to(id)
        in_text = " ".join(answer.raw["text"] for answer in answers)
        in_blocks = " ".join(answer.text for answer in answers)
        assert in_text.split() == in_blocks.split() == words.split()
        assert max(len(answer.raw["text"]) for answer in answers) <= 3900


@given(st.text(st.sampled_from("ab c\n`&;<>|"), min_size=1, max_size=80), st.integers(1, 200))
def test_sections_hold_everything(piece: str, times: int) -> None:
    text = piece * times
    found = list(sections(text))
    assert all(len(section) <= SECTION for section in found)
    assert "".join("".join(found).replace("`", "").split()) == "".join(
        text.replace("`", "").split()
    )


def test_code_that_is_cut_stays_code() -> None:
    text = "look:\n```\n" + "x = 1\n" * 800 + "```"
    for section in sections(text):
        assert section.count("```") % 2 == 0


async def test_another_bot_speaks_under_its_own_name_and_picture(
    fake: FakeSlack, tmp_path: Path
) -> None:
    bots = {"bot": SayingBot(), "Comic": SayingBot(lambda text: "ha")}
    around = {"pictures": {"Comic": "https://example.org/comic.png"}}
    async with daemon(fake, tmp_path, bots=bots, around=around) as there:
        id = await fake.say("Comic, tell me a joke")
        await fake.until(lambda: there.finished(id))
        (answer,) = fake.answers_to(id)
        assert (answer.author, answer.text) == ("Comic", "ha")
        assert answer.raw["icon_url"] == "https://example.org/comic.png"


async def test_without_the_scope_for_faces_the_name_stands_before_the_text(
    fake: FakeSlack, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fake.scopes = fake.scopes - {"chat:write.customize"}
    bots = {"bot": SayingBot(), "Comic": SayingBot(lambda text: "ha")}
    async with daemon(fake, tmp_path, bots=bots) as there:
        id = await fake.say("Comic, tell me a joke")
        await fake.until(lambda: there.finished(id))
        (answer,) = fake.answers_to(id)
        assert answer.text == "*Comic:* ha"
    assert sum("chat:write.customize" in line for line in caplog.messages) == 1


async def test_a_face_that_is_refused_only_when_used_gives_way_to_the_name(
    fake: FakeSlack, tmp_path: Path
) -> None:
    bots = {"bot": SayingBot(), "Comic": SayingBot(lambda text: "ha")}
    refused = {"ok": False, "error": "missing_scope", "needed": "chat:write.customize"}
    async with daemon(fake, tmp_path, bots=bots, live_drafts=False) as there:
        fake.faults.next("/api/chat.postMessage", Answer(200, refused))
        id = await fake.say("Comic, tell me a joke")
        assert await there.answered(id) == "*Comic:* ha"


async def test_nothing_a_bot_says_pings_anybody(fake: FakeSlack, tmp_path: Path) -> None:
    ann = fake.team.user("ann")
    words = f"<!channel> <!here> <@{ann}> <!subteam^S1> @channel @everyone @ann & <b> &lt;!here&gt;"
    bot = SayingBot(lambda text: words)
    async with daemon(fake, tmp_path, bots={"bot": bot}) as there:
        id = await fake.say("@botdaemon ping them all")
        await fake.until(lambda: there.finished(id))
        (answer,) = fake.answers_to(id)
        assert answer.raw["pings"] == []
        assert calls(fake, "chat.startStream") or calls(fake, "chat.postMessage")


async def test_no_preview_of_a_link_is_asked_for(fake: FakeSlack, tmp_path: Path) -> None:
    async with daemon(fake, tmp_path, live_drafts=False) as there:
        await there.answered(await fake.say("@botdaemon hello"))
        (posted,) = calls(fake, "chat.postMessage")
        assert posted["unfurl_links"] is posted["unfurl_media"] is posted["link_names"] is False
        assert posted["parse"] == "none"


# --- what people write ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("*bold* and _italic_ and ~gone~", "**bold** and _italic_ and ~~gone~~"),
        ("*bold <https://example.org|link>*", "**bold [link](https://example.org)**"),
        ("2 * 3 * 4 and snake_case_name", "2 * 3 * 4 and snake_case_name"),
        ("`a * b * &lt;c&gt;`", "`a * b * <c>`"),
        ("look:\n```\nif a &amp;&amp; b:\n  *p*\n```", "look:\n```\nif a && b:\n  *p*\n```"),
        ("before ```code``` after", "before \n```\ncode\n```\n after"),
        ("&gt; quoted\nmine", "> quoted\n\nmine"),
        ("&gt;&gt;&gt;all\nof this", "> all\n> of this"),
        ("\u2022 one\n\u2022 two", "- one\n- two"),
        ("<https://example.org>", "https://example.org"),
        ("<https://example.org|example.org>", "https://example.org"),
        ("<https://example.org/a_(b)|see>", "[see](<https://example.org/a_(b)>)"),
        ("<mailto:a@example.org|a@example.org>", "a@example.org"),
        ("hi <@U1> and <@U2|old>", "hi @ann and @old"),
        ("in <#C1> and <#C2|news> and <#C3|>", "in #den and #news and #C3"),
        ("<!here> <!channel> <!subteam^S1|@crew>", "@here @channel @crew"),
        ("<!date^1392734382^{date}|18 Feb>", "18 Feb"),
        ("great :tada: :wave::skin-tone-3: :our_logo:", "great 🎉 👋 :our_logo:"),
        ("&amp;lt; stays", "&lt; stays"),
        ("`<https://example.org|a>` `<@U1>`", "`https://example.org` `@ann`"),
        ("*not\nbold* **nor this**", "*not\nbold* **nor this**"),
    ],
)
def test_slacks_text_is_read_as_commonmark(written: str, read: str) -> None:
    assert mrkdwn.to_commonmark(written, {"U1": "ann", "C1": "den"}) == read


@given(st.text(st.sampled_from("<>@#!|&;*_~`:\n ab^UC1\ue000\ue001"), max_size=60))
@settings(max_examples=500)
def test_whatever_is_written_can_be_read(written: str) -> None:
    assert isinstance(mrkdwn.to_commonmark(written, {}), str)
    mrkdwn.without_opening(written, "U1")


async def test_a_mention_of_the_app_is_not_part_of_what_was_said(
    fake: FakeSlack, tmp_path: Path
) -> None:
    async with ears(fake, tmp_path) as listening:
        await fake.say("@botdaemon, what does @ben think of @botdaemon?", who="ann")
        event = await listening.heard(Posted)
        assert event.message.text == "what does @ben think of @bot?"
        assert event.message.author.name == "ann"
        assert (event.mentioned, event.to_others, event.server) == (True, False, fake.team.id)


async def test_a_message_that_opens_by_calling_somebody_else_says_so(
    fake: FakeSlack, tmp_path: Path
) -> None:
    fake.team.user("ben")
    async with ears(fake, tmp_path) as listening:
        await fake.say("@ben, is it true?")
        assert (await listening.heard(Posted)).to_others


async def test_other_bots_are_told_as_bots(fake: FakeSlack, tmp_path: Path) -> None:
    async with ears(fake, tmp_path) as listening:
        await fake.say(
            "build 7 failed", who="ci", bot_id="B7", subtype="bot_message", username="CI"
        )
        author = (await listening.heard(Posted)).message.author
        assert (author.name, author.is_bot) == ("CI", True)


async def test_service_messages_say_nothing(fake: FakeSlack, tmp_path: Path) -> None:
    async with ears(fake, tmp_path) as listening:
        for subtype in ("channel_join", "channel_topic", "pinned_item", "assistant_app_thread"):
            await fake.say("notes of Slack's own", subtype=subtype)
        await fake.poison({"type": "assistant_thread_started", "assistant_thread": {}})
        await fake.say("the end")
        await listening.heard(Posted)
        assert listening.texts == ["the end"]


async def test_edits_and_deletions_by_people_are_told(fake: FakeSlack, tmp_path: Path) -> None:
    async with ears(fake, tmp_path) as listening:
        id = await fake.say("helo")
        await fake.edit(id, "hello")
        edited = await listening.heard(Edited)
        assert (edited.platform_id, edited.text) == (id, "hello")
        assert edited.address == Address("slack", fake.team.general.id, id)
        await fake.delete(id)
        assert (await listening.heard(Deleted)).platform_id == id


async def test_what_bots_and_previews_change_is_not_told(fake: FakeSlack, tmp_path: Path) -> None:
    async with ears(fake, tmp_path) as listening:
        said = {
            "type": "message",
            "user": "U9",
            "text": "see <https://example.org>",
            "ts": "1.000001",
        }
        preview = {**said, "attachments": [{"title": "Example"}]}
        for now in (preview, {**said, "bot_id": "B9", "text": "progress 20 %"}):
            await fake.poison(
                {
                    "type": "message",
                    "subtype": "message_changed",
                    "channel": fake.team.general.id,
                    "ts": "2.000001",
                    "message": now,
                    "previous_message": said,
                }
            )
        await fake.say("the end")
        await listening.heard(Posted)
        assert len(listening.events) == 1


async def test_a_reaction_is_told_as_the_emoji_it_shows(fake: FakeSlack, tmp_path: Path) -> None:
    async with ears(fake, tmp_path) as listening:
        id = await fake.say("hello")
        await fake.react(id, "👍", who="ben")
        await fake.react(id, "👍", who="ben", added=False)
        gone = await listening.heard(Reacted, lambda one: not one.added)
        came = await listening.heard(Reacted, lambda one: one.added)
        assert (came.emoji, came.platform_id, came.who.name) == ("👍", id, "ben")
        assert gone.key != came.key


# --- files ----------------------------------------------------------------------------------------

PICTURE = b"\x89PNG\r\n\x1a\n" + b"\0" * 60


async def test_a_file_is_taken_in(fake: FakeSlack, tmp_path: Path) -> None:
    async with ears(fake, tmp_path) as listening:
        await fake.say("look", files=[("cat.png", PICTURE), ("liar.png", b"MZ no picture")])
        message = (await listening.heard(Posted)).message
        assert [(file.name, file.media_type) for file in message.files] == [
            ("cat.png", "image/png"),
            ("liar.png", "application/octet-stream"),
        ]
        assert listening.store.file(message.files[0].sha256).read_bytes() == PICTURE


async def test_a_file_that_is_too_large_is_a_line_in_the_message(
    fake: FakeSlack, tmp_path: Path
) -> None:
    async with ears(fake, tmp_path, around={"file_limit": 1000}) as listening:
        await fake.say("look", files=[("holiday.mov", b"x" * 2000)])
        message = (await listening.heard(Posted)).message
        assert message.text == "look\n[holiday.mov: 2 kB, too large to take in]"
        assert message.files == ()


async def test_a_login_page_is_not_taken_for_the_file(
    fake: FakeSlack, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fake.scopes = fake.scopes - {"files:read"}
    async with ears(fake, tmp_path) as listening:
        await fake.say("look", files=[("cat.png", PICTURE)])
        message = (await listening.heard(Posted)).message
        assert message.text == "look\n[cat.png: could not be fetched]"
    assert any("login page" in line and "files:read" in line for line in caplog.messages)


async def test_the_token_goes_to_slack_alone(fake: FakeSlack, tmp_path: Path) -> None:
    async with FakeSlack().serving() as stranger, ears(fake, tmp_path) as listening:
        file = {"id": "F1", "name": "bait.png", "url_private": f"{stranger.base_url}bait"}
        await fake.poison(
            {
                "type": "message",
                "subtype": "file_share",
                "channel": fake.team.general.id,
                "user": fake.team.user("ann"),
                "ts": "1.000001",
                "text": "look",
                "files": [file],
            }
        )
        message = (await listening.heard(Posted)).message
        assert message.text == "look\n[bait.png: could not be fetched]"
        assert stranger.calls == []


async def test_a_file_in_an_answer_is_uploaded_into_the_thread(
    fake: FakeSlack, tmp_path: Path
) -> None:
    class Painter:
        def __init__(self) -> None:
            self.store: Store

        async def reply(self, turn: Turn) -> AsyncGenerator[Draft]:
            file = await self.store.keep(PICTURE, "cat.png", "image/png")
            yield Draft(text="here", files=(file,), final=True)

    painter = Painter()
    async with daemon(fake, tmp_path, bots={"bot": painter}) as there:
        painter.store = there.home.store
        id = await fake.say("@botdaemon draw a cat")
        await fake.until(lambda: any(one.files for one in fake.answers_to(id)))
        answer = next(one for one in fake.answers_to(id) if one.files)
        assert (answer.files, answer.topic) == ([("cat.png", PICTURE)], id)


async def test_an_upload_whose_response_was_lost_is_there_once(
    fake: FakeSlack, tmp_path: Path
) -> None:
    async with ears(fake, tmp_path) as listening:
        root = await fake.say("draw a cat")
        kept = await listening.store.keep(b"a,b", "cats.csv", "text/csv")
        letter = sent_file(Address("slack", fake.team.general.id, root), kept)
        fake.faults.next("/api/files.completeUploadExternal", Reset(applied=True))
        assert await listening.adapter.find(letter) is None
        with pytest.raises(AdapterDown):
            await listening.adapter.send(letter)
        (shown,) = fake.answers_to(root)
        assert await listening.adapter.find(letter) == shown.id


def sent_file(address: Address, file: File) -> Letter:
    return Letter(
        id=1, key="k1", address=address, speaker="bot", part=Part(file=file), created_at=1.0
    )


# --- commands and buttons -------------------------------------------------------------------------


async def test_a_slash_command_is_answered_to_that_person_alone(
    fake: FakeSlack, tmp_path: Path
) -> None:
    async with daemon(fake, tmp_path):
        await fake.command("bots", who="ann")
        await fake.until(lambda: fake.ephemerals)
        (whisper,) = fake.ephemerals
        assert whisper.raw["user"] == fake.team.user("ann")
        assert "bot" in whisper.text
        assert fake.shown("general") == []


async def test_commands_that_slack_has_itself_are_had_under_our_own(
    fake: FakeSlack, tmp_path: Path
) -> None:
    async with ears(fake, tmp_path) as listening:
        await fake.command("botdaemon", "Pair  4711", who="ann")
        command = await listening.heard(Command)
        assert (command.name, command.argument, command.direct) == ("pair", "4711", False)
        await fake.command("botdaemon")
        assert (await listening.heard(Command, lambda one: one.name == "help")).argument == ""


async def test_a_command_without_an_answer_is_closed_with_a_word(
    fake: FakeSlack, tmp_path: Path
) -> None:
    async with ears(fake, tmp_path) as listening:
        listening.words = 0
        await fake.command("stop", who="ann")
        await fake.until(lambda: fake.ephemerals)
        assert [whisper.text for whisper in fake.ephemerals] == ["Done."]


async def test_commands_are_typed_in_threads(fake: FakeSlack, tmp_path: Path) -> None:
    async with daemon(fake, tmp_path) as there:
        first = await fake.say("@botdaemon hello")
        await there.answered(first)
        await fake.say("!bots", topic=first)
        await fake.until(lambda: fake.ephemerals or len(fake.shown("general", first)) > 2)


async def test_a_command_is_obeyed_where_the_app_is_not_a_member(
    fake: FakeSlack, tmp_path: Path
) -> None:
    elsewhere = fake.team.channel("elsewhere")
    elsewhere.members.remove(fake.team.bot_user)
    async with daemon(fake, tmp_path):
        await fake.command("bots", channel="elsewhere")
        await fake.until(lambda: fake.ephemerals)
        assert fake.ephemerals[0].raw["channel"] == elsewhere.id


async def test_regenerate_replaces_the_answer(fake: FakeSlack, tmp_path: Path) -> None:
    count = iter(range(10))
    bot = SayingBot(lambda text: f"answer {next(count)}")
    async with daemon(fake, tmp_path, bots={"bot": bot}) as there:
        id = await fake.say("@botdaemon tell me")
        assert await there.answered(id) == "answer 0"
        assert await fake.press(fake.answers_to(id)[0].id, "Regenerate")
        await fake.until(lambda: "answer 1" in there.finished(id))


async def test_stop_stops_an_answer_that_is_shown_by_edits(fake: FakeSlack, tmp_path: Path) -> None:
    bot = SayingBot(lambda text: "a long answer to " + text)
    bot.gate.clear()
    async with daemon(fake, tmp_path, bots={"bot": bot}, streaming=False):
        id = await fake.say("@botdaemon tell me")
        await fake.until(lambda: fake.answers_to(id))
        (shown,) = fake.answers_to(id)
        assert shown.buttons == ["Stop"]
        await fake.press(shown.id, "Stop")
        await fake.until(lambda: all("Stop" not in one.buttons for one in fake.answers_to(id)))


async def test_buttons_of_other_makers_are_acknowledged_and_left_alone(
    fake: FakeSlack, tmp_path: Path
) -> None:
    async with ears(fake, tmp_path) as listening:
        button = {
            "type": "button",
            "action_id": "other",
            "text": {"type": "plain_text", "text": "x"},
        }
        id = await fake.say(
            "look", blocks=[{"type": "actions", "block_id": "b", "elements": [button]}]
        )
        await listening.heard(Posted)
        assert await fake.press(id, "other")
        assert [type(one) for one in listening.events] == [Posted]


# --- what was missed ------------------------------------------------------------------------------


async def test_what_was_said_while_the_daemon_was_away_is_answered(
    fake: FakeSlack, tmp_path: Path
) -> None:
    async with daemon(fake, tmp_path) as there:
        root = await fake.say("@botdaemon hello")
        await there.answered(root)
    fake.events.clear()  # what is said now is only in the histories
    missed = await fake.say("@botdaemon are you there?")
    reply = await fake.say("and here?", topic=root)
    direct = await fake.say("hello?", channel="@ann")
    async with daemon(fake, tmp_path) as there:
        for id, words in ((missed, "are you there?"), (reply, "and here?"), (direct, "hello?")):
            await there.until_finished(id)
            assert any(words in text for text in there.finished(id))


async def test_what_was_read_is_not_read_again(fake: FakeSlack, tmp_path: Path) -> None:
    async with ears(fake, tmp_path) as listening:
        await fake.say("one", channel="@ann")
        direct = (await listening.heard(Posted)).message.address.channel
        await fake.until(lambda: fake.socket.acked)
        # Nobody is told of a cursor.
        while (direct, "") not in await listening.store.cursors("slack"):  # noqa: ASYNC110
            await asyncio.sleep(0)
    fake.events.clear()
    await fake.say("two", channel="@ann")
    async with ears(fake, tmp_path) as listening:
        assert (await listening.heard(Posted, lambda one: not one.past)).missed
        assert listening.texts == ["two"]


async def test_many_missed_messages_come_complete_and_in_order(
    fake: FakeSlack, tmp_path: Path
) -> None:
    async with ears(fake, tmp_path):
        pass
    fake.events.clear()
    for number in range(450):
        await fake.say(f"message {number}", channel="@ann")
    fake.calls.clear()
    fake.faults.next("/api/conversations.history", RateLimit(1))
    async with ears(fake, tmp_path) as listening:
        await listening.heard(Posted, lambda one: one.message.text == "message 449")
        assert listening.texts == [f"message {number}" for number in range(450)]


async def test_a_catch_up_that_could_not_record_begins_again(
    fake: FakeSlack, tmp_path: Path
) -> None:
    async with ears(fake, tmp_path):
        pass
    fake.events.clear()
    for number in range(3):
        await fake.say(f"message {number}", channel="@ann")
    async with open_store(tmp_path) as store:
        adapter = adapter_for(fake, store, "bot")
        listening = Ears(fake, adapter, store, refuse=1)
        running = asyncio.create_task(adapter.run(listening.deliver))
        await fake.until(lambda: {f"message {n}" for n in range(3)} <= set(listening.texts))
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def test_an_odd_message_in_a_history_keeps_no_other_from_being_read(
    fake: FakeSlack, tmp_path: Path
) -> None:
    async with ears(fake, tmp_path):
        pass
    fake.events.clear()
    await fake.say("by nobody", channel="@ann", user=None)
    await fake.say("hello", channel="@ann", attachments=[None])
    async with ears(fake, tmp_path) as listening:
        await listening.heard(Posted)
        assert listening.texts == ["hello"]


async def test_a_missing_scope_costs_only_what_needs_it(
    fake: FakeSlack, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fake.scopes = fake.scopes - {"mpim:read", "groups:history", "users:read"}
    async with daemon(fake, tmp_path) as there:
        assert "hello" in await there.answered(await fake.say("@botdaemon hello"))
    line = next(line for line in caplog.messages if "lacks scopes" in line)
    assert "mpim:read" in line
    assert "OAuth & Permissions" in line


# --- connections ----------------------------------------------------------------------------------


async def test_there_are_two_connections(fake: FakeSlack, tmp_path: Path) -> None:
    async with ears(fake, tmp_path):
        assert len(fake.socket.live) == 2


async def test_connections_that_slack_renews_lose_nothing(fake: FakeSlack, tmp_path: Path) -> None:
    async with ears(fake, tmp_path) as listening:
        await fake.disconnect("refresh_requested")
        for number in range(20):
            await fake.say(f"message {number}", channel="@ann")
        await fake.until(lambda: len(set(listening.texts)) == 20)
        assert len(listening.texts) >= 20
        await fake.until(lambda: len(fake.socket.live) == 2)


async def test_dropped_connections_come_back(fake: FakeSlack, tmp_path: Path) -> None:
    async with ears(fake, tmp_path) as listening:
        await fake.drop()
        await fake.until(lambda: not fake.socket.live)
        await fake.say("hello", channel="@ann")
        await listening.heard(Posted)


async def test_every_new_connection_reads_what_no_event_told(
    fake: FakeSlack, tmp_path: Path
) -> None:
    async with ears(fake, tmp_path) as listening:
        fake.events.clear()
        await fake.say("hello", channel="@ann")
        await fake.drop()
        assert (await listening.heard(Posted)).missed


async def test_an_url_that_is_refused_is_not_tried_for_ever(
    fake: FakeSlack, tmp_path: Path
) -> None:
    async with ears(fake, tmp_path) as listening:
        fake.socket.refuse_handshakes = True
        await fake.drop()
        before = len(calls(fake, "apps.connections.open"))
        await fake.until(lambda: len(calls(fake, "apps.connections.open")) >= before + 4)
        fake.socket.refuse_handshakes = False
        await fake.until(lambda: len(fake.socket.live) == 2)
        await fake.say("hello", channel="@ann")
        await listening.heard(Posted)


async def test_half_open_connections_are_noticed(fake: FakeSlack, tmp_path: Path) -> None:
    async with ears(fake, tmp_path) as listening:
        fake.silent()
        await fake.say("hello", channel="@ann")
        await listening.heard(Posted)


async def test_a_slack_that_answers_in_plain_text_is_waited_for(
    fake: FakeSlack, tmp_path: Path
) -> None:
    async with ears(fake, tmp_path) as listening:
        fake.faults.next(
            "/api/apps.connections.open",
            Answer(503, "upstream connect error"),
            Status5xx(502),
            RateLimit(1),
        )
        await fake.drop()
        await fake.until(lambda: fake.faults.pending() == 0 and len(fake.socket.live) == 2)
        await fake.say("hello", channel="@ann")
        await listening.heard(Posted)


@pytest.mark.parametrize("wrong", ["invalid_auth", "account_inactive", "token_revoked"])
async def test_a_bad_token_is_said_and_left_alone(
    fake: FakeSlack, tmp_path: Path, wrong: str
) -> None:
    fake.access.auth_error = wrong
    with pytest.raises(AdapterRefused, match=wrong) as refused:
        async with ears(fake, tmp_path):
            pass
    assert "xoxb-1" not in str(refused.value)


async def test_an_app_token_that_is_revoked_while_it_runs_is_said(
    fake: FakeSlack, tmp_path: Path
) -> None:
    async with open_store(tmp_path) as store:
        adapter = adapter_for(fake, store, "bot")
        listening = Ears(fake, adapter, store)
        running = asyncio.create_task(adapter.run(listening.deliver))
        await fake.until(lambda: len(fake.socket.live) == 2)
        fake.access.auth_error = "token_revoked"
        await fake.drop()
        with pytest.raises(AdapterRefused, match="xapp-"):
            await running


async def test_without_the_right_to_write_it_is_refused_by_name(
    fake: FakeSlack, tmp_path: Path
) -> None:
    fake.scopes = fake.scopes - {"chat:write"}
    with pytest.raises(AdapterRefused, match="chat:write"):
        async with ears(fake, tmp_path):
            pass


async def test_a_slack_that_cannot_be_reached_is_down(fake: FakeSlack, tmp_path: Path) -> None:
    fake.refuse_connections = True
    async with open_store(tmp_path) as store:
        adapter = adapter_for(fake, store, "bot")
        with pytest.raises(AdapterDown):
            await adapter.run(Ears(fake, adapter, store).deliver)
        with pytest.raises(TryLater, match="not connected"):
            await adapter.send(draft(Address("slack", "C1"), "hello"))


# --- refusals -------------------------------------------------------------------------------------


async def test_a_letter_into_a_channel_that_is_gone_is_undeliverable(
    fake: FakeSlack, tmp_path: Path
) -> None:
    async with daemon(fake, tmp_path) as there:
        fake.team.channel("old").archived = True
        for channel, why in (("C404", "taken out"), (fake.team.channel("old").id, "archived")):
            with pytest.raises(Undeliverable, match=why):
                await there.adapter.send(draft(Address("slack", channel), "hello"))
        assert "hello" in await there.answered(await fake.say("@botdaemon hello"))


# --- at work --------------------------------------------------------------------------------------


async def test_a_thread_shows_that_a_bot_is_at_work(fake: FakeSlack, tmp_path: Path) -> None:
    bot = SayingBot()
    bot.gate.clear()
    async with daemon(fake, tmp_path, bots={"bot": bot}) as there:
        id = await fake.say("@botdaemon hello")
        await fake.until(lambda: fake.typing)
        bot.gate.set()
        await there.answered(id)
        await fake.until(lambda: fake.typing[-1][2] == "")
        assert fake.typing[0] == (fake.team.general.id, id, "is thinking…")


async def until_reacted(fake: FakeSlack, message: dict[str, Any], so: bool) -> None:
    await fake.until(lambda: bool(message.get("reactions")) is so)


async def test_where_there_is_no_status_the_message_gets_a_reaction(
    fake: FakeSlack, tmp_path: Path
) -> None:
    fake.scopes = fake.scopes - {"assistant:write"}
    bot = SayingBot()
    async with daemon(fake, tmp_path, bots={"bot": bot}) as there:
        for channel in ("general", "@ann"):
            bot.gate.clear()
            id = await fake.say("@botdaemon hello", channel=channel)
            asked = fake.team.posts[id].raw
            await until_reacted(fake, asked, True)
            bot.gate.set()
            await there.answered(id)
            await until_reacted(fake, asked, False)


# --- malformed events -----------------------------------------------------------------------------


def malformed(channel: str) -> list[Any]:
    said = {"type": "message", "channel": channel, "user": "U1", "ts": "1.000001", "text": "hello"}
    return [
        {},
        {"type": None},
        {"type": 7},
        {"type": "message"},
        {"type": "message", "channel": None, "ts": None},
        {**said, "ts": 17.5},
        {**said, "ts": "yesterday"},
        {**said, "ts": "-1.000000"},
        {**said, "ts": "9" * 400 + ".0"},
        {**said, "channel": ["C1"]},
        {**said, "channel": ""},
        {**said, "user": None},
        {**said, "user": {"id": "U1"}, "text": {"a": 1}},
        {**said, "subtype": "message_changed"},
        {**said, "subtype": "message_changed", "message": None, "previous_message": []},
        {**said, "subtype": "message_deleted"},
        {**said, "subtype": "message_deleted", "deleted_ts": 5},
        {"type": "reaction_added"},
        {"type": "reaction_added", "user": "U1", "item": "message"},
        {"type": "reaction_added", "user": "U1", "item": {"type": "message", "ts": "x"}},
        {"type": "app_mention", "text": "hi"},
        {"type": "unheard_of", "channel": channel},
        ["a", "list"],
    ]


async def test_malformed_events_are_put_away_and_the_next_one_is_heard(
    fake: FakeSlack, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with ears(fake, tmp_path) as listening:
        for event in malformed(fake.team.general.id):
            await fake.poison(event)
        frames = [
            "not json",
            "{",
            "[]",
            "null",
            '{"envelope_id": "e0", "type": "events_api", "payload": {"event": null}}',
            '{"envelope_id": "e00", "type": "events_api", "payload": {"event": "text"}}',
            '{"type": 5}',
            '{"envelope_id": "e1"}',
            '{"envelope_id": "e2", "type": "events_api"}',
            '{"envelope_id": "e3", "type": "events_api", "payload": null}',
            '{"envelope_id": "e4", "type": "events_api", "payload": "text"}',
            '{"envelope_id": "e5", "type": "events_api", "payload": {"event": {"user": 5}}}',
            '{"envelope_id": "e6", "type": "slash_commands", "payload": {"command": 5}}',
            '{"envelope_id": "e7", "type": "slash_commands", "payload": {"command": "/help"}}',
            '{"envelope_id": "e8", "type": "interactive", "payload": {"type": "block_actions"}}',
            '{"envelope_id": "e9", "type": "interactive", "payload": {"type": "view_closed"}}',
            json.dumps(
                {
                    "envelope_id": "e10",
                    "type": "interactive",
                    "payload": {
                        "type": "block_actions",
                        "user": None,
                        "actions": [{"action_id": "botdaemon:stop"}],
                    },
                }
            ),
            json.dumps(
                {"envelope_id": "e11", "type": "hello there", "payload": {"x": "y" * 10**6}}
            ),
        ]
        for frame in frames:
            await fake.poison(frame)
        await fake.say("the end", channel="@ann")
        await listening.heard(Posted, lambda one: one.message.text == "the end")
        assert {"hello"} >= set(listening.texts) - {"the end"}
        assert any("put away" in line for line in caplog.messages)
        await fake.until(lambda: len(fake.socket.live) == 2)


async def test_odd_parts_of_a_message_do_not_keep_it_from_being_heard(
    fake: FakeSlack, tmp_path: Path
) -> None:
    odd: list[dict[str, Any]] = [
        {"files": [None, 5, {}]},
        {"files": "none"},
        {"attachments": [None, {"text": 5}], "blocks": None},
        {"bot_profile": "x", "edited": [], "thread_ts": 5, "username": None},
        {"reactions": None, "team": 5, "client_msg_id": []},
    ]
    async with ears(fake, tmp_path) as listening:
        channel = fake.team.general.id
        for number, more in enumerate(odd):
            await fake.poison(
                {
                    "type": "message",
                    "channel": channel,
                    "user": fake.team.user("ann"),
                    "ts": f"{number + 1}.000001",
                    "text": f"message {number}",
                    **more,
                }
            )
        await fake.until(lambda: len(listening.texts) == len(odd))


async def test_no_token_gets_into_the_log(
    fake: FakeSlack, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with daemon(fake, tmp_path) as there:
        fake.faults.next("/api/chat.startStream", Status5xx(502))
        await there.answered(await fake.say("@botdaemon hello"))
        await fake.drop()
        await fake.until(lambda: len(fake.socket.live) == 2)
    for line in caplog.text.splitlines():
        assert fake.bot_token not in line
        assert fake.app_token not in line


# --- set-up ---------------------------------------------------------------------------------------


def test_the_manifest_asks_for_what_is_used_and_nothing_else(fake: FakeSlack) -> None:
    made = manifest(COMMANDS)
    scopes = set(made["oauth_config"]["scopes"]["bot"])
    # The fake grants what any app of this kind may want; ours wants no more than that.
    assert scopes <= fake.scopes
    assert fake.scopes - scopes == {"assistant:write", "im:write", "mpim:write"}
    assert set(made["settings"]["event_subscriptions"]["bot_events"]) <= fake.events
    commands = [command["command"] for command in made["features"]["slash_commands"]]
    assert "/bots" in commands
    assert "/botdaemon" in commands
    assert "/status" not in commands


def test_the_guide_holds_the_manifest_and_the_table(fake: FakeSlack) -> None:
    text = guide(None, COMMANDS)
    begin, end = text.index("{"), text.rindex("}") + 1
    assert json.loads(text[begin:end])["settings"]["socket_mode_enabled"] is True
    assert "connections:write" in text
    assert text.rstrip().splitlines()[-1].startswith("#")
    assert 'token_env = "BOT"' in guide(table(fake), COMMANDS)


async def findings(fake: FakeSlack, **more: Any) -> dict[Verdict, list[str]]:
    found: dict[Verdict, list[str]] = {verdict: [] for verdict in Verdict}
    secrets = (fake.bot_token, fake.app_token)
    async for finding in probe("slack", table(fake, **more), *secrets, COMMANDS):
        found[finding.verdict].append(finding.text)
    return found


async def test_the_check_finds_nothing_wrong_with_an_app_made_from_the_manifest(
    fake: FakeSlack,
) -> None:
    fake.scopes = set(manifest(COMMANDS)["oauth_config"]["scopes"]["bot"])
    found = await findings(fake)
    assert found[Verdict.PROBLEM] == found[Verdict.NOTE] == []
    assert any("#general" in text for text in found[Verdict.OK])
    assert not fake.socket.live


async def test_the_check_names_what_is_missing(fake: FakeSlack) -> None:
    fake.scopes = fake.scopes - {"chat:write", "im:history"}
    found = await findings(fake, free_channels=["C404"])
    assert any("chat:write" in text for text in found[Verdict.PROBLEM])
    assert any("im:history" in text for text in found[Verdict.NOTE])
    assert any("C404" in text for text in found[Verdict.NOTE])


async def test_the_check_says_which_token_is_bad(fake: FakeSlack) -> None:
    fake.access.app_token = "xapp-1-other"
    secrets = (fake.bot_token, "xapp-1-fake-app")
    found = [one async for one in probe("slack", table(fake), *secrets, COMMANDS)]
    assert any("xapp-" in str(one) and "invalid_auth" in str(one) for one in found)
    fake.refuse_connections = True
    found = [one async for one in probe("slack", table(fake), *secrets, COMMANDS)]
    assert [one.verdict for one in found] == [Verdict.PROBLEM]
