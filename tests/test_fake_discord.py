"""The fake Discord, judged by discord.py in its documented use, and by plain requests."""

from __future__ import annotations

import asyncio
import io
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import discord
import pytest
from discord import app_commands
from fake_discord import FakeDiscord, connector
from fake_faults import RateLimit, Reset

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

API = "https://discord.com/api/v10"


class Client(discord.Client):
    """A client as the documentation shows it: it puts down what it hears."""

    def __init__(self, fake: FakeDiscord, *, content: bool = True, **options: Any) -> None:
        intents = discord.Intents.default()
        intents.message_content = content
        super().__init__(
            intents=intents, connector=fake.connector(), guild_ready_timeout=0.1, **options
        )
        self.tree = app_commands.CommandTree(self)
        self.heard: asyncio.Queue[Any] = asyncio.Queue()
        self.resumed = asyncio.Event()

    async def on_message(self, message: discord.Message) -> None:
        if message.author != self.user:
            self.heard.put_nowait(message)

    async def on_raw_message_edit(self, event: discord.RawMessageUpdateEvent) -> None:
        if event.message.author != self.user:
            self.heard.put_nowait(event)

    async def on_raw_message_delete(self, event: discord.RawMessageDeleteEvent) -> None:
        self.heard.put_nowait(event)

    async def on_raw_bulk_message_delete(self, event: discord.RawBulkMessageDeleteEvent) -> None:
        self.heard.put_nowait(event)

    async def on_raw_reaction_add(self, event: discord.RawReactionActionEvent) -> None:
        self.heard.put_nowait(event)

    async def on_raw_reaction_remove(self, event: discord.RawReactionActionEvent) -> None:
        self.heard.put_nowait(event)

    async def on_interaction(self, interaction: discord.Interaction) -> None:
        self.heard.put_nowait(interaction)

    async def on_resumed(self) -> None:
        self.resumed.set()

    async def hear(self) -> Any:
        async with asyncio.timeout(20):
            return await self.heard.get()

    def channel(self, name: str = "general") -> Any:
        return discord.utils.get(self.get_all_channels(), name=name)


@asynccontextmanager
async def logged_in(fake: FakeDiscord, **options: Any) -> AsyncIterator[Client]:
    client = Client(fake, **options)
    async with client:
        life = asyncio.create_task(client.start(fake.token))
        ready = asyncio.create_task(client.wait_until_ready())
        await asyncio.wait({life, ready}, return_when=asyncio.FIRST_COMPLETED, timeout=20)
        assert ready.done(), life
        yield client
    await asyncio.gather(life, return_exceptions=True)


@pytest.fixture
async def fake() -> AsyncIterator[FakeDiscord]:
    async with FakeDiscord().serving() as serving:
        yield serving


@pytest.fixture
async def client(fake: FakeDiscord) -> AsyncIterator[Client]:
    async with logged_in(fake) as client:
        yield client


# --- talking --------------------------------------------------------------------------------------


async def test_a_client_hears_a_message_and_its_answer_is_shown_as_one(
    fake: FakeDiscord, client: Client
) -> None:
    id = await fake.say(f"{fake.mention} hello")
    message = await client.hear()
    assert (str(message.id), message.content, message.author.name) == (
        id,
        f"{fake.mention} hello",
        "ann",
    )
    assert client.user in message.mentions
    await message.reply("good morning")
    (answer,) = fake.answers_to(id)
    assert (answer.text, answer.reply_to, answer.author) == ("good morning", id, "botdaemon")


async def test_a_private_conversation_has_a_channel_of_its_own(
    fake: FakeDiscord, client: Client
) -> None:
    await fake.say("psst", channel="@ann")
    message = await client.hear()
    assert message.guild is None
    await message.author.send("yes?")
    assert [shown.text for shown in fake.shown("@ann")] == ["psst", "yes?"]


async def test_nobody_is_notified_where_mentions_are_not_allowed(
    fake: FakeDiscord, client: Client
) -> None:
    ann = fake.world.person("ann")
    text = f"@everyone <@{ann.id}> `@here`"
    await client.channel().send(text, allowed_mentions=discord.AllowedMentions.none())
    await client.channel().send(text)
    quiet, loud = fake.shown()
    assert (quiet.raw["pings"], loud.raw["pings"]) == ([], ["ann", "everyone"])


async def test_what_was_edited_and_deleted_is_told(fake: FakeDiscord, client: Client) -> None:
    ids = [await fake.say(text) for text in ("one", "two", "three")]
    for _ in ids:
        await client.hear()
    await fake.edit(ids[0], "won")
    edited = await client.hear()
    assert (edited.message_id, edited.message.content) == (int(ids[0]), "won")
    await fake.delete(ids[0])
    assert (await client.hear()).message_id == int(ids[0])
    await fake.delete(*ids[1:])
    assert (await client.hear()).message_ids == {int(ids[1]), int(ids[2])}
    assert fake.shown() == []


async def test_an_edit_of_ours_shows_both_texts(fake: FakeDiscord, client: Client) -> None:
    sent = await client.channel().send("…")
    await sent.edit(content="done")
    (shown,) = fake.shown()
    assert (shown.text, shown.versions) == ("done", ["…", "done"])
    await sent.delete()
    assert fake.shown() == []


async def test_reactions_go_both_ways(fake: FakeDiscord, client: Client) -> None:
    id = await fake.say("a question")
    message = await client.hear()
    await fake.react(id, "👍", who="bob")
    assert str((await client.hear()).emoji) == "👍"
    await fake.react(id, "👍", who="bob", added=False)
    assert (await client.hear()).event_type == "REACTION_REMOVE"
    await message.add_reaction("👀")
    (shown,) = fake.shown()
    assert [reaction["emoji"]["name"] for reaction in shown.raw["reactions"]] == ["👀"]
    with pytest.raises(discord.HTTPException) as caught:
        await message.add_reaction("eyes")
    assert caught.value.code == 10014


async def test_files_go_both_ways(fake: FakeDiscord, client: Client) -> None:
    id = await fake.say("look", files=[("my cat.png", b"\x89PNG...")])
    message = await client.hear()
    (attachment,) = message.attachments
    assert (attachment.filename, attachment.content_type) == ("my_cat.png", "image/png")
    assert await attachment.read() == b"\x89PNG..."
    attachment.url = attachment.url.split("?")[0]  # the signature is part of the address
    with pytest.raises(discord.NotFound):
        await attachment.read()
    await message.reply(file=discord.File(io.BytesIO(b"nice"), "answer.txt"))
    (answer,) = fake.answers_to(id)
    assert answer.files == [("answer.txt", b"nice")]


async def test_typing_is_seen(fake: FakeDiscord, client: Client) -> None:
    await client.channel().typing()
    assert fake.typing == [fake.channel_id()]


# --- threads --------------------------------------------------------------------------------------


async def test_a_thread_has_the_id_of_the_message_it_began_with(
    fake: FakeDiscord, client: Client
) -> None:
    id = await fake.say("tell me everything")
    message = await client.hear()
    thread = await message.create_thread(name="everything")
    assert str(thread.id) == id
    await thread.send("it began")
    assert [shown.text for shown in fake.shown(topic="everything")] == ["it began"]
    assert [shown.topic for shown in fake.answers_to(id)] == [id]
    with pytest.raises(discord.HTTPException) as caught:
        await message.create_thread(name="again")
    assert caught.value.code == 160004


async def test_what_is_said_in_a_thread_is_heard_there_and_wakes_it(
    fake: FakeDiscord, client: Client
) -> None:
    thread = await fake.open_thread("plans")
    while (await client.hear()).type is not discord.MessageType.thread_created:
        pass
    await fake.archive(thread)
    await fake.say("still there?", topic=thread)
    message = await client.hear()
    assert isinstance(message.channel, discord.Thread)
    assert str(message.channel.id) == thread
    assert not message.channel.archived


async def test_a_forum_takes_posts_with_titles_and_nothing_else(fake: FakeDiscord) -> None:
    fake.create_channel("ideas", forum=True)
    async with logged_in(fake) as client:
        forum = client.channel("ideas")
        thread, message = await forum.create_thread(name="An idea", content="Let us sing")
        assert thread.id == message.id
        assert [shown.text for shown in fake.shown("ideas", "An idea")] == ["Let us sing"]
        route = discord.http.Route("POST", "/channels/{channel_id}/messages", channel_id=forum.id)
        with pytest.raises(discord.HTTPException) as caught:
            await client.http.request(route, json={"content": "no title"})
        assert caught.value.code == 50008


# --- what it refuses ------------------------------------------------------------------------------


async def test_it_refuses_what_discord_refuses(fake: FakeDiscord, client: Client) -> None:
    channel = client.channel()
    await fake.say("hello")
    message = await client.hear()

    async def code(attempt: Any) -> tuple[int, int]:
        with pytest.raises(discord.HTTPException) as caught:
            await attempt
        return caught.value.status, caught.value.code

    assert await code(channel.send("x" * 2001)) == (400, 50035)
    assert await code(channel.send(" ")) == (400, 50006)
    assert await code(message.edit(content="mine")) == (403, 50005)
    assert await code(message.delete()) == (403, 50013)
    assert await code(channel.fetch_message(1)) == (404, 10008)
    big = discord.File(io.BytesIO(bytes(10 * 1024 * 1024 + 1)), "big.bin")
    assert await code(channel.send(file=big)) == (413, 40005)
    await fake.delete(str(message.id))
    assert await code(message.reply("to nothing")) == (400, 50035)
    gone = message.to_reference(fail_if_not_exists=False)
    assert (await channel.send("all the same", reference=gone)).reference is None
    await fake.permit("SEND_MESSAGES", False, channel="general")
    assert await code(channel.send("hush")) == (403, 50013)
    await fake.permit("VIEW_CHANNEL", False, channel="general")
    assert await code(channel.send("where")) == (403, 50001)
    await fake.delete_channel("general")
    assert await code(channel.send("gone")) == (404, 10003)


async def test_a_wrong_token_is_refused(fake: FakeDiscord) -> None:
    async with Client(fake) as client:
        with pytest.raises(discord.LoginFailure):
            await client.login("wrong")


async def test_without_the_intent_content_is_empty_except_in_mentions_and_private(
    fake: FakeDiscord,
) -> None:
    async with logged_in(fake, content=False) as client:
        await fake.say("among us")
        await fake.say(f"{fake.mention} to you")
        await fake.say("private", channel="@ann")
        heard = [(await client.hear()).content for _ in range(3)]
    assert heard == ["", f"{fake.mention} to you", "private"]


async def test_an_intent_that_is_switched_off_in_the_portal_ends_the_login(
    fake: FakeDiscord,
) -> None:
    await fake.forbid_intent("MESSAGE_CONTENT")
    async with Client(fake) as client:
        with pytest.raises(discord.PrivilegedIntentsRequired):
            await client.start(fake.token)


# --- nothing twice, nothing lost ------------------------------------------------------------------


async def test_a_nonce_sent_again_gives_the_first_message(
    fake: FakeDiscord, client: Client
) -> None:
    fake.faults.next("POST */messages", Reset(applied=True))
    with pytest.raises(aiohttp.ClientError):
        await client.channel().send("once", nonce="o17")
    again = await client.channel().send("once", nonce="o17")
    (shown,) = fake.shown()
    assert str(again.id) == shown.id
    fake.nonce_memory = 0
    await client.channel().send("once", nonce="o17")
    assert len(fake.shown()) == 2


async def test_history_can_be_read_from_any_point(fake: FakeDiscord, client: Client) -> None:
    ids = [await fake.say(str(number)) for number in range(5)]
    channel = client.channel()
    middle = discord.Object(int(ids[2]))

    async def read(**where: Any) -> list[str]:
        return [message.content async for message in channel.history(**where)]

    assert await read(limit=2) == ["4", "3"]
    assert await read(before=middle) == ["1", "0"]
    assert await read(after=middle, limit=1) == ["3"]
    assert await read(around=middle, limit=3) == ["3", "2", "1"]
    assert channel.last_message_id == int(ids[-1])


async def test_a_limited_request_is_sent_again_after_the_time_it_was_told(
    fake: FakeDiscord, client: Client
) -> None:
    fake.faults.next("POST */messages", RateLimit(0.1))
    await client.channel().send("patience")
    fake.limits.routes["POST /channels/{c}/messages"] = (1, 0.2)
    await client.channel().send("and")
    await client.channel().send("more")
    assert [shown.text for shown in fake.shown()] == ["patience", "and", "more"]
    assert sum(call.status == 429 for call in fake.calls) >= 1


async def test_what_was_missed_is_replayed_after_a_dropped_connection(
    fake: FakeDiscord, client: Client
) -> None:
    await fake.drop()
    await fake.until(lambda: not fake.gateway.connections)
    await fake.say("while you were out")
    assert (await client.hear()).content == "while you were out"
    fake.gateway.ask_to_reconnect()
    await fake.until(lambda: sum(login["op"] == 6 for login in fake.gateway.logins) == 2)


async def test_a_forgotten_session_begins_anew_and_what_was_missed_is_only_in_the_history(
    fake: FakeDiscord, client: Client
) -> None:
    fake.refuse_connections = True
    await fake.drop()
    await fake.until(lambda: not fake.gateway.connections)
    fake.forget_sessions()
    await fake.say("missed")
    fake.refuse_connections = False
    await fake.until(lambda: [login["op"] for login in fake.gateway.logins] == [2, 6, 2])
    await fake.until(lambda: fake.gateway.sessions)
    await fake.say("heard")
    assert (await client.hear()).content == "heard"
    history = [message.content async for message in client.channel().history()]
    assert history == ["heard", "missed"]


async def test_a_connection_that_went_silent_is_resumed(fake: FakeDiscord) -> None:
    fake.gateway.heartbeat_ms = 200
    async with logged_in(fake, heartbeat_timeout=1.0) as client:
        fake.silent()
        await fake.say("do you hear me")
        assert (await client.hear()).content == "do you hear me"
    assert [login["op"] for login in fake.gateway.logins][:2] == [2, 6]


async def test_a_revoked_token_ends_the_client(fake: FakeDiscord) -> None:
    async with Client(fake) as client:
        life = asyncio.create_task(client.start(fake.token))
        await fake.until(lambda: fake.gateway.sessions)
        await fake.revoke()
        with pytest.raises(discord.ConnectionClosed) as caught:
            await life
    assert caught.value.code == 4004


async def test_a_poisoned_event_ends_discord_py(fake: FakeDiscord) -> None:
    async with Client(fake) as client:
        life = asyncio.create_task(client.start(fake.token))
        await fake.until(lambda: fake.gateway.sessions)
        await fake.poison({"id": "1", "channel_id": fake.channel_id()})
        with pytest.raises(KeyError):
            await life


async def test_a_message_can_be_delivered_twice(fake: FakeDiscord, client: Client) -> None:
    id = await fake.say("echo")
    await fake.redeliver(id)
    assert (await client.hear()).id == (await client.hear()).id


async def test_a_bot_that_is_thrown_out_has_no_server(fake: FakeDiscord, client: Client) -> None:
    removed = asyncio.create_task(client.wait_for("guild_remove"))
    await asyncio.sleep(0)
    await fake.kick()
    await asyncio.wait_for(removed, 20)
    assert list(client.guilds) == []
    joined = asyncio.create_task(client.wait_for("guild_join"))
    await asyncio.sleep(0)
    await fake.invite()
    assert (await asyncio.wait_for(joined, 20)).name == fake.world.guild_name
    gone = asyncio.create_task(client.wait_for("guild_unavailable"))
    await asyncio.sleep(0)
    await fake.outage()
    await asyncio.wait_for(gone, 20)
    back = asyncio.create_task(client.wait_for("guild_available"))
    await asyncio.sleep(0)
    await fake.recover()
    await asyncio.wait_for(back, 20)


# --- applications ---------------------------------------------------------------------------------


async def test_a_registered_command_can_be_used_and_answered_in_private(
    fake: FakeDiscord, client: Client
) -> None:
    @client.tree.command(description="Greets somebody")
    async def greet(interaction: discord.Interaction, name: str) -> None:
        await interaction.response.send_message(f"hello {name}", ephemeral=True)
        await interaction.followup.send("and goodbye", ephemeral=True)

    with pytest.raises(LookupError):
        await fake.command("greet", "bob")
    await client.tree.sync()
    assert fake.commands.writes == 1
    id = await fake.command("greet", "bob")
    await fake.until(lambda: len(fake.answers_to(id)) == 2)
    first, second = fake.answers_to(id)
    assert (first.text, first.raw["ephemeral"]) == ("hello bob", True)
    assert second.text == "and goodbye"
    assert [message async for message in client.channel().history()] == []


async def test_a_deferred_answer_takes_its_place_when_it_comes(
    fake: FakeDiscord, client: Client
) -> None:
    @client.tree.command(description="Thinks")
    async def think(interaction: discord.Interaction) -> None:
        await interaction.response.defer(thinking=True)
        await interaction.edit_original_response(content="42")

    await client.tree.sync()
    id = await fake.command("think")
    await fake.until(lambda: [shown.text for shown in fake.answers_to(id)] == ["42"])


async def test_an_answer_that_comes_too_late_is_refused(fake: FakeDiscord, client: Client) -> None:
    client.tree.command(name="slow", description="Is slow")(_never)
    await client.tree.sync()
    fake.interactions.patience = 0
    await fake.command("slow")
    interaction = await client.hear()
    with pytest.raises(discord.NotFound) as caught:
        await interaction.response.send_message("too late")
    assert caught.value.code == 10062


async def _never(_: discord.Interaction) -> None:
    """Leaves the answer to whoever hears of it."""


async def test_commands_have_a_daily_quota(fake: FakeDiscord, client: Client) -> None:
    fake.commands.quota = 0
    client.tree.command(name="one", description="More than none")(_never)
    with pytest.raises(discord.HTTPException) as caught:
        await client.tree.sync()
    assert caught.value.code == 30034


async def test_a_pressed_button_can_change_its_message(fake: FakeDiscord, client: Client) -> None:
    view = discord.ui.View(timeout=None)
    view.add_item(discord.ui.Button(label="Again", custom_id="again:1"))
    sent = await client.channel().send("an answer", view=view)
    (shown,) = fake.shown()
    assert shown.buttons == ["Again"]
    await fake.press(str(sent.id), "Again", who="bob")
    interaction = await client.hear()
    assert (interaction.data["custom_id"], interaction.user.name) == ("again:1", "bob")
    await interaction.response.edit_message(content="another answer", view=None)
    (shown,) = fake.shown()
    assert (shown.text, shown.buttons) == ("another answer", [])


class Form(discord.ui.Modal, title="Again"):
    words: discord.ui.Label[Any] = discord.ui.Label(
        text="Words",
        component=discord.ui.TextInput(custom_id="words", default="the same", max_length=20),
    )

    def __init__(self) -> None:
        super().__init__(custom_id="form")
        self.sent = asyncio.Event()

    async def on_submit(self, interaction: Any) -> None:
        assert isinstance(self.words.component, discord.ui.TextInput)
        await interaction.response.edit_message(content=self.words.component.value)
        self.sent.set()


async def test_a_button_can_open_a_form(fake: FakeDiscord, client: Client) -> None:
    view = discord.ui.View(timeout=None)
    view.add_item(discord.ui.Button(label="Again", custom_id="again:1"))
    sent = await client.channel().send("an answer", view=view)
    press = await fake.press(str(sent.id), "Again")
    form, interaction = Form(), await client.hear()
    await interaction.response.send_modal(form)
    assert fake.form(press) == {"words": "the same"}
    again = await fake.submit(press, words="other ones")
    submitted = await client.hear()
    async with asyncio.timeout(20):
        await form.sent.wait()
    assert (submitted.id, submitted.message.id) == (int(again), sent.id)
    assert fake.shown()[0].versions == ["an answer", "other ones"]
    with pytest.raises(AssertionError, match="cannot be sent"):
        await fake.submit(press, words="x" * 21)


async def test_a_form_that_discord_refuses_is_refused(fake: FakeDiscord, client: Client) -> None:
    view = discord.ui.View(timeout=None)
    view.add_item(discord.ui.Button(label="Again", custom_id="again:1"))
    sent = await client.channel().send("an answer", view=view)
    await fake.press(str(sent.id), "Again")
    interaction = await client.hear()
    for form in (
        discord.ui.Modal(title="x" * 46, custom_id="form"),
        discord.ui.Modal(title="empty", custom_id="form"),
    ):
        with pytest.raises(discord.HTTPException) as caught:
            await interaction.response.send_modal(form)
        assert caught.value.code == 50035


async def test_an_edit_replaces_the_files_it_does_not_keep(
    fake: FakeDiscord, client: Client
) -> None:
    sent = await client.channel().send("…", file=discord.File(io.BytesIO(b"one"), "1.txt"))
    sent = await sent.edit(content="same file")
    assert fake.shown()[0].files == [("1.txt", b"one")]
    covered = discord.File(io.BytesIO(b"two"), "2.txt", spoiler=True)
    sent = await sent.edit(attachments=[covered])
    assert sent.attachments[0].is_spoiler()
    assert fake.shown()[0].files == [("SPOILER_2.txt", b"two")]
    await fake.permit("ATTACH_FILES", False)
    with pytest.raises(discord.Forbidden):
        await sent.edit(attachments=[discord.File(io.BytesIO(b"three"), "3.txt")])
    await sent.edit(attachments=[])
    assert fake.shown()[0].files == []


async def test_a_webhook_writes_under_any_name(fake: FakeDiscord, client: Client) -> None:
    channel = client.channel()
    hook = await channel.create_webhook(name="bridge")
    sent = await hook.send(
        "hello from afar",
        username="Ada (Slack)",
        avatar_url="https://example.org/ada.png",
        wait=True,
    )
    (shown,) = fake.shown()
    assert (shown.author, shown.text) == ("Ada (Slack)", "hello from afar")
    await sent.edit(content="hello again")
    assert [shown.text for shown in fake.shown()] == ["hello again"]
    heard = await client.hear()
    assert heard.webhook_id == hook.id
    assert [found.id for found in await channel.webhooks()] == [hook.id]
    await sent.delete()
    thread = await fake.open_thread("plans")
    await hook.send("in a thread", thread=discord.Object(int(thread)), wait=True)
    assert [shown.text for shown in fake.shown(topic="plans")] == ["in a thread"]
    await fake.permit("MANAGE_WEBHOOKS", False)
    with pytest.raises(discord.Forbidden):
        await channel.create_webhook(name="another")


# --- the plain protocol ---------------------------------------------------------------------------


async def test_everything_a_client_may_look_up_is_there(fake: FakeDiscord) -> None:
    thread = await fake.open_thread("plans")
    ann = fake.world.person("ann").id
    paths = [
        "/gateway/bot",
        "/users/@me",
        "/users/@me/guilds",
        f"/users/{ann}",
        "/applications/@me",
        "/oauth2/applications/@me",
        f"/guilds/{fake.guild_id}",
        f"/guilds/{fake.guild_id}/roles",
        f"/guilds/{fake.guild_id}/channels",
        f"/guilds/{fake.guild_id}/members/{ann}",
        f"/guilds/{fake.guild_id}/threads/active",
        f"/channels/{thread}",
        f"/channels/{fake.channel_id()}/threads/archived/public",
        f"/applications/{fake.app_id}/commands",
        f"/applications/{fake.app_id}/guilds/{fake.guild_id}/commands",
    ]
    headers = {"Authorization": f"Bot {fake.token}"}
    async with aiohttp.ClientSession(connector=fake.connector()) as session:
        for path in paths:
            async with session.get(API + path, headers=headers) as response:
                assert response.status == 200, path
                assert response.headers["Content-Type"] == "application/json"
                assert "X-RateLimit-Bucket" in response.headers
            async with session.get(API + path) as response:
                assert response.status == 401, path
        async with session.get(API + "/nowhere", headers=headers) as response:
            assert await response.json() == {"message": "404: Not Found", "code": 0}


@asynccontextmanager
async def plain(fake: FakeDiscord) -> AsyncIterator[aiohttp.ClientSession]:
    """Requests without any client library, as another process makes them."""
    headers = {"Authorization": f"Bot {fake.token}"}
    async with aiohttp.ClientSession(
        connector=connector(fake.port, fake.ca), headers=headers
    ) as session:
        yield session


async def test_a_nonce_is_only_in_the_answer_and_never_in_the_history(fake: FakeDiscord) -> None:
    url = f"{API}/channels/{fake.channel_id()}/messages"
    async with plain(fake) as session:
        async with session.post(url, json={"content": "one", "nonce": "o1"}) as response:
            sent = await response.json()
        async with session.get(url) as response:
            (found,) = await response.json()
    assert sent["nonce"] == "o1"
    assert "nonce" not in found


async def test_bodies_that_are_not_json_are_refused(fake: FakeDiscord) -> None:
    url = f"{API}/channels/{fake.channel_id()}/messages"
    async with plain(fake) as session:
        async with session.post(url, data={"content": "a form"}) as response:
            assert (await response.json())["code"] == 50035
        headers = {"Content-Type": "application/json"}
        async with session.post(url, data=b"{", headers=headers) as response:
            assert (await response.json())["code"] == 50109
    assert fake.shown() == []


async def test_a_limit_on_everything_says_so(fake: FakeDiscord) -> None:
    fake.limits.whole = (1, 60.0)
    async with plain(fake) as session:
        async with session.get(f"{API}/users/@me") as response:
            assert response.status == 200
        async with session.get(f"{API}/users/@me") as response:
            assert response.status == 429
            assert (await response.json())["global"] is True
            assert response.headers["X-RateLimit-Scope"] == "global"
            assert "Via" in response.headers


async def test_a_webhook_needs_its_token_and_in_a_forum_a_title(fake: FakeDiscord) -> None:
    forum = fake.create_channel("ideas", forum=True)
    hook = fake.webhooks.add(forum, "bridge", fake.app_id)
    url = f"{API}/webhooks/{hook.id}/{hook.token}"
    async with plain(fake) as session:
        async with session.post(url + "x", json={"content": "hello"}) as response:
            assert (response.status, (await response.json())["code"]) == (401, 50027)
        async with session.post(url, json={"content": "hello"}) as response:
            assert (response.status, (await response.json())["code"]) == (400, 220001)
        titled = {"content": "hello", "thread_name": "A title", "username": "Ada"}
        async with session.post(url, json=titled) as response:
            assert response.status == 204
    (shown,) = fake.shown("ideas", "A title")
    assert (shown.author, shown.id) == ("Ada", shown.topic)


async def test_a_command_in_private_has_a_user_and_no_member(
    fake: FakeDiscord, client: Client
) -> None:
    client.tree.command(name="hush", description="Is answered elsewhere")(_never)
    await client.tree.sync()
    id = await fake.command("hush", channel="@ann")
    interaction = await client.hear()
    assert (interaction.guild, interaction.user.name) == (None, "ann")
    await interaction.response.send_message("yes")
    (answer,) = fake.answers_to(id)
    assert [shown.id for shown in fake.shown("@ann")] == [answer.id]
