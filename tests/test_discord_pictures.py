"""Pictures on Discord: words, picture and buttons as one message, previews, the form in which a
prompt is edited, what is taken away."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
from fake_discord import FakeDiscord
from fake_faults import Answer, Reset
from test_discord import account

from botdaemon.errors import AdapterDown, Gone, TryLater, Undeliverable
from botdaemon.store import Store, open_store
from botdaemon.types import Address, Control, File, Letter, Part, Posted, Pressed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from fake_faults import Shown

    from adapters.discord import DiscordAdapter
    from botdaemon.types import Event

UNDER = (
    Control.REROLL,
    Control.VARY,
    Control.UPSCALE,
    Control.EDIT,
    Control.SETTINGS,
    Control.DELETE,
)
LABELS = ["Re-roll", "Vary", "Upscale", "Edit prompt", "Settings", "Delete"]
PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
JPEG = b"\xff\xd8\xff\xe0" + bytes(64)


@dataclass
class Desk:
    """A fake Discord, an adapter on it with joe and Comic, and what it reports."""

    fake: FakeDiscord
    adapter: DiscordAdapter
    store: Store
    events: list[Event] = field(default_factory=list)

    def letter(self, part: Part, channel: str = "general", **more: Any) -> Letter:
        address = Address("discord", self.fake.channel_id(channel))
        about = {"id": 1, "key": "k1", "speaker": "joe", "created_at": 1e9, **more}
        return Letter(address=address, part=part, **about)

    def picture(self, **more: Any) -> Letter:
        """A letter with a picture, words and buttons."""
        return self.letter(Part(text="a red circle", file=self.file, **more), controls=UNDER)

    file: File = field(init=False)

    @property
    def shown(self) -> list[Shown]:
        return [one for one in self.fake.shown() if one.raw["author"]["bot"]]

    async def reported(self, count: int) -> list[Event]:
        await self.fake.until(lambda: len(self.events) >= count)
        return self.events


@asynccontextmanager
async def desk(tmp_path: Path, **told: Any) -> AsyncIterator[Desk]:
    async with FakeDiscord().serving() as fake, open_store(tmp_path) as store:
        events: list[Event] = []

        async def deliver(event: Event) -> int:
            events.append(event)
            fake.changed()
            return 1  # as if there were words to follow

        adapter = account(fake, store, "joe", "Comic", **told)
        running = asyncio.create_task(adapter.run(deliver))
        try:
            made = Desk(fake, adapter, store, events)
            made.file = await store.keep(PNG, "a-red-circle.png", "image/png")
            await _connected(fake, adapter)
            yield made
        finally:
            running.cancel()
            await asyncio.wait([running])


async def _connected(fake: FakeDiscord, adapter: DiscordAdapter) -> None:
    def usable() -> bool:
        try:
            adapter.typing(Address("discord", "1"), "joe")
        except TryLater:
            return False
        return True

    await fake.until(usable)


# --- one message ----------------------------------------------------------------------------------


async def test_picture_words_and_buttons_are_one_message_on_discord(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        await d.adapter.send(d.picture())
        [shown] = d.shown
        assert shown.files == [("a-red-circle.png", PNG)]
        assert (shown.text, shown.buttons) == ("a red circle", LABELS)
        assert [len(row["components"]) for row in shown.raw["components"]] == [3, 3]


async def test_a_draft_shows_a_preview_which_the_picture_replaces(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        draft = replace(d.letter(Part(text="step 1", preview=JPEG)), controls=(Control.STOP,))
        remote = await d.adapter.send(draft)
        assert d.shown[0].files == [("preview.jpg", JPEG)]
        further = Part(text="step 2", preview=JPEG + b"2")
        await d.adapter.edit(replace(draft, part=further, remote=remote))
        assert d.shown[0].files == [("preview.jpg", JPEG + b"2")]
        await d.adapter.edit(replace(draft, part=Part(text="step 3"), remote=remote))
        assert (d.shown[0].text, d.shown[0].files) == ("step 3", [("preview.jpg", JPEG + b"2")])
        for _ in range(2):  # as after a crash: nothing changes for people
            await d.adapter.edit(replace(d.picture(), remote=remote))
        [shown] = d.shown
        assert (shown.id, shown.files) == (remote, [("a-red-circle.png", PNG)])
        assert (shown.text, shown.buttons) == ("a red circle", LABELS)


async def test_an_answer_without_a_picture_leaves_no_preview_behind_on_discord(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path) as d:
        draft = replace(d.letter(Part(text="step 1", preview=JPEG)), controls=(Control.STOP,))
        remote = await d.adapter.send(draft)
        await d.adapter.edit(d.letter(Part(text="stopped"), remote=remote))
        [shown] = d.shown
        assert (shown.text, shown.files) == ("stopped", [])


async def test_a_preview_that_is_refused_leaves_the_draft_its_words(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        await d.fake.permit("ATTACH_FILES", False)
        draft = replace(d.letter(Part(text="step 1", preview=JPEG)), controls=(Control.STOP,))
        remote = await d.adapter.send(draft)
        await d.adapter.edit(replace(draft, part=Part(text="step 2", preview=JPEG), remote=remote))
        [shown] = d.shown
        assert (shown.versions, shown.files) == (["step 1", "step 2"], [])


async def test_a_picture_that_may_not_be_attached_is_missed_with_words(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        await d.fake.permit("ATTACH_FILES", False)
        remote = await d.adapter.send(d.letter(Part(text="step 1")))
        await d.adapter.edit(replace(d.picture(), remote=remote))
        await d.adapter.send(replace(d.picture(), key="k2"))
        for shown in d.shown:
            assert shown.text.startswith("a red circle\n*The file cannot be shown")
            assert "Attach Files" in shown.text
            assert (shown.files, shown.buttons) == ([], LABELS)


async def test_a_file_that_is_gone_is_given_up_by_name(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        d.store.file(d.file.sha256).unlink()
        with pytest.raises(Undeliverable, match=r"a-red-circle\.png cannot be read"):
            await d.adapter.send(d.picture())


async def test_a_spoiler_is_covered_on_discord(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        d.file = replace(d.file, spoiler=True)
        await d.adapter.send(d.picture())
        assert d.shown[0].files == [("SPOILER_a-red-circle.png", PNG)]


async def test_a_second_bots_picture_has_its_face_too(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        draft = d.letter(Part(text="step 1", preview=JPEG), speaker="Comic")
        remote = await d.adapter.send(replace(draft, controls=(Control.STOP,)))
        await d.adapter.edit(replace(d.picture(), speaker="Comic", remote=remote))
        [shown] = d.shown
        assert (shown.author, shown.text) == ("Comic", "a red circle")
        assert shown.files == [("a-red-circle.png", PNG)]
        await d.adapter.remove(replace(draft, remote=remote))
        assert not d.shown


# --- never twice ----------------------------------------------------------------------------------


@pytest.mark.parametrize("answers", [True, False])
async def test_a_picture_whose_confirmation_was_lost_stands_there_once_on_discord(
    tmp_path: Path, answers: bool
) -> None:
    async with desk(tmp_path) as d:
        asked = await d.fake.say(f"{d.fake.mention} draw")
        reply_to = asked if answers else ""
        letter = replace(d.picture(), reply_to=reply_to)
        await d.adapter.send(replace(letter, key="other", part=Part(text="a red circle")))
        d.fake.messages.nonce_memory = 0.0  # it is long ago
        remote = await d.adapter.send(letter)
        assert await d.adapter.find(letter) == remote
        other = replace(letter, part=replace(letter.part, text="a blue circle"))
        assert await d.adapter.find(other) is None


async def test_a_draft_is_found_for_the_picture_that_it_becomes(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        letter = replace(d.picture(), reply_to=await d.fake.say(f"{d.fake.mention} draw"))
        draft = replace(letter, part=Part(text="s", preview=JPEG), controls=(Control.STOP,))
        remote = await d.adapter.send(draft)
        assert await d.adapter.find(letter) == remote
        assert await d.adapter.find(replace(letter, number=1)) is None


async def test_a_picture_sent_over_its_own_lost_draft_replaces_it(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        draft = replace(d.letter(Part(text="step 1", preview=JPEG)), controls=(Control.STOP,))
        d.fake.faults.next("POST */messages", Reset(applied=True))
        with pytest.raises(AdapterDown):
            await d.adapter.send(draft)
        remote = await d.adapter.send(d.picture())  # the same key: Discord knows its nonce
        [shown] = d.shown
        assert (shown.id, shown.text) == (remote, "a red circle")
        assert (shown.files, shown.buttons) == ([("a-red-circle.png", PNG)], LABELS)


# --- taking away ----------------------------------------------------------------------------------


async def test_a_message_is_taken_away_and_once_is_enough_on_discord(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        letter = d.picture()
        taken = replace(letter, remote=await d.adapter.send(letter))
        await d.adapter.remove(taken)
        assert not d.shown
        await d.adapter.remove(taken)
        with pytest.raises(Gone):
            await d.adapter.edit(taken)
        await d.fake.delete_channel("general")
        await d.adapter.remove(taken)


async def test_what_may_not_be_taken_away_is_left_with_a_reason(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        letter = d.picture()
        taken = replace(letter, remote=await d.adapter.send(letter))
        refusal = Answer(403, {"message": "Missing Permissions", "code": 50013})
        d.fake.faults.next("DELETE */messages/*", refusal)
        with pytest.raises(Undeliverable, match="lacks a permission"):
            await d.adapter.remove(taken)


# --- what people do -------------------------------------------------------------------------------


async def test_the_buttons_under_a_picture_are_reported_on_discord(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        remote = await d.adapter.send(d.picture())
        plain = [control for control in UNDER if control is not Control.EDIT]
        for control in plain:
            await d.fake.press(remote, f"botdaemon:{control}")
        await d.reported(len(plain))
        pressed = [event for event in d.events if isinstance(event, Pressed)]
        assert sorted(one.control for one in pressed) == sorted(plain)
        assert {(one.platform_id, one.text, one.who.name) for one in pressed} == {
            (remote, "", "Ann")
        }


async def test_words_about_a_button_are_seen_by_whoever_pressed_it(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        remote = await d.adapter.send(d.picture())
        await d.fake.press(remote, "Settings")
        await d.reported(1)
        ann = d.fake.world.person("ann").id
        words = d.letter(Part(text="seed 4"), speaker="", only_for=ann)
        await d.adapter.send(words)
        _, told = d.shown
        assert (told.text, told.raw["ephemeral"]) == ("seed 4", True)
        assert d.shown[0].text == "a red circle"  # the picture with the button stays what it was
        # A command has an answer of its own to fill in.
        await d.fake.until(lambda: "help" in d.fake.commands.names())
        command = await d.fake.command("help")
        await d.reported(2)
        await d.fake.until(lambda: d.fake.interaction(command).answer)
        await d.adapter.send(replace(words, key="k2", part=Part(text="help")))
        assert [one.text for one in d.fake.answers_to(command)] == ["help"]
        # When it is too late for that, it is an ordinary message.
        d.fake.interactions.token_life = 0.0
        await d.adapter.send(replace(words, key="k3", part=Part(text="seed 5")))
        assert [(one.text, one.raw["ephemeral"]) for one in d.shown][-1] == ("seed 5", False)


async def test_a_prompt_is_edited_in_a_form_that_holds_it(tmp_path: Path) -> None:
    asked: list[tuple[Address, str]] = []

    async def prompt_of(address: Address, platform_id: str) -> str:
        asked.append((address, platform_id))
        return "a red circle --seed 4"

    async with desk(tmp_path, prompt_of=prompt_of) as d:
        remote = await d.adapter.send(d.picture())
        press = await d.fake.press(remote, "Edit prompt")
        await d.fake.until(lambda: d.fake.interaction(press).answer)
        assert d.fake.form(press) == {"prompt": "a red circle --seed 4"}
        assert d.events == []  # nothing has happened, and the person may think better of it
        here = Address("discord", d.fake.channel_id())
        assert asked == [(here, remote)]
        sent = await d.fake.submit(press, prompt="a blue circle --seed 4")
        await d.fake.until(lambda: d.fake.interaction(sent).answer)
        [edit] = await d.reported(1)
        assert isinstance(edit, Pressed)
        assert (edit.control, edit.text) == (Control.EDIT, "a blue circle --seed 4")
        assert (edit.address, edit.platform_id, edit.key) == (here, remote, sent)


async def _slow(address: Address, platform_id: str) -> str:
    await asyncio.Event().wait()
    return "never"


async def _broken(address: Address, platform_id: str) -> str:
    raise LookupError(platform_id)


async def _huge(address: Address, platform_id: str) -> str:
    return "x" * 5000


@pytest.mark.parametrize(
    ("prompt_of", "there"),
    [(None, ""), (_slow, ""), (_broken, ""), (_huge, "x" * 4000)],
    ids=["unknown", "slow", "broken", "huge"],
)
async def test_the_form_opens_in_time_whatever_is_known_of_the_prompt(
    tmp_path: Path, prompt_of: Any, there: str
) -> None:
    async with desk(tmp_path, prompt_of=prompt_of) as d:
        remote = await d.adapter.send(d.picture())
        press = await d.fake.press(remote, "Edit prompt")
        await d.fake.until(lambda: d.fake.interaction(press).answer)
        assert d.fake.form(press) == {"prompt": there}
        await d.fake.submit(press, prompt="a cat")
        [edit] = await d.reported(1)
        assert isinstance(edit, Pressed)
        assert edit.text == "a cat"


async def test_a_form_from_before_there_were_labels_is_understood(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        remote = await d.adapter.send(d.picture())
        press = await d.fake.press(remote, "Edit prompt")
        await d.fake.until(lambda: d.fake.interaction(press).answer)
        opened = d.fake.interaction(press)
        [label] = opened.extra["components"]
        row = {"type": 1, "components": [label["component"] | {"label": label["label"]}]}
        opened.extra = opened.extra | {"components": [row]}
        await d.fake.submit(press, prompt="a cat")
        [edit] = await d.reported(1)
        assert isinstance(edit, Pressed)
        assert edit.text == "a cat"


async def test_a_picture_with_a_mention_and_a_reply_to_a_picture_are_messages_on_discord(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path) as d:
        remote = await d.adapter.send(d.picture())
        await d.fake.say(d.fake.mention, files=[("sketch.png", PNG)])
        await d.fake.say("bluer, please", reply_to=remote)
        await d.fake.say("!edit a blue circle", reply_to=remote)

        def said() -> list[Posted]:
            return [one for one in d.events if isinstance(one, Posted) and not one.past]

        await d.fake.until(lambda: len(said()) == 3)
        sketch, bluer, edit = said()
        assert sketch.mentioned
        assert [file.media_type for file in sketch.message.files] == ["image/png"]
        assert bluer.message.reply_to == edit.message.reply_to == remote
