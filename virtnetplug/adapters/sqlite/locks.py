"""Locks that end with their process, however it ends: ``flock(2)`` on files beside the journal.

The owner file of a process says that it lives; the lock file of a domain says who may change it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from virtnetplug.adapters.sqlite.directory import open_private
from virtnetplug.adapters.sqlite.faults import translated

_held: set[int] = set()


def _forget_in_child() -> None:
    # A forked child shares our file descriptions: it would keep our locks alive after our death.
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_forget_in_child)


class Owner:
    """This process as an owner of operations, by a file under `directory` that stays locked while it lives."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._guard = threading.Lock()
        self._descriptor = -1
        self._token = ""

    @property
    def token(self) -> str:
        """The name other processes know this owner by; the file is made at the first call."""
        with self._guard, translated(self._directory):
            while not self._token:
                self._take(uuid.uuid4().hex)
            return self._token

    def is_alive(self, token: str) -> bool:
        """Whether the process behind `token` lives; a dead one's file is removed."""
        if token and token == self._token:
            return True
        # A token is one plain name: what a journal holds never leads out of the directory.
        return bool(token) and "/" not in token and _is_locked(self._directory / token)

    def sweep(self) -> None:
        """Remove the files of all dead owners."""
        with translated(self._directory):
            for path in self._directory.iterdir():
                self.is_alive(path.name)

    def close(self) -> None:
        """Own nothing any more; safe twice."""
        with self._guard:
            if self._token and self._descriptor in _held:
                with suppress(OSError):
                    (self._directory / self._token).unlink()
                _release(self._descriptor)
            self._token = ""

    def _take(self, token: str) -> None:
        descriptor = open_private(self._directory / token, os.O_EXCL)
        _held.add(descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink == 0:  # swept between the two lines above
            _release(descriptor)
            return
        self._descriptor, self._token = descriptor, token


@contextmanager
def locked(path: Path, on_wait: Callable[[], object] | None = None) -> Iterator[None]:
    """Hold the lock at `path` against all other threads and processes; `on_wait` is called once if it is not free."""
    with translated(path):
        descriptor = open_private(path)
    _held.add(descriptor)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if on_wait is not None:
                on_wait()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        _release(descriptor)


def domain_lock_name(uri: str, domain_uuid: str) -> str:
    """A file name for one domain of one hypervisor."""
    return hashlib.sha256(f"{uri}\0{domain_uuid}".encode()).hexdigest()[:32]


def _is_locked(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except PermissionError:
        return True  # another user's: not ours to call dead
    except OSError:
        return False
    try:
        # Shared: two who ask at the same time must not take each other for the owner.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        with suppress(OSError):
            path.unlink()
        return False
    finally:
        os.close(descriptor)


def _release(descriptor: int) -> None:
    if descriptor in _held:  # not so in a forked child
        _held.discard(descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)
