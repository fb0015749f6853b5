"""Forgetting a person: nothing of theirs is left in the daemon's files, and everything else is."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from talk import ADA, BOB, HERE, THERE, ask, called, edit, notice, press, react, say, settle

from botdaemon.errors import Refused
from botdaemon.store import open_store
from botdaemon.types import Control, Identity, Kind, Message, Transcript

if TYPE_CHECKING:
    from pathlib import Path

ADA_ELSEWHERE = Identity(adapter="other", account="a9", name="Ada")


def raw(directory: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{directory}/botdaemon.db?mode=ro", uri=True)) as db:
        return db.execute(sql).fetchall()


def everything(directory: Path) -> bytes:
    """All bytes of the database and its log, and of the kept files."""
    return b"".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())


async def test_nothing_of_a_person_is_left_and_everything_of_others_is(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await settle(store)
        secret = await store.keep(b"the secret picture", "garden.png", "image/png")
        shared = await store.keep(b"a picture of both", "party.png", "image/png")
        first = await say(store, "plumtree grows", files=(secret, shared))
        second = await say(store, "nice, it grows well", BOB, files=(shared,))
        await ask(store, "plumtree again?", "certainly")
        await press(store, "certainly", Control.GOOD, ADA)
        await react(store, "certainly", "\U0001f44d", BOB)
        thread = (await store.recent_at(HERE, 1))[0].thread
        told = await notice(store, thread, "Ada may write here now")
        before = [m.id for m in await store.recent_at(HERE, 50)]
        assert b"plumtree" in everything(tmp_path)

        gone = await store.forget("ada")
        assert (gone.messages, gone.notices, gone.files, gone.ratings) == (2, 1, 1, 1)
        assert gone.person.accounts == ("chat:a1",)
        assert gone.backups == ()

        left = everything(tmp_path)
        for trace in (b"plumtree", b"Ada", b"the secret picture", b"garden.png"):
            assert trace not in left
        for other in (b"nice, it grows well", b"certainly", b"a picture of both", b"Bob"):
            assert other in left
        # The rows stay, as deleted ones, and others keep their places.
        assert [row[0] for row in raw(tmp_path, "SELECT id FROM messages ORDER BY id")] == before
        assert {m.id for m in await store.recent_at(HERE, 50)} == set(before) - {
            first, told, before[2],
        }  # fmt: skip
        changed = [m for _, m in await store.changes(0, 50) if m.deleted_at]
        assert {m.id for m in changed} == {first, told, before[2]}
        assert {m.speaker for m in changed} == {"forgotten", ""}
        assert (await store.describe(secret.sha256), store.file(secret.sha256).exists()) == (
            None, False,
        )  # fmt: skip
        [both] = [m for m in await store.recent_at(HERE, 50) if m.id == second]
        assert both.files == (shared,)


async def test_what_was_taken_back_before_is_gone_as_well(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await ask(store, "plumtree?", "no")
        thread = (await store.recent_at(HERE, 1))[0].thread
        await store.undo(thread)
        assert b"plumtree" in everything(tmp_path)
        await store.forget("Ada")
        assert b"plumtree?" not in everything(tmp_path)


async def test_letters_that_were_not_sent_die_and_those_that_were_are_taken_back(
    tmp_path: Path,
) -> None:
    async with open_store(tmp_path) as store:
        await settle(store)
        await say(store, "one")
        claim = await store.claim_letter(THERE)
        assert claim is not None
        assert not isinstance(claim, float)
        await store.claim_letter(HERE, settled=(claim.letter.id, "remote one"))
        await say(store, "two")  # under way, nobody knows whether it arrived
        assert await store.claim_letter(THERE) is not None
        await say(store, "three")
        await say(store, "of Bob", BOB)

        gone = await store.forget("Ada")
        assert (gone.letters, gone.relayed) == (2, (THERE,))
        letters = raw(tmp_path, "SELECT state, taken_back, text, remote FROM letters ORDER BY id")
        assert letters == [
            ("ready", 1, "", "remote one"),
            ("sending", 1, "", ""),
            ("dead", 0, "", ""),
            ("ready", 0, "Bob: of Bob", ""),
        ]
        claim = await store.claim_letter(THERE)
        assert claim is not None
        assert not isinstance(claim, float)
        assert (claim.letter.remote, claim.taken_back) == ("remote one", True)


async def test_an_edit_that_comes_afterwards_brings_nothing_back(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await say(store, "plumtree", platform_id="here")
        await store.forget("Ada")
        await edit(store, "here", "rosebush")
        assert b"rosebush" not in everything(tmp_path)


async def test_whoever_writes_again_is_a_new_person(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        old = await say(store, "before")
        person = await store.find_person("Ada")
        await store.forget("chat:a1")
        new = await say(store, "after")
        assert [m.id for m in await store.recent_at(HERE, 9)] == [new]
        assert (await store.find_person("Ada")).id != person.id
        assert old != new


async def test_a_person_is_found_by_name_account_or_id(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await say(store, "as she was called")
        await say(store, "hello", called(ADA, "Ada Lovelace"))
        await say(store, "hi", BOB)
        ada = await store.find_person("ada lovelace")
        assert (ada.names, ada.accounts, ada.messages) == (("Ada Lovelace",), ("chat:a1",), 2)
        assert await store.find_person(" chat:a1 ") == ada
        assert await store.find_person(str(ada.id)) == ada


async def test_nobody_is_forgotten_by_mistake(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await say(store, "hello")
        await say(store, "hello too", ADA_ELSEWHERE, address=THERE)
        with pytest.raises(Refused) as refused:
            await store.forget("Ada")
        assert str(refused.value) == (
            '"Ada" may be more than one person: chat:a1 (Ada, 1 messages); other:a9 (Ada, 1'
            " messages); give one of these accounts"
        )
        with pytest.raises(Refused, match=r'nobody is called "Adda" \(did you mean Ada\?\)'):
            await store.forget("Adda")
        assert len(raw(tmp_path, "SELECT id FROM messages WHERE text <> ''")) == 2

        await store.forget("other:a9")
        assert [m.text for m in await store.recent_at(HERE, 9)] == ["hello"]


async def test_who_is_forgotten_cannot_be_found_again(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await say(store, "hello")
        await store.forget("Ada")
        for name in ("Ada", "chat:a1", "forgotten", "1"):
            with pytest.raises(Refused, match="nobody is called"):
                await store.forget(name)


async def test_backups_that_still_hold_them_are_named(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await say(store, "hello")
        backup = tmp_path / "botdaemon-schema-2.db"
        backup.write_bytes(b"an older one")
        assert (await store.forget("Ada")).backups == (backup,)


async def test_what_could_not_be_read_and_what_only_they_were_told_goes_too(
    tmp_path: Path,
) -> None:
    async with open_store(tmp_path) as store:
        await say(store, "hello", address=HERE)
        await store.quarantine("chat", '{"user": "a1", "text": "plumtree"}', "not understood")
        await store.quarantine("chat", '{"user": "b1", "text": "rosebush"}', "not understood")
        await store.pairing_code(ADA, 1, HERE)
        await store.forget("Ada")
        assert [row[0] for row in raw(tmp_path, "SELECT raw FROM quarantine")] == [
            '{"user": "b1", "text": "rosebush"}'
        ]
        assert raw(tmp_path, "SELECT * FROM pairings") == []


async def test_what_they_said_aloud_is_forgotten_with_what_the_daemon_repeated_of_it(
    tmp_path: Path,
) -> None:
    async with open_store(tmp_path) as store:
        await settle(store)
        note = await store.keep(b"OggS", "note.ogg", "audio/ogg")
        await say(store, "", files=(note,), platform_id="note")
        thread = (await store.threads("Lounge"))[0].id
        heard = Message(
            address=HERE, text="*Heard:* my secret", kind=Kind.NOTICE, thread=thread, sent_at=2.0,
            reply_to="note",
        )  # fmt: skip
        assert await store.keep_transcript(note.sha256, Transcript("my secret"), "e", (heard, []))
        await store.forget("Ada")
        assert await store.transcript_of(note.sha256) is None
    assert b"my secret" not in everything(tmp_path)
