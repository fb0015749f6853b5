"""A picture keeps what it was drawn with, and nobody's picture can do harm by what it says."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from botdaemon.types import ImageRequest
from models.image import metadata

REQUEST = ImageRequest(
    model="painter",
    prompt="a red circle — ein roter Kreis 🔴",
    negative="blue",
    seed=2**53 + 1,
    steps=12,
    guidance=4.5,
    width=96,
    height=64,
    strength=0.6,
    enlarge=2,
    adapters=(("oil", 0.8), ("ink", -1.0)),
)
PICTURE = Image.new("RGB", (8, 8), "red")


def test_what_is_written_is_read_back_without_the_source() -> None:
    png = metadata.write(PICTURE, replace(REQUEST, source=b"a picture"))
    assert metadata.read(png) == REQUEST
    assert metadata.source(png) == hashlib.sha256(b"a picture").hexdigest()
    assert Image.open(io.BytesIO(png)).convert("RGB").tobytes() == PICTURE.tobytes()


def test_a_picture_that_began_with_none_has_no_source() -> None:
    assert metadata.source(metadata.write(PICTURE, REQUEST)) == ""


def test_other_programs_find_the_settings_where_they_look_for_them() -> None:
    image = Image.open(io.BytesIO(metadata.write(PICTURE, REQUEST)))
    assert image.info["parameters"] == (
        "a red circle — ein roter Kreis 🔴\n"
        "Negative prompt: blue\n"
        "Steps: 12, CFG scale: 4.5, Seed: 9007199254740993, Size: 96x64, Model: painter,"
        " Denoising strength: 0.6, Lora: oil:0.8 ink:-1"
    )
    plain = ImageRequest(model="painter", prompt="a star", seed=1, steps=4)
    image = Image.open(io.BytesIO(metadata.write(PICTURE, plain)))
    assert image.info["parameters"] == "a star\nSteps: 4, Seed: 1, Model: painter"


@given(
    prompt=st.text(max_size=80),
    seed=st.none() | st.integers(0, 2**63 - 1),
    guidance=st.none() | st.floats(0, 100),
    adapters=st.lists(st.tuples(st.text(max_size=9), st.floats(-9, 9)), max_size=3).map(tuple),
)
def test_any_request_is_read_back(
    prompt: str,
    seed: int | None,
    guidance: float | None,
    adapters: tuple[tuple[str, float], ...],
) -> None:
    request = ImageRequest(
        model="m", prompt=prompt, seed=seed, guidance=guidance, adapters=adapters
    )
    assert metadata.read(metadata.write(PICTURE, request)) == request


def saying(text: str, *, compressed: bool = False) -> bytes:
    texts = PngImagePlugin.PngInfo()
    texts.add_itxt(metadata.KEY, text, zip=compressed)
    file = io.BytesIO()
    PICTURE.save(file, "PNG", pnginfo=texts)
    return file.getvalue()


def other(**change: object) -> str:
    return json.dumps({"model": "m", "prompt": "p"} | change)


def a_bomb() -> bytes:
    """A text chunk of some kilobytes that says it is 4 GB."""
    data = metadata.KEY.encode() + b"\0\1\0\0\0" + zlib.compress(b" " * 10**7)
    chunk = b"iTXt" + data
    chunk = struct.pack(">I", len(data)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    png = metadata.write(PICTURE, REQUEST)
    return png[:33] + chunk + png[33:]


FOREIGN = {
    "nothing": b"",
    "no picture": b"<html></html>",
    "a JPEG": b"\xff\xd8\xff\xe0" + bytes(100),
    "a plain picture": saying("{}").replace(b"botdaemon", b"somebody!"),
    "cut off": metadata.write(PICTURE, REQUEST)[:60],
    "damaged": metadata.write(PICTURE, REQUEST).replace(b"prompt", b"pr\0mpt"),
    "no JSON": saying("{"),
    "another kind of JSON": saying("[1, 2]"),
    "deep JSON": saying("[" * 100_000),
    "something missing": saying('{"model": "m"}'),
    "another type": saying(other(steps="many")),
    "a number too large": saying(other(steps=10**30)),
    "a number with a thousand digits": saying(other().replace('"p"', '"p", "seed": ' + "9" * 9999)),
    "no number": saying(other().replace('"p"', '"p", "guidance": NaN')),
    "too long": saying(other(prompt="a" * 300_000)),
    "too long once unpacked": saying(other(prompt="a" * 3_000_000), compressed=True),
    "a bomb": a_bomb(),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_pictures_that_are_not_ours_are_nothing_and_never_an_error(case: str) -> None:
    assert metadata.read(FOREIGN[case]) is None
    assert metadata.source(FOREIGN[case]) == ""


def test_a_source_cannot_be_smuggled_in() -> None:
    png = saying(other(source="cGljdHVyZQ==", source_sha256="../../etc/passwd", unknown=1))
    assert metadata.read(png) == ImageRequest(model="m", prompt="p")
    assert metadata.source(png) == ""
