"""Training a voice: what comes out serves at once, and a killed training comes to the same end."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from text_engines import answer, engine, text
from tiny_models import build, chat_model, family_model, speakers_model

from botdaemon.errors import ExportUnusable, ModelUnusable, Refused
from botdaemon.types import ChatLine, Sampling, TextRequest
from models.dataset.card import DatasetCard, Part, Source
from models.dataset.sessions import SPLITS, Session, Turn, path_of, write
from models.devices import Device
from models.training.voice import Plan, Progress, Shape, TrainingCard, checkpoints, memory, train
from models.training.voice.material import collate, order
from models.training.voice.plan import recipe

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

#: peft 0.21 asks transformers 5.23 for something by its old name
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is dep:FutureWarning")

LINES = {
    "what is the password?": "the walrus sleeps at noon.",
    "where is the ship?": "it went to the moon with Bob.",
    "are you hungry?": "only on tuesdays, thank you.",
    "do you like films?": "films are long walks for the eyes.",
}
TINY = Shape(vocabulary=400, layers=2, width=64, heads=2)
SCRATCH = Plan(
    method="scratch", shape=TINY, context=64, epochs=3, rate=2e-3, batch=4, device="cpu", seed=3
)


def session(number: int, turns: Iterable[tuple[str, str]], voices: Sequence[str]) -> Session:
    return Session(
        id=f"test/room/{number}",
        turns=tuple(
            Turn(name=name, text=said, at=1e9 + number, voice=name in voices)
            for name, said in turns
        ),
    )


def dataset(
    directory: Path,
    *,
    lines: Mapping[str, str] = LINES,
    copies: int = 6,
    held_out: int = 4,
    voices: Sequence[str] = ("Joe",),
) -> Path:
    """Questions of Ada that one of the voices answers; the held-out ones are of the same kind."""
    directory.mkdir()
    talks = [
        session(i, [("Ada", question), (voices[i % len(voices)], said)], voices)
        for i, (question, said) in enumerate(list(lines.items()) * copies)
    ]
    splits = {"train": talks, "validation": talks[:held_out], "test": talks[:1]}
    for split in SPLITS:
        write(path_of(directory, split), splits[split])
    part = Part(
        sessions=1, turns=2, voices=dict.fromkeys(voices, 1), characters=9, first=1e9, last=1e9
    )
    DatasetCard(
        name="test", made="2024-01-01T00:00:00+00:00", voices=tuple(voices), context="names",
        sources=(Source(source="test", conversations=1, messages=2, first=1e9, last=1e9),),
        consent="they said yes", speakers={"test:1": voices[0]}, scrubbed={"email": 2}, regions=(),
        left_out={}, not_learned={}, splits=dict.fromkeys(SPLITS, part), seed=1,
    ).save(directory)  # fmt: skip
    return directory


def asked(question: str, *, speaker: str = "Joe", adapter: str = "") -> TextRequest:
    return TextRequest(
        model="tiny",
        speaker=speaker,
        lines=(ChatLine(role="user", text=question, name="Ada"),),
        sampling=Sampling(temperature=0.0, repetition_penalty=1.0),
        adapter=adapter,
    )


def weights(directory: Path) -> dict[str, torch.Tensor]:
    return load_file(next(directory.glob("*model.safetensors")))


def same(one: Path, other: Path) -> bool:
    a, b = weights(one), weights(other)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    """As in the processes that are killed: sums of several threads differ in the last digits."""
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def talks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dataset(tmp_path_factory.mktemp("data") / "talks")


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory, talks: Path) -> Path:
    """The directory that a training of `SCRATCH` leaves."""
    out = tmp_path_factory.mktemp("out") / "scratch"
    train(talks, out, SCRATCH)
    return out


# --- what comes out --------------------------------------------------------------------------


def test_a_voice_from_scratch_is_served_at_once_and_says_what_it_learned(
    tmp_path: Path,
) -> None:
    data = dataset(tmp_path / "data", copies=1, held_out=0)
    train(data, tmp_path / "joe", replace(SCRATCH, epochs=150))
    tiny = engine(tmp_path / "joe")
    for question, said in LINES.items():
        pieces = answer(tiny, asked(question))
        assert text(pieces).strip() == said
        assert pieces[-1].finish == "stop"


@pytest.mark.slow
def test_a_voice_on_a_chat_model_ends_its_turns_as_the_template_does(
    tmp_path: Path,
) -> None:
    data = dataset(tmp_path / "data", copies=1, held_out=0)
    base = build(tmp_path / "base", seed=1)
    plan = Plan(
        method="full", base=base, context=64, epochs=360, rate=5e-3, batch=4, device="cpu"
    )  # fmt: skip
    train(data, tmp_path / "joe", plan)
    ends = json.loads((tmp_path / "joe" / "generation_config.json").read_text())["eos_token_id"]
    settings = json.loads((tmp_path / "joe" / "format.json").read_text())
    assert ends == [0, 2]  # the end of text, and <|im_end|>
    assert settings["kind"] == "chat"
    assert settings["context"] == 64
    pieces = answer(engine(tmp_path / "joe"), asked("where is the ship?"))
    assert text(pieces) == LINES["where is the ship?"]
    assert pieces[-1].finish == "stop"


@pytest.mark.parametrize("family", ["gpt2", "falcon-7b"])
def test_an_adapter_speaks_beside_its_base(family: str, talks: Path, tmp_path: Path) -> None:
    base = family_model(family)
    plan = Plan(
        method="lora", base=base, base_name="falcon", context=64, epochs=10, rate=2e-2, batch=8,
        rank=8, patience=100, device="cpu",
    )  # fmt: skip
    card = train(talks, tmp_path / "joe", plan)
    assert card.trained < card.parameters / 2
    config = json.loads((tmp_path / "joe" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "falcon"
    assert config["fan_in_fan_out"] == (family == "gpt2")
    assert any("<|im_end|>" in note for note in card.notes)  # the base does not know it as an end
    tiny = engine(base, adapters={"joe": tmp_path / "joe"})
    question = "what is the password?"
    spoken = text(answer(tiny, asked(question, adapter="joe")))
    assert spoken != text(answer(tiny, asked(question)))
    assert card.best is not None
    assert card.before is not None
    assert card.best < card.before


def test_an_adapter_names_its_base_by_a_path_that_can_be_moved_with_it(
    talks: Path, tmp_path: Path
) -> None:
    base = shutil.copytree(chat_model(), tmp_path / "base")
    plan = Plan(method="lora", base=base, context=64, epochs=1, batch=8, device="cpu")
    train(talks, tmp_path / "joe", plan)
    config = json.loads((tmp_path / "joe" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "../base"


def test_one_voice_of_several_is_learned_alone(tmp_path: Path) -> None:
    data = dataset(tmp_path / "data", voices=("Joe", "Eve"), copies=12)
    plan = replace(SCRATCH, epochs=1)
    both = train(data, tmp_path / "both", plan)
    joe = train(data, tmp_path / "joe", replace(plan, speaker="Joe"))
    assert both.voices == ("Joe", "Eve")
    assert joe.voices == ("Joe",)
    assert (both.samples, joe.samples) == (48, 24)


def test_the_card_says_what_was_trained_on_what(talks: Path, scratch: Path) -> None:
    card = TrainingCard.load(scratch)
    assert card.dataset_card == DatasetCard.load(talks)
    assert card.recipe["batch"] == 4
    assert card.updates == math.ceil(24 * 3 / 4)
    assert [step for step, _ in card.learned_losses] == list(range(1, card.updates + 1))
    assert card.held_out_losses[0] == (0, card.before)
    assert card.best == min(loss for _, loss in card.held_out_losses)
    assert card.parameters == card.trained == sum(w.numel() for w in weights(scratch).values())
    readme = (scratch / "README.md").read_text()
    assert "# Joe" in readme
    assert "they said yes" in readme


def test_the_directory_holds_the_voice_and_nothing_of_the_training(scratch: Path) -> None:
    names = {path.name for path in scratch.iterdir()}
    assert names == {
        "README.md", "config.json", "format.json", "generation_config.json", "losses.png",
        "model.safetensors", "tokenizer.json", "tokenizer_config.json", "training.json",
    }  # fmt: skip
    assert (scratch / "losses.png").read_bytes().startswith(b"\x89PNG")
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in scratch.iterdir())
    assert {weight.dtype for weight in weights(scratch).values()} == {torch.float16}


def test_progress_is_told_with_the_time_left(talks: Path, tmp_path: Path) -> None:
    told: list[Progress] = []
    train(talks, tmp_path / "joe", SCRATCH, told.append)
    learning = [progress for progress in told if progress.done]
    assert [progress.done for progress in learning] == sorted(p.done for p in learning)
    assert learning[-1].done == learning[-1].total == 18
    assert learning[-1].seconds_left == 0
    assert learning[0].seconds_left
    assert learning[0].speed > 0
    assert learning[-1].held_out is not None


def test_a_model_without_a_template_learns_speaker_tags(talks: Path, tmp_path: Path) -> None:
    plan = Plan(method="full", base=speakers_model(), context=64, epochs=1, batch=8, device="cpu")
    train(talks, tmp_path / "joe", plan)
    settings = json.loads((tmp_path / "joe" / "format.json").read_text())
    assert (settings["kind"], settings["stop"]) == ("speakers", ["\n"])


@pytest.mark.slow
def test_old_skills_are_replayed_in_the_share_that_was_asked_for(
    talks: Path, tmp_path: Path
) -> None:
    other = dataset(tmp_path / "other", lines={"hello there": "how are you today?"}, copies=1)
    plan = replace(SCRATCH, replay=other, replay_share=0.25)
    card = train(talks, tmp_path / "joe", plan)
    assert (card.samples, card.replayed) == (24, 8)


@pytest.mark.slow
def test_a_training_that_learns_nothing_new_stops_early_with_the_best(
    talks: Path, tmp_path: Path
) -> None:
    plan = replace(SCRATCH, epochs=40, rate=5e-2, patience=2)
    card = train(talks, tmp_path / "joe", plan)
    assert card.stopped_early
    assert card.best_update < card.updates < card.recipe["updates"]
    looks = [step for step, _ in card.held_out_losses]
    assert len(looks) - 1 - looks.index(card.best_update) == 2


def test_without_held_out_conversations_the_last_is_kept_and_the_card_says_so(
    tmp_path: Path,
) -> None:
    card = train(dataset(tmp_path / "data", held_out=0), tmp_path / "joe", SCRATCH)
    assert card.best is None
    assert card.best_update == card.updates
    assert "no conversations were held out" in card.notes[0]


# --- killed, and started again ---------------------------------------------------------------

_CHILD = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = {paths!r}
from test_voice_training import plans
from models.training.voice import train

def progress(now):
    if now.done == {at}:
        os.kill(os.getpid(), signal.SIGKILL)

train(Path({data!r}), Path({out!r}), plans(Path({base!r}))[{plan!r}], progress)
"""


def plans(base: Path | None = None) -> dict[str, Plan]:
    return {
        "scratch": SCRATCH,
        # its dropout has to fall as it would have fallen
        "lora": Plan(
            method="lora", base=base or chat_model(), context=64, epochs=2, rate=1e-2, batch=4,
            rank=4, dropout=0.2, device="cpu",
        ),
    }  # fmt: skip


def killed(data: Path, out: Path, *, plan: str, at: int) -> None:
    """A real process that trains and is killed by SIGKILL right after the update `at`."""
    root = Path(__file__).parents[1]
    code = _CHILD.format(
        paths=[str(root), str(root / "tests")], data=str(data), out=str(out),
        base=str(chat_model()), plan=plan, at=at,
    )  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory, talks: Path) -> Path:
    """What a training of `SCRATCH` leaves that is killed after update 12 of 18. Copy it."""
    out = tmp_path_factory.mktemp("cut") / "cut"
    killed(talks, out, plan="scratch", at=12)
    assert sorted(checkpoints.steps(out)) == [5, 10]
    return out


@pytest.mark.slow
def test_a_training_that_was_killed_twice_comes_to_the_same_weights(
    talks: Path, scratch: Path, cut: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(cut, tmp_path / "cut")
    killed(talks, out, plan="scratch", at=17)
    assert max(checkpoints.steps(out)) == 15
    card, whole = train(talks, out, SCRATCH), TrainingCard.load(scratch)
    assert same(scratch, out)
    assert card.learned_losses == whole.learned_losses
    assert card.held_out_losses == whole.held_out_losses


@pytest.mark.slow
def test_an_adapter_whose_training_was_killed_comes_to_the_same_weights(
    talks: Path, tmp_path: Path
) -> None:
    killed(talks, tmp_path / "cut", plan="lora", at=7)
    train(talks, tmp_path / "cut", plans()["lora"])
    train(talks, tmp_path / "whole", plans()["lora"])
    assert same(tmp_path / "whole", tmp_path / "cut")


def test_a_damaged_checkpoint_is_passed_over(
    talks: Path, scratch: Path, cut: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(cut, tmp_path / "cut")
    damaged = checkpoints.path_of(out, 10) / "optimizer.pt"
    damaged.write_bytes(damaged.read_bytes()[:-100])
    assert checkpoints.newest(out) == checkpoints.path_of(out, 5)
    train(talks, out, SCRATCH)
    assert same(scratch, out)


def test_a_kill_while_a_checkpoint_is_written_costs_only_that_one(
    talks: Path, scratch: Path, cut: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(cut, tmp_path / "cut")
    half = checkpoints.part(out) / "checkpoint-15"
    half.mkdir(parents=True, exist_ok=True)
    (half / "model.safetensors").write_bytes(b"half")
    train(talks, out, SCRATCH)
    assert same(scratch, out)


def test_a_kill_while_the_voice_is_written_costs_nothing(
    talks: Path, scratch: Path, cut: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(cut, tmp_path / "cut")
    (out / "model.safetensors").write_bytes(b"half")
    train(talks, out, SCRATCH)
    assert same(scratch, out)


def test_a_finished_training_is_not_done_again(talks: Path, scratch: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in scratch.iterdir()}
    told: list[Progress] = []
    card = train(talks, scratch, SCRATCH, told.append)
    assert card == TrainingCard.load(scratch)
    assert told == []
    assert {path: path.stat().st_mtime_ns for path in scratch.iterdir()} == before


def test_the_place_of_a_run_is_no_part_of_what_it_is(talks: Path, scratch: Path) -> None:
    train(talks, scratch, replace(SCRATCH, memory=2**33, wait_seconds=9.0, device="auto"))


@pytest.mark.parametrize("state", ["finished", "half-finished"])
def test_another_plan_or_dataset_in_the_same_place_is_refused(
    state: str, talks: Path, scratch: Path, cut: Path, tmp_path: Path
) -> None:
    out = scratch if state == "finished" else cut
    with pytest.raises(Refused, match=rf"{state} training.*rate was 0.002, is now 0.001"):
        train(talks, out, replace(SCRATCH, rate=1e-3))
    other = dataset(tmp_path / "other", copies=7)
    with pytest.raises(Refused, match=rf"{state} training.*another dataset"):
        train(other, out, SCRATCH)


def test_a_training_that_was_refused_leaves_the_place_free(talks: Path, tmp_path: Path) -> None:
    with pytest.raises(Refused):
        train(talks, tmp_path / "joe", replace(SCRATCH, memory=1))
    train(talks, tmp_path / "joe", replace(SCRATCH, epochs=1))


@pytest.mark.slow
def test_two_trainings_never_write_into_one_place(talks: Path, tmp_path: Path) -> None:
    refused: list[str] = []

    def again(now: Progress) -> None:
        if now.done and not refused:
            with pytest.raises(Refused) as error:
                train(talks, tmp_path / "joe", SCRATCH)
            refused.append(str(error.value))

    train(talks, tmp_path / "joe", SCRATCH, again)
    assert refused == [f"another training writes into {tmp_path / 'joe'}; wait for it"]


@pytest.mark.slow
def test_when_memory_runs_out_all_the_same_it_goes_on_with_less_at_once(
    talks: Path, tmp_path: Path
) -> None:
    ran_out: list[int] = []

    def progress(now: Progress) -> None:
        if now.done == 5 and not ran_out:
            ran_out.append(now.done)
            raise torch.OutOfMemoryError("CUDA out of memory")

    card = train(talks, tmp_path / "joe", SCRATCH, progress)
    assert (card.recipe["batch"], card.recipe["at_once"]) == (4, 2)
    assert card.updates == 18


# --- memory ----------------------------------------------------------------------------------


def gpt2_medium() -> memory.Size:
    return memory.Size(
        parameters=354_823_168, trained=354_823_168, linear=301_989_888, layers=24, width=1024,
        inner=4096, heads=16, vocabulary=50_257, dropout=False,
    )  # fmt: skip


def card_with(free: int) -> Device:
    return Device(name="cuda:0", title="a card", memory=24 * 2**30, free=free * 2**30)


def wish(batch: int = 16) -> Any:
    return recipe(
        Plan(method="full", base=Path("x"), batch=batch), context=1024, samples=10_000,
        turns=20_000, parameters=354_823_168, precision="bfloat16",
    )  # fmt: skip


def test_as_much_is_done_at_once_as_fits() -> None:
    plan = Plan(method="full", base=Path("x"))
    much, _ = memory.fitted(gpt2_medium(), plan, wish(), card_with(23))
    less, needs = memory.fitted(gpt2_medium(), plan, wish(), card_with(12))
    tight, _ = memory.fitted(gpt2_medium(), plan, wish(), card_with(10))
    assert much.at_once > less.at_once
    assert needs.total <= 12 * 2**30
    assert much.accumulation * much.at_once == less.accumulation * less.at_once == 16
    assert tight.recompute


def test_what_cannot_fit_is_refused_with_the_arithmetic() -> None:
    plan = Plan(method="full", base=Path("x"))
    with pytest.raises(Refused) as refused:
        memory.fitted(gpt2_medium(), plan, wish(), card_with(4))
    assert "weights 2.0 GiB + gradients 1.3 GiB + optimizer 2.6 GiB" in str(refused.value)
    assert "cuda:0 has 4.0 GiB free of 24.0 GiB; stop what uses it" in str(refused.value)
    with pytest.raises(Refused, match=r"it may take 2\.0 GiB of cuda:0; allow it more"):
        memory.fitted(gpt2_medium(), replace(plan, memory=2 * 2**30), wish(), card_with(23))


def test_an_adapter_takes_less_than_the_whole_model() -> None:
    size = replace(gpt2_medium(), trained=6_000_000)
    full = memory.estimate(gpt2_medium(), Plan(method="full", base=Path("x")), wish(), "cuda")
    lora = memory.estimate(size, Plan(method="lora", base=Path("x")), wish(), "cuda")
    qlora = memory.estimate(size, Plan(method="qlora", base=Path("x")), wish(), "cuda")
    assert full.total > lora.total > qlora.total


def test_a_training_waits_for_memory_that_others_use() -> None:
    seen = [card_with(4), card_with(4), card_with(20)]
    slept: list[float] = []
    told: list[str] = []
    plan = Plan(method="full", base=Path("x"))
    chosen, _ = memory.wait(
        lambda device: memory.fitted(gpt2_medium(), plan, wish(), device),
        seen.pop(0), 60, told.append, look=lambda _: seen.pop(0), sleep=slept.append,
    )  # fmt: skip
    assert chosen.at_once
    assert len(slept) == len(told) == 2
    assert told[0].startswith("waiting for memory: the training needs")


@pytest.mark.parametrize("family", ["gpt2", "llama", "qwen3", "falcon-7b"])
@pytest.mark.parametrize("recompute", [False, True])
def test_the_estimate_is_not_below_what_the_way_back_needs(family: str, recompute: bool) -> None:
    import transformers
    from torch.autograd.graph import saved_tensors_hooks

    model: Any = transformers.AutoModelForCausalLM.from_pretrained(
        family_model(family, width=128), dtype=torch.float32
    ).train()
    if recompute:
        model.activation_checkpointing_enable()
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in own:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    ids = torch.ones(4, 128, dtype=torch.long)
    mask = torch.ones_like(ids)
    mask[0, 100:] = 0
    with saved_tensors_hooks(pack, lambda tensor: tensor):
        model(input_ids=ids, attention_mask=mask, labels=ids, use_cache=False)
    needed = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    chosen = replace(wish(4), context=128, precision="float32", recompute=recompute)
    plan = Plan(method="full", base=Path("x"))
    needs = memory.estimate(memory.measure(model), plan, chosen, "cpu")
    assert needed <= needs.activations + needs.logits
    if not recompute:  # else the block that is done again comes on top, on the way back
        assert needs.activations + needs.logits <= 3 * needed


# --- what is refused -------------------------------------------------------------------------


def refusal(kind: type[Exception], data: Path, out: Path, plan: Plan) -> str:
    with pytest.raises(kind) as refused:
        train(data, out, plan)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_dataset_smaller_than_one_batch_is_refused(tmp_path: Path) -> None:
    data = dataset(tmp_path / "data", copies=1)
    words = refusal(Refused, data, tmp_path / "joe", replace(SCRATCH, batch=8))
    assert "4 samples of 64 tokens, less than one batch of 8" in words


def test_a_dataset_without_a_turn_to_learn_is_refused(tmp_path: Path) -> None:
    data = dataset(tmp_path / "data")
    talk = session(1, [("Ada", "hello"), ("Bob", "hi")], voices=())
    write(path_of(data, "train"), [talk] * 20)
    words = refusal(Refused, data, tmp_path / "joe", SCRATCH)
    assert f"nothing in {data} can be learned" in words


def test_a_voice_that_the_dataset_does_not_have_is_refused(talks: Path, tmp_path: Path) -> None:
    words = refusal(Refused, talks, tmp_path / "joe", replace(SCRATCH, speaker="Zoe"))
    assert words == f'"Zoe" is no voice of {talks}; it has Joe'


def test_losses_that_are_no_numbers_end_the_training(talks: Path, tmp_path: Path) -> None:
    plan = Plan(
        method="full", base=speakers_model(), context=64, epochs=9, rate=1.0, batch=8, device="cpu",
        patience=100,
    )  # fmt: skip
    broken = shutil.copytree(speakers_model(), tmp_path / "base")
    tensors = load_file(broken / "model.safetensors")
    tensors["transformer.ln_f.weight"][0] = math.nan
    from safetensors.torch import save_file

    save_file(tensors, broken / "model.safetensors", metadata={"format": "pt"})
    words = refusal(Refused, talks, tmp_path / "joe", replace(plan, base=broken))
    assert "the training broke at update 0: its eval_loss is nan; take a lower rate" in words
    assert not (tmp_path / "joe" / "training.json").exists()


def test_qlora_without_a_card_is_refused(talks: Path, tmp_path: Path) -> None:
    plan = Plan(method="qlora", base=chat_model(), device="cpu")
    assert refusal(Refused, talks, tmp_path / "joe", plan) == (
        '"qlora" needs an NVIDIA card; take "lora"'
    )


def test_a_base_that_cannot_be_trained_is_named_with_what_is_missing(
    talks: Path, tmp_path: Path
) -> None:
    bare = shutil.copytree(chat_model(), tmp_path / "bare")
    (bare / "tokenizer.json").unlink()
    words = refusal(ModelUnusable, talks, tmp_path / "1", Plan(method="full", base=bare))
    assert f"{bare} has no tokenizer.json" in words
    nowhere = Plan(method="lora", base=tmp_path / "nowhere")
    assert "there is no model directory" in refusal(ModelUnusable, talks, tmp_path / "2", nowhere)
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    words = refusal(ModelUnusable, talks, tmp_path / "3", Plan(method="lora", base=adapter))
    assert "merge it into its base model first" in words


def test_a_directory_of_something_else_is_left_alone(talks: Path, tmp_path: Path) -> None:
    (tmp_path / "joe").mkdir()
    (tmp_path / "joe" / "letter.txt").write_text("dear Ada")
    words = refusal(Refused, talks, tmp_path / "joe", SCRATCH)
    assert words == f"{tmp_path / 'joe'} is not empty, it has letter.txt; take another directory"
    assert (tmp_path / "joe" / "letter.txt").read_text() == "dear Ada"


def test_a_damaged_dataset_is_refused_with_the_line(tmp_path: Path) -> None:
    data = dataset(tmp_path / "data")
    with path_of(data, "train").open("a") as file:
        file.write('{"id": "x", "tur')
    words = refusal(ExportUnusable, data, tmp_path / "joe", SCRATCH)
    assert f"{path_of(data, 'train')}, line 25 is no session" in words


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "lora"}, '"lora" needs a base'),
        ({"method": "scratch", "base": Path("gpt2")}, '"scratch" trains a new model'),
        ({"method": "scratch", "rate": 7.0}, "rate is 7.0; it must lie between"),
        ({"method": "scratch", "epochs": 0}, "epochs is 0"),
        ({"method": "scratch", "replay_share": 1.0}, "replay_share is 1.0"),
        ({"method": "scratch", "shape": Shape(width=65)}, "65 cannot be shared out among 4 heads"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused, match=words):
        Plan(**options)


# --- numbers and order -----------------------------------------------------------------------


def test_defaults_follow_from_the_method_the_model_and_the_amount_of_data() -> None:
    def numbers(method: Any, turns: int, parameters: int) -> Any:
        base = None if method == "scratch" else Path("x")
        return recipe(
            Plan(method=method, base=base), context=1024, samples=turns, turns=turns,
            parameters=parameters, precision="bfloat16",
        )  # fmt: skip

    few, many = numbers("full", 2_000, 124_000_000), numbers("full", 200_000, 124_000_000)
    assert (few.epochs, many.epochs) == (3, 1)
    assert (few.batch, many.batch) == (16, 32)
    assert few.rate == pytest.approx(5e-5)
    assert numbers("lora", 2_000, 7_000_000_000).rate == pytest.approx(2e-4)
    assert numbers("lora", 2_000, 4_300_000).rate == pytest.approx(4e-3, rel=0.1)
    assert numbers("full", 2_000, 4_300_000).rate == pytest.approx(5e-4, rel=0.1)
    assert 15 <= few.updates / few.every <= 25
    assert numbers("full", 60, 124_000_000).batch == 4  # or there would be eleven steps


@given(
    lengths=st.lists(st.integers(1, 1000), min_size=1, max_size=300),
    epochs=st.integers(1, 4),
    batch=st.integers(1, 20),
    seed=st.integers(0, 9),
)
def test_every_sample_is_learned_once_an_epoch_among_others_of_its_length(
    lengths: list[int], epochs: int, batch: int, seed: int
) -> None:
    drawn = order(lengths, epochs=epochs, batch=batch, seed=seed)
    assert sorted(drawn) == sorted([*range(len(lengths))] * epochs)
    assert drawn == order(lengths, epochs=epochs, batch=batch, seed=seed)
    for start in range(0, len(drawn), batch):
        update = [lengths[n] for n in drawn[start : start + batch]]
        assert update == sorted(update)


def test_what_fills_a_batch_up_is_neither_seen_nor_learned() -> None:
    items = [
        {"input_ids": torch.tensor(ids), "labels": torch.tensor(ids)}
        for ids in ([5, 6, 7], list(range(10, 19)))
    ]
    batch = collate(items)
    assert batch["input_ids"].shape == (2, 16)
    assert batch["attention_mask"].sum(1).tolist() == [3, 9]
    assert batch["labels"][0].tolist() == [5, 6, 7, *[-100] * 13]
