"""Disk images, without mounting anything."""

from __future__ import annotations

from pathlib import Path

from host import namespaces

DISK_BYTES = 3 << 30
"""Sparse: the machine has room to write, and the cache holds only what is used."""


def write(target: Path, root: Path) -> None:
    """Write an ext4 image, anew, with all that is in the directory `root`.

    Without a journal or checksums, which under emulation are pure cost: no lab ever boots from a disk that was cut off.
    """
    target.unlink(missing_ok=True)
    with target.open("wb") as image:
        image.truncate(DISK_BYTES)
    features = "^has_journal,^metadata_csum,^64bit"
    words = [
        "mke2fs",
        "-q",
        "-F",
        "-t",
        "ext4",
        "-O",
        features,
        "-E",
        "lazy_itable_init=1",
        "-d",
        str(root),
        str(target),
    ]
    namespaces.run(words)
