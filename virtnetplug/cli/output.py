"""The standard streams: the one way out for all text, and what is done with a stream that cannot be written."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TextIO


class OutputFailed(Exception):
    """The answer could not be written; what the command did stands."""


def open_closed_streams() -> None:
    """Open ``/dev/null`` in place of each standard stream that the caller has closed (``>&-``).

    A file or socket opened later would get the stream's descriptor, and libvirt's messages would be written into it.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # gets the lowest free number: this one
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - open until the process ends


def write(text: str) -> None:
    """Write to standard output and flush. A reader that went away is no fault; a full disk raises `OutputFailed`."""
    try:
        _write(sys.stdout, text)
    except BrokenPipeError:
        pass
    except OSError as error:
        raise OutputFailed(error.strerror or str(error)) from error


def write_error(text: str) -> None:
    """Write to standard error and flush; the exit code still tells where that cannot be."""
    with suppress(OSError):
        _write(sys.stderr, text)


def settle() -> None:
    """Flush what others wrote (logging, libraries), so that nothing is left to fail at exit."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            _write(stream, "")


def silence(stream: TextIO) -> None:
    """Let all that is still written to `stream` vanish, what it has buffered too: Python flushes it again at exit."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
        stream.flush()
    except OSError:
        silence(stream)
        raise
