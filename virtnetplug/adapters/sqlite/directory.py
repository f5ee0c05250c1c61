"""Where the journal lives."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from virtnetplug.errors import JournalBroken, JournalReadOnly

FILE = "journal.db"
ELSEWHERE = "choose another directory with `state_dir` (or VIRTNETPLUG_STATE_DIR)"


def default_directory() -> Path:
    """``$VIRTNETPLUG_STATE_DIR``; else ``/var/lib/virtnetplug`` for root and the XDG state directory for others."""
    chosen = os.environ.get("VIRTNETPLUG_STATE_DIR")
    if chosen:
        return Path(chosen)
    if os.geteuid() == 0:
        return Path("/var/lib/virtnetplug")
    state = os.environ.get("XDG_STATE_HOME", "")
    # The XDG Base Directory Specification has a relative path ignored.
    base = Path(state) if os.path.isabs(state) else Path.home() / ".local/state"
    return base / "virtnetplug"


def prepare(directory: Path) -> None:
    """Make `directory` for its owner alone (0700); raises `JournalReadOnly` where it cannot be written to."""
    if not directory.exists():
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not directory.is_dir():
        raise JournalBroken(f"{directory} is to hold the journal and is no directory. Remove it, or {ELSEWHERE}.")
    for path in (directory, directory / FILE):
        if path.exists() and not os.access(path, os.W_OK):
            raise JournalReadOnly(
                f"the journal cannot be written: {path} is read-only for this user. {read_only_remedy()}"
            )
    for part in ("owners", "locks"):
        (directory / part).mkdir(mode=0o700, exist_ok=True)


def read_only_remedy() -> str:
    """What to do about a journal that cannot be written."""
    return (
        "No operation starts without it, and nothing was touched; reading (list, show, history, metrics) still works. "
        f"Make it writable, run as its owner, or {ELSEWHERE}."
    )


def open_private(path: str | Path, flags: int = 0) -> int:
    """A descriptor for reading and writing, the file made if need be and its owner's alone (0600)."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | flags, stat.S_IRUSR | stat.S_IWUSR)
