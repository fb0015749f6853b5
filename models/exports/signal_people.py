"""The people, groups and chats of Signal's unencrypted export, as its frames tell of them. Knows no
message."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from uuid import UUID

from models.exports.signal_words import SOMEONE, digest, direct_id, person_id
from models.exports.streaming import table, tables, text

JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Person:
    """A speaker."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Chat:
    """A conversation."""

    id: str
    title: str
    #: whether it is between two people
    direct: bool


@dataclass
class People:
    """Who is who. A frame comes before all that refer to it.

    Numbers name recipients and chats in this export only; an account's id (ACI) holds everywhere.
    """

    #: what the exporter is called; empty: as the account says
    me: str = ""
    _account: JSON = field(default_factory=dict)
    #: recipient -> the frame's content
    _recipients: dict[int, JSON] = field(default_factory=dict)
    #: chat -> recipient
    _chats: dict[int, int] = field(default_factory=dict)
    _contacts: dict[UUID, int] = field(default_factory=dict)

    def learn(self, frame: JSON) -> None:
        """Take in a frame that is no chat item."""
        if "account" in frame:
            self._account = table(frame, "account")
        elif "recipient" in frame:
            recipient = table(frame, "recipient")
            id = whole(recipient, "id")
            self._recipients[id] = recipient
            if aci := uuid_of(table(recipient, "contact").get("aci")):
                self._contacts[aci] = id
        elif "chat" in frame:
            chat = table(frame, "chat")
            self._chats[whole(chat, "id")] = whole(chat, "recipientId")

    def chat(self, id: int) -> Chat | None:
        """None for a chat that is not known, or not with people (Signal's own news)."""
        recipient = self._chats.get(id, 0)
        if group := table(self._recipients.get(recipient, {}), "group"):
            # Whoever has the key itself could read the group.
            key = text(group, "masterKey")
            title = text(table(table(group, "snapshot"), "title"), "title")
            return Chat(f"group-{digest(key) if key else recipient}", title, direct=False)
        other = self.person(recipient)
        if not other:
            return None
        return Chat(direct_id(self._own_id, other.id), other.name, direct=True)

    def person(self, recipient: int) -> Person | None:
        """None for a recipient that is not known, or no person."""
        found = self._recipients.get(recipient, {})
        if "self" in found:
            return Person(self._own_id, self._own_name)
        if "contact" not in found:
            return None
        contact = table(found, "contact")
        aci, phone = uuid_of(contact.get("aci")), whole(contact, "e164")
        return Person(
            person_id(aci, str(phone or ""), str(recipient)),
            _name(contact) or f"Unknown {recipient}",
        )

    def called(self, aci: UUID | None) -> str:
        """What the account is called, as somebody who is mentioned."""
        if aci and aci == self._own_aci:
            return self._own_name
        person = self.person(self._contacts[aci]) if aci in self._contacts else None
        return person.name if person else SOMEONE

    # The exporter is known when the first chat or message asks for it: all recipients are before.

    @cached_property
    def _own_aci(self) -> UUID | None:
        """The export says it nowhere; but of a group's members all others are contacts."""
        strangers: set[UUID] = set()
        for recipient in self._recipients.values():
            members = tables(table(table(recipient, "group"), "snapshot"), "members")
            acis = {aci for member in members if (aci := uuid_of(member.get("userId")))}
            strangers |= acis - self._contacts.keys()
        return strangers.pop() if len(strangers) == 1 else None

    @cached_property
    def _own_id(self) -> str:
        if self._own_aci:
            return str(self._own_aci)
        key = text(self._account, "profileKey")
        return f"self-{digest(key)}" if key else "self"

    @property
    def _own_name(self) -> str:
        return self.me or _joined(self._account, "givenName", "familyName") or "Me"


def _name(contact: JSON) -> str:
    """As Signal chooses it, but never the phone number."""
    return (
        _joined(table(contact, "nickname"), "given", "family")
        or _joined(contact, "systemGivenName", "systemFamilyName")
        or _joined(contact, "profileGivenName", "profileFamilyName")
        or text(contact, "username")
    )


def _joined(names: JSON, given: str, family: str) -> str:
    return f"{text(names, given)} {text(names, family)}".strip()


def whole(of: JSON, key: str) -> int:
    """The unsigned 64-bit number there, which may be a string; 0 for anything else."""
    value = of.get(key)
    try:
        number = int(value) if isinstance(value, str | int) else 0
    except ValueError:
        return 0
    return number if 0 <= number < 2**64 else 0


def uuid_of(value: object) -> UUID | None:
    """The account's id that 16 bytes in base64 are."""
    try:
        return UUID(bytes=b64decode(value, validate=True)) if isinstance(value, str) else None
    except ValueError:  # no base64, or not 16 bytes
        return None
