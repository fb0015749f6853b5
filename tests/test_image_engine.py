"""The image engine draws what it is asked with tiny real pipelines of every family, says what it
left out, and works on after whatever went wrong."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import tiny_pipelines
from PIL import Image, ImageChops, ImageStat

from botdaemon.errors import EngineFailed, ModelUnusable
from botdaemon.types import ImageRequest, Picture, Progress
from models.engines import Cancelled
from models.image import metadata
from models.measure import out_of_memory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from models.image.engine import DiffusersEngine

pytestmark = [
    # diffusers 0.42 calls a method of its own that it calls deprecated.
    pytest.mark.filterwarnings("ignore:`upcast_vae` is deprecated:FutureWarning"),
    # peft 0.21 warns of every second adapter, which is what is meant here.
    pytest.mark.filterwarnings("ignore:Already found a `peft_config` attribute:UserWarning"),
]

SIDE = tiny_pipelines.SIDE
ASK = ImageRequest(model="tiny", prompt="a red cat", steps=3, seed=7)


def engine(directory: Path, **options: Any) -> DiffusersEngine:
    from models.image.engine import DiffusersEngine

    return DiffusersEngine(name="tiny", directory=directory, device="cpu", **options)


@pytest.fixture(scope="module")
def engines() -> Callable[[str], DiffusersEngine]:
    """An engine for each family, loaded once. Whoever changes one makes one of their own."""
    made: dict[str, DiffusersEngine] = {}

    def get(family: str) -> DiffusersEngine:
        if family not in made:
            made[family] = engine(tiny_pipelines.FAMILIES[family]())
        return made[family]

    return get


@pytest.fixture(scope="module")
def sd(engines: Callable[[str], DiffusersEngine]) -> DiffusersEngine:
    return engines("stable-diffusion")


def drawn(engine: DiffusersEngine, request: ImageRequest) -> list[Picture]:
    everything: list[Progress | Picture] = []
    engine.draw(request, everything.append)
    return [one for one in everything if isinstance(one, Picture)]


def draw(engine: DiffusersEngine, request: ImageRequest) -> Picture:
    (picture,) = drawn(engine, request)
    return picture


def progress(engine: DiffusersEngine, request: ImageRequest) -> list[Progress]:
    everything: list[Progress | Picture] = []
    engine.draw(request, everything.append)
    return [one for one in everything if isinstance(one, Progress)]


def opened(picture: Picture | bytes) -> Image.Image:
    content = picture.content if isinstance(picture, Picture) else picture
    return Image.open(io.BytesIO(content)).convert("RGB")


def distance(one: Image.Image, other: Image.Image) -> float:
    """The mean difference of their colours, 0 to 255."""
    return sum(ImageStat.Stat(ImageChops.difference(one, other)).mean) / 3


def png(width: int = SIDE, height: int = SIDE, colour: str = "orange") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(file, "PNG")
    return file.getvalue()


# --- drawing -----------------------------------------------------------------------------------


@pytest.mark.parametrize("family", tiny_pipelines.FAMILIES)
def test_a_picture_can_be_drawn_again_from_its_metadata(
    family: str, engines: Callable[[str], DiffusersEngine]
) -> None:
    first = draw(engines(family), replace(ASK, seed=None))
    request = metadata.read(first.content)

    assert opened(first).size == (SIDE, SIDE)
    assert request == first.request
    assert request is not None
    assert request.seed is not None
    assert draw(engines(family), request).content == first.content
    assert draw(engines(family), replace(request, seed=request.seed + 1)).content != first.content


@pytest.mark.parametrize("family", tiny_pipelines.FAMILIES)
def test_the_words_and_a_source_matter_in_every_family(
    family: str, engines: Callable[[str], DiffusersEngine]
) -> None:
    ask = replace(ASK, source=png(), strength=None, steps=4)
    first = draw(engines(family), ask)

    assert opened(first).size == (SIDE, SIDE)
    assert first.request.source == ask.source
    others = [
        replace(ask, prompt="something wholly different"),
        replace(ask, source=png(colour="blue")),
        replace(ask, source=b""),
    ]
    assert first.content not in [draw(engines(family), other).content for other in others]


def test_each_next_picture_has_the_next_seed_and_is_the_one_that_it_alone_would_be(
    sd: DiffusersEngine,
) -> None:
    three = drawn(sd, replace(ASK, count=3))

    assert [picture.request.seed for picture in three] == [7, 8, 9]
    assert {picture.request.count for picture in three} == {1}
    assert [draw(sd, picture.request).content for picture in three] == [
        picture.content for picture in three
    ]


def test_what_should_not_be_seen_changes_the_picture(sd: DiffusersEngine) -> None:
    first, other = draw(sd, ASK), draw(sd, replace(ASK, negative="dogs everywhere"))
    assert first.content != other.content
    assert other.request.negative == "dogs everywhere"
    assert not other.notes


def test_without_guidance_what_should_not_be_seen_has_no_effect_and_that_is_said(
    sd: DiffusersEngine,
) -> None:
    picture = draw(sd, replace(ASK, negative="dogs", guidance=1.0))
    assert picture.notes == ("what should not be seen had no effect: it needs guidance above 1",)


def test_strength_decides_how_much_of_the_source_is_kept(sd: DiffusersEngine) -> None:
    ask = replace(ASK, source=png(), steps=10)
    pictures = [draw(sd, replace(ask, strength=strength)) for strength in (0.2, 0.5, 1.0, None)]
    assert len({picture.content for picture in pictures}) == 4
    assert [picture.request.strength for picture in pictures] == [0.2, 0.5, 1.0, 0.6]


def test_a_step_is_taken_however_little_the_strength(sd: DiffusersEngine) -> None:
    picture = draw(sd, replace(ASK, source=png(), steps=2, strength=0.1))
    assert picture.request.steps == 10
    assert picture.notes == ("10 steps, so that at least one is taken at strength 0.1",)


def test_an_option_that_a_pipeline_does_not_know_is_left_out_with_a_word(
    engines: Callable[[str], DiffusersEngine],
) -> None:
    klein = engines("klein")
    picture = draw(klein, replace(ASK, negative="dogs", source=png(), strength=0.5))

    assert len(picture.notes) == 2
    assert "what should not be seen was left out" in picture.notes[1]
    assert "strength was left out" in picture.notes[0]
    assert picture.request.negative is None
    assert picture.request.strength is None


def test_sizes_are_rounded_to_what_the_model_draws_with_a_word(
    engines: Callable[[str], DiffusersEngine],
) -> None:
    picture = draw(engines("stable-diffusion"), replace(ASK, width=75, height=100))
    assert opened(picture).size == (72, 96)
    assert picture.notes == ("it has 72 x 96 pixels: this model draws multiples of 8",)
    picture = draw(engines("z-image"), replace(ASK, width=75, height=3))
    assert opened(picture).size == (80, 16)
    assert picture.notes == ("it has 80 x 16 pixels: this model draws multiples of 16",)


def test_a_source_gives_the_shape_and_the_model_the_size(sd: DiffusersEngine) -> None:
    picture = draw(sd, replace(ASK, source=png(1000, 500)))
    assert opened(picture).size == (88, 48)
    assert not picture.notes


def test_the_end_of_a_prompt_that_was_not_read_is_said(sd: DiffusersEngine) -> None:
    picture = draw(sd, replace(ASK, prompt="cat " * 100))
    assert picture.notes == (
        "the end of the prompt was not read: it has 302 tokens, the model reads 77",
    )


def test_more_steps_than_a_model_takes_become_as_many_as_it_takes_and_can_be_cancelled(
    sd: DiffusersEngine,
) -> None:
    seen: list[Progress | Picture] = []

    def emit(one: Progress | Picture) -> None:
        seen.append(one)
        if len(seen) == 5:
            raise Cancelled

    with pytest.raises(Cancelled):
        sd.draw(replace(ASK, steps=10_000), emit)

    assert isinstance(seen[-1], Progress)
    assert (seen[-1].step, seen[-1].steps) == (4, 1000)


# --- enlarging ---------------------------------------------------------------------------------


def test_an_enlarged_picture_is_drawn_over_and_can_be_drawn_again(sd: DiffusersEngine) -> None:
    source = draw(sd, ASK)
    ask = replace(ASK, source=source.content, enlarge=2, strength=0.4, width=8, height=8)
    picture = draw(sd, ask)

    assert opened(picture).size == (2 * SIDE, 2 * SIDE)
    assert distance(opened(picture), opened(source).resize((2 * SIDE, 2 * SIDE))) > 1
    request = metadata.read(picture.content)
    assert request is not None
    assert draw(sd, replace(request, source=source.content)).content == picture.content


def test_a_model_that_cannot_draw_over_an_enlarged_picture_says_so(
    engines: Callable[[str], DiffusersEngine], tmp_path: Path
) -> None:
    own_size = shutil.copytree(tiny_pipelines.stable_diffusion(), tmp_path / "model")
    (own_size / "drawing.json").write_text('{"width": 64, "height": 64, "redraw": false}')
    why = {
        engines("klein"): "this model cannot draw over a picture",
        engine(own_size): "this model draws at its own size only",
    }
    for model, reason in why.items():
        picture = draw(model, replace(ASK, source=png(40, 20), enlarge=3))
        assert opened(picture).size == (120, 60)
        assert picture.notes == (f"the picture was only enlarged: {reason}",)
        assert distance(opened(picture), opened(png(120, 60))) == 0


def test_a_model_of_one_size_draws_no_other(tmp_path: Path) -> None:
    directory = shutil.copytree(tiny_pipelines.stable_diffusion(), tmp_path / "model")
    (directory / "drawing.json").write_text('{"width": 32, "height": 64, "redraw": false}')
    picture = draw(engine(directory), replace(ASK, width=64, source=png(100, 10)))
    assert opened(picture).size == (32, 64)
    assert picture.notes == ("it has 32 x 64 pixels, this model's only size",)


# --- progress and cancelling -------------------------------------------------------------------


@pytest.mark.parametrize("family", tiny_pipelines.FAMILIES)
def test_progress_is_told_after_each_step_with_a_small_preview(
    family: str, engines: Callable[[str], DiffusersEngine]
) -> None:
    told = progress(engines(family), replace(ASK, count=2, steps=4))

    assert [one.step for one in told] == [0, 1, 2, 3, 4, 4, 5, 6, 7, 8]
    assert {one.steps for one in told} == {8}
    previews = [one.preview for one in told if one.preview]
    assert len(previews) == 8
    for preview in previews:
        image = Image.open(io.BytesIO(preview))
        assert image.format == "JPEG"
        assert image.size == (SIDE, SIDE)
        assert len(preview) <= 20_000


def test_the_time_left_is_told_once_a_step_was_measured(sd: DiffusersEngine) -> None:
    left = [one.left for one in progress(sd, replace(ASK, steps=5))]
    assert left[:2] == [0, 0]
    assert min(left[2:5]) > 0


def test_redrawing_counts_the_steps_that_are_really_taken(sd: DiffusersEngine) -> None:
    told = progress(sd, replace(ASK, steps=10, source=png(), strength=0.5))
    assert [(one.step, one.steps) for one in told] == [(step, 5) for step in range(6)]


@pytest.mark.parametrize("family", tiny_pipelines.FAMILIES)
@pytest.mark.parametrize("wrong", [Cancelled(), ValueError("the wire is cut"), MemoryError()])
def test_what_emit_raises_passes_through_and_the_next_request_is_drawn(
    family: str, wrong: Exception, engines: Callable[[str], DiffusersEngine]
) -> None:
    whole = draw(engines(family), ASK)

    def emit(one: Progress | Picture) -> None:
        if isinstance(one, Progress) and one.step == 2:
            raise wrong

    with pytest.raises(type(wrong)) as raised:
        engines(family).draw(ASK, emit)

    assert raised.value is wrong
    assert draw(engines(family), ASK).content == whole.content


def test_a_pipeline_that_calls_nobody_back_can_be_cancelled_at_every_step() -> None:
    ancestor = engine(tiny_pipelines.latent_diffusion())
    ask = replace(ASK, steps=5, source=png(), guidance=2.0)
    told: list[Progress | Picture] = []
    ancestor.draw(ask, told.append)
    picture = told[-1]
    assert isinstance(picture, Picture)
    assert opened(picture).size == (SIDE, SIDE)
    assert picture.notes == (
        "it was drawn from the words alone: this model cannot begin with a picture",
    )
    assert len(told) == 1 + 5 + 1

    seen: list[Progress | Picture] = []

    def emit(one: Progress | Picture) -> None:
        seen.append(one)
        if len(seen) == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        ancestor.draw(ask, emit)
    assert len(seen) == 3
    assert draw(ancestor, ask).content == picture.content


# --- what cannot be drawn ----------------------------------------------------------------------

IMPOSSIBLE: dict[str, tuple[dict[str, Any], str]] = {
    "no pictures": ({"count": 0}, "0 pictures cannot be drawn; ask for one or more"),
    "no steps": ({"steps": 0}, "0 steps draw nothing; ask for one or more"),
    "no seed": ({"seed": -1}, "the seed -1 must be between 0 and 2^63"),
    "large seed": ({"seed": 2**70}, f"the seed {2**70} must be between 0 and 2^63"),
    "no size": ({"width": -8, "height": 8}, "a picture of -8 x 8 pixels cannot be drawn"),
    "strength": ({"strength": 2.0}, "the strength 2 must be above 0 and at most 1"),
    "guidance": ({"guidance": float("nan")}, "the guidance nan is no number to draw with"),
    "nothing to enlarge": ({"enlarge": 2}, "there is no picture to enlarge"),
    "enlarged": (
        {"enlarge": 99, "source": png()},
        "a picture can be enlarged 2 to 8 times, not 99 times",
    ),
    "no picture": (
        {"source": b"<html>no</html>"},
        "the file is no picture that can be read; send a PNG, JPEG, WebP or GIF",
    ),
    "narrow": (
        {"source": png(1, 100_000)},
        "the picture is 1 x 100000 pixels; one side may be 10 times the other, not more",
    ),
    "adapter": ({"adapters": (("oil", 1.0),)}, 'model "tiny" has no adapter "oil"; it has none'),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_what_cannot_be_drawn_is_said_in_one_sentence_and_the_next_request_is_drawn(
    case: str, sd: DiffusersEngine
) -> None:
    change, sentence = IMPOSSIBLE[case]
    with pytest.raises(EngineFailed) as failed:
        draw(sd, replace(ASK, **change))
    assert str(failed.value) == sentence
    assert draw(sd, ASK).content


def test_that_memory_ran_out_passes_through_and_the_next_request_is_drawn(
    sd: DiffusersEngine,
) -> None:
    with pytest.raises(RuntimeError) as raised:  # more than any machine can address
        draw(sd, replace(ASK, width=80_000_000, height=80_000_000))
    assert out_of_memory(raised.value)
    assert draw(sd, ASK).content


def test_a_picture_that_is_no_number_is_never_shown(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    directory = shutil.copytree(tiny_pipelines.stable_diffusion(), tmp_path / "model")
    file = directory / "vae" / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    weights["decoder.conv_out.bias"][:] = float("nan")
    save_file(weights, file, metadata={"format": "pt"})

    with pytest.raises(EngineFailed) as failed:
        draw(engine(directory), ASK)
    assert str(failed.value) == 'model "tiny" drew nothing (NaN); dtype = "float32" may help'


# --- the safety checker ------------------------------------------------------------------------


def test_a_picture_that_the_checker_objects_to_is_hidden() -> None:
    picture = draw(engine(tiny_pipelines.guarded(objects=True)), ASK)
    assert picture.unsafe is True
    assert picture.content == b""
    assert picture.request.seed == ASK.seed


def test_a_picture_that_the_checker_lets_pass_says_so() -> None:
    picture = draw(engine(tiny_pipelines.guarded(objects=False)), ASK)
    assert picture.unsafe is False
    assert picture.content
    redrawn = draw(engine(tiny_pipelines.guarded(objects=True)), replace(ASK, source=png()))
    assert redrawn.unsafe is True


def test_without_a_checker_nothing_is_said_about_safety(sd: DiffusersEngine) -> None:
    unguarded = engine(tiny_pipelines.guarded(objects=True), checker=False)
    pictures = draw(unguarded, ASK), draw(sd, ASK)
    assert {picture.unsafe for picture in pictures} == {None}
    assert pictures[0].content == pictures[1].content


# --- adapters ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def styles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("adapters")
    made = {name: tiny_pipelines.adapter(home / name, seed=n) for n, name in enumerate("abc")}
    return made | {"file": made["a"] / "pytorch_lora_weights.safetensors"}


def test_an_adapter_is_applied_with_its_weight_and_gone_afterwards(
    styles: dict[str, Path], sd: DiffusersEngine
) -> None:
    styled = engine(tiny_pipelines.stable_diffusion(), adapters=styles)

    def with_(*adapters: tuple[str, float]) -> bytes:
        picture = draw(styled, replace(ASK, adapters=adapters))
        assert picture.request.adapters == adapters
        # The metadata names the adapters; the pixels are what counts here.
        return opened(picture).tobytes()

    plain = opened(draw(sd, ASK)).tobytes()
    assert with_() == plain
    a, b, half, both = (
        with_(("a", 1.0)),
        with_(("b", 1.0)),
        with_(("a", 0.5)),
        with_(("a", 1.0), ("b", 1.0)),
    )
    assert len({plain, a, b, half, both}) == 5
    assert with_() == plain
    assert with_(("file", 1.0)) == a
    assert with_(("a", 0.0)) == plain


def test_adapters_used_long_ago_are_unloaded_and_come_back(styles: dict[str, Path]) -> None:
    many = {f"a{n}": styles["a"] for n in range(7)}
    styled = engine(tiny_pipelines.stable_diffusion(), adapters=many)
    seen = {
        opened(draw(styled, replace(ASK, adapters=((name, 1.0),)))).tobytes()
        for name in (*many, "a0")
    }
    assert len(seen) == 1
    assert len(styled._adapters._held()) <= 5


def test_an_adapter_that_changed_on_disk_is_loaded_again(
    styles: dict[str, Path], tmp_path: Path
) -> None:
    changing = shutil.copytree(styles["a"], tmp_path / "changing")
    styled = engine(tiny_pipelines.stable_diffusion(), adapters={"new": changing, **styles})
    ask = replace(ASK, adapters=(("new", 1.0),))
    draw(styled, ask)
    tiny_pipelines.adapter(changing, seed=5, rank=2)
    changed = opened(draw(styled, ask)).tobytes()
    fresh = engine(tiny_pipelines.stable_diffusion(), adapters={"new": changing})
    assert changed == opened(draw(fresh, ask)).tobytes()
    assert changed != opened(draw(styled, replace(ASK, adapters=(("a", 1.0),)))).tobytes()


def test_an_adapter_for_another_model_is_refused_and_leaves_nothing_behind(
    styles: dict[str, Path], engines: Callable[[str], DiffusersEngine]
) -> None:
    other = engine(tiny_pipelines.sdxl(), adapters=styles)
    with pytest.raises(EngineFailed, match=r'^the adapter "a" \(.*\) does not fit model "tiny": '):
        draw(other, replace(ASK, adapters=(("a", 1.0),)))
    assert draw(other, ASK).content == draw(engines("sdxl"), ASK).content
    with pytest.raises(EngineFailed, match='has no adapter "d"; it has a, b, c, file'):
        draw(other, replace(ASK, adapters=(("d", 1.0),)))


def test_an_adapter_that_is_not_there_is_named(tmp_path: Path) -> None:
    styled = engine(tiny_pipelines.stable_diffusion(), adapters={"oil": tmp_path / "oil"})
    with pytest.raises(ModelUnusable, match=r"there is no adapter .*/oil"):
        draw(styled, replace(ASK, adapters=(("oil", 1.0),)))


# --- loading, memory ---------------------------------------------------------------------------


@pytest.mark.parametrize("family", tiny_pipelines.FAMILIES)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_smaller_numbers_draw_as_well(family: str, dtype: str) -> None:
    small = engine(tiny_pipelines.FAMILIES[family](), dtype=dtype)
    assert opened(draw(small, ASK)).size == (SIDE, SIDE)
    assert draw(small, replace(ASK, source=png())).content


def test_weights_kept_in_half_precision_only_are_found(tmp_path: Path) -> None:
    import torch
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(
        tiny_pipelines.stable_diffusion(), safety_checker=None, dtype=torch.float16
    )
    pipeline.save_pretrained(tmp_path / "half", variant="fp16")
    assert draw(engine(tmp_path / "half"), replace(ASK, width=SIDE)).content


def test_after_memory_ran_out_a_model_needs_less_step_by_step_and_still_draws() -> None:
    relieved = engine(tiny_pipelines.stable_diffusion())
    before = draw(relieved, ASK)
    assert relieved.relieve()
    assert relieved.relieve()
    assert distance(opened(draw(relieved, ASK)), opened(before)) < 1
    assert not relieved.relieve()


def test_a_model_that_rested_draws_the_same_again(sd: DiffusersEngine) -> None:
    before = draw(sd, ASK)
    sd.rest()
    sd.wake()
    assert draw(sd, ASK).content == before.content


def test_on_a_cpu_there_is_nowhere_to_offload_to(sd: DiffusersEngine) -> None:
    always = engine(tiny_pipelines.stable_diffusion(), offload="always")
    assert draw(always, ASK).content == draw(sd, ASK).content


def _without_a_weight(directory: Path) -> None:
    from safetensors.torch import load_file, save_file

    file = directory / "unet" / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    del weights["conv_in.weight"]
    save_file(weights, file, metadata={"format": "pt"})


def _another_class(directory: Path) -> None:
    index = json.loads((directory / "model_index.json").read_text())
    (directory / "model_index.json").write_text(json.dumps(index | {"_class_name": "Nonsense"}))


def _no_words(directory: Path) -> None:
    shutil.rmtree(directory)
    shutil.copytree(tiny_pipelines.unconditional(), directory)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_without_a_weight, "conv_in.weight"),
        (_another_class, "cannot be loaded: "),
        (_no_words, "is a DDIMPipeline, which does not draw what words ask for"),
    ],
)
def test_a_pipeline_that_cannot_be_used_is_refused_with_one_sentence(
    spoil: Callable[[Path], None], sentence: str, tmp_path: Path
) -> None:
    directory = shutil.copytree(tiny_pipelines.stable_diffusion(), tmp_path / "model")
    spoil(directory)
    with pytest.raises(ModelUnusable) as refused:
        engine(directory)
    assert sentence in str(refused.value)
    assert str(directory) in str(refused.value)
    assert "\n" not in str(refused.value)


# --- previews ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    [
        "DDIMScheduler",
        "EulerDiscreteScheduler",
        "FlowMatchEulerDiscreteScheduler",
        "DPMSolverMultistepScheduler",
    ],
)
def test_a_preview_shows_what_the_steps_are_heading_for(kind: str) -> None:
    import diffusers
    import torch

    from models.image import previews

    scheduler = getattr(diffusers, kind)()
    scheduler.set_timesteps(10)
    picture, noise = torch.randn(2, 1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    for index in (1, 5, 8):
        times = scheduler.timesteps[index : index + 2]
        if kind == "FlowMatchEulerDiscreteScheduler":
            before, after = (scheduler.scale_noise(picture, time[None], noise) for time in times)
        else:
            before, after = (scheduler.add_noise(picture, noise, time[None]) for time in times)
        scheduler._step_index = index + 1  # as after the step
        ahead = previews.expected(scheduler, times[0], before, after)
        assert torch.allclose(ahead, picture, atol=1e-3)


def test_previews_learn_the_colours_of_latents_from_finished_pictures() -> None:
    import torch

    from models.image.previews import Previewer

    random = torch.Generator().manual_seed(0)
    mixing = torch.randn(3, 6, generator=random) / 8

    def latents_and_picture() -> tuple[torch.Tensor, torch.Tensor]:
        latents = torch.randn(1, 6, 12, 16, generator=random)
        picture = torch.einsum("cl,blhw->bchw", mixing, latents) + 0.5
        return latents, torch.nn.functional.interpolate(picture, scale_factor=8).clamp(0, 1)

    previewer = Previewer()
    latents, _ = latents_and_picture()
    untaught = opened(previewer.draw(latents, 128, 96))
    for _ in range(3):
        previewer.learn(*latents_and_picture())
    latents, picture = latents_and_picture()
    wanted = Image.fromarray((picture[0].permute(1, 2, 0) * 255).byte().numpy())

    preview = opened(previewer.draw(latents, 128, 96))
    assert preview.size == untaught.size == (128, 96)
    assert distance(preview, wanted) < distance(untaught, wanted) / 2
    packed = latents.flatten(2).transpose(1, 2)
    assert distance(opened(previewer.draw(packed, 128, 96)), preview) == 0
