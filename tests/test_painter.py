"""The starter image bot: its world, its judge, a tiny training, its shipped weights."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline, PixArtAlphaPipeline
from diffusers.models.attention_processor import AttnProcessor
from PIL import Image

from botdaemon.types import ImageRequest, Picture, Progress
from models import preflight
from models.engines import Cancelled
from models.image.engine import DiffusersEngine
from models.training.painter.__main__ import DRAWING, build, write
from models.training.painter.build import (
    LATENT_SIDE,
    LATENTS,
    SPREAD,
    TOKENS,
    WORDS,
    Shape,
    first_cell,
    new_pipeline,
    new_tokenizer,
)
from models.training.painter.captions import all_words, caption
from models.training.painter.evaluate import held_out_scenes, judge_the_judge
from models.training.painter.judge import fault, shows
from models.training.painter.pictures import latents, pixels
from models.training.painter.render import SIDE, render
from models.training.painter.sketch import CELLS, PLACE, places, sketch
from models.training.painter.train import Denoising, Reading
from models.training.painter.world import Backdrop, Scene, Thing, draw_scene

SHIPPED = Path(__file__).parent.parent / "models" / "painter"
TINY = Shape(
    decoder_width=8,
    decoder_blocks=(1, 1, 0, 0),
    denoiser_heads=2,
    denoiser_layers=2,
    text_width=16,
    text_layers=1,
)
WHITE = Backdrop(paper="white")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def alone(
    colour: str, kind: str, *, size: str = "medium", place: str = "", backdrop: Backdrop = WHITE,
    weather: tuple[str, ...] = (),
) -> Scene:  # fmt: skip
    return Scene((Thing(kind, colour, size),), "alone", backdrop, place, weather)  # type: ignore[arg-type]  # any size


def test_captions_are_made_of_words_that_drawing_json_lists_and_fit_into_a_prompt() -> None:
    rng, known = Random(1), set(all_words())
    for _ in range(3000):
        words = caption(draw_scene(rng), rng).replace(",", " ,").split()
        assert set(words) - {","} <= known
        assert len(words) + 2 <= WORDS


def test_a_sketch_says_of_each_cell_what_is_there() -> None:
    facts, measures = sketch(alone("red", "star", size="big", place="top left"))
    grid = measures.reshape(CELLS, CELLS, -1)
    there = ~np.isnan(grid[:, :, 0])
    assert there[0, 0]
    assert not there[CELLS // 2 :].any()
    assert not there[:, CELLS // 2 :].any()
    column, row, radius = grid[1, 1, :3]
    assert (column, row) == pytest.approx((0.42, 0.42))
    assert radius == pytest.approx(0.205 * CELLS)
    assert facts.shape[0] == CELLS * CELLS


def test_a_sketch_tells_scenes_apart() -> None:
    rng = Random(1)
    scenes = list(dict.fromkeys(draw_scene(rng) for _ in range(400)))
    sketches = {b"".join(part.tobytes() for part in sketch(scene)) for scene in scenes}
    # A thing in the middle is where it is when nobody says where.
    same = {replace(s, place="") if s.place == "middle" else s for s in scenes}
    assert len(sketches) >= 0.95 * len(same)


def test_a_place_is_most_like_itself() -> None:
    for side in (4, CELLS):
        own = places(side) @ places(side).T
        assert (own.argmax(axis=1) == np.arange(side * side)).all()


def test_every_word_is_one_token_and_the_cells_follow_also_after_a_save(tmp_path: Path) -> None:
    tokenizer = new_tokenizer()
    tokenizer.save_pretrained(tmp_path)
    loaded = type(tokenizer).from_pretrained(tmp_path)
    cells = [first_cell(loaded) + i for i in range(CELLS**2)]
    for word in all_words():
        start, _, end, *behind = loaded(word).input_ids
        assert (start, end) == (loaded.bos_token_id, loaded.eos_token_id)
        assert behind == cells
        assert loaded(word).input_ids == tokenizer(word).input_ids == loaded(word.upper()).input_ids


def test_no_prompt_is_so_long_that_its_cells_are_cut_off() -> None:
    tokenizer = new_tokenizer()
    cells = [first_cell(tokenizer) + i for i in range(CELLS**2)]
    for words in ("", "star " * 500):
        tokens = tokenizer(words, max_length=TOKENS, truncation=True).input_ids
        assert len(tokens) <= TOKENS
        assert tokens[-len(cells) :] == cells


def test_latents_are_what_the_encoder_makes() -> None:
    rng = Random(1)
    pictures = [render(draw_scene(rng), rng) for _ in range(4)]
    encoded = new_pipeline(TINY).vae.encode(pixels(pictures)).latents
    assert torch.allclose(latents(pictures), encoded, atol=1 / 255 / SPREAD)


def test_each_cell_of_a_picture_begins_by_looking_at_its_own_token() -> None:
    pipeline = new_pipeline(TINY)
    reading, denoising = Reading(pipeline), Denoising(pipeline)
    prompt = pipeline.tokenizer(["a red star"], return_tensors="pt").input_ids
    denoising.look_as(reading, prompt)
    # What a text encoder says that knows where each token is: the cells are the last.
    where = torch.cat([torch.zeros(WORDS, PLACE), torch.from_numpy(places(CELLS))])
    states = (torch.linalg.pinv(reading.place.weight) @ where.T).T[None]
    attention: list[torch.Tensor] = []

    class Watch(AttnProcessor):  # type: ignore[misc]  # untyped there
        def __call__(self, attn: Any, hidden_states: torch.Tensor, *rest: Any, **more: Any) -> Any:
            queries = attn.head_to_batch_dim(attn.to_q(hidden_states))
            keys = attn.head_to_batch_dim(attn.to_k(states))
            attention.append(attn.get_attention_scores(queries, keys))
            return super().__call__(attn, hidden_states, *rest, **more)

    first = pipeline.transformer.transformer_blocks[0]
    first.attn2.set_processor(Watch())
    noise = torch.randn(1, LATENTS, LATENT_SIDE, LATENT_SIDE)
    pipeline.transformer(noise, states, torch.tensor([999]))
    own = attention[0][:, torch.arange(CELLS**2), WORDS + torch.arange(CELLS**2)]
    assert own.min() > 0.5


def test_training_never_draws_a_scene_that_is_held_out() -> None:
    rng = Random(1)
    held_out = {scene.things for scene in held_out_scenes(300) if scene.layout == "left"}
    trained = {scene.things for _ in range(3000) if (scene := draw_scene(rng)).layout == "left"}
    assert len(held_out) > 50
    assert not held_out & trained


def test_the_judge_passes_what_was_asked_and_refuses_what_was_not() -> None:
    right, wrong = judge_the_judge(50)
    assert right >= 0.95
    assert wrong <= 0.02


RED_STAR = alone("red", "star", size="big", place="left")
PAIR = (Thing("circle", "red"), Thing("square", "blue"))


@pytest.mark.parametrize(
    ("drawn", "named"),
    [
        (alone("blue", "star", size="big", place="left"), "things"),
        (alone("red", "heart", size="big", place="left"), "things"),
        (alone("red", "star", size="small", place="left"), "things"),
        (alone("red", "star", size="big", place="right"), "places"),
        (alone("red", "star", size="big", place="left", backdrop=Backdrop("yellow")), "backdrop"),
        (Scene((Thing("star", "red", "big"), Thing("cat", "blue")), "left", WHITE), "stray"),
        (Scene((Thing("star", "red", "big"),) * 2, "left", WHITE), "things"),
    ],
)
def test_the_judge_names_what_is_wrong(drawn: Scene, named: str) -> None:
    assert fault(render(RED_STAR, Random(1)), RED_STAR) == ""
    assert fault(render(drawn, Random(1)), RED_STAR) == named


@pytest.mark.parametrize("layout", ["left", "above"])
def test_the_judge_knows_who_is_on_which_side(layout: str) -> None:
    scene = Scene(PAIR, layout, WHITE)  # type: ignore[arg-type]  # one of the two
    other = Scene(PAIR[::-1], layout, WHITE)  # type: ignore[arg-type]  # one of the two
    assert shows(render(scene, Random(1)), scene)
    assert fault(render(other, Random(1)), scene) == "places"


def test_the_judge_sees_the_weather() -> None:
    land = Backdrop(ground="grass", sky="day")
    dry, wet = (alone("red", "house", backdrop=land, weather=w) for w in ((), ("sun",)))
    assert shows(render(wet, Random(1)), wet)
    assert fault(render(dry, Random(1)), wet) == "weather"


def test_training_makes_a_directory_that_diffusers_loads_and_that_draws(tmp_path: Path) -> None:
    out = tmp_path / "out"
    trained = build(TINY, 0.05, tmp_path / "work", out)
    write(trained, out)
    loaded = DiffusionPipeline.from_pretrained(out, local_files_only=True)
    assert loaded("a red star", num_inference_steps=2).images[0].size == (SIDE, SIDE)
    before, after = new_pipeline(TINY), loaded
    for part in ("vae", "transformer", "text_encoder"):
        pairs = zip(getattr(before, part).parameters(), getattr(after, part).parameters(),
                    strict=True)  # fmt: skip
        assert not all(torch.equal(old.half(), new.half()) for old, new in pairs)


def test_a_training_that_was_finished_is_not_begun_again(tmp_path: Path) -> None:
    first = build(TINY, 0.05, tmp_path / "work", tmp_path / "out")
    second = build(TINY, 0.05, tmp_path / "work", tmp_path / "out")
    for part in ("vae", "transformer", "text_encoder"):
        pairs = zip(getattr(first, part).parameters(), getattr(second, part).parameters(),
                    strict=True)  # fmt: skip
        assert all(torch.equal(p, q) for p, q in pairs)


@pytest.mark.slow
def test_a_finished_training_is_taken_further(tmp_path: Path) -> None:
    first = build(TINY, 0.05, tmp_path / "work", tmp_path / "first")
    write(first, tmp_path / "first")
    second = build(TINY, 0.05, tmp_path / "on", tmp_path / "out", begin=tmp_path / "first")
    same = {
        part: all(
            torch.allclose(p, q, atol=1e-3)  # halves lie between
            for p, q in zip(
                getattr(first, part).parameters(), getattr(second, part).parameters(), strict=True
            )
        )
        for part in ("vae", "text_encoder", "transformer")
    }
    assert same == {"vae": True, "text_encoder": True, "transformer": False}


@pytest.fixture(scope="module")
def shipped() -> PixArtAlphaPipeline:
    pipeline = DiffusionPipeline.from_pretrained(SHIPPED, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    assert isinstance(pipeline, PixArtAlphaPipeline)
    return pipeline


@pytest.fixture(scope="module")
def manners() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((SHIPPED / "drawing.json").read_text(encoding="utf-8"))
    return loaded


LAND = Backdrop(ground="grass", sky="day")
SEA = Backdrop(ground="sea", sky="day")
# What people might type, of what the weights are good at, and what they then expect to see.
ASKED = {
    "Draw the sea!": Scene((), "nothing", SEA),
    "a rainbow and the sun": Scene((), "nothing", LAND, weather=("sun", "rainbow")),
    "a beach at sunset": Scene((), "nothing", Backdrop(ground="sand", sky="sunset")),
    "snow at night under the moon": Scene(
        (), "nothing", Backdrop(ground="snow", sky="night"), weather=("moon",)
    ),
    "a big red circle on the left": alone("red", "circle", size="big", place="left"),
    "a purple heart in the top right corner": alone("purple", "heart", place="top right"),
    "Please draw me a big yellow star on black paper": alone(
        "yellow", "star", size="big", backdrop=Backdrop(paper="black")
    ),
    "a purple tree under a rainbow": alone("purple", "tree", backdrop=LAND, weather=("rainbow",)),
    "a red circle to the left of a blue square": Scene(PAIR, "left", WHITE),
    "a blue square under a red circle": Scene(PAIR, "above", WHITE),
    "a big pink fish": alone("pink", "fish", size="big", backdrop=SEA),
}


def test_the_shipped_weights_draw_what_is_asked(
    shipped: PixArtAlphaPipeline, manners: dict[str, Any]
) -> None:
    pictures = shipped(
        list(ASKED), num_inference_steps=manners["steps"], guidance_scale=manners["guidance"],
        generator=[torch.Generator().manual_seed(1) for _ in ASKED],
    ).images  # fmt: skip
    faults = {
        words: fault(picture, ASKED[words]) for words, picture in zip(ASKED, pictures, strict=True)
    }
    assert sum(map(bool, faults.values())) <= 2, faults


def test_the_engine_draws_with_the_shipped_weights_and_hears_a_cancel_at_every_step(
    manners: dict[str, Any],
) -> None:
    engine = DiffusersEngine(name="painter", directory=SHIPPED, device="cpu")
    told: list[Progress | Picture] = []
    engine.draw(ImageRequest(model="painter", prompt="a red circle", seed=1), told.append)
    *progress, picture = told
    assert isinstance(picture, Picture)
    assert shows(Image.open(io.BytesIO(picture.content)), alone("red", "circle"))
    steps = [one.step for one in progress if isinstance(one, Progress)]
    assert steps == [0, *range(manners["steps"])]

    for last in (0, 3):

        def emit(one: Progress | Picture, last: int = last) -> None:
            assert isinstance(one, Progress)
            assert one.step <= last
            if one.step == last:
                raise Cancelled

        with pytest.raises(Cancelled):
            engine.draw(ImageRequest(model="painter", prompt="a red circle"), emit)


def test_drawing_json_says_what_training_taught(manners: dict[str, Any]) -> None:
    assert manners == DRAWING
    for example in manners["examples"]:
        assert set(example.replace(",", "").split()) <= set(manners["words"])


def test_the_card_says_what_was_measured() -> None:
    figures = json.loads((SHIPPED / "evaluation.json").read_text(encoding="utf-8"))
    card = (SHIPPED / "README.md").read_text(encoding="utf-8")
    assert f"| all | {figures['asked']} | {figures['right'] / figures['asked']:.0%} |" in card


def test_the_shipped_directory_is_small_and_readable_by_everybody() -> None:
    files = [path for path in SHIPPED.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 24_000_000
    assert all(path.stat().st_mode & 0o444 == 0o444 for path in files)


def test_the_daemon_takes_the_shipped_model_as_whole() -> None:
    assert preflight.resolve("painter", base=SHIPPED.parent, kind="image") == SHIPPED
