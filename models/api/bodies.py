"""Reads the bodies of requests: bounded, and not believed. Knows no field of them."""

from __future__ import annotations

import asyncio
import json
from email.parser import BytesParser
from email.policy import HTTP
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException

from models.api.asked import BadRequest

if TYPE_CHECKING:
    from starlette.requests import Request

LIMIT = 32 * 2**20
"""Bytes of a request: a picture of 20 MB in a form, and far above any conversation."""


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > LIMIT:
            raise HTTPException(413)
    return bytes(body)


async def json_of(request: Request) -> Any:
    """Raises `BadRequest`."""
    try:
        return json.loads(await _body(request))
    except ValueError as error:  # neither JSON nor UTF-8
        raise BadRequest(f"the body is not valid JSON: {error}") from None
    except RecursionError:
        raise BadRequest("the body is nested too deeply") from None


async def form_of(request: Request) -> tuple[dict[str, Any], bytes]:
    """The fields of a form with a picture, and it (RFC 7578). Raises `BadRequest`."""
    kind = request.headers.get("content-type", "")
    if not kind.startswith("multipart/form-data"):
        raise BadRequest("a picture is sent as a form (multipart/form-data)")
    head = f"Content-Type: {kind}\r\n\r\n".encode("latin-1")
    form = await asyncio.to_thread(BytesParser(policy=HTTP).parsebytes, head + await _body(request))
    fields: dict[str, Any] = {}
    pictures: list[bytes] = []
    for part in form.iter_parts():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if not isinstance(name, str) or not isinstance(content, bytes):
            raise BadRequest("the form cannot be read")
        if name in ("image", "image[]"):
            pictures.append(content)
        else:
            fields[name] = content.decode("utf-8", "replace")
    if len(pictures) != 1:
        raise BadRequest(f"image: send one picture, not {len(pictures)}", "image")
    return fields, pictures[0]
