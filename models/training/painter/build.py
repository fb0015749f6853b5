"""The untrained pipeline: a standard StableDiffusionPipeline, only small. Knows no training.

Every part is a stock class of diffusers or transformers, so whatever they can do with a pipeline
they can do with this one: schedulers, img2img, LoRA, callbacks.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise, product

import torch
from diffusers import (
    AutoencoderTiny,
    DDIMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from diffusers.models.unets.unet_2d_blocks import AutoencoderTinyBlock
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode

from models.training.painter.captions import all_words
from models.training.painter.render import SIDE
from models.training.painter.sketch import CELLS

WORDS = 32  # tokens for what is asked; the longest caption has 29 and two around it
TOKENS = WORDS + CELLS**2  # of a prompt; behind the words is one for each cell of the picture
LATENT_SIDE = SIDE // 8
LATENTS = 12  # channels
MEAN, SPREAD = 0.72, 0.3  # of the pixels, 0 to 1
_START, _END = "<|startoftext|>", "<|endoftext|>"


@dataclass(frozen=True, slots=True)
class Shape:
    """How large the parts are. The defaults are the shipped model's; the tests use a tiny one."""

    decoder_width: int = 32
    decoder_blocks: tuple[int, ...] = (3, 3, 1, 0)
    denoiser: tuple[int, ...] = (64, 128, 160)
    text_width: int = 192
    text_layers: int = 4
    groups: int = 8


def new_pipeline(shape: Shape) -> StableDiffusionPipeline:
    """All parts with random weights, always the same ones."""
    torch.manual_seed(1)
    tokenizer = new_tokenizer()
    return StableDiffusionPipeline(
        vae=_autoencoder(shape),
        text_encoder=_text_encoder(shape, tokenizer),
        tokenizer=tokenizer,
        unet=_denoiser(shape),
        scheduler=_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def new_tokenizer() -> CLIPTokenizer:
    """CLIP's byte-pair encoding, with one token for each word of the captions."""
    merges = _merges([*all_words(), ","])
    letters = list(bytes_to_unicode().values())  # type: ignore[no-untyped-call]  # left so
    tokens = letters + [f"{letter}</w>" for letter in letters]
    tokens += ["".join(pair) for pair in merges] + [_START, _END]
    vocabulary = {token: i for i, token in enumerate(dict.fromkeys(tokens))}
    return CLIPTokenizer(
        vocab=vocabulary,
        merges=merges,  # type: ignore[arg-type]  # pairs are what it takes: annotated too narrowly
        model_max_length=TOKENS,
    )


def _merges(words: list[str]) -> list[tuple[str, str]]:
    """Pairs to merge, most frequent first, until every word is one token.

    The trainer of `tokenizers` breaks ties differently in every run.
    """
    split = [[*word[:-1], f"{word[-1]}</w>"] for word in words]
    merges: list[tuple[str, str]] = []
    while counts := Counter(pair for word in split for pair in pairwise(word)):
        best = max(counts, key=lambda pair: (counts[pair], pair))
        merges.append(best)
        split = [_merge(word, best) for word in split]
    return merges


def _merge(word: list[str], pair: tuple[str, str]) -> list[str]:
    merged: list[str] = []
    for part in word:
        if merged and (merged[-1], part) == pair:
            merged[-1] += part
        else:
            merged.append(part)
    return merged


def _text_encoder(shape: Shape, tokenizer: CLIPTokenizer) -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=shape.text_width,
            intermediate_size=4 * shape.text_width,
            num_hidden_layers=shape.text_layers,
            num_attention_heads=max(1, shape.text_width // 32),
            max_position_embeddings=TOKENS,
            projection_dim=shape.text_width,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def _autoencoder(shape: Shape) -> AutoencoderTiny:
    """The encoder is finished; only the decoder is left to train.

    A picture's latents are the picture itself at a quarter of its side, two by two pixels (of three
    colours) in one place. So nothing has to be learned before the denoiser can be, and what the
    decoder learns is to draw the sharp edges that such a small picture stands for.
    """
    vae = AutoencoderTiny(
        encoder_block_out_channels=(LATENTS,) * 4,
        decoder_block_out_channels=(shape.decoder_width,) * 4,
        num_encoder_blocks=(0, 0, 0, 0),  # four convolutions and nothing between them
        num_decoder_blocks=shape.decoder_blocks,
        latent_channels=LATENTS,
    )
    vae.requires_grad_(False)
    same, halve, halve_again, fold, scale = (layer.weight.zero_() for layer in vae.encoder.layers)
    # The convolutions that halve look at rows (and columns) 2i - 1, 2i and 2i + 1.
    for colour in range(3):
        same[colour, colour, 1, 1] = 1.0
        halve[colour, colour, 1:, 1:] = 0.25
        halve_again[colour, colour, 1:, 1:] = 0.25
        for part, (y, x) in enumerate(product((1, 2), repeat=2)):
            fold[4 * colour + part, colour, y, x] = 1.0
    for channel in range(LATENTS):
        scale[channel, channel, 1, 1] = 1 / SPREAD
    vae.encoder.layers[0].bias.zero_()
    vae.encoder.layers[-1].bias.fill_(-MEAN / SPREAD)
    for block in vae.decoder.modules():
        if isinstance(block, AutoencoderTinyBlock):  # at first it changes nothing
            nn.init.zeros_(block.conv[-1].weight)
            nn.init.zeros_(block.conv[-1].bias)
    vae.decoder.requires_grad_(True)
    return vae


def _denoiser(shape: Shape) -> UNet2DConditionModel:
    levels = len(shape.denoiser)
    return UNet2DConditionModel(
        sample_size=LATENT_SIDE,
        in_channels=LATENTS,
        out_channels=LATENTS,
        block_out_channels=shape.denoiser,
        layers_per_block=1,
        mid_block_type="UNetMidBlock2D",  # a residual block alone
        down_block_types=("DownBlock2D",) + ("CrossAttnDownBlock2D",) * (levels - 1),
        up_block_types=("CrossAttnUpBlock2D",) * (levels - 1) + ("UpBlock2D",),
        cross_attention_dim=shape.text_width,
        addition_embed_type="text",  # what is said as a whole also steers every residual block
        addition_embed_type_num_heads=4,
        attention_head_dim=4,
        norm_num_groups=shape.groups,
    )


def _scheduler() -> DDIMScheduler:
    # The last step of the noise is nothing but noise (Lin et al. 2024, arXiv 2305.08891): without
    # that a picture cannot become wholly white or wholly black.
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=1,
    )
