"""Parts on their way, all at the same time."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tests.suites.parts import CHECKOUT, Part, environment
from tests.suites.report import Report, length

PATIENCE = 30
"""Seconds for parts to end in good order once they were told to."""


class Running:
    """One part: its process, its log, and what its output came to."""

    def __init__(self, part: Part, log: Path, temporary: Path, held: int) -> None:
        """`held` locks `temporary`. Raises `OSError`."""
        program = part.command[0]
        if "/" in program and not os.access(CHECKOUT / program, os.X_OK):  # setpriv would say so in the log alone
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), program)
        self.part, self.log, self.report = part, log, Report()
        self._output = log.open("w", encoding="utf-8")
        self._fault = self._hung = ""
        self._heard = time.monotonic()
        # A session of its own: Ctrl-C is for the suite, which then ends its parts.
        self._process = subprocess.Popen(
            # It ends with this process, also if that is killed; it ignores no signal that the caller ignores (nohup: SIGHUP).
            ["env", "--default-signal", "setpriv", "--pdeathsig", "TERM", *part.command],
            cwd=CHECKOUT,
            env=environment(temporary),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
            pass_fds=(held,),
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
        if self._hung or self._fault:
            return [*self.report.failed, f"{self.part.name} ({self._hung or self._fault})"]
        if code == 0 and not self.part.is_tests:
            return []
        if code == 0 and self.report.has_ended and not self.report.failed:
            return [] if self.report.total else [f"{self.part.name} (ran no test, see {self.place})"]
        return self.report.failed or [f"{self.part.name} (exit code {code}, see {self.place})"]

    @property
    def passed(self) -> int:
        return self.report.passed if self.part.is_tests else int(not self.failed)

    @property
    def total(self) -> int:
        """One at least, so that a part that ran nothing has not passed."""
        return max(self.report.total, 1) if self.part.is_tests else 1

    def end_if_it_hangs(self) -> None:
        """End the part if it has been silent for too long: it has failed, with the tests that it was at."""
        if self.is_done or time.monotonic() - self._heard < self.part.silence:
            return
        at = ", ".join(self.report.under_way) or "no test"
        self._hung = f"ended, as nothing was heard for {length(self.part.silence)}, at {at}, see {self.place}"
        end_all([self])

    def tell(self, number: int) -> None:
        """Send a signal to the part and all that it started, if anything of it is left."""
        if self._reader.is_alive():
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def is_gone(self, seconds: float) -> bool:
        """Whether nothing of it is left, after so many seconds at the most."""
        self._reader.join(seconds)  # the output ends with the last process that has it
        return not self._reader.is_alive()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._heard = time.monotonic()
                self.report.feed(line)
                self._keep(line)
        with suppress(OSError):
            self._output.close()
        self._process.wait()

    def _keep(self, line: str) -> None:
        """A log that cannot be written stops neither the part nor its count."""
        if self._fault:
            return
        try:
            self._output.write(line)
            self._output.flush()
        except OSError as error:
            self._fault = f"{self.place} cannot be written: {error.strerror}"


def end_all(running: Sequence[Running]) -> None:
    """End these parts, in good order if they do it in time; returns once they are gone."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for one in running:
            one.tell(number)
        end = time.monotonic() + PATIENCE
        gone = [one.is_gone(max(0.0, end - time.monotonic())) for one in running]
        if all(gone):
            return


def progress(running: Sequence[Running]) -> str:
    """How far each part is."""
    words = []
    for one in running:
        state = ("failed" if one.failed else "passed") if one.is_done else f"{one.report.percent} %"
        words.append(f"{one.part.name} {state}")
    return ", ".join(words)
