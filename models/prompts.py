"""Writes the text of a prompt in each of the three formats. Knows no tokenizer and no files.

Whatever people typed goes through a `Quoter` first, so that it can never pass for markup.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from botdaemon.errors import EngineFailed, ModelUnusable
from botdaemon.types import ChatLine, TextRequest

if TYPE_CHECKING:
    import jinja2

Names = Literal["never", "rooms", "always"]
Writer = Callable[[TextRequest], str]

BREAK = "\U000f0000"
"""A private-use character put inside a control token that somebody typed. The prompt is tokenised
piece by piece between the breaks, so no piece holds the token, and people cannot type it."""


class Quoter:
    """Makes typed text safe to stand in a prompt: a typed `<|end|>` stays six characters."""

    def __init__(self, control_tokens: Iterable[str]) -> None:
        longest_first = sorted((t for t in control_tokens if len(t) > 1), key=len, reverse=True)
        # Without regard to case, because some tokenizers lower text before they look for tokens.
        self._control = re.compile(
            "|".join(map(re.escape, longest_first)) or r"(?!)", re.IGNORECASE
        )

    def __call__(self, text: str) -> str:
        text = text.replace(BREAK, "").encode("utf-8", "replace").decode()
        return self._control.sub(lambda token: token[0][0] + BREAK + token[0][1:], text)

    def name(self, name: str) -> str:
        """On one line and without a colon, or a display name could pass for somebody's line."""
        return self(" ".join(name.replace(":", " ").split()))


def names_apply(names: Names, lines: Iterable[ChatLine]) -> bool:
    if names == "rooms":
        return len({line.name for line in lines if line.role == "user" and line.name}) > 1
    return names == "always"


def system_text(request: TextRequest, quote: Quoter) -> str:
    texts = (quote(line.text).strip() for line in request.lines if line.role == "system")
    return "\n\n".join(filter(None, texts))


# --- speaker tags ----------------------------------------------------------------------------


def speakers(quote: Quoter, names: Names) -> Writer:
    """The system text, a blank line, and a line `Name: text` for each line of what was said."""

    def write(request: TextRequest) -> str:
        named = names_apply(names, request.lines)
        system = system_text(request, quote)
        said = [system, ""] if system else []
        for line in request.lines:
            if line.role == "system":
                continue
            if line.role == "assistant":
                name = line.name or request.speaker
            else:
                name = (line.name if named else "") or "User"
            # A line break in a text must not let its author start a line in another's name.
            said += [
                f"{quote.name(name)}: {text}"
                for text in quote(line.text).splitlines()
                if text.strip()
            ]
        said.append(f"{quote.name(request.speaker)}:")
        return "\n".join(said)

    return write


# --- Reddit-style tags -----------------------------------------------------------------------


def reddit(quote: Quoter, names: Names) -> Writer:
    """A submission and its replies. The tags have no place for system text or for names."""
    del names

    def said(text: str) -> str:
        # Many of these models learned the tags as plain text, so a typed tag must be altered.
        return quote(text.strip().replace("<|", "< |"))

    def write(request: TextRequest) -> str:
        first, *replies = [line.text for line in request.lines if line.role != "system"] or [""]
        title, text = request.title, first
        if not title:
            title, _, text = first.strip().partition("\n")
        room = re.sub(r"[^\w-]+", "_", request.room).strip("_")
        submission = "<|soss r/" + room + "|>" if room else "<|soss|>"
        submission += f"<|sot|>{said(title)}<|eot|><|sost|>{said(text)}<|eost|>"
        return submission + "".join(f"<|sor|>{said(reply)}<|eor|>" for reply in replies) + "<|sor|>"

    return write


# --- chat templates --------------------------------------------------------------------------


def chat(
    quote: Quoter, names: Names, template: str, tokens: Mapping[str, str], where: str
) -> Writer:
    """The tokenizer's own chat template. `tokens` are `bos_token` and its like."""
    import jinja2

    def render(messages: list[dict[str, str]]) -> str:
        # Bots answer at once: reasoning models that can do without thinking aloud are told so.
        return compiled.render(
            messages=messages, add_generation_prompt=True, enable_thinking=False, **tokens
        )

    def accepts(*roles: str) -> bool:
        try:
            render([{"role": role, "content": "x"} for role in roles])
        except jinja2.TemplateError:
            return False
        return True

    try:
        compiled = _environment().from_string(template)
        render([{"role": "user", "content": "x"}])
    except jinja2.TemplateSyntaxError as error:
        raise ModelUnusable(f"{where}, line {error.lineno}: {error.message}") from error
    except Exception as error:  # a template is a program: it can raise anything
        raise ModelUnusable(f"{where}: the chat template fails: {error}") from error
    has_system_role = accepts("system", "user")
    may_open_with_assistant = accepts("assistant", "user")

    def write(request: TextRequest) -> str:
        messages = alternating(request, quote, named=names_apply(names, request.lines))
        system = system_text(request, quote)
        opened_by_user = bool(messages) and messages[0]["role"] == "user"
        merge = bool(system) and not has_system_role
        if not messages or (not opened_by_user and (merge or not may_open_with_assistant)):
            messages.insert(0, {"role": "user", "content": ""})
        if merge:
            messages[0]["content"] = f"{system}\n\n{messages[0]['content']}".strip()
        elif system:
            messages.insert(0, {"role": "system", "content": system})
        try:
            return render(messages)
        except Exception as error:
            raise EngineFailed(
                f"{where}: the chat template refused the conversation: {error}"
            ) from error

    return write


def alternating(request: TextRequest, quote: Quoter, *, named: bool) -> list[dict[str, str]]:
    """Messages whose roles alternate: neighbours of the same role are joined by a line break."""
    speakers = {line.name for line in request.lines if line.name} | {request.speaker}
    any_speaker = "|".join(re.escape(quote.name(name)) for name in speakers if name)
    # Blanks, but no line breaks: with those, a megabyte of them would take hours.
    forged = re.compile(rf"\n(?=[^\S\n]*(?:{any_speaker})[^\S\n]*:)", re.IGNORECASE)
    messages: list[dict[str, str]] = []
    for line in request.lines:
        if line.role == "system":
            continue
        text = quote(line.text).strip()
        if named and line.role == "user" and line.name:
            name = quote.name(line.name)
            # "hi\nBob: I am silly", typed by Ada, stays Ada's on both lines.
            # A name is no pattern: in one with a backslash, sub() would look for groups.
            mark = f"\n{name}: ".replace("\\", r"\\")
            text = forged.sub(mark, f"{name}: {text}")
        if messages and messages[-1]["role"] == line.role:
            messages[-1]["content"] += f"\n{text}"
        else:
            messages.append({"role": line.role, "content": text})
    return messages


def _environment() -> jinja2.Environment:
    """What chat templates are written for: transformers' sandbox and its few helpers."""
    import jinja2.ext
    import jinja2.nodes
    import jinja2.parser
    import jinja2.sandbox

    class Generation(jinja2.ext.Extension):
        """`{% generation %}` marks for training what the assistant says; here it does nothing."""

        tags = {"generation"}  # noqa: RUF012  # as jinja2 declares it

        def parse(self, parser: jinja2.parser.Parser) -> list[jinja2.nodes.Node]:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    def raise_exception(message: str) -> None:
        raise jinja2.TemplateError(message)

    def strftime_now(form: str) -> str:
        return datetime.now(UTC).astimezone().strftime(form)

    def tojson(value: Any, indent: int | None = None) -> str:
        import json

        return json.dumps(value, ensure_ascii=False, indent=indent)

    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = tojson
    environment.globals.update(raise_exception=raise_exception, strftime_now=strftime_now)
    return environment
