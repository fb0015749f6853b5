"""The store: the only package that knows there is a database. Knows no adapter, bot or model.

Writes are whole transactions on one thread (`writer`), grouped by noun (`intake`, `turns`,
`letters`, `rooms`); reads go over read-only connections (`archive`).
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from botdaemon.config import room_name
from botdaemon.errors import Refused, StoreError
from botdaemon.metrics import Metrics
from botdaemon.store import (
    archive,
    changes,
    database,
    files,
    forgetting,
    held,
    intake,
    letters,
    links,
    origins,
    pairings,
    quiet,
    relations,
    rooms,
    schedules,
    shelf,
    slots,
    transcripts,
    turns,
    wishes,
)
from botdaemon.store.archive import Readers, Tail
from botdaemon.store.facts import Exchange, Fact
from botdaemon.store.forgetting import Forgotten, Person
from botdaemon.store.links import Link
from botdaemon.store.memories import Memories
from botdaemon.store.origins import Account
from botdaemon.store.quiet import Quiet
from botdaemon.store.rows import one
from botdaemon.store.schedules import Listed
from botdaemon.store.slots import Decided
from botdaemon.store.summaries import Summary
from botdaemon.store.wishes import Want
from botdaemon.store.writer import Writer, writing
from botdaemon.types import (
    Address,
    Command,
    Decision,
    Deleted,
    Edited,
    File,
    Held,
    Identity,
    Letter,
    Message,
    Obligation,
    Origin,
    Posted,
    Pressed,
    Reacted,
    Recorded,
    Relation,
    Room,
    Schedule,
    Thread,
    Transcript,
    Turn,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from botdaemon.store.intake import Relay, Route
    from botdaemon.store.relations import Judge
    from botdaemon.store.slots import Govern

__all__ = [
    "Account",
    "Decided",
    "Exchange",
    "Fact",
    "Forgotten",
    "Link",
    "Listed",
    "Memories",
    "Person",
    "Quiet",
    "Store",
    "Summary",
    "Want",
    "open_store",
]

T = TypeVar("T")


class Store:
    """Made by `open_store`. Every writing method returns when its transaction is on disk, and
    raises `StoreFull` when it could not be recorded."""

    def __init__(
        self, directory: Path, readers: Readers, tail: Tail, clock: Callable[[], float]
    ) -> None:
        self.directory = directory
        self._readers = readers
        self._tail = tail
        self._clock = clock
        self._writer: Writer
        self._seq = tail.seq  # the writer's thread only
        self._mirrors: frozenset[str] = frozenset()
        self._bots: frozenset[str] = frozenset()
        #: what bots remember
        self.memories = Memories(readers, tail, self._write, clock)

    def _next_seq(self) -> int:
        self._seq += 1
        return self._seq

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await self._writer.run(work)

    # --- rooms -------------------------------------------------------------------------------

    async def settle_rooms(
        self,
        configured: Mapping[str, Room],
        channels: Mapping[Address, str],
        *,
        mirrors: Collection[str],
        bots: Collection[str],
        scheduled: Iterable[Schedule] | None = None,
    ) -> None:
        """Make the rooms on disk those of the configuration; `mirrors` are the adapters that show
        every room, `bots` the names a new room may have. `scheduled` are the configured schedules,
        settled in the same transaction; None leaves them as they are."""
        shown = frozenset(mirrors)
        wanted = None if scheduled is None else tuple(scheduled)

        def work(db: sqlite3.Connection) -> None:
            rooms.settle(db, configured, channels, shown, self._clock())
            if wanted is not None:
                schedules.settle(db, wanted, self._clock())

        await self._write(work)
        self._mirrors = shown
        self._bots = frozenset(bots)

    async def create_room(self, name: str, bots: Sequence[str], host: str | None = None) -> Room:
        name = name.strip()
        try:
            name = room_name(name)
        except ValueError as error:
            raise Refused(str(error)) from None
        if not bots:
            raise Refused("a room needs at least one bot")
        for bot in bots:
            if bot not in self._bots:
                known = ", ".join(sorted(self._bots))
                raise Refused(f'there is no bot "{bot}" (there are: {known})')
        if host is None:
            host = bots[0] if len(set(bots)) == 1 else ""
        elif host and host not in bots:
            raise Refused(f'the host "{host}" is not one of the room\'s bots')
        unique = tuple(dict.fromkeys(bots))
        return await self._write(
            lambda db: rooms.create(db, name, unique, host, self._mirrors, self._clock())
        )

    async def open_thread(self, room: str, title: str) -> Thread:
        place = await archive.find_room(self._readers, room)
        title = " ".join(title.split())[: rooms.LONGEST_TITLE]

        def work(db: sqlite3.Connection) -> Thread:
            return rooms.thread_of(db, rooms.open_thread(db, place.id, title, self._clock()))

        return await self._write(work)

    async def find_thread(self, room: str, thread: int | None = None) -> tuple[str, int]:
        name, room_id, found = await archive.find_thread(self._readers, room, thread)
        if found is not None:
            return name, found
        if thread is not None:
            raise Refused(f'the room "{name}" has no thread {thread}')
        return name, await self._write(lambda db: rooms.main_thread(db, room_id, self._clock()))

    async def begin_anew(self, thread: int) -> int:
        """A new thread in place of an old one; returns its id."""
        return await self._write(lambda db: rooms.begin_anew(db, thread, self._clock()))

    async def room_at(self, address: Address) -> Room | None:
        """The room that an address belongs to, if any."""
        row = await self._readers.one(
            "SELECT r.name FROM channels c JOIN rooms r ON r.id = c.room"
            " WHERE c.adapter = ? AND c.channel = ?",
            (address.adapter, address.channel),
        )
        return None if row is None else await archive.find_room(self._readers, row[0])

    async def chosen(self, thread: int) -> str:
        """The bot that people chose to answer in a thread, "" for none."""
        row = await self._readers.one("SELECT chosen FROM threads WHERE id = ?", (thread,))
        return "" if row is None else str(row[0])

    async def choose(self, thread: int, bot: str) -> None:
        """People choose who answers in a thread; see `rooms.choose`."""
        await self._write(lambda db: rooms.choose(db, thread, bot))

    async def set_host(self, room: Room, bot: str) -> None:
        """Another host of a room; see `rooms.set_host`. Raises `Refused`."""
        await self._write(lambda db: rooms.set_host(db, room.id, bot))

    # --- intake ------------------------------------------------------------------------------

    async def record_posted(
        self, event: Posted, route: Route, relay: Relay, want: Want | None = None
    ) -> Recorded:
        """A message, the letters that `relay` writes to the thread's other addresses, the turns
        that `route` finds and that of the wish that was typed, in one transaction. All of them
        run on the writer's thread."""

        def work(db: sqlite3.Connection) -> Recorded:
            now = self._clock()
            recorded = intake.posted(db, event, route, relay, self._next_seq, now)
            return recorded if want is None else wishes.typed(db, event, recorded, want, now)

        return await self._write(work)

    async def record_edited(self, event: Edited, relay: Relay) -> Recorded:
        return await self._write(lambda db: changes.edited(db, event, relay, self._next_seq))

    async def record_deleted(self, event: Deleted) -> Recorded:
        return await self._write(lambda db: changes.deleted(db, event, self._next_seq))

    async def record_rating(self, event: Reacted | Pressed) -> Recorded:
        return await self._write(lambda db: changes.rated(db, event, self._clock()))

    async def record_asked(
        self, address: Address, key: str, who: Identity, platform_id: str = ""
    ) -> Recorded:
        """A command or button was used; `duplicate` when it had been already."""
        return await self._write(
            lambda db: intake.asked(db, address, key, who, platform_id, self._clock())
        )

    # --- pictures ----------------------------------------------------------------------------

    async def record_wish(self, event: Pressed | Command, want: Want) -> Recorded:
        """A wish by a button or a platform's own command, and its turn; see `wishes.wished`."""
        return await self._write(
            lambda db: wishes.wished(
                db, event.address, event.key, event.who, want, event.direct, self._clock()
            )
        )

    async def message_at(self, address: Address, platform_id: str) -> Message | None:
        """What a platform shows under an id, with its files; None when it is not known."""
        return await self._write(lambda db: wishes.message_at(db, address, platform_id))

    async def picture(
        self,
        thread: int,
        address: Address,
        platform_id: str,
        painters: Collection[str],
        *,
        exactly: bool = False,
    ) -> Message | None:
        """The message whose picture is meant; see `wishes.picture`."""
        return await self._write(
            lambda db: wishes.picture(db, thread, address, platform_id, painters, exactly=exactly)
        )

    async def asked_for(self, message: int, who: Identity) -> bool:
        """Whether a bot's message answers this person."""
        return await self._write(lambda db: wishes.asked_for(db, message, who))

    async def take_back(self, message: int, pressed: Pressed | None = None) -> tuple[Address, ...]:
        """Forget a bot's answer; returns from where its letters are to be taken."""
        return await self._write(
            lambda db: wishes.take_back(db, message, pressed, self._next_seq, self._clock())
        )

    async def defaults_at(self, address: Address) -> str:
        """The options for pictures in a place, "" for none."""
        return await self._write(lambda db: wishes.defaults_at(db, address))

    async def set_defaults(self, address: Address, options: str) -> None:
        """Keep options for the pictures of a place; "" for none."""
        await self._write(lambda db: wishes.set_defaults(db, address, options))

    # --- turns -------------------------------------------------------------------------------

    async def recover(self) -> list[Obligation]:
        """Every open turn after a start, oldest first; what was to be written first a while ago
        is decided anew."""

        def work(db: sqlite3.Connection) -> list[Obligation]:
            slots.reopen(db, self._clock())
            return turns.recover(db)

        return await self._write(work)

    async def claim_turn(self, turn: int, history: int) -> Turn | None:
        """Begin a waiting turn with the newest `history` messages before it."""
        return await self._write(lambda db: turns.claim(db, turn, history))

    async def say(
        self,
        said: Message,
        letters: Sequence[Letter],
        *,
        close: str = "",
        error: str = "",
        origin: Origin | None = None,
    ) -> int:
        """A bot's answer or the daemon's notice, with its letters; with `close`, the end of the
        message's turn in that state. Returns the message's id, 0 when the turn had ended."""
        return await self._write(
            lambda db: turns.say(
                db,
                said,
                letters,
                self._next_seq,
                close=close,
                error=error,
                origin=origin,
            )
        )

    async def account(
        self, thread: int, address: Address, platform_id: str, who: Identity
    ) -> Account | None:
        """How an answer came about; see `origins.account`."""
        return await self._write(lambda db: origins.account(db, thread, address, platform_id, who))

    async def end_turn(self, turn: int, state: str, error: str = "") -> None:
        """Close a turn without a word."""
        await self._write(lambda db: turns.end(db, turn, state, error))

    async def seal_turns(self, turn_ids: Collection[int]) -> None:
        """From here on no further message joins these turns, begun or not."""
        await self._write(lambda db: turns.seal(db, turn_ids))

    async def turn_shown_at(self, address: Address, platform_id: str) -> int:
        """The turn whose live draft or answer a platform shows under an id; 0 for none."""
        return await self._write(lambda db: turns.shown_at(db, address, platform_id))

    async def turn_died(self, turn: int) -> int:
        """Count a model process that died under the turn; returns how many have."""
        return await self._write(lambda db: turns.died(db, turn))

    async def answer_again(self, thread: int, answer: int | None = None) -> Obligation | None:
        """Take back an answer, by default the last, and oblige its bot to give another."""
        return await self._write(
            lambda db: turns.again(db, thread, answer, self._next_seq, self._clock())
        )

    async def undo(self, thread: int) -> int:
        """Take back the last exchange; returns how many messages went."""
        return await self._write(lambda db: turns.undo(db, thread, self._next_seq, self._clock()))

    async def addresses_of(self, thread: int) -> tuple[Address, ...]:
        """Everywhere the thread goes on."""
        rows = await self._readers.all(
            "SELECT adapter, channel, topic FROM addresses WHERE thread = ?", (thread,)
        )
        return tuple(Address(*row) for row in rows)

    async def room_of(self, thread: int) -> Room | None:
        """The room a thread belongs to, if any."""
        row = await self._readers.one(
            "SELECT r.name FROM threads t JOIN rooms r ON r.id = t.room WHERE t.id = ?", (thread,)
        )
        return None if row is None else await archive.find_room(self._readers, row[0])

    # --- writing first -----------------------------------------------------------------------

    async def ping(self) -> None:
        """Return when the writer has ended a transaction that changes nothing."""
        await self._write(lambda db: None)

    async def settle_schedules(self, configured: Iterable[Schedule]) -> None:
        """Make the configured schedules on disk those of the configuration."""
        wanted = tuple(configured)
        await self._write(lambda db: schedules.settle(db, wanted, self._clock()))

    async def add_schedule(self, wanted: Schedule, who: Identity, most: int) -> Schedule:
        """A schedule that a person makes; see `schedules.add`. Raises `Refused`."""
        return await self._write(lambda db: schedules.add(db, wanted, who, most, self._clock()))

    async def find_schedule(self, id: int, who: Identity) -> Listed | None:
        """A schedule that has not ended, as `who` sees it."""
        return await self._write(lambda db: schedules.find(db, id, who))

    async def end_schedule(self, id: int) -> None:
        """It comes no more."""
        await self._write(lambda db: schedules.end(db, id))

    async def schedules_at(
        self, thread: int, address: Address, who: Identity, *, direct: bool
    ) -> list[Listed]:
        """What has not ended in a place, as far as `who` may see it."""
        return await self._write(lambda db: schedules.listed(db, thread, address, who, direct))

    async def due_in(self) -> float | None:
        """Seconds until a schedule is to be looked at; None while there is none."""
        [due_at] = await self._readers.one("SELECT min(due_at) FROM schedules")
        return None if due_at is None else due_at - self._clock()

    async def due_schedules(self) -> list[int]:
        """Those to be looked at now."""
        return await self._write(lambda db: slots.due(db, self._clock()))

    async def decide_slot(
        self, schedule: int, govern: Govern, bots: Collection[str], painters: Collection[str]
    ) -> Decided | None:
        """Use a schedule's slot, or not, once: the decision and the turn are one transaction. None
        when there is none to decide about now. `govern` runs on the writer's thread."""
        return await self._write(
            lambda db: slots.decide(db, schedule, govern, bots, painters, self._clock())
        )

    async def decisions(self, since: float = 0.0) -> list[Decision]:
        """What became of slots since then, oldest first."""
        return await self._write(lambda db: slots.decisions(db, since))

    async def quiet_at(self, thread: int, address: Address, who: Identity | None) -> Quiet:
        """What is wanted in a place; `who` is the person in a direct channel, else None."""
        return await self._write(lambda db: quiet.wanted(db, self._scope(db, thread, address, who)))

    async def want_quiet(
        self, thread: int, address: Address, who: Identity | None, wanted: Quiet
    ) -> None:
        """What is wanted there from now on."""
        await self._write(lambda db: quiet.want(db, self._scope(db, thread, address, who), wanted))

    def _scope(
        self, db: sqlite3.Connection, thread: int, address: Address, who: Identity | None
    ) -> str:
        person = 0 if who is None else quiet.person_of(db, who, self._clock())
        return quiet.scope(db, thread, address, person)

    async def timezone_of(self, who: Identity) -> str:
        """The time zone that a person has named, "" for none."""
        return await self._write(lambda db: schedules.timezone_of(db, who))

    async def set_timezone(self, who: Identity, timezone: str) -> None:
        """A person names theirs."""
        await self._write(lambda db: schedules.set_timezone(db, who, timezone, self._clock()))

    # --- relations ---------------------------------------------------------------------------

    async def feel(self, turn: int, judge: Judge) -> tuple[Relation, float]:
        """What there is between who asked in a turn and its bot, and what time it is; `judge` runs
        on the writer's thread, and what it says of stage and mood is noted."""

        def work(db: sqlite3.Connection) -> tuple[Relation, float]:
            now = self._clock()
            return relations.feel(db, turn, judge, now), now

        return await self._write(work)

    async def relations_at(
        self, thread: int, address: Address, who: Identity, judge: Judge, *, direct: bool
    ) -> tuple[list[Relation], float]:
        """All that somebody has with bots in a place, likewise."""

        def work(db: sqlite3.Connection) -> tuple[list[Relation], float]:
            now = self._clock()
            return relations.here(db, thread, address, who, direct, judge, now), now

        return await self._write(work)

    async def reset_relations(
        self, thread: int, address: Address, who: Identity, *, direct: bool
    ) -> list[Relation]:
        """It all begins anew in a place; what is over now."""
        return await self._write(lambda db: relations.reset(db, thread, address, who, direct))

    # --- letters -----------------------------------------------------------------------------

    async def open_places(self, adapter: str) -> list[Address]:
        """Addresses of an adapter that letters wait for."""
        return await self._write(lambda db: letters.open_places(db, adapter))

    async def claim_letter(
        self, address: Address, settled: tuple[int, str] | None = None, *, settles_after: float = 0
    ) -> letters.Claim | float | None:
        """The next letter for an address, *sending* from now on; see `letters.claim`.

        `settled` (letter, platform id) is settled in the same transaction.
        """

        def work(db: sqlite3.Connection) -> letters.Claim | float | None:
            if settled is not None:
                letters.settle(db, *settled)
            return letters.claim(db, address, self._clock(), settles_after)

        return await self._write(work)

    async def open_draft(
        self, turn: int, address: Address, speaker: str, reply_to: str
    ) -> tuple[Letter, bool]:
        """The letter a live draft is shown in; see `letters.open_draft`."""
        return await self._write(
            lambda db: letters.open_draft(db, turn, address, speaker, reply_to, self._clock())
        )

    async def draft_sent(self, letter: int, remote: str) -> None:
        """A live draft is shown under the platform id `remote`."""
        await self._write(lambda db: letters.draft_sent(db, letter, remote))

    async def placed(self, letter: int, remote: str) -> None:
        """An empty message stands on the platform, and the letter is to be edited into it."""
        await self._write(lambda db: letters.placed(db, letter, remote))

    async def drafted(self, turn: int) -> list[Address]:
        """Where a live draft of a turn is shown, as far as is known."""
        return await self._write(lambda db: letters.drafted(db, turn))

    async def postpone(self, letter: int, not_before: float, error: str, *, sent: bool) -> None:
        await self._write(lambda db: letters.postpone(db, letter, not_before, error, sent=sent))

    async def bury(self, letter: int, error: str) -> None:
        await self._write(lambda db: letters.bury(db, letter, error))

    async def removed(self, letter: int, error: str = "") -> None:
        """A letter is not on its platform any more, or cannot be taken away (`error`)."""
        await self._write(lambda db: letters.removed(db, letter, error))

    # --- filters -----------------------------------------------------------------------------

    async def hold(self, key: str, one: Held) -> bool:
        """Note what a filter held back or masked, once for each `key`; whether it is new."""
        return await self._write(lambda db: held.hold(db, key, one, self._clock()))

    # --- people ------------------------------------------------------------------------------

    async def names(self, identities: Collection[int]) -> dict[int, str]:
        """The names of identities by their ids."""
        rows = await self._readers.all(
            "SELECT id, name FROM identities WHERE id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(identities)),),
        )
        return dict(rows)

    async def known_names(self) -> set[str]:
        """What everybody is called whom the daemon has ever met."""
        rows = await self._readers.all("SELECT DISTINCT name FROM identities")
        return {name for (name,) in rows}

    async def paired(self, who: Identity) -> bool:
        """Whether an admin has let the account write directly."""
        return await self._write(lambda db: pairings.paired(db, who))

    async def pairing_code(self, who: Identity, thread: int, address: Address) -> str:
        """The code to tell a stranger, "" when there is nothing to tell (again)."""
        return await self._write(
            lambda db: pairings.code_for(db, who, thread, address, self._clock())
        )

    async def pair(self, code: str, admin: Identity) -> tuple[str, int, Address] | None:
        """Let a stranger in: name, and where to tell them; None for an unknown code."""
        return await self._write(lambda db: pairings.approve(db, code, admin, self._clock()))

    async def link_code(self, who: Identity, address: Address) -> str:
        """A code that links another account with this one; see `links`."""
        return await self._write(lambda db: links.begin(db, who, address, self._clock()))

    async def give_link_code(self, code: str, who: Identity, address: Address) -> Link | None:
        """Give another account's code; None for a wrong one. Raises `Refused`."""
        return await self._write(lambda db: links.give(db, code, who, address, self._clock()))

    async def agree_to_link(self, who: Identity) -> Link | None:
        """One account agrees; when both have, they are one person. None when nobody asks it."""
        return await self._write(lambda db: links.agree(db, who, self._clock()))

    async def decline_link(self, who: Identity) -> Link | None:
        """One account does not agree; None when nobody asks it."""
        return await self._write(lambda db: links.decline(db, who, self._clock()))

    async def accounts_of(self, who: Identity) -> list[Identity]:
        """All accounts of the person whose account it is, the oldest first."""
        return await self._write(lambda db: links.accounts(db, who, self._clock()))

    async def unlink(self, who: Identity) -> tuple[Identity, ...]:
        """An account is apart again from the others of its person; returns those."""
        return await self._write(lambda db: links.unlink(db, who, self._clock()))

    async def knows(self, who: str) -> bool:
        """Whether `find_person` finds somebody, or more than one."""
        return await self._write(lambda db: forgetting.known(db, who))

    async def find_person(self, who: str) -> Person:
        """By "ADAPTER:ACCOUNT", the store's id or a name. Raises `Refused` when there is nobody, or
        more than one; then it names them."""
        return await self._write(lambda db: forgetting.find(db, who))

    async def forget(self, who: str) -> Forgotten:
        """Forget a person for good: their words, files and names. Raises `Refused` likewise. What
        bots or others repeated of it stays, and so do `Forgotten.backups`; a turn under way ends
        with what it has read."""
        forgotten = await self._write(
            lambda db: forgetting.forget(db, who, self._next_seq, self._clock())
        )
        # Not before that is on disk, or another transaction's failure could leave rows without
        # their files. Killed in between, what is left is found by the next time.
        gone = await self._write(forgetting.orphans)
        await asyncio.to_thread(files.remove, self.directory / "files", gone)
        await self._write(lambda db: forgetting.drop(db, gone))
        await asyncio.to_thread(database.clean, self.directory / "botdaemon.db")
        return replace(forgotten, backups=database.backups(self.directory))

    # --- the shelf of adapters ---------------------------------------------------------------

    async def known(self, address: Address) -> bool:
        return await shelf.known(self._readers, address)

    async def active(self, adapter: str, since: float) -> list[Address]:
        return await shelf.active(self._readers, adapter, since)

    async def cursors(self, adapter: str) -> dict[tuple[str, str], str]:
        return await shelf.cursors(self._readers, adapter)

    async def move_cursor(self, address: Address, last: str) -> None:
        await self._write(lambda db: shelf.move_cursor(db, address, last))

    async def quarantine(self, adapter: str, raw: str, error: str) -> None:
        await self._write(lambda db: shelf.quarantine(db, adapter, raw, error, self._clock()))

    # --- files -------------------------------------------------------------------------------

    async def keep(self, content: bytes, name: str, media_type: str) -> File:
        """Keep a file's content; it is noted with the message that carries it."""
        sha256 = await asyncio.to_thread(files.keep, self.directory / "files", content)
        return File(sha256=sha256, name=name, media_type=media_type, size=len(content))

    def file(self, sha256: str) -> Path:
        return files.path_of(self.directory / "files", sha256)

    async def describe(self, sha256: str) -> File | None:
        return await archive.describe(self._readers, sha256)

    # --- sound -------------------------------------------------------------------------------

    async def transcript_of(self, sha256: str) -> Transcript | None:
        """What is said in a recording; None while nobody has listened to it."""
        return await self._write(lambda db: transcripts.of(db, sha256))

    async def keep_transcript(
        self,
        sha256: str,
        transcript: Transcript,
        model: str,
        notice: tuple[Message, Sequence[Letter]] | None = None,
    ) -> bool:
        """Keep what is said in a recording, and the daemon's `notice` of it, once; whether this
        was the first."""

        def work(db: sqlite3.Connection) -> bool:
            kept = transcripts.keep(db, sha256, transcript, model, self._clock())
            if kept and notice is not None:
                turns.say(db, *notice, self._next_seq)
            return kept

        return await self._write(work)

    # --- reading -----------------------------------------------------------------------------

    async def rooms(self) -> list[Room]:
        return await archive.rooms(self._readers)

    async def threads(self, room: str) -> list[Thread]:
        place = await archive.find_room(self._readers, room)
        return await archive.threads(self._readers, place.id)

    async def messages(
        self, room: str, *, thread: int | None = None, after: int = 0, limit: int = 100
    ) -> list[Message]:
        place = await archive.find_room(self._readers, room)
        return await archive.messages(
            self._readers, place.id, thread=thread, after=after, limit=limit
        )

    async def recent(
        self, thread: int, *, before: int | None = None, limit: int = 50
    ) -> list[Message]:
        return await archive.recent(self._readers, thread, before=before, limit=limit)

    async def changes(self, after: int, limit: int = 500) -> list[tuple[str, Message]]:
        return await archive.changes(self._readers, after, limit)

    async def recent_at(self, address: Address, limit: int) -> list[Message]:
        """The last messages of the thread that goes on at an address, oldest first."""
        row = await self._readers.one(
            "SELECT thread FROM addresses WHERE adapter = ? AND channel = ? AND topic = ?",
            (address.adapter, address.channel, address.topic),
        )
        return [] if row is None else await self.recent(row[0], limit=limit)

    async def backlog(self) -> list[letters.Backlog]:
        """The letters that wait, by adapter."""
        return await letters.backlog(self._readers, self._clock())

    async def latest(self) -> int:
        return self._tail.seq

    async def changed(self, after: int) -> None:
        await self._tail.beyond(after)


@asynccontextmanager
async def open_store(
    directory: Path, *, clock: Callable[[], float] = time.time, metrics: Metrics | None = None
) -> AsyncIterator[Store]:
    """The store in a data directory, for as long as the context lasts.

    Raises `StoreLocked` or `StoreUnusable`; nothing has been changed then.
    """
    async with AsyncExitStack() as stack:
        stack.enter_context(database.locked(directory))
        path = directory / "botdaemon.db"
        connection = await asyncio.to_thread(database.open_database, path)
        stack.enter_context(closing(connection))
        tail = Tail(one(connection, "SELECT coalesce(max(seq), 0) FROM messages"))
        readers = await stack.enter_async_context(archive.reading(path))
        store = Store(directory, readers, tail, clock)
        store._writer = await stack.enter_async_context(
            writing(connection, lambda: store._seq, tail.advance, metrics or Metrics())
        )
        yield store
        with suppress(StoreError):  # a full disk must not keep the daemon from stopping
            await store._write(_optimize)


def _optimize(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA optimize")
