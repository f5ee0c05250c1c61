"""Files of ``/proc`` and ``/sys``, read without a buffer: every attach and detach of a VF looks at a hundred of them.

A file, folder or link that is not there, or that cannot be read now, is empty. An example is ``carrier`` of an interface that is down.
"""

from __future__ import annotations

import os
from pathlib import Path


def content(path: str | Path) -> bytes:
    """All bytes of a file."""
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        return b"".join(iter(lambda: os.read(file, 1 << 16), b""))
    except OSError:
        return b""
    finally:
        os.close(file)


def text(path: str | Path) -> str:
    """The text of a file, without white space around it."""
    return content(path).decode(errors="replace").strip()


def number(path: str) -> int:
    """The number in a file; 0 where the file holds none."""
    found = text(path)
    return int(found) if found.isdecimal() else 0


def names(folder: str | Path) -> list[str]:
    """The sorted names in a folder."""
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def target(link: str) -> str:
    """Where a symbolic link leads."""
    try:
        return os.readlink(link)
    except OSError:
        return ""
