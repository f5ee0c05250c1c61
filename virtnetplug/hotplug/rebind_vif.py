"""Rebind of a vif: its backend's driver is unbound and bound again under a running Xen guest, which keeps its connections.

Since Linux 5.6 ("xen-netback: support dynamic unbind/bind") netback takes the rings as it finds them. The guest's end stays Connected all along, and
what it sent meanwhile waits there. Nobody runs the hotplug script a second time, so what that did is done here. To load the driver anew rebinds every
vif of the host at once, of whichever domain, because all have the same driver.

A vif without its driver is a guest without network. So each vif is bound again and returned to its bridge, whatever fails, and wherever the operation
is cut off.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial

from virtnetplug.errors import (
    HostDeviceFailed,
    NicChanged,
    UsageError,
    VifNotConnected,
    VirtnetplugError,
    XenStoreFailed,
)
from virtnetplug.hotplug import vif_rework
from virtnetplug.hotplug.host import Host
from virtnetplug.hotplug.inventory import nics_named
from virtnetplug.hotplug.lock import LEAST, DomainLock, Lock, locks_of, named_lock
from virtnetplug.hotplug.prepared import Prepared
from virtnetplug.hotplug.recover import settle_crashed
from virtnetplug.hotplug.transaction import Transaction, Undos, plan_steps, transaction
from virtnetplug.hotplug.vif_nics import Found, VifNic, find_all, find_one, told, xen
from virtnetplug.hotplug.waiting import Work, at_once
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
)
from virtnetplug.ports.domain import Domain
from virtnetplug.ports.xen import FrontendWatch

NAME = "rebind"
KIND = "vif"
DRIVER = "xen-netback"
"""Locked while the driver of every vif on this host is reloaded."""


def rebind_vif(host: Host, name: str, selector: str, *, reload_driver: bool = False, seconds: float = 30.0) -> Outcome:
    """Bind it anew, or all of the host with the driver loaded anew; `seconds` bounds how long each is waited for to be connected."""
    _check(host, reload_driver=reload_driver)
    domain = host.hypervisor.domain(name)
    with _locked(host, domain, selector, seconds, reload_driver=reload_driver) as (found, lock):
        return _prepared(host, domain, found, reload_driver=reload_driver).run(host, lock, seconds)


def plan_rebind_vif(host: Host, name: str, selector: str, *, reload_driver: bool = False) -> Plan:
    """What `rebind_vif` would do, and to which vifs (its `warnings`, where it is to all of them); nothing is touched."""
    _check(host, reload_driver=reload_driver)
    domain = host.hypervisor.domain(name)
    found = (find_all if reload_driver else find_one)(host, domain, selector)
    return _prepared(host, domain, found, reload_driver=reload_driver).plan()


def _prepared(host: Host, domain: Domain, found: Found, *, reload_driver: bool) -> Prepared:
    steps = () if found.refusals else _steps(found, reload_driver=reload_driver)

    def start(lock: Lock, seconds: float) -> Work:
        return at_once(partial(run, seconds))

    def run(seconds: float) -> Outcome:
        record = _record(host, domain, found, steps, reload_driver=reload_driver)
        store, _ = xen(host)
        with (
            store.watch_frontends([nic.vif for nic in found.nics]) as guests,
            transaction(host, record, partial(undos, host, found.nics, seconds)) as tx,
        ):
            return _run(host, found, tx, guests, seconds, reload_driver=reload_driver)

    return Prepared(
        operation=NAME,
        domain=domain.name,
        scope=Scope.LIVE,
        start=start,
        refusals=found.refusals,
        steps=steps,
        warnings=tuple(told(found.nics)) if reload_driver else (),
    )


def _check(host: Host, *, reload_driver: bool) -> None:
    if reload_driver and host.vif_drivers is None:
        raise UsageError(
            "the driver of a NIC is reloaded on a Xen host only; to reload a PF's driver, name the PF (`pf`)"
        )
    xen(host)


@contextmanager
def _locked(
    host: Host, domain: Domain, selector: str, seconds: float, *, reload_driver: bool
) -> Iterator[tuple[Found, DomainLock]]:
    """What there is under the locks of all domains that it is about, with what crashes left of them settled."""
    with driver_lock(host, seconds):
        if not reload_driver:
            with DomainLock(host, domain, seconds) as lock:
                settle_crashed(host, domain, lock)
                yield find_one(host, domain, selector), lock
            return
        while True:
            domains = find_all(host, domain, selector).domains
            for each in domains:  # each by itself: to settle may take letting its lock go
                with DomainLock(host, each, seconds) as lock:
                    settle_crashed(host, each, lock)
            with ExitStack() as stack:
                stack.enter_context(locks_of(host, domains, seconds))
                found = find_all(host, domain, selector)
                if {each.uuid for each in found.domains} <= {each.uuid for each in domains}:
                    yield found, DomainLock(host, domain, seconds)  # those of all are held, and none is let go
                    return


def driver_lock(host: Host, seconds: float, *, least: float = LEAST) -> AbstractContextManager[None]:
    """Whoever takes the driver from a vif, or loads it anew, has this first, and then the locks of domains; raises `DomainBusy`."""
    return named_lock(host, "the driver of vifs", "", DRIVER, max(seconds, least))


def _steps(found: Found, *, reload_driver: bool) -> tuple[Step, ...]:
    parts: list[tuple[str, str, Phase, Half | None]] = []
    parts += [("unbind_vif", nic.label, Phase.UNPLUG, Half.LIVE) for nic in found.nics]
    if reload_driver:
        parts.append(("reload_driver", DRIVER, Phase.PLUG, None))
    for nic in found.nics:
        parts.append(("bind_vif", nic.label, Phase.PLUG, Half.LIVE))
        if nic.wanted is not None:
            parts.append(("join_bridge", nic.label, Phase.PLUG, Half.LIVE))
    parts += [("verify", nic.label, Phase.PLUG, Half.LIVE) for nic in found.nics]
    return plan_steps(*parts)


def _record(
    host: Host, domain: Domain, found: Found, steps: tuple[Step, ...], *, reload_driver: bool
) -> OperationRecord:
    """Where it is to all vifs it is no domain's operation: each NIC in it says whose it is."""
    return OperationRecord(
        id=uuid.uuid4().hex[:12],
        operation=NAME,
        uri=host.hypervisor.uri,
        hypervisor=host.hypervisor.key,
        domain_uuid="" if reload_driver else domain.uuid,
        domain_name=domain.name,
        domain_id=found.domain_id,
        device_type=found.kind,
        request={"kind": KIND, "reload": reload_driver, "nics": [nic.entry for nic in found.nics]},
        steps=steps,
        started=host.clock.now(),
    )


def _run(
    host: Host, found: Found, tx: Transaction, guests: FrontendWatch, seconds: float, *, reload_driver: bool
) -> Outcome:
    _, drivers = xen(host)
    for nic in found.nics:
        tx.effect("unbind_vif", nic.label, partial(vif_rework.unbind, host, nic), half=Half.LIVE)
    if reload_driver:
        if others := sorted(drivers.bound()):
            raise HostDeviceFailed(f"{', '.join(others)} came meanwhile, so {DRIVER} cannot be loaded anew. Try again.")
        tx.effect("reload_driver", DRIVER, drivers.reload)  # what restores a vif loads it, too
    _put_back(host, found, tx)
    verify(host, found.nics, tx, seconds)
    return end(host, found.nics, tx, _moved(tx, guests))


def undos(host: Host, nics: Sequence[VifNic], seconds: float, tx: Transaction) -> Undos:
    """The undos: each vif is bound, plumbed and connected, which loads the driver, too."""

    def complete(nic: VifNic) -> None:
        vif_rework.complete(host, nic, seconds)
        warn_of_moved(host, [nic], tx)

    return {("unbind_vif", nic.label): partial(complete, nic) for nic in nics}


def warn_of_moved(host: Host, nics: Sequence[VifNic], tx: Transaction) -> None:
    """Say of each whose link somebody moved that it is left there."""
    for text in vif_rework.moved(host, nics):
        tx.warn(text)


def _put_back(host: Host, found: Found, tx: Transaction) -> None:
    """Every one of them, whatever becomes of another; then the first fault is raised."""
    faults: list[VirtnetplugError] = []
    for nic in found.nics:
        try:
            put_back(host, nic, tx)
        except VirtnetplugError as error:
            faults.append(error)
    if faults:
        raise faults[0]


def put_back(host: Host, nic: VifNic, tx: Transaction, *, surely: bool = False) -> None:
    """The steps after the driver was taken from it; `surely` where the driver may not be loaded."""
    bind = vif_rework.bind_surely if surely else vif_rework.bind
    tx.effect("bind_vif", nic.label, partial(bind, host, nic), half=Half.LIVE)
    if nic.wanted is not None:
        tx.effect("join_bridge", nic.label, partial(vif_rework.plumb, host, nic), half=Half.LIVE)


def verify(host: Host, nics: Sequence[VifNic], tx: Transaction, seconds: float) -> None:
    """See that each is connected. Where one is not, nothing more can be done now: the operation stays open, and `VifNotConnected` is raised."""
    deadline, faults = host.clock.monotonic() + seconds, []
    for nic in nics:
        try:
            tx.note("verify", nic.label, partial(vif_rework.check, host, nic, deadline))
        except VifNotConnected as error:
            faults.append(error.message)
    if faults:
        message = (
            f"{'; '.join(faults)}. The journal keeps it: `recover(wait=60)` restores what is missing, and looks again."
        )
        tx.finish(OperationState.INCOMPLETE, Result.INCOMPLETE, reason=VifNotConnected.reason, error=message)
        raise VifNotConnected(message)


def end(
    host: Host, nics: Sequence[VifNic], tx: Transaction, moved: frozenset[str] = frozenset(), *, said: str = ""
) -> Outcome:
    """End the operation: all vifs are bound and connected. The message says of each whether its ring was taken as it was found; `said` is the
    recovery's word.

    A vif whose guest has ended, or that was detached, was not bound anew. If it was the only vif, that is no success; else the other vifs count.
    """
    gone = {nic.label: _why_gone(host, nic) for nic in nics if vif_rework.is_gone(host, nic)}
    if gone and len(gone) == len(nics):
        message = "; ".join(gone.values())
        is_replaced = any(vif_rework.is_replaced(host, nic) for nic in nics)
        reason = NicChanged.reason if is_replaced else "guest-ended"
        tx.finish(OperationState.UNDONE, Result.UNDONE, reason=reason, error=message)
        return tx.outcome(Result.UNDONE, reason=reason, message=message)
    for text in gone.values():
        tx.warn(text)
    warn_of_moved(host, nics, tx)
    renewed = vif_rework.renewed(host, nics, moved)
    for text in renewed:
        tx.warn(text)
    reason = "ring-renewed" if renewed else "recovered" if said else ""
    tx.finish(OperationState.DONE, Result.DONE, reason=reason)
    return tx.outcome(Result.DONE, reason=reason, message=said, nics=nics_now(host, nics))


def _why_gone(host: Host, nic: VifNic) -> str:
    if vif_rework.is_replaced(host, nic):
        return f"{nic.label} was not bound anew: {nic.vif.name} is another NIC by now, or the same one connected to something else. It is left as it is"
    return f"{nic.label} was not bound anew: the guest has ended, or has the NIC no more"


def nics_now(host: Host, nics: Sequence[VifNic]) -> list[Nic]:
    """What became of them; what was done stands if one cannot be seen."""
    return nics_named(host, ((nic.domain_uuid, nic.alias) for nic in nics if nic.domain_uuid))


def _moved(tx: Transaction, guests: FrontendWatch) -> frozenset[str]:
    try:
        return guests.moved()
    except XenStoreFailed as error:
        tx.warn(f"whether guests connected anew was not seen all along: {error.message}")
        return frozenset()
