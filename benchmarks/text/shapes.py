"""Makes models of a given shape on disk, with random weights. Knows no requests.

Speed does not depend on what the weights are. The tokenizer is the starter's: ids that it does not
know, and those that no text can show, get no weight in the output, so that every token a model
says is a piece of readable text.

Only child processes call `make`: it imports torch, which the daemon's side never does.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

STARTER = Path(__file__).resolve().parents[2] / "models" / "starter"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A model but for its weights."""

    #: the class of its configuration in transformers, and what is not that class's default
    config: str
    options: Mapping[str, Any]
    #: standard deviation of the weights: an untrained model with the usual 0.02 says one token for
    #: ever, and then equal answers would prove nothing
    spread: float
    #: tokens
    context: int
    vocabulary: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """What a step has to read from memory, in bytes."""

    #: all weights but those of which only a row is looked up
    model: int
    #: keys and values of one token
    token: int


GPT2_124M = Shape(
    config="GPT2Config",
    options={"n_embd": 768, "n_layer": 12, "n_head": 12},
    spread=0.1,
    context=1024,
    vocabulary=50257,
)
GPT2_LARGE = Shape(
    config="GPT2Config",
    options={"n_embd": 1280, "n_layer": 36, "n_head": 20},
    spread=0.1,
    context=1024,
    vocabulary=50257,
)
QWEN_7B = Shape(  # Qwen2.5-7B's config.json
    config="Qwen2Config",
    options={
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "tie_word_embeddings": False,
    },
    spread=0.05,
    context=4096,
    vocabulary=152064,
)
TINY_GPT2 = Shape(
    config="GPT2Config",
    options={"n_embd": 32, "n_layer": 2, "n_head": 2},
    spread=0.6,
    context=1024,
    vocabulary=4200,
)
TINY_QWEN = Shape(
    config="Qwen2Config",
    options={
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "tie_word_embeddings": False,
    },
    spread=0.4,
    context=1024,
    vocabulary=4200,
)


def make(shape: Shape, directory: Path, device: str = "cpu", dtype: str = "float32") -> Weight:
    """A model directory. Weights are drawn on `device`: on a CPU, 7 B of them take minutes."""
    import torch
    import transformers
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(STARTER / "tokenizer.json"))
    classes: Any = transformers  # which left some of them without types
    config = getattr(classes, shape.config)(
        **shape.options,
        vocab_size=shape.vocabulary,
        max_position_embeddings=shape.context,
        initializer_range=shape.spread,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )
    torch.manual_seed(0)
    with torch.device(device):
        model = classes.AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))
    unreadable = [id for id in range(shape.vocabulary) if not _readable(tokenizer, id)]
    with torch.inference_mode():
        model.get_output_embeddings().weight[unreadable] = 0
        past: Any = model(torch.zeros((1, 1), dtype=torch.long, device=device)).past_key_values
    model.save_pretrained(directory)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(STARTER / name, directory)
    (directory / "format.json").write_text(json.dumps({"kind": "chat", "context": shape.context}))
    tied = model.get_input_embeddings().weight is model.get_output_embeddings().weight
    looked_up = 0 if tied else model.get_input_embeddings().weight.nbytes
    return Weight(
        model=sum(parameter.nbytes for parameter in model.parameters()) - looked_up,
        token=sum(layer.keys.nbytes + layer.values.nbytes for layer in past.layers),
    )


def _readable(tokenizer: Any, id: int) -> bool:
    text: str = tokenizer.decode([id])
    return bool(text.strip()) and text.isascii() and text.isprintable()
