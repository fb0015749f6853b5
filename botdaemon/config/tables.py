"""The tables of the configuration as frozen, strict models. Knows TOML's types, but no file and no
line; what concerns more than one table at a time is in `references`."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    model_validator,
)

from botdaemon import types

# A field's docstring says in half a sentence what the key is for; a missing key is explained by it.


class Table(BaseModel):
    """A TOML table: nothing unknown, nothing converted, nothing changed later."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )


# --- kinds of values ------------------------------------------------------------------------


def _in_config_directory(path: Path, info: ValidationInfo) -> Path:
    if path in (Path(), Path("~")):
        raise ValueError("expected a path, found nothing")
    base: Path = info.context["base"] if info.context else Path()
    return base / path.expanduser()


def _name(pattern: str, rule: str) -> AfterValidator:
    compiled = re.compile(pattern)

    def check(name: str) -> str:
        if compiled.fullmatch(name) is None:
            raise ValueError(f'"{name}" cannot be a name: {rule}')
        return name

    return AfterValidator(check)


def _pattern(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("expected a regular expression in quotes")
    if not value.isprintable():  # "\\b" in double quotes is a backspace, not the edge of a word
        raise ValueError("a regular expression belongs in 'single quotes', which keep each \\")
    try:
        return re.compile(value, re.IGNORECASE)
    except re.error as error:
        raise ValueError(f'"{value}" is not a regular expression: {error}') from None


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


File = Annotated[Path, Field(strict=False), AfterValidator(_in_config_directory)]
Name = Annotated[
    str,
    _name(
        r"\w[\w.-]{0,31}",
        "use at most 32 letters, digits, - _ and ., beginning with a letter or digit",
    ),
]
RoomName = Annotated[
    str,
    _name(
        r"\w([\w '.-]{0,62}[\w'.-])?",
        "use at most 64 letters, digits, spaces, - _ ' and ., beginning with a letter or digit",
    ),
]
Pattern = Annotated[re.Pattern[str], BeforeValidator(_pattern)]
Words = Annotated[tuple[str, ...], Field(strict=False)]
Seconds = Annotated[float, Field(ge=0)]


# --- [daemon] and [limits] ------------------------------------------------------------------


class DaemonConfig(Table):
    """The process itself."""

    data_dir: File = Field(default=Path("data"), validate_default=True)
    """where the database and the files are kept, relative to this file"""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """the least serious thing to log; debug also logs what people say"""
    log_format: Literal["auto", "terminal", "journal", "json"] = "auto"
    """the shape of log lines; auto looks at where they go"""
    grace_seconds: Seconds = 20.0
    """how long running turns may still take when the daemon stops"""


class LimitsConfig(Table):
    """What the daemon takes upon itself at most."""

    message_characters: int = Field(default=16_000, ge=1, le=1_000_000)
    """longest message that is accepted"""
    queue: int = Field(default=200, ge=1)
    """turns that may wait, of all people together"""
    queue_per_person: int = Field(default=5, ge=1)
    """turns of one person that may wait"""
    turns_at_once: int = Field(default=1, ge=1, le=1000)
    """turns that think at the same time, in different threads"""
    merge_seconds: float = Field(default=0.6, ge=0, le=60)
    """messages of one person within this time become one turn"""
    turn_seconds: float = Field(default=300.0, gt=0)
    """longest time a turn may think"""


# --- [adapters.NAME] ------------------------------------------------------------------------


class WebConfig(Table):
    """The built-in web page and its JSON API."""

    kind: Literal["web"]
    """which platform it is"""
    host: str = Field(default="127.0.0.1", min_length=1)
    """the address to listen on; any but this machine's own needs a token"""
    port: int = Field(default=8642, ge=0, le=65535)
    """the port to listen on; 0 takes a free one"""
    host_names: Words = ()
    """further names the page is reached by, without port"""
    token_file: File | None = None
    """a file that holds the token, and nothing else"""
    token_env: Annotated[str, AfterValidator(_environment_name)] | None = None
    """an environment variable that holds the token"""
    token_credential: Annotated[str, AfterValidator(_credential_name)] | None = None
    """a systemd credential (LoadCredential=) that holds the token"""

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host.lower() == "localhost"

    @property
    def has_token(self) -> bool:
        """Whether a token is named."""
        return bool(self.token_file or self.token_env or self.token_credential)

    @model_validator(mode="after")
    def _token_rules(self) -> WebConfig:
        if sum(map(bool, (self.token_file, self.token_env, self.token_credential))) > 1:
            raise ValueError("name one of token_file, token_env and token_credential, not several")
        if not self.loopback and not self.has_token:
            raise ValueError(
                f'host "{self.host}" can be reached from other machines, so a token is needed: '
                "name it with token_file, token_env or token_credential"
            )
        return self


class TerminalConfig(Table):
    """A conversation in the terminal the daemon was started from."""

    kind: Literal["terminal"]
    """which platform it is"""
    bot: str
    """the bot to talk to"""


AdapterConfig = Annotated[WebConfig | TerminalConfig, Field(discriminator="kind")]


# --- [models.NAME] --------------------------------------------------------------------------


class SamplingConfig(Table):
    """How the next token is chosen; what is not set is left to the model."""

    temperature: float | None = Field(default=None, ge=0, le=5)
    """how freely words are chosen; 0 always takes the likeliest"""
    top_p: float | None = Field(default=None, gt=0, le=1)
    """choose among the likeliest tokens that make up this share"""
    top_k: int | None = Field(default=None, ge=0)
    """choose among this many likeliest tokens; 0 is no limit"""
    min_p: float | None = Field(default=None, ge=0, le=1)
    """leave out tokens less likely than this share of the likeliest"""
    repetition_penalty: float | None = Field(default=None, gt=0, le=10)
    """above 1 makes what was already said less likely"""
    no_repeat_ngram: int | None = Field(default=None, ge=0)
    """never repeat a run of this many tokens; 0 allows it"""
    max_tokens: int | None = Field(default=None, ge=1)
    """longest reply, in tokens"""

    def over(self, base: SamplingConfig) -> types.Sampling:
        """What is set here, else what `base` says."""
        chosen = base.model_dump(exclude_none=True) | self.model_dump(exclude_none=True)
        return types.Sampling(**chosen)


class TransformersConfig(Table):
    """A text model that runs on this machine."""

    kind: Literal["transformers"]
    """what runs it"""
    path: File | None = None
    """the model's directory"""
    hub: str | None = Field(default=None, min_length=1)
    """the id of a model in the local Hugging Face cache, instead of path"""
    revision: str | None = Field(default=None, min_length=1)
    """the revision of the hub model"""
    device: Annotated[str, AfterValidator(_device)] = "auto"
    """where it runs: auto, cpu, mps, cuda or cuda:N"""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """the numbers it computes with"""
    sampling: SamplingConfig = SamplingConfig()
    """how its tokens are chosen, when a bot does not say otherwise"""

    @model_validator(mode="after")
    def _source_rules(self) -> TransformersConfig:
        if (self.path is None) == (self.hub is None):
            raise ValueError('name either path = "DIRECTORY" or hub = "OWNER/NAME"')
        if self.hub is not None and self.revision is None:
            raise ValueError("a hub model is pinned: add its revision")
        if self.path is not None and self.revision is not None:
            raise ValueError("revision belongs to hub, a directory has none")
        return self


class EchoConfig(Table):
    """An engine that says what it was told, for trying things."""

    kind: Literal["echo"]
    """what runs it"""
    delay_seconds: float = Field(default=0.0, ge=0, le=3600)
    """how long it pretends to think before each word"""


ModelConfig = Annotated[TransformersConfig | EchoConfig, Field(discriminator="kind")]


# --- [bots.NAME] ----------------------------------------------------------------------------


class _BotConfig(Table):
    about: str = ""
    """one line shown to people"""
    names: tuple[Name, ...] = Field(default=(), strict=False)
    """further names it answers to, besides its own"""
    wake: tuple[Pattern, ...] = Field(default=(), strict=False)
    """regular expressions (case ignored) that call it"""
    chance: float = Field(default=0.0, ge=0, le=1)
    """how likely it joins in when it was not called"""
    follow_up: bool = True
    """whether it goes on answering somebody it is talking with"""


class TextBotConfig(_BotConfig):
    """A bot that writes its answers with a model."""

    kind: Literal["text"]
    """what sort of bot it is"""
    model: str
    """the name of a [models.NAME] table"""
    persona: str = ""
    """who it is, said to the model before every conversation"""
    history_messages: int = Field(default=40, ge=1, le=10_000)
    """most messages of a thread it is shown"""
    sampling: SamplingConfig = SamplingConfig()
    """how tokens are chosen, over what the model says"""


class CannedBotConfig(_BotConfig):
    """A bot that picks its answers from a file of lines."""

    kind: Literal["canned"]
    """what sort of bot it is"""
    lines: File
    """the JSON Lines file its answers are in"""
    source: str = Field(default="", alias="from")
    """the text bot that `botdaemon can` fills the file with"""
    characters_per_second: float = Field(default=25.0, gt=0)
    """how fast it types"""
    longest_typing_seconds: Seconds = 6.0
    """longest time it types at one answer"""


BotConfig = Annotated[TextBotConfig | CannedBotConfig, Field(discriminator="kind")]


# --- [rooms.NAME] ---------------------------------------------------------------------------


def _only(data: dict[str, Any]) -> str:
    bots: tuple[str, ...] = data.get("bots", ())
    return bots[0] if len(bots) == 1 else ""


class RoomConfig(Table):
    """A room that is always there."""

    bots: Words = Field(min_length=1)
    """the bots that live there"""
    host: str = Field(default_factory=_only)
    """the bot that answers when nobody else was asked; "" for none"""
    channels: tuple[Annotated[str, AfterValidator(_channel)], ...] = Field(default=(), strict=False)
    """channels that share its threads, each as "ADAPTER:CHANNEL" """


# --- the whole file -------------------------------------------------------------------------


class Tables(Table):
    """Everything the file may say."""

    daemon: DaemonConfig
    adapters: dict[Name, AdapterConfig] = {}
    models: dict[Name, ModelConfig] = {}
    bots: dict[Name, BotConfig] = {}
    rooms: dict[RoomName, RoomConfig] = {}
    limits: LimitsConfig = LimitsConfig()
