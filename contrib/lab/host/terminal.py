"""This terminal, connected to one inside."""

from __future__ import annotations

import json
import os
import signal
import sys
import termios
import tty
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from host.machine import BootFailed, Machine
from inside import frames


def connect(machine: Machine, command: Sequence[str]) -> int:
    """Run `command` on a terminal inside that behaves as this one; gives its exit code."""
    keyboard, screen = sys.stdin.fileno(), sys.stdout.fileno()
    machine.tell(run=list(command), terminal={"kind": os.environ.get("TERM", "dumb"), "size": _size()})
    signal.signal(signal.SIGWINCH, lambda *_: machine.tell(resize=_size()))
    with _raw(keyboard):
        while True:
            try:
                received = machine.receive(1.0, keyboard)
            except BootFailed:
                return 1
            for kind, payload in received:
                if kind == frames.OUTPUT:
                    os.write(screen, payload)
                elif (code := json.loads(payload).get("exit")) is not None:
                    return int(code)
            if not received and (typed := _typed(keyboard)):
                machine.type(typed)


def _typed(keyboard: int) -> bytes:
    os.set_blocking(keyboard, False)
    try:
        return os.read(keyboard, 4096)
    except BlockingIOError:
        return b""
    finally:
        os.set_blocking(keyboard, True)


def _size() -> tuple[int, int]:
    size = os.get_terminal_size()
    return size.lines, size.columns


@contextmanager
def _raw(keyboard: int) -> Iterator[None]:
    before = termios.tcgetattr(keyboard)
    tty.setraw(keyboard)
    try:
        yield
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
