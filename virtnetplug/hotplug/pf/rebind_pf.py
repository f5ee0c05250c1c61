"""Rebind of a PF: its driver bound anew, its firmware changed, or another number of VFs, under guests that run on.

Every guest's VF is taken out (a teaming partner carries its traffic), the PF is taken apart and made again, and every guest gets a VF with
its identity. Until the PF is made again all of it is undone by whatever fails; from then on it only goes forward.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from functools import partial

from virtnetplug import xml
from virtnetplug.errors import Failed, HostDeviceUnfit, Refused, RemovalFailed, VirtnetplugError, incomplete_from
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.call.lock import DomainLock, Lock
from virtnetplug.hotplug.call.waiting import Wait, Work
from virtnetplug.hotplug.engine.operation import Site, first_of
from virtnetplug.hotplug.engine.prepared import Prepared
from virtnetplug.hotplug.engine.transaction import Transaction, Undos, transaction
from virtnetplug.hotplug.guest import guest
from virtnetplug.hotplug.guest.assigned import lost_by_hand
from virtnetplug.hotplug.guest.compensation import StillHeld
from virtnetplug.hotplug.guest.guest import Answer
from virtnetplug.hotplug.pf import pf_rework
from virtnetplug.hotplug.pf.pf_guests import PfLocks, keep, let_go, pf_lock, put_in, remember, take_back, untaken
from virtnetplug.hotplug.pf.pf_plan import NAME, Wish, is_so, record_of, refusals, steps, still_named, told
from virtnetplug.hotplug.pf.pf_users import PfNic, PfView, look_at, pf_called
from virtnetplug.hotplug.plug.announcement import make_way
from virtnetplug.hotplug.plug.release import guest_release, pending_if_busy
from virtnetplug.hotplug.plug.undoing import keeps
from virtnetplug.hotplug.recover.recover import settle_crashed
from virtnetplug.hotplug.report.inventory import nics_named
from virtnetplug.model.host_device import PciDevice
from virtnetplug.model.operation import Half, Nic, OperationRecord, OperationState, Outcome, Plan, Result, Scope
from virtnetplug.model.pci import PciAddress
from virtnetplug.ports.domain import GuestEvent, Watch


def rebind_pf(host: Host, pf: PciAddress | str, wish: Wish, *, seconds: float = 30.0) -> Outcome:
    """Do it, or raise why not; every guest is waited for until `seconds` have passed."""
    address = pf_called(host, pf)
    with pf_lock(host, address, seconds), ExitStack() as stack:
        view, locks = _locked(host, address, stack, seconds)
        return _prepared(host, view, wish).run(host, locks, seconds)


def plan_rebind_pf(host: Host, pf: PciAddress | str, wish: Wish) -> Plan:
    """What `rebind_pf` would do to which guests; nothing is touched."""
    view = look_at(host, pf_called(host, pf))
    return _prepared(host, view, wish).plan()


def _prepared(host: Host, view: PfView, wish: Wish) -> Prepared:
    against, has_been = refusals(host, view, wish), is_so(view, wish)
    planned = () if against or has_been else steps(view, wish)
    named = tuple(still_named(host, view, wish))
    for nic in view.nics if planned else ():
        named += lost_by_hand(host, nic.domain, nic.net, name=nic.label)

    def start(lock: Lock, seconds: float) -> Work:
        return _Running(host, view, named, seconds).run(record_of(host, view, wish, planned))

    return Prepared(
        operation=NAME,
        domain=str(view.pf.address),
        scope=Scope.LIVE,
        start=start,
        refusals=against,
        already=() if has_been and not against else None,
        steps=planned,
        warnings=(*told(view, wish), *named),
    )


def _locked(host: Host, pf: PciAddress, stack: ExitStack, seconds: float) -> tuple[PfView, PfLocks]:
    """The PF as it is under the locks of all guests that have a VF of it, with what crashes left of them settled."""
    while True:
        domains = [nic.domain for nic in look_at(host, pf).nics]
        locks = PfLocks(host, domains, seconds)
        for domain in locks.domains:  # each by itself: to settle may take letting its lock go
            with DomainLock(host, domain, seconds) as lock:
                settle_crashed(host, domain, lock)
        with ExitStack() as attempt:
            attempt.enter_context(locks.held())
            view = look_at(host, pf)
            if {nic.domain.uuid for nic in view.nics} <= {domain.uuid for domain in domains}:
                stack.push(attempt.pop_all())
                return view, locks


class _Running:
    """One on its way."""

    def __init__(self, host: Host, view: PfView, said: Sequence[str], seconds: float) -> None:
        self.host, self.view, self.said = host, view, said
        self.pf, self.nics = view.pf.address, view.nics
        self.deadline = host.clock.monotonic() + seconds
        self.answers: dict[str, Answer | RemovalFailed] = {}

    def run(self, record: OperationRecord) -> Work:
        """Guests out, the PF, guests in."""
        with ExitStack() as watches, transaction(self.host, record, partial(undos, self.host, self.nics)) as tx:
            for nic in self.nics:
                if not nic.has_partner:
                    tx.warn(f"{nic.label} has no teaming partner: its traffic stops until it has a VF again")
            for text in self.said:
                tx.warn(text)
            free, pf = [vf.address for vf in self.view.free], str(self.pf)
            tx.effect("fence", pf, lambda: keep(self.host, self.pf, free, record.id))
            eyes = {nic.label: watches.enter_context(nic.domain.watch()) for nic in self.nics}
            for nic in self.nics:
                self._ask(tx, nic, eyes[nic.label])
            yield from self._wait(tx, eyes)
            if held := [nic for nic in self.nics if self.answers[nic.label] is Answer.HELD]:
                return self._abort(tx, held)
            for answer in self.answers.values():
                if isinstance(answer, RemovalFailed):
                    raise answer
            for nic in self.nics:
                tx.note("pci_reattach", nic.label, lambda nic=nic: take_back(self.host, nic, record.id))  # type: ignore[misc]
            tx.note("snapshot", pf, lambda: tx.amend(**pf_rework.snapshot(self.host, self.view.pf)))
            pf_rework.check_free(self.host, self.pf)
            pf_rework.rework(self.host, self.pf, tx)
            return go_forward(self.host, tx, list(self.nics))

    def _ask(self, tx: Transaction, nic: PfNic, watch: Watch) -> None:
        tx.effect(
            "ask",
            nic.label,
            lambda: guest.ask(self.host, nic.domain, nic.net, watch, self.deadline, run=nic.run, seen=[nic.net]),
            half=Half.LIVE,
        )

    def _wait(self, tx: Transaction, eyes: dict[str, Watch]) -> Generator[Wait, GuestEvent | None, None]:
        """For all of them; what the guests do is known then, or the time is over. Raises `LeftPending` where the locks are not to be had again."""
        then = "'virtnetplug recover --wait 60' gives every guest its VF again"
        with pending_if_busy(tx, "The guests were asked for their VFs", then):
            for nic in self.nics:
                watch = eyes[nic.label]
                try:
                    self.answers[nic.label] = yield from guest_release(
                        tx, nic.domain, nic.net, watch, self.deadline, run=nic.run, name=nic.label
                    )
                except RemovalFailed as error:
                    self.answers[nic.label] = error

    def _abort(self, tx: Transaction, held: Sequence[PfNic]) -> Outcome:
        """Some guest holds on: the others have theirs again at once, and it is still to get its own back, should it let go.

        Raises `RollbackIncomplete` where another could not get its own: that is in the journal then.
        """
        faults = [(step, error) for step, error in tx.undo.unwind() if not isinstance(error, StillHeld)]
        names = [nic.label for nic in held]
        if faults:
            first = Failed(
                f"{', '.join(names)} was asked for and is still held by its guest, so the PF was left alone."
            )
            left = incomplete_from(first, [f"{step}: {error.message}" for step, error in faults])
            tx.finish(OperationState.INCOMPLETE, Result.INCOMPLETE, reason=left.reason, error=left.message)
            raise left
        message = pending_message(names)
        tx.finish(OperationState.PENDING, Result.PENDING, reason="guest-holds-device", error=message)
        return tx.outcome(
            Result.PENDING, reason="guest-holds-device", message=message, nics=nics_now(self.host, self.nics)
        )


def undos(host: Host, nics: Sequence[PfNic], tx: Transaction, seconds: float = 0.0) -> Undos:
    """What takes the steps back, until the PF is made again: the PF as it was, then every guest's VF, then the fence."""
    pf = PciAddress.parse(tx.record.request["pf"])
    found: dict[tuple[str, str], Callable[[], object]] = {("fence", str(pf)): partial(_unfence, host, tx, pf)}
    for nic in nics:
        found["ask", nic.label] = partial(_back, host, tx, pf, nic, seconds)
    planned = {step.name for step in tx.steps}
    first = next(name for name in pf_rework.STEPS if name in planned)  # it takes all of them back
    found[first, str(pf)] = lambda: pf_rework.make_as_before(host, pf, tx)
    return found


def _unfence(host: Host, tx: Transaction, pf: PciAddress) -> None:
    if not pf_rework.is_in_shape(host, pf, tx.record):
        raise Failed(f"the VFs of {pf} are kept from everybody until it is as it was")
    let_go(host, tx.record.id)


def _back(host: Host, tx: Transaction, pf: PciAddress, nic: PfNic, seconds: float) -> None:
    """The guest has its VF again. One whose host was started anew has ended, and its next run is nobody's to change."""
    if not pf_rework.is_of_this_boot(host, tx.record):
        return
    if keeps(Site(host=host, domain=nic.domain, run=nic.run, seconds=seconds), tx, nic.label, nic.net):
        return
    if not pf_rework.is_in_shape(host, pf, tx.record):
        raise Failed(f"{nic.label} gets its VF again once {pf} is as it was")
    vfs = host.host_devices.vfs(pf)
    is_there = any(vf.address == nic.address for vf in vfs)
    try:
        put_in(host, nic, tx.record, _again(host, tx, nic, vfs) if is_there else None)
    except (Failed, Refused) as error:
        if is_there:
            raise
        why = f"{pf} does not have {nic.address} now, which {nic.label} had, and it got no other VF"
        raise Failed(
            f"{why}: {error.message} Make {pf} have more than {nic.index} VFs, then run 'virtnetplug recover'.",
            reason=error.reason,
        ) from error


def is_out(nic: PfNic) -> bool:
    """Whether its guest has let go of it, and runs on."""
    return guest.look_for(nic.domain, dataclasses.replace(nic.net, alias=nic.alias), run=nic.run) is Answer.GONE


def _again(host: Host, tx: Transaction, nic: PfNic, vfs: Sequence[PciDevice]) -> PciAddress:
    """The VF that the NIC had; another one if somebody has that by now."""
    index = next(index for index, vf in enumerate(vfs) if vf.address == nic.address)
    if is_out(nic):
        index = untaken(host, nic, vfs, index, tx)
    return vfs[index].address


def pending_message(names: Sequence[str]) -> str:
    """What is to be said where guests hold on."""
    return (
        f"pending: {', '.join(names)} was asked for and is still held by its guest, so the PF was left alone; all other guests have theirs again. "
        "The journal keeps it, for that guest may let go at any time: 'virtnetplug recover --wait 60' then gives it its VF again."
    )


def go_forward(host: Host, tx: Transaction, nics: Sequence[PfNic]) -> Outcome:
    """The PF is as it is to be: every guest gets its VF; what fails is tried by `recover`, and keeps no other from its own."""
    tx.go_forward()
    faults: list[VirtnetplugError] = []
    entries = {(entry["domain_uuid"], entry["alias"]): entry for entry in tx.record.request["nics"]}
    for nic in nics:
        target = entries[nic.domain.uuid, nic.alias]["target"]
        try:
            tx.effect("attach_hostdev", nic.label, partial(_give, host, tx, nic, target), half=Half.LIVE)
        except VirtnetplugError as error:
            faults.append(error)
    if faults:
        raise first_of(faults)
    tx.note("unfence", tx.record.request["pf"], lambda: let_go(host, tx.record.id))
    tx.finish(OperationState.DONE, Result.DONE, also=lambda: remember(host, nics))
    for nic in nics:
        make_way(host, nic.domain, [xml.interface(nic.element)], tx)
    return tx.outcome(Result.DONE, nics=nics_now(host, nics))


def _give(host: Host, tx: Transaction, nic: PfNic, target: int) -> None:
    """The VF of that number, if it is as it was made; another one if somebody has that by now."""
    if not pf_rework.is_of_this_boot(host, tx.record):
        return  # its guest has ended, and the VFs are other ones
    request = tx.record.request
    vfs = host.host_devices.vfs(PciAddress.parse(request["pf"]))
    if target >= len(vfs):
        raise HostDeviceUnfit(f"{request['pf']} has {len(vfs)} VFs now, and {nic.label} is to have VF {target}")
    is_free = is_out(nic)
    if is_free:
        target = untaken(host, nic, vfs, target, tx)
    entry = dict(enumerate(request["vfs"])).get(target)
    if is_free:
        pf_rework.check_unchanged(host, vfs[target].address, entry)
    put_in(host, nic, tx.record, vfs[target].address, entry["settings"] if entry is not None else None)


def nics_now(host: Host, nics: Sequence[PfNic]) -> list[Nic]:
    """What became of them; what was done stands if one cannot be seen."""
    return nics_named(
        host, ((nic.domain.uuid, name) for nic in nics for name in {nic.alias, nic.net.alias or nic.alias})
    )
