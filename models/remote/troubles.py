"""What went wrong with a server, in words and with what follows from it. Asks nobody."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from botdaemon.errors import BotdaemonError, EngineDied, EngineFailed, ModelUnusable

#: characters of what a server says that are repeated
_MOST = 300
#: seconds; nobody is believed who wants to be left alone for longer
_LONGEST_REST = 3600.0


class Follows(Enum):
    """What follows from a trouble, and the error that a caller gets when nobody else can be
    asked."""

    REQUEST = "the request is at fault"
    """Every server would refuse it: `EngineFailed`."""
    SERVER = "the server failed"
    """It took the request and did not answer it: `EngineDied`, so the turn is repeated."""
    AWAY = "the server is away"
    """It took nothing, and may be back soon: `ModelUnusable`."""
    MEND = "the server has to be mended"
    """It takes nothing until an operator does something: `ModelUnusable`."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a server did not answer, a sentence without its full stop."""

    text: str
    follows: Follows
    #: seconds after which the server wants to be asked again, if it said so
    after: float | None = None

    def error(self) -> BotdaemonError:
        """What a caller is told when nobody else can be asked."""
        match self.follows:
            case Follows.REQUEST:
                return EngineFailed(self.text)
            case Follows.SERVER:
                return EngineDied(self.text)
            case _:
                return ModelUnusable(self.text)


class NotTheProtocol(ValueError):
    """A server's answer is none: the message says what was wrong with it."""


def explain(error: Exception, *, url: str, model: str, patience: float) -> Trouble | None:
    """What an error of the client means; None for one that has nothing to do with servers.
    `patience`: how long was waited for a sign of life, seconds."""
    import openai

    def trouble(text: str, follows: Follows, after: float | None = None) -> Trouble:
        return Trouble(f"{url} {text}", follows, after)

    match error:
        case openai.APITimeoutError() if _connecting(error):
            return trouble("cannot be reached: it does not take the connection", Follows.AWAY)
        case openai.APITimeoutError():
            return trouble(f"gave no sign of life for {patience:g} s", Follows.SERVER)
        case openai.APIConnectionError() if _connecting(error):
            return trouble(f"cannot be reached: {_cause(error)}", Follows.AWAY)
        case openai.APIConnectionError():
            return trouble(f"broke off its answer: {_cause(error)}", Follows.SERVER)
        case openai.APIStatusError():
            return _refusal(error, url, model)
        case openai.APIError():  # said within the stream
            # As vLLM does: the code is the status that the answer would have had.
            own = str(error.code or "").startswith("4")
            follows = Follows.REQUEST if own else Follows.SERVER
            return trouble(f"failed: {_short(error.message)}", follows)
        case ValueError() | openai.OpenAIError():  # NotTheProtocol, broken JSON, broken UTF-8
            return trouble(f"answered nonsense: {_short(str(error))}", Follows.SERVER)
        case _:
            return None


def _refusal(error: Any, url: str, model: str) -> Trouble:
    status, said = error.status_code, _said(error)
    if status == 429:
        after = _retry_after(error.response.headers.get("retry-after", ""))
        return Trouble(f"{url} has too much to do (429): {said}", Follows.AWAY, after)
    if status in (401, 403):
        text = f"{url} does not accept the key ({status}): {said}; mend the model's token_file"
        return Trouble(text, Follows.MEND)
    if status == 404:
        text = f'{url} has no model "{model}", or not this interface (404): {said}'
        return Trouble(text, Follows.MEND)
    if status == 408 or status >= 500:
        return Trouble(f"{url} failed ({status}): {said}", Follows.SERVER)
    return Trouble(f"{url} refused the request ({status}): {said}", Follows.REQUEST)


def _said(error: Any) -> str:
    """The server's own words, from the JSON that the protocol wants or from anything else."""
    body = error.body
    if isinstance(body, dict):
        # Most servers' {"message"} has been unwrapped by the client; FastAPI's is {"detail"}.
        words = body.get("message") or body.get("detail")
        if isinstance(words, str):
            return _short(words)
    text = error.response.text
    if "<html" in text[:1000].lower():
        return "a web page, so this is probably not a model server"
    return _short(text) or "it did not say why"


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _MOST else f"{text[:_MOST]}…"


def _retry_after(header: str) -> float | None:
    try:
        return min(max(float(header), 0.0), _LONGEST_REST)
    except ValueError:  # absent, or a date, which model servers do not send
        return None


def _connecting(error: BaseException) -> bool:
    """Whether the connection was not even made."""
    import httpx2

    return isinstance(error.__cause__, httpx2.ConnectError | httpx2.ConnectTimeout)


def _cause(error: BaseException) -> str:
    """The words of the system rather than of the libraries above it."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return _short(str(error)) or type(error).__name__
