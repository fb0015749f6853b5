"""The one connection that writes. Knows transactions, not what is in them.

Whole transactions are shipped to one thread as functions. It takes all that wait, runs them under
one ``BEGIN IMMEDIATE``, and makes them durable with a single COMMIT at ``synchronous=FULL``: dozens
of times the throughput of committing one by one, and a transaction owns its connection by
construction. Only when one of them fails are they undone and run again, each in a SAVEPOINT of its
own: savepoints for all would be a third of all statements.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from botdaemon.errors import StoreError, StoreFull

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from botdaemon.metrics import Metrics

log = logging.getLogger(__name__)

T = TypeVar("T")

#: transactions that share one COMMIT at most, so that the first of them does not wait for ever
BATCH = 256

# A statement that meets one of these may have rolled back the whole transaction by itself
# (sqlite.org/lang_transaction.html, "Response To Errors"), so the whole batch is given up.
_FATAL = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_NOMEM", "SQLITE_READONLY", "SQLITE_CANTOPEN")


@dataclass(slots=True)
class _Item:
    work: Callable[[sqlite3.Connection], Any]
    future: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None


class Writer:
    """Runs transactions one after another on a thread of its own. Made by `writing`."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        mark: Callable[[], int],
        committed: Callable[[int], None],
        metrics: Metrics,
    ) -> None:
        self._connection = connection
        self._mark = mark
        self._committed = committed
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._closed = False
        self.thread = threading.Thread(target=self._run, name="store-writer", daemon=True)

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in a transaction; returns when it is on disk.

        It may be run twice, the first time for nothing, so all it changes must be in the database.
        If the caller is cancelled, the transaction happens all the same. Raises what `work`
        raised (then nothing of it is kept), `StoreFull` or `StoreError`.
        """
        if self._closed:
            raise StoreError("the store is closed")
        item = _Item(work, self._loop.create_future())
        self._queue.put(item)
        result: T = await item.future
        return result

    def close(self) -> None:
        """Let what was queued finish, then end the thread."""
        self._closed = True
        self._queue.put(None)

    # --- on the thread -----------------------------------------------------------------------

    def _run(self) -> None:
        open_ = True
        mark = self._mark()
        while open_:
            batch: list[_Item] = []
            item = self._queue.get()
            while True:
                if item is None:
                    open_ = False
                    break
                batch.append(item)
                if len(batch) == BATCH:
                    break
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
            if batch:
                began = time.perf_counter()
                if self._commit(batch):
                    mark = self._mark()
                self._count(batch, time.perf_counter() - began)
                # The loop is gone only when the whole process is on its way out.
                with suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(self._settle, batch, mark)

    def _commit(self, batch: list[_Item]) -> bool:
        """Whether it is on disk now; if not, every item knows why."""
        db = self._connection
        try:
            db.execute("BEGIN IMMEDIATE")
            try:
                for item in batch:
                    item.result = item.work(db)
            except BaseException as error:
                if _is_fatal(error):
                    raise
                db.execute("ROLLBACK")
                db.execute("BEGIN IMMEDIATE")
                self._run_apart(batch)
            db.execute("COMMIT")
        except BaseException as error:
            if db.in_transaction:
                with suppress(sqlite3.Error):
                    db.execute("ROLLBACK")
            log.error(
                "transaction failed: %s", error, extra={"event": "store_failed", "lost": len(batch)}
            )
            for item in batch:
                item.error = _explain(error)
            return False
        return True

    def _count(self, batch: list[_Item], seconds: float) -> None:
        # A transaction that ends with a `Refused` or the like was to end so.
        failed = sum(isinstance(item.error, StoreError) for item in batch)
        kept = sum(item.error is None for item in batch)
        self._metrics.committed(seconds, kept, failed=failed)

    def _run_apart(self, batch: list[_Item]) -> None:
        """Run each item so that the failure of one leaves nothing of it and all of the others."""
        db = self._connection
        for item in batch:
            db.execute("SAVEPOINT item")
            try:
                item.result = item.work(db)
            except BaseException as error:
                if _is_fatal(error):
                    raise
                item.error = error
                db.execute("ROLLBACK TO item")
            db.execute("RELEASE item")

    # --- on the loop -------------------------------------------------------------------------

    def _settle(self, batch: list[_Item], mark: int) -> None:
        self._committed(mark)
        for item in batch:
            if item.future.done():  # the caller was cancelled
                continue
            if item.error is not None:
                item.future.set_exception(item.error)
            else:
                item.future.set_result(item.result)


def _is_fatal(error: BaseException) -> bool:
    return isinstance(error, sqlite3.Error) and str(
        getattr(error, "sqlite_errorname", "")
    ).startswith(_FATAL)


def _explain(error: BaseException) -> BaseException:
    if _is_fatal(error):
        return StoreFull(f"nothing was recorded, the database cannot be written ({error})")
    if isinstance(error, sqlite3.Error):
        return StoreError(f"nothing was recorded, the database refused it ({error})")
    return error


@asynccontextmanager
async def writing(
    connection: sqlite3.Connection,
    mark: Callable[[], int],
    committed: Callable[[int], None],
    metrics: Metrics,
) -> AsyncIterator[Writer]:
    """A `Writer` over `connection` for as long as the context lasts.

    `mark` is asked on the writing thread after each COMMIT, `committed` is told its answer on
    the event loop.
    """
    writer = Writer(connection, mark, committed, metrics)
    writer.thread.start()
    try:
        yield writer
    finally:
        writer.close()
        # Shielded from nothing: queued transactions are short, and losing them is worse.
        await asyncio.to_thread(writer.thread.join)
