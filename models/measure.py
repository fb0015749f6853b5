"""How much memory a model process uses, and whether an error means that there was not enough, or
that the device is lost. Knows no model.
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")


class Gauge:
    """The memory of this process on one device, in bytes."""

    def __init__(self, device: str) -> None:
        self._cuda = device.startswith("cuda")
        self._device = device
        #: what is used tells what a model takes; in RAM there are libraries and caches between
        self.exact = self._cuda

    def used(self) -> int:
        """Now: on a card what torch has allocated there, else what is resident in RAM."""
        if self._cuda:
            import torch

            return int(torch.cuda.memory_allocated(self._device))
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE

    def peak(self) -> int:
        """The most since `restart`."""
        if self._cuda:
            import torch

            return int(torch.cuda.max_memory_allocated(self._device))
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        return self.used()

    def restart(self) -> None:
        """Forget the peak so far."""
        if self._cuda:
            import torch

            torch.cuda.reset_peak_memory_stats(self._device)
        else:
            # proc(5): "5" resets the peak resident set size; a kernel may not allow it.
            try:
                Path("/proc/self/clear_refs").write_text("5")
            except OSError:
                return

    def give_back(self) -> None:
        """Return what was freed to the device or the system, so that others can have it."""
        import gc

        gc.collect()
        if self._cuda:
            import torch

            torch.cuda.empty_cache()
        else:
            _trim()


def _trim() -> None:
    """glibc keeps freed memory of the size of a model for itself until it is told not to."""
    import ctypes

    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError):  # another libc
        return


def out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch, Python or the system says that memory ran out."""
    torch = sys.modules.get("torch")
    if isinstance(error, MemoryError) or (torch and isinstance(error, torch.OutOfMemoryError)):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    # The CPU's allocator has no error of its own (c10/core/impl/alloc_cpu.cpp), and cuBLAS and
    # cuDNN say it in theirs.
    text = str(error)
    return isinstance(error, RuntimeError) and any(
        words in text
        for words in ("can't allocate memory", "not enough memory", "CUBLAS_STATUS_ALLOC_FAILED")
    )


def device_lost(error: BaseException) -> bool:
    """Whether every further call on the device will fail, too: only a new process helps."""
    torch = sys.modules.get("torch")
    if torch is None:  # a process without a model that needs it
        return False
    return isinstance(error, torch.AcceleratorError) and not out_of_memory(error)
