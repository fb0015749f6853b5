"""Looks whether what the configuration names is there and usable. Starts nothing, changes nothing,
and knows models only by what it is handed to look at them with."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import stat
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from botdaemon import timetable
from botdaemon.config import (
    CannedBotConfig,
    ChatConfig,
    ClassifierConfig,
    DiffusersConfig,
    EmbedderConfig,
    FiltersConfig,
    ImageBotConfig,
    ModelConfig,
    ScheduleConfig,
    SlackConfig,
    TextBotConfig,
    TransformersConfig,
    WebConfig,
    read_token,
)
from botdaemon.errors import BotdaemonError, ConfigError
from botdaemon.types import Finding, Once, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botdaemon.config import Config


@dataclass(frozen=True, slots=True, kw_only=True)
class Overhead:
    """Where the context of a text bot's model goes, in tokens."""

    context: int
    #: around everything
    format: int
    #: what all bots are told, and what this one is
    base: int = 0
    persona: int = 0
    #: exchanges that are shown to the model, of so many
    examples: int = 0
    shown: int = 0
    of: int = 0
    #: at most, where the bot is told something besides what was said
    notes: int = 0
    #: kept free for the reply
    reply: int

    @property
    def left(self) -> int:
        """What is left for the conversation and the notes."""
        spent = self.format + self.base + self.persona + self.examples + self.reply
        return self.context - spent


#: The share of the context that a conversation should have at least.
_LITTLE = 0.25

Inspect = Callable[[ModelConfig], str]
"""What a model is, in a few words. Raises `ModelUnusable` when it could not be loaded."""

Weigh = Callable[[str], Overhead]
"""What the prompts of the text bot of this name cost."""

Misfits = Callable[[], Mapping[str, str]]
"""The models that can never fit into the memory of their device, each with a sentence."""

Lines = Callable[[Path], int]
"""How many lines a canned bot's file has. Raises `ConfigError` when it cannot be used."""


LabelProblems = Callable[[], Iterable[tuple[tuple[str, ...], str]]]
"""Where a label is asked for that a classifier has not, and what to do."""

TooSlow = Callable[[str], bool]
"""Whether a filter's pattern can take for ever."""


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was looked at."""

    findings: tuple[Finding, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        """What must be mended."""
        return tuple(f.text for f in self.findings if f.verdict is Verdict.PROBLEM)

    @property
    def exit_code(self) -> int:
        """For the command line: 0, or that of a `ConfigError`."""
        return ConfigError.exit_code if self.problems else 0


def check(
    config: Config,
    *,
    inspect: Inspect,
    weigh: Weigh,
    lines: Lines,
    misfits: Misfits = dict,
    too_slow: TooSlow = lambda _: False,
    knowledge: Iterable[Finding] = (),
    labels: LabelProblems = tuple,
) -> Report:
    """Look at everything the configuration names. `knowledge`: what was found of bots' files."""
    return Report(
        (
            *_findings(config, inspect, weigh, lines, misfits, labels),
            *_filters(config, too_slow),
            *knowledge,
        )
    )


def _findings(
    config: Config,
    inspect: Inspect,
    weigh: Weigh,
    lines: Lines,
    misfits: Misfits,
    labels: LabelProblems,
) -> Iterator[Finding]:
    yield _ok(f"{config.path}: every key is understood")
    yield _directory(config, ("daemon", "data_dir"), config.daemon.data_dir)
    if config.records.directory is not None:
        yield _directory(config, ("records", "directory"), config.records.directory)
    if not config.adapters:
        yield Finding(Verdict.NOTE, "there is no adapter: only `botdaemon chat` reaches the bots")
    for name, adapter in config.adapters.items():
        if isinstance(adapter, WebConfig):
            yield from _web(config, name, adapter)
        elif isinstance(adapter, ChatConfig):
            yield from _chat(config, name, adapter)
    usable = set()
    for name, model in config.models.items():
        try:
            yield _ok(f"models.{name}: {inspect(model)}")
            usable.add(name)
        except BotdaemonError as error:
            local = TransformersConfig | DiffusersConfig | EmbedderConfig | ClassifierConfig
            hub = isinstance(model, local) and model.hub
            key = "hub" if hub else "path"
            yield from _problems(config, ("models", name, key), error)
    if usable == config.models.keys():
        for name, why in misfits().items():
            yield _problem(config, ("models", name), why)
        for place, what in labels():
            yield _problem(config, place, what)
    try:
        config.needs_bots()
    except ConfigError as error:
        yield Finding(Verdict.PROBLEM, str(error))
    for number, table in enumerate(config.schedules):
        yield _schedule(config, number, table)
    for name, bot in config.bots.items():
        try:
            match bot:
                case CannedBotConfig():
                    yield _canned_bot(config, name, lines(bot.lines))
                case TextBotConfig() if bot.model in usable:
                    yield from _text_bot(config, name, weigh(name))
                case ImageBotConfig() if bot.model in usable:
                    yield _ok(f"bots.{name}: draws with models.{bot.model}")
        except BotdaemonError as error:
            key = "lines" if isinstance(bot, CannedBotConfig) else "model"
            yield from _problems(config, ("bots", name, key), error)


def _filters(config: Config, too_slow: TooSlow) -> Iterator[Finding]:
    places: list[tuple[tuple[str, ...], FiltersConfig]] = [(("filters",), config.filters)]
    places += [(("bots", name, "filters"), bot.filters) for name, bot in config.bots.items()]
    for where, filters in places:
        for way, table in (("heard", filters.heard), ("said", filters.said)):
            slow = [pattern for pattern in table.patterns if too_slow(pattern)]
            for pattern in slow:
                advice = (
                    f'"{pattern}" takes too long for some texts, which it then holds back; let no'
                    " part that repeats repeat within another, or beside a like one"
                )
                yield _problem(config, (*where, way, "patterns"), advice)
            if (table.words or table.patterns) and not slow:
                counts = f"{len(table.words)} words and {len(table.patterns)} patterns"
                yield _ok(f"{'.'.join((*where, way))}: {counts} to {table.action}")


def _directory(config: Config, where: tuple[str, ...], directory: Path) -> Finding:
    try:
        nearest = next(path for path in (directory, *directory.parents) if _exists(path))
    except OSError as error:
        return _problem(config, where, f"{error.filename} cannot be used: {error.strerror}")
    if not nearest.is_dir():
        return _problem(config, where, f"{nearest} is not a directory")
    if not os.access(nearest, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
        return _problem(config, where, f"{nearest} cannot be written to by this user")
    free = shutil.disk_usage(nearest).free / 1e9
    new = "" if nearest == directory else "will be made, "
    return _ok(f"{'.'.join(where)}: {directory} ({new}{free:.1f} GB free)")


def _exists(path: Path) -> bool:
    """Unlike `Path.exists`, this raises when it cannot be told."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _web(config: Config, name: str, web: WebConfig) -> Iterator[Finding]:
    where = ("adapters", name)
    if web.has_token:
        yield from _token(config, name, "token")
    address = f"{web.host} port {web.port}"
    try:
        _try_to_listen(web.host, web.port)
    except (socket.gaierror, UnicodeError):
        yield _problem(config, (*where, "host"), f'there is no host "{web.host}"')
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            note = f"{address} is in use, which is fine if it is by this daemon"
            yield Finding(Verdict.NOTE, config.problem((*where, "port"), note))
        else:
            problem = f"cannot listen on {address}: {os.strerror(error.errno or 0)}"
            key = "port" if error.errno == errno.EACCES else "host"
            yield _problem(config, (*where, key), problem)
    else:
        yield _ok(f"adapters.{name}: {address} is free")


def _chat(config: Config, name: str, chat: ChatConfig) -> Iterator[Finding]:
    yield from _token(config, name, "token")
    if isinstance(chat, SlackConfig):
        yield from _token(config, name, "app_token")
    if chat.access.direct == "pairing" and not chat.access.admins:
        advice = (
            "nobody can let in who writes directly: name an admin in admins, by the id that "
            '/whoami shows, or set direct = "open" or "closed"'
        )
        yield Finding(Verdict.NOTE, config.problem(("adapters", name, "access"), advice))


def _token(config: Config, name: str, which: str) -> Iterator[Finding]:
    try:
        read_token(config, name, which)
    except ConfigError as error:
        yield Finding(Verdict.PROBLEM, str(error))
    else:
        yield _ok(f"adapters.{name}: the {which.replace('_', ' ')} can be read")
    file = getattr(config.adapters[name], f"{which}_file", None)
    if file and _is_open(file):
        advice = f"every user can read it; better: chmod 600 {file}"
        yield Finding(Verdict.NOTE, config.problem(("adapters", name, f"{which}_file"), advice))


def _is_open(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


def _try_to_listen(host: str, port: int) -> None:
    for family, kind, protocol, _, address in socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    ):
        with socket.socket(family, kind, protocol) as door:
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            door.bind(address)
            door.listen(1)


def _canned_bot(config: Config, name: str, count: int) -> Finding:
    if count == 0:
        return _problem(config, ("bots", name, "lines"), "the file has no lines yet")
    return _ok(f"bots.{name}: {count} lines to choose from")


def _text_bot(config: Config, name: str, overhead: Overhead) -> Iterator[Finding]:
    parts = {"format": overhead.format}
    if overhead.base:
        parts["base"] = overhead.base
    parts["persona"] = overhead.persona
    if overhead.of:
        parts[f"{overhead.shown} of {overhead.of} examples"] = overhead.examples
    parts["reply"] = overhead.reply
    spent = " + ".join(f"{what} {tokens}" for what, tokens in parts.items())
    costs = f"{overhead.context} tokens = {spent}"
    where = ("bots", name, "persona")
    if overhead.left <= 0:
        remedy = "nothing is left for the conversation; shorten the persona or lower max_tokens"
        yield _problem(config, where, f"{costs}: {remedy}")
        return
    yield _ok(f"bots.{name}: {costs} + conversation {overhead.left}, notes up to {overhead.notes}")
    if overhead.left < overhead.context * _LITTLE:
        advice = (
            f"only {overhead.left} of {overhead.context} tokens are left for the conversation; "
            "shorten the persona, leave out examples or lower max_tokens"
        )
        yield Finding(Verdict.NOTE, config.problem(where, advice))
    if overhead.shown < overhead.of:
        advice = (
            f"only {overhead.shown} of {overhead.of} fit their budget; shorten them, or raise "
            f"bots.{name}.budget.examples"
        )
        yield Finding(Verdict.NOTE, config.problem(("bots", name, "examples"), advice))


def _schedule(config: Config, number: int, table: ScheduleConfig) -> Finding:
    now, here = time.time(), table.timezone or config.governor.timezone
    when = table.when(config.governor.timezone)
    slot = timetable.next_slot(when, now, now)
    if isinstance(when, Once) and slot is None:
        where = ("schedules", number, "at")
        return Finding(Verdict.NOTE, config.problem(where, "that time has been; it never comes"))
    next_one = "" if slot is None else f", next on {timetable.written(slot, here)} ({here})"
    times = "once" if isinstance(when, Once) else timetable.described(when, here)
    return _ok(f"schedules.{table.name}: {table.bot} writes {times}{next_one}")


def _ok(text: str) -> Finding:
    return Finding(Verdict.OK, text)


def _problem(config: Config, where: tuple[str, ...], what: str) -> Finding:
    return Finding(Verdict.PROBLEM, config.problem(where, what))


def _problems(config: Config, where: tuple[str, ...], error: BotdaemonError) -> Iterator[Finding]:
    """One for each line of the error: a file may have several mistakes."""
    for line in str(error).splitlines():
        yield _problem(config, where, line)
