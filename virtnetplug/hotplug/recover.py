"""Recover: finish or undo what a crash, a lost connection or a stubborn guest left open. Safe at any time, and twice."""

from __future__ import annotations

from collections.abc import Sequence

from virtnetplug.errors import DomainMissing, Interrupted, VirtnetplugError
from virtnetplug.hotplug import attach, detach, exchanging, leftover, update
from virtnetplug.hotplug.compensation import StillHeld
from virtnetplug.hotplug.host import Host
from virtnetplug.hotplug.lock import DomainLock
from virtnetplug.hotplug.returns import return_devices
from virtnetplug.hotplug.transaction import Transaction
from virtnetplug.model.operation import (
    Event,
    OperationRecord,
    OperationState,
    Outcome,
    Plan,
    Result,
    Step,
    StepState,
)
from virtnetplug.ports.domain import Domain

HEAL = "heal"
"""The kind of a rebind that only goes forward, for it makes what should be so."""

VIF = "vif"
"""The kind of one of a Xen guest's vif, or of all of a host: it is finished, for it leaves a guest without network."""


def _undo_rebind(host: Host, domain: Domain, record: OperationRecord, tx: Transaction, seconds: float) -> None:
    from virtnetplug.hotplug import rebind  # few need it

    rebind.undo(host, domain, record, tx, seconds)


def _undo_amendment(host: Host, domain: Domain, record: OperationRecord, tx: Transaction, seconds: float) -> None:
    from virtnetplug.hotplug import amendment  # as few

    amendment.undo(host, domain, record, tx, seconds)


OF_A_PF = "rebind-pf"
"""The operation that is no one domain's."""

UNDOERS = {
    "attach": attach.undo_attach,
    "update": update.undo_update,
    "handover": exchanging.undo,
    "handback": exchanging.undo,
    "rebind-vf": exchanging.undo,
    "rebind": _undo_rebind,
    "remember": _undo_amendment,
    "forget": _undo_amendment,
    "policy": _undo_amendment,
}
"""What never ended is undone; a detach already asked of the guest only goes forward."""

RESUMERS = {
    "update": update.resume,
    "handover": exchanging.resume,
    "handback": exchanging.resume,
    "rebind-vf": exchanging.resume,
    "rebind": update.resume,
}
"""What waits for its guest goes on from there."""


def recover(
    host: Host, domain_name: str | None = None, *, seconds: float = 0.0, allow_taint: bool = False
) -> tuple[Outcome, ...]:
    """Settle every open operation whose owner is gone; `seconds` bounds the wait for each guest.

    With `allow_taint` a NIC that the hypervisor has lost sight of is removed through the emulator's own monitor.
    """
    wanted = host.hypervisor.domain(domain_name).uuid if domain_name is not None else None
    outcomes = []
    for record in _open(host, wanted):
        if not is_abandoned(host, record):
            continue
        if record.operation == OF_A_PF:
            from virtnetplug.hotplug import pf_recovery

            settled = pf_recovery.settle(host, record, seconds)
            outcomes += [settled] if settled is not None else []
            continue
        if record.request.get("kind") == VIF and not record.domain_uuid:
            from virtnetplug.hotplug import vif_recovery

            done = vif_recovery.settle(host, record, seconds)
            outcomes += [done] if done is not None else []
            continue
        try:
            domain = host.hypervisor.domain(record.domain_uuid)
        except DomainMissing:
            outcomes.append(_settle_without_domain(host, record))
            continue
        with DomainLock(host, domain) as lock:
            outcomes += settle(host, domain, [record.id], lock, seconds=seconds, allow_taint=allow_taint)
    return (*outcomes, *return_devices(host, wanted))


def plan_recover(host: Host, domain_name: str | None = None) -> tuple[Plan, ...]:
    """What `recover` would do, one plan for each open operation."""
    wanted = host.hypervisor.domain(domain_name).uuid if domain_name is not None else None
    records = _open(host, wanted)
    return tuple(_plan(record) for record in records if is_abandoned(host, record))


def _open(host: Host, wanted: str | None) -> Sequence[OperationRecord]:
    """Every open operation, or those of one domain and those of PFs that it has a VF of."""
    found = host.journal.open_operations(host.hypervisor.uri, wanted)
    if wanted is None:
        return found
    of_pfs = host.journal.open_operations(host.hypervisor.uri, "")
    return [*found, *(record for record in of_pfs if any(uuid == wanted for uuid, _ in record.touched))]


def settle_crashed(host: Host, domain: Domain, lock: DomainLock) -> None:
    """What runs before an operation on `domain`: settle what can be settled without waiting. A NIC still held blocks itself only."""
    records = host.journal.open_operations(host.hypervisor.uri, domain.uuid)
    if records:
        settle(host, domain, [record.id for record in records], lock, seconds=0.0)
    return_devices(host, domain.uuid, domain=domain)


def is_abandoned(host: Host, record: OperationRecord) -> bool:
    """Whether nobody works on it: it is pending or incomplete, or the process or thread that ran it is gone."""
    if record.id in host.busy:
        return False
    if record.state is not OperationState.RUNNING:
        return True
    return not host.journal.is_owner_alive(record)


def settle(
    host: Host,
    domain: Domain,
    operation_ids: Sequence[str],
    lock: DomainLock,
    *,
    seconds: float,
    allow_taint: bool = False,
) -> list[Outcome]:
    """Finish or undo these operations of `domain`; `lock` is held. One that cannot be settled now stays open and is reported."""
    outcomes = []
    for operation_id in operation_ids:
        record = host.journal.operation(operation_id)  # again, under the lock: another process may have settled it
        if record is None or record.ended is not None or not is_abandoned(host, record):
            continue
        host.journal.adopt(record.id)
        _tell(host, record)
        try:
            outcomes.append(_settle(host, domain, record, lock, seconds, allow_taint=allow_taint))
        except Interrupted:
            raise
        except VirtnetplugError as error:
            outcomes.append(_unsettled(record, error))
    return outcomes


def _settle(
    host: Host, domain: Domain, record: OperationRecord, lock: DomainLock, seconds: float, *, allow_taint: bool
) -> Outcome:
    domain.await_idle()
    if record.operation == "detach":
        return detach.resume(host, domain, record, lock, seconds)
    if record.request.get("kind") == HEAL:
        from virtnetplug.hotplug import heal

        return heal.resume(host, domain, record)
    if record.request.get("kind") == VIF:
        from virtnetplug.hotplug import vif_recovery

        return vif_recovery.resume(host, record, seconds)
    if record.state is OperationState.PENDING and record.operation in RESUMERS:
        return RESUMERS[record.operation](host, domain, record, lock, seconds)
    return _undo(host, domain, record, seconds, allow_taint=allow_taint)


def _undo(host: Host, domain: Domain, record: OperationRecord, seconds: float, *, allow_taint: bool) -> Outcome:
    tx = Transaction(host, record, is_begun=True)
    error: VirtnetplugError | None
    try:
        nets = leftover.nets_of(record)
        leftover.evict(host, domain, nets, seconds, allow_taint=allow_taint)
        UNDOERS[record.operation](host, domain, record, tx, seconds)
        error = leftover.orphaned(host, domain, record)
        if error is None:
            leftover.drop_ports(host, domain, nets)
    except StillHeld as held:
        error = held
    except VirtnetplugError as fault:
        error = leftover.orphaned(host, domain, record) or fault
    if error is not None:
        result = Result.PENDING if isinstance(error, StillHeld) else Result.INCOMPLETE
        tx.finish(OperationState.INCOMPLETE, Result.INCOMPLETE, reason=error.reason, error=error.message)
        return tx.outcome(result, reason=error.reason, message=error.message)
    message = f"the {record.operation} that was left open has been undone"
    tx.finish(OperationState.UNDONE, Result.UNDONE, reason=record.reason or "recovered", error=record.error or message)
    return tx.outcome(Result.UNDONE, reason="recovered", message=message)


def _settle_without_domain(host: Host, record: OperationRecord) -> Outcome:
    """The domain is no more: what it held is gone with it."""
    tx = Transaction(host, record, is_begun=True)
    message = f"domain {record.domain_name} no longer exists, so the {record.operation} has nothing left to settle"
    forward = record.operation == "detach"
    result = Result.DONE if forward else Result.UNDONE
    nics = [entry["alias"] for entry in record.request.get("nics", ())]

    def forget() -> None:
        for alias in nics:
            host.journal.drop_nic(record.uri, record.domain_uuid, alias)

    state = OperationState.DONE if forward else OperationState.UNDONE
    tx.finish(state, result, reason="domain-missing", error=message, also=forget)
    return Outcome(
        operation=record.operation,
        domain=record.domain_name,
        result=result,
        operation_id=record.id,
        reason="domain-missing",
        message=message,
    )


def _unsettled(record: OperationRecord, error: VirtnetplugError) -> Outcome:
    return Outcome(
        operation=record.operation,
        domain=record.domain_name,
        result=Result.INCOMPLETE,
        operation_id=record.id,
        reason=error.reason,
        message=error.message,
    )


def _goes_forward(record: OperationRecord) -> bool:
    if record.operation == OF_A_PF:
        from virtnetplug.hotplug import pf_recovery

        return pf_recovery.goes_forward(record)
    if record.request.get("kind") == VIF:
        from virtnetplug.hotplug import vif_recovery

        return vif_recovery.goes_forward(record)
    return record.operation == "detach" or record.state is OperationState.PENDING or record.request.get("kind") == HEAL


def _plan(record: OperationRecord) -> Plan:
    forward = _goes_forward(record)
    what = "finished" if forward else "undone"
    steps: list[Step] = []
    for step in record.steps if forward else reversed(record.steps):
        is_left = (
            step.state is not StepState.DONE if forward else step.state not in (StepState.PLANNED, StepState.UNDONE)
        )
        if is_left:
            steps.append(step)
    return Plan(
        operation="recover",
        domain=record.domain_name,
        scope=record.scope,
        fits=True,
        steps=tuple(steps),
        warnings=(f"{record.operation} {record.id}, left {record.state}, would be {what}",),
    )


def _tell(host: Host, record: OperationRecord) -> None:
    text = f"settling {record.operation} {record.id} of {record.domain_name}, left {record.state}"
    host.publish(Event(kind="step", text=text, operation_id=record.id, domain=record.domain_name))
