"""The book of a device's memory: it never over-commits, who waits is served, pinned models stay.
Also where models are placed, and what is known of their size."""

from __future__ import annotations

import dataclasses
import json
import logging
from random import Random
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from botdaemon.errors import ModelUnusable
from models import footprints
from models.devices import Device
from models.footprints import Footprints
from models.ledger import Footprint, Ledger, Need, size
from models.placement import place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GIB = 2**30


def need(name: str, load: int, peak: int = 0, **more: object) -> Need:
    """Sizes in GiB."""
    footprint = Footprint(load=load * GIB, peak=peak * GIB, measured=True)
    return dataclasses.replace(Need(name=name, footprint=footprint), **more)  # type: ignore[arg-type]  # the fields of Need


def taken(needs: list[Need]) -> int:
    """Bytes that these take together, counted here once more."""
    peaks = [n.footprint.peak for n in needs]
    return sum(n.footprint.load + n.kept for n in needs) + max([0, *peaks])


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Host:
    """Does what the model process does with the book, a step at a time."""

    def __init__(self, needs: list[Need], budget: int) -> None:
        self.clock = Clock()
        self.ledger = Ledger(needs, device="cuda:0", budget=budget * GIB, clock=self.clock)
        self.names = [need.name for need in needs]
        #: names that were asked for and have no lease yet
        self.asking: dict[str, None] = {}
        self.leases: list[str] = []
        self.leaving: list[str] = []
        self.served: list[str] = []
        self.evicted: list[str] = []

    def ask(self, name: str) -> bool:
        """Try to get a lease; go on asking when it has to wait."""
        self.clock.now += 1
        leave = self.ledger.admit(name)
        if leave is None:
            self.asking[name] = None
            return False
        self.asking.pop(name, None)
        self.served.append(name)
        self.leases.append(name)
        self.send_away(leave)
        return True

    def send_away(self, leave: tuple[str, ...]) -> None:
        self.leaving += leave
        self.evicted += leave

    def unload(self) -> None:
        for name in self.leaving:
            self.ledger.left(name)
        self.leaving.clear()

    def load(self) -> None:
        """What was admitted, once its place is free."""
        for name in self.names:
            if self.ledger.state(name) == "coming" and not self.leaving:
                self.ledger.entered(name)

    def finish(self, name: str) -> None:
        if name in self.leases and self.ledger.state(name) == "in":
            self.leases.remove(name)
            self.clock.now += 1
            self.ledger.end(name)

    def use(self, name: str) -> None:
        """From asking to the end of a request, alone on the device."""
        assert self.ask(name)
        self.unload()
        self.load()
        self.finish(name)


def test_models_that_fit_together_stay_together() -> None:
    host = Host([need("a", 4, 2), need("b", 4, 1)], 10)
    host.use("a")
    host.use("b")
    host.use("a")
    assert host.evicted == []
    assert host.ledger.taken == 10 * GIB  # both, and the larger peak


def test_the_least_recently_used_makes_way() -> None:
    host = Host([need("a", 4), need("b", 4), need("c", 4)], 10)
    for name in "abab":
        host.use(name)
    host.use("c")
    assert host.evicted == ["a"]
    assert [host.ledger.state(name) for name in "abc"] == ["out", "in", "in"]


def test_no_more_leave_than_must() -> None:
    host = Host([need("small", 1), need("large", 8), need("new", 8)], 10)
    host.use("small")
    host.use("large")
    host.use("new")
    assert host.evicted == ["large"]


def test_a_pinned_model_stays() -> None:
    host = Host([need("a", 4, pinned=True), need("b", 4), need("c", 4)], 10)
    for name in "abc":
        host.use(name)
    assert host.evicted == ["b"]


def test_a_busy_model_finishes_first_and_takes_nothing_new_meanwhile() -> None:
    host = Host([need("a", 6), need("b", 6)], 10)
    host.ask("a")
    host.load()
    assert not host.ledger.called("a")

    assert not host.ask("b")
    assert host.ledger.called("a")
    assert host.ledger.waiting == ("b",)
    assert not host.ask("a")

    host.finish("a")
    assert host.ask("b")
    assert host.evicted == ["a"]
    assert host.ledger.waiting == ("a",)


def test_no_more_are_called_than_must() -> None:
    host = Host([need("a", 5), need("b", 5), need("c", 5)], 10)
    for name in "aab":
        host.ask(name)
        host.load()
    assert not host.ask("c")
    host.finish("a")  # and is busy with another request, used more recently than "b"
    assert not host.ask("c")
    assert [host.ledger.called(name) for name in "ab"] == [True, False]


def test_nothing_is_loaded_before_its_place_is_free() -> None:
    host = Host([need("a", 6), need("b", 6), need("c", 4)], 10)
    host.use("a")
    assert host.ask("b")  # and "a" is leaving, but not gone
    assert not host.ask("c")
    host.unload()
    host.load()
    assert host.ask("c")


def test_who_gives_up_waiting_holds_up_nobody() -> None:
    host = Host([need("a", 6), need("b", 6), need("c", 1)], 10)
    host.ask("a")
    host.load()
    assert not host.ask("b")
    assert not host.ask("c")
    host.ledger.withdraw("b")
    assert not host.ledger.called("a")
    assert host.ask("c")


def test_a_model_that_could_not_be_loaded_leaves_its_place() -> None:
    host = Host([need("a", 6), need("b", 6)], 10)
    host.ask("a")
    host.ledger.left("a")
    assert host.ask("b")
    assert host.ledger.taken == 6 * GIB


def test_what_can_never_fit_is_refused_with_the_arithmetic() -> None:
    host = Host([need("big", 14, 1, kept=2 * GIB), need("p", 8, 1, pinned=True)], 12)
    with pytest.raises(ModelUnusable) as refused:
        host.ask("big")
    assert str(refused.value) == (
        'model "big" needs 14.0 GiB + 2.0 GiB kept + 1.0 GiB while it works, but cuda:0 has'
        ' 12.0 GiB for models, of which the pinned "p" take 8.0 GiB + 1.0 GiB; take a smaller'
        ' model, or give models more of it in [devices."cuda:0"]'
    )
    assert host.ledger.waiting == ()


def test_an_idle_model_retires_after_its_time() -> None:
    host = Host([need("a", 4, idle_seconds=60.0), need("b", 4)], 10)
    host.use("a")
    host.use("b")
    host.clock.now += 50
    assert host.ledger.retire() == ()
    host.clock.now += 20
    assert host.ledger.retire() == ("a",)
    assert host.ledger.retire() == ()  # it is going already
    host.ledger.left("a")
    assert host.ledger.retire() == ()


def test_a_model_in_use_does_not_retire() -> None:
    host = Host([need("a", 4, idle_seconds=60.0)], 10)
    host.ask("a")
    host.load()
    host.clock.now += 1000
    assert host.ledger.retire() == ()


def test_a_larger_measurement_sends_the_least_recently_used_away() -> None:
    host = Host([need("a", 4), need("b", 4)], 10)
    host.use("a")
    host.use("b")
    host.ledger.measured("b", load=7 * GIB, peak=GIB)
    assert host.ledger.taken == 12 * GIB
    assert host.ledger.retire() == ("a",)
    host.ledger.left("a")
    assert host.ledger.taken == 8 * GIB


def test_the_first_measurement_replaces_the_estimate_and_later_ones_only_raise_the_peak() -> None:
    guess = Need(name="a", footprint=Footprint(load=5 * GIB, peak=5 * GIB))
    ledger = Ledger([guess], device="cpu", budget=10 * GIB)
    ledger.measured("a", load=3 * GIB, peak=GIB)
    ledger.measured("a", load=2 * GIB, peak=2 * GIB)
    ledger.measured("a", load=2 * GIB, peak=GIB)
    assert ledger.need("a").footprint == Footprint(load=2 * GIB, peak=2 * GIB, measured=True)


def test_after_running_out_of_memory_others_make_room() -> None:
    host = Host([need("a", 4, 1), need("b", 4, 1)], 10)
    host.use("a")
    host.ask("b")
    host.load()
    assert host.ledger.exceeded("b").peak > 2 * GIB  # all the room that the book saw
    assert host.ledger.retire() == ("a",)
    host.ledger.left("a")
    assert host.ledger.taken <= 10 * GIB


def test_after_running_out_of_memory_alone_the_model_can_still_be_loaded() -> None:
    host = Host([need("a", 8, 1)], 10)
    host.use("a")
    for _ in range(5):
        host.ledger.exceeded("a")
    assert host.ledger.need("a").footprint.peak == 2 * GIB
    host.ledger.left("a")
    host.use("a")


# --- whatever happens -------------------------------------------------------------------------

# A seed instead of strategies: hypothesis likes its examples small, and here it takes a crowded
# device and a long story before anything happens.
SEEDS = st.integers(0, 2**32)


def _house(random: Random) -> tuple[list[Need], int]:
    """Models and a budget, the pinned ones fitting together."""
    budget = random.randint(6, 14)
    needs: list[Need] = []
    for name in "abcde"[: random.randint(2, 5)]:
        one = need(
            name,
            random.randint(2, 7),
            random.randint(0, 3),
            kept=random.randint(0, 2) * GIB,
            idle_seconds=random.choice([0.0, 0.0, 9.0]),
        )
        pinned = dataclasses.replace(one, pinned=True, idle_seconds=0.0)
        fits = taken([pinned, *(n for n in needs if n.pinned)]) <= budget * GIB
        needs.append(pinned if fits and random.random() < 0.3 else one)
    return needs, budget


def _steps(random: Random, host: Host) -> Iterator[tuple[str, str]]:
    deeds = ["ask", "finish", "unload", "load", "retire", "withdraw", "fail"]
    for _ in range(80):
        [do] = random.choices(deeds, weights=[4, 6, 3, 3, 1, 1, 1])
        yield do, random.choice(host.names)


def _step(host: Host, do: str, name: str) -> None:
    match do:
        case "ask":
            try:
                host.ask(name)
            except ModelUnusable:
                assert name not in host.ledger.waiting
        case "finish":
            host.finish(name)
        case "unload":
            host.unload()
        case "load":
            host.load()
        case "retire":
            host.send_away(host.ledger.retire())
        case "withdraw":
            host.ledger.withdraw(name)
            host.asking.pop(name, None)
        case "fail" if host.ledger.state(name) == "coming":
            host.ledger.left(name)
            host.leases.remove(name)


@settings(deadline=None)
@given(SEEDS)
def test_it_never_over_commits_and_never_sends_away_who_is_pinned_or_busy(seed: int) -> None:
    random = Random(seed)
    needs, budget = _house(random)
    pinned = {n.name for n in needs if n.pinned}
    host = Host(needs, budget)
    for do, name in _steps(random, host):
        _step(host, do, name)
        there = [n for n in needs if host.ledger.state(n.name) in ("in", "going")]
        assert taken(there) <= budget * GIB  # what really lies there
        assert host.ledger.taken <= budget * GIB  # with what was promised
        assert not pinned & set(host.evicted)
        assert not set(host.leaving) & set(host.leases)


@settings(deadline=None)
@given(SEEDS)
def test_who_waits_is_served_in_the_end(seed: int) -> None:
    random = Random(seed)
    host = Host(*_house(random))
    for do, name in _steps(random, host):
        _step(host, do, name)

    waiting = set(host.asking)
    host.served.clear()
    for _ in range(4 * len(host.names)):
        # Everybody else goes on asking for whatever is there, and no model is ever idle by itself:
        # a new request begins before the last one ends.
        old = list(host.leases)
        for name in host.names:
            if host.ledger.state(name) == "in" and name not in host.asking:
                host.ask(name)
        host.unload()
        host.load()
        for name in old:
            host.finish(name)
        for name in list(host.asking):
            host.ask(name)
    assert waiting <= set(host.served)


@settings(deadline=None)
@given(SEEDS)
def test_a_corrected_book_fits_again_when_the_idle_have_retired(seed: int) -> None:
    random = Random(seed)
    needs, budget = _house(random)
    host = Host(needs, budget)
    for _ in range(20):
        name = random.choice(host.names)
        try:
            host.use(name)
        except ModelUnusable:
            continue
        host.ledger.measured(name, load=random.randint(0, 7) * GIB, peak=random.randint(0, 3) * GIB)
        host.send_away(host.ledger.retire())
        host.unload()
        there = [host.ledger.need(n) for n in host.names if host.ledger.state(n) == "in"]
        pinned = [n for n in there if n.pinned]
        assert taken(there) <= budget * GIB or taken(pinned) > budget * GIB


# --- where they go ----------------------------------------------------------------------------


def device(name: str, memory: int) -> Device:
    return Device(name=name, title=name, memory=memory * GIB, free=memory * GIB)


CPU = device("cpu", 40)
CARDS = (device("cuda:0", 24), device("cuda:1", 12), CPU)
BUDGETS = {"cuda:0": 24 * GIB, "cuda:1": 12 * GIB, "cpu": 32 * GIB}


def test_the_largest_goes_onto_the_roomiest_card_and_explicit_ones_stay() -> None:
    needs = [
        need("small", 4),
        need("large", 14),
        need("there", 2, device="cuda:1"),
        need("slow", 3, device="cpu"),
    ]
    plan = place(needs, CARDS, BUDGETS)
    where = {n.name: plan.share(n.name).device.name for n in needs}  # type: ignore[union-attr]  # all are placed
    assert where == {"small": "cuda:0", "large": "cuda:0", "there": "cuda:1", "slow": "cpu"}
    assert not plan.problems


def test_auto_is_the_cpu_where_there_is_nothing_else() -> None:
    plan = place([need("a", 4)], (CPU,))
    assert [place.device for share in plan.shares for place in share.places] == ["cpu"]


def test_what_does_not_fit_beside_the_others_is_loaded_on_demand() -> None:
    needs = [need("a", 10, 1), need("b", 10, 2), need("c", 2, load_at_start=False)]
    [share, _] = place(needs, (device("cuda:0", 16), CPU), {"cuda:0": 16 * GIB}).shares
    assert [(p.need.name, p.state) for p in share.places] == [
        ("a", "resident"),
        ("b", "demand"),
        ("c", "demand"),
    ]
    assert share.left == share.budget - 11 * GIB


def test_what_can_never_fit_is_said_with_the_arithmetic() -> None:
    plan = place([need("huge", 30, 4, device="cuda")], CARDS, BUDGETS)
    assert plan.problems["huge"].startswith(
        'model "huge" needs 30.0 GiB + 4.0 GiB while it works, but cuda:0 has 23.4 GiB for models'
    )
    assert plan.share("huge") is None


def test_a_device_that_is_not_there_is_named_with_those_that_are() -> None:
    plan = place([need("a", 1, device="cuda:7")], CARDS)
    assert plan.problems["a"] == (
        'model "a": there is no device "cuda:7" here (there are: cuda:0, cuda:1, cpu)'
    )


def test_a_pinned_model_does_not_shut_another_out() -> None:
    needs = [need("first", 20, device="cuda:0"), need("pinned", 5, pinned=True)]
    plan = place(needs, CARDS, BUDGETS)
    assert plan.share("pinned").device.name == "cuda:1"  # type: ignore[union-attr]  # it is placed
    full = place([*needs, need("second", 10, device="cuda:1")], CARDS, BUDGETS)
    assert full.problems["pinned"].startswith(
        'model "pinned" cannot be pinned there: model "first" needs 20.0 GiB'
    )


def test_models_wait_in_ram_only_where_those_that_run_there_still_fit() -> None:
    needs = [
        need("card", 20, offload=20 * GIB),
        need("card2", 8, offload=8 * GIB),
        need("slow", 20, 1, device="cpu"),
    ]
    plan = place(needs, CARDS, BUDGETS)
    ram = plan.shares[-1]
    assert ram.offloaded == 8 * GIB
    [note] = plan.notes
    assert note.startswith('model "card" cannot wait in RAM (20.0 GiB')


def test_a_model_that_works_part_by_part_needs_its_ram() -> None:
    one = need("flux", 0, 6, offload=30 * GIB, part_by_part=True)
    assert place([one], CARDS, BUDGETS).shares[-1].offloaded == 30 * GIB
    plan = place([one], CARDS, {**BUDGETS, "cpu": 16 * GIB})
    assert plan.problems["flux"] == (
        'model "flux" needs 30.0 GiB of RAM for its parts, but there are 15.6 GiB for models'
    )


@settings(deadline=None)
@given(SEEDS, st.lists(st.integers(4, 14), min_size=1, max_size=3))
def test_a_plan_never_over_commits_and_forgets_nobody(seed: int, cards: list[int]) -> None:
    needs, _ = _house(Random(seed))
    where = tuple(device(f"cuda:{at}", memory) for at, memory in enumerate(cards))
    plan = place(needs, (*where, CPU))
    placed = [p.need.name for share in plan.shares for p in share.places]
    assert sorted([*placed, *plan.problems]) == sorted(n.name for n in needs)
    for share in plan.shares:
        pinned = [p.need for p in share.places if p.need.pinned]
        assert taken([*share.residents]) <= share.budget
        assert set(pinned) <= set(share.residents)
        for p in share.places:
            assert taken([*{*pinned, p.need}]) <= share.budget


# --- what is known of their size --------------------------------------------------------------


def _model(directory: Path, *names: str, dtype: str = "float32", numbers: int = 1000) -> Path:
    """A directory with files of weights, of so many numbers each."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in names:
        save_file({name: np.zeros(numbers, dtype)}, directory / name)
    return directory


def test_an_estimate_counts_the_weights_in_the_numbers_it_computes_with(tmp_path: Path) -> None:
    model = _model(tmp_path, "model.safetensors", dtype="float16")
    exact, weights = footprints.estimate(model, kind="text", device="cpu")
    half, _ = footprints.estimate(model, kind="text", device="cuda:0")
    told, _ = footprints.estimate(model, kind="text", device="cuda:0", dtype="float32")
    small, _ = footprints.estimate(model, kind="text", device="cpu", quantize="int8")
    assert (exact.load, half.load, told.load) == (4000, 2000, 4000)
    assert 1000 < small.load < 2000
    assert weights == 4000
    assert not exact.measured


def test_an_estimate_counts_all_files_of_a_model_in_pieces(tmp_path: Path) -> None:
    model = _model(tmp_path, "model-1-of-2.safetensors", "model-2-of-2.safetensors")
    pieces = {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors"}
    index = model / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": pieces}))
    assert footprints.estimate(model, kind="text", device="cpu")[0].load == 8000


def test_an_estimate_reads_each_weight_once(tmp_path: Path) -> None:
    """A pipeline may have the same part in several forms."""
    name = "diffusion_pytorch_model"
    _model(tmp_path / "unet", f"{name}.safetensors", f"{name}.fp16.safetensors", numbers=3000)
    _model(tmp_path / "vae", f"{name}.safetensors", numbers=1000)
    (tmp_path / "vae" / "config.json").write_text('{"block_out_channels": [8, 16]}')
    (tmp_path / "drawing.json").write_text('{"width": 128, "height": 64}')
    (tmp_path / "model_index.json").write_text(
        '{"_class_name": "X", "unet": ["diffusers", "U"], "vae": ["diffusers", "V"],'
        ' "safety_checker": [null, null]}'
    )
    whole, weights = footprints.estimate(tmp_path, kind="image", device="cpu")
    assert whole == Footprint(load=16_000, peak=128 * 64 * 16 * 4 * 6)
    parts, weights = footprints.estimate(tmp_path, kind="image", device="cuda", part_by_part=True)
    assert (parts.load, weights) == (0, 8000)
    assert parts.peak == 6000 + 128 * 64 * 16 * 2 * 6


def test_a_footprint_is_kept_until_the_model_or_how_it_runs_changes(tmp_path: Path) -> None:
    model = _model(tmp_path / "model", "model.safetensors")
    key = footprints.identity(model, device="cuda:1", dtype="auto", quantize="none")
    measured = Footprint(load=5, peak=3, measured=True)
    Footprints(tmp_path / "footprints.json").put(key, measured)

    book = Footprints(tmp_path / "footprints.json")
    assert book.get(key) == measured
    same = footprints.identity(model, device="cuda:0", dtype="auto", quantize="none")
    assert book.get(same) == measured  # a card like the other
    for other in (
        footprints.identity(model, device="cpu", dtype="auto", quantize="none"),
        footprints.identity(model, device="cuda:0", dtype="float32", quantize="none"),
        footprints.identity(model, device="cuda:0", dtype="auto", quantize="int8"),
    ):
        assert book.get(other) is None
    with (model / "model.safetensors").open("ab") as file:
        file.write(b"more")
    changed = footprints.identity(model, device="cuda:0", dtype="auto", quantize="none")
    assert book.get(changed) is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": {"load": "much"}}'])
def test_a_broken_file_of_footprints_is_put_aside(
    content: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "footprints.json"
    path.write_text(content)
    with caplog.at_level(logging.WARNING):
        book = Footprints(path)
    assert len(caplog.records) == 1
    assert (tmp_path / "footprints.broken").read_text() == content
    book.put("a", Footprint(load=1, peak=2))
    assert Footprints(path).get("a") == Footprint(load=1, peak=2)


def test_sizes_are_said_in_words() -> None:
    assert [size(n) for n in (0, 1500, 3 * 2**20, 14 * GIB + GIB // 4)] == [
        "0 bytes",
        "1 KiB",
        "3 MiB",
        "14.2 GiB",
    ]
