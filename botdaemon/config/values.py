"""The kinds of values that keys have, each with the sentence that refuses a wrong one. Knows no
table."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import regex  # type: ignore[import-untyped]  # it comes without types
from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

if TYPE_CHECKING:
    from collections.abc import Callable


def _in_config_directory(path: Path, info: ValidationInfo) -> Path:
    if path == Path() or "\0" in str(path):
        raise ValueError("expected a path")
    base: Path = info.context["base"] if info.context else Path()
    try:
        return base / path.expanduser()
    except RuntimeError:
        raise ValueError(f'"{path.parts[0]}" is nobody\'s home directory') from None


def _name(pattern: str, rule: str) -> Callable[[str], str]:
    compiled = re.compile(pattern)

    def check(name: str) -> str:
        if compiled.fullmatch(name) is None:
            raise ValueError(f'"{name}" cannot be a name: {rule}')
        return name

    return check


_bot_name = _name(
    r"[^\W_][\w.-]{0,31}",
    "use at most 32 letters, digits, - _ and ., beginning with a letter or digit",
)
room_name = _name(
    r"[^\W_]([\w '.-]{0,62}[\w'.-])?",
    "use at most 64 letters, digits, spaces, - _ ' and ., beginning with a letter or digit",
)


def _pattern(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("expected a regular expression in quotes")
    if not value.isprintable():  # "\\b" in double quotes is a backspace, not the edge of a word
        raise ValueError("a regular expression belongs in 'single quotes', which keep each \\")
    try:
        return re.compile(value, re.IGNORECASE)
    except re.error as error:
        raise ValueError(f'"{value}" is not a regular expression: {error}') from None


def _expression(value: str) -> str:
    if not value.isprintable():
        raise ValueError("a regular expression belongs in 'single quotes', which keep each \\")
    try:
        pattern = regex.compile(value, regex.IGNORECASE)
    except regex.error as error:
        raise ValueError(f'"{value}" is not a regular expression: {error}') from None
    if pattern.fullmatch("") is not None:
        raise ValueError(f'"{value}" is found in every text: it need not match anything')
    return value


def _blocked(value: str) -> str:
    if not 2 <= len(value.strip()) <= 100 or not any(map(str.isalnum, value)):
        raise ValueError(f'expected a word of 2 to 100 characters, found "{value}"')
    return value


def _nickname(value: str) -> str:
    if re.fullmatch(r"\w([\w .'-]{0,30}[\w.'-])?", value) is None:
        raise ValueError(
            f'"{value}" cannot be a name: use at most 32 letters, digits, spaces, - _ \' and .,'
            " beginning with a letter or digit"
        )
    return value


def _label(value: str) -> str:
    return value.strip().casefold()


def _channel(value: str) -> str:
    adapter, colon, channel = value.partition(":")
    if not (adapter and colon and channel):
        raise ValueError(f'expected "ADAPTER:CHANNEL", found "{value}"')
    return value


def _device(value: str) -> str:
    if re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", value) is None:
        raise ValueError(f'expected "auto", "cpu", "mps", "cuda" or "cuda:N", found "{value}"')
    return value


def _environment_name(value: str) -> str:
    # Never echoed: this is where people put the secret itself.
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value) is None:
        raise ValueError("expected the name of an environment variable, not the secret itself")
    return value


def _credential_name(value: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_.-]+", value) is None or value in {".", ".."}:
        raise ValueError("expected the name of a systemd credential, not the secret itself")
    return value


def _language(value: str) -> str:
    if re.fullmatch(r"[A-Za-z]{2,4}(-[A-Za-z0-9]+)*(\+\w+)?|", value) is None:
        raise ValueError(f'expected a language, as "en" or "en-US", found "{value}"')
    return value


def _host(value: str) -> str:
    if re.fullmatch(r"[\w.:%-]+", value) is None:
        raise ValueError(f'expected an address or the name of a host, found "{value}"')
    return value


def _url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f'expected an address such as "https://example.org/", found "{value}"')
    return value


File = Annotated[Path, Field(strict=False), AfterValidator(_in_config_directory)]
Name = Annotated[str, AfterValidator(_bot_name)]
RoomName = Annotated[str, AfterValidator(room_name)]
Host = Annotated[str, AfterValidator(_host)]
Url = Annotated[str, AfterValidator(_url)]
Language = Annotated[str, AfterValidator(_language)]
Device = Annotated[str, AfterValidator(_device)]
Variable = Annotated[str, AfterValidator(_environment_name)]
Credential = Annotated[str, AfterValidator(_credential_name)]
Seconds = Annotated[float, Field(ge=0)]

# Strict models refuse a list for a tuple; what is in it is as strict as ever.
Words = Annotated[tuple[str, ...], Field(strict=False)]
Names = Annotated[tuple[Name, ...], Field(strict=False)]
Patterns = Annotated[
    tuple[Annotated[re.Pattern[str], BeforeValidator(_pattern)], ...], Field(strict=False)
]
Expressions = Annotated[
    tuple[Annotated[str, AfterValidator(_expression)], ...], Field(strict=False)
]
Blocked = Annotated[tuple[Annotated[str, AfterValidator(_blocked)], ...], Field(strict=False)]
Nicknames = Annotated[tuple[Annotated[str, AfterValidator(_nickname)], ...], Field(strict=False)]
Labels = dict[Annotated[str, AfterValidator(_label)], Annotated[float, Field(gt=0, le=1)]]
Channels = Annotated[tuple[Annotated[str, AfterValidator(_channel)], ...], Field(strict=False)]
