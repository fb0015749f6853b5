"""Reads the configuration file and the secrets it refers to, and says all that is wrong with it at
once. Knows nothing of what the configuration is used for."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import PrivateAttr, ValidationError

from botdaemon.config import locate
from botdaemon.config.explain import Mistake, explain
from botdaemon.config.personas import PersonaFile
from botdaemon.config.references import references, secrets
from botdaemon.config.secrets import concealed
from botdaemon.config.tables import Tables
from botdaemon.config.thinking import OpenAIConfig
from botdaemon.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from botdaemon.config.locate import Where


_NO_CONFIG = "copy config.example.toml there, or name another file with --config"
#: Less can be guessed.
_SHORTEST_TOKEN = 8


class Config(Tables):
    """A valid configuration file."""

    _path: Path = PrivateAttr()
    _lines: Mapping[Where, int] = PrivateAttr()

    def model_post_init(self, context: Any) -> None:
        self._path = context["path"]
        self._lines = context["lines"]

    @property
    def path(self) -> Path:
        """The file it was read from, as it was named."""
        return self._path

    def needs_bots(self) -> None:
        """Serving models needs none, everything else does. Raises `ConfigError`."""
        if not self.bots:
            raise ConfigError(
                self.problem(("bots",), "there is no bot: add at least one [bots.NAME] table")
            )

    def problem(self, where: Where, what: str) -> str:
        """`config.toml:LINE: path: what`, for what turns out to be wrong later."""
        return _problem(self._path, self._lines, Mistake(where, what))


def load(path: Path) -> Config:
    """Read and check the file; raises `ConfigError` with a line for every mistake."""
    return parse(_text(path, _NO_CONFIG), path)


def parse(text: str, path: Path) -> Config:
    """The same for a text that stands in `path`, or will. Files that it names are read."""
    document, lines, mistakes = _document(text, path)
    base = path.absolute().parent
    in_files: list[str] = []
    bots = document.get("bots")
    for name, bot in bots.items() if isinstance(bots, dict) else ():
        try:
            mistakes += _add_persona(name, bot, base)
        except ConfigError as error:
            in_files += error.args
    mistakes += references(document)
    context = {"base": base, "path": path, "lines": lines}
    try:
        config = Config.model_validate({"daemon": {}} | document, context=context)
    except ValidationError as error:
        mistakes += explain(error, Config)
    if mistakes or in_files:
        raise ConfigError(*_problems(path, lines, mistakes), *in_files)
    return config


def _text(path: Path, remedy: str) -> str:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file; {remedy}") from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: is a directory, expected a file") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        return data.decode("utf-8-sig")  # Windows editors put a mark at the beginning
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{path}:{line}: is not UTF-8 text (byte 0x{data[error.start]:02x})"
        ) from None


def _document(text: str, path: Path) -> tuple[dict[str, Any], Mapping[Where, int], list[Mistake]]:
    """A TOML text, the line of each place in it, and the secrets that stand in it."""
    try:
        document = tomllib.loads(text)
        # Of several mistakes in one place the first is shown, and a secret is never shown.
        return document, locate.lines(text), list(secrets(document))
    except (ValueError, RecursionError) as error:
        raise ConfigError(_syntax_problem(error, text, path)) from None


def _add_persona(name: str, bot: Any, base: Path) -> Iterable[Mistake]:
    """Put what a bot's persona file says into its table, where that says nothing itself; returns
    what is wrong in the table. Raises `ConfigError` for what is wrong in the file."""
    if not isinstance(bot, dict) or bot.get("kind") != "text":
        return []
    if not isinstance(bot.get("persona_file"), str):
        return []
    if "persona" in bot:
        both = "name one of persona and persona_file, not both"
        return [Mistake(("bots", name, "persona_file"), both)]
    try:
        path = base / Path(bot["persona_file"]).expanduser()
        text = _text(path, f"bots.{name}.persona_file names it")
    except (RuntimeError, ValueError):  # no path at all, which the table's own rules say
        return []
    said, lines, mistakes = _document(text, path)
    try:
        PersonaFile.model_validate(said)
    except ValidationError as error:
        mistakes += explain(error, PersonaFile)
    if mistakes:
        raise ConfigError(*_problems(path, lines, mistakes))
    for key, value in said.items():
        own = bot.get(key)
        if isinstance(value, dict) and isinstance(own, dict):
            bot[key] = value | own
        elif own is None:
            bot[key] = value
    return []


def read_token(config: Config, adapter: str, which: str = "token") -> str | None:
    """The secret an adapter's table refers to, if any; raises `ConfigError`. It is in no log and in
    no message; give it to `logs.redact` before anything else is done with it.

    `which` is "token", or "app_token" for the second one that Slack needs.
    """
    return _referred(config, ("adapters", adapter), config.adapters[adapter], which)


def read_key(config: Config, model: str) -> str | None:
    """The key that a model's servers want, if any; otherwise like `read_token`."""
    table = config.models[model]
    if not isinstance(table, OpenAIConfig):
        return None
    return _referred(config, ("models", model), table, "token")


def _referred(config: Config, where: Where, table: Any, which: str) -> str | None:
    for source in ("file", "env", "credential"):
        key = f"{which}_{source}"
        if reference := getattr(table, key, None):
            try:
                return _secret(source, reference)
            except ValueError as error:
                raise ConfigError(config.problem((*where, key), str(error))) from None
    return None


def _secret(kind: str, reference: str | Path) -> str:
    if kind == "env":
        source = f"the environment variable {reference}"
        value = os.environ.get(str(reference))
        if value is None:
            raise ValueError(f"{source} is not set")
    else:
        source = str(reference)
        if kind == "credential":
            directory = os.environ.get("CREDENTIALS_DIRECTORY")
            if not directory:
                raise ValueError(
                    "there are no systemd credentials here: start it as a service "
                    f"with LoadCredential={reference}:FILE"
                )
            reference = Path(directory, reference)
        try:
            value = Path(reference).read_text("utf-8")
        except OSError as error:
            raise ValueError(f"{source} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ValueError(f"{source} is not a text file") from None
    value = value.strip()
    if not value:
        raise ValueError(f"{source} is empty")
    if not value.isprintable():
        raise ValueError(f"{source} holds more than one line, or what cannot be in a token")
    if len(value) < _SHORTEST_TOKEN:
        shortest = f"a token has at least {_SHORTEST_TOKEN}"
        raise ValueError(f"{source} holds {len(value)} characters; {shortest}")
    return value


def _problems(path: Path, lines: Mapping[Where, int], mistakes: Iterable[Mistake]) -> Iterable[str]:
    """In the order of the file, and no more than one for a place."""
    first: dict[Where, Mistake] = {}
    for mistake in mistakes:
        first.setdefault(mistake.where, mistake)
    ordered = sorted(first.values(), key=lambda mistake: _line(lines, mistake.where))
    return [_problem(path, lines, mistake) for mistake in ordered]


def _problem(path: Path, lines: Mapping[Where, int], mistake: Mistake) -> str:
    line = _line(lines, mistake.where)
    place = f"{path}:{line}" if line else f"{path}"
    return concealed(": ".join(filter(None, (place, _dotted(mistake.where), mistake.what))))


def _line(lines: Mapping[Where, int], where: Where) -> int:
    """The line of the place or of the nearest table around it; 0 when there is none."""
    while where and where not in lines:
        where = where[:-1]
    return lines.get(where, 0)


def _dotted(where: Where) -> str:
    """As one would write it in TOML, without a position at the end: the value is in the text."""
    if where and isinstance(where[-1], int):
        where = where[:-1]
    parts = (
        f"[{part}]"
        if isinstance(part, int)
        else f".{part}"
        if re.fullmatch(r"[\w-]+", part)
        else f'."{part}"'
        for part in where
    )
    return "".join(parts).removeprefix(".")


_HINTS = {
    "Invalid value": '; text must be in "quotes"',
    "Illegal character '\\n'": "; is there a quote missing at the end?",
    "Unescaped '\\' in a string": "; in 'single quotes' a \\ is nothing special",
}


def _syntax_problem(error: Exception, text: str, path: Path) -> str:
    if isinstance(error, RecursionError):
        return f"{path}: lists or tables are nested too deeply"
    if not isinstance(error, tomllib.TOMLDecodeError):
        return f"{path}: a number in it is too long"
    message = re.sub(r"\('([^)]*)'.?\)", _header, str(error))  # tomllib prints a tuple
    if place := re.search(r" \(at line (\d+), column (\d+)\)$", message):
        line, column = place[1], f" in column {place[2]}"
        message = message[: place.start()]
    else:
        message, at_end, _ = message.partition(" (at end of document)")
        line, column = str(text.rstrip().count("\n") + 1), " at the end" if at_end else ""
    hint = _HINTS.get(message, "")
    return f"{path}:{line}: this is not TOML{column}: {message[:1].lower()}{message[1:]}{hint}"


def _header(names: re.Match[str]) -> str:
    return "[" + names[1].replace("', '", ".") + "]"
