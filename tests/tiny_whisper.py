"""A tiny Whisper with random weights in CTranslate2's form, made once per test run. What it hears
is nonsense, but it is really faster-whisper that hears it."""

from __future__ import annotations

import atexit
import functools
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers.models.whisper.tokenization_whisper import LANGUAGES

#: of the multilingual models, in the order of their ids
SPECIAL = (
    "<|endoftext|>",
    "<|startoftranscript|>",
    *(f"<|{language}|>" for language in list(LANGUAGES)[:99]),
    *("<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>"),
    "<|notimestamps|>",
    *(f"<|{number / 50:.2f}|>" for number in range(1501)),
)


@functools.cache
def whisper() -> Path:
    """Shared by all tests: do not write into it."""
    import ctranslate2.converters  # type: ignore[import-untyped]  # it comes without types
    import torch
    from transformers import (
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
    )

    home = Path(tempfile.mkdtemp(prefix="tiny-whisper-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    torch.set_num_threads(1)
    torch.manual_seed(3)
    original, directory = home / "original", home / "whisper"
    original.mkdir()
    tokenizer = _tokenizer()
    tokenizer.save(str(original / "tokenizer.json"))

    def number(token: str) -> int:
        found = tokenizer.token_to_id(token)
        assert found is not None
        return found

    end = number("<|endoftext|>")
    config = WhisperConfig(
        vocab_size=tokenizer.get_vocab_size(),
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        decoder_start_token_id=number("<|startoftranscript|>"),
    )
    model = WhisperForConditionalGeneration(config)
    generation: Any = model.generation_config
    generation.suppress_tokens = [number("<|startofprev|>")]
    generation.begin_suppress_tokens = [end]
    generation.lang_to_id = {f"<|{name}|>": number(f"<|{name}|>") for name in list(LANGUAGES)[:99]}
    generation.no_timestamps_token_id = number("<|notimestamps|>")
    generation.alignment_heads = [[0, 0]]
    model.save_pretrained(original)
    extractor: Any = WhisperFeatureExtractor
    extractor().save_pretrained(original)
    (original / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "WhisperTokenizer"})
    )
    converter = ctranslate2.converters.TransformersConverter(
        str(original), copy_files=["tokenizer.json", "preprocessor_config.json"]
    )
    converter.convert(str(directory))
    return directory


def _tokenizer() -> Tokenizer:
    """Bytes, and what Whisper puts around them."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={c: n for n, c in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    return tokenizer
