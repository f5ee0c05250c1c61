"""What operations wait for, and how a call waits. An operation is a generator: it yields what it waits for, and continues when it is sent the event.

A call that blocks is a loop over the generator (`to_end`). An agent or an event loop with many operations under way can send each its events,
and needs no thread for a slow guest. The caller releases the lock at each yield, and holds it again when it continues the operation. The
operation then looks at the guest again, because others may have changed anything meanwhile.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

from virtnetplug import interruption
from virtnetplug.errors import DomainBusy, LeftPending, VirtnetplugError
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.call.lock import Lock
from virtnetplug.model.operation import OperationRecord, Outcome
from virtnetplug.ports.domain import GuestEvent, GuestEventKind, Watch

T = TypeVar("T")


class WaitsFor(enum.StrEnum):
    """What can end a wait before its time is over: the guest, or the end of another call's operation."""

    GUEST = "guest"
    OPERATION = "operation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """An operation waits for an event of the NIC `alias`, and is to be continued at `until` (monotonic seconds) at the latest.

    `watch` gives the events of the guest.
    """

    what: WaitsFor
    alias: str
    watch: Watch
    until: float


Work = Generator[Wait, GuestEvent | None, Outcome]
"""An operation under way: it yields what it waits for, is sent the event (None if `Wait.until` has come), and returns its outcome."""


def at_once(run: Callable[[], Outcome]) -> Work:
    """An operation that waits for nobody."""
    return run()
    yield  # a generator all the same


def to_end(host: Host, work: Generator[Wait, GuestEvent | None, T], lock: Lock | None = None) -> T:
    """Run the operation to its end; `lock` is held, and released during each wait. Without a lock, none is released."""
    event: GuestEvent | None = None
    fault: BaseException | None = None
    with closing(work):
        while True:
            try:
                wait = work.send(event) if fault is None else work.throw(fault)
            except StopIteration as end:
                answer: T = end.value
                return answer
            event = fault = None
            try:
                event = _next(host, wait, lock)
            except (VirtnetplugError, KeyboardInterrupt) as error:
                fault = error


def _next(host: Host, wait: Wait, lock: Lock | None) -> GuestEvent | None:
    """The event that is for the operation, or None when its time has come.

    What follows, an undo too, needs the lock: a signal is raised once the lock is held again, or goes with the `DomainBusy`.
    """
    if lock is None:
        with interruption.allowed():
            return _event(host, wait)
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
