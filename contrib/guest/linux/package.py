"""Debian packages as files that are installed nowhere, from the mirror this machine uses itself."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

KERNEL = "linux-image-cloud-amd64"
"""Debian's kernel for clouds; the package itself is empty, and depends on the newest."""


def ensure(home: Path, name: str) -> Path:
    """The newest package file that is in `home`, else that of `name` which apt would install now, fetched into it."""
    if there := _found(home):
        return there
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _found(home) or _fetched(home, name)


def unpacked(file: Path) -> Path:
    """The directory beside the package file that has its content, made if it is not there; whole or not at all."""
    target = file.with_suffix("")
    if not target.is_dir():
        with tempfile.TemporaryDirectory(prefix=".unpack-", dir=file.parent) as place:
            subprocess.run(["dpkg-deb", "--extract", file, f"{place}/root"], check=True)
            move(Path(place, "root"), target)
    return target


def move(made: Path, target: Path) -> None:
    """Put a directory in its place, unless somebody else was faster."""
    try:
        made.rename(target)
    except OSError:
        if not target.is_dir():
            raise


def _found(home: Path) -> Path | None:
    files = [*home.glob("*.deb")]
    return max(files, key=lambda file: [int(part) for part in re.findall(r"\d+", file.name)], default=None)


def _fetched(home: Path, name: str) -> Path:
    place = Path(tempfile.mkdtemp(prefix=".fetch-", dir=home))
    try:
        # The machine's own lists may be missing, or too old for the mirror. Then lists of our own, which take no root.
        file = _downloaded(place, name, []) or _downloaded(place, name, _own_lists(place))
        if file is None:
            sys.exit(f"apt could not fetch {name}; see what 'apt-get download {name}' says")
        return file.rename(home / file.name)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _own_lists(place: Path) -> list[str]:
    for name in ("lists/partial", "cache/archives/partial"):
        (place / name).mkdir(parents=True)
    options = ["-o", f"Dir::State::lists={place}/lists/", "-o", f"Dir::Cache={place}/cache/"]
    subprocess.run(["apt-get", "update", "-qq", *_quiet(), *options], stdout=subprocess.DEVNULL, check=True)
    return options


def _downloaded(place: Path, name: str, options: list[str]) -> Path | None:
    if name == KERNEL:
        words = ["apt-cache", *options, "depends", "--important", name]
        depends = subprocess.run(words, capture_output=True, text=True).stdout
        newest = re.search(r"Depends: (linux-image-\S+-cloud-amd64)$", depends, re.MULTILINE)
        if newest is None:
            return None
        name = newest[1]
    words = ["apt-get", "download", "-qq", *_quiet(), *options, name]
    subprocess.run(words, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return next(place.glob("*.deb"), None)


def _quiet() -> list[str]:
    """apt's own user may not write here; as an ordinary user nothing can be changed to it at all."""
    return ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []
