"""Windows of the fake Slack: who may have one opened, and what is written into it. Knows no
requests."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fake_slack_blocks import mistakes
from fake_slack_team import Refused

if TYPE_CHECKING:
    from fake_slack_team import JSON


@dataclass(frozen=True, slots=True)
class Window:
    """A modal view before a person."""

    view: JSON

    @property
    def _field(self) -> JSON:
        return next(block for block in self.view["blocks"] if block["type"] == "input")

    @property
    def value(self) -> str:
        """What its first field says before anybody writes."""
        return str(self._field["element"].get("initial_value", ""))

    def written(self, text: str) -> JSON:
        """The view as it is submitted, with this in its first field."""
        block, element = self._field, self._field["element"]
        if not 1 <= len(text) <= element.get("max_length", 3000):
            raise ValueError(f"Slack does not let somebody submit {len(text)} characters there")
        value = {"type": element["type"], "value": text}
        values = {block["block_id"]: {element["action_id"]: value}}
        return {**self.view, "state": {"values": values}}


class Windows:
    """A trigger serves once, and not for long."""

    def __init__(self) -> None:
        self.trigger_seconds = 3.0
        self.open: dict[str, Window] = {}
        """By person."""
        self._triggers: dict[str, tuple[str, float]] = {}
        self._used: set[str] = set()
        self._numbers = itertools.count(1)

    def trigger(self, user: str) -> str:
        """What an interaction hands the app."""
        trigger = f"{next(self._numbers)}.{time.time_ns()}.trigger"
        self._triggers[trigger] = (user, time.monotonic() + self.trigger_seconds)
        return trigger

    def show(self, trigger: str, view: JSON) -> JSON:
        """Open a window before whoever pulled the trigger; the view with what Slack adds."""
        if trigger in self._used:
            raise Refused("exchanged_trigger_id")
        if trigger not in self._triggers:
            raise Refused("invalid_trigger_id")
        user, until = self._triggers[trigger]
        if until < time.monotonic():
            raise Refused("expired_trigger_id")
        self._used.add(trigger)
        number = next(self._numbers)
        shown = {"id": f"V{number:010X}", "hash": f"{number}.hash", "private_metadata": "", **view}
        self.open[user] = Window(shown)
        return shown


def problems(view: JSON) -> list[str]:
    """What is wrong with a view, in Slack's words."""
    found = []
    if view.get("type") not in ("modal", "home"):
        found.append("unsupported type [json-pointer:/view/type]")
    for name in ("title", "submit", "close"):
        words = view.get(name)
        if words is None and name != "title":
            continue
        if not isinstance(words, dict) or words.get("type") != "plain_text":
            found.append(f"unsupported type [json-pointer:/view/{name}/type]")
        elif not 1 <= len(words.get("text", "")) <= 24:
            found.append(f"must be less than 25 characters [json-pointer:/view/{name}/text]")
    for name, most in (("private_metadata", 3000), ("callback_id", 255)):
        if len(view.get(name, "")) > most:
            found.append(f"must be less than {most + 1} characters [json-pointer:/view/{name}]")
    blocks = view.get("blocks") or []
    if not 1 <= len(blocks) <= 100:
        found.append("must have 1 to 100 items [json-pointer:/view/blocks]")
    if any(block.get("type") == "input" for block in blocks) and "submit" not in view:
        found.append("missing required field: submit [json-pointer:/view]")
    return [f"[ERROR] {what}" for what in found] + mistakes(blocks)
