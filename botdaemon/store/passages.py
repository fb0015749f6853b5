"""What a bot can look up: passages of files, in a database of its own that can be made anew from
the files at any time. Knows no file format, no model, and no ranking but FTS5's bm25.

    DIRECTORY/lock       held by the one process that keeps it up to date
    DIRECTORY/index.db   read by anybody

A file and its passages change in one transaction, so whatever is killed leaves whole files. Vectors
come later and one by one; without them a passage is found by its words.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

from botdaemon.errors import StoreFull, StoreUnusable
from botdaemon.store.database import locked
from botdaemon.types import Passage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

#: Another number whenever the tables, or what is put into them, change: then all is read again.
FORM = 1

# External content: the text lies there once, and FTS5 keeps no copy (https://sqlite.org/fts5.html).
# A heading counts twice.
_SCHEMA = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE files (
    path TEXT PRIMARY KEY,
    shown TEXT NOT NULL,
    stamp TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    problem TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE TABLE passages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    path TEXT NOT NULL REFERENCES files (path) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    heading TEXT NOT NULL,
    text TEXT NOT NULL,
    page INTEGER NOT NULL,
    line INTEGER NOT NULL
);
CREATE UNIQUE INDEX passages_of_file ON passages (path, number);
CREATE TABLE vectors (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    passage INTEGER NOT NULL UNIQUE REFERENCES passages (id) ON DELETE CASCADE,
    scale REAL NOT NULL,
    codes BLOB NOT NULL
);
CREATE VIRTUAL TABLE words USING fts5 (
    heading, text, content = 'passages', content_rowid = 'id', tokenize = '{tokenizer}'
);
INSERT INTO words (words, rank) VALUES ('rank', 'bm25(2.0, 1.0)');
CREATE TRIGGER words_come AFTER INSERT ON passages BEGIN
    INSERT INTO words (rowid, heading, text) VALUES (new.id, new.heading, new.text);
END;
CREATE TRIGGER words_go AFTER DELETE ON passages BEGIN
    INSERT INTO words (words, rowid, heading, text)
    VALUES ('delete', old.id, old.heading, old.text);
END;
INSERT INTO about VALUES ('form', '{form}'), ('born', '{born}'), ('embedder', ''), ('removed', 0);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedFile:
    """A file as it was last read."""

    path: str
    #: where it lies in its folder
    shown: str
    #: says that it has not changed: size and times
    stamp: str
    sha256: str = ""
    #: why it could not be read; empty when it could
    problem: str = ""
    passages: int = 0


class Edition(NamedTuple):
    """What says whether vectors that were read once are still those of the index."""

    #: another one for an index that was made anew
    born: str
    #: the embedder that made them
    embedder: str
    #: how often some were taken away
    removed: str


class Vector(NamedTuple):
    """A passage's vector, in numbers of 8 bits: codes times scale."""

    seq: int
    passage: int
    scale: float
    codes: bytes


@contextmanager
def open_index(directory: Path, *, stems: bool) -> Iterator[Index]:
    """The index, to be written to. `stems`: English endings do not count. One that is damaged or
    has another form is begun anew. Raises `StoreLocked`, `StoreUnusable`, `StoreFull`."""
    with locked(directory):
        path = directory / "index.db"
        with _explained(path):
            try:
                db = _opened(path, stems=stems)
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                db = None  # no database, or a damaged one
            if db is None:
                for part in directory.glob("index.db*"):
                    part.unlink()
                db = _opened(path, stems=stems)
            if db is None:
                raise StoreUnusable(f"{path} cannot be made")
            with closing(db):
                yield Index(db, path)


@contextmanager
def look(directory: Path) -> Iterator[Index | None]:
    """The index, to be read; None where there is none yet. Raises `StoreUnusable`."""
    path = directory / "index.db"
    if not path.exists():
        yield None
        return
    with _explained(path):
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as db:
            found = db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'about'").fetchone()
            whole = found and db.execute("SELECT value FROM about WHERE name = 'form'").fetchone()
            yield Index(db, path) if whole else None


def _opened(path: Path, *, stems: bool) -> sqlite3.Connection | None:
    """None for one of another form."""
    tokenizer = "porter unicode61" if stems else "unicode61"
    form = f"{FORM} {tokenizer}"
    # check_same_thread: one call at a time, each from a thread of a pool.
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
    try:
        # It can be made anew, so power loss may take the last transactions.
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA foreign_keys = ON")
        if db.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,):
            schema = _SCHEMA.format(
                tokenizer=f"{tokenizer} remove_diacritics 2", form=form, born=uuid4().hex
            )
            db.executescript(f"BEGIN IMMEDIATE;\n{schema}\nCOMMIT;")
        (found,) = db.execute("SELECT value FROM about WHERE name = 'form'").fetchone()
    except sqlite3.OperationalError as error:
        db.close()
        if "no such table" in str(error):
            return None
        raise
    except BaseException:
        db.close()
        raise
    if found == form:
        return db
    db.close()
    return None


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        if str(getattr(error, "sqlite_errorname", "")).startswith(("SQLITE_FULL", "SQLITE_IOERR")):
            raise StoreFull(f"there is no space for {path} ({error})") from None
        raise StoreUnusable(
            f"{path} cannot be used ({error}); delete it, and it is made anew"
        ) from None


class Index:
    """One bot's passages. One call at a time."""

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        self._db = db
        self._path = path

    # --- files ----------------------------------------------------------------------------------

    def files(self) -> dict[str, IndexedFile]:
        """By path."""
        rows = self._all(
            "SELECT path, shown, stamp, sha256, problem,"
            " (SELECT count(*) FROM passages WHERE passages.path = files.path)"
            " FROM files ORDER BY shown, path"
        )
        keys = ("path", "shown", "stamp", "sha256", "problem", "passages")
        return {row[0]: IndexedFile(**dict(zip(keys, row, strict=True))) for row in rows}

    def put(self, file: IndexedFile, passages: Sequence[Passage]) -> None:
        """In place of what was known of the file."""
        with self._transaction():
            self._drop(file.path)
            self._db.execute(
                "INSERT INTO files VALUES (?, ?, ?, ?, ?)",
                (file.path, file.shown, file.stamp, file.sha256, file.problem),
            )
            self._db.executemany(
                "INSERT INTO passages (path, number, heading, text, page, line)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (file.path, number, one.heading, one.text, one.page, one.line)
                    for number, one in enumerate(passages)
                ],
            )

    def touch(self, path: str, stamp: str, shown: str) -> None:
        """The file has another stamp or place, and the same content."""
        with self._transaction():
            self._db.execute(
                "UPDATE files SET stamp = ?, shown = ? WHERE path = ?", (stamp, shown, path)
            )

    def drop(self, path: str) -> None:
        """The file is not there any more."""
        with self._transaction():
            self._drop(path)

    def count(self) -> tuple[int, int]:
        """Passages, and those that have a vector."""
        [row] = self._all("SELECT (SELECT count(*) FROM passages), (SELECT count(*) FROM vectors)")
        return row[0], row[1]

    def _drop(self, path: str) -> None:
        self._db.execute(
            "UPDATE about SET value = value + 1 WHERE name = 'removed' AND EXISTS"
            " (SELECT 1 FROM passages JOIN vectors ON passage = id WHERE path = ?)",
            (path,),
        )
        self._db.execute("DELETE FROM files WHERE path = ?", (path,))

    # --- vectors --------------------------------------------------------------------------------

    def edition(self) -> Edition:
        about = dict(self._all("SELECT name, value FROM about"))
        return Edition(about["born"], about["embedder"], about["removed"])

    def settle_embedder(self, identity: str) -> None:
        """From now on vectors come from this embedder; those of another one go."""
        if self.edition().embedder == identity:
            return
        with self._transaction():
            self._db.execute("DELETE FROM vectors")
            self._db.execute("UPDATE about SET value = ? WHERE name = 'embedder'", (identity,))

    def without_vectors(self, after: int, limit: int) -> list[Passage]:
        """Passages above the id `after`, by growing id."""
        rows = self._all(
            f"{_PASSAGE} WHERE id > ? AND NOT EXISTS"
            " (SELECT 1 FROM vectors WHERE passage = id) ORDER BY id LIMIT ?",
            (after, limit),
        )
        return [_passage(row) for row in rows]

    def put_vectors(self, vectors: Iterable[tuple[int, float, bytes]]) -> None:
        """Each for a passage: its id, scale and codes."""
        with self._transaction():
            self._db.executemany(
                "INSERT INTO vectors (passage, scale, codes) VALUES (?, ?, ?)", vectors
            )

    def vectors(self, after: int = 0) -> list[Vector]:
        """Those above a `seq`, in its order."""
        rows = self._all(
            "SELECT seq, passage, scale, codes FROM vectors WHERE seq > ? ORDER BY seq", (after,)
        )
        return [Vector(*row) for row in rows]

    # --- looking up -----------------------------------------------------------------------------

    def with_word(self, word: str, most: int) -> list[int]:
        """Ids of passages that have the word, at most so many."""
        sql = "SELECT rowid FROM words WHERE words MATCH ? LIMIT ?"
        return [id for (id,) in self._all(sql, (_quoted(word), most))]

    def best(self, words: Sequence[str], most: int, *, every: bool = False) -> list[int]:
        """Ids of the passages that have some of the words, or every one, best first by bm25."""
        asked = (" AND " if every else " OR ").join(map(_quoted, words))
        sql = "SELECT rowid FROM words WHERE words MATCH ? ORDER BY rank LIMIT ?"
        return [id for (id,) in self._all(sql, (asked, most))]

    def passages(self, ids: Sequence[int]) -> dict[int, Passage]:
        marks = ", ".join("?" * len(ids))
        return {
            row[0]: _passage(row) for row in self._all(f"{_PASSAGE} WHERE id IN ({marks})", ids)
        }

    # --- SQLite ---------------------------------------------------------------------------------

    def _all(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with _explained(self._path):
            return self._db.execute(sql, parameters).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with _explained(self._path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")


_PASSAGE = (
    "SELECT id, number, heading, text, page, line, shown FROM passages JOIN files USING (path)"
)


def _passage(row: tuple[Any, ...]) -> Passage:
    id, number, heading, text, page, line, shown = row
    return Passage(
        id=id, number=number, heading=heading, text=text, page=page, last_page=page, line=line,
        file=shown,
    )  # fmt: skip


def _quoted(word: str) -> str:
    """A word as FTS5's string, in which nothing has a meaning
    (https://sqlite.org/fts5.html#fts5_strings)."""
    return '"' + word.replace('"', '""').replace("\0", " ") + '"'
