"""Makes a pipeline of SDXL's shape on disk, with random weights. Draws nothing.

Only child processes call `make`: it imports torch, which the daemon's side never does. The shapes
are those of the configuration files of stable-diffusion-xl-base-1.0.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_CLIP_L: dict[str, Any] = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "projection_dim": 768,
}
_CLIP_BIG_G: dict[str, Any] = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "projection_dim": 1280,
    "hidden_act": "gelu",
}
_UNET: dict[str, Any] = {
    "sample_size": 128,
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
_VAE = {"block_out_channels": (128, 256, 512, 512), "layers_per_block": 2, "sample_size": 1024}

_TINY_CLIP: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "projection_dim": 32,
}
_TINY_UNET: dict[str, Any] = {
    "sample_size": 8,
    "block_out_channels": (16, 32),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "layers_per_block": 1,
    "transformer_layers_per_block": (1, 1),
    "attention_head_dim": 8,
    "cross_attention_dim": 64,
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 80,
    "norm_num_groups": 8,
}
_TINY_VAE = {
    "block_out_channels": (8, 8, 8, 8),
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "sample_size": 64,
}


def make(directory: Path, device: str, dtype: str, tiny: bool) -> None:
    """A pipeline directory of the full size, or a `tiny` one. Weights are drawn on `device`."""
    import diffusers
    import torch

    usual = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, dtype))
    try:
        with torch.device(device):
            networks = _networks(tiny)
    finally:
        torch.set_default_dtype(usual)
    tokenizer = _tokenizer()
    pipeline = diffusers.StableDiffusionXLPipeline(
        **networks,
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        scheduler=diffusers.EulerDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
        ),
    )
    pipeline.save_pretrained(directory)
    side = 64 if tiny else 1024
    (directory / "drawing.json").write_text(json.dumps({"width": side, "height": side}))


def _networks(tiny: bool) -> dict[str, Any]:
    import diffusers
    import torch
    import transformers

    torch.manual_seed(0)
    first, second = (_TINY_CLIP, _TINY_CLIP) if tiny else (_CLIP_L, _CLIP_BIG_G)
    end = len(_names()) - 1
    vocabulary: dict[str, Any] = {
        "vocab_size": end + 1,
        "bos_token_id": end - 1,
        "eos_token_id": end,
        "pad_token_id": end,
    }
    return {
        "vae": diffusers.AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            latent_channels=4,
            **(_TINY_VAE if tiny else _VAE),
        ),
        "text_encoder": transformers.CLIPTextModel(
            transformers.CLIPTextConfig(**vocabulary, **first)
        ),
        "text_encoder_2": transformers.CLIPTextModelWithProjection(
            transformers.CLIPTextConfig(**vocabulary, **second)
        ),
        "unet": diffusers.UNet2DConditionModel(
            addition_embed_type="text_time",
            use_linear_projection=True,
            **(_TINY_UNET if tiny else _UNET),
        ),
    }


def _names() -> list[str]:
    """A vocabulary of letters: how long a picture takes does not depend on what the prompt says."""
    from tokenizers import pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    return [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]


def _tokenizer() -> Any:
    import transformers

    vocabulary: dict[Any, int] = {name: number for number, name in enumerate(_names())}
    return transformers.CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77)
