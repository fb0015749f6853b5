"""What a person has to do in Slack, and the manifest of what the app needs. Knows no network.

The manifest asks for exactly what the adapter uses: its scopes and events come from `scopes`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from adapters.slack.scopes import EVENTS, SCOPES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botdaemon.config import SlackConfig
    from botdaemon.types import CommandSpec

#: commands of Slack's own, which no app can have
TAKEN = frozenset({
    "archive", "away", "active", "apps", "call", "canvas", "collapse", "dm", "dnd", "expand",
    "feed", "feedback", "help", "huddle", "invite", "join", "keys", "kick", "leave", "list", "me",
    "msg", "mute", "open", "part", "prefs", "remind", "remove", "rename", "search", "shortcuts",
    "shrug", "star", "status", "topic", "trigger", "unarchive", "who",
})  # fmt: skip
#: the command under which all others can be had
OWN = "botdaemon"

_STEPS = """\
An app in a Slack workspace

1. Open https://api.slack.com/apps, "Create New App", "From a manifest", choose the workspace and
   paste this (as JSON). Change the names in it as you like.

{manifest}

2. "Basic Information", "App-Level Tokens", "Generate Token and Scopes": give it any name, add the
   scope connections:write, generate. It begins with xapp-. Put it into a file that only the daemon
   can read.

3. "Install App", "Install to Workspace". The "Bot User OAuth Token" begins with xoxb-. Put it into
   a second file. After every later change of scopes: install the app again.

4. Invite the app to the channels it is to be in: /invite @{name}
   Direct messages need no invitation; the manifest switches on the tab they are written in.

5. Slash commands do not work inside threads; there, write !help instead of /help. Commands that
   Slack has itself ({taken}) are had as /{own} NAME.

`botdaemon check --online` logs in and says what is missing. The id of a channel is at the end of
its "About" tab, that of a person in their profile under "Copy member ID".

Write to the configuration:

{table}"""

_TABLE = """\
[adapters.slack]
kind = "slack"
{token}
{app_token}
# bots = ["NAME"]               # the bots this app speaks for, the first is the default
# free_channels = ["C..."]      # where the first bot answers everything
# [adapters.slack.access]
# admins = ["U..."]             # who may let others in
"""


def manifest(commands: Sequence[CommandSpec], name: str = "botdaemon") -> dict[str, Any]:
    """The app as Slack wants it described."""
    slash = [
        _slash(spec.name, spec.help, spec.argument) for spec in commands if spec.name not in TAKEN
    ]
    slash.append(_slash(OWN, "any command of the bots, help for a list", "COMMAND"))
    return {
        "display_information": {"name": name, "description": "Bots that live here"},
        "features": {
            "app_home": {
                "home_tab_enabled": False,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": False,
            },
            "bot_user": {"display_name": name, "always_online": True},
            "slash_commands": slash,
        },
        "oauth_config": {"scopes": {"bot": list(SCOPES)}},
        "settings": {
            "event_subscriptions": {"bot_events": list(EVENTS)},
            "interactivity": {"is_enabled": True},
            "org_deploy_enabled": False,
            "socket_mode_enabled": True,
            "token_rotation_enabled": False,
        },
    }


def _slash(name: str, help: str, argument: str) -> dict[str, Any]:
    hint = {"usage_hint": argument} if argument else {}
    return {"command": f"/{name}", "description": help, **hint, "should_escape": False}


def guide(table: SlackConfig | None, commands: Sequence[CommandSpec]) -> str:
    """The steps, as text for a terminal. `table` is what is configured already, if anything is."""
    name = table.bots[0] if table is not None and len(table.bots) == 1 else "botdaemon"
    return _STEPS.format(
        manifest=json.dumps(manifest(commands, name), indent=2, ensure_ascii=False),
        name=name,
        taken=", ".join(f"/{spec.name}" for spec in commands if spec.name in TAKEN),
        own=OWN,
        table=_TABLE.format(
            token=_named(table, "token", "slack.token"),
            app_token=_named(table, "app_token", "slack-app.token"),
        ),
    )


def _named(table: SlackConfig | None, which: str, otherwise: str) -> str:
    for place in ("file", "env", "credential"):
        if table is not None and (value := getattr(table, f"{which}_{place}")):
            return f'{which}_{place} = "{value}"'
    return f'{which}_file = "{otherwise}"'
