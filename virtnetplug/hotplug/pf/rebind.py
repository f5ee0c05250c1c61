"""Rebind of a PF: its driver bound anew, its firmware changed, or another number of VFs, under guests that run on.

Every guest releases its VF, while a teaming partner carries the traffic. The PF is taken apart and made again. Then every guest gets a VF with the
identity of its NIC. A failure undoes everything until the PF is made again; from then on the operation only goes forward.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import ClassVar

from virtnetplug import xml
from virtnetplug.errors import Failed, HostDeviceUnfit, Refused, RemovalFailed, VirtnetplugError, incomplete_from
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.call.lock import DomainLocks, Lock, least_of
from virtnetplug.hotplug.call.waiting import Wait, Work
from virtnetplug.hotplug.check.reserved import freed
from virtnetplug.hotplug.engine.operation import (
    FLAG,
    LIST,
    TEXT,
    Direction,
    Operation,
    Shape,
    Site,
    first_of,
    left_open,
)
from virtnetplug.hotplug.engine.ownership import taken_over
from virtnetplug.hotplug.engine.prepared import Prepared
from virtnetplug.hotplug.engine.transaction import Transaction, Undos, resumed, transaction
from virtnetplug.hotplug.guest import asking, guest, travel
from virtnetplug.hotplug.guest.asking import StillHeld
from virtnetplug.hotplug.guest.assigned import lost_by_hand
from virtnetplug.hotplug.guest.guest import Answer
from virtnetplug.hotplug.guest.nic_rows import keep_or_drop_all
from virtnetplug.hotplug.pf import rework
from virtnetplug.hotplug.pf.guests import keep, let_go, nic_from, pf_lock, put_in, remember, take_back, untaken
from virtnetplug.hotplug.pf.plan import NAME, Wish, is_so, record_of, refusals, steps, still_named, told
from virtnetplug.hotplug.pf.users import PfNic, PfView, look_at, pf_called
from virtnetplug.hotplug.plug.announcement import make_way
from virtnetplug.hotplug.plug.release import guest_release, pending_if_busy
from virtnetplug.hotplug.plug.undoing import keeps
from virtnetplug.hotplug.recover.several import settled_and_locked
from virtnetplug.hotplug.report.inventory import nics_named
from virtnetplug.model.host_device import PciDevice
from virtnetplug.model.operation import (
    Half,
    Nic,
    OperationRecord,
    OperationState,
    Outcome,
    Plan,
    Result,
    Scope,
    StepState,
)
from virtnetplug.model.pci import PciAddress
from virtnetplug.ports.domain import Domain, GuestEvent, Watch


def rebind_pf(host: Host, pf: PciAddress | str, wish: Wish, *, seconds: float = 30.0) -> Outcome:
    """Rebind the PF, or raise the refusals. Guests are waited for until `seconds` have passed."""
    address = pf_called(host, pf)
    look = partial(look_at, host, address)
    with (
        pf_lock(host, address, seconds),
        settled_and_locked(host, lambda: _guests(look().nics), look, lambda view: _guests(view.nics), seconds) as seen,
    ):
        view, locks = seen
        return _prepared(host, view, wish).run(host, locks, seconds)


def _guests(nics: Sequence[PfNic]) -> list[Domain]:
    return [nic.domain for nic in nics]


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


class _Running:
    """A rebind that is under way."""

    def __init__(self, host: Host, view: PfView, said: Sequence[str], seconds: float) -> None:
        self.host, self.view, self.said = host, view, said
        self.pf, self.nics = view.pf.address, view.nics
        self.deadline = host.clock.monotonic() + seconds
        self.answers: dict[str, Answer | RemovalFailed] = {}

    def run(self, record: OperationRecord) -> Work:
        """Guests out, the PF, guests in."""
        with ExitStack() as watches, transaction(self.host, record, partial(_undos, self.host, self.nics)) as tx:
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
            tx.note("snapshot", pf, lambda: tx.amend(**rework.snapshot(self.host, self.view.pf)))
            rework.check_free(self.host, self.pf)
            rework.rework(self.host, self.pf, tx)
            return _go_forward(self.host, tx, list(self.nics))

    def _ask(self, tx: Transaction, nic: PfNic, watch: Watch) -> None:
        tx.effect(
            "ask",
            nic.label,
            lambda: asking.ask(self.host, nic.domain, nic.net, watch, self.deadline, run=nic.run, seen=[nic.net]),
            half=Half.LIVE,
        )

    def _wait(self, tx: Transaction, eyes: dict[str, Watch]) -> Generator[Wait, GuestEvent | None, None]:
        """Wait until every guest has answered, or the time is over. Raises `LeftPending` if the locks cannot be taken again."""
        then = "`recover(wait=60)` gives every guest its VF again"
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
        """Undo the rebind, as some guests did not release their VFs: the other guests get theirs again at once.

        Raises `RollbackIncomplete` if one of the others could not get its VF; the journal keeps that.
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
        return _pending(self.host, tx, self.nics, names)


def _undos(host: Host, nics: Sequence[PfNic], tx: Transaction, seconds: float = 0.0) -> Undos:
    """The undos until the PF is made again: first the PF, then the VF of every guest, then the fence."""
    pf = PciAddress.parse(tx.record.request["pf"])
    found: dict[tuple[str, str], Callable[[], object]] = {("fence", str(pf)): partial(_unfence, host, tx, pf)}
    for nic in nics:
        found["ask", nic.label] = partial(_back, host, tx, pf, nic, seconds)
    planned = {step.name for step in tx.steps}
    first = next(name for name in rework.STEPS if name in planned)  # it undoes all of them
    found[first, str(pf)] = lambda: rework.make_as_before(host, pf, tx)
    return found


def _unfence(host: Host, tx: Transaction, pf: PciAddress) -> None:
    if not rework.is_in_shape(host, pf, tx.record):
        raise Failed(f"the VFs of {pf} are kept from everybody until it is as it was")
    let_go(host, tx.record.id)


def _back(host: Host, tx: Transaction, pf: PciAddress, nic: PfNic, seconds: float) -> None:
    """Attach the guest's VF again. If the host was started anew, the guest has ended, and its next run is left alone."""
    if not rework.is_of_this_boot(host, tx.record):
        return
    if keeps(Site(host=host, domain=nic.domain, run=nic.run, seconds=seconds), tx, nic.label, nic.net):
        return
    if not rework.is_in_shape(host, pf, tx.record):
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
            f"{why}: {error.message} Make {pf} have more than {nic.index} VFs, then run `recover()`.",
            reason=error.reason,
        ) from error


def _is_out(nic: PfNic) -> bool:
    """Whether the guest has released the NIC, and runs on."""
    return guest.look_for(nic.domain, dataclasses.replace(nic.net, alias=nic.alias), run=nic.run) is Answer.GONE


def _again(host: Host, tx: Transaction, nic: PfNic, vfs: Sequence[PciDevice]) -> PciAddress:
    """The VF that the NIC had, or another VF if somebody has that one by now."""
    index = next(index for index, vf in enumerate(vfs) if vf.address == nic.address)
    if _is_out(nic):
        index = untaken(host, nic, vfs, index, tx)
    return vfs[index].address


def _go_forward(host: Host, tx: Transaction, nics: Sequence[PfNic]) -> Outcome:
    """Attach a VF to every guest, as the PF is made again. What fails is left to `recover`, and keeps no other guest from its VF."""
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
    return tx.outcome(Result.DONE, nics=_nics_now(host, nics))


def _give(host: Host, tx: Transaction, nic: PfNic, target: int) -> None:
    """Attach the VF of that number if its settings are as they were made, or another VF if somebody has that one by now."""
    if not rework.is_of_this_boot(host, tx.record):
        return  # its guest has ended, and the VFs are other ones
    request = tx.record.request
    vfs = host.host_devices.vfs(PciAddress.parse(request["pf"]))
    if target >= len(vfs):
        raise HostDeviceUnfit(f"{request['pf']} has {len(vfs)} VFs now, and {nic.label} is to have VF {target}")
    is_free = _is_out(nic)
    if is_free:
        target = untaken(host, nic, vfs, target, tx)
    entry = dict(enumerate(request["vfs"])).get(target)
    if is_free:
        rework.check_unchanged(host, vfs[target].address, entry)
    put_in(host, nic, tx.record, vfs[target].address, entry["settings"] if entry is not None else None)


def _nics_now(host: Host, nics: Sequence[PfNic]) -> list[Nic]:
    """The NICs as they are now. A NIC that cannot be seen is left out."""
    return nics_named(
        host, ((nic.domain.uuid, name) for nic in nics for name in {nic.alias, nic.net.alias or nic.alias})
    )


class RebindPf(Operation):
    """A rebind of a PF is of no one domain: the PF's lock comes first, and then those of all its guests.

    A rebind that was cut off is finished if the PF had been made again. Otherwise the PF and its guests are restored.
    """

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
        is_made = any(step.name == rework.DONE and step.state is StepState.DONE for step in record.steps)
        return Direction.FORWARD if is_made else Direction.BACK

    @classmethod
    def of_one_domain(cls, record: OperationRecord) -> bool:
        """Never."""
        return False

    @classmethod
    def settle(cls, host: Host, record: OperationRecord, seconds: float, *, any_address: bool) -> Outcome | None:
        """See `Operation.settle`. `seconds` bounds the wait for each guest."""
        with _locked(host, record, seconds) as now:
            if now is None:
                return None
            if any_address:
                now = _anywhere(host, now)
            nics = _nics(host, now)
            for domain in {nic.domain.uuid: nic.domain for nic in nics}.values():
                domain.await_idle()
            with resumed(host, now, partial(_undos, host, nics, seconds=seconds)) as tx:
                return _go_forward(host, tx, nics) if cls.heading(now) is Direction.FORWARD else _undo(host, tx, nics)

    @classmethod
    def forget(cls, host: Host, record: OperationRecord, seconds: float) -> Outcome | None:
        """See `Operation.forget`."""
        nics = _nics(host, record)
        with _locked(host, record, seconds) as now:
            if now is None or cls.heading(now) is Direction.FORWARD:
                return None
            left = [step for step in now.steps if step.state is StepState.UNDO_FAILED]
            out = [nic for nic in nics if nic.label in {step.nic for step in left} and _is_out(nic)]
            if {step.name for step in left} != {"ask"} or len(out) != len(left):
                return None
            names, pf = ", ".join(nic.label for nic in out), now.request["pf"]
            message = f"forgotten: the rebind of {pf} {now.id} is closed. {names} stays out of the guest"
            for nic in nics:
                travel.forget_asked(nic.domain, now.id, [one.net for one in out if one.domain.uuid == nic.domain.uuid])

            def forget_nics() -> None:
                for nic in out:
                    keep_or_drop_all(host, nic.domain, [nic.net])

            with resumed(host, now) as tx:
                tx.finish(OperationState.LEFT, Result.LEFT, reason="forgotten", error=message, also=forget_nics)
                return tx.outcome(Result.LEFT, reason="forgotten", message=message, nics=_nics_now(host, nics))


@contextmanager
def _locked(host: Host, record: OperationRecord, seconds: float) -> Iterator[OperationRecord | None]:
    """Own the operation under the locks of the PF and of its guests; None if it has ended, or another call owns it."""
    least = least_of(seconds)
    with (
        pf_lock(host, PciAddress.parse(record.request["pf"]), seconds, least=least),
        DomainLocks(host, _guests(_nics(host, record)), seconds, least=least),
        taken_over(host, record.id) as now,
    ):
        yield now


def _nics(host: Host, record: OperationRecord) -> list[PfNic]:
    entries = [entry for entry in record.request["nics"] if "element" in entry]
    return [nic for entry in entries if (nic := nic_from(host, entry)) is not None]


def _anywhere(host: Host, record: OperationRecord) -> OperationRecord:
    """See `Operation.anywhere`; this does the same for every guest."""
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


def _undo(host: Host, tx: Transaction, nics: Sequence[PfNic]) -> Outcome:
    failures = [error for _, error in tx.undo.unwind()]
    if faults := [error for error in failures if not isinstance(error, StillHeld)]:
        return left_open(tx, first_of(faults))
    if failures:
        return _pending(
            host, tx, nics, [step.nic for step in tx.steps if step.name == "ask" and tx.was_begun("ask", step.nic)]
        )
    record, message = tx.record, f"the rebind of {tx.record.request['pf']} that was left open has been undone"
    reason, error = record.reason or "recovered", record.error or message
    tx.finish(OperationState.UNDONE, Result.UNDONE, reason=reason, error=error, also=lambda: remember(host, nics))
    return tx.outcome(Result.UNDONE, reason="recovered", message=message, nics=_nics_now(host, nics))


def _pending(host: Host, tx: Transaction, nics: Sequence[PfNic], held: Sequence[str]) -> Outcome:
    """Leave the operation pending, as guests hold on."""
    message = (
        f"pending: {', '.join(held)} was asked for and is still held by its guest, so the PF was left alone; all other guests have theirs again. "
        "The journal keeps it, for that guest may let go at any time: `recover(wait=60)` then gives it its VF again."
    )
    tx.finish(OperationState.PENDING, Result.PENDING, reason="guest-holds-device", error=message)
    return tx.outcome(Result.PENDING, reason="guest-holds-device", message=message, nics=_nics_now(host, nics))


OPERATION = RebindPf
