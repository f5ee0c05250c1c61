"""One guarded connection: statements, nested transactions, errors in a user's words."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from virtnetplug.adapters.sqlite.connection import identity, is_outdated, open_readable, open_writable, patiently, place
from virtnetplug.adapters.sqlite.directory import moved, read_only_remedy, translated
from virtnetplug.errors import JournalBroken, JournalReadOnly

_T = TypeVar("_T")
Parameters = Sequence[Any] | dict[str, Any]


class Database:
    """Usable from many threads; a transaction keeps the other threads out until it ends.

    All threads share one connection and a lock, on which they queue in order. Connections of their own would poll for each other with
    sleeps of up to 100 ms.
    """

    def __init__(self, path: Path, *, read_only: bool) -> None:
        self.path = path
        self.read_only = read_only
        self._lock = threading.RLock()
        self._depth = 0
        self._is_durable = True
        self._pid = os.getpid()
        self._closed = False
        self._identity: tuple[int, ...] = ()
        self._place: tuple[int, int] | None = None
        self._connection: sqlite3.Connection | None = None
        with translated(path):
            self._usable()

    def fetch(self, sql: str, parameters: Parameters = ()) -> list[sqlite3.Row]:
        """All rows."""
        with self._lock, translated(self.path):
            connection = self._usable()
            return patiently(self.path, lambda: connection.execute(sql, parameters).fetchall())

    def write(self, sql: str, parameters: Parameters = ()) -> int:
        """Run one statement in the transaction that is open, or in one of its own; returns how many rows it changed."""
        return self._change(lambda connection: connection.execute(sql, parameters).rowcount)

    def write_many(self, sql: str, rows: Iterable[Parameters]) -> None:
        """Run one statement per row, in the transaction that is open or in one of its own."""
        self._change(lambda connection: connection.executemany(sql, rows))

    @contextmanager
    def transaction(self, *, is_durable: bool = True) -> Iterator[None]:
        """All writes inside are one commit, or none of them; a nested transaction joins and can fail by itself.

        The commit is on the disk when it returns, if `is_durable` and outermost; otherwise when a later durable commit returns. A process that
        dies loses neither.
        """
        with self._lock:
            name = f"level{self._depth}" if self._depth else ""
            self._begin(name, is_durable=is_durable)
            self._depth += 1
            try:
                yield
                self._commit(name)
            except BaseException:
                self._roll_back(name)
                raise
            finally:
                self._depth -= 1

    @contextmanager
    def joined(self) -> Iterator[None]:
        """The transaction that is open, or a durable one: for writes that fail at the first of them, if at all."""
        with self._lock:
            if self._depth:
                yield
            else:
                with self.transaction():
                    yield

    def expect_writable(self) -> None:
        """Raise `JournalReadOnly` if the journal is open for reading only."""
        if self.read_only:
            raise JournalReadOnly(f"the journal {self.path} is open for reading only. {read_only_remedy()}")

    def close(self) -> None:
        """Safe twice."""
        with self._lock:
            if self._connection is not None and self._pid == os.getpid():
                self._connection.close()
            self._connection = None
            self._closed = True

    def _change(self, call: Callable[[sqlite3.Connection], _T]) -> _T:
        with self.joined(), translated(self.path):
            return call(self._in_transaction())

    def _begin(self, name: str, *, is_durable: bool) -> None:
        self.expect_writable()
        with translated(self.path):
            if name:
                self._in_transaction().execute(f"SAVEPOINT {name}")
                return
            connection = self._usable()
            if connection.in_transaction:  # Ctrl-C struck between two lines of ours
                connection.execute("ROLLBACK")
            if is_durable is not self._is_durable:
                connection.execute(f"PRAGMA synchronous = {'FULL' if is_durable else 'NORMAL'}")
                self._is_durable = is_durable
            patiently(self.path, lambda: connection.execute("BEGIN IMMEDIATE"))

    def _commit(self, name: str) -> None:
        with translated(self.path):
            self._in_transaction().execute(f"RELEASE {name}" if name else "COMMIT")

    def _roll_back(self, name: str) -> None:
        # A full disk rolls back the whole transaction by itself.
        connection = self._connection
        if connection is not None and connection.in_transaction:
            with translated(self.path):
                connection.execute(f"ROLLBACK TO {name}" if name else "ROLLBACK")
                if name:
                    connection.execute(f"RELEASE {name}")

    def _in_transaction(self) -> sqlite3.Connection:
        connection = self._usable()
        if not connection.in_transaction:
            raise JournalBroken(
                f"an earlier write to the journal {self.path} failed, and nothing of its batch was written."
            )
        return connection

    def _usable(self) -> sqlite3.Connection:
        if self._closed:
            raise JournalBroken(f"the journal {self.path} has been closed; open it again to use it.")
        if self._pid != os.getpid():
            raise JournalBroken(
                f"the journal {self.path} was opened before this process was forked, and SQLite forbids sharing it. "
                "Open it in the process that uses it."
            )
        if self._connection is None or (self.read_only and identity(self.path) != self._identity):
            self._connection = self._open()
        elif self._is_moved():
            raise moved(self.path)
        return self._connection

    def _is_moved(self) -> bool:
        """Whether another file has its path by now, or none. A transaction asks as it begins."""
        return not self.read_only and not self._depth and place(self.path) != self._place

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if not self.read_only:
            connection = open_writable(self.path)
            self._place = place(self.path)
            return connection
        self._identity = identity(self.path)
        connection = open_readable(self.path)
        if is_outdated(connection, self.path):
            self._identity = ()
        return connection
