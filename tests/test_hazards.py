"""What goes wrong on the way to the platforms: the traps of their client libraries, the faults of
networks and servers, and events as no platform should send them. After each, the next message is
answered."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import malformed
import pytest
from fake_faults import Answer, HalfAnswer, Hang, RateLimit, Reset, Status5xx
from fake_telegram import refusal
from house import SayingBot
from platform_verbs import DM, GENERAL, Place, Platform
from platforms import PLATFORMS, OnDiscord, OnSlack, OnTelegram, daemon, rows, serving, stored

from botdaemon.app.keep import Pauses, keep
from botdaemon.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from fake_faults import Action

    from botdaemon.ports import Courier, Deliver

PAIRS = [("discord", "slack"), ("slack", "telegram"), ("telegram", "discord")]
NO_DRAFTS = {"live_drafts": False}
REASONS = ("warning", "refresh_requested", "too_many_websockets")


@pytest.fixture(params=PLATFORMS)
async def platform(request: pytest.FixtureRequest) -> AsyncGenerator[Platform]:
    async with serving(request.param) as [one]:
        yield one


@pytest.fixture
async def discord() -> AsyncGenerator[OnDiscord]:
    async with serving("discord") as [one]:
        assert isinstance(one, OnDiscord)
        yield one


@pytest.fixture
async def slack() -> AsyncGenerator[OnSlack]:
    async with serving("slack") as [one]:
        assert isinstance(one, OnSlack)
        yield one


@pytest.fixture
async def telegram() -> AsyncGenerator[OnTelegram]:
    async with serving("telegram") as [one]:
        assert isinstance(one, OnTelegram)
        yield one


async def still_answers(platform: Platform, who: str = "ann") -> None:
    place = Place(f"@{who}")
    answer = await platform.answer(await platform.say(f"still there, {who}?", place))
    assert answer.text == f"you said: still there, {who}?"


def calls(platform: Platform, ending: str) -> list[Any]:
    return [call for call in platform.fake.calls if call.path.endswith(ending)]


# --- events as nobody expects them ----------------------------------------------------------------


async def test_the_next_message_is_answered_after_an_event_with_any_field_spoiled(
    platform: Platform, tmp_path: Path
) -> None:
    async with daemon(tmp_path, {"bot": SayingBot()}, platform):
        await still_answers(platform)
        for number, (field, events) in enumerate(await malformed.spoiled(platform)):
            for event in events:
                await malformed.send(platform, event)
            try:
                await still_answers(platform, f"p{number}")
            except AssertionError as error:
                raise AssertionError(f"after {field} was spoiled: {error}") from None


async def test_what_cannot_be_read_is_put_away_and_the_next_message_is_answered(
    platform: Platform, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with daemon(tmp_path, {"bot": SayingBot()}, platform):
        events = await malformed.unreadable(platform)
        for number, event in enumerate(events):
            await malformed.send(platform, event)
            await still_answers(platform, f"p{number}")
        await stored(tmp_path, "SELECT 1 FROM quarantine", len(events))
    kept = "\n".join(raw for (raw,) in rows(tmp_path, "SELECT raw FROM quarantine"))
    assert [n for n in range(len(events)) if f"nothing-{n}" not in kept] == []
    assert not rows(tmp_path, "SELECT text FROM messages WHERE text LIKE 'nothing%'")
    said = [one for one in caplog.records if getattr(one, "event", "") == "quarantined"]
    assert len(said) >= len(events)
    assert not [one for one in said if len(one.getMessage()) > 500]


async def test_the_next_message_is_answered_after_what_is_strange(
    platform: Platform, tmp_path: Path
) -> None:
    bot = SayingBot()
    async with daemon(tmp_path, {"bot": bot}, platform) as house:
        for number, event in enumerate(await malformed.strange(platform)):
            await malformed.send(platform, event)
            try:
                await still_answers(platform, f"p{number}")
            except AssertionError as error:
                raise AssertionError(f"after {str(event)[:200]}: {error}") from None
        await house.outboxes.drained()
    # Whatever ids came, what is said while nobody listens is still found.
    places = [Place("@p0"), malformed.LAIR, *([DM] if platform.lists_direct else [])]
    asked = [await platform.say("and after a restart?", place, to_us=True) for place in places]
    async with daemon(tmp_path, {"bot": bot}, platform):
        for place, one in zip(places, asked, strict=True):
            try:
                await platform.answer(one)
            except AssertionError as error:
                raise AssertionError(f"in {place}: {error}") from None


async def test_discord_the_next_message_is_answered_after_a_frame_that_ends_the_client(
    discord: OnDiscord, tmp_path: Path
) -> None:
    async with daemon(tmp_path, {"bot": SayingBot()}, discord):
        await still_answers(discord)
        for connection in discord.fake.gateway.connections:
            await connection.ws.send_str('["no payload"]')
        await still_answers(discord)
    assert rows(tmp_path, "SELECT raw FROM quarantine") == [('["no payload"]',)]


# --- hazards of the client libraries --------------------------------------------------------------


async def test_discord_an_answer_arrives_once_after_refusals_the_library_does_not_wait_for(
    discord: OnDiscord, tmp_path: Path
) -> None:
    async with daemon(tmp_path, {"bot": SayingBot()}, discord, settings=NO_DRAFTS):
        without_via = Answer(429, {"message": "slow", "retry_after": 0.3}, {"Retry-After": "1"})
        discord.faults.next(discord.sends, without_via, Status5xx(503))
        await still_answers(discord)
        await stored(tmp_path, "SELECT 1 FROM letters WHERE state = 'sent'")
        assert [call.status for call in calls(discord, "/messages") if call.method == "POST"][
            :2
        ] == [429, 503]
        assert len([one for one in discord.shown(DM) if "you said" in one.text]) == 1


async def test_slack_the_next_message_is_answered_after_a_fresh_url_refused_the_handshake(
    slack: OnSlack, tmp_path: Path
) -> None:
    async with daemon(tmp_path, {"bot": SayingBot()}, slack):
        await still_answers(slack)
        slack.fake.socket.refuse_handshakes = True
        await slack.fake.drop()
        await slack.until(lambda: [call.status for call in calls(slack, "/link/")].count(503) >= 2)
        slack.fake.socket.refuse_handshakes = False
        await still_answers(slack, "bob")
        opened = len(calls(slack, "apps.connections.open"))
        handshakes = [call for call in calls(slack, "/link/") if call.status != 101]
        assert opened >= len({call.payload.get("ticket") for call in handshakes})
        await slack.until(slack.is_connected)


async def test_slack_a_send_without_an_answer_is_not_repeated_before_it_was_looked_for(
    slack: OnSlack, tmp_path: Path
) -> None:
    async with daemon(tmp_path, {"bot": SayingBot()}, slack, settings=NO_DRAFTS):
        slack.faults.next(slack.sends, Reset(applied=True))
        await slack.say("hello")
        await stored(tmp_path, "SELECT 1 FROM letters WHERE state = 'sent'")
    assert len(calls(slack, slack.sends)) == 1


async def test_telegram_an_update_that_cannot_be_parsed_is_confirmed_with_the_others(
    telegram: OnTelegram, tmp_path: Path
) -> None:
    async with daemon(tmp_path, {"bot": SayingBot()}, telegram):
        await telegram.fake.poison({"message": {"message_id": "x", "chat": 5}})
        await still_answers(telegram)
        await telegram.until(lambda: not telegram.fake.updates.waiting)
        polls = len(calls(telegram, "getUpdates"))
        await still_answers(telegram, "bob")
        assert len(calls(telegram, "getUpdates")) - polls < 5  # it does not spin


@pytest.mark.parametrize(
    "fault",
    [
        refusal(401, "Unauthorized"),
        refusal(404, "Not Found"),
        refusal(409, "Conflict: terminated by other getUpdates request"),
        refusal(429, "Too Many Requests: retry after 1", retry_after=1),
        Status5xx(502),
        Reset(),
        Reset(applied=True),
        HalfAnswer(),
        Hang(),
    ],
    ids=lambda fault: str(getattr(fault, "status", type(fault).__name__)),
)
async def test_telegram_the_next_message_is_answered_after_a_poll_failed(
    telegram: OnTelegram, tmp_path: Path, fault: Any
) -> None:
    async with daemon(tmp_path, {"bot": SayingBot()}, telegram):
        telegram.faults.next("getUpdates", fault)
        await still_answers(telegram)
        await telegram.until(lambda: not telegram.faults.pending())
        telegram.faults.clear()
        await still_answers(telegram, "bob")


# --- connections ----------------------------------------------------------------------------------


@pytest.mark.parametrize("event", ["drop", "reconnect", "resumable", "invalid"])
async def test_discord_nothing_is_lost_when_a_session_ends(
    discord: OnDiscord, tmp_path: Path, event: str
) -> None:
    bot = SayingBot()
    async with daemon(tmp_path, {"bot": bot}, discord):
        await still_answers(discord)
        before = await discord.say("just before", GENERAL, to_us=True)
        if event == "drop":
            await discord.fake.drop()
        elif event == "reconnect":
            discord.fake.gateway.ask_to_reconnect()
        else:
            discord.fake.gateway.invalidate(resumable=event == "resumable")
        after = [
            await discord.say(f"meanwhile {who}", GENERAL, who=who, to_us=True)
            for who in ("bob", "cy", "dee")
        ]
        for asked in (before, *after):
            await discord.answer(asked)
        await discord.until(lambda: discord.is_connected() and not _between(discord))
        await still_answers(discord)
    assert len(bot.turns) == 6


def _between(discord: OnDiscord) -> bool:
    """Whether a connection has no session yet."""
    return any(connection.session is None for connection in discord.fake.gateway.connections)


@pytest.mark.parametrize("names", PAIRS, ids="-".join)
async def test_a_platform_that_is_down_at_the_start_keeps_no_other_waiting_and_comes_later(
    names: tuple[str, str], tmp_path: Path
) -> None:
    async with serving(*names) as (down, up):
        down.fake.refuse_connections = True
        async with daemon(tmp_path, {"bot": SayingBot()}, down, up, awaited=False):
            await up.until(up.is_connected)
            await still_answers(up)
            down.fake.refuse_connections = False
            await down.until(down.is_connected)
            await still_answers(down)


async def test_discord_the_next_message_is_answered_when_only_the_gateway_was_down_at_the_start(
    discord: OnDiscord, tmp_path: Path
) -> None:
    discord.faults.next("GET /", *[Status5xx(503)] * 2)
    async with daemon(tmp_path, {"bot": SayingBot()}, discord):
        await still_answers(discord)


async def test_slack_nothing_is_lost_while_its_connections_are_renewed(
    slack: OnSlack, tmp_path: Path
) -> None:
    bot = SayingBot()
    slack.fake.ack_seconds = 0.5
    async with daemon(tmp_path, {"bot": bot}, slack):
        asked = []
        for reason in REASONS:
            await slack.fake.disconnect(reason)
            asked += [await slack.say("hello", Place(f"@{reason}{n}")) for n in range(3)]
            await slack.until(slack.is_connected)
        for one in asked:
            await slack.answer(one)
        await still_answers(slack)
    assert len(bot.turns) == len(asked) + 1


@pytest.mark.parametrize(
    "fault", [Status5xx(503), Answer(503, "upstream connect error"), RateLimit(1), HalfAnswer()]
)
async def test_slack_the_next_message_is_answered_after_no_connection_was_given(
    slack: OnSlack, tmp_path: Path, fault: Any
) -> None:
    slack.faults.next("apps.connections.open", fault, fault)
    async with daemon(tmp_path, {"bot": SayingBot()}, slack):
        await still_answers(slack)
        slack.faults.next("apps.connections.open", fault, fault)
        await slack.fake.drop()
        await still_answers(slack, "bob")


async def test_slack_a_silent_connection_is_noticed_and_made_anew(
    slack: OnSlack, tmp_path: Path
) -> None:
    async with daemon(tmp_path, {"bot": SayingBot()}, slack):
        await still_answers(slack)
        # What was missed before is read by now, so that nothing else finds the message.
        await stored(tmp_path, "SELECT 1 FROM cursors WHERE channel LIKE 'D%'")
        slack.fake.silent()
        asked = await slack.say("can you hear me?", Place("@bob"))
        await slack.until(lambda: slack.answers(asked), timeout=60)


# --- sending --------------------------------------------------------------------------------------


async def test_an_answer_stands_there_once_however_its_sending_failed(
    platform: Platform, tmp_path: Path
) -> None:
    faults: list[Action] = [
        Reset(applied=True),
        Reset(),
        HalfAnswer(),
        Status5xx(500),
        Status5xx(503),
        RateLimit(1),
    ]
    people = [Place(f"@p{number}") for number in range(10)]
    async with daemon(tmp_path, {"bot": SayingBot()}, platform, settings=NO_DRAFTS):
        platform.faults.next(platform.sends, *faults)
        platform.faults.lose_response = 0.3
        for place in people:
            await platform.say("hello", place)
        await stored(tmp_path, "SELECT 1 FROM letters WHERE state = 'sent'", len(people))
        assert not platform.faults.pending()
        assert platform.faults.lost
    for place in people:
        texts = [one.text for one in platform.shown(place) if one.text != "\u2026"]
        assert sorted(texts) == ["hello", "you said: hello"]


async def test_what_was_said_during_an_outage_is_answered_in_order_when_it_ends(
    platform: Platform, tmp_path: Path
) -> None:
    bot = SayingBot()
    bot.gate.clear()
    async with daemon(tmp_path, {"bot": bot}, platform, settings=NO_DRAFTS):
        await platform.say("first")
        await bot.begun.wait()
        platform.fake.refuse_connections = True
        await platform.fake.drop()
        bot.gate.set()
        for number in range(3):
            await platform.say(f"number {number}.")
        platform.fake.refuse_connections = False
        await platform.saying("number 2.")
        await platform.until(platform.is_connected)
    ours = [one.text for one in platform.shown(DM) if one.text.startswith("you said")]
    # What came together may be answered together.
    said = " ".join(text.removeprefix("you said: ").replace(" / ", " ") for text in ours)
    assert said == "first number 0. number 1. number 2."


async def test_what_is_refused_for_good_is_tried_once(
    platform: Platform, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bot = SayingBot()
    bot.gate.clear()
    async with daemon(tmp_path, {"bot": bot}, platform, settings=NO_DRAFTS):
        await platform.say("hello", Place("club"), to_us=True)
        await bot.begun.wait()
        await _silence(platform, "club")
        bot.gate.set()
        await stored(tmp_path, "SELECT 1 FROM letters WHERE state = 'dead'")
        await still_answers(platform)
    place = platform.channel_id("club")
    sends = calls(platform, platform.sends.rpartition("/")[2])
    tried = [one for one in sends if one.method == "POST" and place in f"{one.path} {one.payload}"]
    assert len(tried) == 1
    [(why,)] = rows(tmp_path, "SELECT error FROM letters WHERE state = 'dead'")
    assert len(why) > 20, "it is a sentence"
    assert sum(getattr(one, "event", "") == "letter_dead" for one in caplog.records) == 1


async def _silence(platform: Platform, channel: str) -> None:
    """The account stays where it is, and may say nothing any more."""
    if isinstance(platform, OnDiscord):
        await platform.fake.permit("SEND_MESSAGES", False, channel=channel)
    elif isinstance(platform, OnSlack):
        platform.fake.team.channel(channel).archived = True
    else:
        words = "Bad Request: not enough rights to send text messages to the chat"
        platform.faults.next(platform.sends, refusal(400, words))


# --- secrets and rights ---------------------------------------------------------------------------


class Kept:
    """An adapter as the daemon keeps it, here as an adapter that never ends."""

    def __init__(self, adapter: Courier) -> None:
        self._adapter = adapter
        self.ended = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._adapter, name)

    async def run(self, deliver: Deliver) -> None:
        pauses = Pauses(first=0.1, longest=1.0)
        await keep(self._adapter, deliver, {}, asyncio.Event(), Metrics(), pauses)
        self.ended.set()


@pytest.mark.parametrize("names", PAIRS, ids="-".join)
async def test_a_token_taken_back_stops_its_adapter_alone_and_is_said_once(
    names: tuple[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept: dict[str, Kept] = {}

    def around(part: Any) -> Any:
        if not hasattr(part, "traits"):
            return part
        return kept.setdefault(part.name, Kept(part))

    async with (
        serving(*names) as (revoked, other),
        daemon(tmp_path, {"bot": SayingBot()}, revoked, other, around=around),
    ):
        await still_answers(revoked)
        tokens = revoked.tokens
        await _revoke(revoked)
        async with asyncio.timeout(20):
            await kept[revoked.name].ended.wait()
        await still_answers(other, "bob")
    said = [one for one in caplog.records if getattr(one, "event", "") == "adapter_refused"]
    assert len(said) == 1
    assert not [token for token in tokens if token in caplog.text]


async def _revoke(platform: Platform) -> None:
    if isinstance(platform, OnDiscord):
        await platform.fake.revoke()
        return
    if isinstance(platform, OnTelegram):
        platform.fake.revoked = True
    else:
        platform.fake.access.auth_error = "token_revoked"
    await platform.fake.drop()
