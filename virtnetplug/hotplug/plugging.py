"""Giving one NIC to a running guest: the backend's part, then the guest's, each with its undo."""

from __future__ import annotations

from functools import partial

from virtnetplug.backends import Backend, Order
from virtnetplug.errors import HostDeviceBusy
from virtnetplug.hotplug.host import Host
from virtnetplug.hotplug.transaction import Transaction
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Half, Phase

MOST_RACES = 8
"""How often a device may be lost to a domain started meanwhile before the operation gives up."""

Part = tuple[str, str, Phase, Half | None]


def parts(backend: Backend, alias: str, *, has_settings: bool) -> list[Part]:
    """The steps of `plug`, for plans and the journal."""
    own = [*backend.plug_steps, (backend.attach_step, Phase.PLUG)]
    if has_settings:
        own.append(("change_device", Phase.PLUG))
    return [(step, alias, phase, Half.LIVE) for step, phase in own]


def plug(host: Host, tx: Transaction, backend: Backend, order: Order) -> Interface:
    """Run those steps; the net as it went to the guest. Which of the two paths it takes, never both, is the backend's choice."""
    alias, domain = order.net.alias or "", order.domain
    for is_last in (False,) * MOST_RACES + (True,):
        undone_to = len(tx.undo)
        plugged = backend.plug(host, order, tx)
        try:
            tx.effect(backend.attach_step, alias, partial(domain.attach, plugged.element, Half.LIVE), half=Half.LIVE)
            break
        except HostDeviceBusy:
            # somebody else's domain got that device meanwhile: give it up, and the pool lends the next one
            if is_last or order.net.source_pci is not None or tx.undo.unwind(undone_to):
                raise
    if order.settings and plugged.source_pci is not None:
        from virtnetplug.backends.vf_settings import put

        # again, for libvirt has set the VLAN since; nothing to undo, for the device goes back as it was before it was lent
        tx.effect("change_device", alias, partial(put, host, plugged.source_pci, order.settings), half=Half.LIVE)
    return plugged
