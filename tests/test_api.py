"""The service that speaks OpenAI's protocol, over real sockets: what its clients may rely on, the
openai client and our own remote engines among them."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import openai
import pytest
import pytest_asyncio
from easel import CARD, Easel, photo
from model_server import until
from tiny_models import chat_model

from botdaemon.config import OpenAIConfig
from botdaemon.errors import AdapterRefused, ConfigError, EngineDied, EngineFailed, ModelUnusable
from botdaemon.types import (
    ChatLine,
    ImageRequest,
    ModelCard,
    Picture,
    Piece,
    Sampling,
    TextRequest,
)
from models.api import application, serve
from models.api.bodies import LIMIT
from models.echo import EchoEngine
from models.image import metadata
from models.process import ModelProcess, TextSpec
from models.remote import RemoteImageEngine, RemoteTextEngine

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from botdaemon.ports import ImageEngine, TextEngine

ROOT = Path(__file__).resolve().parent.parent
shared = pytest.mark.asyncio(loop_scope="module")


@asynccontextmanager
async def served(
    text: dict[str, TextEngine] | None = None,
    images: dict[str, ImageEngine] | None = None,
    key: str | None = None,
) -> AsyncIterator[str]:
    """The address of a service."""
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    app = application(text or {}, images or {}, key=key)
    task = asyncio.create_task(serve(app, port=0, ready=url.set_result, grace=1))
    try:
        yield await url
    finally:
        task.cancel()
        await asyncio.wait([task])


@asynccontextmanager
async def client(url: str, key: str = "none") -> AsyncIterator[Any]:
    async with openai.AsyncOpenAI(base_url=url, api_key=key, max_retries=0) as there:
        yield there


class Scripted:
    """A text engine that does as it is told: pieces, an error, or waiting for ever."""

    def __init__(self, *script: Piece | Exception | None) -> None:
        self.card = ModelCard(context=100)
        self.requests: list[TextRequest] = []
        self.closed = 0
        self._script = script

    async def count(self, request: TextRequest) -> int:
        return 11

    async def generate(self, request: TextRequest) -> AsyncGenerator[Piece]:
        self.requests.append(request)
        try:
            for step in self._script:
                if isinstance(step, Exception):
                    raise step
                if step is None:
                    await asyncio.Event().wait()
                else:
                    yield step
        finally:
            self.closed += 1


SAID = (Piece(text="Hi", tokens=1, prompt_tokens=5), Piece(text="!", tokens=2, finish="length"))


async def post(url: str, path: str, body: Any, **headers: str) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            url.removesuffix("/v1") + path, data=io.BytesIO(data), headers=headers
        ) as answer,
    ):
        return answer.status, await answer.json()


def chat(**fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}


# --- answers ---------------------------------------------------------------------------------


async def test_a_chat_is_answered_whole_or_as_it_grows() -> None:
    async with served({"m": Scripted(*SAID)}) as url, client(url) as there:
        whole = await there.chat.completions.create(**chat())
        assert whole.choices[0].message.content == "Hi!"
        assert whole.choices[0].finish_reason == "length"
        assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (5, 2)

        stream = await there.chat.completions.create(
            **chat(stream=True, stream_options={"include_usage": True})
        )
        chunks = [chunk async for chunk in stream]
        deltas = [chunk.choices[0].delta for chunk in chunks[:-1]]
        assert [delta.content for delta in deltas] == ["Hi", "!"]
        assert [delta.role for delta in deltas] == ["assistant", None]
        assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [None, "length"]
        assert (chunks[-1].choices, chunks[-1].usage.total_tokens) == ([], 7)
        assert len({chunk.id for chunk in chunks}) == 1


async def test_what_a_client_says_arrives_at_the_engine() -> None:
    engine = Scripted(*SAID)
    async with served({"m": engine}) as url, client(url) as there:
        await there.chat.completions.create(
            model="m",
            messages=[
                {"role": "developer", "content": "Be kind."},
                {"role": "user", "name": "Ada", "content": [{"type": "text", "text": "hi"}]},
                {"role": "assistant", "name": "Bot", "content": "hey"},
                {"role": "user", "name": "Bob", "content": "you?"},
            ],
            temperature=0.5,
            top_p=0.9,
            seed=3,
            stop="END",
            max_completion_tokens=9,
            frequency_penalty=0,
            user="somebody",
            extra_body={"top_k": -1, "min_p": 0.1, "repetition_penalty": 1.1, "whatever": 1},
        )

    (request,) = engine.requests
    assert request.lines == (
        ChatLine(role="system", text="Be kind."),
        ChatLine(role="user", name="Ada", text="hi"),
        ChatLine(role="assistant", name="Bot", text="hey"),
        ChatLine(role="user", name="Bob", text="you?"),
    )
    assert (request.model, request.speaker, request.stop) == ("m", "Bot", ("END",))
    assert request.sampling == Sampling(
        temperature=0.5,
        top_p=0.9,
        top_k=0,
        min_p=0.1,
        repetition_penalty=1.1,
        max_tokens=9,
        seed=3,
    )


async def test_several_answers_are_several_requests_with_seeds_of_their_own() -> None:
    engine = Scripted(*SAID)
    async with served({"m": engine}) as url, client(url) as there:
        whole = await there.chat.completions.create(**chat(n=3, seed=5))
        stream = await there.completions.create(model="m", prompt="hi", n=2, stream=True)
        chunks = [chunk async for chunk in stream]

    assert [choice.index for choice in whole.choices] == [0, 1, 2]
    assert [choice.message.content for choice in whole.choices] == ["Hi!"] * 3
    assert whole.usage.completion_tokens == 6
    assert sorted(r.sampling.seed or 0 for r in engine.requests[:3]) == [5, 6, 7]
    assert sorted(chunk.choices[0].index for chunk in chunks) == [0, 0, 1, 1]


async def test_a_completion_is_answered_as_what_a_user_says() -> None:
    async with served({"m": EchoEngine()}) as url, client(url) as there:
        answer = await there.completions.create(model="m", prompt="one two")
        assert (answer.choices[0].text, answer.choices[0].finish_reason) == ("one two", "stop")


async def test_models_are_listed_and_tokens_counted() -> None:
    engines: dict[str, TextEngine] = {"org/m": Scripted(), "org/m:ada": Scripted()}
    async with served(engines, {"p": Easel()}) as url, client(url) as there:
        listed = [model.id async for model in there.models.list()]
        assert listed == ["org/m", "org/m:ada", "p"]
        assert (await there.models.retrieve("org/m:ada")).max_model_len == 100
        for asked in ({"prompt": "hi"}, {"messages": chat()["messages"], "model": "org/m"}):
            assert await post(url, "/tokenize", asked) == (200, {"count": 11, "max_model_len": 100})


# --- clients that are wrong, or gone ---------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/v1/chat/completions", b"{", 400, "not valid JSON"),
        ("/v1/chat/completions", b"[" * 200_000, 400, "nested too deeply"),
        ("/v1/chat/completions", [], 400, "dict"),
        ("/v1/chat/completions", {"model": "m"}, 400, "messages: Field required"),
        ("/v1/chat/completions", chat(model="x"), 404, 'no model "x" for this; there are: m'),
        ("/v1/chat/completions", chat(model="p"), 404, 'no model "p" for this; there are: m'),
        ("/v1/chat/completions", chat(n=99), 400, "n: Input should be less than"),
        ("/v1/chat/completions", chat(temperature="hot"), 400, "temperature: "),
        ("/v1/chat/completions", chat(tools=[{}]), 400, '"tools" is not done here'),
        ("/v1/chat/completions", chat(logprobs=True), 400, '"logprobs" is not done here'),
        ("/v1/chat/completions", chat(presence_penalty=1), 400, '"presence_penalty" is not'),
        (
            "/v1/chat/completions",
            chat(messages=[{"role": "tool", "content": "x"}]),
            400,
            'messages.0.role: there is no role "tool" here',
        ),
        (
            "/v1/chat/completions",
            chat(messages=[{"role": "user", "content": [{"type": "image_url"}]}]),
            400,
            'only text can be read here, not "image_url"',
        ),
        ("/v1/completions", {"model": "m", "prompt": [1, 2]}, 400, "prompt: "),
        ("/tokenize", {}, 400, "either messages or a prompt"),
        ("/v1/images/generations", {"model": "p", "prompt": "x", "size": "big"}, 400, "512x512"),
        ("/v1/images/generations", {"model": "p", "prompt": "x", "stream": True}, 400, "stream"),
        ("/v1/images/edits", {"model": "p"}, 400, "sent as a form"),
        ("/v1/embeddings", {}, 404, "nothing at /v1/embeddings"),
        ("/v1/models", {}, 405, "POST is not possible at /v1/models"),
        ("/v1/chat/completions", b" " * (LIMIT + 1), 413, "larger than the 32 MiB"),
    ],
)
async def test_a_wrong_request_is_answered_with_one_sentence(
    path: str, body: Any, status: int, words: str
) -> None:
    async with served({"m": Scripted(*SAID)}, {"p": Easel()}) as url:
        answer = await post(url, path, body)

    assert answer[0] == status
    assert words in answer[1]["error"]["message"]
    assert answer[1]["error"]["type"] == "invalid_request_error"
    assert "\n" not in answer[1]["error"]["message"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (EngineFailed("the prompt is too long"), 400),
        (EngineDied("the process died"), 503),
        (ModelUnusable("its file is broken"), 500),
        (RuntimeError("a secret detail"), 500),
    ],
)
async def test_an_engines_error_is_told_with_the_status_that_says_what_to_do(
    error: Exception, status: int
) -> None:
    async with served({"m": Scripted(error), "late": Scripted(SAID[0], error)}) as url:
        for stream in (False, True):
            found, said = await post(url, "/v1/chat/completions", chat(stream=stream))
            assert found == status
            assert ("secret" in str(error)) == (str(error) != said["error"]["message"])
        if isinstance(error, RuntimeError):
            return
        async with client(url) as there:
            late = await there.chat.completions.create(**chat(model="late", stream=True))
            said = []
            with pytest.raises(openai.APIError, match=str(error)) as raised:
                said += [chunk async for chunk in late]
            assert raised.value.code == str(status)


async def test_a_client_that_goes_away_takes_its_request_with_it() -> None:
    slow, begun = Scripted(None), Scripted(SAID[0], None)
    async with served({"slow": slow, "begun": begun}) as url, client(url) as there:
        for stream in (False, True):
            asking = asyncio.create_task(
                there.chat.completions.create(**chat(model="slow", stream=stream))
            )
            await until(lambda: len(slow.requests) > slow.closed)
            asking.cancel()
            await until(lambda: len(slow.requests) == slow.closed)

        answer = await there.chat.completions.create(**chat(model="begun", stream=True))
        assert (await anext(answer)).choices[0].delta.content == "Hi"
        await answer.close()
        await until(lambda: begun.closed == 1)


async def test_whoever_does_not_know_the_key_is_told_nothing_but_that_it_lives() -> None:
    async with served({"m": Scripted(*SAID)}, key="secret") as url:
        for key in ("", "wrong", "secrets"):
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            status, said = await post(url, "/v1/chat/completions", chat(), **headers)
            assert (status, said["error"]["code"]) == (401, "invalid_api_key")
            assert (await post(url, "/nothing", {}, **headers))[0] == 401
        async with client(url, "secret") as there:
            assert (await there.chat.completions.create(**chat())).choices
        health = url.removesuffix("/v1") + "/health"
        async with aiohttp.ClientSession() as session, session.get(health) as answer:
            assert answer.status == 200


# --- pictures --------------------------------------------------------------------------------


async def test_pictures_are_drawn_as_they_are_asked_for() -> None:
    easel = Easel(unsafe=False, notes=("a note",))
    async with served(images={"p": easel}) as url, client(url) as there:
        answer = await there.images.generate(
            model="p",
            prompt="a cat",
            n=2,
            size="32x48",
            response_format="b64_json",
            extra_body={"seed": 5, "num_inference_steps": 2, "negative_prompt": "dogs"},
        )

    drawn = [metadata.read(base64.b64decode(picture.b64_json)) for picture in answer.data]
    assert [(d.seed, d.steps, d.width, d.height, d.negative) for d in drawn if d] == [
        (5, 2, 32, 48, "dogs"),
        (6, 2, 32, 48, "dogs"),
    ]
    assert (answer.data[0].unsafe, answer.data[0].notes) == (False, ["a note"])


async def test_a_form_with_a_picture_begins_with_it() -> None:
    easel = Easel()
    async with served(images={"p": easel}) as url, client(url) as there:
        await there.images.edit(
            model="p", prompt="ä hat", image=io.BytesIO(photo()), extra_body={"strength": 0.25}
        )
        with pytest.raises(openai.BadRequestError, match="send one picture, not 2"):
            await there.images.edit(model="p", prompt="x", image=[photo(), photo()])

    (request,) = easel.requests
    assert (request.source, request.prompt, request.strength) == (photo(), "ä hat", 0.25)


# --- our own engines at the other end --------------------------------------------------------


def table(url: str, **options: Any) -> OpenAIConfig:
    return OpenAIConfig.model_validate(
        {"kind": "openai", "servers": [url], "model": "tiny", **options}
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def process() -> AsyncIterator[ModelProcess]:
    """One for all tests, since importing torch takes seconds."""
    async with ModelProcess(
        name="cpu", models={"tiny": TextSpec(path=str(chat_model()))}
    ) as started:
        yield started


async def whole(engine: TextEngine, request: TextRequest) -> tuple[str, Piece]:
    async with aclosing(engine.generate(request)) as generating:
        pieces = [piece async for piece in generating]
    return "".join(piece.text for piece in pieces), pieces[-1]


@shared
async def test_a_model_says_the_same_through_the_service(process: ModelProcess) -> None:
    local = process.text("tiny")
    choices: tuple[tuple[str, dict[str, Any]], ...] = (
        ("hello", {"temperature": 0.0}),
        ("how are you?", {"temperature": 0.9, "seed": 7, "top_k": 20, "no_repeat_ngram": 3}),
        ("good night", {"temperature": 0.0, "repetition_penalty": 1.5}),
    )
    async with (
        served({"tiny": local}, key="k") as url,
        RemoteTextEngine("far", table(url, context=1000), "k") as far,
    ):
        await until(lambda: far.card.context == local.card.context)
        for text, options in choices:
            request = TextRequest(
                model="",
                speaker="Bot",
                lines=(
                    ChatLine(role="system", text="Be kind."),
                    ChatLine(role="user", text=text, name="Ada"),
                ),
                sampling=Sampling(max_tokens=30, **options),
                stop=("\nAda:",),
            )
            here, there = await whole(local, request), await whole(far, request)

            assert there[0] == here[0].lstrip()
            assert there[0]
            assert (there[1].tokens, there[1].prompt_tokens) == (
                here[1].tokens,
                here[1].prompt_tokens,
            )
            assert await far.count(request) == await local.count(request)


@shared
async def test_a_prompt_that_is_too_long_is_refused_through_the_service(
    process: ModelProcess,
) -> None:
    request = TextRequest(
        model="", speaker="Bot", lines=(ChatLine(role="user", text="hello " * 500),)
    )
    async with (
        served({"tiny": process.text("tiny")}) as url,
        RemoteTextEngine("far", table(url), None) as far,
    ):
        with pytest.raises(EngineFailed, match="the prompt has"):
            await whole(far, request)


async def test_an_image_model_is_the_same_through_the_service() -> None:
    easel = Easel(unsafe=True, notes=("a note",))
    request = ImageRequest(model="", prompt="a cat", seed=5, source=photo(), strength=0.5)
    async with (
        served(images={"tiny": easel}) as url,
        RemoteImageEngine("far", table(url, api="images"), None) as far,
    ):
        await until(lambda: far.card == CARD)
        async with aclosing(far.draw(request)) as drawing:
            (picture,) = [drawn async for drawn in drawing if isinstance(drawn, Picture)]

    assert (picture.unsafe, picture.notes) == (True, ("a note",))
    assert (picture.request.seed, picture.request.width) == (5, 40)
    assert picture.request.source == photo()


# --- the server ------------------------------------------------------------------------------


async def test_others_are_served_with_a_key_only() -> None:
    with pytest.raises(ConfigError, match="needs a key"):
        await serve(application({}, {}), "0.0.0.0", 0)


async def test_an_address_that_is_taken_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AdapterRefused, match=f"cannot listen on 127.0.0.1:{port}"):
            await serve(application({}, {}), port=port)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_service_and_not_what_comes_after_it(number: int) -> None:
    code = """
import asyncio
from models.api import application, serve
from models.echo import EchoEngine

async def main():
    app = application({"m": EchoEngine()}, {})
    await serve(app, port=0, ready=lambda url: print(url, flush=True))
    print("closed", flush=True)

asyncio.run(main())
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline().startswith("http://127.0.0.1:")
        os.kill(child.pid, number)
        assert child.stdout.read() == "closed\n"
    assert child.returncode == 0


def test_the_service_imports_no_model_library() -> None:
    code = (
        "import sys, models.api; print([n for n in ('torch', 'openai', 'ray') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
