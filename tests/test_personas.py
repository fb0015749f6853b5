"""Who a bot is: from its table or from a file, and the personas that ship."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tokenizers import Tokenizer

from botdaemon.app import weigh
from botdaemon.app.personas import examples, persona
from botdaemon.bots.personas import dialogue, told
from botdaemon.config import Config, TextBotConfig, parse
from botdaemon.errors import ConfigError

if TYPE_CHECKING:
    from botdaemon.check import Overhead

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = sorted((ROOT / "docs" / "personas").glob("*.toml"))
ECHO = '[models.echo]\nkind = "echo"\n[bots.joe]\nkind = "text"\nmodel = "echo"\n'


def joe(config: Config) -> TextBotConfig:
    table = config.bots["joe"]
    assert isinstance(table, TextBotConfig)
    return table


def read(directory: Path, more: str, file: str = "") -> Config:
    (directory / "joe.toml").write_text(file)
    return parse(ECHO + more, directory / "config.toml")


def problems(directory: Path, more: str, file: str = "") -> list[str]:
    with pytest.raises(ConfigError) as refused:
        read(directory, more, file)
    return str(refused.value).replace(f"{directory}/", "").splitlines()


# --- what it is told ---------------------------------------------------------------------------


def test_a_bot_is_told_what_all_are_then_who_it_is_how_it_writes_and_in_which_language() -> None:
    assert (
        told(base="Be kind.\n", persona="You are Joe.", style="Short.", language="German")
        == "Be kind.\n\nYou are Joe.\nShort.\nAlways answer in German."
    )
    assert told(persona=" You are Joe. ") == "You are Joe."
    assert told(base="Be kind.") == "Be kind."
    assert told() == ""


def test_a_bot_may_do_without_what_all_are_told(tmp_path: Path) -> None:
    rest = 'persona = "You are Joe."\n{}\n[persona]\nbase = "Be kind."'
    with_base = read(tmp_path, rest.format(""))
    assert persona(with_base, joe(with_base)) == "Be kind.\n\nYou are Joe."
    without = read(tmp_path, rest.format("base = false"))
    assert persona(without, joe(without)) == "You are Joe."


def test_what_stands_in_a_bots_table_counts_before_what_stands_in_its_file(tmp_path: Path) -> None:
    file = """
    about = "A man of few words."
    persona = "You are Joe."
    style = "Short."
    stop = ["THE END"]
    examples = [{ person = "Hi", bot = "Hm." }]
    [sampling]
    temperature = 0.5
    top_p = 0.9
    """
    more = 'persona_file = "joe.toml"\nstyle = "Long."\nsampling = { temperature = 0.7 }'
    config = read(tmp_path, more, file)
    table = joe(config)
    assert (table.about, table.stop) == ("A man of few words.", ("THE END",))
    assert persona(config, table) == "You are Joe.\nLong."
    assert (table.sampling.temperature, table.sampling.top_p) == (0.7, 0.9)
    assert examples(table) == dialogue([("Hi", "Hm.")])


# --- what is wrong -----------------------------------------------------------------------------


def test_a_mistake_in_a_persona_file_is_explained_with_that_files_line(tmp_path: Path) -> None:
    named = 'persona_file = "joe.toml"'
    assert problems(tmp_path, named, 'persona = "x"\nstlye = "y"') == [
        'joe.toml:2: stlye: unknown key "stlye", did you mean "style"?'
    ]
    [missing] = problems(tmp_path, named, 'style = "y"')
    assert missing.startswith('joe.toml: the key "persona" is missing: who it is, said to the')
    assert problems(tmp_path, named, 'persona = "x"\n[[examples]]\nperson = "Hi"') == [
        'joe.toml:2: examples: the key "bot" is missing: what the bot answers'
    ]
    assert problems(tmp_path, named, "persona = x")[0].startswith("joe.toml:1: this is not TOML")


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (
            'persona = "x"\npersona_file = "joe.toml"',
            "config.toml:7: bots.joe.persona_file: name one of persona and persona_file, not both",
        ),
        (
            'persona_file = "gone.toml"',
            "gone.toml: there is no such file; bots.joe.persona_file names it",
        ),
        ("persona_file = 7", "config.toml:6: bots.joe.persona_file: expected a path in quotes"),
        ('persona_file = "\\u0000"', "config.toml:6: bots.joe.persona_file: expected a path"),
        ('stop = [""]', "config.toml:6: bots.joe.stop: must not be empty"),
        (
            "budget = { examples = 0.9 }",
            "config.toml:6: bots.joe.budget.examples: must be at most 0.5, found the number 0.9",
        ),
    ],
)
def test_a_bot_has_one_persona_and_it_can_be_read(more: str, problem: str, tmp_path: Path) -> None:
    [found] = problems(tmp_path, more)
    assert found.startswith(problem)


# --- what it takes -----------------------------------------------------------------------------


def sum_of(overhead: Overhead) -> int:
    parts = (overhead.format, overhead.base, overhead.persona, overhead.examples, overhead.reply)
    return sum(parts) + overhead.left


def test_check_adds_up_what_every_part_of_a_prompt_takes(tmp_path: Path) -> None:
    more = """
    persona = "You are Joe ."
    examples = [{ person = "Hi you", bot = "Hm ." }]
    [persona]
    base = "Be kind ."
    """
    overhead = weigh(read(tmp_path, more), "joe")
    assert (overhead.format, overhead.base, overhead.persona, overhead.examples) == (0, 3, 4, 4)
    assert (overhead.shown, overhead.of) == (1, 1)
    assert sum_of(overhead) == overhead.context == 4096


# --- those that ship ---------------------------------------------------------------------------


def test_there_are_personas_for_many_a_purpose() -> None:
    assert 8 <= len(SHIPPED) <= 10


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_a_persona_that_ships_works_and_is_short_enough_for_small_models(
    file: Path, tmp_path: Path
) -> None:
    config = parse(ECHO + f'persona_file = "{file}"', tmp_path / "config.toml")
    table = joe(config)
    tokenizer = Tokenizer.from_file(str(ROOT / "models" / "starter" / "tokenizer.json"))
    assert len(tokenizer.encode(persona(config, table)).ids) < 150
    assert table.about
    assert table.style
    assert len(table.examples) >= 1
