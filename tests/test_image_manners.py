"""How a pipeline directory is asked: what its drawing.json says, and what follows without one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import tiny_pipelines

from botdaemon.errors import ModelUnusable
from models.image import manners

if TYPE_CHECKING:
    from collections.abc import Mapping


def pipeline(directory: Path, index: Mapping[str, Any], **configs: Mapping[str, Any]) -> Path:
    """A pipeline directory as far as it is read here: the files that say how it was made."""
    directory.mkdir(parents=True)
    (directory / "model_index.json").write_text(json.dumps(index))
    for part, config in configs.items():
        (directory / part).mkdir()
        (directory / part / "config.json").write_text(json.dumps(config))
    return directory


EIGHT = {"block_out_channels": [128, 256, 512, 512]}
# As the makers publish them, shortened to what counts.
KNOWN: dict[str, tuple[dict[str, Any], dict[str, Any], tuple[int, int, float, int]]] = {
    "sd-v1-5": (
        {"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet2DConditionModel"]},
        {"unet": {"sample_size": 64}, "vae": EIGHT},
        (512, 30, 7.5, 8),
    ),
    "sdxl-base": (
        {"_class_name": "StableDiffusionXLPipeline", "unet": ["diffusers", "UNet2DConditionModel"]},
        {"unet": {"sample_size": 128}, "vae": EIGHT},
        (1024, 30, 5.0, 8),
    ),
    "sdxl-turbo": (
        {"_class_name": "StableDiffusionXLPipeline", "unet": ["diffusers", "UNet2DConditionModel"]},
        {"unet": {"sample_size": 64}, "vae": EIGHT},
        (512, 4, 0.0, 8),
    ),
    "dreams": (
        {
            "_class_name": "StableDiffusionPipeline",
            "unet": ["diffusers", "UNet2DConditionModel"],
            "scheduler": ["diffusers", "LCMScheduler"],
        },
        {"unet": {"sample_size": 96}, "vae": EIGHT},
        (768, 4, 1.0, 8),
    ),
    "sd3.5": (
        {
            "_class_name": "StableDiffusion3Pipeline",
            "transformer": ["diffusers", "SD3Transformer2DModel"],
        },
        {"transformer": {"sample_size": 128, "patch_size": 2}, "vae": EIGHT},
        (1024, 28, 7.0, 16),
    ),
    "FLUX.2-klein-4B": (
        {
            "_class_name": "Flux2KleinPipeline",
            "is_distilled": True,
            "transformer": ["diffusers", "Flux2Transformer2DModel"],
        },
        {"transformer": {"patch_size": 1, "guidance_embeds": False}, "vae": EIGHT},
        (1024, 4, 1.0, 16),
    ),
    "FLUX.1-dev": (
        {"_class_name": "FluxPipeline", "transformer": ["diffusers", "FluxTransformer2DModel"]},
        {"transformer": {"patch_size": 1, "guidance_embeds": True}, "vae": EIGHT},
        (1024, 28, 3.5, 16),
    ),
    "flux-fast": (
        {"_class_name": "FluxPipeline", "transformer": ["diffusers", "FluxTransformer2DModel"]},
        {"transformer": {"patch_size": 1, "guidance_embeds": False}, "vae": EIGHT},
        (1024, 4, 0.0, 16),
    ),
    "Z-Image-Turbo": (
        {"_class_name": "ZImagePipeline", "transformer": ["diffusers", "ZImageTransformer2DModel"]},
        {"transformer": {"all_patch_size": [2]}, "vae": EIGHT},
        (1024, 8, 0.0, 16),
    ),
    "Sana": (
        {"_class_name": "SanaPipeline", "transformer": ["diffusers", "SanaTransformer2DModel"]},
        {
            "transformer": {"sample_size": 32, "patch_size": 1},
            "vae": {"encoder_block_out_channels": [128, 256, 512, 512, 1024, 1024]},
        },
        (1024, 20, 4.5, 64),
    ),
    "of tomorrow": (
        {"_class_name": "TomorrowPipeline", "transformer": ["diffusers", "Tomorrow2DModel"]},
        {"transformer": {}, "vae": {}},
        (1024, 30, 5.0, 2),
    ),
}


@pytest.mark.parametrize("name", KNOWN)
def test_without_a_drawing_json_the_configurations_and_the_name_say_it(
    name: str, tmp_path: Path
) -> None:
    index, configs, (side, steps, guidance, multiple) = KNOWN[name]
    found = manners.load(pipeline(tmp_path / name, index, **configs))
    card = found.card
    assert (card.width, card.height, card.steps, card.guidance) == (side, side, steps, guidance)
    assert found.multiple == multiple
    assert found.redraw
    assert (card.words, card.draws, card.examples) == (frozenset(), "", ())
    assert (card.harmless, card.checked) == (False, False)


def test_in_the_hubs_cache_the_name_is_that_of_the_repository(tmp_path: Path) -> None:
    index, configs, _ = KNOWN["sd-v1-5"]
    cached = tmp_path / "models--acme--sd-turbo" / "snapshots" / "0123abcd"
    assert manners.card(pipeline(cached, index, **configs)).steps == 4


def test_what_drawing_json_says_counts(tmp_path: Path) -> None:
    directory = pipeline(tmp_path / "painter", *KNOWN["sd-v1-5"][:1], **KNOWN["sd-v1-5"][1])
    said = {
        "width": 128,
        "height": 96,
        "steps": 12,
        "guidance": 4,
        "negative": "grey",
        "words": ["Red", "circle"],
        "draws": "coloured shapes",
        "examples": ["a red circle"],
        "harmless": True,
        "redraw": False,
    }
    (directory / "drawing.json").write_text(json.dumps(said))
    found = manners.load(directory)
    card = found.card
    assert (card.width, card.height, card.steps, card.guidance) == (128, 96, 12, 4.0)
    assert card.words == {"red", "circle"}
    assert card.draws == "coloured shapes"
    assert card.examples == ("a red circle",)
    assert card.harmless
    assert not found.redraw
    assert found.negative == "grey"
    assert set(found.origins) == {
        "the size from drawing.json",
        "steps from drawing.json",
        "guidance from drawing.json",
    }


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('{"stepps": 3}', "stepps: there is no such key"),
        ('{"steps": "3"}', "steps: Input should be a valid integer"),
        ('{"steps": 0}', "steps: Input should be greater than or equal to 1"),
        ('{"guidance": NaN}', "guidance: Input should be a finite number"),
        ("{", "is not valid JSON"),
        ("[]", "must hold a JSON object"),
    ],
)
def test_a_mistake_in_drawing_json_is_one_sentence(
    content: str, sentence: str, tmp_path: Path
) -> None:
    directory = pipeline(tmp_path / "painter", KNOWN["sd-v1-5"][0])
    (directory / "drawing.json").write_text(content)
    with pytest.raises(ModelUnusable) as refused:
        manners.card(directory)
    assert str(refused.value).startswith(str(directory / "drawing.json"))
    assert sentence in str(refused.value)


def test_a_checker_counts_when_it_is_there_and_on() -> None:
    guarded, plain = tiny_pipelines.guarded(objects=False), tiny_pipelines.stable_diffusion()
    assert manners.card(guarded).checked
    assert not manners.card(guarded, checker=False).checked
    assert not manners.card(plain).checked


def test_the_daemon_reads_cards_metadata_and_sources_without_torch(tmp_path: Path) -> None:
    directory = shutil.copytree(tiny_pipelines.stable_diffusion(), tmp_path / "model")
    program = f"""
import sys
from pathlib import Path
from models import preflight
from models.image import manners, metadata, sources
print(manners.card(preflight.resolve({str(directory)!r}, base=Path.cwd(), kind="image")).width)
print(sorted({{"torch", "diffusers", "transformers"}} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(Path(manners.__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [str(tiny_pipelines.SIDE), "[]"]
