"""The servers of one model: which is asked, and which is left out for a while. Knows no prompt and
no picture.

The server with the fewest requests under way is asked, and among equals the one that was asked
longest ago. One that fails is left out for a pause, twice as long each time, and comes back when
it answers GET /models again.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from models.lasting import Lasting, beside
from models.remote import troubles
from models.remote.troubles import Follows, NotTheProtocol, Trouble

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from openai import AsyncOpenAI, Omit

    from botdaemon.config import OpenAIConfig
    from botdaemon.errors import BotdaemonError

if importlib.util.find_spec("openai") is None:  # said at the start, though imported later
    raise ModuleNotFoundError("No module named 'openai'", name="openai")

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds for which a server is left out: doubled each time it fails before it has answered."""
CONNECT = 5.0
"""Seconds that making a connection may take."""
LOOK = 10.0
"""Seconds that "are you there" may take."""

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Server:
    """One of them, and what was found out about it."""

    url: str
    client: AsyncOpenAI
    #: sent with every request; without a key, that none be sent, where the client would take the
    #: one in the environment
    headers: dict[str, str | Omit]
    under_way: int = 0
    #: the number of the request it was last asked to answer
    asked: int = 0
    #: why it is left out; None while it is asked
    trouble: Trouble | None = None
    #: set while it is left out
    out: asyncio.Event = field(default_factory=asyncio.Event)
    #: failures since it last answered
    failures: int = 0
    #: what its list of models says of ours
    entry: dict[str, Any] = field(default_factory=dict)
    #: it refuses what is not in OpenAI's own protocol
    plain: bool = False
    #: how it counts tokens: "" unknown, "vllm", "llama.cpp" or "no"
    counts: str = ""

    async def get(self, path: str, *, patience: float) -> Any:
        """The JSON at an address. Raises what the client raises, and `ValueError`."""
        import httpx2

        response = await self.client.get(
            path,
            cast_to=httpx2.Response,
            options={"timeout": patience, "headers": self.headers},
        )
        return response.json()

    async def post(self, path: str, body: dict[str, Any], *, patience: float) -> Any:
        """The JSON that answers a body. Raises likewise."""
        import httpx2

        response = await self.client.post(
            path,
            cast_to=httpx2.Response,
            body=body,
            options={"timeout": patience, "headers": self.headers},
        )
        return response.json()

    async def create(self, create: Any, options: dict[str, Any], extra: dict[str, Any]) -> Any:
        """Ask with the protocol's own `options` and, unless the server refuses them, with `extra`
        ones. Raises what the client raises."""
        import openai

        options = {"extra_headers": self.headers, **options}
        if self.plain or not extra:
            return await create(**options)
        try:
            return await create(**options, extra_body=extra)
        except (openai.BadRequestError, openai.UnprocessableEntityError) as refused:
            answer = await create(**options)  # which tells whether the extras are to blame
            self.plain = True
            log.warning(
                "%s refuses some of %s, so from now on it is asked without them: %s",
                *(self.url, ", ".join(extra), refused.message),
                extra={"event": "server.plain", "server": self.url},
            )
            return answer


class Servers(Lasting):
    """All servers of one model."""

    def __init__(self, name: str, table: OpenAIConfig, key: str | None) -> None:
        self._name = name
        self._table = table
        self._key = key
        #: whoever has somebody to fall back on does not wait for a server to come back
        self._patience = 0.0 if table.fall_back else table.timeout_seconds
        self._servers: list[Server] = []
        self._requests = 0
        #: the clients are made
        self._made = asyncio.Event()
        #: some server is not left out
        self._some = asyncio.Event()

    async def _begin(self, stack: AsyncExitStack) -> None:
        """Begin to look for the servers, without waiting for them."""
        stack.push_async_callback(self._close)
        work = self._find()
        await stack.enter_async_context(beside(work, name=f"the servers of {self._name}"))

    async def _close(self) -> None:
        for server in self._servers:
            await server.client.close()

    @property
    def available(self) -> bool:
        """Whether some server would be asked now; true until it is known better."""
        return self._some.is_set() or not self._made.is_set()

    def entries(self) -> list[dict[str, Any]]:
        """What the servers' lists of models say of ours."""
        return [server.entry for server in self._servers if server.entry]

    async def choose(self) -> Server:
        """The server to ask. Waits for one to come back, as long as for a sign of life, unless
        there is something to fall back on. Raises `ModelUnusable` or `EngineDied`, by what was
        wrong with them."""
        await self._made.wait()
        try:
            async with asyncio.timeout(self._patience):
                while not self._some.is_set():
                    if all(s.trouble and s.trouble.follows is Follows.MEND for s in self._servers):
                        raise self._nobody()
                    await self._some.wait()
        except TimeoutError:
            raise self._nobody() from None
        return min(
            (server for server in self._servers if server.trouble is None),
            key=lambda server: (server.under_way, server.asked),
        )

    async def answered(self, ask: Callable[[Server], AsyncGenerator[T]]) -> AsyncGenerator[T]:
        """What a server answers. While nothing has come of an answer, it is asked for again, of
        whoever is to be asked then; after that, never. Raises `EngineFailed` when the request is
        at fault, `EngineDied` when servers took it and failed, and like `choose`."""
        attempts = 1 + self._table.retries
        while True:
            server = await self.choose()
            self._requests += 1
            server.asked = self._requests
            attempts -= 1
            begun = False
            server.under_way += 1
            try:
                async with aclosing(ask(server)) as answer:
                    async for part in answer:
                        begun = True
                        yield part
                server.failures = 0
                return
            except Exception as error:
                trouble = self.explain(error, server)
                if trouble is None:
                    raise
                if trouble.follows is Follows.REQUEST:
                    raise trouble.error() from error
                self._leave_out(server, trouble)
                if begun or not attempts:
                    raise trouble.error() from error
            finally:
                server.under_way -= 1

    # --- health ----------------------------------------------------------------------------------

    async def _find(self) -> None:
        # In a thread: importing the client takes most of a second.
        self._servers = await asyncio.to_thread(self._clients)
        self._some.set()
        self._made.set()
        async with asyncio.TaskGroup() as group:
            for server in self._servers:
                group.create_task(self._watch(server), name=f"the server {server.url}")

    def _clients(self) -> list[Server]:
        import httpx2
        import openai

        headers = {} if self._key else {"Authorization": openai.Omit()}
        timeout = httpx2.Timeout(self._table.timeout_seconds, connect=CONNECT)
        servers = []
        for url in self._table.servers:
            client = openai.AsyncOpenAI(
                base_url=url, api_key=self._key or "none", timeout=timeout, max_retries=0
            )
            servers.append(Server(url.rstrip("/"), client, dict(headers)))
        return servers

    async def _watch(self, server: Server) -> None:
        """Look whether it is there, now and whenever it is left out."""
        if trouble := await self._look(server):
            self._leave_out(server, trouble)
        while True:
            await server.out.wait()
            await asyncio.sleep(self._pause(server))
            if trouble := await self._look(server):
                server.trouble = trouble
                server.failures += 1
            else:
                self._take_in(server)

    @staticmethod
    def _pause(server: Server) -> float:
        assert server.trouble is not None
        if server.trouble.after is not None:
            return server.trouble.after
        return float(min(FIRST_PAUSE * 2 ** min(server.failures - 1, 10), LONGEST_PAUSE))

    async def _look(self, server: Server) -> Trouble | None:
        try:
            said = await server.get("/models", patience=LOOK)
            entries = said.get("data") if isinstance(said, dict) else None
            if not isinstance(entries, list):
                raise NotTheProtocol("its list of models is none")
        except Exception as error:
            if getattr(error, "status_code", 0) in (404, 405):
                return None  # it has no list, but it is there
            trouble = self.explain(error, server, patience=LOOK)
            if trouble is None:
                raise
            return trouble
        listed = [entry for entry in entries if isinstance(entry, dict)]
        ours = [entry for entry in listed if entry.get("id") == self._table.model]
        server.entry = ours[0] if ours else {}
        lacks = server.trouble is not None and server.trouble.follows is Follows.MEND
        if lacks and not ours:  # some servers answer to any name, so only a refusal counts
            names = ", ".join(str(entry.get("id")) for entry in listed) or "none"
            text = f'{server.url} has no model "{self._table.model}"; its models: {names}'
            return Trouble(text, Follows.MEND)
        return None

    def _leave_out(self, server: Server, trouble: Trouble) -> None:
        if server.trouble is not None:  # by another request that failed with this one
            return
        server.trouble = trouble
        server.failures += 1
        server.out.set()
        if all(other.trouble for other in self._servers):
            self._some.clear()
        log.warning(
            'model "%s": %s; it is left out for %.1f s',
            *(self._name, trouble.text, self._pause(server)),
            extra={"event": "server.left_out", "server": server.url},
        )

    def _take_in(self, server: Server) -> None:
        server.trouble = None
        server.out.clear()
        self._some.set()
        log.info(
            'model "%s": %s is back',
            *(self._name, server.url),
            extra={"event": "server.back", "server": server.url},
        )

    def explain(
        self, error: Exception, server: Server, *, patience: float | None = None
    ) -> Trouble | None:
        """What an error of a server's client means; None for one that is none."""
        return troubles.explain(
            error,
            url=server.url,
            model=self._table.model,
            patience=self._table.timeout_seconds if patience is None else patience,
        )

    def _nobody(self) -> BotdaemonError:
        """Why nobody can be asked. Where one of several failed, the request may be repeated."""
        found = [server.trouble for server in self._servers if server.trouble]
        text = f'no server of the model "{self._name}" answers: '
        text += "; ".join(trouble.text for trouble in found)
        failed = any(trouble.follows is Follows.SERVER for trouble in found)
        return Trouble(text, Follows.SERVER if failed else Follows.AWAY).error()
