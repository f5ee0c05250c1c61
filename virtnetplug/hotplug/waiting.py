"""What operations wait for, and how a call waits: an operation is a generator that yields what it waits for, and goes on when it is sent what came.

A call that blocks is a loop over that (`to_end`). Whoever has many operations under way, an agent or an event loop, sends each what came for
it, and needs no thread for a guest that takes its time. The lock is let go at each yield and is held again when the operation goes on,
which looks again then: at the guest, for others may have changed anything meanwhile.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass

from virtnetplug import interruption
from virtnetplug.errors import DomainBusy, LeftPending, VirtnetplugError
from virtnetplug.hotplug.host import Host
from virtnetplug.hotplug.lock import Lock
from virtnetplug.model.operation import OperationRecord, Outcome
from virtnetplug.ports.domain import GuestEvent, GuestEventKind, Watch


class WaitsFor(enum.StrEnum):
    """What ends a wait, beside its time."""

    GUEST = "guest"
    OPERATION = "operation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """An operation waits until something happens to the NIC `alias`, and looks again at `until` (monotonic seconds) whatever happened.

    `watch` tells what happens in the guest.
    """

    what: WaitsFor
    alias: str
    watch: Watch
    until: float


Work = Generator[Wait, GuestEvent | None, Outcome]
"""An operation under way: it yields what it waits for, is sent the event that came (None: the time did), and returns its outcome."""


def at_once(run: Callable[[], Outcome]) -> Work:
    """An operation that waits for nobody."""
    return run()
    yield  # a generator all the same


def to_end(host: Host, work: Work, lock: Lock) -> Outcome:
    """Run it to its end; `lock` is held, and let go while it waits."""
    event: GuestEvent | None = None
    fault: BaseException | None = None
    with closing(work):
        while True:
            try:
                wait = work.send(event) if fault is None else work.throw(fault)
            except StopIteration as end:
                outcome: Outcome = end.value
                return outcome
            event = fault = None
            try:
                event = _next(host, wait, lock)
            except (VirtnetplugError, KeyboardInterrupt) as error:
                fault = error


def _next(host: Host, wait: Wait, lock: Lock) -> GuestEvent | None:
    """The event that is for the operation, or None when its time has come.

    What follows, an undo too, needs the lock: a signal is raised once the lock is held again, or goes with the `DomainBusy`.
    """
    lock.release()
    stop: KeyboardInterrupt | None = None
    event = None
    try:
        event = _event(host, wait)
    except KeyboardInterrupt as interrupt:
        stop = interrupt
    with interruption.held():
        try:
            lock.take()
        except DomainBusy as busy:
            busy.interrupt = interruption.undelivered() or stop
            raise
    if stop is not None:
        raise interruption.undelivered() or stop
    return event


def _event(host: Host, wait: Wait) -> GuestEvent | None:
    while (left := wait.until - host.clock.monotonic()) > 0:
        with interruption.shortened():  # the signal also bounds the wait for the lock
            event = wait.watch.next(left)
        if event is None or event.kind in (GuestEventKind.ENDED, GuestEventKind.LOST) or event.alias == wait.alias:
            return event
    return None


def left_pending(busy: DomainBusy, record: OperationRecord, asked: str, then: str) -> LeftPending:
    """The error of an operation whose lock was not to be had again: nothing is done without the lock.

    `asked` says what was asked of the guest before that, and `then` what goes on with the operation.
    """
    said = (
        f"{busy.fact} {asked} before that, so the journal keeps the {record.operation} {record.id} as pending. "
        f"End what has the lock if it hangs; {then}."
    )
    if busy.interrupt is not None:
        return interruption.left_open(
            f"The {record.operation} was interrupted while it waited for a lock. {said}", busy.interrupt
        )
    return LeftPending(said, reason=busy.reason)
