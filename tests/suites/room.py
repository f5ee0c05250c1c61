"""The directory that the tests of one run write to: gone with the run, or with the next one if it was killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "vnp-suite-"


@contextmanager
def directory(place: str) -> Iterator[tuple[Path, int]]:
    """A new directory in `place`, and a descriptor that locks it: it is in use while any process has that one."""
    for left in Path(place).glob(f"{_PREFIX}*"):
        with suppress(OSError):  # another user's, or in use
            _remove_unused(left)
    path, held = _new(place)
    try:
        yield path, held
    finally:
        os.close(held)
        shutil.rmtree(path, ignore_errors=True)


def _new(place: str) -> tuple[Path, int]:
    while True:
        path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
        held = os.open(path, os.O_RDONLY)
        fcntl.flock(held, fcntl.LOCK_EX)
        if path.exists():  # else another run took it for one that is left, before it was locked
            return path, held
        os.close(held)


def _remove_unused(path: Path) -> None:
    held = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path)
    finally:
        os.close(held)
