"""A conversation in the terms of OpenAI's protocol. Knows no server.

What `models.prompts` does for a template at hand is done here for one that nobody has seen: the
system lines come first, then roles that alternate beginning with a user, since many templates
refuse anything else. Names are put before the text, because templates ignore the protocol's own
field for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from models import prompts

if TYPE_CHECKING:
    from botdaemon.types import TextRequest

Message = dict[str, str]

# The server's tokens are not known, so the openings of all usual kinds are taken apart.
_QUOTE = prompts.Quoter(
    [
        *("<|", "|>", "<\uff5c", "<s>", "</s>", "<bos>", "<eos>", "<think>", "</think>"),
        *("<start_of_turn>", "<end_of_turn>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>"),
    ]
)
#: opens a conversation whose beginning was cut off before an answer
_OPENING = "…"


def chat(request: TextRequest, names: prompts.Names) -> list[Message]:
    """For /chat/completions."""
    named = prompts.names_apply(names, request.lines)
    messages = prompts.alternating(request, _QUOTE, named=named)
    if not messages or messages[0]["role"] != "user":
        messages.insert(0, {"role": "user", "content": _OPENING})
    if system := prompts.system_text(request, _QUOTE):
        messages.insert(0, {"role": "system", "content": system})
    return [{**message, "content": _plain(message["content"])} for message in messages]


def prompt(request: TextRequest, names: prompts.Names) -> str:
    """For /completions: `Name: text` for each line, then the speaker's name."""
    return _plain(prompts.speakers(_QUOTE, names)(request))


def _plain(text: str) -> str:
    return text.replace(prompts.BREAK, " ")
