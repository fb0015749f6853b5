"""Answers of several messages, and of a crowd, on the page: in a real browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from playwright.async_api import expect
from web_browser import FAINT, NAMELESS, launched, sign_in, window
from web_house import house

from botdaemon.types import Bubble

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from playwright.async_api import Browser

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

SEVERAL = (Bubble("Well."), Bubble("It depends on the *weather*."), Bubble("Does it not?"))
CROWD = (
    Bubble("No way!", "BrazenHeron"),
    Bubble("Sure, why not.", "khaki_ox"),
    Bubble("I had one of those, and it broke on the second day.", "tidynewt42"),
)


def signed(bubbles: tuple[Bubble, ...]) -> str:
    return "\n\n".join(f"**{one.name}:** {one.text}" if one.name else one.text for one in bubbles)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with launched() as browser:
        yield browser


async def test_several_messages_and_a_crowd_show_one_by_one_with_names_and_faces(
    browser: Browser, tmp_path: Path
) -> None:
    async with house(tmp_path) as it, window(browser, it.url) as page:
        thread = await it.main()
        await it.write("Shall I buy a boat?")
        await it.say(thread, signed(SEVERAL), bubbles=SEVERAL)
        await sign_in(page, "Ada")
        answer = page.locator("#messages > li.bot").first
        await expect(answer.locator(".bubble")).to_have_text([
            "Well.", "It depends on the weather.", "Does it not?",
        ])  # fmt: skip
        await expect(answer.locator(".who")).to_have_text(["sunny"])
        await expect(answer.locator(".avatar")).to_have_count(1)

        # A crowd that speaks while somebody looks on.
        id = await it.say(thread, signed(CROWD), bubbles=CROWD)
        crowd = page.locator(f'#messages > li[data-id="{id}"]')
        await expect(crowd.locator(".who")).to_have_text([one.name for one in CROWD])
        await expect(crowd.locator(".bubble")).to_have_text([one.text for one in CROWD])
        await expect(crowd.locator(".avatar")).to_have_count(3)
        await expect(crowd.get_by_role("button", name="Answer again")).to_have_count(1)
        assert await page.evaluate(NAMELESS) == []
        assert await page.evaluate(FAINT) == []

        await page.reload()
        await expect(crowd.locator(".who")).to_have_text([one.name for one in CROWD])

    async with house(tmp_path) as it:
        _, body = await it.get("/api/rooms/lobby/messages")
    [question, several, crowded] = body
    assert question["bubbles"] == []
    assert [one["name"] for one in several["bubbles"]] == ["", "", ""]
    assert crowded["bubbles"][0] == {"name": "BrazenHeron", "text": "No way!"}
    assert crowded["author"] == "sunny"
