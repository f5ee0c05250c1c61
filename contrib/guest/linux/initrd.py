"""An initial RAM disk of one static program and the kernel modules it loads."""

from __future__ import annotations

import lzma
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

_DIRECTORY, _FILE = 0o040755, 0o100755


def write(target: Path, init: Path, modules: Iterable[Path]) -> None:
    """Write one with `init` as its first process; ``/modules`` names the modules in the order in which they are to be loaded.

    It is not compressed: the guest's processor may be emulated, and would have to unpack it.
    """
    content = {"init": init.read_bytes()}
    names = []
    for module in modules:
        name = module.name.removesuffix(".xz")
        content[f"lib/{name}"] = _unpacked(module)
        names.append(f"/lib/{name}\n")
    content["modules"] = "".join(names).encode()
    target.write_bytes(archive(content))


def modules(root: Path, names: Iterable[str]) -> list[Path]:
    """The files of these modules of the only kernel in `root`, each after what it needs; what is built in is left out."""
    (tree,) = [tree for place in ("lib", "usr/lib") for tree in (root / place / "modules").glob("*")]  # 12's, 13's
    files = {file.name.split(".")[0].replace("-", "_"): file for file in tree.rglob("*.ko*")}
    found: dict[Path, None] = {}

    def add(name: str) -> None:
        file = files.get(name)
        if file is None or file in found:
            return
        # Its ELF section .modinfo is a list of NAME=VALUE, each ended by a zero byte.
        needed = re.search(rb"\0depends=([^\0]*)\0", _unpacked(file))
        for each in needed[1].decode().split(",") if needed else ():
            add(each.replace("-", "_"))
        found[file] = None

    for name in names:
        add(name)
    return list(found)


def _unpacked(module: Path) -> bytes:
    content = module.read_bytes()
    return lzma.decompress(content) if module.suffix == ".xz" else content


def archive(content: Mapping[str, bytes]) -> bytes:
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
