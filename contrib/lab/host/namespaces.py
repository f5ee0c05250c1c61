"""Commands in namespaces of their own: when this process ends, however it ends, all that they started ends too.

Their mounts are seen by nobody else, and are gone with the last of their processes.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Sequence
from typing import IO, Any


class Enclosed:
    """A command and all it starts."""

    def __init__(self, command: Sequence[str], *, network: bool = False, **popen: Any) -> None:
        """Start `command`, without any network unless `network`. `popen` are arguments of `subprocess.Popen`."""
        # A session of its own: Ctrl-C is for this process, which then ends the command. The signal at the parent's
        # death is for the case that this process cannot. The pipe, held by all that is inside, closes with the last.
        self._alive, held = os.pipe()
        words = [
            "setpriv",
            "--pdeathsig",
            "KILL",
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ]
        words += [] if network else ["--net"]
        passed = (held, *popen.pop("pass_fds", ()))
        try:
            self.process: subprocess.Popen[bytes] = subprocess.Popen(
                [*words, "--", *command], start_new_session=True, pass_fds=passed, **popen
            )
        finally:
            os.close(held)

    @property
    def stdin(self) -> IO[bytes] | None:
        return self.process.stdin

    def wait(self) -> int:
        """Wait until the command ends by itself, and give its exit code."""
        return self.process.wait()

    def end(self) -> None:
        """End everything now; returns once nothing is left."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        select.select([self._alive], [], [], 30)
        os.close(self._alive)


def run(command: Sequence[str], *, network: bool = False, **popen: Any) -> None:
    """Run `command` to its end. Raises `subprocess.CalledProcessError`."""
    enclosed = Enclosed(command, network=network, stdin=subprocess.DEVNULL, **popen)
    try:
        code = enclosed.wait()
    finally:
        enclosed.end()
    if code:
        raise subprocess.CalledProcessError(code, list(command))
