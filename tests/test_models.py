"""The engines themselves: the transformers engine on tiny real models, and the echo."""

from __future__ import annotations

import json
import shutil
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest
from tiny_models import chat_model, reddit_model, speakers_model

from botdaemon.errors import EngineFailed, ModelUnusable
from botdaemon.types import ChatLine, Piece, Sampling, TextRequest
from models.echo import EchoEngine

if TYPE_CHECKING:
    from pathlib import Path

    from models.text import TransformersEngine

MODELS = {"chat": chat_model, "speakers": speakers_model, "reddit": reddit_model}


def engine(directory: Path, **options: Any) -> TransformersEngine:
    from models.text import TransformersEngine

    return TransformersEngine(name="tiny", directory=directory, device="cpu", **options)


@pytest.fixture(scope="module")
def tiny() -> TransformersEngine:
    return engine(chat_model())


def ask(text: str = "hello", *, stop: tuple[str, ...] = (), **sampling: Any) -> TextRequest:
    options = {"temperature": 0.0, "max_tokens": 40, **sampling}
    return TextRequest(
        model="tiny",
        speaker="Bot",
        lines=(ChatLine(role="user", text=text, name="Ada"),),
        sampling=Sampling(**options),
        stop=stop,
    )


def answer(tiny: TransformersEngine, request: TextRequest) -> list[Piece]:
    slot = tiny.start(request)
    pieces = [tiny.step(slot)]
    while not pieces[-1].finish:
        pieces.append(tiny.step(slot))
    return pieces


def text(pieces: list[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


# --- the transformers engine -----------------------------------------------------------------


@pytest.mark.parametrize("kind", MODELS)
def test_greedy_answers_equal_generate_token_for_token(kind: str) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    directory = MODELS[kind]()
    tiny = engine(directory)
    reference: Any = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    for line in ("hello", "what is your name?", "good night! " * 5):
        slot = tiny.start(ask(line, max_tokens=60))
        prompt = torch.tensor([slot.ids])
        while not tiny.step(slot).finish:
            pass
        expected = reference.generate(
            prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=60
        )[0]
        # A stop string may end the reply before the model's own end.
        assert slot.ids == expected[: len(slot.ids)].tolist()
        assert len(slot.ids) == len(expected) or slot.text.stopped


def test_an_answer_is_counted_and_ends_by_length(tiny: TransformersEngine) -> None:
    pieces = answer(tiny, ask(max_tokens=12))
    assert [piece.tokens for piece in pieces] == list(range(1, 13))
    assert {piece.prompt_tokens for piece in pieces} == {19}
    assert [piece.finish for piece in pieces] == [""] * 11 + ["length"]


def test_a_stop_string_anywhere_in_the_answer_ends_it_and_is_never_seen(
    tiny: TransformersEngine,
) -> None:
    whole = text(answer(tiny, ask()))
    for start in range(1, len(whole) - 4, 3):
        stop = whole[start : start + 4]
        pieces = answer(tiny, ask(stop=("never said", stop)))
        assert text(pieces) == whole[: whole.index(stop)]
        assert pieces[-1].finish == "stop"


def test_the_end_token_ends_the_answer(tmp_path: Path) -> None:
    plain = engine(chat_model())
    slot = plain.start(ask())
    while not plain.step(slot).finish:
        pass
    third = slot.ids[slot.prompt_tokens + 2]
    model = shutil.copytree(chat_model(), tmp_path / "model")
    (model / "generation_config.json").write_text(json.dumps({"eos_token_id": [third]}))

    pieces = answer(engine(model), ask())

    assert (pieces[-1].finish, pieces[-1].tokens) == ("stop", 3)
    assert text(pieces) == plain._format.tokenizer.decode(
        slot.ids[slot.prompt_tokens : slot.prompt_tokens + 2]
    )


def test_a_seed_repeats_an_answer_and_no_seed_does_not(tiny: TransformersEngine) -> None:
    def said(seed: int | None) -> str:
        return text(answer(tiny, ask(temperature=1.5, top_k=50, top_p=0.95, min_p=0.01, seed=seed)))

    assert said(7) == said(7)
    assert said(7) != said(8)
    assert len({said(None) for _ in range(4)}) > 1


def test_repeating_can_be_forbidden(tiny: TransformersEngine) -> None:
    slot = tiny.start(ask(no_repeat_ngram=1, max_tokens=80))
    while not tiny.step(slot).finish:
        pass
    said = slot.ids[slot.prompt_tokens :]
    assert len(set(said)) == len(said)
    penalised = answer(tiny, ask(repetition_penalty=1.8))
    assert text(penalised) != text(answer(tiny, ask()))


def test_the_request_comes_before_the_format_and_the_format_before_the_generation_config(
    tmp_path: Path,
) -> None:
    model = shutil.copytree(chat_model(), tmp_path / "model")
    generation = {"do_sample": True, "temperature": 0.7, "max_new_tokens": 9}
    (model / "generation_config.json").write_text(json.dumps(generation))
    (model / "format.json").write_text(json.dumps({"sampling": {"max_tokens": 5, "seed": 1}}))
    both = engine(model)

    def tokens(sampling: Sampling) -> int:
        lines = (ChatLine(role="user", text="hello"),)
        request = TextRequest(model="tiny", speaker="Bot", lines=lines, sampling=sampling)
        return answer(both, request)[-1].tokens

    assert tokens(Sampling(max_tokens=3)) == 3
    assert tokens(Sampling()) == 5
    assert both._defaults.temperature == 0.7
    (model / "format.json").unlink()
    assert engine(model)._defaults.max_tokens == 9


def test_a_prompt_that_does_not_fit_is_refused_with_the_arithmetic(
    tiny: TransformersEngine,
) -> None:
    with pytest.raises(
        EngineFailed, match=r'the prompt has \d+ tokens, but model "tiny" takes 256'
    ):
        tiny.start(ask("hello there " * 200))


def test_an_answer_never_outgrows_the_context(tiny: TransformersEngine) -> None:
    pieces = answer(tiny, ask("hello there, " * 40, max_tokens=10_000))
    assert pieces[-1].prompt_tokens + pieces[-1].tokens == 256
    assert pieces[-1].finish == "length"


def test_weights_that_do_not_belong_to_the_config_are_refused(tmp_path: Path) -> None:
    model = shutil.copytree(chat_model(), tmp_path / "model")
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "n_layer": 3}))
    with pytest.raises(ModelUnusable, match=r"lack 12 parts, the first is transformer.h.2"):
        engine(model)


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    from tiny_models import build, tiny_tokenizer

    model = build(tmp_path / "model", special=("<|endoftext|>",), template="")
    tiny_tokenizer(("<|endoftext|>", *(f"<|{n}|>" for n in range(300)))).save(
        str(model / "tokenizer.json")
    )
    with pytest.raises(ModelUnusable, match="they do not belong together"):
        engine(model)


def test_an_unknown_architecture_is_refused(tmp_path: Path) -> None:
    model = shutil.copytree(chat_model(), tmp_path / "model")
    (model / "config.json").write_text('{"model_type": "gpt9", "n_positions": 64}')
    with pytest.raises(ModelUnusable, match=r'model "tiny" in .* cannot be loaded: .*gpt9'):
        engine(model)


def test_a_model_without_a_cache_of_the_known_kind_is_refused(tmp_path: Path) -> None:
    from transformers import MambaConfig, MambaForCausalLM

    model = shutil.copytree(chat_model(), tmp_path / "model")
    sizes: Any = {"hidden_size": 8, "num_hidden_layers": 1, "state_size": 2, "vocab_size": 500}
    MambaForCausalLM(MambaConfig(**sizes)).save_pretrained(model)
    (model / "format.json").write_text('{"context": 64}')
    with pytest.raises(ModelUnusable, match="a mamba model keeps its state in a way that this"):
        engine(model)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"dtype": "int3"}, 'there is no dtype "int3"; say "auto" or one of float32'),
        ({"device": "toaster"}, 'there is no device "toaster"; say "auto", "cpu" or "cuda:0"'),
        ({"device": "cuda:99"}, 'there is no device "cuda:99" on this machine'),
    ],
)
def test_a_device_or_number_format_that_is_not_there_is_named(
    options: dict[str, Any], sentence: str
) -> None:
    from models.text import TransformersEngine

    with pytest.raises(ModelUnusable) as refused:
        TransformersEngine(name="tiny", directory=chat_model(), **options)
    assert sentence in str(refused.value)


def test_a_prompt_is_tokenised_as_transformers_would() -> None:
    from transformers import PreTrainedTokenizerFast

    from models import formats

    directory = chat_model()
    theirs = PreTrainedTokenizerFast.from_pretrained(directory)
    chat = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "hi, how are you?"},
        {"role": "assistant", "content": "fine — 好"},
        {"role": "user", "content": "good"},
    ]
    lines = tuple(ChatLine(role=line["role"], text=line["content"]) for line in chat)  # type: ignore[arg-type]
    ours = formats.load(directory).encode(TextRequest(model="", speaker="Bot", lines=lines))
    assert ours == theirs.apply_chat_template(chat, add_generation_prompt=True)["input_ids"]


# --- the echo --------------------------------------------------------------------------------


async def echoed(request: TextRequest, **options: Any) -> list[Piece]:
    async with aclosing(EchoEngine(**options).generate(request)) as pieces:
        return [piece async for piece in pieces]


async def test_the_echo_says_the_last_human_line_in_pieces() -> None:
    pieces = await echoed(ask("hello there, how are\n\nyou today?"))
    assert text(pieces) == "hello there, how are\n\nyou today?"
    assert len(pieces) > 2
    assert [piece.finish for piece in pieces] == [""] * (len(pieces) - 1) + ["stop"]
    assert (pieces[-1].tokens, pieces[-1].prompt_tokens) == (6, 6)


async def test_the_echo_keeps_to_stop_strings_and_length() -> None:
    assert text(await echoed(ask("hello Bob: there", stop=("Bob:", "")))) == "hello "
    short = await echoed(ask("one two three", max_tokens=2))
    assert (text(short), short[-1].finish) == ("one two", "length")


async def test_the_echo_of_nothing_is_an_empty_answer() -> None:
    assert await echoed(ask("")) == [Piece(text="", finish="stop")]
    no_lines = TextRequest(model="", speaker="Bot", lines=())
    assert await echoed(no_lines) == [Piece(text="", finish="stop")]


async def test_the_echo_can_be_closed_before_and_between_its_pieces() -> None:
    await EchoEngine(delay=3600).generate(ask()).aclose()
    pieces = EchoEngine().generate(ask("a long enough line"))
    await anext(pieces)
    await pieces.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(pieces)
