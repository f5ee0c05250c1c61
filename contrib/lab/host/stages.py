"""What a lab says while it works: each line with the seconds since the start."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stages:
    """Lines about the lab itself go to standard error; the command's output goes to standard output."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._took: list[tuple[str, float]] = []
        self._at_line_start = True

    def say(self, text: str) -> None:
        """One line."""
        if not self._at_line_start:
            sys.stderr.write("\n")
            self._at_line_start = True
        sys.stderr.write(f"{self._stamp()} lab: {text}\n")
        sys.stderr.flush()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Say when it begins, and how long it took; parts within it are not counted again."""
        self.say(f"{name} …")
        start, before = time.monotonic(), len(self._took)
        yield
        del self._took[before:]
        self.took(name, time.monotonic() - start)
        self.say(f"{name}: {self._took[-1][1]:.1f} s")

    def took(self, name: str, seconds: float) -> None:
        """Keep a part's time for the last line."""
        self._took.append((name, seconds))

    def summary(self) -> None:
        """Each part's time, in one line."""
        parts = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self._took)
        self.say(f"{parts}; together {time.monotonic() - self._start:.1f} s")

    def output(self, data: bytes) -> None:
        """Pass on the command's output as it comes, with a stamp before each line."""
        stamp = self._stamp().encode() + b" "
        for line in data.splitlines(keepends=True):
            sys.stdout.buffer.write(stamp + line if self._at_line_start else line)
            self._at_line_start = line.endswith(b"\n")
        sys.stdout.buffer.flush()

    def _stamp(self) -> str:
        return f"[{time.monotonic() - self._start:7.1f}]"
