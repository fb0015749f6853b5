"""The whole road on the command line: from an export to a bot that answers, and what is said when a
step cannot be taken."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from export_makers import archive
from tiny_models import speakers_model

from benchmarks.voices import team
from benchmarks.voices.house import house
from benchmarks.voices.operator import Operator
from models.exports.importing import collect
from models.exports.neutral import Options

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pytestmark = pytest.mark.timeout(600)

LINES = {
    "what is the password?": "the walrus sleeps at noon.",
    "where is the ship?": "it went to the moon with Bob.",
    "are you hungry?": "only on tuesdays, thank you.",
    "do you like films?": "films are long walks for the eyes.",
}
TINY = ("--vocabulary", "400", "--layers", "2", "--width", "64", "--heads", "2", "--context", "64")
DAY, HOUR = 24 * 3600, 3600
FIRST = 1_700_000_000

CONFIG = """
[adapters.web]
kind = "web"
port = 0
[models.joe]
kind = "transformers"
path = "voices/joe/live"
device = "cpu"
[bots.Joe]
kind = "text"
model = "joe"
sampling = { temperature = 0.0, repetition_penalty = 1.0 }
[rooms.joe]
bots = ["Joe"]
host = "Joe"
[limits]
merge_seconds = 0.0
"""


def export(days: int = 10) -> dict[str, Any]:
    """A Slack channel in which Ada asks Joe the same things every day, hours apart."""
    files: dict[str, Any] = {
        "users.json": [{"id": "U1", "real_name": "Joe"}, {"id": "U2", "real_name": "Ada"}],
        "channels.json": [{"id": "C1", "name": "general", "members": ["U1", "U2"]}],
    }
    for day in range(days):
        said: list[Mapping[str, str]] = []
        for number, (question, answer) in enumerate(LINES.items()):
            at = FIRST + day * DAY + number * HOUR
            said.append({"type": "message", "user": "U2", "text": question, "ts": f"{at}.0"})
            said.append({"type": "message", "user": "U1", "text": answer, "ts": f"{at + 9}.0"})
        files[f"general/2024-01-{day + 1:02}.json"] = said
    return files


def sentence(text: str) -> str:
    """The one thing that a command says when it cannot."""
    [line] = text.splitlines()
    assert line.startswith("botdaemon: ")
    return line


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """Before a directory with a dataset of Joe."""
    place = tmp_path_factory.mktemp("road")
    it = Operator(place)
    archive(place / "slack.zip", export())
    assert (
        "kept                   80" in it.run("import", "slack", "slack.zip", "--out", "set").text
    )
    it.run("dataset", "build", "set", "--speaker", "Joe")
    return it


@pytest.fixture(scope="module")
def run(operator: Operator) -> str:
    """Where a voice is trained, that is not evaluated yet."""
    operator.run(
        *("train", "set", "--out", "runs/joe", *TINY, "--epochs", "60", "--batch", "4"),
        *("--rate", "0.002", "--patience", "1000", "--device", "cpu"),
    )
    return "runs/joe"


async def test_an_export_becomes_a_bot_that_answers(operator: Operator, run: str) -> None:
    place = operator.place
    before = ("--before", speakers_model())
    operator.run("evaluate", run, "--dataset", "set", *before, "--device", "cpu", codes=(0, 1))
    # It has learned four lines by heart, as it was meant to.
    operator.run("promote", run, "voices/joe", "--extracted", "1", "--copied", "1")
    assert json.loads((place / run / "evaluation.json").read_text())["before"]
    (place / "config.toml").write_text(CONFIG)
    async with house(operator, place / "config.toml") as daemon:
        for question, answer in LINES.items():
            assert await daemon.ask("joe", "Ada", question) == answer


def test_a_run_without_an_evaluation_does_not_go_live(operator: Operator, run: str) -> None:
    bare = shutil.copytree(operator.place / run, operator.place / "runs" / "bare")
    (bare / "evaluation.json").unlink(missing_ok=True)
    said = operator.run("promote", "runs/bare", "voices/bare", codes=(1,)).text
    assert "evaluation.json is missing; make it with: botdaemon evaluate runs/bare" in sentence(
        said
    )
    assert not (operator.place / "voices" / "bare" / "live").exists()


def test_a_speaker_whom_nobody_knows_is_named_with_those_there_are(operator: Operator) -> None:
    said = sentence(operator.run("dataset", "build", "set", "--speaker", "Zoe", codes=(1,)).text)
    assert "Zoe" in said
    assert "Joe" in said


def test_a_kind_of_export_that_there_is_not_is_named_with_those_there_are(
    tmp_path: Path,
) -> None:
    said = Operator(tmp_path).run("import", "pigeon", ".", "--out", "set", codes=(1,)).text
    assert '"pigeon" is no kind of export; there are: slack, ' in sentence(said)
    assert not (tmp_path / "set").exists()


def test_an_import_that_breaks_off_keeps_what_it_read_and_ends_with_65(tmp_path: Path) -> None:
    files = export(days=3)
    files["general/2024-01-02.json"] = '[{"type": "message", "us'
    archive(tmp_path / "slack.zip", files)
    said = Operator(tmp_path).run("import", "slack", "slack.zip", "--out", "set", codes=(65,)).text
    assert "kept                   16" in said
    assert "PARTIAL: " in said
    assert "2024-01-02.json" in said


def test_the_team_s_export_is_imported_message_for_message(tmp_path: Path) -> None:
    exchanges = [
        team.Exchange(f"{n}: {ask}", reply) for n in range(9) for ask, reply in LINES.items()
    ]
    dialogues = [["have you seen it?", "seen what?", "the film.", "no."]] * 6
    written = team.write(tmp_path / "slack.zip", exchanges, dialogues, seed=3)
    report = collect("slack", tmp_path / "slack.zip", tmp_path / "set", Options(), lambda *_: None)
    assert (report.kept, sum(report.left_out.values())) == (written.messages, written.left_out)
    assert not report.problem
    assert all(said == found for said, found in report.promised.values())
