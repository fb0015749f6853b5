"""Reads dumps of Reddit (Pushshift, Arctic Shift): comments and submissions, one JSON object a
line. Knows nothing of how they are compressed.

A conversation is a submission with its comments. The submission is its first message, where the
export has it. `reply_to` gives the tree; `thread` is the top-level comment that a comment hangs
from, so that the branches of a conversation can be told apart without the tree.

Fields: the schemas of each month in ArthurHeitmann/arctic_shift. `created_utc` is a number or a
string, `edited` false or a time; `name` and `author_fullname` are often missing, so ids are made of
`id`, and a person is known by name.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from botdaemon.errors import ExportUnusable, Refused
from models.exports import reddit_dump
from models.exports.files import Files, opened
from models.exports.neutral import Options, Said, Tally
from models.exports.reddit_text import plain
from models.exports.reddit_trees import Trees
from models.exports.streaming import each_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_NO_JSON, _NOT_REDDIT = "lines that are no JSON", "neither comments nor submissions"
_SUFFIXES = (".zst", ".ndjson", ".jsonl", ".json")
_GONE = ("", "[deleted]", "[removed]", "[ Removed by Reddit ]")
_ATTACHED = {"image": "[picture]", "hosted:video": "[video]", "rich:video": "[video]"}
"""What a submission shows besides its title, by `post_hint`."""
_FOUNDED, _NEVER = 1_119_000_000, 4_102_444_800
"""June 2005 and the year 2100, in seconds since the epoch."""


def read(path: Path, tally: Tally, options: Options) -> Iterator[Said]:
    """The messages of a dump, or of all dumps in a folder.

    With `options.authors`: the whole conversations in which one of them wrote, for what they said
    is learned as answers; for that the dump is read twice. Raises `ExportUnusable` for a file that
    is damaged or breaks off, after everything that could be read, of the other files too.
    """
    try:
        with opened(path) as files, Trees() as trees:
            yield from _read(files, tally, options, trees)
    except sqlite3.Error as error:
        raise Refused(
            f"the temporary database in {tempfile.gettempdir()} failed ({error});"
            " set TMPDIR to a folder with more space"
        ) from error


def _read(files: Files, tally: Tally, options: Options, trees: Trees) -> Iterator[Said]:
    names = [name for name in files.names() if name.lower().endswith(_SUFFIXES)]
    names = names or [name for name in files.names() if name == files.path.name]
    if not names:
        raise ExportUnusable(f"{files.path} has no .zst, .ndjson or .jsonl file of a Reddit dump")
    if options.authors:
        _choose(files, names, tally, options, trees)

    def read_one(name: str, progress: Callable[[int], None]) -> Iterator[Said]:
        for record in _records(files, name, tally, progress):
            if (said := _taken(record, tally, options, trees)) is not None:
                yield said

    empty = True
    try:
        for said in each_file(files, names, tally, read_one):
            empty = False
            yield said
    finally:
        _tell(tally, trees)
    if empty and tally.left_out.keys() <= {_NO_JSON, _NOT_REDDIT}:
        raise ExportUnusable(f"{files.path} has no comment and no submission of Reddit")


def _choose(files: Files, names: list[str], tally: Tally, options: Options, trees: Trees) -> None:
    """Remember the conversations of the chosen authors. What is wrong with a file is counted and
    told by whoever reads it again."""

    def choose(name: str, progress: Callable[[int], None]) -> Iterator[Said]:
        for record in _records(files, name, Tally(), progress):
            with suppress(_Unfit):
                post = _post(record)
                if _is_chosen(post, options) and post.author.lower() in options.authors:
                    trees.want(post.conversation)
        yield from ()

    with suppress(ExportUnusable):
        for _ in each_file(files, names, Tally(progress=tally.progress), choose):
            pass


def _records(
    files: Files, name: str, tally: Tally, progress: Callable[[int], None]
) -> Iterator[dict[str, Any]]:
    where = f"{files.path}: {name}" if name != files.path.name else str(files.path)
    spoiled = False
    with files.open(name) as stream:
        for number, line in enumerate(reddit_dump.lines(stream, where, progress), 1):
            if line.isspace():
                continue
            try:
                record = json.loads(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line)
            except (ValueError, RecursionError) as error:
                if not line.endswith(b"\n"):
                    raise ExportUnusable(
                        f"{where} breaks off in line {number}; download it again"
                    ) from error
                if not spoiled:
                    tally.note(f"{where}: line {number} and perhaps others are no JSON")
                spoiled = True
                tally.leave(_NO_JSON)
                continue
            if isinstance(record, dict):
                yield record
            else:
                tally.leave(_NOT_REDDIT)


class _Unfit(Exception):
    """It lacks what a comment or a submission has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Post:
    """A comment or a submission, as every month has them."""

    name: str
    conversation: str
    #: empty for a submission
    parent: str
    subreddit: str
    author: str
    at: float
    #: a submission's; empty for a comment
    title: str
    body: str


def _post(record: dict[str, Any]) -> _Post:
    """Raises `_Unfit`."""
    is_comment = "body" in record
    kind = "t1_" if is_comment else "t3_"
    try:
        name = kind + _text(record, "id").removeprefix(kind)
        at = float(record["created_utc"])
        title = "" if is_comment else record["title"] or ""
        body = (record["body"] if is_comment else record.get("selftext")) or ""
        post = _Post(
            name=name,
            conversation=_text(record, "link_id") if is_comment else name,
            parent=_text(record, "parent_id") if is_comment else "",
            subreddit=_text(record, "subreddit"),
            author=_text(record, "author"),
            at=at,
            title=title,
            body=body,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _Unfit from error
    if not (isinstance(title, str) and isinstance(body, str) and _FOUNDED < at < _NEVER):
        raise _Unfit
    return post


def _text(record: dict[str, Any], key: str) -> str:
    """A name of Reddit's: all of them are ASCII."""
    value = record[key]
    if not (isinstance(value, str) and value and value.isascii()):
        raise ValueError(key)
    return value


def _is_chosen(post: _Post, options: Options) -> bool:
    return not options.subreddits or post.subreddit.lower() in options.subreddits


def _taken(record: dict[str, Any], tally: Tally, options: Options, trees: Trees) -> Said | None:
    """The message, or nothing when it is left out; counted in any case."""
    try:
        post = _post(record)
    except _Unfit:
        tally.leave(_NOT_REDDIT)
        return None
    if not _is_chosen(post, options):
        tally.leave("in other subreddits")
        return None
    if options.authors and not trees.is_wanted(post.conversation):
        tally.leave("in conversations without the chosen authors")
        return None
    text, quoted = plain(post.body)
    if post.title:
        shown = _ATTACHED.get(str(record.get("post_hint")), "")
        text = "\n".join(part for part in (plain(post.title)[0], text or shown) if part)
    reason = _reason(record, post, options) or ("" if text else "nothing but quotes")
    thread = trees.add(post.name, post.parent, kept=not reason)
    if reason:
        tally.leave(reason)
        return None
    said = Said(
        conversation=post.conversation,
        id=post.name,
        at=post.at,
        speaker=post.author,
        name=post.author,
        text=text,
        reply_to=post.parent,
        thread=thread,
        title=f"r/{post.subreddit}",
    )
    if quoted:
        tally.change("quote removed")
    if record.get("edited"):
        tally.change("edited")
        said = replace(said, edited=True)
    return said


def _reason(record: dict[str, Any], post: _Post, options: Options) -> str:
    """Why it is left out; empty when it is kept."""
    meta = record.get("_meta")
    if isinstance(meta, dict) and meta.get("was_deleted_later"):
        return "deleted later"
    # A submission need not have a text: its title is one.
    if post.author in _GONE or (post.body or post.title).strip() in _GONE:
        return "deleted or removed"
    if post.author == "AutoModerator":
        return "by AutoModerator"
    if post.author.lower().endswith("bot") and not options.bots:
        return "by bots"
    if record.get("distinguished") in ("moderator", "admin"):
        return "by moderators, as such"
    if record.get("stickied") is True:
        return "pinned by moderators"
    return ""


def _tell(tally: Tally, trees: Trees) -> None:
    if orphans := trees.orphans("t1_"):
        tally.change("answers a comment that is not in the export", orphans)
        tally.note(
            f"{orphans} comments answer a comment that is not in the export (of another month, or"
            " not collected): they begin branches of their own"
        )
    if lonely := trees.orphans("t3_"):
        tally.change("answers a submission that is not in the export", lonely)
        tally.note(
            f"{lonely} comments answer a submission that is not in the export: these conversations"
            " begin with their first comments; the submissions are in the file RS beside RC"
        )
