"""Builds tiny but real diffusers pipelines on disk, once per test run. Their weights are random."""

from __future__ import annotations

import atexit
import functools
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from tiny_models import CHATML, tiny_tokenizer

#: pixels of a side that the pipelines draw when nobody asks for another
SIDE = 64


@functools.cache
def _home() -> Path:
    home = Path(tempfile.mkdtemp(prefix="tiny-pipelines-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    return home


def _seed() -> None:
    import torch

    # More threads than idle cores make each step of a model this small ten times slower.
    torch.set_num_threads(1)
    torch.manual_seed(0)


def _clip_tokenizer() -> Any:
    """A vocabulary of bytes: every character is a token, at most 75 of them are read."""
    from tokenizers import pre_tokenizers
    from transformers import CLIPTokenizer

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    names: list[str] = [*letters, *(f"{letter}</w>" for letter in letters)]
    names += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {name: number for number, name in enumerate(names)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77)


def _clip_config(size: int = 32) -> Any:
    from transformers import CLIPTextConfig

    return CLIPTextConfig(
        vocab_size=514,
        hidden_size=size,
        intermediate_size=size * 2,
        num_hidden_layers=2,
        num_attention_heads=2,
        projection_dim=size,
        bos_token_id=512,
        eos_token_id=513,
        pad_token_id=513,
        # Untrained text would hardly matter with the usual 1.0.
        initializer_factor=20.0,
    )


def _vae() -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=SIDE,
        shift_factor=0.0,
    )


def _unet(**more: Any) -> Any:
    from diffusers import UNet2DConditionModel

    options: dict[str, Any] = {
        "sample_size": SIDE // 8,
        "block_out_channels": (16, 32),
        "layers_per_block": 1,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "cross_attention_dim": 32,
        "attention_head_dim": 8,
        "norm_num_groups": 8,
    }
    return UNet2DConditionModel(**(options | more))


def _qwen(layers: int) -> tuple[Any, Any]:
    """A text encoder and its tokenizer, with the chat template that its pipelines use."""
    from transformers import Qwen2Tokenizer, Qwen3Config, Qwen3ForCausalLM

    trained = json.loads(tiny_tokenizer(("<|endoftext|>", "<|im_start|>", "<|im_end|>")).to_str())
    merges: Any = [tuple(pair) for pair in trained["model"]["merges"]]
    tokenizer = Qwen2Tokenizer(
        vocab=trained["model"]["vocab"],
        merges=merges,
        additional_special_tokens=["<|im_start|>", "<|im_end|>"],
    )
    tokenizer.chat_template = CHATML
    encoder = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=len(tokenizer) + 8,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=layers,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=8,
            initializer_range=0.5,
        )
    )
    return encoder, tokenizer


def _save(pipeline: Any, name: str) -> Path:
    directory = _home() / name
    pipeline.save_pretrained(directory)
    # Nothing in the pipelines with packed latents says how large a picture they were trained for.
    (directory / "drawing.json").write_text(json.dumps({"width": SIDE, "height": SIDE}))
    return directory


@functools.cache
def stable_diffusion() -> Path:
    """The oldest family, without a safety checker. Shared by all tests: do not write into it."""
    from diffusers import EulerDiscreteScheduler, StableDiffusionPipeline
    from transformers import CLIPTextModel

    _seed()
    return _save(
        StableDiffusionPipeline(
            vae=_vae(),
            text_encoder=CLIPTextModel(_clip_config()),
            tokenizer=_clip_tokenizer(),
            unet=_unet(),
            scheduler=EulerDiscreteScheduler(
                beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
            ),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        ),
        "stable-diffusion",
    )


def guarded(*, objects: bool) -> Path:
    """The same with a safety checker that objects to every picture, or to none."""
    return _guarded(objects)


@functools.cache
def _guarded(objects: bool) -> Path:
    import torch
    from diffusers import StableDiffusionPipeline
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
    from transformers import CLIPConfig, CLIPImageProcessor

    vision = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 16,
    }
    checker = StableDiffusionSafetyChecker(
        CLIPConfig(text_config=_clip_config().to_dict(), vision_config=vision, projection_dim=16)
    )
    with torch.no_grad():  # it objects to a likeness (-1 to 1) above these
        for buffer in ("concept_embeds", "special_care_embeds"):
            getattr(checker, buffer).copy_(torch.ones_like(getattr(checker, buffer)))
            getattr(checker, f"{buffer}_weights").fill_(-2.0 if objects else 2.0)
    plain = StableDiffusionPipeline.from_pretrained(stable_diffusion(), safety_checker=None)
    pipeline = StableDiffusionPipeline(
        **{
            **plain.components,
            "safety_checker": checker,
            "feature_extractor": CLIPImageProcessor(size=32, crop_size=32),
        }
    )
    return _save(pipeline, "guarded-objects" if objects else "guarded")


@functools.cache
def sdxl() -> Path:
    """SDXL: two text encoders, and a VAE that asks for float32."""
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    _seed()
    return _save(
        StableDiffusionXLPipeline(
            vae=_vae(),
            text_encoder=CLIPTextModel(_clip_config()),
            text_encoder_2=CLIPTextModelWithProjection(_clip_config()),
            tokenizer=_clip_tokenizer(),
            tokenizer_2=_clip_tokenizer(),
            unet=_unet(
                addition_embed_type="text_time",
                addition_time_embed_dim=8,
                projection_class_embeddings_input_dim=32 + 6 * 8,
                transformer_layers_per_block=(1, 1),
                cross_attention_dim=64,
                use_linear_projection=True,
            ),
            scheduler=EulerDiscreteScheduler(
                beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
            ),
        ),
        "sdxl",
    )


@functools.cache
def sd3() -> Path:
    """Stable Diffusion 3 without its largest text encoder, as it is often kept."""
    from diffusers import (
        FlowMatchEulerDiscreteScheduler,
        SD3Transformer2DModel,
        StableDiffusion3Pipeline,
    )
    from transformers import CLIPTextModelWithProjection

    _seed()
    return _save(
        StableDiffusion3Pipeline(
            transformer=SD3Transformer2DModel(
                sample_size=SIDE // 8,
                patch_size=2,
                in_channels=4,
                num_layers=1,
                attention_head_dim=8,
                num_attention_heads=4,
                joint_attention_dim=64,
                caption_projection_dim=32,
                pooled_projection_dim=64,
                out_channels=4,
            ),
            scheduler=FlowMatchEulerDiscreteScheduler(),
            vae=_vae(),
            text_encoder=CLIPTextModelWithProjection(_clip_config()),
            tokenizer=_clip_tokenizer(),
            text_encoder_2=CLIPTextModelWithProjection(_clip_config()),
            tokenizer_2=_clip_tokenizer(),
            text_encoder_3=None,
            tokenizer_3=None,
        ),
        "sd3",
    )


@functools.cache
def klein() -> Path:
    """FLUX.2 klein: packed latents, no negative prompt, pictures as a further input."""
    from diffusers import (
        AutoencoderKLFlux2,
        FlowMatchEulerDiscreteScheduler,
        Flux2KleinPipeline,
        Flux2Transformer2DModel,
    )

    _seed()
    encoder, tokenizer = _qwen(layers=28)
    return _save(
        Flux2KleinPipeline(
            scheduler=FlowMatchEulerDiscreteScheduler(),
            vae=AutoencoderKLFlux2(
                block_out_channels=(8, 8, 8, 8),
                layers_per_block=1,
                latent_channels=4,
                norm_num_groups=4,
                sample_size=SIDE,
            ),
            text_encoder=encoder,
            tokenizer=tokenizer,
            transformer=Flux2Transformer2DModel(
                in_channels=16,
                num_layers=1,
                num_single_layers=1,
                attention_head_dim=16,
                num_attention_heads=2,
                joint_attention_dim=48,
                timestep_guidance_channels=32,
                axes_dims_rope=(4, 4, 4, 4),
                guidance_embeds=False,
            ),
            is_distilled=True,
        ),
        "klein",
    )


@functools.cache
def z_image() -> Path:
    """Z-Image."""
    from diffusers import (
        FlowMatchEulerDiscreteScheduler,
        ZImagePipeline,
        ZImageTransformer2DModel,
    )

    _seed()
    encoder, tokenizer = _qwen(layers=2)
    return _save(
        ZImagePipeline(
            scheduler=FlowMatchEulerDiscreteScheduler(),
            vae=_vae(),
            text_encoder=encoder,
            tokenizer=tokenizer,
            transformer=ZImageTransformer2DModel(
                in_channels=4,
                dim=32,
                n_layers=1,
                n_refiner_layers=1,
                n_heads=2,
                n_kv_heads=2,
                cap_feat_dim=16,
                axes_dims=[4, 6, 6],
                axes_lens=[1024, 512, 512],
            ),
        ),
        "z-image",
    )


@functools.cache
def latent_diffusion() -> Path:
    """The ancestor of them all. It calls nobody back, and knows neither guidance by an empty text
    nor pictures to begin with."""
    from diffusers import DDIMScheduler, LDMTextToImagePipeline
    from transformers import CLIPTextModel

    _seed()
    return _save(
        LDMTextToImagePipeline(
            vqvae=_vae(),
            bert=CLIPTextModel(_clip_config()),
            tokenizer=_clip_tokenizer(),
            unet=_unet(),
            scheduler=DDIMScheduler(clip_sample=False),
        ),
        "latent-diffusion",
    )


@functools.cache
def unconditional() -> Path:
    """A pipeline that draws whatever it likes: it takes no words."""
    from diffusers import DDIMPipeline, DDIMScheduler, UNet2DModel

    _seed()
    unet = UNet2DModel(
        sample_size=8,
        block_out_channels=(8, 8),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        norm_num_groups=4,
    )
    return _save(DDIMPipeline(unet=unet, scheduler=DDIMScheduler()), "unconditional")


def adapter(directory: Path, *, seed: int, rank: int = 4) -> Path:
    """A LoRA adapter for `stable_diffusion`, with random weights."""
    import torch
    from diffusers import StableDiffusionPipeline, UNet2DConditionModel
    from diffusers.utils import convert_state_dict_to_diffusers
    from peft import LoraConfig, get_peft_model_state_dict

    unet = UNet2DConditionModel.from_pretrained(stable_diffusion(), subfolder="unet")
    torch.manual_seed(seed)
    unet.add_adapter(
        LoraConfig(r=rank, target_modules=["to_q", "to_k", "to_v"], init_lora_weights=False)
    )
    layers = convert_state_dict_to_diffusers(get_peft_model_state_dict(unet))
    StableDiffusionPipeline.save_lora_weights(directory, unet_lora_layers=layers)
    return directory


FAMILIES = {
    "stable-diffusion": stable_diffusion,
    "sdxl": sdxl,
    "sd3": sd3,
    "klein": klein,
    "z-image": z_image,
}
