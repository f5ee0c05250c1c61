"""What must be there before anything is built or started; what is not there is said in one line, with what to do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from image import debian

PYTHON = "/usr/bin/python3"
PROGRAMS = ("mmdebstrap", "mke2fs", "gcc", "git", "setpriv", "unshare")
BUILD_MEGABYTES = 3000
"""While an image is built, its root file system and its disk are there at once."""
RUN_MEGABYTES = 1000
"""For what a machine writes to its disk while it runs."""
USER_NAMESPACE = ("--user", "--map-root-user", "--map-auto")
PATIENCE = ("-o", "Acquire::Retries=0", "-o", "Acquire::http::Timeout=20", "-o", "Acquire::https::Timeout=20")
"""Options of apt: an index that does not answer is given up after 20 seconds."""


def require_to_build(home: Path, python_package: str) -> None:
    """All that an image is built with, or the end of this process with a line for each thing that is missing."""
    _require(lacks_programs(), lacks_room(home, BUILD_MEGABYTES), lacks_rights())
    _require(lacks_index(debian.find_mirror(), debian.RELEASE), lacks_python_package(python_package))


def require_to_run() -> None:
    """The same before a built image is booted."""
    _require(lacks_room(Path("/var/tmp"), RUN_MEGABYTES, in_cache=False), lacks_rights())


def _require(*lacks: str | None) -> None:
    if lines := [f"lab: {lack}" for lack in lacks if lack]:
        sys.exit("\n".join(lines))


def lacks_programs() -> str | None:
    """What to do if one of `PROGRAMS` is not installed."""
    if names := [name for name in PROGRAMS if shutil.which(name) is None]:
        return f"{', '.join(names)}: not installed; run contrib/setup lab"
    return None


def lacks_room(place: Path, megabytes: int, *, in_cache: bool = True) -> str | None:
    """What to do if the file system of `place`, which need not be there yet, has less room than `megabytes`."""
    there = next(path for path in (place, *place.parents) if path.exists())
    free = shutil.disk_usage(there).free // 1_000_000
    if free >= megabytes:
        return None
    other = ", or set XDG_CACHE_HOME" if in_cache else ""
    return f"no room on the disk: {there} has {free} MB free, and {megabytes} MB are needed; make room there{other}"


def lacks_index(mirror: str | None, suite: str) -> str | None:
    """What to do if this machine's apt cannot fetch the index of `suite` from `mirror`, which is None where there is none."""
    if mirror is None:
        return (
            "no package index: apt's configuration names no Debian mirror; see 'apt-get update --print-uris',"
            " and add one to /etc/apt/sources.list.d"
        )
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


def lacks_rights() -> str | None:
    """What to do if root may make no namespaces, as in a container."""
    words = ["unshare", "--mount", "--pid", "--net", "--fork", "--mount-proc", "true"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    return f"root may make no namespaces here ({done.stderr.strip()}); in a container, give it the capability SYS_ADMIN"


def lacks_python_package(package: str) -> str | None:
    """What to do if pip finds no index with this package."""
    with tempfile.TemporaryDirectory() as place:
        words = [PYTHON, "-m", "pip", "--disable-pip-version-check", "--no-input", "--timeout=20"]
        words += ["download", "-qq", "--no-deps", "--dest", place, package]
        done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode == 0:
        return None
    said = done.stderr.strip().splitlines() or ["it says nothing"]
    why = next((line for line in said if line.startswith("ERROR: ")), said[-1]).removeprefix("ERROR: ")
    return f"pip finds no {package} ({why}); check the network, and pip's index-url and proxy (pip config list)"
