"""Files on their way in from a chat platform, kept by a real store."""

from __future__ import annotations

import asyncio
import io
import zipfile
from typing import TYPE_CHECKING

import pytest

from adapters.files import LONGEST_NAME, Offer, Taken, TooLarge, fetch, media_type, take_in, tidy
from botdaemon.errors import StoreFull
from botdaemon.store import open_store

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

    from botdaemon.types import File

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(32)
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(32)
EXE = b"MZ\x90\x00" + bytes(60)
OGG = b"OggS" + bytes(60)
WEBM = b"\x1a\x45\xdf\xa3\x42\x82\x84webm" + bytes(60)


def archive(**content: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as handle:
        for name, text in content.items():
            handle.writestr(name, text)
    return packed.getvalue()


def sends(*chunks: bytes) -> Callable[[], AsyncGenerator[bytes]]:
    async def generate() -> AsyncGenerator[bytes]:
        for chunk in chunks:
            yield chunk

    return generate


@pytest.mark.parametrize(
    ("content", "name", "claimed", "seen"),
    [
        (PNG, "cat.png", "image/png", "image/png"),
        (PNG, "cat.png", "", "image/png"),
        (PNG, "cat", "", "image/png"),
        (PNG, "cat.png", "application/octet-stream", "image/png"),
        (JPEG, "cat.jpg", "image/jpg", "image/jpeg"),
        (OGG, "voice.oga", "video/ogg", "audio/ogg"),
        (WEBM, "sound.webm", "audio/webm", "audio/webm"),
        (archive(a="b"), "a.zip", "application/x-zip-compressed", "application/zip"),
        (b"hello", "hello.txt", "text/plain; charset=utf-8", "text/plain"),
        (b"BMW makes cars", "cars.txt", "text/plain", "text/plain"),
        (b"hello", "hello", "", "text/plain"),
        (b"x = 1", "a.toml", "application/toml", "text/plain"),
        (b'{"a": 1}', "a.json", "application/json", "application/json"),
        ("grüße".encode(), "a.md", "text/markdown", "text/markdown"),
        ("grüße".encode("utf-16"), "a.txt", "text/plain", "text/plain"),
        (b"", "nothing.txt", "text/plain", "text/plain"),
    ],
)
def test_an_honest_file_is_what_it_says(content: bytes, name: str, claimed: str, seen: str) -> None:
    assert media_type(content, name, claimed) == seen


@pytest.mark.parametrize(
    "kind",
    [
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "application/vnd.oasis.opendocument.text",
        "application/epub+zip",
    ],
)
def test_a_document_that_is_an_archive_inside_stays_a_document(kind: str) -> None:
    assert media_type(archive(a="b"), "document", kind) == kind


@pytest.mark.parametrize(
    ("content", "name", "claimed"),
    [
        (EXE, "cat.png", "image/png"),
        (EXE, "cat.png", ""),
        (EXE, "notes.txt", "text/plain"),
        (archive(a="b"), "cat.png", "image/png"),
        (archive(a="b"), "paper.pdf", "application/pdf"),
        (PNG, "song.mp3", "audio/mpeg"),
        (b"<script>", "cat.png", "image/png"),
        (bytes(range(256)), "notes.txt", "text/plain"),
        (b"a\0b", "notes.txt", "text/plain"),
        (bytes(range(256)), "what", ""),
        (b"", "cat.png", "image/png"),
    ],
)
def test_a_file_that_lies_is_of_no_known_kind(content: bytes, name: str, claimed: str) -> None:
    assert media_type(content, name, claimed) == "application/octet-stream"


def test_a_letter_cut_in_two_where_the_looking_ends_is_still_text() -> None:
    assert media_type(b"x" * (2**20 - 1) + "ü".encode(), "a.txt", "text/plain") == "text/plain"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("cat.png", "cat.png"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\ann\\cat.png", "cat.png"),
        ("cat\u202egnp.exe", "catgnp.exe"),
        ("a]\n[b.txt", "ab.txt"),
        ("..", "file"),
        ("", "file"),
    ],
)
def test_a_name_holds_nothing_that_misleads(name: str, shown: str) -> None:
    assert tidy(name) == shown


def test_a_long_name_keeps_its_ending() -> None:
    assert tidy("x" * 500 + ".tar") == "x" * (LONGEST_NAME - 4) + ".tar"


async def test_a_download_is_given_up_at_the_first_byte_too_many() -> None:
    taken = []

    async def endless() -> AsyncGenerator[bytes]:
        while True:
            taken.append(1)
            yield bytes(1000)

    with pytest.raises(TooLarge):
        await fetch(endless(), 10_000)
    assert len(taken) == 11


async def test_files_are_kept_in_order_and_the_others_leave_a_line(tmp_path: Path) -> None:
    async def broken() -> AsyncGenerator[bytes]:
        yield b"half"
        raise OSError("https://example.org/secret-token/file")

    offers = [
        Offer(name="one.png", chunks=sends(PNG[:10], PNG[10:]), size=len(PNG)),
        Offer(name="holiday.mov", chunks=sends(b"never read"), size=412_000_000),
        Offer(name="liar.txt", chunks=sends(b"x" * 60, b"x" * 60), size=5),
        Offer(name="broken.txt", chunks=broken),
        Offer(name="two.txt", chunks=sends(b"hello"), claimed="text/plain"),
    ]
    async with open_store(tmp_path) as store:
        taken = await take_in(offers, store, 100)
        assert [store.file(file.sha256).read_bytes() for file in taken.files] == [PNG, b"hello"]
    assert [(file.name, file.media_type, file.size) for file in taken.files] == [
        ("one.png", "image/png", len(PNG)),
        ("two.txt", "text/plain", 5),
    ]
    assert taken.beside("look") == (
        "look\n"
        "[holiday.mov: 412 MB, too large to take in]\n"
        "[liar.txt: more than 1 kB, too large to take in]\n"
        "[broken.txt: could not be fetched]"
    )


async def test_a_download_that_hangs_becomes_a_line(tmp_path: Path) -> None:
    closed = asyncio.Event()

    async def hanging() -> AsyncGenerator[bytes]:
        try:
            await asyncio.Event().wait()
            yield b""
        finally:
            closed.set()

    async with open_store(tmp_path) as store:
        taken = await take_in([Offer(name="a.txt", chunks=hanging)], store, 100, patience=0.05)
    assert taken == Taken(lines=("[a.txt: could not be fetched]",))
    assert closed.is_set()


async def test_what_a_failed_download_says_stays_out_of_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken() -> AsyncGenerator[bytes]:
        raise OSError("https://example.org/secret-token/file")
        yield b""

    async with open_store(tmp_path) as store:
        await take_in([Offer(name="a.txt", chunks=broken)], store, 100)
    assert "could not be fetched" in caplog.text
    assert "secret-token" not in caplog.text


async def test_a_full_disk_is_no_fault_of_the_file() -> None:
    """The message must come again, so it may not be recorded without its file."""

    class FullShelf:
        async def keep(self, content: bytes, name: str, media_type: str) -> File:
            raise StoreFull("the disk is full")

    with pytest.raises(StoreFull):
        await take_in([Offer(name="a.txt", chunks=sends(b"hello"))], FullShelf(), 100)  # type: ignore[arg-type]
