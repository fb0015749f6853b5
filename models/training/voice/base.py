"""What a training begins with: a model from a directory, or a new one with a tokenizer of its own.
Knows no dataset.

What prompts look like follows from the model's directory (`models.formats`): from its chat template
or, where there is none, speaker tags. A tokenizer without a token to pad with is no trouble: what
is padded is masked.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch
import transformers
from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers.pytorch_utils import Conv1D

from botdaemon.errors import ModelUnusable, Refused
from models import footprints, formats, preflight
from models.text import loading

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from models.formats import Format
    from models.training.voice.plan import Plan

END = "<|endoftext|>"
SCRATCH_CONTEXT = 512
"""Tokens that a new model takes, where the plan does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A model to begin with, not loaded yet."""

    #: where its tokenizer and its format are; of one from scratch, nothing else
    directory: Path
    format: Format
    config: Any
    #: of its config.json and its weights' names and sizes, hexadecimal; empty for a new one
    digest: str

    @property
    def blank(self) -> Any:
        """The model without numbers: its layers and their sizes, and no memory."""
        with torch.device("meta"):
            return transformers.AutoModelForCausalLM.from_config(self.config)  # type: ignore[no-untyped-call]  # it has no types


def from_directory(directory: Path) -> Base:
    """Look at a model that is to be trained. Raises `ModelUnusable`."""
    directory = preflight.resolve(str(directory.absolute()), base=directory.absolute())
    try:
        config = transformers.AutoConfig.from_pretrained(
            directory, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # whatever the library raises, the operator must mend the model
        raise ModelUnusable(f"{directory / 'config.json'} cannot be used: {error}") from error
    format = formats.load(directory)
    known = format.tokenizer.get_vocab_size(with_added_tokens=True)
    takes = config.get_text_config().vocab_size
    if known > takes:
        raise ModelUnusable(
            f"the tokenizer in {directory} knows {known} tokens, but the model only {takes}; they"
            " do not belong together"
        )
    return Base(directory=directory, format=format, config=config, digest=digest(directory))


def from_scratch(texts: Iterable[str], plan: Plan, directory: Path) -> Base:
    """A new GPT-2, and a tokenizer made of `texts` in `directory`, where a former one is kept: it
    belongs to the checkpoints."""
    path = directory / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(path)) if path.exists() else _tokenizer(texts, plan)
    end = tokenizer.token_to_id(END)
    config = transformers.GPT2Config(
        architectures=["GPT2LMHeadModel"],
        vocab_size=tokenizer.get_vocab_size(),
        n_positions=plan.context or SCRATCH_CONTEXT,
        n_embd=plan.shape.width,
        n_layer=plan.shape.layers,
        n_head=plan.shape.heads,
        # The fused form of GPT-2's gelu; and dropout on the attention keeps the quick kernels away.
        activation_function="gelu_pytorch_tanh",
        attn_pdrop=0.0,
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
    )
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        config.save_pretrained(directory)
        settings = {"bos_token": END, "eos_token": END, "pad_token": END}
        settings["tokenizer_class"] = "PreTrainedTokenizerFast"
        (directory / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
        part = directory / "tokenizer.part"
        tokenizer.save(str(part))
        part.replace(path)
    return Base(directory=directory, format=formats.load(directory), config=config, digest="")


def _tokenizer(texts: Iterable[str], plan: Plan) -> Tokenizer:
    """A byte-level BPE as GPT-2's, to which no text is unknown."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=plan.shape.vocabulary,
            special_tokens=[AddedToken(END, special=True)],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    # A conversation begins with the token that ends the one before it, here and when it is served.
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{END} $A", special_tokens=[(END, tokenizer.token_to_id(END))]
    )
    return tokenizer


def digest(directory: Path) -> str:
    """Another one for another model, or for the same after more training."""
    found = hashlib.sha256((directory / "config.json").read_bytes())
    for path in footprints.weight_files(directory)[""]:
        found.update(f"{path.name} {path.stat().st_size}".encode())
        with path.open("rb") as file:  # the header, and some of the weights
            found.update(file.read(2**20))
            file.seek(max(0, path.stat().st_size - 2**20))
            found.update(file.read())
    return found.hexdigest()


# --- loading ----------------------------------------------------------------------------------


def load(base: Base, plan: Plan, device: str) -> Any:
    """The model as it is trained, with its adapter if the plan wants one. Its weights are in 32
    bits, but those that an adapter leaves alone take half of that on a card, and a quarter of the
    half for "qlora". Raises `ModelUnusable`, and what says that memory ran out."""
    torch.manual_seed(plan.seed)  # for the weights that are made up
    if plan.method == "scratch":
        return transformers.AutoModelForCausalLM.from_config(base.config)  # type: ignore[no-untyped-call]  # it has no types
    if plan.method == "qlora":
        return adapted(_four_bit(base, device), plan)
    narrow = plan.method == "lora" and device != "cpu"
    dtype = torch.bfloat16 if narrow else torch.float32
    model = loading.load(base.directory.name, base.directory, dtype)
    return adapted(model, plan) if plan.adapter else model


def adapted(model: Any, plan: Plan) -> Any:
    """With a LoRA adapter on all of its linear layers, the only part that is trained."""
    import peft

    config = peft.LoraConfig(
        task_type="CAUSAL_LM",
        r=plan.rank,
        lora_alpha=plan.alpha,
        lora_dropout=plan.dropout,
        # peft's own choice is the attention alone, which learns less at the same size
        # (https://thinkingmachines.ai/blog/lora/).
        target_modules="all-linear",
        # GPT-2 has its weights the other way round.
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in model.modules()),
    )
    try:
        with warnings.catch_warnings():
            # peft 0.21 asks transformers 5.23 for something by its old name.
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is dep", FutureWarning)
            return peft.get_peft_model(model, config)
    except ValueError as error:
        raise ModelUnusable(
            f"a {model.config.model_type} model has no layers that an adapter can be put on:"
            f" {error}"
        ) from error


def four_bit_obstacle(device: str) -> str:
    """Why "qlora" cannot be done there, as a sentence; empty when it can."""
    if not device.startswith("cuda"):
        return '"qlora" needs an NVIDIA card; take "lora"'
    if find_spec("bitsandbytes") is None:
        return '"qlora" needs bitsandbytes, which is not installed: pip install bitsandbytes'
    return ""


def _four_bit(base: Base, device: str) -> Any:
    """QLoRA's own choices (https://arxiv.org/abs/2305.14314): nf4, quantised twice."""
    if why := four_bit_obstacle(device):
        raise Refused(why)
    import peft

    settings = transformers.BitsAndBytesConfig(  # type: ignore[no-untyped-call]  # it has no types
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    try:
        model = transformers.AutoModelForCausalLM.from_pretrained(
            base.directory,
            quantization_config=settings,
            dtype=torch.bfloat16,
            device_map={"": device},
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
        )
    except (ImportError, ValueError, OSError) as error:
        raise ModelUnusable(f"{base.directory} cannot be loaded in 4 bits: {error}") from error
    # Recomputing is left to the recipe.
    return peft.prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
