"""Pictures and files on the page and in the API: taken in, shown, covered, changed, taken away."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from house import DrawingBot, home
from PIL import Image, ImageDraw
from playwright.async_api import FilePayload, expect
from sound_engines import voice_note
from web_browser import FAINT, NAMELESS, launched, said, sign_in, window
from web_house import ROOM, House, house

from adapters.web import WebAdapter
from botdaemon.errors import StoreFull
from botdaemon.types import Address, Control, Deleted, File, Posted, Room, Transcript
from botdaemon.web import Server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from playwright.async_api import Browser, Locator, Page

    from botdaemon.store import Store

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

MESSAGES = f"/api/rooms/{ROOM}/messages"
LIMIT = 5000
"""Bytes of a file."""


def drawn(kind: str = "PNG", colour: str = "red", size: int = 64) -> bytes:
    """A small real picture."""
    picture = Image.new("RGB", (size, size), "white")
    ImageDraw.Draw(picture).ellipse((8, 8, size - 8, size - 8), fill=colour)
    with io.BytesIO() as file:
        picture.save(file, kind)
        return file.getvalue()


PNG, JPEG = drawn(), drawn("JPEG")


async def prompt_of(address: Address, platform_id: str) -> str:
    return "a red circle" if address.channel == ROOM and platform_id == "1" else ""


@pytest_asyncio.fixture(loop_scope="module")
async def it(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path, file_limit=LIMIT, prompt_of=prompt_of) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with launched() as browser:
        yield browser


async def show(it: House, *, spoiler: bool = False) -> int:
    """A bot shows a picture."""
    kept = await it.store.keep(PNG, "a-red-circle-4.png", "image/png")
    file = File(
        sha256=kept.sha256, name=kept.name, media_type="image/png", size=kept.size, spoiler=spoiler
    )
    return await it.say(await it.main(), "**a red circle**\nseed 4, 64x64", files=(file,))


async def delete(it: House, id: int) -> None:
    at = it.at(await it.main())
    gone = Deleted(key=f"gone:{id}", address=at, platform_id=str(id), at=time.time())
    await it.store.record_deleted(gone)


# --- the API --------------------------------------------------------------------------------------


async def test_a_message_takes_its_files_along(it: House) -> None:
    status, answer = await it.send(
        {"author": "Ada", "text": "look"}, ("cat.png", PNG), ("../notes.txt", b"milk")
    )
    assert status == 202, answer
    [message] = (await it.get(MESSAGES))[1]
    assert (message["id"], message["text"]) == (answer["id"], "look")
    assert [(file["name"], file["type"], file["size"]) for file in message["files"]] == [
        ("cat.png", "image/png", len(PNG)),
        ("notes.txt", "text/plain", 4),
    ]
    async with it.http.get(message["files"][0]["url"]) as response:
        assert await response.read() == PNG


async def test_a_picture_needs_no_words_and_an_empty_form_is_refused(it: House) -> None:
    status, _ = await it.send({"author": "Ada"}, ("cat.png", PNG))
    assert status == 202
    status, answer = await it.send({"author": "Ada", "text": " "})
    assert (status, answer["error"]) == (400, "the message has neither words nor files")


async def test_a_form_sent_again_with_its_key_is_recorded_once(it: House) -> None:
    message = {"author": "Ada", "key": "1"}
    first = await it.send(message, ("cat.png", PNG))
    assert await it.send(message, ("cat.png", PNG)) == first
    assert len((await it.get(MESSAGES))[1]) == 1


async def test_a_file_at_the_limit_is_taken_and_a_larger_one_refused_in_a_sentence(
    it: House,
) -> None:
    assert (await it.send({"author": "Ada"}, ("fits.bin", b"x" * LIMIT)))[0] == 202
    status, answer = await it.send({"author": "Ada"}, ("large.bin", b"x" * (LIMIT + 1)))
    assert status == 413
    assert '"large.bin" has more than 5 kB (limits.file_megabytes)' in answer["error"]
    # Much larger ones are refused before they are there, and the server goes on.
    status, answer = await it.send({"author": "Ada"}, ("huge.bin", b"x" * 8_000_000))
    assert status == 413
    files = [(f"{count}.txt", b"x") for count in range(11)]
    status, answer = await it.send({"author": "Ada"}, *files)
    assert (status, "at most 10 files" in answer["error"]) == (413, True)
    assert len(it.events) == 1
    assert (await it.get("/api/limits"))[1] == {
        "characters": 4000,
        "files": 10,
        "file_bytes": LIMIT,
    }


@pytest.mark.parametrize(
    ("message", "status", "named"),
    [
        ({"text": "hi"}, 400, '"author" is missing'),
        ({"author": "Ada", "txt": "hi"}, 400, '"txt" is not a known field'),
        ({"author": "Ada", "thread": 99}, 404, "thread"),
        ({"author": "sunny"}, 409, "the name of a bot"),
        ({"author": "Ada", "text": "x" * 4001}, 413, "limits.message_characters"),
        ({"author": "Ada", "text": "x" * 3_000_000}, 413, "bytes"),
        ([], 400, "a JSON object was expected, not an array"),
    ],
)
async def test_a_form_whose_message_cannot_be_is_refused_and_its_files_are_not_kept(
    it: House, message: object, status: int, named: str
) -> None:
    got, answer = await it.send(message, ("cat.png", PNG))
    assert got == status
    assert named in answer["error"]
    assert not it.events
    assert not it.store.file(hashlib.sha256(PNG).hexdigest()).exists()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no form at all",
        b"--x\r\n",
        b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nfirst\r\n--x--\r\n',
        b'--x\r\nContent-Disposition: form-data; name="message"\r\n\r\n{"author": "Ada"',
        b"--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y--\r\n--x--\r\n",
    ],
)
@pytest.mark.parametrize("boundary", ["; boundary=x", ""])
async def test_a_broken_form_is_refused_in_a_sentence(
    it: House, body: bytes, boundary: str
) -> None:
    headers = {"Content-Type": f"multipart/form-data{boundary}"}
    async with it.http.post(MESSAGES, data=body, headers=headers) as response:
        answer = await response.json()
        assert response.status == 400, answer
    assert len(answer["error"]) > 10
    assert not it.events


async def test_a_form_of_another_site_is_refused_by_its_origin(it: House) -> None:
    for origin in ("https://evil.example", "null"):
        status, _ = await it.send({"author": "Ada"}, ("cat.png", PNG), headers={"Origin": origin})
        assert status == 403
    assert not it.events


async def test_a_full_disk_is_said_of_a_file_too(it: House) -> None:
    it.trouble = StoreFull("the disk is full")
    status, answer = await it.send({"author": "Ada"}, ("cat.png", PNG))
    assert (status, "space" in answer["error"]) == (503, True)


async def test_a_message_says_which_one_it_answers(it: House) -> None:
    first = await it.write("hello")
    answer = await it.write("yes?", author="Ben", reply_to=first["id"])
    event = it.events[-1]
    assert isinstance(event, Posted)
    assert event.message.reply_to == str(first["id"])
    [hello, yes] = (await it.get(MESSAGES))[1]
    assert (hello["reply_to"], yes["reply_to"]) == (None, first["id"])
    assert yes["id"] == answer["id"]


async def test_the_prompt_of_a_picture_can_be_asked_for(it: House) -> None:
    id = await show(it)
    path = f"/api/rooms/{ROOM}/threads/{await it.main()}/messages/{id}/prompt"
    assert await it.get(path) == (200, {"prompt": "a red circle"})
    assert (await it.get(path.replace("threads/1", "threads/9")))[0] == 404


async def test_a_covered_picture_is_said_to_be_one(it: House) -> None:
    await show(it, spoiler=True)
    [message] = (await it.get(MESSAGES))[1]
    assert message["files"][0]["spoiler"] is True


async def test_a_picture_that_is_drawn_is_seen_as_it_grows(it: House) -> None:
    thread = await it.main()
    seen = {
        "text": "step 1",
        "preview": f"data:image/jpeg;base64,{base64.b64encode(JPEG).decode()}",
    }
    async with it.http.ws_connect("/api/live") as socket, it.adapter.typing(it.at(thread), "sunny"):
        await socket.send_json({"type": "open", "room": ROOM})
        frame: dict[str, Any] = await socket.receive_json(timeout=10)
        await it.draft(thread, "step 1", preview=JPEG)
        while frame.get("type") != "draft":
            frame = await socket.receive_json(timeout=10)
        assert {name: frame[name] for name in seen} == seen
        async with it.http.ws_connect("/api/live") as late:
            await late.send_json({"type": "open", "room": ROOM})
            ready = await late.receive_json(timeout=10)
            assert ready["working"][0]["drafts"] == {"d": seen}


async def test_a_page_that_is_slow_misses_pictures_that_grow_but_nothing_that_is_said(
    it: House,
) -> None:
    thread = await it.main()
    async with it.http.ws_connect("/api/live") as slow:
        await slow.send_json({"type": "open", "room": ROOM})
        await slow.receive_json(timeout=10)
        async with it.adapter.typing(it.at(thread), "sunny"):
            for count in range(400):  # as much as would have it dropped, many times over
                await it.draft(thread, f"step {count}", preview=bytes(2**16))
        last = await it.say(thread, "here it is")
        heard: list[int] = []
        while last not in heard:
            frame = await slow.receive_json(timeout=10)
            heard += [change["id"] for change in frame.get("changes", ())]


# --- the page -------------------------------------------------------------------------------------


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser, it: House) -> AsyncIterator[Page]:
    async with window(browser, it.url) as page:
        await sign_in(page, "Ada")
        await expect(page.locator("#connection")).to_have_attribute("data-state", "live")
        yield page


def message(page: Page, id: int) -> Locator:
    return page.locator(f'#messages > [data-id="{id}"]')


async def test_a_picture_grows_while_it_is_drawn_and_ends_with_its_buttons(
    it: House, page: Page
) -> None:
    thread = await it.main()
    async with it.adapter.typing(it.at(thread), "sunny"):
        await it.draft(thread, "*drawing, step 1 of 9*", preview=JPEG)
        growing = page.locator("#drafts").get_by_role("img", name="The picture so far")
        await expect(growing).to_be_visible()
        assert await growing.evaluate("one => one.naturalWidth || one.decode()") == 64
        await expect(page.locator("#drafts .text")).to_have_text("drawing, step 1 of 9")
        await expect(page.locator("#typing")).to_have_text("sunny is drawing…")
        await page.get_by_role("button", name="Stop").click()
        assert (await it.pressed.get()).control is Control.STOP
        id = await show(it)
    await expect(page.locator("#drafts > li")).to_have_count(0)
    picture = message(page, id).get_by_role("img", name="a red circle")
    await expect(picture).to_be_visible()
    buttons = message(page, id).get_by_role("group", name="Picture").get_by_role("button")
    assert await buttons.all_inner_texts() == [
        "Re-roll", "Vary", "Upscale", "Edit prompt", "Settings", "Delete",
    ]  # fmt: skip
    for label, control in (
        ("Re-roll", Control.REROLL),
        ("Vary", Control.VARY),
        ("Upscale", Control.UPSCALE),
        ("Settings", Control.SETTINGS),
        ("Delete", Control.DELETE),
    ):
        await message(page, id).get_by_role("button", name=label).click()
        pressed = await it.pressed.get()
        assert (pressed.control, pressed.platform_id, pressed.text) == (control, str(id), "")


async def test_a_prompt_is_edited_in_a_form_that_holds_it(it: House, page: Page) -> None:
    id = await show(it)
    await message(page, id).get_by_role("button", name="Edit prompt").focus()
    await page.keyboard.press("Enter")
    box = page.get_by_label("Prompt", exact=True)
    await expect(box).to_be_focused()
    await expect(box).to_have_value("a red circle")
    await page.keyboard.press("Escape")
    await expect(box).to_have_count(0)
    opener = message(page, id).get_by_role("button", name="Edit prompt")
    await expect(opener).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(box).to_have_value("a red circle")
    await page.keyboard.type("a blue circle")  # over what is there, which is selected
    await page.keyboard.press("Enter")
    pressed = await it.pressed.get()
    assert (pressed.control, pressed.text) == (Control.EDIT, "a blue circle")
    assert pressed.platform_id == str(id)
    await expect(box).to_have_count(0)


async def test_a_covered_picture_is_not_seen_before_somebody_wants_to(
    it: House, page: Page
) -> None:
    id = await show(it, spoiler=True)
    covered = message(page, id).get_by_role("button", name="Show the covered picture")
    await expect(covered.locator("img")).to_have_css("filter", re.compile(r"blur"))
    await covered.click()
    shown = message(page, id).get_by_role("button", name="Open picture a red circle")
    await expect(shown.locator("img")).to_have_css("filter", "none")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await shown.click()
    await expect(page.get_by_role("dialog").get_by_role("img")).to_be_visible()


async def test_a_deleted_picture_vanishes_even_where_it_is_looked_at(it: House, page: Page) -> None:
    id = await show(it)
    await message(page, id).hover()
    await message(page, id).get_by_role("button", name="Reply").click()
    await expect(page.locator("#reply")).to_contain_text("sunny: a red circle")
    await message(page, id).get_by_role("button", name="Open picture").click()
    await expect(page.get_by_role("dialog")).to_be_visible()
    await delete(it, id)
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await expect(message(page, id)).to_have_count(0)
    await expect(page.locator("#reply")).to_be_hidden()


async def test_a_voice_note_is_played_in_place_and_says_what_is_said_in_it(
    it: House, page: Page
) -> None:
    note = voice_note()
    file = await it.store.keep(note.content, "voice-note.ogg", "audio/ogg")
    await it.say(await it.main(), "It is noon.", files=(file,))
    status, answer = await it.send({"author": "Ada"}, ("voice.ogg", voice_note(0.4).content))
    assert status == 202
    heard = message(page, answer["id"]).locator("audio")
    await expect(heard).to_be_visible()
    # It really plays: the page's own rules let it, and the browser knows its length.
    spoken = page.locator("audio").first
    length = "audio => new Promise((known) => audio.readyState ? known(audio.duration)"
    length += " : audio.addEventListener('loadedmetadata', () => known(audio.duration)))"
    assert await spoken.evaluate(length) == pytest.approx(note.seconds, abs=0.1)
    [sent] = [one for one in (await it.get(MESSAGES))[1] if one["id"] == answer["id"]]
    kept = sent["files"][0]["url"].rpartition("/")[2]
    assert await it.store.keep_transcript(kept, Transcript("what time is it?"), "ears")
    await page.reload()
    await expect(message(page, answer["id"])).to_contain_text("what time is it?")


async def test_a_picture_is_replied_to(it: House, page: Page) -> None:
    id = await show(it)
    await message(page, id).hover()
    await message(page, id).get_by_role("button", name="Reply").click()
    box = page.get_by_label("Message", exact=True)
    await expect(box).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page.locator("#reply")).to_be_hidden()
    await message(page, id).get_by_role("button", name="Reply").click()
    await page.keyboard.type("make it blue")
    await page.keyboard.press("Enter")
    answer = said(page, "make it blue", by="Ada")
    await expect(answer.get_by_role("button", name="In reply to")).to_contain_text("a red circle")
    await expect(page.locator("#reply")).to_be_hidden()
    event = it.events[-1]
    assert isinstance(event, Posted)
    assert event.message.reply_to == str(id)


#: What a browser hands a page when files are pasted or dropped.
HANDED = """([kind, name, type, content]) => {
  const data = new DataTransfer();
  const bytes = Uint8Array.from(atob(content), (one) => one.charCodeAt(0));
  data.items.add(new File([bytes], name, {type}));
  const event = kind === "paste"
    ? new ClipboardEvent(kind, {clipboardData: data, bubbles: true, cancelable: true})
    : new DragEvent(kind, {dataTransfer: data, bubbles: true, cancelable: true});
  document.querySelector("#composer-text").dispatchEvent(event);
}"""


async def test_files_are_chosen_pasted_and_dropped_and_sent_together(it: House, page: Page) -> None:
    async with page.expect_file_chooser() as chooser:
        await page.get_by_role("button", name="Attach files").click()
    await (await chooser.value).set_files(
        FilePayload(name="chösen one.png", mimeType="image/png", buffer=PNG)
    )
    content = base64.b64encode(PNG).decode()
    await page.evaluate(HANDED, ["paste", "pasted.png", "image/png", content])
    for kind in ("dragenter", "dragover"):
        await page.evaluate(HANDED, [kind, "x", "", ""])
    await expect(page.locator("#main")).to_have_class("dropping")
    await page.evaluate(HANDED, ["drop", "dropped.png", "image/png", content])
    await expect(page.locator("#main")).not_to_have_class("dropping")
    await page.evaluate(HANDED, ["paste", "too-much.txt", "text/plain", content])
    chips = page.get_by_role("list", name="Files to send").get_by_role("listitem")
    await expect(chips).to_have_count(4)
    await expect(chips.locator("canvas")).to_have_count(3)  # a small picture of each picture
    await page.get_by_role("button", name="Remove too-much.txt").click()
    await page.get_by_role("button", name="Send").click()
    await expect(page.locator("#messages .picture")).to_have_count(3)
    await expect(chips).to_have_count(0)
    event = it.events[-1]
    assert isinstance(event, Posted)
    names = [file.name for file in event.message.files]
    assert (names, event.message.text) == (["chösen one.png", "pasted.png", "dropped.png"], "")
    assert it.store.file(event.message.files[0].sha256).read_bytes() == PNG


async def choose(page: Page, *files: tuple[str, bytes]) -> None:
    chosen = [FilePayload(name=name, mimeType="image/png", buffer=it) for name, it in files]
    await page.locator("#attach-input").set_input_files(chosen)


async def test_a_file_that_is_too_large_is_refused_in_a_sentence_and_the_rest_stays(
    it: House, page: Page
) -> None:
    await choose(page, ("large.png", bytes(LIMIT + 1)), ("small.png", PNG))
    await expect(page.get_by_role("alert").get_by_text("large.png")).to_have_text(
        "large.png has 5 kB, and a file may have at most 5 kB."
    )
    await expect(page.locator("#attached li")).to_have_count(1)
    assert not it.events


async def test_what_could_not_be_sent_comes_back_with_its_files(
    browser: Browser, it: House
) -> None:
    async with window(browser, it.url, forgive="503") as page:
        await sign_in(page, "Ada")
        first = await it.write("hello", author="Ben")
        await message(page, first["id"]).hover()
        await message(page, first["id"]).get_by_role("button", name="Reply").click()
        await choose(page, ("cat.png", PNG))
        it.trouble = StoreFull("the disk is full")
        await page.get_by_label("Message", exact=True).fill("look")
        await page.keyboard.press("Enter")
        await expect(page.locator("#pending .fate")).to_contain_text("space")
        await expect(page.locator("#pending .file")).to_contain_text("cat.png")
        await page.locator("#pending").get_by_role("button", name="Edit").click()
        await expect(page.locator("#attached li")).to_contain_text("cat.png")
        await expect(page.locator("#reply")).to_contain_text("Ben: hello")
        # It waits where it was written.
        await page.get_by_role("link", name="New thread").click()
        await expect(page.locator("#attached li")).to_have_count(0)
        await page.get_by_role("link", name="Main thread").click()
        await expect(page.locator("#attached li")).to_contain_text("cat.png")
        it.trouble = None
        await page.get_by_role("button", name="Send").click()
        await expect(page.locator("#messages .picture")).to_have_count(1)
        event = it.events[-1]
        assert isinstance(event, Posted)
        assert event.message.reply_to == str(first["id"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_pictures_have_names_and_can_be_read_on_a_phone(
    browser: Browser, it: House, scheme: str
) -> None:
    phone: dict[str, Any] = {"viewport": {"width": 360, "height": 640}, "color_scheme": scheme}
    async with window(browser, it.url, **phone) as page:
        await sign_in(page, "Ada")
        id = await show(it)
        await show(it, spoiler=True)
        await it.write("make it blue", reply_to=id)
        await message(page, id).hover()
        await message(page, id).get_by_role("button", name="Reply").click()
        await message(page, id).get_by_role("button", name="Edit prompt").click()
        await expect(page.get_by_label("Prompt", exact=True)).to_have_value("a red circle")
        await choose(page, ("cat.png", PNG))
        await expect(page.locator("#attached li")).to_have_count(1)
        assert await page.evaluate(NAMELESS) == []
        assert await page.evaluate(FAINT) == []
        alts = "[...document.querySelectorAll('#messages img')].map((one) => one.alt)"
        assert await page.evaluate(alts) == ["a red circle", ""]  # the cover says that it is one
        wide = "() => document.documentElement.scrollWidth > innerWidth"
        assert not await page.evaluate(wide)


# --- the whole road -------------------------------------------------------------------------------


@asynccontextmanager
async def studio(directory: Path, bot: DrawingBot) -> AsyncIterator[str]:
    """A page whose bot draws, with a real dispatcher behind it; yields its address."""

    async def prompt_of(address: Address, platform_id: str) -> str:
        return await there.dispatcher.prompt_of(address, platform_id)

    made: list[WebAdapter] = []

    def connect(store: Store) -> list[WebAdapter]:
        made.append(WebAdapter("web", store, {"bot": "draws"}, 4000, prompt_of=prompt_of))
        return made

    room = Room(id=0, name=ROOM, bots=("bot",), host="bot", configured=True)
    rooms = {ROOM: room}
    async with (
        home(directory, {"bot": bot}, rooms=rooms, mirrors=["web"], connect=connect) as there,
        Server("127.0.0.1", 0, mounts=[made[0].mount], ready=dict) as server,
    ):
        yield server.url


async def test_pictures_are_asked_for_changed_and_taken_away(
    browser: Browser, tmp_path: Path
) -> None:
    bot = DrawingBot()
    async with studio(tmp_path, bot) as url, window(browser, url) as page:
        await sign_in(page, "Ada")
        await page.get_by_label("Message", exact=True).fill("a red cat")
        await page.keyboard.press("Enter")
        answers = page.locator("#messages > li.bot")
        await expect(answers.get_by_role("button", name="1 a red cat.png")).to_have_count(1)
        await answers.get_by_role("button", name="Vary").click()
        await expect(answers).to_have_count(2)
        assert bot.turns[-1].wish is not None
        assert bot.turns[-1].wish.what == "vary"

        await answers.first.get_by_role("button", name="Edit prompt").click()
        await expect(page.get_by_label("Prompt", exact=True)).to_have_value("a red cat")
        await page.keyboard.type("a blue cat")
        await page.keyboard.press("Enter")
        await expect(answers.nth(2).locator(".text")).to_have_text("a blue cat")

        await answers.first.get_by_role("button", name="Settings").click()
        settings = page.locator("#messages .notice")
        await expect(settings).to_have_text("the settings of 1 a red cat.png")
        await answers.first.get_by_role("button", name="Delete").click()
        await expect(answers).to_have_count(2)

        # A person's own picture, said in reply to one of the bot's: the bot is told of both.
        await answers.last.hover()
        await answers.last.get_by_role("button", name="Reply").click()
        await choose(page, ("cat.png", PNG))
        await page.get_by_role("button", name="Send").click()
        await expect(answers).to_have_count(3)
        turn = bot.turns[-1]
        assert [file.name for file in turn.history[-1].files] == ["cat.png"]
        assert turn.about is not None
        assert turn.about.text == "a blue cat"
