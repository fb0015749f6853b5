"""Slack's names of emoji, as far as people commonly use them. Knows no messages.

Slack writes every emoji as a `:name:`, in reactions without the colons. The few that people react
with all the time are translated; any other keeps its name, which says what it shows as well.
"""

from __future__ import annotations

import re

_NAMES = {
    "+1": "👍", "thumbsup": "👍", "-1": "👎", "thumbsdown": "👎", "heart": "❤️", "tada": "🎉",
    "smile": "😄", "smiley": "😃", "grinning": "😀", "grin": "😁", "joy": "😂", "laughing": "😆",
    "rolling_on_the_floor_laughing": "🤣", "slightly_smiling_face": "🙂", "blush": "😊",
    "wink": "😉", "heart_eyes": "😍", "sunglasses": "😎", "thinking_face": "🤔", "cry": "😢",
    "sob": "😭", "angry": "😠", "rage": "😡", "confused": "😕", "disappointed": "😞",
    "sweat_smile": "😅", "upside_down_face": "🙃", "neutral_face": "😐", "open_mouth": "😮",
    "scream": "😱", "face_with_rolling_eyes": "🙄", "shrug": "🤷", "facepalm": "🤦",
    "face_palm": "🤦", "clap": "👏", "raised_hands": "🙌", "pray": "🙏", "wave": "👋",
    "muscle": "💪", "ok_hand": "👌", "point_up": "☝️", "point_right": "👉", "v": "✌️",
    "handshake": "🤝", "eyes": "👀", "fire": "🔥", "rocket": "🚀", "100": "💯", "star": "⭐",
    "star2": "🌟", "sparkles": "✨", "boom": "💥", "zap": "⚡", "bulb": "💡", "brain": "🧠",
    "white_check_mark": "✅", "heavy_check_mark": "✔️", "ballot_box_with_check": "☑️", "x": "❌",
    "warning": "⚠️", "no_entry": "⛔", "question": "❓",
    "exclamation": "❗", "bangbang": "‼️", "recycle": "♻️", "repeat": "🔁",
    "arrows_counterclockwise": "🔄", "hourglass": "⌛", "lock": "🔒", "key": "🔑", "bug": "🐛",
    "memo": "📝", "pushpin": "📌", "link": "🔗", "calendar": "📅", "bell": "🔔", "gift": "🎁",
    "coffee": "☕", "beers": "🍻", "pizza": "🍕", "cake": "🍰", "robot_face": "🤖", "skull": "💀",
    "ghost": "👻", "poop": "💩", "hankey": "💩", "see_no_evil": "🙈", "broken_heart": "💔",
    "blue_heart": "💙", "green_heart": "💚", "yellow_heart": "💛", "purple_heart": "💜",
    "black_heart": "🖤", "sunny": "☀️", "snowflake": "❄️", "rainbow": "🌈",
}  # fmt: skip

_WRITTEN = re.compile(r":([a-z0-9_+'-]+):(?::skin-tone-[2-6]:)?")


def shown(name: str) -> str:
    """What a reaction of this name looks like; `:name:` for one that is not known."""
    plain = name.partition("::")[0]
    return _NAMES.get(plain, f":{plain}:")


def in_text(text: str) -> str:
    """The text with the emoji in it shown."""
    return _WRITTEN.sub(lambda found: _NAMES.get(found[1], found[0]), text)
