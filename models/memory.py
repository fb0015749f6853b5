"""Brings models to the device and sends them away, as the ledger says, and tells it what they
really take. Lives in the model process; knows no model and no library.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from botdaemon.errors import ModelUnusable
from models.measure import out_of_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from models.engines import LoadedModel
    from models.ledger import Ledger, Need
    from models.measure import Gauge
    from models.turnstile import Turnstile

log = logging.getLogger(__name__)

#: seconds between two looks for models that nobody has used for long
LOOK = 5.0


class Guest(Protocol):
    """A model as `Memory` sees it; called by one thread at a time, in its turn at the turnstile."""

    @property
    def name(self) -> str: ...

    def prepare(self) -> None:
        """Import what it needs, so that this is not taken for the model's own memory."""

    def load(self) -> None:
        """Bring it to the device, from disk or from where it rests."""

    def rest(self) -> None:
        """Off the device, into RAM."""

    def drop(self) -> None:
        """Forget it."""

    @property
    def bytes(self) -> int:
        """What its weights take."""

    @property
    def in_torch(self) -> bool:
        """It allocates through torch."""

    @property
    def resting(self) -> bool: ...


class Memory:
    """The device's memory, shared by the threads of its models."""

    def __init__(
        self,
        ledger: Ledger,
        gauge: Gauge,
        turnstile: Turnstile,
        tell: Callable[[dict[str, Any]], None],
    ) -> None:
        self._ledger = ledger
        self._gauge = gauge
        self._turnstile = turnstile
        self._tell = tell
        self._guests: dict[str, Guest] = {}
        self._changed = threading.Condition()
        #: how often a model has come or gone: what was measured across that means nothing
        self._moves = 0

    def add(self, guest: Guest) -> None:
        self._guests[guest.name] = guest

    def watch(self) -> None:
        """From now on, send away what nobody has used for longer than it may stay."""
        waits = [self._need(name).idle_seconds for name in self._guests]
        shortest = min((wait for wait in waits if wait), default=0.0)
        if not shortest:
            return

        def look() -> None:
            while True:
                time.sleep(min(LOOK, shortest / 2))
                self._retire()

        threading.Thread(target=look, name="watch", daemon=True).start()

    @contextmanager
    def hold(self, name: str) -> Iterator[None]:
        """The model is on the device for as long as the context lasts; waits for that in line.
        Raises `ModelUnusable` when it cannot be loaded or never fits."""
        self._acquire(name)
        try:
            with self._measuring(name):
                yield
        finally:
            with self._changed:
                self._ledger.end(name)
                self._changed.notify_all()
            self._retire()

    def wanted(self, name: str) -> bool:
        """Whether another model waits for this one's place: it should take no new requests."""
        with self._changed:
            return self._ledger.called(name)

    def dismiss(self, name: str) -> None:
        """Forget a model that nobody holds, on the device and in RAM: what is loaded next is
        another version of it."""
        with self._changed:
            # Another may be sending it away at this moment.
            self._changed.wait_for(lambda: self._ledger.state(name) in ("in", "out"))
            there = self._ledger.dismiss(name)
        with self._turnstile.turn(name):
            self._guests[name].drop()
            self._gauge.give_back()
        if there:
            with self._changed:
                self._moves += 1
                self._ledger.left(name)
                self._changed.notify_all()
        self._say_states()

    def relieved(self, name: str, model: LoadedModel) -> bool:
        """After the model ran out of memory in its turn: make it need less, or send away who is
        idle. False when nothing more can be done."""
        log.warning('model "%s" ran out of memory', name)
        self._exceeded(name)
        if model.relieve():
            self._gauge.give_back()
            return True
        with self._changed:
            leave = self._ledger.retire()
        self._send_away(leave)
        return bool(leave)

    @staticmethod
    def lost() -> None:
        """The process cannot go on; the daemon starts another."""
        sys.stderr.flush()
        os._exit(1)

    # --- coming ----------------------------------------------------------------------------------

    def _acquire(self, name: str) -> None:
        """Take a lease and see that the model is there. Tried twice: a load that ran out of memory
        says that more must leave than was thought."""
        for last in (False, True):
            with self._changed:
                while (leave := self._ledger.admit(name)) is None:
                    self._changed.wait()
                coming = self._ledger.state(name) == "coming"
            if not coming:
                return
            try:
                self._bring(name, leave)
                return
            except Exception as error:
                self._guests[name].drop()
                with self._changed:
                    self._ledger.left(name)
                    self._changed.notify_all()
                self._say_states()
                if not out_of_memory(error):
                    raise
                self._gauge.give_back()
                self._exceeded(name)
                if last:
                    raise ModelUnusable(
                        f'model "{name}" does not fit: the device ran out of memory while it was'
                        " loaded, twice; take a smaller model or number format (dtype)"
                    ) from error

    def _bring(self, name: str, leave: tuple[str, ...]) -> None:
        guest = self._guests[name]
        self._say_states()
        with self._turnstile.turn(name):
            self._send_away(leave)
            guest.prepare()
            before = self._gauge.used()
            self._gauge.restart()
            guest.load()
            after = self._gauge.used()
            peak = self._gauge.peak()
        with self._changed:
            self._moves += 1
            self._ledger.entered(name)
            self._changed.notify_all()
        exact = self._gauge.exact and guest.in_torch
        load = after - before if exact else guest.bytes
        self._measured(name, load=max(0, load), peak=max(0, peak - after))
        self._say_states()

    # --- going -----------------------------------------------------------------------------------

    def _retire(self) -> None:
        with self._changed:
            leave = self._ledger.retire()
        if leave:
            with self._turnstile.turn("leaving"):
                self._send_away(leave)

    def _send_away(self, leave: tuple[str, ...]) -> None:
        """In somebody's turn."""
        for name in leave:
            guest = self._guests[name]
            need = self._need(name)
            if need.offload and not need.part_by_part:
                guest.rest()
            else:
                guest.drop()
            log.info('model "%s" made way', name)
        if leave:
            self._gauge.give_back()
            with self._changed:
                self._moves += 1
                for name in leave:
                    self._ledger.left(name)
                self._changed.notify_all()
            self._say_states()

    # --- measuring -------------------------------------------------------------------------------

    @contextmanager
    def _measuring(self, name: str) -> Iterator[None]:
        """What the model needed for a moment, over what it kept."""
        moves, before = self._moves, self._gauge.used()
        self._gauge.restart()
        yield
        peak = self._gauge.peak() - max(before, self._gauge.used())
        if moves == self._moves and peak > 0:
            self._measured(name, load=self._need(name).footprint.load, peak=peak)

    def _measured(self, name: str, *, load: int, peak: int) -> None:
        with self._changed:
            known = self._ledger.need(name).footprint
            footprint = self._ledger.measured(name, load=load, peak=peak)
        if footprint != known:
            self._say_footprint(name)

    def _need(self, name: str) -> Need:
        with self._changed:
            return self._ledger.need(name)

    def _exceeded(self, name: str) -> None:
        with self._changed:
            self._ledger.exceeded(name)
        self._say_footprint(name)

    def _say_footprint(self, name: str) -> None:
        footprint = self._need(name).footprint
        self._tell(
            {"is": "measured", "model": name, "load": footprint.load, "peak": footprint.peak}
        )

    def _say_states(self) -> None:
        with self._changed:
            states = {name: self._state(guest) for name, guest in self._guests.items()}
        self._tell({"is": "models", "states": states})

    def _state(self, guest: Guest) -> str:
        match self._ledger.state(guest.name):
            case "in" | "going":
                return "loaded"
            case "coming":
                return "loading"
            case _:
                return "resting" if guest.resting else "away"
