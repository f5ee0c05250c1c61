"""Debian's kernel for clouds as a package file, from the mirror this machine uses itself."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

META = "linux-image-cloud-amd64"
PREFIX = "linux-image-"


def ensure(home: Path) -> Path:
    """The newest kernel package that is in `home`, else the one that apt would install now, fetched into it."""
    if there := _found(home):
        return there
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _found(home) or _fetched(home)


def _found(home: Path) -> Path | None:
    files = [*home.glob(f"{PREFIX}*.deb")]
    return max(files, key=lambda file: [int(part) for part in re.findall(r"\d+", file.name)], default=None)


def _fetched(home: Path) -> Path:
    place = Path(tempfile.mkdtemp(prefix=".fetch-", dir=home))
    try:
        # The machine's own lists may be missing, or too old for the mirror. Then lists of our own, which take no root.
        file = _downloaded(place, []) or _downloaded(place, _own_lists(place))
        if file is None:
            sys.exit(f"guest: apt could not fetch the kernel {META}; see what 'apt-get download {META}' says")
        return file.rename(home / file.name)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _own_lists(place: Path) -> list[str]:
    for name in ("lists/partial", "cache/archives/partial"):
        (place / name).mkdir(parents=True)
    options = ["-o", f"Dir::State::lists={place}/lists/", "-o", f"Dir::Cache={place}/cache/"]
    subprocess.run(["apt-get", "update", "-qq", *_quiet(), *options], stdout=subprocess.DEVNULL, check=True)
    return options


def _downloaded(place: Path, options: list[str]) -> Path | None:
    words = ["apt-cache", *options, "depends", "--important", META]
    depends = subprocess.run(words, capture_output=True, text=True).stdout
    name = re.search(rf"Depends: ({PREFIX}\S+-cloud-amd64)$", depends, re.MULTILINE)
    if name is None:
        return None
    words = ["apt-get", "download", "-qq", *_quiet(), *options, name[1]]
    subprocess.run(words, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return next(place.glob(f"{PREFIX}*.deb"), None)


def _quiet() -> list[str]:
    """apt's own user may not write here; as an ordinary user nothing can be changed to it at all."""
    return ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []
