"""What is done to a PF and its guests, the refusals, and the steps."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from virtnetplug.errors import HostDeviceUnfit, NotSupported, Outage, PfInUse, PfPending, TooFewVfs, UsageError
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.check.reserved import SAME_MAC
from virtnetplug.hotplug.engine.transaction import plan_steps
from virtnetplug.hotplug.pf import rework
from virtnetplug.hotplug.pf.guests import entry_of, entry_of_free
from virtnetplug.hotplug.pf.users import PfView, defined_with
from virtnetplug.model.operation import Half, Phase, Refusal, Step

NAME = "rebind-pf"
"""The operation that is no one domain's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a caller asks for. `numvfs` None keeps the number of VFs; `hook` is a program with its arguments."""

    reload_driver: bool = False
    numvfs: int | None = None
    hook: tuple[str, ...] = ()
    allow_outage: bool = False

    def vfs_of(self, view: PfView) -> int:
        """The number of VFs that the PF gets."""
        return view.pf.num_vfs if self.numvfs is None else self.numvfs


def wish_of(
    *, reload_driver: bool, numvfs: int | None, firmware_hook: str | Sequence[str] | None, allow_outage: bool
) -> Wish:
    """The wish of a caller. A hook in one string is split as a shell splits it, but no shell runs. Raises `UsageError`."""
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


def refusals(host: Host, view: PfView, wish: Wish) -> tuple[Refusal, ...]:
    """Every refusal; none if the PF is as wished already."""
    if is_so(view, wish):
        return ()
    found = [*_unfit(host, view, wish), *view.refusals]
    alone = [nic.label for nic in view.nics if not nic.has_partner]
    if alone and not wish.allow_outage:
        message = (
            f"{', '.join(alone)} {'have' if len(alone) > 1 else 'has'} no teaming partner, and would be cut off until the PF is back. "
            "Use `allow_outage=True` if that is meant."
        )
        found.append(Refusal(reason=Outage.reason, nic=alone[0], message=message))
    return tuple(found)


def _unfit(host: Host, view: PfView, wish: Wish) -> Iterator[Refusal]:
    """The refusals that do not depend on who has the VFs."""
    pf, name = view.pf, str(view.pf.address)

    def refusal(reason: str, why: str) -> Refusal:
        return Refusal(reason=reason, nic=name, message=f"{name} {why}")

    if not pf.is_pf:
        yield refusal(HostDeviceUnfit.reason, "is no PF; `devices()` shows those of this host.")
        return
    if (why := host.host_devices.obstacle(pf.address)) is not None:
        yield refusal(NotSupported.reason, f"cannot be changed: {why}.")
    if pf.driver is None:
        yield refusal(HostDeviceUnfit.reason, "has no driver, so no driver could be restored. Bind one to it first.")
    for record in host.journal.open_operations(host.hypervisor.key, ""):
        if record.operation == NAME and record.domain_name == name:
            why = f"belongs to operation {record.id}, which is not settled; `recover(wait=60)` settles it first."
            yield refusal(PfPending.reason, why)
    if wish.hook and (fault := host.host_devices.hook_fault(wish.hook)) is not None:
        yield refusal(NotSupported.reason, f"has a firmware hook that cannot be run: {fault}.")
    if wish.reload_driver and (above := host.host_devices.links_above(pf.address)):
        why = f"carries {', '.join(above)}, which would be gone with its network interface. Remove what is on it first."
        yield refusal(PfInUse.reason, why)
    number = wish.vfs_of(view)
    if number > pf.total_vfs:
        yield refusal(HostDeviceUnfit.reason, f"can have {pf.total_vfs} VFs, not {number}.")
    if number < len(view.nics):
        names = ", ".join(nic.label for nic in view.nics)
        why = f"would have {number} VFs, and guests have {len(view.nics)} ({names}). Detach some, or ask for more."
        yield refusal(TooFewVfs.reason, why)


def is_so(view: PfView, wish: Wish) -> bool:
    """Whether the PF is as wished already."""
    return view.pf.is_pf and not wish.reload_driver and not wish.hook and wish.numvfs in (None, view.pf.num_vfs)


def _targets(view: PfView, wish: Wish) -> dict[str, int]:
    """The index of the VF that each NIC gets: its own if that will be there, else the lowest that is free."""
    number = wish.vfs_of(view)
    stay = {nic.label: nic.index for nic in view.nics if nic.index < number}
    spare = iter(index for index in range(number) if index not in stay.values())
    return {nic.label: stay[nic.label] if nic.label in stay else next(spare) for nic in view.nics}


def told(view: PfView, wish: Wish) -> Iterator[str]:
    """For each guest a sentence that says what happens to it."""
    targets = _targets(view, wish) if len(view.nics) <= wish.vfs_of(view) else {}
    for nic in view.nics:
        how = "its teaming partner carries its traffic meanwhile" if nic.has_partner else "it is cut off meanwhile"
        where = targets.get(nic.label, nic.index)
        becomes = "" if where == nic.index else f", and VF {where} in the end"
        yield f"{nic.label} has VF {nic.index} ({nic.address}){becomes}: {how}"


def still_named(host: Host, view: PfView, wish: Wish) -> Iterator[str]:
    """For each definition that names a VF which will be gone, a sentence."""
    number = wish.vfs_of(view)
    for domain, vf in defined_with(host, [each.address for each in view.vfs[number:]]):
        yield (
            f"the definition of the next boot of {domain} still names {vf}, which {view.pf.address} has no more with {number} VFs: {domain} does not "
            "start with it. `update(scope=Scope.CONFIG)` changes that"
        )


def steps(view: PfView, wish: Wish) -> tuple[Step, ...]:
    """The steps in their order."""
    pf = str(view.pf.address)
    parts: list[tuple[str, str, Phase, Half | None]] = [("fence", pf, Phase.ALLOCATE, None)]
    for name, phase in (("ask", Phase.UNPLUG), ("guest_release", Phase.GUEST), ("pci_reattach", Phase.RELEASE)):
        parts += [(name, nic.label, phase, Half.LIVE) for nic in view.nics]
    parts += [("snapshot", pf, Phase.PLUG, None)]
    parts += rework.steps(pf, has_hook=bool(wish.hook), reload_driver=wish.reload_driver)
    parts += [("attach_hostdev", nic.label, Phase.PLUG, Half.LIVE) for nic in view.nics]
    return plan_steps(*parts, ("unfence", pf, Phase.RELEASE, None))


def request_of(view: PfView, wish: Wish) -> dict[str, Any]:
    """The request for the journal: each NIC in it has its own domain."""
    targets = _targets(view, wish)
    entries = [entry_of(nic, targets[nic.label]) for nic in view.nics]
    return {
        "pf": str(view.pf.address),
        "reload_driver": wish.reload_driver,
        "numvfs": wish.numvfs,
        "hook": list(wish.hook),
        "nics": [*entries, *(entry_of_free(vf.address) for vf in view.free)],
        SAME_MAC: sorted({name for nic in view.nics for name in nic.same_mac}),
    }
