"""Accounts that become one person, and apart again: only with the word of both, and with all that
is theirs."""

from __future__ import annotations

import sqlite3
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from house import Home, SayingBot, home
from platform_server import Platform, PlatformAdapter
from talk import ADA, BOB, HERE, ask, press

from botdaemon.errors import Refused
from botdaemon.store import Quiet, open_store
from botdaemon.store.links import LIFE, MOST_TRIES, TRIES_PAUSE
from botdaemon.types import Address, Control, Cue, Identity, Once, QuietHours, Room, Schedule

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from botdaemon.store import Store

THERE = Address("other", "dm")
ADA_THERE = Identity(adapter="other", account="a9", name="ada")
EVE = Identity(adapter="other", account="e1", name="Eve")


class Time:
    """A clock that stands still until it is moved."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def stored(directory: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{directory}/botdaemon.db?mode=ro", uri=True)) as db:
        return db.execute(sql).fetchall()


def everything(directory: Path) -> bytes:
    """All bytes of the data directory."""
    return b"".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())


async def link(store: Store, first: Identity = ADA, second: Identity = ADA_THERE) -> None:
    """Both become one person."""
    code = await store.link_code(first, Address(first.adapter, "dm"))
    assert await store.give_link_code(code, second, Address(second.adapter, "dm"))
    await store.agree_to_link(first)
    made = await store.agree_to_link(second)
    assert made is not None
    assert made.made


async def accounts(store: Store, who: Identity) -> list[str]:
    return [f"{one.adapter}:{one.account}" for one in await store.accounts_of(who)]


# --- who gets nowhere ------------------------------------------------------------------------


async def test_a_code_works_once_and_neither_account_alone_can_link(tmp_path: Path) -> None:
    async with open_store(tmp_path, clock=Time()) as store:
        code = await store.link_code(ADA, HERE)
        asked = await store.give_link_code(f" {code.lower().replace('-', ' ')} ", ADA_THERE, THERE)
        assert asked is not None
        assert (asked.theirs.who.name, asked.theirs.address, asked.made) == ("Ada", HERE, False)
        assert await store.give_link_code(code, EVE, THERE) is None  # a third account
        for who in (ADA, EVE, ADA):  # nobody can agree for the other
            answer = await store.agree_to_link(who)
            assert answer is None or not answer.made
        assert await accounts(store, ADA) == ["chat:a1"]

        made = await store.agree_to_link(ADA_THERE)
        assert made is not None
        assert made.made
        assert await accounts(store, ADA_THERE) == ["chat:a1", "other:a9"]
        assert await store.give_link_code(code, EVE, THERE) is None
        assert await store.agree_to_link(ADA) is None


async def test_a_code_is_too_old_after_a_while_and_so_is_an_answer(tmp_path: Path) -> None:
    time = Time()
    async with open_store(tmp_path, clock=time) as store:
        code = await store.link_code(ADA, HERE)
        time.now += LIFE + 1
        assert await store.give_link_code(code, ADA_THERE, THERE) is None
        code = await store.link_code(ADA, HERE)
        time.now += LIFE - 1
        assert await store.give_link_code(code, ADA_THERE, THERE) is not None
        await store.agree_to_link(ADA_THERE)
        time.now += LIFE + 1
        assert await store.agree_to_link(ADA) is None
        assert await accounts(store, ADA) == ["chat:a1"]


async def test_whoever_guesses_codes_has_to_stop_also_after_a_restart(tmp_path: Path) -> None:
    time = Time()
    async with open_store(tmp_path, clock=time) as store:
        code = await store.link_code(ADA, HERE)
        for number in range(MOST_TRIES):
            assert await store.give_link_code(f"guess {number}", EVE, THERE) is None
    async with open_store(tmp_path, clock=time) as store:
        with pytest.raises(Refused, match="too many wrong codes"):
            await store.give_link_code(code, EVE, THERE)
        assert await store.give_link_code(code, ADA_THERE, THERE) is not None
        time.now += TRIES_PAUSE + 1
        code = await store.link_code(ADA, HERE)
        assert await store.give_link_code(code, EVE, THERE) is not None


async def test_no_account_is_linked_with_itself_or_twice_and_no_bot_at_all(tmp_path: Path) -> None:
    async with open_store(tmp_path, clock=Time()) as store:
        code = await store.link_code(ADA, HERE)
        with pytest.raises(Refused, match="this account's own code"):
            await store.give_link_code(code, ADA, HERE)
        with pytest.raises(Refused, match="Bots have no accounts"):
            await store.give_link_code(code, replace(EVE, is_bot=True), THERE)
        with pytest.raises(Refused, match="Bots have no accounts"):
            await store.link_code(replace(EVE, is_bot=True), THERE)
        await link(store)
        code = await store.link_code(ADA, HERE)
        with pytest.raises(Refused, match="yours already"):
            await store.give_link_code(code, ADA_THERE, THERE)


async def test_a_new_code_or_a_no_ends_what_was_asked_before(tmp_path: Path) -> None:
    async with open_store(tmp_path, clock=Time()) as store:
        code = await store.link_code(ADA, HERE)
        await store.give_link_code(code, EVE, THERE)
        await store.agree_to_link(EVE)
        await store.link_code(ADA, HERE)
        assert await store.agree_to_link(ADA) is None
        code = await store.link_code(ADA, HERE)
        await store.give_link_code(code, EVE, THERE)
        await store.agree_to_link(EVE)
        declined = await store.decline_link(ADA)
        assert declined is not None
        assert declined.theirs.who.name == "Eve"
        assert await store.agree_to_link(EVE) is None
        assert await accounts(store, ADA) == ["chat:a1"]


async def test_accounts_that_have_become_one_meanwhile_can_still_agree(tmp_path: Path) -> None:
    ada_too, there_too = replace(ADA, account="a2"), replace(ADA_THERE, account="a8")
    async with open_store(tmp_path, clock=Time()) as store:
        await link(store, ADA, ada_too)
        await link(store, ADA_THERE, there_too)
        code = await store.link_code(ada_too, HERE)
        await store.give_link_code(code, there_too, THERE)
        await link(store, ADA, ADA_THERE)
        await store.agree_to_link(there_too)
        made = await store.agree_to_link(ada_too)
        assert made is not None
        assert made.made
        assert len(await accounts(store, ADA)) == 4


async def test_codes_are_kept_as_hashes(tmp_path: Path) -> None:
    async with open_store(tmp_path, clock=Time()) as store:
        code = await store.link_code(ADA, HERE)
    kept = everything(tmp_path)
    assert code.encode() not in kept
    assert code.replace("-", "").encode() not in kept


# --- what becomes of what is theirs ----------------------------------------------------------


async def test_counts_are_added_and_what_can_be_kept_of_both_is(tmp_path: Path) -> None:
    time = Time()
    night = Quiet(hours=QuietHours(1320, 420), timezone="Europe/Berlin")
    async with open_store(tmp_path, clock=time) as store:
        for number in range(3):
            await ask(store, f"from here {number}", f"answer {number}")
            await ask(store, f"from there {number}", f"there {number}", ADA_THERE)
            time.now += 100.0
        await ask(store, "another's", "one more", BOB)
        await press(store, "answer 0", Control.GOOD, ADA)
        thread = (await store.recent_at(HERE, 1))[0].thread
        await store.set_timezone(ADA_THERE, "Asia/Tokyo")
        await store.want_quiet(thread, HERE, ADA, Quiet(until=5000.0))
        await store.want_quiet(thread, THERE, ADA_THERE, replace(night, until=4000.0))
        wanted = Schedule(bot="bot", when=Once(9000.0), cue=Cue(say="tea"), address=HERE)
        made = await store.add_schedule(replace(wanted, direct=True), ADA_THERE, 10)

        await link(store)
        for who in (ADA, ADA_THERE):
            [it], _ = await store.relations_at(thread, HERE, who, lambda r, _: r, direct=True)
            assert (it.messages, it.met_at) == (6, 1000.0)
            assert await store.timezone_of(who) == "Asia/Tokyo"
            quiet = await store.quiet_at(thread, HERE, who)
            assert quiet == replace(night, until=5000.0)
            listed = await store.find_schedule(made.id, who)
            assert listed is not None
            assert listed.mine
        person = await store.find_person("chat:a1")
        assert person.accounts == ("chat:a1", "other:a9")
        assert (await store.find_person("Bob")).id != person.id


async def test_no_table_keeps_somebody_who_has_become_one_with_another(tmp_path: Path) -> None:
    async with open_store(tmp_path, clock=Time()) as store:
        await ask(store, "one", "1")
        await ask(store, "two", "2", ADA_THERE)
        await store.want_quiet(1, THERE, ADA_THERE, Quiet(until=5000.0))
        gone = (await store.find_person("other:a9")).id
        await link(store)
    tables = [name for (name,) in stored(tmp_path, "SELECT name FROM sqlite_schema")]
    # A column that means people says so, or merging cannot know of it.
    columns = [
        (table, column)
        for table in tables
        for (column,) in stored(tmp_path, f"SELECT name FROM pragma_table_info('{table}')")
        if "person" in column or "people" in column
    ]
    references = [
        (table, column)
        for table in tables
        for column, to in stored(
            tmp_path, f"""SELECT "from", "table" FROM pragma_foreign_key_list('{table}')"""
        )
        if to == "people"
    ]
    assert set(columns) <= set(references)
    assert {("identities", "person"), ("relations", "person")} <= set(references)
    for table, column in references:
        assert stored(tmp_path, f"SELECT 1 FROM {table} WHERE {column} = {gone}") == []
    # Nor does a column of text: "person 3".
    for table in tables:
        for (column,) in stored(
            tmp_path, f"SELECT name FROM pragma_table_info('{table}') WHERE type = 'TEXT'"
        ):
            held = f"""SELECT 1 FROM "{table}" WHERE "{column}" = 'person {gone}'"""
            assert stored(tmp_path, held) == []
    assert stored(tmp_path, "PRAGMA foreign_key_check") == []


@pytest.mark.parametrize("leaves", [ADA, ADA_THERE])
async def test_whoever_unlinks_what_was_shared_stays_with_the_oldest_account(
    leaves: Identity, tmp_path: Path
) -> None:
    async with open_store(tmp_path, clock=Time()) as store:
        await ask(store, "one", "1")
        await ask(store, "two", "2", ADA_THERE)
        await link(store)
        assert await store.unlink(BOB) == ()
        [other] = await store.unlink(leaves)
        assert other.adapter != leaves.adapter
        assert await accounts(store, ADA) == ["chat:a1"]
        thread = (await store.recent_at(HERE, 1))[0].thread
        here = (
            await store.relations_at(thread, HERE, who, lambda r, _: r, direct=True)
            for who in (ADA, ADA_THERE)
        )
        assert [[it.messages for it in found] async for found, _ in here] == [[2], []]
        await link(store)  # and together again
        assert len(await accounts(store, ADA)) == 2


async def test_all_accounts_of_a_person_are_forgotten_together(tmp_path: Path) -> None:
    async with open_store(tmp_path, clock=Time()) as store:
        await ask(store, "plumtree here", "1")
        await ask(store, "plumtree there", "2", ADA_THERE)
        await link(store)
        gone = await store.forget("other:a9")
        assert gone.person.accounts == ("chat:a1", "other:a9")
        assert gone.messages == 2
    left = everything(tmp_path)
    assert b"plumtree" not in left
    assert b"Ada" not in left
    assert stored(tmp_path, "SELECT * FROM relations") == []


# --- in words --------------------------------------------------------------------------------


class Talk:
    """People on a platform."""

    def __init__(self, platform: Platform, house: Home) -> None:
        self.platform = platform
        self.house = house

    async def ask(self, text: str, who: str = "ada", **more: Any) -> str:
        """The words that are said next where somebody says something."""
        before = len(self.platform.ever_shown)
        self.platform.say(text, who=who, **{"channel": f"dm {who}", "direct": True, **more})
        await self.platform.until(lambda: len(self.here(before, who, **more)) > 0)
        return self.here(before, who, **more)[0]

    def here(self, before: int, who: str, channel: str = "", **more: Any) -> list[str]:
        place = channel or f"dm {who}"
        return [one.text for one in self.platform.ever_shown[before:] if one.channel == place]


@asynccontextmanager
async def talking(directory: Path, **more: Any) -> AsyncIterator[Talk]:
    async with Platform().serving() as platform:
        adapter = PlatformAdapter("chat", platform.port)
        async with home(directory, {"bot": SayingBot()}, [adapter], **more) as house:
            yield Talk(platform, house)


async def test_no_code_is_told_where_others_read_along(tmp_path: Path) -> None:
    room = Room(id=0, name="den", bots=("bot",), configured=True)
    channels = {Address("chat", "den"): "den"}
    async with talking(tmp_path, rooms={"den": room}, channels=channels) as talk:
        for channel, direct in (
            ("general", False),
            ("den", False),
            ("den", True),  # a direct channel that is part of a room
        ):
            for command in ("/link", "/link ABCD-EFGH-JKLM", "/link yes"):
                told = await talk.ask(command, channel=channel, direct=direct)
                assert "for the two of us alone" in told
    assert stored(tmp_path, "SELECT * FROM links") == []
    assert stored(tmp_path, "SELECT * FROM link_tries") == []


async def test_people_are_told_who_asks_what_follows_and_that_it_is_done(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        assert "linked with no other" in await talk.ask("/unlink")
        assert "Nobody waits for your answer" in await talk.ask("/link yes")
        code = (await talk.ask("/link")).partition("Your code is ")[2][:14]
        assert "That code is wrong, or too old" in await talk.ask("/link ABCD-EFGH-JKLM", "eve")
        asked = await talk.ask(f"/link {code}", "eve")
        assert asked.startswith("This is the code of ada (account ada on chat).")
        assert "say /link no" in asked
        assert "Nothing has changed" in await talk.ask("/link no")
        assert "Nobody waits for your answer" in await talk.ask("/link yes", "eve")

        code = (await talk.ask("/link")).partition("Your code is ")[2][:14]
        await talk.ask(f"/link {code}", "ada2")
        assert "Now say /link yes as ada2 (account ada2 on chat)" in await talk.ask("/link yes")
        done = await talk.ask("/link yes", "ada2")
        assert done.startswith("You are one person now, here as ada2 and as ada (account ada")
        await talk.house.outboxes.drained()
        assert talk.here(0, "ada")[-1].startswith("You are one person now, here as ada and as ada2")

        assert "You are one person as ada (account ada on chat) and" in await talk.ask("/link")
        shown = await talk.ask("/unlink", "ada2")
    assert shown == (
        "This account and ada (account ada on chat) are separate people again. What you shared"
        " stays with the oldest of them, ada (account ada on chat)."
    )
