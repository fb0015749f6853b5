"""Windows that a button opens: the form for another prompt, and the picture behind a cover. Knows
no sockets.

Slack opens a window within three seconds of the press, or not at all.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from slack_sdk.errors import SlackApiError

from adapters.controls import MARK
from adapters.slack.blocks import SHOW, image
from adapters.slack.events import listed, part, text
from adapters.slack.web import code
from botdaemon.types import Control

if TYPE_CHECKING:
    from adapters.slack.events import Reader
    from adapters.slack.web import JSON, Web
    from botdaemon.ports import Surroundings
    from botdaemon.types import Pressed

log = logging.getLogger(__name__)

EDIT = f"{MARK}{Control.EDIT}"
#: the form's field
PROMPT = f"{MARK}prompt"
#: longest text of a field
LONGEST = 3000
#: seconds that the present prompt may take; then the form is empty
PATIENCE = 1.5


class Forms:
    """Opens windows, and reads what was written into them."""

    def __init__(self, web: Web, reader: Reader, around: Surroundings) -> None:
        self._web = web
        self._reader = reader
        self._around = around

    async def open(self, body: JSON) -> bool:
        """Open the window that the pressed button is for. False when it is for none, or the window
        does not open."""
        for action in listed(body, "actions"):
            try:
                if text(action, "action_id") == SHOW:
                    file, _, alt = text(action, "value").partition(" ")
                    return await self._open(body, _window("Picture", [image(file, alt)]))
                if text(action, "action_id") == EDIT:
                    return await self._open(body, await self._form(body))
            except Exception as error:  # whoever pressed is told how else it is done
                named = isinstance(error, SlackApiError) and code(error)
                log.warning(
                    "a window does not open: %s",
                    named or type(error).__name__,
                    extra={"event": "form_failed"},
                )
        return False

    async def submitted(self, body: JSON, at: float) -> Pressed | None:
        """What was written into the form; None for a window of another kind."""
        view = part(body, "view")
        if text(view, "callback_id") != EDIT:
            return None
        pressed = {
            "container": json.loads(text(view, "private_metadata")),
            "user": part(body, "user"),
            "actions": [{"action_id": EDIT}],
        }
        event = await self._reader.pressed(pressed, at)
        values = part(part(part(view, "state"), "values"), PROMPT)
        prompt = text(part(values, PROMPT), "value").strip()
        return None if event is None else replace(event, key=f"form:{view['id']}", text=prompt)

    async def _open(self, body: JSON, view: JSON) -> bool:
        await self._web.api.views_open(trigger_id=text(body, "trigger_id"), view=view)
        return True

    async def _form(self, body: JSON) -> JSON:
        pressed = await self._reader.pressed(body, time.time())
        assert pressed is not None  # the button is ours
        container = {
            "channel_id": pressed.address.channel,
            "message_ts": pressed.platform_id,
            "thread_ts": pressed.address.topic,
        }
        field: dict[str, Any] = {
            "type": "plain_text_input",
            "action_id": PROMPT,
            "multiline": True,
            "max_length": LONGEST,
        }
        if prompt := await self._prompt(pressed):
            field["initial_value"] = prompt[:LONGEST]
        return _window(
            "Edit prompt",
            [{"type": "input", "block_id": PROMPT, "label": _plain("Prompt"), "element": field}],
            callback_id=EDIT,
            private_metadata=json.dumps(container),
            submit=_plain("Draw"),
        )

    async def _prompt(self, pressed: Pressed) -> str:
        if self._around.prompt_of is None:
            return ""
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._around.prompt_of(pressed.address, pressed.platform_id)
        except TimeoutError:
            return ""


def _window(title: str, blocks: list[JSON], **more: Any) -> JSON:
    return {
        "type": "modal",
        "title": _plain(title),
        "close": _plain("Close"),
        "blocks": blocks,
        **more,
    }


def _plain(words: str) -> JSON:
    return {"type": "plain_text", "text": words}
