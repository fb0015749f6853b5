"""The devices that models can run on, and their memory. Knows no model, and no torch, so that the
daemon and the command line can ask.

Cards are numbered as NVML does, by their place on the bus. CUDA puts the fastest first unless
`ORDER` is in the environment: whoever starts a model process puts it there, so that "cuda:1" is the
same card everywhere.
"""

from __future__ import annotations

import logging
import os
import platform
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

log = logging.getLogger(__name__)

#: for the environment of a model process, see above
ORDER = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One of them."""

    #: "cuda:0", "mps" or "cpu", as in the configuration
    name: str
    #: what it is called, for people
    title: str
    #: bytes; of a CPU the RAM that this process may use
    memory: int
    #: bytes of it that nobody uses now
    free: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How a device does at this moment; None for what it does not tell."""

    memory: int
    """bytes"""
    used: int
    """bytes of it that are in use, by whomever"""
    celsius: float | None = None
    utilisation: float | None = None
    """the share of the last moments in which it computed, 0 to 1"""


def reading(name: str) -> Reading | None:
    """How the device with this name does, None if nobody can tell. A card whose driver hangs keeps
    the caller waiting, so this is for the model process."""
    if name == "cpu":
        ram = cpu()
        return Reading(memory=ram.memory, used=ram.memory - ram.free)
    if not name.startswith("cuda:"):
        return None
    with _nvml() as pynvml:
        if pynvml is None:
            return None
        handles = _handles(pynvml, os.environ.get("CUDA_VISIBLE_DEVICES"))
        if (at := int(name.removeprefix("cuda:"))) >= len(handles):
            return None
        handle = handles[at]
        memory, free = _memory(pynvml, handle, cpu())
        return Reading(
            memory=memory,
            used=memory - free,
            celsius=_told(
                pynvml,
                lambda: pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU),
            ),
            utilisation=_told(
                pynvml, lambda: pynvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100
            ),
        )
    return None


def _told(pynvml: Any, ask: Callable[[], float]) -> float | None:
    try:
        return float(ask())
    except pynvml.NVMLError:  # a card without a sensor, or a slice of one (MIG)
        return None


def devices(environment: Mapping[str, str] = os.environ) -> tuple[Device, ...]:
    """All devices, cards first, the CPU last."""
    ram = cpu()
    apple = platform.system() == "Darwin" and platform.machine() == "arm64"
    # Apple's graphics share the RAM.
    mps = [Device(name="mps", title="Apple GPU", memory=ram.memory, free=ram.free)] if apple else []
    return (*_cards(environment.get("CUDA_VISIBLE_DEVICES"), ram), *mps, ram)


def cpu(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> Device:
    """The RAM, as far as the control groups of this process let it have it (cgroup v2,
    https://docs.kernel.org/admin-guide/cgroup-v2.html)."""
    try:
        rows = dict(line.split(":") for line in (proc / "meminfo").read_text().splitlines())
        memory, free = (int(rows[key].split()[0]) * 1024 for key in ("MemTotal", "MemAvailable"))
    except (OSError, KeyError, ValueError):  # not Linux
        memory = free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for group in _groups(proc, cgroups):
        try:
            limit = int((group / "memory.max").read_text())
            # What was read from files is counted, and given back when it is needed.
            rows = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
            used = int((group / "memory.current").read_text()) - int(rows["inactive_file"])
        except (OSError, KeyError, ValueError):  # no limit ("max"), or no control of memory
            continue
        memory, free = min(memory, limit), min(free, max(0, limit - used))
    return Device(name="cpu", title=f"RAM, {os.cpu_count()} cores", memory=memory, free=free)


def _groups(proc: Path, cgroups: Path) -> Iterator[Path]:
    """The control group of this process and those around it."""
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        if line.startswith("0::/"):
            own = cgroups / line.removeprefix("0::/")
            yield own
            while own != cgroups and own.parent != own:
                own = own.parent
                yield own


@contextmanager
def _nvml() -> Iterator[Any]:
    """NVML for as long as the context lasts; None where there are no cards to ask."""
    try:
        import pynvml  # type: ignore[import-untyped]  # it has no types
    except ImportError:
        log.debug("no cards: nvidia-ml-py is not installed")
        yield None
        return
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        log.debug("no cards: %s", error)
        yield None
        return
    try:
        yield pynvml
    except pynvml.NVMLError as error:
        log.warning("the cards cannot be asked: %s", error)
    finally:
        pynvml.nvmlShutdown()


def _cards(visible: str | None, ram: Device) -> list[Device]:
    """The NVIDIA cards among `visible` (CUDA_VISIBLE_DEVICES: None for all)."""
    with _nvml() as pynvml:
        if pynvml is not None:
            return [
                Device(
                    name=f"cuda:{at}",
                    title=pynvml.nvmlDeviceGetName(handle),
                    memory=total,
                    free=free,
                )
                for at, handle in enumerate(_handles(pynvml, visible))
                for total, free in [_memory(pynvml, handle, ram)]
            ]
    return []


def _handles(pynvml: Any, visible: str | None) -> list[Any]:
    """NVML's names for the cards that CUDA shows, in its order."""
    handles = [pynvml.nvmlDeviceGetHandleByIndex(at) for at in range(pynvml.nvmlDeviceGetCount())]
    if visible is None:
        return handles
    ids = [pynvml.nvmlDeviceGetUUID(handle) for handle in handles]
    return [handles[at] for at in _chosen(visible, ids)]


def _memory(pynvml: Any, handle: Any, ram: Device) -> tuple[int, int]:
    try:
        info = pynvml.nvmlDeviceGetMemoryInfo(handle)
    except pynvml.NVMLError_NotSupported:  # a card without memory of its own, such as Grace's
        return ram.memory, ram.free
    return info.total, info.free


def _chosen(visible: str, ids: list[str]) -> list[int]:
    """The places of the cards that CUDA shows: it takes numbers and beginnings of ids, leaves off
    at the first that is no card, and shows none when one is named twice
    (https://docs.nvidia.com/cuda/cuda-c-programming-guide/#env-vars)."""
    chosen: list[int] = []
    for word in map(str.strip, visible.split(",")):
        if word.isdecimal():
            places = [int(word)] if int(word) < len(ids) else []
        else:
            places = [at for at, id in enumerate(ids) if word and id.startswith(word)]
        if len(places) != 1:
            break
        chosen += places
    return chosen if len(set(chosen)) == len(chosen) else []
