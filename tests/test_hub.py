"""Fetching models: the real huggingface_hub against a hub on loopback (`fake_hub`), and what is
said of models on this machine."""

from __future__ import annotations

import json
import shutil
import struct
from typing import TYPE_CHECKING

import pytest
from fake_hub import FakeHub
from huggingface_hub import constants

from botdaemon.errors import ModelUnusable, Refused
from models import inventory, preflight
from models.hub import Hub
from models.hub_files import choose
from models.ledger import Footprint
from models.process import ImageSpec, TextSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from models.hub import Offer


def weights(length: int = 5000) -> bytes:
    """A safetensors file with one tensor of so many bytes."""
    header = json.dumps({"w": {"dtype": "U8", "shape": [length], "data_offsets": [0, length]}})
    return (
        struct.pack("<Q", len(header)) + header.encode() + bytes(at % 251 for at in range(length))
    )


TEXT = {
    "config.json": b'{"model_type": "gpt2"}',
    "tokenizer.json": b"{}",
    "chat_template.jinja": b"{{ messages }}",
    "model.safetensors": weights(),
    "README.md": b"# A model",
}
UNWANTED = {
    "pytorch_model.bin": b"a pickle",
    "model.onnx": b"onnx",
    "modeling_own.py": b"import os",
    "onnx/config.json": b"{}",
    "original/model.safetensors": b"again",
    "picture.png": b"png",
}


@pytest.fixture
def fake() -> Iterator[FakeHub]:
    with FakeHub().serving() as hub:
        yield hub


@pytest.fixture
def hub(fake: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    # As the command line leaves it: whoever does not ask for the network does not get it.
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    return Hub(endpoint=fake.url, cache=tmp_path / "cache")


def fetch(hub: Hub, offer: Offer) -> Path:
    return hub.fetch(offer, lambda _what, _done, _total: None)


def names(offer: Offer) -> set[str]:
    return {file.name for file in offer.files}


# --- what is fetched --------------------------------------------------------------------------


def test_a_model_is_offered_with_its_sizes_before_anything_is_fetched(
    fake: FakeHub, hub: Hub, tmp_path: Path
) -> None:
    commit = fake.repo("acme/tiny", TEXT | UNWANTED)
    offer = hub.offer("acme/tiny")
    assert names(offer) == set(TEXT)
    assert offer.commit == commit
    assert offer.size == offer.missing == sum(map(len, TEXT.values()))
    assert not any("/resolve/" in path for _, path, _ in fake.asked)
    assert not (tmp_path / "cache").exists()


def test_what_was_fetched_is_whole_and_the_daemon_finds_it(
    fake: FakeHub, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = fake.repo("acme/tiny", TEXT | UNWANTED)
    directory = fetch(hub, hub.offer("acme/tiny"))
    there = {path.name: path.read_bytes() for path in directory.iterdir()}
    assert there == TEXT
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    assert preflight.resolve("acme/tiny", base=tmp_path, revision=commit) == directory
    assert hub.offer("acme/tiny").missing == 0


def test_progress_ends_at_the_size_that_was_offered(fake: FakeHub, hub: Hub) -> None:
    fake.repo("acme/tiny", TEXT)
    offer = hub.offer("acme/tiny")
    told: list[tuple[str, int, int]] = []
    hub.fetch(offer, lambda what, done, total: told.append((what, done, total)))
    assert [total for _, _, total in told] == [offer.size] * len(told)
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    assert told[-1][1] == offer.size
    assert "fetching model.safetensors" in {what for what, _, _ in told}


def test_a_revision_is_fetched_though_the_model_has_moved_on(fake: FakeHub, hub: Hub) -> None:
    old = fake.repo("acme/tiny", TEXT)
    fake.repos["acme/tiny"].commit(TEXT | {"config.json": b'{"new": 1}'})
    offer = hub.offer("acme/tiny", revision=old)
    assert offer.commit == old
    assert (fetch(hub, offer) / "config.json").read_bytes() == TEXT["config.json"]


def test_of_a_pipeline_its_parts_are_fetched_in_one_form(fake: FakeHub, hub: Hub) -> None:
    name = "diffusion_pytorch_model"
    wanted = {
        "model_index.json": b'{"_class_name": "P", "unet": ["diffusers", "U"],'
        b' "tokenizer": ["transformers", "T"], "safety_checker": [null, null]}',
        "unet/config.json": b"{}",
        f"unet/{name}.safetensors": weights(3000),
        "tokenizer/vocab.json": b"{}",
        "tokenizer/merges.txt": b"a b",
    }
    other = {
        f"unet/{name}.fp16.safetensors": weights(1500),
        f"unet/{name}.bin": b"a pickle",
        "unet/own.py": b"",
        "safety_checker/model.safetensors": weights(),
        "whole-model.safetensors": weights(9000),
    }
    fake.repo("acme/painter", wanted | other)
    plain = hub.offer("acme/painter")
    assert names(plain) == set(wanted)
    assert (plain.choice.variant, plain.choice.others) == ("", ("fp16",))
    half = hub.offer("acme/painter", variant="fp16")
    assert names(half) - set(wanted) == {f"unet/{name}.fp16.safetensors"}
    assert (half.choice.variant, half.choice.others) == ("fp16", ("",))
    fetch(hub, half)
    with pytest.raises(ModelUnusable, match='no weights in the form "bf16" \\(it has fp16\\)'):
        hub.offer("acme/painter", variant="bf16")


def test_an_adapter_is_fetched_whatever_it_is_for(fake: FakeHub, hub: Hub) -> None:
    lora = {"adapter_config.json": b"{}", "adapter_model.safetensors": weights()}
    fake.repo("acme/voice", lora | {"optimizer.pt": b"a pickle"})
    assert names(hub.offer("acme/voice")) == set(lora)
    fake.repo("acme/style", {"style.safetensors": weights(), "example.png": b""})
    assert names(hub.offer("acme/style")) == {"style.safetensors"}


SHARDS = {f"model-0000{at}-of-00002.safetensors" for at in (1, 2)} | {
    "model.safetensors.index.json"
}


def test_all_pieces_of_large_weights_are_chosen() -> None:
    there = SHARDS | {"config.json", "tokenizer.json", "consolidated.safetensors"}
    chosen = choose("a/b", there, None)
    assert set(chosen.names) == SHARDS | {"config.json", "tokenizer.json"}


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        (["config.json", "pytorch_model.bin"], "only as a pickle (pytorch_model.bin), which can"),
        (["tiny.Q4_K_M.gguf", "README.md"], "holds GGUF files; take the model in transformers'"),
        ([], '"a/b" is empty'),
        (["README.md"], "holds nothing that an engine can load (it has README.md)"),
        (["config.json"], "holds nothing that an engine can load"),
        (["adapter_config.json", "adapter_model.bin"], "only as a pickle (adapter_model.bin)"),
    ],
)
def test_what_no_engine_can_load_is_refused(files: list[str], sentence: str) -> None:
    with pytest.raises(ModelUnusable) as refused:
        choose("a/b", files, None)
    assert sentence in str(refused.value)


def test_a_pipeline_with_one_pickled_part_is_refused() -> None:
    parts = {"unet": ["diffusers", "U"], "vae": ["diffusers", "V"]}
    files = [
        "model_index.json",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/diffusion_pytorch_model.bin",
    ]
    with pytest.raises(ModelUnusable, match="only as a pickle"):
        choose("a/b", files, parts)


# --- when something is in the way -------------------------------------------------------------


def test_a_connection_that_breaks_off_is_taken_up_where_it_broke(
    fake: FakeHub, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 500)  # it goes on at a whole one
    fake.repo("acme/tiny", TEXT)
    fake.cuts = 1
    directory = fetch(hub, hub.offer("acme/tiny"))
    assert (directory / "model.safetensors").read_bytes() == TEXT["model.safetensors"]
    assert [range for _, path, range in fake.asked if "/store/" in path][-1] == "bytes=1000-"


def test_an_interrupted_fetch_goes_on_with_what_is_missing(fake: FakeHub, hub: Hub) -> None:
    fake.repo("acme/tiny", TEXT)
    offer = hub.offer("acme/tiny")

    def interrupt(what: str, done: int, total: int) -> None:
        if what == "fetching model.safetensors":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hub.fetch(offer, interrupt)
    again = hub.offer("acme/tiny")
    assert 0 < again.missing < again.size
    fake.asked.clear()
    assert (fetch(hub, again) / "model.safetensors").exists()
    fetched = {path.rpartition("/")[2] for method, path, _ in fake.asked if method == "GET"}
    assert "config.json" not in fetched


def test_what_arrives_damaged_is_fetched_again(fake: FakeHub, hub: Hub) -> None:
    fake.repo("acme/tiny", TEXT)
    fake.damages = 1
    directory = fetch(hub, hub.offer("acme/tiny"))
    assert (directory / "model.safetensors").read_bytes() == TEXT["model.safetensors"]


def test_what_always_arrives_damaged_is_not_kept(fake: FakeHub, hub: Hub, tmp_path: Path) -> None:
    fake.repo("acme/tiny", TEXT)
    fake.damages = 9
    with pytest.raises(Refused, match="does not arrive as the hub says it is"):
        fetch(hub, hub.offer("acme/tiny"))
    assert not list((tmp_path / "cache").rglob("model.safetensors"))


def test_a_file_that_was_damaged_on_disk_is_mended(fake: FakeHub, hub: Hub) -> None:
    fake.repo("acme/tiny", TEXT)
    directory = fetch(hub, hub.offer("acme/tiny"))
    (directory / "model.safetensors").resolve().write_bytes(b"rotten")
    offer = hub.offer("acme/tiny")
    assert offer.missing == 0
    fetch(hub, offer)
    assert (directory / "model.safetensors").read_bytes() == TEXT["model.safetensors"]


def test_an_unknown_model_and_an_unknown_revision_are_named(fake: FakeHub, hub: Hub) -> None:
    fake.repo("acme/tiny", TEXT)
    fake.repo("acme/secret", TEXT, private=True)
    for name in ("acme/tinny", "acme/secret"):
        with pytest.raises(Refused, match=f'^there is no model "{name}" at http.*or it is private'):
            hub.offer(name)
    with pytest.raises(Refused, match=r'^"acme/tiny" has no revision "v9"$'):
        hub.offer("acme/tiny", revision="v9")
    with pytest.raises(Refused, match=r'^"acme//x" is no id of a hub model, which looks like OWN'):
        hub.offer("acme//x")


def test_a_gated_model_says_what_to_do_before_anything_is_fetched(
    fake: FakeHub, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.repo("acme/gated", TEXT, gated=True)
    with pytest.raises(
        Refused, match=r"^\"acme/gated\" is gated: accept its .*/acme/gated, then lo"
    ):
        hub.offer("acme/gated")
    monkeypatch.setenv("HF_TOKEN", "hf_letmein")
    fetch(hub, hub.offer("acme/gated"))


def test_a_disk_that_is_too_small_is_said_before_anything_is_fetched(
    fake: FakeHub, hub: Hub, tmp_path: Path
) -> None:
    fake.repo("acme/tiny", TEXT)
    offer = hub.offer("acme/tiny")
    free = shutil.disk_usage(tmp_path).free
    [large] = [file for file in offer.files if file.name == "model.safetensors"]
    object.__setattr__(large, "size", 2 * free)
    with pytest.raises(
        Refused, match=r'^"acme/tiny" needs .* on the disk of .*, which has .* free'
    ):
        fetch(hub, offer)
    assert not any("/resolve/" in path for _, path, _ in fake.asked)


def test_without_a_network_it_is_said_in_a_sentence(tmp_path: Path) -> None:
    with FakeHub().serving() as fake:
        url = fake.url
    with pytest.raises(Refused, match=f"^{url} cannot be reached .* is there a network"):
        Hub(endpoint=url, cache=tmp_path).offer("acme/tiny")


def test_a_hub_that_is_down_is_quoted(fake: FakeHub, hub: Hub) -> None:
    fake.repo("acme/tiny", TEXT)
    offer = hub.offer("acme/tiny")
    fake.down = 501
    for deed in (lambda: hub.offer("acme/tiny"), lambda: fetch(hub, offer)):
        with pytest.raises(Refused, match=f"^{fake.url} answered: 501; try again later"):
            deed()


def test_the_network_is_closed_again_afterwards(fake: FakeHub, hub: Hub) -> None:
    fake.repo("acme/tiny", TEXT)
    fetch(hub, hub.offer("acme/tiny"))
    with pytest.raises(Refused):
        hub.offer("acme/none")
    assert constants.HF_HUB_OFFLINE


# --- what is on this machine ------------------------------------------------------------------


def states(findings: Iterator[inventory.Finding]) -> Mapping[str, str]:
    return {finding.file.name: finding.state for finding in findings}


def test_verify_finds_what_was_damaged_without_a_network(
    fake: FakeHub, hub: Hub, tmp_path: Path
) -> None:
    commit = fake.repo("acme/tiny", TEXT)
    directory = fetch(hub, hub.offer("acme/tiny"))
    fake.down = 500
    cache = tmp_path / "cache"
    assert set(states(inventory.verify("acme/tiny", cache=cache)).values()) == {"whole"}
    for name in ("model.safetensors", "config.json"):
        blob = (directory / name).resolve()
        blob.write_bytes(blob.read_bytes()[:-1] + b"?")
    told: list[int] = []
    found = states(
        inventory.verify(
            "acme/tiny", commit, cache=cache, progress=lambda _w, done, total: told.append(total)
        )
    )
    assert {name for name, state in found.items() if state == "damaged"} == {
        "model.safetensors",
        "config.json",
    }
    assert len(found) == len(TEXT)
    assert set(told) == {sum(map(len, TEXT.values()))}


def test_verify_knows_models_that_another_program_fetched(
    fake: FakeHub, hub: Hub, tmp_path: Path
) -> None:
    """What the library fetches by itself lies under its checksums, too."""
    fake.repo("acme/tiny", TEXT)
    cache = tmp_path / "cache"
    hub.fetch(hub.offer("acme/tiny"), lambda *_: None)
    copied = shutil.copytree(cache, tmp_path / "elsewhere", symlinks=True)
    assert set(states(inventory.verify("acme/tiny", cache=copied)).values()) == {"whole"}


def test_a_model_that_is_not_there_cannot_be_verified(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r'^revision "v2" of "acme/x" is not in .*, or not whole; fe'):
        list(inventory.verify("acme/x", "v2", cache=tmp_path))


def test_the_list_has_the_configured_models_and_what_lies_in_the_cache_besides(
    fake: FakeHub, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = fake.repo("acme/tiny", TEXT)
    other = fake.repo("acme/other", TEXT)
    fetch(hub, hub.offer("acme/tiny"))
    fetch(hub, hub.offer("acme/other"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_bytes(b"{")
    taken = Footprint(load=5, peak=1, measured=True)
    specs = {
        "tiny": TextSpec(path="acme/tiny", revision=commit),
        "away": ImageSpec(path="acme/away", revision="v1"),
        "broken": TextSpec(path="broken"),
    }
    rows = list(inventory.listing(specs, base=tmp_path, known={"tiny": taken}))

    size = sum(map(len, TEXT.values()))
    assert rows[0] == inventory.Item(
        name="tiny", source="acme/tiny", revision=commit, size=size, footprint=taken
    )
    assert 'the hub model "acme/away" is not on this machine' in rows[1].problem
    assert "config.json is not valid JSON" in rows[2].problem
    assert rows[3:] == [inventory.Item(name="", source="acme/other", revision=other, size=size)]


def test_a_machine_without_a_cache_lists_what_is_configured(tmp_path: Path) -> None:
    assert list(inventory.listing({}, base=tmp_path, known={}, cache=tmp_path / "none")) == []
