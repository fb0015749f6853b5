"""What the app must be allowed to do, and why. The manifest and the check are made of it."""

from __future__ import annotations

#: scopes of the bot token, each with what does not work without it
SCOPES = {
    "app_mentions:read": "hearing when it is mentioned",
    "channels:history": "hearing what is said in public channels, and catching up",
    "channels:read": "knowing which public channels it is in",
    "chat:write": "answering",
    "chat:write.customize": "letting several bots speak under their own names",
    "commands": "slash commands",
    "files:read": "seeing files that people send",
    "files:write": "sending files",
    "groups:history": "hearing what is said in private channels, and catching up",
    "groups:read": "knowing which private channels it is in",
    "im:history": "hearing direct messages, and catching up",
    "im:read": "knowing its direct messages",
    "mpim:history": "hearing what is said in group messages, and catching up",
    "mpim:read": "knowing which group messages it is in",
    "reactions:read": "taking reactions as feedback",
    "reactions:write": "showing that it is at work where there is no thread",
    "users:read": "knowing people by name",
}
#: without these nothing works at all
VITAL = ("chat:write",)
#: events of the bot
EVENTS = (
    "app_mention",
    "message.channels",
    "message.groups",
    "message.im",
    "message.mpim",
    "reaction_added",
    "reaction_removed",
)
#: where scopes are granted
PLACE = 'under "OAuth & Permissions" at https://api.slack.com/apps, then install the app again'


def missing(granted: set[str]) -> list[str]:
    """The scopes that are not granted."""
    return [scope for scope in SCOPES if scope not in granted]
