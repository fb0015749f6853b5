"""How the fake Telegram reads a request's parameters, and what it refuses in them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web
from fake_telegram_text import CannotParse, Marked, check_entities, parse_html, tidy, units
from fake_telegram_world import Refused

if TYPE_CHECKING:
    from fake_telegram_world import Json


@dataclass(frozen=True, slots=True)
class Upload:
    """A file in a request."""

    name: str
    data: bytes


async def read(request: web.Request) -> Json:
    """Query, form, multipart or JSON: the server takes them all."""
    said: Json = dict(request.query)
    if request.content_type == "application/json":
        try:
            body = await request.json()
        except ValueError:
            body = {}
        return said | body if isinstance(body, dict) else said
    for name, value in (await request.post()).items():
        if isinstance(value, web.FileField):
            said[name] = Upload(value.filename, value.file.read())
            value.file.close()
        else:
            said[name] = value
    return said


class Params:
    """The parameters of one call."""

    def __init__(self, said: Json) -> None:
        self._said = said

    def text(self, name: str) -> str:
        value = self._said.get(name, "")
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, Upload):
            return ""
        return value if isinstance(value, str) else json.dumps(value)

    def number(self, name: str, otherwise: int = 0) -> int:
        try:
            return int(float(self.text(name)))
        except ValueError:
            return otherwise

    def flag(self, name: str) -> bool:
        return self.text(name).lower() in ("true", "yes", "1")

    def json(self, name: str, what: str) -> Any:
        """A nested value: as it is in a JSON body, written as JSON in a form."""
        text = self.text(name)
        if not text:
            return None
        try:
            return json.loads(text)
        except ValueError as error:
            raise Refused(400, f"Bad Request: can't parse {what} JSON object") from error

    def inside(self, name: str, what: str) -> Params:
        """The parameters of an object within this call, which names its files by attach://."""
        nested = self.json(name, what)
        if not isinstance(nested, dict):
            raise Refused(400, f"Bad Request: {name} is not specified")
        files = {key: value for key, value in self._said.items() if isinstance(value, Upload)}
        return Params(files | nested)

    def uploads(self) -> list[Upload]:
        return [value for value in self._said.values() if isinstance(value, Upload)]

    def file(self, name: str) -> Upload | str:
        """A file of this request (in place, or by attach://), or the text that names one."""
        value = self._said.get(name, "")
        if isinstance(value, str) and value.startswith("attach://"):
            value = self._said.get(value.removeprefix("attach://"), "")
        return value if isinstance(value, Upload) else self.text(name)

    def marked(self, name: str, entities: str, limit: int, too_long: str) -> Marked:
        """Text with its entities, however the client gave them."""
        mode, source = self.text("parse_mode"), self.text(name)
        try:
            if mode.lower() == "html":
                marked = parse_html(source)
            elif mode:
                # The real server reads Markdown as well. Nothing here writes it.
                raise Refused(400, "Bad Request: unsupported parse_mode")
            else:
                found = self.json(entities, "entities")
                marked = check_entities(source, found if isinstance(found, list) else [])
        except CannotParse as error:
            raise Refused(400, f"Bad Request: can't parse entities: {error}") from error
        marked = tidy(marked)
        if units(marked.text) > limit:
            raise Refused(400, too_long)
        return marked

    def keyboard(self) -> Json:
        """The inline keyboard as a message carries it; other keyboards are not shown in it."""
        markup = self.json("reply_markup", "reply keyboard markup")
        if markup is None:
            return {}
        if not isinstance(markup, dict):
            raise Refused(400, "Bad Request: object expected as reply markup")
        rows = markup.get("inline_keyboard", [])
        if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
            raise Refused(
                400, 'Bad Request: field "inline_keyboard" must be of type Array of Arrays'
            )
        for button in (button for row in rows for button in row):
            _check_button(button)
        rows = [row for row in rows if row]
        return {"reply_markup": {"inline_keyboard": rows}} if rows else {}

    def preview(self) -> Json:
        options = self.json("link_preview_options", "link preview options")
        if options is None:
            return (
                {"link_preview_options": {"is_disabled": True}}
                if self.flag("disable_web_page_preview")
                else {}
            )
        if not isinstance(options, dict):
            raise Refused(400, "Bad Request: object expected as link preview options")
        return {"link_preview_options": options}


def _check_button(button: Any) -> None:
    words = "Bad Request: can't parse inline keyboard button: "
    if not isinstance(button, dict):
        raise Refused(400, words + "expected an Object")
    if not isinstance(button.get("text"), str):
        raise Refused(400, words + 'Field "text" must be of type String')
    if "callback_data" in button:
        if not 1 <= len(str(button["callback_data"]).encode()) <= 64:
            raise Refused(400, "Bad Request: BUTTON_DATA_INVALID")
    elif not button.keys() & {"url", "switch_inline_query", "web_app", "copy_text", "login_url"}:
        raise Refused(400, words + "Text buttons are unallowed in the inline keyboard")
