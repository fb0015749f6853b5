"""Decrypts the frames of an Android backup of Signal (version 1, `.backup`). Knows no table and no
message.

The file is a header, and then frames, each encrypted and authenticated by itself. Source:
Signal-Android, org.thoughtcrime.securesms.backup (BackupRecordInputStream, BackupBase) and
app/src/main/protowire/Backups.proto.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from botdaemon.errors import ExportUnusable, Refused
from models.exports.signal_protobuf import fields

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Value = str | int | float | bytes | None

ROUNDS = 250_000
DIGITS = 30
MAC = 10
"""Bytes that are kept of a frame's HMAC-SHA256."""
LARGEST = 64 * 2**20
"""No frame is larger: it holds one row of a table."""

# The fields of a BackupFrame; a blob follows the frames of the last three.
HEADER, STATEMENT, ATTACHMENT, END, AVATAR, STICKER = 1, 2, 4, 6, 7, 8
#: kind of frame -> which of its fields is the length of the blob
BLOBS = {ATTACHMENT: 3, AVATAR: 2, STICKER: 2}


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement of SQL, as the backup has it. Nothing is known of it; it may be hostile."""

    sql: str
    parameters: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Header:
    """How the frames of a file are encrypted."""

    iv: bytes
    salt: bytes
    #: whether the lengths of frames are encrypted too
    version: int


@dataclass(frozen=True, slots=True)
class Keys:
    """Made of a passphrase and a header's salt."""

    cipher: bytes
    mac: bytes


class _Damaged(Exception):
    """Says what is wrong with a frame."""


def statements(
    file: BinaryIO, size: int, where: str, passphrase: str, progress: Callable[[int, int], None]
) -> Iterator[Statement]:
    """The statements of a backup of `size` bytes, in their order; `where` names it. Attachments are
    passed over.

    Raises `Refused` for a wrong passphrase, and `ExportUnusable` for what is no such backup, or
    where it breaks off or is damaged.
    """
    passphrase = _digits(passphrase)
    try:
        header = _header(file)
    except _Damaged as error:
        raise ExportUnusable(f"{where} is no Android backup of Signal: {error}") from error
    if header.version > 1:
        raise ExportUnusable(
            f"{where} has a header of version {header.version}, and 1 is the last that is known"
        )
    keys = keys_of(passphrase, header.salt)
    counter = int.from_bytes(header.iv[:4], "big")
    number = 0
    while True:
        iv = struct.pack(">I", counter & 0xFFFFFFFF) + header.iv[4:]
        start = file.tell()
        if number % 1000 == 0:
            progress(start, size)
        try:
            frame = _frame(file, keys, iv, header.version)
            statement, blob, end = _content(frame)
        except _Damaged as error:
            if number == 0:
                raise Refused(
                    f"the passphrase does not open {where}; it is the one of 30 digits that Signal"
                    " showed when backups were turned on (or the file is damaged)"
                ) from error
            raise ExportUnusable(
                f"{where} {error} at byte {start} of {size} (frame {number}); copy it again"
            ) from error
        if end:
            progress(size, size)
            return
        if statement:
            yield statement
        counter += 1
        if blob is not None:
            if file.tell() + blob + MAC > size:
                raise ExportUnusable(
                    f"{where} breaks off in an attachment (frame {number}); copy it again"
                )
            file.seek(blob + MAC, 1)
            counter += 1
        number += 1


def _digits(passphrase: str) -> str:
    """Without the spaces between its groups."""
    digits = "".join(passphrase.split())
    if not digits:
        raise Refused("a Signal backup is encrypted; say its passphrase of 30 digits")
    if len(digits) != DIGITS or not (digits.isascii() and digits.isdigit()):
        raise Refused(
            f"the passphrase of a Signal backup has {DIGITS} digits, and this one has not"
        )
    return digits


def keys_of(passphrase: str, salt: bytes) -> Keys:
    """`BackupBase.getBackupKey`, and the two keys that are derived of it."""
    secret = passphrase.encode()
    key = hashlib.sha512(salt + secret + secret).digest()
    for _ in range(ROUNDS - 1):
        key = hashlib.sha512(key + secret).digest()
    derived = HKDF(SHA256(), length=64, salt=None, info=b"Backup Export").derive(key[:32])
    return Keys(derived[:32], derived[32:])


def _header(file: BinaryIO) -> Header:
    length = int.from_bytes(file.read(4), "big")
    if not 0 < length < 1024:
        raise _Damaged("it has no header")
    found: dict[int, int | bytes] = {}
    for data in (value for number, value in _fields(file.read(length)) if number == HEADER):
        found = dict(_fields(data))
    iv, salt, version = found.get(1), found.get(2), found.get(3, 0)
    if not (isinstance(iv, bytes) and isinstance(salt, bytes) and isinstance(version, int)):
        raise _Damaged("it has no header")
    if len(iv) != 16:
        raise _Damaged("its initialisation vector has not 16 bytes")
    return Header(iv, salt, version)


def _frame(file: BinaryIO, keys: Keys, iv: bytes, version: int) -> bytes:
    """Decrypts the next frame."""
    decrypt = Cipher(AES(keys.cipher), CTR(iv)).decryptor().update
    mac = hmac.new(keys.mac, digestmod="sha256")
    prefix = file.read(4)
    if len(prefix) < 4:
        raise _Damaged("breaks off")
    if version == 1:
        mac.update(prefix)
        prefix = decrypt(prefix)
    length = int.from_bytes(prefix, "big") - MAC
    if not 0 <= length <= LARGEST:
        raise _Damaged("is damaged")
    sealed = file.read(length)
    seal = file.read(MAC)
    if len(seal) < MAC:
        raise _Damaged("breaks off")
    mac.update(sealed)
    if not hmac.compare_digest(mac.digest()[:MAC], seal):
        raise _Damaged("is damaged")
    return decrypt(sealed)


def _content(frame: bytes) -> tuple[Statement | None, int | None, bool]:
    """The statement, the length of the blob that follows, and whether it is the last frame."""
    statement, blob, end = None, None, False
    for number, value in _fields(frame):
        if number == STATEMENT:
            statement = _statement(value)
        elif number in BLOBS:
            length = dict(_fields(value)).get(BLOBS[number], 0)
            blob = length if isinstance(length, int) else 0
        elif number == END:
            end = bool(value)
    return statement, blob, end


def _statement(data: int | bytes) -> Statement:
    sql = ""
    parameters: list[Value] = []
    for number, value in _fields(data):
        if number == 1 and isinstance(value, bytes):
            sql = value.decode("utf-8", "replace")
        elif number == 2:
            parameters += [_parameter(kind, content) for kind, content in _fields(value)]
    return Statement(sql, tuple(parameters))


def _parameter(kind: int, value: int | bytes) -> Value:
    match kind, value:
        case 1, bytes():
            return value.decode("utf-8", "replace")
        case 2, int():
            return value - 2**64 if value >= 2**63 else value
        case 3, bytes() if len(value) == 8:
            number: float = struct.unpack("<d", value)[0]
            return number
        case 4, bytes():
            return value
    return None


def _fields(data: int | bytes) -> list[tuple[int, int | bytes]]:
    try:
        return list(fields(data)) if isinstance(data, bytes) else []
    except ValueError as error:
        raise _Damaged(f"is damaged ({error})") from error
