"""The untrained pipeline: a standard PixArtAlphaPipeline, only small. Knows no training.

Every part is a stock class of diffusers or transformers, so whatever they can do with a pipeline
they can do with this one. It is a diffusion transformer because what it looks at are the cells of
the picture themselves: each knows from the start where it is.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise, product

import torch
from diffusers import (
    AutoencoderTiny,
    DPMSolverMultistepScheduler,
    PixArtAlphaPipeline,
    PixArtTransformer2DModel,
)
from diffusers.models.unets.unet_2d_blocks import AutoencoderTinyBlock
from tokenizers.processors import TemplateProcessing
from torch import nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)
from transformers.convert_slow_tokenizer import bytes_to_unicode

from models.training.painter.captions import all_words
from models.training.painter.render import SIDE
from models.training.painter.sketch import CELLS

WORDS = 32  # tokens for what is asked; hardly a caption has more than 29, and two are around it
TOKENS = 120  # of a prompt: what the pipeline pads to, or cuts words away to get to
LATENT_SIDE = SIDE // 8
LATENTS = 12  # channels
MEAN, SPREAD = 0.72, 0.3  # of the pixels, 0 to 1
_START, _END = "<|startoftext|>", "<|endoftext|>"
_CELLS = [f"<|cell{i}|>" for i in range(CELLS**2)]


@dataclass(frozen=True, slots=True)
class Shape:
    """How large the parts are. The defaults are the shipped model's; the tests use a tiny one."""

    decoder_width: int = 32
    decoder_blocks: tuple[int, ...] = (3, 3, 1, 0)
    denoiser_heads: int = 8  # of 32 numbers each
    denoiser_layers: int = 8
    text_width: int = 192
    text_layers: int = 4


def new_pipeline(shape: Shape) -> PixArtAlphaPipeline:
    """All parts with random weights, always the same ones."""
    torch.manual_seed(1)
    tokenizer = new_tokenizer()
    return PixArtAlphaPipeline(
        tokenizer=tokenizer,
        text_encoder=_text_encoder(shape, tokenizer),
        vae=_autoencoder(shape),
        transformer=_denoiser(shape),
        scheduler=_scheduler(),
    )


def new_tokenizer() -> PreTrainedTokenizerFast:
    """CLIP's byte-pair encoding, with one token for each word of the captions; behind the words is
    a token for each cell of the picture."""
    merges = _merges([*all_words(), ","])
    letters = list(bytes_to_unicode().values())  # type: ignore[no-untyped-call]  # left so
    tokens = letters + [f"{letter}</w>" for letter in letters]
    tokens += ["".join(pair) for pair in merges] + [_START, _END]
    vocabulary = {token: i for i, token in enumerate(dict.fromkeys(tokens))}
    clip = CLIPTokenizer(
        vocab=vocabulary,
        merges=merges,  # type: ignore[arg-type]  # pairs are what it takes: annotated too narrowly
    )
    clip.add_special_tokens({"additional_special_tokens": _CELLS})
    encoding = clip.backend_tokenizer
    around = [_START, _END, *_CELLS]
    encoding.post_processor = TemplateProcessing(
        single=[_START, "$A", _END, *_CELLS],
        special_tokens=[(token, clip.convert_tokens_to_ids(token)) for token in around],
    )
    # CLIPTokenizer would put its own template into place again when it is loaded.
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # left so
        tokenizer_object=encoding,
        model_max_length=TOKENS,
        bos_token=_START,
        eos_token=_END,
        pad_token=_END,
    )


def first_cell(tokenizer: PreTrainedTokenizerBase) -> int:
    """The token of the first cell; those of the others follow it."""
    return tokenizer.get_vocab()[_CELLS[0]]


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


def _text_encoder(shape: Shape, tokenizer: PreTrainedTokenizerBase) -> CLIPTextModel:
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


def _denoiser(shape: Shape) -> PixArtTransformer2DModel:
    denoiser = PixArtTransformer2DModel(
        sample_size=LATENT_SIDE,
        patch_size=LATENT_SIDE // CELLS,
        in_channels=LATENTS,
        out_channels=LATENTS,
        num_layers=shape.denoiser_layers,
        num_attention_heads=shape.denoiser_heads,
        attention_head_dim=32,
        cross_attention_dim=shape.text_width,
        # Its waves would be too long to tell neighbours apart among so few cells.
        interpolation_scale=0.5,
    )
    nn.init.zeros_(denoiser.proj_out.weight)
    nn.init.normal_(denoiser.adaln_single.linear.weight, std=0.01)
    nn.init.zeros_(denoiser.adaln_single.linear.bias)
    for block in denoiser.transformer_blocks:
        # Shift, scale and gate of attention and of what follows it: all count, at all times alike.
        nn.init.zeros_(block.scale_shift_table)
        nn.init.ones_(block.scale_shift_table[2::3])
    return denoiser


def _scheduler() -> DPMSolverMultistepScheduler:
    # The last step of the noise is nothing but noise (Lin et al. 2024, arXiv 2305.08891): without
    # that a picture cannot become wholly white or wholly black.
    return DPMSolverMultistepScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        # What leaves a patch is then a piece of a picture, of which there are few kinds; noise and
        # what is mixed with it can be anything, and would take a far wider network
        # (Li and He 2025, arXiv 2511.13720).
        prediction_type="sample",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
    )
