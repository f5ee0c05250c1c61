"""The whole command as a process of its own, as a person or a program runs it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.environment import environment
from tests.real.namespace import IN_LAB

_BESIDE = Path(sys.executable).with_name("virtnetplug")
PROGRAM = _BESIDE if _BESIDE.exists() else Path(shutil.which("virtnetplug") or _BESIDE)  # on the PATH in a lab


HANG = 2400.0 if IN_LAB else 240.0
"""Seconds after which a command that should have ended counts as hung."""

PROGRESS = re.compile(r" \(\d+ s\)$")


@dataclass(frozen=True)
class Answer:
    """What a run left behind: its exit code, and what it said."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """Standard error without the progress of a command that took longer than a second: a line that ends in its seconds."""
        lines = self.err.splitlines(keepends=True)
        return "".join(line for line in lines if line.startswith("virtnetplug: ") or not PROGRESS.search(line))

    @property
    def document(self) -> dict[str, Any]:
        """Its JSON, which must be all of standard output and agree with the exit code."""
        found: dict[str, Any] = json.loads(self.out)
        assert found["exit_code"] == self.code, self
        return found

    @property
    def nic(self) -> dict[str, Any]:
        """The one NIC of an operation."""
        (nic,) = self.document["nics"]
        assert isinstance(nic, dict)
        return nic


class Command:
    """``virtnetplug -c URI --state-dir DIR``."""

    def __init__(self, uri: str, state: Path) -> None:
        self.uri, self.state = uri, state
        self.variables: dict[str, str] = {}
        self._started: list[subprocess.Popen[str]] = []

    def words(self, *words: str) -> list[str]:
        """The command line that `run` and `start` use."""
        return [str(PROGRAM), "-c", self.uri, "--state-dir", str(self.state), *words]

    def run(self, *words: str, stdin: str | bytes = b"") -> Answer:
        """Run it to its end, whatever that is."""
        data = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run(
            self.words(*words), input=data, capture_output=True, env=environment(**self.variables), timeout=HANG
        )
        return Answer(done.returncode, done.stdout.decode(), done.stderr.decode())

    def __call__(self, *words: str, code: int = 0, stdin: str | bytes = b"") -> Answer:
        """Run it, and hold it to an exit code."""
        answer = self.run(*words, stdin=stdin)
        assert answer.code == code, f"{words} exited with {answer.code}, not {code}:\n{answer.out}\n{answer.err}"
        return answer

    def json(self, *words: str, code: int = 0, stdin: str | bytes = b"") -> Answer:
        """Run it with ``--json``, where all is on standard output."""
        answer = self("--json", *words, code=code, stdin=stdin)
        assert answer.err == "", answer.err
        return answer

    def start(self, *words: str, **variables: str) -> subprocess.Popen[str]:
        """Start it and let it run."""
        process = subprocess.Popen(
            self.words(*words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(**{**self.variables, **variables}),
        )
        self._started.append(process)
        return process

    def close(self) -> None:
        """End what still runs."""
        for process in self._started:
            with process:
                process.kill()


def finish(process: subprocess.Popen[str]) -> Answer:
    """Wait for a process of `Command.start`. Raises `subprocess.TimeoutExpired` if it hangs, once it is killed."""
    with process:
        try:
            out, err = process.communicate(timeout=HANG)
        except BaseException:
            process.kill()  # or the end of the block waits for it for ever
            raise
    return Answer(process.returncode, out, err)
