"""Rebind of a PF: its driver bound anew, its firmware changed, or another number of VFs, under guests that run on.

Every guest's VF is taken out (a teaming partner carries its traffic), the PF is taken apart and made again, and every guest gets a VF with
its identity. Until the PF is made again all of it is undone by whatever fails; from then on it only goes forward.
"""

from __future__ import annotations

import shlex
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from virtnetplug.errors import (
    DomainMissing,
    Failed,
    HostDeviceUnfit,
    NotSupported,
    Outage,
    PfInUse,
    PfPending,
    RemovalFailed,
    TooFewVfs,
    UsageError,
    VirtnetplugError,
)
from virtnetplug.hotplug import guest, pf_rework
from virtnetplug.hotplug.compensation import StillHeld
from virtnetplug.hotplug.guest import Answer
from virtnetplug.hotplug.host import Host
from virtnetplug.hotplug.inventory import nics_of
from virtnetplug.hotplug.lock import DomainLock
from virtnetplug.hotplug.pf_guests import (
    PfLocks,
    entry_of,
    entry_of_free,
    keep,
    let_go,
    pf_lock,
    put_in,
    remember,
    take_back,
)
from virtnetplug.hotplug.pf_users import PfNic, PfView, look_at, pf_called
from virtnetplug.hotplug.recover import settle_crashed
from virtnetplug.hotplug.request import refuse
from virtnetplug.hotplug.transaction import Transaction, plan_steps, transaction
from virtnetplug.hotplug.view import BOTH, look
from virtnetplug.model.operation import (
    Half,
    Nic,
    OperationRecord,
    OperationState,
    Outcome,
    Phase,
    Plan,
    Refusal,
    Result,
    Scope,
    Step,
)
from virtnetplug.model.pci import PciAddress
from virtnetplug.ports.domain import Watch

OPERATION = "rebind-pf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be done to a PF; `numvfs` None is as many as it has, `hook` is a program with its arguments."""

    reload_driver: bool = False
    numvfs: int | None = None
    hook: tuple[str, ...] = ()
    allow_outage: bool = False


def wish_of(
    *, reload_driver: bool, numvfs: int | None, firmware_hook: str | Sequence[str] | None, allow_outage: bool
) -> Wish:
    """As a caller says it; a hook in one string is split as a shell would, and no shell ever sees it. Raises `UsageError`."""
    try:
        words = shlex.split(firmware_hook) if isinstance(firmware_hook, str) else list(firmware_hook or ())
    except ValueError as error:
        raise UsageError(f"the firmware hook is no command: {error}") from None
    if firmware_hook is not None and not words:
        raise UsageError("the firmware hook names no program")
    if numvfs is not None and numvfs < 0:
        raise UsageError(f"a PF has 0 or more VFs, not {numvfs}")
    if not reload_driver and numvfs is None and not words:
        raise UsageError("say what to do to the PF: reload its driver, another number of VFs, or a firmware hook")
    return Wish(reload_driver=reload_driver, numvfs=numvfs, hook=tuple(words), allow_outage=allow_outage)


def rebind_pf(host: Host, pf: PciAddress | str, wish: Wish, *, seconds: float = 30.0) -> Outcome:
    """Do it, or raise why not; every guest is waited for until `seconds` have passed."""
    address = pf_called(host, pf)
    with pf_lock(host, address), ExitStack() as stack:
        view, locks = _locked(host, address, stack)
        refuse(refusals(host, view, wish))
        if _is_so(view, wish):
            return Outcome(operation=OPERATION, domain=str(address), result=Result.ALREADY, reason="already")
        return _Running(host, view, wish, locks, seconds).run()


def plan_rebind_pf(host: Host, pf: PciAddress | str, wish: Wish) -> Plan:
    """What `rebind_pf` would do to which guests; nothing is touched."""
    view = look_at(host, pf_called(host, pf))
    against, is_so = refusals(host, view, wish), _is_so(view, wish)
    return Plan(
        operation=OPERATION,
        domain=str(view.pf.address),
        scope=Scope.LIVE,
        fits=not against,
        refusals=against,
        steps=() if against or is_so else _steps(view, wish),
        warnings=("it is so already",) if is_so and not against else tuple(_told(view, wish)),
    )


def refusals(host: Host, view: PfView, wish: Wish) -> tuple[Refusal, ...]:
    """All that speaks against it."""
    return (*_unfit(host, view, wish), *view.refusals, *(() if wish.allow_outage else _cut_off(view)))


def _locked(host: Host, pf: PciAddress, stack: ExitStack) -> tuple[PfView, PfLocks]:
    """The PF as it is under the locks of all guests that have a VF of it, with what crashes left of them settled."""
    while True:
        domains = [nic.domain for nic in look_at(host, pf).nics]
        locks = PfLocks(host, domains)
        for domain in locks.domains:  # each by itself: to settle may take letting its lock go
            with DomainLock(host, domain) as lock:
                settle_crashed(host, domain, lock)
        with ExitStack() as attempt:
            attempt.enter_context(locks.held())
            view = look_at(host, pf)
            if {nic.domain.uuid for nic in view.nics} <= {domain.uuid for domain in domains}:
                stack.push(attempt.pop_all())
                return view, locks


def _unfit(host: Host, view: PfView, wish: Wish) -> Iterator[Refusal]:
    """What speaks against doing this to the PF, whoever has its VFs."""
    pf, name = view.pf, str(view.pf.address)

    def refusal(reason: str, why: str) -> Refusal:
        return Refusal(reason=reason, nic=name, message=f"{name} {why}")

    if not host.hypervisor.is_local:
        yield refusal(
            "not-local", "would be taken apart here, and its guests run on another host. Run virtnetplug there."
        )
        return
    if not pf.is_pf:
        yield refusal(HostDeviceUnfit.reason, "is no PF; 'virtnetplug devices' shows those of this host.")
        return
    if (why := host.host_devices.obstacle(pf.address)) is not None:
        yield refusal(NotSupported.reason, f"cannot be changed: {why}.")
    if pf.driver is None:
        yield refusal(
            HostDeviceUnfit.reason, "has no driver, so there is nothing to be put back. Bind one to it first."
        )
    for record in host.journal.open_operations(host.hypervisor.uri, ""):
        if record.operation == OPERATION and record.domain_name == name:
            yield refusal(
                PfPending.reason,
                f"belongs to operation {record.id}, which is not settled; 'virtnetplug recover --wait 60' settles it first.",
            )
    if wish.hook and (fault := host.host_devices.hook_fault(wish.hook)) is not None:
        yield refusal(NotSupported.reason, f"has a firmware hook that cannot be run: {fault}.")
    if wish.reload_driver and (above := host.host_devices.links_above(pf.address)):
        yield refusal(
            PfInUse.reason,
            f"carries {', '.join(above)}, which would be gone with its network interface. Remove what is on it first.",
        )
    number = pf.num_vfs if wish.numvfs is None else wish.numvfs
    if number > pf.total_vfs:
        yield refusal(HostDeviceUnfit.reason, f"can have {pf.total_vfs} VFs, not {number}.")
    if number < len(view.nics):
        names = ", ".join(nic.label for nic in view.nics)
        yield refusal(
            TooFewVfs.reason,
            f"would have {number} VFs, and guests have {len(view.nics)} ({names}). Detach some, or ask for more.",
        )


def _cut_off(view: PfView) -> Iterator[Refusal]:
    alone = [nic.label for nic in view.nics if not nic.has_partner]
    if alone:
        yield Refusal(
            reason=Outage.reason,
            nic=alone[0],
            message=f"{', '.join(alone)} {'have' if len(alone) > 1 else 'has'} no teaming partner, and would be cut off until the PF is back. "
            "Say --allow-outage if that is meant.",
        )


def _is_so(view: PfView, wish: Wish) -> bool:
    return not wish.reload_driver and not wish.hook and wish.numvfs in (None, view.pf.num_vfs)


def _targets(view: PfView, wish: Wish) -> dict[str, int]:
    """The index of the VF that each NIC is to have: its own if that will be there, else the lowest that is free."""
    number = view.pf.num_vfs if wish.numvfs is None else wish.numvfs
    stay = {nic.label: nic.index for nic in view.nics if nic.index < number}
    spare = iter(index for index in range(number) if index not in stay.values())
    return {nic.label: stay[nic.label] if nic.label in stay else next(spare) for nic in view.nics}


def _told(view: PfView, wish: Wish) -> Iterator[str]:
    """What becomes of each guest, a sentence each."""
    targets = (
        _targets(view, wish) if len(view.nics) <= (view.pf.num_vfs if wish.numvfs is None else wish.numvfs) else {}
    )
    for nic in view.nics:
        how = "its teaming partner carries its traffic meanwhile" if nic.has_partner else "it is cut off meanwhile"
        where = targets.get(nic.label, nic.index)
        becomes = "" if where == nic.index else f", and VF {where} in the end"
        yield f"{nic.label} has VF {nic.index} ({nic.address}){becomes}: {how}"


def _steps(view: PfView, wish: Wish) -> tuple[Step, ...]:
    pf = str(view.pf.address)
    parts: list[tuple[str, str, Phase, Half | None]] = [("fence", pf, Phase.ALLOCATE, None)]
    for name, phase in (("ask", Phase.UNPLUG), ("guest_release", Phase.GUEST), ("pci_reattach", Phase.RELEASE)):
        parts += [(name, nic.label, phase, Half.LIVE) for nic in view.nics]
    parts += [("snapshot", pf, Phase.PLUG, None)]
    parts += pf_rework.steps(pf, has_hook=bool(wish.hook), reload_driver=wish.reload_driver)
    parts += [("attach_hostdev", nic.label, Phase.PLUG, Half.LIVE) for nic in view.nics]
    return plan_steps(*parts, ("unfence", pf, Phase.RELEASE, None))


def _record(host: Host, view: PfView, wish: Wish) -> OperationRecord:
    """No domain's operation: each NIC in it says whose it is."""
    targets = _targets(view, wish)
    return OperationRecord(
        id=uuid.uuid4().hex[:12],
        operation=OPERATION,
        uri=host.hypervisor.uri,
        domain_uuid="",
        domain_name=str(view.pf.address),
        device_type="hostdev",
        request={
            "pf": str(view.pf.address),
            "reload_driver": wish.reload_driver,
            "numvfs": wish.numvfs,
            "hook": list(wish.hook),
            "nics": [
                *(entry_of(nic, targets[nic.label]) for nic in view.nics),
                *(entry_of_free(vf.address) for vf in view.free),
            ],
        },
        steps=_steps(view, wish),
        started=host.clock.now(),
    )


class _Running:
    """One on its way."""

    def __init__(self, host: Host, view: PfView, wish: Wish, locks: PfLocks, seconds: float) -> None:
        self.host, self.view, self.wish, self.locks = host, view, wish, locks
        self.pf, self.nics = view.pf.address, view.nics
        self.deadline = host.clock.monotonic() + seconds
        self.answers: dict[str, Answer | RemovalFailed] = {}

    def run(self) -> Outcome:
        """Guests out, the PF, guests in."""
        record = _record(self.host, self.view, self.wish)
        with ExitStack() as watches, transaction(self.host, record) as tx:
            for nic in self.nics:
                if not nic.has_partner:
                    tx.warn(f"{nic.label} has no teaming partner: its traffic stops until it has a VF again")
            free, pf = [vf.address for vf in self.view.free], str(self.pf)
            tx.effect(
                "fence", pf, lambda: keep(self.host, self.pf, free, record.id), lambda: let_go(self.host, record.id)
            )
            eyes = {nic.label: watches.enter_context(nic.domain.watch()) for nic in self.nics}
            for nic in self.nics:
                self._ask(tx, nic, eyes[nic.label])
            self._wait(tx, eyes)
            if held := [nic for nic in self.nics if self.answers[nic.label] is Answer.HELD]:
                return self._abort(tx, held)
            for answer in self.answers.values():
                if isinstance(answer, RemovalFailed):
                    raise answer
            for nic in self.nics:
                tx.note("pci_reattach", nic.label, lambda nic=nic: take_back(self.host, nic, record.id))  # type: ignore[misc]
            tx.note("snapshot", pf, lambda: tx.amend(**pf_rework.snapshot(self.host, self.pf)))
            pf_rework.check_free(self.host, self.pf)
            pf_rework.rework(self.host, self.pf, tx, tx.record.request)
            return go_forward(self.host, tx, list(self.nics))

    def _ask(self, tx: Transaction, nic: PfNic, watch: Watch) -> None:
        tx.effect(
            "ask",
            nic.label,
            lambda: guest.ask(self.host, nic.domain, nic.alias, watch, self.deadline),
            lambda: self._back(tx, nic),
            half=Half.LIVE,
        )

    def _wait(self, tx: Transaction, eyes: dict[str, Watch]) -> None:
        """For all of them, holding nobody up; what the guests do is known then, or the time is over."""
        tx.flush()
        self.locks.release()
        try:
            for nic in self.nics:
                self.answers[nic.label] = self._wait_for(tx, nic, eyes[nic.label])
        finally:
            self.locks.take()

    def _wait_for(self, tx: Transaction, nic: PfNic, watch: Watch) -> Answer | RemovalFailed:
        tx.begin("guest_release", nic.label)
        tx.tell("waiting", f"waiting for {nic.domain.name} to let go of {nic.alias}", nic.label)
        try:
            answer = guest.wait(self.host, nic.domain, nic.alias, watch, self.deadline, domain_id=nic.domain_id)
        except RemovalFailed as error:
            tx.fail("guest_release", nic.label, error)
            return error
        if answer is not Answer.HELD:
            tx.end("guest_release", nic.label)
        return answer

    def _back(self, tx: Transaction, nic: PfNic) -> None:
        """A NIC that has gone comes back; one that still may go cannot be called back."""
        if guest.look_for(nic.domain, nic.alias, domain_id=nic.domain_id) is not Answer.HELD:
            if not pf_rework.is_in_shape(self.host, self.pf, tx.record.request):
                raise Failed(f"{nic.label} gets its VF again once {self.pf} is as it was")
            put_in(self.host, nic, tx.record.id)
        elif not isinstance(self.answers.get(nic.label), RemovalFailed):
            raise StillHeld(f"{nic.domain.name} was asked to let go of {nic.alias} and still may")

    def _abort(self, tx: Transaction, held: Sequence[PfNic]) -> Outcome:
        """Some guest holds on: the others have theirs again at once, and it is still to get its own back, should it let go."""
        faults = [error for _, error in tx.undo.unwind() if not isinstance(error, StillHeld)]
        if faults:
            raise faults[0]
        message = pending_message([nic.label for nic in held])
        tx.finish(OperationState.PENDING, Result.PENDING, reason="guest-holds-device", error=message)
        return tx.outcome(
            Result.PENDING, reason="guest-holds-device", message=message, nics=nics_now(self.host, self.nics)
        )


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
        raise faults[0]
    tx.note("unfence", tx.record.request["pf"], lambda: let_go(host, tx.record.id))
    tx.finish(OperationState.DONE, Result.DONE, also=lambda: remember(host, nics))
    return tx.outcome(Result.DONE, nics=nics_now(host, nics))


def _give(host: Host, tx: Transaction, nic: PfNic, target: int) -> None:
    """The VF of that number, if it is as it was made."""
    request = tx.record.request
    vfs = host.host_devices.vfs(PciAddress.parse(request["pf"]))
    if target >= len(vfs):
        raise HostDeviceUnfit(f"{request['pf']} has {len(vfs)} VFs now, and {nic.label} is to have VF {target}")
    entry = dict(enumerate(request["vfs"])).get(target)
    if guest.look_for(nic.domain, nic.alias, domain_id=nic.domain_id) is Answer.GONE:
        pf_rework.check_unchanged(host, vfs[target].address, entry)
    put_in(host, nic, tx.record.id, vfs[target].address, entry["settings"] if entry is not None else None)


def nics_now(host: Host, nics: Sequence[PfNic]) -> list[Nic]:
    """What became of them; what was done stands if one cannot be seen."""
    found: list[Nic] = []
    for nic in nics:
        try:
            view = look(nic.domain, BOTH)
        except (DomainMissing, VirtnetplugError):
            continue
        found += nics_of(
            host, view, [pair for pair in view.pairs if any(net is not None and net.alias == nic.alias for net in pair)]
        )
    return found
