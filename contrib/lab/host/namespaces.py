"""Commands in namespaces of their own: when this process ends, however it ends, all that they started ends too.

Their mounts are seen by nobody else, and are gone with the last of their processes.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class Enclosed:
    """A command and all it starts."""

    def __init__(
        self, command: Sequence[str], *, network: bool = False, options: Sequence[str] = (), **popen: Any
    ) -> None:
        """Start `command`, without any network unless `network`.

        `options` are more of unshare(1)'s, `popen` are arguments of `subprocess.Popen`.
        """
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
        words += [*options, *([] if network else ["--net"])]
        passed = (held, *popen.pop("pass_fds", ()))
        try:
            self.process: subprocess.Popen[bytes] = subprocess.Popen(
                [*words, "--", *command], start_new_session=True, pass_fds=passed, **popen
            )
        finally:
            os.close(held)

    def processor_seconds(self) -> float:
        """What the command has had of the processors so far, with all that it has waited for."""
        try:
            (inside,) = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
            fields = Path(f"/proc/{inside}/stat").read_text().rpartition(")")[2].split()
        except (OSError, ValueError):  # it has not begun, or has ended
            return 0.0
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

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


def run(command: Sequence[str], *, network: bool = False, options: Sequence[str] = (), **popen: Any) -> None:
    """Run `command` to its end. Raises `subprocess.CalledProcessError`."""
    enclosed = Enclosed(command, network=network, options=options, stdin=subprocess.DEVNULL, **popen)
    try:
        code = enclosed.wait()
    finally:
        enclosed.end()
    if code:
        raise subprocess.CalledProcessError(code, list(command))
