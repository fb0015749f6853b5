"""A model that cannot be used is refused with one clear sentence, before anything is loaded."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import tiny_pipelines
from tiny_models import chat_model

from botdaemon.errors import ModelUnusable
from models import preflight

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOBODY = 65534


def _write(name: str, content: bytes) -> Callable[[Path], None]:
    def spoil(d: Path) -> None:
        (d / name).write_bytes(content)

    return spoil


def _remove(name: str) -> Callable[[Path], None]:
    return lambda d: (d / name).unlink()


def _empty(d: Path) -> None:
    for path in d.iterdir():
        path.unlink()


def _pickle_only(d: Path) -> None:
    (d / "model.safetensors").unlink()
    (d / "pytorch_model.bin").write_bytes(pickle.dumps({}))
    (d / "training_args.bin").write_bytes(pickle.dumps({}))


def _truncated(d: Path) -> None:
    weights = d / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])


def _shard_missing(d: Path) -> None:
    (d / "model.safetensors").rename(d / "model-1-of-2.safetensors")
    shards = {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors"}
    (d / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))


def _encoder_decoder(d: Path) -> None:
    (d / "config.json").write_text('{"is_encoder_decoder": true, "model_type": "t5"}')


def _adapter(d: Path) -> None:
    _empty(d)
    (d / "adapter_config.json").write_text("{}")


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"

BROKEN = {
    "empty": (_empty, "is no text model: the directory is empty"),
    "no config": (_remove("config.json"), "has no config.json (it has chat_template.jinja,"),
    "an adapter": (_adapter, "merge it into its base model"),
    "bad config": (_write("config.json", b"{"), "config.json is not valid JSON"),
    "odd config": (_write("config.json", b"[]"), "config.json must hold a JSON object"),
    "another kind": (_encoder_decoder, "but a t5 model"),
    "no weights": (_remove("model.safetensors"), "has no weights (model.safetensors)"),
    "pickle only": (_pickle_only, "only as a pickle (pytorch_model.bin), which can run any code"),
    "pointer": (_write("model.safetensors", LFS), "is a git-lfs pointer"),
    "pointer to tokenizer": (_write("tokenizer.json", LFS), "tokenizer.json is a git-lfs pointer"),
    "truncated": (_truncated, "is incomplete: "),
    "nothing in it": (_write("model.safetensors", b""), "is incomplete (0 bytes)"),
    "no safetensors": (_write("model.safetensors", b"\x02" + bytes(7) + b"??"), "is not a safeten"),
    "shard missing": (_shard_missing, "names 2 files of weights, but model-2-of-2.safetensors is"),
    "no tokenizer": (_remove("tokenizer.json"), "has no tokenizer.json; write it once with: "),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_model_directory_is_refused_with_one_clear_sentence(
    case: str, tmp_path: Path
) -> None:
    spoil, sentence = BROKEN[case]
    model = shutil.copytree(chat_model(), tmp_path / "model")
    spoil(model)

    with pytest.raises(ModelUnusable) as refused:
        preflight.resolve("model", base=tmp_path)

    assert sentence in str(refused.value)
    assert str(model) in str(refused.value)
    assert "\n" not in str(refused.value)


def _in(part: str, spoil: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda d: spoil(d / part)


def _half(d: Path) -> None:
    weights = next(d.glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1000])


def _pickled_part(d: Path) -> None:
    next(d.glob("*.safetensors")).unlink()
    (d / "diffusion_pytorch_model.bin").write_bytes(pickle.dumps({}))


def _one_file(d: Path) -> None:
    shutil.rmtree(d)
    d.mkdir()
    (d / "sdxl.safetensors").write_bytes(b"")


def _nothing(d: Path) -> None:
    shutil.rmtree(d)
    d.mkdir()


def _text_model(d: Path) -> None:
    shutil.rmtree(d)
    shutil.copytree(chat_model(), d)


BROKEN_PIPELINES: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (_nothing, "is no image model: the directory is empty"),
    "a text model": (_text_model, "but config.json: it is a text model, or one part only"),
    "one file": (_one_file, "but sdxl.safetensors, a model in one file; take it as a pipeline"),
    "bad index": (_write("model_index.json", b"{"), "model_index.json is not valid JSON"),
    "odd index": (_write("model_index.json", b"{}"), "names no pipeline that can be used"),
    "part missing": (_in("vae", shutil.rmtree), 'names "vae", but '),
    "tokenizer empty": (_in("tokenizer", _empty), "/tokenizer is empty; copy or fetch the model"),
    "no config": (_in("unet", _remove("config.json")), "/unet has no config.json; copy or fetch"),
    "bad config": (_in("unet", _write("config.json", b"!")), "/unet/config.json is not valid JSON"),
    "truncated": (_in("unet", _half), ".safetensors is incomplete: "),
    "pickle": (_in("vae", _pickled_part), "DiffusionPipeline as P; P.from_pretrained"),
    "pointer": (_in("text_encoder", _write("model.safetensors", LFS)), "is a git-lfs pointer"),
    "pointer to words": (_in("tokenizer", _write("merges.txt", LFS)), "is a git-lfs pointer"),
    "code": (_in("unet", _write("diffusers.py", b"")), "is code of its own (diffusers.py), which"),
}


@pytest.mark.parametrize("case", BROKEN_PIPELINES)
def test_a_broken_pipeline_directory_is_refused_with_one_clear_sentence(
    case: str, tmp_path: Path
) -> None:
    spoil, sentence = BROKEN_PIPELINES[case]
    model = shutil.copytree(tiny_pipelines.stable_diffusion(), tmp_path / "model")
    assert preflight.resolve("model", base=tmp_path, kind="image") == model
    spoil(model)

    with pytest.raises(ModelUnusable) as refused:
        preflight.resolve("model", base=tmp_path, kind="image")

    assert sentence in str(refused.value)
    assert str(model) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("family", tiny_pipelines.FAMILIES)
def test_a_whole_pipeline_directory_of_any_family_passes(family: str) -> None:
    directory = tiny_pipelines.FAMILIES[family]()
    assert preflight.resolve(str(directory), base=directory, kind="image") == directory
    assert preflight.variant(directory) is None


def test_an_image_model_is_no_text_model() -> None:
    directory = tiny_pipelines.stable_diffusion()
    with pytest.raises(ModelUnusable, match=r"but model_index.json: it is an image model"):
        preflight.resolve(str(directory), base=directory)


def test_weights_in_another_form_are_found_and_named(tmp_path: Path) -> None:
    model = shutil.copytree(tiny_pipelines.stable_diffusion(), tmp_path / "model")
    for weights in list(model.glob("*/*.safetensors")):
        weights.rename(weights.with_suffix(".fp16.safetensors"))
    assert preflight.resolve("model", base=tmp_path, kind="image") == model
    assert preflight.variant(model) == "fp16"


def test_an_adapter_is_a_file_or_the_only_one_in_its_directory(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    home = tmp_path / "oil"
    home.mkdir()
    with pytest.raises(ModelUnusable, match=r"oil holds no file named \*.safetensors; name the"):
        preflight.adapter(home)
    save_file({}, home / "oil.safetensors")
    (home / "oil.safetensors").chmod(0o644)
    assert preflight.adapter(home) == preflight.adapter(home / "oil.safetensors")
    (home / "ink.safetensors").write_bytes(LFS)
    with pytest.raises(ModelUnusable, match=r"oil holds 2 files named \*.safetensors; name the"):
        preflight.adapter(home)
    with pytest.raises(ModelUnusable, match=r"ink.safetensors is a git-lfs pointer"):
        preflight.adapter(home / "ink.safetensors")
    (home / "old.pt").write_bytes(pickle.dumps({}))
    with pytest.raises(ModelUnusable, match=r"old.pt is a pickle, which can run any code"):
        preflight.adapter(home / "old.pt")
    with pytest.raises(ModelUnusable, match=r"there is no adapter .*/chalk"):
        preflight.adapter(home / "chalk")


def test_a_missing_directory_is_named_with_what_lies_beside_it(tmp_path: Path) -> None:
    shutil.copytree(chat_model(), tmp_path / "starter")
    with pytest.raises(ModelUnusable, match=r"directory .*/startr \(did you mean \"starter\"\?"):
        preflight.resolve("./startr", base=tmp_path)
    with pytest.raises(ModelUnusable, match=r"/gpt \(beside it: starter\)"):
        preflight.resolve(str(tmp_path / "gpt"), base=tmp_path)
    with pytest.raises(ModelUnusable, match=r"no model directory .*/there \(not even .*/nowhere\)"):
        preflight.resolve("./nowhere/there", base=tmp_path)


def test_a_file_is_no_model_directory(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(ModelUnusable, match="is a file; name the directory"):
        preflight.resolve("model.safetensors", base=tmp_path)


@contextmanager
def _as_nobody() -> Iterator[None]:
    """Root may read everything, so a test that runs as root steps down."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_an_unreadable_file_is_named_with_the_command_that_helps() -> None:
    with tempfile.TemporaryDirectory() as home:  # pytest's own directories are closed to others
        Path(home).chmod(0o755)
        model = shutil.copytree(chat_model(), Path(home) / "model")
        for path in (model, *model.iterdir()):
            path.chmod(0o755)
        weights = model / "model.safetensors"
        # As safetensors leaves them for their owner; here that is nobody who could read.
        weights.chmod(0o600 if os.geteuid() == 0 else 0)
        with _as_nobody(), pytest.raises(ModelUnusable) as refused:
            preflight.resolve("model", base=Path(home))

    assert f"{weights} cannot be read by this user" in str(refused.value)
    assert f"chmod -R a+rX {model}" in str(refused.value)


@pytest.mark.slow
def test_the_command_for_a_pickle_converts_it(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    model = shutil.copytree(chat_model(), tmp_path / "model")
    torch.save(load_file(model / "model.safetensors"), model / "pytorch_model.bin")
    (model / "model.safetensors").unlink()

    with pytest.raises(ModelUnusable) as refused:
        preflight.resolve("model", base=tmp_path)
    command = str(refused.value).partition("with: ")[2].replace("python", sys.executable, 1)
    subprocess.run(command, shell=True, check=True, capture_output=True)

    assert preflight.resolve("model", base=tmp_path) == model


def test_hub_models_are_found_in_the_cache_and_nothing_else_is_asked(tmp_path: Path) -> None:
    cached = tmp_path / "hub" / "models--acme--tiny"
    shutil.copytree(chat_model(), cached / "snapshots" / "abc123")
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("abc123")
    program = """
import sys
from pathlib import Path
from botdaemon.errors import ModelUnusable
from models import preflight
print(preflight.resolve("acme/tiny", base=Path.cwd()))
for revision in (None, "v2"):
    try:
        preflight.resolve("acme/huge", base=Path.cwd(), revision=revision)
    except ModelUnusable as error:
        print(error)
"""
    said = _python(program, HF_HUB_CACHE=str(tmp_path / "hub"))

    found, missing, missing_revision = said.splitlines()
    assert found == str(cached / "snapshots" / "abc123")
    assert 'the hub model "acme/huge" is not on this machine' in missing
    assert missing.endswith("fetch it first with: botdaemon models pull acme/huge")
    assert missing_revision.endswith("botdaemon models pull acme/huge --revision v2")


def test_checking_a_model_and_counting_its_tokens_never_imports_torch() -> None:
    program = f"""
import sys
from pathlib import Path
from botdaemon.types import ChatLine, TextRequest
from models import echo, formats, preflight, process
format = formats.load(preflight.resolve({str(chat_model())!r}, base=Path.cwd()))
hello = TextRequest(model="", speaker="Bot", lines=(ChatLine(role="user", text="hello"),))
assert len(format.encode(hello)) > 5
print(sorted({{"torch", "transformers", "numpy"}} & set(sys.modules)))
"""
    assert _python(program).strip() == "[]"


def _python(program: str, **environment: str) -> str:
    root = str(Path(preflight.__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": root, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
