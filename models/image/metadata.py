"""Keeps in a PNG what it was drawn with, and reads it back. Knows no model.

Two text chunks are written (PNG specification, section 11.3.4). "botdaemon" is JSON of the
`ImageRequest`; in place of the picture that it began with stands that picture's SHA-256.
"parameters" is the form of AUTOMATIC1111's web UI, which most other programs read.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from typing import Any

from PIL import Image, PngImagePlugin
from pydantic import TypeAdapter

from botdaemon.types import ImageRequest

KEY = "botdaemon"
#: characters of metadata that are looked at
_MOST = 200_000
_REQUESTS = TypeAdapter(ImageRequest)


def write(picture: Image.Image, request: ImageRequest) -> bytes:
    """The picture as a PNG that knows what it was drawn with."""
    fields = _REQUESTS.dump_python(request, mode="json", exclude={"source"})
    if request.source:
        fields["source_sha256"] = hashlib.sha256(request.source).hexdigest()
    texts = PngImagePlugin.PngInfo()
    texts.add_itxt(KEY, json.dumps(fields, ensure_ascii=False))
    texts.add_text("parameters", _parameters(request))  # iTXt by itself if it is not Latin-1
    file = io.BytesIO()
    picture.save(file, "PNG", pnginfo=texts)
    return file.getvalue()


def read(picture: bytes) -> ImageRequest | None:
    """What a picture was drawn with, without the picture that it began with (see `source`); None
    for one that is not ours. Never raises: the picture may be anybody's."""
    fields = _fields(picture)
    fields.pop("source", None)
    try:
        request = _REQUESTS.validate_json(json.dumps(fields), strict=True)
    except ValueError:  # pydantic's own is one too
        return None
    numbers = (
        request.guidance,
        request.strength,
        request.seed,
        request.steps,
        request.width,
        request.height,
        request.count,
        request.enlarge,
        *(weight for _, weight in request.adapters),
    )
    if any(n is not None and not (math.isfinite(n) and abs(n) < 2**63) for n in numbers):
        return None
    return request


def source(picture: bytes) -> str:
    """The SHA-256 (hex) of the picture that this one began with; empty for none."""
    digest = _fields(picture).get("source_sha256")
    return digest if isinstance(digest, str) and len(digest) == 64 else ""


def _fields(picture: bytes) -> dict[str, Any]:
    try:
        # Only the header is read; Pillow bounds compressed texts (MAX_TEXT_CHUNK).
        with Image.open(io.BytesIO(picture), formats=("PNG",)) as image:
            text = image.info.get(KEY, "")
        if not isinstance(text, str) or len(text) > _MOST:
            return {}
        fields = json.loads(text)
    except Exception:  # Pillow's plugin raises nearly anything on broken files
        return {}
    return fields if isinstance(fields, dict) else {}


def _parameters(request: ImageRequest) -> str:
    lines = [request.prompt]
    if request.negative:
        lines.append(f"Negative prompt: {request.negative}")
    size = f"{request.width}x{request.height}" if request.width and request.height else None
    settings = {
        "Steps": request.steps,
        "CFG scale": request.guidance,
        "Seed": request.seed,
        "Size": size,
        "Model": request.model,
        "Denoising strength": request.strength,
        "Lora": " ".join(f"{name}:{weight:g}" for name, weight in request.adapters) or None,
    }
    lines.append(
        ", ".join(f"{key}: {value}" for key, value in settings.items() if value is not None)
    )
    return "\n".join(lines)
