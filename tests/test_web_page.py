"""Promises of the page, kept in a real browser against the real daemon."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from playwright.async_api import expect
from web_browser import FAINT, NAMELESS, launched, said, say, sign_in, window
from web_house import house

from botdaemon.app import running
from botdaemon.config import parse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from playwright.async_api import Browser

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

CONFIG = """
[daemon]
data_dir = "data"
[adapters.web]
kind = "web"
port = 0
[models.parrot]
kind = "echo"
delay_seconds = 0.15
[models.sloth]
kind = "echo"
delay_seconds = 3600
[bots.polly]
kind = "text"
model = "parrot"
about = "Says it back."
[bots.dozy]
kind = "text"
model = "sloth"
about = "Thinks for an hour."
[rooms.lounge]
bots = ["polly", "dozy"]
host = "polly"
[limits]
merge_seconds = 0.0
turns_at_once = 2
"""

# --- a browser, a daemon, a page -----------------------------------------------------------------


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with launched() as browser:
        yield browser


@asynccontextmanager
async def daemon(directory: Path) -> AsyncIterator[str]:
    """The real thing; yields its address."""
    config = parse(CONFIG, directory / "config.toml")
    async with running(config) as it:
        yield it.servers["web"].url


# --- talking -------------------------------------------------------------------------------------


async def test_somebody_signs_in_talks_and_finds_it_all_after_a_reload(
    browser: Browser, tmp_path: Path
) -> None:
    async with daemon(tmp_path) as url, window(browser, url) as page:
        await sign_in(page, "Ada")
        await expect(page.get_by_role("heading", name="Welcome to lounge")).to_be_visible()
        await say(page, "The rain in Spain stays mainly in the plain")
        # The answer can be read while it grows, and ends as a message.
        draft = page.locator("#drafts .text", has_text="The rain")
        await expect(draft).to_be_visible()
        answer = said(page, "The rain in Spain stays mainly in the plain", by="polly")
        await expect(answer).to_be_visible()
        await expect(page.locator("#drafts > li")).to_have_count(0)
        await expect(page.locator("#pending > li")).to_have_count(0)
        await expect(page.locator("#messages > li")).to_have_count(2)

        await page.reload()
        await expect(page.locator("#messages > li")).to_have_count(2)
        await expect(page.locator("#me")).to_contain_text("Ada")
        await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_two_windows_see_the_same_conversation(browser: Browser, tmp_path: Path) -> None:
    async with (
        daemon(tmp_path) as url,
        window(browser, url) as ada,
        window(browser, url) as ben,
    ):
        await sign_in(ada, "Ada")
        await sign_in(ben, "Ben")
        for page in (ada, ben):
            await expect(page.locator("#connection")).to_have_attribute("data-state", "live")
        await ben.get_by_label("Message", exact=True).press_sequentially("Hel")
        await expect(ada.locator("#typing")).to_have_text("Ben is typing…")
        await say(ben, "Hello from Ben")
        for page in (ada, ben):
            await expect(said(page, "Hello from Ben", by="Ben")).to_be_visible()
            await expect(said(page, "Hello from Ben", by="polly")).to_be_visible()
        await say(ada, "Hello Ben")
        for page in (ada, ben):
            await expect(said(page, "Hello Ben", by="polly")).to_be_visible()


async def test_an_answer_can_be_stopped(browser: Browser, tmp_path: Path) -> None:
    async with daemon(tmp_path) as url, window(browser, url) as page:
        await sign_in(page, "Ada")
        await say(page, "@dozy what is the time?")
        await expect(page.locator("#drafts .dots")).to_be_visible()
        await expect(page.locator("#typing")).to_have_text("dozy is writing…")
        await page.get_by_role("button", name="Stop").click()
        await expect(page.locator("#drafts > li")).to_have_count(0)
        await expect(page.get_by_role("button", name="Stop")).to_have_count(0)


async def test_an_answer_can_be_asked_for_again_and_rated(browser: Browser, tmp_path: Path) -> None:
    async with daemon(tmp_path) as url, window(browser, url) as page:
        await sign_in(page, "Ada")
        await say(page, "Once more")
        answer = page.locator("#messages > li.bot")
        await expect(answer).to_have_count(1)
        first = await answer.get_attribute("data-id")
        await page.get_by_role("button", name="Answer again").click()
        await expect(page.locator(f'[data-id="{first}"]')).to_have_count(0)
        await expect(said(page, "Once more", by="polly")).to_be_visible()
        good = page.get_by_role("button", name="Good answer")
        await good.click()
        await expect(good).to_have_attribute("aria-pressed", "true")


async def test_a_new_conversation_is_begun_by_command_and_by_thread(
    browser: Browser, tmp_path: Path
) -> None:
    async with daemon(tmp_path) as url, window(browser, url) as page:
        await sign_in(page, "Ada")
        await say(page, "In the old one")
        await expect(said(page, "In the old one", by="polly")).to_be_visible()
        await say(page, "/new")
        await expect(page.get_by_role("heading", name="Welcome to lounge")).to_be_visible()
        await expect(page.locator("#messages > li")).to_have_count(0)
        await page.get_by_role("link", name="New thread").click()
        await expect(page.get_by_role("heading", name="A new thread")).to_be_visible()
        await say(page, "About **dinner**")
        await expect(said(page, "About dinner", by="polly")).to_be_visible()
        await expect(page.locator("#subtitle")).to_have_text("About dinner")
        # The address names the thread, so that it can be shared.
        async with window(browser, page.url) as ben:
            await sign_in(ben, "Ben")
            await expect(said(ben, "About dinner", by="polly")).to_be_visible()


async def test_a_room_is_created_with_its_bots(browser: Browser, tmp_path: Path) -> None:
    async with (
        daemon(tmp_path) as url,
        window(browser, url, forgive="409") as page,
        window(browser, url) as ben,
    ):
        await sign_in(page, "Ada")
        await sign_in(ben, "Ben")
        await page.get_by_role("button", name="Create a room").click()
        await page.get_by_label("Name", exact=True).fill("lounge")
        await page.get_by_role("button", name="Create room").click()
        await expect(page.locator("#room-dialog .problem")).to_contain_text("already")
        await page.get_by_label("Name", exact=True).fill("kitchen")
        await page.get_by_role("checkbox", name="dozy").check()
        await page.get_by_label("Who answers").select_option("polly")
        await page.get_by_role("button", name="Create room").click()
        await expect(page.get_by_role("heading", name="Welcome to kitchen")).to_be_visible()
        await expect(ben.get_by_role("link", name="kitchen")).to_be_visible()
        await say(page, "Is anything left?")
        await expect(said(page, "Is anything left?", by="polly")).to_be_visible()
        # Ben is elsewhere, and sees that there is something new.
        await expect(ben.get_by_role("link", name="kitchen unread")).to_be_visible()


async def test_an_address_that_leads_nowhere_says_what_to_do(
    browser: Browser, tmp_path: Path
) -> None:
    async with daemon(tmp_path) as url, window(browser, f"{url}#/lounge/99") as page:
        await sign_in(page, "Ada")
        await expect(page.get_by_role("heading", name="There is no such thread")).to_be_visible()
        await page.get_by_role("link", name="lounge").click()
        await expect(page.get_by_role("heading", name="Welcome to lounge")).to_be_visible()


async def test_a_command_is_suggested_taken_and_answered(browser: Browser, tmp_path: Path) -> None:
    async with daemon(tmp_path) as url, window(browser, url) as page:
        await sign_in(page, "Ada")
        box = page.get_by_label("Message", exact=True)
        await box.press_sequentially("/wh")
        await expect(page.get_by_role("option")).to_have_count(1)
        await page.keyboard.press("Enter")
        await expect(box).to_have_value("/whoami")
        await page.keyboard.press("Enter")
        await expect(page.locator("#messages .notice")).to_contain_text("You are Ada")
        await box.press_sequentially("Hi @d")
        await page.keyboard.press("Tab")
        await expect(box).to_have_value("Hi @dozy ")


# --- what text may do ----------------------------------------------------------------------------


async def test_text_is_shown_and_never_obeyed(browser: Browser, tmp_path: Path) -> None:
    text = "\n\n".join(
        [
            "<img src=x onerror=alert(1)><script>alert(2)</script>",
            "[here](javascript:alert(3)) and [there](https://example.org/)",
            "![picture](https://example.org/track.png)",
            "**bold** `code`",
            "```html\n<b>tags</b>\n```",
        ]
    )
    async with house(tmp_path) as it, window(browser, it.url) as page:
        await sign_in(page, "Ada")
        await it.say(await it.main(), text)
        shown = page.locator("#messages .text")
        await expect(shown).to_contain_text("<img src=x onerror=alert(1)>")
        await expect(shown.locator("strong")).to_have_text("bold")
        await expect(shown.locator("pre code")).to_have_text("<b>tags</b>\n")
        await expect(shown.locator("img, script, pre b, [href^=javascript]")).to_have_count(0)
        link = shown.get_by_role("link", name="there")
        await expect(link).to_have_attribute("rel", "noopener noreferrer nofollow")


async def test_pictures_are_shown_and_files_can_be_fetched(
    browser: Browser, tmp_path: Path
) -> None:
    async with house(tmp_path) as it, window(browser, it.url) as page:
        await sign_in(page, "Ada")
        gif = bytes.fromhex(
            "47494638396101000100800000ffffff00000021f90401000000002c00000000010001000002024401003b"
        )
        files = (
            await it.store.keep(gif, "dot.gif", "image/gif"),
            await it.store.keep(b"%PDF", "notes.pdf", "application/pdf"),
        )
        await it.say(await it.main(), "Look", files=files)
        await page.get_by_role("button", name="Open picture dot.gif").click()
        await expect(page.get_by_role("dialog").get_by_role("img")).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog")).to_have_count(0)
        async with page.expect_download() as download:
            await page.get_by_role("link", name="notes.pdf").click()
        assert (await download.value).suggested_filename == "notes.pdf"


# --- the connection ------------------------------------------------------------------------------


async def test_after_a_lost_connection_nothing_is_missing_and_nothing_twice(
    browser: Browser, tmp_path: Path
) -> None:
    async with (
        house(tmp_path) as it,
        window(browser, it.url, forgive="ERR_CONNECTION_REFUSED") as page,
    ):
        thread = await it.main()
        await it.say(thread, "before")
        await sign_in(page, "Ada")
        await expect(said(page, "before", by="sunny")).to_be_visible()
        async with it.away():
            await expect(page.locator("#connection")).to_have_text("Reconnecting…")
            await say(page, "written while nobody listened")
            await expect(page.locator("#pending .fate")).to_contain_text("cannot be reached")
            await it.say(thread, "said meanwhile", bot="grump")
        await expect(page.locator("#connection")).to_have_text("")
        await expect(said(page, "said meanwhile", by="grump")).to_have_count(1)
        await expect(said(page, "written while nobody listened", by="Ada")).to_have_count(1)
        await expect(page.locator("#pending > li")).to_have_count(0)
        await expect(page.locator("#messages > li")).to_have_count(3)


async def test_a_message_that_is_refused_is_not_lost(browser: Browser, tmp_path: Path) -> None:
    async with house(tmp_path) as it, window(browser, it.url, forgive="413") as page:
        await sign_in(page, "Ada")
        await say(page, "x" * 4001)
        await expect(page.locator("#pending .fate")).to_contain_text("limits.message_characters")
        # It waits where it was written, also for somebody who looks elsewhere first.
        await page.get_by_role("link", name="New thread").click()
        await expect(page.get_by_role("heading", name="A new thread")).to_be_visible()
        await expect(page.locator("#pending > li")).to_have_count(0)
        await page.get_by_role("link", name="Main thread").click()
        await page.get_by_role("button", name="Edit").click()
        await expect(page.locator("#pending > li")).to_have_count(0)
        await expect(page.get_by_label("Message", exact=True)).to_have_value("x" * 4001)


async def test_old_messages_come_when_the_reader_goes_up(browser: Browser, tmp_path: Path) -> None:
    async with house(tmp_path) as it, window(browser, it.url) as page:
        thread = await it.main()
        for count in range(130):
            await it.say(thread, f"number {count}")
        await sign_in(page, "Ada")
        await expect(said(page, "number 129", by="sunny")).to_be_in_viewport()
        await expect(page.locator("#messages > li")).to_have_count(50)
        view = page.locator("#timeline")
        for so_far in (100, 130):
            await view.evaluate("view => view.scrollTop = 0")
            await expect(page.locator("#messages > li")).to_have_count(so_far)
        # What is new does not pull the reader down, but says so.
        await it.say(thread, "at the end")
        await page.get_by_role("button", name="1 new message").click()
        await expect(said(page, "at the end", by="sunny")).to_be_in_viewport()


# --- everybody -----------------------------------------------------------------------------------


async def test_the_page_can_be_used_with_the_keyboard_alone(
    browser: Browser, tmp_path: Path
) -> None:
    async with daemon(tmp_path) as url, window(browser, url) as page:
        await page.keyboard.type("Ada")
        await page.keyboard.press("Enter")
        await expect(page.get_by_label("Message", exact=True)).to_be_focused()
        await page.keyboard.type("Hello")
        await page.keyboard.press("Shift+Enter")
        await page.keyboard.type("there")
        await page.keyboard.press("Enter")
        await expect(page.locator("#messages > li.bot")).to_have_count(1)
        await page.locator("body").evaluate("body => { body.tabIndex = -1; body.focus(); }")
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("button", name="Skip to writing")).to_be_focused()
        await page.keyboard.press("Tab")
        create = page.get_by_role("button", name="Create a room")
        await expect(create).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("dialog", name="Create a room")).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog")).to_have_count(0)
        await expect(create).to_be_focused()


async def test_on_a_phone_the_rooms_are_a_drawer(browser: Browser, tmp_path: Path) -> None:
    phone: dict[str, Any] = {
        "viewport": {"width": 360, "height": 640},
        "is_mobile": True,
        "has_touch": True,
    }
    async with daemon(tmp_path) as url, window(browser, url, **phone) as page:
        await sign_in(page, "Ada")
        room = page.get_by_role("link", name="lounge")
        await expect(room).not_to_be_in_viewport()
        await page.get_by_role("button", name="Rooms and threads").tap()
        await expect(room).to_be_in_viewport()
        await page.keyboard.press("Escape")
        await expect(room).not_to_be_in_viewport()
        await page.get_by_role("button", name="Rooms and threads").tap()
        await room.tap()
        await expect(room).not_to_be_in_viewport()
        await page.get_by_label("Message", exact=True).fill("hi")
        await page.get_by_role("button", name="Send").tap()
        await expect(said(page, "hi", by="polly")).to_be_in_viewport()
        wide = "() => document.documentElement.scrollWidth > innerWidth"
        assert not await page.evaluate(wide)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_everything_has_a_name_and_can_be_read(
    browser: Browser, tmp_path: Path, scheme: str
) -> None:
    async with house(tmp_path) as it, window(browser, it.url, color_scheme=scheme) as page:
        await sign_in(page, "Ada")
        await it.write("Hello [there](https://example.org/) `code`")
        await it.say(await it.main(), "> quoted\n\nHello")
        await it.say(await it.main(), "A notice", bot="")
        await expect(page.locator("#messages > li")).to_have_count(3)
        assert await page.evaluate(NAMELESS) == []
        assert await page.evaluate(FAINT) == []
