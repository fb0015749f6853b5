"""The shapes of what comes in and goes out as JSON. Knows no HTTP, no socket and no archive."""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from botdaemon.types import Control

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from botdaemon.types import Message, Room, Thread

#: SQLite's largest integer
LARGEST = 2**63 - 1
NAME_CHARACTERS = 40
TITLE_CHARACTERS = 120
#: problems named in one answer; a body of thousands of unknown fields is not read back
PROBLEMS = 5


class Nonsense(Exception):
    """What was sent is not what is understood here; the message says what is wrong."""


# --- in ----------------------------------------------------------------------------------------


def _not_blank(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("blank", "must not be empty or blank")
    return text


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    if not line.isprintable():
        raise PydanticCustomError("control", "must not contain control characters")
    return line


def _short(most: int) -> AfterValidator:
    def check(text: str) -> str:
        if len(text) > most:
            raise PydanticCustomError(
                "long",
                "must have at most {most} characters and has {count}",
                {"most": most, "count": len(text)},
            )
        return text

    return AfterValidator(check)


Id = Annotated[int, Field(ge=0, le=LARGEST)]
Line = Annotated[str, AfterValidator(_not_blank), AfterValidator(_one_line)]
Name = Annotated[Line, _short(NAME_CHARACTERS)]
Title = Annotated[Line, _short(TITLE_CHARACTERS)]
# JSON has no enums, so strictness would refuse every value.
Button = Annotated[Control, Field(strict=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Said(_Strict):
    """POST /api/rooms/{room}/messages with files, which need no words."""

    author: Name
    text: str = ""
    thread: Id | None = None
    #: makes sending it again harmless
    key: Annotated[Line, _short(64)] | None = None
    #: the id of the message it answers
    reply_to: Id | None = None


class Post(Said):
    """POST /api/rooms/{room}/messages"""

    text: Annotated[str, AfterValidator(_not_blank)]


class NewRoom(_Strict):
    """POST /api/rooms"""

    name: Line
    bots: Annotated[list[str], Field(max_length=100)]
    host: str | None = None


class NewThread(_Strict):
    """POST /api/rooms/{room}/threads"""

    title: Title


class _Query(BaseModel):
    # Not strict: everything in a query is a string.
    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: Annotated[int, Field(ge=1, le=500)] = 100


class Since(_Query):
    """GET /api/rooms/{room}/messages"""

    after: Id = 0
    thread: Id | None = None


class Before(_Query):
    """GET /api/rooms/{room}/threads/{thread}/recent"""

    before: Id | None = None


class Open(_Strict):
    """A page watches a room from now on, and has seen everything up to `after`."""

    type: Literal["open"]
    room: str
    after: Id | None = None


class Typing(_Strict):
    """Somebody is writing."""

    type: Literal["typing"]
    thread: Id
    name: Name


class Press(_Strict):
    """Somebody pressed a button."""

    type: Literal["press"]
    thread: Id
    name: Name
    control: Button
    message: Id | None = None
    #: what was typed into the form that the button opened
    text: str = ""


Frame = Open | Typing | Press
_frames: TypeAdapter[Frame] = TypeAdapter(Annotated[Frame, Field(discriminator="type")])

Shape = TypeVar("Shape", bound=BaseModel)


def read(shape: type[Shape], body: bytes) -> Shape:
    """The JSON object in `body` as `shape`; `Nonsense` says in a sentence why it is none."""
    return _checked(shape, _object(_text(body)))


def read_query(shape: type[Shape], query: Mapping[str, str]) -> Shape:
    return _checked(shape, dict(query))


def read_frame(text: str) -> Frame:
    try:
        return _frames.validate_python(_object(text))
    except ValidationError as error:
        # In a union the first step of a path names the member, which the sender calls its type.
        raise Nonsense(_explain(error, skip=1)) from None


def _checked(shape: type[Shape], value: dict[str, Any]) -> Shape:
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        fields = ", ".join(shape.model_fields)
        raise Nonsense(f"{_explain(error)} (known: {fields})") from None


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise Nonsense(f"the body is not valid UTF-8 (at byte {error.start})") from None


def _object(text: str) -> dict[str, Any]:
    if not text.strip():
        raise Nonsense("a JSON object was expected and nothing was sent")
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise Nonsense(
            f"not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    except (ValueError, RecursionError):
        raise Nonsense("not usable JSON: a number is too long or the nesting too deep") from None
    if "\\ud" in text.lower():
        # Half of a surrogate pair can be written in JSON, and nowhere else.
        try:
            dump(value).encode()
        except UnicodeEncodeError:
            raise Nonsense("not usable JSON: a \\u escape is half of a character") from None
    if not isinstance(value, dict):
        kind = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
        raise Nonsense(f"a JSON object was expected, not {kind.get(type(value), 'a number')}")
    return value


def _explain(error: ValidationError, skip: int = 0) -> str:
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    said = [_problem(one["type"], one["loc"][skip:], one["msg"]) for one in problems[:PROBLEMS]]
    if len(problems) > PROBLEMS:
        said.append(f"and {len(problems) - PROBLEMS} more mistakes")
    return "; ".join(said)


def _problem(kind: str, path: Sequence[int | str], message: str) -> str:
    where = ".".join(str(step)[:40] for step in path)
    match kind:
        case "missing":
            return f'"{where}" is missing'
        case "extra_forbidden":
            return f'"{where}" is not a known field'
        case "union_tag_invalid" | "union_tag_not_found":
            return 'a frame has a "type": "open", "typing" or "press"'
        case _:
            return f'"{where}" ' + re.sub(r"^\w+ should ", "must ", message)


# --- out ---------------------------------------------------------------------------------------


def dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def moment(seconds: float) -> str:
    """ISO 8601 in UTC, to the millisecond."""
    when = datetime.fromtimestamp(seconds, UTC)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def room_json(room: Room, threads: Sequence[Thread]) -> dict[str, object]:
    last = max((thread.last_at for thread in threads), default=room.created_at)
    return {
        "name": room.name,
        "bots": list(room.bots),
        "host": room.host,
        "configured": room.configured,
        "threads": len(threads),
        "last_at": moment(last),
    }


def thread_json(thread: Thread) -> dict[str, object]:
    return {
        "id": thread.id,
        "title": thread.title,
        "at": moment(thread.created_at),
        "last_at": moment(thread.last_at),
        "messages": thread.count,
        "main": thread.main,
    }


def picture_url(jpeg: bytes) -> str:
    """A small picture as an address that a page can show."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}" if jpeg else ""


def message_json(message: Message, mirror: str) -> dict[str, object]:
    """`mirror` is the adapter's name: only what was said there names the message it answers by an
    id that pages know."""
    answers = message.reply_to if message.address.adapter == mirror else ""
    return {
        "id": message.id,
        "thread": message.thread,
        "author": message.speaker,
        "bot": bool(message.bot),
        "text": message.text,
        # Several messages of one answer; a name is that of one of a crowd.
        "bubbles": [{"name": one.name, "text": one.text} for one in message.bubbles],
        "at": moment(message.sent_at),
        "files": [
            {
                "name": file.name,
                "type": file.media_type,
                "size": file.size,
                "url": f"/files/{file.sha256}",
                "spoiler": file.spoiler,
                "transcript": file.transcript.text if file.transcript else "",
            }
            for file in message.files
        ],
        "kind": message.kind.value,
        "reply_to": int(answers) if answers.isdecimal() else None,
        "edited": message.edited_at is not None,
        "seq": message.seq,
    }


def change_json(message: Message, mirror: str) -> dict[str, object]:
    """A message as it is now, or that it is gone."""
    if message.deleted_at is not None:
        return {"id": message.id, "thread": message.thread, "seq": message.seq, "deleted": True}
    return message_json(message, mirror)
