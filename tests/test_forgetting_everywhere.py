"""Forgetting a person in the daemon, in datasets and in models at once: all of it, or a refusal
that changed nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from talk import say, settle
from tiny_models import chat_model
from voices import evaluated, run_of, trained

from botdaemon import app
from botdaemon.app import voices as errands
from botdaemon.errors import Refused, StoreLocked
from botdaemon.store import open_store
from models import voice_home
from models.dataset.card import NAME as CARD
from models.dataset.sessions import SPLITS, path_of
from models.evaluation import figures
from models.exports.collection import open_collection
from models.exports.neutral import Said

if TYPE_CHECKING:
    from pathlib import Path

#: peft 0.21 asks transformers 5.23 for something by its old name
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is dep:FutureWarning")


async def met(data: Path) -> None:
    """A daemon that knows Ada (chat:a1) and nobody else."""
    async with open_store(data) as store:
        await settle(store)
        await say(store, "plumtree")


def collected(directory: Path, *speakers: tuple[str, str]) -> Path:
    """A dataset in which these (id, name) have said something on Slack, and which is built."""
    with (
        open_collection(directory, create=True) as collection,
        collection.begin("slack", "export.zip", "") as intake,
    ):
        for number, (speaker, name) in enumerate(speakers):
            intake.add(
                Said(
                    conversation="C1", id=str(number), at=1e9 + number, speaker=speaker, name=name,
                    text=f"said by {speaker}",
                )
            )  # fmt: skip
        intake.finish("done", {})
    for path in (directory / CARD, *(path_of(directory, split) for split in SPLITS)):
        path.write_text("what they said")
    return directory


def speakers(directory: Path) -> list[str]:
    return [f"{one.source}:{one.id}" for one in app.speakers(directory)]


async def test_a_person_is_forgotten_in_threads_datasets_and_models_at_once(tmp_path: Path) -> None:
    data, friends = tmp_path / "data", collected(tmp_path / "friends", ("U1", "Ada"), ("U2", "Bob"))
    await met(data)
    app.collect("threads", data, friends, lambda done, total: None)
    assert speakers(friends) == ["slack:U1", "slack:U2", "threads:chat:a1"]
    run = trained(evaluated(run_of(chat_model(), tmp_path / "run"), bits=2.0))
    said = (figures.Line(name="Ada", text="plumtree"),)
    case = figures.Case(said=said, name="Bob", real="plumtree?", before=None, after="")
    figures.save(replace(figures.load(run), examples=(case,)), run)
    (run / figures.PAGE).write_text("plumtree")

    gone, undone = await app.forget(data, ["slack:U1", "chat:a1"], [friends], [run])

    assert [one.messages for one in gone] == [1]
    assert (undone.messages, undone.datasets) == (2, (friends,))
    assert speakers(friends) == ["slack:U2"]
    assert sorted(path.name for path in friends.iterdir()) == ["messages.sqlite3"]
    assert (undone.trained, undone.quoted) == ((run,), (run,))
    assert voice_home.forgotten(run) == ("slack:U1",)
    assert not (run / figures.PAGE).exists()
    # What compares versions stays.
    assert figures.load(run).after.likelihood.bits_per_byte == 2.0
    assert figures.load(run).examples == ()


async def test_who_may_be_several_is_refused_before_anything_has_changed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    friends = collected(tmp_path / "friends", ("U1", "Ada"), ("U3", "ada"))
    await met(data)

    with pytest.raises(Refused, match=r"may be more than one person .* slack:U1 .* slack:U3"):
        await app.forget(data, ["Ada"], [friends], [])
    with pytest.raises(Refused, match='nobody called "Zed"'):
        await app.forget(data, ["chat:a1", "Zed"], [friends], [])

    assert speakers(friends) == ["slack:U1", "slack:U3"]
    assert (friends / CARD).exists()
    async with open_store(data) as store:
        assert (await store.find_person("chat:a1")).messages == 1


async def test_a_running_daemon_is_not_forgotten_under(tmp_path: Path) -> None:
    friends = collected(tmp_path / "friends", ("U1", "Ada"))
    async with open_store(tmp_path / "data"):
        with pytest.raises(StoreLocked):
            await app.forget(tmp_path / "data", ["Ada"], [friends], [])

    assert speakers(friends) == ["slack:U1"]


async def test_an_account_in_the_threads_is_known_again_where_they_were_imported(
    tmp_path: Path,
) -> None:
    data, friends = tmp_path / "data", tmp_path / "friends"
    await met(data)
    app.collect(errands.THREADS, data, friends, lambda done, total: None)

    await app.forget(data, ["chat:a1"], [friends], [])

    assert speakers(friends) == []
    report, problem = app.collect(errands.THREADS, data, friends, lambda done, total: None)
    assert (speakers(friends), problem) == ([], "")
    assert "deleted" in report
