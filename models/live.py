"""Which version of a text model is served, and whether another stands in its place by now. Lives in
the daemon; knows no process.

A model's path may be a link, such as `voices/ada/live` (`models.promotion`). What it points to is
looked at again and again: a version that is right becomes the current one, and requests made from
then on are counted and answered by it. One that cannot be used leaves the current one as it is.

The files of a directory may be replaced as well, by others of the same names; but they must not be
written over, since the weights that are served are a mapping of their file.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from typing import TYPE_CHECKING

from botdaemon.errors import ModelUnusable
from models import formats, preflight

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from botdaemon.types import ModelCard, Sampling
    from models.formats import Format

log = logging.getLogger(__name__)

_READ = (
    "config.json", "generation_config.json", "format.json", "tokenizer.json",
    "tokenizer_config.json", "chat_template.jinja", "*.safetensors", "*.safetensors.index.json",
)  # fmt: skip
"""The files that a model is loaded from. Others beside them, such as its papers, may change."""


@dataclass(frozen=True, slots=True)
class Version:
    """A model's files at one moment."""

    #: where they really lie
    directory: Path
    #: of each its name, inode, bytes, and time of change in nanoseconds
    files: tuple[tuple[str, int, int, int], ...]
    #: when the link to it was made
    linked: int = field(compare=False)


@dataclass(frozen=True, slots=True, eq=False)
class Edition:
    """A version that can be served."""

    #: grows with each that is made of the same model
    number: int
    version: Version
    format: Format
    card: ModelCard


def version_at(path: Path) -> Version:
    """What lies there now. Raises `ModelUnusable` when nothing does."""
    try:
        linked = path.lstat().st_mtime_ns if path.is_symlink() else 0
        directory = path.resolve(strict=True)
        files = []
        for file in sorted(directory.iterdir()):
            if any(fnmatch(file.name, pattern) for pattern in _READ):
                stat = file.stat()
                files.append((file.name, stat.st_ino, stat.st_size, stat.st_mtime_ns))
    except OSError as error:
        raise ModelUnusable(f"{error.filename} cannot be read: {error.strerror}") from error
    return Version(directory, tuple(files), linked)


class Editions:
    """One text model through its versions. `look` may run in any thread, one at a time; the rest
    belongs to the event loop."""

    def __init__(self, path: Path, preferred: Sampling) -> None:
        """`path`: a directory or a link to one, which `preflight.resolve` has passed. `preferred`:
        what the operator prefers to the model's own defaults. Raises `ModelUnusable`."""
        self._path = path
        self._preferred = preferred
        self._numbers = itertools.count(1)
        self._tried = version_at(path)
        #: what was found the last time; None when nothing was
        self._seen: Version | None = self._tried
        #: what requests are counted and answered by
        self.current = self._edition(self._tried)
        #: the last one of which it is known that it could be loaded
        self.proven = self.current
        self._asked: dict[int, Edition] = {}

    @property
    def pending(self) -> Edition | None:
        """The current one, while it is not known whether it can be loaded."""
        return self.current if self.current is not self.proven else None

    def look(self) -> Edition | None:
        """Another version, to be given to `take`; None when there is none. Raises `ModelUnusable`,
        once, for one whose files are not right."""
        before, self._seen = self._seen, None
        try:
            found = self._seen = version_at(self._path)
        except ModelUnusable:
            if before is None:
                return None
            raise
        if found == self.current.version:
            self._tried = found
        # Promoting a version again makes the link anew, and is a reason to try it again.
        if found == self._tried and found.linked == self._tried.linked:
            return None
        # A link is moved at once, but files take time to be copied: wait until they rest.
        if found.directory == self.current.version.directory and found != before:
            return None
        self._tried = found
        preflight.resolve(str(found.directory), base=found.directory)
        return self._edition(found)

    def take(self, edition: Edition) -> None:
        """Requests made from now on are for this one."""
        self.current = self._asked[edition.number] = edition

    def switched(self, number: int, *, loaded: bool) -> None:
        """The model process has loaded that edition, or goes on with the one before it."""
        edition = self._asked.get(number)
        # Those that were asked for before it were passed over.
        self._asked = {other: e for other, e in self._asked.items() if other > number}
        if edition is not None and loaded:
            self.proven = edition
        elif edition is self.current:
            self.current = self.proven

    def give_up(self) -> None:
        """What is pending is not tried again."""
        self.current = self.proven
        self._asked.clear()

    def _edition(self, version: Version) -> Edition:
        format = formats.load(version.directory)
        wanted = self._preferred.max_tokens or format.card.max_tokens
        card = replace(format.card, max_tokens=min(wanted, format.card.context - 1))
        return Edition(next(self._numbers), version, format, card)


class Lookout:
    """The text models of one model process, each with its editions."""

    def __init__(self, switch: Callable[[str, Edition], None]) -> None:
        """`switch` has the process load an edition of a model, if it runs."""
        self._switch = switch
        self._models: dict[str, Editions] = {}
        self._looking = asyncio.Lock()

    def add(self, name: str, path: Path, preferred: Sampling) -> Editions:
        """See `Editions`."""
        editions = self._models[name] = Editions(path, preferred)
        return editions

    def directories(self) -> dict[str, str]:
        """Of each model that which is known to be good, for a process that begins."""
        return {name: str(e.proven.version.directory) for name, e in self._models.items()}

    def pending(self) -> Iterator[tuple[str, Edition]]:
        """Models, and the editions that they are to be replaced by."""
        for name, editions in self._models.items():
            if edition := editions.pending:
                yield name, edition

    async def watch(self, pause: float) -> None:
        """Look for ever, with so many seconds in between."""
        while True:
            await asyncio.sleep(pause)
            await self.look()

    async def look(self) -> None:
        """See whether a model's path holds another version by now. What the process began is then
        finished by the old one, and requests made after this are counted and answered by the new
        one. A version that cannot be used changes nothing, and is logged once."""
        async with self._looking:
            for name, editions in self._models.items():
                try:
                    edition = await asyncio.to_thread(editions.look)
                except ModelUnusable as error:
                    log_kept(name, str(error))
                    continue
                if edition is not None:
                    editions.take(edition)
                    self._switch(name, edition)

    def switched(self, name: str, number: int, loaded: bool) -> None:
        """The process has loaded an edition, or could not, and has said why."""
        editions = self._models[name]
        editions.switched(number, loaded=loaded)
        if loaded:
            log.info(
                'model "%s" is another version now: %s',
                name,
                editions.proven.version.directory,
                extra={"event": "model.switched", "model": name},
            )

    def give_up(self) -> list[str]:
        """The process has ended. What it was to load by then is not tried again, as that may be
        why; returns the models concerned."""
        given_up = [name for name, _ in self.pending()]
        for name in given_up:
            self._models[name].give_up()
        return given_up


def log_kept(name: str, why: str) -> None:
    """A line of the log: another version cannot be used."""
    extra = {"event": "model.kept", "model": name}
    log.error('model "%s" goes on as it was: %s', name, why, extra=extra)
