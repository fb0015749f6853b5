"""Who and what a Slack export says there is. Reads no messages."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from botdaemon.errors import ExportUnusable
from models.exports import files as export_files
from models.exports.streaming import text

if TYPE_CHECKING:
    from models.exports.files import Files
    from models.exports.slack_text import JSON

PEOPLE = ("users.json", "org_users.json")
CONVERSATIONS = ("channels.json", "groups.json", "mpims.json", "dms.json")
#: what else lies beside them, and holds nothing that was said
OTHERS = ("integration_logs.json", "canvases.json", "content_flags.json")


@dataclass(frozen=True, slots=True)
class Place:
    """A conversation."""

    id: str
    title: str
    direct: bool = False


@dataclass(slots=True)
class Index:
    """What the files beside the conversations say. A large organisation's export has several such
    places, one in a folder for each workspace."""

    #: names of people, channels, by id
    names: dict[str, str] = field(default_factory=dict)
    bots: set[str] = field(default_factory=lambda: {"USLACKBOT"})
    #: (where the index lies, the conversation's folder) -> the conversation
    places: dict[tuple[str, str], Place] = field(default_factory=dict)


def read(files: Files) -> Index:
    """Raises `ExportUnusable`: this is no Slack export, or a file of its index is damaged."""
    index = Index()
    found = [name for name in files.names() if posixpath.basename(name) in PEOPLE + CONVERSATIONS]
    if not found:
        raise ExportUnusable(
            f"{files.path} is no Slack export: it has neither users.json nor channels.json "
            "(give the zip as Slack made it, or the folder that it unpacks to)"
        )
    # People first: a conversation between two people is called after them.
    for name in sorted(found, key=lambda name: posixpath.basename(name) not in PEOPLE):
        root, kind = posixpath.split(name)
        items = export_files.read_json(files, name)
        if not isinstance(items, list):
            raise ExportUnusable(f"{files.path}: {name} is no list, as Slack writes it")
        for item in items:
            if not isinstance(item, dict) or not (id := text(item, "id")):
                continue
            if kind in PEOPLE:
                index.names[id] = name_of(item) or id
                if item.get("is_bot") is True:
                    index.bots.add(id)
            else:
                _add(index, root, kind, item)
    return index


def _add(index: Index, root: str, kind: str, item: JSON) -> None:
    id, name = text(item, "id"), text(item, "name")
    title = name
    if kind in ("dms.json", "mpims.json"):
        members = item.get("members")
        ids = members if isinstance(members, list) else []
        title = ", ".join(index.names.get(str(member), str(member)) for member in ids) or name
    else:
        index.names[id] = name
    place = Place(id, title, direct=kind == "dms.json")
    # The folder has the name, or the id when there is none; some tools always take the id.
    index.places[root, id] = place
    if name:
        index.places[root, name] = place


def name_of(person: JSON) -> str:
    """What people call them, of an entry of users.json or of a message's `user_profile`."""
    profile = person.get("profile")
    them = profile if isinstance(profile, dict) else person
    for key in ("display_name", "real_name"):
        if name := text(them, key).strip():
            return name
    return text(person, "real_name").strip() or text(person, "name")
