"""A real browser for tests of the page, and what people do and look for in it. Knows no daemon."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import BrowserContext, ConsoleMessage, Locator

expect.set_options(timeout=20_000)  # a machine that tests is a busy machine


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


@asynccontextmanager
async def launched() -> AsyncIterator[Browser]:
    """Chromium, or the test is skipped."""
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
