"""What the readers of large exports share: JSON value by value, and going on behind a damaged file.
Knows no kind of export."""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING, Any, Final, Protocol

import ijson  # type: ignore[import-untyped]  # it has no types
from ijson.common import ObjectBuilder  # type: ignore[import-untyped]

from botdaemon.errors import ExportUnusable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from models.exports.files import Files
    from models.exports.neutral import Said, Tally

#: no export nests more; the parser itself would go on until there is no memory left
DEEPEST = 100
#: bytes that are parsed at once; also how exactly a place in a file can be told
BLOCK = 32 * 1024
#: the value at the place where an object or array begins that is not read whole
OPEN: Final = object()

_STARTS = {"start_map", "start_array"}
_ENDS = {"end_map", "end_array"}
_WORD = re.compile(r"\w{1,40}")


class Source(Protocol):
    """Where bytes come from."""

    def read(self, size: int, /) -> bytes: ...


def values(
    stream: Source,
    where: str,
    whole: Collection[str],
    *,
    progress: Callable[[int], None] = lambda done: None,
    mend: Callable[[Source], Source] = lambda source: source,
) -> Iterator[tuple[str, Any]]:
    """The values of a JSON document in their order, each with its place ("channel.id"; "item" is
    any element of an array, as in ijson).

    Texts, numbers, booleans and null come by themselves. Objects and arrays at the places `whole`
    come whole; of others first OPEN and then their values. `progress` is told how many bytes are
    read, `mend` may change the bytes on their way to the parser.

    Raises `ExportUnusable` behind the last value before the end or the damage, with the place.
    """
    counted = _Counted(stream, progress)
    path: list[str] = []
    depth = found = 0
    builder: ObjectBuilder | None = None
    outside = 0
    try:
        for event, value in ijson.basic_parse(mend(counted), use_float=True, buf_size=BLOCK):
            if event in _STARTS:
                depth += 1
                if depth > DEEPEST:
                    raise ExportUnusable(f"{where} is nested too deeply to be an export")
            elif event in _ENDS:
                depth -= 1
            if builder is not None:
                builder.event(event, value)
                if depth == outside:
                    found += 1
                    yield ".".join(path), builder.value
                    builder = None
            elif event == "map_key":
                path[-1] = value
            elif event in _ENDS:
                path.pop()
            elif event not in _STARTS:
                yield ".".join(path), value
            elif (place := ".".join(path)) in whole:
                builder, outside = ObjectBuilder(), depth - 1
                builder.event(event, value)
            else:
                path.append("item" if event == "start_array" else "")
                yield place, OPEN
    except ijson.JSONError as error:
        read = f"after {found} message{'' if found == 1 else 's'}"
        if counted.ended:
            what = f"ends in the middle ({read}, {counted.done} bytes)"
        else:
            what = f"is damaged or no JSON ({read}, near byte {counted.done})"
        raise ExportUnusable(f"{where} {what}; export or copy it again") from error


class _Counted:
    """A stream that knows how much of it was read. A byte order mark is left out."""

    def __init__(self, stream: Source, progress: Callable[[int], None]) -> None:
        self._stream = stream
        self._progress = progress
        self.done = 0
        self.ended = False

    def read(self, size: int, /) -> bytes:
        data = self._stream.read(size)
        if self.done == 0:
            self.done = len(data)
            data = data.removeprefix(codecs.BOM_UTF8)
        else:
            self.done += len(data)
        self.ended = size > 0 and not data
        self._progress(self.done)
        return data


def called(files: Files, name: str) -> str:
    """What a file of an export is called in a sentence to the operator."""
    return str(files.path) if files.path.name == name else f"{files.path}: {name}"


def each_file(
    files: Files,
    names: Sequence[str],
    tally: Tally,
    read_one: Callable[[str, Callable[[int], None]], Iterator[Said]],
) -> Iterator[Said]:
    """All messages of these files. `read_one` is given a file's name, and what to tell how many
    bytes of it are read.

    A damaged file does not keep those behind it from being read: what is wrong with it is raised at
    the end, as one `ExportUnusable`.
    """
    total = sum(files.size(name) for name in names)
    before = 0
    damages = []

    def progress(done: int) -> None:
        tally.progress(min(before + done, total), total)

    for name in names:
        try:
            yield from read_one(name, progress)
        except ExportUnusable as damage:
            damages.append(damage)
        before += files.size(name)
        progress(0)
    if damages:
        others = len(damages) - 1
        more = f" (and {others} more file{'' if others == 1 else 's'} like it)" if others else ""
        raise ExportUnusable(f"{damages[0]}{more}") from damages[0]


def text(table: dict[str, Any], key: str) -> str:
    """The text there; empty for anything else."""
    value = table.get(key)
    return value if isinstance(value, str) else ""


def table(of: dict[str, Any], key: str) -> dict[str, Any]:
    """The object there; empty for anything else."""
    value = of.get(key)
    return value if isinstance(value, dict) else {}


def tables(of: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """The objects of the array there; empty for anything else."""
    value = of.get(key)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def word(value: object) -> str:
    """A name that the export's own program chose, to count by. Anything longer is not counted by
    its name: there might be one for each message."""
    return value if isinstance(value, str) and _WORD.fullmatch(value) else "unknown"
