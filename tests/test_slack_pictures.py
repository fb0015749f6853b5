"""Pictures in Slack: shown, covered, found again, asked for and taken away."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from fake_faults import Answer, Reset
from fake_slack import FakeSlack
from test_slack import Ears, calls, ears

from botdaemon.errors import AdapterDown, Gone, TryLater, Undeliverable
from botdaemon.types import Address, Control, File, Letter, Part, Posted, Pressed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 60
CONTROLS = (
    Control.REROLL,
    Control.VARY,
    Control.UPSCALE,
    Control.EDIT,
    Control.SETTINGS,
    Control.DELETE,
)
LABELS = ["Re-roll", "Vary", "Upscale", "Edit prompt", "Settings", "Delete"]


@pytest.fixture
async def fake() -> AsyncIterator[FakeSlack]:
    async with FakeSlack().serving() as serving:
        yield serving


class Easel:
    """A question in a thread, and letters that answer it."""

    def __init__(self, listening: Ears, question: str) -> None:
        self.fake = listening.fake
        self.adapter = listening.adapter
        self.store = listening.store
        self.question = question
        self.address = Address("slack", self.fake.team.general.id, question)

    def draft(self, words: str, remote: str = "") -> Letter:
        return Letter(
            id=1,
            key="k1",
            address=self.address,
            speaker="bot",
            part=Part(text=words, plain=words),
            remote=remote,
            controls=(Control.STOP,),
        )

    async def letter(
        self,
        words: str = "*a red cat*\nseed 4",
        *,
        name: str = "cat.png",
        kind: str = "image/png",
        spoiler: bool = False,
        key: str = "k1",
        controls: tuple[Control, ...] = CONTROLS,
        remote: str = "",
    ) -> Letter:
        kept = await self.store.keep(PNG, name, kind)
        file = File(sha256=kept.sha256, name=name, media_type=kind, size=kept.size, spoiler=spoiler)
        plain = words.replace("*", "")
        return Letter(
            id=1,
            key=key,
            address=self.address,
            speaker="bot",
            part=Part(text=words, plain=plain, file=file),
            remote=remote,
            controls=controls,
        )


async def easel(listening: Ears) -> Easel:
    id = await listening.fake.say("@botdaemon draw a red cat")
    await listening.heard(Posted)
    return Easel(listening, id)


# --- shown ----------------------------------------------------------------------------------------


async def test_a_picture_its_words_and_its_buttons_are_one_message(
    fake: FakeSlack, tmp_path: Path
) -> None:
    async with ears(fake, tmp_path) as listening:
        at = await easel(listening)
        await at.adapter.send(await at.letter())
        (shown,) = fake.answers_to(at.question)
        assert shown.text == "*a red cat*\nseed 4"
        assert (shown.files, shown.buttons) == ([("cat.png", PNG)], LABELS)
        kinds = [block["type"] for block in shown.raw["blocks"]]
        assert kinds == ["section", "image", "actions"]
        assert shown.raw["blocks"][1]["alt_text"] == "a red cat"
        (done,) = calls(fake, "files.completeUploadExternal")
        assert "channel_id" not in done  # else it would be there a second time


async def test_the_live_draft_becomes_the_picture(fake: FakeSlack, tmp_path: Path) -> None:
    async with ears(fake, tmp_path) as listening:
        at = await easel(listening)
        remote = await at.adapter.send(at.draft("drawing, step 1 of 9"))
        await at.adapter.edit(at.draft("drawing, step 4 of 9", remote))
        (drawing,) = fake.answers_to(at.question)
        # What does not only grow is no stream any more, and can be stopped.
        assert (drawing.text, drawing.buttons) == ("drawing, step 4 of 9", ["Stop"])
        await at.adapter.edit(await at.letter(remote=remote))
        (shown,) = fake.answers_to(at.question)
        assert (shown.id, shown.files, shown.buttons) == (remote, [("cat.png", PNG)], LABELS)


async def test_a_picture_that_slack_has_not_looked_at_yet_is_waited_for_and_uploaded_once(
    fake: FakeSlack, tmp_path: Path
) -> None:
    fake.team.unready = 2
    async with ears(fake, tmp_path) as listening:
        at = await easel(listening)
        await at.adapter.send(await at.letter())
        (shown,) = fake.answers_to(at.question)
        assert shown.buttons == LABELS
        assert len(calls(fake, "chat.postMessage")) == 3
        assert len(fake.team.files) == 1


async def test_a_picture_that_slack_never_shows_is_sent_as_a_file(
    fake: FakeSlack, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fake.team.unready = 100
    async with ears(fake, tmp_path) as listening:
        at = await easel(listening)
        remote = await at.adapter.send(at.draft("drawing"))
        with pytest.raises(Gone):
            await at.adapter.edit(await at.letter(remote=remote))
        await at.adapter.send(await at.letter())
        (shown,) = fake.answers_to(at.question)
        assert (shown.text, shown.files) == ("*a red cat*\nseed 4", [("cat.png", PNG)])
        assert len(fake.team.files) == 1  # what was uploaded for nothing is gone
    assert any("only as a file" in line for line in caplog.messages)


async def test_a_covered_picture_is_shown_to_whoever_asks_for_it(
    fake: FakeSlack, tmp_path: Path
) -> None:
    async with ears(fake, tmp_path) as listening:
        at = await easel(listening)
        remote = await at.adapter.send(await at.letter(spoiler=True))
        (shown,) = fake.answers_to(at.question)
        assert shown.files == []
        assert "may not be safe" in shown.text
        assert shown.buttons == ["Show picture", *LABELS]
        (file,) = fake.team.files.values()
        file.unready = 0
        assert await fake.press(remote, "Show picture", who="ben")
        await fake.until(lambda: fake.window("ben"))
        window = fake.window("ben")
        assert window is not None
        (block,) = window.view["blocks"]
        assert block["slack_file"] == {"id": file.id}
        assert block["alt_text"] == "a red cat"
        assert fake.window("ann") is None
        assert listening.texts == ["draw a red cat"]


async def test_a_covered_file_that_is_no_picture_to_slack_is_not_shown_openly(
    fake: FakeSlack, tmp_path: Path
) -> None:
    async with ears(fake, tmp_path) as listening:
        at = await easel(listening)
        letter = await at.letter("look", name="cat.webp", kind="image/webp", spoiler=True)
        await at.adapter.send(letter)
        (shown,) = fake.answers_to(at.question)
        assert shown.files == []
        assert shown.text.startswith("look\n")
        assert "left out" in shown.text
        assert fake.team.files == {}


async def test_a_file_that_is_no_picture_comes_with_its_words(
    fake: FakeSlack, tmp_path: Path
) -> None:
    async with ears(fake, tmp_path) as listening:
        at = await easel(listening)
        letter = await at.letter("numbers", name="n.csv", kind="text/csv")
        remote = await at.adapter.send(letter)
        (shown,) = fake.answers_to(at.question)
        assert (shown.id, shown.text, shown.files) == (remote, "numbers", [("n.csv", PNG)])


# --- never twice ----------------------------------------------------------------------------------


async def test_a_picture_whose_confirmation_was_lost_is_found_by_its_key(
    fake: FakeSlack, tmp_path: Path
) -> None:
    fake.team.unready = 0
    async with ears(fake, tmp_path) as listening:
        at = await easel(listening)
        other = await at.letter(key="k0")
        await at.adapter.send(other)
        letter = await at.letter()
        assert await at.adapter.find(letter) is None  # the same picture, but another letter's
        fake.faults.next("/api/chat.postMessage", Reset(applied=True))
        with pytest.raises(AdapterDown):
            await at.adapter.send(letter)
        remote = fake.answers_to(at.question)[-1].id
        assert await at.adapter.find(letter) == remote

    # Another life of the daemon knows the file, too, and does not upload it again.
    async with ears(fake, tmp_path) as listening:
        at.adapter = listening.adapter
        assert await at.adapter.find(letter) == remote
        uploads = len(fake.team.files)
        await at.adapter.edit(await at.letter(remote=remote))
        assert len(fake.team.files) == uploads
        assert len(fake.answers_to(at.question)) == 2


async def test_an_upload_that_failed_is_known_to_show_nothing(
    fake: FakeSlack, tmp_path: Path
) -> None:
    async with ears(fake, tmp_path) as listening:
        at = await easel(listening)
        for step in ("/api/files.completeUploadExternal", "/upload/v1/*"):
            fake.faults.next(step, Reset(applied=True))
            with pytest.raises(TryLater):
                await at.adapter.send(await at.letter())
        assert fake.answers_to(at.question) == []


# --- taken away -----------------------------------------------------------------------------------


async def test_a_picture_is_taken_away_with_its_file(fake: FakeSlack, tmp_path: Path) -> None:
    async with ears(fake, tmp_path) as listening:
        at = await easel(listening)
        for spoiler in (False, True):
            letter = await at.letter(spoiler=spoiler, key=f"k{spoiler}")
            remote = await at.adapter.send(letter)
            gone = await at.letter(spoiler=spoiler, key=letter.key, remote=remote)
            await at.adapter.remove(gone)
            assert (fake.answers_to(at.question), fake.team.files) == ([], {})
            await at.adapter.remove(gone)  # gone already is as good


async def test_a_shared_file_is_taken_away_with_its_message(
    fake: FakeSlack, tmp_path: Path
) -> None:
    async with ears(fake, tmp_path) as listening:
        at = await easel(listening)
        remote = await at.adapter.send(await at.letter("", name="n.csv", kind="text/csv"))
        await at.adapter.remove(await at.letter("", name="n.csv", kind="text/csv", remote=remote))
        assert (fake.answers_to(at.question), fake.team.files) == ([], {})


async def test_what_slack_refuses_to_delete_is_said_to_stay(
    fake: FakeSlack, tmp_path: Path
) -> None:
    async with ears(fake, tmp_path) as listening:
        at = await easel(listening)
        with pytest.raises(Undeliverable, match="cant_delete_message"):
            await at.adapter.remove(at.draft("", at.question))  # a person's own message
        with pytest.raises(Undeliverable, match="privately"):
            await at.adapter.remove(at.draft("", "whisper:k1"))


# --- asked for ------------------------------------------------------------------------------------


@pytest.mark.parametrize("control", [one for one in CONTROLS if one is not Control.EDIT])
async def test_a_button_under_a_picture_is_told_with_the_picture(
    fake: FakeSlack, tmp_path: Path, control: Control
) -> None:
    async with ears(fake, tmp_path) as listening:
        at = await easel(listening)
        remote = await at.adapter.send(await at.letter())
        assert await fake.press(remote, LABELS[CONTROLS.index(control)], who="ben")
        pressed = await listening.heard(Pressed)
        assert (pressed.control, pressed.platform_id, pressed.text) == (control, remote, "")
        assert (pressed.address, pressed.who.name) == (at.address, "ben")


async def test_another_prompt_is_asked_for_in_a_form_that_holds_the_present_one(
    fake: FakeSlack, tmp_path: Path
) -> None:
    asked: list[tuple[Address, str]] = []

    async def prompt_of(address: Address, platform_id: str) -> str:
        asked.append((address, platform_id))
        return "a red cat"

    async with ears(fake, tmp_path, around={"prompt_of": prompt_of}) as listening:
        at = await easel(listening)
        remote = await at.adapter.send(await at.letter())
        assert await fake.press(remote, "Edit prompt", who="ben")
        await fake.until(lambda: fake.window("ben"))
        window = fake.window("ben")
        assert window is not None
        assert window.value == "a red cat"
        assert asked == [(at.address, remote)]
        assert not [event for event in listening.events if isinstance(event, Pressed)]

        assert await fake.submit("  a blue cat --steps 4 ", who="ben")
        pressed = await listening.heard(Pressed)
        assert (pressed.control, pressed.text) == (Control.EDIT, "a blue cat --steps 4")
        assert (pressed.address, pressed.platform_id) == (at.address, remote)
        assert pressed.who.name == "ben"
        # A second form about the same picture is another wish.
        assert await fake.press(remote, "Edit prompt", who="ben")
        await fake.until(lambda: fake.window("ben"))
        await fake.submit("a green cat", who="ben")
        second = await listening.heard(Pressed, lambda one: one.text == "a green cat")
        assert second.key != pressed.key


async def test_whoever_submits_a_form_can_be_answered_privately(
    fake: FakeSlack, tmp_path: Path
) -> None:
    async with ears(fake, tmp_path) as listening:
        at = await easel(listening)
        remote = await at.adapter.send(await at.letter())
        await fake.press(remote, "Edit prompt", who="ben")
        await fake.until(lambda: fake.window("ben"))
        await fake.submit("a blue cat", who="ben")
        pressed = await listening.heard(Pressed)
        words = Letter(
            id=2,
            key="k2",
            address=at.address,
            speaker="",
            part=Part(text="not today", plain="not today"),
            only_for=pressed.who.account,
        )
        assert (await at.adapter.send(words)).startswith("whisper:")
        assert [(one.text, one.raw["user"]) for one in fake.ephemerals] == [
            ("not today", pressed.who.account)
        ]


async def test_a_prompt_that_takes_too_long_leaves_the_form_empty(
    fake: FakeSlack, tmp_path: Path
) -> None:
    async def prompt_of(address: Address, platform_id: str) -> str:
        await asyncio.Event().wait()
        return ""

    async with ears(fake, tmp_path, around={"prompt_of": prompt_of}) as listening:
        at = await easel(listening)
        remote = await at.adapter.send(await at.letter())
        await fake.press(remote, "Edit prompt")
        await fake.until(lambda: fake.window("ann"))
        window = fake.window("ann")
        assert window is not None
        assert window.value == ""


async def test_where_no_form_opens_the_press_is_told_without_a_prompt(
    fake: FakeSlack, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    refused = Answer(200, {"ok": False, "error": "expired_trigger_id"})
    fake.faults.next("/api/views.open", refused)
    async with ears(fake, tmp_path) as listening:
        at = await easel(listening)
        remote = await at.adapter.send(await at.letter())
        await fake.press(remote, "Edit prompt")
        pressed = await listening.heard(Pressed)
        assert (pressed.control, pressed.text) == (Control.EDIT, "")
    assert any("expired_trigger_id" in line for line in caplog.messages)


async def test_a_mention_with_a_picture_and_no_words_brings_the_picture(
    fake: FakeSlack, tmp_path: Path
) -> None:
    async with ears(fake, tmp_path) as listening:
        await fake.say("@botdaemon", files=[("cat.png", PNG)])
        event = await listening.heard(Posted)
        assert (event.mentioned, event.message.text) == (True, "")
        assert [file.name for file in event.message.files] == ["cat.png"]


async def test_what_is_written_under_a_picture_is_a_reply_to_it(
    fake: FakeSlack, tmp_path: Path
) -> None:
    async with ears(fake, tmp_path) as listening:
        await fake.say("draw a cat", channel="@ann")
        at = await easel(listening)
        at.address = Address("slack", fake.team.direct([fake.team.user("ann")]).id)
        remote = await at.adapter.send(await at.letter())
        await fake.say("!vary", channel="@ann", topic=remote)
        event = await listening.heard(Posted, lambda one: one.message.text == "!vary")
        assert event.message.reply_to == remote
