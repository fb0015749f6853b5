"""How a log line looks and where it goes: one line for each event, with stable fields.

    log.info("turn answered", extra={"event": "turn_answered", "ms": 840})

Knows none of the events. What is going on around a line (adapter, thread, bot) is stamped on it
from the context, be it ours or a library's. Configured once, by the command line.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Shape = Literal["auto", "terminal", "journal", "json"]

_OURS = ("botdaemon", "adapters", "models")
_around: ContextVar[Mapping[str, object]] = ContextVar("around", default=MappingProxyType({}))
_secrets: set[str] = set()


@contextmanager
def context(**fields: object) -> Iterator[None]:
    """Stamp these fields on every line that is logged inside, also by tasks begun there."""
    before = _around.get()
    _around.set({**before, **fields})
    try:
        yield
    finally:
        # Not reset(token): an async generator may be closed from another context than it ran in.
        _around.set(before)


def redact(secret: str) -> None:
    """Never let this value into a log line."""
    if secret:
        _secrets.add(secret)


def configure(level: str, shape: Shape = "auto", stream: TextIO | None = None) -> None:
    """Log to stderr from now on. Libraries only say what is serious, unless the level is debug."""
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler(shape, stream or sys.stderr))
    ours = logging.getLevelNamesMapping()[level.upper()]
    root.setLevel(logging.INFO if ours == logging.DEBUG else max(ours, logging.WARNING))
    for name in _OURS:
        logging.getLogger(name).setLevel(ours)
    logging.captureWarnings(True)


def handler(shape: Shape, stream: TextIO) -> logging.Handler:
    """Writes lines of this shape to the stream."""
    made = logging.StreamHandler(stream)
    made.addFilter(_stamp)
    made.setFormatter(_formatter(shape, stream))
    return made


def _formatter(shape: Shape, stream: TextIO) -> logging.Formatter:
    if shape == "json":
        return _Json()
    if shape == "journal" or (shape == "auto" and _is_journal(stream)):
        return _Journal()
    return _Terminal(colours=stream.isatty() and "NO_COLOR" not in os.environ)


def _is_journal(stream: TextIO) -> bool:
    """systemd names the journal's socket by its device and inode."""
    try:
        status = os.fstat(stream.fileno())
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def _stamp(record: logging.LogRecord) -> bool:
    record.around = _around.get()
    return True


# --- what is in a line ----------------------------------------------------------------------

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {
    "around",
    "message",
    "asctime",
    "taskName",
}

# What could end a line, move the cursor or turn the text around: nobody's message may do that.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_BARE = re.compile(r"[^\s\"'=\\]+")


def _redacted(text: str) -> str:
    for secret in _secrets:
        text = text.replace(secret, "…")
    return text


def _safe(text: str) -> str:
    return _UNSAFE.sub(
        lambda match: match.group().encode("unicode_escape").decode(), _redacted(text)
    )


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """What surrounds the line, then what it brings; nothing that is None."""
    own = {key: value for key, value in vars(record).items() if key not in _STANDARD}
    fields = {"event": own.pop("event", None), **getattr(record, "around", {}), **own}
    return {key: value for key, value in fields.items() if value is not None}


def _pair(key: str, value: object) -> str:
    match value:
        case bool():
            text = str(value).lower()
        case float():
            text = f"{value:.6g}"
        case _:
            text = _safe(str(value))
            if _BARE.fullmatch(text) is None:
                quoted = _safe(str(value).replace("\\", "\\\\")).replace('"', '\\"')
                text = f'"{quoted}"'
    return f"{key}={text}"


class _Line(logging.Formatter):
    """What the shapes have in common."""

    def _trace(self, record: logging.LogRecord) -> str:
        parts = (
            self.formatException(record.exc_info) if record.exc_info else "",
            self.formatStack(record.stack_info) if record.stack_info else "",
        )
        return "\n".join(filter(None, parts))

    def _trace_lines(self, record: logging.LogRecord) -> list[str]:
        """The traceback, indented so that no line of it can pass for an event."""
        return [f"    {_safe(line)}" for line in self._trace(record).splitlines()]


_COLOURS = {"DEBUG": "2", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}


class _Terminal(_Line):
    """For eyes: `12:30:01 INFO  dispatcher: turn answered  bot=ada ms=840`."""

    def __init__(self, *, colours: bool) -> None:
        super().__init__()
        self._colours = colours

    def format(self, record: logging.LogRecord) -> str:
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        name = record.name.removeprefix("botdaemon.")
        head = f"{at} {record.levelname:<7} {name}: {_safe(record.getMessage())}"
        fields = _fields(record)
        fields.pop("event", None)  # the message says it
        tail = " ".join(_pair(key, value) for key, value in fields.items())
        if self._colours:
            head = f"\x1b[{_COLOURS.get(record.levelname, '0')}m{head}\x1b[0m"
            tail = f"\x1b[2m{tail}\x1b[0m"
        return "\n".join([f"{head}  {tail}" if fields else head, *self._trace_lines(record)])


_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))


class _Journal(_Line):
    """For journald, which adds the time: `<6>botdaemon.app: turn answered bot=ada ms=840`."""

    def format(self, record: logging.LogRecord) -> str:
        priority = next((number for level, number in _PRIORITIES if record.levelno >= level), 7)
        pairs = (_pair(key, value) for key, value in _fields(record).items())
        line = " ".join((f"{record.name}: {_safe(record.getMessage())}", *pairs))
        return "\n".join(f"<{priority}>{text}" for text in (line, *self._trace_lines(record)))


class _Json(_Line):
    """For machines: an object on each line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _redacted(record.getMessage()),
        }
        for key, value in _fields(record).items():
            plain = isinstance(value, int | float)
            line.setdefault(key, value if plain else _redacted(str(value)))
        if trace := self._trace(record):
            line.setdefault("trace", _redacted(trace))
        return json.dumps(line)
