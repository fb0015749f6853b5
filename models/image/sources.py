"""Opens pictures that people send. Knows no model and believes nothing that a file says of itself.

Everything that can be wrong is one sentence in an `EngineFailed`, for the person who sent it.
"""

from __future__ import annotations

import io

from PIL import Image, ImageOps, UnidentifiedImageError

from botdaemon.errors import EngineFailed

#: bytes of an encoded picture; platforms deliver less
MOST_BYTES = 50_000_000
#: pixels; a camera's 50 megapixels are 150 MB once decoded
MOST_PIXELS = 50_000_000
#: how much longer than wide a picture may be
NARROWEST = 10
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF")


def decode(content: bytes) -> Image.Image:
    """The picture as RGB, upright, the first frame of an animation, on white where it is
    transparent. Raises `EngineFailed`."""
    if len(content) > MOST_BYTES:
        raise EngineFailed(
            f"the picture has more than {MOST_BYTES // 1_000_000} MB; send a smaller one"
        )
    try:
        # Only the header is read here, so that a bomb is recognised before it is decoded.
        with Image.open(io.BytesIO(content), formats=_FORMATS) as picture:
            _examine(*picture.size)
            picture.load()
            upright = ImageOps.exif_transpose(picture)
            return _on_white(upright)
    except EngineFailed:
        raise
    except UnidentifiedImageError as error:
        raise EngineFailed(
            "the file is no picture that can be read; send a PNG, JPEG, WebP or GIF"
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large() from error
    except Exception as error:  # Pillow's plugins raise nearly anything on broken files
        raise EngineFailed(f"the picture is damaged: {error}; send it again") from error


def _examine(width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise _too_large()
    if max(width, height) > NARROWEST * min(width, height):
        raise EngineFailed(
            f"the picture is {width} x {height} pixels; one side may be {NARROWEST} times the"
            " other, not more"
        )


def _too_large() -> EngineFailed:
    return EngineFailed(
        f"the picture has more than {MOST_PIXELS // 1_000_000} million pixels; send a smaller one"
    )


def _on_white(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):  # 16 bits of grey, which Pillow would cut off instead
        picture = picture.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        paper = Image.new("RGBA", layer.size, "white")
        picture = Image.alpha_composite(paper, layer)
    return picture.convert("RGB")
