"""A rebind of vifs that was cut off: it is finished, for a vif without its driver is a guest without network."""

from __future__ import annotations

from collections.abc import Sequence

from virtnetplug.errors import DomainMissing, Interrupted, VirtnetplugError
from virtnetplug.hotplug.host import Host
from virtnetplug.hotplug.lock import locks_of
from virtnetplug.hotplug.rebind_vif import DRIVER, driver_lock, end, nics_now, put_back, verify
from virtnetplug.hotplug.transaction import Transaction
from virtnetplug.hotplug.vif_nics import VifNic
from virtnetplug.model.operation import OperationRecord, OperationState, Outcome, Result, StepState
from virtnetplug.ports.domain import Domain

LEAST = 10.0
"""Seconds that backends are given to connect, which wait for no guest, whoever is in a hurry."""


def goes_forward(record: OperationRecord) -> bool:
    """Whether it ends as what was asked for. A driver that was not loaded anew is not loaded by a recovery."""
    if record.request["reload"]:
        return any(step.name == "reload_driver" and step.state is StepState.DONE for step in record.steps)
    return any(step.state is not StepState.PLANNED for step in record.steps)


def settle(host: Host, record: OperationRecord, seconds: float) -> Outcome | None:
    """Finish one that is about all vifs; None where another process has, or does. `seconds` bounds the wait for each to be connected."""
    nics = _nics(record)
    domains = [found for uuid in {nic.domain_uuid for nic in nics} if (found := _domain(host, uuid)) is not None]
    with driver_lock(host), locks_of(host, domains):
        now = host.journal.operation(record.id)
        if now is None or now.ended is not None:
            return None
        host.journal.adopt(now.id)
        for domain in domains:
            domain.await_idle()
        try:
            return resume(host, now, seconds)
        except Interrupted:
            raise
        except VirtnetplugError as error:
            return Outcome(
                operation=now.operation, domain=now.domain_name, result=Result.INCOMPLETE, operation_id=now.id,
                reason=error.reason, message=error.message,
            )  # fmt: skip


def resume(host: Host, record: OperationRecord, seconds: float) -> Outcome:
    """Finish it, whose domains' locks are held: every vif that may have lost its driver is bound and put back."""
    tx = Transaction(host, record, is_begun=True)
    nics = [nic for nic in _nics(record) if tx.was_begun("unbind_vif", nic.label)]
    faults: list[VirtnetplugError] = []
    for nic in nics:
        try:
            put_back(host, nic, tx, surely=True)
        except VirtnetplugError as error:
            faults.append(error)
    if faults:
        tx.finish(OperationState.INCOMPLETE, Result.INCOMPLETE, reason=faults[0].reason, error=faults[0].message)
        raise faults[0]
    verify(host, nics, tx, max(seconds, LEAST))
    if goes_forward(record):
        return end(host, nics, tx, said="the rebind that was left open has been finished")
    for nic in nics:
        tx.compensate("unbind_vif", nic.label, lambda: None)
    message = "the rebind that was left open has been undone: every vif has its driver"
    if tx.was_begun("reload_driver", DRIVER):
        message += ", and whether that was loaded anew is not known"
    tx.finish(OperationState.UNDONE, Result.UNDONE, reason=record.reason or "recovered", error=record.error or message)
    return tx.outcome(Result.UNDONE, reason="recovered", message=message, nics=nics_now(host, nics))


def _nics(record: OperationRecord) -> Sequence[VifNic]:
    return [VifNic.from_entry(entry) for entry in record.request["nics"]]


def _domain(host: Host, uuid: str) -> Domain | None:
    try:
        return host.hypervisor.domain(uuid) if uuid else None
    except DomainMissing:
        return None
