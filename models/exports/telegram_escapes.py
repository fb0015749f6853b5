"""Mends what Telegram Desktop writes and JSON does not know. Knows nothing of chats."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.exports.neutral import Tally
    from models.exports.streaming import Source

_ESCAPE = re.compile(rb"\\(?:x([0-9A-Fa-f]{2})|.)", re.DOTALL)


class Mended:
    """Bytes in which control characters, which Telegram Desktop writes as \\x0B, are written as
    JSON has them (\\u000B)."""

    def __init__(self, source: Source, tally: Tally) -> None:
        self._source = source
        self._tally = tally
        self._rest = b""

    def read(self, size: int, /) -> bytes:
        while True:
            data = self._source.read(size)
            block = self._rest + data
            held = _begun_escape(block) if data else 0
            self._rest = block[len(block) - held :]
            block = block[: len(block) - held]
            if block or not data:
                break
        if b"\\x" not in block:
            return block
        return _ESCAPE.sub(self._as_json, block)

    def _as_json(self, escape: re.Match[bytes]) -> bytes:
        if escape[1] is None:
            return escape[0]
        self._tally.note("Control characters were not written as JSON has them; that was mended.")
        return b"\\u00" + escape[1]


def _begun_escape(block: bytes) -> int:
    """How many bytes at the end of a block are the beginning of an escape that may go on."""
    for held in (1, 2, 3):
        before = block[: len(block) - held + 1]
        backslashes = len(before) - len(before.rstrip(b"\\"))
        if backslashes % 2:
            return held
    return 0
