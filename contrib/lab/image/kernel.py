"""The kernel of a root file system."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

_ZSTD = b"\x28\xb5\x2f\xfd"


def release(root: Path) -> str:
    """Of the only kernel in `root`."""
    (directory,) = (root / "lib/modules").iterdir()
    return directory.name


def compressed(root: Path) -> Path:
    """As Debian packs it: with a loader that decompresses it."""
    return root / f"boot/vmlinuz-{release(root)}"


def write(target: Path, root: Path) -> None:
    """Write it as an ELF file: under emulation, a kernel that decompresses itself takes seconds.

    Where it is in the packed file is in Documentation/arch/x86/boot.rst. `root` must have the package zstd.
    """
    packed = compressed(root).read_bytes()
    setup_sectors = packed[0x1F1]
    offset, length = struct.unpack_from("<II", packed, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    payload = packed[start : start + length - 4]  # the last four bytes are the length of what was packed
    if not payload.startswith(_ZSTD):
        raise ValueError(f"{compressed(root)} is not packed with zstd: {payload[:6].hex()}")
    done = subprocess.run(["chroot", str(root), "zstd", "-dc"], input=payload, stdout=subprocess.PIPE, check=True)
    target.write_bytes(done.stdout)
