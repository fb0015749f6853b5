"""A text model on servers that speak OpenAI's protocol, streamed. Knows no server's health."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from botdaemon.types import ModelCard, Piece
from models import formats
from models.remote import messages, tokens
from models.remote.engine import RemoteEngine
from models.remote.troubles import NotTheProtocol
from models.replies import StopFilter

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from botdaemon.config import OpenAIConfig
    from botdaemon.types import Sampling, TextRequest
    from models.remote.servers import Server

_MAX_TOKENS = 512
#: stop strings that OpenAI's own servers take; further ones are watched for here alone
_STOPS = 4


class RemoteTextEngine(RemoteEngine):
    """A `TextEngine`.

    `generate` raises `EngineFailed` for a request that is refused; `EngineDied` when servers took
    it and failed (an error of theirs, silence, nonsense, or half an answer, which is never begun
    again); `ModelUnusable` when none takes it: away, too busy, the wrong key, or without the model.
    """

    def __init__(self, name: str, table: OpenAIConfig, key: str | None) -> None:
        super().__init__(name, table, key)
        self._preferred = table.sampling.chosen()
        # Whatever continues plain text has to be shown who speaks.
        self._names: Literal["rooms", "always"] = "rooms" if table.api == "chat" else "always"

    @property
    def card(self) -> ModelCard:
        """Its context is the operator's, or what the smallest server says it has."""
        said = [entry.get("max_model_len") for entry in self._servers.entries()]
        limits = [limit for limit in said if isinstance(limit, int) and limit > 1]
        context = min([self._table.context, *limits])
        wanted = self._preferred.max_tokens or min(_MAX_TOKENS, context // 4)
        return ModelCard(context=context, names=self._names, max_tokens=min(wanted, context - 1))

    async def count(self, request: TextRequest) -> int:
        """Exact where a server can tell; else an estimate on the safe side (`tokens.estimate`).
        Raises like `generate` when there is no server to ask."""
        prompt = self._prompt(request)
        server = await self._servers.choose()
        body = {"model": self._table.model, **prompt}
        if "messages" in prompt:
            body |= {"add_generation_prompt": True, **_BRIEF}
        try:
            counted = await tokens.exact(server, body)
        except Exception as error:
            if self._servers.explain(error, server) is None:
                raise
            counted = None  # what is wrong with the server, generating will tell
        if counted is not None:
            return counted
        written = prompt.get("messages") or [{"content": prompt["prompt"]}]
        return tokens.estimate([message["content"] for message in written])

    async def generate(self, request: TextRequest) -> AsyncGenerator[Piece]:
        prompt = self._prompt(request)
        sampling = formats.merge(request.sampling, self._preferred)
        stops = (*request.stop, "\n") if self._table.api == "completions" else request.stop

        def ask(server: Server) -> AsyncGenerator[Piece]:
            return self._ask(server, prompt, sampling, stops)

        async with aclosing(self._servers.answered(ask)) as pieces:
            async for piece in pieces:
                yield piece

    def _prompt(self, request: TextRequest) -> dict[str, Any]:
        if self._table.api == "chat":
            return {"messages": messages.chat(request, self._names)}
        return {"prompt": messages.prompt(request, self._names)}

    async def _ask(
        self, server: Server, prompt: dict[str, Any], sampling: Sampling, stops: tuple[str, ...]
    ) -> AsyncGenerator[Piece]:
        """The answer of one server. Closing it closes the connection, which is how a server is
        told that nobody wants the rest."""
        filter = StopFilter(stops)
        begun, finish, count, prompt_tokens = False, "", 0, 0
        async with await self._open(server, prompt, sampling, stops) as stream:
            async for chunk in stream:
                part = _part(chunk)
                count = part.tokens or count + bool(part.text)
                prompt_tokens = part.prompt_tokens or prompt_tokens
                finish = part.finish or finish
                text = part.text if begun else part.text.lstrip()
                begun = begun or bool(text)
                text = filter.push(text)
                if filter.stopped:
                    finish = "stop"
                    break
                if text:
                    yield Piece(text=text, tokens=count, prompt_tokens=prompt_tokens)
        if not finish:
            raise NotTheProtocol("it ended without saying that this was the end")
        yield Piece(
            text=text if filter.stopped else filter.flush(),
            tokens=count,
            prompt_tokens=prompt_tokens,
            finish="length" if finish == "length" else "stop",
        )

    async def _open(
        self, server: Server, prompt: dict[str, Any], sampling: Sampling, stops: tuple[str, ...]
    ) -> Any:
        # A line break may come before the answer; only here is that known.
        told = [stop for stop in stops if stop.strip()]
        known = {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens or self.card.max_tokens,
            "seed": sampling.seed,
            "stop": told[:_STOPS] or None,
        }
        further = {
            "top_k": sampling.top_k,
            "min_p": sampling.min_p,
            "repetition_penalty": sampling.repetition_penalty,
            "repeat_penalty": sampling.repetition_penalty,  # as llama.cpp calls it
            "no_repeat_ngram_size": sampling.no_repeat_ngram,
            "stream_options": {"include_usage": True},
        }
        create: Any = server.client.completions.create
        if "messages" in prompt:
            create = server.client.chat.completions.create
            further |= _BRIEF
        options = {"model": self._table.model, "stream": True, **prompt}
        return await server.create(create, options | _given(known), _given(further))


#: Bots answer at once: reasoning models that can do without thinking aloud are told so.
_BRIEF = {"chat_template_kwargs": {"enable_thinking": False}}


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if value is not None}


@dataclass(frozen=True, slots=True)
class _Part:
    """What one chunk of a stream says."""

    text: str = ""
    finish: str = ""
    tokens: int = 0
    prompt_tokens: int = 0


def _part(chunk: Any) -> _Part:
    """The client checks no types, so a chunk may be anything. Raises `NotTheProtocol`."""
    choices = getattr(chunk, "choices", None)
    if not isinstance(choices, list):
        raise NotTheProtocol("a part of its answer has no choices")
    usage = getattr(chunk, "usage", None)
    tokens, prompt_tokens = (
        count if isinstance(count, int) else 0
        for count in (
            getattr(usage, "completion_tokens", 0),
            getattr(usage, "prompt_tokens", 0),
        )
    )
    if not choices:  # as the chunk with the usage
        return _Part(tokens=tokens, prompt_tokens=prompt_tokens)
    choice = choices[0]
    # A completion has its text there, a chat in the delta.
    text = getattr(getattr(choice, "delta", choice), "content", None)
    text = getattr(choice, "text", text)
    finish = getattr(choice, "finish_reason", None)
    if not isinstance(text, str | None) or not isinstance(finish, str | None):
        raise NotTheProtocol("a part of its answer has no text")
    return _Part(text or "", finish or "", tokens, prompt_tokens)
