"""A directory that one run writes to: gone with the run, or with the next one if it was killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def remove_what_can_be(path: Path) -> None:
    """All of it that can be removed."""
    shutil.rmtree(path, ignore_errors=True)


@contextmanager
def directory(
    place: str | Path, prefix: str, remove: Callable[[Path], object] = remove_what_can_be
) -> Iterator[tuple[Path, int]]:
    """A new directory in `place`, and a descriptor that locks it: it is in use while any process has that one."""
    for left in Path(place).glob(f"{prefix}*"):
        with suppress(OSError, subprocess.SubprocessError):  # another user's, in use, or not to be removed
            _remove_unused(left, remove)
    path, held = _new(place, prefix)
    try:
        yield path, held
    finally:
        with suppress(OSError, subprocess.SubprocessError):  # the next run tries again
            remove(path)
        os.close(held)


def _new(place: str | Path, prefix: str) -> tuple[Path, int]:
    while True:
        path = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
        try:
            held = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            continue  # another run took it for one that is left, before it was locked
        fcntl.flock(held, fcntl.LOCK_EX)
        if path.exists():  # else the same, a moment later
            return path, held
        os.close(held)


def _remove_unused(path: Path, remove: Callable[[Path], object]) -> None:
    held = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        remove(path)
    finally:
        os.close(held)
