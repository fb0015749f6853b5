"""The form in which a prompt is edited, as Discord writes it. Knows no connection, and not what
becomes of the prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adapters.controls import LABELS, MARK
from adapters.discord.reading import snowflake_in
from botdaemon.types import Control

if TYPE_CHECKING:
    from adapters.discord.wire import JSON

LABEL, TEXT_INPUT = 18, 4
PARAGRAPH = 2
#: Discord's longest text of an input
LONGEST = 4000
_MARK = f"{MARK}{Control.EDIT}:"
_INPUT = "prompt"


def form(message: str, prompt: str) -> JSON:
    """A form for the prompt of the picture in a message of this id. What it is about stands in the
    form itself, so nothing has to be remembered until it comes back."""
    field: JSON = {
        "type": TEXT_INPUT,
        "custom_id": _INPUT,
        "style": PARAGRAPH,
        "min_length": 1,
        "max_length": LONGEST,
        "required": True,
    }
    if prompt:
        field["value"] = prompt[:LONGEST]
    described = "Options such as --steps 20 or --seed 4 may stand in it."
    label = {"type": LABEL, "label": "Prompt", "description": described, "component": field}
    return {
        "custom_id": f"{_MARK}{message}",
        "title": LABELS[Control.EDIT],
        "components": [label],
    }


def is_form(inner: JSON) -> bool:
    """Whether what was submitted is a form of ours."""
    return str(inner.get("custom_id")).startswith(_MARK)


def filled(inner: JSON) -> tuple[str, str]:
    """The id of the message it is about, and the prompt. Raises `Unreadable`."""
    message = str(inner["custom_id"]).removeprefix(_MARK)
    return snowflake_in({"id": message}, "id"), _value(inner).strip()


def _value(part: JSON) -> str:
    """The text of our input, however deep it lies: a form comes back with labels or, from before
    there were any, with rows."""
    if part.get("custom_id") == _INPUT and "value" in part:
        return str(part["value"])
    inside: list[Any] = [part.get("component"), *(part.get("components") or ())]
    for one in inside:
        if isinstance(one, dict) and (found := _value(one)):
            return found
    return ""
