"""How the fake Telegram reads text: its HTML, entities counted in UTF-16, and what it finds itself.

Knows no chats. Written after TDLib's parser and checked with TDLib's own cases, whose error texts
name the offset in bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

Entity = dict[str, Any]

TAGS = {
    "b": "bold",
    "strong": "bold",
    "i": "italic",
    "em": "italic",
    "u": "underline",
    "ins": "underline",
    "s": "strikethrough",
    "strike": "strikethrough",
    "del": "strikethrough",
    "tg-spoiler": "spoiler",
    "span": "spoiler",
    "tg-emoji": "custom_emoji",
    "a": "text_link",
    "pre": "pre",
    "code": "code",
    "blockquote": "blockquote",
}
SPACES = " \t\r\n\0\v"
CHARACTER = re.compile(r"&(?:#x(?P<hex>[0-9a-fA-F]+)|#(?P<dec>[0-9]+)|(?P<name>[A-Za-z]+));?")
NAMED = {"lt": "<", "gt": ">", "amp": "&", "quot": '"'}
FOUND = {
    "url": re.compile(r"https?://[^\s<>\"]+[^\s<>\".,!?)]"),
    "mention": re.compile(r"(?<![\w@/])@[A-Za-z]\w{2,31}(?!\w)", re.ASCII),
    "bot_command": re.compile(r"(?<![\w/<>])/\w{1,64}(?:@\w{3,32})?(?![\w/<>])", re.ASCII),
}
MOST_ENTITIES = 100


class CannotParse(Exception):
    """The text is not what its parse mode says it is."""


@dataclass(frozen=True, slots=True)
class Marked:
    """A text and its entities."""

    text: str
    entities: list[Entity]


def units(text: str) -> int:
    """Its length in UTF-16 code units, which is how Telegram counts."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def part(text: str, entity: Entity) -> str:
    """The part of a text that an entity is about."""
    raw = text.encode("utf-16-le")
    start, end = 2 * entity["offset"], 2 * (entity["offset"] + entity["length"])
    return raw[start:end].decode("utf-16-le")


def tidy(marked: Marked) -> Marked:
    """As the server keeps it: without space around it, and with what it finds in it itself."""
    text = marked.text.strip(" \t\r\n\0")
    skipped = units(marked.text[: len(marked.text) - len(marked.text.lstrip(" \t\r\n\0"))])
    entities = []
    for entity in marked.entities:
        start = max(entity["offset"] - skipped, 0)
        end = min(entity["offset"] - skipped + entity["length"], units(text))
        if end > start:
            entities.append({**entity, "offset": start, "length": end - start})
    for kind, pattern in FOUND.items():
        for match in pattern.finditer(text):
            found = {
                "type": kind,
                "offset": units(text[: match.start()]),
                "length": units(match.group()),
            }
            if not any(_shut(entity, found) for entity in entities):
                entities.append(found)
    entities.sort(key=lambda entity: (entity["offset"], -entity["length"]))
    return Marked(text, entities[:MOST_ENTITIES])


def _shut(entity: Entity, found: Entity) -> bool:
    """In code and links nothing is looked for."""
    return (
        entity["type"] in {"pre", "code", "text_link", "text_mention", "mention", "url"}
        and entity["offset"] < found["offset"] + found["length"]
        and found["offset"] < entity["offset"] + entity["length"]
    )


def check_entities(text: str, entities: list[Entity]) -> Marked:
    """Entities that a client counted itself."""
    for entity in entities:
        if not all(isinstance(entity.get(key), int) for key in ("offset", "length")):
            raise CannotParse("Can't parse MessageEntity: Field must be of type Number")
        if entity["offset"] < 0 or entity["length"] < 0:
            raise CannotParse("Receive an entity with incorrect offset or length")
        if entity["offset"] + entity["length"] > units(text):
            raise CannotParse(
                f"Entity beginning at UTF-16 offset {entity['offset']} ends after "
                "the end of the text"
            )
        try:
            part(text, entity)
        except UnicodeDecodeError as error:
            raise CannotParse(
                f"Entity beginning at UTF-16 offset {entity['offset']} ends in a middle of a "
                "UTF-16 symbol"
            ) from error
    return Marked(text, [entity for entity in entities if entity["length"]])


@dataclass(slots=True)
class _Open:
    tag: str
    argument: str
    start: int
    """Where its text begins in what was written so far."""


class _Html:
    def __init__(self, source: str) -> None:
        self.source = source
        self.at = 0
        self.text = ""
        self.open: list[_Open] = []
        self.entities: list[Entity] = []

    def parse(self) -> Marked:
        while self.at < len(self.source):
            if self.here() == "&":
                self.text += self.character()
            elif self.here() != "<":
                self.text += self.here()
                self.at += 1
            elif self.source[self.at + 1 : self.at + 2] == "/":
                self.end_tag()
            else:
                self.start_tag()
        if self.open:
            tag = self.open[-1].tag
            raise CannotParse(f'Can\'t find end tag corresponding to start tag "{tag}"')
        if any("\ud800" <= letter <= "\udfff" for letter in self.text):
            raise CannotParse(
                "Text contains invalid Unicode characters after decoding HTML entities, "
                "check for unmatched surrogate code units"
            )
        for entity in self.entities:
            if entity["type"] == "code":
                entity.pop("language", None)
        self.entities.sort(key=lambda entity: (entity["offset"], -entity["length"]))
        return Marked(self.text, self.entities)

    def here(self) -> str:
        return self.source[self.at : self.at + 1]

    def byte(self, at: int) -> int:
        return len(self.source[:at].encode("utf-8", "surrogatepass"))

    def skip(self, *, until: str = "", over: str = "") -> str:
        """Go on until one of these, or over all of these; the end of the text ends both."""
        begin = self.at
        while self.here() and (self.here() not in until if until else self.here() in over):
            self.at += 1
        return self.source[begin : self.at]

    def character(self) -> str:
        match = CHARACTER.match(self.source, self.at)
        decoded = ""
        if match is not None:
            if match["name"]:
                decoded = NAMED.get(match["name"], "")
            else:
                code = int(match["hex"], 16) if match["hex"] else int(match["dec"])
                decoded = chr(code) if 0 < code < 0x10FFFF else ""
        if match is None or not decoded:
            self.at += 1
            return "&"
        self.at = match.end()
        return decoded

    def start_tag(self) -> None:
        begin = self.at
        where = f"at byte offset {self.byte(begin)}"
        self.at += 1
        tag = self.skip(until=SPACES + ">").lower()
        if not self.here():
            raise CannotParse(f"Unclosed start tag {where}")
        if tag not in TAGS:
            raise CannotParse(f'Unsupported start tag "{tag}" {where}')
        argument = ""
        while True:
            self.skip(over=SPACES)
            if self.here() == ">":
                break
            name = self.skip(until=SPACES + "=>")
            if not name:
                if not self.here():
                    raise CannotParse(f'Unclosed start tag "{tag}" {where}')
                raise CannotParse(f'Empty attribute name in the tag "{tag}" {where}')
            self.skip(over=SPACES)
            value = ""
            if self.here() == "=":
                self.at += 1
                self.skip(over=SPACES)
                value = self.value(tag, where)
            if not self.here():
                raise CannotParse(f"Unclosed start tag {where}")
            match tag, name:
                case ("a", "href") | ("tg-emoji", "emoji-id"):
                    argument = value
                case ("code", "class") if value.startswith("language-"):
                    argument = value.removeprefix("language-")
                case ("span", "class"):
                    argument = value
                case ("blockquote", "expandable"):
                    argument = name
        self.at += 1
        if tag == "span" and argument != "tg-spoiler":
            raise CannotParse(f'Tag "span" must have class "tg-spoiler" {where}')
        self.open.append(_Open(tag, argument, len(self.text)))

    def value(self, tag: str, where: str) -> str:
        quote = self.here()
        if not quote:
            raise CannotParse(f'Unclosed start tag "{tag}" {where}')
        if quote not in "'\"":
            begin = self.at
            while self.here() and (
                (self.here().isascii() and self.here().isalnum()) or self.here() in ".-"
            ):
                self.at += 1
            if self.here() not in SPACES + ">":
                raise CannotParse(f"Unexpected end of name token at byte offset {self.byte(begin)}")
            return self.source[begin : self.at].lower()
        self.at += 1
        value = ""
        while self.here() and self.here() != quote:
            if self.here() == "&":
                value += self.character()
            else:
                value += self.here()
                self.at += 1
        self.at += 1
        return value

    def end_tag(self) -> None:
        where = f"at byte offset {self.byte(self.at)}"
        if not self.open:
            raise CannotParse(f"Unexpected end tag {where}")
        self.at += 2
        tag = self.skip(until=SPACES + ">").lower()
        self.skip(over=SPACES)
        if self.here() != ">":
            raise CannotParse(f"Unclosed end tag {where}")
        self.at += 1
        opened = self.open.pop()
        if tag and tag != opened.tag:
            raise CannotParse(
                f'Unmatched end tag {where}, expected "</{opened.tag}>", found "</{tag}>"'
            )
        if len(self.text) > opened.start:
            self.close(opened)

    def close(self, opened: _Open) -> None:
        inner = self.text[opened.start :]
        entity: Entity = {
            "type": TAGS[opened.tag],
            "offset": units(self.text[: opened.start]),
            "length": units(inner),
        }
        last = self.entities[-1] if self.entities else {}
        same = all(last.get(key) == entity[key] for key in ("offset", "length"))
        match opened.tag:
            case "a":
                link = _link(opened.argument or inner)
                if not link:
                    return
                entity |= link
            case "tg-emoji":
                if not opened.argument.isdigit():
                    raise CannotParse("Invalid custom emoji identifier specified")
                entity["custom_emoji_id"] = opened.argument
            case "pre" if same and last["type"] == "code" and last.get("language"):
                last["type"] = "pre"
                return
            case "code" if same and last["type"] == "pre" and opened.argument:
                last["language"] = opened.argument
                return
            case "code" if opened.argument:
                entity["language"] = opened.argument
            case "blockquote" if opened.argument:
                entity["type"] = "expandable_blockquote"
        self.entities.append(entity)


def _link(url: str) -> Entity:
    """A link to a page or a person; what is neither is silently no link."""
    if user := re.fullmatch(r"tg://user\?id=(\d+)", url):
        return {"type": "text_mention", "user": {"id": int(user[1])}}
    if re.match(r"(?:https?|tg|ton|tonsite)://[^\s/]", url):
        return {"url": url}
    if bare := re.fullmatch(r"([\w-]+(?:\.[\w-]+)+(?::\d+)?)([/?#]\S*)?", url):
        rest = bare[2] or "/"
        return {"url": f"http://{bare[1]}{rest if rest.startswith('/') else '/' + rest}"}
    return {}


def parse_html(source: str) -> Marked:
    """Read text in Telegram's HTML, or say why not in the words of the server."""
    return _Html(source).parse()
