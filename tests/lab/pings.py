"""Pings to a guest without a pause, to see how long it does not answer: unlike a connection, they never wait before they try again."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from types import TracebackType

from tests.lab.linux_guest import PACE
from tests.real.namespace import wait_until
from tests.real.stream import longest_gap


class Pings:
    """To one address, from the moment it first answers."""

    def __init__(self, address: str) -> None:
        command = ["ping", "-n", "-i", str(PACE), address]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self._times: list[float] = []
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Pings:
        self._thread.start()
        self.wait_answered()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._process:  # which closes its pipe
            self._process.terminate()
            self._thread.join()

    def mark(self) -> float:
        """This moment."""
        return time.monotonic()

    def wait_answered(self, answers: int = 10, timeout: float = 30.0) -> None:
        """Wait until so many more have been answered."""
        wanted = len(self._times) + answers
        wait_until(lambda: len(self._times) >= wanted, "pings to be answered", timeout)

    def longest_gap(self, since: float) -> float:
        """The longest time, in seconds, without an answer: from `since` until now, both ends included."""
        return longest_gap(self._times, since)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if re.search(r"bytes from .* time=", line):
                self._times.append(time.monotonic())
