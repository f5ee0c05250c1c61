"""One command in every lab at once: their lines as they come, each with its lab's name, and what each came to."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

LAB = Path(__file__).parents[1] / "lab"


def run(names: Sequence[str], options: Sequence[str], command: Sequence[str]) -> int:
    """Run it in each of them with these options of ``lab run``; gives the worst of their exit codes. Ctrl-C ends them all.

    The first is to be the one that takes longest: the others give way to it.
    """
    labs: list[_Lab] = []
    try:
        for name in names:
            manners = ["nice"] if labs else []
            with _undisturbed():
                labs.append(_Lab(name, [*manners, str(LAB), "run", name, *options, "--", *command]))
        for lab in labs:
            lab.wait()
    except KeyboardInterrupt as end:
        number = end.args[0] if end.args else signal.SIGINT
        for lab in labs:
            lab.end()
        return 128 + int(number)
    finally:
        for lab in labs:
            print(f"== lab {lab.name}: {lab.seconds:.0f} s, exit code {lab.code}", flush=True)
    return max(lab.code if lab.code >= 0 else 128 - lab.code for lab in labs)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """A signal that comes inside is dealt with afterwards: a lab that starts is either not begun or known."""
    came: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda number, _frame: came.append(number)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        signal.raise_signal(came[0])


class _Lab:
    """One of them, on its way."""

    def __init__(self, name: str, words: Sequence[str]) -> None:
        self.name, self.seconds, self._start = name, 0.0, time.monotonic()
        # A session of its own: what a terminal sends at Ctrl-C would come twice.
        self._process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self._reader = threading.Thread(target=self._pass_on, args=(self._process.stdout,))
        self._reader.start()

    @property
    def code(self) -> int:
        """Its exit code; that of an error while it has none."""
        return 1 if self._process.returncode is None else self._process.returncode

    def wait(self) -> None:
        """Until it has ended and all that it said is said."""
        self._process.wait()
        self._reader.join()

    def end(self) -> None:
        """Have it end, and wait for that."""
        self._process.terminate()
        self.wait()

    def _pass_on(self, lines: IO[bytes]) -> None:
        with lines:
            for line in lines:
                sys.stdout.buffer.write(f"{self.name:6}".encode() + line)
                sys.stdout.buffer.flush()
        self.seconds = time.monotonic() - self._start
