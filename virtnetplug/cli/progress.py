"""What a command is waiting for, on standard error, once it takes longer than a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Self, TextIO

from virtnetplug.cli.output import silence
from virtnetplug.cli.table import columns_of, prose

if TYPE_CHECKING:
    from virtnetplug.model.operation import Event

PATIENCE = 1.0
"""Seconds of silence before the first word."""
_REDRAW = 0.25


class Progress:
    """Hears events from any thread and writes them.

    `is_verbose` writes every event at once, a line each with the seconds since the start. Otherwise nothing is written for `patience` seconds. After
    that, a terminal gets one line that is redrawn and removed at the end, and a pipe gets a line for each new event. `is_quiet` (JSON) writes
    nothing, unless `is_verbose`. A stream that cannot be written is left alone.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        is_quiet: bool = False,
        is_verbose: bool = False,
        patience: float = PATIENCE,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._is_verbose = is_verbose
        self._is_shown = is_verbose or not is_quiet
        self._is_terminal = stream.isatty()
        self._patience = patience
        self._monotonic = monotonic
        self._start = monotonic()
        self._text = ""
        self._is_late = False
        self._is_drawn = False
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._timer: threading.Thread | None = None

    def __enter__(self) -> Self:
        if self._is_shown and not self._is_verbose:
            self._timer = threading.Thread(target=self._watch, name="progress", daemon=True)
            self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._timer is not None:
            self._timer.join()
        with self._lock:
            if self._is_drawn:
                self._write("\r\x1b[K")

    def hear(self, event: Event) -> None:
        """An event of the operation; to be given as `on_event`."""
        self.say(event.text)

    def say(self, text: str) -> None:
        """What is being done from now on."""
        if not self._is_shown:
            return
        with self._lock:
            is_new, self._text = text != self._text, text
            if self._is_verbose:
                self._write(f"{self._monotonic() - self._start:8.3f} s  {prose(text)}\n")
            elif self._is_late and not self._is_terminal and is_new:
                self._write(f"{self._line()}\n")

    def _watch(self) -> None:
        if self._stop.wait(self._patience):
            return
        with self._lock:
            self._is_late = True
            if not self._is_terminal:
                self._write(f"{self._line()}\n")
                return
        while not self._stop.is_set():
            with self._lock:
                self._is_drawn = True
                self._write(f"\r{self._line()[: columns_of(self._stream) - 1]}\x1b[K")
            self._stop.wait(_REDRAW)

    def _line(self) -> str:
        return f"{prose(self._text)} ({self._monotonic() - self._start:.0f} s)"

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError) as error:
            self._is_shown = False
            if isinstance(error, OSError):
                silence(self._stream)
