"""Where the journal lives, and what keeps it from being used there: errors of SQLite and the kernel, as sentences a user can act on."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from virtnetplug.errors import JournalBroken, JournalFull, JournalMoved, JournalReadOnly, VirtnetplugError

FILE = "journal.db"
ELSEWHERE = "choose another directory with `state_dir` (or VIRTNETPLUG_STATE_DIR)"


def default_directory() -> Path:
    """``$VIRTNETPLUG_STATE_DIR``; else ``/var/lib/virtnetplug`` for root and the XDG state directory for others."""
    chosen = os.environ.get("VIRTNETPLUG_STATE_DIR")
    if chosen:
        return Path(chosen)
    if os.geteuid() == 0:
        return Path("/var/lib/virtnetplug")
    state = os.environ.get("XDG_STATE_HOME", "")
    # The XDG Base Directory Specification has a relative path ignored.
    base = Path(state) if os.path.isabs(state) else Path.home() / ".local/state"
    return base / "virtnetplug"


def prepare(directory: Path) -> None:
    """Make `directory` for its owner alone (0700); raises `JournalReadOnly` where it cannot be written to."""
    if not directory.exists():
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not directory.is_dir():
        raise JournalBroken(f"{directory} is to hold the journal and is no directory. Remove it, or {ELSEWHERE}.")
    for path in (directory, directory / FILE):
        if path.exists() and not os.access(path, os.W_OK):
            raise _read_only(path)
    for part in ("owners", "locks"):
        (directory / part).mkdir(mode=0o700, exist_ok=True)


def read_only_remedy() -> str:
    """What to do about a journal that cannot be written."""
    return (
        "No operation starts without it, and nothing was touched; reading (list, show, history, metrics) still works. "
        f"Make it writable, run as its owner, or {ELSEWHERE}."
    )


def open_private(path: str | Path, flags: int = 0) -> int:
    """A descriptor for reading and writing, the file made if need be and its owner's alone (0600)."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | flags, stat.S_IRUSR | stat.S_IWUSR)


_READ_ONLY_ERRNOS = {errno.EROFS, errno.EACCES, errno.EPERM}
_ROOM = 64 * 1024  # bytes: less than the first pages of a -wal and a -shm file
_FULL_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Errors of SQLite and the kernel about the journal at `path` become `Journal…` errors."""
    try:
        yield
    except sqlite3.Error as error:
        raise _from_sqlite(path, error) from error
    except OSError as error:
        raise _from_kernel(path, error) from error


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another process holds the database just now."""
    return _primary(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def busy(path: Path, seconds: float) -> JournalBroken:
    """The journal stayed locked by others for `seconds`."""
    return JournalBroken(
        f"the journal {path} has been locked by another process for {seconds:g} s. "
        f"See who holds it (fuser -v {path}), and try again.",
        reason="journal-busy",
    )


def moved(path: Path) -> JournalMoved:
    """The file at `path` is not the one that this process has open: what it wrote would be read by nobody."""
    return JournalMoved(
        f"the journal {path} was moved away, removed or restored while this process had it open, so nothing more was written. Run the command "
        "again (or open the connection anew); `recover()` and `audit()` show what the journal of now does not know."
    )


def damaged(path: Path, why: str) -> JournalBroken:
    """The file at `path` is no database, or not whole."""
    return JournalBroken(
        f"the journal {path} is damaged ({why}). Move it away to start with an empty journal, or restore it from a "
        "backup. `audit()` then shows what libvirt and the host have that the journal does not know."
    )


def _from_sqlite(path: Path, error: sqlite3.Error) -> VirtnetplugError:
    code = _primary(error)
    if code == sqlite3.SQLITE_CONSTRAINT:
        return VirtnetplugError(
            f"the journal refused a row ({error}); this is a fault in virtnetplug, please report it."
        )
    if code == sqlite3.SQLITE_FULL or (_is_disk(code) and is_full(path)):
        return _full(path)
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM) or (_is_disk(code) and not _is_writable(path)):
        return _read_only(path)
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return damaged(path, str(error))
    return JournalBroken(
        f"the journal {path} could not be used ({error}). Check that file and its disk, or {ELSEWHERE}."
    )


def _from_kernel(path: Path, error: OSError) -> VirtnetplugError:
    where = Path(error.filename) if isinstance(error.filename, str) else path
    if error.errno in _FULL_ERRNOS:
        return _full(where)
    if error.errno in _READ_ONLY_ERRNOS:
        return _read_only(where)
    return JournalBroken(
        f"the journal at {where} could not be used ({error.strerror}). Check that path, or {ELSEWHERE}."
    )


def _full(path: Path) -> JournalFull:
    return JournalFull(
        f"the disk under the journal is full, so {path} cannot be written. No operation starts without its journal, "
        f"and one already under way is settled by `recover()` later. Free some space there, or {ELSEWHERE}."
    )


def _read_only(path: Path) -> JournalReadOnly:
    return JournalReadOnly(f"the journal cannot be written: {path} is read-only for this user. {read_only_remedy()}")


def _primary(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _is_disk(code: int) -> bool:
    return code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)


def is_full(path: Path) -> bool:
    """Whether the disk under `path` has no room left for SQLite's files beside it."""
    # Growing the -shm file on a full disk is SQLITE_IOERR_SHMSIZE, not SQLITE_FULL.
    try:
        disk = os.statvfs(path.parent)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < _ROOM or (disk.f_files > 0 and disk.f_favail == 0)


def _is_writable(path: Path) -> bool:
    return os.access(path.parent, os.W_OK) and (not path.exists() or os.access(path, os.W_OK))
