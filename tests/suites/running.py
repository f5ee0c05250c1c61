"""Parts on their way, all at the same time."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tests.suites.parts import CHECKOUT, Part, environment
from tests.suites.report import Report

PATIENCE = 30
"""Seconds for a part to end in good order once it was told to."""


class Running:
    """One part: its process, its log, and what its output came to."""

    def __init__(self, part: Part, log: Path, temporary: Path) -> None:
        self.part, self.log, self.report = part, log, Report()
        self._start, self.seconds = time.monotonic(), 0.0
        # A session of its own: Ctrl-C is for the suite, which then ends its parts.
        self._process = subprocess.Popen(
            part.command,
            cwd=CHECKOUT,
            env=environment(temporary),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def is_done(self) -> bool:
        return not self._reader.is_alive()

    @property
    def place(self) -> str:
        """Where its log is, from the checkout."""
        return os.path.relpath(self.log, CHECKOUT)

    @property
    def failed(self) -> list[str]:
        """The names of what failed: tests, or the part itself where it names none."""
        code = self._process.returncode
        is_whole = self.report.has_ended or not self.part.is_tests
        if code == 0 and is_whole and not self.report.failed:
            return []
        return self.report.failed or [f"{self.part.name} (exit code {code}, see {self.place})"]

    @property
    def passed(self) -> int:
        return self.report.passed if self.part.is_tests else int(not self.failed)

    @property
    def total(self) -> int:
        """One at least, so that a part that ran nothing has not passed."""
        return max(self.report.total, 1) if self.part.is_tests else 1

    def end(self) -> None:
        """End the part and all that it started; returns once it is gone."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(PATIENCE)
                break
        self._reader.join(PATIENCE)

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self.log.open("w") as log, self._process.stdout as lines:
            for line in lines:
                log.write(line)
                log.flush()
                self.report.feed(line)
        self._process.wait()
        self.seconds = time.monotonic() - self._start


def progress(running: Sequence[Running]) -> str:
    """How far each part is."""
    words = []
    for one in running:
        state = ("failed" if one.failed else "passed") if one.is_done else f"{one.report.percent} %"
        words.append(f"{one.part.name} {state}")
    return ", ".join(words)
