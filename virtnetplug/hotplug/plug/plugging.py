"""Attaching one NIC to a running guest: the backend's part, then the guest's part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from virtnetplug.backends import Backend, Order, backend_for, faults
from virtnetplug.errors import HostDeviceBusy, NotApplied
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.check.reserved import expect_free
from virtnetplug.hotplug.engine.transaction import Transaction
from virtnetplug.hotplug.guest import guest
from virtnetplug.hotplug.guest.ending import expect_run
from virtnetplug.model.holding import Setting
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Half, Phase

MOST_RACES = 8
"""How often a device may be lost to a domain started meanwhile before the operation gives up."""

Part = tuple[str, str, Phase, Half | None]


def steps_in(backend: Backend, alias: str, settings: Mapping[str, Setting], *, name: str = "") -> list[Part]:
    """The steps that attach a NIC with these settings (see `Order`) and look for it in the guest.

    `name` is what the last step calls the NIC, if that is not its alias.
    """
    own = [*backend.plug_steps, (backend.attach_step, Phase.PLUG)]
    own += [("change_device", Phase.PLUG)] if settings else []
    parts: list[Part] = [(step, alias, phase, Half.LIVE) for step, phase in own]
    return [*parts, ("confirm", name or alias, Phase.PLUG, Half.LIVE)]


def plug(host: Host, tx: Transaction, order: Order, *, has_waited: bool = False) -> Interface:
    """Run those steps but for the last; returns the net as it went to the guest.

    Where a guest was waited for (`has_waited`), somebody may have taken the NIC's place: that raises `LeftPending`, see `expect_free`.
    """
    backend, alias = backend_for(order.actual), order.net.alias or ""

    def attach(element: str) -> None:
        if has_waited or backend.plug_steps:  # which take their time
            expect_run(order.domain, order.run, tx.record, alias, "attached")
        order.domain.attach(element, Half.LIVE)

    def configure(plugged: Interface) -> Interface:
        if order.settings:
            tx.effect("change_device", alias, partial(backend.configure, host, order, plugged), half=Half.LIVE)
        return plugged

    for text in faults():
        tx.warn(text)
    if (there := _plugged_before(tx, backend, order)) is not None:
        return configure(there)
    if has_waited:
        expect_free(order.domain, order.net, tx.record)
    for is_last in (False,) * MOST_RACES + (True,):
        undone_to = len(tx.undo)
        plugged = backend.plug(host, order, tx)
        try:
            tx.effect(backend.attach_step, alias, partial(attach, plugged.element), half=Half.LIVE)
            break
        except HostDeviceBusy:
            # another domain got that device meanwhile: release the device, and the pool lends the next one
            if is_last or order.net.source_pci is not None or tx.undo.unwind(undone_to):
                raise
    return configure(plugged)


def expect_attached(nets: Sequence[Interface], alias: str) -> Interface:
    """The NIC of that alias among the nets of a guest; raises `NotApplied` if it is not there, whatever libvirt answered."""
    found = next((net for net in nets if net.alias == alias), None)
    if found is None:
        raise NotApplied(
            f"libvirt reported that {alias} was attached, but the guest's live definition does not have it"
        )
    return found


def _plugged_before(tx: Transaction, backend: Backend, order: Order) -> Interface | None:
    """The NIC as the guest has it, where this operation attached the NIC before it was cut off."""
    alias = order.net.alias or ""
    if not tx.was_begun(backend.attach_step, alias):
        return None
    there = guest.net_of(order.domain, alias)
    if there is None or there.mac != order.net.mac:
        return None
    tx.end(backend.attach_step, alias)
    return there
