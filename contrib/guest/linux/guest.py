"""The guest's directory in the cache, by the kernel's version and what it is made of."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import initrd
from package import move

HERE = Path(__file__).parent
UNUSED = 7 * 24 * 3600
"""Seconds after which a guest that nobody asked for is removed."""

MODULES = ("virtio_pci", "virtio_net", "net_failover")


def home() -> Path:
    """Of all that is fetched or made for guests."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "virtnetplug" / "guest"


def ensure(package: Path) -> Path:
    """The guest made from this kernel package and this checkout; it is there whole or not at all.

    Guests of other checkouts are removed once nobody has asked for them for a week: a test of another checkout may run.
    """
    sources = sorted([*HERE.glob("*.[ch]"), *HERE.glob("*.py")])
    release = re.sub(r"^linux-image-|_amd64\.deb$", "", package.name)
    target = package.parent / f"linux-{release}-{_hash(sources)}"
    if not target.is_dir():
        place = Path(tempfile.mkdtemp(prefix=".linux-", dir=package.parent))
        try:
            (place / "guest").mkdir()
            _make(place, package, [source for source in sources if source.suffix == ".c"])
            move(place / "guest", target)
        finally:
            shutil.rmtree(place, ignore_errors=True)
        for other in package.parent.glob("linux-*-cloud-amd64*/"):
            if time.time() - other.stat().st_mtime > UNUSED:
                shutil.rmtree(other, ignore_errors=True)
    os.utime(target)
    return target


def _make(place: Path, package: Path, sources: list[Path]) -> None:
    root, init, guest = place / "root", place / "init", place / "guest"
    subprocess.run(["dpkg-deb", "--extract", package, root], check=True)
    words = ["gcc", "-static", "-O2", "-Wall", "-Werror", "-o", init, *sources]
    subprocess.run(words, check=True, capture_output=True, text=True)
    (kernel,) = (root / "boot").glob("vmlinuz-*")
    shutil.copyfile(kernel, guest / "vmlinuz")
    initrd.write(guest / "initrd", init, initrd.modules(root, MODULES))


def _hash(sources: list[Path]) -> str:
    total = hashlib.sha256()
    for source in sources:
        total.update(f"{source.name}\0{source.stat().st_size}\0".encode() + source.read_bytes())
    return total.hexdigest()[:12]
