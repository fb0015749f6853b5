"""Going live: what may, what is kept, and the way back."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from tiny_models import adapter, chat_model, family_model
from voices import evaluated, run_of, trained

from botdaemon.errors import ModelUnusable, Refused
from models import formats, voice_home
from models.evaluation.figures import Bounds
from models.promotion import mark_forgotten, promote, prune, rollback
from models.voice_home import Entry

#: peft 0.21 asks transformers 5.23 for something by its old name
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is dep:FutureWarning")


def a_run(tmp_path: Path, name: str, bits: float, **more: object) -> Path:
    return evaluated(run_of(chat_model(), tmp_path / name), bits=bits, **more)  # type: ignore[arg-type]  # as `evaluated` takes them


def promoted(tmp_path: Path, *names: str) -> Path:
    """A home with these versions, each better than the one before."""
    home = tmp_path / "ada"
    for number, name in enumerate(names, 1):
        day = f"2026-07-{number:02}T10:00:00+00:00"
        promote(a_run(tmp_path, f"run-{name}", 3 - number / 10), home, name=name, now=lambda: day)  # noqa: B023  # called at once
    return home


def names(home: Path) -> list[str]:
    return [version.name for version in voice_home.versions(home)]


def contents(directory: Path) -> dict[str, bytes | str]:
    return {
        str(path.relative_to(directory)): str(path.readlink())
        if path.is_symlink()
        else path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


# --- promoting -------------------------------------------------------------------------------


def test_a_run_that_is_better_and_keeps_secrets_goes_live(tmp_path: Path) -> None:
    run, home = a_run(tmp_path, "run", 2.0), tmp_path / "ada"
    (run / "checkpoints").mkdir()
    (run / "model.safetensors").chmod(0o600)
    entry = promote(run, home, now=lambda: "2026-07-12T10:00:00+00:00")

    assert entry == Entry(
        at="2026-07-12T10:00:00+00:00", what="promoted", version="2026-07-12", before=""
    )
    assert voice_home.history(home) == (entry,)
    live = home / "live"
    assert live.readlink() == Path("versions/2026-07-12")
    assert formats.load(live).card.context == 256
    assert (live / "model.safetensors").stat().st_mode & 0o444 == 0o444
    assert not (live / "checkpoints").exists()
    [version] = voice_home.versions(home)
    assert (version.live, version.bits_per_byte, version.forgotten) == (True, 2.0, ())


def test_the_next_version_stands_beside_the_last_and_a_day_may_have_two(tmp_path: Path) -> None:
    home = tmp_path / "ada"
    for bits in (2.0, 1.9, 1.8):
        run = a_run(tmp_path, f"run-{bits}", bits)
        promote(run, home, now=lambda: "2026-07-12T10:00:00+00:00")
    assert names(home) == ["2026-07-12", "2026-07-12-2", "2026-07-12-3"]
    assert (home / "live").readlink().name == "2026-07-12-3"


def test_what_is_no_better_than_what_it_was_made_from_is_refused(tmp_path: Path) -> None:
    run = a_run(tmp_path, "run", 2.5, before=("starter", 2.4))
    with pytest.raises(Refused) as refused:
        promote(run, tmp_path / "ada")
    words = str(refused.value)
    assert words.startswith(f"{run} does not go live: it foresees held-out messages no better")
    assert "2.500 bits per byte, against 2.400" in words
    assert words.endswith("or let it go live all the same with --force")
    assert not (tmp_path / "ada" / "live").exists()


def test_what_is_no_better_than_what_is_live_is_refused(tmp_path: Path) -> None:
    home = promoted(tmp_path, "one")
    before = contents(home)
    with pytest.raises(Refused, match=r'better than "one", which is live: it needs 2\.950 bits'):
        promote(a_run(tmp_path, "worse", 2.95), home)
    assert contents(home) == before


def test_figures_of_other_messages_are_not_compared(tmp_path: Path) -> None:
    home = promoted(tmp_path, "one")
    other = a_run(tmp_path, "other", 1.0, held_out="those")
    with pytest.raises(Refused) as refused:
        promote(other, home)
    assert 'it was evaluated on other messages than "one", which is live' in str(refused.value)
    # Unless what it was compared with is what is live.
    evaluated(other, bits=1.0, before=("one", 2.9), held_out="those")
    assert promote(other, home).before == "one"


def test_what_gives_away_too_much_is_refused_within_the_operators_bounds(tmp_path: Path) -> None:
    run, home = a_run(tmp_path, "run", 2.0, copied=3), tmp_path / "ada"
    with pytest.raises(Refused, match=r"30\.0% of its answers"):
        promote(run, home)
    assert promote(run, home, Bounds(copied=0.5)).despite == ()


def test_force_goes_live_and_the_history_says_despite_of_what(tmp_path: Path) -> None:
    home = promoted(tmp_path, "one")
    entry = promote(a_run(tmp_path, "worse", 2.95, copied=1), home, force=True)
    assert [reason.split(" ", 1)[0] for reason in entry.despite] == ["10.0%", "it"]
    assert voice_home.history(home)[-1] == entry


def test_a_run_without_an_evaluation_of_its_own_weights_is_refused(tmp_path: Path) -> None:
    run = run_of(chat_model(), tmp_path / "run")
    with pytest.raises(Refused, match=r"evaluation\.json is missing; make it with: botdaemon eval"):
        promote(run, tmp_path / "ada")
    evaluated(run, bits=1.0)
    data = json.loads((run / "evaluation.json").read_text())
    (run / "evaluation.json").write_text(json.dumps({**data, "weights": "0" * 64}))
    with pytest.raises(Refused, match="is of other weights than those"):
        promote(run, tmp_path / "ada")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda run: shutil.rmtree(run), "there is no directory"),
        (lambda run: (run / "tokenizer.json").unlink(), "has no tokenizer.json"),
        (lambda run: os.truncate(run / "model.safetensors", 9000), "is incomplete: 9000 of"),
        (lambda run: (run / "format.json").write_text('{"kind": "x"}'), "format.json: kind: "),
    ],
)
def test_what_could_not_be_loaded_is_refused_even_by_force(
    tmp_path: Path, spoil: object, words: str
) -> None:
    run = a_run(tmp_path, "run", 2.0)
    spoil(run)  # type: ignore[operator]  # a lambda
    with pytest.raises(ModelUnusable, match=words):
        promote(run, tmp_path / "ada", force=True)
    assert not (tmp_path / "ada").exists()


def test_an_adapter_goes_live_in_a_home_of_adapters_only(tmp_path: Path) -> None:
    lora = evaluated(run_of(adapter(family_model("llama"), seed=1), tmp_path / "lora"), bits=2.0)
    promote(lora, tmp_path / "lora-home", name="one")
    with pytest.raises(Refused, match=r"is a whole model, and what is live in .* is an adapter"):
        promote(a_run(tmp_path, "run", 1.0), tmp_path / "lora-home")
    config = json.loads((lora / "adapter_config.json").read_text())
    (lora / "adapter_config.json").write_text(json.dumps({**config, "peft_type": "IA3"}))
    with pytest.raises(ModelUnusable, match="holds IA3, not LORA"):
        promote(lora, tmp_path / "another")


def test_a_version_of_the_home_goes_live_where_it_is(tmp_path: Path) -> None:
    home = promoted(tmp_path, "one", "two")
    entry = promote(home / "versions" / "one", home, force=True)
    assert (entry.version, entry.before) == ("one", "two")
    assert names(home) == ["two", "one"]
    with pytest.raises(Refused, match='there is a version "one" in'):
        promote(a_run(tmp_path, "again", 1.0), home, name="one")


@pytest.mark.parametrize("name", ["..", "a/b", ".hidden", ""])
def test_a_name_stays_within_the_home(tmp_path: Path, name: str) -> None:
    run, home = a_run(tmp_path, "run", 2.0), tmp_path / "ada"
    if not name:  # then it is the day
        assert promote(run, home, now=lambda: "2026-07-12").version == "2026-07-12"
        return
    with pytest.raises(Refused, match="cannot be the name of a version"):
        promote(run, home, name=name)


def test_a_directory_called_live_is_left_alone(tmp_path: Path) -> None:
    mine = run_of(chat_model(), tmp_path / "ada" / "live")
    with pytest.raises(Refused, match="live is no link to a version; move it away"):
        promote(a_run(tmp_path, "run", 2.0), mine.parent)
    assert (mine / "model.safetensors").exists()


# --- back ------------------------------------------------------------------------------------


def test_rolling_back_goes_further_back_each_time(tmp_path: Path) -> None:
    home = promoted(tmp_path, "one", "two", "three")
    assert [rollback(home).version, rollback(home).version] == ["two", "one"]
    assert (home / "live").readlink().name == "one"
    with pytest.raises(Refused, match='no version was live before "one"'):
        rollback(home)
    # What was promoted after going back comes back to where it went from.
    promote(a_run(tmp_path, "run-four", 1.0), home, name="four")
    assert rollback(home).version == "one"
    assert [entry.what for entry in voice_home.history(home)][-2:] == ["promoted", "rolled back"]


def test_rolling_back_passes_over_what_may_not_go_live(tmp_path: Path) -> None:
    home = promoted(tmp_path, "one", "two", "three")
    trained(home / "versions" / "two")
    mark_forgotten(home, ["slack:U1"])
    assert rollback(home).version == "one"


def test_rolling_back_to_a_damaged_version_changes_nothing(tmp_path: Path) -> None:
    home = promoted(tmp_path, "one", "two")
    (home / "versions" / "one" / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelUnusable, match="is incomplete"):
        rollback(home)
    assert (home / "live").readlink().name == "two"


def test_nothing_can_be_rolled_back_where_nothing_is_live(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="nothing is live"):
        rollback(tmp_path / "ada")


def test_a_damaged_history_is_named_with_its_line(tmp_path: Path) -> None:
    home = promoted(tmp_path, "one")
    with (home / "history.jsonl").open("a") as file:
        file.write("{\n")
    with pytest.raises(ModelUnusable, match=r"history\.jsonl, line 2 is no entry"):
        voice_home.versions(home)


# --- pruning ---------------------------------------------------------------------------------


def test_pruning_keeps_what_is_live_and_those_that_were_live_last(tmp_path: Path) -> None:
    home = promoted(tmp_path, "one", "two", "three", "four")
    rollback(home)
    assert prune(home, keep=1) == ("one", "two")
    assert names(home) == ["four", "three"]
    assert prune(home, keep=0) == ("four",)
    assert names(home) == ["three"]


# --- forgetting ------------------------------------------------------------------------------


def test_a_version_trained_on_somebody_to_be_forgotten_is_marked_and_never_goes_live(
    tmp_path: Path,
) -> None:
    home = promoted(tmp_path, "one", "two", "three")
    one, two, three = (home / "versions" / name for name in ("one", "two", "three"))
    trained(one)
    trained(two, voices=("Bob",))
    marked = mark_forgotten(home, ["telegram:user7", "slack:U9"])

    assert (marked.trained, marked.unknown) == ((one,), (three,))
    assert [version.forgotten for version in voice_home.versions(home)] == [
        ("telegram:user7",),
        (),
        (),
    ]
    with pytest.raises(Refused, match="it was trained on telegram:user7, to be forgotten"):
        promote(one, home, force=True)
    assert mark_forgotten(home, ["slack:U1"]).trained == (one,)
    assert voice_home.forgotten(one) == ("slack:U1", "telegram:user7")
    assert prune(home, keep=9) == ("one",)


def test_a_run_that_is_marked_before_it_is_promoted_stays_out(tmp_path: Path) -> None:
    run = trained(a_run(tmp_path, "run", 2.0))
    assert mark_forgotten(run, ["slack:U1"]).trained == (run,)
    with pytest.raises(Refused, match="train again on the dataset as it is now"):
        promote(run, tmp_path / "ada")
