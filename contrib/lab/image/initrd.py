"""Initial RAM disks: busybox or one static program, kernel modules, and nothing else."""

from __future__ import annotations

import gzip
import lzma
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from image import kernel

_DIRECTORY, _FILE = 0o040755, 0o100755


def write(target: Path, root: Path, init: Path, modules: Iterable[str], files: Mapping[str, Path]) -> None:
    """Write one for the kernel in `root`: `init` as its first process, `files` by their paths inside.

    ``/modules`` names the module files in the order in which they are to be loaded, each after what it needs.
    """
    content = {"init": init.read_bytes()} | {name: file.read_bytes() for name, file in files.items()}
    names = []
    for module in _with_dependencies(root, modules):
        name = module.name.removesuffix(".xz")
        content[f"lib/{name}"] = lzma.decompress(module.read_bytes()) if module.suffix == ".xz" else module.read_bytes()
        names.append(f"/lib/{name}\n")
    content["modules"] = "".join(names).encode()
    target.write_bytes(gzip.compress(_archive(content), 1))


def _with_dependencies(root: Path, modules: Iterable[str]) -> list[Path]:
    found: dict[Path, None] = {}
    for module in modules:
        words = ["chroot", str(root), "modprobe", "--set-version", kernel.release(root), "--show-depends", module]
        for line in subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines():
            action, _, path = line.strip().partition(" ")
            if action == "insmod":  # the other is `builtin`
                found[root / path.split()[0].lstrip("/")] = None
    return list(found)


def _archive(content: Mapping[str, bytes]) -> bytes:
    """A cpio archive of the kind the kernel unpacks (Documentation/driver-api/early-userspace/buffer-format.rst)."""
    directories = {"proc", "sys", "dev", "root"}
    for name in content:
        directories.update(str(parent) for parent in PurePosixPath(name).parents if str(parent) != ".")
    entries = [(name, _DIRECTORY, b"") for name in sorted(directories)]
    entries += [(name, _FILE, data) for name, data in content.items()]
    return b"".join(_entry(number, *entry) for number, entry in enumerate([*entries, ("TRAILER!!!", 0, b"")], 1))


def _entry(number: int, name: str, mode: int, data: bytes) -> bytes:
    path = name.encode() + b"\0"
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(path), 0)
    head = b"070701" + b"".join(b"%08x" % field for field in fields) + path
    return _padded(head) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
