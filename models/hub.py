"""Fetches models from the hub: looks what there is, fetches what an engine needs of it, and checks
it. The only module that uses the network for models, and only when it is asked to; everything else
runs with HF_HUB_OFFLINE.

    hub = Hub()
    offer = hub.offer("owner/name")          # sizes, before anything is fetched
    directory = hub.fetch(offer, progress)
"""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import huggingface_hub
from huggingface_hub import constants, errors
from rich.filesize import decimal

from botdaemon.errors import Refused
from models.hub_files import Choice, choose

if TYPE_CHECKING:
    from collections.abc import Iterator

_BLOCK = 2**20
#: kept free on the disk
_SPARE = 200 * 10**6

Progress = Callable[[str, int, int], None]
"""Told what is being done, and bytes done of bytes in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """A file of a repository."""

    name: str
    #: bytes
    size: int
    #: SHA-256 of a large file, git's blob id of a small one, hexadecimal
    checksum: str
    #: it is on this machine already
    there: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What would be fetched."""

    repo: str
    #: the commit that the revision stands for now
    commit: str
    files: tuple[RemoteFile, ...]
    choice: Choice

    @property
    def size(self) -> int:
        """Bytes, all in all."""
        return sum(file.size for file in self.files)

    @property
    def missing(self) -> int:
        """Bytes that are not on this machine yet."""
        return sum(file.size for file in self.files if not file.there)


class Hub:
    """The hub, and the cache on this machine that all programs share."""

    def __init__(self, *, endpoint: str | None = None, cache: Path | None = None) -> None:
        self._endpoint = endpoint or constants.ENDPOINT
        self._cache = cache or Path(constants.HF_HUB_CACHE)
        self._api = huggingface_hub.HfApi(endpoint=self._endpoint)

    def offer(self, repo: str, revision: str | None = None, variant: str = "") -> Offer:
        """Look at a model there. `variant`: the form of its weights ("fp16"), where there are
        several. Raises `Refused`, or `ModelUnusable` for what no engine could load."""
        with self._online(repo, revision):
            info = self._api.model_info(repo, revision=revision, files_metadata=True, timeout=20)
            if info.gated:
                self._api.auth_check(repo)
            commit = str(info.sha)
            remote = {
                sibling.rfilename: RemoteFile(
                    name=sibling.rfilename,
                    size=sibling.size or 0,
                    checksum=sibling.lfs.sha256 if sibling.lfs else str(sibling.blob_id),
                    there=self._is_there(repo, commit, sibling.rfilename),
                )
                for sibling in info.siblings or ()
            }
            parts = None
            if "model_index.json" in remote:
                index = self._download(repo, commit, "model_index.json", lambda _: None)
                parts = json.loads(index.read_bytes())
        choice = choose(repo, remote, parts, variant)
        files = tuple(remote[name] for name in dict.fromkeys(choice.names))
        return Offer(repo=repo, commit=commit, files=files, choice=choice)

    def fetch(self, offer: Offer, progress: Progress) -> Path:
        """Fetch what is missing, and check all of it against the hub's checksums; what is damaged
        is fetched anew. Files that are whole stay when it is interrupted, so that the next attempt
        goes on from there. Returns the model's directory. Raises `Refused`."""
        self._room(offer)
        done = 0
        with self._online(offer.repo, offer.commit):
            for file in offer.files:
                self._file(offer, file, done, progress)
                done += file.size
        snapshots = self._cache / _folder(offer.repo) / "snapshots"
        return snapshots / offer.commit

    def _file(self, offer: Offer, file: RemoteFile, done: int, progress: Progress) -> None:
        """One file, twice if it arrives damaged."""
        for _ in range(2):
            here = done

            def more(count: int) -> None:
                nonlocal here
                here += count
                progress(f"fetching {file.name}", here, offer.size)

            path = self._download(offer.repo, offer.commit, file.name, more)
            progress(f"checking {file.name}", done + file.size, offer.size)
            if checksum(path, like=file.checksum) == file.checksum:
                return
            path.resolve().unlink()
            path.unlink(missing_ok=True)
        raise Refused(
            f'{file.name} of "{offer.repo}" does not arrive as the hub says it is (its checksum'
            " differs, twice); what is between here and the hub changes files"
        )

    def _room(self, offer: Offer) -> None:
        place = next(path for path in (self._cache, *self._cache.parents) if path.exists())
        free = shutil.disk_usage(place).free
        if offer.missing + _SPARE > free:
            raise Refused(
                f'"{offer.repo}" needs {decimal(offer.missing)} on the disk of {self._cache}, which'
                f" has {decimal(free)} free; make room, or put the cache elsewhere with HF_HOME"
            )

    def _is_there(self, repo: str, commit: str, name: str) -> bool:
        found = huggingface_hub.try_to_load_from_cache(
            repo, name, cache_dir=self._cache, revision=commit
        )
        return isinstance(found, str)

    def _download(self, repo: str, commit: str, name: str, more: Callable[[int], None]) -> Path:
        """One by one, and not as a snapshot: of that the library remembers that it should have all
        files of the repository, and calls it incomplete ever after."""

        class Bar(_Bar):
            def update(self, count: float | None = 1) -> None:
                more(int(count or 0))

        return Path(
            huggingface_hub.hf_hub_download(
                repo,
                name,
                revision=commit,
                cache_dir=self._cache,
                endpoint=self._endpoint,
                tqdm_class=Bar,
            )
        )

    @contextmanager
    def _online(self, repo: str, revision: str | None) -> Iterator[None]:
        """Let the library use the network, and say in words what went wrong."""
        before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, False
        try:
            yield
        except (OSError, httpx2.HTTPError, errors.HFValidationError) as error:
            raise Refused(self._words(repo, revision, error)) from error
        finally:
            constants.HF_HUB_OFFLINE = before

    def _words(self, repo: str, revision: str | None, error: BaseException) -> str:
        # What it says when it did not find out whether the file in the cache is the newest.
        while isinstance(error, errors.LocalEntryNotFoundError) and error.__cause__:
            error = error.__cause__
        match error:
            case errors.HFValidationError():
                return f'"{repo}" is no id of a hub model, which looks like OWNER/NAME'
            case errors.GatedRepoError():
                return (
                    f'"{repo}" is gated: accept its conditions at {self._endpoint}/{repo}, then'
                    " log in with: hf auth login"
                )
            case errors.RepositoryNotFoundError():
                return (
                    f'there is no model "{repo}" at {self._endpoint}, or it is private; for a'
                    " private one log in with: hf auth login"
                )
            case errors.RevisionNotFoundError():
                return f'"{repo}" has no revision "{revision}"'
            case httpx2.ConnectError() | httpx2.ConnectTimeout():
                return f"{self._endpoint} cannot be reached ({error}); is there a network?"
            case errors.HfHubHTTPError():
                return f"{self._endpoint} answered: {error.response.status_code}; try again later"
            case httpx2.HTTPError():
                return (
                    f"the connection to {self._endpoint} broke off ({error}); what has arrived is"
                    " kept: run the same command again"
                )
            case OSError(errno=errno.ENOSPC):
                return f"the disk of {self._cache} is full; make room and run the same again"
            case OSError(filename=str()):
                return f"{error.filename} cannot be written: {error.strerror}"
        return f'"{repo}" could not be fetched: {error}'


class _Bar:
    """What huggingface_hub calls on a progress bar of tqdm; `update` counts bytes written, and
    `update_transfer` those on the way, where it knows the difference."""

    total: int | None = None

    def __init__(self, *args: object, **options: object) -> None:
        pass

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def update_transfer(self, count: float | None = 1) -> None:
        pass

    def set_postfix_str(self, text: str, refresh: bool = True) -> None:
        pass

    def set_transfer_postfix_str(self, text: str, refresh: bool = True) -> None:
        pass


def checksum(path: Path, *, like: str) -> str:
    """SHA-256 of the content, or git's id of the blob (SHA-1 over a header and the content,
    https://git-scm.com/book/en/v2/Git-Internals-Git-Objects), whichever `like` is."""
    digest = hashlib.sha256() if len(like) == 64 else hashlib.sha1(usedforsecurity=False)
    if len(like) != 64:
        digest.update(b"blob %d\0" % path.stat().st_size)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _folder(repo: str) -> str:
    return "--".join(("models", *repo.split("/")))
