"""Writes encrypted Android backups of Signal, as no public one exists. Knows Signal's code only:
org.thoughtcrime.securesms.backup and Backups.proto, and nothing of ours that reads them."""

from __future__ import annotations

import hashlib
import hmac
import re
import struct
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

if TYPE_CHECKING:
    from collections.abc import Callable

Value = str | int | float | bytes | None

PASSPHRASE = "12345 67890 12345 67890 12345 67890"
SALT, IV = bytes(range(32)), bytes.fromhex("fffffffe") + bytes(range(12))
"""The counter of the IV runs over after two frames."""

NEW = """
recipient (
    _id INTEGER PRIMARY KEY AUTOINCREMENT, type INTEGER DEFAULT 0,
    e164 TEXT UNIQUE DEFAULT NULL, aci TEXT UNIQUE DEFAULT NULL,
    pni TEXT UNIQUE DEFAULT NULL CHECK (pni LIKE 'PNI:%'), username TEXT UNIQUE DEFAULT NULL,
    group_id TEXT UNIQUE DEFAULT NULL, system_joined_name TEXT DEFAULT NULL,
    profile_joined_name TEXT DEFAULT NULL, nickname_joined_name TEXT DEFAULT NULL
);
thread (
    _id INTEGER PRIMARY KEY AUTOINCREMENT, date INTEGER DEFAULT 0,
    recipient_id INTEGER NOT NULL UNIQUE REFERENCES recipient (_id) ON DELETE CASCADE
);
groups (
    _id INTEGER PRIMARY KEY, group_id TEXT NOT NULL UNIQUE,
    recipient_id INTEGER NOT NULL UNIQUE, title TEXT DEFAULT NULL
);
message (
    _id INTEGER PRIMARY KEY AUTOINCREMENT, date_sent INTEGER NOT NULL,
    thread_id INTEGER NOT NULL REFERENCES thread (_id) ON DELETE CASCADE,
    from_recipient_id INTEGER NOT NULL, to_recipient_id INTEGER NOT NULL, type INTEGER NOT NULL,
    body TEXT, expires_in INTEGER DEFAULT 0, quote_id INTEGER DEFAULT 0,
    quote_author INTEGER DEFAULT 0, quote_body TEXT DEFAULT NULL, view_once INTEGER DEFAULT 0,
    remote_deleted INTEGER DEFAULT 0, story_type INTEGER DEFAULT 0,
    parent_story_id INTEGER DEFAULT 0, scheduled_date INTEGER DEFAULT -1,
    latest_revision_id INTEGER DEFAULT NULL REFERENCES message (_id) ON DELETE CASCADE,
    original_message_id INTEGER DEFAULT NULL REFERENCES message (_id) ON DELETE CASCADE
);
attachment (
    _id INTEGER PRIMARY KEY AUTOINCREMENT, message_id INTEGER, content_type TEXT,
    voice_note INTEGER DEFAULT 0, sticker_pack_id TEXT DEFAULT NULL, quote INTEGER DEFAULT 0
);
mention (
    _id INTEGER PRIMARY KEY AUTOINCREMENT, thread_id INTEGER, message_id INTEGER,
    recipient_id INTEGER, range_start INTEGER, range_length INTEGER
);
reaction (
    _id INTEGER PRIMARY KEY, message_id INTEGER NOT NULL, author_id INTEGER NOT NULL,
    emoji TEXT NOT NULL
)
"""
"""The tables of 2024, with the columns that mean something to a reader."""

OLD_SMS = """
sms (
    _id INTEGER PRIMARY KEY, thread_id INTEGER, address INTEGER, date INTEGER,
    date_sent INTEGER, type INTEGER, body TEXT, expires_in INTEGER DEFAULT 0
)
"""
OLD = f"""
recipient (
    _id INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT UNIQUE, phone TEXT UNIQUE,
    group_id TEXT UNIQUE, system_display_name TEXT, signal_profile_name TEXT
);
thread (_id INTEGER PRIMARY KEY AUTOINCREMENT, date INTEGER, recipient_ids TEXT);
groups (_id INTEGER PRIMARY KEY, group_id TEXT, title TEXT);
{OLD_SMS};
mms (
    _id INTEGER PRIMARY KEY, thread_id INTEGER, address INTEGER, date INTEGER,
    date_received INTEGER, msg_box INTEGER, body TEXT, expires_in INTEGER DEFAULT 0,
    quote_id INTEGER DEFAULT 0, quote_author INTEGER, reveal_duration INTEGER DEFAULT 0
);
part (
    _id INTEGER PRIMARY KEY, mid INTEGER, ct TEXT, voice_note INTEGER DEFAULT 0,
    quote INTEGER DEFAULT 0
);
reaction (_id INTEGER PRIMARY KEY, message_id INTEGER, is_mms INTEGER, emoji TEXT)
"""
"""The tables of 2020 and 2021."""


@dataclass(slots=True)
class Backup:
    """A backup that is being written. `version`: of the header; 0 has none."""

    version: int = 1
    frames: list[tuple[bytes, bytes | None]] = field(default_factory=list)
    _columns: dict[str, list[str]] = field(default_factory=dict)

    def sql(self, sql: str, *parameters: Value) -> None:
        """A statement, whatever it says."""
        content = _field(1, sql.encode())
        content += b"".join(_field(2, _parameter(value)) for value in parameters)
        self.frames.append((_field(2, content), None))

    def tables(self, schema: str) -> None:
        """Empty tables."""
        for table in schema.split(";"):
            name, _, columns = table.strip().partition(" ")
            parts = re.split(r",\s+", columns.strip("()\n "))
            self._columns[name] = [part.split()[0] for part in parts]
            self.sql(f"CREATE TABLE {table.strip()}")

    def row(self, table: str, **values: Value) -> None:
        """A row; what is not said is null."""
        columns = self._columns[table]
        assert values.keys() <= set(columns), values.keys() - set(columns)
        places = ",".join("?" * len(columns))
        self.sql(f"INSERT INTO {table} VALUES ({places})", *map(values.get, columns))

    def blob(self, kind: str, data: bytes) -> None:
        """The frame of an attachment, an avatar or a sticker, and its content."""
        number, length = {"attachment": (4, 3), "avatar": (7, 2), "sticker": (8, 2)}[kind]
        self.frames.append((_field(number, _field(length, len(data))), data))

    def preference(self, key: str, value: str) -> None:
        """A setting, which means nothing to a reader."""
        content = _field(1, b"file") + _field(2, key.encode()) + _field(3, value.encode())
        self.frames.append((_field(3, content), None))

    def written(self, passphrase: str = PASSPHRASE, *, end: bool = True) -> bytes:
        """The file, encrypted."""
        cipher_key, mac_key = _keys(passphrase.replace(" ", "").encode())
        header = _field(1, IV) + _field(2, SALT)
        if self.version:
            header += _field(3, self.version)
        header = _field(1, header)
        out = struct.pack(">I", len(header)) + header
        counter = struct.unpack(">I", IV[:4])[0]
        for frame, blob in [*self.frames, *([(_field(6, 1), None)] if end else [])]:
            encrypt, mac, _ = _started(cipher_key, mac_key, counter)
            length = struct.pack(">I", len(frame) + 10)
            if self.version:
                length = encrypt(length)
                mac.update(length)
            sealed = encrypt(frame)
            mac.update(sealed)
            out += length + sealed + mac.digest()[:10]
            counter += 1
            if blob is not None:
                encrypt, mac, iv = _started(cipher_key, mac_key, counter)
                sealed = encrypt(blob)
                mac.update(iv + sealed)
                out += sealed + mac.digest()[:10]
                counter += 1
        return out


def _started(
    cipher_key: bytes, mac_key: bytes, counter: int
) -> tuple[Callable[[bytes], bytes], hmac.HMAC, bytes]:
    iv = struct.pack(">I", counter % 2**32) + IV[4:]
    encrypt = Cipher(AES(cipher_key), CTR(iv)).encryptor().update
    return encrypt, hmac.new(mac_key, digestmod="sha256"), iv


@cache
def _keys(passphrase: bytes) -> tuple[bytes, bytes]:
    digest = hashlib.sha512(SALT)
    key = passphrase
    for _ in range(250_000):
        digest.update(key)
        digest.update(passphrase)
        key = digest.digest()
        digest = hashlib.sha512()
    # RFC 5869, by hand.
    secret = hmac.digest(bytes(32), key[:32], "sha256")
    first = hmac.digest(secret, b"Backup Export" + b"\x01", "sha256")
    return first, hmac.digest(secret, first + b"Backup Export" + b"\x02", "sha256")


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _parameter(value: Value) -> bytes:
    match value:
        case str():
            return _field(1, value.encode())
        case int():
            return _field(2, value % 2**64)
        case float():
            return _varint(3 << 3 | 1) + struct.pack("<d", value)
        case bytes():
            return _field(4, value)
    return _field(5, 1)
