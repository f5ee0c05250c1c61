"""The root file system that each machine begins with: one archive a release, kept in the user's cache directory."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

RELEASES = {"12": "bookworm", "13": "trixie"}
_PACKAGES = ("git", "make", "ca-certificates", "systemd-sysv", "logrotate", "e2fsprogs")
"""What the first line of the Makefile asks for (git, make), what apt needs, and what packages with services find on every Debian."""


def home() -> Path:
    """Of all that is kept for fresh machines; it may be removed at any time that none is running."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().absolute() / "virtnetplug" / "fresh"


def archive_of(release: str) -> Path:
    """Where the archive of this release is, or will be."""
    return home() / f"debian-{release}-{'-'.join(_PACKAGES)}.tar"


def ensure(release: str, mirror: str, settings: Iterable[str], say: Callable[[str], None]) -> Path:
    """The archive of this release, made if it is not there; one at a time makes it, and it is there whole or not at all."""
    archive = archive_of(release)
    if archive.exists():
        return archive
    with (home() / f"debian-{release}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not archive.exists():
            say(
                f"making the root file system of Debian {release}, once (about a minute, and as long as the mirror takes)"
            )
            _make(archive, release, mirror, settings)
    return archive


def _make(archive: Path, release: str, mirror: str, settings: Iterable[str]) -> None:
    handle, partial = tempfile.mkstemp(prefix=".debian-", suffix=".tar", dir=home())
    os.close(handle)
    try:
        words = ["mmdebstrap", f"--mode={'root' if os.geteuid() == 0 else 'unshare'}", "--variant=minbase", "--quiet"]
        words += [f"--aptopt={setting}" for setting in settings]
        words += ["--customize-hook=rm -f $1/etc/apt/apt.conf.d/99mmdebstrap $1/etc/apt/sources.list"]  # each run's own
        words += ["--include=" + ",".join(_PACKAGES), RELEASES[release], partial, mirror]
        _run(words)
        os.replace(partial, archive)
    finally:
        Path(partial).unlink(missing_ok=True)


def _run(words: Sequence[str]) -> None:
    """Whatever ends this process has the command end in good order: mmdebstrap removes what it has made so far."""
    # In a process group of its own, as it takes a second signal badly.
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, process_group=0) as process:
        try:
            status = process.wait()
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait()
            raise
    if status:
        raise subprocess.CalledProcessError(status, list(words))
