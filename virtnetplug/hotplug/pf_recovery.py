"""A rebind of a PF that was cut off: finished where the PF had been made again, else the PF and its guests are as they were."""

from __future__ import annotations

from collections.abc import Sequence

from virtnetplug.errors import Interrupted, RemovalFailed, VirtnetplugError
from virtnetplug.hotplug import pf_rework
from virtnetplug.hotplug.compensation import StillHeld, take_out
from virtnetplug.hotplug.host import Host
from virtnetplug.hotplug.pf_guests import PfLocks, let_go, nic_from, pf_lock, put_in, remember
from virtnetplug.hotplug.pf_users import PfNic
from virtnetplug.hotplug.rebind_pf import go_forward, nics_now, pending_message
from virtnetplug.hotplug.transaction import Transaction, transaction
from virtnetplug.model.operation import OperationRecord, OperationState, Outcome, Result, StepState
from virtnetplug.model.pci import PciAddress

_OF_THE_PF = ("run_hook", "unbind_pf", "bind_pf", "set_numvfs", "restore_pf", pf_rework.DONE)


def goes_forward(record: OperationRecord) -> bool:
    """Whether the PF had been made again."""
    return any(step.name == pf_rework.DONE and step.state is StepState.DONE for step in record.steps)


def settle(host: Host, record: OperationRecord, seconds: float) -> Outcome | None:
    """Finish or undo it; None where another process has, or does. `seconds` bounds the wait for each guest."""
    pf = PciAddress.parse(record.request["pf"])
    nics = [
        nic for entry in record.request["nics"] if "element" in entry and (nic := nic_from(host, entry)) is not None
    ]
    with pf_lock(host, pf), PfLocks(host, [nic.domain for nic in nics]).held():
        now = host.journal.operation(record.id)
        if now is None or now.ended is not None:
            return None
        host.journal.adopt(now.id)
        for domain in {nic.domain.uuid: nic.domain for nic in nics}.values():
            domain.await_idle()
        try:
            if goes_forward(now):
                with transaction(host, now, is_begun=True) as tx:
                    return go_forward(host, tx, nics)
            return _undo(host, now, pf, nics, seconds)
        except Interrupted:
            raise
        except VirtnetplugError as error:
            return Outcome(
                operation=now.operation, domain=now.domain_name, result=Result.INCOMPLETE, operation_id=now.id,
                reason=error.reason, message=error.message,
            )  # fmt: skip


def _undo(host: Host, record: OperationRecord, pf: PciAddress, nics: Sequence[PfNic], seconds: float) -> Outcome:
    tx = Transaction(host, record, is_begun=True)
    faults: list[VirtnetplugError] = []
    held: list[str] = []
    if any(tx.was_begun(name, str(pf)) for name in _OF_THE_PF):
        try:
            pf_rework.make_as_before(host, pf, record.request)
            for name in reversed(_OF_THE_PF):
                tx.compensate(name, str(pf), lambda: None)
        except VirtnetplugError as error:
            faults.append(error)
    for nic in reversed(nics) if pf_rework.is_in_shape(host, pf, record.request) else ():
        try:
            tx.compensate("ask", nic.label, lambda nic=nic: _back(host, nic, record, seconds))  # type: ignore[misc]
        except StillHeld:
            held.append(nic.label)
        except VirtnetplugError as error:
            faults.append(error)
    if faults or held:
        return _left(host, tx, nics, held, faults)
    tx.compensate("fence", str(pf), lambda: let_go(host, record.id))
    message = f"the rebind of {pf} that was left open has been undone"
    tx.finish(
        OperationState.UNDONE, Result.UNDONE, reason=record.reason or "recovered", error=record.error or message,
        also=lambda: remember(host, nics),
    )  # fmt: skip
    return tx.outcome(Result.UNDONE, reason="recovered", message=message, nics=nics_now(host, nics))


def _left(
    host: Host, tx: Transaction, nics: Sequence[PfNic], held: Sequence[str], faults: Sequence[VirtnetplugError]
) -> Outcome:
    """Not all of it could be undone: what could not be stays in the journal."""
    if faults:
        error = faults[0]
        tx.finish(OperationState.INCOMPLETE, Result.INCOMPLETE, reason=error.reason, error=error.message)
        return tx.outcome(Result.INCOMPLETE, reason=error.reason, message=error.message)
    message = pending_message(held)
    tx.finish(OperationState.PENDING, Result.PENDING, reason="guest-holds-device", error=message)
    return tx.outcome(Result.PENDING, reason="guest-holds-device", message=message, nics=nics_now(host, nics))


def _back(host: Host, nic: PfNic, record: OperationRecord, seconds: float) -> None:
    """One that was asked for is out, and in again: nobody can tell what becomes of it else."""
    try:
        take_out(host, nic.domain, nic.alias, seconds, domain_id=nic.domain_id, was_asked=True)
    except RemovalFailed:
        return  # the guest keeps it, and has said so
    put_in(host, nic, record.id)
