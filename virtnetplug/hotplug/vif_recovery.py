"""A rebind of vifs that was cut off: it is finished, for a vif without its driver is a guest without network."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from virtnetplug.errors import DomainMissing, VirtnetplugError
from virtnetplug.hotplug.host import Host
from virtnetplug.hotplug.lock import least_of, locks_of
from virtnetplug.hotplug.operation import FLAG, LIST, Direction, Operation, Shape
from virtnetplug.hotplug.ownership import taken_over
from virtnetplug.hotplug.rebind_vif import DRIVER, driver_lock, end, nics_now, put_back, verify, warn_of_moved
from virtnetplug.hotplug.transaction import Transaction, resumed
from virtnetplug.hotplug.vif_nics import VifNic
from virtnetplug.hotplug.waiting import Work, at_once
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
    least = least_of(seconds)
    with (
        driver_lock(host, seconds, least=least),
        locks_of(host, domains, seconds, least=least),
        taken_over(host, record.id) as now,
    ):
        if now is None:
            return None
        for domain in domains:
            domain.await_idle()
        return resume(host, now, seconds)


def resume(host: Host, record: OperationRecord, seconds: float) -> Outcome:
    """Finish the rebind, whose domains' locks are held. Every vif that may have lost its driver is bound and returned to its bridge."""
    nics = _nics(record)
    with resumed(host, record) as tx:
        tx.go_forward()
        return _finish(host, tx, [nic for nic in nics if tx.was_begun("unbind_vif", nic.label)], seconds)


def _finish(host: Host, tx: Transaction, nics: Sequence[VifNic], seconds: float) -> Outcome:
    faults: list[VirtnetplugError] = []
    for nic in nics:
        try:
            put_back(host, nic, tx, surely=True)
        except VirtnetplugError as error:
            faults.append(error)
    if faults:
        raise faults[0]
    verify(host, nics, tx, max(seconds, LEAST))
    record = tx.record
    if goes_forward(record):
        return end(host, nics, tx, said="the rebind that was left open has been finished")
    warn_of_moved(host, nics, tx)
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


class RebindVif(Operation):
    """The rebind of one vif, or of all vifs of the host, which belongs to no domain. It is always finished: a failure leaves a guest without network."""

    request: ClassVar[Shape] = {"nics": LIST, "reload": FLAG}

    @classmethod
    def heading(cls, record: OperationRecord) -> Direction:
        """As what it ends: see `goes_forward`."""
        return Direction.FORWARD if goes_forward(record) else Direction.BACK

    @classmethod
    def of_one_domain(cls, record: OperationRecord) -> bool:
        """Not where the driver was to be loaded anew."""
        return bool(record.domain_uuid)

    @classmethod
    def settle(cls, host: Host, record: OperationRecord, seconds: float, *, any_address: bool) -> Outcome | None:
        """See `settle`."""
        return settle(host, record, seconds)

    @classmethod
    def go_on(cls, host: Host, domain: Domain, record: OperationRecord, seconds: float) -> Work:
        """See `resume`."""
        return at_once(partial(resume, host, record, seconds))

    @classmethod
    def go_back(
        cls, host: Host, domain: Domain, record: OperationRecord, seconds: float, *, allow_taint: bool
    ) -> Outcome:
        """Finish the rebind (see `resume`), which is also its undo."""
        return resume(host, record, seconds)


OPERATION = RebindVif
