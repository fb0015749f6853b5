"""The configuration file: what is read from it, and how its mistakes are explained."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from botdaemon.config import (
    CannedBotConfig,
    Config,
    TextBotConfig,
    TransformersConfig,
    WebConfig,
    load,
    locate,
    parse,
    read_token,
)
from botdaemon.errors import ConfigError
from botdaemon.types import Sampling

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path("config.toml")
EXAMPLE = Path(__file__).parent.parent / "config.example.toml"
MINIMAL = """
[models.echo]
kind = "echo"
[bots.ada]
kind = "text"
model = "echo"
"""
TOKEN = "xoxb-" + "1234567890-abcdefghij"


# A busy machine is no mistake of ours.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text, HERE)
    assert caught.value.exit_code == 78
    return list(caught.value.problems)


# --- what is read ---------------------------------------------------------------------------


def test_a_small_file_is_enough() -> None:
    config = parse(MINIMAL, Path("/etc/botdaemon/config.toml"))

    assert config.daemon.data_dir == Path("/etc/botdaemon/data")
    assert config.daemon.grace_seconds == 20
    assert config.limits.message_characters == 16_000
    assert config.bots["ada"].follow_up


def test_paths_are_relative_to_the_file_and_know_the_home_directory() -> None:
    text = """
    [daemon]
    data_dir = "~/botdaemon"
    [models.one]
    kind = "transformers"
    path = "../models/one"
    [models.two]
    kind = "transformers"
    path = "/srv/two"
    [bots.joe]
    kind = "canned"
    lines = "joe.jsonl"
    """
    config = parse(text, Path("/etc/botdaemon/config.toml"))

    one, two, joe = config.models["one"], config.models["two"], config.bots["joe"]
    assert isinstance(one, TransformersConfig)
    assert isinstance(two, TransformersConfig)
    assert isinstance(joe, CannedBotConfig)
    assert one.path == Path("/etc/botdaemon/../models/one")
    assert two.path == Path("/srv/two")
    assert joe.lines == Path("/etc/botdaemon/joe.jsonl")
    assert config.daemon.data_dir == Path.home() / "botdaemon"


def test_a_relative_file_is_made_absolute_for_its_paths(tmp_path: Path) -> None:
    config = parse(MINIMAL, HERE)

    assert config.daemon.data_dir == Path.cwd() / "data"
    assert config.path == HERE


def test_a_bot_alone_in_a_room_is_its_host_and_several_have_none() -> None:
    config = parse(
        MINIMAL
        + """
        [bots.bob]
        kind = "text"
        model = "echo"
        [rooms."just ada"]
        bots = ["ada"]
        [rooms.quiet]
        bots = ["ada"]
        host = ""
        [rooms.all]
        bots = ["ada", "bob"]
        [rooms.hers]
        bots = ["ada", "bob"]
        host = "ada"
        """,
        HERE,
    )

    hosts = {name: room.host for name, room in config.rooms.items()}
    assert hosts == {"just ada": "ada", "quiet": "", "all": "", "hers": "ada"}


def test_a_file_without_bots_serves_models_and_nothing_else() -> None:
    config = parse('[models.parrot]\nkind = "echo"', HERE)
    with pytest.raises(ConfigError, match=r"config.toml: bots: there is no bot: add at least one"):
        config.needs_bots()


def test_what_a_bot_does_not_choose_of_its_sampling_is_left_to_the_model() -> None:
    config = parse(
        """
        [models.one]
        kind = "transformers"
        path = "one"
        sampling = { temperature = 1, top_k = 50 }
        [bots.ada]
        kind = "text"
        model = "one"
        sampling.temperature = 0.0
        sampling.max_tokens = 80
        """,
        HERE,
    )

    ada, one = config.bots["ada"], config.models["one"]
    assert isinstance(ada, TextBotConfig)
    assert isinstance(one, TransformersConfig)
    assert ada.sampling.chosen() == Sampling(temperature=0.0, max_tokens=80)
    assert one.sampling.chosen() == Sampling(temperature=1, top_k=50)


MODELS = """
[models.drawing]
kind = "diffusers"
path = "drawing"
[models.writing]
kind = "transformers"
path = "writing"
adapters = { joe = "joe" }
[models.far]
kind = "openai"
servers = ["http://127.0.0.1/v1"]
model = "x"
"""


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ('[bots.p]\nkind = "image"\nmodel = "far"', 'model: "far" is a text model, name an image'),
        ('[bots.t]\nkind = "text"\nmodel = "drawing"', '"drawing" is an image model, name a text'),
        (
            '[bots.p]\nkind = "image"\nmodel = "drawing"\nimprove = "drawing"',
            'bots.p.improve: "drawing" is an image model, name a text model',
        ),
        (
            '[bots.p]\nkind = "text"\nmodel = "far"\nmemory = { facts = "drawing" }',
            'bots.p.memory.facts: "drawing" is an image model, name a text model',
        ),
        (
            '[bots.p]\nkind = "text"\nmodel = "far"\nmemory = { summarise = "near" }',
            'bots.p.memory.summarise: there is no model "near"',
        ),
        (
            '[bots.t]\nkind = "text"\nmodel = "writing"\nadapter = "jo"',
            'bots.t.adapter: models.writing has no adapter "jo", did you mean "joe"?',
        ),
        (
            '[bots.p]\nkind = "image"\nmodel = "drawing"\nstyles.old.adapters = { film = 1 }',
            'bots.p.styles.old.adapters: models.drawing has no adapter "film"; it has no adapters',
        ),
        (
            '[models.m]\nkind = "transformers"\npath = "m"\nquantize = "int8"\ndevice = "cuda"',
            'models.m: int8 is for small models on a CPU: say device = "cpu"',
        ),
        (
            '[models.m]\nkind = "transformers"\npath = "m"\npinned = true\nidle_minutes = 5',
            "models.m: a pinned model stays loaded: leave out pinned or idle_minutes",
        ),
        ('fall_back = "far"', "models fall back on each other in a circle: far -> far"),
        ('fall_back = "drawing"', 'models.far.fall_back: "drawing" is an image model, name a text'),
        ('[models.a]\nkind = "openai"\nservers = []\nmodel = "x"', "models.a.servers: "),
        ('[hearing]\nmodel = "far"', 'hearing.model: "far" is a text model, name a hearing model'),
        ('[hearing]\nmodel = "ear"', 'hearing.model: there is no model "ear"'),
        (
            '[models.m]\nkind = "speech"\n[bots.t]\nkind = "text"\nmodel = "m"',
            'bots.t.model: "m" is a speech model, name a text model',
        ),
        (
            '[bots.t]\nkind = "text"\nmodel = "far"\nspeech.model = "drawing"',
            'bots.t.speech.model: "drawing" is an image model, name a speech model',
        ),
        (
            '[models.m]\nkind = "speech"\npath = "m.onnx"\nlanguage = "de"',
            "models.m: a Piper voice speaks its own language: leave out language or path",
        ),
        (
            '[models.m]\nkind = "whisper"\npath = "m"\ndevice = "mps"',
            'models.m: a hearing model runs on "cpu", "cuda" or "cuda:N"',
        ),
        (
            '[models.m]\nkind = "whisper"\npath = "m"\nlanguage = "English, please"',
            'models.m.language: expected a language, as "en" or "en-US", found "English, please"',
        ),
        ('api = "speech"\nfall_back = "far"', "a speech model has none to fall back on"),
        ('[devices."cuda:x"]\nmemory_gigabytes = 4', 'expected "auto", "cpu", "mps", "cuda" or'),
    ],
)
def test_models_that_cannot_do_what_is_wanted_of_them_are_named(table: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(f"{MINIMAL}\n{MODELS}\n{table}", HERE)
    assert problem in str(caught.value)


def test_wake_patterns_are_compiled_and_ignore_case() -> None:
    config = parse(MINIMAL + r"wake = ['\bada\b']", HERE)

    assert config.bots["ada"].wake[0].search("is ADA there?")


def test_a_mark_at_the_beginning_of_the_file_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(MINIMAL, "utf-8-sig")

    assert "ada" in load(path).bots


def test_a_configuration_cannot_be_changed() -> None:
    config = parse(MINIMAL, HERE)

    with pytest.raises(ValueError, match="frozen"):
        config.limits.queue = 3


# --- how mistakes are explained -------------------------------------------------------------


def test_all_mistakes_are_reported_at_once_in_the_order_of_the_file() -> None:
    text = """\
[daemon]
log_levle = "info"
grace_seconds = "20"
[adapters.web]
kind = "web"
port = 80000
[models.starter]
kind = "transformers"
path = "models/starter"
[bots.ada]
kind = "text"
model = "statrer"
follow-up = false
wake = ['ada+*', 'ok']
[bots.joe]
kind = "caned"
[rooms.lounge]
bots = [
    "ada",
    "jo",
]
host = "ad"
[limits]
turns_at_once = 0
"""
    no_pattern, no_member = "is not a regular expression", "is not one of the bots of this room"
    assert problems(text) == [
        'config.toml:2: daemon.log_levle: unknown key "log_levle", did you mean "log_level"?',
        'config.toml:3: daemon.grace_seconds: expected a number, found "20"',
        "config.toml:6: adapters.web.port: must be at most 65535, found the number 80000",
        'config.toml:12: bots.ada.model: there is no model "statrer", did you mean "starter"?',
        'config.toml:13: bots.ada.follow-up: unknown key "follow-up", did you mean "follow_up"?',
        f'config.toml:14: bots.ada.wake: "ada+*" {no_pattern}: multiple repeat at position 4',
        'config.toml:16: bots.joe.kind: unknown kind "caned", did you mean "canned"?',
        'config.toml:20: rooms.lounge.bots: there is no bot "jo", did you mean "joe"?',
        f'config.toml:22: rooms.lounge.host: "ad" {no_member}, did you mean "ada"?',
        "config.toml:24: limits.turns_at_once: must be at least 1, found the number 0",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("colour = 1", 'config.toml:1: colour: unknown key "colour"; known here: "adapters", '),
        ("bots = 1", "config.toml:1: bots: expected a table, found the number 1"),
        ("bots.ada = true", "config.toml:1: bots.ada: expected a table, found true"),
        (
            "[bots.ada]",
            'config.toml:1: bots.ada: the key "kind" is missing, expected "text", "canned" or ',
        ),
        (
            '[bots.ada]\nkind = "text"',
            'config.toml:1: bots.ada: the key "model" is missing: the name of a [models',
        ),
        ("[bots.ada]\nkind = 5", 'config.toml:2: bots.ada.kind: unknown kind "5"; known kinds: '),
        (
            '[adapters.x]\nkind = "irc"',
            'config.toml:2: adapters.x.kind: unknown kind "irc"; known kinds: "web", "terminal", ',
        ),
        (
            '[adapters.x]\nkind = "terminal"\nbot = "eve"',
            'config.toml:3: adapters.x.bot: there is no bot "eve"; this file has no bots',
        ),
        (
            '[bots."a b"]\nkind = "text"\nmodel = "m"',
            'config.toml:1: bots."a b": "a b" cannot be a name: use at most 32 letters, digits,',
        ),
        (
            '[daemon]\nlog_level = "warn"',
            'config.toml:2: daemon.log_level: expected "debug", "info", "warning" or "error", fou',
        ),
        (
            "[daemon]\ngrace_seconds = nan",
            "config.toml:2: daemon.grace_seconds: expected an ordinary number, found nan",
        ),
        (
            "[daemon]\ngrace_seconds = 2026-01-01",
            "config.toml:2: daemon.grace_seconds: expected a number, found a date or time",
        ),
        ('[daemon]\ndata_dir = ""', "config.toml:2: daemon.data_dir: expected a path"),
        ('[daemon]\ndata_dir = "a\\u0000"', "config.toml:2: daemon.data_dir: expected a path"),
        (
            '[daemon]\ndata_dir = "~nobody-of-that-name/x"',
            'config.toml:2: daemon.data_dir: "~nobody-of-that-name" is nobody\'s home directory',
        ),
        (
            '[adapters.w]\nkind = "web"\nhost = "http://me"',
            'config.toml:3: adapters.w.host: expected an address or the name of a host, found "htt',
        ),
        ("[limits]\nqueue = 1.5", "config.toml:2: limits.queue: expected a whole number, found"),
        (
            '[models.m]\nkind = "transformers"',
            'config.toml:1: models.m: name either path = "DIRECTORY" or hub = "OWNER/NAME"',
        ),
        (
            '[models.m]\nkind = "transformers"\nhub = "acme/tiny"',
            "config.toml:1: models.m: a hub model is pinned: add its revision",
        ),
        (
            '[models.m]\nkind = "transformers"\npath = "m"\ndevice = "gpu"',
            'config.toml:4: models.m.device: expected "auto", "cpu", "mps", "cuda" or "cuda:N", fo',
        ),
        (
            '[models.m]\nkind = "transformers"\npath = "m"\nsampling = { topp = 1, top_p = 2 }',
            'config.toml:4: models.m.sampling.topp: unknown key "topp", did you mean "top_p"?',
        ),
        ("[rooms.r]\nbots = []", "config.toml:2: rooms.r.bots: must not be empty"),
        (
            '[rooms.r]\nbots = ["a", "a"]',
            'config.toml:2: rooms.r.bots: "a" is named twice',
        ),
        (
            '[rooms.r]\nbots = ["a"]\nchannels = ["lobby"]',
            'config.toml:3: rooms.r.channels: expected "ADAPTER:CHANNEL", found "lobby"',
        ),
        (
            '[adapters.web]\nkind = "web"\n[rooms.r]\nbots = ["a"]\nchannels = ["wbe:x"]',
            'config.toml:5: rooms.r.channels: there is no adapter "wbe", did you mean "web"?',
        ),
        (
            "[adapters.w]\n[rooms.r]\nchannels = ['w:x']\n[rooms.s]\nchannels = ['w:x']",
            'config.toml:5: rooms.s.channels: "w:x" belongs to rooms.r already',
        ),
        ("[rooms.lounge]\n[rooms.Lounge]", 'config.toml:2: rooms.Lounge: "Lounge" and "lounge" d'),
        (
            "[bots.ada]\n[bots.bob]\nnames = ['Ada']",
            'config.toml:3: bots.bob.names: "Ada" is the name of bots.ada',
        ),
        (
            "[bots.a]\nkind = 'canned'\nfrom = 'b'\n[bots.b]\nkind = 'canned'",
            'config.toml:3: bots.a.from: "b" is a canned bot itself, name a text bot',
        ),
        (
            '[bots.a]\nkind = "text"\nwake = ["\\bada\\b"]',
            "config.toml:3: bots.a.wake: a regular expression belongs in 'single quotes', which",
        ),
    ],
)
def test_a_mistake_is_explained_with_its_line(text: str, problem: str) -> None:
    assert any(line.startswith(problem) for line in problems(text)), problems(text)


def test_a_key_that_must_be_there_says_what_for() -> None:
    for section, top in Config.model_fields.items():
        for _, kind, table in tables(section, top.annotation):
            for name, field in table.model_fields.items():
                if field.is_required() and name not in {"kind", "daemon"}:
                    assert field.description, (section, kind, name)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a =", 'config.toml:1: this is not TOML at the end: invalid value; text must be in "quo'),
        ("\nx = yes\n", "config.toml:2: this is not TOML in column 5: invalid value; text must be"),
        (
            'x = "yes\ny = 1',
            "config.toml:1: this is not TOML in column 9: illegal character '\\n';",
        ),
        (
            r'x = "\d"',
            "config.toml:1: this is not TOML in column 8: unescaped '\\' in a string; in",
        ),
        (
            "[a]\n[b]\n[a]\n",
            "config.toml:3: this is not TOML in column 3: cannot declare [a] twice",
        ),
        (
            "x = 1\nx = 2\ny = 3",
            "config.toml:2: this is not TOML in column 6: cannot overwrite a v",
        ),
        ("x = " + "[" * 9999, "config.toml: lists or tables are nested too deeply"),
        (".".join("x" * 2000) + " = 1", "config.toml: lists or tables are nested too deeply"),
        ("x = " + "9" * 9999, "config.toml: a number in it is too long"),
    ],
)
def test_what_is_no_toml_is_explained_in_one_sentence(text: str, problem: str) -> None:
    (line,) = problems(text)

    assert line.startswith(problem)


def test_files_that_cannot_be_read_are_explained_in_one_sentence(tmp_path: Path) -> None:
    missing = tmp_path / "config.toml"
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b"[daemon]\n# caf\xe9\n")

    for path, problem in (
        (missing, f"{missing}: there is no such file; copy config.example.toml there, or name"),
        (tmp_path, f"{tmp_path}: is a directory, expected a file"),
        (latin, f"{latin}:2: is not UTF-8 text (byte 0xe9)"),
        (Path("/proc/self/mem"), "/proc/self/mem: cannot be read: Input/output error"),
    ):
        with pytest.raises(ConfigError) as caught:
            load(path)
        (line,) = caught.value.problems
        assert line.startswith(problem)


@unhurried
@given(st.text())
def test_no_text_is_answered_with_anything_but_an_explanation(text: str) -> None:
    for whole in (text, MINIMAL + text, f"{MINIMAL}names = [{text}]\n", f"[bots.{text}]\n"):
        try:
            parse(whole, HERE)
        except ConfigError as error:
            lines = error.problems
        else:
            continue
        assert lines
        assert all(line.startswith("config.toml:") for line in lines)


# --- secrets --------------------------------------------------------------------------------

PUBLIC = '[adapters.web]\nkind = "web"\nhost = "0.0.0.0"\n'


def test_an_address_that_others_can_reach_needs_a_token() -> None:
    (line,) = problems(MINIMAL + PUBLIC)
    assert line == (
        'config.toml:7: adapters.web: host "0.0.0.0" can be reached from other machines, '
        "so a token is needed: name it with token_file, token_env or token_credential"
    )

    for own in ("127.0.0.1", "127.8.8.8", "::1", "localhost"):
        parse(MINIMAL + PUBLIC.replace("0.0.0.0", own), HERE)
    parse(MINIMAL + PUBLIC + 'token_env = "TOKEN"', HERE)


@pytest.mark.parametrize(
    "text",
    [
        f'{PUBLIC}token = "hunter2hunter2"',
        f'{PUBLIC}password = "hunter2hunter2"',
        f'{PUBLIC}api_key = "hunter2hunter2"',
        f'{PUBLIC}token_env = "hunter2 hunter2"',
        f'{PUBLIC}token_credential = "hunter2/hunter2"',
        f"{PUBLIC}token_file = ['hunter2hunter2']",
        f'{PUBLIC}token_file = "{TOKEN}"',
        f'{PUBLIC}tokn = "{TOKEN}"',
        f'[bots.{TOKEN}]\nkind = "{TOKEN}"',
        f'[bots.x]\nkind = "text"\npersona = "my token is {TOKEN}"',
        f'[rooms.r]\nbots = ["{TOKEN}"]',
    ],
)
def test_a_secret_in_the_file_is_refused_and_never_shown(text: str) -> None:
    said = "\n".join(problems(text))

    assert "hunter2" not in said
    assert TOKEN not in said
    assert (
        "a secret is never written into this file" in said
        or "not the secret itself" in said
        or ("found something else" in said)
    )


def test_a_token_is_read_from_a_file_the_environment_or_a_systemd_credential(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "web-token").write_text("  correct horse battery\n")
    monkeypatch.setenv("WEB_TOKEN", "correct horse battery")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))

    for key, value in (
        ("token_file", "web-token"),
        ("token_env", "WEB_TOKEN"),
        ("token_credential", "web-token"),
    ):
        config = parse(f'{MINIMAL}{PUBLIC}{key} = "{value}"', tmp_path / "config.toml")
        assert read_token(config, "web") == "correct horse battery"
        assert "correct horse" not in repr(config)
    assert read_token(parse(f'{MINIMAL}[adapters.w]\nkind = "web"', HERE), "w") is None


def test_a_token_that_cannot_be_read_is_explained_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "two").write_text("correct horse\nbattery staple\n")
    (tmp_path / "short").write_text("horse")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.delenv("NO_SUCH_TOKEN", raising=False)

    for key, value, problem in (
        ("token_file", "missing", f"{tmp_path}/missing cannot be read: No such file or directory"),
        ("token_file", "/tmp", "/tmp cannot be read: Is a directory"),
        ("token_file", "empty", f"{tmp_path}/empty is empty"),
        ("token_file", "two", f"{tmp_path}/two holds more than one line, or what cannot be in a"),
        ("token_file", "short", f"{tmp_path}/short holds 5 characters; a token has at least 8"),
        ("token_file", "binary", f"{tmp_path}/binary is not a text file"),
        ("token_env", "NO_SUCH_TOKEN", "the environment variable NO_SUCH_TOKEN is not set"),
        ("token_credential", "web", "there are no systemd credentials here: start it as a serv"),
    ):
        config = parse(f'{MINIMAL}{PUBLIC}{key} = "{value}"', tmp_path / "config.toml")
        with pytest.raises(ConfigError) as caught:
            read_token(config, "web")
        line = f"{tmp_path}/config.toml:10: adapters.web.{key}: "
        assert str(caught.value).startswith(line + problem)
        assert "horse" not in str(caught.value)


# --- the example ----------------------------------------------------------------------------


def test_the_example_works_as_it_stands() -> None:
    config = load(EXAMPLE)

    web, starter, comic, joe = (
        config.adapters["web"],
        *map(config.bots.get, ("starter", "comic", "joe")),
    )
    assert isinstance(web, WebConfig)
    assert (web.host, web.port) == ("127.0.0.1", 8642)
    assert isinstance(starter, TextBotConfig)
    assert isinstance(comic, TextBotConfig)
    assert isinstance(joe, CannedBotConfig)
    assert starter.model == comic.model == "starter"
    assert "comic" in comic.persona
    assert joe.lines.is_file()
    assert config.rooms["lounge"].bots == ("starter", "comic", "joe", "painter")
    assert config.rooms["lounge"].host == "starter"


_KEY = re.compile(r"(?P<optional># )?(?P<key>[a-z_]+) = (?P<value>.+)")
_HEADER = re.compile(r"(?:# )?\[\[?(?P<path>[a-z]+(\.[a-z._]+|\.\"cuda:0\")?)\]\]?")


def documented_keys() -> set[tuple[str, str, str]]:
    """The keys of the example that follow a comment, as (section, kind, name), "" being any kind.
    Those behind a # count."""
    found: set[tuple[str, str, str]] = set()
    section, kind, before, path = "", "", "", ""
    kinds: dict[str, str] = {}
    for line in EXAMPLE.read_text().splitlines():
        prose = before.startswith("# ") and not _KEY.fullmatch(before)
        if header := _HEADER.fullmatch(line):
            path = header["path"]
            section, _, rest = path.partition(".")
            if inner := next((name for name in rest.split(".") if name in _INNER), ""):
                kind = kinds.get(path.partition(f".{inner}")[0], "")
                found |= {(section, kind, inner), (section, "", inner)} if prose else set()
                section, kind = inner, ""
        elif key := _KEY.fullmatch(line):
            if key["key"] == "kind":
                kind = kinds[path] = key["value"].strip('"')
            if prose:
                found |= {(section, kind, key["key"]), (section, "", key["key"])}
        before = line
    return found


#: tables within tables, which stand for themselves wherever they are
_INNER = (
    *("sampling", "access", "styles"),
    *("filters", "heard", "said", "classifier", "most_characters", "messages", "crowd", "speech"),
    *("examples", "budget", "enrich", "checker", "knowledge"),
    *("stages", "moods", "memory"),
)


def tables(section: str, annotation: Any) -> Iterator[tuple[str, str, type[BaseModel]]]:
    """Every table the file can have, as (section, kind, model)."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        kind = annotation.model_fields.get("kind")
        yield section, get_args(kind.annotation)[0] if kind else "", annotation
        for name, field in annotation.model_fields.items():
            inner = name if name in _INNER else section
            yield from tables(inner, field.annotation)
    for argument in get_args(annotation):
        yield from tables(section, argument)


def test_the_example_has_every_key_each_with_a_comment() -> None:
    documented = documented_keys()
    missing = [
        (section, kind, name)
        for section, top in Config.model_fields.items()
        for section, kind, table in tables(section, top.annotation)
        for name, field in table.model_fields.items()
        # What all bots have is explained with the first of them.
        if (section, kind if name in table.__annotations__ else "", field.alias or name)
        not in documented
    ]

    assert missing == []


def test_every_optional_key_of_the_example_can_be_switched_on() -> None:
    lines = [
        line.removeprefix("# ") if _KEY.fullmatch(line) or _HEADER.fullmatch(line) else line
        for line in EXAMPLE.read_text().splitlines()
    ]
    path, hub = ('path = "models',), ("hub =", "revision =")
    ways = ("file", "env", "credential")
    # A directory or a hub id, and one of three ways to name a token.
    for way, source in zip(ways, (path, hub, hub), strict=True):
        others = tuple(f"token_{other} =" for other in ways if other != way)
        left_out = {
            "adapters.web": others,
            "adapters.slack": tuple(f"app_{other}" for other in others),
            "models.starter": source,
            "models.large": others,
        }
        kept, table = [], ""
        for line in lines:
            if header := _HEADER.fullmatch(line):
                table = header["path"]
            if not line.startswith(left_out.get(table, "\0")):
                kept.append(line)
        config = parse("\n".join(kept), EXAMPLE)
        kinds = {"terminal", "web", "discord", "slack", "telegram"}
        assert {adapter.kind for adapter in config.adapters.values()} == kinds
        kinds = {"transformers", "diffusers", "embedder", "classifier"}
        kinds |= {"whisper", "speech", "openai", "echo"}
        assert {model.kind for model in config.models.values()} == kinds


# --- lines ----------------------------------------------------------------------------------

_FILLER = ("", " ", "\t", "\n", ' # ] } , "\n', "\n\n# '''\n  ")
_STRINGS = (
    '"{line} ] # \\" \\\\"',
    "'{line} # [\\'",
    '"""{line}\n[not.a.table]\nnot = "a key" \\\n # nor """ "" "x"""""',
    "'''{line}\n\\ ''\n[no]'''''",
    '"""{line}"""',
)
_KEYS = ("a", "b-2", "3", '"a.b"', "'#c'", '"d = \\"1\\" ]"', "'[e]'", '"\\u00e9"', '""')


class _Author:
    """Writes TOML whose values are the numbers of their own lines."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw
        self.text = ""

    @property
    def line(self) -> int:
        return self.text.count("\n") + 1

    def pick(self, *choices: str) -> str:
        return str(self.draw(st.sampled_from(choices)))

    def key(self) -> str:
        parts = self.draw(st.lists(st.sampled_from(_KEYS), min_size=1, max_size=3))
        return self.pick(".", " . ").join(parts)

    def value(self, depth: int = 0) -> None:
        kind = self.pick("number", "string", *(("list", "table") if depth < 3 else ()))
        if kind == "number":
            self.text += str(self.line)
        elif kind == "string":
            self.text += self.pick(*_STRINGS).replace("{line}", str(self.line))
        elif kind == "list":
            self.text += "["
            for _ in range(self.draw(st.integers(0, 3))):
                self.text += self.pick(*_FILLER)
                self.value(depth + 1)
                self.text += self.pick(*_FILLER) + ","
            self.text += self.pick(*_FILLER) + "]"
        else:
            self.text += "{ "
            for index in range(self.draw(st.integers(0, 3))):
                self.text += ", " if index else ""
                self.pair(depth + 1)
            self.text += "}"

    def pair(self, depth: int = 0) -> None:
        self.text += self.key() + self.pick("=", " = ")
        self.value(depth)
        self.text += self.pick("", " ")

    def statement(self) -> None:
        kind = self.pick("pair", "pair", "table", "array", "filler")
        if kind == "filler":
            self.text += self.pick(*_FILLER).strip(" \t") + "\n"
        elif kind == "pair":
            self.pair()
            self.text += self.pick("\n", "  # x = 1\n", "\r\n")
        else:
            opening, closing = ("[", "]") if kind == "table" else ("[[", "]]")
            self.text += f"{opening} {self.key()}{closing}\nheader = {self.line}\n"


@st.composite
def documents(draw: Any) -> str:
    author = _Author(draw)
    for _ in range(draw(st.integers(0, 12))):
        before = author.text
        author.statement()
        try:
            tomllib.loads(author.text)
        except tomllib.TOMLDecodeError:  # something was said twice
            author.text = before
    return author.text


@unhurried
@given(documents())
def test_every_key_and_item_is_found_on_its_line(text: str) -> None:
    lines = locate.lines(text)
    seen = set()

    def visit(where: locate.Where, value: Any) -> None:
        if where:
            seen.add(where)
        if isinstance(value, dict):
            if isinstance(header := value.get("header"), int):
                assert lines[where] == header
            for key, inner in value.items():
                if key == "header":
                    seen.add((*where, key))
                else:
                    visit((*where, key), inner)
        elif isinstance(value, list):
            for index, inner in enumerate(value):
                visit((*where, index), inner)
        else:
            assert lines[where] == int(str(value).split()[0])

    visit((), tomllib.loads(text))
    assert seen == set(lines)


# --- what it costs --------------------------------------------------------------------------


def test_reading_a_configuration_needs_no_model_library() -> None:
    code = (
        "import sys, pathlib, botdaemon.check, botdaemon.logs, botdaemon.systemd\n"
        "from botdaemon.config import load\n"
        "load(pathlib.Path(sys.argv[1]))\n"
        "print(sorted({'torch', 'transformers', 'aiohttp', 'asyncio'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, EXAMPLE],
        capture_output=True,
        text=True,
        check=True,
        cwd=EXAMPLE.parent,
    )

    assert done.stdout == "[]\n"
