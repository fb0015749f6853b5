"""A model hub on loopback for tests, as far as huggingface_hub uses it to look and to fetch. The
real client is its judge.

As there: small files are answered directly with git's blob id as their ETag, large ones (LFS) by a
redirect to a store on another host, which knows ranges; what somebody may not see looks like what
is not there; a gated model shows its files' names to all, and the files to who was let in.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from aiohttp.typedefs import Handler

TOKEN = "hf_letmein"


def git_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def is_large(name: str) -> bool:
    return name.endswith((".safetensors", ".bin", ".gguf"))


@dataclass
class Repo:
    """A repository of models, with all its commits."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    #: branches and tags
    refs: dict[str, str] = field(default_factory=dict)
    gated: bool = False
    private: bool = False

    def commit(self, files: Mapping[str, bytes], ref: str = "main") -> str:
        """Publish these files; returns the commit's id."""
        content = "".join(f"{name} {git_id(files[name])}\n" for name in sorted(files))
        sha = hashlib.sha1(f"{len(self.commits)}{content}".encode()).hexdigest()
        self.commits[sha] = dict(files)
        self.refs[ref] = sha
        return sha


class FakeHub:
    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.url = ""
        #: what was asked: method, path and Range
        self.asked: list[tuple[str, str, str]] = []
        #: how many of the next large answers break off after so many bytes
        self.cuts = 0
        self.cut_after = 1000
        #: how many of the next large answers arrive with another byte in them
        self.damages = 0
        #: the status of every answer, for a hub that is down
        self.down = 0

    def repo(
        self, name: str, files: Mapping[str, bytes], *, gated: bool = False, private: bool = False
    ) -> str:
        """Publish a model; returns the commit's id."""
        self.repos[name] = Repo(gated=gated, private=private)
        return self.repos[name].commit(files)

    @contextmanager
    def serving(self) -> Iterator[FakeHub]:
        """Serve from a thread, since the client blocks."""
        loop = asyncio.new_event_loop()
        runner = loop.run_until_complete(self._start())
        self.url = "http://{}:{}".format(*runner.addresses[0][:2])
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        try:
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    async def _start(self) -> web.AppRunner:
        app = web.Application(middlewares=[self._watch])
        repo = "/{owner}/{name}"
        app.add_routes(
            [
                web.get(f"/api/models{repo}", self._info),
                web.get(f"/api/models{repo}/revision/{{revision}}", self._info),
                web.get(f"/api/models{repo}/auth-check", self._auth_check),
                web.get(f"{repo}/resolve/{{revision}}/{{file:.+}}", self._resolve),
                web.get("/store/{digest}", self._store),
            ]
        )
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    @web.middleware
    async def _watch(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.asked.append((request.method, request.path, request.headers.get("Range", "")))
        if self.down:
            return web.Response(status=self.down, text="<html>down</html>")
        return await handler(request)

    # --- what a client asks ------------------------------------------------------------------

    async def _info(self, request: web.Request) -> web.Response:
        repo = self._find(request)
        commit = self._commit(request, repo)
        siblings = []
        for name, content in repo.commits[commit].items():
            row: dict[str, object] = {"rfilename": name}
            if "blobs" in request.query:
                row |= {"size": len(content), "blobId": git_id(content)}
                if is_large(name):
                    digest = hashlib.sha256(content).hexdigest()
                    row["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 130}
            siblings.append(row)
        return web.json_response(
            {
                "_id": "0",
                "id": self._name(request),
                "modelId": self._name(request),
                "sha": commit,
                "private": repo.private,
                "gated": "auto" if repo.gated else False,
                "disabled": False,
                "downloads": 0,
                "likes": 0,
                "tags": [],
                "siblings": siblings,
                "createdAt": "2026-01-01T00:00:00.000Z",
            }
        )

    async def _auth_check(self, request: web.Request) -> web.Response:
        self._let_in(request, self._find(request))
        return web.json_response({})

    async def _resolve(self, request: web.Request) -> web.Response:
        repo = self._find(request)
        self._let_in(request, repo)
        commit = self._commit(request, repo)
        name = request.match_info["file"]
        content = repo.commits[commit].get(name)
        if content is None:
            raise _refusal(web.HTTPNotFound, "EntryNotFound", "Entry not found")
        headers = {"X-Repo-Commit": commit}
        if not is_large(name):
            headers["ETag"] = f'"{git_id(content)}"'
            return web.Response(body=content, headers=headers)
        digest = hashlib.sha256(content).hexdigest()
        headers |= {"X-Linked-ETag": f'"{digest}"', "X-Linked-Size": str(len(content))}
        headers["Location"] = f"http://localhost:{request.url.port}/store/{digest}"
        return web.Response(status=302, headers=headers)

    async def _store(self, request: web.Request) -> web.StreamResponse:
        digest = request.match_info["digest"]
        content = next(
            content
            for repo in self.repos.values()
            for files in repo.commits.values()
            for content in files.values()
            if hashlib.sha256(content).hexdigest() == digest
        )
        begin = request.http_range.start or 0
        body = content[begin:]
        headers = {"Content-Length": str(len(body)), "ETag": f'"{digest}"'}
        if begin:
            headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        response = web.StreamResponse(status=206 if begin else 200, headers=headers)
        await response.prepare(request)
        if self.damages:
            self.damages -= 1
            body = bytes([body[0] ^ 1]) + body[1:]
        if self.cuts:
            self.cuts -= 1
            await response.write(body[: self.cut_after])
            assert request.transport is not None
            request.transport.close()
            return response
        await response.write(body)
        return response

    # -----------------------------------------------------------------------------------------

    @staticmethod
    def _name(request: web.Request) -> str:
        return "{owner}/{name}".format(**request.match_info)

    def _find(self, request: web.Request) -> Repo:
        repo = self.repos.get(self._name(request))
        if repo is None or (repo.private and not _knows(request)):
            # To strangers it does not say whether there is one.
            kind = web.HTTPNotFound if _knows(request) else web.HTTPUnauthorized
            raise _refusal(kind, "RepoNotFound", "Repository not found")
        return repo

    @staticmethod
    def _commit(request: web.Request, repo: Repo) -> str:
        revision = request.match_info.get("revision", "main")
        commit = repo.refs.get(revision, revision)
        if commit not in repo.commits:
            raise _refusal(web.HTTPNotFound, "RevisionNotFound", f"Invalid rev id: {revision}")
        return commit

    @staticmethod
    def _let_in(request: web.Request, repo: Repo) -> None:
        if repo.gated and not _knows(request):
            raise _refusal(web.HTTPForbidden, "GatedRepo", "Access to model is restricted")


def _knows(request: web.Request) -> bool:
    return request.headers.get("Authorization") == f"Bearer {TOKEN}"


def _refusal(kind: type[web.HTTPException], code: str, message: str) -> web.HTTPException:
    return kind(headers={"X-Error-Code": code, "X-Error-Message": message})
