"""Pictures that people send are opened safely, or refused with one sentence."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import pytest
from PIL import Image

from botdaemon.errors import EngineFailed
from models.image import sources


def encoded(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF"])
def test_the_usual_forms_are_read(form: str) -> None:
    picture = sources.decode(encoded(Image.new("RGB", (30, 20), "white"), form))
    assert (picture.mode, picture.size) == ("RGB", (30, 20))
    assert picture.getpixel((3, 3)) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_every_way_of_keeping_colours_becomes_red_green_and_blue(mode: str) -> None:
    plain = Image.new("L", (20, 20), 255)
    image = plain.convert("I;16").point(lambda v: v * 257) if mode == "I;16" else plain
    image = image if mode in ("I;16", "L") else plain.convert("RGB").convert(mode)
    form = "JPEG" if mode == "CMYK" else "PNG"
    picture = sources.decode(encoded(image, form))
    assert picture.mode == "RGB"
    assert picture.getpixel((5, 5)) == (255, 255, 255)


def test_what_is_transparent_becomes_white() -> None:
    image = Image.new("RGBA", (20, 20), (255, 0, 0, 0))
    image.putpixel((0, 0), (255, 0, 0, 255))
    picture = sources.decode(encoded(image))
    assert picture.getpixel((0, 0)) == (255, 0, 0)
    assert picture.getpixel((9, 9)) == (255, 255, 255)


def test_a_photograph_taken_sideways_stands_upright() -> None:
    image = Image.new("RGB", (40, 20), "black")
    exif = image.getexif()
    exif[0x0112] = 6  # turned by 90 degrees
    assert sources.decode(encoded(image, "JPEG", exif=exif)).size == (20, 40)


def test_of_an_animation_the_first_frame_counts() -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert sources.decode(content).getpixel((5, 5)) == (255, 0, 0)


def claiming(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says how large it is."""
    png = b"\x89PNG\r\n\x1a\n"
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")):
        png += struct.pack(">I", len(data)) + kind + data
        png += struct.pack(">I", zlib.crc32(kind + data))
    return png


WHOLE = encoded(Image.effect_noise((64, 64), 50).convert("RGB"))
NO_PICTURE = "the file is no picture that can be read; send a PNG, JPEG, WebP or GIF"
TOO_LARGE = "the picture has more than 50 million pixels; send a smaller one"
NARROW = "pixels; one side may be 10 times the other, not more"
BAD = {
    "nothing": (b"", NO_PICTURE),
    "a page": (b"<!doctype html><title>404</title>", NO_PICTURE),
    "a drawing": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", NO_PICTURE),
    "another form": (encoded(Image.new("RGB", (20, 20)), "BMP"), NO_PICTURE),
    "truncated": (WHOLE[: len(WHOLE) // 2], "the picture is damaged: "),
    "damaged": (WHOLE[:100] + bytes(500) + WHOLE[600:], "the picture is damaged: "),
    "only a header": (WHOLE[:40], NO_PICTURE),
    "narrow": (claiming(1, 100_000), f"the picture is 1 x 100000 {NARROW}"),
    "flat": (claiming(1000, 99), f"the picture is 1000 x 99 {NARROW}"),
    "large": (claiming(8000, 8000), TOO_LARGE),
    "very large": (claiming(11_000, 9_000), TOO_LARGE),
    "a bomb": (claiming(100_000, 100_000), TOO_LARGE),
    "the largest": (claiming(2**31 - 1, 2**31 - 1), TOO_LARGE),
    "many bytes": (bytes(sources.MOST_BYTES + 1), "the picture has more than 50 MB; send a"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_picture_is_refused_with_one_sentence(case: str) -> None:
    content, sentence = BAD[case]
    with pytest.raises(EngineFailed) as refused:
        sources.decode(content)
    assert str(refused.value).startswith(sentence)
    assert "\n" not in str(refused.value)
