"""The page on which friends guess which answer was real, in a real browser, from a file."""

from __future__ import annotations

import json
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from playwright.async_api import expect
from web_browser import FAINT, NAMELESS, launched, window

from models.evaluation import blind
from models.evaluation.figures import Case, Line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from playwright.async_api import Page

EVIL = (
    '</script><script>document.title="owned"</script><img src=x onerror=\'document.title="owned"\'>'
)


def case(number: int, *, before: str | None = None, after: str = "", real: str = "") -> Case:
    return Case(
        said=(Line(name="Bob", text=f"question {number}?"),),
        name="Ada",
        real=real or f"real {number}",
        before=before,
        after=after or f"after {number}",
    )


def rounds(page: str) -> list[dict[str, list[dict[str, str]]]]:
    data = re.search(r'id="data">(.*?)</script>', page, re.DOTALL)
    assert data
    found: list[dict[str, list[dict[str, str]]]] = json.loads(data[1])["rounds"]
    return found


@asynccontextmanager
async def opened(
    directory: Path, cases: Sequence[Case], *, dark: bool = False, phone: bool = False
) -> AsyncIterator[Page]:
    path = directory / "blind.html"
    path.write_text(blind.page(cases, evaluation="abc", rounds=20, seed=1), encoding="utf-8")
    options: dict[str, Any] = {"color_scheme": "dark"} if dark else {}
    if phone:
        options |= {"viewport": {"width": 360, "height": 640}, "is_mobile": True}
    async with launched() as browser, window(browser, path.as_uri(), **options) as page:
        yield page


async def test_a_friend_guesses_sees_the_score_and_takes_the_result_home(tmp_path: Path) -> None:
    cases = [case(n, before=f"before {n}") for n in range(3)]
    async with opened(tmp_path, cases) as page:
        await page.get_by_role("button", name="Start").click()
        for guess in ("real", "after", "real"):
            assert await page.get_by_role("button").count() == 3
            await page.get_by_role("button", name=re.compile(guess)).click()
            right = "Right." if guess == "real" else "No, that was a machine."
            await expect(page.get_by_role("status")).to_have_text(right)
            await expect(page.get_by_text("Ada really said this")).to_be_visible()
            await page.get_by_role("button", name=re.compile("Next|See how you did")).click()
        await expect(page.get_by_text("2 of 3")).to_be_visible()
        await expect(page.get_by_text("By guessing one finds 1.0.")).to_be_visible()
        async with page.expect_download() as download:
            await page.get_by_role("button", name="Download the result").click()
        await (await download.value).save_as(tmp_path / "result.json")
    result = json.loads((tmp_path / "result.json").read_bytes())
    assert result["evaluation"] == "abc"
    assert (result["rounds"], result["right"], result["by_chance"]) == (3, 2, 1)
    assert result["taken_for_real"] == {"before": 0, "after": 1}
    assert [choice["chosen"] for choice in result["choices"]] == ["real", "after", "real"]
    assert "question" not in json.dumps(result)  # the result holds no conversations


async def test_the_keyboard_is_enough(tmp_path: Path) -> None:
    async with opened(tmp_path, [case(1), case(2)]) as page:
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await page.keyboard.press("2")
        await expect(page.get_by_role("button", name="Next")).to_be_focused()
        await page.keyboard.press("1")  # it was already chosen
        await page.keyboard.press("Enter")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="How you did")).to_be_focused()
        await expect(page.get_by_text(re.compile("[012] of 2"))).to_have_count(2)


async def test_what_was_said_is_text_whatever_it_looks_like(tmp_path: Path) -> None:
    evil = Case(
        said=(Line(name=EVIL, text=EVIL + "<!--"),),
        name=EVIL,
        real=f"real {EVIL}",
        before=f"before {EVIL}",
        after=f"after {EVIL}",
    )
    async with opened(tmp_path, [evil]) as page:
        await page.get_by_role("button", name="Start").click()
        await expect(page.get_by_role("listitem")).to_contain_text(EVIL)
        await expect(page.get_by_role("button", name=f"before {EVIL}")).to_be_visible()
        await page.keyboard.press("1")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="How you did")).to_be_visible()
        assert await page.title() == "Which one is real?"
        assert await page.locator("img").count() == 0


async def test_everything_can_be_read_on_a_phone_and_named_by_a_screen_reader(
    tmp_path: Path,
) -> None:
    long = case(1, after="long" * 200, before="some words " * 60)
    async with opened(tmp_path, [long], dark=True, phone=True) as page:
        for press in ("Enter", "1", "Enter"):
            if press == "Enter":
                await page.get_by_role("button").last.focus()
            assert await page.evaluate(NAMELESS) == []
            assert await page.evaluate(FAINT) == []
            wide = "document.documentElement.scrollWidth > innerWidth"
            assert not await page.evaluate(wide)
            await page.keyboard.press(press)
        await expect(page.get_by_role("heading", name="How you did")).to_be_visible()
        assert await page.evaluate(FAINT) == []


def test_the_page_asks_for_nothing_from_the_network() -> None:
    page = blind.page([case(1)], evaluation="", rounds=1, seed=1)
    assert "default-src 'none'" in page
    assert "unsafe" not in page
    assert not re.search(r"https?:|//cdn|<link|\ssrc=", page)


def test_answers_that_are_the_same_are_offered_once_and_a_real_one_is_never_also_made() -> None:
    cases = [
        case(1, real="same", after=" same "),  # nothing to guess
        case(2, before="after 2"),
        case(3, before="", after="x"),
        case(4, before="real 4"),
        case(5, after=" "),  # the model said nothing
    ]
    shown = rounds(blind.page(cases, evaluation="", rounds=9, seed=1))
    assert [{a["by"] for a in one["answers"]} for one in shown] == [{"real", "after"}] * 3
    assert blind.page(cases[:1], evaluation="", rounds=9, seed=1) == ""


def test_real_answers_stand_in_every_place() -> None:
    cases = [case(n, before=f"before {n}") for n in range(60)]
    shown = rounds(blind.page(cases, evaluation="", rounds=60, seed=1))
    places = [[a["by"] for a in one["answers"]].index("real") for one in shown]
    assert all(places.count(place) > 10 for place in range(3))
    assert len(rounds(blind.page(cases, evaluation="", rounds=7, seed=1))) == 7
