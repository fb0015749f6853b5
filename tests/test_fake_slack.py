"""The fake Slack as Bolt and slack_sdk meet it. These hold the fake to the protocol."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from fake_faults import Answer, RateLimit, Reset
from fake_slack import FakeSlack
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.models.blocks import (
    ActionsBlock,
    ButtonElement,
    ImageBlock,
    InputBlock,
    PlainTextInputElement,
)
from slack_sdk.models.views import View
from slack_sdk.web.async_client import AsyncWebClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def fake() -> AsyncIterator[FakeSlack]:
    async with FakeSlack().serving() as fake:
        yield fake


@pytest.fixture
def web(fake: FakeSlack) -> AsyncWebClient:
    return AsyncWebClient(fake.bot_token, base_url=fake.base_url, retry_handlers=[])


class Ear:
    """A Bolt app in Socket Mode that keeps the bodies it is told; it fails `failures` times."""

    def __init__(self, fake: FakeSlack, *, sockets: int = 1) -> None:
        self.fake = fake
        self.heard: list[dict[str, Any]] = []
        self.failures = 0
        client = AsyncWebClient(fake.bot_token, base_url=fake.base_url)
        self.app = AsyncApp(
            client=client, process_before_response=True, ignoring_self_events_enabled=False
        )
        for kind in ("message", "app_mention", "reaction_added", "member_joined_channel"):
            self.app.event(kind)(self.hear)
        self.app.event("app_home_opened")(self.hear)
        self.handlers = [
            AsyncSocketModeHandler(self.app, fake.app_token, ping_interval=1)
            for _ in range(sockets)
        ]

    async def hear(self, body: dict[str, Any]) -> None:
        if self.failures:
            self.failures -= 1
            raise RuntimeError("not now")
        self.heard.append(body)
        self.fake.changed()

    @property
    def events(self) -> list[dict[str, Any]]:
        return [body["event"] for body in self.heard]

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Ear]:
        for handler in self.handlers:
            await handler.connect_async()  # type: ignore[no-untyped-call]
        await self.fake.until(lambda: len(self.fake.socket.live) >= len(self.handlers))
        try:
            yield self
        finally:
            for handler in self.handlers:
                await handler.close_async()  # type: ignore[no-untyped-call]


async def error(call: Any) -> dict[str, Any]:
    """What a refused call answers."""
    with pytest.raises(SlackApiError) as caught:
        await call
    return dict(caught.value.response.data)


async def test_a_client_logs_in_and_learns_its_scopes(fake: FakeSlack, web: AsyncWebClient) -> None:
    said = await web.auth_test()
    assert said["bot_id"] == fake.team.bot_id
    assert said.headers["x-oauth-scopes"].split(",") == sorted(fake.scopes)
    stranger = AsyncWebClient("xoxb-wrong", base_url=fake.base_url)
    assert (await error(stranger.auth_test()))["error"] == "invalid_auth"
    refused = await error(web.apps_connections_open(app_token=fake.bot_token))
    assert refused["error"] == "not_allowed_token_type"
    fake.scopes -= {"chat:write"}
    refused = await error(web.chat_postMessage(channel="general", text="hi"))
    assert (refused["error"], refused["needed"]) == ("missing_scope", "chat:write")
    fake.access.auth_error = "token_revoked"
    assert (await error(web.auth_test()))["error"] == "token_revoked"


async def test_arguments_come_as_json_form_or_query(fake: FakeSlack) -> None:
    url = f"{fake.base_url}chat.postMessage"
    words = {"channel": fake.team.general.id, "text": "hi"}
    bearer = {"Authorization": f"Bearer {fake.bot_token}"}
    ways: list[dict[str, Any]] = [
        {"json": words, "headers": bearer},
        {"data": {**words, "token": fake.bot_token}},
        {"params": words, "headers": bearer},
    ]
    async with aiohttp.ClientSession() as session:
        for way in ways:
            async with session.post(url, **way) as response:
                assert (await response.json())["ok"]
        async with session.post(url, json={**words, "token": fake.bot_token}) as response:
            assert (await response.json())["error"] == "not_authed"
    assert len(fake.shown("general")) == 3


async def test_a_mention_arrives_as_two_events_for_one_message(fake: FakeSlack) -> None:
    async with Ear(fake).listening() as ear:
        ts = await fake.say("hello @botdaemon & <all> https://example.com", who="ann")
        await fake.until(lambda: len(ear.heard) == 2)
        message, mention = sorted(ear.events, key=lambda event: str(event["type"]), reverse=True)
        assert (message["type"], mention["type"]) == ("message", "app_mention")
        assert message["ts"] == mention["ts"] == ts
        assert message["channel_type"] == "channel"
        assert "channel_type" not in mention
        assert ear.heard[0]["event_id"] != ear.heard[1]["event_id"]
        bot = fake.team.bot_user
        assert message["text"] == f"hello <@{bot}> &amp; &lt;all&gt; <https://example.com>"
        await fake.say("and <@U1> in private @botdaemon", channel="@ann")
        await fake.until(lambda: len(ear.heard) == 3)
        assert ear.events[-1]["channel_type"] == "im"
        assert fake.shown("general")[0].text == "hello @botdaemon & <all> https://example.com"


async def test_an_answer_goes_into_the_thread_and_comes_back_as_an_event(
    fake: FakeSlack, web: AsyncWebClient
) -> None:
    async with Ear(fake).listening() as ear:
        ts = await fake.say("hello")
        metadata = {"event_type": "botdaemon", "event_payload": {"outbox": 1}}
        said = await web.chat_postMessage(
            channel=fake.team.general.id, text="hi", thread_ts=ts, metadata=metadata
        )
        await fake.until(lambda: len(ear.heard) == 2)
        assert ear.events[1]["bot_id"] == fake.team.bot_id
        assert "metadata" not in ear.events[1]
        assert [shown.text for shown in fake.answers_to(ts)] == ["hi"]

        channel = fake.team.general.id
        top = await web.conversations_history(channel=channel, include_all_metadata=True)
        assert [message["ts"] for message in top["messages"]] == [ts]
        assert top["messages"][0]["reply_count"] == 1
        thread = await web.conversations_replies(channel=channel, ts=ts, include_all_metadata=True)
        assert [message["text"] for message in thread["messages"]] == ["hello", "hi"]
        assert thread["messages"][1]["metadata"] == metadata
        thread = await web.conversations_replies(channel=channel, ts=ts, oldest=said["ts"])
        assert [message["text"] for message in thread["messages"]] == ["hello"]

        await web.chat_postMessage(channel=channel, text="all", thread_ts=ts, reply_broadcast=True)
        top = await web.conversations_history(channel=channel)
        assert [message["text"] for message in top["messages"]] == ["all", "hello"]
        await web.chat_postMessage(channel=channel, text="where?", thread_ts="1.000001")
        assert [shown.text for shown in fake.shown("general", "1.000001")] == ["where?"]


async def test_history_comes_in_pages(fake: FakeSlack, web: AsyncWebClient) -> None:
    ids = [await fake.say(f"{number}") for number in range(5)]
    pages = []
    async for page in await web.conversations_history(
        channel=fake.team.general.id, limit=2, oldest=ids[0]
    ):
        pages.append([message["ts"] for message in page["messages"]])
        await fake.say("what comes meanwhile moves nothing")
    assert pages == [[ids[4], ids[3]], [ids[2], ids[1]]]


async def test_what_slack_refuses_is_refused(fake: FakeSlack, web: AsyncWebClient) -> None:
    general = fake.team.general.id
    other = fake.team.channel("other")
    other.members.clear()

    async def code(**message: Any) -> str:
        return str((await error(web.chat_postMessage(**{"channel": general, **message})))["error"])

    section = {"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}}
    assert await code(channel="C0", text="x") == "channel_not_found"
    assert await code(channel=other.id, text="x") == "not_in_channel"
    refused = await error(web.api_call("chat.postMessage", json={"channel": general}))
    assert refused["error"] == "no_text"
    assert await code(text="x", blocks=[section]) == "invalid_blocks"
    assert await code(text="x", blocks=[{"type": "divider"}] * 51) == "invalid_blocks"
    assert await code(markdown_text="x", text="x") == "markdown_text_conflict"
    fake.team.general.archived = True
    assert await code(text="x") == "is_archived"
    fake.team.general.archived = False

    said = await web.chat_postMessage(channel=general, text="x" * 50_000)
    assert len(said["message"]["text"]) == 40_000
    update = web.chat_update(channel=general, ts=said["ts"], text="x" * 4001)
    assert (await error(update))["error"] == "msg_too_long"
    blocks = [{"type": "header", "text": {"type": "plain_text", "text": "as it was"}}]
    said = await web.chat_postMessage(channel=general, text="x", blocks=blocks)
    await web.chat_update(channel=general, ts=said["ts"], text="blocks not given are kept")
    assert fake.shown("general")[-1].text == "as it was"
    await web.chat_update(channel=general, ts=said["ts"], text="new", blocks=[])
    assert fake.shown("general")[-1].text == "new"
    ann = await fake.say("mine")
    refused = await error(web.chat_update(channel=general, ts=ann, text="x"))
    assert refused["error"] == "cant_update_message"
    refused = await error(web.api_call("chat.nothing"))
    assert refused["error"] == "unknown_method"


async def test_edits_and_deletions_are_told_with_what_was_before(
    fake: FakeSlack, web: AsyncWebClient
) -> None:
    async with Ear(fake).listening() as ear:
        ts = await fake.say("helo")
        await fake.edit(ts, "hello")
        own = await web.chat_postMessage(channel=fake.team.general.id, text="...")
        await web.chat_update(channel=fake.team.general.id, ts=own["ts"], text="hi")
        await fake.delete(ts)
        await fake.until(lambda: len(ear.heard) == 5)
        kinds = [event.get("subtype") for event in ear.events]
        assert kinds == [None, "message_changed", None, "message_changed", "message_deleted"]
        changed, deleted = ear.events[1], ear.events[4]
        assert changed["message"]["text"] == "hello"
        assert changed["previous_message"]["text"] == "helo"
        assert deleted["deleted_ts"] == ts
        assert [shown.versions for shown in fake.shown("general")] == [["...", "hi"]]


async def test_an_event_that_is_not_acknowledged_comes_again_with_the_same_id(
    fake: FakeSlack,
) -> None:
    fake.ack_seconds, fake.retry_factor = 0.5, 0.005
    ear = Ear(fake)
    ear.failures = 2
    attempts: list[Any] = []

    @ear.app.middleware
    async def note(req: Any, next: Any) -> None:
        attempts.append((req.headers.get("x-slack-retry-num"), req.body["event_id"]))
        await next()

    async with ear.listening():
        await fake.say("hello")
        await fake.until(lambda: ear.heard and fake.socket.acked)
        assert len({event_id for _, event_id in attempts}) == 1
        assert [number for number, _ in attempts[1:3]] == [["1"], ["2"]]


async def test_an_ack_may_travel_on_another_socket(fake: FakeSlack, web: AsyncWebClient) -> None:
    fake.ack_seconds = 0.5
    async with aiohttp.ClientSession() as session:
        urls = [await web.apps_connections_open(app_token=fake.app_token) for _ in range(2)]
        first, second = [await session.ws_connect(opened["url"]) for opened in urls]
        assert [(await each.receive_json())["num_connections"] for each in (first, second)] == [
            1,
            2,
        ]
        ts = await fake.say("hello")
        envelope = await first.receive_json()
        assert (envelope["retry_attempt"], envelope["payload"]["event"]["ts"]) == (0, ts)
        again = await second.receive_json()
        assert (again["retry_attempt"], again["retry_reason"]) == (1, "timeout")
        assert again["payload"] == envelope["payload"]
        assert again["envelope_id"] != envelope["envelope_id"]
        await first.send_json({"envelope_id": again["envelope_id"]})
        await fake.until(lambda: fake.socket.acked == [envelope["payload"]["event_id"]])
        await first.close()
        await second.close()


async def test_an_event_nobody_takes_is_given_up_after_the_third_retry(fake: FakeSlack) -> None:
    fake.retry_factor = 0.001
    ts = await fake.say("is anybody there?")
    await fake.until(lambda: fake.socket.lost)
    assert [payload["event"]["ts"] for payload in fake.socket.lost] == [ts]


async def test_what_happens_while_no_socket_is_open_is_told_later(fake: FakeSlack) -> None:
    fake.retry_factor = 0.02
    await fake.say("is anybody there?")
    async with Ear(fake).listening() as ear:
        await fake.until(lambda: ear.heard)
        assert not fake.socket.lost


async def test_of_several_sockets_each_event_reaches_one(fake: FakeSlack) -> None:
    async with Ear(fake, sockets=2).listening() as ear:
        for number in range(6):
            await fake.say(f"{number}")
        await fake.until(lambda: len(fake.socket.acked) == 6)
        assert len(ear.heard) == 6


@pytest.mark.parametrize("how", ["drop", "refresh", "silent", "refused"])
async def test_a_lost_socket_is_replaced(fake: FakeSlack, how: str) -> None:
    async with Ear(fake).listening() as ear:
        fake.ack_seconds, fake.retry_factor = 1, 0.05
        first = fake.socket.live[0]
        if how == "drop":
            await fake.drop()
        elif how == "refresh":
            await fake.disconnect("refresh_requested")
        elif how == "silent":
            fake.silent()
        else:
            fake.socket.refuse_handshakes = True
            await fake.drop()
            await fake.until(lambda: fake.calls[-1].status == 503)
            fake.socket.refuse_handshakes = False
            await fake.until(lambda: fake.calls[-1].status == 404)
            # slack_sdk goes on with the url that was refused, for ever, unless it is told.
            ear.handlers[0].client.wss_uri = None
        await fake.until(lambda: any(live is not first for live in fake.socket.live))
        await fake.say("still there?")
        await fake.until(lambda: ear.heard)


async def test_an_url_serves_one_socket_and_ten_are_the_most(
    fake: FakeSlack, web: AsyncWebClient
) -> None:
    async with aiohttp.ClientSession() as session:
        sockets = []
        for number in range(11):
            opened = await web.apps_connections_open(app_token=fake.app_token)
            sockets.append(await session.ws_connect(opened["url"]))
            frame = json.loads(await sockets[-1].receive_str())
            assert frame["type"] == ("hello" if number < 10 else "disconnect")
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await session.ws_connect(opened["url"])
        assert frame["reason"] == "too_many_websockets"
        for socket in sockets:
            await socket.close()


async def test_buttons_and_commands_reach_the_app_and_are_answered(
    fake: FakeSlack, web: AsyncWebClient
) -> None:
    ear = Ear(fake)

    @ear.app.action("again")
    async def again(ack: Any, respond: Any, body: dict[str, Any]) -> None:
        await ack()
        assert body["container"]["message_ts"] == body["message"]["ts"]
        await respond(text="pressed", replace_original=True)

    @ear.app.command("/ask")
    async def ask(ack: Any, respond: Any, command: dict[str, Any]) -> None:
        await ack(f"thinking about {command['text']}")
        for number in range(6):
            await respond(f"{number}", response_type="in_channel")

    button = {"type": "button", "action_id": "again", "text": {"type": "plain_text", "text": "↻"}}
    blocks = [{"type": "actions", "elements": [button]}]
    async with ear.listening():
        said = await web.chat_postMessage(channel=fake.team.general.id, text="x", blocks=blocks)
        assert fake.shown("general")[0].buttons == ["↻"]
        assert await fake.press(said["ts"], "↻")
        await fake.until(lambda: fake.shown("general")[0].text == "pressed")

        await fake.command("ask", "cats")
        await fake.until(lambda: fake.calls[-1].status == 404)
        assert [shown.text for shown in fake.ephemerals] == ["thinking about cats"]
        assert [shown.text for shown in fake.shown("general")[1:]] == ["0", "1", "2", "3", "4"]
    await fake.until(lambda: not fake.socket.live)
    await fake.command("ask", "dogs")
    assert fake.ephemerals[-1].text == '/ask failed with the error "dispatch_failed"'


async def test_files_go_up_in_three_steps_and_come_down_with_a_token(
    fake: FakeSlack, web: AsyncWebClient
) -> None:
    async with Ear(fake).listening() as ear:
        ts = await fake.say("look", files=[("cat.txt", b"meow")])
        general = fake.team.general.id
        await web.files_upload_v2(
            channel=general, thread_ts=ts, content=b"woof", filename="dog.txt", initial_comment="hm"
        )
        (shown,) = fake.answers_to(ts)
        assert (shown.text, shown.files) == ("hm", [("dog.txt", b"woof")])
        await fake.until(lambda: len(ear.heard) == 2)
        assert [event["subtype"] for event in ear.events] == ["file_share", "file_share"]
        about = (await web.files_info(file=ear.events[0]["files"][0]["id"]))["file"]
        assert (about["name"], about["size"], about["mimetype"]) == ("cat.txt", 4, "text/plain")
        url = about["url_private_download"]
        async with aiohttp.ClientSession() as session:
            async with session.get(url) as page:
                assert (page.status, page.content_type) == (200, "text/html")
            headers = {"Authorization": f"Bearer {fake.bot_token}"}
            async with session.get(url, headers=headers) as page:
                assert await page.read() == b"meow"


async def test_a_stream_grows_and_is_stopped(fake: FakeSlack, web: AsyncWebClient) -> None:
    ts, general = await fake.say("tell me"), fake.team.general.id
    ann = fake.team.user("ann")
    stream = await web.chat_stream(
        channel=general, thread_ts=ts, recipient_user_id=ann, recipient_team_id=fake.team.id,
        buffer_size=1,
    )  # fmt: skip
    await stream.append(markdown_text="once ")
    await stream.append(markdown_text="upon")
    (shown,) = fake.answers_to(ts)
    edit = web.chat_update(channel=general, ts=shown.id, text="x")
    assert (await error(edit))["error"] == "streaming_state_conflict"
    await stream.stop(markdown_text=" a time")
    assert [each.text for each in fake.answers_to(ts)] == ["once upon a time"]
    more = web.chat_appendStream(channel=general, ts=shown.id, markdown_text="!")
    assert (await error(more))["error"] == "message_not_in_streaming_state"
    start = web.chat_startStream(channel=general, thread_ts=ts)
    assert (await error(start))["error"] == "missing_recipient_team_id"
    fake.access.switched_off.add("chat.startStream")
    start = web.chat_startStream(channel=general, thread_ts=ts)
    assert (await error(start))["error"] == "unknown_method"


async def test_who_is_pinged_is_what_slack_would_ping(fake: FakeSlack, web: AsyncWebClient) -> None:
    ann, general = fake.team.user("ann"), fake.team.general.id

    async def pings(**message: Any) -> Any:
        await web.chat_postMessage(channel=general, **message)
        return fake.shown("general")[-1].raw["pings"]

    assert await pings(text=f"@channel @ann &lt;!here&gt; <@{ann}>") == [ann]
    assert await pings(text="@channel @ann", link_names=True) == ["channel", ann]
    assert await pings(text="<!here> <!everyone|all>") == ["here", "everyone"]
    quiet = {"type": "section", "text": {"type": "plain_text", "text": "<!here>"}}
    loud = {"type": "section", "text": {"type": "mrkdwn", "text": "<!channel>"}}
    assert await pings(text="x", blocks=[quiet, loud]) == ["channel"]


async def test_a_customised_name_makes_a_bot_message(fake: FakeSlack, web: AsyncWebClient) -> None:
    async with Ear(fake).listening() as ear:
        await web.chat_postMessage(channel=fake.team.general.id, text="hi", username="joe")
        await fake.until(lambda: ear.heard)
        (event,) = ear.events
        assert (event["subtype"], event["username"]) == ("bot_message", "joe")
        assert "user" not in event
        assert fake.shown("general")[0].author == "joe"


async def test_whispers_are_in_no_history(fake: FakeSlack, web: AsyncWebClient) -> None:
    await fake.say("hello")
    ann, general = fake.team.user("ann"), fake.team.general.id
    await web.chat_postEphemeral(channel=general, user=ann, text="psst")
    assert [(shown.text, shown.raw["user"]) for shown in fake.ephemerals] == [("psst", ann)]
    assert len((await web.conversations_history(channel=general))["messages"]) == 1


async def test_reactions_and_conversations_are_what_the_client_expects(
    fake: FakeSlack, web: AsyncWebClient
) -> None:
    async with Ear(fake).listening() as ear:
        ts, general = await fake.say("hello"), fake.team.general.id
        await web.reactions_add(channel=general, timestamp=ts, name="eyes")
        again = web.reactions_add(channel=general, timestamp=ts, name="eyes")
        assert (await error(again))["error"] == "already_reacted"
        await fake.react(ts, "👍")
        got = await web.reactions_get(channel=general, timestamp=ts)
        assert [each["name"] for each in got["message"]["reactions"]] == ["eyes", "+1"]
        await fake.join("bob", "general")
        await fake.open_home("ann")
        await fake.until(lambda: len(ear.heard) == 6)
        kinds = [event["type"] for event in ear.events]
        assert kinds[-3:] == ["message", "member_joined_channel", "app_home_opened"]

        direct = await web.conversations_open(users=fake.team.user("ann"))
        assert direct["channel"]["id"].startswith("D")
        listed = await web.conversations_list(types="im", limit=1)
        assert [each["user"] for each in listed["channels"]] == [fake.team.user("ann")]
        about = (await web.conversations_info(channel=general, include_num_members=True))["channel"]
        assert (about["name"], about["num_members"]) == ("general", 3)
        assert len((await web.users_list())["members"]) == 3
        listed = await web.users_conversations(types="public_channel,im")
        assert {each["id"] for each in listed["channels"]} == {general, direct["channel"]["id"]}
        there = (await web.conversations_members(channel=general))["members"]
        assert fake.team.user("bob") in there
        about = (await web.users_info(user=fake.team.user("bob")))["user"]
        assert about["profile"]["display_name"] == "bob"
        assert (await web.bots_info(bot=fake.team.bot_id))["bot"]["app_id"] == fake.team.app_id
        await web.assistant_threads_setStatus(channel_id=general, thread_ts=ts, status="thinks")
        assert fake.typing == [(general, ts, "thinks")]


async def test_faults_come_in_slacks_own_form(fake: FakeSlack, web: AsyncWebClient) -> None:
    general = fake.team.general.id
    fake.faults.next("chat.postMessage", RateLimit(0))
    refused = await error(web.chat_postMessage(channel=general, text="one"))
    assert refused["error"] == "ratelimited"
    web.retry_handlers.append(AsyncRateLimitErrorRetryHandler())
    fake.faults.next("chat.postMessage", RateLimit(0))
    await web.chat_postMessage(channel=general, text="two")
    fake.faults.next("chat.postMessage", Reset(applied=True))
    with pytest.raises(aiohttp.ClientError):
        await web.chat_postMessage(channel=general, text="three")
    assert [shown.text for shown in fake.shown("general")] == ["two", "three"]
    fake.faults.next("chat.postMessage", Answer(503, "upstream connect error"))
    with pytest.raises((SlackApiError, aiohttp.ClientError, AttributeError)):
        await web.chat_postMessage(channel=general, text="four")


async def test_poison_and_repeated_events_do_not_stop_the_client(fake: FakeSlack) -> None:
    async with Ear(fake).listening() as ear:
        await fake.poison("{not json")
        await fake.poison({"type": "message", "channel": None})
        ts = await fake.say("hello")
        await fake.until(lambda: ts in [event.get("ts") for event in ear.events])
        await fake.redeliver(ts)
        await fake.until(lambda: [event.get("ts") for event in ear.events].count(ts) == 2)
        assert len({body["event_id"] for body in ear.heard}) < len(ear.heard)


async def test_bolt_is_not_told_what_it_has_no_scope_for(fake: FakeSlack) -> None:
    fake.scopes -= {"channels:history"}
    async with Ear(fake).listening() as ear:
        await fake.say("hello")
        await fake.say("hello @botdaemon")
        await fake.until(lambda: ear.heard)
        assert [event["type"] for event in ear.events] == ["app_mention"]


async def test_a_deleted_beginning_of_a_thread_leaves_a_tombstone(
    fake: FakeSlack, web: AsyncWebClient
) -> None:
    async with Ear(fake).listening() as ear:
        ts = await fake.say("hello")
        await web.chat_postMessage(channel=fake.team.general.id, text="hi", thread_ts=ts)
        await fake.delete(ts)
        await fake.until(lambda: len(ear.heard) == 3)
        (changed,) = (event for event in ear.events if event.get("subtype") == "message_changed")
        assert changed["message"]["subtype"] == "tombstone"
        assert [shown.text for shown in fake.shown("general", "")] == ["This message was deleted."]


async def test_a_platform_that_is_down_and_back_remembers_everything(fake: FakeSlack) -> None:
    async with Ear(fake).listening() as ear:
        fake.refuse_connections = True
        await fake.drop()
        await fake.until(lambda: not fake.socket.live)
        fake.retry_factor = 0.1
        await fake.say("hello")
        fake.refuse_connections = False
        await fake.until(lambda: ear.heard, timeout=60)
        assert [shown.text for shown in fake.shown("general")] == ["hello"]


# --- pictures and windows -------------------------------------------------------------------------


async def uploaded(fake: FakeSlack, web: AsyncWebClient, name: str) -> str:
    """A file of the app's in no channel."""
    place = await web.files_getUploadURLExternal(filename=name, length=4)
    async with (
        aiohttp.ClientSession() as session,
        session.post(place["upload_url"], data=b"data") as response,
    ):
        assert response.status == 200
    await web.files_completeUploadExternal(files=[{"id": place["file_id"]}])
    return str(place["file_id"])


def picture(file: str) -> dict[str, Any]:
    block = ImageBlock(alt_text="a cat", slack_file={"id": file}).to_dict()
    return dict(block)


async def test_a_message_shows_a_picture_once_slack_has_looked_at_it(
    fake: FakeSlack, web: AsyncWebClient
) -> None:
    general = fake.team.general.id
    file = await uploaded(fake, web, "cat.png")
    assert fake.shown("general") == []  # in no channel yet
    words: dict[str, Any] = {"channel": general, "text": "a cat"}
    refused = await error(web.chat_postMessage(**words, blocks=[picture(file)]))
    assert refused["error"] == "invalid_blocks"
    assert "slack_file" in refused["errors"][0]
    await web.chat_postMessage(**words, blocks=[picture(file)])
    (shown,) = fake.shown("general")
    assert shown.files == [("cat.png", b"data")]
    for other in (await uploaded(fake, web, "cat.webp"), "F404"):
        refused = await error(web.chat_postMessage(**words, blocks=[picture(other)]))
        assert refused["error"] == "invalid_blocks"

    await web.files_delete(file=file)
    assert fake.shown("general")[0].files == []
    assert (await error(web.files_delete(file=file)))["error"] == "file_not_found"
    theirs = fake.team.posts[await fake.say("look", files=[("a.png", b"theirs")])].raw["files"][0]
    assert (await error(web.files_delete(file=theirs["id"])))["error"] == "cant_delete_file"


def form(**more: Any) -> dict[str, Any]:
    element = PlainTextInputElement(action_id="words", initial_value="a red cat")
    block = InputBlock(block_id="prompt", label="Prompt", element=element)
    view = View(type="modal", title="Edit", submit="Draw", callback_id="edit", blocks=[block])
    return {**view.to_dict(), **more}


async def test_a_press_opens_one_window_soon_or_none(fake: FakeSlack) -> None:
    ear = Ear(fake)
    bodies: list[dict[str, Any]] = []

    async def keep(ack: Any, body: dict[str, Any]) -> None:
        await ack()
        bodies.append(body)
        fake.changed()

    ear.app.action("edit")(keep)
    ear.app.view("edit")(keep)
    web = ear.app.client
    async with ear.listening():
        button = ButtonElement(text="Edit", action_id="edit")
        blocks = [ActionsBlock(elements=[button]).to_dict()]
        posted = await web.chat_postMessage(channel="general", text="a cat", blocks=blocks)
        assert await fake.press(posted["ts"], "Edit", who="ann")
        trigger = bodies[0]["trigger_id"]
        opened = await web.views_open(trigger_id=trigger, view=form(private_metadata="here"))
        window = fake.window("ann")
        assert window is not None
        assert window.value == "a red cat"
        refused = await error(web.views_open(trigger_id=trigger, view=form()))
        assert refused["error"] == "exchanged_trigger_id"

        assert await fake.submit("a blue cat", who="ann")
        view = bodies[1]["view"]
        assert (view["id"], view["private_metadata"]) == (opened["view"]["id"], "here")
        assert view["state"]["values"]["prompt"]["words"]["value"] == "a blue cat"
        assert fake.window("ann") is None

        fake.windows.trigger_seconds = 0.0
        await fake.press(posted["ts"], "Edit", who="ann")
        late = bodies[2]["trigger_id"]
        assert (await error(web.views_open(trigger_id=late, view=form())))["error"] == (
            "expired_trigger_id"
        )
        assert (await error(web.views_open(trigger_id="t", view=form())))["error"] == (
            "invalid_trigger_id"
        )
        wrongs: list[dict[str, Any]] = [
            {"title": {"type": "plain_text", "text": "x" * 25}},
            {"submit": {"type": "mrkdwn", "text": "Draw"}},
            {"private_metadata": "x" * 3001},
            {"blocks": []},
            {"blocks": [picture("F404")]},
        ]
        for wrong in wrongs:
            refused = await error(web.views_open(trigger_id="t", view=form(**wrong)))
            assert refused["error"] == "invalid_arguments", wrong
        without = {name: value for name, value in form().items() if name != "submit"}
        refused = await error(web.views_open(trigger_id="t", view=without))
        assert "submit" in refused["response_metadata"]["messages"][0]
