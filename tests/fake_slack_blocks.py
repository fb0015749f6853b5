"""What Slack refuses in the blocks of a message or a window. Knows only Block Kit."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_KINDS = {
    "actions", "context", "context_actions", "divider", "file", "header", "image", "input",
    "markdown", "rich_text", "section", "table", "video",
}  # fmt: skip


def mistakes(blocks: list[Any]) -> list[str]:
    """What is wrong, in Slack's words; nothing where the blocks are fine."""
    found = list(_whole(blocks))
    for index, block in enumerate(blocks):
        found += _block(block, f"/blocks/{index}")
    return [f"[ERROR] {what} [json-pointer:{where}]" for what, where in found]


def pictures(blocks: list[Any]) -> Iterator[tuple[str, str]]:
    """The ids of the files that blocks show, each with where it stands."""
    for index, block in enumerate(blocks):
        if isinstance(block, dict) and block.get("type") == "image" and "slack_file" in block:
            yield str(block["slack_file"].get("id", "")), f"/blocks/{index}/slack_file/id"


def _whole(blocks: list[Any]) -> Iterator[tuple[str, str]]:
    if len(blocks) > 50:
        yield "no more than 50 items allowed", "/blocks"
    written = [block for block in blocks if isinstance(block, dict)]
    ids = Counter(block["block_id"] for block in written if "block_id" in block)
    if ids and max(ids.values()) > 1:
        yield "`block_id` already exists", "/blocks"
    markdown = [str(block.get("text", "")) for block in written if block.get("type") == "markdown"]
    if sum(map(len, markdown)) > 12_000:
        yield "must be less than 12001 characters", "/blocks"


def _block(block: Any, at: str) -> Iterator[tuple[str, str]]:
    if not isinstance(block, dict) or block.get("type") not in _KINDS:
        yield "unsupported type", f"{at}/type"
        return
    if len(str(block.get("block_id", ""))) > 255:
        yield "must be less than 256 characters", f"{at}/block_id"
    match block["type"]:
        case "section":
            if not block.get("text") and not block.get("fields"):
                yield "must provide either `text` or `fields`", at
            if "text" in block:
                yield from _text(block["text"], f"{at}/text", 3000)
            if len(block.get("fields", ())) > 10:
                yield "no more than 10 items allowed", f"{at}/fields"
            for index, text in enumerate(block.get("fields", ())):
                yield from _text(text, f"{at}/fields/{index}", 2000)
            if "accessory" in block:
                yield from _element(block["accessory"], f"{at}/accessory")
        case "header":
            yield from _text(block.get("text"), f"{at}/text", 150, plain=True)
        case "markdown":
            if not isinstance(block.get("text"), str):
                yield "missing required field: text", at
        case "context":
            if not 1 <= len(block.get("elements", ())) <= 10:
                yield "must have 1 to 10 items", f"{at}/elements"
            for index, element in enumerate(block.get("elements", ())):
                if element.get("type") != "image":
                    yield from _text(element, f"{at}/elements/{index}", 3000)
        case "actions":
            elements = block.get("elements", ())
            if not 1 <= len(elements) <= 25:
                yield "must have 1 to 25 items", f"{at}/elements"
            ids = Counter(element.get("action_id") for element in elements)
            ids.pop(None, None)
            if ids and max(ids.values()) > 1:
                yield "`action_id` already exists", f"{at}/elements"
            for index, element in enumerate(elements):
                yield from _element(element, f"{at}/elements/{index}")
        case "image":
            if not (block.get("image_url") or block.get("slack_file")):
                yield "missing required field: image_url", at
            if not block.get("alt_text"):
                yield "missing required field: alt_text", at
            if len(str(block.get("alt_text", ""))) > 2000:
                yield "must be less than 2001 characters", f"{at}/alt_text"
        case "input":
            yield from _text(block.get("label"), f"{at}/label", 2000, plain=True)
            yield from _element(block.get("element"), f"{at}/element")


def _text(text: Any, at: str, most: int, *, plain: bool = False) -> Iterator[tuple[str, str]]:
    kinds = {"plain_text"} if plain else {"plain_text", "mrkdwn"}
    if not isinstance(text, dict) or text.get("type") not in kinds:
        yield "unsupported type", f"{at}/type"
    elif not isinstance(text.get("text"), str) or not text["text"]:
        yield "must be more than 0 characters", f"{at}/text"
    elif len(text["text"]) > most:
        yield f"must be less than {most + 1} characters", f"{at}/text"


def _element(element: Any, at: str) -> Iterator[tuple[str, str]]:
    if not isinstance(element, dict) or "type" not in element:
        yield "unsupported type", f"{at}/type"
    elif element["type"] == "button":
        yield from _text(element.get("text"), f"{at}/text", 75, plain=True)
        for name, most in (("action_id", 255), ("value", 2000), ("url", 3000)):
            if len(str(element.get(name, ""))) > most:
                yield f"must be less than {most + 1} characters", f"{at}/{name}"
    elif element["type"] == "plain_text_input":
        most = element.get("max_length", 3000)
        if not 1 <= most <= 3000:
            yield "must be between 1 and 3000", f"{at}/max_length"
        if len(str(element.get("initial_value", ""))) > most:
            yield f"must be less than {most + 1} characters", f"{at}/initial_value"
