"""Settle one open operation: finish it, undo it, or say why it stays open; and what `recover` would do with it.

An operation that a living call owns (see `ownership`) is left to that call, and one that this version does not know stays open. The outcomes name
both; neither stops the recovery of others.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from virtnetplug.errors import (
    DomainBusy,
    DomainMissing,
    Interrupted,
    JournalMoved,
    OperationTaken,
    VirtnetplugError,
)
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.call.lock import Lock, least_of
from virtnetplug.hotplug.call.waiting import to_end
from virtnetplug.hotplug.engine.kinds import operation_of, why_unknown
from virtnetplug.hotplug.engine.operation import Direction, Operation
from virtnetplug.hotplug.engine.ownership import (
    as_named_now,
    await_end,
    owner_of,
    stands_still,
    taken_over,
)
from virtnetplug.hotplug.engine.transaction import REMEDY, recover_command, resumed
from virtnetplug.hotplug.guest import guest, orphans
from virtnetplug.hotplug.guest.ending import REASONS, between_hosts, is_between_hosts, touched_guest
from virtnetplug.hotplug.guest.ending import message as describe_end
from virtnetplug.hotplug.recover import arrivals
from virtnetplug.hotplug.recover.arrivals import plan_of
from virtnetplug.hotplug.recover.returns import return_devices
from virtnetplug.model.operation import (
    Event,
    OperationRecord,
    OperationState,
    Outcome,
    Plan,
    Refusal,
    Result,
    StepState,
)
from virtnetplug.ports.domain import Domain, HowEnded

T = TypeVar("T")


def existing(host: Host, uuids: Iterable[str]) -> Iterator[Domain]:
    """The domains of these UUIDs that exist."""
    for uuid in uuids:
        with suppress(DomainMissing):
            yield host.hypervisor.domain(uuid)


def open_records(host: Host, wanted: Sequence[str] | None) -> Sequence[OperationRecord]:
    """Every open operation, or those of these domains and those of PFs that they have a VF of."""
    found = host.journal.open_operations(host.hypervisor.key, *(() if wanted is None else (*wanted, "")))
    return [
        as_named_now(host, record)
        for record in found
        if wanted is None or record.domain_uuid or any(uuid in wanted for uuid, _ in record.touched)
    ]


def settle(
    host: Host, record: OperationRecord, seconds: float, *, allow_taint: bool, any_address: bool
) -> Outcome | None:
    """Settle one operation; None if another call has settled it."""
    if host.journal.is_owner_alive(record):
        await_end(host, record, seconds)
        if (now := host.journal.operation(record.id)) is None or now.ended is not None:
            return None
        record = as_named_now(host, now)
    if host.journal.is_owner_alive(record):
        return _left_to_its_owner(host, record)
    operation = operation_of(record)
    if operation is None:
        return _unknown(record)
    try:
        if not operation.of_one_domain(record):
            return operation.settle(host, record, seconds, any_address=any_address)
        try:
            domain = host.hypervisor.domain(record.domain_uuid)
        except DomainMissing:
            return settle_without_domain(host, record, operation.without_domain)
        with Lock(host, [domain], seconds, least=least_of(seconds)) as lock:
            return _settle(
                host, domain, record, operation, lock, seconds, allow_taint=allow_taint, any_address=any_address
            )
    except DomainBusy as busy:
        return _outcome(record, Result.PENDING, busy.reason, busy.message)
    except Interrupted:
        raise
    except VirtnetplugError as error:
        return _failed(host, record, error)


def settle_crashed(host: Host, domain: Domain, lock: Lock) -> None:
    """Settle the open operations on `domain` that need no wait, before another operation begins. A NIC that its guest still holds blocks only itself."""
    arrivals.take_over(host, domain)
    for record in open_records(host, (domain.uuid,)):
        operation = operation_of(record)
        if operation is None or not operation.of_one_domain(record) or host.journal.is_owner_alive(record):
            continue
        try:
            _settle(host, domain, record, operation, lock, 0.0, allow_taint=False)
        except Interrupted:
            raise
        except VirtnetplugError as error:
            left = _failed(host, record, error)
            if left is None:
                continue
            what = "was undone" if left.result is Result.UNDONE else "could not be settled"
            text = f"{record.operation} {record.id} {what}: {error.message}"
            host.publish(Event(kind="warning", text=text, operation_id=record.id, domain=record.domain_name))
    return_devices(host, domain.uuid, domain=domain)


@contextmanager
def settled_and_locked(
    host: Host,
    domains: Callable[[], Iterable[Domain]],
    look: Callable[[], T],
    domains_of: Callable[[T], Iterable[Domain]],
    seconds: float,
) -> Iterator[tuple[T, Lock]]:
    """What `look` sees while the locks of all domains that it is about are held.

    What crashes left of each domain is settled first. If another domain comes in between, all begins anew.
    """
    while True:
        locks = Lock(host, domains(), seconds)
        for domain in locks.domains:  # each by itself: to settle may take releasing its lock
            with Lock(host, [domain], seconds) as lock:
                settle_crashed(host, domain, lock)
        with locks:
            seen = look()
            if {domain.uuid for domain in domains_of(seen)} <= {domain.uuid for domain in locks.domains}:
                yield seen, locks
                return


def _settle(
    host: Host,
    domain: Domain,
    record: OperationRecord,
    operation: type[Operation],
    lock: Lock,
    seconds: float,
    *,
    allow_taint: bool,
    any_address: bool = False,
) -> Outcome | None:
    """Finish or undo it under the domain's `lock`; None where another call was first."""
    with taken_over(host, record.id) as mine:
        if mine is None:
            return None
        text = f"settling {mine.operation} {mine.id} of {mine.domain_name}, left {mine.state}"
        host.publish(Event(kind="step", text=text, operation_id=mine.id, domain=mine.domain_name))
        domain.await_idle()
        if touched_guest(mine.steps):
            if (is_half := is_between_hosts(domain, mine.run_asked)) != mine.run_asked.between_hosts:
                mine = _amended(host, mine, {**mine.request, "between_hosts": is_half})
            if mine.run_asked.between_hosts and guest.goes_on(domain, mine.run_asked):
                return _left_between_hosts(host, mine)
        if any_address and (request := operation.anywhere(domain, mine.request)) != mine.request:
            mine = _amended(host, mine, request)
        if operation.direction(mine) is Direction.FORWARD:
            return to_end(host, operation.go_on(host, domain, mine, seconds), lock)
        return operation.go_back(host, domain, mine, seconds, allow_taint=allow_taint)


def _amended(host: Host, record: OperationRecord, request: dict[str, Any]) -> OperationRecord:
    host.journal.amend(record.id, request, owner=record.owner)
    return dataclasses.replace(record, request=request)


def _left_between_hosts(host: Host, record: OperationRecord) -> Outcome:
    """Leave the operation as it is: the guest may run on the other host, and a change of this half would not reach it."""
    reason, message = between_hosts(record, names_of(record))
    state = OperationState.PENDING if record.state is OperationState.PENDING else OperationState.INCOMPLETE
    with resumed(host, record) as tx:
        return tx.close(state, reason, message, result=Result.PENDING)


def names_of(record: OperationRecord) -> str:
    return ", ".join(sorted({alias for _, alias in record.touched}))


def settle_without_domain(host: Host, record: OperationRecord, end: OperationState) -> Outcome | None:
    """Close the operation, as its domain does not exist any more, and what the domain held is gone with it."""
    message = f"domain {record.domain_name} no longer exists, so the {record.operation} has nothing left to settle"
    if touched_guest(record.steps):
        end = OperationState.LEFT
        message = (
            f"domain {record.domain_name} is not on this host any more, so nobody here can settle the {record.operation}: it is closed as left. "
            "Whether its guest is no more, was saved to a file or runs on another host is not known."
        )

    def forget() -> None:
        for _, alias in record.touched:
            host.journal.drop_nic(record.hypervisor, record.domain_uuid, alias)

    with taken_over(host, record.id) as mine:
        if mine is None:
            return None
        with resumed(host, mine) as tx:
            nets = (*orphans.nets_in_record(mine), *orphans.readable([mine.request.get("element")]))  # that of a heal
            orphans.drop_ports_of(host, record.domain_uuid, nets)
            return tx.close(end, "domain-missing", message, also=forget)


def _left_to_its_owner(host: Host, record: OperationRecord) -> Outcome:
    """The outcome of an operation that is left to the living call which owns it; the message says why."""
    why = stands_still(host, record)
    if why is not None:
        return _outcome(record, Result.PENDING, "operation-stalled", why)
    who = owner_of(host, record)
    message = (
        f"{who} works on the {record.operation} {record.id} of {record.domain_name}, and has not ended it. "
        f"{recover_command(record, wait=60)} waits for it; or end that process if it hangs, and recover."
    )
    return _outcome(record, Result.PENDING, "operation-busy", message)


def _unknown(record: OperationRecord) -> Outcome:
    message = (
        f"this version does not know the {record.operation} {record.id} of {record.domain_name or 'this host'} ({why_unknown(record)}), and leaves it "
        f"open. {REMEDY}"
    )
    return _outcome(record, Result.INCOMPLETE, "operation-newer", message)


def _failed(host: Host, record: OperationRecord, error: VirtnetplugError) -> Outcome | None:
    """The outcome of an operation whose recovery raised `error`, as the journal has it."""
    try:
        now = host.journal.operation(record.id)
    except JournalMoved:
        now = None
    said = " ".join([error.message, *(left for left in error.undo_failures if left not in error.message)])
    if now is None:
        return _outcome(record, Result.INCOMPLETE, error.reason, said)
    now = as_named_now(host, now)
    if isinstance(error, OperationTaken) or now.state is OperationState.DONE:
        return None  # another call has settled it, or does
    if now.ended is None:
        result = Result.PENDING if now.state is OperationState.PENDING else Result.INCOMPLETE
        return _outcome(now, result, error.reason, said)
    if now.state is OperationState.LEFT:
        return _outcome(now, Result.LEFT, error.reason, said)
    message = f"the {record.operation} that was left open was undone: {error.message}"
    undone = _outcome(now, Result(now.result), "recovered", message)
    return dataclasses.replace(undone, warnings=tuple(error.warnings))


def _outcome(record: OperationRecord, result: Result, reason: str, message: str) -> Outcome:
    return Outcome(
        operation=record.operation,
        domain=record.domain_name,
        result=result,
        operation_id=record.id,
        reason=reason,
        message=message,
    )


def plan(host: Host, record: OperationRecord) -> Plan:
    """What `settle` would do."""
    operation = operation_of(record)
    if host.journal.is_owner_alive(record):
        return _refused(record, _left_to_its_owner(host, record))
    if operation is None:
        return _refused(record, _unknown(record))
    direction = operation.direction(record)
    if operation.of_one_domain(record):
        try:
            domain = host.hypervisor.domain(record.domain_uuid)
        except DomainMissing:
            end = OperationState.LEFT if touched_guest(record.steps) else operation.without_domain
            text = f"{record.operation} {record.id} of {record.domain_name}, which is not on this host any more, would be closed as {end}"
            return plan_of(record.domain_name, record.scope, text)
        if (away := _away(domain, record, operation)) is not None:
            return _refused(record, away)
        if operation.needs_its_run and not guest.goes_on(domain, record.run):
            direction = Direction.BACK
    done = (StepState.DONE,) if direction is Direction.FORWARD else (StepState.PLANNED, StepState.UNDONE)
    steps = record.steps if direction is Direction.FORWARD else reversed(record.steps)
    text = f"{record.operation} {record.id}, left {record.state}, would be {direction.value}"
    return plan_of(record.domain_name, record.scope, text, steps=[step for step in steps if step.state not in done])


def _away(domain: Domain, record: OperationRecord, operation: type[Operation]) -> Outcome | None:
    """What would be reported of an operation whose guest is away: saved, on another host, or nobody knows where. None if it is not."""
    ending, nics = operation.away(domain, record), names_of(record)
    if ending is not None:
        result = Result.LEFT if ending.end is HowEnded.MIGRATED else Result.PENDING
        return _outcome(record, result, REASONS[ending.end], describe_end(record, ending, nics))
    if touched_guest(record.steps) and domain.state().is_between_hosts:
        return _outcome(record, Result.PENDING, *between_hosts(record, nics))
    return None


def _refused(record: OperationRecord, left: Outcome) -> Plan:
    refusal = Refusal(reason=left.reason, message=left.message)
    return Plan(operation="recover", domain=record.domain_name, scope=record.scope, fits=False, refusals=(refusal,))
