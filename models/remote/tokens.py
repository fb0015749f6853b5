"""How many tokens a prompt has: exactly where the server can tell, else an estimate. Writes no
prompt.

vLLM and `models.api` count a conversation at /tokenize. llama.cpp writes the prompt at
/apply-template, then cuts it up at its own /tokenize. Which of them a server is, its first answer
tells.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.remote.servers import Server

# The parts of a text that tokenizers of today do not join: words of Latin letters, runs of blanks,
# and the rest, of which every ASCII character may be a token.
_WORD = re.compile(r"[A-Za-z]+")
_BLANKS = re.compile(r"\s+")
_LETTERS_PER_TOKEN = 3
#: UTF-8 bytes of anything else; a Chinese character has three, an emoji four
_BYTES_PER_TOKEN = 2
#: what a template writes around a message, and around all of them
_MESSAGE, _FRAME = 8, 16
#: seconds; whoever packs a prompt asks several times, and there is the estimate
_PATIENCE = 5.0


def estimate(texts: list[str]) -> int:
    """Tokens of a prompt with these messages, on the safe side: for prose and code at least half as
    much again as the vocabularies of large models need. Only text without any sense, such as
    base64, may need more than this."""
    return _FRAME + sum(_MESSAGE + _of(text) for text in texts)


def _of(text: str) -> int:
    words = _WORD.findall(text)
    letters = sum(map(len, words))
    blanks = _BLANKS.findall(text)
    rest = len(text.encode("utf-8", "replace")) - letters - sum(map(len, blanks))
    ascii_rest = sum(character.isascii() for character in text) - letters
    ascii_rest -= sum(run.isascii() and len(run) for run in blanks)
    tokens = sum(math.ceil(len(word) / _LETTERS_PER_TOKEN) for word in words)
    # A single blank is part of the word after it.
    tokens += sum(1 for run in blanks if run != " ")
    return tokens + ascii_rest + math.ceil((rest - ascii_rest) / _BYTES_PER_TOKEN)


async def exact(server: Server, body: dict[str, Any]) -> int | None:
    """Tokens of the prompt in `body` ("messages" or "prompt"); None when the server cannot say,
    which is remembered. Raises what the client raises."""
    if server.counts == "no":
        return None
    try:
        if server.counts != "llama.cpp":
            said = await _post(server, "/tokenize", body)
            if isinstance(said.get("count"), int):
                server.counts = "vllm"
                return int(said["count"])
            # llama.cpp takes anything, and cuts up the "content" that is not there.
            if server.counts or not isinstance(said.get("tokens"), list):
                server.counts = "no"
                return None
        counted = await _llama(server, body)
    except Exception as error:
        if not _has_none(error):
            raise
        server.counts = "no"
        return None
    server.counts = "llama.cpp" if counted is not None else "no"
    return counted


async def _llama(server: Server, body: dict[str, Any]) -> int | None:
    content = body.get("prompt")
    if content is None:
        content = (await _post(server, "/apply-template", body)).get("prompt")
    asked = {"content": content, "add_special": True, "parse_special": True}
    tokens = (await _post(server, "/tokenize", asked)).get("tokens")
    return len(tokens) if isinstance(content, str) and isinstance(tokens, list) else None


async def _post(server: Server, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Both are beside the protocol's own folder, which is what a server's address names."""
    said = await server.post(server.url.removesuffix("/v1") + path, body, patience=_PATIENCE)
    return said if isinstance(said, dict) else {}


def _has_none(error: Exception) -> bool:
    """Whether the server has no such address, or does not understand what is asked there."""
    return getattr(error, "status_code", 0) in (400, 404, 405, 422, 501)
