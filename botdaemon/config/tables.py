"""The tables of the configuration as frozen, strict models. Knows TOML's types, but no file and no
line; what concerns more than one table at a time is in `references`."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from botdaemon import types
from botdaemon.config.values import (
    Channels,
    Credential,
    Device,
    File,
    Host,
    Name,
    Names,
    Patterns,
    RoomName,
    Seconds,
    Url,
    Variable,
    Words,
)

# The description of a required key explains it to who left it out.


class Table(BaseModel):
    """A TOML table: nothing unknown, nothing converted, nothing changed later."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )


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
    turns_at_once: int = Field(default=16, ge=1, le=1000)
    """turns that write at the same time, in different threads; image models draw one by one"""
    merge_seconds: float = Field(default=0.6, ge=0, le=60)
    """messages of one person within this time become one turn"""
    turn_seconds: float = Field(default=300.0, gt=0)
    """longest time a turn may think"""
    answers_per_minute_person: int = Field(default=20, ge=1)
    """answers that one person may ask for within a minute"""
    answers_per_minute_channel: int = Field(default=40, ge=1)
    """answers that may be asked for in one channel within a minute"""
    answers_per_minute_server: int = Field(default=120, ge=1)
    """answers that may be asked for in one server within a minute"""
    bots_in_a_row: int = Field(default=3, ge=1, le=12)
    """messages of bots without a person's in between, after which no bot is answered"""
    answers_to_bots_per_hour: int = Field(default=12, ge=0)
    """answers that other bots get in one channel within an hour"""
    stale_minutes: float = Field(default=60.0, ge=0)
    """what was said longer ago while the daemon was away is read, but not answered"""
    file_megabytes: int = Field(default=20, ge=1, le=1000)
    """largest file that is taken in"""


# --- [adapters.NAME] ------------------------------------------------------------------------


class _TokenConfig(Table):
    token_file: File | None = None
    """a file that holds the token, and nothing else"""
    token_env: Variable | None = None
    """an environment variable that holds the token"""
    token_credential: Credential | None = None
    """a systemd credential (LoadCredential=) that holds the token"""

    @property
    def has_token(self) -> bool:
        """Whether a token is named."""
        return bool(self.token_file or self.token_env or self.token_credential)

    @model_validator(mode="after")
    def _one_token(self) -> Self:
        if sum(map(bool, (self.token_file, self.token_env, self.token_credential))) > 1:
            raise ValueError("name one of token_file, token_env and token_credential, not several")
        return self


class WebConfig(_TokenConfig):
    """The built-in web page and its JSON API."""

    kind: Literal["web"]
    """which platform it is"""
    host: Host = "127.0.0.1"
    """the address to listen on; any but this machine's own needs a token"""
    port: int = Field(default=8642, ge=0, le=65535)
    """the port to listen on; 0 takes a free one"""
    host_names: Words = ()
    """further names the page is reached by, without port"""

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host.lower() == "localhost"

    @model_validator(mode="after")
    def _open_needs_a_token(self) -> Self:
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
    bot: str = Field(description="the name of the bot to talk to")


class AccessConfig(Table):
    """Who may talk to the bots of an adapter. Ids are the platform's; an empty list allows all."""

    servers: Words = ()
    """only in these servers (guilds, workspaces)"""
    deny_servers: Words = ()
    """not in these servers"""
    channels: Words = ()
    """only in these channels"""
    deny_channels: Words = ()
    """not in these channels"""
    people: Words = ()
    """only these people, or those with one of the roles"""
    deny_people: Words = ()
    """not these people"""
    roles: Words = ()
    """only people with one of these roles, or those in people"""
    deny_roles: Words = ()
    """not people with one of these roles"""
    direct: Literal["pairing", "open", "closed"] = "pairing"
    """who may write directly: people that an admin lets in with a code, everybody, or nobody"""
    admins: Words = ()
    """people who may let others in; whoever is named here may always write"""
    bots: Words = ()
    """other bots that are listened to"""


class ChatConfig(_TokenConfig):
    """What all chat platforms have in common."""

    kind: str
    """which platform it is"""
    bots: Words = ()
    """the bots this account speaks for, the default first; by default all"""
    own_faces: bool = True
    """whether a bot that is not the first speaks under its own name, where the platform allows"""
    free_channels: Words = ()
    """channels in which the first bot answers everything"""
    live_drafts: bool = True
    """whether answers are shown as they grow"""
    catch_up_hours: float = Field(default=24.0, ge=0, le=24 * 14)
    """how far back is read what was said while the daemon was away"""
    access: AccessConfig = AccessConfig()
    """who may talk to the bots here"""

    @model_validator(mode="after")
    def _needs_a_token(self) -> Self:
        if not self.has_token:
            raise ValueError(
                "its token is missing: name it with token_file, token_env or token_credential"
            )
        return self


class DiscordConfig(ChatConfig):
    """An account on Discord."""

    kind: Literal["discord"]
    """which platform it is"""
    auto_threads: bool = False
    """whether a mention in a text channel is answered in a thread of its own"""
    message_content: bool = True
    """whether it asks for the Message Content intent; without it, it reads direct messages and
    mentions only"""


class SlackConfig(ChatConfig):
    """An app in a Slack workspace, over Socket Mode."""

    kind: Literal["slack"]
    """which platform it is"""
    app_token_file: File | None = None
    """a file that holds the app-level token (xapp-)"""
    app_token_env: Variable | None = None
    """an environment variable that holds the app-level token"""
    app_token_credential: Credential | None = None
    """a systemd credential that holds the app-level token"""
    streaming: bool = True
    """whether answers are streamed natively where the app may; else by edits"""
    base_url: Url = "https://slack.com/api/"
    """where Slack's Web API is"""

    @model_validator(mode="after")
    def _one_app_token(self) -> Self:
        named = (self.app_token_file, self.app_token_env, self.app_token_credential)
        if sum(map(bool, named)) != 1:
            raise ValueError(
                "the app-level token (xapp-) is needed for Socket Mode: name it with one of "
                "app_token_file, app_token_env and app_token_credential"
            )
        return self


class TelegramConfig(ChatConfig):
    """A bot on Telegram, by long polling."""

    kind: Literal["telegram"]
    """which platform it is"""
    base_url: Url = "https://api.telegram.org/bot"
    """where the Bot API is, to which the token is appended"""
    base_file_url: Url = "https://api.telegram.org/file/bot"
    """where its files are"""


AdapterConfig = Annotated[
    WebConfig | TerminalConfig | DiscordConfig | SlackConfig | TelegramConfig,
    Field(discriminator="kind"),
]


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

    def chosen(self) -> types.Sampling:
        """What is set here."""
        return types.Sampling(**self.model_dump())


class _LocalConfig(Table):
    """What all models on this machine have in common."""

    path: File | None = None
    """the model's directory"""
    hub: str | None = Field(default=None, min_length=1)
    """the id of a model in the local Hugging Face cache, instead of path"""
    revision: str | None = Field(default=None, min_length=1)
    """the revision of the hub model"""
    device: Device = "auto"
    """where it runs: auto, cpu, mps, cuda or cuda:N"""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """the numbers it computes with"""
    adapters: dict[Name, File] = {}
    """LoRA adapters trained on this model: a name and a directory each"""
    load: Literal["start", "demand"] = "start"
    """when it is loaded: when the daemon starts, or when it is first needed"""
    pinned: bool = False
    """whether it stays loaded, whatever else needs the memory"""
    idle_minutes: float = Field(default=0.0, ge=0)
    """time without a request after which it makes way; 0: only when the memory is needed"""

    @model_validator(mode="after")
    def _source_rules(self) -> Self:
        if (self.path is None) == (self.hub is None):
            raise ValueError('name either path = "DIRECTORY" or hub = "OWNER/NAME"')
        if self.hub is not None and self.revision is None:
            raise ValueError("a hub model is pinned: add its revision")
        if self.path is not None and self.revision is not None:
            raise ValueError("revision belongs to hub, a directory has none")
        if self.pinned and self.idle_minutes:
            raise ValueError("a pinned model stays loaded: leave out pinned or idle_minutes")
        return self


class TransformersConfig(_LocalConfig):
    """A text model that runs on this machine."""

    kind: Literal["transformers"]
    """what runs it"""
    quantize: Literal["none", "int8"] = "none"
    """smaller numbers for its weights; int8 is made once and kept beside the model"""
    offload: bool = False
    """whether it waits in RAM, rather than on disk, when it has to leave the card"""
    batch: int = Field(default=16, ge=1, le=512)
    """conversations that it continues at the same time"""
    cache_megabytes: int | None = Field(default=None, ge=16)
    """memory for conversations under way and for what is remembered of the last ones; by default
    512, and 96 for a small machine's int8"""
    sampling: SamplingConfig = SamplingConfig()
    """how its tokens are chosen, when a bot does not say otherwise"""

    @model_validator(mode="after")
    def _int8_rules(self) -> Self:
        if self.quantize == "int8" and self.device not in ("auto", "cpu"):
            raise ValueError('int8 is for small models on a CPU: say device = "cpu"')
        if self.quantize == "int8" and self.adapters:
            raise ValueError("an int8 model takes no adapters: leave out quantize or adapters")
        return self


class DiffusersConfig(_LocalConfig):
    """An image model that runs on this machine: the directory of any diffusers pipeline."""

    kind: Literal["diffusers"]
    """what runs it"""
    offload: bool | Literal["always"] = False
    """whether it waits in RAM when it has to leave the card; "always": only the part that works is
    on the card, for models larger than it"""
    checker: bool = True
    """whether the model's safety checker, if it has one, looks at every picture"""


class OpenAIConfig(_TokenConfig):
    """A model on servers that speak OpenAI's protocol, such as vLLM, llama.cpp or this daemon's own
    serve-models."""

    kind: Literal["openai"]
    """what runs it"""
    servers: Annotated[
        tuple[Url, ...], Field(strict=False, min_length=1, description="their addresses")
    ]
    """their addresses, such as "http://127.0.0.1:8000/v1"; the least busy one is asked"""
    model: str = Field(min_length=1, description="the model's name there")
    """the model's name there"""
    api: Literal["chat", "completions", "images"] = "chat"
    """which of its interfaces is used; images: it is an image model"""
    context: int = Field(default=4096, ge=16)
    """tokens that it takes, prompt and reply together"""
    timeout_seconds: float = Field(default=120.0, gt=0)
    """longest time without a sign of life"""
    retries: int = Field(default=2, ge=0, le=10)
    """further attempts at a request that was not begun to be answered"""
    fall_back: str | None = None
    """the [models.NAME] that answers when no server does"""
    sampling: SamplingConfig = SamplingConfig()
    """how its tokens are chosen, when a bot does not say otherwise"""


class EchoConfig(Table):
    """An engine that says what it was told, for trying things."""

    kind: Literal["echo"]
    """what runs it"""
    delay_seconds: float = Field(default=0.0, ge=0, le=3600)
    """how long it pretends to think before each piece of an answer"""


ModelConfig = Annotated[
    TransformersConfig | DiffusersConfig | OpenAIConfig | EchoConfig, Field(discriminator="kind")
]


class DeviceConfig(Table):
    """A device that models run on."""

    memory_gigabytes: float = Field(gt=0, description="how much of its memory models may take")
    """how much of its memory models may take"""


# --- [bots.NAME] ----------------------------------------------------------------------------


class _BotConfig(Table):
    about: str = ""
    """one line shown to people"""
    picture: Url | None = None
    """the address of its picture, which platforms fetch"""
    names: Names = ()
    """further names it answers to, besides its own"""
    wake: Patterns = ()
    """regular expressions (case ignored) that call it"""
    chance: float = Field(default=0.0, ge=0, le=1)
    """how likely it joins in when it was not called"""
    follow_up: bool = True
    """whether it goes on answering somebody it is talking with"""


class TextBotConfig(_BotConfig):
    """A bot that writes its answers with a model."""

    kind: Literal["text"]
    """what sort of bot it is"""
    model: str = Field(description="the name of a [models.NAME] table")
    adapter: str = ""
    """the model's LoRA adapter that it speaks with"""
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
    lines: File = Field(description="the JSON Lines file its answers are in")
    source: str = Field(default="", alias="from")
    """the text bot that `botdaemon can` fills the file with"""
    characters_per_second: float = Field(default=25.0, gt=0)
    """how fast it types"""
    longest_typing_seconds: Seconds = 6.0
    """longest time it types at one answer"""


class StyleConfig(Table):
    """A style that pictures can be asked for in."""

    prompt: str = ""
    """put around the prompt, which takes the place of {}; appended when there is no {}"""
    negative: str = ""
    """what should not be seen"""
    adapters: dict[Name, float] = {}
    """the model's LoRA adapters to use, each with its weight"""


class ImageBotConfig(_BotConfig):
    """A bot that draws."""

    kind: Literal["image"]
    """what sort of bot it is"""
    model: str = Field(description="the name of a [models.NAME] table of an image model")
    improve: str | None = None
    """the name of a text model that writes a better prompt first; it is shown"""
    options: str = ""
    """options that hold when nobody says otherwise, such as "--steps 20 --size 768x512" """
    styles: dict[Name, StyleConfig] = {}
    """styles that people can ask for with --style NAME"""
    follow_up: bool = False
    """whether it goes on drawing what somebody says who has just asked it for a picture"""
    unsafe: Literal["hide", "cover", "show"] = "hide"
    """hide: what the model's checker objects to is not shown, and without a checker every picture
    is covered until somebody wants to see it, unless the model says that it is harmless; cover:
    every picture is covered; show: none is"""
    most_pictures: int = Field(default=4, ge=1, le=16)
    """pictures that may be asked for at once"""
    most_steps: int = Field(default=100, ge=1, le=1000)
    """steps that may be asked for"""
    largest_side: int = Field(default=1536, ge=64, le=8192)
    """pixels of the longer side that may be asked for"""


BotConfig = Annotated[TextBotConfig | CannedBotConfig | ImageBotConfig, Field(discriminator="kind")]


# --- [rooms.NAME] ---------------------------------------------------------------------------


def _only(data: dict[str, Any]) -> str:
    bots: tuple[str, ...] = data.get("bots", ())
    return bots[0] if len(bots) == 1 else ""


class RoomConfig(Table):
    """A room that is always there."""

    bots: Words = Field(min_length=1, description="the bots that live there")
    host: str = Field(default_factory=_only)
    """the bot that answers when nobody else was asked; "" for none"""
    channels: Channels = ()
    """channels that share its threads, each as "ADAPTER:CHANNEL" """


# --- the whole file -------------------------------------------------------------------------


class Tables(Table):
    """Everything the file may say."""

    daemon: DaemonConfig
    adapters: dict[Name, AdapterConfig] = {}
    models: dict[Name, ModelConfig] = {}
    devices: dict[Device, DeviceConfig] = {}
    bots: dict[Name, BotConfig] = {}
    rooms: dict[RoomName, RoomConfig] = {}
    limits: LimitsConfig = LimitsConfig()
