"""The store as bots' memories see it: what is to be learned, what was, and who may be told of it.
Knows no model, and writes through the store's one writer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botdaemon.store import facts, summaries
from botdaemon.store.facts import Exchange, Fact
from botdaemon.store.rows import MESSAGE, MESSAGES, message, one

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Awaitable, Callable, Sequence

    from botdaemon.store.archive import Readers, Tail
    from botdaemon.store.summaries import Summary
    from botdaemon.types import Address, Identity, Message, Scope

#: changes of messages that are looked through at once
_BATCH = 500

# An exchange is to be learned from when it is answered, and again when what was said is edited.
_FINISHED = """
    WITH changed AS (
        SELECT m.seq, m.turn FROM messages m
        WHERE m.seq > :after AND m.seq <= :until AND m.bot = :bot AND m.deleted_at IS NULL
        UNION ALL
        SELECT m.seq, x.turn FROM messages m JOIN turn_messages x ON x.message = m.id
        WHERE m.seq > :after AND m.seq <= :until AND m.edited_at IS NOT NULL
            AND m.deleted_at IS NULL
    )
    SELECT c.seq, t.id, t.thread, i.id, i.name, h.room, t.direct
    FROM changed c JOIN turns t ON t.id = c.turn JOIN threads h ON h.id = t.thread
    JOIN identities i ON i.id = t.asked_by
    WHERE t.bot = :bot AND t.state = 'answered' AND t.wish = '' AND t.schedule IS NULL
        AND NOT i.is_bot
    ORDER BY c.seq LIMIT 1"""

_ASKED = f"""SELECT {MESSAGE} FROM {MESSAGES} JOIN turn_messages x ON x.message = m.id
    WHERE x.turn = ? AND m.kind = 'said' AND m.deleted_at IS NULL ORDER BY m.id"""

_BEFORE = f"""SELECT {MESSAGE} FROM {MESSAGES}
    WHERE m.thread = ? AND m.id < ? AND m.kind = 'said' AND m.deleted_at IS NULL
    ORDER BY m.id DESC LIMIT 1"""


class Memories:
    """Part of a `Store`; `write` and `clock` are its. What only reads waits for no writer."""

    def __init__(
        self,
        readers: Readers,
        tail: Tail,
        write: Callable[[Callable[[sqlite3.Connection], Any]], Awaitable[Any]],
        clock: Callable[[], float],
    ) -> None:
        self._readers = readers
        self._tail = tail
        self._write = write
        self._clock = clock

    # --- facts -------------------------------------------------------------------------------

    async def usable(
        self,
        bot: str,
        scope: Scope,
        thread: int,
        address: Address,
        who: Identity | None,
        *,
        direct: bool,
        of_oneself: bool = False,
    ) -> list[Fact]:
        """What a bot may use of what it remembers, told last first, when `who` (None: nobody) asks
        it in a thread; `of_oneself`: only of that what is about them."""
        where = facts.here(thread, address, who, direct)
        sql = facts.usable(scope, of_oneself=of_oneself)
        return [facts.fact(row) for row in await self._readers.all(sql, {**where, "bot": bot})]

    async def about(self, person: int, adapter: str = "") -> list[Fact]:
        """Everything that bots remember about a person, as the person alone may see it; named as on
        an adapter."""
        rows = await self._readers.all(facts.ABOUT, {"person": person, "adapter": adapter})
        return [facts.fact(row) for row in rows]

    async def about_oneself(self, who: Identity) -> list[Fact]:
        """The same, by an account."""
        row = await self._readers.one(
            "SELECT person FROM identities WHERE adapter = ? AND account = ?",
            (who.adapter, who.account),
        )
        return [] if row is None else await self.about(row[0], who.adapter)

    async def remember(
        self,
        bot: str,
        scope: Scope,
        text: str,
        thread: int,
        address: Address,
        who: Identity,
        *,
        direct: bool,
        most: int,
        message: int = 0,
    ) -> None:
        """Keep a fact about `who`, told here in the message with that id (0: in none); see
        `facts.remember`. Raises `Refused`."""
        where = facts.here(thread, address, who, direct)
        await self._write(
            lambda db: facts.remember(
                db, bot, scope, text, who, where, message, most, self._clock()
            )
        )

    async def forget(self, who: Identity, number: int) -> bool:
        """Forget a fact about `who`; False when none about them has that number."""
        return bool(await self._write(lambda db: facts.forget(db, who, number)))

    async def forget_all(self, who: Identity) -> int:
        """Forget all facts about `who`; returns how many there were."""
        return int(await self._write(lambda db: facts.forget_all(db, who)))

    # --- learning ----------------------------------------------------------------------------

    async def begin(self, bot: str) -> int:
        """How far a bot has read the changes of messages: up to now, if it had no memory."""

        def work(db: sqlite3.Connection) -> int:
            db.execute(
                """INSERT INTO memories (bot, seq, began)
                SELECT ?, coalesce(max(seq), 0), coalesce(max(id), 0) FROM messages WHERE true
                ON CONFLICT DO NOTHING""",
                (bot,),
            )
            return int(one(db, "SELECT seq FROM memories WHERE bot = ?", (bot,)))

        return int(await self._write(work))

    async def next_exchange(self, bot: str, after: int) -> tuple[Exchange | None, int]:
        """The first exchange with a change after `after`, and up to where it was looked for."""
        while after < (latest := self._tail.seq):
            until = min(latest, after + _BATCH)
            row = await self._readers.one(_FINISHED, {"bot": bot, "after": after, "until": until})
            if row is not None:
                return await self._exchange(bot, *row), row[0]
            after = until
        return None, after

    async def _exchange(
        self,
        bot: str,
        seq: int,
        turn: int,
        thread: int,
        identity: int,
        name: str,
        room: int | None,
        direct: int,
    ) -> Exchange:
        said = tuple(message(row) for row in await self._readers.all(_ASKED, (turn,)))
        before: tuple[Message, ...] = ()
        place = ""
        if said:
            channel = f"channel {said[0].address.adapter}:{said[0].address.channel}"
            place = channel if room is None else f"room {room}"
            row = await self._readers.one(_BEFORE, (thread, said[0].id))
            if row is not None and (found := message(row)).bot == bot:
                before = (found,)
        return Exchange(
            seq=seq,
            bot=bot,
            thread=thread,
            identity=identity,
            name=" ".join(name.split()),
            place=place,
            direct=bool(direct) and room is None,
            said=said,
            before=before,
        )

    async def learn(
        self, it: Exchange, sources: Sequence[Message], texts: Sequence[str], most: int
    ) -> int:
        """Keep what was learned from an exchange, and that it was read; see `facts.learn`."""
        return int(
            await self._write(lambda db: facts.learn(db, it, sources, texts, most, self._clock()))
        )

    # --- summaries ---------------------------------------------------------------------------

    async def summaries(self, bot: str, thread: int) -> list[Summary]:
        """What stands in place of what in a thread, oldest first; none of it twice."""
        rows = await self._readers.all(summaries.WIDEST, {"bot": bot, "thread": thread})
        return [summaries.summary(row) for row in rows]

    async def said(self, thread: int, most: int) -> list[Message]:
        """What was said last in a thread, oldest first."""
        rows = await self._readers.all(summaries.SAID, {"thread": thread, "most": most})
        return [message(row) for row in reversed(rows)]

    async def stretch(
        self, bot: str, thread: int, before: int, least: int, most: int
    ) -> list[Message]:
        """The oldest messages of a thread before one that no summary stands for, in a row, at most
        `most`; none when there are fewer than `least`, unless a summary follows them."""
        rows = await self._readers.all(
            summaries.LEFT, {"bot": bot, "thread": thread, "before": before, "most": most}
        )
        run = [row for row in rows if row[-1] == rows[0][-1]]
        if not run or (run[0][-1] is None and len(run) < least):
            return []
        return [message(row) for row in run]

    async def keep_summary(self, made: Summary, of: Sequence[Message]) -> bool:
        """Keep a summary; False when a message has changed since it was read."""
        return bool(await self._write(lambda db: summaries.keep(db, made, of, self._clock())))

    async def join_summaries(self, made: Summary, of: Sequence[Summary]) -> bool:
        """Keep a summary of summaries; see `summaries.join`."""
        return bool(await self._write(lambda db: summaries.join(db, made, of, self._clock())))
