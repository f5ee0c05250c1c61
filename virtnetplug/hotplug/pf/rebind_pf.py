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
from virtnetplug.hotplug.call.lock import Lock, least_of
from virtnetplug.hotplug.call.methods import Asked
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
from virtnetplug.hotplug.engine.transaction import Transaction, Undos, record_of, resumed, transaction
from virtnetplug.hotplug.guest import asking, guest, travel
from virtnetplug.hotplug.guest.asking import StillHeld
from virtnetplug.hotplug.guest.assigned import lost_by_hand
from virtnetplug.hotplug.guest.guest import Answer
from virtnetplug.hotplug.guest.nic_rows import keep_or_drop
from virtnetplug.hotplug.guest.nic_status import nics_named
from virtnetplug.hotplug.pf import rework
from virtnetplug.hotplug.pf.guests import keep, key_of, let_go, nic_from, pf_lock, put_in, remember, take_back, untaken
from virtnetplug.hotplug.pf.plan import NAME, Wish, is_so, refusals, request_of, steps, still_named, told
from virtnetplug.hotplug.pf.users import PfNic, PfView, look_at, pf_called
from virtnetplug.hotplug.plug.announcement import make_way
from virtnetplug.hotplug.plug.release import guest_release, pending_if_busy
from virtnetplug.hotplug.plug.undoing import keeps
from virtnetplug.hotplug.recover.settling import settled_and_locked
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
from virtnetplug.ports.domain import GuestEvent, Watch


def rebind_pf(host: Host, pf: PciAddress | str, wish: Wish, *, seconds: float) -> Asked[Outcome, Plan]:
    """Rebind the PF, or raise the refusals. Guests are waited for until `seconds` have passed."""
    address = pf_called(host, pf)
    look = partial(look_at, host, address)

    def run() -> Outcome:
        locked = settled_and_locked(host, lambda: look().guests, look, lambda view: view.guests, seconds)
        with pf_lock(host, address, seconds), locked as (view, locks):
            return _prepared(host, view, wish).run(host, locks, seconds)

    return Asked(run=run, plan=lambda: _prepared(host, look(), wish).plan())


def _prepared(host: Host, view: PfView, wish: Wish) -> Prepared:
    against, has_been = refusals(host, view, wish), is_so(view, wish)
    planned = () if against or has_been else steps(view, wish)
    named = tuple(still_named(host, view, wish))
    for nic in view.nics if planned else ():
        named += lost_by_hand(host, nic.domain, nic.net, name=nic.label)

    def start(lock: Lock, seconds: float) -> Work:
        request, kinds = request_of(view, wish), ["hostdev"]
        record = record_of(host, NAME, str(view.pf.address), device_types=kinds, request=request, steps=planned)
        return _run(host, view, named, seconds, record)

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


def _run(host: Host, view: PfView, said: Sequence[str], seconds: float, record: OperationRecord) -> Work:
    nics, pf, deadline = view.nics, view.pf.address, host.clock.monotonic() + seconds
    with ExitStack() as watches, transaction(host, record, partial(_undos, host, nics)) as tx:
        alone = [nic.label for nic in nics if not nic.has_partner]
        tx.warn(
            *(f"{label} has no teaming partner: its traffic stops until it has a VF again" for label in alone), *said
        )
        free = [vf.address for vf in view.free]
        tx.effect("fence", str(pf), lambda: keep(host, pf, free, record.id))
        eyes = [(nic, watches.enter_context(nic.domain.watch())) for nic in nics]
        for nic, watch in eyes:
            ask = partial(asking.ask, host, nic.domain, nic.net, watch, deadline, run=nic.run, seen=[nic.net])
            tx.effect("ask", nic.label, ask, half=Half.LIVE)
        answers = yield from _answers(tx, eyes, deadline)
        if held := [label for label, answer in answers.items() if answer is Answer.HELD]:
            return _abort(host, tx, nics, held)
        for answer in answers.values():
            if isinstance(answer, RemovalFailed):
                raise answer
        for nic in nics:
            tx.note("pci_reattach", nic.label, partial(take_back, host, nic, record.id))
        tx.note("snapshot", str(pf), lambda: tx.amend(**rework.snapshot(host, view.pf)))
        rework.check_free(host, pf)
        rework.rework(host, pf, tx)
        return _go_forward(host, tx, nics)


def _answers(
    tx: Transaction, eyes: Sequence[tuple[PfNic, Watch]], deadline: float
) -> Generator[Wait, GuestEvent | None, dict[str, Answer | RemovalFailed]]:
    """Wait until every guest has answered, or the time is over. Raises `LeftPending` if the locks cannot be taken again."""
    answers: dict[str, Answer | RemovalFailed] = {}
    then = "`recover(wait=60)` gives every guest its VF again"
    with pending_if_busy(tx, "The guests were asked for their VFs", then):
        for nic, watch in eyes:
            try:
                answers[nic.label] = yield from guest_release(
                    tx, nic.domain, nic.net, watch, deadline, run=nic.run, name=nic.label
                )
            except RemovalFailed as error:
                answers[nic.label] = error
    return answers


def _abort(host: Host, tx: Transaction, nics: Sequence[PfNic], held: Sequence[str]) -> Outcome:
    """Undo the rebind, as some guests did not release their VFs: the other guests get theirs again at once.

    Raises `RollbackIncomplete` if one of the others could not get its VF; the journal keeps that.
    """
    faults = [f"{step}: {error.message}" for step, error in tx.undo.unwind() if not isinstance(error, StillHeld)]
    if faults:
        first = f"{', '.join(held)} was asked for and is still held by its guest, so the PF was left alone."
        left = incomplete_from(Failed(first), faults)
        tx.finish(OperationState.INCOMPLETE, Result.INCOMPLETE, reason=left.reason, error=left.message)
        raise left
    return _pending(host, tx, nics, held)


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
    index = next((index for index, vf in enumerate(vfs) if vf.address == nic.address), None)
    try:
        if index is not None and _is_out(nic):
            index = untaken(host, nic, vfs, index, tx)
        put_in(host, nic, tx.record, None if index is None else vfs[index].address)
    except (Failed, Refused) as error:
        if index is not None:
            raise
        why = f"{pf} does not have {nic.address} now, which {nic.label} had, and it got no other VF"
        raise Failed(
            f"{why}: {error.message} Make {pf} have more than {nic.index} VFs, then run `recover()`.",
            reason=error.reason,
        ) from error


def _is_out(nic: PfNic) -> bool:
    """Whether the guest has released the NIC, and runs on."""
    return guest.look_for(nic.domain, dataclasses.replace(nic.net, alias=nic.alias), run=nic.run) is Answer.GONE


def _go_forward(host: Host, tx: Transaction, nics: Sequence[PfNic]) -> Outcome:
    """Attach a VF to every guest, as the PF is made again. What fails is left to `recover`, and keeps no other guest from its VF."""
    tx.go_forward()
    faults: list[VirtnetplugError] = []
    targets = {key_of(entry): entry.get("target") for entry in tx.record.request["nics"]}
    for nic in nics:
        try:
            give = partial(_give, host, tx, nic, targets[nic.key])
            tx.effect("attach_hostdev", nic.label, give, half=Half.LIVE)
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
    return nics_named(host, ((nic.domain.uuid, name) for nic in nics for name in nic.names))


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
    def direction_by_steps(cls, record: OperationRecord) -> Direction:
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
                is_forward = cls.direction_by_steps(now) is Direction.FORWARD
                return _go_forward(host, tx, nics) if is_forward else _undo(host, tx, nics)

    @classmethod
    def forget(cls, host: Host, record: OperationRecord, seconds: float) -> Outcome | None:
        nics = _nics(host, record)
        with _locked(host, record, seconds) as now:
            if now is None or cls.direction_by_steps(now) is Direction.FORWARD:
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
                    keep_or_drop(host, nic.domain, [nic.net])

            with resumed(host, now) as tx:
                shown = partial(_nics_now, host, nics)
                return tx.close(OperationState.LEFT, "forgotten", message, shown, also=forget_nics)


@contextmanager
def _locked(host: Host, record: OperationRecord, seconds: float) -> Iterator[OperationRecord | None]:
    """Own the operation under the locks of the PF and of its guests; None if it has ended, or another call owns it."""
    least = least_of(seconds)
    with (
        pf_lock(host, PciAddress.parse(record.request["pf"]), seconds, least=least),
        Lock(host, [nic.domain for nic in _nics(host, record)], seconds, least=least),
        taken_over(host, record.id) as now,
    ):
        yield now


def _nics(host: Host, record: OperationRecord) -> list[PfNic]:
    entries = [entry for entry in record.request["nics"] if "element" in entry]
    return [nic for entry in entries if (nic := nic_from(host, entry)) is not None]


def _anywhere(host: Host, record: OperationRecord) -> OperationRecord:
    """See `Operation.anywhere`; this does the same for every guest."""
    freed_of = {nic.key: {"element": freed(nic.domain, nic.element, record.request)} for nic in _nics(host, record)}
    entries = [{**entry, **freed_of.get(key_of(entry), {})} for entry in record.request["nics"]]
    request = {**record.request, "nics": entries}
    host.journal.amend(record.id, request, owner=record.owner)
    return dataclasses.replace(record, request=request)


def _undo(host: Host, tx: Transaction, nics: Sequence[PfNic]) -> Outcome:
    failures = [error for _, error in tx.undo.unwind()]
    if faults := [error for error in failures if not isinstance(error, StillHeld)]:
        return left_open(tx, first_of(faults))
    if failures:
        held = [step.nic for step in tx.steps if step.name == "ask" and tx.was_begun("ask", step.nic)]
        return _pending(host, tx, nics, held)
    record, message = tx.record, f"the rebind of {tx.record.request['pf']} that was left open has been undone"
    reason, error = record.reason or "recovered", record.error or message
    tx.finish(OperationState.UNDONE, Result.UNDONE, reason=reason, error=error, also=lambda: remember(host, nics))
    return tx.outcome(Result.UNDONE, reason="recovered", message=message, nics=_nics_now(host, nics))


def _pending(host: Host, tx: Transaction, nics: Sequence[PfNic], held: Sequence[str]) -> Outcome:
    message = (
        f"pending: {', '.join(held)} was asked for and is still held by its guest, so the PF was left alone; all other guests have theirs again. "
        "The journal keeps it, for that guest may let go at any time: `recover(wait=60)` then gives it its VF again."
    )
    return tx.close(
        OperationState.PENDING, reason="guest-holds-device", message=message, nics=lambda: _nics_now(host, nics)
    )
