"""Builds tiny but real text models on disk, once per test run. Their weights are random."""

from __future__ import annotations

import atexit
import functools
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

TEXTS = [
    "hello there, how are you today?",
    "i am fine, thank you. what is your name?",
    "my name is Ada and i like music, films and long walks.",
    "good night! Bob: see you tomorrow.",
    "the weather is grey; the cats are asleep.",
] * 8

CHATML = """\
{%- for message in messages -%}
{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}
{%- endfor -%}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif -%}
"""


def build(
    directory: Path,
    *,
    special: tuple[str, ...] = ("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    template: str = CHATML,
    format: dict[str, Any] | None = None,
    context: int = 256,
    seed: int = 0,
) -> Path:
    """A GPT-2 with two layers and a byte-level BPE of about 500 tokens. The first special token is
    the end of text; without a template the format is derived from the tokens."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    tokenizer = _write_beside(directory, special, template, format)
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=tokenizer.get_vocab_size(),
        n_positions=context,
        n_embd=32,
        n_layer=2,
        n_head=2,
        # With the usual 0.02 an untrained model says the same token for ever.
        initializer_range=0.6,
        bos_token_id=tokenizer.token_to_id(special[0]),
        eos_token_id=tokenizer.token_to_id(special[0]),
    )
    model = GPT2LMHeadModel(config)
    with torch.no_grad():  # bytes and control tokens become unlikely, and the babble readable
        for i in range(tokenizer.get_vocab_size()):
            text = tokenizer.decode([i])
            if not (text and text.isprintable() and text.isascii()):
                model.transformer.wte.weight[i] = 0
    model.save_pretrained(directory)
    return directory


def _write_beside(
    directory: Path, special: tuple[str, ...], template: str, format: dict[str, Any] | None
) -> Tokenizer:
    """Everything but the weights and config.json."""
    import torch

    # More threads than idle cores make each step of a model this small ten times slower.
    torch.set_num_threads(1)
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer = tiny_tokenizer(special)
    tokenizer.save(str(directory / "tokenizer.json"))
    settings: dict[str, Any] = {"eos_token": special[0], "bos_token": special[0]}
    (directory / "tokenizer_config.json").write_text(json.dumps(settings))
    if template:
        (directory / "chat_template.jinja").write_text(template)
    if format is not None:
        (directory / "format.json").write_text(json.dumps(format))
    return tokenizer


def tiny_tokenizer(special: tuple[str, ...]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        TEXTS,
        trainers.BpeTrainer(
            vocab_size=500,
            special_tokens=[AddedToken(token, special=True) for token in special],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return tokenizer


@functools.cache
def _home() -> Path:
    home = Path(tempfile.mkdtemp(prefix="tiny-models-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    return home


@functools.cache
def chat_model() -> Path:
    """A model with a ChatML template. Shared by all tests: do not write into it."""
    return build(_home() / "chat")


@functools.cache
def speakers_model() -> Path:
    """A model that knows only the end of text, hence speaker tags."""
    return build(_home() / "speakers", special=("<|endoftext|>",), template="")


@functools.cache
def reddit_model() -> Path:
    """A model of the Reddit family that learned its tags as plain text."""
    return build(
        _home() / "reddit", special=("<|endoftext|>",), template="", format={"kind": "reddit"}
    )


#: what differs from family to family: the config's class, and options that make it small
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": ("GPT2Config", {"n_embd": 32, "n_layer": 2, "n_head": 2}),
    "opt": ("OPTConfig", {"ffn_dim": 64, "word_embed_proj_dim": 32}),
    "opt-350m": (
        "OPTConfig",
        {"ffn_dim": 64, "word_embed_proj_dim": 16, "do_layer_norm_before": False},
    ),
    "falcon-7b": ("FalconConfig", {"multi_query": True, "parallel_attn": True}),
    "falcon-40b": ("FalconConfig", {"new_decoder_architecture": True, "num_kv_heads": 2}),
    "falcon-rw": (
        "FalconConfig",
        {"alibi": True, "multi_query": False, "parallel_attn": False, "bias": True},
    ),
    "llama": ("LlamaConfig", {"intermediate_size": 64, "num_key_value_heads": 2}),
    "qwen2": ("Qwen2Config", {"intermediate_size": 64, "num_key_value_heads": 2}),
    "qwen3": ("Qwen3Config", {"intermediate_size": 64, "num_key_value_heads": 2, "head_dim": 8}),
    "mistral": (
        "MistralConfig",
        {"intermediate_size": 64, "num_key_value_heads": 2, "sliding_window": None},
    ),
    "mistral-sliding": (
        "MistralConfig",
        {"intermediate_size": 64, "num_key_value_heads": 2, "sliding_window": 24},
    ),
}


@functools.cache
def family_model(family: str, width: int = 32) -> Path:
    """A model of one of `FAMILIES`. Shared by all tests: do not write into it."""
    import torch
    import transformers

    directory = _home() / f"{family}-{width}"
    special = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    tokenizer = _write_beside(directory, special, CHATML, None)
    torch.manual_seed(0)
    name, options = FAMILIES[family]
    config = getattr(transformers, name)(
        **{"hidden_size": width, "num_hidden_layers": 2, "num_attention_heads": 4, **options},
        vocab_size=tokenizer.get_vocab_size(),
        max_position_embeddings=256,
        pad_token_id=None,
        bos_token_id=0,
        eos_token_id=0,
    )
    model: Any = transformers.AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]  # it has no types
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:  # as above: what is drawn for training says one token for ever
                parameter.normal_(std=0.4)
    model.save_pretrained(directory)
    return directory


@functools.cache
def adapter(base: Path, seed: int) -> Path:
    """A LoRA adapter of a model, strong enough to be heard. Shared by all tests."""
    import peft
    import torch
    import transformers

    directory = _home() / f"{base.name}-adapter-{seed}"
    torch.manual_seed(seed)
    model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    config = peft.LoraConfig(
        r=4,
        lora_alpha=16,
        init_lora_weights=False,
        fan_in_fan_out=base.name.startswith("gpt2"),  # its weights lie the other way round
        task_type="CAUSAL_LM",
    )
    peft.get_peft_model(model, config).save_pretrained(directory)
    return directory


def sentence_model(pooling: str = "mean_tokens", lower: bool = False) -> Path:
    """A directory as sentence-transformers writes it, around a BERT of a few thousand weights with
    a token for each letter. Shared by all tests: do not write into it."""
    import torch
    from tokenizers import normalizers, processors
    from transformers import BertConfig, BertModel

    directory = _home() / f"sentences-{pooling}-{lower}"
    if directory.exists():
        return directory
    torch.set_num_threads(1)
    (directory / "1_Pooling").mkdir(parents=True)
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefghijklmnopqrstuvwxyz0123456789:.,?"]
    tokenizer = Tokenizer(
        models.WordLevel({name: id for id, name in enumerate(names)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = normalizers.Replace(" ", "")
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(directory / "tokenizer.json"))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(names), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=64, initializer_range=0.4,
    )  # fmt: skip
    BertModel(config, add_pooling_layer=False).save_pretrained(directory)
    parts = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    files: dict[str, Any] = {
        "modules.json": [
            {"idx": n, "name": str(n), "path": path, "type": f"sentence_transformers.models.{part}"}
            for n, (path, part) in enumerate(parts)
        ],
        "1_Pooling/config.json": {
            "word_embedding_dimension": 32, f"pooling_mode_{pooling}": True,
        },
        "sentence_bert_config.json": {"max_seq_length": 48, "do_lower_case": lower},
        "config_sentence_transformers.json": {
            "prompts": {"query": "query: ", "document": "passage: "}
        },
    }  # fmt: skip
    for name, content in files.items():
        (directory / name).write_text(json.dumps(content))
    return directory


def _silence(model: Any) -> None:
    """Every weight zero, but those that scale what is there."""
    for name, weight in model.named_parameters():
        if (
            not name.lower()
            .replace("_", "")
            .endswith(("layernorm.weight", "layernormbefore.weight", "layernormafter.weight"))
        ):
            weight.zero_()


@functools.cache
def text_classifier(*, each: bool = False) -> Path:
    """A BERT whose label "toxic" follows from one word, " grey", wherever it stands, and else
    "fine". With `each`, the labels do not exclude each other."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    directory = _home() / f"classifier-{each}"
    tokenizer = _write_beside(directory, ("[PAD]", "[UNK]"), "", None)
    (word,) = tokenizer.encode(" grey").ids
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=16,
        max_position_embeddings=34,
        id2label={0: "fine", 1: "Toxic"},
        label2id={"fine": 0, "Toxic": 1},
        problem_type="multi_label_classification" if each else "single_label_classification",
        pad_token_id=0,
    )
    model: Any = BertForSequenceClassification(config)
    with torch.no_grad():
        _silence(model)
        # One word is loud in one number; attention, which is even, adds it to the first token,
        # whose loudness the classifier reads.
        model.bert.embeddings.word_embeddings.weight[word, 0] = 100.0
        model.bert.encoder.layer[0].attention.self.value.weight.fill_diagonal_(1.0)
        model.bert.encoder.layer[0].attention.output.dense.weight.fill_diagonal_(100.0)
        model.bert.pooler.dense.weight.fill_diagonal_(1.0)
        model.classifier.weight[1, 0] = 20.0
        model.classifier.bias[1] = -10.0
    model.save_pretrained(directory)
    return directory


@functools.cache
def picture_classifier() -> Path:
    """A ViT whose label "nsfw" follows from how red a picture is."""
    import torch
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessorPil

    directory = _home() / "picture-classifier"
    config = ViTConfig(
        image_size=16,
        patch_size=16,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
        id2label={0: "normal", 1: "nsfw"},
        label2id={"normal": 0, "nsfw": 1},
    )
    model: Any = ViTForImageClassification(config)
    with torch.no_grad():
        _silence(model)
        # The red of the one patch becomes one number, which attention hands to the first token.
        model.vit.embeddings.patch_embeddings.projection.weight[0, 0] = 1 / 256
        attention = model.vit.layers[0].attention
        attention.v_proj.weight.fill_diagonal_(1.0)
        attention.o_proj.weight.fill_diagonal_(1.0)
        model.classifier.weight[1, 0] = 5.0
    model.save_pretrained(directory)
    ViTImageProcessorPil(size={"height": 16, "width": 16}).save_pretrained(directory)
    return directory
