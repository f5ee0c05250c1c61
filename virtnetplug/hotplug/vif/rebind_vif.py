"""Rebind of a vif: its backend's driver is unbound and bound again under a running Xen guest, which keeps its connections.

Since Linux 5.6 ("xen-netback: support dynamic unbind/bind") netback takes over the rings as it finds them. The guest's end stays Connected, and what
the guest sends meanwhile waits in the ring. Nobody runs the hotplug script a second time, so this module does what the script did. To load the driver
anew, every vif of the host is rebound at once, as all vifs have the same driver.

A guest whose vif has no driver has no network. So each vif is bound and put into its bridge again, whatever fails, and wherever the operation dies.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import ClassVar

from virtnetplug.errors import (
    HostDeviceFailed,
    NicChanged,
    UsageError,
    VifNotConnected,
    VirtnetplugError,
    XenStoreFailed,
)
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.call.lock import LEAST, Lock, least_of, named_lock
from virtnetplug.hotplug.call.methods import Asked
from virtnetplug.hotplug.call.waiting import Work, at_once
from virtnetplug.hotplug.engine.operation import FLAG, LIST, Direction, Operation, Shape
from virtnetplug.hotplug.engine.ownership import taken_over
from virtnetplug.hotplug.engine.prepared import Prepared
from virtnetplug.hotplug.engine.transaction import Transaction, Undos, plan_steps, record_of, resumed, transaction
from virtnetplug.hotplug.guest.nic_status import nics_named
from virtnetplug.hotplug.recover.settling import existing, settled_and_locked
from virtnetplug.hotplug.vif import netback
from virtnetplug.hotplug.vif.nics import Found, VifNic, find_all, find_one, told, xen
from virtnetplug.model.operation import (
    Half,
    Nic,
    OperationRecord,
    OperationState,
    Outcome,
    Phase,
    Plan,
    Result,
    Scope,
    Step,
    StepState,
)
from virtnetplug.model.run import Run
from virtnetplug.ports.domain import Domain
from virtnetplug.ports.xen import FrontendWatch

NAME = "rebind"
KIND = "vif"
DRIVER = "xen-netback"
"""The driver of all vifs of a host."""

CONNECT_SECONDS = 10.0
"""Seconds that backends get to connect in a recovery. They wait for no guest."""


def rebind_vif(host: Host, name: str, selector: str, *, reload_driver: bool, seconds: float) -> Asked[Outcome, Plan]:
    """Rebind the vif, or load the driver anew for all vifs of the host: then the plan names them in its `warnings`.

    `seconds` bounds the wait for each vif to be connected. Raises `UsageError` on a host that has no vifs.
    """
    if reload_driver and host.vif_drivers is None:
        raise UsageError(
            "the driver of a NIC is reloaded on a Xen host only; to reload a PF's driver, name the PF (`pf`)"
        )
    xen(host)
    domain = host.hypervisor.domain(name)
    look = partial(find_all if reload_driver else find_one, host, domain, selector)

    def first() -> Sequence[Domain]:
        return look().domains if reload_driver else [domain]

    def run() -> Outcome:
        locked = settled_and_locked(host, first, look, lambda found: found.domains, seconds)
        with _driver_lock(host, seconds), locked as (found, lock):
            return _prepared(host, found).run(host, lock, seconds)

    return Asked(run=run, plan=lambda: _prepared(host, look()).plan())


def _prepared(host: Host, found: Found) -> Prepared:
    domain = found.domains[0]
    steps = () if found.refusals else _steps(found)

    def start(lock: Lock, seconds: float) -> Work:
        return at_once(partial(run, seconds))

    def run(seconds: float) -> Outcome:
        with (
            xen(host)[0].watch_frontends([nic.vif for nic in found.nics]) as guests,
            transaction(host, _record(host, found, steps), partial(undos, host, found.nics, seconds)) as tx,
        ):
            return _run(host, found, tx, guests, seconds)

    return Prepared(
        operation=NAME,
        domain=domain.name,
        scope=Scope.LIVE,
        start=start,
        refusals=found.refusals,
        steps=steps,
        warnings=tuple(told(found.nics)) if found.has_all else (),
    )


def _driver_lock(host: Host, seconds: float, *, least: float = LEAST) -> AbstractContextManager[None]:
    """The lock of the driver, which is taken before the locks of domains. Raises `DomainBusy`."""
    return named_lock(host, "the driver of vifs", "", DRIVER, max(seconds, least))


def _steps(found: Found) -> tuple[Step, ...]:
    parts: list[tuple[str, str, Phase, Half | None]] = []
    parts += [("unbind_vif", nic.label, Phase.UNPLUG, Half.LIVE) for nic in found.nics]
    if found.has_all:
        parts.append(("reload_driver", DRIVER, Phase.PLUG, None))
    for nic in found.nics:
        names = ("bind_vif",) if nic.wanted is None else ("bind_vif", "join_bridge")
        parts += [(name, nic.label, Phase.PLUG, Half.LIVE) for name in names]
    parts += [("verify", nic.label, Phase.PLUG, Half.LIVE) for nic in found.nics]
    return plan_steps(*parts)


def _record(host: Host, found: Found, steps: tuple[Step, ...]) -> OperationRecord:
    """The record for the journal. An operation on all vifs is of no one domain: each NIC in it has its own."""
    domain, run, kinds = found.domains[0], Run(found.domain_id), [found.kind]
    request = {"kind": KIND, "reload": found.has_all, "nics": [nic.entry for nic in found.nics]}
    whose = domain.name if found.has_all else domain
    return record_of(host, NAME, whose, run=run, device_types=kinds, request=request, steps=steps)


def _run(host: Host, found: Found, tx: Transaction, guests: FrontendWatch, seconds: float) -> Outcome:
    _, drivers = xen(host)
    for nic in found.nics:
        tx.effect("unbind_vif", nic.label, partial(netback.unbind, host, nic), half=Half.LIVE)
    if found.has_all:
        if others := sorted(drivers.bound()):
            raise HostDeviceFailed(f"{', '.join(others)} came meanwhile, so {DRIVER} cannot be loaded anew. Try again.")
        tx.effect("reload_driver", DRIVER, drivers.reload)  # the undos of the vifs load it, too
    _bind_all(host, found.nics, tx)
    _verify(host, found.nics, tx, seconds)
    try:
        moved = guests.moved()
    except XenStoreFailed as error:
        tx.warn(f"whether guests connected anew was not seen all along: {error.message}")
        moved = frozenset()
    return _end(host, found.nics, tx, moved)


def undos(host: Host, nics: Sequence[VifNic], seconds: float, tx: Transaction) -> Undos:
    """The undos: each vif is bound, in its bridge and connected. That loads the driver, too."""

    def complete(nic: VifNic) -> None:
        netback.complete(host, nic, seconds)
        tx.warn(*netback.moved(host, [nic]))

    return {("unbind_vif", nic.label): partial(complete, nic) for nic in nics}


def _bind_all(host: Host, nics: Sequence[VifNic], tx: Transaction, *, surely: bool = False) -> None:
    """Bind every vif and put it into its bridge, whatever becomes of another; then raise the first fault.

    `surely` where the driver may not be loaded.
    """
    bind = netback.bind_surely if surely else netback.bind
    faults: list[VirtnetplugError] = []
    for nic in nics:
        try:
            tx.effect("bind_vif", nic.label, partial(bind, host, nic), half=Half.LIVE)
            if nic.wanted is not None:
                tx.effect("join_bridge", nic.label, partial(netback.plumb, host, nic), half=Half.LIVE)
        except VirtnetplugError as error:
            faults.append(error)
    if faults:
        raise faults[0]


def _verify(host: Host, nics: Sequence[VifNic], tx: Transaction, seconds: float) -> None:
    """Verify that each vif is connected. If one is not, the operation stays open, and this raises `VifNotConnected`."""
    deadline, faults = host.clock.monotonic() + seconds, []
    for nic in nics:
        try:
            tx.note("verify", nic.label, partial(netback.check, host, nic, deadline))
        except VifNotConnected as error:
            faults.append(error.message)
    if faults:
        message = (
            f"{'; '.join(faults)}. The journal keeps it: `recover(wait=60)` restores what is missing, and looks again."
        )
        tx.finish(OperationState.INCOMPLETE, Result.INCOMPLETE, reason=VifNotConnected.reason, error=message)
        raise VifNotConnected(message)


def _end(
    host: Host, nics: Sequence[VifNic], tx: Transaction, moved: frozenset[str] = frozenset(), *, said: str = ""
) -> Outcome:
    """End the operation, as all vifs are bound and connected, and warn of each ring that was not taken over. `said` is the message of a recovery.

    A vif whose guest has ended, or that was detached, was not bound anew. If all vifs are such, the operation has failed.
    """
    gone = [_why_gone(host, nic) for nic in nics if netback.is_gone(host, nic)]
    if gone and len(gone) == len(nics):
        message = "; ".join(gone)
        is_replaced = any(netback.is_replaced(host, nic) for nic in nics)
        reason = NicChanged.reason if is_replaced else "guest-ended"
        return tx.close(OperationState.UNDONE, reason, message)
    renewed = netback.renewed(host, nics, moved)
    tx.warn(*gone, *netback.moved(host, nics), *renewed)
    reason = "ring-renewed" if renewed else "recovered" if said else ""
    tx.finish(OperationState.DONE, Result.DONE, reason=reason)
    return tx.outcome(Result.DONE, reason=reason, message=said, nics=_nics_now(host, nics))


def _why_gone(host: Host, nic: VifNic) -> str:
    if netback.is_replaced(host, nic):
        return f"{nic.label} was not bound anew: {nic.vif.name} is another NIC by now, or the same one connected to something else. It is left as it is"
    return f"{nic.label} was not bound anew: the guest has ended, or has the NIC no more"


def _nics_now(host: Host, nics: Sequence[VifNic]) -> list[Nic]:
    return nics_named(host, ((nic.domain_uuid, nic.alias) for nic in nics if nic.domain_uuid))


class RebindVif(Operation):
    """A rebind of one vif, or of all vifs of the host: then it is no domain's operation.

    A rebind that was cut off is finished, for a vif without its driver is a guest without network.
    """

    request: ClassVar[Shape] = {"nics": LIST, "reload": FLAG}

    @classmethod
    def direction_by_steps(cls, record: OperationRecord) -> Direction:
        """Forward if it ends as what was asked for. A recovery does not load the driver anew if the operation had not."""
        if record.request["reload"]:
            is_forward = any(step.name == "reload_driver" and step.state is StepState.DONE for step in record.steps)
        else:
            is_forward = any(step.state is not StepState.PLANNED for step in record.steps)
        return Direction.FORWARD if is_forward else Direction.BACK

    @classmethod
    def of_one_domain(cls, record: OperationRecord) -> bool:
        """Not if the driver was to be loaded anew."""
        return bool(record.domain_uuid)

    @classmethod
    def settle(cls, host: Host, record: OperationRecord, seconds: float, *, any_address: bool) -> Outcome | None:
        """See `Operation.settle`. `seconds` bounds the wait for each vif to be connected."""
        domains = list(existing(host, {nic.domain_uuid for nic in _nics(record)} - {""}))
        least = least_of(seconds)
        with (
            _driver_lock(host, seconds, least=least),
            Lock(host, domains, seconds, least=least),
            taken_over(host, record.id) as now,
        ):
            if now is None:
                return None
            for domain in domains:
                domain.await_idle()
            return cls._finish(host, now, seconds)

    @classmethod
    def go_on(cls, host: Host, domain: Domain, record: OperationRecord, seconds: float) -> Work:
        return at_once(partial(cls._finish, host, record, seconds))

    @classmethod
    def go_back(
        cls, host: Host, domain: Domain, record: OperationRecord, seconds: float, *, allow_taint: bool
    ) -> Outcome:
        """See `Operation.go_back`. To undo it is to finish it."""
        return cls._finish(host, record, seconds)

    @classmethod
    def _finish(cls, host: Host, record: OperationRecord, seconds: float) -> Outcome:
        """Bind every vif that may have lost its driver, and put it into its bridge. The locks of the domains are held."""
        with resumed(host, record) as tx:
            tx.go_forward()
            nics = [nic for nic in _nics(record) if tx.was_begun("unbind_vif", nic.label)]
            _bind_all(host, nics, tx, surely=True)
            _verify(host, nics, tx, max(seconds, CONNECT_SECONDS))
            if cls.direction_by_steps(tx.record) is Direction.FORWARD:
                return _end(host, nics, tx, said="the rebind that was left open has been finished")
            tx.warn(*netback.moved(host, nics))
            message = "the rebind that was left open has been undone: every vif has its driver"
            if tx.was_begun("reload_driver", DRIVER):
                message += ", and whether that was loaded anew is not known"
            reason, error = record.reason or "recovered", record.error or message
            tx.finish(OperationState.UNDONE, Result.UNDONE, reason=reason, error=error)
            return tx.outcome(Result.UNDONE, reason="recovered", message=message, nics=_nics_now(host, nics))


def _nics(record: OperationRecord) -> Sequence[VifNic]:
    return [VifNic.from_entry(entry) for entry in record.request["nics"]]
