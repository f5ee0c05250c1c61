"""A rebind of a PF that was cut off: finished where the PF had been made again, else the PF and its guests are as they were."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from virtnetplug.errors import VirtnetplugError
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.call.lock import least_of
from virtnetplug.hotplug.check.reserved import freed
from virtnetplug.hotplug.engine.operation import FLAG, LIST, TEXT, Direction, Operation, Shape, first_of, left_open
from virtnetplug.hotplug.engine.ownership import taken_over
from virtnetplug.hotplug.engine.transaction import Transaction, resumed
from virtnetplug.hotplug.guest import travel
from virtnetplug.hotplug.guest.asking import StillHeld
from virtnetplug.hotplug.guest.nic_rows import keep_or_drop_all
from virtnetplug.hotplug.pf import pf_rework
from virtnetplug.hotplug.pf.pf_guests import PfLocks, nic_from, pf_lock, remember
from virtnetplug.hotplug.pf.pf_users import PfNic
from virtnetplug.hotplug.pf.rebind_pf import go_forward, is_out, nics_now, pending_message, undos
from virtnetplug.model.operation import OperationRecord, OperationState, Outcome, Result, StepState
from virtnetplug.model.pci import PciAddress


def goes_forward(record: OperationRecord) -> bool:
    """Whether the PF had been made again."""
    return any(step.name == pf_rework.DONE and step.state is StepState.DONE for step in record.steps)


def settle(host: Host, record: OperationRecord, seconds: float, *, any_address: bool) -> Outcome | None:
    """Finish or undo it; None where another call has, or does. `seconds` bounds the wait for each guest."""
    pf, nics, least = PciAddress.parse(record.request["pf"]), _nics(host, record), least_of(seconds)
    with (
        pf_lock(host, pf, seconds, least=least),
        PfLocks(host, [nic.domain for nic in nics], seconds, least=least).held(),
        taken_over(host, record.id) as now,
    ):
        if now is None:
            return None
        if any_address:
            now = _anywhere(host, now)
            nics = _nics(host, now)
        for domain in {nic.domain.uuid: nic.domain for nic in nics}.values():
            domain.await_idle()
        with resumed(host, now, partial(undos, host, nics, seconds=seconds)) as tx:
            return go_forward(host, tx, nics) if goes_forward(now) else _undo(host, tx, pf, nics)


def forget(host: Host, record: OperationRecord, seconds: float) -> Outcome | None:
    """Close it if nothing but NICs that could not be put back is left undone: they stay out. None if it can be settled, or another call has it."""
    pf, nics, least = PciAddress.parse(record.request["pf"]), _nics(host, record), least_of(seconds)
    with (
        pf_lock(host, pf, seconds, least=least),
        PfLocks(host, [nic.domain for nic in nics], seconds, least=least).held(),
        taken_over(host, record.id) as now,
    ):
        left = [] if now is None or goes_forward(now) else [s for s in now.steps if s.state is StepState.UNDO_FAILED]
        out = [nic for nic in nics if nic.label in {step.nic for step in left} and is_out(nic)]
        if now is None or {step.name for step in left} != {"ask"} or len(out) != len(left):
            return None
        names = ", ".join(nic.label for nic in out)
        message = f"forgotten: the rebind of {pf} {now.id} is closed. {names} stays out of the guest"
        for nic in nics:
            travel.forget_asked(nic.domain, now.id, [one.net for one in out if one.domain.uuid == nic.domain.uuid])
        with resumed(host, now) as tx:
            also = partial(_forget_nics, host, out)
            tx.finish(OperationState.LEFT, Result.LEFT, reason="forgotten", error=message, also=also)
            return tx.outcome(Result.LEFT, reason="forgotten", message=message, nics=nics_now(host, nics))


def _forget_nics(host: Host, out: Sequence[PfNic]) -> None:
    for nic in out:
        keep_or_drop_all(host, nic.domain, [nic.net])


def _nics(host: Host, record: OperationRecord) -> list[PfNic]:
    entries = [entry for entry in record.request["nics"] if "element" in entry]
    return [nic for entry in entries if (nic := nic_from(host, entry)) is not None]


def _anywhere(host: Host, record: OperationRecord) -> OperationRecord:
    """As `Operation.anywhere`, for every guest."""
    places = {
        (nic.domain.uuid, nic.alias): freed(nic.domain, nic.element, record.request) for nic in _nics(host, record)
    }
    entries = [
        {**entry, "element": places[key]} if (key := (entry["domain_uuid"], entry["alias"])) in places else entry
        for entry in record.request["nics"]
    ]
    request = {**record.request, "nics": entries}
    host.journal.amend(record.id, request, owner=record.owner)
    return dataclasses.replace(record, request=request)


def _undo(host: Host, tx: Transaction, pf: PciAddress, nics: Sequence[PfNic]) -> Outcome:
    failures = [error for _, error in tx.undo.unwind()]
    faults = [error for error in failures if not isinstance(error, StillHeld)]
    if failures:
        return _left(host, tx, nics, faults)
    record, message = tx.record, f"the rebind of {pf} that was left open has been undone"
    tx.finish(
        OperationState.UNDONE, Result.UNDONE, reason=record.reason or "recovered", error=record.error or message,
        also=lambda: remember(host, nics),
    )  # fmt: skip
    return tx.outcome(Result.UNDONE, reason="recovered", message=message, nics=nics_now(host, nics))


def _left(host: Host, tx: Transaction, nics: Sequence[PfNic], faults: Sequence[VirtnetplugError]) -> Outcome:
    """Not all of it could be undone: what could not be stays in the journal."""
    if faults:
        return left_open(tx, first_of(faults))
    message = pending_message([step.nic for step in tx.steps if step.name == "ask" and tx.was_begun("ask", step.nic)])
    tx.finish(OperationState.PENDING, Result.PENDING, reason="guest-holds-device", error=message)
    return tx.outcome(Result.PENDING, reason="guest-holds-device", message=message, nics=nics_now(host, nics))


class RebindPf(Operation):
    """It is of no one domain: the PF's lock comes first, and then those of all its guests."""

    request: ClassVar[Shape] = {
        "nics": LIST,
        "pf": TEXT,
        "reload_driver": FLAG,
        "hook": LIST,
        "numvfs": (int, type(None)),
    }

    @classmethod
    def heading(cls, record: OperationRecord) -> Direction:
        """Forward once the PF has been made again."""
        return Direction.FORWARD if goes_forward(record) else Direction.BACK

    @classmethod
    def of_one_domain(cls, record: OperationRecord) -> bool:
        """Never."""
        return False

    settle = staticmethod(settle)
    forget = staticmethod(forget)


OPERATION = RebindPf
