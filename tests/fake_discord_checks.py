"""What the fake Discord refuses about messages: lengths, sizes, rights. Changes nothing."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, NamedTuple

from fake_discord_nouns import (
    FORUM,
    JSON,
    THREADS,
    Channel,
    Refusal,
    invalid,
    missing_access,
    missing_permissions,
    unknown,
)

if TYPE_CHECKING:
    from fake_discord_world import World

MAX_TEXT = 2000
MAX_UPLOAD = 10 * 1024 * 1024
SUPPRESS_EMBEDS, EPHEMERAL, LOADING, COMPONENTS_V2 = 1 << 2, 1 << 6, 1 << 7, 1 << 15
VOICE_MESSAGE = 1 << 13
LONGEST_WAVEFORM = 256
REPLY, STARTER, THREAD_CREATED = 19, 21, 18
SYSTEM = (STARTER, THREAD_CREATED)
ROW, TEXT_INPUT, LABEL = 1, 4, 18
LONGEST_INPUT = 4000


class Upload(NamedTuple):
    """A file as it is sent."""

    name: str
    data: bytes
    #: as the request says
    type: str = ""


Files = dict[int, Upload]
"""Uploads by the number in their `files[n]`."""


def check(payload: JSON, files: Files, *, kept: int = 0, max_text: int = MAX_TEXT) -> None:
    """Whether a message may be as it is. `kept` are the files it has already."""
    content = payload.get("content") or ""
    if not isinstance(content, str):
        raise invalid("content", "STRING_TYPE_CONVERT", "Could not interpret as a string.")
    if len(content.strip()) > max_text:
        raise invalid("content", "BASE_TYPE_MAX_LENGTH", f"Must be {max_text} or fewer in length.")
    if len(payload.get("embeds") or []) > 10:
        raise invalid("embeds", "BASE_TYPE_MAX_LENGTH", "Must be 10 or fewer in length.")
    if len(files) + kept > 10:
        raise invalid("attachments", "BASE_TYPE_MAX_LENGTH", "Must be 10 or fewer in length.")
    if any(len(file.data) > MAX_UPLOAD for file in files.values()):
        raise Refusal(413, 40005, "Request entity too large")
    components = payload.get("components") or []
    if (payload.get("flags") or 0) & VOICE_MESSAGE:
        _check_voice(payload, files, kept)
    check_components(components)
    modern = (payload.get("flags") or 0) & COMPONENTS_V2
    if modern and (content or payload.get("embeds")):
        raise invalid(
            "content",
            "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2",
            "The 'content' field cannot be used when using MessageFlags.IS_COMPONENTS_V2",
        )
    there = content.strip() or payload.get("embeds") or payload.get("sticker_ids") or components
    if not (there or files or kept):
        raise Refusal(400, 50006, "Cannot send an empty message")
    allowed = payload.get("allowed_mentions") or {}
    for key in ("users", "roles"):
        if key in allowed.get("parse", []) and allowed.get(key):
            raise invalid(
                "allowed_mentions",
                "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE",
                f'parse:["{key}"] and {key}: [ids...] are mutually exclusive.',
            )


def _check_voice(payload: JSON, files: Files, kept: int) -> None:
    """The rules for voice messages: one sound, what Discord shows of it, and nothing else
    (https://discord.com/developers/docs/resources/message#message-object-voice-messages)."""
    if kept:
        raise Refusal(400, 50162, "Voice messages cannot be edited.")
    if any(payload.get(key) for key in ("content", "embeds", "components", "sticker_ids", "poll")):
        raise Refusal(400, 50159, "Voice messages do not support additional content.")
    described = payload.get("attachments") or []
    if len(files) != 1 or len(described) != 1:
        raise Refusal(400, 50160, "Voice messages must have a single audio attachment.")
    # What is told of a sound counts only where the part of the form says that it is one.
    [file] = files.values()
    sound = file.type.startswith("audio/")
    try:
        waveform = base64.b64decode(described[0].get("waveform") or "", validate=True)
    except (binascii.Error, ValueError):
        waveform = b""
    if not (sound and described[0].get("duration_secs") and 0 < len(waveform) <= LONGEST_WAVEFORM):
        raise Refusal(400, 50161, "Voice messages must have supporting metadata.")


def check_components(components: list[JSON]) -> None:
    """The rules for rows of buttons."""
    seen: set[str] = set()
    if len(components) > 5:
        raise invalid("components", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 5 in length.")
    for index, row in enumerate(components):
        inside = row.get("components", [])
        if row.get("type") == 1 and not 1 <= len(inside) <= 5:
            where = f"components.{index}.components"
            raise invalid(where, "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 5 in length.")
        for number, part in enumerate(inside):
            where = f"components.{index}.components.{number}"
            id, label = part.get("custom_id"), part.get("label") or ""
            if id is not None and not 1 <= len(id) <= 100:
                raise invalid(
                    f"{where}.custom_id",
                    "BASE_TYPE_BAD_LENGTH",
                    "Must be between 1 and 100 in length.",
                )
            if id in seen:
                raise invalid(
                    f"{where}.custom_id",
                    "COMPONENT_CUSTOM_ID_DUPLICATED",
                    "Component custom id cannot be duplicated",
                )
            if id is not None:
                seen.add(id)
            if len(label) > 80:
                raise invalid(
                    f"{where}.label", "BASE_TYPE_MAX_LENGTH", "Must be 80 or fewer in length."
                )
            if part.get("type") == 2 and not (label or part.get("emoji")):
                raise invalid(where, "BUTTON_COMPONENT_INVALID", "A button needs a label or emoji")


def check_form(form: JSON) -> None:
    """The rules for a modal: its title, and one to five parts, each a text input by itself in a row
    or under a label. Other inputs are known to Discord, and to nobody here."""
    _length(form.get("title"), "title", 1, 45)
    _length(form.get("custom_id"), "custom_id", 1, 100)
    parts = form.get("components") or []
    if not 1 <= len(parts) <= 5:
        raise invalid("components", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 5 in length.")
    for index, part in enumerate(parts):
        where = f"components.{index}"
        if part.get("type") == LABEL:
            _length(part.get("label"), f"{where}.label", 1, 45)
            _length(part.get("description", " "), f"{where}.description", 1, 100)
            _check_input(part.get("component") or {}, f"{where}.component")
        elif part.get("type") == ROW and len(part.get("components", [])) == 1:
            _length(part["components"][0].get("label"), f"{where}.components.0.label", 1, 45)
            _check_input(part["components"][0], f"{where}.components.0")
        else:
            raise invalid(where, "UNION_TYPE_CHOICES", 'Value of field "type" must be one of them')


def _check_input(given: JSON, where: str) -> None:
    if given.get("type") != TEXT_INPUT or given.get("style") not in (1, 2):
        raise invalid(f"{where}.type", "BASE_TYPE_CHOICES", "Value must be one of them")
    _length(given.get("custom_id"), f"{where}.custom_id", 1, 100)
    for limit, least in (("min_length", 0), ("max_length", 1)):
        if not least <= given.get(limit, 1) <= LONGEST_INPUT:
            raise invalid(f"{where}.{limit}", "NUMBER_TYPE_MAX", "int value out of range.")
    most = given.get("max_length", LONGEST_INPUT)
    if "value" in given:
        _length(given["value"], f"{where}.value", 0, most)


def _length(text: Any, where: str, least: int, most: int) -> None:
    if not isinstance(text, str):
        raise invalid(where, "BASE_TYPE_REQUIRED", "This field is required")
    if not least <= len(text) <= most:
        raise invalid(
            where, "BASE_TYPE_BAD_LENGTH", f"Must be between {least} and {most} in length."
        )


def inputs(form: JSON) -> list[JSON]:
    """The text inputs of a modal."""
    return [
        part["component"] if part["type"] == LABEL else part["components"][0]
        for part in form["components"]
    ]


def guard_writing(world: World, channel: Channel, files: Files) -> None:
    """Whether our account may write there."""
    if not world.readable(channel):
        raise missing_access()
    if channel.type == FORUM:
        raise Refusal(400, 50008, "Cannot send messages in a non-text channel")
    needed = "SEND_MESSAGES_IN_THREADS" if channel.type in THREADS else "SEND_MESSAGES"
    if not world.may(channel, needed) or (files and not world.may(channel, "ATTACH_FILES")):
        raise missing_permissions()
    if channel.type in THREADS and channel.locked and not world.may(channel, "MANAGE_THREADS"):
        raise Refusal(400, 160005, "Thread is locked")


def channel_of(world: World, id: str) -> Channel:
    """A channel our account may look into."""
    channel = world.channels.get(id)
    if channel is None:
        raise unknown("Channel")
    if not world.readable(channel):
        raise missing_access()
    return channel


def need(world: World, channel: Channel, permission: str) -> None:
    """Refuse what our account may not do there."""
    if not world.may(channel, permission):
        raise missing_permissions()
