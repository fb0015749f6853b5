"""The lines of a Reddit dump, zstd-compressed or plain, as a stream. Knows not what they say."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, BinaryIO

import zstandard

from botdaemon.errors import ExportUnusable
from models.exports.files import HARMLESS, LONGEST_LINE, MIB, RATIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MAGIC = b"\x28\xb5\x2f\xfd"
_WINDOW = 2**31
"""The dumps are compressed with `--long=31`. What such a window holds of the last 2 GiB unpacked is
the only memory that grows with a dump."""

_MOUTHFUL = 1024
"""Compressed bytes at a time. Four of them can stand for a block of 128 KiB, and a decompressor
gives all that it can make of a mouthful at once: with these it is never more than 32 MiB."""


def lines(
    stream: BinaryIO, where: str, progress: Callable[[int], None] = lambda done: None
) -> Iterator[bytes]:
    """Lines with their ends; only the last of a plain file may have none.

    `progress` is told how many bytes of the file are read. Raises `ExportUnusable`, after the
    lines before it, for what is damaged, breaks off, is a bomb, or has a line of more than 16 MiB.
    """
    chunks = _chunks(stream, progress)
    head = next(chunks, b"")
    chunks = chain([head], chunks)
    packed = where.lower().endswith(".zst") or head.startswith(_MAGIC)
    rest = b""
    for piece in _unpacked(chunks, where) if packed else chunks:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield line + b"\n"
        if len(rest) > LONGEST_LINE:
            raise ExportUnusable(
                f"{where} has a line of more than {LONGEST_LINE // MIB} MiB; that is no Reddit dump"
            )
    if rest:
        yield rest


def _chunks(stream: BinaryIO, progress: Callable[[int], None]) -> Iterator[bytes]:
    done = 0
    while chunk := stream.read(MIB):
        yield chunk
        done += len(chunk)
        progress(done)


def _unpacked(chunks: Iterator[bytes], where: str) -> Iterator[bytes]:
    """The contents of all frames. zstandard's own stream reader takes a frame that breaks off for
    one that ends, therefore this looks after the frames itself."""
    frame: zstandard.ZstdDecompressionObj | None = None
    read = written = 0
    for chunk in chunks:
        for start in range(0, len(chunk), _MOUTHFUL):
            mouthful = chunk[start : start + _MOUTHFUL]
            read += len(mouthful)
            while mouthful:
                if frame is None:
                    frame = zstandard.ZstdDecompressor(max_window_size=_WINDOW).decompressobj()
                try:
                    piece = frame.decompress(mouthful)
                except zstandard.ZstdError as error:
                    raise ExportUnusable(
                        f"{where} is damaged, or no zstd file ({error}); download it again"
                    ) from error
                written += len(piece)
                if written > max(HARMLESS, RATIO * read):
                    raise ExportUnusable(
                        f"{where} unpacks to more than {RATIO} times its size;"
                        " that is a bomb and no Reddit dump"
                    )
                yield piece
                mouthful = frame.unused_data if frame.eof else b""
                frame = None if frame.eof else frame
    if frame is not None:
        raise ExportUnusable(f"{where} breaks off; download it again")
