"""Nasty answers arrive on every platform whole, as a person should see them, and call nobody.

The answers and what each platform is sent for them lie in tests/golden/.
"""

from __future__ import annotations

import asyncio
import os
import re
import string
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import fake_slack_text
import pytest
from fake_discord import FakeDiscord
from fake_slack import FakeSlack
from fake_telegram import FakeTelegram
from fake_telegram_text import Marked
from golden import reading
from golden.reading import Reading, letters
from golden.renew import PLATFORMS, answers, expected, pages
from house import SayingBot, home, surroundings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.discord import DiscordAdapter
from adapters.slack import SlackAdapter
from adapters.telegram import TelegramAdapter
from botdaemon.config import DiscordConfig, SlackConfig, TelegramConfig
from botdaemon.render import CONTINUES, render, split
from botdaemon.render.flow import clean
from botdaemon.render.layout import layout

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from fake_faults import Shown

    from botdaemon.ports import Adapter, Dialect, Traits
    from botdaemon.store import Store

ANSWERS = answers()
EXAMPLES = int(os.environ.get("NASTY_TEXTS", "200"))
dialects = pytest.mark.parametrize("platform", PLATFORMS, ids=lambda platform: platform.dialect)
SUPPRESS_EMBEDS = 1 << 2


@dialects
@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_written_as_a_person_should_see_it(name: str, platform: Traits) -> None:
    assert pages(ANSWERS[name], platform) == expected(name, platform).read_bytes().decode()


# --- over the platforms -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Platform:
    """A fake, an adapter for it, whether that is connected, and how bob is mentioned there."""

    fake: Any
    adapter: Callable[[Store], Adapter]
    connected: Callable[[], object]
    bob: str


@asynccontextmanager
async def _discord() -> AsyncIterator[Platform]:
    config = DiscordConfig(kind="discord", token_env="TOKEN")
    async with FakeDiscord().serving() as fake:
        yield Platform(
            fake,
            lambda store: DiscordAdapter(
                "chat", config, fake.token, surroundings(store), connector=fake.connector
            ),
            lambda: fake.gateway.logins,
            f"<@{fake.world.person('bob').id}>",
        )


@asynccontextmanager
async def _slack() -> AsyncIterator[Platform]:
    async with FakeSlack().serving() as fake:
        config = SlackConfig(
            kind="slack", token_env="BOT", app_token_env="APP", base_url=fake.base_url
        )
        yield Platform(
            fake,
            lambda store: SlackAdapter(
                "chat", config, fake.bot_token, fake.app_token, surroundings(store)
            ),
            lambda: fake.socket.live,
            f"<@{fake.team.user('bob')}>",
        )


@asynccontextmanager
async def _telegram() -> AsyncIterator[Platform]:
    async with FakeTelegram().serving() as fake:
        config = TelegramConfig(
            kind="telegram",
            token_env="TOKEN",
            base_url=fake.base_url,
            base_file_url=fake.base_file_url,
        )
        yield Platform(
            fake,
            lambda store: TelegramAdapter("chat", config, fake.token, surroundings(store)),
            lambda: any(call.path.endswith("/getMe") for call in fake.calls),
            f"@{fake.world.person('bob').name}",
        )


def _read(message: Shown, dialect: Dialect) -> Reading:
    """A message as a person reads it, from what the platform has of it."""
    raw = message.raw
    match dialect:
        case "discord":
            assert raw["flags"] & SUPPRESS_EMBEDS
            return reading.discord(raw["content"])
        case "mrkdwn":
            return reading.slack(fake_slack_text.visible(raw))
        case _:
            assert raw["link_preview_options"] == {"is_disabled": True}
            return reading.telegram(Marked(raw["text"], raw.get("entities", [])))


async def _conversations(
    directory: Path, platform: Platform, traits: Traits
) -> dict[str, Sequence[Shown]]:
    """What the bot said to each of the people who asked for an answer by its name."""
    fake = platform.fake
    said: dict[str, Sequence[Shown]] = {}

    async def ask(name: str) -> None:
        who = f"asks-for-{name}"
        result = split(ANSWERS[name], traits)
        await fake.say(name, channel=f"@{who}", who=who)
        asked = len(fake.shown(f"@{who}"))

        def arrived() -> bool:
            said[name] = fake.shown(f"@{who}")[asked:]
            texts = [message for message in said[name] if not message.files]
            files = len(said[name]) - len(texts)
            final = bool(texts) and "Regenerate" in texts[-1].buttons
            return final and (len(texts), files) == (len(result.parts), bool(result.rest))

        await fake.until(arrived, timeout=60)

    adapters: list[Adapter] = []

    def connect(store: Store) -> list[Adapter]:
        adapters.append(platform.adapter(store))
        return adapters

    bots = {"bot": SayingBot(ANSWERS.__getitem__)}
    async with home(directory, bots, connect=connect, keep=True):
        await fake.until(platform.connected)
        assert _measures(adapters[0].traits) == _measures(traits), "renew.py takes others"
        await asyncio.gather(*map(ask, ANSWERS))
    return said


def _measures(traits: Traits) -> tuple[str, int, str, int]:
    return traits.dialect, traits.text_limit, traits.text_unit, traits.parts_limit


platforms = pytest.mark.parametrize(
    ("opened", "traits"),
    list(zip((_discord, _slack, _telegram), PLATFORMS, strict=True)),
    ids=[traits.dialect for traits in PLATFORMS],
)


@platforms
async def test_every_answer_arrives_whole_and_calls_nobody(
    opened: Callable[[], AbstractAsyncContextManager[Platform]], traits: Traits, tmp_path: Path
) -> None:
    async with opened() as platform:
        said = await _conversations(tmp_path, platform, traits)
        assert [call for call in platform.fake.calls if 400 <= call.status < 500] == []
    for name, messages in said.items():
        answer = ANSWERS[name]
        texts = [_read(message, traits.dialect) for message in messages if not message.files]
        files = [file for message in messages for file in message.files]
        words = letters("".join(text.text for text in texts))
        code = letters("".join(text.code for text in texts))
        all_words = letters(render(answer, "plain"))
        all_code = letters("".join(run.text for run in layout(answer).runs if _is_code(run.stack)))
        if files:
            assert files == [("reply.md", clean(answer).encode())], name
            assert all_words.startswith(words.removesuffix(letters(CONTINUES))), name
            assert all_code.startswith(code), name
        else:
            assert words == all_words, name
            assert code == all_code, name
        assert [text.calls for text in texts if text.calls] == [], name
        pinged = {whom for message in messages for whom in message.raw.get("pings", ())}
        assert pinged <= {f"asks-for-{name}"}, name  # Discord: whoever is answered


@platforms
async def test_a_bot_that_mentions_somebody_in_the_platforms_own_words_calls_nobody(
    opened: Callable[[], AbstractAsyncContextManager[Platform]], traits: Traits, tmp_path: Path
) -> None:
    async with opened() as platform:
        fake, bob = platform.fake, platform.bob
        answer = f"{bob} **{bob}** `{bob}` [{bob}](https://x.org) @everyone @here <!channel>"
        bots = {"bot": SayingBot(lambda _: answer)}
        async with home(tmp_path, bots, connect=lambda store: [platform.adapter(store)]):
            await fake.until(platform.connected)
            await fake.say("who?", channel="@ann")
            await fake.until(lambda: "Regenerate" in fake.shown("@ann")[-1].buttons)
        [_, said] = fake.shown("@ann")
        assert _read(said, traits.dialect).calls == ()
        assert set(said.raw.get("pings", ())) <= {"ann"}  # Discord: whoever is answered


def _is_code(stack: Any) -> bool:
    """In a link it cannot be shown as code everywhere."""
    kinds = {style.kind for style in stack}
    return bool(kinds & {"code", "pre"}) and "link" not in kinds


@pytest.mark.parametrize("name", ANSWERS)
def test_no_word_of_an_answer_is_taken_for_markup(name: str) -> None:
    """What may be missing from the words is what stands behind a fence and in a link's title."""
    source = re.sub(r"(?m)^ *(?:`{3,}|~{3,}).*$|\"a .*?title.{3}", "", ANSWERS[name])
    shown = letters(render(ANSWERS[name], "plain"))
    for word in re.findall(r"[^\W_]+", re.sub(r"&#?\w+;", "", source)):
        assert word in shown


# --- promises for any text ----------------------------------------------------------------------

_CALLS = [
    *("@everyone", "@here", "@channel", "<@123>", "<@!123>", "<@&123>", "<!channel>", "<!here>"),
    *("<@U123>", "<@U123|ann>", "<!subteam^S1>", "<#C1>", "<#123>", "@durov", "@", "everyone"),
    *("<", ">", "<@", "<!", "<a:x:1>", "<t:1:R>", "</x:1>", "<id:x>", "&lt;!here&gt;", "&"),
    *("tg://user?id=1", "[ann](tg://user?id=1)", '<a href="tg://user?id=1">ann</a>', "</b>"),
    *("https://", "https://x.org/a_b", "http://x", "steam://", "[x](https://y.org) ", "x.org"),
    *("**", "*", "_", "__", "~~", "||", "`", "``", "```", "\n```\n", "~~~", "\\", "[", "](", ")"),
    *("\n", "\n\n", " ", "\t", "    ", "\n> ", "\n- ", "\n1. ", "\n# ", "\n-# ", "|", "\n|-|-|\n"),
    *("a", "word", "1", "\u4e2d", "\u05d0", "\u202e", "\u200b", "\u00a0", "\U0001f468", "\u200d"),
    *("\x00", "\x1b[2J", "\x7f", "\r\n", "\r", "\ufeff", "\U0001f1e9\U0001f1ea", "*\ufe0f\u20e3"),
]
nasty = st.one_of(
    st.lists(st.sampled_from(_CALLS), max_size=40).map("".join),
    st.lists(st.one_of(st.sampled_from(_CALLS), st.text(max_size=6)), max_size=25).map("".join),
)
relentless = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
long = pytest.mark.timeout(120 + EXAMPLES)


@long
@dialects
@relentless
@given(source=nasty)
def test_whatever_a_bot_says_calls_nobody_and_loses_nothing(platform: Traits, source: str) -> None:
    parts = split(source, platform).parts
    seen = [reading.read(part.text, platform.dialect) for part in parts]
    assert [text.calls for text in seen if text.calls] == []
    assert [text.previews for text in seen if text.previews] == []
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "".join(part.text for part in parts))
    words = letters("".join(text.text for text in seen))
    assert words == letters("".join(part.plain for part in parts))


@long
@dialects
@relentless
@given(source=nasty)
def test_what_is_meant_as_text_is_read_as_it_was_written(platform: Traits, source: str) -> None:
    source = " ".join(f"{clean(source)} z".split())
    escaped = re.sub(f"([{re.escape(string.punctuation)}])", r"\\\1", source)
    seen = [reading.read(part.text, platform.dialect) for part in split(escaped, platform).parts]
    assert _plainly("".join(text.text for text in seen)) == _plainly(source)
    assert [text.code for text in seen if text.code] == []


@long
@dialects
@relentless
@given(source=nasty)
def test_code_is_read_as_it_was_written(platform: Traits, source: str) -> None:
    source = "a " + clean(source) + " z"
    fence = "`" * 40
    parts = split(f"{fence}\n{source}\n{fence}", platform).parts
    seen = "".join(reading.read(part.text, platform.dialect).code for part in parts)
    assert _plainly(seen) == _plainly(source)


def _plainly(text: str) -> str:
    """Without what takes no room on the screen; all blanks are as good as one."""
    return " ".join(text.replace("\u200b", "").replace("\u02cb", "`").split())
