"""Embedders: directories of sentence-transformers, in the model process and before it."""

from __future__ import annotations

import asyncio
import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from tiny_models import chat_model, sentence_model
from tokenizers import Tokenizer
from transformers import BertModel

from botdaemon.errors import ModelUnusable
from botdaemon.types import EmbedRequest
from models import preflight
from models.embed import layout
from models.embed.engine import SentenceEngine
from models.process import EmbedderSpec, ModelProcess

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

TEXTS = ("a short one", "one that is a good deal longer, and then some", "b", "a short one")


def numbers(vectors: list[bytes]) -> NDArray[np.float32]:
    return np.stack([np.frombuffer(vector, "<f4") for vector in vectors])


def engine(directory: Path, batch: int = 16) -> SentenceEngine:
    return SentenceEngine(
        name="tiny", directory=directory, device="cpu", dtype="float32", batch=batch
    )


def alone(directory: Path, text: str, pooling: str) -> NDArray[np.float32]:
    """A vector made with nothing but the model, one text at a time."""
    model: Any = BertModel.from_pretrained(directory, add_pooling_layer=False)
    ids = Tokenizer.from_file(str(directory / "tokenizer.json")).encode(text).ids[:48]
    if len(ids) == 48:
        ids[-1] = 3
    with torch.inference_mode():
        states = model(torch.tensor([ids])).last_hidden_state[0].numpy()
    pooled = {"mean_tokens": states.mean(0), "cls_token": states[0], "lasttoken": states[-1]}
    vector: NDArray[np.float32] = pooled[pooling] / np.linalg.norm(pooled[pooling])
    return vector


@pytest.mark.parametrize("pooling", ["mean_tokens", "cls_token", "lasttoken"])
def test_vectors_are_those_of_the_model_alone_whatever_they_are_made_together_with(
    pooling: str,
) -> None:
    directory = sentence_model(pooling)
    made = engine(directory, batch=2).embed(EmbedRequest(texts=TEXTS), lambda: None)
    wanted = [alone(directory, f"passage: {text}", pooling) for text in TEXTS]

    np.testing.assert_allclose(numbers(made), wanted, atol=1e-5)


def test_a_question_is_put_as_the_model_was_taught() -> None:
    directory = sentence_model()
    [made] = engine(directory).embed(
        EmbedRequest(texts=("where is it?",), question=True), lambda: None
    )

    np.testing.assert_allclose(
        numbers([made])[0], alone(directory, "query: where is it?", "mean_tokens"), atol=1e-5
    )


def test_letters_are_small_where_the_model_knows_no_others() -> None:
    small = engine(sentence_model(lower=True)).embed(
        EmbedRequest(texts=("ABC", "abc")), lambda: None
    )

    assert small[0] == small[1]


async def test_a_model_process_gives_vectors_to_several_who_ask_at_once() -> None:
    spec = EmbedderSpec(path=str(sentence_model()))
    async with ModelProcess(name="cpu", models={"tiny": spec}) as process:
        embedder = process.embedder("tiny")
        together = await asyncio.gather(*(embedder.embed([text]) for text in TEXTS))
        at_once = await embedder.embed(TEXTS)
        nothing = await embedder.embed([""], question=True)
        state = process.status().models

    assert embedder.card.dimension == 32
    assert state == {"tiny": "loaded"}
    np.testing.assert_allclose(numbers([one for [one] in together]), numbers(at_once), atol=1e-5)
    assert numbers(nothing).shape == (1, 32)


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("modules.json", None, "is no directory of sentence-transformers: it has no modules.json"),
        ("modules.json", [{"type": "x.StaticEmbedding"}], "has the parts StaticEmbedding; what is"),
        ("modules.json", {"a": 1}, "must hold a list of objects"),
        ("1_Pooling/config.json", {"pooling_mode_max_tokens": True}, "pools by max; what is known"),
        ("1_Pooling/config.json", {"pooling_mode": ["cls", "mean"]}, "pools by cls and mean;"),
        (
            "1_Pooling/config.json",
            {"pooling_mode": "mean", "include_prompt": False},
            "mean, without the prompt",
        ),
        ("model.safetensors", None, "has no weights"),
        ("tokenizer.json", None, "has no tokenizer.json"),
    ],
)
def test_a_directory_that_cannot_be_used_is_refused_with_a_sentence(
    file: str, content: Any, words: str, tmp_path: Path
) -> None:
    shutil.copytree(sentence_model(), tmp_path / "model")
    path = tmp_path / "model" / file
    if content is None:
        path.unlink()
    else:
        path.write_text(json.dumps(content))

    with pytest.raises(ModelUnusable, match=words):
        preflight.resolve("model", base=tmp_path, kind="embedder")


def test_a_text_model_is_no_embedder(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match=r"no directory of sentence-transformers"):
        preflight.resolve(str(chat_model()), base=tmp_path, kind="embedder")


def test_newer_directories_say_their_pooling_in_a_word(tmp_path: Path) -> None:
    shutil.copytree(sentence_model(), tmp_path / "model")
    said = {"pooling_mode": "lasttoken", "embedding_dimension": 32}
    (tmp_path / "model/1_Pooling/config.json").write_text(json.dumps(said))

    assert layout.load(tmp_path / "model").pooling == "lasttoken"


def test_a_copy_is_the_same_embedder_and_other_weights_are_another(tmp_path: Path) -> None:
    shutil.copytree(sentence_model(), tmp_path / "model")
    known = layout.load(sentence_model()).card
    assert layout.load(tmp_path / "model").card == known

    weights = tmp_path / "model/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\0")
    assert layout.load(tmp_path / "model").card.identity != known.identity
