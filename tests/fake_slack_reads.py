"""The methods of the fake Slack that look things up: itself, conversations, people; and those that
move files."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

import fake_slack_text as text
from fake_slack_chat import author
from fake_slack_team import File, Refused
from fake_slack_web import invalid, method

if TYPE_CHECKING:
    from collections.abc import Callable

    from fake_slack_team import JSON, Channel, Post
    from fake_slack_web import Asked

_TYPES = {
    "public_channel": ("channel", "channels:read"),
    "private_channel": ("group", "groups:read"),
    "im": ("im", "im:read"),
    "mpim": ("mpim", "mpim:read"),
}


@method("auth.test")
def auth_test(asked: Asked) -> JSON:
    team = asked.team
    return {
        "url": "https://fake.slack.com/",
        "team": "Fake",
        "user": team.names[team.bot_user],
        "team_id": team.id,
        "user_id": team.bot_user,
        "bot_id": team.bot_id,
        "is_enterprise_install": False,
    }


@method("apps.connections.open")
def open_connection(asked: Asked) -> JSON:
    return {"url": asked.access.connect_url()}


def _between(asked: Asked) -> Callable[[Post], bool]:
    try:
        oldest = Decimal(asked.text("oldest") or "0")
    except InvalidOperation:
        raise Refused("invalid_ts_oldest") from None
    try:
        latest = Decimal(asked.text("latest") or "Infinity")
    except InvalidOperation:
        raise Refused("invalid_ts_latest") from None
    if asked.flag("inclusive"):
        return lambda post: oldest <= Decimal(post.ts) <= latest
    return lambda post: oldest < Decimal(post.ts) < latest


@method("conversations.history", "*:history")
def history(asked: Asked) -> JSON:
    channel = asked.joined()
    asked.access.need_for(channel, "history")
    inside = _between(asked)
    posts = [
        post
        for post in reversed(asked.team.in_channel(channel))
        if inside(post) and (not post.is_reply or post.raw.get("subtype") == "thread_broadcast")
    ]
    page, more = asked.page(posts, 100, lambda post: post.ts)
    metadata = asked.flag("include_all_metadata")
    messages = [asked.team.wire(post, metadata=metadata) for post in page]
    has_more = bool(more["response_metadata"]["next_cursor"])
    return {
        "messages": messages,
        "has_more": has_more,
        "pin_count": 0,
        **(more if has_more else {}),
    }


@method("conversations.replies", "*:history")
def replies(asked: Asked) -> JSON:
    channel = asked.joined()
    asked.access.need_for(channel, "history")
    parent = asked.post(channel, wrong="thread_not_found")
    inside = _between(asked)
    found = [post for post in asked.team.replies(parent) if inside(post)]
    page, more = asked.page(found, 1000, lambda post: post.ts)
    metadata = asked.flag("include_all_metadata")
    # The beginning of the thread comes first on every page.
    messages = [asked.team.wire(post, metadata=metadata) for post in [parent, *page]]
    has_more = bool(more["response_metadata"]["next_cursor"])
    return {"messages": messages, "has_more": has_more, **(more if has_more else {})}


@method("conversations.info", "*:read")
def info(asked: Asked) -> JSON:
    channel = asked.channel()
    asked.access.need_for(channel, "read")
    about = {**channel.json(), "is_member": asked.team.bot_user in channel.members}
    if asked.flag("include_num_members"):
        about["num_members"] = len(channel.members)
    return {"channel": about}


def _list(asked: Asked, *, mine: bool) -> JSON:
    kinds = []
    for name in asked.text("types", "public_channel").split(","):
        if name.strip() not in _TYPES:
            raise Refused("invalid_types")
        kind, scope = _TYPES[name.strip()]
        asked.access.need(scope)
        kinds.append(kind)
    bot = asked.team.bot_user
    channels = [
        {**channel.json(), "is_member": bot in channel.members}
        for channel in asked.team.channels.values()
        if channel.kind in kinds
        and (bot in channel.members or (channel.kind == "channel" and not mine))
        and not (channel.archived and asked.flag("exclude_archived"))
    ]
    page, more = asked.page(channels, 100, lambda channel: str(channel["id"]))
    return {"channels": page, **more}


@method("conversations.list", "*:read")
def list_channels(asked: Asked) -> JSON:
    return _list(asked, mine=False)


@method("users.conversations", "*:read")
def my_channels(asked: Asked) -> JSON:
    if asked.text("user", asked.team.bot_user) != asked.team.bot_user:
        raise Refused("user_not_found")
    return _list(asked, mine=True)


@method("conversations.open", "*:write")
def open_direct(asked: Asked) -> JSON:
    if "channel" in asked:
        channel = asked.channel()
    elif "users" in asked:
        users = [user.strip() for user in asked.text("users").split(",")]
        for user in users:
            if user not in asked.team.users or user == asked.team.bot_user:
                raise Refused("user_not_found")
        asked.access.need("im:write" if len(users) == 1 else "mpim:write")
        channel = asked.team.direct(users)
    else:
        raise Refused("users_list_not_supplied")
    return {"channel": channel.json() if asked.flag("return_im") else {"id": channel.id}}


@method("conversations.members", "*:read")
def members(asked: Asked) -> JSON:
    channel: Channel = asked.channel()
    asked.access.need_for(channel, "read")
    page, more = asked.page(channel.members, 100, str)
    return {"members": page, **more}


@method("users.info", "users:read")
def user_info(asked: Asked) -> JSON:
    user = asked.team.users.get(asked.required("user"))
    if not user:
        raise Refused("user_not_found")
    return {"user": user}


@method("users.list", "users:read")
def list_users(asked: Asked) -> JSON:
    users = list(asked.team.users.values())
    page, more = asked.page(users, 1000, lambda user: str(user["id"]))
    return {"members": page, "cache_ts": 1_700_000_000, **more}


@method("bots.info", "users:read")
def bot_info(asked: Asked) -> JSON:
    team = asked.team
    if asked.required("bot") != team.bot_id:
        raise Refused("bot_not_found")
    bot = {"id": team.bot_id, "app_id": team.app_id, "user_id": team.bot_user, "deleted": False}
    return {"bot": {**bot, "name": team.names[team.bot_user], "updated": 1_700_000_000}}


@method("files.getUploadURLExternal", "files:write")
def upload_url(asked: Asked) -> JSON:
    name = asked.required("filename")
    asked.required("length")
    try:
        length = int(asked.text("length"))
    except ValueError:
        raise invalid("[ERROR] must be an integer: length") from None
    if length < 1:
        raise invalid("[ERROR] must be greater than 0: length")
    file = File(asked.team.id_for("F"), name, asked.team.bot_user, length=length)
    asked.team.files[file.id] = file
    return {"upload_url": f"{asked.team.base}/upload/v1/{file.id}", "file_id": file.id}


@method("files.completeUploadExternal", "files:write")
def complete_upload(asked: Asked) -> JSON:
    named = asked.structure("files", list, "invalid_arguments")
    if not named:
        raise invalid("[ERROR] missing required field: files")
    files = []
    for each in named:
        file = asked.team.files.get(each.get("id", ""))
        if not file or file.content is None or file.completed:
            raise Refused("file_not_found")
        files.append(file)
    ids = [id for id in [asked.text("channel_id"), *asked.text("channels").split(",")] if id]
    for id in ids:
        channel = asked.team.channels.get(id)
        if not channel:
            raise Refused("channel_not_found")
        if asked.team.bot_user not in channel.members:
            raise Refused("not_in_channel")
        if channel.archived:
            raise Refused("is_archived")
    for file, each in zip(files, named, strict=True):
        file.completed, file.title = True, each.get("title") or ""
        file.unready = asked.team.unready
    for id in ids:
        raw = {"text": text.sent(asked.text("initial_comment")), "upload": True, **author(asked)}
        if "thread_ts" in asked:
            raw["thread_ts"] = asked.text("thread_ts")
        asked.team.post(asked.team.channels[id], raw, files=files)
    return {"files": [file.json(asked.team.base) for file in files]}


@method("files.delete", "files:write")
def delete_file(asked: Asked) -> JSON:
    file = asked.team.files.get(asked.required("file"))
    if not file or not file.completed:
        raise Refused("file_not_found")
    if file.user != asked.team.bot_user:
        raise Refused("cant_delete_file")
    del asked.team.files[file.id]
    return {}


@method("files.info", "files:read")
def file_info(asked: Asked) -> JSON:
    file = asked.team.files.get(asked.required("file"))
    if not file or not file.completed:
        raise Refused("file_not_found")
    return {
        "file": file.json(asked.team.base),
        "comments": [],
        "response_metadata": {"next_cursor": ""},
    }
