"""The owner of an open operation: the call that works on it or waits for it. Nobody else settles the operation while that call runs.

The owner is the call, not its process. A call may return with the operation pending, or because its journal failed. The operation then has no owner
any more, even if the process lives on. The next call that comes takes it over.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from virtnetplug import interruption
from virtnetplug.errors import DomainMissing
from virtnetplug.hotplug.call.host import Host
from virtnetplug.model.operation import Event, OperationRecord, StepState
from virtnetplug.retry import until_true

STILL_SECONDS = 120.0
"""An operation stands still if it waits for no guest and has begun or ended no step for so long."""


def as_named_now(host: Host, record: OperationRecord) -> OperationRecord:
    """The record with its domain's present name, if there is such a domain. Another domain may have the name of the beginning."""
    if not record.domain_uuid:
        return record
    try:
        return replace(record, domain_name=host.hypervisor.domain(record.domain_uuid).name)
    except DomainMissing:
        return record


@contextmanager
def taken_over(host: Host, operation_id: str) -> Iterator[OperationRecord | None]:
    """Own the operation while inside, and give it as the journal has it now; None if it has ended, or another call owns it."""
    with host.journal.call() as owner:
        record = host.journal.operation(operation_id) if host.journal.adopt(operation_id, owner) else None
        yield None if record is None else as_named_now(host, record)


def owner_of(host: Host, record: OperationRecord) -> str:
    """The owner of the operation, as messages name it."""
    process = host.journal.process_of(record)
    return "another call" if process is None else f"process {process.pid}"


def say_waiting(host: Host, record: OperationRecord) -> None:
    """Publish that this call waits for the owner of the operation."""
    text = f"{owner_of(host, record)} works on the {record.operation} {record.id}; waiting for it"
    host.publish(Event(kind="waiting", text=text, operation_id=record.id, domain=record.domain_name))


def await_end(host: Host, record: OperationRecord, seconds: float) -> None:
    """Wait until the operation has ended, its owner has, or `seconds` have passed."""

    def is_over() -> bool:
        now = host.journal.operation(record.id)
        return now is None or now.ended is not None or not host.journal.is_owner_alive(now)

    if seconds > 0:
        say_waiting(host, record)
        with interruption.allowed():
            until_true(is_over, seconds=seconds)


def stands_still(host: Host, record: OperationRecord) -> str | None:
    """A sentence that says why an operation with a living owner makes no progress; None if it may make progress."""
    owner, name = host.journal.process_of(record), f"the {record.operation} {record.id} of {record.domain_name}"
    if owner is not None and owner.is_stopped:
        return f"{name} stands still: process {owner.pid}, which has it, is stopped. Have it go on ('kill -CONT {owner.pid}'), or end it, and recover."
    ends = [step.started + (step.seconds or 0.0) for step in record.steps if step.started is not None]
    last = max([record.started, *ends])
    idle = host.clock.now() - last if last else 0.0
    is_waiting = any(step.name == "guest_release" and step.state is StepState.STARTED for step in record.steps)
    if is_waiting or idle < STILL_SECONDS:
        return None
    return f"{name} stands still: {owner_of(host, record)} has done nothing with it for {idle / 60:.0f} minutes. See what that does, or end it, and recover."
