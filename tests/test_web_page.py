"""Promises of the page, kept in a real browser against the real daemon."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright, expect
from web_house import house

from botdaemon.app import running
from botdaemon.config import parse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from playwright.async_api import BrowserContext, ConsoleMessage, Locator

expect.set_options(timeout=20_000)  # a machine that tests is a busy machine
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


async def _find_browser() -> str:
    """Where Chromium is, installed if need be; skips, saying why, where neither can be."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found:
        return found
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        pytest.skip("no chromium on PATH, and only root on Debian can have it installed here")
    install = "apt-get update -q && apt-get install -y -q --no-install-recommends chromium"
    process = await asyncio.create_subprocess_shell(
        install, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    found = shutil.which("chromium")
    if not found:
        pytest.skip(f"chromium could not be installed: {said.decode()[-500:]}")
    return found


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Browser]:
    path = await _find_browser()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=path,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--no-first-run",
            ],
        )
        yield browser
        await browser.close()


@asynccontextmanager
async def window(
    browser: Browser, url: str, *, forgive: str = "nothing", **options: Any
) -> AsyncIterator[Page]:
    """A window of its own person. What its console complains of fails the test, except for the
    failed requests that it provokes and asks to `forgive`."""
    context: BrowserContext = await browser.new_context(**options)
    context.set_default_timeout(20_000)
    complaints: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and forgive not in message.text:
            complaints.append(message.text)

    page = await context.new_page()
    page.on("console", listen)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await page.goto(url)
    try:
        yield page
        assert complaints == []
    finally:
        await context.close()


async def sign_in(page: Page, name: str) -> None:
    await page.get_by_label("Your name").fill(name)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await expect(page.locator("#me")).to_contain_text(name)
    await expect(page.get_by_role("heading", level=1)).not_to_have_text("")


async def say(page: Page, text: str) -> None:
    await page.get_by_label("Message", exact=True).fill(text)
    await page.keyboard.press("Enter")


def said(page: Page, text: str, *, by: str) -> Locator:
    """The message of that text by that author."""
    return (
        page.locator("#messages > li")
        .filter(has=page.locator(".who", has_text=re.compile(f"^{by}$")))
        .filter(has=page.locator(".text", has_text=re.compile(rf"^{re.escape(text)}\s*$")))
    )


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


#: Buttons, links and fields that a screen reader could not name, and ids that are there twice.
NAMELESS = """() => {
  const name = (one) => one.getAttribute("aria-label") || one.textContent.trim() || one.title ||
    [...(one.labels ?? [])].map((label) => label.textContent.trim()).join(" ");
  const all = [...document.querySelectorAll("button, a[href], input, select, textarea")];
  const ids = [...document.querySelectorAll("[id]")].map((one) => one.id);
  return [...all.filter((one) => !name(one)).map((one) => one.outerHTML),
    ...ids.filter((id, at) => ids.indexOf(id) !== at)];
}"""

#: Text whose contrast to what is behind it is below 4.5 to 1 (WCAG 2 AA).
FAINT = """() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgb = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => [r, g, b].map((one) => one / 255)
    .map((one) => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)
    .reduce((sum, one, at) => sum + one * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = (one) => {
    for (; one; one = one.parentElement) {
      const colour = rgb(getComputedStyle(one).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255];
  };
  const faint = [];
  for (const one of document.querySelectorAll("body *")) {
    const own = [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !one.checkVisibility({opacityProperty: true, visibilityProperty: true})) continue;
    const [a, b] = [light(rgb(getComputedStyle(one).color)), light(behind(one))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) faint.push(`${contrast.toFixed(2)} ${one.outerHTML.slice(0, 120)}`);
  }
  return faint;
}"""
