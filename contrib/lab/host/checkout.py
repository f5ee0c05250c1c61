"""The checkout as it stands: what is committed, what is not yet, and nothing that git ignores."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import IO

CHECKOUT = Path(__file__).resolve().parents[3]


def archive() -> IO[bytes]:
    """A tar archive of it, in a file without a name, to be read from the start."""
    # As root in someone else's checkout, git would refuse.
    words = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    listed = subprocess.run(words, cwd=CHECKOUT, stdout=subprocess.PIPE, env=environment, check=False)
    if listed.returncode:
        sys.exit(f"lab: {CHECKOUT} is no git checkout, so it is not known which files are the project's")
    names = sorted(set(filter(None, os.fsdecode(listed.stdout).split("\0"))))
    target = tempfile.TemporaryFile()  # noqa: SIM115 (the caller closes it)
    with tarfile.open(fileobj=target, mode="w") as tar:
        for name in names:
            if os.path.lexists(CHECKOUT / name):  # a deleted file is listed until that is committed
                tar.add(CHECKOUT / name, name, filter=_owned_by_root)
    target.seek(0)
    return target


def _owned_by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    return entry
