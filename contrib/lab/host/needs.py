"""What a lab needs of this machine, looked at before anything is built or started."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from image import debian

PROGRAMS = ("mmdebstrap", "mke2fs", "gcc", "git", "setpriv", "unshare")
BUILD_BYTES = 3 << 30
"""While an image is built, its root file system and its disk are there at once."""
RUN_BYTES = 1 << 30
"""For what a machine writes to its disk while it runs."""


def require_to_build(home: Path, python_package: str) -> None:
    """All that an image is built with, or the end of this process with a line for each thing that is missing."""
    _require(missing_programs(), missing_room(home, BUILD_BYTES, "XDG_CACHE_HOME"), missing_rights())
    _require(missing_packages(debian.mirror()), missing_index(python_package))


def require_to_run() -> None:
    """Likewise, for a machine of an image that is there."""
    _require(missing_room(Path("/var/tmp"), RUN_BYTES), missing_rights())


def _require(*lacking: Iterable[str]) -> None:
    if lines := [f"lab: {line}" for each in lacking for line in each]:
        sys.exit("\n".join(lines))


def missing_programs() -> Iterator[str]:
    """A line that says which of them are not there."""
    if names := [name for name in PROGRAMS if shutil.which(name) is None]:
        yield f"{', '.join(names)}: not installed. Run contrib/setup lab"


def missing_room(place: Path, wanted: int, variable: str | None = None) -> Iterator[str]:
    """A line if the file system of `place` has less; `variable` is what names another place."""
    there = next(parent for parent in (place, *place.parents) if parent.exists())
    free = shutil.disk_usage(there).free
    if free < wanted:
        other = f", or name another place in {variable}" if variable else ""
        yield f"{place} has {free / 1e9:.1f} GB free, and needs {wanted / 1e9:.1f} GB. Make room there{other}"


def missing_rights() -> Iterator[str]:
    """A line if root is not allowed what it is elsewhere."""
    words = ["unshare", "--mount", "--pid", "--net", "--fork", "--mount-proc", "true"]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        why = done.stderr.strip()
        yield f"root may make no namespaces here ({why}). In a container, give it the capability SYS_ADMIN"


def missing_packages(mirror: str) -> Iterator[str]:
    """A line if the Debian mirror does not answer; apt's own program asks, by apt's own configuration."""
    with tempfile.TemporaryDirectory() as place:
        release = f"{mirror.rstrip('/')}/dists/{debian.RELEASE}/InRelease"
        words = [
            "/usr/lib/apt/apt-helper",
            "-o",
            "Acquire::http::Timeout=20",
            "download-file",
            release,
            f"{place}/InRelease",
        ]
        yield from _asked(words, f"the Debian mirror {mirror} gives no {debian.RELEASE}", "apt's sources and proxy")


def missing_index(package: str) -> Iterator[str]:
    """A line if pip finds no package index."""
    with tempfile.TemporaryDirectory() as place:
        words = ["/usr/bin/python3", "-m", "pip", "--disable-pip-version-check", "--no-input", "--timeout=20"]
        words += ["download", "-qq", "--no-deps", "--dest", place, package]
        yield from _asked(words, f"pip finds no {package}", "pip's index-url and proxy (pip config list)")


def _asked(words: Iterable[str], what: str, where: str) -> Iterator[str]:
    done = subprocess.run([*words], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["it says nothing"]
        why = next((line for line in said if line.startswith(("E: ", "ERROR: "))), said[-1]).partition(": ")[2]
        yield f"{what}: {why}. Check the network, and {where}"


USER_NAMESPACE = ("--user", "--map-root-user", "--map-auto")
PATIENCE = ("-o", "Acquire::Retries=0", "-o", "Acquire::http::Timeout=20", "-o", "Acquire::https::Timeout=20")


def lacks_room(place: Path, megabytes: int) -> str | None:
    """What to do if the file system of `place`, which need not be there yet, has less room than `megabytes`."""
    there = next(path for path in (place, *place.parents) if path.exists())
    free = shutil.disk_usage(there).free // 1_000_000
    if free >= megabytes:
        return None
    return f"no room on the disk: {there} has {free} MB free, and {megabytes} MB are needed; make room there, or set XDG_CACHE_HOME"


def lacks_index(mirror: str | None, suite: str) -> str | None:
    """What to do if this machine's apt cannot fetch the index of `suite` from `mirror`, which is None where there is none."""
    if mirror is None:
        return "no package index: apt's configuration names no Debian mirror; add one to /etc/apt/sources.list.d"
    with tempfile.TemporaryDirectory() as place:
        address = f"{mirror.rstrip('/')}/dists/{suite}/InRelease"
        words = ["/usr/lib/apt/apt-helper", *PATIENCE, "download-file", address, f"{place}/InRelease"]
        if subprocess.run(words, capture_output=True, check=False).returncode == 0:
            return None
    return (
        f"no package index: {address} cannot be fetched; check the network, and the mirror in /etc/apt/sources.list.d"
    )


def lacks_user_namespaces() -> str | None:
    """What to do if this user may not have a user namespace with a range of ids; root needs none."""
    if os.geteuid() == 0:
        return None
    words = ["unshare", *USER_NAMESPACE, "true"]
    try:
        if subprocess.run(words, capture_output=True, check=False).returncode == 0:
            return None
    except FileNotFoundError:
        pass
    return (
        "no user namespaces: run as root, or let this user have them: the package uidmap, and a range of ids"
        " (as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER)"
    )
