"""Opening the journal's database, for writing or for whatever reading is still possible."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from virtnetplug.adapters.sqlite import schema
from virtnetplug.adapters.sqlite.directory import ELSEWHERE, busy, is_busy, is_full, open_private
from virtnetplug.errors import JournalBroken

PATIENCE = 30.0
"""Seconds to wait for other processes' writes, which take a millisecond each."""

_SLICE = 0.005  # seconds SQLite itself waits: its own sleeps grow to 100 ms, and it does not hear Ctrl-C

_WITHOUT_ROOM = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR)

_T = TypeVar("_T")


def patiently(path: Path, call: Callable[[], _T]) -> _T:
    """What `call` returns, tried again while others hold the database; raises ``journal-busy`` in the end."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return call()
        except sqlite3.OperationalError as error:
            if not is_busy(error):
                raise
            if time.monotonic() > deadline:
                raise busy(path, PATIENCE) from error


def open_writable(path: Path) -> sqlite3.Connection:
    """A connection in WAL mode, durable at each commit, the schema there and current."""
    with suppress(FileExistsError):
        # Only a new file: closing any other descriptor of a database in use drops this process's locks on it.
        os.close(open_private(path, os.O_EXCL))
    connection = _connect(_uri(path, "mode=rw"))
    with _closed_on_error(connection):
        version = patiently(path, lambda: schema.check(connection, path))
        patiently(path, lambda: connection.execute("PRAGMA journal_mode = WAL").fetchone())
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        if version < schema.VERSION:
            _migrate(connection, path)
    return connection


def open_readable(path: Path) -> sqlite3.Connection:
    """A connection to read with, also where nothing can be written; no journal at all reads as an empty one."""
    if not _is_there(path):
        return _current(_connect(":memory:"), path)
    try:
        return _current(_connect(_uri(path, "mode=ro")), path)
    except sqlite3.OperationalError as error:
        # Reading WAL makes a -shm file, and a read-only directory or a full disk takes none; anything else is a fault.
        if _has_room(path) or error.sqlite_errorcode & 0xFF not in _WITHOUT_ROOM:
            raise
    if _size(_wal(path)):
        return _current(_copy(path), path)
    return _current(_connect(_uri(path, "immutable=1")), path)


def identity(path: Path) -> tuple[int, ...]:
    """Changes whenever a reader of `path` would have to open it again to see it as it is now."""
    try:
        found = path.stat()
    except (FileNotFoundError, PermissionError):
        return ()
    if _has_room(path):
        return found.st_dev, found.st_ino
    # A copy, or a file opened as immutable, shows nothing of later writes.
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size, _size(_wal(path))


def place(path: Path) -> tuple[int, int] | None:
    """Which file `path` is; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def is_outdated(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether it reads a copy, made because the journal is of an older version: it would never show a later write."""
    _number, _name, file = connection.execute("PRAGMA database_list").fetchone()
    return not file and _has_room(path) and path.exists()


def _has_room(path: Path) -> bool:
    """Whether SQLite can make its files beside the database."""
    return os.access(path.parent, os.W_OK) and not is_full(path)


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except PermissionError:
        raise _forbidden(path) from None
    if not os.access(path, os.R_OK):
        raise _forbidden(path)
    return True


def _forbidden(path: Path) -> JournalBroken:
    return JournalBroken(
        f"the journal {path} cannot be read by this user. Run as its owner, or {ELSEWHERE}.", reason="journal-forbidden"
    )


def _current(connection: sqlite3.Connection, path: Path) -> sqlite3.Connection:
    with _closed_on_error(connection):
        version = patiently(path, lambda: schema.check(connection, path))
    if version == schema.VERSION:
        return connection
    memory = _in_memory(connection)
    with _closed_on_error(memory):
        _migrate(memory, path)
    return memory


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    patiently(path, lambda: connection.execute("BEGIN IMMEDIATE"))
    try:
        version = schema.check(connection, path)  # another process may have been first
        if version < schema.VERSION:
            schema.migrate(connection, version, path)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _copy(path: Path) -> sqlite3.Connection:
    """The database with its write-ahead log applied, in memory: its own directory cannot hold the log's index."""
    import shutil  # both take two milliseconds of every command's start, and this is rare
    import tempfile

    with tempfile.TemporaryDirectory(prefix="virtnetplug-") as scratch:
        copy = Path(scratch, path.name)
        shutil.copyfile(path, copy)
        shutil.copyfile(_wal(path), _wal(copy))
        return _in_memory(_connect(_uri(copy, "mode=rw")))


def _in_memory(connection: sqlite3.Connection) -> sqlite3.Connection:
    """A copy of the database that the connection has open; closes the connection."""
    memory = _connect(":memory:")
    with closing(connection), _closed_on_error(memory):
        connection.backup(memory)
    return memory


@contextmanager
def _closed_on_error(connection: sqlite3.Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.close()
        raise


def _connect(target: str) -> sqlite3.Connection:
    connection = sqlite3.connect(target, uri=True, timeout=_SLICE, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    return connection


def _uri(path: Path, query: str) -> str:
    return f"file:{quote(str(path.absolute()))}?{query}"


def _wal(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
