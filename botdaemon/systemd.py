"""Tells systemd how the daemon is doing (sd_notify(3)). Knows nothing of the daemon, and does
nothing when systemd did not start it."""

from __future__ import annotations

import logging
import os
import socket
import time

log = logging.getLogger(__name__)


def ready(status: str) -> None:
    """Start-up is over, or a reload."""
    _notify(f"READY=1\nSTATUS={_line(status)}")


def reloading(status: str) -> None:
    """The configuration is read anew; `ready` says when that is over. From version 253 on systemd
    wants to know since when, by the clock that it uses itself."""
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    _notify(f"RELOADING=1\nMONOTONIC_USEC={now}\nSTATUS={_line(status)}")


def stopping(status: str) -> None:
    """Stopping has begun."""
    _notify(f"STOPPING=1\nSTATUS={_line(status)}")


def alive() -> None:
    """The watchdog may be quiet for another while."""
    _notify("WATCHDOG=1")


def status(text: str) -> None:
    """A line for `systemctl status`."""
    _notify(f"STATUS={_line(text)}")


def watchdog() -> float:
    """Seconds within which systemd wants to hear `alive`; 0 when it does not watch this process."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    limit = os.environ.get("WATCHDOG_USEC", "")
    return int(limit) / 1e6 if limit.isdecimal() else 0.0


def _line(text: str) -> str:
    return " ".join(text.split())


def _notify(state: str) -> None:
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):  # a name in the abstract namespace
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
            door.sendto(state.encode(), address)
    except OSError as error:
        log.warning("systemd was not told", extra={"event": "notify_failed", "error": error})
