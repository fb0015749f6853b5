"""The book of a device's memory: which models may lie on it together, and who leaves for whom.
Knows no model library, and measures nothing: it is told.

The models of a device compute one after the other (`models.turnstile`). So what they keep adds up,
while of what they need for a moment the largest is enough: a set of models fits when

    sum(load + kept) + max(peak) <= budget
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from botdaemon.errors import ModelUnusable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

State = Literal["out", "coming", "in", "going"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """Memory that a model takes on its device, bytes."""

    #: resident once it is loaded
    load: int
    #: most on top of that, for a moment, while it is loaded or computes
    peak: int
    #: measured, rather than estimated from its files
    measured: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What a configured model asks of a device."""

    name: str
    footprint: Footprint
    #: "auto", "cuda", "cuda:0", "mps" or "cpu"
    device: str = "auto"
    #: bytes that it may keep from one step to the next besides, such as a text model's
    #: conversations; reserved as long as it is loaded
    kept: int = 0
    pinned: bool = False
    load_at_start: bool = True
    #: time without a request after which it leaves; 0: only when others need the memory
    idle_seconds: float = 0.0
    #: bytes of RAM that are reserved for it, for when it is off its card; 0: it is loaded again
    offload: int = 0
    #: it always lies there, and only the part that works is on the card
    part_by_part: bool = False

    @property
    def resident(self) -> int:
        """Bytes, as long as it is loaded."""
        return self.footprint.load + self.kept


def required(needs: Iterable[Need]) -> int:
    """Bytes that these take when all of them are loaded."""
    needs = tuple(needs)
    peak = max((need.footprint.peak for need in needs), default=0)
    return sum(need.resident for need in needs) + peak


def obstacle(need: Need, pinned: Iterable[Need], device: str, budget: int) -> str:
    """Why the model can never be loaded there beside the pinned ones, as a sentence with the
    arithmetic; empty when it can."""
    others = [other for other in pinned if other.name != need.name]
    if required([need, *others]) <= budget:
        return ""
    words = f'model "{need.name}" needs {size(need.footprint.load)}'
    words += f" + {size(need.kept)} kept" if need.kept else ""
    words += f" + {size(need.footprint.peak)} while it works"
    words += "" if need.footprint.measured else " (estimated)"
    words += f", but {device} has {size(budget)} for models"
    if others:
        names = ", ".join(f'"{other.name}"' for other in others)
        keep = sum(other.resident for other in others)
        peak = max(other.footprint.peak for other in others)
        words += f", of which the pinned {names} take {size(keep)} + {size(peak)}"
    return f'{words}; take a smaller model, or give models more of it in [devices."{device}"]'


def size(count: int) -> str:
    """An amount of memory in words."""
    if count < 2**20:
        return f"{count / 2**10:.0f} KiB" if count >= 2**10 else f"{count} bytes"
    return f"{count / 2**20:.0f} MiB" if count < 2**30 else f"{count / 2**30:.1f} GiB"


@dataclass(slots=True)
class _Entry:
    need: Need
    state: State = "out"
    #: leases that were not given back
    leases: int = 0
    #: when it was last in use, by the clock
    used: float = 0.0


class Ledger:
    """What lies on one device now, and who is next. Not locked: its user holds one lock.

    Whoever wants to use a model takes a lease:

        while (leave := ledger.admit(name)) is None:
            wait until something in the book has changed
        for other in leave: unload it, or let it rest in RAM; ledger.left(other)
        if ledger.state(name) == "coming": load it; ledger.entered(name)   # or left(name)
        use it, taking new requests until ledger.called(name)
        ledger.end(name)

    Who waits is served in the order of asking. Models that the first of them needs to leave are
    *called*: they get no new lease, so they will be idle in the end.
    """

    def __init__(
        self,
        needs: Iterable[Need],
        *,
        device: str,
        budget: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`budget`: bytes of the device that all of these may take together."""
        self._entries = {need.name: _Entry(need) for need in needs}
        self._device = device
        self._budget = budget
        self._clock = clock
        #: models that are waited for, the longest first
        self._line: list[str] = []
        #: models that make way for the first of the line
        self._called: set[str] = set()

    # --- asking ------------------------------------------------------------------------------

    @property
    def waiting(self) -> tuple[str, ...]:
        """Models that wait to get onto the device, the longest first."""
        return tuple(self._line)

    def state(self, name: str) -> State:
        return self._entries[name].state

    def need(self, name: str) -> Need:
        """With its footprint as it is known now."""
        return self._entries[name].need

    def called(self, name: str) -> bool:
        """Whether it should take no new requests, because another model waits for its place."""
        return name in self._called

    @property
    def taken(self) -> int:
        """Bytes that are spoken for, when those that are going are gone."""
        return required(self._there())

    # --- leases ------------------------------------------------------------------------------

    def admit(self, name: str) -> tuple[str, ...] | None:
        """Take a lease on the model. Returns those that must leave before it is loaded, or None
        when it has to wait. Raises `ModelUnusable` when it can never fit."""
        entry = self._entries[name]
        if entry.state == "in" and name not in self._called:
            return self._lease(name)
        why = obstacle(entry.need, self._pinned(), self._device, self._budget)
        if entry.state == "out" and why:
            self.withdraw(name)
            raise ModelUnusable(why)
        if name not in self._line and entry.state != "coming":
            self._line.append(name)
        # One change at a time: what leaves is gone before anybody counts on its place.
        if entry.state != "out" or self._line[0] != name or self._changing():
            return None
        leave = self._choose(self._idle(), entry.need)
        if leave is None:
            names = [other.need.name for other in self._movable()]
            # Who was called once stays called: it takes no new requests, and is idle soon.
            names.sort(key=lambda other: (other not in self._called, *self._order(other)))
            self._called |= {*(self._choose(names, entry.need) or ())}
            return None
        entry.state = "coming"
        for other in leave:
            self._entries[other].state = "going"
        self._lease(name)
        return leave

    def end(self, name: str) -> None:
        """Give a lease back."""
        entry = self._entries[name]
        entry.leases -= 1
        entry.used = self._clock()

    def withdraw(self, name: str) -> None:
        """Nobody waits for the model any more."""
        if name in self._line:
            if self._line[0] == name:
                self._called.clear()
            self._line.remove(name)

    # --- what happened -----------------------------------------------------------------------

    def entered(self, name: str) -> None:
        """It is loaded."""
        self._entries[name].state = "in"

    def left(self, name: str) -> None:
        """It is off the device, or could not be loaded; its leases are void."""
        entry = self._entries[name]
        entry.state, entry.leases = "out", 0
        self._called.discard(name)

    def retire(self) -> tuple[str, ...]:
        """Those that should leave though nobody asks for their place: unused for longer than they
        may be, or, when a footprint turned out larger, the least recently used."""
        if self._changing():
            return ()
        idle = self._idle()
        now = self._clock()
        late = [name for name in idle if self._is_late(name, now)]
        rest = [name for name in idle if name not in late]
        leave = (*late, *(self._choose(rest, without=late) or ()))
        for name in leave:
            self._entries[name].state = "going"
        return leave

    def dismiss(self, name: str) -> bool:
        """Let an idle model leave, pinned or not, though nobody asks for its place; False when it
        is not there."""
        entry = self._entries[name]
        if entry.state != "in":
            return False
        entry.state = "going"
        return True

    # --- footprints --------------------------------------------------------------------------

    def measured(self, name: str, *, load: int, peak: int) -> Footprint:
        """What it took, bytes. The peak remembered is the highest ever measured."""
        known = self.need(name).footprint
        peak = max(peak, known.peak) if known.measured else peak
        return self._correct(name, Footprint(load=load, peak=peak, measured=True))

    def exceeded(self, name: str) -> Footprint:
        """It ran out of memory, so its peak is higher than was thought: higher by half at least,
        and more than all the room there was. Others then `retire` to make that room."""
        need = self.need(name)
        beside = sum(other.resident for other in self._pinned() if other.name != name)
        most = self._budget - beside - need.resident
        room = self._budget - sum(other.resident for other in self._there())
        peak = max(need.footprint.peak, min(most, max(need.footprint.peak * 3 // 2, room + 1)))
        return self._correct(name, replace(need.footprint, peak=peak, measured=True))

    def _correct(self, name: str, footprint: Footprint) -> Footprint:
        entry = self._entries[name]
        entry.need = replace(entry.need, footprint=footprint)
        return footprint

    # -----------------------------------------------------------------------------------------

    def _lease(self, name: str) -> tuple[str, ...]:
        entry = self._entries[name]
        self.withdraw(name)
        entry.leases += 1
        entry.used = self._clock()
        return ()

    def _there(self) -> list[Need]:
        """All that memory is taken by, or promised to. Who is going is gone before who is coming
        comes."""
        entries = self._entries.values()
        return [entry.need for entry in entries if entry.state in ("in", "coming")]

    def _pinned(self) -> list[Need]:
        return [entry.need for entry in self._entries.values() if entry.need.pinned]

    def _changing(self) -> bool:
        return any(entry.state in ("coming", "going") for entry in self._entries.values())

    def _movable(self) -> list[_Entry]:
        entries = self._entries.values()
        return [entry for entry in entries if entry.state == "in" and not entry.need.pinned]

    def _order(self, name: str) -> tuple[bool, float]:
        """Who leaves first: who is idle, then who was used least recently."""
        entry = self._entries[name]
        return (entry.leases > 0, entry.used)

    def _idle(self) -> list[str]:
        """Who could leave now, the least recently used first."""
        names = [entry.need.name for entry in self._movable() if not entry.leases]
        return sorted(names, key=self._order)

    def _is_late(self, name: str, now: float) -> bool:
        entry = self._entries[name]
        return 0 < entry.need.idle_seconds <= now - entry.used

    def _choose(
        self,
        candidates: Iterable[str],
        newcomer: Need | None = None,
        *,
        without: Sequence[str] = (),
    ) -> tuple[str, ...] | None:
        """The first of the candidates that must leave so that the rest fits, with the newcomer;
        None when not even all of them are enough."""
        stay = [need for need in self._there() if need.name not in without]
        if newcomer:
            stay.append(newcomer)
        leave: list[Need] = []
        for name in candidates:
            if required(stay) <= self._budget:
                break
            need = self.need(name)
            stay.remove(need)
            leave.append(need)
        if required(stay) > self._budget:
            return None
        # A large one may have made room enough, so that smaller ones before it can stay.
        for need in reversed(leave[:-1]):
            if required([*stay, need]) <= self._budget:
                stay.append(need)
                leave.remove(need)
        return tuple(need.name for need in leave)
