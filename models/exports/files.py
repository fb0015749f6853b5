"""An export as it lies on disk (a folder, a zip, or one file), read without trusting it. Knows no
kind of export."""

from __future__ import annotations

import codecs
import io
import json
import lzma
import os
import re
import stat
import unicodedata
import zipfile
import zlib
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from botdaemon.errors import ExportUnusable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MIB = 2**20
#: an archive that unpacks to more than this many times its size is a bomb
RATIO = 200
#: ... unless it is this small
HARMLESS = 100 * MIB
#: no export is larger
ENORMOUS = 2**40
#: no line is longer
LONGEST_LINE = 16 * MIB

#: what file managers leave behind; nobody wrote it
LITTER = re.compile(r"(^|/)(__MACOSX/.*|\._[^/]*|\.DS_Store|Thumbs\.db|desktop\.ini)$")

#: what reading a zip raises; NotImplementedError is zipfile's word for a compression it lacks
DAMAGE = (OSError, EOFError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError)


class Files(Protocol):
    """The files of an export. Everything that fails raises `ExportUnusable`."""

    @property
    def path(self) -> Path:
        """What the operator gave."""

    @property
    def total(self) -> int:
        """The bytes of all files together, unpacked."""

    def names(self) -> list[str]:
        """The files, as relative paths with slashes, sorted; no folders."""

    def open(self, name: str) -> BinaryIO:
        """The bytes of a file; damage raises `ExportUnusable` while they are read."""

    def read(self, name: str, most: int = 256 * MIB) -> bytes:
        """A whole file, refused when it has more than `most` bytes."""

    def size(self, name: str) -> int:
        """The bytes of a file, unpacked."""


@contextmanager
def opened(path: Path) -> Iterator[Files]:
    """The files of an export.

    Raises `ExportUnusable` when it is not there, cannot be read, is a damaged or encrypted archive,
    a bomb, or has a file that lies outside.
    """
    with ExitStack() as stack:
        try:
            files = _opened(path, stack)
        except FileNotFoundError as error:
            raise ExportUnusable(f"{error.filename or path} does not exist") from error
        except zipfile.BadZipFile as error:
            raise ExportUnusable(
                f"{path} is a damaged or unfinished zip ({error}); download or copy it again"
            ) from error
        except (OSError, NotImplementedError) as error:
            raise ExportUnusable(f"{path} cannot be read: {error}") from error
        yield files


def _opened(path: Path, stack: ExitStack) -> Files:
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        return _Plain(path, dict(_walked(path)))
    if not stat.S_ISREG(mode):
        raise ExportUnusable(f"{path} is neither a file nor a folder")
    if _is_zip(path):
        return _Zip(path, stack.enter_context(zipfile.ZipFile(path)))
    return _Plain(path, {path.name: path})


def read_json(files: Files, name: str) -> Any:
    """A JSON file, in UTF-8, UTF-16 or UTF-32, with or without a byte order mark.

    Raises `ExportUnusable`, with the line.
    """
    return parsed(files.read(name), f"{files.path}: {name}")


def parsed(data: bytes | str, where: str) -> Any:
    """What JSON says. Raises `ExportUnusable`; `where` is named in it."""
    try:
        return json.loads(data)
    except json.JSONDecodeError as error:
        rest = error.doc[error.pos :].strip()
        # The position of a string that does not end is where it starts.
        lines = error.doc.count("\n") + 1
        half = any(word.startswith(rest) for word in ("true", "false", "null", "-"))
        if half or error.msg.startswith(("Unterminated string", "Invalid \\uXXXX escape")):
            raise ExportUnusable(
                f"{where} ends in the middle of line {lines}; export or copy it again"
            ) from error
        raise ExportUnusable(
            f"{where} is no JSON: {error.msg} (line {error.lineno}, column {error.colno})"
        ) from error
    except UnicodeDecodeError as error:
        raise ExportUnusable(f"{where} is no text from byte {error.start} on") from error
    except RecursionError as error:
        raise ExportUnusable(f"{where} is nested too deeply to be an export") from error
    except ValueError as error:  # a number of thousands of digits
        raise ExportUnusable(f"{where} is no JSON: {error}") from error


def text_lines(
    stream: BinaryIO, name: str, not_utf8: Callable[[], None] = lambda: None
) -> Iterator[str]:
    """The lines of a text, without their ends.

    UTF-16 is known by its byte order mark. Otherwise each line is UTF-8 or else Windows-1252 (a
    text that was pasted together can have both); `not_utf8` is called for each of the latter.

    Raises `ExportUnusable` for a line that is longer than any message.
    """
    lines = _limited_lines(stream, name)
    first = next(lines, b"")
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        yield from _utf16_lines(first, lines, name)
        return
    line: bytes | None = first.removeprefix(codecs.BOM_UTF8)
    while line:
        try:
            text = line.decode()
        except UnicodeDecodeError:
            text = line.decode("cp1252", errors="replace")
            not_utf8()
        yield text.removesuffix("\n").removesuffix("\r")
        line = next(lines, None)


def _limited_lines(stream: BinaryIO, name: str) -> Iterator[bytes]:
    number = 0
    while line := stream.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise _too_long(name, number)
        yield line


def _utf16_lines(first: bytes, pieces: Iterator[bytes], name: str) -> Iterator[str]:
    # The pieces end at any byte 0x0A, which need not be a line's end in UTF-16.
    decoder = codecs.getincrementaldecoder("utf-16")(errors="replace")
    number = 0
    rest = decoder.decode(first)
    for piece in pieces:
        *whole, rest = (rest + decoder.decode(piece)).split("\n")
        for line in whole:
            number += 1
            yield line.removesuffix("\r")
        if len(rest) > LONGEST_LINE:
            raise _too_long(name, number + 1)
    last = rest + decoder.decode(b"", final=True)
    if last:
        yield from (line.removesuffix("\r") for line in last.removesuffix("\n").split("\n"))


def _too_long(name: str, number: int) -> ExportUnusable:
    return ExportUnusable(
        f"{name}, line {number} has more than {LONGEST_LINE // MIB} MiB; that is no chat"
    )


class _Guarded(io.RawIOBase):
    """A stream of which all failures are `ExportUnusable`."""

    def __init__(self, stream: Any, where: str) -> None:
        super().__init__()
        self._stream = stream
        self._where = where

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._stream.read(len(buffer))
        except DAMAGE as error:
            raise ExportUnusable(
                f"{self._where} is damaged ({error}); download or copy it again"
            ) from error
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._stream.close()
        super().close()


def _guarded(open_it: Callable[[], Any], where: str) -> BinaryIO:
    try:
        stream = open_it()
    except DAMAGE as error:
        raise ExportUnusable(f"{where} cannot be opened: {error}") from error
    return io.BufferedReader(_Guarded(stream, where), 128 * 1024)


def _named(files: Files, them: dict[str, Any], name: str) -> Any:
    try:
        return them[name]
    except KeyError:
        raise ExportUnusable(f"{files.path} has no file {name}") from None


def _whole(files: Files, name: str, most: int) -> bytes:
    with files.open(name) as stream:
        data = stream.read(most + 1)
    if len(data) > most:
        raise ExportUnusable(
            f"{files.path}: {name} has more than {most // MIB} MiB; no export has such a file"
        )
    return data


class _Plain:
    """A folder with everything in it, or a file by itself."""

    def __init__(self, path: Path, paths: dict[str, Path]) -> None:
        self.path = path
        self._paths = paths
        self._sizes = {name: file.stat().st_size for name, file in paths.items()}
        self.total = sum(self._sizes.values())

    def names(self) -> list[str]:
        return sorted(self._paths)

    def open(self, name: str) -> BinaryIO:
        path = _named(self, self._paths, name)
        return _guarded(lambda: path.open("rb", buffering=0), str(path))

    def read(self, name: str, most: int = 256 * MIB) -> bytes:
        return _whole(self, name, most)

    def size(self, name: str) -> int:
        size: int = _named(self, self._sizes, name)
        return size


def _walked(root: Path) -> Iterator[tuple[str, Path]]:
    home = root.resolve()

    def fail(error: OSError) -> None:
        raise error

    for folder, folders, files in os.walk(root, onerror=fail):
        for path in (Path(folder, name) for name in folders + files):
            name = unicodedata.normalize("NFC", path.relative_to(root).as_posix())
            if LITTER.search(name):
                continue
            if path.is_symlink() and not path.resolve().is_relative_to(home):
                raise ExportUnusable(f"{path} is a link out of the export; remove it")
            mode = path.stat().st_mode
            if stat.S_ISREG(mode):
                yield name, path
            elif not stat.S_ISDIR(mode):  # reading a pipe would wait for ever
                raise ExportUnusable(f"{path} is neither a file nor a folder; remove it")


class _Zip:
    """An archive; nothing of it is unpacked to disk."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.path = path
        self._archive = archive
        self._entries: dict[str, zipfile.ZipInfo] = {}
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        # zipfile never gives more than an entry declares, so that what is declared can be judged.
        self.total = sum(entry.file_size for entry in entries)
        if self.total > ENORMOUS or self.total > max(HARMLESS, RATIO * path.stat().st_size):
            raise ExportUnusable(
                f"{path} would unpack to {self.total // MIB} MiB; that is a bomb and no export"
            )
        for entry in entries:
            name = self._checked(entry)
            if name in self._entries:
                raise ExportUnusable(f"{path} has two files {name}")
            if not LITTER.search(name):
                self._entries[name] = entry

    def names(self) -> list[str]:
        return sorted(self._entries)

    def open(self, name: str) -> BinaryIO:
        entry = _named(self, self._entries, name)
        return _guarded(lambda: self._archive.open(entry), f"{self.path}: {name}")

    def read(self, name: str, most: int = 256 * MIB) -> bytes:
        return _whole(self, name, most)

    def size(self, name: str) -> int:
        size: int = _named(self, self._entries, name).file_size
        return size

    def _checked(self, entry: zipfile.ZipInfo) -> str:
        name = _name_of(entry)
        # Windows' rules are the stricter ones: they know drives, backslashes and leading slashes.
        as_path = PureWindowsPath(name)
        if as_path.anchor or ".." in as_path.parts:
            raise ExportUnusable(f"{self.path} has a file that lies outside of it ({name})")
        if entry.flag_bits & 0x1:
            raise ExportUnusable(f"{self.path}: {name} is encrypted; unpack it and give the folder")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise ExportUnusable(f"{self.path}: {name} is a link; unpack it and give the folder")
        return as_path.as_posix()


def _name_of(entry: zipfile.ZipInfo) -> str:
    """macOS writes UTF-8 and does not say so, which zipfile reads as code page 437."""
    name = entry.filename
    if not entry.flag_bits & 0x800:
        with suppress(UnicodeError):
            name = name.encode("cp437").decode()
    return unicodedata.normalize("NFC", name)


def _is_zip(path: Path) -> bool:
    """By its first bytes: of a zip that was cut off they are all that is left of its form."""
    with path.open("rb") as file:
        return file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")
