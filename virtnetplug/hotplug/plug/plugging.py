"""Giving one NIC to a running guest: the backend's part, then the guest's, each with its undo."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from virtnetplug.backends import Backend, Order, faults
from virtnetplug.errors import HostDeviceBusy
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


def parts(backend: Backend, alias: str, settings: Mapping[str, Setting]) -> list[Part]:
    """The steps of `plug` for a NIC with these settings (see `Order`), for plans and the journal."""
    own = [*backend.plug_steps, (backend.attach_step, Phase.PLUG)]
    own += [("change_device", Phase.PLUG)] if settings else []
    return [(step, alias, phase, Half.LIVE) for step, phase in own]


def plug(host: Host, tx: Transaction, backend: Backend, order: Order, *, has_waited: bool = False) -> Interface:
    """Run those steps; the net as it went to the guest. Which of the two paths it takes, never both, is the backend's choice.

    Where a guest was waited for (`has_waited`), somebody may have taken the NIC's place: that raises `LeftPending`, see `expect_free`.
    """
    alias = order.net.alias or ""

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
            # somebody else's domain got that device meanwhile: give it up, and the pool lends the next one
            if is_last or order.net.source_pci is not None or tx.undo.unwind(undone_to):
                raise
    return configure(plugged)


def _plugged_before(tx: Transaction, backend: Backend, order: Order) -> Interface | None:
    """The NIC as the guest has it, where this operation had given it to the guest before it was cut off."""
    alias = order.net.alias or ""
    if not tx.was_begun(backend.attach_step, alias):
        return None
    there = guest.net_of(order.domain, alias)
    if there is None or there.mac != order.net.mac:
        return None
    tx.end(backend.attach_step, alias)
    return there
