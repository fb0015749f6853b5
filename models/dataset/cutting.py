"""Cuts conversations into sessions: by silence, by thread, and along the branches of a tree. Knows
no names, no privacy and no files."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from models.dataset.sessions import Session, Turn

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

BURST = 3 * 60
"""Seconds between two messages of one person that are still one turn."""
SILENCE_DIRECT, SILENCE_GROUP, SILENCE_THREAD = 60 * 60, 20 * 60, 24 * 60 * 60
"""Seconds without a word after which a session is over: between two people, among several, and in a
thread, which people come back to."""
REJOINED = 24 * 60 * 60
"""Seconds of silence that a reply into the session still bridges."""
MOST_TURNS, MOST_CHARACTERS = 200, 32_000
"""Of a session. What goes on longer is cut, and goes on in another."""
MOST_IN_TURN = 4_000
"""Characters of a turn that further messages are joined to."""
CARRIED = 8
"""Turns that a session begins with when it goes on after such a cut. They are not learned again."""
_REMEMBERED = 10_000
"""Messages of a conversation that a later one may reply to or open a thread under."""
_SWEEP = 1_000
"""Messages after which it is looked which threads are over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A message as it goes into a session."""

    id: str
    at: float
    name: str
    text: str
    voice: bool
    reply_to: str = ""
    thread: str = ""

    def turn(self) -> Turn:
        return Turn(name=self.name, text=self.text, at=self.at, voice=self.voice)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A session, and what of it is its own: the turns before are shown and not learned."""

    session: Session
    #: how many turns come before its own part
    opening: int
    #: how many messages it shows that no cut before it did
    messages: int

    @property
    def first(self) -> float:
        """When its own part begins, seconds since the epoch."""
        return self.session.turns[self.opening].at

    @property
    def last(self) -> float:
        return self.session.turns[-1].at


@dataclass(slots=True)
class _Open:
    """A session that may go on."""

    id: str
    turns: list[Turn] = field(default_factory=list)
    opening: int = 0
    ids: set[str] = field(default_factory=set)
    last: float = 0.0
    characters: int = 0

    @property
    def full(self) -> bool:
        return len(self.turns) >= MOST_TURNS or self.characters >= MOST_CHARACTERS

    def hear(self, heard: Heard) -> None:
        previous = self.turns[-1] if len(self.turns) > self.opening else None
        if (
            previous is not None
            and (previous.name, previous.voice) == (heard.name, heard.voice)
            and heard.at - self.last <= BURST
            and len(previous.text) + len(heard.text) < MOST_IN_TURN
        ):
            self.turns[-1] = replace(previous, text=f"{previous.text}\n{heard.text}")
        else:
            self.turns.append(heard.turn())
        self.ids.add(heard.id)
        self.last = heard.at
        self.characters += len(heard.text)

    def cut(self, direct: bool) -> Cut:
        session = Session(id=self.id, turns=tuple(self.turns), direct=direct)
        return Cut(session=session, opening=self.opening, messages=len(self.ids))


def by_silence(messages: Iterable[Heard], *, direct: bool, prefix: str) -> Iterator[Cut]:
    """Sessions of a conversation whose messages come in the order of time.

    A thread is a session beside the others and begins with the message it hangs on. A reply bridges
    the silence when it answers the session, and opens a new one with the message it answers when
    that is older. `prefix` goes before the first message's id.
    """
    open_sessions: dict[str, _Open] = {}
    remembered: OrderedDict[str, Heard] = OrderedDict()
    for number, heard in enumerate(messages, 1):
        # The message that a thread hangs on belongs to what goes on around it.
        thread = "" if heard.thread == heard.id else heard.thread
        silence = SILENCE_THREAD if thread else SILENCE_DIRECT if direct else SILENCE_GROUP
        session = open_sessions.get(thread)
        before: Sequence[Turn] = ()
        if session is not None:
            goes_on = _goes_on(session, heard, silence)
            if goes_on and not session.full:
                session.hear(heard)
            else:
                yield session.cut(direct)
                before = session.turns[-CARRIED:] if goes_on else ()
                session = None
        if session is None:
            if not before and (answered := remembered.get(thread or heard.reply_to)):
                before = [answered.turn()]
            opening = [replace(turn, voice=False) for turn in before]
            session = _Open(prefix + heard.id, opening, len(opening))
            session.hear(heard)
            open_sessions[thread] = session
        remembered[heard.id] = heard
        if len(remembered) > _REMEMBERED:
            remembered.popitem(last=False)
        if number % _SWEEP == 0:
            over = [k for k, s in open_sessions.items() if heard.at - s.last > REJOINED]
            for key in over:
                yield open_sessions.pop(key).cut(direct)
    for session in open_sessions.values():
        yield session.cut(direct)


def _goes_on(session: _Open, heard: Heard, silence: float) -> bool:
    passed = heard.at - session.last
    return passed <= silence or (passed <= REJOINED and heard.reply_to in session.ids)


def by_branches(messages: Iterable[Heard], *, prefix: str) -> Iterator[Cut]:
    """Sessions of a conversation that is a tree of replies: the paths from its root to the last
    words of a voice on each branch. What paths have in common is learned in the first of them.

    Holds the whole tree in memory.
    """
    nodes: dict[str, Heard] = {}
    parents: dict[str, str] = {}
    for heard in messages:
        if heard.reply_to in nodes:  # or its parent is not there
            parents[heard.id] = heard.reply_to
        nodes[heard.id] = heard
    voiced_below: set[str] = set()
    for id in reversed(nodes):  # children come after their parents
        if id in parents and (nodes[id].voice or id in voiced_below):
            voiced_below.add(parents[id])
    learned: set[str] = set()
    for id, heard in nodes.items():
        if not heard.voice or id in voiced_below:
            continue
        path = [heard]
        while path[-1].id in parents:
            path.append(nodes[parents[path[-1].id]])
        path.reverse()
        for begin in range(0, len(path), MOST_TURNS - CARRIED):
            part = path[max(0, begin - CARRIED) : begin + MOST_TURNS - CARRIED]
            fresh = [h.voice and h.id not in learned for h in part]
            if not any(fresh):
                continue
            new = sum(h.id not in learned for h in part)
            learned.update(h.id for h in part)
            turns = tuple(replace(h.turn(), voice=f) for h, f in zip(part, fresh, strict=True))
            session = Session(id=prefix + part[-1].id, turns=turns)
            yield Cut(session=session, opening=fresh.index(True), messages=new)
