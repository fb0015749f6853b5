"""Tells systemd how the daemon is doing (sd_notify). Knows nothing of the daemon, and does nothing
when systemd did not start it."""

from __future__ import annotations

import logging
import os
import socket

log = logging.getLogger(__name__)


def ready(status: str) -> None:
    """Start-up is over."""
    _notify(f"READY=1\nSTATUS={_line(status)}")


def stopping(status: str) -> None:
    """Stopping has begun."""
    _notify(f"STOPPING=1\nSTATUS={_line(status)}")


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
