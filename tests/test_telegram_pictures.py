"""Pictures on Telegram: words, picture and buttons as one message, previews, what is taken away."""

from __future__ import annotations

import struct
import zlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from fake_faults import Reset, Status5xx
from fake_telegram import FakeTelegram, refusal
from house import DrawingBot
from test_telegram import Ear, calls, connected_to, fakes, house, letter

from botdaemon.errors import AdapterDown, Gone, TryLater, Undeliverable
from botdaemon.store import Store, open_store
from botdaemon.types import Control, File, Part, Posted, Pressed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from fake_faults import Shown

    from adapters.telegram import TelegramAdapter

UNDER = (
    Control.REROLL,
    Control.VARY,
    Control.UPSCALE,
    Control.EDIT,
    Control.SETTINGS,
    Control.DELETE,
)
LABELS = ["Re-roll", "Vary", "Upscale", "Edit prompt", "Settings", "Delete"]
JPEG = b"\xff\xd8\xff\xe0" + bytes(64)


def png(width: int = 16, height: int = 16) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    checked = struct.pack(">I", len(header)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return b"\x89PNG\r\n\x1a\n" + checked + bytes(64)


@asynccontextmanager
async def drawing(
    tmp_path: Path, *bots: str, ear: Ear | None = None
) -> AsyncIterator[tuple[FakeTelegram, TelegramAdapter, Store, str]]:
    """The fake, an adapter on it, its store, and the chat with ann."""
    async with (
        fakes() as fake,
        open_store(tmp_path) as store,
        connected_to(fake, ear or Ear(), store, *bots) as alone,
    ):
        await fake.say("hello", channel="@ann")
        yield fake, alone, store, str(fake.chat("@ann").id)


async def kept(store: Store, content: bytes = b"", *, spoiler: bool = False) -> File:
    file = await store.keep(content or png(), "a-red-circle.png", "image/png")
    return File(
        sha256=file.sha256,
        name=file.name,
        media_type=file.media_type,
        size=file.size,
        spoiler=spoiler,
    )


def part(file: File | None = None, text: str = "<b>a red circle</b>", **more: Any) -> Part:
    return Part(text=text, plain="a red circle", file=file, **more)


def newest(fake: FakeTelegram, channel: str = "@ann") -> Any:
    return fake.shown(channel)[-1]


# --- one message ----------------------------------------------------------------------------------


async def test_picture_words_and_buttons_are_one_message(tmp_path: Path) -> None:
    async with drawing(tmp_path) as (fake, alone, store, chat):
        await alone.send(letter(chat, part=part(await kept(store)), controls=UNDER))
        shown = newest(fake)
        assert shown.files == [("a-red-circle.png", png())]
        assert (shown.text, shown.buttons) == ("a red circle", LABELS)
        assert "photo" in shown.raw
        assert len(fake.shown("@ann")) == 2
        keyboard = shown.raw["reply_markup"]["inline_keyboard"]
        assert [len(row) for row in keyboard] == [3, 3]


async def test_a_placeholder_becomes_the_picture(tmp_path: Path) -> None:
    async with drawing(tmp_path) as (fake, alone, store, chat):
        remote = await alone.send(letter(chat, "\u2026"))
        picture = letter(chat, part=part(await kept(store)), remote=remote, controls=UNDER)
        await alone.edit(picture)
        await alone.edit(picture)  # as after a crash: nothing changes for people
        shown = newest(fake)
        assert shown.id == f"{chat}/{remote}"
        assert shown.files == [("a-red-circle.png", png())]
        assert (shown.text, shown.buttons) == ("a red circle", LABELS)
        assert len(fake.shown("@ann")) == 2


async def test_a_picture_whose_confirmation_was_lost_stands_there_once(tmp_path: Path) -> None:
    async with drawing(tmp_path) as (fake, alone, store, chat):
        remote = await alone.send(letter(chat, "\u2026"))
        fake.faults.next("editMessageMedia", Reset(applied=True))
        picture = letter(chat, part=part(await kept(store)), remote=remote)
        with pytest.raises(AdapterDown):
            await alone.edit(picture)
        await alone.edit(picture)
        assert [one.text for one in fake.shown("@ann")] == ["hello", "a red circle"]


async def test_the_name_of_a_second_bot_stands_in_the_caption(tmp_path: Path) -> None:
    async with drawing(tmp_path, "Robo", "Comic") as (fake, alone, store, chat):
        await alone.send(letter(chat, part=part(await kept(store)), speaker="Comic"))
        assert newest(fake).text == "Comic: a red circle"


async def test_a_caption_whose_markup_is_refused_loses_its_markup_and_not_its_picture(
    tmp_path: Path,
) -> None:
    async with drawing(tmp_path) as (fake, alone, store, chat):
        broken = part(await kept(store), "<b>open")
        remote = await alone.send(letter(chat, part=broken))
        assert (newest(fake).text, len(newest(fake).files)) == ("a red circle", 1)
        await alone.edit(letter(chat, "\u2026", part=broken, remote=remote))
        assert (newest(fake).text, len(newest(fake).files)) == ("a red circle", 1)


async def test_what_is_no_photo_for_telegram_is_sent_as_a_document(tmp_path: Path) -> None:
    async with drawing(tmp_path) as (fake, alone, store, chat):
        wide = part(await kept(store, png(6000, 6000)))
        await alone.send(letter(chat, part=wide, controls=UNDER))
        remote = await alone.send(letter(chat, "\u2026"))
        await alone.edit(letter(chat, part=wide, remote=remote, controls=UNDER))
        for shown in fake.shown("@ann")[1:]:
            assert "document" in shown.raw
            assert (shown.text, shown.buttons) == ("a red circle", LABELS)


async def test_a_spoiler_is_covered(tmp_path: Path) -> None:
    async with drawing(tmp_path) as (fake, alone, store, chat):
        covered = part(await kept(store, spoiler=True))
        remote = await alone.send(letter(chat, part=covered))
        assert newest(fake).raw["has_media_spoiler"]
        await alone.edit(letter(chat, part=part(await kept(store)), remote=remote))
        assert "has_media_spoiler" not in newest(fake).raw
        await alone.edit(letter(chat, part=covered, remote=remote))
        assert newest(fake).raw["has_media_spoiler"]


async def test_what_is_too_large_to_be_covered_shows_nothing_of_itself(tmp_path: Path) -> None:
    async with drawing(tmp_path) as (fake, alone, store, chat):
        wide = part(await kept(store, png(6000, 6000), spoiler=True))
        remote = await alone.send(letter(chat, part=wide))
        await alone.edit(letter(chat, part=wide, remote=remote))
        document = newest(fake).raw["document"]
        assert (document["file_name"], document["mime_type"]) == (
            "a-red-circle.png.bin",
            "application/octet-stream",
        )


async def test_where_the_bot_may_send_no_pictures_the_words_say_so(tmp_path: Path) -> None:
    async with drawing(tmp_path) as (fake, alone, store, _):
        chat = str(fake.chat("general").id)
        fake.forbid("general", "photos")
        picture = part(await kept(store))
        await alone.send(letter(chat, part=picture, controls=UNDER))
        remote = await alone.send(letter(chat, "\u2026"))
        await alone.edit(letter(chat, part=picture, remote=remote, controls=UNDER))
        for shown in fake.shown("general"):
            assert shown.text.startswith("a red circle\nThe file cannot be shown")
            assert shown.files == []


@pytest.mark.parametrize("method", ["for media", "unknown"])
async def test_a_server_that_gives_a_text_no_file_is_sent_the_picture_anew(
    tmp_path: Path, method: str
) -> None:
    bot = DrawingBot()
    async with fakes() as fake, house(tmp_path, fake, bot=bot) as made:
        fake.methods.gives_files = False
        if method == "unknown":
            unknown = refusal(404, "Not Found: method not found")
            fake.faults.always("editMessageMedia", unknown)
        for number in (1, 2):
            await fake.say(f"{number} circles", channel="@ann")
            await fake.until(lambda: sum(bool(one.files) for one in said(fake)) == number)  # noqa: B023  called within the loop
        await made.outboxes.drained()
        words = [(one.text, bool(one.files)) for one in said(fake)]
        assert words == [("1 circles", True), ("2 circles", True)]


def said(fake: FakeTelegram) -> list[Shown]:
    """What the bot says to ann."""
    return [one for one in fake.shown("@ann") if one.author == fake.bot.name]


# --- previews -------------------------------------------------------------------------------------


async def test_a_draft_shows_how_far_the_picture_is_and_becomes_it(tmp_path: Path) -> None:
    async with drawing(tmp_path) as (fake, alone, store, chat):
        remote = await alone.send(letter(chat, "\u2026"))
        growing: dict[str, Any] = {"remote": remote, "controls": (Control.STOP,)}
        await alone.edit(letter(chat, "drawing", **growing))
        await alone.edit(letter(chat, part=part(text="step 1 of 4", preview=JPEG), **growing))
        assert newest(fake).files == [("preview.jpg", JPEG)]
        assert (newest(fake).text, newest(fake).buttons) == ("step 1 of 4", ["Stop"])
        # Each is an upload: the next one comes too soon.
        await alone.edit(letter(chat, part=part(text="step 2 of 4", preview=JPEG), **growing))
        assert len(calls(fake, "editMessageMedia")) == 1
        await alone.edit(letter(chat, part=part(await kept(store)), remote=remote, controls=UNDER))
        assert newest(fake).files == [("a-red-circle.png", png())]
        assert (newest(fake).id, newest(fake).buttons) == (f"{chat}/{remote}", LABELS)


@pytest.mark.parametrize(
    "fault", [refusal(400, "Bad Request: IMAGE_PROCESS_FAILED"), Status5xx(), Reset()], ids=str
)
async def test_a_preview_that_fails_leaves_the_draft_its_words(tmp_path: Path, fault: Any) -> None:
    async with drawing(tmp_path) as (fake, alone, _, chat):
        remote = await alone.send(letter(chat, "\u2026"))
        fake.faults.next("editMessageMedia", fault)
        draft = part(text="step 1 of 4", preview=JPEG)
        await alone.edit(letter(chat, part=draft, remote=remote, controls=(Control.STOP,)))
        assert (newest(fake).text, newest(fake).files) == ("step 1 of 4", [])


async def test_words_without_a_preview_stand_under_the_last_one(tmp_path: Path) -> None:
    async with drawing(tmp_path) as (fake, alone, _, chat):
        growing = {"controls": (Control.STOP,)}
        remote = await alone.send(letter(chat, part=Part(text="\u2026", plain="\u2026")))
        # What is there already, so that no pause lies between: a message that has a preview.
        await alone.edit(letter(chat, part=part(text="step 1", preview=JPEG), remote=remote))
        await alone.edit(letter(chat, "step 2", remote=remote, **growing))
        assert (newest(fake).text, newest(fake).files) == ("step 2", [("preview.jpg", JPEG)])


async def test_an_answer_without_a_picture_leaves_no_preview_behind(tmp_path: Path) -> None:
    async with drawing(tmp_path) as (fake, alone, _, chat):
        remote = await alone.send(letter(chat, "\u2026"))
        draft = part(text="step 1 of 4", preview=JPEG)
        await alone.edit(letter(chat, part=draft, remote=remote, controls=(Control.STOP,)))
        with pytest.raises(Gone):  # so it is sent anew
            await alone.edit(letter(chat, "stopped", remote=remote))
        assert [one.text for one in fake.shown("@ann")] == ["hello"]
        with pytest.raises(Gone):
            await alone.edit(letter(chat, "stopped", remote=remote))


# --- taking away ----------------------------------------------------------------------------------


async def test_a_message_is_taken_away_and_once_is_enough(tmp_path: Path) -> None:
    async with drawing(tmp_path) as (fake, alone, store, chat):
        remote = await alone.send(letter(chat, part=part(await kept(store))))
        await alone.remove(letter(chat, remote=remote))
        assert [one.text for one in fake.shown("@ann")] == ["hello"]
        await alone.remove(letter(chat, remote=remote))


async def test_what_was_said_too_long_ago_cannot_be_taken_away(tmp_path: Path) -> None:
    async with drawing(tmp_path) as (fake, alone, _, chat):
        remote = await alone.send(letter(chat))
        fake.age(f"{chat}/{remote}", 49 * 3600)
        with pytest.raises(Undeliverable, match="48 hours"):
            await alone.remove(letter(chat, remote=remote))


async def test_a_removal_that_has_to_wait_is_tried_again(tmp_path: Path) -> None:
    async with drawing(tmp_path) as (fake, alone, _, chat):
        remote = await alone.send(letter(chat))
        fake.faults.next(
            "deleteMessage", refusal(429, "Too Many Requests: retry after 9", retry_after=9)
        )
        with pytest.raises(TryLater):
            await alone.remove(letter(chat, remote=remote))
        assert len(fake.shown("@ann")) == 2


# --- what people do -------------------------------------------------------------------------------


async def test_the_buttons_under_a_picture_are_reported(tmp_path: Path) -> None:
    ear = Ear()
    async with drawing(tmp_path, ear=ear) as (fake, alone, store, chat):
        picture = letter(chat, part=part(await kept(store)), controls=UNDER)
        remote = await alone.send(picture)
        for label in LABELS:
            await fake.press(newest(fake).id, label, channel="@ann")
        await fake.until(lambda: len(fake.toasts) == len(LABELS))
        pressed = [event for event in ear.events if isinstance(event, Pressed)]
        # There are no forms here: the dispatcher says how a prompt is edited.
        assert [(one.control, one.text) for one in pressed] == [(one, "") for one in UNDER]
        assert {one.platform_id for one in pressed} == {remote}


async def test_a_picture_with_a_mention_and_a_reply_to_a_picture_are_messages(
    tmp_path: Path,
) -> None:
    ear = Ear()
    async with drawing(tmp_path, ear=ear) as (fake, alone, store, _):
        chat = str(fake.chat("general").id)
        remote = await alone.send(letter(chat, part=part(await kept(store)), controls=UNDER))
        picture = newest(fake, "general").id
        await fake.say("@daemon_bot", files=[("sketch.png", png())])
        await fake.say("bluer, please", reply_to=picture)
        await fake.say("!edit a blue circle", reply_to=picture)
        await fake.until(lambda: len(ear.said) == 4)
        *_, sketch, bluer, edit = [one for one in ear.events if isinstance(one, Posted)]
        assert sketch.mentioned
        assert [file.media_type for file in sketch.message.files] == ["image/png"]
        assert bluer.message.reply_to == edit.message.reply_to == remote
