"""A voice that is promoted while it is served: the new version answers what is asked next, the old
one finishes what it began, and a broken one changes nothing."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import os
import shutil
import signal
import tempfile
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
import text_engines
from text_engines import ask as asked
from text_engines import assert_as_generated, engine, outcomes
from tiny_models import adapter, build, chat_model, family_model
from voices import evaluated, run_of

from botdaemon.errors import EngineDied
from botdaemon.types import ChatLine, Piece, Sampling, TextRequest
from models.fleet import Fleet
from models.live import version_at
from models.process import ModelProcess, ModelTextEngine, TextSpec
from models.promotion import promote, rollback

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

#: peft 0.21 asks transformers 5.23 for something by its old name
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is dep:FutureWarning")

#: for tests that use the shared process, which belongs to one event loop
shared = pytest.mark.asyncio(loop_scope="module")

#: looks come when a test asks for them
NEVER = 1e6
numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Served:
    process: ModelProcess
    ada: ModelTextEngine
    home: Path


def ask(text: str = "hello", length: int = 20) -> TextRequest:
    return TextRequest(
        model="",
        speaker="Ada",
        lines=(ChatLine(role="user", text=text, name="Bob"),),
        sampling=Sampling(temperature=0.0, max_tokens=length),
    )


LONG = ask(length=200)


async def answer(voice: ModelTextEngine, request: TextRequest) -> str:
    async with aclosing(voice.generate(request)) as pieces:
        return "".join([piece.text async for piece in pieces])


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno >= logging.ERROR]


async def rest(pieces: AsyncIterator[Piece], first: Piece) -> str:
    return first.text + "".join([piece.text async for piece in pieces])


@pytest.fixture(scope="module")
def old() -> Path:
    return chat_model()


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Other weights, and a shorter context."""
    return build(tmp_path_factory.mktemp("new") / "new", seed=7, format={"context": 128})


def said_by(model: Path, request: TextRequest) -> str:
    return text_engines.text(text_engines.answer(engine(model), request))


def promote_run(model: Path, home: Path, name: str) -> None:
    """Copied, with papers that say that it is better than all before."""
    with tempfile.TemporaryDirectory() as place:
        run = evaluated(run_of(model, Path(place) / name), bits=2 / next(numbers))
        promote(run, home, name=name)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def process(tmp_path_factory: pytest.TempPathFactory, old: Path) -> AsyncIterator[Served]:
    """One for most tests, since importing torch takes seconds."""
    base = tmp_path_factory.mktemp("served")
    promote_run(old, base / "ada", "old")
    models = {"ada": TextSpec(path="ada/live")}
    async with ModelProcess(name="cpu", models=models, base=base, look=NEVER) as process:
        yield Served(process, process.text("ada"), base / "ada")


@pytest_asyncio.fixture(loop_scope="module")
async def served(process: Served) -> Served:
    """With the old version live, and loaded."""
    home = process.home
    promote(home / "versions" / "old", home, force=True)
    await process.process.look()
    await answer(process.ada, ask())
    return process


@shared
async def test_the_next_request_is_answered_and_counted_by_what_was_promoted(
    served: Served, old: Path, new: Path
) -> None:
    ada, restarts = served.ada, served.process.status().restarts
    assert await answer(ada, ask()) == said_by(old, ask())
    assert ada.card.context == 256

    promote_run(new, served.home, "new")
    await served.process.look()
    assert ada.card.context == 128
    assert await answer(ada, ask()) == said_by(new, ask())

    rollback(served.home)
    await served.process.look()
    assert ada.card.context == 256
    assert await answer(ada, ask()) == said_by(old, ask())
    assert served.process.status().restarts == restarts


@shared
async def test_an_answer_under_way_is_finished_by_the_version_that_began_it(
    served: Served, old: Path, new: Path
) -> None:
    promote_run(new, served.home, "next")
    begun = served.ada.generate(LONG)
    first = await anext(begun)
    await served.process.look()
    next_one = asyncio.create_task(answer(served.ada, ask()))
    assert await rest(begun, first) == said_by(old, LONG)
    assert await next_one == said_by(new, ask())


@shared
async def test_a_version_whose_files_are_not_right_leaves_the_old_one_with_one_line(
    served: Served, old: Path, new: Path, caplog: pytest.LogCaptureFixture
) -> None:
    promote_run(new, served.home, "half")
    (served.home / "live" / "tokenizer.json").unlink()
    for _ in range(3):
        await served.process.look()
    assert await answer(served.ada, ask()) == said_by(old, ask())
    [line] = errors(caplog)
    assert line.startswith('model "ada" goes on as it was: ')
    assert "has no tokenizer.json" in line

    # Mended, it is taken.
    shutil.copy(new / "tokenizer.json", served.home / "live")
    await served.process.look()
    assert await answer(served.ada, ask()) == said_by(new, ask())


@shared
async def test_a_version_that_cannot_be_loaded_leaves_the_old_one_with_one_line(
    served: Served, old: Path, new: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    strange = run_of(new, tmp_path / "strange")
    config = json.loads((strange / "config.json").read_text())
    (strange / "config.json").write_text(json.dumps({**config, "n_layer": 3}))
    promote_run(strange, served.home, "strange")
    await served.process.look()
    assert await answer(served.ada, ask()) == said_by(old, ask())
    assert served.ada.card.context == 256
    await served.process.look()  # nor is it tried again
    [line] = errors(caplog)
    assert line.endswith("they do not belong to its config.json; it goes on as it was")
    assert served.process.status().models == {"ada": "loaded"}

    promote_run(new, served.home, "sound")
    await served.process.look()
    assert await answer(served.ada, ask()) == said_by(new, ask())


@shared
@pytest.mark.slow
async def test_a_process_that_dies_comes_back_with_the_version_that_was_live(
    served: Served, new: Path
) -> None:
    promote_run(new, served.home, "mortal")
    await served.process.look()
    begun = served.ada.generate(ask(length=100))
    await anext(begun)
    os.kill(served.process.pid, signal.SIGKILL)
    with pytest.raises(EngineDied):
        async for _ in begun:
            pass
    assert await answer(served.ada, ask()) == said_by(new, ask())


@shared
@pytest.mark.slow
async def test_what_a_process_died_of_loading_is_not_tried_again_until_it_is_promoted_again(
    served: Served, old: Path, new: Path, caplog: pytest.LogCaptureFixture
) -> None:
    promote_run(new, served.home, "deadly")
    await served.process.life()
    pid = served.process.pid
    os.kill(pid, signal.SIGSTOP)
    await served.process.look()
    asked = asyncio.create_task(answer(served.ada, ask()))
    await asyncio.sleep(0)  # it is sent at once
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(EngineDied):
        await asked
    assert await answer(served.ada, ask()) == said_by(old, ask())
    await served.process.look()
    assert await answer(served.ada, ask()) == said_by(old, ask())
    assert [line for line in errors(caplog) if "goes on as it was" in line] == [
        'model "ada" goes on as it was: the process ended before it had loaded another version'
    ]

    promote(served.home / "live", served.home, force=True)
    await served.process.look()
    assert await answer(served.ada, ask()) == said_by(new, ask())


@shared
async def test_files_that_are_replaced_in_place_are_taken_when_they_have_come_to_rest(
    served: Served, old: Path, new: Path
) -> None:
    promote_run(old, served.home, "changing")
    await served.process.look()
    assert await answer(served.ada, ask()) == said_by(old, ask())  # it is loaded
    for name in ("model.safetensors", "format.json"):
        # Not written over: the process has the old file in its memory.
        part = served.home / "live" / f".{name}"
        shutil.copy(new / name, part)
        part.replace(served.home / "live" / name)
        await served.process.look()
        assert await answer(served.ada, ask()) == said_by(old, ask())
    await served.process.look()
    assert await answer(served.ada, ask()) == said_by(new, ask())


@shared
async def test_a_link_that_leads_nowhere_is_said_once(
    served: Served, old: Path, caplog: pytest.LogCaptureFixture
) -> None:
    live = served.home / "live"
    live.unlink()
    for _ in range(3):
        await served.process.look()
    assert await answer(served.ada, ask()) == said_by(old, ask())
    assert errors(caplog) == [
        f'model "ada" goes on as it was: {live} cannot be read: No such file or directory'
    ]


async def test_a_promotion_is_noticed_by_itself_and_measured_as_a_model_of_its_own(
    tmp_path: Path, old: Path
) -> None:
    home, book = tmp_path / "ada", tmp_path / "footprints.json"
    promote_run(old, home, "old")
    async with Fleet({"ada": TextSpec(path="ada/live")}, base=tmp_path, footprints=book) as fleet:
        ada = fleet.text("ada")
        before = await answer(ada, ask())
        promote_run(family_model("llama"), home, "new")
        while await answer(ada, ask()) == before:
            pass
    assert {key.split()[0] for key in json.loads(book.read_text())} == {
        f"{home}/versions/old",
        f"{home}/versions/new",
    }


@pytest.mark.slow
async def test_models_without_room_for_both_switch_as_well(
    tmp_path: Path, old: Path, new: Path
) -> None:
    home = tmp_path / "ada"
    promote_run(old, home, "old")
    models = {
        "ada": TextSpec(path=str(home / "live"), cache=2**30),
        "bob": TextSpec(path=str(old), cache=2**30),
    }
    async with ModelProcess(name="cpu", models=models, memory=3 * 2**29, look=NEVER) as process:
        ada, bob = process.text("ada"), process.text("bob")
        await answer(ada, ask())
        theirs = await answer(bob, ask())
        assert process.status().models == {"ada": "away", "bob": "loaded"}
        begun = bob.generate(LONG)
        first = await anext(begun)
        promote_run(new, home, "new")
        await process.look()
        assert await answer(ada, ask()) == said_by(new, ask())
        assert await rest(begun, first) == said_by(old, LONG)
        assert await answer(bob, ask()) == theirs


def test_papers_beside_the_weights_are_no_other_version(tmp_path: Path, old: Path) -> None:
    promote_run(old, tmp_path / "ada", "old")
    live = tmp_path / "ada" / "live"
    before = version_at(live)
    (live / "forgotten.json").write_text("{}")
    assert version_at(live) == before


# --- adapters --------------------------------------------------------------------------------


def test_an_adapter_that_is_promoted_speaks_next_and_a_broken_one_does_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    base = family_model("llama")
    one, two = adapter(base, seed=1), adapter(base, seed=2)
    home = tmp_path / "ada"
    promote_run(one, home, "one")
    tiny = engine(base, adapters={"ada": home / "live"})

    def speaks() -> list[int]:
        slot = tiny.start(asked("hello", adapter="ada"))
        outcomes(tiny)
        return slot.ids

    begun = tiny.start(asked("hello", adapter="ada"))
    outcomes(tiny, steps=3)
    promote_run(two, home, "two")
    after = tiny.start(asked("hello", adapter="ada"))
    outcomes(tiny)
    assert_as_generated(base, begun, adapter=one)
    assert_as_generated(base, after, adapter=two)

    promote_run(two, home, "three")
    os.truncate(home / "live" / "adapter_model.safetensors", 500)
    assert [speaks(), speaks()] == [after.ids, after.ids]
    [line] = [r.message for r in caplog.records if r.levelno >= logging.ERROR]
    assert 'adapter "ada" of model "tiny" cannot be used' in line

    rollback(home)
    rollback(home)
    assert speaks() == begun.ids
