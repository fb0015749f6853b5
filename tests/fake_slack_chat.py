"""The methods of the fake Slack that write: messages, streams, reactions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import fake_slack_text as text
from fake_slack_blocks import mistakes, pictures
from fake_slack_team import Refused
from fake_slack_web import invalid, method

if TYPE_CHECKING:
    from fake_slack_team import JSON, Channel, Post
    from fake_slack_web import Asked

_MOST_TEXT, _MOST_UPDATE, _MOST_MARKDOWN = 40_000, 4_000, 12_000


def _target(asked: Asked) -> Channel:
    """Where to post: a conversation's id, a channel's #name, or a person, which means the DM."""
    name, team = asked.required("channel"), asked.team
    if name in team.users and name != team.bot_user:
        return team.direct([name])
    by_name = {channel.name: channel for channel in team.channels.values() if channel.name}
    channel = team.channels.get(name) or by_name.get(name.lstrip("#"))
    if not channel:
        raise Refused("channel_not_found")
    if team.bot_user not in channel.members:
        if channel.kind != "channel":
            raise Refused("channel_not_found")
        if "chat:write.public" not in asked.access.scopes:
            raise Refused("not_in_channel")
    if channel.archived:
        raise Refused("is_archived")
    return channel


def _content(asked: Asked, most: int, *, cut: bool) -> JSON:
    """Text, blocks and metadata, checked."""
    raw: JSON = {}
    if "markdown_text" in asked:
        if "text" in asked or "blocks" in asked:
            raise Refused("markdown_text_conflict")
        raw["text"] = _markdown(asked)
    elif "text" in asked:
        words = asked.text("text")
        if len(words) > most and not cut:
            raise Refused("msg_too_long")
        words = words[:most]
        if asked.flag("link_names") or asked.text("parse") == "full":
            words = text.linked(words, asked.team.ids)
        raw["text"] = text.sent(words)
    return {**raw, **_extras(asked)}


def _extras(asked: Asked) -> JSON:
    raw: JSON = {}
    blocks = asked.structure("blocks", list, "invalid_blocks_format")
    if blocks is not None:
        wrong = mistakes(blocks) or not_shown(asked, blocks)
        if wrong:
            raise Refused("invalid_blocks", errors=wrong, response_metadata={"messages": wrong})
        raw["blocks"] = [{"block_id": f"b{index}", **block} for index, block in enumerate(blocks)]
    metadata = asked.structure("metadata", dict, "invalid_metadata_format")
    if metadata:
        if not isinstance(metadata.get("event_type"), str) or not isinstance(
            metadata.get("event_payload"), dict
        ):
            raise Refused("invalid_metadata_schema")
        raw["metadata"] = metadata
    return raw


def not_shown(asked: Asked, blocks: list[JSON]) -> list[str]:
    """What Slack says of pictures that it cannot show, or not yet."""
    return [
        f"[ERROR] invalid slack file [json-pointer:{where}]"
        for id, where in pictures(blocks)
        if not asked.team.shown_file(id)
    ]


def _markdown(asked: Asked) -> str:
    words = asked.text("markdown_text")
    for chunk in asked.structure("chunks", list, "invalid_chunks") or []:
        if not isinstance(chunk, dict) or "type" not in chunk:
            raise Refused("invalid_chunks")
        words += str(chunk.get("text", "")) if chunk["type"] == "markdown_text" else ""
    if len(words) > _MOST_MARKDOWN:
        raise Refused("msg_too_long")
    return text.sent(words)


def _thread(asked: Asked) -> JSON:
    if "thread_ts" not in asked:
        return {}
    if not re.fullmatch(r"\d+\.\d{6}", asked.text("thread_ts")):
        raise Refused("invalid_thread_ts")
    # A ts that nobody knows is accepted: the message is then in a thread without a beginning.
    return {"thread_ts": asked.text("thread_ts")}


def author(asked: Asked) -> JSON:
    """The app as the author. Under a name of its choosing it is a bot without an account."""
    team = asked.team
    named = ("username", "icon_url", "icon_emoji")
    custom = {name: asked.text(name) for name in named if name in asked}
    if custom:
        asked.access.need("chat:write.customize")
        custom.setdefault("username", team.names[team.bot_user])
        return {"subtype": "bot_message", "bot_id": team.bot_id, "app_id": team.app_id, **custom}
    profile = {
        "id": team.bot_id,
        "app_id": team.app_id,
        "name": team.names[team.bot_user],
        "team_id": team.id,
        "deleted": False,
    }
    return {
        "user": team.bot_user,
        "bot_id": team.bot_id,
        "app_id": team.app_id,
        "bot_profile": profile,
    }


def _own(asked: Asked, wrong: str) -> Post:
    post = asked.post(asked.channel())
    if post.raw.get("bot_id") != asked.team.bot_id:
        raise Refused(wrong)
    return post


@method("chat.postMessage", "chat:write")
def post_message(asked: Asked) -> JSON:
    channel = _target(asked)
    raw = _content(asked, _MOST_TEXT, cut=True)
    if not raw.get("text") and not raw.get("blocks"):
        raise Refused("no_text")
    raw = {"text": "", **author(asked), **raw, **_thread(asked)}
    if "thread_ts" in raw and asked.flag("reply_broadcast"):
        raw["subtype"] = "thread_broadcast"
    post = asked.team.post(channel, raw)
    message = asked.team.wire(post, metadata=True)
    return {"channel": channel.id, "ts": post.ts, "message": message}


@method("chat.update", "chat:write")
def update(asked: Asked) -> JSON:
    post = _own(asked, "cant_update_message")
    if post.streaming:
        raise Refused("streaming_state_conflict")
    raw = _content(asked, _MOST_UPDATE, cut=False)
    if "text" not in raw and "blocks" not in raw and "metadata" not in raw:
        raise Refused("no_text")
    # Blocks and metadata that are not given stay as they are.
    team = asked.team
    team.change(post, **raw, edited={"user": team.bot_user, "ts": team.stamp()})
    message = team.wire(post, metadata=True)
    return {
        "channel": post.channel.id, "ts": post.ts, "text": post.raw["text"], "message": message
    }  # fmt: skip


@method("chat.delete", "chat:write")
def delete(asked: Asked) -> JSON:
    post = _own(asked, "cant_delete_message")
    asked.team.delete(post)
    return {"channel": post.channel.id, "ts": post.ts}


@method("chat.postEphemeral", "chat:write")
def post_ephemeral(asked: Asked) -> JSON:
    channel, user = _target(asked), asked.required("user")
    if user not in channel.members:
        raise Refused("user_not_in_channel")
    raw = _content(asked, _MOST_TEXT, cut=True)
    if not raw.get("text") and not raw.get("blocks"):
        raise Refused("no_text")
    return {"message_ts": asked.team.whisper(channel, user, {**raw, **_thread(asked)})}


@method("chat.startStream", "chat:write")
def start_stream(asked: Asked) -> JSON:
    channel = _target(asked)
    if "thread_ts" not in asked:
        raise invalid("[ERROR] missing required field: thread_ts")
    if channel.kind != "im":
        for name in ("recipient_team_id", "recipient_user_id"):
            if name not in asked:
                raise Refused(f"missing_{name}")
        if asked.text("recipient_team_id") != asked.team.id:
            raise Refused("team_not_found")
        if asked.text("recipient_user_id") not in asked.team.users:
            raise Refused("user_not_found")
    post = asked.team.post(channel, {"text": _markdown(asked), **author(asked), **_thread(asked)})
    post.streaming = True
    return {"channel": channel.id, "ts": post.ts}


def _stream(asked: Asked) -> Post:
    post = _own(asked, "message_not_owned_by_app")
    if not post.streaming:
        raise Refused("message_not_in_streaming_state")
    return post


@method("chat.appendStream", "chat:write")
def append_stream(asked: Asked) -> JSON:
    post = _stream(asked)
    if "markdown_text" not in asked and "chunks" not in asked:
        raise Refused("no_text")
    post.raw["text"] += _markdown(asked)
    asked.team.note(post)
    return {"channel": post.channel.id, "ts": post.ts}


@method("chat.stopStream", "chat:write")
def stop_stream(asked: Asked) -> JSON:
    post = _stream(asked)
    words = post.raw["text"] + _markdown(asked)
    extras = _extras(asked)
    post.streaming = False
    asked.team.change(post, text=words, **extras)
    message = asked.team.wire(post, metadata=True)
    return {"channel": post.channel.id, "ts": post.ts, "message": message}


@method("assistant.threads.setStatus", "assistant:write")
def set_status(asked: Asked) -> JSON:
    channel = asked.channel("channel_id")
    status = (channel.id, asked.required("thread_ts"), asked.text("status"))
    asked.team.statuses.append(status)
    return {}


def _reacted(asked: Asked) -> tuple[Post, str]:
    if "channel" not in asked or "timestamp" not in asked:
        raise Refused("no_item_specified")
    name = asked.required("name")
    if not re.fullmatch(r"[a-z0-9_+'-]+(::skin-tone-[2-6])?", name):
        raise Refused("invalid_name")
    return asked.post(asked.joined(), "timestamp"), name


@method("reactions.add", "reactions:write")
def add_reaction(asked: Asked) -> JSON:
    post, name = _reacted(asked)
    asked.team.react(post, asked.team.bot_user, name, added=True)
    return {}


@method("reactions.remove", "reactions:write")
def remove_reaction(asked: Asked) -> JSON:
    post, name = _reacted(asked)
    asked.team.react(post, asked.team.bot_user, name, added=False)
    return {}


@method("reactions.get", "reactions:read")
def get_reactions(asked: Asked) -> JSON:
    post = asked.post(asked.channel(), "timestamp")
    return {"type": "message", "channel": post.channel.id, "message": asked.team.wire(post)}
