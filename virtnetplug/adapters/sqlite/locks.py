"""Locks that end with their process, however it ends: ``flock(2)`` on files beside the journal.

The owner file of a call says that the call still runs. The lock file of a domain, or of a part of the host, says who may
change that domain or part.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from virtnetplug import interruption
from virtnetplug.adapters.sqlite.directory import open_private, translated
from virtnetplug.errors import LockTaken
from virtnetplug.ports.store import OwnerProcess

_FIRST_PAUSE, _LONGEST_PAUSE = 0.002, 0.05
"""Seconds between two looks at a lock that another has."""

AFTER_SIGNAL = 5.0
"""Seconds that a lock is waited for still once a signal came that must not end the wait."""

_held: set[int] = set()


def _forget_in_child() -> None:
    # A forked child shares our file descriptions: it would keep our locks alive after our death.
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_forget_in_child)


class Owners:
    """The calls that work on operations or wait for them: each is a file under `directory` that stays locked while the call runs."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def _file(self, token: str) -> str:
        return f"{self._directory}/{token}"

    @contextmanager
    def call(self) -> Iterator[str]:
        """A new owner while inside, by the name that other calls know it by. However the process ends, the owner ends with it."""
        with translated(self._directory):
            token, descriptor = self._take()
        try:
            yield token
        finally:
            if descriptor in _held:
                with suppress(OSError):
                    os.unlink(self._file(token))
                _release(descriptor)

    def is_alive(self, token: str) -> bool:
        """Whether the call behind `token` still runs; a dead one's file is removed."""
        # A token is one plain name: what a journal holds never leads out of the directory.
        return bool(token) and "/" not in token and _is_locked(self._file(token))

    def sweep(self) -> None:
        """Remove the files of all dead owners."""
        with translated(self._directory):
            for path in self._directory.iterdir():
                self.is_alive(path.name)

    def _take(self) -> tuple[str, int]:
        while True:
            token = f"{os.getpid()}-{uuid.uuid4().hex}"
            descriptor = open_private(self._file(token), os.O_EXCL)
            _held.add(descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink:
                return token, descriptor
            _release(descriptor)  # swept between the two lines above


def process_of(token: str) -> OwnerProcess | None:
    """The process that the owner `token` belongs to; None where the token does not say."""
    pid, dash, _ = token.partition("-")
    if not (dash and pid.isdigit()):
        return None
    return OwnerProcess(pid=int(pid), is_stopped=_state(int(pid)) in ("T", "t"))


def _state(pid: int) -> str:
    """The state of a process as proc(5) has it; nothing for one that cannot be seen."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""


@contextmanager
def locked(path: Path, on_wait: Callable[[], object] | None = None, *, seconds: float | None = None) -> Iterator[None]:
    """Hold the lock at `path` against all other threads and processes; `on_wait` is called once if it is not free.

    Raises `LockTaken`, which names the process that has the lock, after `seconds`; None waits for as long as it takes.
    """
    with translated(path):
        descriptor = open_private(path)
    _held.add(descriptor)
    try:
        if not _try(descriptor):
            if on_wait is not None:
                on_wait()
            _wait(descriptor, None if seconds is None else time.monotonic() + seconds)
        with translated(path):
            os.pwrite(descriptor, f"{os.getpid():<20}".encode(), 0)  # for those who wait in vain
        yield
    finally:
        _release(descriptor)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait(descriptor: int, deadline: float | None) -> None:
    """flock(2) knows no timeout, so it is asked again and again."""
    pause, heard = _FIRST_PAUSE, False
    while not _try(descriptor):
        if not heard and interruption.came():
            heard, soon = True, time.monotonic() + AFTER_SIGNAL
            deadline = soon if deadline is None else min(deadline, soon)
        if deadline is not None and time.monotonic() >= deadline:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            raise LockTaken("the lock is taken", process=int(holder) if holder.isdigit() else None)
        with interruption.allowed():
            time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def lock_file_name(hypervisor: str, key: str) -> str:
    """The name of the lock's file. For `hypervisor` and `key` see `Journal.lock`."""
    return hashlib.sha256(f"{hypervisor}\0{key}".encode()).hexdigest()[:32]


def _is_locked(path: str) -> bool:
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
            os.unlink(path)
        return False
    finally:
        os.close(descriptor)


def _release(descriptor: int) -> None:
    if descriptor in _held:  # not so in a forked child
        _held.discard(descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)
