"""Signals that ask the process to stop: noted when they come, delivered where nothing is half done.

While an operation runs, no signal raises an exception inside an effect, an undo or a write of the journal. The signal is delivered, as
`Interrupt`, at a safe point (`check`) or inside a wait (`allowed`), and nowhere inside the undo of an operation (`held`).

Python runs the handlers of signals in the main thread, between two of its bytecodes. In any other thread, and in an application that
has a handler of its own for SIGINT, everything here does nothing.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import NamedTuple

from virtnetplug.errors import Interrupted, LeftInterrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals that ask a command to stop: from Ctrl-C, from whoever ends processes, from a terminal that is closed."""


class Interrupt(KeyboardInterrupt):
    """The signal `number` came, and the operation can be left here."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class _Mode(NamedTuple):
    """How a signal is delivered: `raises` at once, `is_for_each` also during the clean-up after another, `is_held` not at all."""

    raises: bool = False
    is_for_each: bool = False
    is_held: bool = False


class _Listener:
    """The handlers of some signals, which had others `before`, and the signal that came and is not delivered yet."""

    def __init__(self, numbers: Sequence[int] = ()) -> None:
        self.pending = 0
        self.mode = _Mode()
        self.before = {number: signal.signal(number, self._note) for number in numbers}

    @contextmanager
    def turned(self, mode: _Mode) -> Iterator[None]:
        """Deliver signals as `mode` says inside."""
        before, self.mode = self.mode, mode
        try:
            yield
        finally:
            self.mode = before

    def taken(self) -> Interrupt | None:
        """The signal that came, which counts as delivered now."""
        number, self.pending = self.pending, 0
        return Interrupt(number) if number else None

    def deliver(self) -> None:
        """Raise `Interrupt` if a signal came."""
        stop = self.taken()
        if stop is not None:
            self.mode = self.mode._replace(
                raises=self.mode.is_for_each
            )  # else the clean-up that follows is not interrupted
            raise stop

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.pending = self.pending or number
        if self.mode.raises:
            self.deliver()


_listener: _Listener | None = None


@contextmanager
def listening() -> Iterator[None]:
    """Note SIGINT, SIGTERM and SIGHUP inside, for a command, except signals that are ignored (nohup) or have a handler."""
    by_default = (signal.SIG_DFL, signal.default_int_handler)
    with _listening([number for number in SIGNALS if signal.getsignal(number) in by_default]):
        yield


@contextmanager
def deferred() -> Iterator[None]:
    """An operation runs inside: signals are delivered at its safe points, or else when it has ended.

    Where nobody is `listening`, SIGINT is noted until the end if it has Python's own handler.
    """
    is_plain = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with _listening([signal.SIGINT] if is_plain else []) as is_own:
        listener = _mine()
        is_awaited = is_own or listener.mode.raises
        try:
            with listener.turned(listener.mode._replace(raises=False)):
                yield
        finally:
            if is_awaited:
                listener.deliver()


@contextmanager
def allowed(*, each: bool = False) -> Iterator[None]:
    """A wait is inside: a signal ends the wait at once, also a signal that came before. The wait must leave nothing half done.

    If `each` is true, a second signal also ends the clean-up after the first.
    """
    listener = _mine()
    if listener.mode.is_held:
        yield
        return
    with listener.turned(_Mode(raises=True, is_for_each=each)):
        listener.deliver()
        yield


@contextmanager
def shortened() -> Iterator[None]:
    """A wait that may be left out is inside: as `allowed`, but the signal is also delivered later. The caller suppresses `Interrupt`."""
    try:
        with allowed():
            yield
    except Interrupt as stop:
        listener = _mine()
        listener.pending = listener.pending or stop.number
        raise


@contextmanager
def held() -> Iterator[None]:
    """Code that must not be left half done is inside, such as an undo: no wait in it ends early, and no safe point delivers."""
    listener = _mine()
    with listener.turned(listener.mode._replace(raises=False, is_held=True)):
        yield


def check() -> None:
    """A safe point: raise `Interrupt` if a signal came."""
    listener = _mine()
    if not listener.mode.is_held:
        listener.deliver()


def defer() -> None:
    """Only note signals from here on, except in waits, until the end of the `allowed` around the call."""
    listener = _mine()
    listener.mode = listener.mode._replace(raises=False)


def came() -> str:
    """The name of a signal that came and was not delivered, or nothing."""
    number = _mine().pending
    return signal.Signals(number).name if number else ""


def undelivered() -> Interrupt | None:
    """The signal that came and was not delivered, which counts as delivered now; None if there is none."""
    return _mine().taken()


def interrupted(message: str, stop: KeyboardInterrupt) -> Interrupted:
    """The error of an operation that `stop` ended, with the exit code of its signal."""
    return Interrupted(message, signal=_number(stop))


def left_open(message: str, stop: KeyboardInterrupt) -> LeftInterrupted:
    """The error of an operation that `stop` ended and that stays pending, with the exit code of its signal."""
    return LeftInterrupted(message, signal=_number(stop))


def _number(stop: KeyboardInterrupt) -> int:
    return getattr(stop, "number", int(signal.SIGINT))


@contextmanager
def _listening(numbers: Sequence[int]) -> Iterator[bool]:
    """Note these signals inside; False, and nothing, where somebody listens already or this is not the main thread."""
    global _listener
    if not numbers or _listener is not None or not _is_main_thread():
        yield False
        return
    try:
        _listener = listener = _Listener(numbers)
    except ValueError:  # the main thread of a subinterpreter
        yield False
        return
    try:
        yield True
    finally:
        _listener = None
        for number, handler in listener.before.items():
            signal.signal(number, handler)


def _mine() -> _Listener:
    return _listener if _listener is not None and _is_main_thread() else _Listener()


def _is_main_thread() -> bool:
    return threading.get_ident() == threading.main_thread().ident
