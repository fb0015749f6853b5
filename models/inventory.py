"""The models on this machine: those of the configuration, and what else lies in the hub's cache;
whether they are whole. Knows no network.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import huggingface_hub
from huggingface_hub import constants, errors

from botdaemon.errors import ModelUnusable, Refused
from models.hub import checksum

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from huggingface_hub import CachedRevisionInfo

    from models.hub import Progress
    from models.ledger import Footprint
    from models.process import ModelSpec

State = Literal["whole", "damaged", "unknown"]

#: SHA-256 of large files, git's blob id of small ones
_CHECKSUM = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A model, configured or not."""

    #: its name in the configuration; empty for one that is only in the cache
    name: str
    #: its directory, or its id on the hub
    source: str
    #: of a hub model, the commit
    revision: str = ""
    #: bytes on disk
    size: int = 0
    #: why it cannot be used; empty when it can
    problem: str = ""
    #: what it was measured to take, or else is estimated to
    footprint: Footprint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One file of a hub model."""

    file: Path
    #: "unknown" for one whose checksum nobody has kept
    state: State


def listing(
    specs: Mapping[str, ModelSpec],
    *,
    base: Path,
    known: Mapping[str, Footprint],
    cache: Path | None = None,
) -> Iterator[Item]:
    """The configured models, then what lies in the cache besides. `base`: where relative paths
    begin; `known`: footprints by the models' names."""
    used: set[Path] = set()
    for name, spec in specs.items():
        directory, problem = None, ""
        try:
            directory = spec.resolve(base)
        except ModelUnusable as error:
            problem = str(error)
        else:
            used.add(directory.resolve())
        yield Item(
            name=name,
            source=spec.path or "espeak-ng",
            revision=spec.revision or "",
            size=_size(directory) if directory else 0,
            problem=problem,
            footprint=known.get(name),
        )
    for repo, revision in _cached(cache):
        if revision.snapshot_path.resolve() not in used:
            yield Item(
                name="",
                source=repo,
                revision=revision.commit_hash,
                size=revision.size_on_disk,
            )


def verify(
    repo: str,
    revision: str | None = None,
    *,
    cache: Path | None = None,
    progress: Progress = lambda _what, _done, _total: None,
) -> Iterator[Finding]:
    """Compare the files of a hub model with their checksums: in the cache each lies under its own,
    so this works without a network, whoever fetched it. Without a revision, all that are there.
    Raises `Refused` for a model that is not in the cache."""
    files = {
        file.file_path: file
        for name, found in _cached(cache)
        if name == repo and (revision is None or revision in (found.commit_hash, *found.refs))
        for file in found.files
    }
    if not files:
        which = f'revision "{revision}" of "{repo}"' if revision else f'"{repo}"'
        raise Refused(
            f"{which} is not in {_place(cache)}, or not whole; fetch it with:"
            f" botdaemon models pull {repo}" + (f" --revision {revision}" if revision else "")
        )
    done, total = 0, sum(file.size_on_disk for file in files.values())
    for path, file in sorted(files.items()):
        progress(f"checking {file.file_name}", done, total)
        wanted = file.blob_path.name
        if not _CHECKSUM.fullmatch(wanted):
            state: State = "unknown"
        else:
            state = "whole" if checksum(path, like=wanted) == wanted else "damaged"
        done += file.size_on_disk
        yield Finding(file=path, state=state)


def _cached(cache: Path | None) -> Iterator[tuple[str, CachedRevisionInfo]]:
    """The models in the cache, each in all its revisions."""
    try:
        found = huggingface_hub.scan_cache_dir(_place(cache))
    except errors.CacheNotFound:
        return
    for repo in sorted(found.repos, key=lambda repo: repo.repo_id):
        if repo.repo_type == "model":
            for revision in sorted(repo.revisions, key=lambda revision: revision.commit_hash):
                yield repo.repo_id, revision


def _place(cache: Path | None) -> Path:
    return cache or Path(constants.HF_HUB_CACHE)


def _size(directory: Path) -> int:
    if directory.is_file():
        return directory.stat().st_size
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
