"""The way in of all chat adapters: order, what was said before, and cursors that skip no gap."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from adapters.inlet import Inlet
from botdaemon.errors import StoreFull
from botdaemon.store import Store, open_store
from botdaemon.types import Address, Event, Identity, Message, Posted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

HERE = Address("chat", "general")
ASIDE = Address("chat", "general", "7")


def posted(id: int, address: Address = HERE, *, missed: bool = False) -> Posted:
    author = Identity(adapter="chat", account="ann", name="Ann")
    said = Message(
        address=address, text=f"message {id}", author=author, platform_id=str(id), sent_at=float(id)
    )
    return Posted(key=f"{address.channel}:{id}", message=said, missed=missed)


class Way:
    """An inlet over a real store, with a dispatcher that only records."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.recorded: list[str] = []
        self.full = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.inlet = Inlet("chat", store, self.deliver)

    async def deliver(self, event: Event) -> int:
        assert isinstance(event, Posted)
        if event.message.address == HERE:
            await self.gate.wait()
        if self.full:
            raise StoreFull("the disk is full")
        self.recorded.append(("past " if event.past else "") + event.message.platform_id)
        recorded = await self.store.record_posted(event, lambda *_: [], lambda *_: [])
        return recorded.message

    async def cursors(self) -> dict[tuple[str, str], str]:
        return await self.store.cursors("chat")


@asynccontextmanager
async def way(directory: Path) -> AsyncIterator[Way]:
    async with open_store(directory) as store:
        yield Way(store)


async def test_what_was_said_before_comes_first_and_only_once(tmp_path: Path) -> None:
    asked = 0

    async def earlier() -> list[Posted]:
        nonlocal asked
        asked += 1
        return [posted(1, ASIDE), posted(2, ASIDE)]

    async with way(tmp_path) as it:
        await asyncio.gather(*(it.inlet.post(posted(id, ASIDE), earlier) for id in (3, 4)))
        # Nor when the daemon has forgotten that it asked.
        await Inlet("chat", it.store, it.deliver).post(posted(5, ASIDE), earlier)

    assert it.recorded == ["past 1", "past 2", "3", "4", "5"]
    assert asked == 1


async def test_a_message_does_not_wait_for_history_that_cannot_be_had(tmp_path: Path) -> None:
    async def earlier() -> list[Posted]:
        raise ConnectionError("no history today")

    async with way(tmp_path) as it:
        await it.inlet.post(posted(3, ASIDE), earlier)

    assert it.recorded == ["3"]


async def test_at_the_very_first_start_everything_before_is_past(tmp_path: Path) -> None:
    async with way(tmp_path) as it:
        await it.inlet.open("100")

        assert it.inlet.cursor(HERE) == "100"


async def test_live_messages_move_the_cursor_while_nothing_was_missed(tmp_path: Path) -> None:
    async with way(tmp_path) as it:
        await it.inlet.open("100")
        await it.inlet.on_track()
        await it.inlet.post(posted(101))
        await it.inlet.post(posted(103, ASIDE))
        await it.inlet.post(posted(102, ASIDE))  # late, and no reason to go back

        assert await it.cursors() == {
            ("", ""): "100",
            ("general", ""): "101",
            ("general", "7"): "103",
        }


async def test_a_crash_during_a_catch_up_skips_no_gap(tmp_path: Path) -> None:
    async with way(tmp_path) as it:
        await it.inlet.open("100")
        await it.inlet.on_track()
        await it.inlet.post(posted(101))
        it.inlet.lose_track()  # 102 and 103 are missed
        await it.inlet.post(posted(104))
        assert it.inlet.cursor(HERE) == "101"

    async with way(tmp_path) as it:  # as after a crash
        await it.inlet.open("200")
        assert it.inlet.cursor(HERE) == "101"
        for id in (102, 103):
            await it.inlet.post(posted(id, missed=True))
            await it.inlet.reached(HERE, str(id))
        await it.inlet.post(posted(105))
        await it.inlet.on_track()

        assert (await it.cursors())["general", ""] == "105"


async def test_after_a_crash_in_a_catch_up_a_new_place_is_still_read_from_the_beginning(
    tmp_path: Path,
) -> None:
    async with way(tmp_path) as it:
        await it.inlet.open("100")
        await it.inlet.on_track()
        await it.inlet.post(posted(101))
        it.inlet.lose_track()
        await it.inlet.reached(HERE, "150")

    async with way(tmp_path) as it:  # as after a crash, before the new place was read
        await it.inlet.open("200")
        assert it.inlet.cursor(Address("chat", "new")) == "101"
        await it.inlet.on_track()
        await it.inlet.post(posted(201))

    async with way(tmp_path) as it:
        await it.inlet.open("300")
        assert it.inlet.cursor(Address("chat", "new")) == "201"


async def test_a_message_that_begins_a_thread_moves_the_cursor_of_its_channel(
    tmp_path: Path,
) -> None:
    async with way(tmp_path) as it:
        await it.inlet.open("100")
        await it.inlet.on_track()
        await it.inlet.post(posted(101, Address("chat", "general", "101")), read_in=HERE)

        assert await it.cursors() == {("", ""): "100", ("general", ""): "101"}


async def test_a_place_never_heard_of_is_read_from_where_the_track_was_lost(
    tmp_path: Path,
) -> None:
    async with way(tmp_path) as it:
        await it.inlet.open("100")
        await it.inlet.on_track()
        await it.inlet.post(posted(105))
        it.inlet.lose_track()
        await it.inlet.post(posted(110))

        assert it.inlet.cursor(Address("chat", "new")) == "105"


async def test_what_could_not_be_recorded_is_read_again(tmp_path: Path) -> None:
    async with way(tmp_path) as it:
        await it.inlet.open("100")
        await it.inlet.on_track()
        it.full = True
        with pytest.raises(StoreFull):
            await it.inlet.post(posted(101))
        it.full = False
        await it.inlet.post(posted(102))

        assert it.inlet.behind.is_set()
        assert it.inlet.cursor(HERE) == "100"


async def test_places_do_not_wait_for_each_other(tmp_path: Path) -> None:
    async with way(tmp_path) as it:
        it.gate.clear()
        waiting = asyncio.create_task(it.inlet.post(posted(1)))
        await it.inlet.post(posted(2, ASIDE))
        assert it.recorded == ["2"]
        it.gate.set()
        await waiting


async def test_an_event_that_cannot_be_read_is_put_away_and_not_without_end(
    tmp_path: Path,
) -> None:
    async with way(tmp_path) as it:
        await it.inlet.quarantine("x" * 100_000, KeyError("author"))
        rows = await it.store._readers.all("SELECT adapter, length(raw), error FROM quarantine")

    assert [tuple(row) for row in rows] == [("chat", 20_000, "KeyError('author')")]


async def test_what_is_said_now_waits_for_what_was_missed_there(tmp_path: Path) -> None:
    async with way(tmp_path) as it:
        await it.inlet.open("100")
        live = asyncio.create_task(it.inlet.turn("general"))
        elsewhere = asyncio.create_task(it.inlet.turn("elsewhere"))
        await asyncio.sleep(0)
        it.inlet.reading(["general"])
        await elsewhere  # where nothing was missed, nobody waits
        assert not live.done()
        it.inlet.read("general")
        await live
        await it.inlet.on_track()
        await it.inlet.turn("general")


async def test_nobody_overtakes_who_has_waited_longer(tmp_path: Path) -> None:
    async with way(tmp_path) as it:
        order: list[int] = []

        async def pass_through(number: int) -> None:
            await it.inlet.turn("general")
            order.append(number)

        await it.inlet.open("100")
        waiting = [asyncio.create_task(pass_through(number)) for number in range(3)]
        await asyncio.sleep(0)
        late = asyncio.create_task(pass_through(3))  # begins when the others have been told
        await it.inlet.on_track()
        await asyncio.gather(*waiting, late)

    assert order == [0, 1, 2, 3]


async def test_nobody_waits_for_ever_for_what_was_missed(tmp_path: Path) -> None:
    async with way(tmp_path) as it:
        impatient = Inlet("chat", it.store, it.deliver, patience=0.01)
        await impatient.open("100")
        await impatient.turn("general")
