"""What bots know from files: read by their structure, kept like the folders, found by words and by
meaning, never more than was asked for."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from knowing import (
    FAQ,
    PAGE,
    WordEmbedder,
    everything,
    files_for,
    find,
    learn,
    librarian,
    pdf,
    shelf,
    write,
)

from botdaemon.errors import EngineDied, StoreLocked
from botdaemon.knowledge.cutting import MOST, Block, passages
from botdaemon.knowledge.folders import KINDS
from botdaemon.knowledge.indexing import keep_fresh
from botdaemon.knowledge.readers import Reader
from botdaemon.knowledge.search import Found, K, by_words, choose, fuse
from botdaemon.knowledge.vectors import Matrix, pack
from botdaemon.knowledge.worker import read
from botdaemon.store.passages import IndexedFile, look, open_index
from botdaemon.tasks import background
from botdaemon.types import Passage

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent


# --- reading ---------------------------------------------------------------------------------


async def test_files_are_cut_by_their_headings_and_pages(tmp_path: Path) -> None:
    folder = write(tmp_path / "f", faq_md=FAQ, page_html=PAGE, plain_txt="One.\n\nTwo.\n")
    (folder / "sub").mkdir()
    (folder / "sub/manual.PDF").write_bytes(pdf("It has a dimmer.", "Use a dry cloth."))
    said = await learn(tmp_path, folder)

    assert said == []
    assert everything(tmp_path) == [
        (
            "faq.md",
            "Questions > Refunds",
            "You may send a lamp back within 30 days.\n\nThe money is returned to your card.",
            0,
            8,
        ),
        (
            "faq.md",
            "Questions > Opening hours",
            "| Day | Hours |\n|---|---|\n| Tuesday | 10 to 18 |",
            0,
            14,
        ),
        ("page.html", "Repairs", "Broken bulbs are replaced free of charge.", 0, 2),
        ("page.html", "Repairs > Cables", "Cables cost 5 euros.\n\nPlugs cost 3.", 0, 3),
        ("plain.txt", "", "One.\n\nTwo.", 0, 1),
        ("sub/manual.PDF", "", "It has a dimmer.", 1, 0),
        ("sub/manual.PDF", "", "Use a dry cloth.", 2, 0),
    ]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8-sig", "utf-16", "cp1251"])
async def test_texts_are_read_whatever_their_encoding(tmp_path: Path, encoding: str) -> None:
    words = "Der K\u00e4ufer zahlt die Versandkosten f\u00fcr gro\u00dfe St\u00fccke selbst."
    if encoding == "cp1251":
        words = "Покупатель платит за доставку, а возврат денег занимает пять рабочих дней."  # noqa: RUF001  # it is Russian
    folder = write(tmp_path / "f")
    (folder / "text.txt").write_bytes(words.encode(encoding))

    assert await learn(tmp_path, folder) == []
    assert [text for _, _, text, _, _ in everything(tmp_path)] == [words]


@settings(deadline=None)
@given(text=st.text(alphabet="ab .!\n\u3002", max_size=4000), page=st.integers(0, 3))
def test_passages_hold_all_of_a_text_in_order_and_none_is_too_long(text: str, page: int) -> None:
    cut = list(passages([Block(text=text, page=page), Block(text="the end", page=page)]))

    assert max(len(one.text) for one in cut) <= MOST
    assert "".join("".join(one.text.split()) for one in cut) == "".join(text.split()) + "theend"


@given(kind=st.sampled_from(sorted(set(KINDS.values()))), content=st.binary(max_size=400))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_file_holds_reading_it_says_something_that_can_be_kept(
    kind: str, content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes({"pdf": b"%PDF-1.4\n", "html": b"<p>"}.get(kind, b"") + content)
    told = read(str(path), kind, 1000, "")

    assert told.keys() in ({"problem"}, {"sha256", "passages"})
    json.dumps(told).encode()
    for heading, text, _, _ in told.get("passages", ()):
        (heading + text).encode()


async def test_a_file_that_cannot_be_read_costs_itself_only(tmp_path: Path) -> None:
    folder = write(tmp_path / "f", faq_md=FAQ, zeros_txt="a\0b", large_txt="word " * 300_000)
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7\n" + b"\x00\xff" * 500)
    (folder / "cut.pdf").write_bytes(pdf("It has a dimmer.", "Use a dry cloth.")[:4000])
    (folder / "scan.pdf").write_bytes(pdf(""))
    said = await learn(tmp_path, folder)
    again = await learn(tmp_path, folder)

    assert await files_for(tmp_path, "refunds for a lamp") == ["faq.md"]
    assert [line.partition(": ")[2] for line in said if "cut.pdf" not in line] == [
        said[0].partition(": ")[2],
        "it is larger than 1 MB (file_megabytes)",
        "it has no text, only pictures of pages; recognise its text first (OCR)",
        "it is no text: it has zero bytes",
    ]
    assert said[0].startswith(f"{folder / 'broken.pdf'}: it cannot be read: ")
    assert again == []  # not until it has changed
    with look(tmp_path / "index/bot") as index:
        assert index is not None
        kept = {file.shown for file in index.files().values() if file.problem}
    assert kept >= {"broken.pdf", "large.txt", "scan.pdf", "zeros.txt"}


def worker_of(parent: int) -> int:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes()
            status = (process / "status").read_text()
        except OSError:
            continue
        if b"botdaemon.knowledge.worker" in words and f"\nPPid:\t{parent}\n" in status:
            return int(process.name)
    raise AssertionError("there is no worker")


async def test_a_file_that_ends_its_reader_is_given_up_and_the_next_one_is_read(
    tmp_path: Path,
) -> None:
    folder = write(tmp_path / "f", a_txt="one", b_txt="two")
    async with Reader(1000) as reader:
        first = await reader.read(folder / "a.txt", "a.txt")
        os.kill(worker_of(os.getpid()), signal.SIGKILL)
        second = await reader.read(folder / "b.txt", "b.txt")
        third = await reader.read(folder / "b.txt", "b.txt")

    assert [one.text for one in first.passages] == ["one"]
    assert second.problem == "it ends whatever reads it (SIGKILL)"
    assert [one.text for one in third.passages] == ["two"]


async def test_a_file_that_is_never_done_is_given_up(tmp_path: Path) -> None:
    folder = write(tmp_path / "f", a_txt="one")
    async with Reader(1000, patience=0.0) as reader:
        first = await reader.read(folder / "a.txt", "a.txt")

    assert first.problem == "it took longer than 0 seconds to read"


# --- keeping the index like the folders ----------------------------------------------------------


async def test_a_changed_file_is_found_anew_and_a_deleted_one_no_longer(tmp_path: Path) -> None:
    folder = write(tmp_path / "f", cats_md="Cats sleep by day.", dogs_md="Dogs bark by night.")
    embedder = WordEmbedder()
    await learn(tmp_path, folder, embedder=embedder)
    assert await files_for(tmp_path, "cats", embedder=embedder) == ["cats.md"]
    embedder.embedded.clear()

    write(folder, cats_md="Birds sing at dawn.")
    (folder / "dogs.md").unlink()
    (folder / "dogs.md").mkdir()
    await learn(tmp_path, folder, embedder=embedder)

    for gone in ("cats", "dogs", "Cats sleep by day.", "Dogs bark by night."):
        assert await files_for(tmp_path, gone, embedder=embedder) == []
    assert await files_for(tmp_path, "birds at dawn", embedder=embedder) == ["cats.md"]
    assert embedder.embedded[0] == "Birds sing at dawn."


async def test_what_has_not_changed_is_not_read_again(tmp_path: Path) -> None:
    folder = write(tmp_path / "f", cats_md="Cats sleep by day.")
    embedder = WordEmbedder()
    await learn(tmp_path, folder, embedder=embedder)
    os.utime(folder / "cats.md", (1, 1))  # another time, the same content
    await learn(tmp_path, folder, embedder=embedder)

    assert embedder.embedded == ["Cats sleep by day."]
    assert await files_for(tmp_path, "cats") == ["cats.md"]


async def test_links_and_hidden_files_are_left_alone(tmp_path: Path) -> None:
    write(tmp_path / "secret", key_txt="The password is swordfish.")
    folder = write(tmp_path / "f", cats_md="Cats sleep by day.")
    (folder / "link.txt").symlink_to(tmp_path / "secret/key.txt")
    (folder / "linked").symlink_to(tmp_path / "secret")
    write(folder / ".git", head_txt="The password is swordfish.")
    os.mkfifo(folder / "pipe.txt")
    await learn(tmp_path, folder)

    assert {file for file, *_ in everything(tmp_path)} == {"cats.md"}


async def test_one_bot_never_reads_another_bots_folders(tmp_path: Path) -> None:
    ours = write(tmp_path / "ours", a_md="The password is swordfish.")
    theirs = write(tmp_path / "theirs", b_md="Cats sleep by day.")
    embedder = WordEmbedder()
    await learn(tmp_path, ours, bot="ada", embedder=embedder)
    await learn(tmp_path, theirs, bot="bob", embedder=embedder)

    for question in ("password", "The password is swordfish.", "cats", "a_md", "a.md"):
        found = await files_for(
            tmp_path, question, bot="bob", embedder=embedder, least_similarity=-1.0
        )
        assert set(found) <= {"b.md"}
    assert await files_for(tmp_path, "password", bot="ada") == ["a.md"]


async def test_a_folder_that_is_not_there_loses_nothing(tmp_path: Path) -> None:
    folder = write(tmp_path / "disk", cats_md="Cats sleep by day.")
    await learn(tmp_path, folder)
    folder.rename(tmp_path / "unplugged")
    said = await learn(tmp_path, folder)

    assert said == [f"{folder} cannot be looked into: No such file or directory"]
    assert await files_for(tmp_path, "cats") == ["cats.md"]

    await learn(tmp_path, write(tmp_path / "other"))  # it is not configured any more
    assert await files_for(tmp_path, "cats") == []


async def test_another_embedder_makes_all_vectors_anew(tmp_path: Path) -> None:
    folder = write(tmp_path / "f", cats_md="Cats sleep by day.")
    await learn(tmp_path, folder, embedder=WordEmbedder())
    other = WordEmbedder(32, "others")
    asking = librarian(tmp_path, other)
    assert (await asking.find("Cats sleep"))[0].similarity is None  # of another length

    await learn(tmp_path, folder, embedder=other)

    assert other.embedded == ["Cats sleep", "Cats sleep by day."]
    assert ((await asking.find("Cats sleep"))[0].similarity or 0) > 0.5


@pytest.mark.parametrize("damage", ["no database", "another form", "cut"])
async def test_an_index_that_cannot_be_used_is_made_anew(tmp_path: Path, damage: str) -> None:
    folder = write(tmp_path / "f", cats_md="Cats sleep by day.")
    await learn(tmp_path, folder)
    path = tmp_path / "index/bot/index.db"
    if damage == "no database":
        path.write_bytes(b"not a database at all" * 100)
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:100])
    await learn(tmp_path, folder, stems=damage != "another form")

    assert await files_for(tmp_path, "cats") == ["cats.md"]


async def test_whoever_comes_second_leaves_the_index_alone(tmp_path: Path) -> None:
    folder = write(tmp_path / "f", cats_md="Cats sleep by day.")
    with open_index(tmp_path / "index/bot", stems=True), pytest.raises(StoreLocked):
        await learn(tmp_path, folder)


async def test_trouble_is_said_once_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write(tmp_path / "f", cats_md="Cats sleep by day.")
    embedder = WordEmbedder()
    embedder.trouble = EngineDied("the model process ended")
    looks, enough = 0, asyncio.Event()

    class Counting(WordEmbedder):
        @property
        def card(self) -> Any:
            nonlocal looks
            looks += 1
            if looks == 3:
                embedder.trouble = None
            if looks == 5:
                enough.set()
            return embedder.card

        @card.setter
        def card(self, _: Any) -> None: ...

        async def embed(self, texts: Any, *, question: bool = False) -> list[bytes]:
            return await embedder.embed(texts, question=question)

    async with background() as tasks:
        tasks.create_task(keep_fresh(shelf(tmp_path, folder, pause=0.0), Counting()))
        await enough.wait()
    assert [record.getMessage() for record in caplog.records] == [
        "bots.bot.knowledge: the model process ended"
    ]
    assert embedder.embedded == ["Cats sleep by day."]


DYING = """
import asyncio, os, signal, sys
from pathlib import Path
from knowing import WordEmbedder, shelf
from botdaemon.knowledge.indexing import refresh

left = int(sys.argv[2])

def told(what, done, total):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)

home = Path(sys.argv[1])
asyncio.run(refresh(shelf(home, home / "f"), WordEmbedder(), told=told))
"""


def test_after_kill_9_an_index_is_whole_and_goes_on_where_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    for number in range(6):
        sections = "".join(f"# Part {n}\n\nFile {number} part {n}.\n\n" for n in range(6))
        write(folder, **{f"file{number}_md": sections})
    ends = []
    for steps in (3, 4, 1, 99):
        done = subprocess.run(
            [sys.executable, "-c", DYING, tmp_path, str(steps)],
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
            check=False,
        )
        ends.append(done.returncode)
        texts = [text for _, _, text, _, _ in everything(tmp_path)]
        assert len(texts) == len(set(texts))
        assert len(texts) % 6 == 0  # whole files
    assert ends == [-9, -9, -9, 0]
    with look(tmp_path / "index/bot") as index:
        assert index is not None
        assert index.count() == (36, 36)


# --- finding ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("shop")
    folder = write(home / "f", faq_md=FAQ, repairs_html=PAGE, cats_md="Cats sleep by day.")
    asyncio.run(learn(home, folder, embedder=WordEmbedder()))
    return home


@given(question=st.text(max_size=200) | st.text(alphabet="\"*^:(){}-+ aANDORNEAR'", max_size=40))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_people_type_is_never_query_syntax(question: str, shop: Path) -> None:
    with look(shop / "index/bot") as index:
        assert index is not None
        assert index.with_word(question, 5) is not None
        assert index.best([question, "lamp"], 5) == index.best(["lamp", question], 5)
    asyncio.run(find(shop, question))


@pytest.mark.parametrize(
    ("question", "files"),
    [
        ("Can I get my MONEY back?", ["faq.md"]),
        ("what does a c\u00e1ble cost", ["repairs.html"]),
        ("Are the bulbs replaced?", ["repairs.html"]),
        ("sleeping cats", ["cats.md"]),  # by their stems
        ("hi, how are you?", []),
        ("tell me a joke about lawyers", []),
        ("I was at the cinema with my sister, and the film about the lamp was long", []),
        ("", []),
        ("\U0001f600 !!!", []),
    ],
)
async def test_words_find_what_has_most_of_them_and_small_talk_finds_nothing(
    question: str, files: list[str], shop: Path
) -> None:
    assert await files_for(shop, question) == files


async def test_meaning_finds_what_no_telling_word_does(shop: Path) -> None:
    question = "by what?"  # words that say nothing
    assert await files_for(shop, question) == []
    assert await files_for(shop, question, embedder=WordEmbedder()) == ["cats.md"]
    assert await files_for(shop, question, embedder=WordEmbedder(), least_similarity=0.99) == []


async def test_without_its_embedder_a_bot_finds_by_words(
    shop: Path, caplog: pytest.LogCaptureFixture
) -> None:
    embedder = WordEmbedder()
    embedder.trouble = EngineDied("the model process ended")

    assert await files_for(shop, "refunds", embedder=embedder) == ["faq.md"]
    assert "finds by words only: the model process ended" in caplog.text


@pytest.fixture(scope="module")
def many() -> Iterator[tuple[Matrix, np.ndarray[Any, np.dtype[np.float32]], Path]]:
    import tempfile

    random = np.random.default_rng(0)
    vectors = random.standard_normal((9000, 48)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    with tempfile.TemporaryDirectory() as home, open_index(Path(home), stems=False) as index:
        some = [Passage(file="a", text=f"word{n} word{n % 50}") for n in range(len(vectors))]
        index.put(IndexedFile(path="/a", shown="a", stamp=""), some)
        packed = [(n, *pack(one.tobytes())) for n, one in enumerate(vectors, 1)]
        matrix = Matrix()
        for begin in range(0, len(packed), 5000):
            index.put_vectors(packed[begin : begin + 5000])
            matrix.renew(index)
        yield matrix, vectors, Path(home)


@given(seed=st.integers(0, 2**32 - 1), most=st.integers(1, 50))
@settings(max_examples=25, deadline=None)
def test_the_nearest_are_those_that_comparing_with_each_one_finds(
    seed: int, most: int, many: tuple[Matrix, Any, Path]
) -> None:
    matrix, vectors, _ = many
    asked = np.random.default_rng(seed).standard_normal(vectors.shape[1]).astype(np.float32)
    asked /= np.linalg.norm(asked)
    true = vectors @ asked
    found = matrix.nearest(asked.tobytes(), most)

    assert len(found) == len({id for id, _ in found}) == most
    for id, alike in found:
        assert abs(true[id - 1] - alike) < 0.005
    # Numbers of 8 bits may change the order of those that are as good as the same.
    worst = np.sort(true)[-most]
    assert all(true[id - 1] >= worst - 0.01 for id, _ in found)


def test_rare_words_decide_and_what_all_have_in_common_is_not_looked_at(
    many: tuple[Matrix, Any, Path],
) -> None:
    with look(many[2]) as index:
        assert index is not None
        assert by_words(index, "word777 word27", "") == [(778, 1.0)]
        assert len(by_words(index, "word27", "")) == 30
        assert by_words(index, "word27 nowhere", "") == []


@given(
    words=st.lists(st.integers(1, 30), unique=True),
    meanings=st.lists(st.integers(1, 30), unique=True),
)
def test_both_rankings_become_one_as_the_paper_says(words: list[int], meanings: list[int]) -> None:
    fused = fuse([(id, 1.0) for id in words], [(id, 0.5) for id in meanings])
    expected = {
        id: sum(1 / (K + ranking.index(id) + 1) for ranking in (words, meanings) if id in ranking)
        for id in {*words, *meanings}
    }

    assert dict(fused) == pytest.approx(expected)
    assert [id for id, _ in fused] == sorted(expected, key=lambda id: (-expected[id], id))


@given(
    order=st.permutations(range(12)), most=st.integers(1, 5), characters=st.integers(0, 400),
)  # fmt: skip
def test_what_is_told_has_its_size_and_neighbours_are_one(
    order: list[int], most: int, characters: int
) -> None:
    whole = [
        Passage(file=f"{id // 6}.md", number=id % 6, id=id, heading="H", text=f"text {id} " * 5)
        for id in range(12)
    ]
    found = [Found(passage=whole[id], score=1 / (rank + 1)) for rank, id in enumerate(order)]
    told = choose(found, most=most, characters=characters)

    assert 1 <= len(told) <= most
    assert sum(len(one.text) for one in told) <= characters
    assert told[0].text[:5] in whole[order[0]].text or f"text {order[0]} " in told[0].text
    places = sorted(one.id for one in told)
    joined = sum(one.text.count("\n\n") for one in told)
    if told[0].text in {one.text for one in whole} or joined:
        ends = {one.id: one.id + one.text.count("\n\n") for one in told}
        assert all(  # two that follow one another are one
            ends[a] + 1 != b or whole[a].file != whole[b].file for a, b in pairwise(places)
        )
