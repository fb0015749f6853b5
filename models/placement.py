"""Which model goes onto which device, before anything is loaded. Knows neither files nor devices:
it is told their sizes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from models.ledger import Need, obstacle, required, size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from models.devices import Device

_MIB = 2**20
#: What a model process takes of the RAM before any model: 390 MiB resident with torch 2.13,
#: transformers 5.23 and diffusers 0.42 imported on x86-64. On a card it is CUDA's context and the
#: work space of its libraries, an allowance.
_PROCESS = {"cpu": 400 * _MIB, "mps": 0, "cuda": 640 * _MIB}
#: The part of a device that models may take when the configuration does not say. The rest is for
#: what memory is lost to between allocations, and of the RAM for the daemon and everybody else.
_SHARE = {"cpu": 0.8, "mps": 0.7, "cuda": 0.92}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A model and where it goes."""

    need: Need
    device: str
    #: loaded from the start, or when it is needed, for which others may have to leave
    state: Literal["resident", "demand"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What happens to the memory of one device, bytes."""

    device: Device
    #: what model processes may take of it, all in all
    allowed: int
    #: what they take before any model
    processes: int
    #: what models of cards keep here while they are off their cards; RAM only
    offloaded: int
    places: tuple[Place, ...]

    @property
    def budget(self) -> int:
        """For models."""
        return max(0, self.allowed - self.processes - self.offloaded)

    @property
    def residents(self) -> tuple[Need, ...]:
        return tuple(place.need for place in self.places if place.state == "resident")

    @property
    def peak(self) -> int:
        """Kept free for whichever of the residents computes."""
        return max((need.footprint.peak for need in self.residents), default=0)

    @property
    def left(self) -> int:
        """Beside the residents and their peak."""
        return self.budget - required(self.residents)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The devices with their models, and what is wrong."""

    shares: tuple[Share, ...]
    #: by its name, a sentence for each model that can never be loaded
    problems: Mapping[str, str]
    #: a sentence each for what goes another way than was configured
    notes: tuple[str, ...]

    def share(self, model: str) -> Share | None:
        """The device of the model, if it has one."""
        shares = (s for s in self.shares if any(p.need.name == model for p in s.places))
        return next(shares, None)


def place(
    needs: Sequence[Need], devices: Sequence[Device], budgets: Mapping[str, int] | None = None
) -> Plan:
    """Plan it. `budgets`: bytes that model processes may take of a device, by its name, where the
    configuration says so.

    A model goes where it is told to; "auto" is the card with the most room, else mps, else the CPU.
    Those without a choice are placed first, then the pinned, then the largest. A model is placed
    only where it fits beside the pinned ones, so that each can be loaded when it is needed. Of
    those that are loaded at the start, as many as fit together are resident, in their order.
    """
    return _Planner(devices, budgets or {}).plan(needs)


class _Planner:
    def __init__(self, devices: Sequence[Device], budgets: Mapping[str, int]) -> None:
        self._devices = devices
        self._allowed: dict[str, int] = {}
        self._there: dict[str, list[Need]] = {device.name: [] for device in devices}
        self._problems: dict[str, str] = {}
        self._notes: list[str] = []
        #: models of cards that may wait in RAM
        self._waiting: set[str] = set()
        for device in devices:
            usual = int(device.memory * _SHARE[_kind(device.name)])
            wanted = budgets.get(device.name, usual)
            self._allowed[device.name] = min(wanted, device.memory)
            if wanted > device.memory:
                self._notes.append(
                    f"{device.name} has {size(device.memory)}, and models may take no more of it"
                    f" ({size(wanted)} were allowed)"
                )

    def plan(self, needs: Sequence[Need]) -> Plan:
        choices = {need.name: self._choices(need.device) for need in needs}

        def order(need: Need) -> tuple[bool, bool, bool, int]:
            where = choices[need.name]
            # The RAM comes last, when it is known what the cards' models take of it.
            return (where == ["cpu"], len(where) > 1, not need.pinned, -required([need]))

        for need in sorted(needs, key=order):
            self._put(need, choices[need.name])
        self._offload(needs)
        positions = {need.name: at for at, need in enumerate(needs)}
        for there in self._there.values():
            there.sort(key=lambda need: positions[need.name])
        shares = tuple(self._share(device) for device in self._devices)
        return Plan(shares=shares, problems=self._problems, notes=tuple(self._notes))

    def _choices(self, device: str) -> list[str]:
        names = list(self._allowed)
        cards = [name for name in names if _kind(name) == "cuda"]
        if device == "cuda":
            return cards
        if device == "auto" and cards:
            return cards
        if device == "auto":
            device = "mps" if "mps" in names else "cpu"
        return [device] if device in names else []

    def _put(self, need: Need, choices: list[str]) -> None:
        if not choices:
            self._problems[need.name] = (
                f'model "{need.name}": there is no device "{need.device}" here'
                f" (there are: {', '.join(self._allowed)})"
            )
            return
        whys: list[str] = []
        for device in sorted(choices, key=self._room, reverse=True):
            why = self._obstacle(need, device)
            if need.part_by_part and need.offload > (room := self._budget("cpu")):
                why = f'model "{need.name}" needs {size(need.offload)} of RAM for its parts, but'
                why += f" there are {size(room)} for models"
            if not why:
                self._there[device].append(need)
                return
            whys.append(why)
        self._problems[need.name] = whys[0]

    def _obstacle(self, need: Need, device: str) -> str:
        budget = self._budget(device)
        there = [*self._there[device], need]
        why = obstacle(need, _pinned(there), device, budget)
        if not why and (others := _obstacle(there, device, budget)):
            why = f'model "{need.name}" cannot be pinned there: {others}'
        return why

    def _offload(self, needs: Sequence[Need]) -> None:
        """Let models of cards wait in RAM, as long as the models that run there still fit."""
        for need in needs:
            if not need.offload or need.part_by_part or need not in self._on_cards():
                continue
            room = self._budget("cpu") - need.offload
            if room >= 0 and not _obstacle(self._there["cpu"], "cpu", room):
                self._waiting.add(need.name)
                continue
            self._notes.append(
                f'model "{need.name}" cannot wait in RAM ({size(need.offload)}, and there is'
                " no room beside the models that run there): it is loaded from disk each time"
            )

    def _on_cards(self) -> list[Need]:
        return [need for name, there in self._there.items() if name != "cpu" for need in there]

    def _room(self, device: str) -> int:
        return self._budget(device) - sum(need.resident for need in self._there[device])

    def _budget(self, device: str) -> int:
        return max(0, self._allowed[device] - self._processes(device) - self._offloaded(device))

    def _processes(self, device: str) -> int:
        """What they take before any model. Those of cards take some RAM, too."""
        count = 1
        if device == "cpu":
            cards = (there for name, there in self._there.items() if name != "cpu")
            count += sum(map(bool, cards))
        return count * _PROCESS[_kind(device)]

    def _offloaded(self, device: str) -> int:
        if device != "cpu":
            return 0
        return sum(
            need.offload
            for name, there in self._there.items()
            for need in there
            if self._lies_in_ram(need, name)
        )

    def _lies_in_ram(self, need: Need, device: str) -> bool:
        """Beside the device that it is on."""
        return device != "cpu" and (need.part_by_part or need.name in self._waiting)

    def _share(self, device: Device) -> Share:
        name = device.name
        there = self._there[name]
        resident = _pinned(there)
        for need in there:
            eager = need.load_at_start and not need.pinned
            if eager and required([*resident, need]) <= self._budget(name):
                resident.append(need)
        places = (
            Place(
                need=need if self._lies_in_ram(need, name) else replace(need, offload=0),
                device=name,
                state="resident" if need in resident else "demand",
            )
            for need in there
        )
        return Share(
            device=device,
            allowed=self._allowed[name],
            # What is counted for one of its own, whether there is one or not.
            processes=self._processes(name) - (0 if there else _PROCESS[_kind(name)]),
            offloaded=self._offloaded(name),
            places=tuple(places),
        )


def _kind(device: str) -> str:
    return device.partition(":")[0]


def _pinned(needs: Sequence[Need]) -> list[Need]:
    return [need for need in needs if need.pinned]


def _obstacle(needs: Sequence[Need], device: str, budget: int) -> str:
    """Why one of these could never be loaded there; empty when each can."""
    whys = (obstacle(need, _pinned(needs), device, budget) for need in needs)
    return next(filter(None, whys), "")
