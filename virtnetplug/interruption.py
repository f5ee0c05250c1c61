"""Signals that ask the process to stop: noted when they come, delivered where nothing is half done.

While an operation runs, no signal raises an exception inside one of its effects, an undo or a write of the journal. It is delivered, as
`Interrupt`, at a safe point (`check`) or inside a wait (`allowed`), and inside the undo of an operation nowhere (`held`).

Python runs the handlers of signals in the main thread, between two of its bytecodes. In any other thread, and in an application that
has a handler of its own for SIGINT, everything here does nothing.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from virtnetplug.errors import Interrupted, LeftInterrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What asks a command to stop: Ctrl-C, whoever ends processes, a terminal that is closed."""


class Interrupt(KeyboardInterrupt):
    """The signal `number` came, and the operation can be left here."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class _Listener:
    """The handlers of some signals, and the signal that came and is not delivered yet."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self.pending = 0
        self.raises = False
        self.is_for_each = False
        self.is_held = False
        self._before = {number: signal.signal(number, self._note) for number in numbers}

    def deliver(self) -> None:
        """Raise `Interrupt` if a signal came."""
        number, self.pending = self.pending, 0
        if number:
            self.raises = self.is_for_each  # else the clean-up that follows is not interrupted
            raise Interrupt(number)

    def restore(self) -> None:
        """Give the signals their earlier handlers."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.pending = self.pending or number
        if self.raises:
            self.deliver()


_listener: _Listener | None = None


@contextmanager
def listening() -> Iterator[None]:
    """Note SIGINT, SIGTERM and SIGHUP inside, for a command; those that are ignored (nohup) or have a handler are left alone."""
    with _listening([number for number in SIGNALS if _is_default(number)]):
        yield


@contextmanager
def deferred() -> Iterator[None]:
    """An operation runs inside: signals are delivered at its safe points, or else when it has ended.

    Where nobody is `listening`, SIGINT is noted until the end if it has Python's own handler.
    """
    is_plain = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with _listening([signal.SIGINT] if is_plain else []) as is_own:
        listener = _mine()
        if listener is None:
            yield
            return
        before, listener.raises = listener.raises, False
        try:
            yield
        finally:
            listener.raises = before
            if is_own or before:
                listener.deliver()


@contextmanager
def allowed(*, each: bool = False) -> Iterator[None]:
    """A wait is inside: a signal ends it at once, also one that came before. Nothing inside may be left half done by that.

    With `each` a second signal also ends the clean-up after the first one.
    """
    listener = _mine()
    if listener is None or listener.is_held:
        yield
        return
    before = listener.raises, listener.is_for_each
    listener.raises, listener.is_for_each = True, each
    try:
        listener.deliver()
        yield
    finally:
        listener.raises, listener.is_for_each = before


@contextmanager
def shortened() -> Iterator[None]:
    """A wait that may be left out is inside: as `allowed`, but the signal is also delivered later. The caller suppresses `Interrupt`."""
    try:
        with allowed():
            yield
    except Interrupt as stop:
        listener = _mine()
        if listener is not None:
            listener.pending = listener.pending or stop.number
        raise


@contextmanager
def held() -> Iterator[None]:
    """What must not be left half done is inside, as an undo: no wait in it is ended, no safe point is one."""
    listener = _mine()
    if listener is None:
        yield
        return
    before = listener.raises, listener.is_held
    listener.raises, listener.is_held = False, True
    try:
        yield
    finally:
        listener.raises, listener.is_held = before


def check() -> None:
    """A safe point: raise `Interrupt` if a signal came."""
    listener = _mine()
    if listener is not None and not listener.is_held:
        listener.deliver()


def defer() -> None:
    """From here on signals are only noted, but in waits: until the end of the `allowed` that this is in."""
    listener = _mine()
    if listener is not None:
        listener.raises = False


def came() -> str:
    """The name of a signal that came and was not delivered, or nothing."""
    listener = _mine()
    return signal.Signals(listener.pending).name if listener is not None and listener.pending else ""


def undelivered() -> Interrupt | None:
    """The signal that came and was not delivered, which is delivered by this; None if there is none."""
    listener = _mine()
    if listener is None or not listener.pending:
        return None
    number, listener.pending = listener.pending, 0
    return Interrupt(number)


def interrupted(message: str, stop: KeyboardInterrupt) -> Interrupted:
    """The error of an operation that `stop` ended, with the exit code of its signal."""
    return Interrupted(message, signal=_number(stop))


def left_open(message: str, stop: KeyboardInterrupt) -> LeftInterrupted:
    """The same of an operation that stays pending."""
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
        listener.restore()


def _mine() -> _Listener | None:
    return _listener if _is_main_thread() else None


def _is_main_thread() -> bool:
    return threading.get_ident() == threading.main_thread().ident


def _is_default(number: int) -> bool:
    return signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler)
