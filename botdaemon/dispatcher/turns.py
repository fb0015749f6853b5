"""One actor per thread: turns of a thread in order, threads side by side. Steps 4 to 7 of the road.

Knows bots by their `reply` alone, and platforms only as addresses.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import aclosing, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from botdaemon import logs
from botdaemon.dispatcher.letters import home_of
from botdaemon.dispatcher.line import Line
from botdaemon.dispatcher.lull import Lull
from botdaemon.dispatcher.meters import Meter, Rates
from botdaemon.errors import BotdaemonError, EngineDied, StoreError
from botdaemon.ports import Painter
from botdaemon.types import Draft, Obligation, Turn

if TYPE_CHECKING:
    from botdaemon.dispatcher.ears import Ears
    from botdaemon.dispatcher.hearing import Hearing
    from botdaemon.dispatcher.mouth import Mouth
    from botdaemon.dispatcher.speaking import Speaking
    from botdaemon.metrics import Metrics
    from botdaemon.ports import Bot
    from botdaemon.store import Store

log = logging.getLogger(__name__)

Show = Callable[[Draft], None]

#: the line of the bots that write; a text model continues many conversations at once, an image
#: model draws one request at a time
TEXT = "text"

#: a turn under which so many model processes died is given up
MOST_DEATHS = 3
#: seconds between two attempts to write when the disk is full
STORE_PAUSE = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What turns may take. Times are in seconds."""

    #: turns that wait, of everybody and of one person
    queue: int = 200
    queue_per_person: int = 5
    #: turns that write side by side; the lines of image models have one slot each
    turns_at_once: int = 16
    #: messages of one person that come within this time of each other become one turn
    merge: float = 0.6
    #: so much longer is waited for the rest of a text that its platform has cut
    rest: float = 1.4
    #: longest time for one answer
    turn: float = 300.0
    #: answers that may be asked for within a minute
    per_person: int = 20
    per_channel: int = 40
    per_server: int = 120
    #: answers that other bots get in one channel within an hour
    to_bots: int = 12


@dataclass(slots=True, eq=False)
class _Actor:
    """A thread's turns: `current`, under way in `task`, is one of `todo`."""

    todo: list[Obligation]
    current: int = 0
    task: asyncio.Task[None] | None = None
    #: turns that somebody stopped; what comes after is not meant
    stopped: set[int] = field(default_factory=set)
    #: people in the order in which their last turns began
    served: list[int] = field(default_factory=list)

    def begin_next(self) -> Obligation:
        """The turn of whoever was served longest ago here; one person's turns as they came."""

        def last(turn: Obligation) -> int:
            return self.served.index(turn.asked_by) if turn.asked_by in self.served else -1

        turn = min(self.todo, key=last)
        if turn.asked_by in self.served:
            self.served.remove(turn.asked_by)
        self.served.append(turn.asked_by)
        self.current = turn.turn
        return turn


@dataclass(frozen=True, slots=True)
class Waiting:
    """A turn that was accepted and is not answered yet."""

    obligation: Obligation
    thinks: bool
    #: until it begins, as far as that can be told; 0 while nobody knows
    seconds: float = 0.0


@dataclass(slots=True)
class _Course:
    """How a turn went, for its one line in the log."""

    obligation: Obligation
    accepted: float = field(default_factory=time.monotonic)
    began: float = 0.0
    outcome: str = "left"
    #: the answer is spoken
    aloud: bool = False
    draft: Draft = field(default_factory=lambda: Draft(text=""))


class Turns:
    """Runs turns, by the rules that `live_by` gives. `tasks` owns the actors; cancelling them
    leaves their turns to the next start."""

    def __init__(
        self, store: Store, limits: Limits, tasks: asyncio.TaskGroup, metrics: Metrics
    ) -> None:
        self._store = store
        self._tasks = tasks
        self._metrics = metrics
        self._lines: dict[str, Line] = {}
        self._limit(limits)
        self._actors: dict[int, _Actor] = {}
        self._asked: Counter[int] = Counter()  # open turns by the identity that asked
        self._joined_at: dict[int, float] = {}  # turn -> when a message last joined it
        self._closed = False
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._thinking: set[int] = set()
        self.lull = Lull()

    def live_by(
        self,
        bots: Mapping[str, Bot],
        lines: Mapping[str, str],
        history: Mapping[str, int],
        mouth: Mouth,
        ears: Ears,
        hearing: Hearing,
        speaking: Speaking,
        limits: Limits,
    ) -> None:
        """Other rules from now on; whoever waits keeps the place in line."""
        self._bots = bots
        self._line_names = lines
        self._history = history
        self._mouth = mouth
        self._ears = ears
        self._hearing = hearing
        self._speaking = speaking
        if limits != self._limits:
            self._limit(limits)
        for name in lines.values():
            slots = limits.turns_at_once if name == TEXT else 1
            self._lines.setdefault(name, Line(slots)).resize(slots)

    def _limit(self, limits: Limits) -> None:
        """What was counted by other limits is forgotten."""
        self._limits = limits
        self._rates = Rates(limits.per_person, limits.per_channel, limits.per_server)
        self._bots_met = Meter(limits.to_bots, 3600.0)

    @property
    def running(self) -> int:
        """Turns that think at this moment."""
        return len(self._thinking)

    @property
    def waiting(self) -> int:
        """Turns that have been accepted and do not think yet."""
        return self._asked.total() - self.running

    def queue(self) -> list[Waiting]:
        """Those that think, then those that wait: line by line, in the order in which they will be
        called as things stand; last those behind others of their own thread."""
        todo = {turn.turn: turn for actor in self._actors.values() for turn in actor.todo}
        found = [Waiting(turn, True) for turn in todo.values() if turn.turn in self._thinking]
        for line in self._lines.values():
            found += [
                Waiting(todo[turn], False, line.seconds(place))
                for place, turn in enumerate(line.waiting(), 1)
            ]
        listed = {one.obligation.turn for one in found}
        return found + [Waiting(turn, False) for turn in todo.values() if turn.turn not in listed]

    # --- taking turns on ---------------------------------------------------------------------

    async def accept(
        self,
        obligation: Obligation,
        *,
        server: str = "",
        of_a_bot: bool = False,
        goes_on: bool = False,
    ) -> None:
        """Take a turn on, or say why not; another bot is not told, it might answer. A message that
        `goes_on` is as long as its platform allows: the rest probably follows."""
        if obligation.joined:
            if obligation.turn in self._joined_at:
                self._joined(obligation, goes_on)
            return
        words, about = self._refusal(obligation), ""
        if not words and of_a_bot and not self._to_bots(obligation):
            words = "more than answers_to_bots_per_hour allows"
        if not words:
            words, about = self._too_fast(obligation, server)
        if not words:
            self.take(obligation)
            self._joined(obligation, goes_on)
        else:
            self._metrics.turns.labels(obligation.bot, "refused").inc()
        if words and of_a_bot:
            await self._mouth.end(obligation, "refused", words)
        elif words:
            await self._mouth.apologise(obligation, words, close="refused", about=about)

    def _joined(self, obligation: Obligation, goes_on: bool) -> None:
        self._joined_at[obligation.turn] = time.monotonic() + (
            self._limits.rest if goes_on else 0.0
        )

    def take(self, obligation: Obligation) -> None:
        """Take a turn on, whatever the queue holds (it was accepted before a restart)."""
        if self._closed:  # it is on disk, and taken up at the next start
            return
        self._asked[obligation.asked_by] += 1
        self._joined_at[obligation.turn] = time.monotonic()
        actor = self._actors.get(obligation.thread)
        if actor is not None:
            actor.todo.append(obligation)
            return
        self._actors[obligation.thread] = actor = _Actor([obligation])
        self.lull.end()
        self._tasks.create_task(
            self._act(obligation.thread, actor), name=f"thread {obligation.thread}"
        )

    def _refusal(self, obligation: Obligation) -> str:
        if self.waiting >= self._limits.queue:
            return (
                f"I cannot take that on now: {self.waiting} others wait for an answer. "
                "Please say it again in a while."
            )
        most = self._limits.queue_per_person
        if obligation.asked_by and self._asked[obligation.asked_by] >= most:
            return f"You already wait for {most} answers. Please let me finish those first."
        return ""

    def _too_fast(self, obligation: Obligation, server: str) -> tuple[str, str]:
        where = obligation.reply_to[0] if obligation.reply_to else None
        return self._rates.refusal(
            obligation.asked_by,
            where and (where.adapter, where.channel),
            where and server and (where.adapter, server),
        )

    def _to_bots(self, obligation: Obligation) -> bool:
        """Whether another bot may be answered there now."""
        where = obligation.reply_to and obligation.reply_to[0]
        key = where and (where.adapter, where.channel)
        if not self._bots_met.has_room(key):
            return False
        self._bots_met.count(key)
        return True

    async def stop(self, thread: int, turn: int = 0) -> int:
        """Stop a thread's turns, the one under way and those that wait, or just one of them;
        returns how many."""
        actor = self._actors.get(thread)
        if actor is None:
            return 0
        stopped = {one.turn for one in actor.todo if turn in (0, one.turn)}
        # What is said from now on must not join a turn that is stopped.
        await self._store.seal_turns(stopped)
        actor.stopped |= stopped
        if actor.task is not None and actor.current in stopped:
            actor.task.cancel()
        return len(stopped)

    async def drain(self) -> None:
        """Begin no more turns, and wait for those that think."""
        self._closed = True
        await self._quiet.wait()

    # --- the actor ---------------------------------------------------------------------------

    async def _act(self, thread: int, actor: _Actor) -> None:
        while actor.todo and not self._closed:
            obligation = actor.begin_next()
            with logs.context(thread=thread, bot=obligation.bot):
                await self._run(actor, obligation)
            actor.todo.remove(obligation)
            actor.stopped.discard(obligation.turn)
            self._joined_at.pop(obligation.turn, None)
            self._asked[obligation.asked_by] -= 1
            if not self._asked[obligation.asked_by]:
                del self._asked[obligation.asked_by]
        del self._actors[thread]
        if not self._actors:
            self.lull.begin()

    async def _run(self, actor: _Actor, obligation: Obligation) -> None:
        """One turn from acceptance to its end on disk; tried again while the disk is full."""
        course = _Course(obligation)
        while True:
            try:
                if obligation.turn not in actor.stopped:
                    # A task of its own, so that stopping the turn does not end the actor.
                    actor.task = asyncio.create_task(self._course(course))
                    try:
                        await actor.task
                    except asyncio.CancelledError:
                        if obligation.turn not in actor.stopped:
                            actor.task.cancel()
                            raise
                    finally:
                        actor.task = None
                if obligation.turn in actor.stopped and course.outcome != "answered":
                    course.outcome = "stopped"
                    await self._mouth.answer(obligation, self._said_so_far(course), close="stopped")
                break
            except StoreError as error:
                # Nothing is lost: the turn is on disk, and there may be space again soon.
                log.error("turn %d waits: %s", obligation.turn, error)
                await asyncio.sleep(STORE_PAUSE)
        self._tell(course)

    def _said_so_far(self, course: _Course) -> Draft:
        """What stays of an answer that was stopped: of a text its beginning, of pictures those that
        were finished. How far the next one had come is nothing to keep."""
        draft = course.draft
        if draft.final or not isinstance(self._bots.get(course.obligation.bot), Painter):
            return draft
        return replace(draft, text="")

    async def _course(self, course: _Course) -> None:
        obligation = course.obligation
        name = self._line_names.get(obligation.bot, "")
        line = self._lines.get(name)
        async with self._mouth.live(obligation) as show:

            def moved(place: int) -> None:
                show(Draft(text=_waits(name, place, line.seconds(place) if line else 0.0)))

            # 1. A burst of messages becomes one turn: wait until it has been quiet for a moment.
            await self._quiet_moment(obligation.turn)
            # 2. Wait in line, and say so. A bot that needs no model waits for nobody.
            async with (
                line.slot(obligation.turn, obligation.asked_by, moved) if line else nullcontext()
            ):
                if self._closed:
                    return
                self._thinking.add(obligation.turn)
                self._quiet.clear()
                course.began = time.monotonic()
                try:
                    await self._think(course, show)
                finally:
                    if line and course.outcome == "answered":
                        line.took(time.monotonic() - course.began)
                    self._thinking.discard(obligation.turn)
                    if not self._thinking:
                        self._quiet.set()

    async def _quiet_moment(self, turn: int) -> None:
        now = time.monotonic()
        while (end := self._joined_at[turn] + self._limits.merge) > now:
            await asyncio.sleep(end - now)
            now = time.monotonic()

    async def _think(self, course: _Course, show: Show) -> None:
        obligation = course.obligation
        # 3. Begin: from here on, further messages are another turn's.
        turn = await self._store.claim_turn(obligation.turn, self._history.get(obligation.bot, 0))
        if turn is None:
            course.outcome = "gone"
            return
        course.aloud = self._speaking.wanted(turn)
        understood = await self._heard(turn)
        if not isinstance(understood, str):
            understood = await self._ears.understand(understood, home_of(obligation))
        if isinstance(understood, str):
            course.outcome = "refused"
            await self._mouth.apologise(obligation, understood, close=course.outcome)
            return
        turn = understood
        # 4. Think; a model process that dies under the turn costs it a retry.
        course.outcome, error, apology = "failed", "", ""
        while True:
            course.draft = Draft(text="")
            try:
                await self._reply(turn, course, show)
            except EngineDied as died:
                if await self._may_go_on(turn, died):
                    continue
                course.outcome, error = "dead", str(died)
                apology = (
                    "I am sorry, my model failed at this message several times. I have to leave it."
                )
            except TimeoutError:
                error = f"no answer within {self._limits.turn:.0f} s"
                apology = f"I found {error}. /retry asks again."
            except StoreError:
                raise
            except BotdaemonError as failed:
                log.warning("turn %d failed: %s", turn.id, failed, extra={"event": "turn_failed"})
                error = str(failed)
                apology = "I could not answer that; the operator's log says why. /retry asks again."
            except Exception as bug:
                log.exception("turn %d failed", turn.id, extra={"event": "turn_failed"})
                error = repr(bug)
                apology = "I could not answer that; the operator's log says why. /retry asks again."
            break
        # 5. On disk, with its letters: from here on it cannot be lost or said twice.
        if apology and turn.cue is not None:  # nobody waits for it
            await self._mouth.end(obligation, course.outcome, error)
        elif apology:
            await self._mouth.apologise(obligation, apology, close=course.outcome, error=error)
        else:
            course.outcome = await self._mouth.answer(
                obligation, course.draft, close="answered", aloud=course.aloud
            )

    async def _heard(self, turn: Turn) -> Turn | str:
        """The turn with what is said in its recordings, or what to tell the person."""
        try:
            async with asyncio.timeout(self._limits.turn):
                return await self._hearing.hear(turn, self._may_go_on)
        except TimeoutError:
            return f"I have not heard that recording within {self._limits.turn:.0f} s."

    async def _may_go_on(self, turn: Turn, died: EngineDied) -> bool:
        """Whether a turn is worth another process, now that one more died under it."""
        log.warning("turn %d: %s", turn.id, died, extra={"event": "engine_died"})
        return await self._store.turn_died(turn.id) < MOST_DEATHS

    async def _reply(self, turn: Turn, course: _Course, show: Show) -> None:
        if turn.cue is not None and turn.cue.say:  # what is to be said is known
            course.draft = Draft(text=turn.cue.say, final=True, controls=())
            return
        bot = self._bots.get(turn.bot)
        if bot is None:
            raise BotdaemonError(f'there is no bot "{turn.bot}" any more')
        async with asyncio.timeout(self._limits.turn), aclosing(bot.reply(turn)) as drafts:
            async for draft in drafts:
                course.draft = draft
                if draft.final:
                    return
                if course.aloud and self._speaking.only(turn.bot):
                    continue
                begun = self._mouth.begun(turn.bot, draft, grows=not isinstance(bot, Painter))
                if begun.text or begun.preview:
                    show(begun)

    def _tell(self, course: _Course) -> None:
        """The one canonical line of a turn, and its figures."""
        now = time.monotonic()
        began = course.began or now
        usage = course.draft.usage
        queued, total = began - course.accepted, now - course.accepted
        self._metrics.turn_ended(
            course.obligation.bot,
            course.outcome,
            queued=queued,
            first_token=queued + usage.first_token if usage.first_token else 0.0,
            total=total,
            prompt_tokens=usage.prompt_tokens,
            tokens=usage.tokens,
            pictures=len(course.draft.files),
        )
        log.info(
            "turn",
            extra={
                "event": "turn",
                "turn": course.obligation.turn,
                "queue_ms": round(1000 * queued),
                "prompt_tokens": usage.prompt_tokens,
                "persona_tokens": usage.spent.persona,
                "examples_tokens": usage.spent.examples,
                "notes_tokens": usage.spent.notes,
                "history_tokens": usage.spent.history,
                "first_token_ms": round(1000 * usage.first_token),
                "tokens": usage.tokens,
                "total_ms": round(1000 * total),
                "outcome": course.outcome,
            },
        )


def _waits(line: str, place: int, seconds: float) -> str:
    """What a place in line is called; so many others end before this one begins."""
    what = "answer" if line == TEXT else "picture"
    others = f"1 other {what}" if place == 1 else f"{place} other {what}s"
    estimate = f", about {seconds:.0f} s" if seconds >= 1 else ""
    return f"*waiting for {others}{estimate}…*"
